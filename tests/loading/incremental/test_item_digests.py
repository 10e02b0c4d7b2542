"""Digests of items: they differ if and only if something differs that would be stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vecload.batch import Batch, Span
from vecload.loading.incremental.item_digests import ItemDigests

KEY = bytes(range(32))
DIGESTS = ItemDigests(KEY, "docs", "sealed True")


def one(
    vector: list[float] | None = None, metadata: dict[str, Any] | None = None, contents: Any = None
) -> Batch:
    """A batch of one item."""
    vectors = None if vector is None else np.array([vector], dtype=np.float32)
    entries = None if metadata is None else [metadata]
    return Batch(["a"], vectors, entries, None if contents is None else [contents], Span("rows", 0, 1))


ITEMS = [
    one([1.0, 2.0]),
    one([1.0, float(np.nextafter(np.float32(2.0), np.float32(3.0)))]),
    one([0.0, 2.0]),
    one([-0.0, 2.0]),
    one([1.0, 2.0], {"n": 1}),
    one([1.0, 2.0], {"n": 1.0}),
    one([1.0, 2.0], {"n": True}),
    one([1.0, 2.0], {"n": "1"}),
    one([1.0, 2.0], {"n": None}),
    one([1.0, 2.0], {"n": [1]}),
    one([1.0, 2.0], {"n": 2**70}),
    one([1.0, 2.0], {"n": 1}, "text"),
    one([1.0, 2.0], {"n": 1}, b"text"),
    one([1.0, 2.0], None, "text"),
    one([1.0, 2.0], None, ""),
    one([1.0, 2.0], None, b""),
    one(None, None, "text"),
]


def test_whatever_differs_in_an_item_shows_in_its_digest() -> None:
    found = {DIGESTS.of_items(item).tobytes() for item in ITEMS}
    assert len(found) == len(ITEMS)


@pytest.mark.parametrize(
    ("item", "same"),
    [
        (one([1.0, 2.0], {"a": 1, "b": 2}), one([1.0, 2.0], {"b": 2, "a": 1})),
        (one([1.0, 2.0], {}), one([1.0, 2.0])),
    ],
)
def test_what_is_stored_alike_has_one_digest(item: Batch, same: Batch) -> None:
    assert DIGESTS.of_items(item).tobytes() == DIGESTS.of_items(same).tobytes()


def test_an_item_has_the_same_digest_in_any_batch() -> None:
    whole = Batch(
        ["a", "b", "c"],
        np.arange(6, dtype=np.float32).reshape(3, 2),
        [None, {"n": 1}, None],
        [None, None, "text"],
        Span("rows", 0, 3),
    )
    together = DIGESTS.of_items(whole)
    alone = np.concatenate([DIGESTS.of_items(whole.part(n, n + 1)) for n in range(3)])
    bare = DIGESTS.of_items(one([0.0, 1.0]))
    assert together.tobytes() == alone.tobytes()
    assert together[:1].tobytes() == bare.tobytes()


def test_of_an_item_without_a_vector_the_row_of_vectors_does_not_count() -> None:
    batch = Batch(
        ["a", "b"],
        np.ones((2, 2), np.float32),
        None,
        ["x", "y"],
        Span("rows", 0, 2),
        to_embed=np.array([True, False]),
    )
    other = replace(batch, vectors=np.array([[7, 7], [1, 1]], dtype=np.float32))
    assert DIGESTS.of_items(batch).tobytes() == DIGESTS.of_items(other).tobytes()
    with_vector = replace(batch, to_embed=None)
    assert DIGESTS.of_items(batch)[0].tobytes() != DIGESTS.of_items(with_vector)[0].tobytes()


def test_another_key_index_or_policy_has_other_digests() -> None:
    item = ITEMS[0]
    others = [
        ItemDigests(bytes(32), "docs", "sealed True"),
        ItemDigests(KEY, "other", "sealed True"),
        ItemDigests(KEY, "docs", "sealed False"),
    ]
    of_items = {digests.of_items(item).tobytes() for digests in (DIGESTS, *others)}
    assert len(of_items) == 4
    of_ids = [digests.of_ids(["a"]).tobytes() for digests in (DIGESTS, *others)]
    assert len({*of_ids}) == 3
    assert of_ids[0] == of_ids[3]  # ids are known again where items are stored in another way
