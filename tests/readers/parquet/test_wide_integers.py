"""Integers of 128 bits, which Polars writes and Arrow refuses without a name."""

from __future__ import annotations

import contextlib
from pathlib import Path

import polars as pl
import pytest

from vecload.errors import SourceError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice, Mapper
from vecload.readers import open_sources
from vecload.readers.prefetch import batches

NUMBERS = [2**100, -(2**126), None, 0, -1]


def frame_of(**columns: pl.Series) -> pl.DataFrame:
    rows = len(next(iter(columns.values())))
    return pl.DataFrame(
        {"id": [f"row-{i}" for i in range(rows)], "vector": [[i + 0.5, 1.0] for i in range(rows)], **columns},
        schema_overrides={"vector": pl.List(pl.Float32)},
    )


@pytest.mark.parametrize("kind", ["Int128 alone", "among others"])
def test_such_integers_of_parquet_are_exact(tmp_path: Path, kind: str) -> None:
    frame = frame_of(wide=pl.Series(NUMBERS, dtype=pl.Int128))
    expected = [{} if n is None else {"wide": n} for n in NUMBERS]
    if kind == "among others":
        more = pl.Series([7] * 5, dtype=pl.Int128)
        took = pl.Series([1500] * 5).cast(pl.Duration("ms"))
        frame = frame.with_columns(other=more, took=took, small=pl.lit(1, dtype=pl.Int8))
        expected = [{**m, "other": 7, "took": 1500, "small": 1} for m in expected]
    frame.write_parquet(tmp_path / "rows.parquet", row_group_size=2)
    plan = make_plan(open_sources([str(tmp_path / "rows.parquet")]), ColumnChoice(), embed=False)
    mapper = Mapper(plan.mappings[0], plan.dimension)
    found = [*batches(plan.sources[0], mapper, batch_rows=3, batch_bytes=10**6)]
    assert [m or {} for batch in found for m in batch.metadata or [None] * len(batch)] == expected
    assert [item_id for batch in found for item_id in batch.ids] == [f"row-{i}" for i in range(5)]


def test_they_can_be_ids_and_an_unused_column_does_no_harm(tmp_path: Path) -> None:
    ids = [2**100, -(2**100), 5]
    frame_of(number=pl.Series(ids, dtype=pl.Int128)).write_parquet(tmp_path / "rows.parquet")
    for choice, expected in (
        (ColumnChoice(id="number", excluded=("id",)), [str(n) for n in ids]),
        (ColumnChoice(excluded=("number",)), ["row-0", "row-1", "row-2"]),
    ):
        plan = make_plan(open_sources([str(tmp_path / "rows.parquet")]), choice, embed=False)
        (batch,) = batches(plan.sources[0], Mapper(plan.mappings[0], 2), batch_rows=100, batch_bytes=10**6)
        assert batch.ids == expected
        assert batch.metadata is None


@pytest.mark.parametrize("kind", ["parquet, nested", "parquet, unsigned", "arrow", "arrow, nested", "arrows"])
def test_a_column_of_such_integers_that_cannot_be_read_is_named(tmp_path: Path, kind: str) -> None:
    unsigned = "unsigned" in kind
    wide = pl.Series([2**100], dtype=pl.UInt128 if unsigned else pl.Int128)
    frame = frame_of(wide=wide, small=pl.Series([1]))
    if "nested" in kind:
        frame = frame.with_columns(wide=pl.struct(a="small", b="wide"))
    path = tmp_path / f"rows.{kind.partition(',')[0]}"
    if "parquet" in kind:
        frame.write_parquet(path)
    elif kind == "arrows":
        frame.write_ipc_stream(path)
    else:
        frame.write_ipc(path)
    with pytest.raises(SourceError) as raised:
        open_sources([str(path)])
    assert str(raised.value).startswith(f"{path}: column 'wide' holds integers of 128 bits")
    assert "df.drop('wide')" in str(raised.value)


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_damage_in_such_a_file_ends_in_an_error_of_the_file(tmp_path: Path, ending: str) -> None:
    frame = pl.DataFrame({"id": ["a"], "wide": pl.Series([1], dtype=pl.Int128)})
    path = tmp_path / f"rows.{ending}"
    (frame.write_parquet if ending == "parquet" else frame.write_ipc)(path)
    whole = path.read_bytes()
    for at in range(len(whole) - 600 if len(whole) > 600 else 0, len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with contextlib.suppress(SourceError):
            open_sources([str(path)])
