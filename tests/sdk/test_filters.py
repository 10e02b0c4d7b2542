"""Filters of the official SDK on both engines and both ways: with a vector, and by metadata alone."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

import vecload
from tests.sdk.conftest import BOTH, Connections

SCHEMA = {
    "colour": {"filterable": True, "pattern": True},
    "shape": {"filterable": True, "pattern": False},
    "hidden": {"filterable": False},
}
DAY = dt.datetime(2024, 5, 17, 12, tzinfo=dt.UTC)
ROWS: dict[str, dict[str, Any]] = {
    "a": {"colour": "red", "size": 0, "tags": ["x", "y"], "by": "Ada", "flag": True, "hidden": "yes"},
    "b": {"colour": "green", "size": 10, "tags": ["x"], "by": "Bob", "at": DAY},
    "c": {"colour": "blue", "size": 20.5, "tags": ["y"], "flag": False, "loc": {"city": "Łódź"}},
    "d": {"colour": "red", "size": 30, "tags": [], "by": "Ada", "shape": "square", "hidden": "no"},
    "e": {"colour": "green", "size": 2**60, "tags": ["x", "y", "z"], "by": None, "at": dt.date(2024, 5, 18)},
    "f": {},
}
ALL = set(ROWS)
CASES: list[tuple[Any, set[str]]] = [
    ({}, ALL),
    (None, ALL),
    ({"colour": "red"}, {"a", "d"}),
    ({"colour": np.str_("red")}, {"a", "d"}),
    ({"colour": {"$eq": "red"}}, {"a", "d"}),
    ({"colour": {"$ne": "red"}}, {"b", "c", "e"}),
    ({"colour": {"$in": ["red", "blue"]}}, {"a", "c", "d"}),
    ({"colour": {"$in": ("red", "blue")}}, {"a", "c", "d"}),
    ({"colour": {"$in": np.array(["red", "blue"])}}, {"a", "c", "d"}),
    ({"colour": {"$in": []}}, set()),
    ({"colour": {"$nin": ["red"]}}, {"b", "c", "e", "f"}),
    ({"colour": {"$nin": []}}, ALL),
    ({"size": {"$gt": 10}}, {"c", "d", "e"}),
    ({"size": {"$gte": np.int64(10)}}, {"b", "c", "d", "e"}),
    ({"size": {"$lt": np.float32(20.5)}}, {"a", "b"}),
    ({"size": {"$lte": 20.5}}, {"a", "b", "c"}),
    ({"size": {"$gt": 5, "$lt": 25}}, {"b", "c"}),
    ({"size": 20.5}, {"c"}),
    ({"size": 0.0}, {"a"}),
    ({"size": "0"}, set()),
    ({"by": {"$exists": True}}, {"a", "b", "d"}),
    ({"by": {"$exists": np.False_}}, {"c", "e", "f"}),
    ({"by": {"$ne": "Ada"}}, {"b"}),
    ({"by": {"$nin": ["Ada"]}}, {"b", "c", "e", "f"}),
    ({"by": {"$ne": None}}, {"a", "b", "d"}),
    ({"flag": True}, {"a"}),
    ({"flag": {"$ne": True}}, {"c"}),
    ({"at": {"$lt": dt.datetime(2024, 5, 18, tzinfo=dt.UTC)}}, {"b"}),
    ({"at": DAY}, {"b"}),
    ({"at": {"$gte": dt.date(2024, 5, 18)}}, {"e"}),
    ({"at": {"$gte": int(DAY.timestamp() * 1000)}}, {"b", "e"}),
    ({"loc.city": "Łódź"}, {"c"}),
    ({"tags": "x"}, {"a", "b", "e"}),
    ({"tags": {"$in": ["z", "y"]}}, {"a", "c", "e"}),
    ({"$and": [{"tags": "x"}, {"tags": "y"}]}, {"a", "e"}),
    ({"$and": []}, ALL),
    ({"$or": []}, set()),
    ({"$or": [{"colour": "blue"}, {"size": {"$lt": 10}}]}, {"a", "c"}),
    ({"$nor": [{"colour": "red"}, {"colour": "green"}]}, {"c", "f"}),
    ({"$not": {"colour": "red"}}, {"b", "c", "e", "f"}),
    ({"$or": [{"$and": [{"colour": "red"}, {"$not": {"size": 0}}]}, {"by": "Bob"}]}, {"b", "d"}),
    ({"colour": "red", "size": {"$gte": 30}}, {"d"}),
    ({"colour": {"$regex": "^.r"}}, {"b", "e"}),
    ({"colour": {"$regex": ""}}, {"a", "b", "c", "d", "e"}),
    ({"colour": {"$contains": "ree"}}, {"b", "e"}),
    ({"nowhere": 1}, set()),
]
BY_VECTOR_ALONE: list[tuple[dict[str, Any], set[str], str]] = [
    ({"hidden": "yes"}, {"a"}, "can't filter on 'hidden'"),
    ({"$not": {"$or": [{"hidden": "yes"}]}}, ALL - {"a"}, "can't filter on 'hidden'"),
    ({"hidden": {"$regex": "e"}}, {"a"}, "can't filter on 'hidden'"),
    ({"shape": {"$regex": "^sq"}}, {"d"}, "can't use $regex on 'shape'"),
    ({"by": {"$contains": "d"}}, {"a", "d"}, "can't use $contains on 'by'"),
]


@pytest.fixture(scope="module", params=BOTH)
def index(request: pytest.FixtureRequest, connections: Connections) -> vecload.Index:
    index = connections[request.param].create_index(
        "filters", bytes(range(32)), dimension=2, metadata_schema=SCHEMA
    )
    index.upsert(
        [{"id": name, "vector": [1.0, n], "metadata": row} for n, (name, row) in enumerate(ROWS.items())]
    )
    return index


def by_vector(index: vecload.Index, filters: Any) -> set[str]:
    return {hit["id"] for hit in index.query([1.0, 0.0], filters=filters)}


def by_metadata(index: vecload.Index, filters: Any) -> set[str]:
    rows = index.query_metadata(filters)
    assert all(row == {"id": row["id"]} for row in rows)
    return {row["id"] for row in rows}


def test_a_schema_is_reported_as_it_was_given(index: vecload.Index) -> None:
    whole = {"filterable": True, "pattern": False, "full_text": False}
    assert index.metadata_schema == {name: whole | policy for name, policy in SCHEMA.items()}
    assert index.bm25 is None


@pytest.mark.parametrize("number", range(len(CASES)))
def test_every_condition_finds_the_same_with_and_without_a_vector(index: vecload.Index, number: int) -> None:
    filters, expected = CASES[number]
    assert by_vector(index, filters) == expected
    assert by_metadata(index, filters) == expected


@pytest.mark.parametrize("number", range(len(BY_VECTOR_ALONE)))
def test_what_the_metadata_index_lacks_is_found_with_a_vector_alone(
    index: vecload.Index, number: int
) -> None:
    filters, expected, says = BY_VECTOR_ALONE[number]
    assert by_vector(index, filters) == expected
    with pytest.raises(vecload.ItemValueError) as caught:
        index.query_metadata(filters)
    assert says in str(caught.value)
    assert "query with a vector" in str(caught.value)


def test_items_are_sorted_before_they_are_counted_off(index: vecload.Index) -> None:
    sized = {"size": {"$exists": True}}
    up = [row["id"] for row in index.query_metadata(sized, order_by="size")]
    assert up == ["a", "b", "c", "d", "e"]
    for down in (
        index.query_metadata(sized, order_by="size", ascending=False),
        index.query_metadata(sized, order_by={"size": -1}),
        index.query_metadata(sized, None, {"size": -1}),
    ):
        assert [row["id"] for row in down] == up[::-1]
    assert [row["id"] for row in index.query_metadata(sized, top_k=2, order_by="size")] == ["a", "b"]
    assert [row["id"] for row in index.query_metadata(top_k=2, order_by={"size": 1})] == ["a", "b"]
    assert len(index.query_metadata(top_k=4)) == 4


def test_a_filter_that_nothing_matches_gives_nothing_for_each_vector(index: vecload.Index) -> None:
    assert index.query([1.0, 0.0], filters={"colour": "mauve"}) == []
    assert index.query([[1.0, 0.0], [0.0, 1.0]], filters={"colour": "mauve"}) == [[], []]
    assert index.query_metadata({"colour": "mauve"}) == []


def test_the_filter_that_was_given_is_not_changed(index: vecload.Index) -> None:
    given = {"$and": [{"at": {"$gte": DAY}}, {"colour": {"$in": ("red",)}}]}
    by_vector(index, given)
    assert given == {"$and": [{"at": {"$gte": DAY}}, {"colour": {"$in": ("red",)}}]}
