"""What means the same before and after every command."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.main import get_command

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl
from vecload.cli.app import app
from vecload.cli.arguments import config_first
from vecload.errors import UsageError


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("upsert x --config f", "--config f upsert x"),
        ("upsert --config=f x --profile p", "--config=f --profile p upsert x"),
        ("--config f upsert x", "--config f upsert x"),
        ("--config f --profile p index list --config g", "--config f --profile p --config g index list"),
        ("index --profile p list", "--profile p index list"),
        ("upsert x -- --config f", "upsert x -- --config f"),
        ("upsert --id-prefix --config f x", "upsert --id-prefix --config f x"),
        ("upsert --seal --config f x", "--config f upsert --seal x"),
        ("upsert --generate-ids --config f x", "--config f upsert --generate-ids x"),
        ("upsert --to=--config f", "upsert --to=--config f"),
        ("export -o --config", "export -o --config"),
        ("upsert --to", "upsert --to"),
        ("frobnicate --config f", "frobnicate --config f"),
        ("--profile p", "--profile p"),
    ],
)
def test_the_configuration_may_follow_the_command(given: str, meant: str) -> None:
    assert config_first(get_command(app), given.split()) == meant.split()


@pytest.mark.parametrize("flag", ["--config", "--profile"])
def test_a_flag_without_its_value_is_an_error(flag: str) -> None:
    with pytest.raises(UsageError, match=f"{flag} has no value"):
        config_first(get_command(app), ["upsert", "x", flag])
    ended = vecload("upsert", "x", flag, "")
    assert ended.code == 2
    assert f"{flag} is empty" in ended.error
    assert f"did you mean {flag}?" in vecload("upsert", "x", flag[:-1], "a").error


def test_a_file_named_after_the_command_counts(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", rows(3))
    (tmp_path / "f.toml").write_text('[profiles.p]\nindex = "after"\n')
    ended = vecload("upsert", "rows.jsonl", "--config", "f.toml", "--profile=p", cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert vecload("index", "list", "--config", "f.toml", cwd=tmp_path).out == "after\n"
