"""NaN in metadata: a null as pandas means it, left out and counted, or a reject where that is asked for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from vecload.batch import Batch, Span
from vecload.mapping import ColumnMapping, Mapper, Rules
from vecload.mapping.arrow_rows import ArrowRows
from vecload.mapping.mapping import Steps

NAN, INF = math.nan, math.inf
OMIT, REJECT = Rules(), Rules(nan="reject")


def mapped(columns: dict[str, pa.Array], rules: Rules = OMIT, **mapping: Any) -> Batch:
    n = len(next(iter(columns.values())))
    table = pa.record_batch({"id": pa.array([str(i) for i in range(n)]), **columns})
    return Mapper(ColumnMapping("id", None, rules=rules, **mapping), 0).map(ArrowRows(Span("a", 0, n), table))


def metadata_of(columns: dict[str, pa.Array], rules: Rules = OMIT, **mapping: Any) -> Batch:
    """Without an embedding index every row needs contents."""
    n = len(next(iter(columns.values())))
    return mapped({"text": pa.array(["t"] * n), **columns}, rules, contents="text", **mapping)


def rejected(batch: Batch) -> list[tuple[int, str, str]]:
    return [(reject.row, reject.field, reject.code) for reject in batch.rejects]


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()], ids=str)
def test_it_is_left_out_and_counted(kind: pa.DataType) -> None:
    numbers = pa.array([np.float16(x) for x in (1.5, NAN, 2.5)], pa.float16()).cast(kind)
    numbers = pa.concat_arrays([numbers, pa.nulls(1, kind)])
    batch = metadata_of({"price": numbers, "n": pa.array([1, 2, 3, 4])})
    assert batch.metadata == [{"price": 1.5, "n": 1}, {"n": 2}, {"price": 2.5, "n": 3}, {"n": 4}]
    assert (rejected(batch), batch.nan_left_out) == ([], 1)


def test_its_row_is_a_reject_where_that_is_asked_for() -> None:
    batch = metadata_of({"price": pa.array([1.5, NAN, None])}, REJECT)
    assert (batch.metadata, batch.nan_left_out) == ([{"price": 1.5}, None], 0)
    assert rejected(batch) == [(1, "metadata", "not-json")]


@pytest.mark.parametrize("rules", [OMIT, REJECT])
def test_infinity_is_a_reject_either_way(rules: Rules) -> None:
    batch = metadata_of({"price": pa.array([INF, 1.0, -INF])}, rules)
    assert [row for row, _, _ in rejected(batch)] == [0, 2]


def test_values_of_rejected_rows_do_not_count() -> None:
    batch = metadata_of({"a": pa.array([NAN, NAN]), "b": pa.array([INF, NAN])})
    assert (rejected(batch), batch.nan_left_out) == ([(0, "metadata", "not-json")], 2)


@pytest.mark.parametrize(
    ("array", "expected", "left_out"),
    [
        pytest.param(pa.array([{"a": NAN, "b": 1.0}]), {"b": 1.0}, 1, id="in a struct"),
        pytest.param(pa.array([{"a": NAN, "b": NAN}]), {}, 2, id="all of a struct"),
        pytest.param(
            pa.array([[("a", NAN), ("b", 1.0)]], pa.map_(pa.string(), pa.float64())),
            {"b": 1.0},
            1,
            id="in a map",
        ),
        pytest.param(pa.array([[{"a": NAN}, {"a": 1.0}]]), [{}, {"a": 1.0}], 1, id="in a struct in a list"),
        pytest.param(pa.array([NAN]).dictionary_encode(), None, 1, id="in a dictionary"),
    ],
)
def test_it_is_left_out_wherever_a_null_would_be(array: pa.Array, expected: Any, left_out: int) -> None:
    between = pa.concat_arrays([pa.nulls(2, array.type), array, pa.nulls(1, array.type)])
    for column in (between, between.slice(1)):
        batch = metadata_of({"m": column})
        wanted = [None] * len(column)
        wanted[-2] = None if expected is None else {"m": expected}
        assert (batch.metadata or [None] * len(column)) == wanted
        assert (rejected(batch), batch.nan_left_out) == ([], left_out)


@pytest.mark.parametrize(
    "array",
    [
        pa.array([[1.0, NAN]]),
        pa.array([[1.0, NAN]], pa.list_(pa.float32(), 2)),
        pa.array([[1.0, NAN]], pa.list_view(pa.float64())),
        pa.array([[[1.0], [NAN]]]),
        pa.array([{"a": {"b": [NAN]}}]),
        pa.array([[(NAN, 1)]], pa.map_(pa.float64(), pa.int8())),
        pa.ExtensionArray.from_storage(
            pa.fixed_shape_tensor(pa.float32(), (2,)), pa.array([[1, NAN]], pa.list_(pa.float32(), 2))
        ),
    ],
    ids=lambda array: str(array.type)[:40],
)
def test_in_a_list_it_is_a_reject_since_what_follows_would_move_up(array: pa.Array) -> None:
    batch = metadata_of({"m": array})
    assert (rejected(batch), batch.nan_left_out) == ([(0, "metadata", "not-json")], 0)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([{"a": NAN, "b": 1.0}, {"a": 2.0, "b": NAN}]), [{"b": 1.0}, {"a": 2.0}]),
        (
            pa.array(
                [[("a", NAN), ("b", 1.0)], [("a", 2.0), ("b", NAN)]], pa.map_(pa.string(), pa.float64())
            ),
            [{"b": 1.0}, {"a": 2.0}],
        ),
    ],
    ids=["struct", "map"],
)
def test_it_is_left_out_of_an_object_that_is_spread_and_of_fields_by_their_paths(
    array: pa.Array, expected: list[Any]
) -> None:
    batch = metadata_of({"meta": array}, metadata_object="meta")
    assert (batch.metadata, batch.nan_left_out) == (expected, 2)
    nested: tuple[tuple[str, Steps], ...] = (("meta.a", ("meta", "a")),)
    batch = metadata_of({"meta": array}, metadata_fields=("meta.a",), nested=nested)
    assert batch.metadata == [None, {"meta.a": 2.0}]
    assert batch.nan_left_out >= 1


def test_what_json_cannot_say_in_a_map_is_a_reject_by_its_path_too() -> None:
    array = pa.array([[("a", INF)], [("a", 2.0)]], pa.map_(pa.string(), pa.float64()))
    nested: tuple[tuple[str, Steps], ...] = (("meta.a", ("meta", "a")),)
    batch = metadata_of({"meta": array}, metadata_fields=("meta.a",), nested=nested)
    assert rejected(batch) == [(0, "metadata", "not-json")]
    assert batch.metadata == [{"meta.a": 2.0}]
