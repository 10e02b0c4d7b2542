"""Known shapes: how the exports of other tools lay out their columns. A new one is one entry of `SHAPES`.

A shape says which columns are the parts of an item. The rest is guessed, as for any source. Exports that are
one JSON document first become rows with the usual columns (`vecload/readers/json/documents.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vecload.mapping.columns import Column

Columns = Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class KnownShape:
    """The shape of one export. Of several names for a part, the first that exists counts.

    name: the value for `--shape`; variants of one tool share it.
    recognised: whether columns, by their names, have this shape.
    id, vector, contents, metadata: where each part is, also as paths. A vector may be an object of named
        vectors.
    left_out: columns that describe the export and not the item.
    unsupported: columns whose values an index can't store; a row with a value in one is a reject.
    inner: entries of the metadata object that are objects themselves, whose entries join it.
    """

    name: str
    recognised: Callable[[Columns], bool]
    id: tuple[str, ...] = ()
    vector: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()


def _has(*names: str) -> Callable[[Columns], bool]:
    return lambda columns: all(name in columns for name in names)


def _is_weaviate(columns: Columns) -> bool:
    return "properties" in columns and bool({"class", "collection", "vector", "vectors"} & columns.keys())


def _is_constructor(columns: Columns, outer: str = "") -> bool:
    """LangChain's serialised form: `{"lc": 1, "type": "constructor", "id": [...], "kwargs": {...}}`."""
    if outer:
        inside = columns.get(outer)
        return inside is not None and {"lc", "kwargs"} <= {field.name for field in inside.fields}
    return "lc" in columns and "kwargs" in columns


def _is_langchain_in(column: Column) -> bool:
    """Whether objects are documents as LangChain stores them: a text and an object of metadata."""
    kinds = {field.name: field.kind for field in column.fields}
    return kinds.get("page_content") == "text" and kinds.get("metadata") == "object"


SHAPES = (
    KnownShape(
        "elasticsearch",
        lambda columns: _has("_id", "_source")(columns) and "_index" in columns,
        id=("_id",),
        metadata=("_source",),
        left_out=(
            "_ignored",
            "_index",
            "_primary_term",
            "_routing",
            "_score",
            "_seq_no",
            "_type",
            "_version",
            "highlight",
            "sort",
        ),
    ),
    KnownShape(
        "pinecone",
        lambda columns: (
            {"id", "values"} <= columns.keys()
            and bool({"metadata", "sparse_values", "sparseValues"} & columns.keys())
        ),
        id=("id",),
        vector=("values",),
        metadata=("metadata",),
        unsupported=("sparse_values", "sparseValues"),
    ),
    KnownShape(
        "qdrant",
        lambda columns: _has("id", "vector", "payload")(columns) and _is_langchain_in(columns["payload"]),
        id=("id",),
        vector=("vector",),
        contents=("payload.page_content",),
        metadata=("payload",),
        left_out=("shard_key", "order_value", "version", "score"),
        inner=("metadata",),
    ),
    KnownShape(
        "qdrant",
        _has("id", "vector", "payload"),
        id=("id",),
        vector=("vector",),
        metadata=("payload",),
        left_out=("shard_key", "order_value", "version", "score"),
    ),
    KnownShape(
        "weaviate",
        _is_weaviate,
        id=("uuid", "id"),
        vector=("vector", "vectors"),
        metadata=("properties",),
        left_out=("vector", "vectors"),
    ),
    KnownShape(
        "langchain",
        _is_constructor,
        id=("kwargs.id",),
        vector=("embedding", "vector", "kwargs.embedding", "kwargs.vector"),
        contents=("kwargs.page_content",),
        metadata=("kwargs.metadata",),
        left_out=("lc", "type", "id", "name", "kwargs"),
    ),
    KnownShape(
        "langchain",
        lambda columns: _is_constructor(columns, "document"),
        id=("id", "document.kwargs.id"),
        vector=("embedding", "vector"),
        contents=("document.kwargs.page_content",),
        metadata=("document.kwargs.metadata",),
        left_out=("document",),
    ),
    KnownShape(
        "langchain",
        _has("page_content", "metadata"),
        id=("id",),
        contents=("page_content",),
        metadata=("metadata",),
        left_out=("type",),
    ),
    KnownShape(
        "langchain",
        _has("uuid", "collection_id", "embedding", "document", "cmetadata"),
        id=("uuid",),
        vector=("embedding",),
        contents=("document",),
        metadata=("cmetadata",),
    ),
    KnownShape(
        "llamaindex",
        lambda columns: "id_" in columns and bool({"text", "text_resource", "metadata"} & columns.keys()),
        id=("id_",),
        vector=("embedding",),
        contents=("text", "text_resource.text"),
        metadata=("metadata",),
        left_out=(
            "class_name",
            "end_char_idx",
            "excluded_embed_metadata_keys",
            "excluded_llm_metadata_keys",
            "hash",
            "metadata_seperator",
            "metadata_separator",
            "metadata_template",
            "mimetype",
            "relationships",
            "start_char_idx",
            "text_template",
        ),
    ),
)


def shape_of(columns: Sequence[Column], name: str | None) -> KnownShape | None:
    """The known shape of a source; None if it has none.

    Args:
        columns: The source's columns.
        name: The shape that the user named. Its first variant that fits counts; if none fits, its first
            variant.
    """
    by_name = {column.name: column for column in columns}
    named = [shape for shape in SHAPES if name in (None, shape.name)]
    found = next((shape for shape in named if shape.recognised(by_name)), None)
    return found or (named[0] if name is not None and named else None)
