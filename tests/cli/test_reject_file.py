"""The reject file never takes the place of something else."""

from __future__ import annotations

import gc
import json
import os
import socket
import stat
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl
from vecload.cli.app import run
from vecload.errors import SourceError
from vecload.loading.ledger import Ledger


@pytest.mark.parametrize(
    ("source", "rejects", "says"),
    [
        ("data/a.jsonl", "data/a.jsonl", "is a source"),
        ("data", "data/a.jsonl", "is a source"),
        ("data/*.jsonl", "data/a.jsonl", "is a source"),
        ("data", "hard", "is a source"),
        ("data", "data/new.jsonl", "a later run would load it"),
        ("data/*.jsonl", "data/new.jsonl", "a later run would load it"),
        ("data", "mine.toml", "is the key file"),
        ("data", "notes.txt", "is not a reject file"),
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


KINDS = ("device", "FIFO", "socket", "folder", "link to nothing", "link to a file", "another user's")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_of_this_user_is_refused_before_anything_is_made(
    tmp_path: Path, kind: str
) -> None:
    path, precious = tmp_path / "rejects", tmp_path / "precious"
    precious.write_text("")
    with ExitStack() as opened:
        if kind == "device":
            if os.geteuid():
                pytest.skip("only root makes devices")
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))  # as /dev/null is
            path.chmod(0o666)
        elif kind == "FIFO":
            os.mkfifo(path, 0o644)
        elif kind == "socket":
            opened.enter_context(socket.socket(socket.AF_UNIX)).bind(str(path))
        elif kind == "folder":
            path.mkdir()
        elif kind == "another user's":
            if os.geteuid():
                pytest.skip("only root gives files away")
            path.write_text("")
            os.chown(path, 12345, 12345)
            path.chmod(0o666)
        else:
            path.symlink_to("nowhere" if kind == "link to nothing" else precious)
        before = path.lstat()

        ended = vecload("upsert", write_jsonl(tmp_path / "rows.jsonl", rows(3)), "--rejects", path)

        assert ended.code == 2, ended.err
        assert str(path) in ended.error
        after = path.lstat()
        for what in ("st_mode", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns", "st_uid"):
            assert getattr(after, what) == getattr(before, what), what
    assert stat.S_IMODE(precious.stat().st_mode) == 0o644
    assert not (tmp_path / "nowhere").exists()
    assert not (Path(os.environ["XDG_DATA_HOME"]) / "vecload").exists()


def test_a_look_whether_the_reject_file_can_be_written_makes_and_removes_nothing(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(3))
    rejects = tmp_path / "rejects"
    before = tmp_path.stat().st_mtime_ns

    ended = vecload(
        "upsert", path, "--rejects", rejects, "--to", "http://127.0.0.1:9", "--give-up-after", "0"
    )

    assert ended.code == 1, ended.err
    assert tmp_path.stat().st_mtime_ns == before


def test_a_reject_file_in_a_folder_that_is_missing_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(3))

    ended = vecload("upsert", path, "--rejects", tmp_path / "missing" / "rejects")

    assert ended.code == 1
    assert "No such file or directory" in ended.error
    assert not (Path(os.environ["XDG_DATA_HOME"]) / "vecload").exists()


def test_rejects_of_runs_that_did_not_name_the_file_are_said_to_be_missing(tmp_path: Path) -> None:
    source = rows(60)
    for row in (3, 15, 25, 45):
        source[row]["vector"] = [0.0] * 8
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    rejects = tmp_path / "rejects.jsonl"
    load = ("upsert", path, "--batch-rows", "10", "--concurrency", "1", "--json", "--max-errors")
    without = vecload(*load, "3")
    assert without.code == 4, without.err
    recorded = json.loads(without.out)["rejected"] - 1

    named = vecload(*load, "4", "--rejects", rejects)
    skipped = vecload(*load, "4", "--rejects", rejects, "--skip-loaded")
    fresh = vecload(*load, "4", "--rejects", rejects, "--fresh")

    assert recorded > 0
    assert json.loads(without.out)["rejects_missing"] is None
    for ended in (named, skipped):
        assert ended.code == 3, ended.err
        assert f"{recorded} of the 4 rejected rows are not in {rejects}" in ended.err
        assert json.loads(ended.out)["rejects_missing"] == recorded
    assert fresh.code == 3
    assert json.loads(fresh.out)["rejects_missing"] == 0
    assert len(rejects.read_text().splitlines()) == 4


def test_rejects_of_a_run_that_no_longer_names_the_file_are_said_to_be_missing(tmp_path: Path) -> None:
    source = rows(60)
    for row in (3, 15, 45):
        source[row]["vector"] = [0.0] * 8
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    rejects = tmp_path / "rejects.jsonl"
    load = ("upsert", path, "--batch-rows", "10", "--concurrency", "1", "--json", "--max-errors")
    assert vecload(*load, "2", "--rejects", rejects).code == 4

    ended = vecload(*load, "3")

    assert ended.code == 3, ended.err
    missing = json.loads(ended.out)["rejects_missing"]
    assert missing > 0
    assert f"{missing} of the 3 rejected rows are not in {rejects}" in ended.err


def touched_by(
    change: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> tuple[int, str, Path]:
    """A load of two rejects, whose file is changed before all is recorded."""
    source = rows(60)
    for row in (3, 45):
        source[row]["vector"] = [0.0] * 8
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    rejects = tmp_path / "rejects.jsonl"
    finish = Ledger.finish

    def finish_after(ledger: Ledger) -> None:
        change(rejects)
        finish(ledger)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "finish", finish_after)
        code = run(["upsert", str(path), "--max-errors", "2", "--rejects", str(rejects)])
    gc.unfreeze()
    gc.collect()
    return code, capsys.readouterr().err, rejects


def put_another(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: os.truncate(path, 10), "was truncated"),
        (lambda path: os.truncate(path, 0), "was truncated"),
        (lambda path: path.write_bytes(path.read_bytes() + b"more"), "was changed"),
        (put_another, "was replaced"),
    ],
)
def test_a_reject_file_that_others_touch_ends_the_load_in_an_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], object],
    says: str,
) -> None:
    code, told, rejects = touched_by(change, tmp_path, monkeypatch, capsys)

    assert code == 1, told
    assert f"the reject file {rejects} {says} by another program" in told
    assert "--fresh" in told


def test_a_reject_file_that_others_remove_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told, rejects = touched_by(Path.unlink, tmp_path, monkeypatch, capsys)

    assert code == 3, told
    assert [json.loads(line)["row"] for line in rejects.read_text().splitlines()] == [3, 45]
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600


def test_a_reject_file_that_is_cut_before_a_load_stops_by_something_else_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(ledger: Ledger) -> None:
        os.truncate(tmp_path / "rejects.jsonl", 0)
        raise SourceError("the source is gone")

    source = rows(60)
    source[3]["vector"] = [0.0] * 8
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "finish", stop)
        code = run(
            ["upsert", str(path), "--max-errors", "2", "--rejects", str(tmp_path / "rejects.jsonl"), "--json"]
        )
    gc.unfreeze()
    gc.collect()

    out, told = capsys.readouterr()
    assert code == 2
    assert "the source is gone" in told
    assert "was truncated by another program" in told
    assert (json.loads(out)["rejected"], json.loads(out)["rejects_missing"]) == (1, 1)
