"""Integers of 128 bits, which Polars writes and Arrow refuses without a name."""

from __future__ import annotations

import contextlib
from pathlib import Path

import polars as pl
import pytest

from vecload.errors import SourceError
from vecload.readers import open_sources


@pytest.mark.parametrize("ending", ["parquet", "arrow", "arrows"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_column_of_such_integers_is_named(tmp_path: Path, ending: str, nested: bool) -> None:
    wide = pl.Series([2**100], dtype=pl.Int128)
    frame = pl.DataFrame({"id": ["a"], "vector": [[1.0, 2.0]], "wide": wide, "small": [1]})
    if nested:
        frame = frame.with_columns(wide=pl.struct(a="small", b="wide"))
    path = tmp_path / f"rows.{ending}"
    if ending == "parquet":
        frame.write_parquet(path)
    elif ending == "arrow":
        frame.write_ipc(path)
    else:
        frame.write_ipc_stream(path)
    with pytest.raises(SourceError) as raised:
        open_sources([str(path)])
    assert "rows." in str(raised.value)
    assert "column 'wide' holds integers of 128 bits" in str(raised.value)
    assert "df.drop('wide')" in str(raised.value)


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_damage_in_such_a_file_ends_in_an_error_of_the_file(tmp_path: Path, ending: str) -> None:
    frame = pl.DataFrame({"id": ["a"], "wide": pl.Series([1], dtype=pl.UInt128)})
    path = tmp_path / f"rows.{ending}"
    (frame.write_parquet if ending == "parquet" else frame.write_ipc)(path)
    whole = path.read_bytes()
    for at in range(len(whole) - 600 if len(whole) > 600 else 0, len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with contextlib.suppress(SourceError):
            open_sources([str(path)])
