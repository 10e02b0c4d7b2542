"""CyborgDB's engine, cyborgdb-core: importing it, and what a forked process may do with it.

The engine runs threads of its own. A fork ends them in the child, where whatever waits for them hangs. So a
child may use neither a store that its parent opened nor, once the parent used the engine, any other.
"""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from vecload.errors import EngineMissing, ForkedStore

ENGINE = "cyborgdb-core>=0.18,<0.19"
"""The engine's package and the versions that work, as pyproject.toml names them."""
FORK_HINT = "start processes with multiprocessing's spawn, or open the store in the children alone"


def check_engine() -> None:
    """Check that the engine is installed, without the time that importing it takes.

    Raises:
        EngineMissing: It is not.
    """
    if find_spec("cyborgdb_core") is None:
        raise EngineMissing("the embedded store needs cyborgdb-core", hint=_engine_hint())


def import_engine() -> ModuleType:
    """The engine's module.

    Raises:
        EngineMissing: It is not installed, or can't be imported.
    """
    check_engine()
    try:
        import cyborgdb_core
    except ImportError as error:
        raise EngineMissing(f"cyborgdb-core can't be imported ({error})", hint=_engine_hint()) from None
    module: ModuleType = cyborgdb_core
    return module


def install_command(prefix: Path) -> str:
    """The command that installs the engine next to vecload, for a shell.

    Args:
        prefix: The Python environment that vecload runs in: of pipx, of `uv tool`, or any other.
    """
    if (prefix / "pipx_metadata.json").exists() or prefix.parts[-3:-1] == ("pipx", "venvs"):
        return f"pipx inject vecload '{ENGINE}'"
    if (prefix / "uv-receipt.toml").exists():
        return f"uv tool install --with '{ENGINE}' vecload"
    return f"pip install '{ENGINE}'"


def _engine_hint() -> str:
    return f"install it with: {install_command(Path(sys.prefix))}, or give --to the URL of a service"


class _Engine:
    """The engine of this process.

    Attributes:
        pid: The process in which it opened its first index; None before that.
        holders: What holds objects of it, and as which attributes.
    """

    def __init__(self) -> None:
        self.pid: int | None = None
        self.holders: weakref.WeakKeyDictionary[object, tuple[str, ...]] = weakref.WeakKeyDictionary()


# The engine has one state a process, and so has this.
_ENGINE = _Engine()


def track_engine_objects(holder: object, *attributes: str) -> None:
    """Note that these attributes are objects of the engine."""
    _ENGINE.holders[holder] = attributes


def claim_engine() -> None:
    """Before an index is opened or made.

    Raises:
        ForkedStore: The engine was used before this process was forked.
    """
    _ENGINE.pid = _ENGINE.pid or os.getpid()
    if _ENGINE.pid != os.getpid():
        raise ForkedStore(
            "the embedded engine can't be used here: this process was forked after one had used it",
            hint=FORK_HINT,
        )


def check_process(pid: int, location: str) -> None:
    """Before each use of a store.

    Args:
        pid: The process that opened it.
        location: Its folder.

    Raises:
        ForkedStore: It was another one.
    """
    if pid != os.getpid():
        raise ForkedStore(
            f"the store {location} was opened by process {pid}, and can't be used in one forked from it",
            hint=FORK_HINT,
        )


def _leak_in_child() -> None:
    """In a forked child: never let the engine's objects be freed, which waits for threads that are gone."""
    for holder, attributes in [*_ENGINE.holders.items()]:
        for name in attributes:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(getattr(holder, name, None)))


os.register_at_fork(after_in_child=_leak_in_child)
