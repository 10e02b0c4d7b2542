"""What is said to have held a load back, by what its sources are."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from tests.cli.sources import rows, write_jsonl
from vecload.loading.advice import advise
from vecload.options import LoadOptions
from vecload.readers import open_sources

INFO = cast(Any, SimpleNamespace(trained=False, metadata_schema={}))


def written(path: Path) -> str:
    """The same rows in the format that the name says."""
    table = pa.Table.from_pylist(rows(10))
    if path.suffix == ".arrows":
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table)
    elif path.suffix == ".npz":
        np.savez(path, id=np.arange(10), vector=np.ones((10, 2), dtype=np.float32))
    else:
        write_jsonl(path, rows(10))
    return str(path)


@pytest.mark.parametrize("name", ["rows.arrow", "rows.arrows", "rows.npz", "rows.jsonl"])
def test_only_json_lines_are_better_written_as_parquet(tmp_path: Path, name: str) -> None:
    sources = open_sources([written(tmp_path / name)])
    said = advise(LoadOptions(), sources, INFO, {"read": 1.0}, [], remote=False)
    assert ("the same rows from Parquet" in said) is (name == "rows.jsonl")
