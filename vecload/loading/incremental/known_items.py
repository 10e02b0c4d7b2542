"""Known items: what an index is known to hold, compared with the rows of a load."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vecload.loading.incremental.item_digests import Digests
from vecload.loading.incremental.item_state import RECORD, Records

Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Compared:
    """The rows of a batch, compared with what is known.

    Attributes:
        positions: Where each id is known; -1 if it is not. int64, shape (n,).
        to_send: The rows that may have to be sent: their id is not known, their item differs, or an earlier
            row of this load with their id differs. bool, shape (n,).
        first: The rows whose id had no such row before this batch. bool, shape (n,).
    """

    positions: Positions
    to_send: NDArray[np.bool_]
    first: NDArray[np.bool_]


class KnownItems:
    """The claims of an item state, in memory: 37 bytes an item.

    Args:
        records: Sorted by id, each id once.
    """

    def __init__(self, records: Records) -> None:
        self._high = np.ascontiguousarray(records["id"][:, 0])
        self._low = np.ascontiguousarray(records["id"][:, 1])
        self._items = np.ascontiguousarray(records["item"])
        self.owners = np.ascontiguousarray(records["owner"])
        count = len(records)
        self._seen = np.zeros(count, dtype=np.bool_)
        self._touched = np.zeros(count, dtype=np.bool_)
        self._settled = np.zeros(count, dtype=np.bool_)

    def __len__(self) -> int:
        return len(self._high)

    @property
    def any_item(self) -> bool:
        """Whether any item is known, and not only its id."""
        return bool(self._items.any())

    def forget_items(self) -> None:
        """Know only the ids from now on."""
        self._items[:] = 0

    def find(self, ids: Digests) -> Positions:
        """Where ids are known; -1 for those that are not."""
        if not len(self):
            return np.full(len(ids), -1, dtype=np.int64)
        high, low = ids[:, 0], ids[:, 1]
        at = np.minimum(np.searchsorted(self._high, high), len(self) - 1)
        found = (self._high[at] == high) & (self._low[at] == low)
        # Two ids may share the first half of their digests.
        for n in np.flatnonzero(~found & (self._high[at] == high)).tolist():
            place = int(at[n])
            while place < len(self) and self._high[place] == high[n]:
                if self._low[place] == low[n]:
                    at[n], found[n] = place, True
                    break
                place += 1
        return np.where(found, at, -1)

    def see(self, ids: Digests) -> None:
        """Note that the sources have these ids."""
        at = self.find(ids)
        self._seen[at[at >= 0]] = True

    def compare(self, ids: Digests, items: Digests) -> Compared:
        """Compare rows, in their order, and note which ids they have."""
        at = self.find(ids)
        known = at >= 0
        places = at[known]
        held = self._items[places]
        equal = (held == items[known]).all(axis=1) & held.any(axis=1)
        before = self._touched[places]
        differs = ~equal | before
        self._seen[places] = True
        unique, last = np.unique(places[::-1], return_index=True)
        if len(unique) < len(places):
            _spread(places, differs)
            self._settled[unique] = equal[len(places) - 1 - last]
        else:
            self._settled[places] = equal
        self._touched[places[differs]] = True
        to_send, first = ~known, ~known
        to_send[known], first[known] = differs, ~before
        return Compared(at, to_send, first)

    def settled(self, positions: Positions) -> NDArray[np.bool_]:
        """Whether the last row with each id, so far, is what the index holds.

        If no row with the id was sent, none needs to be.

        Args:
            positions: From `find`; -1 is never settled.
        """
        found: NDArray[np.bool_] = positions >= 0
        found[found] = self._settled[positions[found]]
        return found

    def untouch(self, positions: Positions) -> None:
        """Take back that rows with these known ids differ: none of them is sent."""
        self._touched[positions] = False

    def moved_to(self, owner: int) -> Records:
        """Claims of ids that the sources have unchanged, and that belonged to another load so far."""
        return self._records(self._seen & ~self._touched & (self.owners != owner), owner)

    def unseen(self, owner: int) -> Digests:
        """The ids that belong to a load, and that its sources do not have any more."""
        at = ~self._seen & (self.owners == owner)
        return np.stack((self._high[at], self._low[at]), axis=1)

    def unseen_of_others(self, owner: int) -> int:
        """How many ids belong to other loads, and are not in these sources."""
        return int((~self._seen & (self.owners != owner)).sum())

    def of(self, owner: int) -> int:
        """How many ids belong to a load."""
        return int((self.owners == owner).sum())

    def records(self) -> Records:
        """All claims."""
        return self._records(np.ones(len(self), dtype=np.bool_))

    def _records(self, which: NDArray[np.bool_], owner: int | None = None) -> Records:
        records: Records = np.zeros(int(which.sum()), dtype=RECORD)
        records["id"][:, 0], records["id"][:, 1] = self._high[which], self._low[which]
        records["item"] = self._items[which]
        records["owner"] = self.owners[which] if owner is None else owner
        return records


def _spread(places: Positions, differs: NDArray[np.bool_]) -> None:
    """Make every row differ that comes after a row with the same id that does."""
    changed: set[int] = set()
    for n, place in enumerate(places.tolist()):
        if differs[n]:
            changed.add(place)
        elif place in changed:
            differs[n] = True
