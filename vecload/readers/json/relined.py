"""JSON documents one after the other, however they are laid out, as one line each."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

import numpy as np
import orjson

from vecload.readers.json.marks import BLANKS, Marks
from vecload.readers.storage.files import File, unreadable
from vecload.readers.storage.transformed import Transformed

_PIECE_BYTES = 2**18
_FIRST_LINE_BYTES = 2**20
_BETWEEN = b" \t\r\n\x1e"
"""What may be between documents."""


class Relined(Transformed):
    """Documents one after the other, as JSON Lines."""

    def pieces(self, stream: BinaryIO) -> Iterator[bytes]:
        """The documents, each on a line of its own."""
        split = _Splitter()
        while more := stream.read(_PIECE_BYTES):
            yield split.feed(more)


class _Splitter:
    """Puts a newline after each document of a text that is fed in pieces."""

    def __init__(self) -> None:
        self._marks = Marks()
        self._excess = 0
        self.in_text = False
        self.depth = 0

    def feed(self, more: bytes) -> bytes:
        """What some more bytes become."""
        data = more.translate(BLANKS)
        found = self._marks.feed(data)
        self.in_text = self._marks.in_text
        if not len(found.at):
            return data
        # A bracket that closes nothing is passed over.
        excess = np.minimum(np.minimum.accumulate(found.after), self._excess)
        depth = found.after - excess
        self._excess, self.depth = int(excess[-1]), int(depth[-1])
        ends = found.at[(found.after < found.before) & (depth == 0)] + 1
        cuts = [0, *ends.tolist(), len(data)]
        return b"\n".join(data[begin:end] for begin, end in pairwise(cuts))


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
            split = _Splitter()
            made = split.feed(first)
            after = made.partition(b"\n")[2].lstrip()
            if split.in_text or not (split.depth or after.startswith(b"{")):
                return False  # JSON Lines whose first line is wrong
        with file.open() as stream:
            split, ended = _Splitter(), False
            while more := stream.read(_PIECE_BYTES):
                made = split.feed(more)
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
