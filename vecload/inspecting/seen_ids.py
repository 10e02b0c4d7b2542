"""SeenIds: which ids stood in an earlier row, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LIMIT = 2**25
"""Ids that are kept, 8 bytes each: 256 MiB. Two different ones pass for one with a chance of 1 in 30,000."""
_RUN = 2**22
"""Digests of a run at the most: longer ones would take as much again while they are merged."""


class SeenIds:
    """The ids of all rows looked at, as 64-bit digests.

    Args:
        limit: How many are kept. Later ones are compared with these only: `repeated` is a lower bound.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._runs: list[NDArray[np.int64]] = []
        self._kept = 0
        self.exact = True
        """Whether every id was compared with every other."""
        self.repeated = 0
        """Rows whose id stood in an earlier row."""

    def add(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Look at some ids, and keep them.

        Returns:
            bool, shape (n,): which of them stood in an earlier row, of this call or one before.
        """
        digests = np.fromiter(map(hash, ids), np.int64, len(ids))
        own, first = np.unique(digests, return_index=True)
        again = np.ones(len(ids), dtype=np.bool_)
        again[first] = False
        known = np.zeros(len(own), dtype=np.bool_)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, own), len(run) - 1)
            known |= run[at] == own
        again[first[known]] = True
        self.repeated += int(again.sum())
        self._keep(own[~known])
        return again

    def _keep(self, digests: NDArray[np.int64]) -> None:
        """Add a sorted run; runs of like size are merged, so that there are few."""
        room = self._limit - self._kept
        if len(digests) > room:
            self.exact = False
            digests = digests[: max(room, 0)]
        if not len(digests):
            return
        self._kept += len(digests)
        self._runs.append(digests)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]) <= _RUN:
            last, one = self._runs.pop(), self._runs.pop()
            self._runs.append(np.sort(np.concatenate((one, last)), kind="stable"))
