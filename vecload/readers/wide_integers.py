"""Columns of integers beyond 64 bits, as Polars writes them. Arrow refuses their schema and names no column.

The schema is a flatbuffer (https://arrow.apache.org/docs/format/Columnar.html). Of it, only what leads to the
types of integers is read.
"""

from __future__ import annotations

import base64
import struct

import pyarrow as pa

from vecload.errors import SourceError
from vecload.readers.thrift import Compact

_MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError, struct.error, RecursionError)
_TAIL_BYTES = 8
"""A Parquet footer's length in four bytes, and the magic."""
_HEAD_BYTES = 2**20
"""Of an Arrow file or stream, in which its schema lies."""
_INTEGER = 2
"""The number of this type in a field."""
_MOST_BITS = 64
_FILE_END = b"ARROW1"
_CONTINUATION = b"\xff\xff\xff\xff"


def refused_parquet(name: str, stream: pa.NativeFile) -> SourceError | None:
    """What to say of a Parquet file whose schema Arrow refused; None if it has no such column."""
    try:
        end = stream.size()
        stream.seek(end - _TAIL_BYTES)
        size = int.from_bytes(stream.read(4), "little")
        stream.seek(end - _TAIL_BYTES - size)
        pairs = Compact(stream.read(size)).struct().get(5, [])
        (encoded,) = [pair[2] for pair in pairs if pair[1] == b"ARROW:schema"]
        return _refused(name, _wide_columns(base64.b64decode(encoded)))
    except (*_MALFORMED, OSError, pa.ArrowException):
        return None


def refused_arrow(name: str, stream: pa.NativeFile, *, is_stream: bool) -> SourceError | None:
    """What to say of an Arrow file whose schema Arrow refused; None if it has no such column."""
    try:
        if is_stream:
            stream.seek(0)
            return _refused(name, _wide_columns(stream.read(_HEAD_BYTES)))
        end = stream.size() - len(_FILE_END)
        stream.seek(end - 4)
        size = int.from_bytes(stream.read(4), "little")
        stream.seek(end - 4 - size)
        return _refused(name, _wide_fields(_Table.root(stream.read(size)).table(1)))
    except (*_MALFORMED, OSError, pa.ArrowException):
        return None


def _refused(name: str, columns: list[str]) -> SourceError | None:
    if not columns:
        return None
    first = columns[0]
    more = f" (and {len(columns) - 1} more)" if len(columns) > 1 else ""
    return SourceError(
        f"{name}: column {first!r}{more} holds integers of 128 bits, which Arrow can't read",
        hint=f"cast it when you write the file, in Polars with pl.col({first!r}).cast(pl.Decimal(38, 0)), "
        f"or drop it with df.drop({first!r})",
    )


def _wide_columns(message: bytes) -> list[str]:
    """The columns in which there are such integers, of an encapsulated message of a schema."""
    if not message.startswith(_CONTINUATION):
        raise ValueError
    return _wide_fields(_Table.root(message[8:]).table(2))


def _wide_fields(schema: _Table) -> list[str]:
    return [field.text(0) for field in schema.tables(1) if _is_wide(field)]


def _is_wide(field: _Table) -> bool:
    if field.number(2, "B") == _INTEGER and field.table(3).number(0, "i") > _MOST_BITS:
        return True
    return any(map(_is_wide, field.tables(5)))


class _Table:
    """A table of a flatbuffer: its values by the numbers of their fields.

    Args:
        data: The buffer.
        at: Where the table begins.
    """

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._slots = at - self._read(at, "i")

    @classmethod
    def root(cls, data: bytes) -> _Table:
        """The table that a buffer begins with."""
        return cls(data, int(struct.unpack_from("<I", data)[0]))

    def number(self, field: int, kind: str) -> int:
        """A number; 0 if it is not there."""
        place = self._place(field)
        return self._read(place, kind) if place else 0

    def table(self, field: int) -> _Table:
        """A table; one that is not there is malformed."""
        return _Table(self._data, self._to(field))

    def tables(self, field: int) -> list[_Table]:
        """A list of tables; an empty one if it is not there."""
        if not self._place(field):
            return []
        at = self._to(field)
        places = range(at + 4, at + 4 + 4 * self._read(at, "I"), 4)
        return [_Table(self._data, place + self._read(place, "I")) for place in places]

    def text(self, field: int) -> str:
        """A text."""
        at = self._to(field)
        return self._data[at + 4 : at + 4 + self._read(at, "I")].decode()

    def _to(self, field: int) -> int:
        place = self._place(field)
        if not place:
            raise KeyError(field)
        return place + self._read(place, "I")

    def _place(self, field: int) -> int:
        slot = 4 + 2 * field
        if slot >= self._read(self._slots, "H"):
            return 0
        offset = self._read(self._slots + slot, "H")
        return self._at + offset if offset else 0

    def _read(self, at: int, kind: str) -> int:
        if at < 0:
            raise IndexError(at)
        return int(struct.unpack_from(f"<{kind}", self._data, at)[0])
