"""Columns from elsewhere: of Hive partitions in folders' names, or of the file that belongs to an array."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecload.batch import Contents, Metadata, Span, Vectors
from vecload.mapping import Column, ColumnMapping, Rows
from vecload.mapping.arrow_rows import ArrowRows, columns_of
from vecload.mapping.forms import Form
from vecload.mapping.mapping import Rules
from vecload.mapping.paths import Steps
from vecload.mapping.rows import Fault, Mapped
from vecload.options import VectorDtype
from vecload.readers.source import ExportFacts, Partition, Source
from vecload.readers.storage.expand import WILDCARD
from vecload.readers.storage.files import File


class WidenedRows:
    """Rows with some more columns. In metadata the rows' own column goes before one of the same name.

    Args:
        rows: The rows.
        more: As many rows of other columns.
        source: The name of the source that both together are.
    """

    def __init__(self, rows: Rows, more: pa.RecordBatch, source: str) -> None:
        self.span = replace(rows.span, source=source)
        self.broken: Mapping[int, Fault] = rows.broken
        self.offsets = rows.offsets
        self.columns_vary = rows.columns_vary
        self._rows = rows
        self._table = more
        self._more = ArrowRows(rows.span, more)
        self._names = frozenset(more.schema.names)

    def with_rules(self, rules: Rules) -> Rows:
        """Both, read as rules say."""
        read = WidenedRows(self._rows.with_rules(rules), self._table, self.span.source)
        read._more = read._more.with_rules(rules)
        return read

    def raw(self, position: int) -> str:
        """A row of the source as JSON text."""
        return self._rows.raw(position)

    def ids(self, column: str) -> Mapped[list[str]]:
        """Ids as text."""
        return self._with(column).ids(column)

    def field(self, name: str, steps: Steps) -> Rows:
        """A field inside a column as rows of one column."""
        return self._with(steps[0]).field(name, steps)

    def non_empty_rows(self, column: str) -> list[int]:
        """The positions of rows in which the column holds anything."""
        return self._with(column).non_empty_rows(column)

    def values(self, column: str) -> Sequence[Any]:
        """The values of a column, to look at."""
        return self._with(column).values(column)

    def vector_lengths(self, column: str, dtype: VectorDtype | None = None) -> NDArray[np.int64]:
        """How many values each row's vector has; -1 where there is none."""
        return self._with(column).vector_lengths(column, dtype)

    def vectors(self, column: str, dimension: int, dtype: VectorDtype | None = None) -> Mapped[Vectors]:
        """Vectors: float32, C-contiguous, shape (n, dimension)."""
        return self._with(column).vectors(column, dimension, dtype)

    def metadata(self, mapping: ColumnMapping) -> Mapped[list[Metadata | None] | None]:
        """JSON objects of both."""
        spread = mapping.metadata_object
        other = mapping if spread is None else _without_object(mapping, spread)
        mapped = self._rows.metadata(other if spread in self._names else mapping)
        more = self._more.metadata(mapping if spread in self._names else other)
        faults = {**more.faults, **mapped.faults}
        nan = [*more.nan, *mapped.nan]
        if more.values is None:
            return Mapped(mapped.values, faults, nan)
        own = mapped.values or [None] * len(more.values)
        found = [{**(m or {}), **(o or {})} or None for m, o in zip(more.values, own, strict=True)]
        return Mapped(found, faults, nan)

    def contents(self, column: str) -> Mapped[list[Contents | None] | None]:
        """Text, bytes or None."""
        return self._with(column).contents(column)

    def _with(self, column: str) -> Rows:
        return self._more if column in self._names else self._rows


def _without_object(mapping: ColumnMapping, name: str) -> ColumnMapping:
    return replace(mapping, metadata_object=None, excluded=(*mapping.excluded, name))


def own_columns(asked: Sequence[str] | None, more: Collection[str]) -> list[str] | None:
    """Of the columns that are asked for, those to be asked of the source itself."""
    return None if asked is None else [name for name in asked if name not in more]


def all_columns(own: Sequence[Column], more: pa.Schema) -> list[Column]:
    """The columns of both."""
    return [*(column for column in own if column.name not in more.names), *columns_of(more)]


ABSENT = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark write for null."""
_PARTITION = re.compile(r"[^=]+=")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
"""What is written as an integer is: a zip code of `02134` is not 2134."""


def partition_values(path: str, named: str) -> dict[str, str | None]:
    """The keys and values in the folders of a file, decoded; None for null.

    Args:
        path: The file's: absolute, or a URI.
        named: What the user named and the file was found by, likewise: itself, a folder or a pattern.
            A folder counts with all below it. Of a file, and of a pattern from its first wildcard on, the
            folders `key=value` directly around it count.
    """
    folders = path.split("/")[:-1]
    parts = named.rstrip("/").split("/")
    if path.startswith(named.rstrip("/") + "/"):
        first = len(parts) - 1
    else:
        wild = (at for at, part in enumerate(parts[:-1]) if path != named and WILDCARD.search(part))
        first = next(wild, len(folders))
        while first and _PARTITION.match(folders[first - 1]):
            first -= 1
    values: dict[str, str | None] = {}
    for folder in folders[first:]:
        key, equals, value = folder.partition("=")
        if key and equals:
            values[unquote(key)] = None if value == ABSENT else unquote(value)
    return values


def with_partitions(sources: Sequence[Source], values: Sequence[Mapping[str, str | None]]) -> list[Source]:
    """The sources, each with what its folders say as columns of its own.

    A key's values are integers if those of all sources are written as integers are, and texts otherwise.

    Args:
        sources: Any.
        values: Of each source's folders.
    """
    texts = {
        key
        for found in values
        for key, value in found.items()
        if value is not None and not _INTEGER.fullmatch(value)
    }
    return [
        PartitionedSource(source, {key: _typed(value, key in texts) for key, value in found.items()})
        if found
        else source
        for source, found in zip(sources, values, strict=True)
    ]


def partitioned(source: Source, partitions: Sequence[Partition]) -> Source:
    """The source with the columns that its folders add."""
    return PartitionedSource(
        source, {name: _typed(None if v is None else str(v), is_text) for name, v, is_text in partitions}
    )


def _typed(value: str | None, is_text: bool) -> pa.Scalar:
    if is_text:
        return pa.scalar(value, pa.string())
    return pa.scalar(None if value is None else int(value), pa.int64())


class WrappedSource(Source):
    """A source with other columns than its own: all else is what that source gives.

    Args:
        source: The source.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source.name, nbytes=source.nbytes)
        self.format = source.format
        self.any_thread = source.any_thread
        self.recipes = source.recipes
        self._source = source

    @property
    def kind(self) -> str:
        """What the source is."""
        return self._source.kind

    @property
    def files(self) -> Sequence[File]:
        """What the source is read from."""
        return self._source.files

    @property
    def total_rows(self) -> int | None:
        """How many rows the source holds."""
        return self._source.total_rows

    @property
    def once(self) -> bool:
        """Whether the source can be read only once."""
        return self._source.once

    @property
    def export(self) -> ExportFacts | None:
        """What the export says that the source is part of."""
        return self._source.export

    def form(self, columns: Sequence[Column]) -> Form | None:
        """The form of the source's rows."""
        return self._source.form(columns)

    @property
    def appendable(self) -> bool:
        """Whether rows may be appended to the source."""
        return self._source.appendable

    @property
    def unfinished_at(self) -> int | None:
        """Where the source has a last row that is only half written."""
        return self._source.unfinished_at

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The columns that the source's folders add."""
        return self._source.partitions

    def row_group_starts(self) -> list[int] | None:
        """The first row of each row group of the source."""
        return self._source.row_group_starts()

    def part(self, span: Span) -> float:
        """About which part of the source a span is."""
        return self._source.part(span)

    def places(self, count: int) -> list[Span]:
        """Places in the source."""
        return self._source.places(count)

    def close(self) -> None:
        """Release what the source holds open."""
        self._source.close()


class PartitionedSource(WrappedSource):
    """A source with the same few values added to each of its rows; its own columns take precedence.

    Args:
        source: The source.
        values: By the names of their columns.
    """

    def __init__(self, source: Source, values: Mapping[str, pa.Scalar]) -> None:
        super().__init__(source)
        self._of_folders = dict(values)

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The columns that its folders add."""
        values = self._of_folders.items()
        return tuple((name, value.as_py(), pa.types.is_string(value.type)) for name, value in values)

    @cached_property
    def _values(self) -> dict[str, pa.Scalar]:
        """What its folders say and the file does not."""
        own = {column.name for column in self._source.columns()}
        return {name: value for name, value in self._of_folders.items() if name not in own}

    @cached_property
    def _schema(self) -> pa.Schema:
        return pa.schema([(name, value.type) for name, value in self._values.items()])

    def columns(self) -> list[Column]:
        """Its own columns, and those of its folders."""
        more = (replace(column, partition=True) for column in columns_of(self._schema))
        return [*self._source.columns(), *more]

    def head(self) -> Rows | None:
        """Its first rows."""
        rows = self._source.head()
        return None if rows is None else WidenedRows(rows, self._of(len(rows.span)), self.name)

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[Rows]:
        """Its rows in order."""
        for rows in self._source.read(
            batch_rows=batch_rows,
            batch_bytes=batch_bytes,
            columns=own_columns(columns, self._values),
            done=done,
        ):
            yield WidenedRows(rows, self._of(len(rows.span)), self.name)

    def _of(self, rows: int) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays(
            [pa.repeat(value, rows) for value in self._values.values()], schema=self._schema
        )
