"""JSON documents one after the other, however they are laid out, as one line each."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO

import orjson

from vecload.readers.storage.files import File, unreadable
from vecload.readers.storage.transformed import Transformed

_PIECE_BYTES = 2**20
_MARK = re.compile(rb'[{}\[\]"]')
"""Searched for first: that is three times as fast as one expression for all tokens."""
_TEXT = re.compile(rb'"(?>[^"\\]++|\\.)*+"')
_STEPS = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}
OPEN_TEXT = 2
BLANKS = bytes.maketrans(b"\r\n\x1e", b"   ")
"""Newlines within a document, and the separators of a JSON text sequence, are blanks: no text has them."""
_FIRST_LINE_BYTES = 2**20
_BETWEEN = b" \t\r\n\x1e"
"""What may be between documents."""


class Relined(Transformed):
    """Documents one after the other, as JSON Lines."""

    def pieces(self, stream: BinaryIO) -> Iterator[bytes]:
        """The documents, each on a line of its own."""
        rest, depth = b"", 0
        while more := stream.read(_PIECE_BYTES):
            data = rest + more.translate(BLANKS)
            made, rest, depth = _split(data, depth)
            yield made
        yield rest


def tokens(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The brackets and texts of some JSON: where each begins and has ended, and what it does to the depth.

    A text does nothing. The last may be one that goes on after the data: OPEN_TEXT.
    """
    search, match = _MARK.search, _TEXT.match
    at = 0
    while (mark := search(data, at)) is not None:
        start = mark.start()
        step = _STEPS.get(mark[0])
        if step is not None:
            at = start + 1
            yield start, at, step
            continue
        text = match(data, start)
        if text is None:
            yield start, len(data), OPEN_TEXT
            return
        at = text.end()
        yield start, at, 0


def _split(data: bytes, depth: int) -> tuple[bytes, bytes, int]:
    """Some bytes with a newline after each document; those from a text on that is not closed; the depth."""
    parts: list[bytes] = []
    begin, rest = 0, len(data)
    for start, stop, step in tokens(data):
        if step == OPEN_TEXT:
            rest = start
        elif step:
            depth = max(0, depth + step)
            if step < 0 and not depth:
                parts += (data[begin:stop], b"\n")
                begin = stop
    parts.append(data[begin:rest])
    return b"".join(parts), data[rest:], depth


def are_several(file: File) -> bool:
    """Whether a file begins with a JSON object after which another one follows, and is not JSON Lines.

    Raises:
        SourceError: It can't be read.
    """
    try:
        with file.open() as stream:
            first = stream.readline(_FIRST_LINE_BYTES).removeprefix(codecs.BOM_UTF8)
            while first and not first.strip(_BETWEEN):
                first = stream.readline(_FIRST_LINE_BYTES)
            first = first.strip(_BETWEEN)
            if not first.startswith(b"{") or _is_whole(first):
                return False
            made, in_text, depth = _split(first, 0)
            after = made.partition(b"\n")[2].lstrip()
            if in_text or not (depth or after.startswith(b"{")):
                return False  # JSON Lines whose first line is wrong
        with file.open() as stream:
            rest, depth, ended = b"", 0, False
            while more := stream.read(_PIECE_BYTES):
                made, rest, depth = _split(rest + more.translate(BLANKS), depth)
                if not ended:
                    _, newline, made = made.partition(b"\n")
                    ended = bool(newline)
                if ended and (after := made.strip(_BETWEEN)):
                    return after.startswith(b"{")
    except OSError as error:
        raise unreadable(file, error) from None
    return False


def _is_whole(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True
