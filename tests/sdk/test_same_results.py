"""On one index of a service, vecload's calls give what the official client's give."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import cyborgdb
import numpy as np
import pytest

import vecload

KEY = bytes(range(32))
VECTORS = np.random.default_rng(3).standard_normal((40, 8), dtype=np.float32)
IDS = [f"i{n}" for n in range(40)]
SCHEMA = {"body": {"full_text": True}, "name": {"pattern": True}, "raw": {"filterable": False}, "n": {}}
METADATA: list[dict[str, Any]] = [
    {"n": n, "name": f"name{n}", "body": f"a {'lazy' if n % 3 else 'quick'} fox number{n}", "raw": n % 2}
    for n in range(39)
] + [{}]
DAY = dt.date(2024, 5, 17)


@pytest.fixture(scope="module")
def pair(service: str) -> Iterator[tuple[vecload.Index, Any]]:
    """The same index, opened by vecload and by the official client, which made it."""
    client = cyborgdb.Client(service)
    theirs = client.create_index("same-results", KEY, dimension=8, metadata_schema=SCHEMA, bm25_k1=1.4)
    theirs.upsert(
        [
            {"id": item_id, "vector": vector, "metadata": fields, "contents": f"text of {item_id}"}
            for item_id, vector, fields in zip(IDS, VECTORS, METADATA, strict=True)
        ]
    )
    with vecload.connect(service) as connection:
        yield connection.open_index("same-results", KEY, seal=False), theirs
    theirs.delete_index()
    client.api_client.rest_client.pool_manager.clear()


QUERIES: list[dict[str, Any]] = [
    {"query_vectors": VECTORS[3], "include": ["distance", "metadata"]},
    {"query_vectors": VECTORS[3].tolist(), "top_k": 5, "include": ["distance", "metadata"]},
    {"query_vectors": VECTORS[3].tolist(), "top_k": 5, "include": ["metadata"]},
    {"query_vectors": VECTORS[3].tolist(), "top_k": 5, "include": ["distance"]},
    {"query_vectors": VECTORS[:4], "top_k": 3, "include": ["distance", "metadata"]},
    {"query_vectors": VECTORS[:4].tolist(), "top_k": 3, "include": ["distance"]},
    {"query_vectors": VECTORS[:1], "top_k": 3, "include": ["distance"]},
    {"query_vectors": [VECTORS[0].tolist()], "top_k": 3, "include": ["distance"]},
    {"query_vectors": VECTORS[3], "filters": {"n": {"$gte": 30}}, "include": ["distance"]},
    {"query_vectors": VECTORS[3], "filters": {"raw": 1, "name": {"$regex": "3"}}, "include": ["metadata"]},
    {"query_vectors": VECTORS[3], "filters": {"n": {"$lt": DAY}}, "top_k": 2, "include": ["distance"]},
    {"query_vectors": VECTORS[:2], "filters": {"n": -1}, "include": ["distance"]},
    {"query_vectors": VECTORS[3], "filters": {"n": -1}, "include": ["distance"]},
    {"query_vectors": VECTORS[3], "n_probes": 2, "greedy": True, "rerank_mult": 5, "include": ["distance"]},
    {"query_vectors": VECTORS[3], "n_probes": 0, "include": ["distance"]},
    {"query_vectors": VECTORS[3], "text": "lazy number4", "include": ["distance", "metadata"], "top_k": 9},
    {"query_vectors": VECTORS[3].tolist(), "text": "quick", "alpha": 0, "include": ["distance"]},
    {"query_vectors": VECTORS[:2], "text": "quick", "text_fields": ["body"], "text_field_weights": [2.0]},
    {"query_vectors": VECTORS[3], "text": "lazy number4", "require_all_terms": True, "rrf_k": 5.0},
    {"query_vectors": VECTORS[3], "text": "fox", "window_mult": 1, "filters": {"n": {"$lt": 9}}, "top_k": 4},
]


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_queries_give_the_same(pair: tuple[vecload.Index, Any], number: int) -> None:
    ours, theirs = pair
    arguments = {"include": [], **QUERIES[number]}
    assert ours.query(**arguments) == theirs.query(**arguments)
    if isinstance(arguments["query_vectors"], np.ndarray):
        assert ours.query_binary(**arguments) == plain(theirs.query_binary(**arguments))


def plain(results: Any) -> Any:
    """The official client's results, of which some kinds have None for what they lack."""
    if results and isinstance(results[0], list):
        return [plain(hits) for hits in results]
    return [{name: value for name, value in hit.items() if value is not None} for hit in results]


def test_without_include_both_find_the_same_items_and_ours_says_more(pair: tuple[vecload.Index, Any]) -> None:
    ours, theirs = pair
    own, official = ours.query(VECTORS[3]), theirs.query(VECTORS[3])
    assert [hit["id"] for hit in own] == [hit["id"] for hit in official]
    assert own == ours.query(VECTORS[3], include=["distance", "metadata"])
    assert len(own) == 40


METADATA_QUERIES: list[dict[str, Any]] = [
    {},
    {"filters": {}},
    {"filters": {"n": {"$in": [1, 2, 3]}}},
    {"filters": {"name": {"$contains": "name3"}}, "order_by": "n"},
    {"filters": {"n": {"$gt": 20}}, "order_by": "n", "ascending": False, "top_k": 3},
    {"order_by": {"n": -1}, "top_k": 3},
    {"text": "lazy"},
    {"text": "lazy", "top_k": 2, "filters": {"n": {"$lt": 9}}},
    {"text": "lazy number4", "require_all_terms": True},
    {"text": "quick", "text_fields": ["body"], "text_field_weights": [3.0]},
    {"text": ""},
]


@pytest.mark.parametrize("number", range(len(METADATA_QUERIES)))
def test_metadata_queries_give_the_same(pair: tuple[vecload.Index, Any], number: int) -> None:
    ours, theirs = pair
    arguments = METADATA_QUERIES[number]
    assert ours.query_metadata(**arguments) == theirs.query_metadata(**arguments)


def test_items_and_properties_are_the_same(pair: tuple[vecload.Index, Any]) -> None:
    ours, theirs = pair
    assert ours.get(["i3", "nowhere", "i1"]) == theirs.get(["i3", "nowhere", "i1"])
    for include in (["metadata"], ["contents", "vector"]):
        assert ours.get(IDS, include=include) == theirs.get(IDS, include=include)
    assert sorted(ours.list_ids()) == sorted(theirs.list_ids())
    for name in ("index_name", "dimension", "metric", "n_lists", "metadata_schema", "bm25"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert (ours.is_trained(), ours.is_training()) == (theirs.is_trained(), theirs.is_training())


def test_what_either_deletes_the_other_misses(service: str, index_name: str) -> None:
    client = cyborgdb.Client(service)
    theirs = client.create_index(index_name, KEY, dimension=8)
    with vecload.connect(service) as connection:
        ours = connection.load_index(index_name, KEY)
        ours.upsert(ids=IDS, vectors=VECTORS)
        ours.delete(IDS[:10])
        theirs.delete(IDS[10:15])
        assert sorted(ours.list_ids()) == sorted(theirs.list_ids()) == sorted(IDS[15:])
        ours.delete_index()
        assert index_name not in client.list_indexes()
        assert connection.get_health() == client.get_health()
    client.api_client.rest_client.pool_manager.clear()
