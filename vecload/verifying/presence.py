"""Which ids an index lists, and which of them no row has."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecload.targets import TargetIndex
from vecload.targets.asking import insist

_STEP = 2**16


class Presence:
    """The ids that an index lists, asked for when they are first needed.

    They are kept as UTF-8, each with 21 bytes more: a digest of 8 bytes, by which an id is found, its place,
    and whether a row has it. To list them takes about 150 bytes an id for a moment.

    Args:
        index: The index.
        interrupted: The number of the signal that asked to stop, 0 while none did.
    """

    def __init__(self, index: TargetIndex, *, interrupted: Callable[[], int] = lambda: 0) -> None:
        self._index = index
        self._interrupted = interrupted
        self._lock = threading.Lock()
        self._listed: _Listed | None = None

    def hidden(self, ids: Sequence[str]) -> set[str]:
        """Those of some ids, of which the engine returns nothing, that the index lists."""
        there = self._ids().find(_digests(ids)) >= 0
        return {item_id for item_id, is_there in zip(ids, there.tolist(), strict=True) if is_there}

    def see(self, ids: Sequence[str]) -> None:
        """Note that rows have these ids."""
        listed = self._ids()
        at = listed.find(_digests(ids))
        listed.seen[at[at >= 0]] = True

    def extra(self) -> Iterator[str]:
        """The ids that no row has."""
        listed = self._ids()
        places = np.sort(listed.places[~listed.seen])
        for start in range(0, len(places), _STEP):
            yield from listed.ids.take(pa.array(places[start : start + _STEP])).to_pylist()

    def count_extra(self) -> int:
        """How many ids no row has."""
        return int(np.count_nonzero(~self._ids().seen))

    def _ids(self) -> _Listed:
        with self._lock:
            if self._listed is None:
                self._listed = _Listed(insist(self._index.list_ids, interrupted=self._interrupted))
            return self._listed


class _Listed:
    """Ids, found by their digests.

    Attributes:
        ids: The ids.
        digests: int64, shape (n,), in order.
        places: int32, shape (n,): where in `ids` the id of each digest is.
        seen: bool, shape (n,): the digests of ids that a row has.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = pa.array(ids, pa.large_string())
        digests = _digests(ids)
        self.places = np.argsort(digests).astype(np.int32)
        self.digests = digests[self.places]
        self.seen = np.zeros(len(ids), dtype=np.bool_)

    def find(self, digests: NDArray[np.int64]) -> NDArray[np.intp]:
        """Where in `digests` each of these is; -1 where it is not."""
        if not len(self.digests):
            return np.full(len(digests), -1, dtype=np.intp)
        at = np.minimum(np.searchsorted(self.digests, digests), len(self.digests) - 1)
        return np.where(self.digests[at] == digests, at, -1)


def _digests(ids: Sequence[str]) -> NDArray[np.int64]:
    """64-bit digests, valid in this process only. Of a million ids, two share one once in 30 million."""
    return np.fromiter(map(hash, ids), np.int64, len(ids))
