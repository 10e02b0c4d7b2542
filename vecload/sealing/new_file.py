"""New files, all or nothing: written and synced without a name, then linked, so a kill leaves no part."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""Errors of file systems that can't sync folders."""


def write_new(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can read.

    Raises:
        FileExistsError: A file with that name exists; it is unchanged.
        OSError: The file can't be written; nothing of it remains.
    """
    os.close(make_new(path, data))


def make_new(path: Path, data: bytes, *, claim: Callable[[int], object] | None = None) -> int:
    """Write a new file like `write_new`.

    Args:
        path: Its name.
        data: Its bytes.
        claim: Called with its descriptor before any other process can see the file.

    Returns:
        A descriptor of the file, for the caller to close.

    Raises:
        FileExistsError: A file with that name exists; it is unchanged.
        OSError: The file can't be written; nothing of it remains.
    """
    try:
        return _make(path, data, claim, named=False)
    except FileExistsError:
        raise
    except (OSError, AttributeError):
        # The system or file system has no files without names, or there is no /proc to link them.
        return _make(path, data, claim, named=True)


def name_file(descriptor: int, path: Path) -> None:
    """Give a file that was opened without a name a new name.

    Raises:
        FileExistsError: There is a file of that name.
        OSError: It can't be named.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _link(descriptor, None, path.name, folder)
    finally:
        os.close(folder)


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that links and unlinks in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _make(path: Path, data: bytes, claim: Callable[[int], object] | None, *, named: bool) -> int:
    aside = f".{secrets.token_hex(8)}.new" if named else None
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = _open_aside(folder, aside)
        try:
            if claim is not None:
                claim(descriptor)
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
            _link(descriptor, aside, path.name, folder)
            try:
                _sync(folder)
            except OSError:
                os.unlink(path.name, dir_fd=folder)
                raise
        except BaseException:
            os.close(descriptor)
            raise
        finally:
            if aside is not None:
                with suppress(OSError):
                    os.unlink(aside, dir_fd=folder)
        return descriptor
    finally:
        os.close(folder)


def _open_aside(folder: int, aside: str | None) -> int:
    if aside is None:
        return os.open(".", os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600, dir_fd=folder)
    return os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)


def _link(descriptor: int, aside: str | None, name: str, folder: int) -> None:
    """Give the file its name. Unlike a rename, a link replaces no file."""
    if aside is None:
        # With dst_dir_fd, os.link follows the link in /proc to the file; without it, it does not.
        os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=folder, follow_symlinks=True)
    else:
        os.link(aside, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)


def _sync(folder: int) -> None:
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
