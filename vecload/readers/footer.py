"""The footer of a Parquet file as plain values.

Arrow tells the same, column by column; but of a damaged footer its accessors end the process, where reading
rows by it only fails (`tests/readers/test_damage.py`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

_TYPES = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
_CODECS = ("uncompressed", "snappy", "gzip", "lzo", "brotli", "lz4", "zstd", "lz4")
_TAIL_SIZE = 8
"""The footer's length in four bytes, and the magic."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A column of a row group.

    path: Its dot path.
    physical_type: As the format names it.
    codec: How it is compressed, in lower case.
    plain_size: What its texts or bytes take when none stands for several rows; None where that is not told.
    """

    path: str
    physical_type: str
    codec: str
    num_values: int
    uncompressed_size: int
    compressed_size: int
    has_dictionary: bool
    plain_size: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A row group."""

    num_rows: int
    chunks: tuple[Chunk, ...]


def row_groups(file: pa.NativeFile) -> list[Group]:
    """The row groups that the footer of a Parquet file tells of.

    Args:
        file: The file, which can seek.

    Raises:
        ValueError: The footer is damaged.
        OSError: It can't be read.
    """
    end = file.size() - _TAIL_SIZE
    file.seek(max(0, end))
    size = int.from_bytes(file.read(4), "little")
    file.seek(max(0, end - size))
    footer = file.read(min(size, end))
    try:
        root = _Compact(footer).struct()
        groups = [
            Group(group[3], tuple(_chunk(column[3]) for column in group[1])) for group in root.get(4, ())
        ]
        rows = root[3]
    except (AttributeError, IndexError, KeyError, TypeError, struct.error, RecursionError):
        raise ValueError("its footer is damaged") from None
    if any(group.num_rows < 0 for group in groups) or sum(group.num_rows for group in groups) != rows:
        raise ValueError("its footer is damaged: the rows of its groups are not those of the file")
    return groups


def _chunk(of: dict[int, Any]) -> Chunk:
    path = b".".join(of[3]).decode()
    sizes = of[5], of[6], of[7]
    if min(sizes) < 0:
        raise KeyError(path)
    plain_size = of.get(16, {}).get(1)
    if not isinstance(plain_size, int | None):
        raise KeyError(path)
    return Chunk(path, _TYPES[of[1]], _CODECS[of[4]], *sizes, of.get(11, 0) > 0, plain_size)


class _Compact:
    """Values in Thrift's compact protocol: structs as dicts by field number."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            # In a field the type is the value of a boolean; in a list it has a byte.
            fields[number] = kind == 1 if kind <= 2 else self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind <= 3:
            return self._byte()
        if kind <= 6:
            return self._integer()
        if kind == 7:
            return struct.unpack("<d", self._bytes(8))[0]
        if kind == 8:
            return self._bytes(self._varint())
        if kind in (9, 10):
            head = self._byte()
            size = head >> 4 if head >> 4 < 15 else self._varint()
            return [self._value(head & 15) for _ in range(size)]
        if kind == 12:
            return self.struct()
        raise KeyError(kind)  # no footer holds maps

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _bytes(self, size: int) -> bytes:
        self._at += size
        if self._at > len(self._data):
            raise IndexError
        return self._data[self._at - size : self._at]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
