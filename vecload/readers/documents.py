"""JSON documents, read whole: arrays of objects, and exports that are one object."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from vecload.batch import Span
from vecload.defaults import JSON_MAX_BYTES
from vecload.errors import SourceError
from vecload.mapping import Column, JsonRows
from vecload.mapping.rows import Fault
from vecload.readers.blocks import skip_blank
from vecload.readers.compressed import Unpacked
from vecload.readers.document_shapes import (
    SHAPES,
    TABLE_BEGINS,
    DocumentShape,
    is_docstore,
    is_table,
    shape_of_document,
)
from vecload.readers.json_causes import cause_in_document
from vecload.readers.source import HEAD_ROWS, Told, missing
from vecload.readers.storage import File, LocalFile, as_argument, as_file, unreadable

FIRST_LINE_BYTES = 2**20
"""Of a first line, which tell a document on one line from JSON Lines."""


class DocumentSource:
    """A file of one JSON document, which has to fit in memory. Rows are numbered as they stand in it.

    It is parsed when its first rows are looked at, and again when it is read: of several documents only one
    is held at a time.

    Args:
        file: The file, or the path of a local one.
        max_bytes: A larger one is refused.
    """

    def __init__(self, file: File | str, *, max_bytes: int = JSON_MAX_BYTES) -> None:
        self._file = as_file(file)
        self.name = self._file.name
        self.nbytes = self._file.nbytes or 0
        self._max_bytes = max_bytes
        self._shape: DocumentShape | None = None

    @property
    def files(self) -> Sequence[File]:
        """The document, and once its shape is known the one beside it that holds a part of its items."""
        beside = self._beside()
        return (self._file,) if beside is None else (self._file, beside)

    @property
    def told(self) -> Told:
        """The shape it was recognised by."""
        _ = self._first
        return Told("" if self._shape is None or self._shape.name == "array" else self._shape.name)

    @property
    def kind(self) -> str:
        """Its shape, if it is an export's, and its compression, if it is compressed."""
        codec = f", {self._file.codec}" if isinstance(self._file, Unpacked) else ""
        return f"a JSON document{f' of {self.told.shape}' if self.told.shape else ''}{codec}"

    def places(self, count: int) -> list[Span]:
        """Rows, evenly spread."""
        step = max(1, self.total_rows // (count + 1))
        return [Span(self.name, 0, row) for row in range(step, self.total_rows, step)][:count]

    @property
    def total_rows(self) -> int:
        """How many rows it holds."""
        return self._first[1]

    def part(self, span: Span) -> float:
        """By its rows."""
        return len(span) / (self.total_rows or 1)

    def columns(self) -> list[Column]:
        """The columns of its first rows."""
        head = self.head()
        return [] if head is None else head.columns()

    def head(self) -> JsonRows | None:
        """Its first rows."""
        return self._first[0]

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[JsonRows]:
        """Its rows in order."""
        gaps = [*missing(done, self.total_rows)]
        if not gaps:
            return
        exact = _Exact(self)
        rows = self.parse(orjson.loads)
        row_bytes = max(1, self.nbytes // max(len(rows), 1))
        step = max(1, min(batch_rows, batch_bytes // row_bytes))
        for gap in gaps:
            for start in range(gap.start, gap.stop, step):
                stop = min(start + step, gap.stop)
                yield _rows(Span(self.name, start, stop), rows[start:stop], exact)

    def close(self) -> None:
        """Nothing is held open."""

    @cached_property
    def _first(self) -> tuple[JsonRows | None, int]:
        """The first rows, and how many there are."""
        rows = self.parse(orjson.loads)
        count = min(len(rows), HEAD_ROWS)
        head = _rows(Span(self.name, 0, count), rows[:count], _Exact(self)) if count else None
        return head, len(rows)

    def parse(self, loads: Any) -> list[Any]:
        """All its rows, parsed by `orjson.loads` or by `json.loads`.

        Raises:
            SourceError: It can't be read, is too large, no JSON, or no export that is known.
        """
        document = self._load(self._file, loads)
        shape = self._shape = shape_of_document(document, self.name)
        beside = self._beside()
        return shape.rows(document, None if beside is None else self._load(beside, loads), self.name)

    def _beside(self) -> File | None:
        if self._shape is None or self._shape.beside is None or not isinstance(self._file, LocalFile):
            return None
        path = Path(self._file.path).parent / self._shape.beside
        return LocalFile(str(path)) if path.is_file() else None

    def _load(self, file: File, loads: Any) -> Any:
        too_large = SourceError(
            f"{file.name} is one JSON document of more than {self._max_bytes:,} bytes, which is read whole",
            hint="write it as JSON Lines (an array: jq -c '.[]'), or raise --max-json-bytes",
        )
        if (file.nbytes or 0) > self._max_bytes:
            raise too_large
        try:
            with file.open() as stream:
                text = stream.read(self._max_bytes + 1)
        except OSError as error:
            raise unreadable(file, error) from None
        if len(text) > self._max_bytes:
            raise too_large
        try:
            return loads(text.removeprefix(codecs.BOM_UTF8))
        except orjson.JSONDecodeError as error:
            cause = cause_in_document(error, text[:FIRST_LINE_BYTES], as_argument(file.name))
            raise SourceError(
                f"{file.name} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}",
                hint=cause or "NaN and Infinity are not JSON either; JSON Lines has one object a line",
            ) from None


class _Exact:
    """Rows with integers of any size kept exact: all are parsed again when the first is asked for."""

    def __init__(self, source: DocumentSource) -> None:
        self._source = source
        self._rows: list[Any] | None = None

    def __call__(self, row: int) -> Any:
        if self._rows is None:
            self._rows = self._source.parse(json.loads)
        return self._rows[row]


def _rows(span: Span, rows: list[Any], exact: _Exact) -> JsonRows:
    wrong = Fault("line", "not-object", "is no JSON object")
    broken = {position: wrong for position, row in enumerate(rows) if not isinstance(row, dict)}
    return JsonRows(
        span,
        [row if isinstance(row, dict) else {} for row in rows] if broken else rows,
        exact=lambda position: exact(span.start + position),
        broken=broken,
    )


def is_document(file: File) -> bool:
    """Whether a file that begins as a JSON object or array is one document, and not JSON Lines.

    A document stands on several lines, or alone on one and in a shape that is known.

    Raises:
        SourceError: It can't be read.
    """
    try:
        with file.open() as stream:
            begin = stream.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8).lstrip() or skip_blank(
                stream
            )
            line, newline, rest = begin.partition(b"\n")
            if not newline:
                line += stream.readline(FIRST_LINE_BYTES)
            if len(line) >= FIRST_LINE_BYTES and not line.endswith(b"\n"):
                return bool(TABLE_BEGINS.match(line)) or any(shape.begins.match(line) for shape in SHAPES)
            rest = rest.lstrip() or skip_blank(stream)
    except OSError as error:
        raise unreadable(file, error) from None
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line.startswith(b"[") or line.rstrip().endswith((b"{", b"[", b","))
    if rest:
        return False
    return is_docstore(document) or is_table(document) or any(s.recognised(document) for s in SHAPES)
