"""Levels of a Parquet page that say what is known already: lists of one length, and nothing null.

They are compared as they are encoded (runs, and groups of packed bits), never spread out to a number a value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vecload.readers.thrift import Compact


class Levels:
    """Tells whether encoded levels are the ones expected.

    Args:
        pattern: The levels expected, uint8, which repeat from the first value on.
    """

    def __init__(self, pattern: NDArray[np.uint8]) -> None:
        self._pattern = pattern
        self._width = int(pattern.max()).bit_length()
        self._right: set[tuple[bytes, int, int]] = set()
        self._known = b""
        self._counts = {0: 0}

    def agree(self, encoded: bytes, count: int) -> bool:
        """Whether bytes hold the expected levels of so many values, and nothing else.

        Args:
            encoded: The levels in Parquet's hybrid of runs and packed bits, without a length before them.
            count: Values.
        """
        # Pages differ in how many rows they hold, seldom in how these are encoded.
        if self._counts.get(len(encoded)) == count and self._known.startswith(encoded):
            return True
        counts: dict[int, int] = {}
        runs = Compact(encoded)
        values = 0
        try:
            while values < count:
                begin = runs.at
                head = runs.varint()
                length = head >> 1
                if head & 1:
                    size, length = length * self._width, 8 * length
                else:
                    size = 1
                runs.at += size
                # The last group of packed bits is filled up.
                length = min(length, count - values)
                if not length or runs.at > len(encoded):
                    return False
                if not self._is_right(encoded[begin : runs.at], size, values % len(self._pattern), length):
                    return False
                values += length
                counts[runs.at] = values
        except IndexError:
            return False
        if runs.at != len(encoded):
            return False
        if len(encoded) > len(self._known):
            self._known, self._counts = encoded, counts
        return True

    def _is_right(self, run: bytes, size: int, phase: int, length: int) -> bool:
        """Whether a run, whose values are its last bytes, holds the levels from a phase of the pattern on."""
        key = run, phase, length
        if key in self._right:
            return True
        found = np.frombuffer(run, dtype=np.uint8)[len(run) - size :]
        if run[0] & 1:
            bits = np.unpackbits(found, bitorder="little").reshape(-1, self._width)
            found = np.packbits(bits, axis=1, bitorder="little")[:length, 0]
        pattern = np.roll(self._pattern, -phase)
        expected = np.tile(pattern, -(-length // len(pattern)))[:length]
        right = bool(np.all(found == expected))
        if right:
            self._right.add(key)
        return right
