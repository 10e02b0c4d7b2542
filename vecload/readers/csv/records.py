"""Records: where the rows of delimited text begin and end, newlines in quotes included, and their fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vecload.mapping.rows import Fault

Fields: TypeAlias = list[bytes | None]
Places: TypeAlias = NDArray[np.int64]

_QUOTE, _NEWLINE, _RETURN, _SPACE = b'"\n\r '
_SKIP_BYTES = 2**20
END_OF_COPY = b"\\."
"""What psql writes after the last row of a COPY."""

OPEN_QUOTE = Fault(
    "line", "quotes", "has a quoted field that does not end where a field ends: double the quotes inside it"
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How fields are separated.

    delimiter: one byte.
    quoted: fields may be in double quotes, as in CSV; otherwise backslashes escape, as in COPY's text format.
    """

    delimiter: bytes
    quoted: bool = True


@dataclass(frozen=True)
class Cut:
    """Some rows of a text.

    data: the text.
    starts, stops: int64, shape (n,): where in it each row begins and has ended, less the end of its line.
    consumed: how much of the text they and the blank lines between them take.
    faults: rows that are broken.
    simple: Arrow's parser splits the rows as they are cut here.
    """

    data: bytes
    starts: Places
    stops: Places
    consumed: int
    simple: bool
    faults: dict[int, Fault] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.starts)

    def row(self, position: int) -> bytes:
        """A row's text."""
        return self.data[self.starts[position] : self.stops[position]]


def cut(data: bytes, dialect: Dialect, *, last: bool, line_max: int, give_up: bool = False) -> Cut:
    """Cut a text that begins with a row into rows.

    Args:
        data: The text.
        dialect: How fields are separated.
        last: No text follows.
        line_max: A longer row is broken.
        give_up: If no row ends in the text, its first line is a broken row.
    """
    found = _at_once(data, dialect, last=last)
    if found is None or (give_up and not found.consumed):
        found = _one_by_one(data, dialect, last=last, give_up=give_up)
    for position in np.flatnonzero(found.stops - found.starts > line_max).tolist():
        found.faults[position] = long_row(line_max)
    return found


def long_row(line_max: int) -> Fault:
    """The fault of a row that is too long."""
    return Fault("line", "long-line", f"is longer than {line_max:,} bytes")


def _at_once(data: bytes, dialect: Dialect, *, last: bool) -> Cut | None:
    """Cut where no row needs to be looked at by itself; None if one does."""
    array = np.frombuffer(data, dtype=np.uint8)
    delimiter = dialect.delimiter[0]
    ends = np.flatnonzero(array == _NEWLINE)
    quotes = np.zeros(0, dtype=np.int64)
    if dialect.quoted and data.find(b'"') >= 0:
        quotes = np.flatnonzero(array == _QUOTE)
        if not _regular(array, quotes, delimiter):
            return None
        ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
    elif not dialect.quoted and (b"\\\n" in data or b"\\" + dialect.delimiter in data):
        return None
    consumed = int(ends[-1]) + 1 if len(ends) else 0
    if last and consumed < len(data):
        if len(quotes) % 2:
            return None
        ends, consumed = np.append(ends, len(data)), len(data)
    if data.find(b"\r", 0, consumed) >= 0:
        returns = np.flatnonzero(array[:consumed] == _RETURN)
        returns = returns[np.searchsorted(quotes, returns) % 2 == 0]
        if not np.isin(returns + 1, ends).all():
            return None
    return _cut(data, array, np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends, ends, consumed)


def _regular(array: NDArray[np.uint8], quotes: Places, delimiter: int) -> bool:
    """Whether every quote begins a field, ends one, or is one of two in a quoted field."""
    near = np.diff(quotes) == 1
    before = np.where(quotes > 0, array[quotes - 1], _NEWLINE)[::2]
    begins = (before == delimiter) | (before == _NEWLINE)
    begins[1:] |= near[1::2]
    after = array[np.minimum(quotes + 1, len(array) - 1)][1::2]
    ends = (after == delimiter) | (after == _NEWLINE) | (after == _RETURN)
    ends |= quotes[1::2] + 1 == len(array)
    ends[: len(near[1::2])] |= near[1::2]
    return bool(begins.all() and ends.all())


def _cut(
    data: bytes,
    array: NDArray[np.uint8],
    starts: Places,
    stops: Places,
    consumed: int,
    faults: dict[int, Fault] | None = None,
) -> Cut:
    """The rows without the ends of their lines, and without blank ones."""
    if len(stops):
        ends_in_return = (stops > starts) & (array[np.maximum(stops - 1, 0)] == _RETURN)
        stops = stops - ends_in_return
    blank = stops == starts
    for position in np.flatnonzero(~blank)[array[starts[~blank]] == _SPACE].tolist():
        blank[position] = data[starts[position] : stops[position]].isspace()
    for position in np.flatnonzero(stops - starts == len(END_OF_COPY)).tolist():
        blank[position] |= data[starts[position] : stops[position]] == END_OF_COPY
    if not blank.any():
        return Cut(data, starts, stops, consumed, simple=faults is None, faults=faults or {})
    kept = np.cumsum(~blank) - 1
    return Cut(
        data,
        starts[~blank],
        stops[~blank],
        consumed,
        simple=faults is None,
        faults={int(kept[at]): fault for at, fault in (faults or {}).items() if not blank[at]},
    )


def _one_by_one(data: bytes, dialect: Dialect, *, last: bool, give_up: bool) -> Cut:
    """Cut where some quotes are not as they should be: a broken row ends with its first line."""
    whole, beginning = _PATTERNS.of(dialect)
    starts: list[int] = []
    stops: list[int] = []
    faults: dict[int, Fault] = {}
    at = 0
    while at < len(data):
        found = whole.match(data, at)
        stop = found.end() if found else -1
        ended = found is not None and data.startswith(b"\n", stop)
        if not ended and not (found and last):
            # Cut off, or broken. What is cut off in quotes matches up to the end of the text.
            cut_off = not last and (found is not None or beginning.match(data, at) is not None)
            line = data.find(b"\n", at)
            if (cut_off or (line < 0 and not last)) and not (give_up and not starts and line >= 0):
                break
            stop = line if line >= 0 else len(data)
            faults[len(starts)] = OPEN_QUOTE
        starts.append(at)
        stops.append(stop)
        at = stop + 1
    return _cut(
        data,
        np.frombuffer(data, dtype=np.uint8),
        np.array(starts, dtype=np.int64),
        np.array(stops, dtype=np.int64),
        min(at, len(data)),
        faults,
    )


class _Patterns:
    """A row, and the beginning of one that may go on: regular expressions, without backtracking."""

    @cached_property
    def _made(self) -> dict[Dialect, tuple[re.Pattern[bytes], re.Pattern[bytes]]]:
        return {}

    def of(self, dialect: Dialect) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
        if dialect not in self._made:
            self._made[dialect] = _patterns(dialect)
        return self._made[dialect]


def _patterns(dialect: Dialect) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    by = re.escape(dialect.delimiter)
    if not dialect.quoted:
        row = rb"(?>[^\\\n]++|\\(?s:.))*+(?:\\\Z)?"
        return re.compile(row + rb"(?=\n|\Z)"), re.compile(row + rb"\Z")
    inside = rb'"(?>[^"]++|"")*+'
    field = rb"(?>" + inside + rb'"(?=' + by + rb'|\r?\n|\r?\Z)|(?!")[^' + by + rb"\n]*+)"
    before = rb"(?>" + field + by + rb")*+"
    return re.compile(before + field + rb"\r?(?=\n|\Z)"), re.compile(before + inside + rb"\Z")


_PATTERNS = _Patterns()


def read_cuts(
    stream: BinaryIO, begin: int, end: int | None, dialect: Dialect, *, size: int, line_max: int
) -> Iterator[tuple[int, Cut]]:
    """Read a stream as rows.

    Args:
        stream: Stands at `begin`.
        begin: A byte offset at which a row begins.
        end: Where the last row ends; None for the stream's end.
        dialect: How fields are separated.
        size: About the most bytes of a cut, or of its first row where that is longer.
        line_max: A row of more bytes is not held.

    Yields:
        The offset of a cut's text in the stream, and the cut.
    """

    def take(at: int, most: int) -> bytes:
        return stream.read(most if end is None else min(most, end - at))

    rest, wanted = b"", size
    while True:
        more = take(begin + len(rest), wanted)
        data, last = rest + more, len(more) < wanted
        if not data:
            return
        too_long = len(data) > line_max
        found = cut(data, dialect, last=last, line_max=line_max, give_up=too_long)
        if too_long and not found.consumed:
            after = begin + len(data)
            while (more := take(after, _SKIP_BYTES)) and b"\n" not in more:
                after += len(more)
            skipped = more.find(b"\n") + 1
            at, to = np.zeros(1, dtype=np.int64), np.full(1, after + skipped - begin, dtype=np.int64)
            yield begin, Cut(b"", at, to, int(to[0]), simple=False, faults={0: long_row(line_max)})
            begin, rest = after + skipped, more[skipped:]
            wanted = size
            continue
        if found.consumed:
            yield begin, found
        begin, rest = begin + found.consumed, data[found.consumed :]
        wanted = max(size - len(rest), len(rest), 1) if rest else size
        if last and not rest:
            return


_ESCAPE = re.compile(rb"\\(?s:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|(.))|\\\Z")
_CONTROL = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
NULL_OF_COPY = b"\\N"


def unescaped(field: bytes | None) -> bytes | None:
    r"""A field of COPY's text format: `\N` alone is null."""
    if field is None or field == NULL_OF_COPY:
        return None
    return _ESCAPE.sub(_character, field)


def _character(found: re.Match[bytes]) -> bytes:
    octal, hexadecimal, other = found.groups()
    if octal is not None:
        return bytes([int(octal, 8) & 0xFF])
    if hexadecimal is not None:
        return bytes([int(hexadecimal, 16)])
    return b"\\" if other is None else _CONTROL.get(other, other)


def fields_of(row: bytes, dialect: Dialect) -> Fields:
    """The fields of one row that is not broken. Empty fields without quotes are null."""
    by = dialect.delimiter
    if not dialect.quoted:
        return [unescaped(field) for field in _parts(row, by)]
    if b'"' not in row:
        return [field or None for field in row.split(by)]
    fields: Fields = []
    at = 0
    while True:
        if row.startswith(b'"', at):
            stop = at + 1
            while row.startswith(b'""', stop := row.index(b'"', stop)):
                stop += 2
            fields.append(row[at + 1 : stop].replace(b'""', b'"'))
            at = stop + 1
        else:
            stop = row.find(by, at)
            stop = len(row) if stop < 0 else stop
            fields.append(row[at:stop] or None)
            at = stop
        if at >= len(row):
            return fields
        at += 1


def _parts(row: bytes, by: bytes) -> list[bytes]:
    """A row split where no backslash is before the delimiter."""
    if b"\\" + by not in row:
        return row.split(by)
    parts: list[bytes] = []
    begin = 0
    for found in re.finditer(rb"\\(?s:.)|" + re.escape(by), row):
        if found[0] == by:
            parts.append(row[begin : found.start()])
            begin = found.end()
    return [*parts, row[begin:]]
