"""Parquet files, read a batch at a time in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.mapping import ArrowRows, Column
from vecload.mapping.arrow_rows import columns_of
from vecload.readers.source import missing
from vecload.readers.storage import File, as_file, reason

HEAD_ROWS = 100
_STREAM_BYTES = 2**20
"""Read-ahead a column: without a bound Arrow holds a whole row group's column at once."""


class ParquetSource:
    """A Parquet file. Pages are verified where the file has checksums.

    Args:
        file: The file, or the path of a local one.

    Raises:
        SourceError: Its footer can't be read.
    """

    def __init__(self, file: File | str) -> None:
        self._file = as_file(file)
        self.files = (self._file,)
        self.name = self._file.name
        self.nbytes = self._file.nbytes or 0
        try:
            # Not held open: a load of a thousand files would run out of handles.
            with self._file.arrow() as stream, pq.ParquetFile(stream) as opened:
                self._footer = groups = opened.metadata
                self._schema = opened.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{self.name} is no readable Parquet file: {reason(error)}") from None
        self.total_rows: int = groups.num_rows
        self._group_rows = [groups.row_group(i).num_rows for i in range(groups.num_row_groups)]
        self._row_bytes = max(
            (groups.row_group(i).total_byte_size // max(rows, 1) for i, rows in enumerate(self._group_rows)),
            default=1,
        )

    def part(self, span: Span) -> float:
        """By its rows."""
        return len(span) / (self.total_rows or 1)

    def columns(self) -> list[Column]:
        """The columns of its schema."""
        return columns_of(self._schema)

    def head(self) -> ArrowRows | None:
        """Its first rows."""
        return next(self.read(batch_rows=HEAD_ROWS, batch_bytes=2**30), None)

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[ArrowRows]:
        """Its rows in order. Row groups in which nothing is missing are not touched."""
        # What pages hold is at least what they take: no batch is decoded far beyond its bytes.
        rows = max(1, min(batch_rows, batch_bytes // max(self._row_bytes, 1)))
        for gap in missing(done, self.total_rows):
            for table, start in self._tables(gap, rows, columns):
                pieces = max(1, min(len(table), -(-table.nbytes // batch_bytes)))
                step = -(-len(table) // pieces) if len(table) else 1
                for at in range(0, len(table), step):
                    piece = table.slice(at, step)
                    yield ArrowRows(Span(self.name, start + at, start + at + len(piece)), piece)

    def _tables(
        self, gap: Span, rows: int, columns: Sequence[str] | None
    ) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Record batches of the gap's rows, each with the number of its first row."""
        groups, row = [], 0
        for i, count in enumerate(self._group_rows):
            if row < gap.stop and row + count > gap.start:
                groups.append(i)
            row += count
        at = sum(self._group_rows[: groups[0]])
        try:
            with self._file.arrow() as stream, self._opened(stream) as opened:
                for table in opened.iter_batches(
                    batch_size=rows,
                    row_groups=groups,
                    columns=None if columns is None else list(columns),
                    use_threads=False,
                ):
                    begin, end = max(gap.start, at), min(gap.stop, at + len(table))
                    if begin < end:
                        yield table.slice(begin - at, end - begin), begin
                    at += len(table)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(
                f"{self.name} is damaged or can't be read at or after row {at}: {reason(error)}",
                hint="what was loaded before stays; repair the file and load it again",
            ) from None
        if at < gap.stop:
            raise SourceError(f"{self.name} ends after row {at} of {self.total_rows}")

    def _opened(self, stream: pa.NativeFile) -> pq.ParquetFile:
        return pq.ParquetFile(
            stream,
            metadata=self._footer,
            buffer_size=_STREAM_BYTES,
            pre_buffer=False,
            page_checksum_verification=True,
        )

    def close(self) -> None:
        """Nothing is held open."""
