"""JSON documents, read whole: arrays of objects, and exports that are one object.

An export becomes rows with the usual columns. A new kind of export is one entry of `SHAPES`.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.limits import JSON_MAX_BYTES
from vecload.mapping import Column, JsonRows
from vecload.mapping.rows import Fault
from vecload.readers.json.blocks import skip_blank
from vecload.readers.json.causes import cause_in_document, hint_of_rows
from vecload.readers.source import HEAD_ROWS, ExportFacts, Source, missing
from vecload.readers.storage.files import File, LocalFile, as_argument, as_file, unreadable
from vecload.readers.storage.transformed import storage_of

FIRST_LINE_BYTES = 2**20
"""Bytes of a first line that distinguish a document on one line from JSON Lines."""


class DocumentSource(Source):
    """A file of one JSON document, which has to fit in memory. Rows are numbered in its order.

    It is parsed when its first rows are looked at, and again when it is read: of several documents only one
    is held at a time.

    Args:
        file: The file, or the path of a local one.
        max_bytes: A larger one is refused.
    """

    format = "json"

    def __init__(self, file: File | str, *, max_bytes: int = JSON_MAX_BYTES) -> None:
        self._file = as_file(file)
        super().__init__(self._file.name, [self._file], self._file.nbytes or 0)
        self._max_bytes = max_bytes
        self._shape: DocumentShape | None = None

    @property
    def files(self) -> Sequence[File]:
        """The document, and once its shape is known its companion, which holds a part of its items."""
        companion = self._companion()
        return (self._file,) if companion is None else (self._file, companion)

    @property
    def export(self) -> ExportFacts:
        """The shape it was recognised by."""
        _ = self._first
        return ExportFacts("" if self._shape is None or self._shape.name == "array" else self._shape.name)

    @property
    def kind(self) -> str:
        """Its shape, if it is an export's, and its compression, if it is compressed."""
        shape = f" of {self.export.shape}" if self.export.shape else ""
        return f"a JSON document{shape}{storage_of(self._file)}"

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
        rows = self.parse(orjson.loads)
        row_bytes = max(1, self.nbytes // max(len(rows), 1))
        step = max(1, min(batch_rows, batch_bytes // row_bytes))
        for gap in gaps:
            for start in range(gap.start, gap.stop, step):
                stop = min(start + step, gap.stop)
                yield _rows(Span(self.name, start, stop), rows[start:stop], exact)

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
            SourceError: It can't be read, is too large, not JSON, or not a known export.
        """
        document = self._load(self._file, loads)
        shape = self._shape = shape_of_document(document, self.name)
        companion = self._companion()
        return shape.rows(document, None if companion is None else self._load(companion, loads), self.name)

    def _companion(self) -> File | None:
        if self._shape is None or self._shape.companion is None or not isinstance(self._file, LocalFile):
            return None
        path = Path(self._file.path).parent / self._shape.companion
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
    wrong = Fault("line", "not-object", "is not a JSON object")
    broken = {position: wrong for position, row in enumerate(rows) if not isinstance(row, dict)}
    return JsonRows(
        span,
        [row if isinstance(row, dict) else {} for row in rows] if broken else rows,
        exact=lambda position: exact(span.start + position),
        broken=broken,
    )


def is_document(file: File) -> bool:
    """Whether a file that begins as a JSON object or array is one document, and not JSON Lines.

    A document takes several lines, or it is the only line and has a known shape.

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


Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DocumentShape:
    """One shape of a document.

    name: as `--shape` takes it.
    begins: how such a document begins where it is written on one long line.
    recognised: whether a parsed document is of this shape.
    rows: its rows, with those of `id`, `vector`, `contents` and `metadata` that it has. Takes the document,
        the companion document or None, and the file's name for messages.
    companion: the name of a file in the same folder that holds a part of the items.
    """

    name: str
    begins: re.Pattern[bytes]
    recognised: Callable[[Any], bool]
    rows: Callable[[Any, Any, str], list[Any]]
    companion: str | None = None


def shape_of_document(document: Any, name: str) -> DocumentShape:
    """The shape of a parsed document.

    Args:
        document: As it was parsed.
        name: The file's, for messages.

    Raises:
        SourceError: It has no known shape.
    """
    for shape in SHAPES:
        if shape.recognised(document):
            return shape
    if is_docstore(document):
        raise SourceError(
            f"{name} is LlamaIndex's document store, which holds no vectors",
            hint="name the vector store in the same folder, default__vector_store.json: vecload reads both",
        )
    hint = hint_of_rows(document, name)
    if is_table(document) and not hint:
        hint = "JSON Lines has one a line, as pandas writes with to_json(path, orient='records', lines=True)"
    raise SourceError(
        f"{name} is one JSON object, but not an export that vecload knows",
        hint=hint or "JSON Lines has one a line",
    )


def is_docstore(document: Any) -> bool:
    """Whether it is LlamaIndex's document store, which is read together with the vector store."""
    return isinstance(document, dict) and ("docstore/data" in document or "docstore/metadata" in document)


TABLE_BEGINS = re.compile(
    rb"""\s*\{\s*("schema"\s*:\s*\{\s*"fields"|"columns"\s*:\s*\[[^]]*\]\s*,\s*"(index|data)"|("[^"]*"\s*:\s*\{\s*)?"0"\s*:)"""
)
"""How a table that is one long line begins, in each of pandas' ways."""


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


def _array(document: Any, _companion: Any, _name: str) -> list[Any]:
    rows: list[Any] = document
    return rows


def _is_chroma(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and isinstance(document.get("ids"), list)
        and bool({"embeddings", "documents", "metadatas"} & document.keys())
    )


_CHROMA = {
    "embeddings": "vector",
    "documents": "contents",
    "metadatas": "metadata",
    "uris": "uri",
}


def _chroma(document: Any, _companion: Any, name: str) -> list[Row]:
    ids = document["ids"]
    if ids and isinstance(ids[0], list):
        raise SourceError(
            f"{name} is the result of a Chroma query, whose lists are nested",
            hint="export the collection: collection.get(include=['embeddings', 'documents', 'metadatas'])",
        )
    if document.get("data"):
        raise SourceError(
            f"{name} holds Chroma's 'data', which an index can't store", hint="export it without 'data'"
        )
    columns = {"id": ids}
    for key, column in _CHROMA.items():
        values = document.get(key)
        if values is None:
            continue
        if not isinstance(values, list) or len(values) != len(ids):
            have = len(values) if isinstance(values, list) else "no list of"
            raise SourceError(
                f"{name} has {len(ids)} ids and {have} {key}", hint="export the collection again"
            )
        columns[column] = values
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _is_langchain(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and bool(document)
        and all(
            isinstance(entry, dict)
            and {"id", "vector", "text"} <= entry.keys()
            and not isinstance(entry["id"], list)
            for entry in islice(document.values(), 10)
        )
    )


def _langchain(document: Any, _companion: Any, _name: str) -> list[Row]:
    return [_langchain_row(item_id, entry) for item_id, entry in document.items()]


def _langchain_row(item_id: str, entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    metadata = entry.get("metadata")
    if isinstance(metadata, dict) and metadata.keys() == {"__lc_escaped__"}:
        # So it writes metadata with a key 'lc', which would look like a serialised object.
        metadata = metadata["__lc_escaped__"]
    return {
        "id": entry.get("id") or item_id,
        "vector": entry.get("vector"),
        "contents": entry.get("text"),
        "metadata": metadata,
    }


def _is_llamaindex(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("embedding_dict"), dict)


_OF_NODES = ("_node_content", "_node_type", "document_id", "doc_id", "ref_doc_id")
"""What LlamaIndex's vector store adds to a node's own metadata."""


def _llamaindex(document: Any, companion: Any, _name: str) -> list[Row]:
    stored = companion.get("docstore/data", {}) if isinstance(companion, dict) else {}
    own = document.get("metadata_dict") or {}
    parents = document.get("text_id_to_ref_doc_id") or {}
    rows: list[Row] = []
    for item_id, vector in document["embedding_dict"].items():
        node = (stored.get(item_id) or {}).get("__data__") or {}
        metadata = node.get("metadata")
        if metadata is None:
            metadata = {key: value for key, value in (own.get(item_id) or {}).items() if key not in _OF_NODES}
        parent = parents.get(item_id)
        if parent not in (None, "None"):
            metadata = {**metadata, "ref_doc_id": parent}
        contents = node.get("text", (node.get("text_resource") or {}).get("text"))
        rows.append({"id": item_id, "vector": vector, "contents": contents, "metadata": metadata})
    return rows


SHAPES = (
    DocumentShape("array", re.compile(rb"\s*\["), lambda document: isinstance(document, list), _array),
    DocumentShape("chroma", re.compile(rb'\s*\{\s*"ids"\s*:\s*\['), _is_chroma, _chroma),
    DocumentShape(
        "llamaindex",
        re.compile(rb'\s*\{\s*"embedding_dict"\s*:'),
        _is_llamaindex,
        _llamaindex,
        companion="docstore.json",
    ),
    DocumentShape(
        "langchain",
        re.compile(rb'\s*\{\s*"([^"\\]+)"\s*:\s*\{\s*"id"\s*:\s*"\1"\s*,\s*"vector"\s*:'),
        _is_langchain,
        _langchain,
    ),
)
