"""The reject file never takes the place of something else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl


@pytest.mark.parametrize(
    ("source", "rejects", "says"),
    [
        ("data/a.jsonl", "data/a.jsonl", "is a source"),
        ("data", "data/a.jsonl", "is a source"),
        ("data/*.jsonl", "data/a.jsonl", "is a source"),
        ("data", "hard", "is a source"),
        ("data", "data/new.jsonl", "looks for sources"),
        ("data/*.jsonl", "data/new.jsonl", "looks for sources"),
        ("data", "mine.toml", "is the key file"),
        ("data", "notes.txt", "is no reject file"),
    ],
)
def test_a_reject_file_that_is_read_or_would_be_is_refused_before_it_is_touched(
    tmp_path: Path, source: str, rejects: str, says: str
) -> None:
    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data/a.jsonl", rows(3))
    (tmp_path / "notes.txt").write_text("precious\n")
    (tmp_path / "hard").hardlink_to(tmp_path / "data/a.jsonl")
    key = tmp_path / "mine.toml"
    assert vecload("keygen", key).code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}

    ended = vecload(
        "upsert", source, "--index", "rows", "--key-file", key, "--rejects", rejects, cwd=tmp_path
    )

    assert ended.code == 2, ended.err
    assert says in ended.error
    assert {path: path.read_bytes() for path in before} == before
    assert not (tmp_path / "data/new.jsonl").exists()


def test_the_ids_of_an_array_are_no_place_for_rejects(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", np.ones((2, 4), np.float32))
    ids = tmp_path / "ids.txt"
    ids.write_text("a\nb\n")

    ended = vecload("upsert", tmp_path / "vectors.npy", "--ids-file", ids, "--rejects", ids)

    assert ended.code == 2, ended.err
    assert ids.read_text() == "a\nb\n"


def test_a_load_that_goes_on_into_another_reject_file_is_refused_and_neither_is_touched(
    tmp_path: Path,
) -> None:
    source = rows(60)
    for row in (0, 15, 50):
        source[row]["vector"] = [0.0] * 8
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    load = ("upsert", path, "--batch-rows", "10", "--concurrency", "1", "--max-errors", "2", "--rejects")
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    assert vecload(*load, first).code == 4
    second.write_bytes(first.read_bytes() * 3)
    before = first.read_bytes()

    ended = vecload(*load, second)

    assert ended.code == 2, ended.err
    assert f"are in {first}, not in {second}" in ended.error
    assert (first.read_bytes(), second.read_bytes()) == (before, before * 3)
    assert vecload(*load, first, "--max-errors", "3").code == 3
    assert [json.loads(line)["row"] for line in first.read_text().splitlines()] == [0, 15, 50]
