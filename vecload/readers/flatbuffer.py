"""Tables of a FlatBuffer, in which Arrow writes schemas, footers and the headers of messages.

Only what vecload looks at is read (https://flatbuffers.dev/internals).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator


class Table:
    """A table: its values by the numbers of their fields. What lies outside the buffer raises struct.error.

    Args:
        data: The buffer.
        at: Where the table begins.
    """

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._fields = at - _number("<i", data, at)
        self._size = _number("<H", data, self._fields)

    @classmethod
    def root(cls, data: bytes) -> Table:
        """The table that a buffer begins with."""
        return cls(data, _number("<I", data, 0))

    def place(self, field: int) -> int:
        """Where a field's value is; 0 if it is missing."""
        entry = 4 + 2 * field
        offset = _number("<H", self._data, self._fields + entry) if entry < self._size else 0
        return self._at + offset if offset else 0

    def number(self, field: int, kind: str) -> int:
        """A number in a format of `struct`; 0 if it is missing."""
        place = self.place(field)
        return _number(kind, self._data, place) if place else 0

    def optional_table(self, field: int) -> Table | None:
        """A table inside; None if it is missing."""
        place = self._follow(field)
        return Table(self._data, place) if place else None

    def table(self, field: int) -> Table:
        """A table inside.

        Raises:
            KeyError: It is missing.
        """
        found = self.optional_table(field)
        if found is None:
            raise KeyError(field)
        return found

    def tables(self, field: int) -> list[Table]:
        """A vector of tables; empty if it is missing."""
        begin, count = self._vector(field)
        places = range(begin, begin + 4 * count, 4)
        return [Table(self._data, place + _number("<I", self._data, place)) for place in places]

    def structs(self, field: int, kind: str) -> Iterator[tuple[int, ...]]:
        """A vector of structs of numbers, each in a format of `struct`; empty if it is missing."""
        begin, count = self._vector(field)
        size = struct.calcsize(kind)
        for number in range(count):
            yield _unpack(kind, self._data, begin + number * size)

    def text(self, field: int) -> str:
        """A text; "" if it is missing.

        Raises:
            UnicodeDecodeError: It is not UTF-8.
        """
        begin, size = self._vector(field)
        return self._data[begin : begin + size].decode()

    def _vector(self, field: int) -> tuple[int, int]:
        """Where the elements of a vector begin, and how many there are."""
        place = self._follow(field)
        return (place + 4, _number("<I", self._data, place)) if place else (0, 0)

    def _follow(self, field: int) -> int:
        """Where what a field refers to is; 0 if it is missing."""
        place = self.place(field)
        return place + _number("<I", self._data, place) if place else 0


def _unpack(kind: str, data: bytes, at: int) -> tuple[int, ...]:
    if at < 0:
        raise struct.error("before the beginning")
    return struct.unpack_from(kind, data, at)


def _number(kind: str, data: bytes, at: int) -> int:
    return _unpack(kind, data, at)[0]
