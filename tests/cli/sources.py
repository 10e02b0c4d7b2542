"""Small sources, written by the real writers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SAMPLES = Path(__file__).parents[2] / "samples"


def rows(count: int, dimension: int = 8, *, seed: int = 7) -> list[dict[str, Any]]:
    """Rows with an id, a vector of float32 values, a title and a text."""
    vectors = np.random.default_rng(seed).standard_normal((count, dimension), dtype=np.float32)
    return [
        {"id": f"doc-{i}", "vector": vector, "title": f"Title {i}", "text": f"The text of {i}, naïve ☃"}
        for i, vector in enumerate(vectors.astype(np.float64).tolist())
    ]


def write_jsonl(path: Path, of: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in of))
    return path


def write_parquet(path: Path, of: list[dict[str, Any]]) -> Path:
    columns = {name: [row[name] for row in of] for name in of[0]}
    vectors = pa.array(columns.pop("vector"), pa.list_(pa.float32()))
    pq.write_table(pa.table({**columns, "vector": vectors}), path, row_group_size=100)
    return path
