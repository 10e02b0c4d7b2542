"""The log of a command: where it goes, what its lines are, and what it refuses to write to."""

from __future__ import annotations

import json
import logging
import os
import re
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl
from vecload.cli.logs import LogFile, LoggedProgress

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written = rows(30)
    written[7]["vector"] = [1.0]
    write_jsonl(tmp_path / "rows.jsonl", written)
    return tmp_path


LOAD = ("upsert", "rows.jsonl", "--max-errors", "1", "--batch-rows", "10")


def test_each_line_of_json_is_an_object_with_its_time(folder: Path) -> None:
    ended = vecload(*LOAD, "--log-file", "l.jsonl", "--log-format", "json", "--verbose", "--json", cwd=folder)
    assert ended.code == 3
    assert "rows   30 read" in ended.err
    events = [json.loads(line) for line in (folder / "l.jsonl").read_text().splitlines()]
    for event in events:
        assert RFC_3339.fullmatch(event["time"])
        assert {"level", "logger", "event", "message"} <= {*event}
    names = [event["event"] for event in events]
    assert names.count("batch_recorded") == 3
    assert {"message", "load_started", "batch_sent", "request", "reject", "load_ended"} <= {*names}
    assert events[-1] == events[-1] | {"event": "command_ended", "command": "upsert", "exit_code": 3}
    summary = json.loads(ended.out)
    ended_event = next(event for event in events if event["event"] == "load_ended")
    for name in ("read", "loaded", "rejected", "skipped", "bytes", "index", "target", "exit_code"):
        assert ended_event[name] == summary[name]


def test_without_verbose_only_what_is_rare_is_logged(folder: Path) -> None:
    assert vecload(*LOAD, "--log-file", "l.log", "--quiet", cwd=folder).code == 3
    lines = (folder / "l.log").read_text().splitlines()
    assert all(RFC_3339.match(line) and line.split()[1] in ("INFO", "WARNING") for line in lines)
    assert not [line for line in lines if "batch_" in line or " request " in line or " reject " in line]
    assert any("columns   id: id" in line for line in lines), "messages are logged, though it is quiet"
    assert any(" load_ended index=rows " in line and "status=rejected exit_code=3" in line for line in lines)


def test_a_log_without_a_file_replaces_the_messages(folder: Path) -> None:
    ended = vecload(*LOAD, "--log-format", "json", "--json", cwd=folder)
    events = [json.loads(line) for line in ended.err.splitlines()]
    assert {"message", "load_started", "load_ended", "command_ended"} == {event["event"] for event in events}
    assert json.loads(ended.out)["loaded"] == 29
    text = vecload(*LOAD, "--verbose", "--fresh", cwd=folder)
    assert all(RFC_3339.match(line) for line in text.err.splitlines())
    assert text.err.count("batch_recorded") == 3
    assert text.out == ""
    failed = vecload("upsert", "missing.jsonl", "--log-format", "json", cwd=folder)
    error = json.loads(failed.err.splitlines()[-2])
    assert failed.code == 2
    assert (error["level"], error["message"][:30]) == ("error", "vecload: missing.jsonl can't b")
    quiet = vecload(*LOAD, "--fresh", "--quiet", "--log-format", "json", cwd=folder)
    assert quiet.err == ""


def test_quiet_and_verbose_exclude_each_other_where_both_are_for_standard_error(folder: Path) -> None:
    ended = vecload(*LOAD, "--quiet", "--verbose", cwd=folder)
    assert ended.code == 2
    assert "--verbose and --quiet exclude each other" in ended.error
    both = vecload(*LOAD, "--quiet", "--verbose", "--log-file", "l.log", cwd=folder)
    assert "new key" in both.err
    assert len(both.err.splitlines()) == 1
    assert "batch_recorded" in (folder / "l.log").read_text()


def test_the_log_is_appended_to_and_a_new_one_is_not_for_everybody(folder: Path) -> None:
    assert vecload(*LOAD, "--log-file", "l.log", cwd=folder).code == 3
    first = (folder / "l.log").read_text()
    assert stat.S_IMODE((folder / "l.log").stat().st_mode) == 0o640 & ~_umask()
    (folder / "l.log").chmod(0o604)
    assert vecload(*LOAD, "--log-file", "l.log", cwd=folder).code == 3
    assert (folder / "l.log").read_text().startswith(first)
    assert stat.S_IMODE((folder / "l.log").stat().st_mode) == 0o604


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def test_a_name_with_line_breaks_and_escapes_is_one_line(folder: Path) -> None:
    hostile = folder / "a\n2026-01-01T00:00:00.000Z INFO forged \x1b[31m\x9b\u202e.jsonl"
    (folder / "rows.jsonl").rename(hostile)
    for form in ("text", "json"):
        vecload("upsert", hostile.name, *LOAD[2:], "--index", "x", "--fresh",
                "--verbose", "--log-format", form, "--log-file", f"{form}.log", cwd=folder)  # fmt: skip
        lines = (folder / f"{form}.log").read_text().splitlines()
        assert len(lines) > 5
        assert not [line for line in lines if line.startswith("2026-01-01T00:00:00.000Z")]
        assert all(c.isprintable() for line in lines for c in line)
        if form == "json":
            sources = {json.loads(line).get("source") for line in lines} - {None}
            assert {Path(source).name for source in sources} == {hostile.name}


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("rows.jsonl", "--log-file rows.jsonl is the file of SOURCE"),
        ("link", "--log-file link is the file of SOURCE"),
        ("hard", "--log-file hard is the file of SOURCE"),
        ("k.key", "--log-file k.key is the file of --key-file"),
        ("bad.jsonl", "--log-file bad.jsonl is the file of --rejects"),
        ("f.prom", "--log-file f.prom is the file of --metrics"),
        ("missing/l.log", "the log file missing/l.log can't be written: No such file"),
        (".", "the log file . can't be written: Is a directory"),
        ("/dev/stdout", "the log file /dev/stdout is standard output"),
        ("pipe", "the log file pipe "),
    ],
)
def test_a_file_that_is_no_log_is_refused_before_anything_is_written(
    folder: Path, file: str, says: str
) -> None:
    vecload("keygen", "k.key", cwd=folder)
    (folder / "link").symlink_to("rows.jsonl")
    os.link(folder / "rows.jsonl", folder / "hard")
    os.mkfifo(folder / "pipe")
    before = {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}
    files = ("--key-file", "k.key", "--rejects", "bad.jsonl", "--metrics", "f.prom")
    ended = vecload(*LOAD, *files, "--log-file", file, cwd=folder)
    assert ended.code == 2
    assert says in ended.error
    assert {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()} == before
    assert not (Path(os.environ["XDG_DATA_HOME"]) / "vecload").exists()


def test_a_log_that_would_be_a_source_of_the_next_run_or_lies_with_the_keys_is_refused(folder: Path) -> None:
    assert (
        "is within .: a later run would load it"
        in vecload("upsert", ".", "--log-file", "l.jsonl", cwd=folder).error
    )
    assert "is within *.jsonl" in vecload("upsert", "*.jsonl", "--log-file", "l.jsonl", cwd=folder).error
    keys = Path(os.environ["XDG_CONFIG_HOME"]) / "vecload" / "keys"
    keys.mkdir(parents=True)
    ended = vecload(*LOAD, "--log-file", keys / "l.log", cwd=folder)
    assert "is in the folder of your keys" in ended.error


def test_a_disk_that_is_full_costs_the_log_and_not_the_load(folder: Path) -> None:
    ended = vecload(*LOAD, "--log-file", "/dev/full", cwd=folder)
    assert ended.code == 3
    assert ended.err.count("the log file /dev/full can't be written: No space left on device") == 1
    assert "rows   30 read, 29 loaded" in ended.err


def test_a_log_that_is_rotated_meanwhile_is_opened_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = LogFile(str(folder / "l.log"))
    logger = logging.getLogger("tests.rotated")
    logger.addHandler(file)
    try:
        logger.warning("before")
        (folder / "l.log").rename(folder / "l.log.1")
        logger.warning("after")
        assert (folder / "l.log").read_text() == "after\n"
        (folder / "l.log").unlink()
        (folder / "l.log").symlink_to("missing/l.log")
        logger.warning("lost")
        logger.warning("lost, too")
    finally:
        logger.removeHandler(file)
        file.close()
    assert (folder / "l.log.1").read_text() == "before\n"
    assert capsys.readouterr().err.count("can't be written: No such file or directory") == 1


@pytest.mark.parametrize("command", [("inspect", "rows.jsonl"), ("verify", "rows.jsonl"), ("export",),
                                     ("delete", "doc-1", "--yes"), ("copy", "--index", "b")])  # fmt: skip
def test_other_commands_have_a_log_too(folder: Path, command: tuple[str, ...]) -> None:
    assert vecload(*LOAD, cwd=folder).code == 3
    ended = vecload(*command, "--log-file", "l.jsonl", "--log-format", "json", cwd=folder)
    events = [json.loads(line) for line in (folder / "l.jsonl").read_text().splitlines()]
    assert events[-1]["event"] == "command_ended"
    assert events[-1]["exit_code"] == ended.code
    assert events[-1]["command"] == command[0]


def test_progress_is_logged_every_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vecload")
    counts = {"index": "a", "rows": 100, "read": 50, "rejected": 1, "skipped": 0, "done": "loaded"}
    logged = LoggedProgress()
    for second in range(31):
        now: Any = SimpleNamespace(**counts, loaded=second, part=second / 100, seconds=float(second))
        logged.update(now)
    events = [record for record in caplog.records if record.event == "progress"]  # type: ignore[attr-defined]
    assert [(each.seconds, each.percent, each.loaded) for each in events] == [  # type: ignore[attr-defined]
        *((10.0, 10, 10), (20.0, 20, 20), (30.0, 30, 30))
    ]
    assert events[0].getMessage() == "10% done, 10 rows loaded, 1 rejected"
