"""Source: what every reader offers the loader, and which rows of a source are still to be read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from vecload.batch import Batch, Span
from vecload.mapping import Column, ColumnMapping, Mapper, Rows
from vecload.mapping.forms import Form
from vecload.readers.storage.files import STDIN, File
from vecload.recipes.known import AUTOMATIC

if TYPE_CHECKING:
    from vecload.readers.json.workers import Parsers

HEAD_ROWS = 100
"""The first rows of a source, which show its columns."""
HEAD_BYTES = 16 * 2**20
"""Enough first rows to show the columns of anything but huge rows, and these must not fill the memory."""
LAST_ROW = 2**62
"""A row number that no source reaches: after a span up to it, nothing is left to read."""

SourceFormat: TypeAlias = Literal[
    "parquet", "jsonl", "json", "arrow", "numpy", "csv", "vectors", "memory", "index"
]
"""What a source is, for programs; `Source.kind` says it to people."""


Partition: TypeAlias = tuple[str, int | str | None, bool]
"""A column that folders add: its name, its value, and whether the column is text."""


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """What an export itself says about its rows.

    recipe: the recipe by which it was recognised.
    id, vector: the columns of ids and vectors.
    vectors: several vector columns, of which the user must name one.
    metric: of the index it was exported from, by CyborgDB's name if it has one; "" if the export names none.
    dimension: of its vectors.
    """

    recipe: str = ""
    id: str | None = None
    vector: str | None = None
    metric: str = ""
    dimension: int | None = None
    vectors: tuple[str, ...] = ()


class Source(ABC):
    """One input, opened: a file, or data in memory. One thread at a time may read it.

    A reader gives `format`, `kind`, `columns` and `read`. The defaults of all else fit a source that can be
    read again, in any thread, whose rows are mapped after they are read.

    Args:
        name: As the user gave it, or as it was found in a folder that the user gave.
        files: What it is read from. Data in memory has none: then nothing is recorded for a later run.
        nbytes: Its stored size in bytes; 0 if unknown.
        total_rows: How many rows it holds; None if only reading it shows that.
    """

    format: SourceFormat
    maps_while_reading = False
    """`batches` is the faster way to its items than `read` and a Mapper, and does both in one thread."""
    any_thread = True
    """Another thread than the caller's may read it."""

    def __init__(
        self, name: str, files: Sequence[File] = (), nbytes: int = 0, total_rows: int | None = None
    ) -> None:
        self.name = name
        self.nbytes = nbytes
        self.recipes = AUTOMATIC
        self.only: tuple[Span, ...] | None = None
        """The rows that are loaded, where a split is only part of the source; None is all of them."""
        self._files = tuple(files)
        self._total_rows = total_rows

    @property
    @abstractmethod
    def kind(self) -> str:
        """What it is, for people: its format, and how it is compressed."""

    @property
    def files(self) -> Sequence[File]:
        """What it is read from; empty for data in memory."""
        return self._files

    @property
    def total_rows(self) -> int | None:
        """How many rows it holds; None if only reading it shows that."""
        return self._total_rows

    @property
    def loaded_rows(self) -> int | None:
        """How many of its rows a load loads; None if only reading shows that."""
        return self.total_rows if self.only is None else sum(map(len, self.only))

    @property
    def once(self) -> bool:
        """Whether it can be read only once, so that no later run can continue."""
        return any(file.location == STDIN for file in self.files)

    @property
    def export(self) -> ExportFacts | None:
        """What the export says that it is part of; None if it is not part of one."""
        return None

    def form(self, columns: Sequence[Column]) -> Form | None:
        """The form of a recipe that its rows have; None if they have none that is known.

        Args:
            columns: Its columns, with their values in the first rows.

        Raises:
            MappingError: They have several, or not that of the recipe that the user named.
        """
        return self.recipes.form_of_columns(columns, self.name)

    @property
    def mapping(self) -> ColumnMapping | None:
        """Which column is which part of an item, where the rows are items; None if that is to be chosen."""
        return None

    @property
    def appendable(self) -> bool:
        """Whether it is one local file that may grow by whole rows at its end and stay the same source."""
        return False

    @property
    def unfinished_at(self) -> int | None:
        """The byte offset of a last row that is only half written; None if there is none.

        Raises:
            SourceError: The file can't be read.
        """
        return None

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The columns that its folders add."""
        return ()

    def row_group_starts(self) -> list[int] | None:
        """The first row of each of its row groups, and the number of rows; None if it can't be split."""
        return None

    def part(self, span: Span) -> float:
        """About which part of it a span is, from 0 to 1."""
        return len(span) / (self.total_rows or 1)

    @abstractmethod
    def columns(self) -> list[Column]:
        """Its columns; where only rows show them, those of its first rows."""

    def head(self) -> Rows | None:
        """Its first rows; None if it has none."""
        return next(self.read(batch_rows=HEAD_ROWS, batch_bytes=HEAD_BYTES), None)

    @abstractmethod
    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[Rows]:
        """Its rows in order, in pieces.

        Args:
            batch_rows: The most rows of a piece.
            batch_bytes: About the most bytes of a piece; a larger row is a piece by itself.
            columns: The columns that the caller will use; None is all of them.
            done: Spans to skip.

        Raises:
            SourceError: The source is damaged or can't be read further.
        """

    def batches(
        self,
        mapper: Mapper,
        *,
        batch_rows: int,
        batch_bytes: int,
        done: Sequence[Span] = (),
        parsers: Parsers | None = None,
    ) -> Iterator[Batch]:
        """Its rows in order, mapped.

        Args:
            mapper: How rows become items.
            batch_rows: The most rows of a batch.
            batch_bytes: About the most bytes of a batch; a larger row is a batch by itself.
            done: Spans to skip.
            parsers: Processes that may parse; None parses in this process.

        Raises:
            SourceError: The source is damaged or can't be read further.
        """
        needed = mapper.mapping.needed()
        rows = self.read(batch_rows=batch_rows, batch_bytes=batch_bytes, columns=needed, done=done)
        return map(mapper.map, rows)

    def places(self, count: int) -> list[Span]:
        """Places further on from which it can be read without reading what comes before, in order.

        Args:
            count: The most places.

        Returns:
            For each the rows before it, as `done` of `read` takes them. If only reading shows how many those
            are, that number is an estimate, and so are the numbers of rows read there.

        Raises:
            SourceError: The source can't be read further.
        """
        return []

    def close(self) -> None:  # noqa: B027 most sources hold nothing open
        """Release what it holds open."""


def missing(done: Sequence[Span], total: int | None) -> Iterator[Span]:
    """The gaps between spans that are done, in order; the last has no end where the total is unknown.

    Args:
        done: In any order; may touch, never overlap.
        total: Rows of the source; None where unknown: then the last gap's `stop` is -1.
    """
    row, offset, source = 0, 0, done[0].source if done else ""
    for span in sorted(done, key=lambda span: span.start):
        if span.start > row:
            yield Span(source, row, span.start, offset, span.begin)
        row, offset = span.stop, span.end or 0
    if total is None and row < LAST_ROW:
        yield Span(source, row, -1, offset, None)
    elif total is not None and row < total:
        yield Span(source, row, total, offset, None)


def around(spans: Sequence[Span], source: str, total: int | None) -> list[Span]:
    """The rows around some spans, as `done` of `read` takes them: just those spans are read then.

    Args:
        spans: In order; may touch, never overlap.
        source: The name of the source.
        total: Rows of the source; None where unknown.
    """
    others: list[Span] = []
    row, offset = 0, 0
    for span in spans:
        if span.start > row:
            others.append(Span(source, row, span.start, offset, span.begin))
        row, offset = span.stop, span.end or 0
    end = LAST_ROW if total is None else total
    if row < end:
        others.append(Span(source, row, end))
    return others
