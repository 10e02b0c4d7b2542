"""The embedded engine and forked processes: its threads end in a child, and what waits for them hangs."""

from __future__ import annotations

import ctypes
import os
import weakref

from vecload.errors import ForkedStore

HINT = "start processes with multiprocessing's spawn, or open the store in the children alone"


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


def holds(holder: object, *attributes: str) -> None:
    """Note that these attributes are objects of the engine."""
    _ENGINE.holders[holder] = attributes


def opening() -> None:
    """Before an index is opened or made.

    Raises:
        ForkedStore: The engine was used before this process was forked.
    """
    _ENGINE.pid = _ENGINE.pid or os.getpid()
    if _ENGINE.pid != os.getpid():
        raise ForkedStore(
            "the embedded engine can't be used here: this process was forked after one had used it", hint=HINT
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
            hint=HINT,
        )


def _keep() -> None:
    """In a forked child: never let the engine's objects be freed, which waits for threads that are gone."""
    for holder, attributes in [*_ENGINE.holders.items()]:
        for name in attributes:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(getattr(holder, name, None)))


os.register_at_fork(after_in_child=_keep)
