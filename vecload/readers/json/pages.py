"""Pages: lines of JSON that hold any number of rows, or of which two are one row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from vecload.batch import Span
from vecload.mapping.forms import Form
from vecload.mapping.json_rows import JsonRows, ParsedVectors, VectorParser, inexact, vector_parser_for
from vecload.mapping.mapping import ColumnMapping
from vecload.mapping.paths import EACH, ENTRIES
from vecload.mapping.rows import Fault
from vecload.readers.json.blocks import TOO_LONG, Line, exactly, parse_line
from vecload.recipes.reshape import reshaped

_BACK_BYTES = 2**16
_ALONE = Fault("line", "no-pair", "has no line after it that belongs to it")


class Page:
    """One line, or two that belong together.

    Args:
        lines: These lines.
        form: How rows are made of them.
        line_max: What a line that isn't held was longer than.

    Attributes:
        nbytes: How long it is.
    """

    def __init__(self, lines: Sequence[Line], form: Form, line_max: int) -> None:
        self._lines = lines
        self._form = form
        self._line_max = line_max
        self.nbytes = 0
        for line in lines:
            if line.data is not None:
                self.nbytes += line.after - line.at

    @property
    def place(self) -> tuple[bytes | None, int, int]:
        """A text that holds its first line, and where the line begins and ends in it."""
        line = self._lines[0]
        return line.data, line.at, line.after

    @property
    def offset(self) -> int:
        """Where it begins in the file."""
        return self._lines[0].offset

    @property
    def end(self) -> int:
        """Where it ends in the file."""
        return self._lines[-1].end

    @property
    def text(self) -> bytes:
        """The page as the source has it."""
        return b"\n".join((line.text or TOO_LONG).rstrip(b"\r\n") for line in self._lines)

    def value(self, *, exact: bool = False) -> dict[str, Any] | Fault:
        """Its object, or why there is none."""
        parsed = [self._parsed(line, exact=exact) for line in self._lines]
        fault = next((each for each in parsed if isinstance(each, Fault)), None)
        if fault is not None:
            return fault
        first, *second = [each for each in parsed if isinstance(each, dict)]
        if second:
            return {**first, self._form.pairs: second[0]}
        return _ALONE if self._form.pairs and first.keys().isdisjoint(self._form.alone) else first

    def _parsed(self, line: Line, *, exact: bool) -> dict[str, Any] | Fault:
        return exactly(line.text or b"{}") if exact else parse_line(line.text, self._line_max)

    def exact_row(self, number: int) -> dict[str, Any]:
        """One of its rows, with exact integers of any size."""
        value = self.value(exact=True)
        return {} if isinstance(value, Fault) else reshaped(self._form, [value], {}).rows[number]


def pages_of(lines: Iterator[Line], form: Form, line_max: int) -> Iterator[Page]:
    """Lines as pages: each by itself, or with the one after it if a form pairs them."""
    for line in lines:
        pair = [line]
        if form.pairs:
            first = parse_line(line.text, line_max)
            if isinstance(first, dict) and first.keys().isdisjoint(form.alone):
                pair += [second for second in [next(lines, None)] if second is not None]
        yield Page(pair, form, line_max)


class PageRows:
    """The rows of some pages, from which pieces are cut.

    Args:
        source: The source's name.
        start: The number of the first row.
        pages: At least one.
        form: How rows are made of them.
        skip: How many rows of the first page come before the first row.
        parser: Takes the vector of each page's first row out of its line; None takes none.
    """

    def __init__(
        self,
        source: str,
        start: int,
        pages: Sequence[Page],
        form: Form,
        skip: int,
        parser: VectorParser | None = None,
    ) -> None:
        self._source, self._start, self._pages, self._skip = source, start, pages, skip
        self._parser = parser
        parsed: list[dict[str, Any] | None] = [None] * len(pages)
        if parser is not None:
            self._vectors = np.ones((len(pages), parser.dimension), dtype=np.float32)
            with np.errstate(over="ignore"):
                parsed = parser.parse_rows((page.place for page in pages), self._vectors)
            for page in inexact(self._vectors):
                parsed[page] = None
        self._taken = [row is not None for row in parsed]
        values = [page.value() if row is None else row for page, row in zip(pages, parsed, strict=True)]
        broken = {at: value for at, value in enumerate(values) if isinstance(value, Fault)}
        found = reshaped(form, [{} if isinstance(value, Fault) else value for value in values], broken)
        self._rows, self._origins, self._broken = found.rows, found.origins, found.broken

    def __len__(self) -> int:
        return len(self._rows) - self._skip

    @property
    def end(self) -> int:
        """Where the last page ends."""
        return self._pages[-1].end

    def piece(self, begin: int, end: int) -> JsonRows:
        """The rows from one position to another."""
        rows = range(begin + self._skip, end + self._skip)
        origins = [self._origins[row] for row in rows]
        # A row is found again by its page's place and its number in it: no page has as many rows as bytes.
        offsets = [self._pages[page].offset + number for page, number in origins]
        after = end + self._skip
        last = self._offset(after) if after < len(self._origins) else self.end
        return JsonRows(
            Span(self._source, self._start + begin, self._start + end, offsets[0], last),
            [self._rows[row] for row in rows],
            exact=lambda position: self._pages[origins[position][0]].exact_row(origins[position][1]),
            broken=_within(self._broken, rows),
            offsets=offsets,
            line=lambda position: self._pages[origins[position][0]].text,
            parsed_vectors=self._parsed(origins),
        )

    def _parsed(self, origins: Sequence[tuple[int, int]]) -> ParsedVectors | None:
        """The vectors that were taken out of some rows."""
        if self._parser is None or not any(self._taken[page] for page, _ in origins):
            return None
        left = [at for at, (page, number) in enumerate(origins) if number or not self._taken[page]]
        vectors = self._vectors[[page for page, _ in origins]]
        vectors[left] = 1
        return ParsedVectors(self._parser.column, vectors, tuple(left))

    def _offset(self, row: int) -> int:
        page, number = self._origins[row]
        return self._pages[page].offset + number


def _within(broken: Mapping[int, Fault], rows: range) -> dict[int, Fault]:
    return {row - rows.start: fault for row, fault in broken.items() if row in rows}


def page_parser_for(mapping: ColumnMapping, dimension: int, form: Form) -> VectorParser | None:
    """The parser that takes the vector of a page's first row out of its line; None if none can."""
    parser = vector_parser_for(mapping, dimension)
    way = form.rows or form.each
    if parser is None or form.pairs or form.columns or ENTRIES in way:
        return None
    steps = dict(mapping.nested).get(parser.column, (parser.column,))
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
