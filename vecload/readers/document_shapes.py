"""Exports that are one JSON document, as rows of the usual columns. A new one is one entry of `SHAPES`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from vecload.errors import SourceError
from vecload.readers.rows_inside import hint_of_rows

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DocumentShape:
    """One shape of a document.

    name: as `--shape` takes it.
    begins: how such a document begins where it is written on one long line.
    recognised: whether a parsed document is of this shape.
    rows: its rows, with `id`, `vector`, `contents` and `metadata` as far as it has them. Takes the document,
        the document beside it, None if there is none, and the file's name for messages.
    beside: the name of a file in the same folder that holds a part of the items.
    """

    name: str
    begins: re.Pattern[bytes]
    recognised: Callable[[Any], bool]
    rows: Callable[[Any, Any, str], list[Any]]
    beside: str | None = None


def shape_of_document(document: Any, name: str) -> DocumentShape:
    """The shape of a parsed document.

    Args:
        document: As it was parsed.
        name: The file's, for messages.

    Raises:
        SourceError: It is none that is known.
    """
    for shape in SHAPES:
        if shape.recognised(document):
            return shape
    if is_docstore(document):
        raise SourceError(
            f"{name} is LlamaIndex's document store, which holds no vectors",
            hint="name the vector store beside it, default__vector_store.json: both are read",
        )
    hint = hint_of_rows(document, name)
    if is_table(document) and not hint:
        hint = "JSON Lines has one a line, as pandas writes with to_json(path, orient='records', lines=True)"
    raise SourceError(
        f"{name} is one JSON object, and no export that vecload knows",
        hint=hint or "JSON Lines has one a line",
    )


def is_docstore(document: Any) -> bool:
    """Whether it is LlamaIndex's document store, which is read with the vector store beside it."""
    return isinstance(document, dict) and ("docstore/data" in document or "docstore/metadata" in document)


TABLE_BEGINS = re.compile(
    rb"""\s*\{\s*("schema"\s*:\s*\{\s*"fields"|"columns"\s*:\s*\[[^]]*\]\s*,\s*"(index|data)"|("[^"]*"\s*:\s*\{\s*)?"0"\s*:)"""
)
"""How a table that is one long line begins, in each of pandas' ways."""


def is_table(document: Any) -> bool:
    """Whether an object holds rows or columns, as pandas' `to_json` writes them, and is no row itself."""
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


def _array(document: Any, _beside: Any, _name: str) -> list[Any]:
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


def _chroma(document: Any, _beside: Any, name: str) -> list[Row]:
    ids = document["ids"]
    if ids and isinstance(ids[0], list):
        raise SourceError(
            f"{name} is the result of a Chroma query, whose lists are nested",
            hint="export the collection: collection.get(include=['embeddings', 'documents', 'metadatas'])",
        )
    if document.get("data"):
        raise SourceError(
            f"{name} holds Chroma's 'data', which an index can't", hint="export it without 'data'"
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


def _langchain(document: Any, _beside: Any, _name: str) -> list[Row]:
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


def _llamaindex(document: Any, beside: Any, _name: str) -> list[Row]:
    stored = beside.get("docstore/data", {}) if isinstance(beside, dict) else {}
    told = document.get("metadata_dict") or {}
    parents = document.get("text_id_to_ref_doc_id") or {}
    rows: list[Row] = []
    for item_id, vector in document["embedding_dict"].items():
        node = (stored.get(item_id) or {}).get("__data__") or {}
        metadata = node.get("metadata")
        if metadata is None:
            metadata = {
                key: value for key, value in (told.get(item_id) or {}).items() if key not in _OF_NODES
            }
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
        beside="docstore.json",
    ),
    DocumentShape(
        "langchain",
        re.compile(rb'\s*\{\s*"([^"\\]+)"\s*:\s*\{\s*"id"\s*:\s*"\1"\s*,\s*"vector"\s*:'),
        _is_langchain,
        _langchain,
    ),
)
