"""SIGKILL of loads that send only changes, while their sources change back and forth.

VECLOAD_KILLS=500 makes that many loads instead of the few of CI; VECLOAD_SEED another seed.
"""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

import vecload
from tests.faults.loads import Load
from tests.faults.oracle import Source, write_source
from tests.loading.edits import Files, Item, items_in

LOADS = int(os.environ.get("VECLOAD_KILLS", "12"))
SEED = int(os.environ.get("VECLOAD_SEED", "0"))
CHANGED_ONLY = ("--changed-only", "--delete-missing", "--max-deletes", "100%", "--yes", "--max-errors", "100")


@pytest.mark.parametrize("number", range(LOADS))
def test_the_index_is_as_the_source_says_whenever_loads_were_killed(
    request: pytest.FixtureRequest, tmp_path: Path, index_name: str, number: int
) -> None:
    chance = random.Random(SEED + number)  # noqa: S311 the number repeats a failure
    to = request.getfixturevalue("service") if number % 4 == 3 else str(tmp_path / "store")
    path = tmp_path / f"source.{chance.choice(['jsonl', 'parquet'])}"
    bad = range(0, 100, 40) if number % 2 else ()

    def write() -> Source:
        """One of three versions: their ids and items partly differ."""
        seed, rows = chance.choice([(1, 120), (2, 120), (2, 90)])
        return write_source(path, seed, rows, bad=bad)

    options = ("--batch-rows", str(chance.choice([5, 20])), "--concurrency", "3", *CHANGED_ONLY)
    load = Load(tmp_path / "load", write(), to, options, index=index_name)
    if chance.random() < 0.5:
        load.run_until_done(most=1, code=3 if bad else 0)
    for _ in range(chance.choice([1, 2, 3])):
        load.source = write()
        for _ in range(chance.choice([1, 2])):
            load.program = ("-m", "tests.faults.killed_writing", str(chance.randrange(1, 90)))
            ended = load.start().end()
            assert ended.code in (-signal.SIGKILL, 3 if bad else 0), ended.err
    load.program = ("-m", "vecload")
    load.source = write()
    ended = load.run_until_done(most=1, code=3 if bad else 0)
    assert ended.summary["skipped"] + ended.summary["loaded"] + len(load.source.rejected) == load.source.rows
    again = load.run_until_done(most=1, code=3 if bad else 0)
    assert (again.summary["loaded"], again.summary["deleted"]) == (0, 0)
    load.drop()


def test_a_load_that_was_killed_sends_only_what_is_left(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source.jsonl", SEED, 400)
    options = ("--batch-rows", "10", "--concurrency", "1", *CHANGED_ONLY)
    load = Load(tmp_path / "load", source, str(tmp_path / "store"), options)
    load.program = ("-m", "tests.faults.killed_writing", "100")
    assert load.start().end().code == -signal.SIGKILL
    load.program = ("-m", "vecload")
    ended = load.run_until_done(most=1)
    assert 0 < ended.summary["loaded"] < 390
    assert "loading everything" not in ended.err


@pytest.mark.parametrize("number", range(LOADS))
@pytest.mark.parametrize("how", ["--skip-loaded", "--changed-only"])
def test_a_folder_that_changes_between_kills_ends_in_what_a_full_load_makes(
    tmp_path: Path, how: str, number: int
) -> None:
    chance = random.Random(SEED + number)  # noqa: S311
    files = Files(tmp_path / "files", chance, bad=number % 2 == 1)
    files.write()
    source = Source(files.folder, 0, {}, frozenset())
    columns = ("--metadata-column", "meta", "--contents-column", "text", "--max-errors", "100%")
    options = (*columns, "--batch-rows", "2", "--concurrency", "2", how)
    load = Load(tmp_path / "load", source, str(tmp_path / "store"), options, index="docs")
    sent: dict[str, list[Item]] = {}
    for _ in range(chance.choice([2, 3, 4])):
        load.program = ("-m", "tests.faults.killed_writing", str(chance.randrange(1, 60)))
        for item_id, items in files.good_rows().items():
            sent.setdefault(item_id, []).extend(items)
        ended = load.start().end()
        assert ended.code in (-signal.SIGKILL, 0, 3), ended.err
        for _ in range(chance.choice([1, 2, 3])):
            files.edit()
        files.write()
    load.program = ("-m", "vecload")
    ended = load.start().end()
    assert ended.code in (0, 3), ended.err
    with vecload.connect(tmp_path / "store") as connection:
        found = items_in(connection.open_index("docs", vecload.Key.load(load.key_file)))
    want = {item_id: items[-1] for item_id, items in files.good_rows().items()}
    assert {item_id: found.get(item_id) for item_id in want} == want
    # What left the files stays as it was last sent.
    assert all(item in sent[item_id] for item_id, item in found.items() if item_id not in want)
