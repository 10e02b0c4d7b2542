"""The key store: the key files of indexes, and pending keys.

A key that an index may have been created with is never lost. Before the target is asked to create the index,
the key is on the disk as a pending key. It becomes the index's key file once the index opens with it. A run
that finds a pending key uses it, whatever happened to the run that made it. A pending key is removed in only
one case: the process that made it knows that the target refused its only request.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vecload.errors import KeyFileError
from vecload.sealing.key_text import MadeFor
from vecload.sealing.keys import Key, generate_key, legible_name, stored_key_paths
from vecload.sealing.new_file import make_new, sync_folder, write_new


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key of the key store.

    Attributes:
        key: The key.
        path: Its file.
        pending: It may not be the index's key.
    """

    key: Key
    path: Path
    pending: bool


@dataclass(frozen=True, slots=True)
class PendingKey:
    """A key to create an index with. While a process holds it, no other process makes or uses one.

    Attributes:
        key: The key.
        path: The key file that it becomes.
        made: This process made it, so no other process can have used it in a request.
    """

    key: Key
    path: Path
    made: bool

    def confirm(self) -> None:
        """Make it the index's key file, since the index opens with it."""
        confirm(self.path, self.key)

    def discard(self) -> None:
        """Remove it after the target refused to create the index, if nobody else can have used it."""
        if self.made:
            _remove(pending_path(self.path))


def pending_path(path: Path) -> Path:
    """The file of the pending key for a key file.

    Args:
        path: The key file.
    """
    return path.with_name(f"{path.name}.pending")


def find_stored(path: Path) -> StoredKey | None:
    """The key of an index, or its pending key; None if the key store has neither.

    Args:
        path: The index's key file.

    Raises:
        KeyFileError: It can't be read.
    """
    # The key file again at the end: another process may confirm a pending key meanwhile.
    for file in (path, pending_path(path), path):
        if not file.exists():
            continue
        try:
            return StoredKey(Key.load(file), file, file != path)
        except KeyFileError:
            if file.exists():
                raise
    return None


def stored_place(paths: Sequence[Path]) -> Path | None:
    """The first of several key files that is there, or whose pending key is.

    Args:
        paths: The key files that an index may have.
    """
    there = (path for path in paths if path.exists() or pending_path(path).exists())
    return next(there, None)


def keys_named(config_home: Path, location: str, index_name: str) -> list[tuple[str, str]]:
    """Key files of the key store that may be those of an index of this name, on any target.

    Args:
        config_home: The user's configuration folder for vecload.
        location: The target that is asked for.
        index_name: The index.

    Returns:
        The files, and the targets that they were made for; "" where a file does not say so.
    """
    own = {path.name for path in stored_key_paths(config_home, location, index_name)}
    found: list[tuple[str, str]] = []
    for path in sorted((config_home / "keys").glob(f"{glob.escape(legible_name(index_name))}-*.toml")):
        if not re.fullmatch(r"[0-9a-f]{12}", path.stem.rpartition("-")[2]):
            continue
        try:
            made_for = Key.load(path).made_for
        except KeyFileError:
            continue
        if made_for is None or made_for.index == index_name:
            target = location if path.name in own else ""
            found.append((str(path), made_for.target if made_for else target))
    return found


def check_can_make(path: Path) -> None:
    """See whether a key file that the user named can be made, as far as can be seen. Nothing is written.

    Raises:
        KeyFileError: It can't.
    """
    if path.is_symlink() and not path.exists():
        raise KeyFileError(f"the key file {path} is a symbolic link to nothing", hint="name the file itself")
    folder = path.parent
    code = 0 if os.access(folder, os.W_OK | os.X_OK) else errno.EACCES if folder.is_dir() else errno.ENOENT
    if code:
        raise KeyFileError(f"the key file {path} can't be written: {os.strerror(code)}")


def tidy(path: Path) -> None:
    """Remove the pending file that a kill left after the key was confirmed.

    Args:
        path: The index's key file.
    """
    pending = pending_path(path)
    with suppress(OSError):
        if path.samefile(pending):
            _remove(pending)


def confirm(path: Path, key: Key) -> None:
    """Make a pending key the index's key file.

    Args:
        path: The key file.
        key: The pending key, which opened or created the index.

    Raises:
        KeyFileError: The file can't be written, or it exists with another key. The pending key stays.
    """
    pending = pending_path(path)
    try:
        try:
            os.link(pending, path)
        except FileNotFoundError:
            if not path.exists():  # removed by hand
                key.save(path)
        except FileExistsError:
            if Key.load(path) != key:
                raise KeyFileError(
                    f"{path} contains another key than the index was created with",
                    hint=f"the index's key is in {pending}: move the other file, then run again",
                ) from None
        sync_folder(path.parent)
    except OSError as error:
        raise KeyFileError(
            f"the key file {path} can't be written: {error.strerror}",
            hint=f"the index's key stays in {pending}, and the next run uses it",
        ) from None
    _remove(pending)


@contextmanager
def pending_key(
    path: Path,
    waits: Callable[[], object],
    made_for: MadeFor | None = None,
    *,
    contents_only: bool = False,
) -> Iterator[PendingKey | None]:
    """A key to create an index with: a new one that is on the disk, or the one that an earlier run left.

    Args:
        path: The index's key file, which does not exist.
        waits: Called before waiting for another process that holds the pending key.
        made_for: The index, which a new key's file names.
        contents_only: Make a new key without an index key.

    Yields:
        The key; None if another process has made the key file meanwhile.

    Raises:
        KeyFileError: The key can't be written or read.
    """
    descriptor, pending = _hold(path, waits, made_for, contents_only)
    try:
        yield pending
    finally:
        os.close(descriptor)


def _hold(
    path: Path, waits: Callable[[], object], made_for: MadeFor | None, contents_only: bool
) -> tuple[int, PendingKey | None]:
    file = pending_path(path)
    try:
        _make_folder(path.parent)
        while True:
            held = _create(path, file, made_for, contents_only) or _take_over(path, file, waits)
            if held is not None:
                break
        descriptor, pending = held
        if path.exists():
            pending.discard()
            return descriptor, None
        return held
    except OSError as error:
        raise KeyFileError(f"the key file {file} can't be written: {error.strerror}") from None


def _create(
    path: Path, file: Path, made_for: MadeFor | None, contents_only: bool
) -> tuple[int, PendingKey] | None:
    """Make a pending key; None if there is one."""
    key = generate_key(contents_only=contents_only)
    key.made_for = made_for
    locked: list[bool] = []
    try:
        descriptor = make_new(
            file, key.file_text(), claim=lambda made: locked.append(_lock(made, wait=False))
        )
    except FileExistsError:
        return None
    # Without locks another process may use the key at any time, so it must never be removed.
    return descriptor, PendingKey(key, path, made=locked[-1])


def _take_over(path: Path, file: Path, waits: Callable[[], object]) -> tuple[int, PendingKey] | None:
    """Wait for the existing pending key until nobody else holds it; None if it is gone by then."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if not _lock(descriptor, wait=False):
            waits()
            _lock(descriptor, wait=True)
        if _is_still(descriptor, file):
            return descriptor, PendingKey(Key.load(file), path, made=False)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_still(descriptor: int, file: Path) -> bool:
    """Whether the open file still has that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Lock a file until it is closed. False if the file system can't, or another process has it locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def replace_stored(path: Path, key: Key) -> None:
    """Replace the key in a key file by one that opens all that it opens.

    Args:
        path: The key file.
        key: The new key. It has the contents key in the file among its old ones.

    Raises:
        KeyFileError: The file can't be written; the key in it stays.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        write_new(aside, key.file_text())
        try:
            aside.rename(path)
        except OSError:
            _remove(aside)
            raise
        sync_folder(path.parent)
    except OSError as error:
        raise KeyFileError(f"the key file {path} can't be written: {error.strerror}") from None


def _make_folder(folder: Path) -> None:
    """Make the key store, so that a power cut loses neither the folder nor the files in it."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in missing:
            sync_folder(each.parent)
    except OSError as error:
        raise KeyFileError(f"the key store {folder} can't be created: {error.strerror}") from None


def _remove(file: Path) -> None:
    with suppress(OSError):
        file.unlink()
        sync_folder(file.parent)
