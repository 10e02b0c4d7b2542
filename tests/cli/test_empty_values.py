"""An empty value is an error that names the flag, the variable or the file; an option left out is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from typer import Context
from typer.main import get_command

import vecload as api
from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl
from vecload.cli.app import app, run
from vecload.cli.config import default_map
from vecload.cli.empty_values import check_given
from vecload.errors import ItemTypeError, UsageError
from vecload.option_values import MAY_BE_BLANK, MAY_BE_EMPTY
from vecload.options import HINTS
from vecload.targets.reach import REACH_FIELDS

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


GROUP: Any = get_command(app)
BLANKS = ("", " ", "\t\n")


def checked(words: str, command: Any, *arguments: str, **variables: str) -> str:
    """What a command says of empty values, without running it; "" for nothing."""
    try:
        check_given(command, Context(command, info_name=words), arguments, variables)
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("words", "command"), leaves(), ids=lambda one: one if isinstance(one, str) else "")
def test_every_option_of_every_command_is_checked(folder: Path, words: str, command: Any) -> None:
    arguments = ["x" for param in command.params if param.param_type_name == "argument"]
    options = [
        param
        for param in command.params
        if param.param_type_name == "option" and param.name not in ("help", "help_all")
    ]
    assert words in ("keygen", "recipes", "config") or "to" in {param.name for param in options}
    assert checked(words, command, *arguments) == ""
    for blank in BLANKS:
        for param in options:
            flag, setting = param.opts[0], f"{param.opts[0][2:]} = {json.dumps(blank)}\n"
            if param.name == "id_prefix" or (blank and param.name == "id_separator"):
                assert checked(words, command, *arguments, flag, blank) == ""
                continue
            if not param.is_flag:
                said = checked(words, command, *arguments, flag, blank)
                assert said == f"{flag} is empty; omit it for its default"
            variable = {param.envvar: blank}
            assert f"{param.envvar} is set but empty" in checked(words, command, *arguments, **variable)
            if words == "rejects":
                continue  # [rejects] is the table of the command, and rejects = … the option of another
            for table in ("", f"[{words.replace(' ', '.')}]\n"):
                (folder / "named.toml").write_text(f"{table}{setting}")
                with pytest.raises(UsageError, match="to an empty text; remove that line"):
                    default_map(GROUP, "named.toml", None)
        for place in range(len(arguments)):
            if words == "config":
                continue  # its words are checked as those of the command that they name
            if not blank or words not in ("get", "delete"):  # any other text may be an id
                given = [*arguments[:place], blank, *arguments[place + 1 :]]
                assert checked(words, command, *given).endswith(" is empty")


@pytest.mark.parametrize("blank", BLANKS, ids=["empty", "space", "line end"])
@pytest.mark.parametrize("variable", ["VECLOAD_INDEX_KEY", "VECLOAD_CONTENTS_KEY", "VECLOAD_API_KEY"])
def test_an_empty_key_is_an_error_where_it_would_be_looked_at(
    variable: str, blank: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, blank)
    for command in (LOAD, ("get", "a"), ("index", "describe", "x")):
        assert said(capsys, *command) == (2, f"vecload: {variable} is set but empty; run: unset {variable}\n")
    flag = {"VECLOAD_API_KEY": "--api-key-file", "VECLOAD_CONTENTS_KEY": "--contents-key-file"}.get(variable)
    assert "is set but empty" not in said(capsys, "get", "a", flag or "--key-file", "missing")[1]


@pytest.mark.parametrize("blank", BLANKS, ids=["empty", "space", "line end"])
def test_an_empty_contents_key_is_an_error_with_a_key_file_too(
    folder: Path, blank: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Otherwise contents are sealed with a key that is derived from the file's index key.
    (folder / "index.key").write_text("ab" * 32)
    (folder / "index.key").chmod(0o600)
    monkeypatch.setenv("VECLOAD_CONTENTS_KEY", blank)
    refused = (2, "vecload: VECLOAD_CONTENTS_KEY is set but empty; run: unset VECLOAD_CONTENTS_KEY\n")
    assert said(capsys, *LOAD, "--to", "store", "--key-file", "index.key") == refused
    assert said(capsys, *LOAD, "--to", "store", "--key-command", "cat index.key") == refused
    monkeypatch.setenv("VECLOAD_KEY_FILE", "index.key")
    assert said(capsys, *LOAD, "--to", "store") == refused
    assert not (folder / "store").exists()


@pytest.mark.parametrize("blank", BLANKS, ids=["empty", "space", "line end"])
@pytest.mark.parametrize("name", ["config", "profile"])
def test_an_empty_configuration_or_profile_is_an_error(
    name: str, blank: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, f"--{name}", blank, *LOAD)[1].startswith(f"vecload: --{name} is empty; ")
    monkeypatch.setenv(f"VECLOAD_{name.upper()}", blank)
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


def test_spaces_may_separate_ids(folder: Path) -> None:
    write_jsonl(folder / "two.jsonl", [{"a": "x", "b": "y", "vector": [1.0, 2.0]}])
    columns = ("--id-column", "a", "--id-column", "b")
    ended = vecload("upsert", "two.jsonl", *columns, "--id-separator", " ", cwd=folder)
    assert ended.code == 0, ended.err
    assert '"id":"x y"' in vecload("get", "x y", cwd=folder).out


def test_an_empty_file_of_an_api_key_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "api.key").write_text(" \n")
    (folder / "api.key").chmod(0o600)
    listing = ("index", "list", "--to", "https://db.example.com", "--api-key-file", "api.key")
    assert said(capsys, *listing) == (2, "vecload: the API key file api.key is empty\n")


@pytest.mark.parametrize("blank", BLANKS, ids=["empty", "space", "line end"])
def test_an_empty_argument_in_python_names_its_parameter(blank: str) -> None:
    row = [{"id": "a", "vector": [1.0, 2.0]}]
    for name in ("to", "index", "key", "api_key", *REACH_FIELDS[:-1]):
        for call in (api.load, api.inspect):
            with pytest.raises(api.UsageError, match=f"^{name} is empty"):
                call(row, **{name: blank})  # type: ignore[operator]
    with pytest.raises(api.UsageError, match=r"^location is empty"):
        api.connect(blank)
    for name in ("api_key", *REACH_FIELDS[:-1]):
        with pytest.raises(api.UsageError, match=f"^{name} is empty"):
            api.connect("https://h", **{name: blank})  # type: ignore[arg-type]
    texts = {name for name, hint in HINTS.items() if str in (hint, *get_args(hint)) and hint is not Path}
    texts = {name for name in texts if get_origin(HINTS[name]) is not tuple}  # a column may have any name
    assert {"rejects", "ids_file", "embedding_model"} <= texts
    for name in texts - (MAY_BE_BLANK if blank else MAY_BE_EMPTY):
        with pytest.raises(api.UsageError, match=f"^{name} "):
            api.load(row, **{name: blank})
    with pytest.raises(api.UsageError, match=r"^state_dir is .*, not a folder"):
        api.load(row, state_dir=blank)
    assert not any(Path.cwd().glob("store*"))


@pytest.mark.parametrize("location", [None, 5, b"store"])
def test_a_location_of_another_type_is_an_error_of_ours(location: Any) -> None:
    with pytest.raises(ItemTypeError, match=r"^location is "):
        api.connect(location)
    with pytest.raises(ItemTypeError, match=r"^api_key is bytes"):
        api.connect("https://h", api_key=b"x")  # type: ignore[arg-type]
