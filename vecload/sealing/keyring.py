"""The default key store: where it keeps the key of an index, and keys that are pending.

A key that an index may have been made with is never lost: it is on the disk, as a pending key, before the
target is asked to make the index, and becomes the index's key file once the index opens with it. A run that
finds a pending key takes it up, whatever became of the run that made it. It is removed in one case alone: the
process that made it knows that its only request was refused.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vecload.errors import KeyFileError
from vecload.sealing.keys import Key, generate_key
from vecload.sealing.new_file import make_new, sync_folder


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key of the key store.

    Attributes:
        key: The key.
        path: Its file.
        pending: It is not known to be the index's.
    """

    key: Key
    path: Path
    pending: bool


@dataclass(frozen=True, slots=True)
class PendingKey:
    """A key to make an index with. No other process makes one, or takes this one up, while it is held.

    Attributes:
        key: The key.
        path: Where it will be once it is confirmed.
        made: It was made by this process, so no request but this process's own can have used it.
    """

    key: Key
    path: Path
    made: bool

    def confirm(self) -> None:
        """Make it the index's key file: the index opens with it."""
        confirm(self.path, self.key)

    def discard(self) -> None:
        """The target refused to make the index: remove the key if nobody else can have used it."""
        if self.made:
            _remove(pending_path(self.path))


def pending_path(path: Path) -> Path:
    """The file of the key that is pending for a key file.

    Args:
        path: The key file.
    """
    return path.with_name(f"{path.name}.pending")


def find_stored(path: Path) -> StoredKey | None:
    """The key of an index, or the pending one, if the key store has either.

    Args:
        path: The index's key file.

    Raises:
        KeyFileError: It can't be read.
    """
    # Once more at the end: another process may confirm a pending key between two looks.
    for file in (path, pending_path(path), path):
        if not file.exists():
            continue
        try:
            return StoredKey(Key.load(file), file, file != path)
        except KeyFileError:
            if file.exists():
                raise
    return None


def tidy(path: Path) -> None:
    """Remove what a kill left of a pending key that was confirmed.

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
        key: The pending key, with which the index was opened or made.

    Raises:
        KeyFileError: It can't be written, or is there and holds another key; the pending key stays.
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
                    f"{path} holds another key than the index was made with",
                    hint=f"the index's key is {pending}: move the other file away, then run again",
                ) from None
        sync_folder(path.parent)
    except OSError as error:
        raise KeyFileError(
            f"the key file {path} can't be written: {error.strerror}",
            hint=f"the index's key stays in {pending}, and is taken up by the next run",
        ) from None
    _remove(pending)


@contextmanager
def pending_key(path: Path, waits: Callable[[], object]) -> Iterator[PendingKey | None]:
    """A new key on the disk, or the one that an earlier run left, to make an index with.

    Args:
        path: The index's key file, which is not there.
        waits: Called if another process holds the pending key, and has to be waited for.

    Yields:
        The key; None if another process has made the key file meanwhile.

    Raises:
        KeyFileError: The key can't be written or read.
    """
    descriptor, pending = _hold(path, waits)
    try:
        yield pending
    finally:
        os.close(descriptor)


def _hold(path: Path, waits: Callable[[], object]) -> tuple[int, PendingKey | None]:
    file = pending_path(path)
    try:
        _make_folder(path.parent)
        while True:
            held = _create(path, file) or _take_over(path, file, waits)
            if held is not None:
                break
        descriptor, pending = held
        if path.exists():
            pending.discard()
            return descriptor, None
        return held
    except OSError as error:
        raise KeyFileError(f"the key file {file} can't be written: {error.strerror}") from None


def _create(path: Path, file: Path) -> tuple[int, PendingKey] | None:
    """A key made now; None if there is one."""
    key = generate_key()
    locked: list[bool] = []
    try:
        descriptor = make_new(
            file, key.file_text(), claim=lambda made: locked.append(_lock(made, wait=False))
        )
    except FileExistsError:
        return None
    # Where nothing can be locked another process may take the key up at any time: then it is never removed.
    return descriptor, PendingKey(key, path, made=locked[-1])


def _take_over(path: Path, file: Path, waits: Callable[[], object]) -> tuple[int, PendingKey] | None:
    """The key that is there, once nobody else holds it; None if it is gone by then."""
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
    """Whether the file of that name is the one that was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Lock a file until it is closed; whether it is locked. Not every file system can."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _make_folder(folder: Path) -> None:
    """Make the key store, so that it outlives a power cut as the files in it do."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in missing:
            sync_folder(each.parent)
    except OSError as error:
        raise KeyFileError(f"the key store {folder} can't be made: {error.strerror}") from None


def _remove(file: Path) -> None:
    with suppress(OSError):
        file.unlink()
        sync_folder(file.parent)
