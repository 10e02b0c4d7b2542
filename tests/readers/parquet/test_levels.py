from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vecload.readers.parquet.pages import Levels


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def packed(values: list[int], width: int) -> bytes:
    """Groups of eight values, filled up, `width` bits each."""
    groups = -(-len(values) // 8)
    number = sum(value << (at * width) for at, value in enumerate(values))
    return varint(groups << 1 | 1) + number.to_bytes(groups * width, "little")


def run(value: int, length: int) -> bytes:
    return varint(length << 1) + bytes([value])


@st.composite
def encoded(draw: st.DrawFn, levels: list[int], width: int) -> bytes:
    """Levels as any writer could encode them: runs of any length and packed groups in any mixture."""
    out = b""
    at = 0
    while at < len(levels):
        same = next((i for i in range(at, len(levels)) if levels[i] != levels[at]), len(levels)) - at
        if draw(st.booleans()):
            length = draw(st.integers(1, same))
            out += run(levels[at], length)
        else:
            length = 8 * draw(st.integers(1, 4))
            out += packed(levels[at : at + length], width)
        at += length
    return out


def levels_of(rows: int, dimension: int) -> list[int]:
    return [int(at > 0) for at in range(dimension)] * rows


def lists(dimension: int) -> Levels:
    return Levels(np.array(levels_of(1, dimension), dtype=np.uint8))


def of(*pattern: int) -> NDArray[np.uint8]:
    return np.array(pattern, dtype=np.uint8)


@given(st.data(), st.integers(2, 40), st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_lists_of_one_length_agree_however_they_are_encoded(
    data: st.DataObject, dimension: int, pages: list[int]
) -> None:
    expected = lists(dimension)
    for rows in pages:
        assert expected.agree(data.draw(encoded(levels_of(rows, dimension), 1)), rows * dimension)


@given(st.data(), st.integers(1, 7), st.integers(1, 300))
def test_one_level_for_all_agrees_however_it_is_encoded(data: st.DataObject, level: int, count: int) -> None:
    assert Levels(of(level)).agree(data.draw(encoded([level] * count, level.bit_length())), count)


@given(st.data(), st.integers(2, 40), st.integers(1, 30), st.integers(0, 30))
def test_a_level_that_differs_does_not_agree_whatever_was_seen_before(
    data: st.DataObject, dimension: int, rows: int, before: int
) -> None:
    expected = lists(dimension)
    if before:
        assert expected.agree(data.draw(encoded(levels_of(before, dimension), 1)), before * dimension)
    levels = levels_of(rows, dimension)
    levels[data.draw(st.integers(0, len(levels) - 1))] ^= 1
    assert not expected.agree(data.draw(encoded(levels, 1)), len(levels))


@given(st.data(), st.integers(2, 20), st.integers(1, 10))
def test_bytes_of_more_or_fewer_values_than_are_said_do_not_agree(
    data: st.DataObject, dimension: int, rows: int
) -> None:
    encoding = data.draw(encoded(levels_of(rows, dimension), 1))
    expected = lists(dimension)
    if data.draw(st.booleans()):
        assert expected.agree(encoding, rows * dimension)
    assert not expected.agree(encoding, rows * dimension + 8)
    assert not expected.agree(encoding + run(1, 1), rows * dimension)
    cut = data.draw(st.integers(0, len(encoding) - 1))
    assert not expected.agree(encoding[:cut], rows * dimension)


@given(st.data(), st.integers(2, 20), st.integers(2, 10), st.integers(1, 9))
def test_a_page_that_begins_as_a_longer_one_did_is_known_by_where_that_one_was_then(
    data: st.DataObject, dimension: int, rows: int, fewer: int
) -> None:
    assume(fewer < rows)
    row = data.draw(st.sampled_from([run(0, 1) + run(1, dimension - 1), packed(levels_of(8, dimension), 1)]))
    per = 1 if row[0] == 2 else 8
    expected = lists(dimension)
    assert expected.agree(row * rows, rows * per * dimension)
    assert expected.agree(row * fewer, fewer * per * dimension)
    assert not expected.agree(row * fewer, (fewer * per + 8) * dimension)
    assert not expected.agree(row * fewer, (fewer * per - 8) * dimension)


@pytest.mark.parametrize(
    "encoding",
    [b"", b"\x00\x01", b"\x01", b"\x80", b"\xff" * 40, run(2, 4), run(1, 2), packed([1, 1], 2)[:1]],
)
def test_what_is_no_level_does_not_agree(encoding: bytes) -> None:
    assert not Levels(of(3)).agree(encoding, 4)


def test_no_values_have_no_levels() -> None:
    assert Levels(of(1)).agree(b"", 0)
    assert not Levels(of(1)).agree(run(1, 1), 0)
