"""Vectors copied from the pages of a Parquet file, without decoding their levels.

Arrow spends most of the time of decoding lists of floats on two levels for each value, which say nothing
where all lists have one length and no value is null. Here the levels are compared as they are encoded (runs,
and groups of packed bits), and the values are copied once. Whatever is not recognised for certain is left to
Arrow, damage too: Arrow then says what is wrong with the file. docs/performance.md says what this gains.
"""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecload.mapping.arrow_values import lengths_of, numbers_of
from vecload.readers.parquet.footer import BINARY, BOOLEAN, I32, I64, MALFORMED, Chunk, Compact, Group, Kinds

SHORTEST = 32
"""Arrow decodes shorter vectors: there is little to gain."""
LONGEST = 2**17
"""The most values of a vector that a footer is believed to have."""
PAGE_BYTES = 64 * 2**20
"""Arrow decodes pages that unpack to more."""
_HEADER_BYTES = 512
"""More than the header of a page of numbers takes."""
_LENGTH_BYTES = 5
"""The most bytes of the length before what snappy packed."""
_STATISTICS: Kinds = {1: BINARY, 2: BINARY, 3: I64, 4: I64, 5: BINARY, 6: BINARY, 7: BOOLEAN, 8: BOOLEAN}
_HEADER: Kinds = {
    **dict.fromkeys((1, 2, 3, 4), I32),
    5: {**dict.fromkeys((1, 2, 3, 4), I32), 5: _STATISTICS},
    7: {1: I32, 2: I32, 3: BOOLEAN},
    8: {**dict.fromkeys((1, 2, 3, 4, 5, 6), I32), 7: BOOLEAN, 8: _STATISTICS},
}
"""A header with other fields, which Arrow would skip or refuse, is left to Arrow."""
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_PLAIN, _PLAIN_DICTIONARY, _RLE, _RLE_DICTIONARY = 0, 2, 3, 8
_WIDTHS = {"FLOAT": 4, "DOUBLE": 8}
_CODECS = ("uncompressed", "snappy", "zstd")

ReadFirst: TypeAlias = Callable[[int, int], pa.Array | None]
"""Reads, by other means, so many first rows of a row group of that number."""
_Bytes: TypeAlias = NDArray[np.uint8]


class UnlikeError(Exception):
    """The page can't be copied; Arrow must read it."""


def dimension_of(groups: Sequence[Group], column: str) -> int:
    """Values of each vector of a column, if its pages may be copied; else 0.

    Args:
        groups: Row groups of one file.
        column: A top-level column.
    """
    dimension = 0
    for group in groups:
        chunks = [*group.of([column])]
        if len(chunks) != 1 or not group.num_rows:
            return 0
        size, rest = divmod(chunks[0].num_values, group.num_rows)
        if (
            rest
            or not SHORTEST <= size <= LONGEST
            or size != (dimension or size)
            or chunks[0].physical_type not in _WIDTHS
            or chunks[0].codec not in _CODECS
            or chunks[0].repetition != 1
        ):
            return 0
        dimension = size
    return dimension


class Memory:
    """Blocks of memory that are lent again when nothing holds them any more.

    A batch's vectors in fresh memory cost more than their copying there: the system clears every page.
    """

    def __init__(self) -> None:
        self._free: list[_Bytes] = []

    def block(self, size: int) -> _Bytes:
        """So many bytes, which hold anything; lent until the array and all that was made of it is gone."""
        whole = None
        # Batches of a load are of one size, but for the last, and while `--batch-rows auto` learns. Other
        # threads give back meanwhile: what is judged must be what was taken.
        while self._free and whole is None:
            one = self._free.pop()
            whole = one if size <= len(one) <= 2 * size else None
        if whole is None:
            whole = np.empty(size, dtype=np.uint8)
        lent = whole[:size]
        weakref.finalize(lent, self._free.append, whole).atexit = False
        return lent


class PageVectors:
    """The vectors of a column, one row group after the other.

    Args:
        stream: The file.
        groups: The row groups to read, by their numbers.
        column: A column that `dimension_of` knows.
        kind: Its Arrow type: lists.
        memory: What vectors are copied to.
        read_first: What reads rows that a dictionary holds: writers begin with one, and give it up where
            nothing repeats.
    """

    def __init__(
        self,
        stream: pa.NativeFile,
        groups: dict[int, Group],
        column: str,
        kind: pa.DataType,
        memory: Memory,
        read_first: ReadFirst,
    ) -> None:
        self._stream = stream
        self._memory = memory
        self._kind = kind
        self._read_first = read_first
        self._dimension = dimension_of([*groups.values()], column)
        chunks = {number: next(group.of([column])) for number, group in groups.items()}
        (definition,) = {chunk.definition for chunk in chunks.values()}
        self._repetition = Levels((np.arange(self._dimension) > 0).astype(np.uint8))
        self._definition = Levels(np.array([definition], dtype=np.uint8))
        self._parts = (part for number, chunk in chunks.items() for part in self._values(number, chunk))
        self._left = np.empty(0, dtype=np.uint8)

    def take(self, rows: int) -> pa.Array:
        """The next vectors, as Arrow would give them.

        Args:
            rows: How many.

        Raises:
            UnlikeError: They can't be copied, nor can those after them.
        """
        try:
            return self._lists(rows, self._next(rows * self._dimension))
        except (StopIteration, pa.ArrowException, OSError, OverflowError, *MALFORMED):
            raise UnlikeError from None

    def _next(self, count: int) -> pa.Array:
        """So many values."""
        kind = self._kind.value_type
        target = self._memory.block(count * kind.bit_width // 8)
        values = pa.py_buffer(target)
        while len(target):
            if not len(self._left):
                self._left = next(self._parts)
            size = min(len(target), len(self._left))
            target[:size] = self._left[:size]
            target, self._left = target[size:], self._left[size:]
        return pa.Array.from_buffers(kind, count, [None, values])

    def _lists(self, rows: int, values: pa.Array) -> pa.Array:
        if pa.types.is_fixed_size_list(self._kind):
            return pa.FixedSizeListArray.from_arrays(values, type=self._kind)
        wide = pa.types.is_large_list(self._kind)
        offsets = np.arange(rows + 1, dtype=np.int64 if wide else np.int32) * self._dimension
        # From a NumPy array Arrow would make the same, but import pandas for it.
        starts = pa.Array.from_buffers(
            pa.int64() if wide else pa.int32(), rows + 1, [None, pa.py_buffer(offsets)]
        )
        return (pa.LargeListArray if wide else pa.ListArray).from_arrays(starts, values, type=self._kind)

    def _values(self, number: int, chunk: Chunk) -> Iterator[_Bytes]:
        """The values of a column chunk, in parts of whole rows."""
        shared = count = 0
        for page in _pages(self._stream, chunk):
            count += page.count
            if page.count % self._dimension or count > chunk.num_values:
                raise UnlikeError
            if page.encoding in (_PLAIN_DICTIONARY, _RLE_DICTIONARY) and shared + page.count == count:
                shared = count
                continue
            if shared:
                yield self._first(number, shared // self._dimension)
                shared = 0
            yield self._plain(page, _WIDTHS[chunk.physical_type])
        if shared or count != chunk.num_values:
            raise UnlikeError

    def _first(self, number: int, rows: int) -> _Bytes:
        """The first rows of a row group, which a dictionary holds."""
        size = rows * self._dimension
        if size * self._kind.value_type.bit_width // 8 > PAGE_BYTES:
            raise UnlikeError
        array = self._read_first(number, rows)
        if array is None:
            raise UnlikeError
        values = array.flatten()
        if values.null_count or len(values) != size or np.any(lengths_of(array, null=0) != self._dimension):
            raise UnlikeError
        return numbers_of(values).view(np.uint8)

    def _plain(self, page: _Page, width: int) -> _Bytes:
        """The values of a page that holds them as they are."""
        if page.encoding != _PLAIN:
            raise UnlikeError
        repetitions, definitions, values = page.read(self._stream)
        if (
            len(values) != page.count * width
            or not self._repetition.agree(repetitions, page.count)
            or not self._definition.agree(definitions, page.count)
        ):
            raise UnlikeError
        return np.frombuffer(values, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class _Page:
    """A data page.

    begin: Where it is, behind its header.
    size: Bytes there.
    unpacked: Bytes it unpacks to.
    codec: How it is packed, all of it or, where `levels` tells their bytes, only what is behind its levels.
    count: Values, nulls among them.
    """

    begin: int
    size: int
    unpacked: int
    checksum: int | None
    codec: str
    count: int
    encoding: int
    levels: tuple[int, int] | None = None

    def read(self, stream: pa.NativeFile) -> tuple[bytes, bytes, memoryview]:
        """Its levels of repetition and of definition, encoded, and its values."""
        stream.seek(self.begin)
        packed = stream.read_buffer(self.size)
        if self.checksum is not None and zlib.crc32(packed) != self.checksum & 0xFFFFFFFF:
            raise UnlikeError
        if self.levels is not None:
            first, second = self.levels
            at = first + second
            values = _unpacked(packed.slice(at), self.codec, self.unpacked - at)
            found = packed.slice(0, at).to_pybytes()
            return found[:first], found[first:], values
        data = _unpacked(packed, self.codec, self.unpacked)
        both: list[bytes] = []
        for _ in range(2):
            size = int.from_bytes(data[:4], "little")
            both.append(bytes(data[4 : 4 + size]))
            data = data[4 + size :]
        return both[0], both[1], data


def _pages(stream: pa.NativeFile, chunk: Chunk) -> Iterator[_Page]:
    """The data pages of a column chunk; their headers alone are read."""
    at, end = chunk.offset, chunk.offset + chunk.compressed_size
    while at < end:
        stream.seek(at)
        header = Compact(stream.read(min(_HEADER_BYTES, end - at)))
        of = header.struct(_HEADER)
        place = begin, size, unpacked, _ = at + header.at, of[3], of[2], of.get(4)
        at = begin + size
        if min(size, unpacked) < 0 or unpacked > PAGE_BYTES or at > end:
            raise UnlikeError
        if of[1] == _DATA:
            fields = of[5]
            if (fields[3], fields[4]) != (_RLE, _RLE):
                raise UnlikeError
            yield _Page(*place, chunk.codec, fields[1], fields[2])
        elif of[1] == _DATA_V2:
            fields = of[8]
            levels = fields[6], fields[5]
            if fields[2] or min(levels) < 0 or sum(levels) > min(size, unpacked):
                raise UnlikeError
            codec = chunk.codec if fields.get(7, True) else "uncompressed"
            yield _Page(*place, codec, fields[1], fields[4], levels)
        elif of[1] != _DICTIONARY:
            raise UnlikeError


def _unpacked(packed: pa.Buffer, codec: str, size: int) -> memoryview:
    """What packed bytes unpack to; an Arrow error where it is not of that size."""
    # Of snappy Arrow takes the size from here, and hands out what was in memory before behind less.
    if codec == "snappy" and Compact(packed.slice(0, _LENGTH_BYTES).to_pybytes()).varint() != size:
        raise UnlikeError
    if codec != "uncompressed":
        packed = pa.decompress(packed, decompressed_size=size, codec=codec)
    if len(packed) != size:
        raise UnlikeError
    return memoryview(packed)


class Levels:
    """Compares encoded levels with the expected ones.

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
