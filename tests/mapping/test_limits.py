from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.mapping.test_nested_rows import jsonl, loaded, parquet
from vecload.mapping import ColumnChoice, Rules

WRITERS = pytest.mark.parametrize("write", [jsonl, parquet])


def row(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"row-{number}", "vector": [1.0, 2.0], **fields}


def rejected(path: Path, rules: Rules) -> list[tuple[int, str, str]]:
    return [(r.row, r.field, r.code) for r in loaded(path, ColumnChoice(), rules).rejects]


@WRITERS
def test_ids_end_at_their_limit_of_bytes(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path, row(1), row(22))
    assert rejected(path, Rules(max_id_bytes=5)) == [(1, "id", "long-id")]


@WRITERS
def test_contents_end_at_their_limit_of_bytes(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path, row(1, text="éé"), row(2, text="éée"), row(3, text=None))
    assert rejected(path, Rules(max_contents_bytes=4)) == [(1, "contents", "too-large")]
    assert rejected(path, Rules(max_contents_bytes=0)) == [
        (0, "contents", "too-large"),
        (1, "contents", "too-large"),
    ]


@WRITERS
def test_metadata_ends_at_its_limit_of_json_text(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path, row(1, m="é"), row(2, m="éx"))
    assert len('{"m":"é"}'.encode()) == 10
    assert rejected(path, Rules(max_metadata_bytes=10)) == [(1, "metadata", "too-large")]


def test_metadata_with_an_exact_integer_is_measured_by_its_digits(tmp_path: Path) -> None:
    path = jsonl(tmp_path, row(1, n=10**30), row(2, n=10**31))
    assert rejected(path, Rules(max_metadata_bytes=len('{"n":') + 31 + 1)) == [(1, "metadata", "too-large")]


@WRITERS
def test_metadata_ends_at_its_limit_of_depth(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path, row(1, m=[1], n={"a": [1]}), row(2, m=[1], n={"a": None}))
    assert rejected(path, Rules(max_depth=1)) == [(0, "metadata", "too-deep")]
    assert rejected(path, Rules(max_depth=2)) == []
    assert rejected(path, Rules(max_depth=0)) == [(0, "metadata", "too-deep"), (1, "metadata", "too-deep")]
