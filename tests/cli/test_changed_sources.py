"""Sources that change while they are loaded: no load of a part of one file, or of two, is called complete."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Ended, vecload
from tests.cli.sources import rows, write_jsonl, write_parquet
from vecload.cli.app import run
from vecload.loading.dispatch import Dispatcher

Change = Callable[[Path], object]


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write('{"id": "new", "vector": [1, 2, 3, 4, 5, 6, 7, 8]}\n')


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def rewrite(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[::-1] + b"more")


def cut(path: Path) -> None:
    os.truncate(path, 100)


def load_while(
    change: Change, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Load a file that changes when all of it was sent."""
    finish = Dispatcher.finish

    def finish_after(dispatcher: Dispatcher) -> Any:
        change(path)
        return finish(dispatcher)

    with monkeypatch.context() as patch:
        patch.setattr(Dispatcher, "finish", finish_after)
        code = run(["upsert", str(path)])
    gc.unfreeze()
    gc.collect()  # the store is let go of with the last object that knows it
    return code, capsys.readouterr().err


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("change", [replace, rewrite, cut, Path.unlink])
def test_a_file_that_changed_while_it_was_loaded_ends_in_an_error_that_names_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    change: Change,
) -> None:
    write = write_jsonl if kind == "jsonl" else write_parquet
    path = tmp_path / f"rows.{kind}"
    write(path, rows(20))

    code, told = load_while(change, path, monkeypatch, capsys)

    assert code == 2
    assert f"vecload: {path} changed while it was loaded: " in told
    assert "--fresh" in told
    write(path, rows(20))
    assert "changed since its unfinished load began" in vecload("upsert", path).error
    assert vecload("upsert", path, "--fresh").code == 0


def test_lines_that_were_appended_while_others_were_loaded_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(20))

    code, told = load_while(append, path, monkeypatch, capsys)

    assert code == 0
    assert f"{path} was appended to during the load" in told
    again = vecload("upsert", path, "--skip-loaded")
    assert again.code == 0
    assert "21 loaded" in again.err


def loaded(ended: Ended) -> tuple[int, int, int]:
    told = json.loads(ended.out)
    return told["read"], told["loaded"], told["skipped"]


def titles() -> dict[str, str]:
    lines = vecload("get", *(f"doc-{i}" for i in range(130)), "--index", "rows").out.splitlines()
    return {item["id"]: item["metadata"]["title"] for item in map(json.loads, lines)}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_row_that_stopped_the_load_is_fixed_and_the_same_command_runs_again(
    tmp_path: Path, kind: str
) -> None:
    write = write_jsonl if kind == "jsonl" else write_parquet
    path = tmp_path / f"rows.{kind}"
    source = rows(130)
    bad = [*source[:105], {**source[105], "vector": [0.0] * 8}, *source[106:]]
    write(path, bad)
    # No row is recorded: all of them are in the batch of the bad one.
    assert vecload("upsert", path, "--batch-rows", "1000").code == 4
    write(path, source)

    ended = vecload("upsert", path, "--json")

    assert ended.code == 0, ended.err
    assert loaded(ended) == (130, 130, 0)


def test_lines_behind_the_last_recorded_row_may_be_fixed_and_those_before_it_may_not(tmp_path: Path) -> None:
    source = rows(130)
    path = write_jsonl(
        tmp_path / "rows.jsonl", [*source[:105], {**source[105], "vector": [0.0] * 8}, *source[106:]]
    )
    command = ("upsert", path, "--batch-rows", "10", "--concurrency", "1", "--json")
    first = vecload(*command)
    assert first.code == 4
    done = loaded(first)[1]
    assert 0 < done <= 100
    whole = [*source[:105], {**source[105], "title": "fixed, and longer than it was"}, *source[107:]]

    write_jsonl(path, [{**source[0], "title": "another"}, *whole[1:]])
    refused = vecload(*command)
    write_jsonl(path, whole)
    ended = vecload(*command)

    assert refused.code == 2
    assert "changed since its unfinished load began" in refused.error
    assert ended.code == 0, ended.err
    assert loaded(ended) == (129, 129 - done, done)
    assert titles() == {row["id"]: row["title"] for row in whole}


def test_a_file_that_grows_is_loaded_run_by_run_and_half_a_line_waits(tmp_path: Path) -> None:
    lines = [json.dumps(row).encode() + b"\n" for row in rows(130)]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"".join(lines[:110]) + lines[110][:40])
    command = ("upsert", path, "--batch-rows", "10", "--json")

    dry = vecload("upsert", path, "--dry-run")
    first = vecload(*command)
    again = vecload(*command)
    path.write_bytes(b"".join(lines[:120]) + lines[120][:-2])
    grown = vecload(*command)
    path.write_bytes(b"".join(lines)[:-1])
    last = vecload(*command)

    for ended in (first, again, grown):
        assert ended.code == 1, ended.err
        assert "ends with an incomplete line" in ended.error
        assert "run again" in ended.error
    assert dry.code == 1
    assert "ends with an incomplete line" in dry.out + dry.err
    assert f"at byte {len(b''.join(lines[:110])):,}" in first.error
    assert loaded(first) == (110, 110, 0)
    assert loaded(again) == (110, 0, 110)
    assert loaded(grown) == (120, 10, 110)
    assert last.code == 0, last.err
    assert loaded(last) == (130, 10, 120)
    assert len(titles()) == 130


def test_half_a_line_that_grew_meanwhile_waits_and_the_rest_counts_as_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(20))
    half = json.dumps({**rows(1)[0], "id": "late"})
    with path.open("a") as file:
        file.write(half[:30])

    def go_on(path: Path) -> None:
        with path.open("a") as file:
            file.write(half[30:] + "\n")

    code, told = load_while(go_on, path, monkeypatch, capsys)

    assert code == 0
    assert "was appended to during the load" in told
    assert "21 loaded" in vecload("upsert", path, "--skip-loaded").err


def test_half_a_line_that_nobody_finishes_is_a_reject_once_it_has_its_newline(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(20))
    with path.open("a") as file:
        file.write('{"id": "never"')
    load = ("upsert", path, "--max-errors", "1", "--json")
    assert vecload(*load).code == 1
    with path.open("a") as file:
        file.write("\n")

    ended = vecload(*load)

    assert ended.code == 3, ended.err
    assert json.loads(ended.out)["rejected"] == 1


def test_an_unfinished_load_goes_on_from_a_copy_of_its_source(tmp_path: Path) -> None:
    source = rows(130)
    source[125]["vector"] = [0.0] * 8
    for kind, write in (("jsonl", write_jsonl), ("parquet", write_parquet)):
        path = write(tmp_path / f"rows.{kind}", source)
        load = ("upsert", path, "--index", kind, "--batch-rows", "10", "--json")
        first = vecload(*load)
        assert first.code == 4
        replace(path)  # another inode and another time, as after a restore
        os.utime(path, ns=(1, 1))

        ended = vecload(*load, "--max-errors", "1")
        os.utime(path, ns=(2, 2))
        skipped = vecload(*load, "--max-errors", "1", "--skip-loaded")

        assert ended.code == 3, ended.err
        done = loaded(first)[1]
        assert done > 0
        assert loaded(ended) == (130, 129 - done, done)
        assert "nothing to do" in skipped.err


def test_a_time_that_stayed_proves_nothing(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(20))
    assert vecload("upsert", path).code == 0
    status = path.stat()
    with path.open("r+b") as file:
        content = file.read().replace(b"Title 7", b"Titel 7")
        file.seek(0)
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    ended = vecload("upsert", path, "--skip-loaded", "--json")

    assert loaded(ended) == (20, 20, 0)
    assert titles()["doc-7"] == "Titel 7"
