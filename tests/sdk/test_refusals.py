"""What the engine crashes on, ignores or gets wrong is the same error on both engines, before it is sent."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pytest

import vecload
from tests.sdk.conftest import Connections

VECTOR = [1.0, 2.0, 3.0, 4.0]
NAN = math.nan
Both = dict[str, vecload.Index]


@pytest.fixture(scope="module")
def both(connections: Connections) -> Both:
    """An index with a full-text field on each engine."""
    made: Both = {}
    for engine, connection in connections.items():
        index = connection.create_index(
            "refusals", bytes(range(32)), dimension=4, full_text=["body", "title"], unfilterable=["blob"]
        )
        index.upsert([{"id": "a", "vector": VECTOR, "metadata": {"n": 1, "body": "a lazy dog"}}])
        made[engine] = index
    return made


def refusal(both: Both, ask: Callable[[vecload.Index], object]) -> vecload.VecloadError:
    """The error of a call, which has to be the same on both engines."""
    errors: list[vecload.VecloadError] = []
    for engine, index in both.items():
        with pytest.raises((ValueError, TypeError, vecload.IndexMismatch)) as caught:
            ask(index)
        assert isinstance(caught.value, vecload.VecloadError), f"{engine}: {caught.value!r}"
        assert caught.value.exit_code == 2
        errors.append(caught.value)
    one, other = errors
    assert (type(one), str(one), one.hint) == (type(other), str(other), other.hint)
    assert len(str(one)) < 400
    str(one).encode()
    return one


def deep(levels: int) -> dict[str, Any]:
    return reduce(lambda inner, _: {"$and": [inner]}, range(levels), {"n": 1})


QUERY_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    *(
        ({"top_k": value}, "top_k is")
        for value in (0, -1, 2**31, 2**32, 2**63, 2**64 + 3, 2.5, True, "3", [1])
    ),
    *(({"n_probes": value}, "n_probes is") for value in (-1, 2**31, 2**32, 1.5, True, "1", NAN)),
    *(({"rerank_mult": value}, "rerank_mult is") for value in (0, -1, 2**31, 2**32, 1.5, True)),
    *(({"greedy": value}, "greedy is") for value in (1, "yes")),
    *(({"include": value}, "include") for value in ("distance", ["vector"], ["contents"], ["bogus"], [1], 5)),
    ({"text": 5}, "text is int"),
    ({"text": "\ud800"}, "surrogate"),
    ({"text": b"lazy"}, "text is bytes"),
    ({"text": "lazy", "text_fields": "body"}, "text_fields is str"),
    ({"text": "lazy", "text_fields": ["n"]}, "'n' is not a full-text field"),
    ({"text": "lazy", "text_fields": ["body", "body"]}, "more than once"),
    ({"text": "lazy", "text_fields": [1]}, "text_fields has int"),
    ({"text": "lazy", "text_field_weights": [1]}, "1 numbers; 2 fields"),
    ({"text": "lazy", "text_field_weights": "12"}, "not a list of numbers"),
    ({"text": "lazy", "text_fields": ["body"], "text_field_weights": [1, 2]}, "2 numbers; 1 fields"),
    *(({"text": "lazy", "text_field_weights": [1, bad]}, "weight") for bad in (-1, NAN, math.inf, "x", True)),
    ({"text": "lazy", "text_field_weights": [1, None]}, "2 fields"),
    ({"text": "lazy", "require_all_terms": "x"}, "require_all_terms is str"),
    *(({"text": "lazy", "alpha": bad}, "alpha is") for bad in (-0.1, 1.5, NAN, math.inf, "x", True)),
    *(({"text": "lazy", "rrf_k": bad}, "rrf_k is") for bad in (0, -1, NAN, math.inf, "x", 10**400)),
    *(({"text": "lazy", "window_mult": bad}, "window_mult is") for bad in (0, -1, 2**32, 1.5)),
    ({"text": "lazy", "top_k": 2**31 - 1}, "is above 10000000"),
    ({"text": "lazy", "top_k": 1000, "window_mult": 2**31 - 1}, "is above 10000000"),
    ({"text": "lazy", "filters": {"blob": "x"}}, "a search for text can't filter on 'blob'"),
    ({"text": "lazy", "filters": {"n": {"$regex": "x"}}}, "can't use $regex on 'n'"),
    ({"alpha": 0.5}, "alpha is for a query with text"),
    ({"rrf_k": 60}, "rrf_k is for a query with text"),
    ({"window_mult": 3}, "window_mult is for a query with text"),
    ({"text_fields": ["body"]}, "text_fields is for a query with text"),
    ({"text": "", "text_field_weights": [1, 1]}, "text_field_weights is for a query with text"),
    ({"require_all_terms": True}, "require_all_terms is for a query with text"),
    ({"query_contents": "x"}, "not both"),
    ({"vector": VECTOR}, "query_vectors is given twice"),
    ({"query_contents": 5}, "query_contents is int"),
]


@pytest.mark.parametrize("number", range(len(QUERY_ARGUMENTS)))
def test_an_argument_of_a_query_is_refused_by_name(both: Both, number: int) -> None:
    arguments, says = QUERY_ARGUMENTS[number]
    assert says in str(refusal(both, lambda index: index.query(VECTOR, **arguments)))


VECTORS: list[tuple[Any, str]] = [
    ([1.0, 2.0], "vectors of 2 dimensions; the index has 4"),
    ([[1.0, 2.0]], "vectors of 2 dimensions; the index has 4"),
    ([VECTOR, [1.0, 2.0, 3.0]], "different dimensions"),
    ([[1.0, 2.0, 3.0], VECTOR], "different dimensions"),
    ([[VECTOR]], "shape (1, 1, 4)"),
    (np.zeros((0, 4), np.float32), "shape (0, 4)"),
    (np.zeros((2, 0), np.float32), "shape (2, 0)"),
    ([], "shape (0,)"),
    ([[]], "shape (1, 0)"),
    (3.0, "shape ()"),
    ("abcd", "vectors of numbers, not str"),
    (["1", "2", "3", "4"], "vectors of numbers, not list of str"),
    ([1.0, None, 3.0, 4.0], "vectors of numbers"),
    ([1.0, 2j, 3.0, 4.0], "vectors of numbers"),
    (np.array([True] * 4), "vectors of numbers, not bool"),
    ([NAN] * 4, "query vector 0 holds a value that is not a finite float32"),
    ([VECTOR, [1.0, math.inf, 3.0, 4.0]], "query vector 1 holds"),
    ([1e300, 1.0, 1.0, 1.0], "query vector 0 holds"),
    ([VECTOR, [1e19] * 4], "query vector 1 is too long"),
    (None, "a query needs vectors or contents"),
]


@pytest.mark.parametrize("number", range(len(VECTORS)))
def test_what_is_no_vector_of_the_index_is_refused(both: Both, number: int) -> None:
    vectors, says = VECTORS[number]
    assert says in str(refusal(both, lambda index: index.query(vectors)))
    if vectors is not None:
        assert says in str(refusal(both, lambda index: index.query_binary(vectors)))


FILTERS: list[tuple[Any, str]] = [
    ([], "the filter is list, not a dict"),
    ([1], "the filter is list of int, not a dict"),
    ("n", "the filter is str, not a dict"),
    (5, "the filter is int, not a dict"),
    ({"$bogus": [{"n": 1}]}, "has '$bogus' in the place of a field"),
    ({"$eq": 1}, "has '$eq' in the place of a field"),
    ({"n": {"$bogus": 1}}, "the filter on 'n' has no operator '$bogus'"),
    ({"n": {"$not": {"$eq": 1}}}, "has no operator '$not'"),
    ({"n": {"$type": "int"}}, "has no operator '$type'"),
    ({"n": {"city": "Paris"}}, "has no operator 'city'"),
    ({"n": {"$gt": 1, "x": 4}}, "has no operator 'x'"),
    ({"n": {1: 1}}, "has no operator int"),
    ({"n": {}}, "which every item matches"),
    ({1: 1}, "a field that is int, not text"),
    ({None: 1}, "a field that is NoneType, not text"),
    ({"n": None}, "compares with None"),
    ({"n": {"$eq": None}}, "compares with None"),
    ({"n": {"$in": [1, None]}}, "compares with None"),
    ({"n": [1, 2]}, "compares with list of int"),
    ({"n": {"$ne": [1]}}, "compares with list of int"),
    ({"n": {"$in": [[1]]}}, "compares with list of int"),
    ({"n": {"$eq": {"a": 1}}}, "compares with dict"),
    ({"n": {"$in": 5}}, "$in takes a list, not int"),
    ({"n": {"$nin": "ab"}}, "$nin takes a list, not str"),
    ({"n": {"$gt": "abc"}}, "$gt compares with str, not a number"),
    ({"n": {"$gt": None}}, "$gt compares with NoneType, not a number"),
    ({"n": {"$lt": True}}, "$lt compares with bool, not a number"),
    ({"n": {"$gt": NAN}}, "not finite"),
    ({"n": {"$lt": math.inf}}, "not finite"),
    ({"n": NAN}, "not finite"),
    ({"n": np.float32("nan")}, "not finite"),
    ({"n": 10**400}, "not finite"),
    ({"n": b"a"}, "compares with bytes"),
    ({"n": {1}}, "compares with set"),
    ({"n": {"$exists": 1}}, "$exists takes True or False, not int"),
    ({"n": {"$regex": 5}}, "$regex takes a text, not int"),
    ({"n": {"$contains": None}}, "$contains takes a text, not NoneType"),
    ({"n": "\ud800"}, "surrogate"),
    ({"\ud800": 1}, "surrogate"),
    ({"n": {"$regex": "\udfff"}}, "surrogate"),
    ({"$and": {}}, "$and takes a list, not dict"),
    ({"$and": [5]}, "a part of $and is int, not a dict"),
    ({"$or": [{"n": 1}, None]}, "a part of $or is NoneType, not a dict"),
    ({"$not": [{"n": 1}]}, "the part of $not is list of dict, not a dict"),
    (deep(201), "nested deeper than 200"),
]


@pytest.mark.parametrize("number", range(len(FILTERS)))
def test_a_filter_that_would_match_all_or_nothing_is_refused(both: Both, number: int) -> None:
    filters, says = FILTERS[number]
    assert says in str(refusal(both, lambda index: index.query(VECTOR, filters=filters)))
    assert says in str(refusal(both, lambda index: index.query_metadata(filters)))


def test_a_filter_may_be_as_deep_as_metadata(both: Both) -> None:
    for index in both.values():
        assert [hit["id"] for hit in index.query(VECTOR, filters=deep(200))] == ["a"]
        assert index.query_metadata(deep(200)) == [{"id": "a"}]


METADATA_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    *(({"top_k": value}, "top_k is") for value in (0, -1, 2**31, 2**63, 2.5, True)),
    ({"order_by": ""}, "order_by is empty"),
    ({"order_by": 5}, "order_by is int"),
    ({"order_by": {}}, "one field with 1 or -1"),
    ({"order_by": {"n": 1, "m": 1}}, "one field with 1 or -1"),
    ({"order_by": {"n": 0}}, "one field with 1 or -1"),
    ({"order_by": {"n": "x"}}, "one field with 1 or -1"),
    ({"order_by": {1: 1}}, "order_by is int"),
    ({"order_by": "n", "ascending": 0}, "ascending is int"),
    ({"order_by": "n", "text": "lazy"}, "order_by does not go with text"),
    ({"filters": {"body": "x"}}, "can't filter on 'body'"),
    ({"text": "lazy", "text_fields": ["n"]}, "'n' is not a full-text field"),
    ({"text_fields": ["body"]}, "text_fields is for a query with text"),
]


@pytest.mark.parametrize("number", range(len(METADATA_ARGUMENTS)))
def test_an_argument_of_a_metadata_query_is_refused_by_name(both: Both, number: int) -> None:
    arguments, says = METADATA_ARGUMENTS[number]
    assert says in str(refusal(both, lambda index: index.query_metadata(**arguments)))


def test_text_needs_a_full_text_field_and_contents_a_model(connections: Connections) -> None:
    key = bytes(range(32))
    plain = {name: each.create_index("no-text", key, dimension=4) for name, each in connections.items()}
    for ask in (
        lambda index: index.query(VECTOR, text="lazy"),
        lambda index: index.query_metadata(text="lazy"),
    ):
        assert "no full-text field" in str(refusal(plain, ask))
    assert "no embedding model" in str(refusal(plain, lambda index: index.query(query_contents="a text")))
    assert "contents" in str(refusal(plain, lambda index: index.query(query_contents="")))


def test_an_index_without_a_dimension_has_nothing_to_compare(connections: Connections) -> None:
    new = {name: each.create_index("empty", bytes(range(32))) for name, each in connections.items()}
    assert "no dimension yet" in str(refusal(new, lambda index: index.query(VECTOR)))
    for index in new.values():
        assert index.dimension == 0
        assert index.query_metadata() == []
        index.upsert(["a"], [VECTOR])
        assert [hit["id"] for hit in index.query(VECTOR)] == ["a"]
        assert index.dimension == 4


def test_a_pattern_that_is_no_regular_expression_is_refused_by_the_engine(both: Both) -> None:
    for pattern in ("((", "(?=x)", "a" * 200_000):
        error = refusal(
            both, lambda index, pattern=pattern: index.query(VECTOR, filters={"n": {"$regex": pattern}})
        )  # type: ignore[misc]
        assert "the engine can't answer this query ($regex has an invalid pattern" in str(error)
    # Whatever was refused, both engines still answer.
    assert [[hit["id"] for hit in index.query(VECTOR)] for index in both.values()] == [["a"], ["a"]]


@pytest.mark.parametrize("ids", ["a", b"a", [1], [None], 5, None, {"a": 1}, ["\ud800"]])
def test_ids_to_delete_or_get_are_texts(both: Both, ids: Any) -> None:
    for name in ("delete", "get"):
        refusal(both, lambda index, name=name: getattr(index, name)(ids))  # type: ignore[misc]
    assert [index.count() for index in both.values()] == [1, 1]


SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"metadata_schema": [1]}, "metadata_schema is list of int"),
    ({"metadata_schema": {1: {}}}, "a field that is int"),
    ({"metadata_schema": {"x": None}}, "NoneType for 'x'"),
    ({"metadata_schema": {"x": {"foo": True}}}, "no policy 'foo'"),
    ({"metadata_schema": {"x": {"filterable": "yes"}}}, "filterable str for 'x'"),
    ({"metadata_schema": {"x": {"filterable": 0}}}, "filterable int for 'x'"),
    ({"metadata_schema": {"x": {"full_text": True, "filterable": True}}}, "also filterable"),
    ({"metadata_schema": {"x": {"full_text": True, "pattern": True}}}, "also a pattern"),
    (
        {"metadata_schema": {"x": {"pattern": True, "filterable": False}}},
        "a pattern field and not filterable",
    ),
    ({"metadata_schema": {"": {}}}, "empty name"),
    ({"metadata_schema": {"x": {"pattern": True}}, "text_fields": ["x"]}, "two policies"),
    ({"metadata_schema": {"x": {}}, "unfilterable": ["x"]}, "two policies"),
    ({"text_fields": "body"}, "not a list of names"),
    ({"text_fields": [""]}, "empty name"),
    ({"bm25_k1": 1.2}, "no field is declared full text"),
    ({"bm25_b": 0.5}, "no field is declared full text"),
    *(({"bm25_k1": bad, "full_text": ["x"]}, "bm25_k1") for bad in (-1, NAN, math.inf, "1", True)),
    *(({"bm25_b": bad, "full_text": ["x"]}, "bm25_b") for bad in (-0.1, 1.5, NAN, True)),
]


@pytest.mark.parametrize("number", range(len(SETTINGS)))
def test_settings_that_no_index_can_have_are_refused_and_nothing_is_made(
    connections: Connections, number: int
) -> None:
    settings, says = SETTINGS[number]
    said = set()
    for connection in connections.values():
        with pytest.raises((vecload.IndexMismatch, vecload.ItemTypeError)) as caught:
            connection.create_index(f"never-{number}", bytes(range(32)), **settings)
        assert says in str(caught.value)
        assert f"never-{number}" not in connection.list_indexes()
        said.add(str(caught.value))
    assert len(said) == 1
