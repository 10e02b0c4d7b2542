"""Rows by the tools themselves: what their own clients write. Imported when a case needs them.

Files of tools that take long to install are in tests/recipes/files (make_files.py).
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, TypeAlias

V = [[0.11, -0.22, 0.33, 0.44], [0.5, 0.25, -0.125, 0.75]]
T = ["the boiler in unit 7 leaks", "invoice 4411 is disputed by the buyer"]
Rows: TypeAlias = list[dict[str, Any]] | dict[str, Any]


@dataclass(frozen=True)
class Made:
    """What makes rows.

    tool: The package by which.
    make: Gives lines, a document, or the path of a file that it wrote into a folder.
    """

    tool: str
    make: Callable[[Path], Rows | Path]


def lines(text: str | bytes) -> list[dict[str, Any]]:
    """JSON Lines as objects."""
    return [json.loads(line) for line in text.splitlines() if line]


class _Bulk(BaseHTTPRequestHandler):
    """Takes `_bulk` requests, as a server that indexes everything."""

    bodies: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append(body)  # type: ignore[attr-defined]
        items = [{name: {"status": 200} for name in line} for line in lines(body) if "text" not in line]
        answer = json.dumps({"errors": False, "items": items}).encode()
        self.send_response(200)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", "application/vnd.elasticsearch+json; compatible-with=9")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_PUT(self) -> None:
        self.do_POST()

    def log_message(self, *_args: Any) -> None:
        """Nothing."""


def elasticsearch_bulk(_folder: Path) -> Rows:
    """The body that elasticsearch's helpers send for two documents and a deletion."""
    from elasticsearch import Elasticsearch, helpers

    server = HTTPServer(("127.0.0.1", 0), _Bulk)
    server.bodies = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with Elasticsearch(f"http://127.0.0.1:{server.server_port}") as client:
            documents = [{"title": "t", "text": T[n], "embedding": V[n]} for n in range(2)]
            actions: list[dict[str, Any]] = [
                {"_index": "docs", "_id": f"e{n}", "_source": document}
                for n, document in enumerate(documents)
            ]
            helpers.bulk(client, [*actions, {"_op_type": "delete", "_index": "docs", "_id": "gone"}])
    finally:
        server.shutdown()
        server.server_close()
    (body,) = server.bodies  # type: ignore[attr-defined]
    return lines(body)


def _mongodb_rows() -> list[dict[str, Any]]:
    from bson import Binary, Decimal128, Int64, ObjectId

    return [
        {
            "_id": ObjectId(f"65f0c0ffee0000000000000{n}"),
            "text": T[n],
            "embedding": V[n],
            "created": datetime.datetime(2024, 5, 1, 10, n, 0, 123000, tzinfo=datetime.UTC),
            "before": datetime.datetime(1815, 12, 10, tzinfo=datetime.UTC),
            "views": n,
            "big": Int64(9007199254740993),
            "price": Decimal128("1.10"),
            "whole": Decimal128("7"),
            "ref": Binary.from_uuid(uuid.UUID(int=n)),
            "raw": b"\x00\xff",
            "deep": {"list": [1, 2.5, {"at": datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)}]},
        }
        for n in range(2)
    ]


def mongodb(*, canonical: bool, binary: bool = False) -> Callable[[Path], Rows]:
    """Documents in extended JSON, as mongoexport writes it; with vectors as lists, or as binary."""

    def make(_folder: Path) -> Rows:
        from bson import Binary, json_util
        from bson.binary import BinaryVectorDtype

        rows = _mongodb_rows()
        if binary:
            for row in rows:
                row["embedding"] = Binary.from_vector(row["embedding"], BinaryVectorDtype.FLOAT32)
        form = json_util.CANONICAL_JSON_OPTIONS if canonical else json_util.RELAXED_JSON_OPTIONS
        return [json.loads(json_util.dumps(row, json_options=form)) for row in rows]

    return make


def qdrant(payload: Callable[[int], dict[str, Any]], *, named: bool = False) -> Callable[[Path], Rows]:
    """Points that a scroll of an in-memory collection gives."""

    def make(_folder: Path) -> Rows:
        from qdrant_client import QdrantClient, models

        client = QdrantClient(":memory:")
        kind = models.VectorParams(size=4, distance=models.Distance.DOT)
        client.create_collection("c", vectors_config={"text": kind} if named else kind)
        points = [
            models.PointStruct(id=n, vector={"text": V[n]} if named else V[n], payload=payload(n))
            for n in range(2)
        ]
        client.upsert("c", points)
        found, _ = client.scroll("c", with_payload=True, with_vectors=True)
        return [record.model_dump(mode="json") for record in found]

    return make


def langchain_payload(n: int) -> dict[str, Any]:
    """A document as langchain-qdrant stores it."""
    from langchain_core.documents import Document

    document = Document(page_content=T[n], metadata={"source": "a.txt", "page": n})
    return {"page_content": document.page_content, "metadata": document.metadata}


def langchain_dump(folder: Path) -> Rows | Path:
    """The file of an InMemoryVectorStore."""
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import InMemoryVectorStore

    class Known(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [V[T.index(text)] for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return V[T.index(text)]

    store = InMemoryVectorStore(Known())
    store.add_texts(T, [{"n": 1}, {"n": 2}], ids=["a", "b"])
    store.dump(str(folder / "dump.json"))
    return folder / "dump.json"


def langchain_documents(_folder: Path) -> Rows:
    """Documents as serialised objects, with their vectors next to them."""
    from langchain_core.documents import Document
    from langchain_core.load import dumpd

    documents = [Document(id="ab"[n], page_content=T[n], metadata={"n": 1}) for n in range(2)]
    return [{**dumpd(document), "embedding": V[n]} for n, document in enumerate(documents)]


def langchain_models(_folder: Path) -> Rows:
    """Documents as pydantic's models, with their vectors next to them."""
    from langchain_core.documents import Document

    documents = [Document(id="ab"[n], page_content=T[n], metadata={"n": 1}) for n in range(2)]
    return [{**document.model_dump(), "embedding": V[n]} for n, document in enumerate(documents)]


def pinecone(kind: str) -> Callable[[Path], Rows]:
    """Vectors, or the response of fetch or query, as the client gives them."""

    def make(_folder: Path) -> Rows:
        from pinecone import FetchResponse, QueryResponse, ScoredVector, Vector

        metadata = [{"text": T[n], "genre": "x"} for n in range(2)]
        vectors = [Vector(id=f"p{n}", values=V[n], metadata=metadata[n]) for n in range(2)]
        if kind == "lines":
            return [vector.to_dict() for vector in vectors]
        if kind == "fetch":
            response = FetchResponse(vectors={vector.id: vector for vector in vectors}, namespace="")
            found: dict[str, Any] = response.to_dict()
            return found
        scored = [ScoredVector(id=f"p{n}", score=0.5, values=V[n], metadata=metadata[n]) for n in range(2)]
        answer: dict[str, Any] = QueryResponse(matches=scored, namespace="").to_dict()
        return answer

    return make


def weaviate(_folder: Path) -> Rows:
    """Objects of the iterator of the v4 client."""
    from weaviate.collections.classes.internal import MetadataReturn, Object

    found = [
        Object(
            uuid=uuid.UUID(int=n),
            metadata=MetadataReturn(),
            properties={"text": T[n], "n": 1},
            references=None,
            vector={"default": V[n]},
            collection="Doc",
        )
        for n in range(2)
    ]
    return lines("\n".join(json.dumps(dataclasses.asdict(one), default=str) for one in found))


def milvus(kind: str) -> Callable[[Path], Path]:
    """A file of the bulk writer."""

    def make(folder: Path) -> Path:
        from pymilvus import CollectionSchema, DataType, FieldSchema
        from pymilvus.bulk_writer import BulkFileType, LocalBulkWriter

        fields = [
            FieldSchema("id", DataType.INT64, is_primary=True, auto_id=False),
            FieldSchema("vector", DataType.FLOAT_VECTOR, dim=4),
            FieldSchema("text", DataType.VARCHAR, max_length=200),
        ]
        schema = CollectionSchema(fields, enable_dynamic_field=True)
        writer = LocalBulkWriter(schema=schema, local_path=str(folder), file_type=BulkFileType[kind])
        for n in range(2):
            writer.append_row({"id": n, "vector": V[n], "text": T[n], "lang": "en", "n": 1})
        writer.commit()
        ((file,),) = writer.batch_files
        return Path(file)

    return make


def dynamodb(_folder: Path) -> Rows:
    """Items as boto3 serialises them."""
    from boto3.dynamodb.types import TypeSerializer

    serialize = TypeSerializer().serialize
    items = [
        {
            "id": f"d{n}",
            "text": T[n],
            "embedding": [Decimal(str(x)) for x in V[n]],
            "n": 7,
            "deep": {"fields": "x", "ok": True, "no": None},
            "tags": {"a"},
        }
        for n in range(2)
    ]
    return [{"Item": {name: serialize(value) for name, value in item.items()}} for item in items]
