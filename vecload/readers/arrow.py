"""Arrow IPC files and streams (Feather version 2 too) as a source; record batches cut to a bounded size."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.limits import PACKED_AT_MOST, ROW_GROUP_MAX_BYTES
from vecload.mapping import Column
from vecload.mapping.arrow_rows import ArrowRows, columns_of
from vecload.mapping.arrow_values import is_binary, is_list, is_text, lengths_of
from vecload.readers.flatbuffer import Table
from vecload.readers.parquet.wide_integers import refused_arrow
from vecload.readers.source import Source, missing
from vecload.readers.storage.files import File, LocalFile, as_file, reason

FILE_MAGIC = b"ARROW1"
STREAM_MAGIC = b"\xff\xff\xff\xff"
"""What every message of a stream begins with, since Arrow 0.15."""
END_MARK = b"\xff\xff\xff\xff\0\0\0\0"

_DAMAGE = (pa.ArrowException, OSError, ValueError)
"""What Arrow raises for damaged files; ValueError for names that are not text."""
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_OF_0_17 = b"ARROW:experimental_compression"
"""How a message of Arrow 0.17 says that it is compressed, in its custom metadata."""


Compressed: TypeAlias = tuple[int, int]
"""Bytes of a buffer or of a body, and those that it unpacks to."""


class ArrowSource(Source):
    """An Arrow IPC file or stream. One record batch is held at a time; of an uncompressed local file none is.

    Args:
        file: The file, or the path of a local one.
        max_bytes: The most bytes that a suspiciously compressed buffer of a record batch may unpack to.

    Raises:
        SourceError: It is not such a file, or it is cut off.
    """

    format = "arrow"

    def __init__(self, file: File | str, *, max_bytes: int = ROW_GROUP_MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._file = as_file(file)
        super().__init__(self._file.name, [self._file], self._file.nbytes or 0)
        self._row_part = 0.0
        try:
            with self._file.open() as stream:
                self._is_stream = stream.read(len(FILE_MAGIC)) != FILE_MAGIC
            with self._bytes() as stream, self._opened(stream) as opened:
                self._columns = columns_of(opened.schema)
        except _DAMAGE as error:
            refused = SourceError(f"{self.name} is not a readable Arrow IPC file: {reason(error)}")
            if isinstance(error, pa.ArrowNotImplementedError):
                with self._bytes() as stream:
                    refused = refused_arrow(self.name, stream, is_stream=self._is_stream) or refused
            raise refused from None

    @property
    def kind(self) -> str:
        """Whether it is a file or a stream."""
        return "Arrow IPC stream" if self._is_stream else "Arrow IPC file"

    def part(self, span: Span) -> float:
        """By its rows, as many as there were in the bytes read so far."""
        return min(1.0, len(span) * self._row_part)

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
                packed = compressed_in(messages, is_stream=self._is_stream)
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
                hint="the rows before stay loaded; repair the file and load it again",
            ) from None

    def _check(self, packed: Iterable[Compressed], number: int) -> None:
        """Refuse a record batch that no memory could hold, before Arrow makes room for it."""
        for before, after in packed:
            if after > max(self._max_bytes, PACKED_AT_MOST * before):
                raise SourceError(
                    f"{self.name}, record batch {number}: {before:,} bytes unpack to {after:,}",
                    hint="if that is right, raise --max-row-group-bytes",
                )

    def _check_end(self, stream: pa.NativeFile, rows: int) -> None:
        """Arrow takes the end of the bytes for the end of a stream; but so ends one that was cut off."""
        if not self._is_stream:
            return
        end = stream.tell()
        stream.seek(max(0, end - len(END_MARK)))
        if stream.read(len(END_MARK)) != END_MARK:
            raise SourceError(
                f"{self.name} ends after row {rows - 1} without an end mark: it is cut off",
                hint="write the whole file again",
            )
        if stream.read(1):
            raise SourceError(
                f"{self.name} continues after the end of its stream, behind row {rows - 1}",
                hint="joined streams are not read: write each to its own file",
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


def pieces(
    source: str, start: int, table: pa.RecordBatch, *, batch_rows: int, batch_bytes: int
) -> Iterator[ArrowRows]:
    """A record batch in pieces.

    Args:
        source: The source's name.
        start: The number of the first row.
        table: The rows.
        batch_rows: The most rows of a piece.
        batch_bytes: The most bytes of a piece, its dictionaries decoded; a larger row is a piece by itself.
    """
    for at in range(0, len(table), batch_rows):
        for offset, piece in _halved(table.slice(at, batch_rows), at, batch_bytes):
            yield ArrowRows(Span(source, start + offset, start + offset + len(piece)), piece)


def _halved(table: pa.RecordBatch, at: int, most: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    if len(table) > 1 and sum(map(_bytes, table.columns)) > most:
        half = len(table) // 2
        yield from _halved(table.slice(0, half), at, most)
        yield from _halved(table.slice(half), at + half, most)
    else:
        yield at, table


def _bytes(array: pa.Array) -> int:
    try:
        return spread_bytes(array)
    except pa.ArrowException:
        return int(array.nbytes)  # a type that Arrow can't decode: whoever needs the column says so


def spread_bytes(array: pa.Array) -> int:
    """Bytes of an array as it is once dictionaries and runs are spread out to a value each."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return spread_bytes(array.storage)
    if pa.types.is_dictionary(kind):
        lengths = value_bytes(array.dictionary)
        known = array.indices.drop_null().to_numpy().astype(np.int64)
        return int(lengths[known].sum())
    if pa.types.is_run_end_encoded(kind):
        return len(array) * int(value_bytes(array.values).max(initial=1))
    if pa.types.is_struct(kind):
        return sum(map(spread_bytes, array.flatten()))
    if pa.types.is_map(kind):
        entries = (
            pa.ListArray.from_arrays(array.offsets, array.keys),
            pa.ListArray.from_arrays(array.offsets, array.items),
        )
        return sum(map(spread_bytes, entries))
    if is_list(kind) and not _flat(kind.value_type):
        return 8 * len(array) + spread_bytes(array.flatten())
    return int(array.nbytes)


def value_bytes(values: pa.Array) -> NDArray[np.int64]:
    """Bytes of each value of an array: int64, as long as that."""
    if is_text(values.type) or is_binary(values.type):
        if pa.types.is_string_view(values.type) or pa.types.is_binary_view(values.type):
            values = values.cast(pa.large_binary())
        return lengths_of(values, null=0)
    return np.full(len(values), -(-values.nbytes // max(len(values), 1)), dtype=np.int64)


def _flat(kind: pa.DataType) -> bool:
    return bool(pa.types.is_primitive(kind) or is_text(kind) or is_binary(kind))


def compressed_in(stream: BinaryIO, *, is_stream: bool) -> Iterator[list[Compressed]]:
    """What is compressed in each record batch and in the dictionaries before it, as Arrow would unpack them.

    Each is given before Arrow has to read it: each buffer, and all of them together.

    Args:
        stream: An Arrow IPC file or stream, which can seek.
        is_stream: Which of both.

    Raises:
        ValueError: A message is damaged.
        OSError: It can't be read.
    """
    found: list[Compressed] = []
    try:
        for is_last, packed in _of_stream(stream) if is_stream else _of_file(stream):
            found += packed
            if is_last:
                yield [*found, (sum(one for one, _ in found), sum(other for _, other in found))]
                found = []
    except struct.error:
        raise ValueError("a message is damaged") from None


def _of_stream(stream: BinaryIO) -> Iterator[tuple[bool, list[Compressed]]]:
    """Of each message, whether it is a record batch."""
    at = 0
    while True:
        stream.seek(at)
        begin = stream.read(8)
        if len(begin) < 8 or not begin.startswith(STREAM_MAGIC):
            return  # its end, or where Arrow says what is wrong
        size = int.from_bytes(begin[4:], "little", signed=True)
        if size <= 0:
            return
        kind, body, packed = _message(stream, stream.read(size), at + 8 + size)
        at += 8 + size + body
        yield kind == _RECORD_BATCH, packed


def _of_file(stream: BinaryIO) -> Iterator[tuple[bool, list[Compressed]]]:
    end = stream.seek(-10, io.SEEK_END)
    size = int.from_bytes(stream.read(10)[:4], "little", signed=True)
    if not 0 < size <= end:
        raise struct.error("no footer")
    stream.seek(end - size)
    footer = stream.read(size)
    root = Table.root(footer)
    for field in (2, 3):  # dictionaries, all of which Arrow reads before the first batch; record batches
        for offset, before_body, _ in root.structs(field, "<qi4xq"):
            if offset < 0 or before_body < 0:
                raise struct.error("before the beginning")
            stream.seek(offset)
            metadata = stream.read(before_body)
            metadata = metadata[8 if metadata.startswith(STREAM_MAGIC) else 4 :]
            yield field == 3, _message(stream, metadata, offset + before_body)[2]


def _message(stream: BinaryIO, metadata: bytes, begin: int) -> tuple[int, int, list[Compressed]]:
    """The kind of a message, the bytes of its body, and what is compressed in that."""
    message = Table.root(metadata)
    kind, size = message.number(1, "<B"), message.number(3, "<q")
    if size < 0:
        raise struct.error("a body of less than nothing")
    batch = message.optional_table(2)
    if batch is not None and kind == _DICTIONARY_BATCH:
        batch = batch.optional_table(1)
    elif kind != _RECORD_BATCH:
        batch = None
    if batch is None or not (batch.place(3) or _OF_0_17 in metadata):
        return kind, size, []
    found: list[Compressed] = []
    for offset, packed in batch.structs(2, "<qq"):
        if packed < 8:
            continue  # empty
        if offset < 0:
            raise struct.error("before the beginning")
        stream.seek(begin + offset)
        unpacked = struct.unpack("<q", stream.read(8))[0]
        found.append((packed, packed - 8 if unpacked < 0 else unpacked))
    return kind, size, found
