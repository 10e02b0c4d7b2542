"""`upsert --changed-only` and `--delete-missing` on the command line: what is said, asked and refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl
from tests.cli.terminal import on_terminal


def described(name: str) -> int:
    items: int = json.loads(vecload("index", "describe", name).out)["items"]
    return items


def test_a_nightly_load_sends_what_changed_and_deletes_what_left(tmp_path: Path) -> None:
    source = rows(50)
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    load = ("upsert", path, "--changed-only", "--delete-missing", "--yes", "--json")
    first = json.loads(vecload(*load).out)
    again = json.loads(vecload(*load).out)
    source[3]["title"] = "changed"
    del source[10:13]
    write_jsonl(path, source)
    ended = vecload(*load)

    assert (first["loaded"], first["skipped"]) == (50, 0)
    assert (again["read"], again["loaded"], again["skipped"], again["bytes"]) == (50, 0, 50, 0)
    told = json.loads(ended.out)
    assert (told["read"], told["loaded"], told["skipped"], told["deleted"]) == (47, 1, 46, 3)
    assert "1 of 47 rows are new or changed" in ended.err
    assert "47 read, 1 loaded, 0 rejected, 46 already in the index, 3 deleted" in ended.err
    assert described("rows") == 47


def test_without_a_terminal_nothing_is_deleted_unless_yes_is_passed(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(5))
    ended = vecload("upsert", path, "--changed-only", "--delete-missing")
    assert ended.code == 2
    assert "--delete-missing: refusing to delete items without confirmation; pass --yes" in ended.error


@pytest.mark.parametrize(("answer", "left", "code"), [("y", 38, 0), ("n", 40, 2)])
def test_on_a_terminal_it_asks_before_it_sends_or_deletes(
    tmp_path: Path, answer: str, left: int, code: int
) -> None:
    source = rows(40)
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    assert vecload("upsert", path, "--changed-only", "--quiet").code == 0
    source[5]["title"] = "changed"
    write_jsonl(path, source[2:])

    ended = on_terminal(f"{answer}\n", "upsert", str(path), "--changed-only", "--delete-missing")

    assert "delete 2 items of index 'rows' that left the sources?" in ended.err
    assert ended.code == code, ended.err
    assert described("rows") == left
    title = json.loads(vecload("get", "doc-5", "--index", "rows").out)["metadata"]["title"]
    assert title == ("changed" if answer == "y" else "Title 5")


def test_too_many_deletions_stop_the_load_before_anything_is_sent(tmp_path: Path) -> None:
    source = rows(40)
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    load = ("upsert", path, "--changed-only", "--delete-missing", "--yes")
    assert vecload(*load).code == 0
    source[39]["title"] = "changed"
    write_jsonl(path, source[30:])

    ended = vecload(*load)
    allowed = vecload(*load, "--max-deletes", "30")

    assert ended.code == 2
    assert "30 of 40 items left the sources, more than --max-deletes 10%" in ended.error
    assert allowed.code == 0
    assert described("rows") == 10


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--delete-missing", "--yes"), "--delete-missing needs --changed-only"),
        (("--changed-only", "--skip-loaded"), "--skip-loaded and --changed-only exclude each other"),
        (("--changed-only", "--retry-rejects", "r.jsonl"), "--retry-rejects and --changed-only exclude"),
        (("--changed-only", "--max-deletes", "x"), "--max-deletes 'x' is neither a number of items"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(5))
    (tmp_path / "r.jsonl").write_text(json.dumps({"source": str(path), "row": 1}) + "\n")
    ended = vecload("upsert", path, *options, cwd=tmp_path)
    assert ended.code == 2
    assert says in ended.error


def test_a_damaged_state_is_named_and_what_to_do(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(5))
    load = ("upsert", path, "--changed-only", "--state-dir", tmp_path / "state")
    assert vecload(*load).code == 0
    (state,) = (tmp_path / "state").glob("*.items")
    state.write_bytes(b"SQLite format 3\0" + b"x" * 5000)

    ended = vecload(*load)
    state.unlink()
    again = vecload(*load)

    assert ended.code == 1
    assert f"the state of the index, {state} can't be used" in ended.error
    assert "remove it, and everything is loaded again" in ended.error
    assert again.code == 0
    assert "5 loaded" in again.err
