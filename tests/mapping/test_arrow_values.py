"""Arrow values by their buffers: lengths and numbers, of any slice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.mapping.arrow_rows import ArrowRows
from vecload.mapping.arrow_values import lengths_of, numbers_of, to_json
from vecload.mapping.mapping import ColumnMapping


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


VIEWS = pa.array(["a", "b", "a text longer than a view holds"], pa.string_view())
LONG = "a text longer than a view holds"
DICTIONARY = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2], pa.int8()), VIEWS)
RUNS = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3, 4], pa.int32()), VIEWS)
TWICE = pa.RunEndEncodedArray.from_arrays(
    pa.array([2, 4], pa.int32()), pa.array(["x", "y"]).dictionary_encode()
)
PAIRS = pa.array([0, 2, 4], pa.int32())


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        pytest.param(DICTIONARY, ["a", "b", None, LONG], id="a dictionary of views"),
        pytest.param(RUNS, ["a", "a", "b", LONG], id="runs of views"),
        pytest.param(TWICE, ["x", "x", "y", "y"], id="runs of a dictionary"),
        pytest.param(
            pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int8()), VIEWS.cast(pa.binary_view())),
            ["Yg==", "YQ=="],
            id="a dictionary of views of bytes",
        ),
        pytest.param(
            pa.ListArray.from_arrays(PAIRS, DICTIONARY),
            [["a", "b"], [None, LONG]],
            id="a dictionary in lists",
        ),
        pytest.param(pa.ListArray.from_arrays(PAIRS, RUNS), [["a", "a"], ["b", LONG]], id="runs in lists"),
        pytest.param(
            pa.ListViewArray.from_arrays(
                pa.array([2, 0], pa.int32()), pa.array([2, 2], pa.int32()), DICTIONARY
            ),
            [[None, LONG], ["a", "b"]],
            id="a dictionary in list views",
        ),
        pytest.param(
            pa.FixedSizeListArray.from_arrays(DICTIONARY, 2),
            [["a", "b"], [None, LONG]],
            id="in fixed-size lists",
        ),
        pytest.param(
            pa.StructArray.from_arrays([DICTIONARY, RUNS], names=["d", "r"]),
            [{"d": "a", "r": "a"}, {"d": "b", "r": "a"}, {"r": "b"}, {"d": LONG, "r": LONG}],
            id="in structs",
        ),
        pytest.param(
            pa.MapArray.from_arrays(PAIRS, pa.array(["k", "l", "m", "n"]), DICTIONARY),
            [{"k": "a", "l": "b"}, {"n": LONG}],
            id="in maps",
        ),
    ],
)
def test_views_in_a_dictionary_or_in_runs_are_the_texts_they_stand_for(
    array: pa.Array, expected: list[object]
) -> None:
    for start in range(len(array) + 1):
        for stop in range(start, len(array) + 1):
            assert to_json(array.slice(start, stop - start)) == (expected[start:stop], [])


def test_a_part_of_an_array_looks_at_no_more_of_a_large_dictionary_than_it_needs() -> None:
    views = pa.array([f"category {i}" for i in range(1000)], pa.string_view())
    array = pa.DictionaryArray.from_arrays(pa.array([999, 3, None] * 300, pa.int32()), views)
    assert to_json(array.slice(1, 4)) == (["category 3", None, "category 999", "category 3"], [])


def test_a_type_that_arrow_cannot_decode_is_an_error_of_the_file_that_names_column_and_type() -> None:
    kind = pa.list_(pa.string_view())
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array([["a"], ["b"]], kind))
    rows = ArrowRows(Span("rows.arrow", 0, 2), pa.record_batch({"id": ["a", "b"], "odd": array}))
    for read in (
        lambda: rows.metadata(ColumnMapping("id", None)),
        lambda: rows.ids("odd"),
        lambda: rows.contents("odd"),
    ):
        with pytest.raises(
            SourceError,
            match=r"rows\.arrow: column 'odd' has the Arrow type dictionary<.*--metadata-exclude odd",
        ):
            read()


def test_a_row_that_python_has_no_value_for_can_still_be_written_down() -> None:
    broken = pa.StringArray.from_buffers(1, pa.array([0, 1], pa.int32()).buffers()[1], pa.py_buffer(b"\xff"))
    columns = {
        "far": pa.array([2**53], pa.timestamp("s")),
        "day": pa.array([2**30], pa.date32()),
        "long": pa.array([2**60], pa.duration("s")),
        "broken": broken,
    }
    text = ArrowRows(Span("a", 0, 1), pa.record_batch(columns)).raw(0)
    assert json.loads(text) == {
        "far": 2**53 * 1000,
        "day": 2**30 * 86_400_000,
        "long": 2**60 * 1000,
        "broken": None,
    }
