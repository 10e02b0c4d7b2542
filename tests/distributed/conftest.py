"""Files to load, and what an index holds afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vecload

DIMENSION = 8


def write(
    path: Path,
    ids: Sequence[str | None],
    *,
    group: int = 50,
    missing: Sequence[int] = (),
    note: str = "",
) -> Path:
    """A Parquet file of these ids; the rows `missing` have no vector, so they can't be loaded."""
    chance = np.random.default_rng(len(str(path)))
    vectors: list[Any] = [[float(v) for v in chance.normal(size=DIMENSION)] for _ in ids]
    for row in missing:
        vectors[row] = None
    columns: Mapping[str, Any] = {
        "id": pa.array(ids, pa.string()),
        "vector": pa.array(vectors, pa.list_(pa.float32())),
        "text": [f"private {note}{path.stem} {row}" for row in range(len(ids))],
        "row": [f"{path.stem}:{row}" for row in range(len(ids))],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), path, row_group_size=group)
    return path


@dataclass(frozen=True)
class Place:
    """An index of the service, its key file, and what it holds."""

    to: str
    index: str
    key: Path

    def items(self) -> dict[str, tuple[bytes, Any, Any]]:
        """Every item: its vector, its metadata and its opened contents."""
        index = vecload.connect(self.to).open_index(self.index, vecload.Key.load(self.key))
        found = index.get(index.list_ids(), ["vector", "metadata", "contents"])
        return {
            one["id"]: (np.asarray(one["vector"], "f4").tobytes(), one["metadata"], one["contents"])
            for one in found
        }


@pytest.fixture
def place(tmp_path: Path, service: str, new_name: Callable[[], str]) -> Callable[[], Place]:
    """Makes an index's place; the index is made by its load."""
    key = tmp_path / "index.key"
    vecload.generate_key().save(key)
    return lambda: Place(service, new_name(), key)
