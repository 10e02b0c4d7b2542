"""The elements of a JSON array, one line each: so a document of any size is read like JSON Lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from vecload.readers.json.relined import BLANKS, OPEN_TEXT, tokens
from vecload.readers.storage.transformed import Transformed

_PIECE_BYTES = 2**20
_COMMENTS = (b"//", b"/*", b"#")


class Elements(Transformed):
    """An array as JSON Lines. No more of it is held than an element's beginning that is not yet read further.

    An element that is not JSON is a row that is rejected. Where the array itself is wrong, reading stops.
    """

    def pieces(self, stream: BinaryIO) -> Iterator[bytes]:
        """The elements, each on a line of its own.

        Raises:
            OSError: The array is cut off, a comma is missing or too many, or something follows.
        """
        split = _Splitter()
        while more := stream.read(_PIECE_BYTES):
            yield split.feed(more)
        split.end()


class _Splitter:
    """Splits an array that is fed in pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._depth = 0
        self._ended = False
        self._after_value = False
        self._after_comma = False

    def feed(self, more: bytes) -> bytes:
        """What some more bytes become."""
        data = self._rest + more.translate(BLANKS)
        made: list[bytes] = []
        begin, limit = 0, len(data)
        for start, stop, step in tokens(data):
            if step == OPEN_TEXT:
                limit = start
                break
            if self._depth > 1:
                self._depth += step
                if self._depth == 1:
                    made += (data[begin:stop], b"\n")
                    begin, self._after_value = stop, True
                continue
            before, found = data[begin:start], data[start : start + 1]
            if self._depth == 0:
                self._begin(before, found)
                begin = stop
                continue
            made += self._between(before)
            if found == b"]":
                if self._after_comma:
                    raise _wrong("it has a comma before a closing bracket, which JSON does not allow")
                self._depth, self._ended, begin = 0, True, stop
                continue
            if self._after_value or found == b"}":
                raise _wrong("a comma is missing between two elements")
            self._after_comma = False
            if step:
                begin, self._depth = start, 2
            else:
                made += (data[start:stop], b"\n")
                begin, self._after_value = stop, True
        if self._depth > 1:
            made.append(data[begin:limit])
            self._rest = data[limit:]
        else:
            self._rest = data[begin:]
            if self._rest.isspace():
                self._rest = b""
        return b"".join(made)

    def end(self) -> None:
        """Nothing follows.

        Raises:
            OSError: The array is cut off, or something is behind it.
        """
        if not self._ended:
            raise _wrong("it is cut off: its array is not closed")
        if self._rest.strip():
            raise _wrong("something follows after its array")

    def _begin(self, before: bytes, found: bytes) -> None:
        if self._ended:
            raise _wrong("something follows after its array")
        if found != b"[" or before.strip().removeprefix(codecs.BOM_UTF8).strip():
            raise _wrong("it does not begin with an array")
        self._depth = 1

    def _between(self, text: bytes) -> Iterator[bytes]:
        """What is between two elements: commas, and elements without brackets or quotes."""
        for at, part in enumerate(text.split(b",")):
            if at:
                if not self._after_value:
                    raise _wrong("it has a comma without an element before it")
                self._after_value, self._after_comma = False, True
            if value := part.strip():
                if value.startswith(_COMMENTS):
                    raise _wrong("it has a comment, which JSON does not allow; remove it")
                if self._after_value:
                    raise _wrong("a comma is missing between two elements")
                self._after_value, self._after_comma = True, False
                yield value + b"\n"


def _wrong(what: str) -> OSError:
    return OSError(f"it is not JSON: {what}")
