"""Placement: which of several services holds an id, by rendezvous hashing.

Each id has a score for each shard, and the shard with the highest score holds it. So a list with one more
shard takes 1/(n + 1) of the ids from the others, and moves no other id. A score depends on the id and on the
shard's position in the list, not on its address: a service may move to another host.

The score is `mix(digest ^ mix(position + 1))`. `digest` is the BLAKE2b digest of the id's UTF-8 bytes, 8
bytes, little-endian. `mix` is the finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom
number generators, OOPSLA 2014), after adding 0x9e3779b97f4a7c15. docs/howto/shards.md has test vectors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

IdDigests: TypeAlias = NDArray[np.uint64]
"""Digests of ids, shape (n,). The same in every process, other than those of `hash`."""
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def stable_digests(ids: Iterable[str]) -> IdDigests:
    """The ids as BLAKE2b digests of 8 bytes, little-endian."""
    blake = hashlib.blake2b
    whole = b"".join([blake(one.encode(), digest_size=8).digest() for one in ids])
    return np.frombuffer(whole, dtype="<u8").astype(np.uint64, copy=False)


def shards_of(ids: Sequence[str], shards: int) -> NDArray[np.intp]:
    """The position of the shard that holds each id: shape (n,), from 0.

    Args:
        ids: The ids.
        shards: How many shards there are, at least 1.
    """
    digests = stable_digests(ids)
    seeds = mixed(np.arange(1, shards + 1, dtype=np.uint64))
    highest: NDArray[np.intp] = np.argmax([mixed(digests ^ seed) for seed in seeds], axis=0)
    return highest


def mixed(values: IdDigests) -> IdDigests:
    """SplitMix64's output for each state."""
    with np.errstate(over="ignore"):
        z = values + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _FIRST
        z = (z ^ (z >> np.uint64(27))) * _SECOND
        mixed: IdDigests = z ^ (z >> np.uint64(31))
        return mixed
