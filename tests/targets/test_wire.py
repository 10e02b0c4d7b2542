"""The wire formats carry a batch exactly: what is parsed back from a body is what went into it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vecload.batch import Batch, Contents, Metadata, Span
from vecload.targets.wire import (
    PIECE_BYTES,
    Body,
    choose_format,
    dumps,
    encode_binary,
    encode_json,
    vectors_text_bytes,
)

KEY = "0f" * 32

finite_patterns = arrays(
    np.uint32,
    st.tuples(st.integers(1, 5), st.integers(1, 9)),
    elements=st.integers(0, 2**32 - 1).filter(lambda p: (p >> 23) & 0xFF != 0xFF),
)
"""Bit patterns of finite float32, shape (n, dim)."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def batch(
    vectors: Any,
    metadata: list[Metadata | None] | None = None,
    contents: list[Contents | None] | None = None,
    ids: list[str] | None = None,
) -> Batch:
    n = len(vectors) if vectors is not None else len(ids or [])
    return Batch(ids or [f"i{k}" for k in range(n)], vectors, metadata, contents, Span("rows", 0, n))


@pytest.mark.parametrize("encode", [encode_json, encode_binary])
def test_a_body_has_an_index_key_only_if_there_is_one(encode: Callable[..., Body]) -> None:
    sent = batch(np.ones((2, 3), dtype=np.float32), [{"a": 1}, None], ["x", None])
    with_key, without = (json.loads(b"".join(encode(sent, "docs", key))) for key in (KEY, None))
    assert with_key.pop("index_key") == KEY
    assert "index_key" not in without
    assert with_key == without


def body_of_json(sent: Batch) -> dict[str, Any]:
    body = json.loads(b"".join(encode_json(sent, "docs", KEY)))
    assert isinstance(body, dict)
    return body


def body_of_binary(sent: Batch) -> dict[str, Any]:
    body = json.loads(b"".join(encode_binary(sent, "docs", KEY)))
    assert isinstance(body, dict)
    return body


@given(finite_patterns)
def test_every_float32_survives_json(patterns: np.ndarray) -> None:
    items = body_of_json(batch(patterns.view(np.float32)))["items"]
    parsed = np.array([item["vector"] for item in items], dtype=np.float64).astype(np.float32)
    assert parsed.view(np.uint32).tolist() == patterns.tolist()


@given(finite_patterns)
def test_every_float32_survives_a_reader_that_parses_straight_to_float32(patterns: np.ndarray) -> None:
    # The text reads back as exactly the float32: rounding once or twice is the same.
    items = body_of_json(batch(patterns.view(np.float32)))["items"]
    for item, row in zip(items, patterns.view(np.float32).tolist(), strict=True):
        assert item["vector"] == row


def test_the_float32_whose_shortest_text_reads_back_as_its_neighbour_survives_json() -> None:
    hard = np.array([[0x15AE43FD]], dtype=np.uint32)
    (item,) = body_of_json(batch(hard.view(np.float32)))["items"]
    assert np.float32(item["vector"][0]).view(np.uint32) == 0x15AE43FD


@given(finite_patterns)
def test_binary_carries_the_bytes_of_the_vectors_row_by_row(patterns: np.ndarray) -> None:
    sent = body_of_binary(batch(patterns.view(np.float32)))["batch"]
    assert sent["dimension"] == patterns.shape[1]
    assert base64.b64decode(sent["vectors_b64"], validate=True) == patterns.astype("<u4").tobytes()
    assert sent["ids"] == [f"i{k}" for k in range(len(patterns))]
    assert set(sent) == {"ids", "dimension", "vectors_b64"}


@given(st.lists(st.none() | st.dictionaries(st.text(), json_values, max_size=4), min_size=1, max_size=4))
def test_metadata_of_any_json_is_parsed_back_equal_from_both(metadata: list[Metadata | None]) -> None:
    sent = batch(np.ones((len(metadata), 2), dtype=np.float32), metadata)
    assert [item.get("metadata") for item in body_of_json(sent)["items"]] == metadata
    assert body_of_binary(sent)["batch"]["metadata"] == metadata


@given(st.lists(st.none() | st.text() | st.binary(), min_size=1, max_size=5))
def test_contents_go_as_text_and_bytes_as_base64_in_both(contents: list[Contents | None]) -> None:
    sent = batch(np.ones((len(contents), 2), dtype=np.float32), None, contents)
    expected = [base64.b64encode(c).decode() if isinstance(c, bytes) else c for c in contents]
    assert [item.get("contents") for item in body_of_json(sent)["items"]] == expected
    assert body_of_binary(sent)["batch"]["contents"] == expected


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_ids_of_any_text_are_parsed_back_equal_from_both(ids: list[str]) -> None:
    sent = batch(np.ones((len(ids), 2), dtype=np.float32), ids=ids)
    assert [item["id"] for item in body_of_json(sent)["items"]] == ids
    assert body_of_binary(sent)["batch"]["ids"] == ids


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 2**70, 10**100])
def test_integers_of_any_size_stay_exact_beside_vectors(number: int) -> None:
    sent = batch(np.full((2, 3), 0.1, dtype=np.float32), [{"n": number}, {"s": "é"}])
    for parsed in (
        [item["metadata"] for item in body_of_json(sent)["items"]],
        body_of_binary(sent)["batch"]["metadata"],
    ):
        assert parsed == [{"n": number}, {"s": "é"}]
    vectors = [item["vector"] for item in body_of_json(sent)["items"]]
    assert vectors == [[float(np.float32(0.1))] * 3] * 2


def test_both_name_the_index_and_carry_its_key() -> None:
    sent = batch(np.ones((1, 2), dtype=np.float32))
    name = 'na"me\\ ż'
    for encode in (encode_json, encode_binary):
        body = json.loads(b"".join(encode(sent, name, KEY)))
        assert (body["index_name"], body["index_key"]) == (name, KEY)


def test_items_without_vectors_go_as_json_without_the_field() -> None:
    sent = batch(None, None, ["embed me"], ids=["a"])
    assert choose_format(sent, "binary", 1) == "json"
    assert body_of_json(sent)["items"] == [{"id": "a", "contents": "embed me"}]
    with pytest.raises(ValueError, match="no binary form"):
        encode_binary(sent, "docs", KEY)


def test_auto_takes_binary_from_the_threshold_on() -> None:
    three, four = (batch(np.ones((n, 2), dtype=np.float32)) for n in (3, 4))
    assert [choose_format(sent, "auto", 4) for sent in (three, four)] == ["json", "binary"]
    assert choose_format(four, "json", 1) == "json"
    assert choose_format(three, "binary", 1000) == "binary"


def test_metadata_nested_deeply_is_parsed_back_equal() -> None:
    nested: Any = "leaf"
    for _ in range(300):
        nested = [nested]
    assert json.loads(dumps({"deep": nested})) == {"deep": nested}


def test_a_part_of_a_batch_carries_its_own_rows() -> None:
    vectors = np.arange(12, dtype=np.float32).reshape(6, 2)
    part = batch(vectors, [{"n": n} for n in range(6)], [str(n) for n in range(6)]).part(2, 4)
    sent = body_of_binary(part)["batch"]
    assert sent["ids"] == ["i2", "i3"]
    assert base64.b64decode(sent["vectors_b64"]) == vectors[2:4].tobytes()
    assert (sent["metadata"], sent["contents"]) == ([{"n": 2}, {"n": 3}], ["2", "3"])


@pytest.mark.parametrize("wire", ["json", "binary"])
def test_what_vectors_take_in_a_body_is_known_beforehand(wire: Any) -> None:
    vectors = np.random.default_rng(1).standard_normal((50, 64), dtype=np.float32)
    sent = batch(vectors)
    body = b"".join((encode_json if wire == "json" else encode_binary)(sent, "docs", KEY))
    # Never more than there is by much: a body that would have passed must not be halved.
    assert 0.75 * len(body) < vectors_text_bytes(sent, wire) <= len(body)
    assert vectors_text_bytes(batch(None, ids=["a"], contents=["text"]), "json") == 0


@pytest.mark.parametrize(
    "size", [0, 1, 2, 3, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 2]
)
def test_a_view_in_a_body_is_written_as_one_base64_in_pieces_as_often_as_it_is_asked_for(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    body = Body(b"before ", memoryview(data), b" after")
    pieces = [*body]
    assert b"".join(pieces) == b"before " + base64.b64encode(data) + b" after"
    assert b"".join(body) == b"".join(pieces)
    assert body.nbytes == sum(map(len, pieces))
    assert max(map(len, pieces)) <= PIECE_BYTES * 4 // 3
