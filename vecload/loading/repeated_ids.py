"""SeenIds: which ids stood in an earlier row, in bounded memory.

Repeated ids: what becomes of a row whose id stands in an earlier row of the same load.

The ids of rows that earlier runs of a load have loaded, found again by reading those rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vecload.batch import Batch, Reject, Span
from vecload.mapping import ColumnMapping, Mapper, Rows
from vecload.options import RepeatedIdPolicy
from vecload.readers import Source
from vecload.readers.prefetch import ahead, rows_ahead
from vecload.readers.source import around

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
        return batch.keep_only(~again, rejects)

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


def policy_of(asked: RepeatedIdPolicy | None, mappings: Iterable[ColumnMapping]) -> RepeatedIdPolicy:
    """What becomes of repeated ids where nobody says: a guess must not cost a row."""
    guessed = any(mapping.id_guessed for mapping in mappings)
    return asked or ("reject" if guessed else "last")


SCAN_ROWS = 10_000
SCAN_BYTES = 2**25


def earlier_rows(
    source: Source,
    mapper: Mapper,
    clean: Sequence[Span],
    rejecting: Sequence[Span],
    *,
    interrupted: Callable[[], int] = lambda: 0,
) -> Iterator[EarlierRows]:
    """The rows of some spans that became items: the same ones as when they were loaded.

    Args:
        source: It is unchanged since.
        mapper: As it was then.
        clean: Spans in which every row became an item: their ids alone are read, where the source can.
        rejecting: Spans with rejects: their rows are mapped again, since the ids of those that can't be don't
            count. A row that only the target refused counts, as it did then.
        interrupted: The number of the signal that asked to stop, 0 while none did.

    Raises:
        Interrupted: A signal came.
        SourceError: The source can't be read on.
    """
    mapping = mapper.mapping
    columns = mapping.id_columns()
    if columns is None or source.maps_while_reading:
        # Lines are parsed whole in any case, and faster as a load does it, than for their ids alone.
        clean, rejecting = (), sorted((*clean, *rejecting), key=lambda span: span.start)
    if source.maps_while_reading:
        others = around(rejecting, source.name, None)
        mapped = source.batches(mapper, batch_rows=SCAN_ROWS, batch_bytes=SCAN_BYTES, done=others)
        with closing(ahead(mapped, interrupted=interrupted)) as batches:
            for batch in batches:
                yield EarlierRows(source.name, batch.item_rows(), digests_of(batch.ids))
        return
    for spans, whole, wanted in ((clean, False, columns), (rejecting, True, mapping.needed())):
        if not spans:
            continue
        others = around(spans, source.name, source.total_rows)
        rows = source.read(batch_rows=SCAN_ROWS, batch_bytes=SCAN_BYTES, columns=wanted, done=others)
        with closing(rows_ahead(source, rows, interrupted=interrupted)) as pieces:
            for piece in pieces:
                numbers, ids = items_in(mapper, piece, whole=whole)
                yield EarlierRows(source.name, numbers, digests_of(ids))


def items_in(mapper: Mapper, rows: Rows, *, whole: bool) -> tuple[NDArray[np.int64], list[str]]:
    """Numbers and ids of the rows that become items.

    Args:
        mapper: Maps them.
        rows: The rows.
        whole: Map them whole; else every row that has an id is taken for one that becomes an item.
    """
    if whole or mapper.mapping.id_columns() is None:
        batch = mapper.map(rows)
        return batch.item_rows(), batch.ids
    prefix = mapper.mapping.rules.id_prefix
    found = mapper.ids(rows)
    numbers = np.array([n for n, item_id in enumerate(found, rows.span.start) if item_id], dtype=np.int64)
    return numbers, [prefix + item_id for item_id in found if item_id]
