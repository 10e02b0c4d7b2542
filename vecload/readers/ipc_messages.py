"""Messages of Arrow IPC: what their record batches unpack to, before Arrow unpacks them.

A compressed buffer begins with the number of bytes that it unpacks to, for which Arrow makes room at once. So
each message is looked at before Arrow reads it: https://arrow.apache.org/docs/format/Columnar.html, and
Message.fbs and File.fbs there. Messages are FlatBuffers.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, TypeAlias

_CONTINUES = b"\xff\xff\xff\xff"
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3
_OF_0_17 = b"ARROW:experimental_compression"
"""How a message of Arrow 0.17 says that it is compressed, in its custom metadata."""


Packed: TypeAlias = tuple[int, int]
"""Bytes of a buffer or of a body, and those that it unpacks to."""


class _Table:
    """A table of a FlatBuffer; whatever lies outside of it raises struct.error."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self._fields = at - _number("<i", data, at)
        self._size = _number("<H", data, self._fields)

    def place(self, field: int) -> int:
        """Where a field stands; 0 if it is missing."""
        entry = 4 + 2 * field
        offset = _number("<H", self.data, self._fields + entry) if entry < self._size else 0
        return self.at + offset if offset else 0

    def number(self, field: int, kind: str) -> int:
        """A number; 0 if it is missing."""
        place = self.place(field)
        return _number(kind, self.data, place) if place else 0

    def follow(self, field: int) -> int:
        """Where what a field refers to stands; 0 if it is missing."""
        place = self.place(field)
        return place + _number("<I", self.data, place) if place else 0

    def table(self, field: int) -> _Table | None:
        """A table inside."""
        place = self.follow(field)
        return _Table(self.data, place) if place else None

    def structs(self, field: int, kind: str) -> Iterator[tuple[int, ...]]:
        """A vector of structs of numbers."""
        place = self.follow(field)
        count = _number("<I", self.data, place) if place else 0
        size = struct.calcsize(kind)
        for number in range(count):
            yield _unpack(kind, self.data, place + 4 + number * size)


def _unpack(kind: str, data: bytes, at: int) -> tuple[int, ...]:
    if at < 0:
        raise struct.error("before the beginning")
    return struct.unpack_from(kind, data, at)


def _number(kind: str, data: bytes, at: int) -> int:
    return _unpack(kind, data, at)[0]


def packed_in(stream: BinaryIO, *, is_stream: bool) -> Iterator[list[Packed]]:
    """What is compressed in each record batch and in the dictionaries before it, as Arrow would unpack them.

    Each is given before Arrow has to read it: each buffer, and all of them together.

    Args:
        stream: An Arrow IPC file or stream, which can seek.
        is_stream: Which of both.

    Raises:
        ValueError: A message is damaged.
        OSError: It can't be read.
    """
    found: list[Packed] = []
    try:
        for is_last, packed in _of_stream(stream) if is_stream else _of_file(stream):
            found += packed
            if is_last:
                yield [*found, (sum(one for one, _ in found), sum(other for _, other in found))]
                found = []
    except struct.error:
        raise ValueError("a message is damaged") from None


def _of_stream(stream: BinaryIO) -> Iterator[tuple[bool, list[Packed]]]:
    """Of each message, whether it is a record batch."""
    at = 0
    while True:
        stream.seek(at)
        begin = stream.read(8)
        if len(begin) < 8 or not begin.startswith(_CONTINUES):
            return  # its end, or where Arrow says what is wrong
        size = _number("<i", begin, 4)
        if size <= 0:
            return
        kind, body, packed = _message(stream, stream.read(size), at + 8 + size)
        at += 8 + size + body
        yield kind == _RECORD_BATCH, packed


def _of_file(stream: BinaryIO) -> Iterator[tuple[bool, list[Packed]]]:
    end = stream.seek(-10, io.SEEK_END)
    size = _number("<i", stream.read(10), 0)
    if not 0 < size <= end:
        raise struct.error("no footer")
    stream.seek(end - size)
    footer = stream.read(size)
    root = _Table(footer, _number("<I", footer, 0))
    for field in (2, 3):  # dictionaries, all of which Arrow reads before the first batch; record batches
        for offset, before_body, _ in root.structs(field, "<qi4xq"):
            if offset < 0 or before_body < 0:
                raise struct.error("before the beginning")
            stream.seek(offset)
            metadata = stream.read(before_body)
            metadata = metadata[8 if metadata.startswith(_CONTINUES) else 4 :]
            yield field == 3, _message(stream, metadata, offset + before_body)[2]


def _message(stream: BinaryIO, metadata: bytes, begin: int) -> tuple[int, int, list[Packed]]:
    """The kind of a message, the bytes of its body, and what is compressed in that."""
    message = _Table(metadata, _number("<I", metadata, 0))
    kind, size = message.number(1, "<B"), message.number(3, "<q")
    if size < 0:
        raise struct.error("a body of less than nothing")
    batch = message.table(2)
    if batch is not None and kind == _DICTIONARY_BATCH:
        batch = batch.table(1)
    elif kind != _RECORD_BATCH:
        batch = None
    if batch is None or not (batch.place(3) or _OF_0_17 in metadata):
        return kind, size, []
    found: list[Packed] = []
    for offset, packed in batch.structs(2, "<qq"):
        if packed < 8:
            continue  # empty
        if offset < 0:
            raise struct.error("before the beginning")
        stream.seek(begin + offset)
        unpacked = _number("<q", stream.read(8), 0)
        found.append((packed, packed - 8 if unpacked < 0 else unpacked))
    return kind, size, found
