"""Every form of every recipe: a faithful small file, through the real command into the real engine, and back.

A row of the table says who wrote its rows: `Made` names the tool whose own client does so in the test, a text
is a file in tests/recipes/files that a tool wrote (make_files.py), and rows that stand here are as the
documentation shows them that the recipe names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cases.load import loads
from tests.recipes import made
from tests.recipes.made import Made
from vecload.mapping.forms import Form
from vecload.recipes.known import recipes

FILES = Path(__file__).parent / "files"
V = [[0.11, -0.22, 0.33, 0.44], [0.5, 0.25, -0.125, 0.75]]
T = ["the boiler in unit 7 leaks", "invoice 4411 is disputed by the buyer"]
NODE = {"id_": "n", "text": T[0], "metadata": {"page": 1}, "class_name": "TextNode"}
LLAMA = {
    "page": 1,
    "_node_content": json.dumps(NODE),
    "_node_type": "TextNode",
    "document_id": "d",
    "doc_id": "d",
    "ref_doc_id": "d",
}


@dataclass(frozen=True)
class Case:
    """Rows or a document in a form, and what is stored of the first row.

    rows: lines, or a document if it is an object; a text is the name of a file; or what makes them.
    id: of the first row.
    count: how many items there are.
    """

    rows: list[dict[str, Any]] | dict[str, Any] | str | Made
    id: str
    contents: str | bytes | None = T[0]
    metadata: dict[str, Any] = field(default_factory=dict)
    count: int = 1
    options: tuple[str, ...] = ()
    code: int = 0
    companion: dict[str, Any] | None = None


@dataclass(frozen=True)
class Refused:
    """A document that can't be loaded, and what is said."""

    rows: list[dict[str, Any]] | dict[str, Any] | str
    says: str


ES = {
    "_index": "docs",
    "_id": "e0",
    "_score": 1.0,
    "_source": {"title": "t", "text": T[0], "embedding": V[0]},
}
PINECONE = {"id": "p0", "values": V[0], "metadata": {"text": T[0], "genre": "x"}}
DYNAMO = {
    "id": {"S": "d0"},
    "text": {"S": T[0]},
    "embedding": {"L": [{"N": str(x)} for x in V[0]]},
    "n": {"N": "7"},
    "deep": {"M": {"fields": {"S": "x"}, "ok": {"BOOL": True}, "no": {"NULL": True}}},
    "tags": {"SS": ["a", "b"]},
}
PLAIN_DYNAMO = {"n": 7, "deep": {"fields": "x", "ok": True, "no": None}, "tags": ["a", "b"]}
MONGO = {
    "created": 1714557600123,
    "before": -4861728000000,
    "views": 0,
    "big": 9007199254740993,
    "price": "1.10",
    "whole": 7,
    "ref": "00000000-0000-0000-0000-000000000000",
    "raw": "AP8=",
    "deep": {"list": [1, 2.5, {"at": 1714521600000}]},
}
DOCUMENT = {
    "lc": 1,
    "type": "constructor",
    "id": ["x"],
    "kwargs": {"id": "a", "page_content": T[0], "metadata": {"n": 1}},
}
GENERATE = ("--generate-ids",)
REJECT = ("--max-errors", "1")

TABLE: dict[tuple[str, str], Sequence[Case | Refused]] = {
    ("openai", "the output of a batch: one request a line"): [
        Case(
            [
                {"id": "r", "custom_id": "a", "error": None, "response": {"status_code": 200, "body": {"object": "list", "data": [{"object": "embedding", "index": n, "embedding": V[n]} for n in range(2)], "model": "m"}}},
                {"id": "r", "custom_id": "b", "error": None, "response": {"status_code": 200, "body": {"data": [{"object": "embedding", "index": 0, "embedding": V[1]}]}}},
                {"id": "r", "custom_id": "c", "response": None, "error": {"code": "batch_expired", "message": T[0]}},
            ],
            "a#0", None, count=3, options=REJECT, code=3,
        ),
        Case([{"custom_id": f"a{n}", "response": {"status_code": 200, "body": {"data": [{"index": 0, "embedding": "rkfhPa5HYb7D9ag+rkfhPg=="}]}}} for n in range(2)], "a0", None, count=2),
    ],
    ("openai", "requests of a batch that all failed"): [
        Refused([{"id": "r", "custom_id": "c", "response": None, "error": {"code": "batch_expired", "message": T[0]}}], "has only failed requests"),
        Refused([{"id": "r", "custom_id": "c", "response": {"status_code": 400, "body": {"error": {"message": T[0]}}}, "error": None}], "has only failed requests"),
    ],
    ("openai", "a response, which has no ids: --ids-file or --generate-ids"): [
        Case({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": V[0]}], "model": "m", "usage": {"total_tokens": 6}}, "", None, options=GENERATE)
    ],
    ("cohere", "a response with embeddings by type, which has no ids: --ids-file or --generate-ids"): [
        Case({"id": "x", "texts": T, "embeddings": {"float": V, "int8": [[1, 2, 3, 4]] * 2}, "meta": {}, "response_type": "embeddings_by_type"}, "", count=2, options=GENERATE),
        Case({"id": "x", "texts": T, "embeddings": {"float": V}, "meta": {"api_version": {"version": "2"}}}, "", count=2, options=GENERATE),
        Case({"id": "x", "texts": [], "images": [{"width": 1}] * 2, "embeddings": {"float": V}, "response_type": "embeddings_by_type"}, "", None, count=2, options=GENERATE),
    ],
    ("cohere", "a response with binary embeddings alone"): [
        Refused({"id": "x", "texts": T, "embeddings": {"ubinary": [[1, 2], [3, 4]]}, "response_type": "embeddings_by_type"}, "only binary embeddings")
    ],
    ("cohere", "a response with embeddings of floats, which has no ids: --ids-file or --generate-ids"): [
        Case({"id": "x", "texts": T, "embeddings": V, "meta": {}, "response_type": "embeddings_floats"}, "", count=2, options=GENERATE)
    ],
    ("mongodb", "mongoexport, relaxed and canonical"): [
        Case(Made("pymongo", made.mongodb(canonical=False)), "65f0c0ffee00000000000000", metadata=MONGO, count=2),
        Case(Made("pymongo", made.mongodb(canonical=True)), "65f0c0ffee00000000000000", metadata=MONGO, count=2),
        Case(Made("pymongo", made.mongodb(canonical=True, binary=True)), "65f0c0ffee00000000000000", metadata=MONGO, count=2),
    ],
    ("mongodb", "mongoexport, with LlamaIndex's nodes in it"): [
        Case([{"_id": {"$oid": "65f0c0ffee00000000000000"}, "id": "n", "embedding": V[0], "text": T[0], "metadata": LLAMA}], "65f0c0ffee00000000000000", metadata={"page": 1, "ref_doc_id": "d"})
    ],
    ("elasticsearch", "hits, one a line, as elasticdump writes them"): [
        Case([{**ES, "_type": "_doc", "sort": [1]}], "e0", metadata={"title": "t"}),
    ],
    ("elasticsearch", "hits with fields, which are lists"): [
        Case([{"_index": "docs", "_id": "e0", "_score": 1.0, "fields": {"title": ["t"], "tags": ["a", "b"], "text": [T[0]], "embedding": V[0]}}], "e0", metadata={"title": "t", "tags": ["a", "b"]})
    ],
    ("elasticsearch", "hits with LangChain's documents in them"): [
        Case([{"_index": "docs", "_id": "e0", "_source": {"text": T[0], "vector": V[0], "metadata": {"source": "a.txt"}}}], "e0", metadata={"source": "a.txt"})
    ],
    ("elasticsearch", "hits with LlamaIndex's nodes in them"): [
        Case([{"_index": "docs", "_id": "e0", "_source": {"content": T[0], "embedding": V[0], "metadata": LLAMA}}], "e0", metadata={"page": 1, "ref_doc_id": "d"})
    ],
    ("elasticsearch", "_bulk: a line with an action, then one with the document"): [
        Case(
            [
                {"index": {"_index": "docs", "_id": "e0"}}, ES["_source"],
                {"delete": {"_index": "docs", "_id": "gone"}},
                {"create": {"_id": "e1"}}, {"title": "u", "text": T[1], "embedding": V[1]},
                {"update": {"_id": "e2"}}, {"doc": {"title": "v"}},
            ],
            "e0", metadata={"title": "t"}, count=2, options=("--max-errors", "2"), code=3,
        ),
        Case(Made("elasticsearch", made.elasticsearch_bulk), "e0", metadata={"title": "t"}, count=2, options=REJECT, code=3),
        Case([{"delete": {"_id": "gone"}}, {"index": {}}, {"text": T[0], "embedding": V[0]}], "", options=(*GENERATE, *REJECT), code=3),
    ],
    ("pinecone", "vectors as rows: Parquet for imports, one a line, or the response of fetch and query"): [
        Case([PINECONE], "p0", metadata={"genre": "x"}),
        Case(Made("pinecone", made.pinecone("lines")), "p0", metadata={"genre": "x"}, count=2),
        Case(Made("pinecone", made.pinecone("fetch")), "p0", metadata={"genre": "x"}, count=2),
        Case(Made("pinecone", made.pinecone("query")), "p0", metadata={"genre": "x"}, count=2),
    ],
    ("pinecone", "the response of list"): [Refused({"vectors": [{"id": "a"}], "pagination": {"next": "x"}, "namespace": ""}, "lists ids without their vectors")],
    ("pinecone", "vectors with LlamaIndex's nodes in them"): [Case([{"id": "p0", "values": V[0], "metadata": LLAMA}], "p0", metadata={"page": 1, "ref_doc_id": "d"})],
    ("pinecone", "the response of fetch, without metadata"): [Case({"vectors": {"p0": {"id": "p0", "values": V[0]}}, "namespace": ""}, "p0", None)],
    ("pinecone", "parallel lists"): [Case({"ids": ["a", "b"], "vectors": V, "metadata": [{"text": T[0]}, {"text": T[1]}]}, "a", count=2)],
    ("qdrant", "points with LangChain's documents in them"): [
        Case(Made("qdrant-client", made.qdrant(made.langchain_payload)), "0", metadata={"source": "a.txt", "page": 0}, count=2),
        Case([{"id": 0, "vector": {"": V[0]}, "payload": {"page_content": T[0], "metadata": {"n": 1}}}], "0", metadata={"n": 1}),
    ],
    ("qdrant", "points with LlamaIndex's nodes in them"): [Case(Made("qdrant-client", made.qdrant(lambda n: node_payloads()[n])), "0", metadata={"page": 1, "ref_doc_id": "d"}, count=2), Case([{"id": "q0", "vector": V[0], "payload": LLAMA, "version": 3}], "q0", metadata={"page": 1, "ref_doc_id": "d"})],
    ("qdrant", "points, one a line, or pages of scroll and search"): [
        Case([{"id": "q0", "vector": V[0], "payload": {"text": T[0], "n": 1}, "score": 0.5}], "q0", metadata={"n": 1}),
        Case(Made("qdrant-client", made.qdrant(lambda n: {"text": T[n], "n": 1}, named=True)), "0", metadata={"n": 1}, count=2),
    ],
    ("weaviate", "objects: of the client's iterator, or of the REST API"): [
        Case([{"class": "Doc", "id": "w0", "properties": {"text": T[0], "n": 1}, "vector": V[0]}], "w0", metadata={"class": "Doc", "n": 1}),
        Case(Made("weaviate-client", made.weaviate), "00000000-0000-0000-0000-000000000000", metadata={"collection": "Doc", "n": 1, "references": None}, count=2),
    ],
    ("weaviate", "an error of GraphQL"): [Refused({"data": {"Get": {"Doc": None}}, "errors": [{"message": "x", "path": ["Get"]}]}, "holds an error of Weaviate")],
    ("weaviate", "objects with LlamaIndex's nodes in them"): [Case([{"uuid": "w0", "properties": LLAMA, "vector": {"default": V[0]}}], "w0", metadata={"page": 1, "ref_doc_id": "d"})],
    ("weaviate", "what GraphQL's Get answers"): [Case([{"title": "t", "content": T[0], "_additional": {"id": "w0", "vector": V[0]}}], "w0", metadata={"title": "t"})],
    ("azure", "documents to upload, or search results: one a line, or in pages"): [
        Case([{"@search.score": 1.0, "@search.captions": None, "chunk_id": "c0", "parent_id": "p", "chunk": T[0], "text_vector": V[0]}], "c0", metadata={"parent_id": "p"}),
        Case([{"@search.action": "upload", "id": "c0", "chunk": T[0], "text_vector": V[0]}, {"@search.action": "delete", "id": "c1"}], "c0", options=REJECT, code=3),
    ],
    ("milvus", "rows with dynamic fields: of the bulk writer's Parquet or JSON"): [Case(Made("pymilvus", made.milvus("PARQUET")), "0", metadata={"lang": "en", "n": 1}, count=2), Case(Made("pymilvus", made.milvus("JSON")), "0", metadata={"lang": "en", "n": 1}, count=2), Case([{"id": 0, "vector": V[0], "text": T[0], "$meta": {"n": 1}}], "0", metadata={"n": 1})],
    ("milvus", "rows of the bulk writer's JSON"): [Case({"rows": [{"id": 0, "vector": V[0], "text": T[0], "n": 1}]}, "0", metadata={"n": 1})],
    ("milvus", "what the REST API's query answers"): [Case({"code": 0, "data": [{"id": 0, "vector": V[0], "text": T[0], "n": 1}]}, "0", metadata={"n": 1})],
    ("langchain", "serialised documents, one a line, with their vectors next to them or in them"): [Case(Made("langchain-core", made.langchain_documents), "a", metadata={"n": 1}, count=2), Case([{**DOCUMENT, "embedding": V[0]}], "a", metadata={"n": 1})],
    ("langchain", "serialised documents in a field of each line"): [Case([{"id": "a", "vector": V[0], "document": DOCUMENT}], "a", metadata={"n": 1})],
    ("langchain", "documents, one a line"): [Case(Made("langchain-core", made.langchain_models), "a", metadata={"n": 1}, count=2), Case([{"id": "a", "page_content": T[0], "metadata": {"n": 1}, "embedding": V[0], "type": "Document"}], "a", metadata={"n": 1})],
    ("langchain", "the table of PGVector"): [Case([{"uuid": "a", "collection_id": "c", "embedding": json.dumps(V[0]), "document": T[0], "cmetadata": {"n": 1}}], "a", metadata={"collection_id": "c", "n": 1})],
    ("langchain", "the table of PGVectorStore"): [Case([{"langchain_id": "a", "content": T[0], "embedding": json.dumps(V[0]), "langchain_metadata": {"n": 1}}], "a", metadata={"n": 1})],
    ("langchain", "InMemoryVectorStore.dump"): [
        Case(Made("langchain-core", made.langchain_dump), "a", metadata={"n": 1}, count=2),
        Case({"a": {"id": "a", "vector": V[0], "text": T[0], "metadata": {"n": 1}}, "b": {"id": None, "vector": V[1], "text": T[1], "metadata": {"__lc_escaped__": {"lc": 1}}}}, "a", metadata={"n": 1}, count=2)
    ],
    ("llamaindex", "nodes, one a line"): [Case("llamaindex-nodes.jsonl", "n0", metadata={"page": 1}, count=2), Case([{"id_": "a", "embedding": V[0], "metadata": {"n": 1}, "text": T[0], "hash": "x"}], "a", metadata={"n": 1})],
    ("llamaindex", "the table of PGVectorStore"): [Case([{"id": 1, "text": T[0], "metadata_": {**LLAMA}, "node_id": "a", "embedding": json.dumps(V[0])}], "a", metadata={"page": 1, "ref_doc_id": "d"})],
    ("llamaindex", "default__vector_store.json, with docstore.json in the same folder"): [
        Case("llamaindex/default__vector_store.json", "n0", metadata={"page": 1, "ref_doc_id": "d"}, count=2),
        Case(
            {"embedding_dict": {"a": V[0], "b": V[1]}, "text_id_to_ref_doc_id": {"a": "d", "b": "None"}, "metadata_dict": {"a": LLAMA, "b": {"n": 1}}},
            "a", metadata={"page": 2, "ref_doc_id": "d"}, count=2,
            companion={"docstore/data": {"a": {"__data__": {"text": T[0], "metadata": {"page": 2}}}}},
        )
    ],
    ("llamaindex", "docstore.json"): [Refused({"docstore/data": {}}, "holds no vectors")],
    ("chroma", "the result of collection.query"): [Refused("chroma-query.json", "the result of a Chroma query"), Refused({"ids": [["a"]], "documents": [[T[0]]]}, "the result of a Chroma query")],
    ("chroma", "the result of collection.get with 'data'"): [Refused({"ids": ["a"], "embeddings": [V[0]], "data": [[1]]}, "holds Chroma's 'data'")],
    ("chroma", "the result of collection.get"): [
        Case("chroma.json", "a", metadata={"n": 1, "uri": "u0"}, count=2),
        Case({"ids": ["a", "b"], "embeddings": V, "documents": T, "metadatas": [{"n": 1}, None], "uris": ["u", None], "data": None, "included": ["uris"]}, "a", metadata={"n": 1, "uri": "u"}, count=2)
    ],
    ("bedrock", "the output of a job with one embedding a record, as of Titan"): [
        Case(
            [
                {"recordId": "R0", "modelInput": {"inputText": T[0]}, "modelOutput": {"embedding": V[0], "inputTextTokenCount": 6}},
                {"recordId": "R1", "modelInput": {"inputText": T[1]}, "error": {"errorCode": 400, "errorMessage": "bad request"}},
            ],
            "R0", options=REJECT, code=3,
        ),
    ],
    ("bedrock", "the output of a job with embeddings of a record's texts, as of Cohere"): [
        Case(
            [
                {"recordId": "R1", "modelInput": {"texts": T}, "error": {"errorCode": 400, "errorMessage": T[0]}},
                {"recordId": "R0", "modelInput": {"texts": T, "input_type": "search_document"}, "modelOutput": {"embeddings": V, "id": "x", "texts": T}},
            ],
            "R0#0", count=2, options=REJECT, code=3,
        ),
        Case([{"recordId": "R0", "modelInput": {"texts": [T[0]]}, "modelOutput": {"embeddings": [V[0]], "id": "x"}}], "R0"),
    ],
    ("bedrock", "the same with embeddings by type"): [Case([{"recordId": "R0", "modelInput": {"texts": T}, "modelOutput": {"embeddings": {"float": V, "int8": [[1, 2, 3, 4]] * 2}}}], "R0#0", count=2)],
    ("vertex", "the output of batch prediction, which has no ids: --generate-ids makes them"): [
        Case([{"instance": {"content": T[0]}, "predictions": [{"embeddings": {"statistics": {"token_count": 8}, "values": V[0]}}], "status": ""}, {"instance": {"content": T[1]}, "predictions": [], "status": "failed"}], "", options=(*GENERATE, *REJECT), code=3)
    ],
    ("vertex", "the data of Vector Search"): [
        Case([{"id": "v0", "embedding": V[0], "restricts": [{"namespace": "class", "allow": ["cat"]}], "numeric_restricts": [{"namespace": "size", "value_int": 3}]}], "v0", None, {"class": ["cat"], "size": 3}),
        Case(
            [{"id": "v0", "embedding": V[0], "restricts": [{"namespace": "class", "allow": ["cat"], "deny": ["pet"]}, {"namespace": "colour", "deny": ["red"]}], "numeric_restricts": [{"namespace": "ratio", "value_float": 0.5}], "crowding_tag": "a"}, {"id": "v1", "embedding": V[1], "restricts": [{"allow": ["x"]}]}],
            "v0", None, {"class": ["cat"], "deny": {"class": ["pet"], "colour": ["red"]}, "ratio": 0.5, "crowding_tag": "a"}, options=REJECT, code=3,
        ),
    ],
    ("vespa", "documents of a visit, a feed or a query"): [
        Case([{"id": "id:n:d::0", "fields": {"title": "t", "body": T[0], "emb": {"type": "tensor<float>(x[4])", "values": np.array(V[0], ">f4").tobytes().hex()}}}], "id:n:d::0", metadata={"title": "t"}),
        Case([{"id": "id:n:d::0", "fields": {"body": T[0], "emb": {"type": "tensor<float>(x[4])", "cells": [{"address": {"x": str(n)}, "value": x} for n, x in enumerate(V[0])]}}}], "id:n:d::0"),
        Case([{"put": "id:n:d::0", "fields": {"title": "t", "paragraphs": T, "emb": {"blocks": {"0": V[0], "1": V[1]}}}}], "id:n:d::0#0", metadata={"title": "t"}, count=2),
        Case([{"put": "id:n:d::0", "fields": {"body": T[0], "emb": {"type": "tensor<float>(p{},x[4])", "blocks": [{"address": {"p": "a"}, "values": V[0]}]}}}], "id:n:d::0"),
        Case([{"put": "id:n:d::0", "fields": {"title": "t", "body": T[0], "emb": {"type": "tensor<float>(x[4])", "values": V[0]}}}, {"remove": "id:n:d::1"}], "id:n:d::0", metadata={"title": "t"}, options=REJECT, code=3),
    ],
    ("marqo", "documents with expose_facets, one a line or in pages: each embedded chunk is an item"): [
        Case([{"_id": "m0", "Title": "t", "Description": T[0], "_tensor_facets": [{"Description": T[0], "_embedding": V[0]}], "_found": True}, {"_id": "m1", "_found": False}], "m0", metadata={"Title": "t"}, options=REJECT, code=3),
        Case([{"_id": "m0", "Title": T[1], "Description": T[0], "n": 1, "_tensor_facets": [{"Description": T[0], "_embedding": V[0]}, {"Title": T[1], "_embedding": V[1]}]}], "m0#0", metadata={"n": 1}, count=2),
        Case([{"_id": "m0", "caption": T[0], "_tensor_facets": [{"both": json.dumps({"caption": T[0]}), "_embedding": V[0]}]}], "m0", json.dumps({"caption": T[0]})),
    ],
    ("meilisearch", "documents with retrieveVectors"): [Case([{"id": 0, "title": "t", "text": T[0], "_vectors": {"default": {"embeddings": [V[0]], "regenerate": False}}}], "0", metadata={"title": "t"}), Case([{"id": 0, "title": "t", "overview": T[0], "_vectors": {"default": V[0]}}], "0", metadata={"title": "t"})],
    ("typesense", "a page of search results"): [Case({"found": 1, "hits": [{"document": {"id": "t0", "embedding": V[0], "text": T[0], "n": 1}, "highlight": {}}]}, "t0", metadata={"n": 1})],
    ("typesense", "a page of grouped search results"): [Case({"found": 1, "grouped_hits": [{"group_key": ["x"], "hits": [{"document": {"id": "t0", "embedding": V[0], "text": T[0], "n": 1}}]}]}, "t0", metadata={"n": 1})],
    ("typesense", "the results of several searches"): [Case({"results": [{"found": 1, "hits": [{"document": {"id": "t0", "embedding": V[0], "description": T[0], "n": 1}}]}, {"found": 0, "hits": []}]}, "t0", metadata={"n": 1})],
    ("typesense", "exported documents, one a line"): [Case([{"id": "t0", "embedding": V[0], "text": T[0], "n": 1}], "t0", metadata={"n": 1}, options=("--recipe", "typesense"))],
    ("chroma-data-pipes", "chunks, one a line"): [Case([{"id": "c0", "text_chunk": T[0], "embedding": V[0], "metadata": {"n": 1}}], "c0", metadata={"n": 1})],
    ("haystack", "documents as Document.to_dict(flatten=False) gives them"): [
        Case("haystack.jsonl", "h0", metadata={"n": 0}, count=2),
        Case("haystack-blob.jsonl", "h0", b"%PDF secret"),
    ],
    ("turbopuffer", "a write that also deletes or patches"): [Refused({"upsert_rows": [{"id": 0, "vector": V[0]}], "deletes": [3]}, "deletes or patches items")],
    ("turbopuffer", "columns to write"): [Case({"upsert_columns": {"id": [0, 1], "vector": V, "text": T, "n": [1, 2]}}, "0", metadata={"n": 1}, count=2)],
    ("turbopuffer", "rows to write"): [Case({"upsert_rows": [{"id": 0, "vector": V[0], "text": T[0], "n": 1}]}, "0", metadata={"n": 1})],
    ("turbopuffer", "rows that a query answers"): [Case({"rows": [{"id": 0, "$dist": 0.5, "vector": V[0], "text": T[0], "n": 1}], "billing": {}}, "0", metadata={"n": 1})],
    ("turbopuffer", "an export of the first API"): [Case({"ids": [0, 1], "vectors": V, "attributes": {"text": T, "n": [1, 2]}, "next_cursor": None}, "0", metadata={"n": 1}, count=2)],
    ("neo4j", "nodes, one a line"): [
        Case([{"type": "node", "id": "0", "labels": ["C"], "properties": {"n": 1, "text": T[0], "embedding": V[0]}}, {"type": "relationship", "id": "1", "label": "NEXT", "start": {"id": "0"}, "end": {"id": "0"}}], "0", metadata={"labels": ["C"], "n": 1}, options=REJECT, code=3)
    ],
    ("dynamodb", "an export to S3: one item a line"): [
        Case([{"Item": DYNAMO}], "d0", metadata=PLAIN_DYNAMO),
        Case(Made("boto3", made.dynamodb), "d0", metadata={**PLAIN_DYNAMO, "tags": ["a"]}, count=2),
    ],
    ("dynamodb", "an incremental export to S3: one change a line"): [
        Case([{"Metadata": {"WriteTimestampMicros": {"N": "1"}}, "Keys": {"id": {"S": "d0"}}, "NewImage": DYNAMO}, {"Metadata": {}, "Keys": {"id": {"S": "d1"}}, "OldImage": DYNAMO}], "d0", metadata=PLAIN_DYNAMO, options=REJECT, code=3)
    ],
    ("dynamodb", "the answer of scan and query"): [Case({"Items": [DYNAMO], "Count": 1, "ScannedCount": 1, "ConsumedCapacity": None}, "d0", metadata=PLAIN_DYNAMO)],
    ("firestore", "documents, one a line"): [
        Case(
            [
                {
                    "name": "projects/p/databases/(default)/documents/c/f0",
                    "fields": {
                        "text": {"stringValue": T[0]},
                        "n": {"integerValue": "7"},
                        "at": {"timestampValue": "2024-05-01T10:00:00.123456789Z"},
                        "deep": {"mapValue": {"fields": {"list": {"arrayValue": {"values": [{"booleanValue": True}, {"nullValue": None}]}}, "none": {"arrayValue": {}}}}},
                        "embedding": {"mapValue": {"fields": {"__type__": {"stringValue": "__vector__"}, "value": {"arrayValue": {"values": [{"doubleValue": x} for x in V[0]]}}}}},
                    },
                    "createTime": "2024-05-01T10:00:00Z",
                    "updateTime": "2024-05-01T10:00:00Z",
                }
            ],
            "projects/p/databases/(default)/documents/c/f0",
            metadata={"n": 7, "at": 1714557600123, "deep": {"list": [True, None], "none": []}},
        )
    ],
}  # fmt: skip
# ruff: noqa: E501 the table has one case a line

PAGES = ", in pages"
FORMS = [(recipe.name, form) for recipe in recipes() for form in recipe.forms]
NAMES = sorted({recipe.name for recipe in recipes() if recipe.forms})
GROUPS = [NAMES[n::4] for n in range(4)]
"""Recipes that are tried in one process, since starting one takes as long as four loads."""


def paged(form: Form, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows inside a page of a form."""
    value: Any = rows if form.rows[-1] == "[]" else dict(enumerate(rows)) if form.rows[-1] == "[*]" else None
    steps = form.rows[:-1]
    if value is None:
        value, steps = rows[0], form.rows
    for step in reversed(steps):
        value = {"x": value} if step == "[*]" else {step: value}
    page: dict[str, Any] = value
    return page


def written(folder: Path, name: str, rows: Any, *, indent: int | None = None) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True)
    lines = rows if isinstance(rows, list) else [rows]
    path.write_text("".join(json.dumps(line, indent=indent) + "\n" for line in lines))
    return path


def test_every_form_of_every_recipe_has_a_case() -> None:
    needed = {(name, form.what.removesuffix(PAGES)) for name, form in FORMS}
    assert needed - TABLE.keys() == set()
    assert TABLE.keys() - needed == set()
    assert len({(name, form.what, form.rows) for name, form in FORMS}) == len(FORMS)


def node_payloads() -> list[dict[str, Any]]:
    return made.lines((FILES / "llamaindex-payloads.jsonl").read_text())


def rows_of(case: Case | Refused, folder: Path) -> Any:
    """The lines or the document of a case, or the path of a file."""
    if isinstance(case.rows, str):
        return FILES / case.rows
    if isinstance(case.rows, Made):
        folder.mkdir(parents=True)
        return case.rows.make(folder)
    return case.rows


def test_tools_that_install_make_their_own_rows() -> None:
    cases = [case for cases in TABLE.values() for case in cases]
    tools = {case.rows.tool for case in cases if isinstance(case.rows, Made)}
    files = {case.rows for case in cases if isinstance(case.rows, str)}
    assert tools == {
        *("boto3", "elasticsearch", "langchain-core", "pinecone", "pymilvus", "pymongo"),
        *("qdrant-client", "weaviate-client"),
    }
    assert {Path(file).parts[0].partition("-")[0].partition(".")[0] for file in files} == {
        *("chroma", "haystack", "llamaindex"),
    }
    assert all(recipe.documentation for recipe in recipes())


def files_of(folder: Path, name: str) -> Iterator[tuple[Form, Case | Refused, Path]]:
    """The files of a recipe's cases; of pages those of the first case of a form that has lines."""
    paged_forms: set[str] = set()
    for number, form in enumerate(form for of, form in FORMS if of == name):
        cases = TABLE[name, form.what.removesuffix(PAGES)]
        for at, case in enumerate(cases):
            place = f"{name}/{number}-{at}"
            if not form.what.endswith(PAGES):
                rows = rows_of(case, folder / "made" / place)
                path = rows if isinstance(rows, Path) else written(folder, f"{place}/rows.json", rows)
                if isinstance(case, Case) and case.companion is not None:
                    (path.parent / "docstore.json").write_text(json.dumps(case.companion))
                yield form, case, path
            elif isinstance(case.rows, list):
                one_each = not form.rows[-1].startswith("[")
                pages: Any = [paged(form, [row]) for row in case.rows] if one_each else paged(form, case.rows)
                yield form, case, written(folder, f"lines/{place}/rows.json", pages)
                if isinstance(pages, dict) and form.what not in paged_forms:
                    yield form, case, written(folder, f"pretty/{place}/rows.json", pages, indent=1)
                paged_forms.add(form.what)
                break


@pytest.mark.parametrize("names", GROUPS, ids="-".join)
def test_a_form_becomes_items_that_read_back_bit_for_bit(tmp_path: Path, names: Sequence[str]) -> None:
    files = [file for name in names for file in files_of(tmp_path, name)]
    options = [case.options if isinstance(case, Case) else () for _, case, _ in files]
    found = loads(tmp_path, [(str(path), *more) for (_, _, path), more in zip(files, options, strict=True)])
    for (form, case, path), ended in zip(files, found, strict=True):
        where = f"{form.recipe}: {form.what} {form.rows} {path}: {ended.said}"
        if isinstance(case, Refused):
            assert (ended.code, ended.items, case.says in ended.said) == (2, [], True), where
            continue
        assert (ended.code, len(ended.items)) == (case.code, case.count), where
        first = next(
            item
            for item in ended.items
            if item["id"] == case.id or (not case.id and item["vector"][0] == np.float32(0.11))
        )
        assert np.array(first["vector"], "<f4").tobytes() == np.array(V[0], "<f4").tobytes(), where
        assert first["contents"] == case.contents, where
        assert first["metadata"] == case.metadata, where
        clear = json.dumps([item["metadata"] for item in ended.items])
        assert not [text for text in T if text in clear], where
        assert T[0] not in ended.said
