"""What counts as equal: JSON values by type and value, vectors by their bits, contents by type and value."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from vecload.verifying.comparison import difference_in_metadata, same_metadata, same_value
from vecload.verifying.precision import RELATIVE_ERROR, different_rows, likely_precision

DEEP: dict[str, Any] = {}
_inner = DEEP
for _ in range(3000):
    _inner["a"] = {}
    _inner = _inner["a"]

DIFFERENT: list[tuple[Any, Any]] = [
    (1, 1.0),
    (1, True),
    (0, False),
    (0.0, -0.0),
    (1.0, math.nextafter(1.0, 2.0)),
    (None, math.nan),
    (1.5, math.nan),
    (2**70, float(2**70)),
    (2**70, 2**70 + 1),
    (2**53, 2**53 + 1),
    ("1", 1),
    ("é", "e\u0301"),
    ("", None),
    ([], {}),
    ([1, 2], [2, 1]),
    ([1, 2], [1, 2, 2]),
    ([1], [1.0]),
    ([[0.0]], [[-0.0]]),
    ({"a": 1}, {"a": 1.0}),
    ({"a": None}, {}),
    ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 2.0}]}}),
    (DEEP, {"a": 1}),
    ("\ud800", "?"),
]
EQUAL: list[tuple[Any, Any]] = [
    ({"a": 1, "b": {"c": 1, "d": [1, 2]}}, {"b": {"d": [1, 2], "c": 1}, "a": 1}),
    ([1, [2.5, {"deep": None}], "x", True, False, -0.0], [1, [2.5, {"deep": None}], "x", True, False, -0.0]),
    (2**70, 2**70),
    (5e-324, 5e-324),
    (DEEP, json.loads("0", parse_int=lambda text: DEEP)),
    ("\ud800", "\ud800"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_values_that_json_tells_apart_differ(one: Any, other: Any) -> None:
    for expected, found in ((one, other), (other, one)):
        assert not same_value(expected, found)
        for whole, part in (
            ({"x": expected}, {"x": found}),
            ({"y": 1, "x": [expected]}, {"x": [found], "y": 1}),
        ):
            assert not same_metadata([{}, whole], [{}, part])
            assert "'x'" in difference_in_metadata(whole, part)


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_values_that_are_the_same_in_json_are_equal(one: Any, other: Any) -> None:
    assert same_value(one, other)
    assert difference_in_metadata({"x": one}, {"x": other}) == ""


def test_a_difference_names_fields_and_no_value() -> None:
    what = difference_in_metadata({"a": 1, "b": "secret", "c": 2}, {"a": 1.0, "b": "other", "d": 0})
    assert what == "has another type in 'a', differs in 'b', lacks 'c' and 1 more"


def times(vectors: Any, factor: float) -> Any:
    return (vectors.astype(np.float64) * factor).astype(np.float32)


def bits(*values: int) -> Any:
    return np.array([values], dtype=np.uint32).view(np.float32)


@pytest.mark.parametrize("precision", [None, "float32"])
def test_float32_differs_in_every_bit(precision: Any) -> None:
    one = bits(0x3F800000, 0x80000000, 0x00000001)
    assert not different_rows(one, one.copy(), precision).any()
    for other in (
        bits(0x3F800001, 0x80000000, 0x00000001),
        bits(0x3F800000, 0x00000000, 0x00000001),
        bits(0x3F800000, 0x80000000, 0x00000000),
        bits(0x3F800000, 0x80000000, 0x7FC00000),
    ):
        assert different_rows(one, other, precision).tolist() == [True]


def test_float16_is_the_rounding_and_nothing_near_it() -> None:
    one = np.array([[0.1, -2.5, 1e-6], [1e6, 1, 1]], np.float32)
    rounded = np.array([[0.0999755859375, -2.5, 1.0132789611816406e-06], [np.inf, 1, 1]], np.float32)
    assert different_rows(one, rounded, "float16").tolist() == [False, False]
    assert different_rows(one, np.nextafter(rounded, np.float32(0)), "float16").all()


@pytest.mark.parametrize("precision", RELATIVE_ERROR)
def test_lossy_storage_keeps_a_vector_within_a_part_of_its_length(precision: Any) -> None:
    one = np.random.default_rng(0).standard_normal((3, 64), dtype=np.float32)
    part = RELATIVE_ERROR[precision]
    assert not different_rows(one, times(one, 1 - 0.99 * part), precision).any()
    for factor in (1 - 1.01 * part, math.nan, math.inf, 0):
        assert different_rows(one, times(one, factor), precision).all()
    large, small = times(one, 1e37), times(one, 1e-38)
    assert not different_rows(large, large, precision).any()
    assert not different_rows(small, small, precision).any()


def test_the_storage_that_probably_made_a_difference() -> None:
    one = np.random.default_rng(0).standard_normal((9, 64), dtype=np.float32)
    assert likely_precision(one, one.astype(np.float16).astype(np.float32)) == "float16"
    for precision, away in (("tq12", 0.0006), ("tq8", 0.01), ("tq6", 0.04), ("tq4", 0.2)):
        assert likely_precision(one, times(one, 1 + away)) == precision
    assert likely_precision(one, one[::-1]) is None
