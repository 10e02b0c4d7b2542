"""What an index must hold after a load, computed from the source; and the comparison, bit for bit."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vecload.options import RepeatedIdPolicy
from vecload.sealing import Key, Opener
from vecload.targets import connect_target

DIMENSION = 4
CANARY = "Zebrafish-Confession-Quartz"
"""In all contents, and nowhere else."""


class WrongIndex(AssertionError):
    """The index is not what the source says: something is lost, wrong or extra."""


@dataclass(frozen=True)
class Source:
    """A file of rows, and what a load of it must come to.

    items: by id, the row that must be in the index: the last good one of that id, or the first.
    rejected: rows that no load takes.
    """

    path: Path
    rows: int
    items: dict[str, dict[str, Any]]
    rejected: frozenset[int]


def write_source(
    path: Path,
    seed: int,
    rows: int,
    *,
    bad: Collection[int] = (),
    refused: Collection[int] = (),
    repeated_ids: RepeatedIdPolicy = "last",
) -> Source:
    """Write rows of which a third shares its id with a near neighbour, so with the next batches.

    Args:
        path: `.jsonl`, `.parquet`, `.csv`, or `.json` for a document with its rows below one path.
        seed: What the rows are made of.
        rows: How many.
        bad: Rows whose vector has another length.
        refused: Rows with an id of their own that a target may be made to refuse: `refused-N`.
        repeated_ids: What is to become of rows that repeat the id of an earlier one.
    """
    chance = random.Random(seed)  # noqa: S311 - the seed repeats a failure
    written: list[dict[str, Any]] = []
    items: dict[str, dict[str, Any]] = {}
    rejected = {*bad, *refused}
    for n in range(rows):
        item_id = f"near-{n // 8 + chance.randrange(5)}" if chance.random() < 0.35 else f"own-{n}"
        if n in refused:
            item_id = f"refused-{n}"
        values = np.array([chance.gauss(0, 1) for _ in range(DIMENSION)], dtype=np.float32)
        row = {
            "id": item_id,
            "vector": values.astype(np.float64).tolist()[: 3 if n in bad else None],
            "n": n,
            "contents": f"{CANARY} {n} {chance.random()}" if chance.random() < 0.7 else None,
        }
        written.append(row)
        if n in rejected:
            continue
        if repeated_ids == "reject" and item_id in items:
            rejected.add(n)
        else:
            items[item_id] = row
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(written), path, row_group_size=97)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*written[0]], lineterminator="\n")
            writer.writeheader()
            writer.writerows(written)
    elif path.suffix == ".json":
        path.write_text(json.dumps({"rows": written, "count": rows}, indent=1))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in written))
    return Source(path, rows, items, frozenset(rejected))


def check_index(location: str | Path, index: str, key_file: Path, source: Source) -> None:
    """Read the whole index back, and compare.

    Raises:
        WrongIndex: It differs.
    """
    key = Key.load(key_file)
    opener = Opener(key.opening_keys, index)
    with connect_target(location) as target:
        opened = target.open_index(index, key.index_key)
        listed = opened.list_ids()
        count = opened.count()
        stored = {item.id: item for item in opened.get(listed, ("vector", "metadata", "contents"))}
    faults = [f"lost: {item_id}" for item_id in sorted(source.items.keys() - set(listed))]
    faults += [f"extra: {item_id}" for item_id in sorted(set(listed) - source.items.keys())]
    if count != len(listed) or len(set(listed)) != len(listed):
        faults.append(f"the index counts {count} items, and lists {len(listed)}")
    for item_id in sorted(source.items.keys() & stored.keys()):
        row, item = source.items[item_id], stored[item_id]
        bits = None if item.vector is None else item.vector.tobytes()
        if bits != np.array(row["vector"], dtype=np.float32).tobytes():
            faults.append(f"wrong vector: {item_id}, of row {item.metadata.get('n')} instead of {row['n']}")
        if item.metadata != {"n": row["n"]}:
            faults.append(f"wrong metadata: {item_id}: {item.metadata}")
        contents = None if item.contents is None else opener.open(item_id, item.contents)
        if contents != row["contents"]:
            faults.append(f"wrong contents: {item_id}")
    faults += [f"not given back: {item_id}" for item_id in sorted(set(listed) - stored.keys())]
    if faults:
        raise WrongIndex(f"{len(faults)} faults, as {'; '.join(faults[:5])}")
