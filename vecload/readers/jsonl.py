"""JSON Lines, read in blocks of whole lines."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import orjson

from vecload.batch import Span
from vecload.defaults import LINE_MAX_BYTES
from vecload.mapping import Column, JsonRows
from vecload.mapping.rows import Fault
from vecload.readers.compressed import Unpacked
from vecload.readers.remote import RemoteFile
from vecload.readers.source import HEAD_ROWS, missing
from vecload.readers.storage import File, LocalFile, as_file, unreadable

HEAD_BYTES = 16 * 2**20
"""Enough rows to tell the columns of anything but huge rows, and these must not fill the memory."""

END_ROWS = 50
"""About how many rows before its end the last of its places is."""
SKIP_BYTES = 2**20
"""Of a line in whose midst a place falls; a longer one is no place to begin at."""


class JsonlSource:
    """A file of one JSON object a line. Blank lines are no rows; a last line needs no newline.

    Args:
        file: The file, or the path of a local one.
        line_max_bytes: A longer line is rejected.
    """

    total_rows = None

    def __init__(self, file: File | str, *, line_max_bytes: int = LINE_MAX_BYTES) -> None:
        self._file = as_file(file)
        self.files = (self._file,)
        self.name = self._file.name
        self.nbytes = self._file.nbytes or 0
        self._line_max = line_max_bytes

    @property
    def kind(self) -> str:
        """Its compression, if it is compressed."""
        return f"JSON Lines, {self._file.codec}" if isinstance(self._file, Unpacked) else "JSON Lines"

    def places(self, count: int) -> list[Span]:
        """Beginnings of lines, evenly spread by bytes; the last is near the end, where copies are cut off."""
        head = self.head()
        if head is None or not isinstance(self._file, LocalFile | RemoteFile):
            return []
        row_bytes = max(1, (head.span.end or 0) // len(head.span))
        found: list[Span] = []
        try:
            with self._file.open() as file:
                for place in range(1, count + 1):
                    at = max(0, self.nbytes - END_ROWS * row_bytes) * place // count
                    file.seek(at)
                    skipped = len(file.readline(SKIP_BYTES))
                    if at and skipped < SKIP_BYTES and at + skipped < self.nbytes:
                        found.append(Span(self.name, 0, (at + skipped) // row_bytes + 1, 0, at + skipped))
        except OSError as error:
            raise unreadable(self._file, error) from None
        return found

    def part(self, span: Span) -> float:
        """By its bytes, as many as they would be where it is stored."""
        size = (span.end or 0) - (span.begin or 0)
        return min(1.0, size * self._file.stored_part / self.nbytes) if self.nbytes else 0.0

    def columns(self) -> list[Column]:
        """The columns of its first rows."""
        head = self.head()
        return [] if head is None else head.columns()

    def head(self) -> JsonRows | None:
        """Its first rows."""
        return next(self.read(batch_rows=HEAD_ROWS, batch_bytes=HEAD_BYTES), None)

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[JsonRows]:
        """Its rows in order, from the byte where each gap begins."""
        for gap in missing(done, None):
            lines: list[bytes] = []
            offsets: list[int] = []
            size, row, end = 0, gap.start, gap.begin or 0
            for offset, end_of_line, line in self._lines(gap):
                if lines and (len(lines) >= batch_rows or size + len(line) > batch_bytes):
                    yield self._rows(row, lines, offsets, end)
                    row, size, lines, offsets = row + len(lines), 0, [], []
                lines.append(line)
                offsets.append(offset)
                size += len(line)
                end = end_of_line
            if lines:
                yield self._rows(row, lines, offsets, end)

    def _rows(self, start: int, lines: list[bytes], offsets: list[int], end: int) -> JsonRows:
        span = Span(self.name, start, start + len(lines), offsets[0], end)
        broken: dict[int, Fault] = {}
        rows: list[dict[str, Any]] = []
        for position, line in enumerate(lines):
            parsed = _parse(line, self._line_max)
            if isinstance(parsed, Fault):
                broken[position] = parsed
                parsed = {}
            rows.append(parsed)
        return JsonRows(
            span,
            rows,
            exact=lambda position: _exactly(lines[position]),
            broken=broken,
            offsets=offsets,
            lines=lines,
        )

    def _lines(self, gap: Span) -> Iterator[tuple[int, int, bytes]]:
        """The gap's lines that are not blank: offset, offset after it, and the line."""
        left = gap.stop - gap.start if gap.stop >= 0 else -1
        row = gap.start
        try:
            with self._file.open() as file:
                file.seek(gap.begin or 0)
                offset = gap.begin or 0
                while left != 0:
                    line, size = self._line(file)
                    if not size:
                        return
                    if offset == 0:
                        line = line.removeprefix(codecs.BOM_UTF8)
                    if line.strip():
                        yield offset, offset + size, line
                        left, row = left - 1, row + 1
                    offset += size
        except OSError as error:
            raise unreadable(self._file, error, f" after row {row - 1}" if row else "") from None

    def _line(self, file: BinaryIO) -> tuple[bytes, int]:
        """A line and its bytes in the file; of one too long only the beginning, cut to be no JSON."""
        line = file.readline(self._line_max + 1)
        size = len(line)
        if size <= self._line_max:
            return line, size
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(1 << 20)
            size += len(rest)
        return _TOO_LONG, size

    def close(self) -> None:
        """Nothing is held open."""


_TOO_LONG = b"(a line too long)"


def _parse(line: bytes, line_max_bytes: int) -> dict[str, Any] | Fault:
    if line is _TOO_LONG:
        return Fault("line", "long-line", f"is longer than {line_max_bytes:,} bytes")
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        # The parser's message names a kind and a place, never a value.
        return Fault("line", "not-json", f"is not JSON: {error.msg} at column {error.colno}")
    if not isinstance(row, dict):
        return Fault("line", "not-object", "is no JSON object")
    return row


def _exactly(line: bytes) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(line.removeprefix(codecs.BOM_UTF8))
    return row
