"""Values as real writers write them, through the real command into the real engine, and read back."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vecload import Key, connect, generate_key
from vecload.cli.app import run

FOREVER_MS = 253_402_300_799_000
"""9999-12-31 23:59:59."""


@dataclass(frozen=True)
class Loaded:
    """What a load came to.

    items: By their ids.
    summary: What `--json` printed.
    said: Standard error.
    """

    code: int
    items: dict[str, dict[str, Any]]
    summary: dict[str, Any]
    said: str


@dataclass
class Loads:
    """Loads files into stores of their own."""

    folder: Path
    captured: pytest.CaptureFixture[str]
    count: int = 0

    def __call__(self, source: Path, *options: str) -> Loaded:
        self.count += 1
        key, to = self.folder / f"{self.count}.key", str(self.folder / f"store-{self.count}")
        generate_key().save(key)
        code = run(
            ["upsert", str(source), "--to", to, "--index", "i", "--key-file", str(key), "--json", *options]
        )
        out, said = self.captured.readouterr()
        items: dict[str, dict[str, Any]] = {}
        if code in (0, 3):
            with connect(to) as connection:
                index = connection.open_index("i", Key.load(key))
                items = {item["id"]: dict(item) for item in index.get(sorted(index.list_ids()))}
        return Loaded(code, items, orjson.loads(out) if out else {}, said)


@pytest.fixture
def load(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Loads:
    return Loads(tmp_path, capfd)


VECTORS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


def test_int96_beyond_the_years_of_nanoseconds_is_the_millisecond_it_says(
    tmp_path: Path, load: Loads
) -> None:
    times = [
        dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC),
        dt.datetime(1, 1, 1, tzinfo=dt.UTC),
        dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC),
    ]
    table = pa.table(
        {
            "id": ["a", "b", "c"],
            "vector": VECTORS,
            "until": pa.array(times, pa.timestamp("us")),
            "all": pa.array([[time] for time in times], pa.list_(pa.timestamp("us"))),
        }
    )
    pq.write_table(table, tmp_path / "spark.parquet", use_deprecated_int96_timestamps=True)
    assert pq.ParquetFile(tmp_path / "spark.parquet").metadata.schema.column(2).physical_type == "INT96"
    loaded = load(tmp_path / "spark.parquet")
    expected = [FOREVER_MS, -62_135_596_800_000, -1]
    assert {item["id"]: item["metadata"] for item in loaded.items.values()} == {
        item_id: {"until": ms, "all": [ms]} for item_id, ms in zip("abc", expected, strict=True)
    }


@pytest.mark.parametrize("stream", [False, True])
def test_categories_of_polars_are_the_texts_they_stand_for(tmp_path: Path, load: Loads, stream: bool) -> None:
    frame = pl.DataFrame(
        {
            "id": pl.Series(["a", "b", "c"], dtype=pl.Categorical),
            "vector": VECTORS,
            "text": pl.Series(["one", "two", None], dtype=pl.Categorical),
            "level": pl.Series(["low", "high", "low"], dtype=pl.Enum(["low", "high"])),
            "tags": pl.Series([["x", "y"], [], ["y"]], dtype=pl.List(pl.Categorical)),
            "inner": pl.Series([{"k": "p"}, {"k": "q"}, {"k": None}], dtype=pl.Struct({"k": pl.Categorical})),
        },
        schema_overrides={"vector": pl.List(pl.Float32)},
    )
    path = tmp_path / "frame.arrow"
    (frame.write_ipc_stream if stream else frame.write_ipc)(path)
    loaded = load(path)
    assert (loaded.code, loaded.summary["rejected"]) == (0, 0)
    assert [(i["contents"], i["metadata"]) for i in loaded.items.values()] == [
        ("one", {"level": "low", "tags": ["x", "y"], "inner": {"k": "p"}}),
        ("two", {"level": "high", "tags": [], "inner": {"k": "q"}}),
        (None, {"level": "low", "tags": ["y"], "inner": {}}),
    ]


def test_text_in_bytes_without_a_type_is_text_where_that_is_asked_for(tmp_path: Path, load: Loads) -> None:
    table = pa.table(
        {
            "id": [b"a", "é".encode(), b"c"],
            "vector": [np.array(v, "<f4").tobytes() for v in VECTORS],
            "text": [b"one", b"two\n", None],
            "title": [b"T1", b"T2", b"T3"],
            "metadata": [b'{"n": 1}', b"", None],
            "inner": [{"k": b"x"}, {"k": None}, None],
            "extra": [b"\0\1", b"\xff", b"ok"],
        }
    )
    path = tmp_path / "impala.parquet"
    pq.write_table(table, path)
    dtype = ("--vector-dtype", "float32")  # a few numbers could be of several types
    plain = load(path, *dtype, "--metadata-exclude", "extra")
    assert [*plain.items] == ["a", "c", "é"]
    assert plain.items["a"]["contents"] == b"one"
    assert plain.items["a"]["metadata"]["title"] == "VDE="
    hints = [line for line in plain.said.splitlines() if "--binary-as-text" in line]
    assert len(hints) == 1
    assert "'text', 'title', 'metadata' are binary" in hints[0]
    text = load(path, *dtype, "--metadata-exclude", "extra", "--binary-as-text")
    assert [(i["contents"], i["metadata"]) for i in text.items.values()] == [
        ("one", {"title": "T1", "inner": {"k": "x"}, "n": 1}),
        (None, {"title": "T3"}),
        ("two\n", {"title": "T2", "inner": {}}),
    ]
    assert [item["vector"] for item in text.items.values()] == [VECTORS[0], VECTORS[2], VECTORS[1]]
    assert "--binary-as-text" not in text.said
    refused = load(
        path, *dtype, "--binary-as-text", "--max-errors", "1", "--rejects", str(tmp_path / "rejects")
    )
    assert (refused.code, [*refused.items]) == (3, ["a", "c"]), refused.said
    reject = orjson.loads((tmp_path / "rejects").read_bytes().splitlines()[0])
    assert (reject["field"], reject["code"]) == ("metadata", "not-utf8")


def test_inspect_says_which_columns_look_like_text(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = pa.table({"id": ["a"], "vector": VECTORS[:1], "title": [b"T1"], "hash": [bytes(20)]})
    pq.write_table(table, tmp_path / "rows.parquet")
    assert run(["inspect", str(tmp_path / "rows.parquet")]) == 0
    out = capfd.readouterr().out
    assert "'title' is binary; if it is text, load with --binary-as-text" in out
    assert "'hash'" not in out.partition("is binary")[0].splitlines()[-1]


def test_decimals_without_a_fraction_are_ids(tmp_path: Path, load: Loads) -> None:
    numbers = [Decimal(10**20), Decimal(10**20 + 1), Decimal("1.5")]
    ids = pa.array(numbers, pa.decimal128(38, 2))
    pq.write_table(pa.table({"id": ids, "vector": VECTORS}), tmp_path / "oracle.parquet")
    loaded = load(tmp_path / "oracle.parquet", "--max-errors", "1")
    assert [*loaded.items] == [str(10**20), str(10**20 + 1)]


def test_nan_of_pandas_is_left_out_counted_and_said(tmp_path: Path, load: Loads) -> None:
    frame = pd.DataFrame({"id": ["a", "b", "c"], "vector": VECTORS, "price": [1.5, None, np.nan]})
    # As old pandas and numpy write it: a number, not a null.
    prices = pa.array(frame.price.to_numpy(), from_pandas=False)
    table = pa.Table.from_pandas(frame).set_column(2, "price", prices)
    assert table["price"].null_count == 0
    pq.write_table(table, tmp_path / "frame.parquet")
    loaded = load(tmp_path / "frame.parquet")
    assert [item["metadata"] for item in loaded.items.values()] == [{"price": 1.5}, {}, {}]
    assert (loaded.code, loaded.summary["nan_left_out"]) == (0, 2)
    assert len([line for line in loaded.said.splitlines() if "2 values were NaN" in line]) == 1
    refused = load(tmp_path / "frame.parquet", "--nan", "reject", "--max-errors", "2")
    assert (refused.code, refused.summary["rejected"], refused.summary["nan_left_out"]) == (3, 2, 0)
    assert "NaN in metadata" not in refused.said


def test_an_empty_text_in_a_column_of_json_is_no_metadata(tmp_path: Path, load: Loads) -> None:
    metadata = ['{"a": 1}', "", "null"]
    table = pa.table({"id": ["a", "b", "c"], "vector": VECTORS, "metadata": metadata})
    pq.write_table(table, tmp_path / "rows.parquet")
    loaded = load(tmp_path / "rows.parquet")
    assert [item["metadata"] for item in loaded.items.values()] == [{"a": 1}, {}, {}]
