"""Corruptions: what can go wrong with an item of an index, done to it through the engine."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vecload.batch import Batch, Contents, Metadata, Span
from vecload.sealing import Key, Opener, Sealer, generate_key
from vecload.targets import StoredItem, TargetIndex

ALL = ("vector", "metadata", "contents")


def put(
    index: TargetIndex, item_id: str, vector: Any, metadata: Metadata | None, contents: Contents | None
) -> None:
    """Store an item with contents as they are."""
    row = np.array([vector], dtype=np.float32)
    index.upsert(Batch([item_id], row, [metadata], [contents], Span("corruption", 0, 1)))


@dataclass(frozen=True)
class Corruptor:
    """Corrupts items of an index, each differently.

    Every method returns the fields that differ then, for each item that it touched.

    index: The index; its items have a vector, metadata and sealed contents.
    key: Its key.
    chance: Draws what happens.
    """

    index: TargetIndex
    key: Key
    chance: random.Random

    def stored(self, item_id: str) -> StoredItem:
        (item,) = self.index.get([item_id], ALL)
        return item

    def change(self, item_id: str, **parts: Any) -> None:
        """Store an item again with other parts."""
        item = self.stored(item_id)
        stored = {"vector": item.vector, "metadata": item.metadata, "contents": item.contents}
        put(self.index, item_id, **(stored | parts))

    def sealed(self, item_id: str, contents: Contents, key: Key | None = None) -> str | None:
        """Contents, sealed for an item."""
        return Sealer((key or self.key).contents_key, self.index.name).seal([item_id], [contents])[0]

    def opened(self, item_id: str) -> Contents | None:
        """The contents of an item."""
        stored = self.stored(item_id).contents
        return (
            None if stored is None else Opener(self.key.opening_keys, self.index.name).open(item_id, stored)
        )

    def lost(self, one: str, other: str) -> dict[str, set[str]]:
        self.index.delete([one])
        return {one: {"item"}}

    def extra(self, one: str, other: str) -> dict[str, set[str]]:
        new = f"{one} that nobody loaded"
        put(self.index, new, self.stored(one).vector, None, None)
        return {new: {"item"}}

    def mantissa_bit(self, one: str, other: str) -> dict[str, set[str]]:
        vector = self.stored(one).vector
        assert vector is not None
        bits = vector.copy().view(np.uint32)
        bits[self.chance.randrange(len(bits))] ^= 1 << self.chance.randrange(23)
        self.change(one, vector=bits.view(np.float32))
        return {one: {"vector"}}

    def type_of_a_value(self, one: str, other: str) -> dict[str, set[str]]:
        metadata = dict(self.stored(one).metadata)
        name = self.chance.choice([*metadata])
        metadata[name] = _of_another_type(metadata[name])
        self.change(one, metadata=metadata)
        return {one: {"metadata"}}

    def lost_field(self, one: str, other: str) -> dict[str, set[str]]:
        metadata = dict(self.stored(one).metadata)
        del metadata[self.chance.choice([*metadata])]
        self.change(one, metadata=metadata)
        return {one: {"metadata"}}

    def new_field(self, one: str, other: str) -> dict[str, set[str]]:
        self.change(one, metadata={**self.stored(one).metadata, "new": None})
        return {one: {"metadata"}}

    def swapped_contents(self, one: str, other: str) -> dict[str, set[str]]:
        of_one, of_other = (self.stored(item_id).contents for item_id in (one, other))
        self.change(one, contents=of_other)
        self.change(other, contents=of_one)
        return {one: {"contents"}, other: {"contents"}}

    def another_key(self, one: str, other: str) -> dict[str, set[str]]:
        self.change(one, contents=self.sealed(one, self.opened(one) or "", generate_key()))
        return {one: {"contents"}}

    def type_of_contents(self, one: str, other: str) -> dict[str, set[str]]:
        before = self.opened(one)
        after = before.encode() if isinstance(before, str) else "text"
        self.change(one, contents=self.sealed(one, after))
        return {one: {"contents"}}

    def unsealed_contents(self, one: str, other: str) -> dict[str, set[str]]:
        self.change(one, contents="anyone may have written this")
        return {one: {"contents"}}

    def lost_contents(self, one: str, other: str) -> dict[str, set[str]]:
        self.change(one, contents=None)
        return {one: {"contents"}}

    def lost_vector(self, one: str, other: str) -> dict[str, set[str]]:
        self.change(one, vector=np.zeros(self.index.describe().dimension))
        return {one: {"vector"}}

    def older_version(self, one: str, other: str) -> dict[str, set[str]]:
        vector = self.stored(one).vector
        assert vector is not None
        put(
            self.index,
            one,
            np.nextafter(vector, np.float32(9)),
            {"version": 1},
            self.sealed(one, "the text of before"),
        )
        return {one: {"vector", "metadata", "contents"}}


KINDS: list[Callable[[Corruptor, str, str], dict[str, set[str]]]] = [
    Corruptor.lost,
    Corruptor.extra,
    Corruptor.mantissa_bit,
    Corruptor.type_of_a_value,
    Corruptor.lost_field,
    Corruptor.new_field,
    Corruptor.swapped_contents,
    Corruptor.another_key,
    Corruptor.type_of_contents,
    Corruptor.unsealed_contents,
    Corruptor.lost_contents,
    Corruptor.lost_vector,
    Corruptor.older_version,
]


def _of_another_type(value: Any) -> Any:
    """The value as Python's `==` may still take it for the same, but not as JSON."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return float(value) if float(value) == value else str(value)
    if isinstance(value, float):
        return -value if value == 0 else int(value) if value.is_integer() else struct.pack("<d", value).hex()
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [*reversed(value)] if value != [*reversed(value)] else {"0": value}
    if isinstance(value, dict):
        return {**value, "deep": {"er": [None]}}
    return "null"
