"""Data in memory as sources: tables, streams of Arrow's record batches, and Python dicts."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import pyarrow as pa

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.mapping import Column
from vecload.mapping.arrow_rows import ArrowRows, columns_of
from vecload.readers.arrow import pieces
from vecload.readers.dicts import ROWS_NAME, DictSource, Once, failed_in, kind_of
from vecload.readers.dimensions import with_dimensions
from vecload.readers.open import with_recipes
from vecload.readers.read_options import USUAL, ReadOptions
from vecload.readers.source import HEAD_BYTES, HEAD_ROWS, Source, missing
from vecload.readers.splits import Split

_STEPS = 4
"""At most so many times the bytes of a piece are converted at once."""
_STREAM_ROWS = 1000
"""Rows that a streamed dataset of Hugging Face gives at once."""


def is_memory_source(value: object) -> bool:
    """Whether a value is anything but names of files: then `open_memory_source` takes it, or says why not.

    Names are a text, a path or a split, or a list, tuple or set of these; an empty one is taken for no names.
    """
    names = (str, bytes, os.PathLike, Split)
    if isinstance(value, names):
        return False
    if isinstance(value, list | tuple | set | frozenset):
        return not all(isinstance(one, names) for one in value)
    return True


def open_memory_source(
    value: Any,
    name: str | None = None,
    options: ReadOptions = USUAL,
) -> Source:
    """Open data in memory as a source.

    Args:
        value: A data frame of pandas or polars, a dataset of Hugging Face, a Table or RecordBatchReader of
            pyarrow, a relation of DuckDB, anything else with `__arrow_c_stream__`, or an iterable of dicts.
        name: What messages call it; None names it after its type.
        options: How sources are read. Those that are for files must not be set.

    Raises:
        SourceError: It is none of these, its columns can't be read, or an option for files is set.
    """
    for flag, given in (
        ("--format", options.format),
        ("--ids-file", options.ids_file),
        ("--encoding", options.encoding),
        ("--csv-columns", options.csv_columns or None),
        ("--csv-delimiter", options.csv_delimiter),
    ):
        if given is not None:
            raise SourceError(f"{flag} is for files, not for data in memory", hint=f"omit {flag}")
    kind = kind_of(value)
    try:
        table = _table(value)
        if table is not None:
            own = TableSource(table, name=name or kind, kind=kind)
            return with_dimensions(with_recipes(own, options), options.vector_columns)
        stream = _stream(value)
        if stream is not None:
            streamed = ArrowStreamSource(stream, name=name or kind, kind=kind)
            return with_dimensions(with_recipes(streamed, options), options.vector_columns)
    except SourceError:
        raise
    except pa.ArrowException as error:
        raise SourceError(
            f"{kind} is not a table that Arrow can read: {type(error).__name__}",
            hint="pass a table with a column for each part of an item",
        ) from error
    except Exception as error:
        # Whatever a database raises that is asked for its rows.
        raise SourceError(
            f"{kind} can't be read as a table: {type(error).__name__}; see the error that caused this one",
            hint="pass a table with a column for each part of an item",
        ) from error
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise SourceError(f"{kind} can't be loaded", hint=_hint(value))
    return with_recipes(DictSource(value, name=name or ROWS_NAME, interrupted=options.interrupted), options)


@dataclass(frozen=True, slots=True)
class Table:
    """A table that can be sliced.

    Attributes:
        count: How many rows it has.
        rows: Gives the rows from one number up to another.
        nbytes: About what it takes; 0 if unknown.
        first_value: Gives the row of the first value of a column whose first rows have none; None if there is
            none, or if the schema shows the type of a column without its values.
    """

    count: int
    rows: Callable[[int, int], pa.Table]
    nbytes: int = 0
    first_value: Callable[[str], int | None] = lambda column: None


class TableSource(Source):
    """A table in memory, converted to Arrow a piece at a time.

    Args:
        table: The table.
        name: For messages.
        kind: What it is, for people.

    Raises:
        SourceError: Its columns can't be converted.
    """

    format = "memory"

    def __init__(self, table: Table, *, name: str, kind: str) -> None:
        super().__init__(name, nbytes=table.nbytes, total_rows=table.count)
        self._table = table
        self._kind = kind
        self._columns = columns_of(self._schema())

    @property
    def kind(self) -> str:
        """What it is, for people."""
        return f"{self._kind} in memory"

    def places(self, count: int) -> list[Span]:
        """Rows, evenly spread."""
        rows = {self._table.count * place // (count + 1) for place in range(1, count + 1)}
        return [Span(self.name, 0, row) for row in sorted(rows) if row]

    def columns(self) -> list[Column]:
        """Its columns."""
        return self._columns

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[ArrowRows]:
        """Its rows in order."""
        step = min(batch_rows, HEAD_ROWS)
        for gap in missing(done, self._table.count):
            at = gap.start
            while at < gap.stop:
                table = self._slice(at, min(gap.stop, at + step))
                row_bytes = max(1, table.nbytes // max(len(table), 1))
                step = max(1, min(batch_rows, _STEPS * batch_bytes // row_bytes))
                for batch in _joined(table):
                    yield from pieces(
                        self.name,
                        at,
                        _with_columns(batch, columns),
                        batch_rows=batch_rows,
                        batch_bytes=batch_bytes,
                    )
                    at += len(batch)

    def _schema(self) -> pa.Schema:
        """The schema. A column of Python objects, as pandas has them, has its type from its first value."""
        schema = self._slice(0, min(HEAD_ROWS, self._table.count)).schema
        check_names(self.name, schema.names)
        for number, field in enumerate(schema):
            if pa.types.is_null(field.type):
                row = self._table.first_value(field.name)
                if row is not None:
                    schema = schema.set(number, self._slice(row, row + 1).schema.field(number))
        return schema

    def _slice(self, start: int, stop: int) -> pa.Table:
        try:
            return self._table.rows(start, stop)
        except Exception as error:
            # Its text may hold a value. Behind that, Arrow names the column.
            named = f"{error.args[-1]}" if len(error.args) > 1 else type(error).__name__
            raise SourceError(
                f"{self.name} can't be converted to Arrow in rows {start} to {stop - 1}: {named}",
                hint="give each column values of one type, or pass the rows as dicts",
            ) from error


@dataclass(frozen=True, slots=True)
class Stream:
    """Record batches that can be read once.

    Attributes:
        schema: Theirs.
        batches: Gives them.
        close: Ends the stream.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    close: Callable[[], None] = lambda: None


class ArrowStreamSource(Source):
    """A stream of record batches. Its first rows are kept until it is read, which can be done once.

    Args:
        stream: The stream.
        name: For messages.
        kind: What it is, for people.

    Raises:
        SourceError: Two of its columns have one name.
    """

    format = "memory"
    any_thread = False
    """The caller's own code may make the batches, from a database cursor for instance."""

    def __init__(self, stream: Stream, *, name: str, kind: str) -> None:
        super().__init__(name)
        check_names(name, stream.schema.names)
        self._kind = kind
        self._stream = stream
        self._batches = Once(stream.batches, name)

    @property
    def kind(self) -> str:
        """What it is, for people."""
        return f"{self._kind} in memory"

    @property
    def once(self) -> bool:
        """It can be read only once."""
        return True

    def columns(self) -> list[Column]:
        """The columns of its schema."""
        return columns_of(self._stream.schema)

    def head(self) -> ArrowRows | None:
        """Its first rows."""
        return self._head

    @cached_property
    def _head(self) -> ArrowRows | None:
        batches = self._batches.first(lambda batches: any(map(len, batches)))
        first = next(filter(len, batches), None)
        if first is None:
            return None
        table = first.slice(0, HEAD_ROWS)
        with suppress(pa.ArrowNotImplementedError):  # types that Arrow can't copy so
            # The batch may be large: it must not stay for its first rows.
            table = table.take(pa.array(range(len(table)), pa.int64()))
        return next(pieces(self.name, 0, table, batch_rows=HEAD_ROWS, batch_bytes=HEAD_BYTES))

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[ArrowRows]:
        """Its rows in order, once."""
        _ = self._head  # kept before its batches are gone
        gaps = list(missing(done, None))
        at = 0
        for batch in self._in_large(batch_rows, batch_bytes):
            for gap in gaps:
                begin = max(gap.start, at)
                end = at + len(batch) if gap.stop < 0 else min(gap.stop, at + len(batch))
                if begin < end:
                    rows = _with_columns(batch.slice(begin - at, end - begin), columns)
                    yield from pieces(self.name, begin, rows, batch_rows=batch_rows, batch_bytes=batch_bytes)
            at += len(batch)

    def _in_large(self, rows: int, nbytes: int) -> Iterator[pa.RecordBatch]:
        """The batches, small ones joined to about so many rows or bytes."""
        batches = iter(self._batches)
        held: list[pa.RecordBatch] = []
        at = held_rows = held_bytes = 0
        while True:
            batch = failed = None
            try:
                batch = next(batches, None)
                if batch is not None:
                    batch.validate()
            except Exception as error:  # noqa: BLE001 raised after the batches before it
                batch, failed = None, error
            if batch is not None:
                held.append(batch)
                at += len(batch)
                held_rows += len(batch)
                held_bytes += batch.nbytes
            if held and (batch is None or held_rows >= rows or held_bytes >= nbytes):
                yield from _joined(pa.Table.from_batches(held, self._stream.schema))
                held, held_rows, held_bytes = [], 0, 0
            if failed is not None:
                raise failed_in(self.name, at, failed) from failed
            if batch is None:
                return

    def close(self) -> None:
        """End the stream."""
        self._stream.close()


def _joined(table: pa.Table) -> list[pa.RecordBatch]:
    """A table's batches, joined to one: there may be one a row."""
    batches: list[pa.RecordBatch] = table.to_batches()
    if len(batches) > 1:
        with suppress(pa.ArrowNotImplementedError):  # types that Arrow can't join
            batches = table.combine_chunks().to_batches()
    return batches


def _with_columns(batch: pa.RecordBatch, columns: Sequence[str] | None) -> pa.RecordBatch:
    if columns is None:
        return batch
    return batch.select([name for name in batch.schema.names if name in columns])


def check_names(source: str, names: Sequence[str]) -> None:
    """Refuse two columns of one name.

    Raises:
        SourceError: There are some.
    """
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise SourceError(f"{source} has several columns {twice!r}", hint="rename all but one")


def _table(value: Any) -> Table | None:
    """A value as a table that can be sliced; None if it can't."""
    if isinstance(value, pa.RecordBatch) or (
        hasattr(value, "__arrow_c_array__") and not hasattr(value, "__arrow_c_stream__")
    ):
        value = pa.Table.from_batches([pa.record_batch(value)])
    if isinstance(value, pa.Table):
        return Table(len(value), lambda start, stop: value.slice(start, stop - start), value.nbytes)
    if _is_a(value, "pandas", "DataFrame"):
        check_names("pandas.DataFrame", [str(name) for name in value.columns])
        return Table(
            len(value),
            lambda start, stop: pa.Table.from_pandas(value.iloc[start:stop]),
            int(value.memory_usage(index=False).sum()),
            lambda column: _first_value(value, column),
        )
    if _is_a(value, "polars", "DataFrame"):
        return Table(
            len(value),
            lambda start, stop: pa.table(value.slice(start, stop - start)),
            int(value.estimated_size()),
        )
    if _is_a(value, "datasets", "Dataset"):
        arrow = value.with_format("arrow")
        return Table(len(value), lambda start, stop: arrow[start:stop], value.data.nbytes)
    return None


def _first_value(frame: Any, column: str) -> int | None:
    """The row of the first value in a column of a pandas data frame."""
    for place, name in enumerate(frame.columns):
        if str(name) == column:
            there = frame.iloc[:, place].notna().to_numpy()
            return int(there.argmax()) if there.any() else None
    return None


def _stream(value: Any) -> Stream | None:
    """A value as a stream of record batches; None for other values."""
    if isinstance(value, pa.RecordBatchReader):
        return Stream(value.schema, iter(value))
    if hasattr(value, "__arrow_c_stream__"):
        reader = pa.RecordBatchReader.from_stream(value)
        return Stream(reader.schema, iter(reader), reader.close)
    if _is_a(value, "datasets", "IterableDataset"):
        tables = value.with_format("arrow").iter(batch_size=_STREAM_ROWS)
        first = next(tables, None)
        if first is None:
            return Stream(pa.schema([]), iter(()))
        batches = (batch for table in chain([first], tables) for batch in table.to_batches())
        return Stream(first.schema, batches)
    return None


def _is_a(value: Any, module: str, name: str) -> bool:
    """Whether it is of a class of a module, which is not imported for that: who has such a value has it."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def _hint(value: Any) -> str:
    if _is_a(value, "polars", "LazyFrame"):
        return "pass what its collect() gives"
    if isinstance(value, Mapping):
        return "pass a list of dicts, one a row; or pyarrow.table(...) of a dict of columns"
    return "pass a path, a data frame, an Arrow table or stream, or an iterable of dicts"
