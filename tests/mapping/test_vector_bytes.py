from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.mapping.test_nested_rows import jsonl, loaded
from vecload.mapping import ColumnChoice, Rules
from vecload.options import VectorDtype

NUMPY_DTYPES = [dtype for dtype in get_args(VectorDtype) if dtype not in ("bfloat16", "npy")]
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
@pytest.mark.parametrize("dtype", NUMPY_DTYPES)
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


@pytest.mark.parametrize("write", [parquet_of, jsonl_of])
def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path, write: Any) -> None:
    numbers = np.array([[0.1, -2.5, 3e38]], "<f4").view("<u4") & np.uint32(0xFFFF0000)
    halves = [(row >> 16).astype("<u2").tobytes() for row in numbers]
    batch = loaded(
        write(tmp_path, [*halves, halves[0][:2], b"abc"]), ColumnChoice(), Rules(vector_dtype="bfloat16")
    )
    assert batch.vectors is not None
    assert batch.vectors.tobytes() == numbers.tobytes()
    assert [(r.row, r.code) for r in batch.rejects] == [(1, "dimension"), (2, "bytes")]


def npy(array: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


SAVED = np.array([0.1, -2.5, 5.0])


@pytest.mark.parametrize("write", [parquet_of, jsonl_of])
@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", ">f8", "<f2", "<i8", "u1"])
def test_a_saved_array_says_its_own_type(tmp_path: Path, write: Any, kind: str) -> None:
    with np.errstate(invalid="ignore"):
        saved = np.abs(SAVED).astype(kind)
    batch = loaded(write(tmp_path, [npy(saved), npy(saved[None])]), ColumnChoice(), Rules(vector_dtype="npy"))
    assert batch.vectors is not None
    assert batch.vectors.tobytes() == np.array([saved, saved]).astype("<f4").tobytes()


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"", "bytes"),
        (b"\x93NUMPY", "bytes"),
        (npy(SAVED)[:-1], "bytes"),
        (npy(SAVED) + b"x", "bytes"),
        (npy(SAVED)[:60], "bytes"),
        (npy(np.array(["a", "b", "c"])), "bytes"),
        (npy(np.array([True, False, True])), "bytes"),
        (npy(np.array([1j, 2, 3])), "bytes"),
        (npy(np.array(1.0)), "bytes"),
        (npy(np.ones((2, 3))), "bytes"),
        (npy(np.array([[{}, None, 1]], dtype=object)), "bytes"),
        (npy(SAVED).replace(b"(3,)", b"(10**9,)"[:4]), "bytes"),
        (npy(SAVED[:2]), "dimension"),
        (npy(SAVED[:0]), "empty"),
        (npy(np.array([1, np.nan, 3])), "nan"),
        (npy(np.array([1, 1e39, 3])), "infinite"),
    ],
)
@pytest.mark.parametrize("write", [parquet_of, jsonl_of])
def test_what_is_not_a_saved_vector_is_a_reject(tmp_path: Path, write: Any, bad: bytes, code: str) -> None:
    good = npy(SAVED)
    batch = loaded(write(tmp_path, [good, bad, good]), ColumnChoice(), Rules(vector_dtype="npy"))
    assert [(r.row, r.field, r.code) for r in batch.rejects] == [(1, "vector", code)]
    assert len(batch) == 2


def test_a_pickle_in_a_saved_array_is_not_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    data = npy(np.array([Trap(), 1, 2], dtype=object))
    batch = loaded(parquet_of(tmp_path, [npy(SAVED), data]), ColumnChoice(), Rules(vector_dtype="npy"))
    assert [(r.row, r.code) for r in batch.rejects] == [(1, "bytes")]
    assert not (tmp_path / "sprung").exists()
