"""The folder of an embedded store: locking it, and repairing an index that a kill left incomplete.

For a new index the engine writes three files below `_catalog/config`, one after the other: the wrapped key,
the entry in the list of indexes, and the settings. A kill before the last one leaves an index that is listed
and empty, that no key opens, and that the engine can neither delete nor create again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from vecload.errors import UsageError


def expand_home(folder: Path) -> Path:
    """A folder, with `~` or `~name` at its start replaced by the home folder.

    Raises:
        UsageError: There is no such user, or the user has no home folder.
    """
    try:
        return folder.expanduser()
    except RuntimeError:
        raise UsageError(
            f"the home folder in {str(folder)!r} does not exist", hint="write ./NAME, or the whole path"
        ) from None


@contextmanager
def exclusive(folder: str) -> Iterator[None]:
    """Hold a lock on a folder, if its file system can lock. Other callers wait for it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_half_made(folder: str, name: str) -> bool:
    """Whether a kill left an index without its settings."""
    key, entry, settings = _files(folder, name)
    return key.exists() and entry.exists() and not settings.exists()


def unlist_half_made(folder: str, name: str) -> None:
    """Remove an incomplete index from the list, so that the engine can create it again.

    Args:
        folder: The store's folder; the caller holds its lock.
        name: An index that `is_half_made`.
    """
    _files(folder, name)[1].unlink()


def _files(folder: str, name: str) -> tuple[Path, Path, Path]:
    base = Path(folder) / "_catalog" / "config" / quote(name, safe="")
    key, entry, settings = (base.with_name(f"{base.name}.{part}.cat") for part in ("dek", "cei", "cvs"))
    return key, entry, settings
