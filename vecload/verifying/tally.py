"""Tally: how many items were compared, each counted once, however many rows have its id."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vecload.loading.repeated_ids import SeenIds
from vecload.verifying.comparison import Compared

_IDS = 4096
"""Ids that are counted together: much faster than the few of a page."""


class Tally:
    """Counts the items of batches. The ids of all are remembered as digests of 8 bytes.

    Attributes:
        items: Different ids. Those of the last batches are not told apart before `flush`.
        repeated: Rows whose id an earlier one has.
        vectors: Different ids whose vectors were compared, the first time that they were met.
    """

    def __init__(self) -> None:
        self.items = self.repeated = self.vectors = 0
        self._seen = SeenIds()
        self._ids: list[str] = []
        self._with_vectors: list[NDArray[np.bool_]] = []

    @property
    def exact(self) -> bool:
        """Whether every id was compared with every other; otherwise some items count more than once."""
        return self._seen.exact

    def add(self, compared: Compared) -> None:
        """Count a batch."""
        self._ids += compared.ids
        self._with_vectors.append(compared.with_vectors)
        self.repeated += compared.rows - len(compared.ids)
        self.items += len(compared.ids)
        if len(self._ids) >= _IDS:
            self.flush()

    def flush(self) -> None:
        """Find the ids that earlier rows have."""
        if not self._ids:
            return
        repeats = self._seen.add(self._ids)
        count = int(np.count_nonzero(repeats))
        self.items -= count
        self.repeated += count
        self.vectors += int(np.count_nonzero(np.concatenate(self._with_vectors) & ~repeats))
        self._ids, self._with_vectors = [], []
