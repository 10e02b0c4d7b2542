"""Arrow values by their buffers: lengths and numbers, of any slice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vecload.mapping.arrow_values import lengths_of, numbers_of


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.binary(),
        pa.list_(pa.int8()),
        pa.large_list(pa.int8()),
        pa.list_(pa.int8(), 2),
    ],
    ids=str,
)
def test_lengths_are_those_of_the_values_in_any_slice(kind: pa.DataType) -> None:
    fixed = pa.types.is_fixed_size_list(kind)
    lengths = [2, None, 2, 2] if fixed else [0, 3, None, 7, 1]
    values = [None if n is None else ("x" * n if "string" in str(kind) else bytes(n)) for n in lengths]
    if pa.types.is_nested(kind):
        values = [None if v is None else [*v] for v in values]  # type: ignore[misc]
    array = pa.array(values, kind)
    for start in range(len(array) + 1):
        expected = [-1 if n is None else n for n in lengths[start:]]
        assert lengths_of(array.slice(start)).tolist() == expected
        assert lengths_of(array.slice(start), null=9).tolist() == [9 if n < 0 else n for n in expected]


def test_numbers_of_a_slice_are_its_own() -> None:
    for dtype in (np.float16, np.float32, np.float64, np.int8, np.uint64):
        array = pa.array(np.arange(5, dtype=dtype))
        assert numbers_of(array.slice(2, 2)).tolist() == [2, 3]
        assert numbers_of(array.slice(5)).tolist() == []
        assert numbers_of(array).dtype == dtype


def test_a_load_of_parquet_does_without_pandas(tmp_path: Path) -> None:
    # pyarrow imports it wherever it is installed, for a sixth of a second, unless it is never asked to.
    path = tmp_path / "rows.parquet"
    table = {"id": ["a", "b"], "vector": [[1.0, 2.0], [3.0, 4.0]], "score": [0.5, 1.5], "text": ["x", "y"]}
    pq.write_table(pa.table(table), path)
    program = (
        "import sys; from vecload.readers import open_sources; from vecload.loading.plan import make_plan;"
        "from vecload.mapping import ColumnChoice;"
        "plan = make_plan(open_sources([sys.argv[1]]), ColumnChoice(), embed=False);"
        "(job,) = plan.jobs(index_dimension=2, allow_zero_vectors=False);"
        "batches = [job.mapper.map(rows) for rows in job.source.read(batch_rows=9, batch_bytes=10**6)];"
        "assert batches[0].ids == ['a', 'b'], batches; assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=60)
