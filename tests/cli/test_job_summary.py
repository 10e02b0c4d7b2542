"""The job summary of GitHub Actions."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl
from vecload.cli.job_summary import escaped, job_summary


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "rows.jsonl", rows(30))
    return tmp_path


def test_what_a_load_came_to_is_appended(folder: Path) -> None:
    summary = folder / "summary.md"
    summary.write_text("of an earlier step\n")
    variables = {"GITHUB_STEP_SUMMARY": str(summary)}
    ended = vecload("upsert", "rows.jsonl", cwd=folder, variables=variables)
    assert ended.code == 0
    text = summary.read_text()
    assert text.startswith("of an earlier step\n### vecload upsert: complete\n")
    for row in (
        "| exit code | 0 |",
        "| index | rows |",
        "| read | 30 |",
        "| loaded | 30 |",
        "| rejected | 0 |",
    ):
        assert f"\n{row}\n" in text
    failed = vecload("upsert", "missing.jsonl", cwd=folder, variables=variables)
    assert failed.code == 2
    added = summary.read_text().removeprefix(text)
    assert added.startswith("### vecload upsert: failed\n")
    assert "can't be read" in added
    assert "| exit code | 2 |" in added
    assert "loaded" not in added


def test_it_is_written_whoever_else_listens_and_by_no_command_that_loads_nothing(folder: Path) -> None:
    summary = folder / "summary.md"
    variables = {"GITHUB_STEP_SUMMARY": str(summary)}
    quiet = ("--quiet", "--log-file", "l.log", "--metrics", "m.prom")
    assert vecload("upsert", "rows.jsonl", *quiet, cwd=folder, variables=variables).code == 0
    assert summary.read_text().count("### ") == 1
    assert vecload("index", "list", cwd=folder, variables=variables).code == 0
    assert summary.read_text().count("### ") == 1


def test_a_summary_that_cannot_be_written_is_said_and_costs_nothing(folder: Path) -> None:
    variables = {"GITHUB_STEP_SUMMARY": str(folder / "missing" / "summary.md")}
    ended = vecload("upsert", "rows.jsonl", cwd=folder, variables=variables)
    assert ended.code == 0
    assert "the job summary can't be written: No such file or directory" in ended.err


HOSTILE = (
    "<script>alert(1)</script> | a | b\n# heading\r\n```\n![x](http://evil/x.png) [click](javascript:x) "
    "@everyone ~~a~~ **b** __c__ <img src=x> &lt; \x1b[31m\u202e \\| `code`"
)


def test_hostile_names_stay_text() -> None:
    ended = {
        "index": HOSTILE,
        "target": HOSTILE,
        **dict.fromkeys(("read", "loaded", "rejected", "skipped", "deleted", "retries"), 1),
        "seconds": 1.0,
    }
    text = job_summary("upsert", 1, HOSTILE, ended)
    lines = text.splitlines()
    assert sum(line.startswith("#") for line in lines) == 1
    for line in lines:
        if line.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", line)) == 3, "a row has two cells"
        assert "<" not in line
        assert not re.search(r"(?<!\\)[\[\]`*]", line)
    shown = html.unescape(re.sub(r"\\(.)", r"\1", escaped(HOSTILE)))
    assert shown == "".join(c if c.isprintable() else " " for c in HOSTILE)
    assert len(escaped("x" * 10_000)) < 600
    assert escaped("\udc80")
