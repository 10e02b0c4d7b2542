"""The folder of an embedded store: one process at a time makes an index in it, and may be killed at that.

Of an index the engine writes three files below `_catalog/config`, one after the other: its wrapped key, its
entry in the list of indexes, its settings. A kill before the last leaves an index that is listed, holds
nothing, opens with no key, and can neither be deleted nor made again by the engine's own means.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from vecload.errors import TargetError, UsageError


def expand_home(folder: Path) -> Path:
    """A folder with `~` and `~name` at its start as the home that they stand for.

    Raises:
        UsageError: There is no such user, or this one has no home folder.
    """
    try:
        return folder.expanduser()
    except RuntimeError:
        raise UsageError(
            f"{str(folder)!r} stands below the home folder of nobody", hint="write ./NAME, or the whole path"
        ) from None


@contextmanager
def exclusive(folder: str) -> Iterator[None]:
    """Keep others that ask for the same out of a folder, where its file system can lock."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_half_made(folder: str, name: str) -> bool:
    """Whether a kill left the index without its settings."""
    key, entry, settings = _files(folder, name)
    return key.exists() and entry.exists() and not settings.exists()


def unlist_half_made(folder: str, name: str) -> None:
    """Take an index that is half made off the list, so that the engine makes it anew.

    Args:
        folder: The store's; the caller is alone in it.
        name: An index that `is_half_made`.
    """
    _files(folder, name)[1].unlink()


def _files(folder: str, name: str) -> tuple[Path, Path, Path]:
    base = Path(folder) / "_catalog" / "config" / quote(name, safe="")
    key, entry, settings = (base.with_name(f"{base.name}.{part}.cat") for part in ("dek", "cei", "cvs"))
    return key, entry, settings


def check_can_make(folder: Path) -> None:
    """See whether a folder could be made, as far as permissions say. Nothing is made.

    Raises:
        TargetError: It could not.
    """
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir():
        raise cannot_make(folder, os.strerror(errno.ENOTDIR))
    if not os.access(there, os.W_OK | os.X_OK):
        raise cannot_make(folder, os.strerror(errno.EACCES))


def cannot_make(folder: Path, why: str) -> TargetError:
    """What to raise for a store that can't be made."""
    return TargetError(f"the store {folder} can't be made: {why}", hint="give --to FOLDER another folder")
