"""The fast way of a vector ends in the same item as the slow one, or isn't taken."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecload.mapping import ColumnMapping
from vecload.mapping.json_rows import VectorParser, inexact, vector_parser_for


def parse_one(text: str | bytes, dimension: int = 2, column: str = "vector") -> tuple[Any, list[float]]:
    into = np.full((1, dimension), 7, dtype=np.float32)
    line = text.encode() if isinstance(text, str) else text
    with np.errstate(over="ignore"):
        (row,) = VectorParser(column, dimension).parse_rows([(line, 0, len(line))], into)
    return row, into[0].tolist()


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ('{"id": "a", "vector": [1, 0.5]}', [1, 0.5]),
        ('{"vector":[-0.0,1e-45],"id":"a"}\r\n', [-0.0, 1.401298464324817e-45]),
        ('{"vector" :\t[ 1 , 2 ] , "id": "a"}', [1, 2]),
        ('{"m": [[1]], "vector": [1, 2], "id": "a", "n": {"vector": [3, 4]}}', [1, 2]),
        ('{"m": "]", "vector": [1, 2], "id": "a", "n": "[x]"}', [1, 2]),
        ('{"m": "\\"vector\\": [8, 9]", "vector": [1, 2], "id": "a"}', [1, 2]),
        ('{"vector": [16777217, 18446744073709551615], "id": "a"}', [16777216, 2.0**64]),
    ],
)
def test_a_list_of_numbers_is_packed_and_the_rest_of_the_row_is_as_it_was(
    text: str, numbers: list[float]
) -> None:
    row, found = parse_one(text)
    assert row == {**json.loads(text), "vector": None}
    assert np.array(found).tobytes() == np.array(numbers, dtype=float).tobytes()


@pytest.mark.parametrize(
    "text",
    [
        '{"id": "a"}',
        '{"vector": null, "m": [1, 2]}',
        '{"vector": "[1, 2]"}',
        '{"vector": [1]}',
        '{"vector": [1, 2, 3]}',
        '{"vector": []}',
        '{"vector": [[1], [2]]}',
        '{"vector": [[1, 2]]}',
        '{"vector": [[], 1, 2]}',
        '{"vector": [1, true]}',
        '{"vector": [1, null]}',
        '{"vector": [1, "2"]}',
        '{"vector": [1, "]"]}',
        '{"vector": [1, {"a": 2}]}',
        '{"vector": [1, NaN]}',
        '{"vector": [1, 1e999]}',
        '{"vector": [1, 18446744073709551616]}',
        '{"vector": [1, 02]}',
        '{"vector": [1, 2,]}',
        '{"vector": [1 2]}',
        '{"vector": [1, 2}',
        '{"vector": [1, 2]',
        '{"vector": [1, 2]]}',
        '{"vector": [1, 2]} {}',
        '{"vector": [1, 2], "m": NaN}',
        '{"vector": [1, 2], "m": "\\ud800"}',
        '[{"vector": [1, 2]}]',
        '{"n": {"vector": [1, 2]}}',
        '{"n": {"vector": [1, 2]}, "vector": [3, 4]}',
        '{"n": {"vector": [1, 2]}, "vector": null}',
        '{"n": "vector", "m": [1, 2], "vector": [3, 4]}',
        '{"vector": [1, 2], "vector": [3, 4]}',
        '{"vector": [1, 2], "\\u0076ector": [3, 4]}',
        '{"\\u0076ector": [1, 2]}',
        "",
        "vector",
        b'{"vector": [1, 2], "m": "\xff"}',
        b'\xef\xbb\xbf{"vector": [1, 2]}',
    ],
)
def test_anything_else_is_left_to_be_looked_at(text: str | bytes) -> None:
    assert parse_one(text)[0] is None


def test_a_column_may_have_any_name() -> None:
    for name in ('a"b', "naïve", "", "[", "]", "\n"):
        row, found = parse_one(json.dumps({name: [1, 2]}, ensure_ascii=False), column=name)
        assert row is None or (row, found) == ({name: None}, [1, 2])
    assert parse_one('{"naïve": [1, 2]}', column="naïve")[0] == {"naïve": None}


def test_a_line_within_a_block_is_seen_alone() -> None:
    block = b'{"vector": [1, 2]}\n{"other": [8, 9]}\n{"vector": [3, 4]}\n'
    ends = [0, *(at + 1 for at, byte in enumerate(block) if byte == 10)]
    vectors = np.zeros((3, 2), dtype=np.float32)
    found = VectorParser("vector", 2).parse_rows([(block, *places) for places in pairwise(ends)], vectors)
    assert vectors.tolist() == [[1, 2], [0, 0], [3, 4]]
    assert found == [{"vector": None}, None, {"vector": None}]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53), min_size=1))
def test_every_number_is_the_nearest_float32_of_the_number_in_the_text(numbers: list[float]) -> None:
    row, found = parse_one(orjson.dumps({"vector": numbers}), len(numbers))
    assert row == {"vector": None}
    with np.errstate(over="ignore"):
        assert np.float32(found).tobytes() == np.array(numbers, dtype=np.float64).astype(np.float32).tobytes()


def test_values_that_may_be_integers_beyond_float64_are_told() -> None:
    vectors = np.array([[1, -1], [2.0**53, 1], [0, -(2.0**60)], [np.inf, 0]], dtype=np.float32)
    assert inexact(vectors) == [1, 2, 3]
    assert inexact(vectors[:1]) == inexact(vectors[:0]) == []


def test_a_vector_that_is_another_part_too_is_not_taken_out() -> None:
    assert vector_parser_for(ColumnMapping("id", "vector"), 2) is not None
    assert vector_parser_for(ColumnMapping("id", "vector"), 0) is None
    assert vector_parser_for(ColumnMapping("id", None), 2) is None
    assert vector_parser_for(ColumnMapping("id", "vector", metadata_fields=("vector",)), 2) is None
    assert vector_parser_for(ColumnMapping("id", "vector", contents="vector"), 2) is None
    inside = (("data.vector", ("data", "vector")),)
    assert vector_parser_for(ColumnMapping("id", "data.vector", nested=inside), 2) is not None
    element = (("data[0]", ("data", "[0]")),)
    assert vector_parser_for(ColumnMapping("id", "data[0]", nested=element), 2) is None
    assert (
        vector_parser_for(ColumnMapping("id", "vector", nested=(("vector.a", ("vector", "a")),)), 2) is None
    )
