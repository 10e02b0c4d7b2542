"""SeenIds: which ids stood in an earlier row, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

LIMIT = 2**25
"""Ids that are kept, 8 bytes each: 256 MiB, and 64 MiB of the sieve. The chance that two of so many have one
digest is 1 in 30,000."""
_RUN = 2**22
"""Digests of a run at the most: longer ones would take as much again while they are merged."""
_SIEVE_BITS = 16
"""Bits of the sieve for each digest, at the least: few new ids are looked for in the runs then."""
_SIEVE_WORDS = 2**14
"""Words of 64 bits of the sieve of a load that begins."""

_HIGH = np.uint64(52)
"""The highest 12 bits of a digest say the two bits of its word, the lowest say which word that is."""
_BITS = np.array([1 << n % 64 | 1 << n // 64 for n in range(2**12)], dtype=np.uint64)

Digests: TypeAlias = NDArray[np.int64]
_Marks: TypeAlias = tuple[Digests, NDArray[np.uint64]]


def digests_of(ids: Sequence[str]) -> Digests:
    """The ids as 64-bit digests, which mean the same in this process alone: int64, shape (n,)."""
    return np.fromiter(map(hash, ids), np.int64, len(ids))


class SeenIds:
    """The ids of all rows so far, as 64-bit digests.

    Two different ids may have one digest, so that the later one passes for a repetition of the earlier: with
    as many ids as are kept, that happens in one load of 30,000. Where repetitions are rejects, a good row is
    then rejected, and said to be; the other way round a row would be lost, and nobody would know.

    Args:
        limit: How many are kept. Later ones are compared with these only: `repeated` is a lower bound.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.kept = 0
        """Different ids that are kept."""
        self.exact = True
        """Whether every id was compared with every other."""
        self.repeated = 0
        """Rows whose id stood in an earlier row."""
        self._runs: list[Digests] = []
        self._sieve = np.zeros(_SIEVE_WORDS, dtype=np.uint64)

    def add(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Look at some ids, and keep them.

        Returns:
            bool, shape (n,): which of them stood in an earlier row, of this call or one before.
        """
        return self.add_digests(digests_of(ids))

    def add_digests(self, digests: Digests) -> NDArray[np.bool_]:
        """Look at the ids of these digests, and keep them.

        Returns:
            bool, shape (n,): which of them stood in an earlier row, of this call or one before.
        """
        own = np.sort(digests)
        marks = self._marks(own)
        known = self._known(own, marks)
        if not known.any() and not (own[1:] == own[:-1]).any():
            self._keep(own, marks)
            return np.zeros(len(digests), dtype=np.bool_)
        own, first = np.unique(digests, return_index=True)
        again = np.ones(len(digests), dtype=np.bool_)
        again[first] = False
        known = self._known(own, self._marks(own))
        again[first[known]] = True
        self.repeated += int(again.sum())
        new = own[~known]
        self._keep(new, self._marks(new))
        return again

    def _known(self, digests: Digests, marks: _Marks) -> NDArray[np.bool_]:
        """Which of these are kept."""
        at, bits = marks
        known: NDArray[np.bool_] = (self._sieve[at] & bits) == bits
        likely = digests[known]
        if len(likely):
            found = np.zeros(len(likely), dtype=np.bool_)
            for run in self._runs:
                found |= run[np.minimum(run.searchsorted(likely), len(run) - 1)] == likely
            known[known] = found
        return known

    def _marks(self, digests: Digests) -> _Marks:
        """Where the sieve marks each digest: the word, and two bits of it."""
        whole = digests.view(np.uint64)
        bits = _BITS[whole >> _HIGH]
        return digests & (len(self._sieve) - 1), bits

    def _mark(self, marks: _Marks) -> None:
        """Mark digests in the sieve."""
        at, bits = marks
        while len(at):
            self._sieve[at] |= bits
            # Of several in one word only the last was marked.
            left = (self._sieve[at] & bits) != bits
            at, bits = at[left], bits[left]

    def _keep(self, digests: Digests, marks: _Marks) -> None:
        """Add a sorted run; runs of like size are merged, so that there are few."""
        room = self.limit - self.kept
        if len(digests) > room:
            self.exact = False
            digests = digests[: max(room, 0)]
            marks = self._marks(digests)
        if not len(digests):
            return
        self.kept += len(digests)
        self._runs.append(digests)
        if _SIEVE_BITS * self.kept > 64 * len(self._sieve):
            self._sieve = np.zeros(2 * len(self._sieve), dtype=np.uint64)
            for run in self._runs:
                self._mark(self._marks(run))
        else:
            self._mark(marks)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]) <= _RUN:
            last, one = self._runs.pop(), self._runs.pop()
            self._runs.append(np.sort(np.concatenate((one, last)), kind="stable"))
