"""Pages: lines of JSON that hold any number of rows, or of which two are one row."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, BinaryIO, TypeAlias, TypeGuard

import numpy as np

from vecload.batch import Span
from vecload.mapping.forms import Form
from vecload.mapping.json_rows import JsonRows, ParsedVectors, VectorParser, inexact, vector_parser_for
from vecload.mapping.mapping import ColumnMapping
from vecload.mapping.paths import EACH, ENTRIES
from vecload.mapping.rows import Fault
from vecload.readers.json.blocks import TOO_LONG, Line, end_of_line, exactly, parse_line
from vecload.recipes.reshape import reshaped

SINGLE_ROWS = 1.5
"""Rows of a page, on average, up to which its first row's vector is taken out of its text."""
FIRST_PAGES = 16
"""Pages that show how many rows they have."""
_BACK_BYTES = 2**16
_ALONE = Fault("line", "no-pair", "has no line after it that belongs to it")
_STRAY = Fault("line", "no-pair", "has no line before it that belongs to it")
_LOOK_BYTES = 2**16


class Pair:
    """Two lines that belong together, or one that stands alone. Has the places that a Line has.

    Args:
        lines: One or two.
        first: The first one, parsed, or why it can't be.
        form: How rows are made of them.
    """

    __slots__ = ("_first", "_form", "_lines", "end", "nbytes", "offset", "place")

    def __init__(self, lines: Sequence[Line], first: dict[str, Any] | Fault, form: Form) -> None:
        self._lines, self._first, self._form = lines, first, form
        line = lines[-1]
        self.offset, self.end = lines[0].offset, line.end
        # Where its second line is, which holds its vector; and how much of it is held, about.
        self.place: tuple[bytes | None, int, int] = (line.data, line.at, line.after)
        if len(lines) == 1:
            self.place = (None, 0, 0)
        self.nbytes = 0 if line.data is None else self.end - self.offset

    @property
    def text(self) -> bytes:
        """Its lines as the source has them."""
        return b"\n".join((line.text or TOO_LONG).rstrip(b"\r\n") for line in self._lines)

    def value(self, line_max: int, second: dict[str, Any] | None = None) -> dict[str, Any] | Fault:
        """Its object, or why there is none.

        Args:
            line_max: What a line that isn't held was longer than.
            second: Its second line, if that is parsed already.
        """
        if isinstance(self._first, Fault):
            return self._first
        if len(self._lines) < 2:
            return _ALONE if self._first.keys().isdisjoint(self._form.alone) else self._first
        found = parse_line(self._lines[1].text, line_max) if second is None else second
        if isinstance(found, dict):
            found = {**self._first, self._form.pairs: found}
        return found

    def exact(self) -> dict[str, Any]:
        """Its object with exact integers of any size."""
        first, *rest = [exactly(line.text or b"{}") for line in self._lines]
        return {**first, self._form.pairs: rest[0]} if rest else first


Page: TypeAlias = Line | Pair


def pages_of(lines: Iterable[Line], form: Form, line_max: int) -> Iterator[Page]:
    """Lines as pages: each by itself, or with the one after it if a form pairs them."""
    return _pairs_of(iter(lines), form, line_max) if form.pairs else iter(lines)


def _pairs_of(lines: Iterator[Line], form: Form, line_max: int) -> Iterator[Pair]:
    only, alone = frozenset(form.only), frozenset(form.alone)
    for line in lines:
        first = parse_line(line.text, line_max)
        if not is_first(first, only):
            yield Pair((line,), _STRAY if isinstance(first, dict) else first, form)
        elif not alone.isdisjoint(first):
            yield Pair((line,), first, form)
        else:
            second = next(lines, None)
            yield Pair((line,) if second is None else (line, second), first, form)


def is_first(line: dict[str, Any] | Fault, only: frozenset[str]) -> TypeGuard[dict[str, Any]]:
    """Whether a parsed line can be the first one of a pair, if the line before it ended one.

    A pair whose first line is missing then spoils no other one.

    Args:
        line: The line.
        only: The fields that a first line may have; if there are none, any object can be one.
    """
    return isinstance(line, dict) and (not only or only.issuperset(line))


def after_second(stream: BinaryIO, at: int, last: int, form: Form, line_max: int) -> int:
    """The offset of the first line from there on that is certain to begin a pair or to stand alone.

    It follows a line that can't be the first one of a pair, and so ended one.

    Args:
        stream: A file on a disk, unbuffered.
        at: Where a line begins.
        last: Where the last line ends.
        form: Has `only`.
        line_max: A line of more bytes is not looked at: it is no first line.
    """
    while at < last:
        line, look = b"", at
        while look < last and b"\n" not in line and len(line) <= line_max:
            line += os.pread(stream.fileno(), min(_LOOK_BYTES, last - look), look)
            look = at + len(line)
        end = line.find(b"\n") + 1 or len(line)
        if len(line) > line_max and end == len(line):
            return end_of_line(stream, look, last)
        at += end
        text = line[:end].strip()
        if text and not is_first(parse_line(text, line_max), frozenset(form.only)):
            return at
    return last


class Pager:
    """Makes rows of lines that are pages.

    Args:
        form: How rows are made of them.
        line_max: What a line that isn't held was longer than.
        parser: Takes vectors out of lines, if most of these have one row; None takes none.
    """

    def __init__(self, form: Form, line_max: int, parser: VectorParser | None = None) -> None:
        self._form, self._line_max, self._parser = form, line_max, parser
        self._single: bool | None = None if parser is not None else False

    def rows(
        self, gap: Span, lines: Iterable[Line], *, batch_rows: int, batch_bytes: int, skip: int = 0
    ) -> Iterator[JsonRows]:
        """The rows of some lines, in pieces.

        Args:
            gap: Their source, the number of the first row, and where they stop, if that is known.
            lines: From one on at which a page begins.
            batch_rows: The most rows of a piece.
            batch_bytes: The most bytes of lines that are held at once, or one page.
            skip: How many rows of the first page come before the first row.
        """
        row, size = gap.start, 0
        most = batch_rows if self._single is not None else min(batch_rows, FIRST_PAGES)
        held: list[Page] = []
        for page in chain(pages_of(lines, self._form, self._line_max), (None,)):
            # Few calls here: apart from parsing, a row takes a few microseconds.
            nbytes = 0 if page is None else page.nbytes if isinstance(page, Pair) else page.after - page.at
            if held and (page is None or len(held) >= most or size + nbytes > batch_bytes):
                parser = self._parser if self._single else None
                rows = PageRows(gap.source, row, held, self._form, self._line_max, skip, parser)
                most = batch_rows
                if self._parser is not None:
                    self._single = len(rows) <= SINGLE_ROWS * len(held)
                left = len(rows) if gap.stop < 0 else min(len(rows), gap.stop - row)
                for at in range(0, left, batch_rows):
                    yield rows.piece(at, min(at + batch_rows, left))
                row, size, held, skip = row + left, 0, [], 0
                if row == gap.stop:
                    return
            if page is not None:
                held.append(page)
                size += nbytes


class PageRows:
    """The rows of some pages, from which pieces are cut.

    Args:
        source: The source's name.
        start: The number of the first row.
        pages: At least one.
        form: How rows are made of them.
        line_max: What a line that isn't held was longer than.
        skip: How many rows of the first page come before the first row.
        parser: Takes the vector of each page's first row out of its line; None takes none.
    """

    def __init__(
        self,
        source: str,
        start: int,
        pages: Sequence[Page],
        form: Form,
        line_max: int,
        skip: int,
        parser: VectorParser | None = None,
    ) -> None:
        self._source, self._start, self._pages, self._skip = source, start, pages, skip
        self._parser, self._form = parser, form
        parsed: Sequence[dict[str, Any] | None] = [None] * len(pages)
        if parser is not None:
            self._vectors = np.empty((len(pages), parser.dimension), dtype=np.float32)
            places = [page.place if isinstance(page, Pair) else page[2:] for page in pages]
            with np.errstate(over="ignore"):
                parsed = found = parser.parse_rows(places, self._vectors)
            for at, row in enumerate(found):
                if row is None:
                    self._vectors[at] = 1
            for at in inexact(self._vectors):
                found[at] = None
        self._taken = [row is not None for row in parsed]
        broken: dict[int, Fault] = {}
        values: list[dict[str, Any]] = []
        pairs = bool(form.pairs)
        for at, row in enumerate(parsed):
            if row is None or pairs:
                page = pages[at]
                if isinstance(page, Pair):
                    value = page.value(line_max, row)
                else:
                    value = parse_line(page.text, line_max)
                if isinstance(value, Fault):
                    broken[at], value = value, {}
                row = value
            values.append(row)
        made = reshaped(form, values, broken)
        self._rows, self._origins, self._broken = made.rows, made.origins, made.broken

    def __len__(self) -> int:
        return len(self._rows) - self._skip

    @property
    def end(self) -> int:
        """Where the last page ends."""
        return self._pages[-1].end

    def piece(self, begin: int, end: int) -> JsonRows:
        """The rows from one position to another."""
        rows = range(begin + self._skip, end + self._skip)
        origins = self._origins[rows.start : rows.stop]
        # A row is found again by its page's place and its number in it: no page has as many rows as bytes.
        offsets = [self._pages[page].offset + number for page, number in origins]
        last = self._offset(rows.stop) if rows.stop < len(self._origins) else self.end
        return JsonRows(
            Span(self._source, self._start + begin, self._start + end, offsets[0], last),
            self._rows[rows.start : rows.stop],
            exact=lambda position: self._exact(*origins[position]),
            broken={row - rows.start: fault for row, fault in self._broken.items() if row in rows},
            offsets=offsets,
            line=lambda position: self._pages[origins[position][0]].text or TOO_LONG,
            parsed_vectors=self._parsed(origins),
        )

    def _exact(self, at: int, number: int) -> dict[str, Any]:
        page = self._pages[at]
        value = page.exact() if isinstance(page, Pair) else exactly(page.text or b"{}")
        return reshaped(self._form, [value], {}).rows[number]

    def _parsed(self, origins: Sequence[tuple[int, int]]) -> ParsedVectors | None:
        """The vectors that were taken out of some rows."""
        if self._parser is None or not any(self._taken[page] for page, _ in origins):
            return None
        left = tuple(at for at, (page, number) in enumerate(origins) if number or not self._taken[page])
        first, count = origins[0][0], len(origins)
        if origins[-1][0] - first + 1 == count and not any(number for _, number in origins):
            vectors = self._vectors[first : first + count]  # one row a page: nothing is copied
        else:
            vectors = self._vectors[[page for page, _ in origins]]
            vectors[[*left]] = 1
        return ParsedVectors(self._parser.column, vectors, left)

    def _offset(self, row: int) -> int:
        page, number = self._origins[row]
        return self._pages[page].offset + number


def page_parser_for(mapping: ColumnMapping, dimension: int, form: Form) -> VectorParser | None:
    """The parser that takes the vector of a page's first row out of its line; None if none can."""
    parser = vector_parser_for(mapping, dimension)
    if parser is None or form.columns or form.chunks or form.blocks or ENTRIES in (*form.rows, *form.each):
        return None
    steps = dict(mapping.nested).get(parser.column, (parser.column,))
    if form.pairs:
        # The second line of a pair is the value of this field.
        inside = steps[0] == form.pairs and len(steps) > 1
        return VectorParser(parser.column, dimension, steps[1:]) if inside else None
    whole = (*form.rows, *steps)
    return VectorParser(parser.column, dimension, tuple("[0]" if step == EACH else step for step in whole))


def begin_of_line(stream: BinaryIO, offset: int) -> int:
    """Where the line begins that an offset is in; the offset itself at the end.

    Raises:
        OSError: The stream can't be read.
    """
    at = offset
    stream.seek(offset)
    if not stream.read(1):
        return offset  # the last line has no newline
    while at:
        begin = max(0, at - _BACK_BYTES)
        stream.seek(begin)
        found = stream.read(at - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        at = begin
    return 0
