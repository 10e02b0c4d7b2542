"""Parquet files, read a batch at a time in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.limits import PACKED_AT_MOST, ROW_GROUP_MAX_BYTES
from vecload.mapping import Column
from vecload.mapping.arrow_rows import ArrowRows, columns_of
from vecload.mapping.arrow_values import is_list, is_list_view
from vecload.readers.arrow import pieces, value_bytes
from vecload.readers.parquet.footer import Group, row_groups
from vecload.readers.parquet.pages import Memory, PageVectors, UnlikeError, dimension_of
from vecload.readers.parquet.wide_integers import opened_footer, schema_with_integers, with_integers
from vecload.readers.source import ExportFacts, Source, missing
from vecload.readers.storage.files import File, LocalFile, as_file, reason
from vecload.readers.storage.remote import RemoteFile

_STREAM_BYTES = 2**20
"""Read-ahead a column: without a bound Arrow holds a whole row group's column at once."""
_REMOTE_BYTES = 64 * 2**20
"""Read-ahead of all columns of a remote file together; each is requested separately."""
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
_SIGNATURE_BYTES = 28
"""Behind a footer that is not encrypted, of a file with columns that are."""
_DAMAGE = (pa.ArrowException, OSError, ValueError)
"""What Arrow raises for damaged files; ValueError for names that are not text."""
_LARGE_VALUES = 4
"""How many times the bytes of a batch the values of a dictionary may make it, before they stay one."""


class ParquetSource(Source):
    """A Parquet file. Pages are verified where the file has checksums.

    Args:
        file: The file, or the path of a local one.
        row_group_max_bytes: The most bytes that a suspiciously compressed column chunk may unpack to.
        export: What the export says that it is part of.

    Raises:
        SourceError: Its footer can't be read, or is of a file that would fill the memory.
    """

    format = "parquet"

    def __init__(
        self,
        file: File | str,
        *,
        row_group_max_bytes: int = ROW_GROUP_MAX_BYTES,
        export: ExportFacts | None = None,
    ) -> None:
        self._export = export
        self._file = as_file(file)
        super().__init__(self._file.name, [self._file], self._file.nbytes or 0)
        self._max_bytes = row_group_max_bytes
        self._wide: tuple[str, ...] = ()
        try:
            # Not held open: a load of a thousand files would run out of handles.
            with self._file.arrow() as stream, self._first_opened(stream) as opened:
                self._footer = opened.metadata
                self._schema = schema_with_integers(opened.schema_arrow, self._wide)
                self._columns = columns_of(self._schema)
                stream.seek(stream.size() - 8)
                signature = int.from_bytes(stream.read(4), "little") - self._footer.serialized_size
                encrypted = signature == _SIGNATURE_BYTES
                self._groups = [] if encrypted else row_groups(stream)
        except _DAMAGE as error:
            raise SourceError(f"{self.name} is not a readable Parquet file: {reason(error)}") from None
        if encrypted:
            # Looking at an encrypted column would end the process (Arrow 26).
            raise SourceError(f"{self.name} is Parquet with encrypted columns", hint="decrypt it first")
        self._total_rows = self._footer.num_rows
        for number in range(len(self._groups)):
            self._check(number)
        self._by_pages = self._vectors()
        self._memory = Memory()

    def _first_opened(self, stream: pa.NativeFile) -> pq.ParquetFile:
        try:
            return _parquet(stream)
        except pa.ArrowNotImplementedError:
            found = opened_footer(self.name, stream)
            if found is None:
                raise
            footer, self._wide = found
            return _parquet(stream, metadata=footer)

    def _check(self, number: int) -> None:
        """Refuse what a footer claims and no memory could hold."""
        group = self._groups[number]
        for chunk in group.chunks:
            size = chunk.uncompressed_size
            if size > max(self._max_bytes, PACKED_AT_MOST * chunk.compressed_size):
                raise SourceError(
                    f"{self.name}, row group {number}: column {chunk.path!r} unpacks "
                    f"{chunk.compressed_size:,} bytes to {size:,}",
                    hint="if that is right, raise --max-row-group-bytes",
                )
        if group.num_rows and _row_bytes(group, None) > self._max_bytes:
            raise SourceError(
                f"{self.name}, row group {number}: a row takes {_row_bytes(group, None):,} bytes on average",
                hint="if that is right, raise --max-row-group-bytes",
            )

    def _vectors(self) -> dict[str, pa.DataType]:
        """Columns that may be taken from their pages, and their types."""
        if not isinstance(self._file, LocalFile):
            return {}
        return {
            field.name: field.type
            for field in self._schema
            if is_list(field.type)
            and not is_list_view(field.type)
            and field.type.value_type in (pa.float32(), pa.float64())
            and dimension_of(self._groups, field.name)
            # Arrow selects `a.b` along with `a`.
            and not any(field.name.startswith(f"{name}.") for name in self._schema.names)
        }

    @property
    def export(self) -> ExportFacts | None:
        """What the export says that it is part of."""
        return self._export

    @property
    def kind(self) -> str:
        """Its compression, and its row groups, since these bound what is read at once."""
        codecs = {chunk.codec for group in self._groups for chunk in group.chunks}
        packed = "/".join(sorted(codecs - {"uncompressed"})) or "uncompressed"
        number = len(self._groups)
        return f"Parquet, {packed}, {number:,} row group{'s' * (number != 1)}"

    def row_group_starts(self) -> list[int]:
        """The first row of each row group, and the number of rows."""
        return [*itertools.accumulate((group.num_rows for group in self._groups), initial=0)]

    def places(self, count: int) -> list[Span]:
        """The beginnings of row groups, evenly spread."""
        starts = self.row_group_starts()[1:-1]
        step = max(1, -(-len(starts) // count))
        return [Span(self.name, 0, start) for start in starts[::-1][::step][::-1] if start]

    def columns(self) -> list[Column]:
        """The columns of its schema."""
        return self._columns

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[ArrowRows]:
        """Its rows in order. Row groups in which nothing is missing are not touched."""
        wanted = None if columns is None else list(columns)
        for gap in missing(done, self.total_rows):
            for table, start in self._tables(gap, batch_rows, batch_bytes, wanted):
                yield from pieces(self.name, start, table, batch_rows=batch_rows, batch_bytes=batch_bytes)

    def _tables(
        self, gap: Span, batch_rows: int, batch_bytes: int, columns: list[str] | None
    ) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Record batches of the gap's rows, each with the number of its first row."""
        at = gap.start
        unlike = False
        try:
            with self._file.arrow() as stream, self._opened(stream) as opened:
                for run, first, large in self._runs(stream, gap, batch_rows, batch_bytes, columns):
                    at = first
                    # A footer says at least what pages take: no batch is decoded far beyond its bytes.
                    largest = max(_row_bytes(self._groups[i], columns) for i in run)
                    size = max(1, min(batch_rows, batch_bytes // max(largest, 1)))
                    kept = self._opened(stream, large) if large else opened
                    for table in self._batches(stream, kept, run, columns, size):
                        begin, end = max(gap.start, at), min(gap.stop, at + len(table))
                        table = with_integers(table, self._wide)
                        if begin < end:
                            yield table.slice(begin - at, end - begin), begin
                        at += len(table)
                        if at >= gap.stop:
                            break
        except UnlikeError:
            # Arrow reads the rest of the file, even row groups whose pages could be taken.
            self._by_pages = {}
            unlike = True
        except _DAMAGE as error:
            raise SourceError(
                f"{self.name} is damaged or can't be read at or after row {at}: {reason(error)}",
                hint="the rows before stay loaded; repair the file and load it again",
            ) from None
        if unlike:
            rest = Span(gap.source, max(at, gap.start), gap.stop)
            yield from self._tables(rest, batch_rows, batch_bytes, columns)
        elif at < gap.stop:
            raise SourceError(f"{self.name} ends after row {at} of {self.total_rows}")

    def _batches(
        self,
        stream: pa.NativeFile,
        opened: pq.ParquetFile,
        run: list[int],
        columns: list[str] | None,
        size: int,
    ) -> Iterator[pa.RecordBatch]:
        """Record batches of row groups; vectors are taken from pages where that is possible."""
        names = self._schema.names
        rest = names if columns is None else columns
        groups = {number: self._groups[number] for number in run}
        taken = {
            name: PageVectors(stream, groups, name, kind, self._memory, partial(self._first, stream, name))
            for name, kind in self._by_pages.items()
            if name in rest
        }
        if taken:
            columns = [name for name in rest if name not in taken]
        if columns == [] and taken:
            # Of no columns Arrow gives batches that end with every row group.
            schema = pa.schema(map(self._schema.field, taken))
            rows = sum(group.num_rows for group in groups.values())
            for at in range(0, rows, size):
                part = min(size, rows - at)
                yield pa.RecordBatch.from_arrays([p.take(part) for p in taken.values()], schema=schema)
            return
        tables = opened.iter_batches(batch_size=size, row_groups=run, columns=columns, use_threads=False)
        for table in tables:
            for name, pages in taken.items():
                place = sum(names.index(other) < names.index(name) for other in table.schema.names)
                table = table.add_column(place, self._schema.field(name), pages.take(len(table)))
            yield table

    def _first(
        self,
        stream: pa.NativeFile,
        column: str,
        number: int,
        rows: int,
        dictionaries: list[str] | None = None,
    ) -> pa.Array | None:
        """A column of the first rows of a row group, or of as many as there are; None of no rows."""
        # By a reader of its own: how many rows a batch has is kept in the reader.
        batches = self._opened(stream, dictionaries).iter_batches(
            batch_size=rows, row_groups=[number], columns=[column], use_threads=False
        )
        first = next(iter(batches), None)
        return None if first is None else first.column(0)

    def _runs(
        self,
        stream: pa.NativeFile,
        gap: Span,
        batch_rows: int,
        batch_bytes: int,
        columns: list[str] | None,
    ) -> Iterator[tuple[list[int], int, list[str]]]:
        """Row groups that are read in one go, their first row, and columns whose dictionaries are kept.

        The file holds a text that many rows share once. Decoded at once, a thousand rows of it could be a
        thousand times as large as the footer says; only its dictionary shows that.
        """
        run: list[int] = []
        row = begin = 0
        for number, group in enumerate(self._groups):
            stop = row + group.num_rows
            if row < gap.stop and stop > gap.start:
                rows = min(batch_rows, group.num_rows)
                doubtful = _shared(group, columns, rows, batch_bytes)
                if doubtful and run:
                    yield run, begin, []
                    run = []
                if doubtful:
                    large = self._large(stream, number, doubtful, rows, batch_bytes)
                    yield [number], row, large
                else:
                    begin = begin if run else row
                    run.append(number)
            row = stop
        if run:
            yield run, begin, []

    def _large(
        self, stream: pa.NativeFile, number: int, paths: Collection[str], rows: int, batch_bytes: int
    ) -> list[str]:
        """Of these columns of a row group, those whose dictionaries hold values too large for every row."""
        large: list[str] = []
        for path in paths:
            first = self._first(stream, path, number, 1, [path])
            values = None if first is None else _dictionary(first)
            if values is not None and value_bytes(values).max(initial=0) * rows > _LARGE_VALUES * batch_bytes:
                large.append(path)
        return large

    def _opened(self, stream: pa.NativeFile, dictionaries: list[str] | None = None) -> pq.ParquetFile:
        size = _STREAM_BYTES
        if isinstance(self._file, RemoteFile):
            size = max(size, min(8 * size, _REMOTE_BYTES // max(self._footer.num_columns, 1)))
        return _parquet(
            stream,
            metadata=self._footer,
            read_dictionary=dictionaries,
            buffer_size=size,
            pre_buffer=False,
            page_checksum_verification=True,
        )


def _parquet(stream: pa.NativeFile, **options: Any) -> pq.ParquetFile:
    """A file opened. INT96 becomes milliseconds: as nanoseconds, Arrow's usual, years after 2262 wrap."""
    return pq.ParquetFile(stream, coerce_int96_timestamp_unit="ms", **options)


def _row_bytes(group: Group, columns: Collection[str] | None) -> int:
    """What a decoded row takes on average, by the footer."""
    size = sum(
        max(chunk.uncompressed_size, chunk.num_values * _WIDTHS.get(chunk.physical_type, 1))
        for chunk in group.of(columns)
    )
    return int(size // max(group.num_rows, 1))


def _shared(group: Group, columns: Collection[str] | None, rows: int, batch_bytes: int) -> list[str]:
    """Columns of texts in which one value could stand for so many rows that they outgrow a batch."""
    return [
        chunk.path
        for chunk in group.of(columns)
        if chunk.physical_type == "BYTE_ARRAY"
        and chunk.has_dictionary
        and chunk.uncompressed_size * rows > _LARGE_VALUES * batch_bytes
        # If the footer says how much larger the rows are than what the file holds, no batch of them can
        # outgrow its bytes by more; else the dictionary must be looked at.
        and (
            chunk.plain_size is None
            or chunk.plain_size - chunk.uncompressed_size > _LARGE_VALUES * batch_bytes
        )
    ]


def _dictionary(array: pa.Array) -> pa.Array | None:
    """The dictionary somewhere inside an array."""
    while not pa.types.is_dictionary(array.type):
        if pa.types.is_struct(array.type):
            array = array.field(0)
        elif pa.types.is_map(array.type):
            array = array.items if pa.types.is_dictionary(array.type.item_type) else array.keys
        elif pa.types.is_nested(array.type):
            array = array.values
        else:
            return None
    return array.dictionary
