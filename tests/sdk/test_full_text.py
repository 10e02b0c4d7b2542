"""Full-text search of the official SDK on both engines: by words alone, and with a vector."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import vecload
from tests.sdk.conftest import BOTH, Connections

DOCS = {
    "d0": ("quantum error correction", "breakthroughs in quantum computing", "physics"),
    "d1": ("tabular data", "classical machine learning models", "ml"),
    "d2": ("quantum entanglement", "superposition explained", "physics"),
    "d3": ("pasta", "cooking with fresh tomatoes and basil", "food"),
    "d4": ("hardware", "advances of quantum computing with qubits", "physics"),
}
QUANTUM = {"d0", "d2", "d4"}
VECTOR = [1.0, 0.0, 0.0, 0.0]


@pytest.fixture(scope="module", params=BOTH)
def index(request: pytest.FixtureRequest, connections: Connections) -> vecload.Index:
    index = connections[request.param].create_index(
        "full-text",
        bytes(range(32)),
        dimension=4,
        metadata_schema={"topic": {"filterable": True}, "title": {"full_text": True}},
        text_fields=["body"],
        bm25_k1=1.5,
        bm25_b=0.7,
    )
    index.upsert(
        [
            {
                "id": name,
                "vector": [1.0, n, 0.0, 0.0],
                "metadata": {"title": title, "body": body, "topic": topic},
            }
            for n, (name, (title, body, topic)) in enumerate(DOCS.items())
        ]
    )
    return index


def ids(rows: Any) -> list[str]:
    return [row["id"] for row in rows]


def test_the_scorer_is_reported_as_it_was_set(index: vecload.Index) -> None:
    text = {"filterable": False, "pattern": False, "full_text": True}
    whole = {"filterable": True, "pattern": False, "full_text": False}
    assert index.metadata_schema == {"topic": whole, "title": text, "body": text}
    assert index.bm25 is not None
    assert {**index.bm25, "analyzer_version": ""} == {"k1": 1.5, "b": 0.7, "analyzer_version": ""}
    assert index.describe().bm25 == index.bm25


def test_words_find_items_with_a_score_the_best_first(index: vecload.Index) -> None:
    rows = index.query_metadata(text="QUANTUM computing")
    assert set(ids(rows)) == QUANTUM
    assert rows[-1]["id"] == "d2"
    assert all(row.keys() == {"id", "score"} for row in rows)
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert ids(index.query_metadata(text="quantum computing", top_k=1)) == ids(rows)[:1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"text": "quantum computing", "require_all_terms": True}, {"d0", "d4"}),
        ({"text": "quantum", "text_fields": ["title"]}, {"d0", "d2"}),
        ({"text": "quantum", "text_fields": ("body",)}, {"d0", "d4"}),
        ({"text": "quantum", "filters": {"topic": "food"}}, set()),
        ({"text": "quantum", "filters": {"topic": {"$in": ["physics", "food"]}}}, QUANTUM),
        ({"text": "learning pasta"}, {"d1", "d3"}),
        ({"text": "zzzz"}, set()),
        ({"text": "the"}, set()),
    ],
)
def test_words_fields_and_filters_go_together(
    index: vecload.Index, arguments: dict[str, Any], expected: set[str]
) -> None:
    assert set(ids(index.query_metadata(**arguments))) == expected


def test_weights_decide_between_fields(index: vecload.Index) -> None:
    fields = ["title", "body"]
    title = index.query_metadata(text="quantum", text_fields=fields, text_field_weights=[10, 1])
    body = index.query_metadata(text="quantum", text_fields=fields, text_field_weights=np.array([0.1, 10]))
    assert ids(title)[-1] == "d4"
    assert ids(body)[-1] == "d2"


def test_empty_text_is_no_text_as_in_the_sdk(index: vecload.Index) -> None:
    assert sorted(ids(index.query_metadata(text="", filters={"topic": "physics"}))) == ["d0", "d2", "d4"]
    assert index.query(VECTOR, text="", top_k=1) == index.query(VECTOR, top_k=1)


def test_words_and_a_vector_give_one_score_of_both(index: vecload.Index) -> None:
    hits = index.query(VECTOR, text="pasta", top_k=2)
    assert set(ids(hits)) == {"d0", "d3"}
    assert all(hit.keys() == {"id", "score", "metadata"} for hit in hits)
    assert hits[0]["score"] >= hits[1]["score"]
    assert index.query(VECTOR, text="pasta", top_k=2, include=["distance"]) == [
        {"id": hit["id"], "score": hit["score"]} for hit in hits
    ]
    assert ids(index.query(VECTOR, text="pasta", alpha=0, top_k=5)) == ["d3"]
    assert ids(index.query(VECTOR, text="pasta", alpha=1, top_k=5)) == ["d0", "d1", "d2", "d3", "d4"]
    several = index.query([VECTOR, [1, 4, 0, 0]], text="pasta", top_k=2, rrf_k=10, window_mult=2)
    assert [len(hits) for hits in several] == [2, 2]
    assert index.query([VECTOR], text="pasta", top_k=2) == hits
    assert index.query_binary(VECTOR, text="pasta", top_k=2) == hits


def test_a_filter_chooses_before_words_do(index: vecload.Index) -> None:
    hits = index.query(VECTOR, text="quantum", filters={"topic": "food"}, top_k=5)
    assert ids(hits) == ["d3"]
