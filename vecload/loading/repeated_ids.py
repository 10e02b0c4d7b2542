"""Repeated ids: what happens to a row whose id is in an earlier row of the same load.

`SeenIds` remembers the ids of earlier rows in bounded memory. `RepeatedIds` applies the policy.
`earlier_rows` reads again the ids of rows that earlier runs of a load have loaded.
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
"""Ids to keep, 8 bytes each: 256 MiB, and 64 MiB for the sieve. The chance that two of so many ids share a
digest is 1 in 30,000."""
_RUN = 2**22
"""The most digests in a run: merging longer runs would need as much memory again."""
_SIEVE_BITS = 16
"""The fewest bits of the sieve for each digest, so that few new ids need a search in the runs."""
_SIEVE_WORDS = 2**14
"""64-bit words of the sieve at the beginning of a load."""

_HIGH = np.uint64(52)
"""The highest 12 bits of a digest select two bits of a word of the sieve; the lowest bits select the word."""
_BITS = np.array([1 << n % 64 | 1 << n // 64 for n in range(2**12)], dtype=np.uint64)

Digests: TypeAlias = NDArray[np.int64]
_Marks: TypeAlias = tuple[Digests, NDArray[np.uint64]]


def digests_of(ids: Sequence[str]) -> Digests:
    """The ids as 64-bit digests, valid only in this process: int64, shape (n,)."""
    return np.fromiter(map(hash, ids), np.int64, len(ids))


class SeenIds:
    """The ids of all rows so far, as 64-bit digests.

    Two different ids may share a digest, and the later one then counts as repeated. With as many ids as the
    limit, that happens in one load of 30,000. If repeated ids are rejected, a good row is then rejected and
    reported. The opposite mistake would lose a row silently.

    Args:
        limit: How many ids to keep. Later ones are compared only with these, so `repeated` is a lower bound.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.kept = 0
        """How many different ids are kept."""
        self.exact = True
        """Whether every id was compared with every other."""
        self.repeated = 0
        """How many rows have the id of an earlier row."""
        self._runs: list[Digests] = []
        self._sieve = np.zeros(_SIEVE_WORDS, dtype=np.uint64)

    def add(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Check some ids, and keep them.

        Returns:
            bool, shape (n,): which ids are in an earlier row, of this call or a previous one.
        """
        return self.add_digests(digests_of(ids))

    def add_digests(self, digests: Digests) -> NDArray[np.bool_]:
        """Check the ids with these digests, and keep them.

        Returns:
            bool, shape (n,): which ids are in an earlier row, of this call or a previous one.
        """
        own = np.sort(digests)
        marks = self._marks(own)
        known = self._known(own, marks)
        if not known.any() and not (own[1:] == own[:-1]).any():
            self._keep(own, marks)
            return np.zeros(len(digests), dtype=np.bool_)
        own, first = np.unique(digests, return_index=True)
        repeats = np.ones(len(digests), dtype=np.bool_)
        repeats[first] = False
        known = self._known(own, self._marks(own))
        repeats[first[known]] = True
        self.repeated += int(repeats.sum())
        new = own[~known]
        self._keep(new, self._marks(new))
        return repeats

    def _known(self, digests: Digests, marks: _Marks) -> NDArray[np.bool_]:
        """Which of these digests are kept."""
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
        """Where the sieve marks each digest: the word, and two of its bits."""
        whole = digests.view(np.uint64)
        bits = _BITS[whole >> _HIGH]
        return digests & (len(self._sieve) - 1), bits

    def _mark(self, marks: _Marks) -> None:
        """Mark digests in the sieve."""
        at, bits = marks
        while len(at):
            self._sieve[at] |= bits
            # If several digests share a word, NumPy marks only the last.
            left = (self._sieve[at] & bits) != bits
            at, bits = at[left], bits[left]

    def _keep(self, digests: Digests, marks: _Marks) -> None:
        """Add a sorted run. Runs of similar size are merged, so that there are few."""
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
"""How many ids keep their row numbers, so that a reject can name the row whose id it repeats."""


@dataclass(frozen=True, slots=True)
class RepeatedRow:
    """A row with the id of an earlier row."""

    source: str
    row: int
    id: str


@dataclass(frozen=True, slots=True)
class EarlierRows:
    """Rows that became items in an earlier run of this load.

    rows: int64, shape (n,): their row numbers, in order.
    digests: int64, shape (n,): the digests of their ids.
    """

    source: str
    rows: NDArray[np.int64]
    digests: Digests


class RepeatedIds:
    """Finds the rows that repeat an earlier id. Sees every batch of a load in the order of its rows.

    Only rows that become items count, so a row that can't be loaded does not reserve its id. Ids in the index
    from before the load don't count: an upsert may replace those items. A row that only the target refuses
    does count, because the refusal comes too late.

    Args:
        policy: Whether to reject rows with a repeated id, let them replace the earlier ones, or not to look.
        limit: How many different ids to keep in memory. Later ones are compared only with these.
        tell: Takes a message, once, if the limit is reached and repeated ids are rejected.
        digests: Computes the digests of ids: `digests_of`, or digests that later runs know again.
    """

    def __init__(
        self,
        policy: RepeatedIdPolicy = "last",
        *,
        limit: int = LIMIT,
        tell: Callable[[str], None] = lambda line: None,
        digests: Callable[[Sequence[str]], Digests] = digests_of,
    ) -> None:
        self.policy = policy
        self.digests = digests
        self.first: RepeatedRow | None = None
        """The first row that repeats an id."""
        self.repeated = 0
        """How many rows of this load have the id of an earlier one."""
        self._seen = SeenIds(limit)
        self._tell = tell
        self._places = _Places()
        self._earlier: list[EarlierRows] = []
        self._left_out = False
        self._limit_reported = False

    @property
    def replaced(self) -> int:
        """How many rows of this load a later row replaced; a lower bound if `exact` is false."""
        return self.repeated if self.policy == "last" else 0

    @property
    def exact(self) -> bool:
        """Whether every id was compared with every other; otherwise `repeated` is a lower bound."""
        return self._seen.exact and not self._left_out

    @property
    def room(self) -> int:
        """How many more ids can be kept."""
        return self._seen.limit - self._seen.kept - sum(len(one.rows) for one in self._earlier)

    def expect(self, earlier: Iterable[EarlierRows]) -> None:
        """Take the rows that earlier runs loaded from the next source. They count in the order of the rows.

        Args:
            earlier: In any order. Rows beyond the limit are ignored.
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
        """Do not compare rows of earlier runs: `repeated` becomes a lower bound."""
        self._left_out = True

    def loaded(self, source: str, rows: NDArray[np.int64], ids: Sequence[str]) -> None:
        """Add rows that another load stored and that this one must not replace."""
        digests = self.digests(ids)
        self._places.add(source, rows, digests, 0)
        self._seen.add_digests(digests)

    def loaded_elsewhere(self, ids: Sequence[str]) -> None:
        """Add ids of rows that another load stored, maybe from other sources."""
        self._seen.add_digests(self.digests(ids))

    def checked(self, batch: Batch) -> Batch:
        """The batch. If the policy is `reject`, its rows with a repeated id become rejects."""
        if self.policy == "assume-unique":
            return batch
        self._catch_up(batch.span.start)
        if not batch.ids:
            return batch
        digests = self.digests(batch.ids)
        repeats = self._add(batch.span.source, batch.rows, digests, batch.span.start)
        if not repeats.any():
            return batch
        rows = batch.item_rows()
        if self.first is None:
            at = int(repeats.argmax())
            self.first = RepeatedRow(batch.span.source, int(rows[at]), batch.ids[at])
        if self.policy == "last":
            return batch
        rejects = self._rejects(batch, rows, digests, np.flatnonzero(repeats))
        return batch.keep_only(~repeats, rejects)

    def end_of_source(self) -> None:
        """Called after the last batch of a source."""
        self._catch_up(None)

    def _catch_up(self, row: int | None) -> None:
        """Count the rows before this one that earlier runs loaded."""
        while self._earlier and (row is None or self._earlier[-1].rows[0] < row):
            one = self._earlier.pop()
            self._add(one.source, one.rows, one.digests)

    def _add(
        self, source: str, rows: NDArray[np.int64] | None, digests: Digests, start: int = 0
    ) -> NDArray[np.bool_]:
        """Check some rows and keep their ids; `rows` is None if the rows are consecutive from `start`."""
        repeats = self._seen.add_digests(digests)
        self.repeated += int(repeats.sum())
        if self.policy == "reject":
            self._places.add(source, rows, digests, start)
            if not self._seen.exact:
                self._say_limit()
        return repeats

    def _say_limit(self) -> None:
        if self.policy == "reject" and not self._limit_reported:
            self._limit_reported = True
            self._tell(
                f"more than {self._seen.limit:,} different ids: later ones are compared only with these; "
                "if they repeat each other, the last row wins"
            )

    def _rejects(
        self, batch: Batch, rows: NDArray[np.int64], digests: Digests, positions: NDArray[np.intp]
    ) -> list[Reject]:
        found = self._places.find(digests[positions])
        rejects = []
        for position, place in zip(positions.tolist(), found, strict=True):
            own, item_id = int(rows[position]), batch.ids[position]
            message = "repeats the id of an earlier row"
            if place is not None and place != (batch.span.source, own):
                source, row = place
                there = f" of {source}" if source != batch.span.source else ""
                message = f"repeats the id of row {row}{there}"
            rejects.append(batch.origin.reject(batch.span, own, "id", "repeated-id", message, item_id))
        return rejects


@dataclass(slots=True)
class _Places:
    """The rows of the first ids in a load."""

    _parts: list[tuple[str, NDArray[np.int64] | None, int, Digests]] = field(default_factory=list)
    _kept: int = 0
    _sorted: tuple[Digests, NDArray[np.intp]] | None = None

    def add(self, source: str, rows: NDArray[np.int64] | None, digests: Digests, start: int) -> None:
        """Add rows, up to the limit PLACES."""
        if self._kept < PLACES and len(digests):
            self._parts.append((source, rows, start, digests))
            self._kept += len(digests)
            self._sorted = None

    def find(self, digests: Digests) -> list[tuple[str, int] | None]:
        """Source and number of the first row with each of these ids; None if unknown."""
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
    """The policy for repeated ids. By default, a guessed id column rejects them, so that no row is lost."""
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
    digests: Callable[[Sequence[str]], Digests] = digests_of,
    interrupted: Callable[[], int] = lambda: 0,
) -> Iterator[EarlierRows]:
    """The rows of some spans that became items, exactly as when they were loaded.

    Args:
        source: The source, unchanged since then.
        mapper: The same mapper as then.
        clean: Spans in which every row became an item. Only their ids are read, if the source allows that.
        rejecting: Spans with rejects. Their rows are mapped again, because the ids of rejected rows don't
            count. A row that only the target refused counts, as it did then.
        digests: Computes the digests of ids.
        interrupted: The number of the signal that stops the load, 0 without one.

    Raises:
        Interrupted: A signal came.
        SourceError: The source can't be read further.
    """
    mapping = mapper.mapping
    columns = mapping.id_columns()
    if columns is None or source.maps_while_reading:
        # Lines are always parsed whole, and a load's way is faster than reading only the ids.
        clean, rejecting = (), sorted((*clean, *rejecting), key=lambda span: span.start)
    if source.maps_while_reading:
        others = around(rejecting, source.name, None)
        mapped = source.batches(mapper, batch_rows=SCAN_ROWS, batch_bytes=SCAN_BYTES, done=others)
        with closing(ahead(mapped, interrupted=interrupted)) as batches:
            for batch in batches:
                yield EarlierRows(source.name, batch.item_rows(), digests(batch.ids))
        return
    for spans, whole, wanted in ((clean, False, columns), (rejecting, True, mapping.needed())):
        if not spans:
            continue
        others = around(spans, source.name, source.total_rows)
        rows = source.read(batch_rows=SCAN_ROWS, batch_bytes=SCAN_BYTES, columns=wanted, done=others)
        with closing(rows_ahead(source, rows, interrupted=interrupted)) as pieces:
            for piece in pieces:
                numbers, ids = items_in(mapper, piece, whole=whole)
                yield EarlierRows(source.name, numbers, digests(ids))


def items_in(mapper: Mapper, rows: Rows, *, whole: bool) -> tuple[NDArray[np.int64], list[str]]:
    """Numbers and ids of the rows that become items.

    Args:
        mapper: Maps the rows.
        rows: The rows.
        whole: Map the whole rows; otherwise assume that every row with an id becomes an item.
    """
    if whole or mapper.mapping.id_columns() is None:
        batch = mapper.map(rows)
        return batch.item_rows(), batch.ids
    prefix = mapper.mapping.rules.id_prefix
    found = mapper.ids(rows)
    numbers = np.array([n for n, item_id in enumerate(found, rows.span.start) if item_id], dtype=np.int64)
    return numbers, [prefix + item_id for item_id in found if item_id]
