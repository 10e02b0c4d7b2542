"""The footer of a Parquet file as plain values, and the Thrift protocol that it is written in.

Arrow gives the same, column by column; but its accessors end the process on a damaged footer, where reading
rows only fails (`tests/readers/test_damage.py`).
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

_TYPES = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
_CODECS = ("uncompressed", "snappy", "gzip", "lzo", "brotli", "lz4", "zstd", "lz4")
_REQUIRED, _REPEATED = 0, 2
_TAIL_SIZE = 8
"""The footer's length in four bytes, and the magic."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A column of a row group.

    path: Its dot path.
    physical_type: As the format names it.
    codec: How it is compressed, in lower case.
    offset: Where its first page begins.
    repetition: The greatest level of repetition: how many lists a value is in.
    definition: The greatest level of definition: that of a value that is there.
    plain_size: What its texts or bytes take when each row has its own; None if the footer does not say.
    """

    path: str
    physical_type: str
    codec: str
    num_values: int
    uncompressed_size: int
    compressed_size: int
    has_dictionary: bool
    offset: int
    repetition: int
    definition: int
    plain_size: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A row group."""

    num_rows: int
    chunks: tuple[Chunk, ...]

    def of(self, columns: Collection[str] | None) -> Iterator[Chunk]:
        """The chunks of these top-level columns, or of all."""
        for chunk in self.chunks:
            # A name may hold dots, as a path does.
            if columns is None or any(f"{chunk.path}.".startswith(f"{name}.") for name in columns):
                yield chunk


def row_groups(file: pa.NativeFile) -> list[Group]:
    """The row groups in the footer of a Parquet file.

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
        root = Compact(footer).struct()
        levels = _levels(iter(root[2]))
        groups = [
            Group(
                group[3], tuple(_chunk(column[3], *at) for column, at in zip(group[1], levels, strict=True))
            )
            for group in root.get(4, ())
        ]
        rows = root[3]
    except (*MALFORMED, ValueError, StopIteration):
        raise ValueError("its footer is damaged") from None
    if any(group.num_rows < 0 for group in groups) or sum(group.num_rows for group in groups) != rows:
        raise ValueError("its footer is damaged: the rows of its groups are not those of the file")
    return groups


def _chunk(of: dict[int, Any], repetition: int, definition: int) -> Chunk:
    path = b".".join(of[3]).decode()
    sizes = of[5], of[6], of[7]
    dictionary = of.get(11, 0)
    offset = min(of[9], dictionary or of[9])
    if min(*sizes, offset) < 0:
        raise KeyError(path)
    plain_size = of.get(16, {}).get(1)
    if not isinstance(plain_size, int | None):
        raise KeyError(path)
    kind = _TYPES[of[1]], _CODECS[of[4]]
    return Chunk(path, *kind, *sizes, dictionary > 0, offset, repetition, definition, plain_size)


def _levels(elements: Iterator[dict[int, Any]]) -> list[tuple[int, int]]:
    """The greatest levels of repetition and definition of each column, of a schema written depth first."""
    found: list[tuple[int, int]] = []

    def below(parent: dict[int, Any], repetition: int, definition: int) -> None:
        for _ in range(parent.get(5, 0)):
            element = next(elements)
            repeated = element[3] == _REPEATED
            levels = repetition + repeated, definition + (element[3] != _REQUIRED)
            if element.get(5):
                below(element, *levels)
            else:
                found.append(levels)

    below(next(elements), 0, 0)
    return found


MALFORMED = (AttributeError, IndexError, KeyError, TypeError, struct.error, RecursionError)
"""Exceptions raised on malformed Thrift, and for a field that is missing."""


Kinds: TypeAlias = Mapping[int, "int | Kinds"]
"""Fields of a struct by number: their types as the protocol writes them, or what is in a struct."""
BOOLEAN, I32, I64, BINARY, _STRUCT = 2, 5, 6, 8, 12


class Compact:
    """Reads values one after the other: structs as dicts by field number.

    Args:
        data: The bytes; they may continue after what is read.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def struct(self, kinds: Kinds | None = None) -> dict[int, Any]:
        """The next struct.

        Args:
            kinds: The fields that there may be; None takes any.

        Raises:
            IndexError: The bytes end within it.
            KeyError, TypeError, struct.error, RecursionError: They are none, or not such a one.
        """
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            inside = None if kinds is None else kinds[number]
            expected = _STRUCT if isinstance(inside, Mapping) else inside
            if expected not in (None, max(kind, BOOLEAN)):
                raise KeyError(number)
            # In a field the type is the value of a boolean; in a list it has a byte.
            if kind in (1, BOOLEAN):
                fields[number] = kind == 1
            else:
                fields[number] = self.struct(inside) if isinstance(inside, Mapping) else self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (1, BOOLEAN, 3):
            return self._byte()
        if kind in (4, I32, I64):
            return self._integer()
        if kind == 7:
            return struct.unpack("<d", self._bytes(8))[0]
        if kind == BINARY:
            return self._bytes(self.varint())
        if kind in (9, 10):
            head = self._byte()
            size = head >> 4 if head >> 4 < 15 else self.varint()
            return [self._value(head & 15) for _ in range(size)]
        if kind == _STRUCT:
            return self.struct()
        raise KeyError(kind)  # Parquet has no maps

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _bytes(self, size: int) -> bytes:
        self.at += size
        if self.at > len(self._data):
            raise IndexError
        return self._data[self.at - size : self.at]

    def varint(self) -> int:
        """An unsigned number of any length, seven bits a byte, the lowest first.

        Raises:
            IndexError: The bytes end within it.
        """
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def _integer(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)
