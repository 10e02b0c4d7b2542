"""Repeated ids: what becomes of a row whose id stands in an earlier row of the same load."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vecload.batch import Batch, Reject
from vecload.loading.seen_ids import LIMIT, Digests, SeenIds, digests_of
from vecload.mapping import Mapping

RepeatedIdPolicy: TypeAlias = Literal["reject", "last"]
"""The later row of an id is rejected, or the last row of an id wins."""
PLACES = 2**17
"""First ids whose rows are known, so that a reject can name the row whose id it repeats."""


@dataclass(frozen=True, slots=True)
class RepeatedRow:
    """A row whose id stands in an earlier one."""

    source: str
    row: int
    id: str


@dataclass(frozen=True, slots=True)
class EarlierRows:
    """Rows that an earlier run of this load has made items of.

    rows: int64, shape (n,): their numbers, in order.
    digests: int64, shape (n,): of their ids.
    """

    source: str
    rows: NDArray[np.int64]
    digests: Digests


class RepeatedIds:
    """Sees every batch of a load in the order of its rows, and knows the rows that repeat an earlier id.

    Only rows that become items count: the id of a row that can't be loaded may stand again. Ids that the
    index held before the load don't count either: to replace those is what an upsert is for. A row that only
    the target refuses does count, since that is known too late.

    Args:
        policy: Whether such rows are rejected, or replace the earlier ones.
        limit: How many different ids are kept in memory; later ones are compared with these only.
        tell: Is told once, when they are that many and such rows are rejected.
    """

    def __init__(
        self,
        policy: RepeatedIdPolicy = "last",
        *,
        limit: int = LIMIT,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.policy = policy
        self.first: RepeatedRow | None = None
        """The first row that repeats an id."""
        self.repeated = 0
        """Rows of this load whose id stands in an earlier one of it."""
        self._seen = SeenIds(limit)
        self._tell = tell
        self._places = _Places()
        self._earlier: list[EarlierRows] = []
        self._left_out = False
        self._limit_told = False

    @property
    def replaced(self) -> int:
        """Rows of this load that a later one replaced; at least, where `exact` is false."""
        return self.repeated if self.policy == "last" else 0

    @property
    def exact(self) -> bool:
        """Whether every id was compared with every other; else `repeated` is the least that it can be."""
        return self._seen.exact and not self._left_out

    @property
    def room(self) -> int:
        """How many more ids can be kept."""
        return self._seen.limit - self._seen.kept - sum(len(one.rows) for one in self._earlier)

    def expect(self, earlier: Iterable[EarlierRows]) -> None:
        """Take what earlier runs loaded of the source that comes next; each counts in its place.

        Args:
            earlier: In any order. What there is no room for is left out.
        """
        for one in earlier:
            room = max(self.room, 0)
            if room < len(one.rows):
                one = EarlierRows(one.source, one.rows[:room], one.digests[:room])
                self.leave_out_earlier()
                self._say_limit()
            if len(one.rows):
                self._earlier.append(one)
            if self._left_out:
                break
        self._earlier.sort(key=lambda one: int(one.rows[0]), reverse=True)

    def leave_out_earlier(self) -> None:
        """Rows of earlier runs are not compared: `repeated` is the least that it can be."""
        self._left_out = True

    def loaded(self, source: str, rows: NDArray[np.int64], ids: Sequence[str]) -> None:
        """Note rows that another load has put into the index, and that this one must not replace."""
        digests = digests_of(ids)
        self._places.add(source, rows, digests, 0)
        self._seen.add_digests(digests)

    def loaded_elsewhere(self, ids: Sequence[str]) -> None:
        """Note ids of rows that another load has put into the index, and that may be of other sources."""
        self._seen.add_digests(digests_of(ids))

    def checked(self, batch: Batch) -> Batch:
        """The batch; where repeated ids are rejected, the rows that repeat one are among its rejects."""
        self._catch_up(batch.span.start)
        if not batch.ids:
            return batch
        digests = digests_of(batch.ids)
        again = self._add(batch.span.source, batch.rows, digests, batch.span.start)
        if not again.any():
            return batch
        rows = batch.item_rows()
        if self.first is None:
            at = int(again.argmax())
            self.first = RepeatedRow(batch.span.source, int(rows[at]), batch.ids[at])
        if self.policy == "last":
            return batch
        rejects = self._rejects(batch, rows, digests, np.flatnonzero(again))
        return batch.less(~again, rejects)

    def end_of_source(self) -> None:
        """No more batches of this source come."""
        self._catch_up(None)

    def _catch_up(self, row: int | None) -> None:
        """Count what earlier runs loaded before this row."""
        while self._earlier and (row is None or self._earlier[-1].rows[0] < row):
            one = self._earlier.pop()
            self._add(one.source, one.rows, one.digests)

    def _add(
        self, source: str, rows: NDArray[np.int64] | None, digests: Digests, start: int = 0
    ) -> NDArray[np.bool_]:
        """Look at some rows and keep their ids; `rows` is None if they follow each other from `start`."""
        again = self._seen.add_digests(digests)
        self.repeated += int(again.sum())
        if self.policy == "reject":
            self._places.add(source, rows, digests, start)
            if not self._seen.exact:
                self._say_limit()
        return again

    def _say_limit(self) -> None:
        if self.policy == "reject" and not self._limit_told:
            self._limit_told = True
            self._tell(
                f"more than {self._seen.limit:,} different ids: later ones are compared with these only; "
                "where they repeat each other, the last row wins"
            )

    def _rejects(
        self, batch: Batch, rows: NDArray[np.int64], digests: Digests, positions: NDArray[np.intp]
    ) -> list[Reject]:
        found = self._places.find(digests[positions])
        rejects = []
        for position, place in zip(positions.tolist(), found, strict=True):
            own, item_id = int(rows[position]), batch.ids[position]
            told = "repeats the id of an earlier row"
            if place is not None and place != (batch.span.source, own):
                source, row = place
                there = f" of {source}" if source != batch.span.source else ""
                told = f"repeats the id of row {row}{there}"
            rejects.append(batch.origin.reject(batch.span, own, "id", "repeated-id", told, item_id))
        return rejects


@dataclass(slots=True)
class _Places:
    """The rows in which the first ids of a load stand."""

    _parts: list[tuple[str, NDArray[np.int64] | None, int, Digests]] = field(default_factory=list)
    _kept: int = 0
    _sorted: tuple[Digests, NDArray[np.intp]] | None = None

    def add(self, source: str, rows: NDArray[np.int64] | None, digests: Digests, start: int) -> None:
        """Note rows, while there is room."""
        if self._kept < PLACES and len(digests):
            self._parts.append((source, rows, start, digests))
            self._kept += len(digests)
            self._sorted = None

    def find(self, digests: Digests) -> list[tuple[str, int] | None]:
        """Source and number of the first row with each of these ids; None where that is not known."""
        if self._sorted is None:
            whole = np.concatenate([part[3] for part in self._parts])
            order = np.argsort(whole, kind="stable")
            self._sorted = whole[order], order
        known, order = self._sorted
        at = np.minimum(np.searchsorted(known, digests), len(known) - 1)
        starts = np.cumsum([0, *(len(part[3]) for part in self._parts)])
        return [
            self._place(int(order[i]), starts) if known[i] == digest else None
            for i, digest in zip(at.tolist(), digests.tolist(), strict=True)
        ]

    def _place(self, ordinal: int, starts: NDArray[np.int64]) -> tuple[str, int]:
        part = int(np.searchsorted(starts, ordinal, side="right")) - 1
        source, rows, start, _ = self._parts[part]
        position = ordinal - int(starts[part])
        return source, start + position if rows is None else int(rows[position])


def policy_of(asked: RepeatedIdPolicy | None, mappings: Iterable[Mapping]) -> RepeatedIdPolicy:
    """What becomes of repeated ids where nobody says: a guess must not cost a row."""
    guessed = any(mapping.id_guessed for mapping in mappings)
    return asked or ("reject" if guessed else "last")
