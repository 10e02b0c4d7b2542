"""Makes the files of tests/recipes/files by tools that take long to install: Haystack, LlamaIndex, Chroma.

python -m venv tools && tools/bin/pip install haystack-ai llama-index-core chromadb
tools/bin/python tests/recipes/make_files.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import chromadb
from haystack import Document
from haystack.dataclasses import ByteStream
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.core.vector_stores.utils import node_to_metadata_dict

FILES = Path(__file__).parent / "files"
VECTORS = [[0.11, -0.22, 0.33, 0.44], [0.5, 0.25, -0.125, 0.75]]
TEXTS = ["the boiler in unit 7 leaks", "invoice 4411 is disputed by the buyer"]


def lines(name: str, rows: list[dict[str, Any]]) -> None:
    (FILES / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def haystack() -> None:
    documents = [
        Document(id=f"h{n}", content=TEXTS[n], meta={"n": n}, embedding=VECTORS[n]) for n in range(2)
    ]
    lines("haystack.jsonl", [document.to_dict(flatten=False) for document in documents])
    blob = ByteStream(b"%PDF secret", mime_type="application/pdf")
    bytes_of = Document(id="h0", blob=blob, embedding=VECTORS[0])
    lines("haystack-blob.jsonl", [bytes_of.to_dict(flatten=False)])


def llamaindex() -> None:
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="d")}
    nodes = [
        TextNode(id_=f"n{n}", text=TEXTS[n], metadata={"page": 1}, embedding=VECTORS[n], relationships=source)
        for n in range(2)
    ]
    lines("llamaindex-nodes.jsonl", [node.to_dict() for node in nodes])
    payloads = [node_to_metadata_dict(node, remove_text=False, flat_metadata=False) for node in nodes]
    lines("llamaindex-payloads.jsonl", payloads)
    folder = FILES / "llamaindex"
    folder.mkdir(exist_ok=True)
    vectors, documents = SimpleVectorStore(), SimpleDocumentStore()
    vectors.add(nodes)
    documents.add_documents(nodes)
    (folder / "default__vector_store.json").write_text(json.dumps(vectors.to_dict()))
    (folder / "docstore.json").write_text(json.dumps(documents.to_dict()))


def chroma() -> None:
    collection = chromadb.EphemeralClient().create_collection("documents")
    collection.add(
        ids=["a", "b"],
        embeddings=VECTORS,
        documents=TEXTS,
        metadatas=[{"n": 1}, {"n": 2}],
        uris=["u0", "u1"],
    )
    found = collection.get(include=["embeddings", "documents", "metadatas", "uris"])
    (FILES / "chroma.json").write_text(json.dumps({**found, "embeddings": found["embeddings"].tolist()}))
    asked = collection.query(query_embeddings=[VECTORS[0]], include=["embeddings", "documents", "metadatas"])
    nested = [embeddings.tolist() for embeddings in asked["embeddings"]]
    (FILES / "chroma-query.json").write_text(json.dumps({**asked, "embeddings": nested}))


if __name__ == "__main__":
    FILES.mkdir(exist_ok=True)
    haystack()
    llamaindex()
    chroma()
