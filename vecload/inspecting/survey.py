"""Survey: what the rows of a source are, whole or in a sample, with their fields and first items."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from vecload.batch import Batch, Contents, Metadata, Reject, Span
from vecload.errors import SourceError
from vecload.loading.advice import UNIQUE_PART, UNIQUE_ROWS
from vecload.loading.flow import Job
from vecload.loading.repeated_ids import RepeatedIds
from vecload.readers import Source
from vecload.sealing.envelope import sealed_size
from vecload.targets.wire import dumps

DISTINCT_ROWS = 20_000
"""Values of a field that are compared, so that memory stays bounded."""
FIELDS_MAX = 200
"""Fields that are told apart; metadata with keys of data in them could have any number."""
_KINDS = {str: "text", bool: "boolean", int: "integer", float: "number", list: "list", dict: "object"}


@dataclass(slots=True)
class Field:
    """One metadata field, by its dot path.

    present: Items that have it, nulls not counted.
    kinds: What its values are: text, integer, number, boolean, list.
    compared, distinct: Of its first values, and how many different ones they are.
    """

    name: str
    present: int = 0
    kinds: set[str] = field(default_factory=set)
    compared: int = 0
    values: set[int] = field(default_factory=set, repr=False)

    @property
    def distinct(self) -> int:
        """How many different values were met among those compared."""
        return len(self.values)

    @property
    def nearly_all_different(self) -> bool:
        """Whether a filter on it would find next to nothing."""
        return self.compared >= UNIQUE_ROWS and self.distinct >= UNIQUE_PART * self.compared


class Fields:
    """The metadata fields of the items looked at."""

    def __init__(self) -> None:
        self.items = 0
        self._fields: dict[str, Field] = {}

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields.values())

    def add(self, metadata: Sequence[Metadata | None] | None, items: int) -> None:
        """Look at the metadata of that many items."""
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
    """Dot paths and values; the engine's policies name fields inside objects so."""
    for name, value in entries.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


VECTOR_VALUES = 3
TEXT_CHARACTERS = 60
METADATA_CHARACTERS = 160


def shown_items(batch: Batch, count: int) -> list[dict[str, Any]]:
    """The first items of a batch as JSON objects, their values shortened.

    `vector` and `contents` are texts for people; `metadata` is JSON text, cut where it is long.
    """
    rows = batch.item_rows()
    items: list[dict[str, Any]] = []
    for i in range(min(count, len(batch))):
        item: dict[str, Any] = {"row": int(rows[i]), "id": shortened(batch.ids[i])}
        if batch.vectors is not None:
            item["vector"] = shown_vector(batch.vectors[i].tolist())
        if batch.metadata is not None and batch.metadata[i]:
            item["metadata"] = shortened(dumps(batch.metadata[i]).decode(), METADATA_CHARACTERS)
        if batch.contents is not None and batch.contents[i] is not None:
            item["contents"] = shown_contents(batch.contents[i])
        items.append(item)
    return items


def shown_vector(values: list[float]) -> str:
    """The first values of a vector, and how many there are."""
    first = ", ".join(f"{value:.4g}" for value in values[:VECTOR_VALUES])
    return f"[{first}{', …' if len(values) > VECTOR_VALUES else ''}] {len(values):,} values"


def shown_contents(contents: str | bytes | None) -> str:
    """The beginning of contents, and how long they are."""
    if isinstance(contents, bytes):
        return f"{contents[:16].hex(' ')}{' …' if len(contents) > 16 else ''} ({len(contents):,} bytes)"
    text = contents or ""
    return f"{orjson.dumps(shortened(text)).decode()} ({len(text):,} characters)"


def shortened(text: str, characters: int = TEXT_CHARACTERS) -> str:
    """A text cut to that many characters, on one line."""
    cut = text if len(text) <= characters else text[: characters - 1] + "…"
    return "".join(c if c.isprintable() else " " for c in cut)


FIRST_ROWS = 2000
"""Rows of a sample that are the source's first."""
PLACES = 8
"""Places further on, where a source can be read from without all that stands before."""
PLACE_ROWS = 250
"""Rows of a sample at each of them."""


@dataclass(slots=True)
class RejectKind:
    """Rejects of one field and code: how many, and the first that was met."""

    first: Reject
    rows: int = 0


@dataclass(slots=True)
class Survey:
    """What was seen of one source.

    looked_at: Rows.
    spans: Which, where not all.
    items: The first, as they would be stored, shortened.
    rejects: By field and code.
    no_contents, no_metadata: Items without.
    vector_bytes, metadata_bytes, contents_bytes, sealed_bytes: Of all items together; metadata as JSON.
    batch: The first that a load would send.
    batch_rows: Rows of each batch a load would send, as far as looked.
    first, rest: Rows, and the seconds that reading and mapping them took: of the first piece, which also pays
        for the beginning, and of the others.
    error: What ended it early.
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
        """Rows that can't be loaded, of those looked at."""
        return sum(kind.rows for kind in self.rejects.values())

    @property
    def rows(self) -> int:
        """Rows of the source: what it tells, or what was counted, or else an estimate by bytes."""
        if self.source.total_rows is not None:
            return self.source.total_rows
        if self.whole:
            return self.looked_at
        part = sum(map(self.source.part, self.spans))
        return max(self.looked_at, round(self.looked_at / part)) if part else self.looked_at

    @property
    def seconds_a_row(self) -> float:
        """Seconds that reading and mapping a row took here, on one thread."""
        rows, seconds = self.rest if self.rest[0] else self.first
        return seconds / rows if rows else 0.0

    @property
    def rows_known(self) -> bool:
        """Whether `rows` is no estimate."""
        return self.source.total_rows is not None or self.whole


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Looks at sources, one after the other.

    Attributes:
        ids: Sees those of all of them, and rejects those that repeat one, if a load would.
        batch_rows: Rows of a batch, as the load would have them.
        batch_bytes: Bytes of a batch, likewise.
        items: How many of the first items are shown.
        full: Look at every row.
        on_rows: Told the source's name and how many of its rows were looked at so far.
        clock: Monotonic seconds.
    """

    ids: RepeatedIds
    batch_rows: int
    batch_bytes: int
    items: int
    full: bool
    on_rows: Callable[[str, int], None] = lambda source, rows: None
    clock: Callable[[], float] = time.perf_counter

    def look(self, job: Job) -> Survey:
        """Look at a source. One that can't be read on ends the look, not the report."""
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
        """The first rows in batches as a load has them, and a few at places further on."""
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
        """Look at the rows that are not done, up to about so many; whether there may be more."""
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
        """Note a batch that is just as the load will have it, and how long it took."""
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
        survey.vector_bytes += 0 if batch.vectors is None else batch.vectors.nbytes
        survey.metadata_bytes += sum(len(dumps(entries)) for entries in batch.metadata or () if entries)
        survey.no_metadata += sum(not entries for entries in batch.metadata or [None] * len(batch))
        for contents in batch.contents or [None] * len(batch):
            size = size_of(contents)
            survey.contents_bytes += size
            survey.sealed_bytes += 0 if contents is None else sealed_size(size)
            survey.no_contents += contents is None


def size_of(contents: Contents | None) -> int:
    """Bytes of contents before they are sealed."""
    if contents is None:
        return 0
    return len(contents) if isinstance(contents, bytes) or contents.isascii() else len(contents.encode())
