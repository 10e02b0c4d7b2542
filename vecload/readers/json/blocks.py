"""Blocks: JSON Lines cut into pieces of whole lines, which are parsed and mapped by themselves."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import orjson

from vecload.batch import Span
from vecload.mapping.forms import Form
from vecload.mapping.json_rows import (
    JsonRows,
    ParsedVectors,
    VectorParser,
    inexact,
)
from vecload.mapping.rows import Fault
from vecload.readers.json.causes import cause_of
from vecload.recipes.reshape import reshaped

BLOCK_BYTES_MIN = 2**20
RECORD_SEPARATOR = 0x1E
"""What begins every record of a JSON text sequence, RFC 7464."""
_SKIP_BYTES = 2**20
_BLANK_BYTES = 2**6
"""Looked at first where a line begins with a blank: most have one or two."""
_BLANKS_BYTES = 2**16
_LOOK_BYTES = 2**16
"""Read at once where the end of a line is looked for: several lines of most files."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole lines.

    begin, end: their byte offsets in the file.
    data: the lines; None if they are still to be read, or are one line that is too long to be held.
    too_long: it is such a line.
    """

    begin: int
    end: int
    data: bytes | None = None
    too_long: bool = False


class Line(NamedTuple):
    """A line that is not blank, less a byte order mark or separator before it. Names its bytes, copies none.

    offset, end: where in the file it begins, and has ended.
    data: text that holds it; None if it is too long to be held.
    at, after: where in the text it begins, and has ended.
    """

    offset: int
    end: int
    data: bytes | None
    at: int
    after: int

    @property
    def text(self) -> bytes | None:
        """The line alone."""
        return None if self.data is None else self.data[self.at : self.after]


def read_blocks(
    stream: BinaryIO, begin: int, end: int | None, *, size: int, line_max: int
) -> Iterator[Block]:
    """Read a stream as blocks that hold their lines.

    Args:
        stream: Stands at `begin`.
        begin: A byte offset at which a line begins.
        end: Where the last line ends; None for the stream's end.
        size: The most bytes of a block, or after its first line where that is longer; after a line that is
            not held, a mebibyte.
        line_max: A line of more bytes is not held.
    """

    def take(at: int, most: int) -> bytes:
        return stream.read(most if end is None else min(most, end - at))

    rest = b""
    while True:
        more = take(begin + len(rest), size - len(rest) if len(rest) < size else size)
        cut = more.rfind(b"\n") + 1
        if cut or not more:
            data = rest + more[:cut]
            if data:
                yield Block(begin, begin + len(data), data)
            if not more:
                return
            begin, rest = begin + len(data), more[cut:]
            continue
        rest += more
        if len(rest) > min(_BLANKS_BYTES, line_max) and _blank(rest, begin):
            # Blanks before a line belong to no row, however many they are.
            yield Block(begin, begin + len(rest), rest)
            begin, rest = begin + len(rest), b""
            continue
        if len(rest) <= line_max:
            continue
        after = begin + len(rest)
        while (more := take(after, _SKIP_BYTES)) and b"\n" not in more:
            after += len(more)
        cut = more.find(b"\n") + 1
        yield Block(begin, after + cut, too_long=True)
        begin, rest = after + cut, b""
        if len(more) > cut:
            last = more.rfind(b"\n") + 1
            if last > cut:
                yield Block(begin, begin + last - cut, more[cut:last])
            begin, rest = begin + last - cut, more[last:]


def _blank(data: bytes, begin: int) -> bool:
    """Whether there are only blanks in what begins there in a file; a byte order mark counts as nothing."""
    return (data if begin else data.removeprefix(codecs.BOM_UTF8)).isspace()


def cut_blocks(
    stream: BinaryIO,
    begin: int,
    end: int | None,
    *,
    size: int,
    move: Callable[[BinaryIO, int, int], int] | None = None,
) -> Iterator[Block]:
    """Cut a file on a disk into blocks that are still to be read: only ends of lines are looked for.

    Args:
        stream: The file, unbuffered.
        begin: A byte offset at which a line begins.
        end: Where the last line ends; None for the file's end.
        size: The most bytes of a block; a longer line is a block by itself.
        move: Moves a cut onwards to where lines that belong together end; takes the stream, the cut, and the
            end of the last line.
    """
    while True:
        last = os.fstat(stream.fileno()).st_size if end is None else end
        if begin >= last:
            return
        cut = last if last - begin <= size else _cut(stream, begin, begin + size, last)
        if move is not None and cut < last:
            cut = move(stream, cut, last)
        yield Block(begin, cut)
        begin = cut


def _cut(stream: BinaryIO, begin: int, most: int, last: int) -> int:
    """The offset after the last line that ends within `[begin, most)`, or after the first line at all."""
    look = most
    while look > begin:
        until, look = look, max(begin, look - _LOOK_BYTES)
        found = os.pread(stream.fileno(), until - look, look).rfind(b"\n") + 1
        if found:
            return look + found
    return end_of_line(stream, most, last)


def end_of_line(stream: BinaryIO, at: int, last: int) -> int:
    """The offset after the line that a place is in, and at most `last`."""
    while at < last:
        more = os.pread(stream.fileno(), 2**20, at)
        found = more.find(b"\n") + 1
        if found or not more:
            return min(last, at + found) if more else last
        at += len(more)
    return last


def half_line(stream: BinaryIO, size: int, line_max: int) -> int | None:
    """Where a last line begins that was only half written; None if the last line is whole or not JSON.

    Args:
        stream: A file on a disk, unbuffered.
        size: Bytes of it that are looked at.
        line_max: A longer line is not looked at.
    """
    begin = size
    while begin > 0 and size - begin <= line_max:
        until, begin = begin, max(0, begin - _LOOK_BYTES)
        if found := os.pread(stream.fileno(), until - begin, begin).rfind(b"\n") + 1:
            begin += found
            break
    if not 0 < size - begin <= line_max:
        return None
    line = os.pread(stream.fileno(), size - begin, begin)
    if not begin:
        line = line.removeprefix(codecs.BOM_UTF8)
    try:
        # A character that is cut off does not make what is before it wrong.
        orjson.loads(line[: codecs.utf_8_decode(line, "strict", False)[1]])
    except orjson.JSONDecodeError as error:
        return begin if line.lstrip().startswith(b"{") and error.msg == CUT_OFF else None
    except UnicodeDecodeError:
        return None
    return None


CUT_OFF = "unexpected end of data"
"""What orjson says of any beginning of a JSON object, and of nothing else."""


def lines_of(block: Block, line_max: int) -> Iterator[Line]:
    """The lines of a block that are not blank, less byte order marks and record separators before them."""
    data, begin = block.data, block.begin
    if data is None:
        yield Line(begin, block.end, None, 0, block.end - begin)
        return
    at, size = 0, len(data)
    while at < size:
        first = at
        if data[at : at + 1] != b"{":
            # Blank lines are passed over all at once: each by itself takes as long as a row.
            first = not_blank(data, at)
            if first == size:
                return
            at = data.rfind(b"\n", at, first) + 1 or at
        after = data.find(b"\n", first) + 1 or size
        if after - at > line_max:
            yield Line(begin + at, begin + after, None, at, after)
        elif data[at : at + 1] == b"{" or (first := _first_of(data, at, after)) < after:
            yield Line(begin + at, begin + after, data, first, after)
        at = after


def _first_of(data: bytes, at: int, after: int) -> int:
    """Where a row begins in a line, after what some writers put before it; the line's end if it is blank."""
    first = at
    while True:
        if data.startswith(codecs.BOM_UTF8, first, after):
            first += len(codecs.BOM_UTF8)
        elif first < after and data[first] == RECORD_SEPARATOR:
            first += 1
        else:
            break
    rest = data[first:after].strip()
    # A file that was made longer before it was written to ends in NUL bytes, and not in a newline.
    blank = not rest or (not data.endswith(b"\n", first, after) and not rest.strip(b"\0"))
    return after if blank else first


def not_blank(data: bytes, at: int) -> int:
    """Where the first byte is that is not blank, from a place on; the length if there is none."""
    step = _BLANK_BYTES
    while at < len(data):
        piece = data[at : at + step]
        if rest := piece.lstrip():
            return at + len(piece) - len(rest)
        at, step = at + len(piece), _BLANKS_BYTES
    return at


def skip_blank(stream: BinaryIO) -> bytes:
    """Skip blank bytes of a stream, and give some bytes from the first one on that is not blank."""
    while piece := stream.read(_SKIP_BYTES):
        if rest := piece.lstrip():
            return rest
    return b""


def rows_of(
    source: str,
    start: int,
    lines: Sequence[Line],
    line_max: int,
    vector_parser: VectorParser | None = None,
    form: Form | None = None,
) -> JsonRows:
    """Some lines as rows.

    Args:
        source: The source's name.
        start: The number of the first row.
        lines: At least one.
        line_max: What a line that isn't held was longer than.
        vector_parser: Takes the vectors out of their rows at once.
        form: Changes each row by itself; None leaves them as they are.
    """
    rows: list[dict[str, Any]] = []
    broken: dict[int, Fault] = {}
    left: list[int] = []

    def parse(position: int) -> dict[str, Any]:
        parsed = parse_line(lines[position].text, line_max)
        left.append(position)
        if isinstance(parsed, dict):
            return parsed
        broken[position] = parsed
        return {}

    parsed = None
    if vector_parser is None:
        rows = [parse(position) for position in range(len(lines))]
    else:
        vectors = np.empty((len(lines), vector_parser.dimension), dtype=np.float32)
        with np.errstate(over="ignore"):
            found = vector_parser.parse_rows((line[2:] for line in lines), vectors)
        for position, row in enumerate(found):
            if row is None:
                vectors[position] = 1
            rows.append(parse(position) if row is None else row)
        for position in inexact(vectors):
            rows[position] = parse(position)
        parsed = ParsedVectors(vector_parser.column, vectors, tuple(left))
    if form is not None:
        shaped = reshaped(form, rows, broken)
        rows, broken = shaped.rows, shaped.broken

    def exact(position: int) -> dict[str, Any]:
        row = exactly(lines[position].text or b"{}")
        return row if form is None else reshaped(form, [row], {}).rows[0]

    return JsonRows(
        Span(source, start, start + len(lines), lines[0].offset, lines[-1].end),
        rows,
        exact=exact,
        broken=broken,
        offsets=[line.offset for line in lines],
        line=lambda position: lines[position].text or TOO_LONG,
        parsed_vectors=parsed,
    )


TOO_LONG = b"(a line too long)"


def parse_line(line: bytes | None, line_max: int) -> dict[str, Any] | Fault:
    """The object in a line, or why there is none; None stands for a line that is too long to be held."""
    if line is None:
        return Fault("line", "long-line", f"is longer than {line_max:,} bytes")
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        whole = _without_tail(line)
        if len(whole) < len(line):
            return parse_line(whole, line_max)
        # The parser's message names a kind and a place, never a value.
        cause = cause_of(error, line) or f"{error.msg} at column {error.colno}"
        return Fault("line", "not-json", f"is not JSON: {cause}")
    if not isinstance(row, dict):
        return Fault("line", "not-object", "is not a JSON object")
    return row


def _without_tail(line: bytes) -> bytes:
    """A line less the NUL bytes that a file was made longer by before it was written; these end no line."""
    return line.rstrip(b"\0")


def exactly(line: bytes) -> dict[str, Any]:
    """The object in a line, with exact integers of any size."""
    row: dict[str, Any] = json.loads(_without_tail(line))
    return row
