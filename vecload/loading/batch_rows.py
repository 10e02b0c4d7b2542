"""Batch rows: how many rows a batch holds, learnt from how fast the target takes batches of several sizes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from vecload.defaults import BATCH_ROWS

PIECE_BYTES = 3_200_000
"""Rows are read in pieces of about that many bytes of vectors: 2000 rows of 384 dimensions, 1000 of 768."""
TRIAL_BATCHES = 12
"""Batches of one size that are timed before another one is tried."""
ROUNDS = 2
"""How often each size is tried: a target may be slow for a moment."""
OTHERS_MOST = 60
"""Batches of other sizes after which nothing is to be learnt, and the usual size stays."""
GAIN = 1.05
"""A size must be that much faster than the usual one to take its place."""


class BatchRows:
    """The rows of a batch: settled in the first batches of a load, then left alone.

    Args:
        sizes: Rows of a batch to choose from; the first is the usual one. One alone is settled already.
        clock: Monotonic seconds.
    """

    def __init__(self, sizes: Sequence[int], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = sizes[0]
        self.piece = max(sizes)
        """Rows that are read at once, of which batches are made."""
        self._clock = clock
        self._trials = [*sizes] * ROUNDS if len(sizes) > 1 else []
        self._rates: dict[int, float] = dict.fromkeys(sizes, 0.0)
        self._batches = self._others = 0
        self._since = 0.0

    @classmethod
    def auto(cls, dimension: int) -> BatchRows:
        """To be learnt, for vectors of that many values; 0 where there are none."""
        usual = BATCH_ROWS
        sizes = [usual, usual // 2]
        if 2 * usual * dimension * 4 <= PIECE_BYTES:
            sizes.append(2 * usual)
        return cls(sizes)

    @property
    def settled(self) -> bool:
        """Whether it will stay as it is."""
        return not self._trials

    def completed(self, rows: int) -> None:
        """A batch of that many rows was acknowledged."""
        if not self._trials:
            return
        if rows != self.now:
            # Made before the size was tried, or less by rejects, by its bytes, by the end of a source.
            self._others += 1
            if self._others > OTHERS_MOST:
                self._trials, self.now = [], next(iter(self._rates))
            return
        if not self._batches:
            self._since = self._clock()
        self._batches += 1
        if self._batches <= TRIAL_BATCHES:
            return
        rate = rows * TRIAL_BATCHES / max(self._clock() - self._since, 1e-9)
        self._rates[rows] = max(self._rates[rows], rate)
        self._batches = 0
        self._trials.pop(0)
        self.now = self._trials[0] if self._trials else self._best()

    def _best(self) -> int:
        usual, *others = self._rates
        best = max(others, key=self._rates.__getitem__)
        return best if self._rates[best] >= GAIN * self._rates[usual] else usual
