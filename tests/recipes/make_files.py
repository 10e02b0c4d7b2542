"""Makes the files of tests/recipes/files by the tools themselves: pymongo, qdrant-client, haystack-ai.

python -m venv tools && tools/bin/pip install pymongo qdrant-client haystack-ai
tools/bin/python tests/recipes/make_files.py
"""

from __future__ import annotations

import datetime
import json
import uuid
from pathlib import Path
from typing import Any

from bson import Binary, Decimal128, Int64, ObjectId, json_util
from bson.binary import BinaryVectorDtype
from haystack import Document
from haystack.dataclasses import ByteStream
from qdrant_client import QdrantClient, models

FILES = Path(__file__).parent / "files"
VECTORS = [[0.11, -0.22, 0.33, 0.44], [0.5, 0.25, -0.125, 0.75]]
TEXTS = ["the boiler in unit 7 leaks", "invoice 4411 is disputed by the buyer"]


def lines(name: str, rows: list[str]) -> None:
    (FILES / name).write_text("".join(row + "\n" for row in rows))


def mongodb() -> None:
    rows = [
        {
            "_id": ObjectId(f"65f0c0ffee0000000000000{n}"),
            "text": TEXTS[n],
            "embedding": VECTORS[n],
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
    relaxed, canonical = json_util.RELAXED_JSON_OPTIONS, json_util.CANONICAL_JSON_OPTIONS
    lines("mongodb-relaxed.json", [json_util.dumps(row, json_options=relaxed) for row in rows])
    lines("mongodb-canonical.json", [json_util.dumps(row, json_options=canonical) for row in rows])
    packed = [
        {**row, "embedding": Binary.from_vector(vector, BinaryVectorDtype.FLOAT32)}
        for row, vector in zip(rows, VECTORS, strict=True)
    ]
    lines("mongodb-vectors.json", [json_util.dumps(row, json_options=canonical) for row in packed])


def qdrant() -> None:
    client = QdrantClient(":memory:")
    kind = models.VectorParams(size=4, distance=models.Distance.DOT)
    client.create_collection("c", vectors_config=kind)
    payloads: list[dict[str, Any]] = [
        {"page_content": text, "metadata": {"source": "a.txt", "page": n}} for n, text in enumerate(TEXTS)
    ]
    points = [
        models.PointStruct(id=n, vector=VECTORS[n], payload=payload) for n, payload in enumerate(payloads)
    ]
    client.upsert("c", points)
    found, _ = client.scroll("c", with_payload=True, with_vectors=True)
    lines("qdrant-langchain.jsonl", [json.dumps(record.model_dump()) for record in found])


def haystack() -> None:
    documents = [
        Document(id=f"h{n}", content=TEXTS[n], meta={"n": n}, embedding=VECTORS[n]) for n in range(2)
    ]
    lines("haystack.jsonl", [json.dumps(document.to_dict(flatten=False)) for document in documents])
    blob = ByteStream(b"%PDF secret", mime_type="application/pdf")
    bytes_of = Document(id="h0", blob=blob, embedding=VECTORS[0])
    lines("haystack-blob.jsonl", [json.dumps(bytes_of.to_dict(flatten=False))])


if __name__ == "__main__":
    FILES.mkdir(exist_ok=True)
    mongodb()
    qdrant()
    haystack()
