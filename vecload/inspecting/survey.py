"""Survey: what the rows of a source hold, from all rows or a sample, with their fields and first items."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from vecload.batch import Batch, Contents, Metadata, Reject, Span
from vecload.errors import SourceError
from vecload.inspecting.distributions import Distributions
from vecload.loading.advice import UNIQUE_PART, UNIQUE_ROWS
from vecload.loading.flow import Job
from vecload.loading.repeated_ids import RepeatedIds
from vecload.readers import Source
from vecload.sealing.envelope import sealed_size
from vecload.targets.wire import dumps

DISTINCT_ROWS = 20_000
"""The most values of a field to compare, to limit memory."""
FIELDS_MAX = 200
"""The most fields to count separately; metadata whose keys are data could have any number."""
_KINDS = {str: "text", bool: "boolean", int: "integer", float: "number", list: "list", dict: "object"}


@dataclass(slots=True)
class Field:
    """One metadata field, by its dot path.

    present: Items that have it, not counting nulls.
    kinds: The types of its values: text, integer, number, boolean, list.
    compared, distinct: How many of its first values were compared, and how many different ones there are.
    """

    name: str
    present: int = 0
    kinds: set[str] = field(default_factory=set)
    compared: int = 0
    values: set[int] = field(default_factory=set, repr=False)

    @property
    def distinct(self) -> int:
        """How many different values are among those compared."""
        return len(self.values)

    @property
    def nearly_all_different(self) -> bool:
        """Whether nearly every value is unique, so that a filter would find almost nothing."""
        return self.compared >= UNIQUE_ROWS and self.distinct >= UNIQUE_PART * self.compared


class Fields:
    """The metadata fields of the items read."""

    def __init__(self) -> None:
        self.items = 0
        self._fields: dict[str, Field] = {}

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields.values())

    def add(self, metadata: Sequence[Metadata | None] | None, items: int) -> None:
        """Count the metadata fields of some items."""
        self.items += items
        for entries in metadata or ():
            if entries:
                for path, value in _leaves(entries, ""):
                    self._add(path, value)

    def _add(self, path: str, value: Any) -> None:
        known = self._fields.get(path)
        if known is None:
            if len(self._fields) >= FIELDS_MAX:
                return
            known = self._fields[path] = Field(path)
        if value is None:
            return
        known.present += 1
        known.kinds.add(_KINDS.get(type(value), type(value).__name__))
        if known.compared < DISTINCT_ROWS:
            known.compared += 1
            known.values.add(hash(repr(value)))


def _leaves(entries: Metadata, prefix: str) -> Iterator[tuple[str, Any]]:
    """Dot paths and values. The engine's policies name fields inside objects the same way."""
    for name, value in entries.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


VECTOR_VALUES = 3
TEXT_CHARACTERS = 60
METADATA_CHARACTERS = 160


def shown_items(batch: Batch, count: int) -> list[dict[str, Any]]:
    """The first items of a batch as JSON objects with shortened values.

    `vector` and `contents` are descriptions; `metadata` is JSON text, cut if it is long.
    """
    rows = batch.item_rows()
    items: list[dict[str, Any]] = []
    for i in range(min(count, len(batch))):
        item: dict[str, Any] = {"row": int(rows[i]), "id": shortened(batch.ids[i])}
        if batch.vectors is not None and batch.has_vector(i):
            item["vector"] = shown_vector(batch.vectors[i].tolist())
        if batch.metadata is not None and batch.metadata[i]:
            item["metadata"] = shortened(dumps(batch.metadata[i]).decode(), METADATA_CHARACTERS)
        if batch.contents is not None and batch.contents[i] is not None:
            item["contents"] = shown_contents(batch.contents[i])
        items.append(item)
    return items


def shown_vector(values: list[float]) -> str:
    """The first values of a vector, and its dimension."""
    first = ", ".join(f"{value:.4g}" for value in values[:VECTOR_VALUES])
    return f"[{first}{', …' if len(values) > VECTOR_VALUES else ''}] {len(values):,} values"


def shown_contents(contents: str | bytes | None) -> str:
    """The beginning of contents, and their length."""
    if isinstance(contents, bytes):
        return f"{contents[:16].hex(' ')}{' …' if len(contents) > 16 else ''} ({len(contents):,} bytes)"
    text = contents or ""
    return f"{orjson.dumps(shortened(text)).decode()} ({len(text):,} characters)"


def shortened(text: str, characters: int = TEXT_CHARACTERS) -> str:
    """A text cut to that many characters, on one line."""
    cut = text if len(text) <= characters else text[: characters - 1] + "…"
    return "".join(c if c.isprintable() else " " for c in cut)


FIRST_ROWS = 2000
"""The first rows of a source to read in a sample."""
PLACES = 8
"""Later places to read in a sample, if a source can be read from the middle."""
PLACE_ROWS = 250
"""Rows to read at each place."""


@dataclass(slots=True)
class RejectKind:
    """Rejects with one field and code: how many, and the first one."""

    first: Reject
    rows: int = 0


@dataclass(slots=True)
class Survey:
    """What was found in one source.

    looked_at: How many rows were read.
    whole: Every row was read.
    spans: The rows that were read.
    items: The first items as they would be stored, shortened.
    rejects: The rejects by field and code.
    no_contents, no_metadata: How many items have none.
    vector_bytes, metadata_bytes, contents_bytes, sealed_bytes: Of all items together; metadata as JSON.
    batch: The first batch that a load would send.
    batch_rows: Rows of each batch that a load would send, among the rows read.
    first, rest: Rows, and the seconds to read and map them: for the first piece, which includes opening the
        source, and for the others.
    error: The error that ended the survey early.
    """

    source: Source
    looked_at: int = 0
    whole: bool = True
    spans: list[Span] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    rejects: dict[tuple[str, str], RejectKind] = field(default_factory=dict)
    fields: Fields = field(default_factory=Fields)
    item_count: int = 0
    no_contents: int = 0
    no_metadata: int = 0
    vector_bytes: int = 0
    metadata_bytes: int = 0
    contents_bytes: int = 0
    sealed_bytes: int = 0
    batch: Batch | None = None
    batch_rows: list[int] = field(default_factory=list)
    first: tuple[int, float] = (0, 0.0)
    rest: tuple[int, float] = (0, 0.0)
    error: SourceError | None = None

    @property
    def rejected(self) -> int:
        """How many of the rows read can't be loaded."""
        return sum(kind.rows for kind in self.rejects.values())

    @property
    def rows(self) -> int:
        """Rows of the source: from the source itself, or counted, or estimated from the bytes."""
        if self.source.total_rows is not None:
            return self.source.total_rows
        if self.whole:
            return self.looked_at
        part = sum(map(self.source.part, self.spans))
        return max(self.looked_at, round(self.looked_at / part)) if part else self.looked_at

    @property
    def seconds_a_row(self) -> float:
        """Seconds to read and map a row, measured here on one thread."""
        rows, seconds = self.rest if self.rest[0] else self.first
        return seconds / rows if rows else 0.0

    @property
    def rows_known(self) -> bool:
        """Whether `rows` is exact."""
        return self.source.total_rows is not None or self.whole


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Surveys sources, one after the other.

    Attributes:
        ids: Gets the ids of all sources, and rejects repeated ones if a load would.
        batch_rows: Rows of a batch, as in a load.
        batch_bytes: Bytes of a batch, as in a load.
        items: How many of the first items to show.
        full: Read every row.
        distributions: Gets the items, for a report with pictures; None for none.
        on_rows: Takes the source's name and how many of its rows were read so far.
        clock: Monotonic seconds.
    """

    ids: RepeatedIds
    batch_rows: int
    batch_bytes: int
    items: int
    full: bool
    distributions: Distributions | None = None
    on_rows: Callable[[str, int], None] = lambda source, rows: None
    clock: Callable[[], float] = time.perf_counter

    def look(self, job: Job) -> Survey:
        """Survey a source. If it can't be read further, the survey ends with its error."""
        survey = Survey(job.source)
        try:
            if self.full or job.done:
                self._look_at(survey, job, job.done, self.batch_rows, None)
            else:
                self._sample(survey, job)
        except SourceError as error:
            survey.error = error
        return survey

    def _sample(self, survey: Survey, job: Job) -> None:
        """Survey the first rows, in batches as in a load, and a few rows at later places."""
        more = self._look_at(survey, job, (), self.batch_rows, FIRST_ROWS)
        survey.whole = not more
        if not more:
            return
        for before in job.source.places(PLACES):
            last = survey.spans[-1]
            if before.stop >= last.stop and (before.end or 0) >= (last.end or 0):
                self._look_at(survey, job, (before,), min(PLACE_ROWS, self.batch_rows), PLACE_ROWS)

    def _look_at(
        self, survey: Survey, job: Job, done: Sequence[Span], batch_rows: int, most: int | None
    ) -> bool:
        """Survey the rows that are not done, up to about `most`; returns whether there may be more."""
        looked = 0
        pieces = job.source.read(
            batch_rows=batch_rows,
            batch_bytes=self.batch_bytes,
            columns=job.mapper.mapping.needed(),
            done=done,
        )
        as_sent = not done or done is job.done
        begun = self.clock()
        for rows in pieces:
            batch = self.ids.checked(job.mapper.map(rows))
            if as_sent:
                self._as_sent(survey, batch, self.clock() - begun)
            self._count(survey, batch)
            self.on_rows(survey.source.name, survey.looked_at)
            looked += len(batch.span)
            if most is not None and looked >= most:
                return survey.source.total_rows is None or batch.span.stop < survey.source.total_rows
            begun = self.clock()
        return False

    def _as_sent(self, survey: Survey, batch: Batch, seconds: float) -> None:
        """Note a batch that a load would send exactly like this, and how long it took."""
        if not survey.looked_at:
            survey.first = (len(batch.span), seconds)
        else:
            survey.rest = (survey.rest[0] + len(batch.span), survey.rest[1] + seconds)
        if batch.ids:
            survey.batch_rows.append(len(batch))
            survey.batch = survey.batch or batch

    def _count(self, survey: Survey, batch: Batch) -> None:
        survey.looked_at += len(batch.span)
        last = survey.spans[-1] if survey.spans else None
        if last is not None and (last.stop, last.end) == (batch.span.start, batch.span.begin):
            survey.spans[-1] = Span(last.source, last.start, batch.span.stop, last.begin, batch.span.end)
        else:
            survey.spans.append(batch.span)
        for reject in batch.rejects:
            survey.rejects.setdefault((reject.field, reject.code), RejectKind(reject)).rows += 1
        if len(survey.items) < self.items:
            survey.items += shown_items(batch, self.items - len(survey.items))
        survey.item_count += len(batch)
        survey.fields.add(batch.metadata, len(batch))
        survey.vector_bytes += sum(
            0 if part.vectors is None else part.vectors.nbytes for part in batch.by_vector()
        )
        survey.metadata_bytes += sum(len(dumps(entries)) for entries in batch.metadata or () if entries)
        survey.no_metadata += sum(not entries for entries in batch.metadata or [None] * len(batch))
        sizes: list[int] = []
        for position, contents in enumerate(batch.contents or [None] * len(batch)):
            size = size_of(contents)
            if contents is not None:
                sizes.append(size)
            survey.contents_bytes += size
            if contents is not None:
                survey.sealed_bytes += sealed_size(size) if batch.has_vector(position) else size
            survey.no_contents += contents is None
        if self.distributions is not None:
            self.distributions.add(batch, sizes)


def size_of(contents: Contents | None) -> int:
    """Bytes of contents before they are sealed."""
    if contents is None:
        return 0
    return len(contents) if isinstance(contents, bytes) or contents.isascii() else len(contents.encode())
