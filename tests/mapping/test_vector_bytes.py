from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.mapping.test_reshaped import jsonl, loaded
from vecload.mapping import ColumnChoice, Rules
from vecload.mapping.rules import VectorDtype

VALUES = {
    "int8": [-128, 127, 5],
    "uint8": [0, 255, 5],
    "float16": [0.1, -65504, 5],
    "float64": [0.1, -1e-40, 5],
}


def parquet_of(folder: Path, vectors: list[bytes]) -> Path:
    table = {"id": [str(i) for i in range(len(vectors))], "vector": pa.array(vectors, pa.binary())}
    pq.write_table(pa.table(table), folder / "rows.parquet")
    return folder / "rows.parquet"


def jsonl_of(folder: Path, vectors: list[bytes]) -> Path:
    marked = [{"$bytes": base64.b64encode(vector).decode()} for vector in vectors]
    return jsonl(folder, *({"id": str(i), "vector": vector} for i, vector in enumerate(marked)))


@pytest.mark.parametrize("write", [parquet_of, jsonl_of])
@pytest.mark.parametrize("dtype", get_args(VectorDtype))
def test_bytes_are_read_as_the_numbers_that_they_are(tmp_path: Path, write: Any, dtype: VectorDtype) -> None:
    numbers = np.array([VALUES.get(dtype, [0.1, -2.5, 5])], np.dtype(dtype).newbyteorder("<"))
    path = write(tmp_path, [numbers[0].tobytes(), numbers[0, :2].tobytes()])
    batch = loaded(path, ColumnChoice(), Rules(vector_dtype=dtype))
    assert batch.vectors is not None
    assert batch.vectors.tobytes() == numbers.astype("<f4").tobytes()
    assert [(r.row, r.code) for r in batch.rejects] == [(1, "dimension")]


@pytest.mark.parametrize("write", [parquet_of, jsonl_of])
def test_bytes_that_are_no_whole_number_of_values_are_a_reject(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path, [np.array([1.0, 2.0]).tobytes(), bytes(7)])
    batch = loaded(path, ColumnChoice(), Rules(vector_dtype="float64"))
    assert [(r.row, r.field, r.code) for r in batch.rejects] == [(1, "vector", "bytes")]


def test_float64_beyond_float32_is_infinite(tmp_path: Path) -> None:
    batch = loaded(
        parquet_of(tmp_path, [np.array([1, 2.0]).tobytes(), np.array([1e39, 1]).tobytes()]),
        ColumnChoice(),
        Rules(vector_dtype="float64"),
    )
    assert [(r.row, r.code) for r in batch.rejects] == [(1, "infinite")]
