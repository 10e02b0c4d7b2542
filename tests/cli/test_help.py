from __future__ import annotations

from pathlib import Path

import pytest
from typer.main import get_command

from tests.cli.command import vecload
from vecload.cli.app import app
from vecload.cli.config import CONFIG_NAME
from vecload.cli.help import print_help


@pytest.mark.parametrize("command", ["", "upsert", "index", "index create", "keygen"])
def test_the_help_is_what_typer_prints(command: str) -> None:
    words = command.split()
    # Asked for twice, it is for typer to parse.
    by_typer = vecload(*words, "--help", "--help")
    assert (by_typer.code, by_typer.err) == (0, "")
    assert vecload(*words, "--help") == by_typer


def test_the_help_shows_the_defaults_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_text("[upsert]\nbatch-bytes = 7654321\n")
    assert "[default: 7654321]" in vecload("upsert", "--help-all", cwd=tmp_path).out
    named = {"VECLOAD_CONFIG": str(tmp_path / CONFIG_NAME)}
    assert vecload("upsert", "--help", variables=named) == vecload(
        "--config", tmp_path / CONFIG_NAME, "upsert", "--help"
    )


def test_a_configuration_that_cannot_be_used_is_an_error_of_a_commands_help_alone(tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_text("batch-roes = 1\n")
    ended = vecload("upsert", "--help", cwd=tmp_path)
    assert (ended.code, ended.out) == (2, "")
    assert "batch-roes" in ended.error
    assert vecload("--help", cwd=tmp_path).code == 0


@pytest.mark.parametrize(
    "arguments", [["upsert"], ["frobnicate", "--help"], ["upsert", "index", "--help"], ["--help", "upsert"]]
)
def test_anything_else_is_for_typer(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert not print_help(get_command(app), arguments)
    assert capsys.readouterr().out == ""
