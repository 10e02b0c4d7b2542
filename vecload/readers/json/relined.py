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
_TOKEN = re.compile(rb'"(?>[^"\\]++|\\.)*+"|[{}\[\]]|"')
_DEPTHS = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}
_NEWLINES = bytes.maketrans(b"\r\n\x1e", b"   ")
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
            data = rest + more.translate(_NEWLINES)
            made, rest, depth = _split(data, depth)
            yield made
        yield rest


def _split(data: bytes, depth: int) -> tuple[bytes, bytes, int]:
    """Some bytes with a newline after each document; those from a text on that is not closed; the depth."""
    parts: list[bytes] = []
    begin, rest = 0, len(data)
    for token in _TOKEN.finditer(data):
        step = _DEPTHS.get(token[0])
        if step is not None:
            depth = max(0, depth + step)
            if step < 0 and not depth:
                parts += (data[begin : token.end()], b"\n")
                begin = token.end()
        elif len(token[0]) == 1:
            rest = token.start()
            break
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
                made, rest, depth = _split(rest + more.translate(_NEWLINES), depth)
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
