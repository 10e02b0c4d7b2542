"""Which shard holds an id: the same for ever, and about evenly."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from vecload.targets.placement import shards_of, stable_digests

MASK = 2**64 - 1


def mixed(value: int) -> int:
    """SplitMix64 as its paper has it."""
    z = (value + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def by_the_book(item_id: str, shards: int) -> int:
    digest = int.from_bytes(hashlib.blake2b(item_id.encode(), digest_size=8).digest(), "little")
    return max(range(shards), key=lambda n: mixed(digest ^ mixed(n + 1)))


IDS = ["doc-1", "doc-2", "doc-3", "", "Żółć", "x" * 4000, *(f"id {n}" for n in range(500))]


def test_digests_are_those_of_blake2b_in_every_process() -> None:
    expected = int.from_bytes(hashlib.blake2b(b"doc-1", digest_size=8).digest(), "little")
    assert stable_digests(["doc-1", "Żółć"]).tolist()[0] == expected == 4752762565065110614
    assert stable_digests([]).shape == (0,)


@pytest.mark.parametrize("shards", [1, 2, 3, 8, 50])
def test_the_shard_of_an_id_is_the_one_with_the_highest_score(shards: int) -> None:
    assert shards_of(IDS, shards).tolist() == [by_the_book(item_id, shards) for item_id in IDS]


def test_the_vectors_of_the_documentation() -> None:
    found = {item_id: [shards_of([item_id], n)[0] + 1 for n in (2, 3, 8)] for item_id in IDS[:3]}
    assert found == {"doc-1": [1, 1, 1], "doc-2": [1, 1, 1], "doc-3": [2, 2, 2]}


def test_one_more_shard_takes_its_part_and_moves_nothing_else() -> None:
    ids = [f"id {n}" for n in range(30_000)]
    before, after = shards_of(ids, 4), shards_of(ids, 5)
    moved = before != after
    assert (after[moved] == 4).all()
    assert abs(moved.mean() - 1 / 5) < 0.01
    assert np.abs(np.bincount(after) / len(ids) - 1 / 5).max() < 0.01
