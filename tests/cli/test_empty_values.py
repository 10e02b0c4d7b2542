"""An empty value is an error that names the flag, the variable or the file; an option left out is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl
from vecload.cli.app import app, run

LOAD = ("upsert", "rows.jsonl")
TEXTS = (
    "to",
    "state-dir",
    "rejects",
    "index",
    "key-file",
    "key-command",
    "contents-key-file",
    "api-key-file",
    "endpoint-url",
)
OTHERS = ("retry-rejects", "ids-file", "id-column", "metadata-exclude", "max-errors", "dimension", "nan")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_jsonl(tmp_path / "rows.jsonl", rows(3))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = run(arguments)
    return code, capsys.readouterr().err


@pytest.mark.parametrize("option", [*TEXTS, *OTHERS])
def test_an_empty_value_of_a_load_names_its_flag_or_its_variable(
    folder: Path, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = (2, f"vecload: --{option} is empty; omit it for its default\n")
    assert said(capsys, *LOAD, f"--{option}", "") == refused
    assert said(capsys, *LOAD, f"--{option}=") == refused
    variable = f"VECLOAD_{option.upper().replace('-', '_')}"
    monkeypatch.setenv(variable, "")
    assert said(capsys, *LOAD) == (2, f"vecload: {variable} is set but empty; run: unset {variable}\n")
    monkeypatch.delenv(variable)
    (folder / "named.toml").write_text(f'[upsert]\n{option} = ""\n')
    code, error = said(capsys, "--config", "named.toml", "index", "list")
    assert (code, f"sets '{option}' in [upsert] to an empty text" in error) == (2, True), error
    (folder / "named.toml").write_text(f'{option} = ["", "x"]\n')
    code, error = said(capsys, "--config", "named.toml", "index", "list")
    assert (code, f"sets '{option}' to an empty text" in error) == (2, True), error
    assert {file.name for file in folder.iterdir()} == {"rows.jsonl", "named.toml"}


def leaves() -> list[tuple[str, Any]]:
    group: Any = get_command(app)
    return [
        (f"{name} {inner}".strip(), command)
        for name, one in group.commands.items()
        for inner, command in getattr(one, "commands", {"": one}).items()
    ]


@pytest.mark.parametrize(("words", "command"), leaves(), ids=lambda one: one if isinstance(one, str) else "")
def test_every_option_of_every_command_is_checked(
    words: str, command: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["x" for param in command.params if param.param_type_name == "argument"]
    options = [
        param
        for param in command.params
        if param.param_type_name == "option" and param.name not in ("help", "help_all")
    ]
    for param in options:
        if not param.is_flag and param.name != "id_prefix":
            code, error = said(capsys, *words.split(), *arguments, param.opts[0], "")
            assert (code, error.startswith(f"vecload: {param.opts[0]} is empty")) == (2, True), error
        if param.name != "id_prefix":
            monkeypatch.setenv(param.envvar, "")
            code, error = said(capsys, *words.split(), *arguments)
            assert (code, f"{param.envvar} is set but empty" in error) == (2, True), (param.name, error)
            monkeypatch.delenv(param.envvar)
    for name in range(len(arguments)):
        code, error = said(capsys, *words.split(), *arguments[:name], "", *arguments[name + 1 :])
        assert (code, " is empty\n" in error) == (2, True), error


@pytest.mark.parametrize("variable", ["VECLOAD_INDEX_KEY", "VECLOAD_CONTENTS_KEY", "VECLOAD_API_KEY"])
def test_an_empty_key_is_an_error_where_it_would_be_looked_at(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, "")
    for command in (LOAD, ("get", "a"), ("index", "describe", "x")):
        assert said(capsys, *command) == (2, f"vecload: {variable} is set but empty; run: unset {variable}\n")
    flag = "--api-key-file" if "API" in variable else "--key-file"
    assert "is set but empty" not in said(capsys, "get", "a", flag, "missing")[1]


@pytest.mark.parametrize("name", ["config", "profile"])
def test_an_empty_configuration_or_profile_is_an_error(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, f"--{name}", "", *LOAD)[1].startswith(f"vecload: --{name} is empty; ")
    monkeypatch.setenv(f"VECLOAD_{name.upper()}", "")
    assert said(capsys, *LOAD)[1].startswith(f"vecload: VECLOAD_{name.upper()} is set but empty; ")
    assert said(capsys, "upsert", "--help")[0] == 0


def test_a_variable_of_an_option_that_the_command_lacks_or_that_a_flag_precedes_is_not_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("REJECTS", "INDEX", "KEY_FILE", "INDEX_KEY", "WHATEVER"):
        monkeypatch.setenv(f"VECLOAD_{name}", "")
    assert "empty" not in said(capsys, "index", "list")[1]
    monkeypatch.setenv("VECLOAD_TO", "")
    assert "empty" not in said(capsys, "index", "list", "--to", "./missing")[1]
    assert said(capsys, "keygen", "key")[0] == 0


def test_an_empty_prefix_is_a_value(folder: Path) -> None:
    (folder / "named.toml").write_text('id-prefix = "p-"\n')
    named = ("--config", "named.toml", *LOAD, "--id-prefix", "")
    ended = vecload(*named, cwd=folder, variables={"VECLOAD_ID_PREFIX": ""})
    assert ended.code == 0, ended.err
    assert '"id":"doc-1"' in vecload("get", "doc-1", cwd=folder).out
