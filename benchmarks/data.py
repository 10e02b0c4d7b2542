"""The files that benchmarks load: Parquet, of a fixed seed, made once into a cache folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vecload.batch import Batch
from vecload.limits import BATCH_BYTES, BATCH_ROWS
from vecload.loading.flow import seal
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice
from vecload.readers import open_sources
from vecload.sealing import Sealer

Variant: TypeAlias = Literal["vectors", "full"]
"""`vectors` is ids and vectors alone; `full` has five metadata fields and 1 KiB of contents as well."""

CONTENTS_BYTES = 1024
_GROUP_ROWS = 10_000
_SEED = 20250801
_LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz      ", dtype=np.uint8)


def default_cache() -> Path:
    """Where files are kept if no folder is named."""
    return Path(tempfile.gettempdir()) / "vecload-benchmarks"


def data_file(cache: Path, rows: int, dim: int, variant: Variant) -> Path:
    """The Parquet file of that many rows; made if it is not there.

    Args:
        cache: The folder for such files.
        rows: Rows.
        dim: Values of a vector.
        variant: What a row has.
    """
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{variant}-{rows}x{dim}.parquet"
    if path.exists():
        return path
    unfinished = path.with_suffix(".part")
    random = np.random.default_rng(_SEED)
    writer: pq.ParquetWriter | None = None
    for start in range(0, rows, _GROUP_ROWS):
        table = _table(random, start, min(_GROUP_ROWS, rows - start), dim, variant)
        writer = writer or pq.ParquetWriter(unfinished, table.schema)
        writer.write_table(table)
    if writer is None:
        raise ValueError("a file of no rows measures nothing")
    writer.close()
    return unfinished.rename(path)


def _table(random: np.random.Generator, start: int, rows: int, dim: int, variant: Variant) -> pa.Table:
    numbers = range(start, start + rows)
    values = random.standard_normal(rows * dim, dtype=np.float32)
    columns: dict[str, pa.Array] = {
        "id": pa.array([f"doc-{number:09d}" for number in numbers]),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(values), dim),
    }
    if variant == "full":
        letters = _LETTERS[random.integers(0, len(_LETTERS), rows * CONTENTS_BYTES)].tobytes().decode()
        columns |= {
            "url": pa.array([f"https://example.com/articles/{number:09d}" for number in numbers]),
            "category": pa.array([f"category-{number}" for number in random.integers(0, 20, rows)]),
            "year": pa.array(random.integers(1990, 2030, rows)),
            "score": pa.array(random.random(rows)),
            "public": pa.array(random.random(rows) < 0.5),
            "contents": pa.array(
                [letters[at : at + CONTENTS_BYTES] for at in range(0, len(letters), CONTENTS_BYTES)]
            ),
        }
    return pa.table(columns)


def batches(path: Path, sealer: Sealer | None) -> Iterator[Batch]:
    """The batches that vecload makes of a file, contents sealed."""
    sources = open_sources([str(path)])
    plan = make_plan(sources, ColumnChoice(), embed=False)
    for job in plan.jobs(index_dimension=0, allow_zero_vectors=False):
        for rows in job.source.read(batch_rows=BATCH_ROWS, batch_bytes=BATCH_BYTES):
            yield seal(job.mapper.map(rows), sealer)
    for source in sources:
        source.close()
