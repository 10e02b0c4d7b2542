"""Marks: where brackets and quotes stand in JSON that is read piece by piece, and how deep each is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

QUOTE, BACKSLASH = b'"\\'
_CASE, _OPENS, _CLOSES = 0x20, 0x7B, 0x7D
"""`[` and `{` differ by one bit, and so do `]` and `}`."""
BLANKS = bytes.maketrans(b"\r\n\x1e", b"   ")
"""Newlines within a document, and the separators of a JSON text sequence, are blanks: no text has them."""


class Found(NamedTuple):
    """The marks of a piece, in order: n brackets outside of texts, and quotes around texts.

    at: where they are in the piece; int64, shape (n,).
    mark: the bytes themselves; uint8, shape (n,).
    before, after: how many brackets are open before and after each; int64, shape (n,).
    """

    at: NDArray[np.int64]
    mark: NDArray[np.uint8]
    before: NDArray[np.int64]
    after: NDArray[np.int64]

    def up_to(self, depth: int) -> list[tuple[int, int, int, int]]:
        """Those within so many brackets, as tuples of the above."""
        chosen = np.minimum(self.before, self.after) <= depth
        return [*zip(*(part[chosen].tolist() for part in self), strict=True)]


class Marks:
    """Finds the marks of a text that is fed in pieces, which may be cut anywhere.

    Nothing is checked but where texts begin and end: brackets need not match, and the depth may go below 0.

    Attributes:
        in_text: Whether the last piece ends within a text.
    """

    def __init__(self) -> None:
        self._depth = 0
        self.in_text = False
        self._escaped = False

    def feed(self, piece: bytes) -> Found:
        """The marks of the next piece."""
        array = np.frombuffer(piece, dtype=np.uint8)
        folded = array | _CASE
        # Few bytes are marks: what follows takes little.
        at = np.flatnonzero((array == QUOTE) | (folded == _OPENS) | (folded == _CLOSES))
        mark = array[at]
        if self._escaped or b"\\" in piece:
            real = (mark != QUOTE) | ~self._are_escaped(array, at)
            at, mark = at[real], mark[real]
        quotes = mark == QUOTE
        texts = np.cumsum(quotes) + self.in_text
        self.in_text = bool(texts[-1] & 1) if len(texts) else self.in_text
        outside = quotes | (texts & 1 == 0)
        at, mark, quotes = at[outside], mark[outside], quotes[outside]
        steps = np.where(quotes, 0, np.where((mark | _CASE) == _OPENS, 1, -1))
        after = np.cumsum(steps) + self._depth
        self._depth = int(after[-1]) if len(after) else self._depth
        return Found(at, mark, after - steps, after)

    def _are_escaped(self, array: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which places have a backslash before them that is not escaped itself."""
        slashes = np.flatnonzero(array == BACKSLASH)
        begins = slashes[np.flatnonzero(np.diff(slashes, prepend=-2) != 1)]
        ends = slashes[np.flatnonzero(np.diff(slashes, append=len(array) + 1) != 1)] + 1
        first = np.zeros(0, dtype=np.int64)
        if self._escaped:
            if len(begins) and begins[0] == 0:
                begins[0] = 1
            else:
                first = np.zeros(1, dtype=np.int64)
        escaped = np.concatenate([first, ends[(ends - begins) % 2 == 1]])
        if len(array):
            self._escaped = bool(len(escaped)) and int(escaped[-1]) == len(array)
        return np.isin(at, escaped, assume_unique=True)


def name_of(key: bytes) -> str:
    """The name that a text in JSON is; "" if it is none."""
    try:
        return str(orjson.loads(key))
    except orjson.JSONDecodeError:
        return ""
