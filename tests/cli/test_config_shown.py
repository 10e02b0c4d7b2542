"""`vecload config` says what holds and where it is from, and shows nothing secret."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import vecload

SECRET = "canary-Xq7-Vermilion"  # noqa: S105 a canary


@pytest.fixture
def project(tmp_path: Path) -> Path:
    own = Path(os.environ["XDG_CONFIG_HOME"]) / "vecload" / "config.toml"
    own.parent.mkdir(parents=True)
    own.write_text(
        '# mine\nto = "http://127.0.0.1:9"\n\n[upsert]\nbatch-bytes = 5000\nkey-file = "~/k"\n'
        '[profiles.p]\nmax-errors = "5%"\n'
    )
    (tmp_path / "vecload.toml").write_text('[upsert]\nwire = "json"\nunfilterable = [\n  "a", "b"]\n')
    return tmp_path


def settings(*words: str, cwd: Path, **variables: str) -> dict[str, Any]:
    ended = vecload("config", *words, "--json", cwd=cwd, variables=variables)
    assert ended.code == 0, ended.err
    return {one["option"]: one for one in json.loads(ended.out)["settings"]}


def test_each_value_names_its_flag_variable_file_line_and_profile(project: Path) -> None:
    found = settings(*("upsert", "--batch-rows", "7", "--profile", "p"), cwd=project, VECLOAD_CONCURRENCY="3")

    def of(option: str) -> tuple[Any, ...]:
        return (found[option]["value"], *found[option]["from"].values())

    own = "~/config/vecload/config.toml"
    assert of("--batch-rows") == ("7", "flag", "--batch-rows", None, None)
    assert of("--concurrency") == ("3", "variable", "VECLOAD_CONCURRENCY", None, None)
    assert of("--to") == ("http://127.0.0.1:9", "file", own, 2, None)
    assert of("--batch-bytes") == (5000, "file", own, 5, None)
    assert of("--max-errors") == ("5%", "file", own, 8, "p")
    assert of("--wire") == ("json", "file", "vecload.toml of this folder", 2, None)
    assert of("--unfilterable") == (["a", "b"], "file", "vecload.toml of this folder", 3, None)
    assert of("--index") == (None, "default", None, None, None)


def test_it_is_a_list_for_people_in_which_what_is_set_is_first(project: Path) -> None:
    said = vecload("config", "upsert", cwd=project).out.splitlines()
    assert said[0].startswith(
        "options of vecload upsert; configuration: ~/config/vecload/config.toml, vecload"
    )
    first = next(at for at, line in enumerate(said) if "default" in line)
    assert all("default" in line for line in said[first:])
    assert any(line.split() == ["--wire", "json", "vecload.toml", "of", "this", "folder,", "line", "2"]
               for line in said[:first])  # fmt: skip
    assert any("default: named after the file" in line for line in said)
    assert vecload("config", cwd=project).out.splitlines() == said


def test_a_credential_of_another_target_is_said_to_be_ignored(project: Path) -> None:
    found = settings("upsert", "--to", "https://other.example.com", cwd=project)
    assert found["--key-file"]["value"] is None
    assert found["--key-file"]["ignored"]


@pytest.mark.parametrize("how", [(), ("--json",)])
def test_no_secret_is_shown(tmp_path: Path, how: tuple[str, ...]) -> None:
    variables = {
        "VECLOAD_API_KEY": SECRET,
        "VECLOAD_INDEX_KEY": SECRET,
        "VECLOAD_CONTENTS_KEY": SECRET,
        "CYBORGDB_API_KEY": SECRET,
        "VECLOAD_KEY_COMMAND": f"echo {SECRET}",
        "VECLOAD_PROXY": f"http://me:{SECRET}@127.0.0.1:1",
        "VECLOAD_ENDPOINT_URL": f"http://me:{SECRET}@127.0.0.1:1",
    }
    for to in (f"http://me:{SECRET}@h/", f"https://h/{SECRET}", f"https://h/?t={SECRET}", f"me:{SECRET}@h"):
        ended = vecload("config", "upsert", "--to", to, *how, cwd=tmp_path, variables=variables)
        assert SECRET not in ended.out + ended.err
        assert ended.out.count("********") == 6
    (tmp_path / "f.toml").write_text(f'to = "https://h/{SECRET}"\nkey-command = "echo {SECRET}"\n')
    ended = vecload("config", "--config", "f.toml", *how, cwd=tmp_path)
    assert ended.code == 0
    assert SECRET not in ended.out + ended.err
    for line in (
        f'api-key = "{SECRET}"',
        f'index-key = "{SECRET}"',
        f'batch-rows = "{SECRET}"',
        f'wire = "{SECRET}"',
    ):
        (tmp_path / "f.toml").write_text(line)
        ended = vecload("config", "--config", "f.toml", *how, cwd=tmp_path)
        assert ended.code == 2
        assert SECRET not in ended.out + ended.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["frobnicate"], "there is no command 'frobnicate'"),
        (["index"], "'index' is a group of commands; name one of: list"),
        (["index", "x"], "there is no command 'index x'"),
        (["upsert", "--batch-bytes", "many"], "not an integer"),
        (["upsert", "--btch-rows", "1"], "did you mean --batch-rows?"),
        (["upsert", "--to", ""], "--to is empty"),
    ],
)
def test_what_the_command_would_refuse_is_refused(tmp_path: Path, words: list[str], says: str) -> None:
    ended = vecload("config", *words, cwd=tmp_path)
    assert ended.code == 2
    assert says in ended.error


@pytest.mark.parametrize(
    "words", [["index", "list"], ["get"], ["export"], ["keygen"], ["config"], ["verify"]]
)
def test_every_command_has_its_own(tmp_path: Path, words: list[str]) -> None:
    ended = vecload("config", *words, cwd=tmp_path)
    assert ended.code == 0
    assert f"options of vecload {' '.join(words)};" in ended.out
