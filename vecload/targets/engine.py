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
FORK_HINT = "start processes with multiprocessing's spawn, or open the store only in the child processes"


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
        pid: The process that opened the first index; None before that.
        holders: Our objects that hold objects of the engine, and in which attributes.
    """

    def __init__(self) -> None:
        self.pid: int | None = None
        self.holders: weakref.WeakKeyDictionary[object, tuple[str, ...]] = weakref.WeakKeyDictionary()


# Module state, since the engine has one state per process.
_ENGINE = _Engine()


def track_engine_objects(holder: object, *attributes: str) -> None:
    """Note that these attributes hold objects of the engine."""
    _ENGINE.holders[holder] = attributes


def claim_engine() -> None:
    """Check, before opening or creating an index, that this process may use the engine.

    Raises:
        ForkedStore: The engine was used before this process was forked.
    """
    _ENGINE.pid = _ENGINE.pid or os.getpid()
    if _ENGINE.pid != os.getpid():
        raise ForkedStore(
            "the embedded engine can't be used here: the parent used it before it forked this process",
            hint=FORK_HINT,
        )


def check_process(pid: int, location: str) -> None:
    """Check, before each use of a store, that this process opened it.

    Args:
        pid: The process that opened the store.
        location: Its folder.

    Raises:
        ForkedStore: Another process opened it.
    """
    if pid != os.getpid():
        raise ForkedStore(
            f"process {pid} opened the store {location}; a process forked from it can't use it",
            hint=FORK_HINT,
        )


def _leak_in_child() -> None:
    """In a forked child: never free the engine's objects, which would wait for threads that do not exist."""
    for holder, attributes in [*_ENGINE.holders.items()]:
        for name in attributes:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(getattr(holder, name, None)))


os.register_at_fork(after_in_child=_leak_in_child)
