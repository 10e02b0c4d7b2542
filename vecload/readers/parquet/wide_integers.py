"""Columns of integers beyond 64 bits, as Polars writes them. Arrow refuses their schema and names no column.

In Parquet they are 16 bytes each, so that the schema need only say so; an Arrow file is refused.

The schema is a flatbuffer (https://arrow.apache.org/docs/format/Columnar.html). Of it, only what leads to the
types of integers is read.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from vecload.errors import SourceError
from vecload.readers.flatbuffer import Table
from vecload.readers.parquet.footer import Compact

_MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError, struct.error, RecursionError)
_TAIL_BYTES = 8
"""A Parquet footer's length in four bytes, and the magic."""
_HEAD_BYTES = 2**20
"""Of an Arrow file or stream, in which its schema lies."""
_INTEGER, _FIXED_BYTES = 2, 15
"""The numbers of these types in a field."""
INTEGER = pa.decimal128(38, 0)
"""What such columns are read as."""
_MESSAGE_BEGINS = 8
"""Where a message begins, after its mark and its length."""
_MOST_BITS = 64
_FILE_END = b"ARROW1"
_CONTINUATION = b"\xff\xff\xff\xff"


def opened_footer(name: str, stream: pa.NativeFile) -> tuple[pq.FileMetaData, tuple[str, ...]] | None:
    """The footer of a Parquet file that Arrow refused, with its wide integers as bytes, and their columns.

    Args:
        name: The file's, for messages.
        stream: The file.

    Returns:
        None if Arrow refuses the file for something else.

    Raises:
        SourceError: Such integers are within other values, or unsigned.
    """
    try:
        end = stream.size()
        stream.seek(end - _TAIL_BYTES)
        size = int.from_bytes(stream.read(4), "little")
        stream.seek(end - _TAIL_BYTES - size)
        footer = stream.read(size)
        pairs = Compact(footer).struct().get(5, [])
        (encoded,) = [pair[2] for pair in pairs if pair[1] == b"ARROW:schema"]
        message = bytearray(base64.b64decode(encoded))
        schema = _schema_of(bytes(message))
        columns = _wide_fields(schema)
        if not columns:
            return None
        for field in schema.tables(1):
            if field.text(0) in columns and not _as_bytes(field, message):
                raise _refused(name, columns)
        footer = footer.replace(encoded, base64.b64encode(message))
        whole = b"".join((b"PAR1", footer, len(footer).to_bytes(4, "little"), b"PAR1"))
        return pq.read_metadata(pa.BufferReader(whole)), tuple(columns)
    except (*_MALFORMED, OSError, pa.ArrowException):
        return None


def schema_with_integers(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    """A schema in which these columns are integers, as `with_integers` makes them."""
    for name in columns:
        at = schema.get_field_index(name)
        schema = schema.set(at, schema.field(at).with_type(INTEGER))
    return schema


def with_integers(table: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """A table in which the bytes of these columns are integers: decimals, which have as many bits."""
    for name in columns:
        at = table.schema.get_field_index(name)
        if at >= 0:
            array = table.column(at)
            numbers = pa.Array.from_buffers(INTEGER, len(array), array.buffers(), offset=array.offset)
            table = table.set_column(at, pa.field(name, INTEGER), numbers)
    return table


def refused_arrow(name: str, stream: pa.NativeFile, *, is_stream: bool) -> SourceError | None:
    """The error for an Arrow file whose schema Arrow refused; None if it has no such column."""
    try:
        if is_stream:
            stream.seek(0)
            columns = _wide_fields(_schema_of(stream.read(_HEAD_BYTES)))
            return _refused(name, columns) if columns else None
        end = stream.size() - len(_FILE_END)
        stream.seek(end - 4)
        size = int.from_bytes(stream.read(4), "little")
        stream.seek(end - 4 - size)
        columns = _wide_fields(Table.root(stream.read(size)).table(1))
        return _refused(name, columns) if columns else None
    except (*_MALFORMED, OSError, pa.ArrowException):
        return None


def _refused(name: str, columns: Sequence[str]) -> SourceError:
    first = columns[0]
    more = f" (and {len(columns) - 1} more)" if len(columns) > 1 else ""
    return SourceError(
        f"{name}: column {first!r}{more} holds integers of 128 bits, which Arrow can't read",
        hint=f"cast it when you write the file, in Polars with pl.col({first!r}).cast(pl.Decimal(38, 0)), "
        f"or drop it with df.drop({first!r})",
    )


def _schema_of(message: bytes) -> Table:
    """The schema in an encapsulated message."""
    if not message.startswith(_CONTINUATION):
        raise ValueError
    return Table.root(message[_MESSAGE_BEGINS:]).table(2)


def _as_bytes(field: Table, message: bytearray) -> bool:
    """Make a column's type that of 16 bytes, in place; False if it is not a signed integer of 128 bits.

    The tables of both types begin with their width.
    """
    kind, width = field.place(2), field.table(3).place(0)
    if (
        field.number(2, "<B") != _INTEGER
        or field.table(3).number(0, "<i") != 128
        or not field.table(3).number(1, "<B")
    ):
        return False
    message[_MESSAGE_BEGINS + kind] = _FIXED_BYTES
    struct.pack_into("<i", message, _MESSAGE_BEGINS + width, 16)
    return True


def _wide_fields(schema: Table) -> list[str]:
    return [field.text(0) for field in schema.tables(1) if _is_wide(field)]


def _is_wide(field: Table) -> bool:
    if field.number(2, "<B") == _INTEGER and field.table(3).number(0, "<i") > _MOST_BITS:
        return True
    return any(map(_is_wide, field.tables(5)))
