"""An index with an item of every kind, on each engine, and another place of each engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecload
from vecload.sealing import Sealer

METADATA: list[dict[str, Any]] = [
    {},
    {"text": "a name of contents", "body": "and another"},
    {"whole": 1, "fraction": 1.0, "minus zero": -0.0, "large": 2**70, "small": 5e-324, "edge": 2**63},
    {"none": None, "yes": True, "list": [1, [2.5, {"deep": [None]}]], "empty": {}, "no list": []},
    {
        "": "no name",
        "dotted.name": 1,
        "$bytes": "AAEC",
        "$date": 5,
        "id": "x",
        "vector": [1.0],
        "contents": "y",
    },
    {"unicode": 'Żółć 😀 \u0000 "quoted" \\ \u2028'},
]
CONTENTS: list[str | bytes | None] = [
    "text",
    b"\xff\x00bytes",
    "",
    b"",
    None,
    "Żółć\n\u0000 😀",
    "x" * 10_000,
    '{"$bytes":"AA=="}',
]
BITS = (0x15AE43FD, 0x80000000, 0x00000001, 0x807FFFFF, 0x7F7FFFFF, 0x3DCCCCCD, 0x34000000, 0x00800000)
"""Float32 whose shortest text reads back as a neighbour, -0.0, denormals, the largest, …"""
ITEMS = 331


@dataclass
class Place:
    """An index, and what opens it."""

    to: str
    index: str
    key: vecload.Key = field(default_factory=vecload.generate_key)

    def open(self, **options: Any) -> vecload.Index:
        return vecload.connect(self.to).open_index(self.index, self.key, **options)

    def put_under_another_key(self, item_id: str) -> None:
        """Store an item whose contents were sealed with a contents key that nobody has."""
        (sealed,) = Sealer(os.urandom(32), self.index).seal([item_id], ["lost"])
        self.open(seal=False).upsert([{"id": item_id, "vector": [1.0] * 8, "contents": sealed}])

    def items(self) -> dict[str, Any]:
        """All of it, comparable: vectors as their bits, metadata as written."""
        index = self.open()
        ids = index.list_ids()
        found = {
            item["id"]: (
                b"" if item["vector"] is None else np.array(item["vector"], np.float32).tobytes(),
                repr(sorted(item["metadata"].items())),
                type(item["contents"]).__name__,
                item["contents"],
            )
            for item in index.get(ids)
        }
        # The engine returns nothing of an item that is only a vector of zeros.
        return dict.fromkeys(ids) | found

    def drop(self) -> None:
        vecload.connect(self.to).delete_index(self.index, self.key)


def items(count: int = ITEMS) -> list[dict[str, Any]]:
    """Items with every kind of value."""
    random = np.random.default_rng(7)
    vectors = random.standard_normal((count, 8), dtype=np.float32)
    vectors[1] = np.array(BITS, np.uint32).view(np.float32)
    vectors[2] = 0
    made = [
        {
            "id": f"id {n}" if n % 5 else f"Żółć/{n}\n",
            "vector": vectors[n],
            "metadata": METADATA[n % len(METADATA)],
            "contents": CONTENTS[n % len(CONTENTS)],
        }
        for n in range(count)
    ]
    made[2] |= {"metadata": {}, "contents": None}  # the engine hides such an item
    return made


@pytest.fixture
def place(
    request: pytest.FixtureRequest, tmp_path: Path, new_name: Callable[[], str]
) -> Iterator[Callable[[str], Place]]:
    """Makes the place of an index that does not exist yet: `embedded` or `service`."""
    made: list[Place] = []

    def make(engine: str) -> Place:
        name = new_name()
        to = str(tmp_path / "store") if engine == "embedded" else request.getfixturevalue("service")
        made.append(Place(to, name))
        return made[-1]

    yield make
    for each in made:
        if each.to.startswith("http"):
            # The service keeps threads busy for each index that it has open.
            with suppress(vecload.VecloadError):
                each.drop()


@pytest.fixture
def full(place: Callable[[str], Place]) -> Callable[[str], Place]:
    """Makes an index with an item of every kind."""

    def make(engine: str) -> Place:
        there = place(engine)
        index = vecload.connect(there.to).create_index(
            there.index,
            there.key,
            dimension=8,
            allow_zero_vectors=True,
            unfilterable=["body"],
            metric="cosine",
        )
        index.upsert(items())
        return there

    return make
