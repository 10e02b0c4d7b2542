"""The ids of an index, as they were when it was listed: the rows of an index as a source."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO, NoReturn

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecload.errors import SourceError
from vecload.readers.storage.files import index_place
from vecload.targets import TargetIndex
from vecload.targets.asking import insist

_STEP = 2**16
"""Ids that become Python texts at once."""


class Listing:
    """The ids of an index in their order, listed once. Also the `File` by which a journal knows the source.

    The ids are kept as UTF-8, which takes 8 bytes an id more than their text. To list them takes about 150
    bytes an id for a moment, since a target gives them as Python texts.

    The engine returns nothing of an item that has a vector of zeros and neither metadata nor contents
    (docs/cyborgdb.md). Only the ids that the index lists tell it from an item that was deleted: `hidden` says
    which ids are such items. It asks for the number of items each time, and lists the ids again only where
    that changed. An item that was deleted while another was added escapes that; `confirm` finds it, at the
    end.

    Args:
        index: The index.
        location: Where it is: the target's location.
        ids: Only these items; None is all of them.
        interrupted: The number of the signal that asked to stop, 0 while none did.

    Raises:
        TargetError: The ids can't be listed.
    """

    stored_part = 1.0

    def __init__(
        self,
        index: TargetIndex,
        location: str,
        *,
        ids: Iterable[str] | None = None,
        interrupted: Callable[[], int] = lambda: 0,
    ) -> None:
        self._index = index
        self._interrupted = interrupted
        self._only = None if ids is None else frozenset(ids)
        self.name = self.location = index_place(index.name, location)
        self._ids = pa.array(sorted(self._listed() if self._only is None else self._only), pa.large_string())
        self.nbytes = self._ids.nbytes
        self._lock = threading.Lock()
        self._now: tuple[int, NDArray[np.int64] | None] = len(self._ids), None
        self._assumed: list[NDArray[np.int64]] = []

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self, start: int, stop: int) -> list[str]:
        """The ids of the rows `[start, stop)`."""
        found: list[str] = self._ids.slice(start, stop - start).to_pylist()
        return found

    def hidden(self, ids: Sequence[str]) -> set[str]:
        """Those of some listed ids, of which the index returns nothing, that it still lists.

        Raises:
            TargetError: The target fails.
        """
        digests = _digests(ids)
        with self._lock:
            count = insist(self._index.count, interrupted=self._interrupted)
            if count != self._now[0]:
                listed = np.sort(_digests(self._listed()))
                self._now = len(listed), listed
            now = self._now[1]
            there = np.ones(len(ids), dtype=np.bool_) if now is None else np.isin(digests, now)
            self._assumed.append(digests[there])
        return {item_id for item_id, is_there in zip(ids, there.tolist(), strict=True) if is_there}

    def confirm(self) -> None:
        """Check that the items which `hidden` named are there at the end, too.

        Raises:
            SourceError: Some were deleted meanwhile.
            TargetError: The target fails.
        """
        with self._lock:
            assumed, self._assumed = self._assumed, []
        if not assumed:
            return
        if not np.isin(np.concatenate(assumed), _digests(self._listed())).all():
            raise SourceError(
                f"items of {self.name} were deleted while it was read, and were taken for vectors of zeros",
                hint="read it again when nothing writes to it",
            )

    def _listed(self) -> list[str]:
        return insist(self._index.list_ids, interrupted=self._interrupted)

    def fingerprint(self, nbytes: int | None = None) -> str:
        """A digest of the ids. It does not show that an item was replaced."""
        digest = hashlib.sha256()
        for start in range(0, len(self._ids), _STEP):
            _digest(self.ids(start, start + _STEP), digest)
        return _fingerprint(len(self._ids), digest)

    def holds(self, fingerprint: str, *, begins: bool = False) -> bool:
        """Whether these are the ids of that fingerprint."""
        return fingerprint == self.fingerprint()

    def changed(self) -> bool:
        """Whether the index has other ids now."""
        digest = hashlib.sha256()
        ids = sorted(self._listed() if self._only is None else self._only.intersection(self._listed()))
        _digest(ids, digest)
        return _fingerprint(len(ids), digest) != self.fingerprint()

    def open(self) -> BinaryIO:
        """An index is not made of bytes.

        Raises:
            OSError: Always.
        """
        self._refuse()

    def arrow(self) -> pa.NativeFile:
        """An index is not made of bytes.

        Raises:
            OSError: Always.
        """
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise OSError("an index is not a file")


def _digests(ids: Sequence[str]) -> NDArray[np.int64]:
    """64-bit digests that this process alone knows: int64, shape (n,)."""
    return np.fromiter(map(hash, ids), np.int64, len(ids))


def _digest(ids: Sequence[str], digest: hashlib._Hash) -> None:
    for item_id in ids:
        text = item_id.encode()
        digest.update(len(text).to_bytes(4, "little"))
        digest.update(text)


def _fingerprint(count: int, digest: hashlib._Hash) -> str:
    return f"{count}:ids:{digest.hexdigest()[:32]}"
