from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tests.cli.command import vecload
from tests.cli.sources import SAMPLES
from vecload import __version__
from vecload.cli.app import app

ROOT = SAMPLES.parent


def commands() -> dict[str, Any]:
    """Every command by its words."""
    group: Any = get_command(app)
    return {
        f"{name} {inner}".strip(): command
        for name, one in group.commands.items()
        for inner, command in getattr(one, "commands", {"": one}).items()
    }


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    told = re.findall(r"^\| `vecload ([a-z ]+?)(?: [A-Z.]+)?` \|", readme, flags=re.MULTILINE)
    assert sorted(told) == sorted(commands())


def test_every_option_has_a_help_and_a_variable_of_its_name() -> None:
    for name, command in commands().items():
        for option in command.params:
            if option.param_type_name == "option" and option.name not in ("help", "help_all"):
                assert option.help, (name, option.name)
                expected = "VECLOAD_" + option.opts[0].lstrip("-").upper().replace("-", "_")
                assert option.envvar == expected, (name, option.name)


def test_no_option_takes_a_key() -> None:
    flags = {flag for command in commands().values() for option in command.params for flag in option.opts}
    assert {flag for flag in flags if "key" in flag} == {
        *("--key-file", "--key-command", "--contents-key-file", "--api-key-file", "--create-key"),
        *("--client-key", "--from-key-file", "--from-api-key-file", "--new-key-file"),
    }


def test_the_version_is_told() -> None:
    for arguments in (("--version",), ("--version", "upsert")):
        ended = vecload(*arguments)
        assert (ended.code, ended.out) == (0, f"vecload {__version__}\n")


def test_help_goes_to_standard_output_and_a_usage_error_is_one_line_on_the_other() -> None:
    for arguments in ((), ("--help",), ("upsert", "--help"), ("index", "--help")):
        ended = vecload(*arguments)
        assert ended.code == 0
        assert "Usage: vecload" in ended.out
    for arguments in (("upsert",), ("frobnicate",), ("upsert", "--wire", "x", "y"), ("index",)):
        ended = vecload(*arguments)
        assert ended.code == 2
        assert ended.out == ""
        assert "--help" in ended.error


def test_the_help_of_upsert_says_that_items_are_replaced_whole() -> None:
    words = " ".join(re.sub(r"[^\w ]", " ", vecload("upsert", "--help").out).split())
    assert "An upsert replaces whole items" in words


def test_every_word_of_an_options_help_is_shown() -> None:
    for name, command in commands().items():
        short = any(option.name == "help_all" for option in command.params)
        asked = "--help-all" if short else "--help"
        shown = vecload(*name.split(), asked, variables={"COLUMNS": "300", "TERMINAL_WIDTH": "300"}).out
        for option in command.params:
            if option.param_type_name == "option" and option.name != "help":
                missing = [word for word in option.help.split() if word not in shown]
                assert missing == [], (name, option.name)


def test_a_reader_that_goes_away_or_a_closed_stream_is_no_defect(tmp_path: Path) -> None:
    source = SAMPLES / "articles.jsonl"
    assert vecload("upsert", source).code == 0
    command = f"{sys.executable} -m vecload get jargon-0001"
    for redirect in ("| head -c 10", ">&-", "> /dev/full", "2>&-"):
        ended = subprocess.run(
            ["bash", "-c", f"{command} {redirect}"], capture_output=True, text=True, check=False
        )
        assert "Traceback" not in ended.stderr
        assert "defect" not in ended.stderr
    full = subprocess.run(
        ["bash", "-c", f"{command} > /dev/full"], capture_output=True, text=True, check=False
    )
    assert full.returncode == 1
    assert "standard output can't be written: No space left" in full.stderr


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("--dim", "--dimension"), ("--dimenson", "--dimension"), ("--vector-col", "--vector-column"),
     ("--max-error", "--max-errors"), ("--rejcts", "--rejects"), ("--zzz", ""), ("--zebra", "")],
)  # fmt: skip
def test_a_mistyped_option_is_answered_with_the_one_that_was_meant(wrong: str, meant: str) -> None:
    ended = vecload("upsert", "rows.jsonl", wrong, "5")
    did = f"; did you mean {meant}?" if meant else ""
    assert (ended.code, ended.err) == (
        2,
        f"vecload: no option {wrong}{did}; see 'vecload upsert --help'\n",
    )


def test_completion_is_installed_by_typer_and_completes(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    subprocess.run(
        # Typer looks for the shell among the processes above.
        ["bash", "-c", f"{sys.executable} -m vecload --install-completion bash; exit $?"],
        env={**os.environ, **home},
        check=True,
    )
    assert "vecload" in (tmp_path / ".bashrc").read_text()
    asked = {"_VECLOAD_COMPLETE": "complete_bash", "COMP_WORDS": "vecload upsert --max-e", "COMP_CWORD": "2"}
    told = subprocess.run(
        [sys.executable, "-m", "vecload"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout.split() == ["--max-errors"]


def test_a_wrong_value_of_a_variable_is_blamed_on_the_variable() -> None:
    ended = vecload("upsert", "rows.jsonl", variables={"VECLOAD_BATCH_BYTES": "many"})
    assert (ended.code, "VECLOAD_BATCH_BYTES" in ended.error, "not an integer" in ended.error) == (
        2,
        True,
        True,
    )


def test_a_wrong_value_is_said_without_the_words_of_a_library() -> None:
    ended = vecload("upsert", "rows.jsonl", "--metric", "dot")
    assert ended.code == 2
    assert "'dot' is not one of" in ended.error
    assert "Value error" not in ended.error
