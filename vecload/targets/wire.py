"""The wire formats: encode a batch as the body of a service request. No I/O.

Both formats transfer every float32 exactly. `binary` sends the bytes of the vectors as base64. `json` sends
every value as a float64, since the shortest text of some float32 parses as its neighbour (0x15ae43fd).
"""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import numpy as np
import orjson
import pybase64

from vecload.batch import Batch
from vecload.options import WireFormat
from vecload.targets.queries import Query

PIECE_BYTES = 288 * 1024
"""A multiple of 3, since base64 turns three bytes into four; small enough for a core's cache of 1 MiB."""
JSON_VALUE_BYTES = 18
"""Approximate text of a float32 as a float64, with its comma."""
QUERY_VECTORS = 100
"""Vectors of one query: the answer holds `top_k` results with metadata for each."""
QUERY_BYTES = 5_000_000
"""Approximate largest text of the vectors of one query."""


class Body:
    """The body of a request. Iterating yields its bytes, as often as needed.

    Args:
        parts: Bytes that are sent as they are, and views of memory that are sent as base64. These are encoded
            a piece at a time: a piece that stays in the processor's cache needs no new memory, whose pages
            cost more time than base64.

    Attributes:
        nbytes: The length in bytes.
    """

    def __init__(self, *parts: bytes | memoryview) -> None:
        self._parts = parts
        self.nbytes = sum(
            len(part) if isinstance(part, bytes) else (part.nbytes + 2) // 3 * 4 for part in parts
        )

    def texts(self) -> list[bytes]:
        """The parts that are sent as they are."""
        return [part for part in self._parts if isinstance(part, bytes)]

    def __iter__(self) -> Generator[bytes, None, None]:
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
            else:
                for at in range(0, part.nbytes, PIECE_BYTES):
                    yield pybase64.b64encode(part[at : at + PIECE_BYTES])


def choose_format(batch: Batch, wire: WireFormat, binary_threshold: int) -> WireFormat:
    """The format for one batch, `json` or `binary`. Items without vectors need JSON."""
    if batch.vectors is None:
        return "json"
    if wire != "auto":
        return wire
    return "binary" if len(batch) >= binary_threshold else "json"


def vectors_text_bytes(batch: Batch, wire: WireFormat) -> int:
    """Approximate bytes of the vectors in a body, so that a body that is too large need not be encoded."""
    if batch.vectors is None:
        return 0
    return batch.vectors.nbytes * 4 // 3 if wire == "binary" else batch.vectors.size * JSON_VALUE_BYTES


def encode_json(batch: Batch, index_name: str, index_key: str | None) -> Body:
    """The body of `POST /v1/vectors/upsert`.

    Args:
        batch: With vectors for all items or for none.
        index_name: The index.
        index_key: 64 lower-case hex digits; None if the service needs none.
    """
    items: list[dict[str, Any]] = [{"id": item_id} for item_id in batch.ids]
    if batch.metadata is not None:
        for item, metadata in zip(items, batch.metadata, strict=True):
            if metadata is not None:
                item["metadata"] = metadata
    if batch.contents is not None:
        for item, contents in zip(items, batch.contents, strict=True):
            if contents is not None:
                item["contents"] = contents_text(contents)
    if batch.vectors is not None:
        for item, vector in zip(items, batch.vectors.astype(np.float64), strict=True):
            item["vector"] = vector
    return Body(_head(index_name, index_key) + b'"items":', dumps(items), b"}")


def encode_binary(batch: Batch, index_name: str, index_key: str | None) -> Body:
    """The body of `POST /v1/vectors/upsert_binary`.

    Args:
        batch: With vectors for all items.
        index_name: The index.
        index_key: 64 lower-case hex digits; None if the service needs none.
    """
    if batch.vectors is None:
        raise ValueError("a batch without vectors has no binary form")
    dimension = b',"dimension":%d,"vectors_b64":"' % batch.vectors.shape[1]
    head = b"".join((_head(index_name, index_key), b'"batch":{"ids":', dumps(batch.ids), dimension))
    rest = [b'"']
    if batch.metadata is not None:
        rest += (b',"metadata":', dumps(batch.metadata))
    if batch.contents is not None:
        contents = [None if value is None else contents_text(value) for value in batch.contents]
        rest += (b',"contents":', dumps(contents))
    return Body(head, batch.vectors.data.cast("B"), *rest, b"}}")


def query_rows(query: Query) -> int:
    """How many of a query's vectors one request may have."""
    if query.vectors is None:
        return 1
    dimension: int = query.vectors.shape[1]
    return max(1, min(QUERY_VECTORS, QUERY_BYTES // (dimension * JSON_VALUE_BYTES)))


def encode_query(query: Query, *, binary: bool) -> dict[str, Any]:
    """The fields of `POST /v1/vectors/query`, or of `query_binary`, which gets vectors as base64."""
    fields = query.arguments()
    if query.vectors is None:
        return fields
    if binary:
        encoded = pybase64.b64encode_as_string(query.vectors.data.cast("B"))
        return {**fields, "batch": {"vectors_b64": encoded, "dimension": query.vectors.shape[1]}}
    vectors = query.vectors.astype(np.float64)
    return {**fields, "query_vectors": vectors[0] if len(query) == 1 else vectors}


def dumps(value: Any) -> bytes:
    """JSON bytes. Integers of any size stay exact; NumPy arrays become lists of numbers."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        # orjson handles integers of up to 64 bits.
        return json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_as_list
        ).encode()


def _as_list(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def _head(index_name: str, index_key: str | None) -> bytes:
    key = b"" if index_key is None else b'"index_key":"%b",' % index_key.encode("ascii")
    return b'{"index_name":%b,%b' % (orjson.dumps(index_name), key)


def contents_text(contents: str | bytes) -> str:
    """Unsealed contents as the official SDK sends them: text as it is, bytes as base64."""
    return contents if isinstance(contents, str) else pybase64.b64encode_as_string(contents)
