"""Arrow IPC files and streams, Feather version 2 among them, read a record batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from vecload.batch import Span
from vecload.defaults import PACKED_AT_MOST, ROW_GROUP_MAX_BYTES
from vecload.errors import SourceError
from vecload.mapping import Column
from vecload.mapping.arrow_rows import ArrowRows, columns_of
from vecload.readers.ipc_messages import Packed, packed_in
from vecload.readers.pieces import pieces
from vecload.readers.source import HEAD_ROWS, missing
from vecload.readers.storage import File, LocalFile, as_file, reason
from vecload.readers.wide_integers import refused_arrow

FILE_MAGIC = b"ARROW1"
STREAM_MAGIC = b"\xff\xff\xff\xff"
"""What every message of a stream begins with, since Arrow 0.15."""
END_MARK = b"\xff\xff\xff\xff\0\0\0\0"
HEAD_BYTES = 16 * 2**20

_DAMAGE = (pa.ArrowException, OSError, ValueError)
"""What Arrow raises of damaged files; ValueError of names that are no text."""


class ArrowSource:
    """An Arrow IPC file or stream. One record batch is held at a time; of an uncompressed local file none is.

    Args:
        file: The file, or the path of a local one.
        max_bytes: What a buffer of a record batch may unpack to, if it was packed beyond belief.

    Raises:
        SourceError: It is none, or cut off.
    """

    def __init__(self, file: File | str, *, max_bytes: int = ROW_GROUP_MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._file = as_file(file)
        self.files = (self._file,)
        self.name = self._file.name
        self.nbytes = self._file.nbytes or 0
        self.total_rows: int | None = None
        self._row_part = 0.0
        try:
            with self._file.open() as stream:
                self._is_stream = stream.read(len(FILE_MAGIC)) != FILE_MAGIC
            with self._bytes() as stream, self._opened(stream) as opened:
                self._columns = columns_of(opened.schema)
        except _DAMAGE as error:
            refused = SourceError(f"{self.name} is no readable Arrow IPC file: {reason(error)}")
            if isinstance(error, pa.ArrowNotImplementedError):
                with self._bytes() as stream:
                    refused = refused_arrow(self.name, stream, is_stream=self._is_stream) or refused
            raise refused from None

    @property
    def kind(self) -> str:
        """Whether it is a file or a stream."""
        return "Arrow IPC stream" if self._is_stream else "Arrow IPC file"

    def places(self, count: int) -> list[Span]:
        """None: what lies before is read to be passed by."""
        return []

    def part(self, span: Span) -> float:
        """By its rows, as many as there were in the bytes read so far."""
        return min(1.0, len(span) * self._row_part)

    def columns(self) -> list[Column]:
        """The columns of its schema."""
        return self._columns

    def head(self) -> ArrowRows | None:
        """Its first rows."""
        return next(self.read(batch_rows=HEAD_ROWS, batch_bytes=HEAD_BYTES), None)

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[ArrowRows]:
        """Its rows in order. Record batches before a gap are passed by, which reads them."""
        gaps = list(missing(done, self.total_rows))
        if not gaps:
            return
        for table, start in self._tables():
            for gap in gaps:
                begin = max(gap.start, start)
                end = min(gap.stop if gap.stop >= 0 else start + len(table), start + len(table))
                if begin < end:
                    rows = table.slice(begin - start, end - begin)
                    if columns is not None:
                        rows = rows.select([name for name in rows.schema.names if name in columns])
                    yield from pieces(self.name, begin, rows, batch_rows=batch_rows, batch_bytes=batch_bytes)

    def _tables(self) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Record batches, each with the number of its first row."""
        at = number = 0
        try:
            with self._bytes() as stream, self._opened(stream) as opened, self._file.open() as messages:
                packed = packed_in(messages, is_stream=self._is_stream)
                while True:
                    self._check(next(packed, []), number)
                    try:
                        table = self._next(opened, number)
                    except StopIteration:
                        self._check_end(stream, at)
                        return
                    # What bytes claim to be is not what Arrow would crash on.
                    table.validate(full=True)
                    if len(table) and self.nbytes:
                        read = (number + 1) / opened.num_record_batches if not self._is_stream else 0
                        read = read or min(1.0, stream.tell() / self.nbytes)
                        self._row_part = read / (at + len(table))
                    yield table, at
                    number, at = number + 1, at + len(table)
        except _DAMAGE as error:
            raise SourceError(
                f"{self.name} is damaged or can't be read at or after row {at}: {reason(error)}",
                hint="what was loaded before stays; repair the file and load it again",
            ) from None

    def _check(self, packed: Iterable[Packed], number: int) -> None:
        """Refuse a record batch that no memory could hold, before Arrow makes room for it."""
        for before, after in packed:
            if after > max(self._max_bytes, PACKED_AT_MOST * before):
                raise SourceError(
                    f"{self.name}, record batch {number}: {before:,} bytes unpack to {after:,}",
                    hint="if that is right, allow it with --max-row-group-bytes",
                )

    def _check_end(self, stream: pa.NativeFile, rows: int) -> None:
        """Arrow takes the end of the bytes for the end of a stream; but so ends one that was cut off."""
        if not self._is_stream:
            return
        end = stream.tell()
        stream.seek(max(0, end - len(END_MARK)))
        if stream.read(len(END_MARK)) != END_MARK:
            raise SourceError(
                f"{self.name} ends after row {rows - 1} without the mark of its end: it is cut off",
                hint="write it again, to its end",
            )
        if stream.read(1):
            raise SourceError(
                f"{self.name} goes on behind the end of its stream, after row {rows - 1}",
                hint="streams can't be joined: name a file for each",
            )

    def _next(self, opened: pa.ipc.RecordBatchReader, number: int) -> pa.RecordBatch:
        if self._is_stream:
            return opened.read_next_batch()
        if number == opened.num_record_batches:
            raise StopIteration
        return opened.get_batch(number)

    def _bytes(self) -> pa.NativeFile:
        if isinstance(self._file, LocalFile):
            return pa.memory_map(self._file.path)
        return self._file.arrow()

    def _opened(self, stream: pa.NativeFile) -> pa.ipc.RecordBatchReader:
        if self._is_stream:
            return pa.ipc.open_stream(stream)
        return pa.ipc.open_file(stream)

    def close(self) -> None:
        """Nothing is held open."""
