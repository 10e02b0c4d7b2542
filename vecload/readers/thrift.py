"""Values in Thrift's compact protocol, in which Parquet writes its footer and the headers of its pages."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, TypeAlias

MALFORMED = (AttributeError, IndexError, KeyError, TypeError, struct.error, RecursionError)
"""What reading bytes raises that are no such values, or looking up a field that is missing among them."""


Kinds: TypeAlias = Mapping[int, "int | Kinds"]
"""Fields of a struct by number: their types as the protocol writes them, or what is in a struct."""
BOOLEAN, I32, I64, BINARY, _STRUCT = 2, 5, 6, 8, 12


class Compact:
    """Reads values one after the other: structs as dicts by field number.

    Args:
        data: The bytes; they may go on behind what is read.
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
