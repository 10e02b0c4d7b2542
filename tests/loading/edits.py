"""Files that change at random, and what a full load of them would make of an index."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vecload.batch import Contents
from vecload.index import Index

Item: TypeAlias = tuple[bytes, str, Contents | None]
"""The bits of a vector, metadata as canonical JSON, and contents with their type."""
DIMENSION = 4
IDS = 60


@dataclass
class Row:
    """A row; `bad` rows are rejected, for their vectors."""

    id: str | None
    bits: list[int]
    metadata: dict[str, Any]
    contents: str | None
    bad: bool = False

    @property
    def item(self) -> Item:
        return (
            np.array(self.bits, dtype=np.uint32).tobytes(),
            json.dumps(self.metadata, sort_keys=True),
            self.contents,
        )

    @property
    def vector(self) -> list[float]:
        values: list[float] = (
            np.array(self.bits, dtype=np.uint32).view(np.float32).astype(np.float64).tolist()
        )
        return [0.0] * DIMENSION if self.bad else values


@dataclass
class Files:
    """Files of rows in a folder, which random edits change.

    Attributes:
        folder: Where they are.
        chance: Makes the edits.
        kinds: The formats, by suffix.
        bad: Some rows are rejected.
    """

    folder: Path
    chance: random.Random
    kinds: tuple[str, ...] = ("jsonl", "parquet")
    bad: bool = True
    rows: dict[str, list[Row]] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for _ in range(6):
            self._add_file()

    def new_row(self, item_id: str | None = None) -> Row:
        bits = np.float32([self.chance.uniform(-2, 2) for _ in range(DIMENSION)]).view(np.uint32)
        return Row(
            item_id or f"id-{self.chance.randrange(IDS)}",
            bits.tolist(),
            {"n": self.chance.randrange(5), "name": self.chance.choice(["a", "b"])},
            self.chance.choice([None, "text", "other text"]),
        )

    def _add_file(self) -> None:
        name = f"{self.chance.randrange(10_000):04}.{self.chance.choice(self.kinds)}"
        self.rows[name] = [self.new_row() for _ in range(self.chance.randrange(1, 8))]
        self.changed.add(name)

    def _some(self) -> tuple[str, list[Row]]:
        name = self.chance.choice(sorted(self.rows))
        self.changed.add(name)
        return name, self.rows[name]

    def edit(self) -> None:
        """Change something."""
        edits = [
            *(self._insert, self._bit, self._metadata_type, self._contents_of, self._delete, self._move),
            *(self._repeat, self._back_and_forth, self._add_file, self._remove_file, self._rename_file),
            *((self._spoil, self._lose_id) if self.bad else ()),
        ]
        self.chance.choice(edits)()

    def _insert(self) -> None:
        _, rows = self._some()
        rows.insert(self.chance.randrange(len(rows) + 1), self.new_row())

    def _bit(self) -> None:
        _, rows = self._some()
        row = self.chance.choice(rows)
        row.bits[self.chance.randrange(DIMENSION)] ^= 1 << self.chance.randrange(8)

    def _metadata_type(self) -> None:
        name, rows = self._some()
        if name.endswith(".jsonl"):
            row = self.chance.choice(rows)
            row.metadata["n"] = self.chance.choice([1, 1.0, True, "1", None, [1], {"deep": 1}])

    def _contents_of(self) -> None:
        _, rows = self._some()
        self.chance.choice(rows).contents = self.chance.choice(["", "text", None, "new text"])

    def _delete(self) -> None:
        _, rows = self._some()
        if len(rows) > 1:
            rows.pop(self.chance.randrange(len(rows)))

    def _move(self) -> None:
        _, rows = self._some()
        _, others = self._some()
        if len(rows) > 1:
            row = rows.pop(self.chance.randrange(len(rows)))
            others.insert(self.chance.randrange(len(others) + 1), row)

    def _repeat(self) -> None:
        _, rows = self._some()
        _, others = self._some()
        row = copy.deepcopy(self.chance.choice(rows))
        row.bits = self.new_row().bits if self.chance.random() < 0.5 else row.bits
        others.insert(self.chance.randrange(len(others) + 1), row)

    def _back_and_forth(self) -> None:
        """Repeat an id three times: as it is, otherwise, and as it is."""
        _, rows = self._some()
        row = self.chance.choice(rows)
        rows += [self.new_row(row.id), copy.deepcopy(row)]

    def _remove_file(self) -> None:
        if len(self.rows) > 3:
            name, _ = self._some()
            del self.rows[name]

    def _rename_file(self) -> None:
        name, rows = self._some()
        new = f"{self.chance.randrange(10_000):04}{Path(name).suffix}"
        if new not in self.rows:
            del self.rows[name]
            self.rows[new] = rows
            self.changed.add(new)

    def _spoil(self) -> None:
        _, rows = self._some()
        row = self.chance.choice(rows)
        row.bad = not row.bad

    def _lose_id(self) -> None:
        name, rows = self._some()
        if name.endswith(".jsonl"):
            row = self.chance.choice(rows)
            row.id = None if row.id else f"id-{self.chance.randrange(IDS)}"

    def write(self) -> None:
        """Write the files that changed."""
        for name in self.changed:
            path = self.folder / name
            if name not in self.rows:
                path.unlink(missing_ok=True)
            elif name.endswith(".jsonl"):
                path.write_text("".join(json.dumps(as_object(row)) + "\n" for row in self.rows[name]))
            else:
                write_parquet(path, self.rows[name])
        self.changed.clear()

    def in_order(self) -> list[Row]:
        """All rows in the order of a load."""
        return [row for name in sorted(self.rows) for row in self.rows[name]]

    def good_rows(self) -> dict[str, list[Item]]:
        """The items of each id in the order of a load."""
        found: dict[str, list[Item]] = {}
        for row in self.in_order():
            if row.id and not row.bad:
                found.setdefault(row.id, []).append(row.item)
        return found


def as_object(row: Row) -> dict[str, Any]:
    """A row as a line of JSON has it."""
    return {"id": row.id, "vector": row.vector, "meta": row.metadata, "text": row.contents}


def write_parquet(path: Path, rows: list[Row]) -> None:
    """Rows of which the metadata has JSON text, so that every type is kept."""
    table = pa.table(
        {
            "id": pa.array([row.id for row in rows], pa.string()),
            "vector": pa.array([row.vector for row in rows], pa.list_(pa.float32())),
            "meta": pa.array([json.dumps(row.metadata) for row in rows], pa.string()),
            "text": pa.array([row.contents for row in rows], pa.string()),
        }
    )
    pq.write_table(table, path, row_group_size=3)


def items_in(index: Index) -> dict[str, Item]:
    """All items of an index, contents opened."""
    return {
        item["id"]: (
            np.float32(item["vector"]).tobytes(),
            json.dumps(item["metadata"], sort_keys=True),
            item["contents"],
        )
        for item in index.get(index.list_ids())
    }


def rows_to_send(good: Mapping[str, list[Item]], held: Mapping[str, Item]) -> int:
    """How many rows must be sent so that the index holds the last item of each id.

    If the last row of an id is held, none. Otherwise all from the first that is not, as in a full load.
    """
    total = 0
    for item_id, items in good.items():
        if held.get(item_id) == items[-1]:
            continue
        first = next(n for n, item in enumerate(items) if item != held.get(item_id))
        total += len(items) - first
    return total
