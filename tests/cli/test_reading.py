"""Commands that read make nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl

READING = [
    ("index", "list"),
    ("index", "describe", "x"),
    ("index", "delete", "x", "--yes"),
    ("get", "a", "--index", "x"),
    ("query", "[1.0]", "--index", "x"),
    ("rejects", "rejects.jsonl", "--index", "x"),
    ("upsert", "rows.jsonl", "--no-create"),
]


@pytest.mark.parametrize("command", READING, ids=" ".join)
@pytest.mark.parametrize("to", ["missing", None])
def test_a_command_that_reads_makes_no_store_where_there_is_none(
    tmp_path: Path, command: tuple[str, ...], to: str | None
) -> None:
    write_jsonl(tmp_path / "rows.jsonl", rows(2))

    ended = vecload(*command, *(("--to", to) if to else ()), cwd=tmp_path)

    assert ended.code == 2
    assert "there is no store at" in ended.error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl"]
    assert not Path(os.environ["XDG_DATA_HOME"]).exists()


@pytest.mark.parametrize("command", [READING[0], ("upsert", "rows.jsonl"), ("inspect", "rows.jsonl")])
@pytest.mark.parametrize("to", ["http:/host", "vectors.example.com", "http://u:secret@host?x=secret"])
def test_no_command_takes_a_misspelt_address_for_a_folder(
    tmp_path: Path, command: tuple[str, ...], to: str
) -> None:
    write_jsonl(tmp_path / "rows.jsonl", rows(2))
    ended = vecload(*command, cwd=tmp_path, variables={"VECLOAD_TO": to})
    assert ended.code == 2
    assert "http://" in ended.err + ended.out or "VECLOAD_API_KEY" in ended.err + ended.out
    assert "secret" not in ended.err + ended.out
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_reading_changes_no_file_of_a_store(tmp_path: Path) -> None:
    vecload("upsert", write_jsonl(tmp_path / "rows.jsonl", rows(2)), "--to", tmp_path / "store")

    def times() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in (tmp_path / "store").rglob("*")}

    before = times()
    for command in (("index", "list"), ("index", "describe", "rows"), ("get", "doc-0")):
        assert vecload(*command, "--to", tmp_path / "store").code == 0
    assert times() == before
