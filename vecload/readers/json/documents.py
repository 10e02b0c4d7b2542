"""JSON documents that are one object and are read whole, since a recipe makes rows of all of it."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.limits import JSON_MAX_BYTES
from vecload.mapping import Column, JsonRows
from vecload.mapping.forms import Form
from vecload.readers.json.causes import cause_in_document, hint_of_rows
from vecload.readers.json.outline import Outline, Place
from vecload.readers.source import HEAD_ROWS, Source, missing
from vecload.readers.storage.files import File, LocalFile, as_argument, as_file, unreadable
from vecload.readers.storage.transformed import storage_of
from vecload.recipes.reshape import Reshaped, reshaped

_BEGIN_BYTES = 2**20
"""Of a document that is not JSON, which show why."""


class DocumentSource(Source):
    """A file of one JSON document, which has to fit in memory. Rows are numbered in its order.

    It is parsed when its first rows are looked at, and again when it is read: of several documents only one
    is held at a time.

    Args:
        file: The file, or the path of a local one.
        outline: Its outline.
        max_bytes: A larger one is refused.
        ids: The ids of its rows, one a line; None leaves them as they are.
    """

    format = "json"

    def __init__(
        self,
        file: File | str,
        *,
        outline: Outline,
        max_bytes: int = JSON_MAX_BYTES,
        ids: File | None = None,
    ) -> None:
        self._ids = ids
        self._outline = outline
        self._file = as_file(file)
        super().__init__(self._file.name, [self._file], self._file.nbytes or 0)
        self._max_bytes = max_bytes
        self._form: Form | None = None

    @property
    def files(self) -> Sequence[File]:
        """The document, and once its form is known its companion, which holds a part of its items."""
        companion = self._companion()
        return tuple(file for file in (self._file, companion, self._ids) if file is not None)

    def form(self, columns: Sequence[Column]) -> Form | None:
        """The form by which its rows were made."""
        _ = self._first
        return self._form

    @property
    def kind(self) -> str:
        """The recipe by which its rows are made, and how it is stored."""
        form = self.form(())
        of = f" of {form.recipe}" if form and form.recipe else ""
        return f"a JSON document{of}{storage_of(self._file)}"

    def places(self, count: int) -> list[Span]:
        """Rows, evenly spread."""
        step = max(1, self.total_rows // (count + 1))
        return [Span(self.name, 0, row) for row in range(step, self.total_rows, step)][:count]

    @property
    def total_rows(self) -> int:
        """How many rows it holds."""
        return self._first[1]

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
        shaped = self.parse(orjson.loads)
        row_bytes = max(1, self.nbytes // max(len(shaped.rows), 1))
        step = max(1, min(batch_rows, batch_bytes // row_bytes))
        for gap in gaps:
            for start in range(gap.start, gap.stop, step):
                stop = min(start + step, gap.stop)
                yield _rows(Span(self.name, start, stop), shaped, exact)

    @cached_property
    def _first(self) -> tuple[JsonRows | None, int]:
        """The first rows, and how many there are."""
        shaped = self.parse(orjson.loads)
        count = min(len(shaped.rows), HEAD_ROWS)
        head = _rows(Span(self.name, 0, count), shaped, _Exact(self)) if count else None
        return head, len(shaped.rows)

    def parse(self, loads: Any) -> Reshaped:
        """All its rows, parsed by `orjson.loads` or by `json.loads`.

        Raises:
            SourceError: It can't be read, is too large, not JSON, or not a known export.
            MappingError: It looks like the exports of two tools.
        """
        outline = self._outline
        if outline.error is not None:
            raise self._not_json(self._file, outline.error, outline.place)
        if (self._file.nbytes or 0) > self._max_bytes and outline.value is not None:
            # A document that no recipe is for need not be read.
            self._form_of(outline.value)
        document = self._load(self._file, loads)
        form = self._form = self._form_of(document)
        companion = self._companion()
        made = reshaped(
            form, [document], {}, None if companion is None else self._load(companion, loads), self.name
        )
        if self._ids is not None:
            ids = ids_in(self._ids)
            if len(ids) != len(made.rows):
                raise wrong_count(self._ids.name, len(ids), self.name, len(made.rows))
            made.rows = [{**row, ID: one} for row, one in zip(made.rows, ids, strict=True)]
        return made

    def _form_of(self, document: Any) -> Form:
        form = self.recipes.form_of_document(document, self.name)
        if form is None:
            raise _unknown(document, self.name)
        return form

    def _companion(self) -> File | None:
        if self._form is None or not self._form.companion or not isinstance(self._file, LocalFile):
            return None
        path = Path(self._file.path).parent / self._form.companion
        return LocalFile(str(path)) if path.is_file() else None

    def _load(self, file: File, loads: Any) -> Any:
        too_large = SourceError(
            f"{file.name} is one JSON document of over {self._max_bytes:,} bytes, and is read whole",
            hint="write its rows as JSON Lines or as one array, or raise --max-json-bytes",
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
            raise self._not_json(file, error, Place(error.lineno, error.colno)) from None

    def _not_json(self, file: File, error: orjson.JSONDecodeError, place: Place) -> SourceError:
        cause = cause_in_document(error, error.doc[:_BEGIN_BYTES].encode(), as_argument(file.name))
        return SourceError(
            f"{file.name} is not JSON: {error.msg} at line {place.line}, column {place.column}",
            hint=cause or "NaN and Infinity are not JSON either; JSON Lines has one object a line",
        )


class _Exact:
    """Rows with integers of any size kept exact: all are parsed again when the first is asked for."""

    def __init__(self, source: DocumentSource) -> None:
        self._source = source
        self._rows: list[dict[str, Any]] | None = None

    def __call__(self, row: int) -> Any:
        if self._rows is None:
            self._rows = self._source.parse(json.loads).rows
        return self._rows[row]


def ids_in(file: File) -> list[str]:
    """The lines of a file."""
    try:
        with file.open() as stream:
            lines = [line.rstrip(b"\r\n") for line in stream]
    except OSError as error:
        raise unreadable(file, error) from None
    try:
        return [line.decode() for line in lines]
    except UnicodeDecodeError:
        raise SourceError(f"{file.name} is not UTF-8", hint="write one id a line") from None


def wrong_count(ids: str, count: int, source: str, rows: int) -> SourceError:
    """The error for another number of ids than of rows."""
    return SourceError(
        f"{ids} has {count} ids, but {source} has {rows} rows",
        hint="write one id a line, in the order of the rows",
    )


ID = "id"
"""The column of ids that a file of their own gives."""


def _rows(span: Span, shaped: Reshaped, exact: _Exact) -> JsonRows:
    return JsonRows(
        span,
        shaped.rows[span.start : span.stop],
        exact=lambda position: exact(span.start + position),
        broken={
            at - span.start: fault for at, fault in shaped.broken.items() if span.start <= at < span.stop
        },
    )


def _unknown(document: Any, name: str) -> SourceError:
    """The error for a document of which no recipe makes rows."""
    hint = hint_of_rows(document, name)
    if is_table(document) and not hint:
        hint = "JSON Lines has one a line, as pandas writes with to_json(path, orient='records', lines=True)"
    return SourceError(
        f"{name} is one JSON object, but not an export that vecload knows",
        hint=hint or "JSON Lines has one a line",
    )


def is_table(document: Any) -> bool:
    """Whether an object holds rows or columns, as pandas' `to_json` writes them, and is not a row itself."""
    if not isinstance(document, dict) or not document:
        return False
    values = [*document.values()]
    if isinstance(document.get("data"), list) and {"columns", "schema"} & document.keys():
        return all(isinstance(value, dict | list) for value in values)
    if all(isinstance(value, dict) for value in values):
        # Rows have the same columns, and columns the same rows.
        return bool(values[0]) and all(value.keys() == values[0].keys() for value in values)
    return all(isinstance(value, list) for value in values) and any(
        value and isinstance(value[0], dict | list) for value in values
    )
