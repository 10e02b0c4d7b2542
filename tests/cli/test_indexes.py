from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

import vecload as api
from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl


@pytest.mark.parametrize("engine", ["service", "embedded"])
def test_indexes_are_made_listed_described_and_deleted(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    to = request.getfixturevalue("service") if engine == "service" else str(tmp_path / "store")
    name = f"whole-life-{engine}"
    settings = ("--dimension", "16", "--metric", "cosine", "--full-text", "body")
    made = vecload("index", "create", name, "--to", to, *settings, "--create-key")
    assert made.code == 0, made.err

    assert name in vecload("index", "list", "--to", to).out.split()
    told = json.loads(vecload("index", "describe", name, "--to", to).out)
    assert (told["name"], told["dimension"], told["metric"], told["items"]) == (name, 16, "cosine", 0)
    assert told["metadata_schema"]["body"]["full_text"] is True
    twice = vecload("index", "create", name, "--to", to)
    assert twice.code == 2
    assert "already" in twice.error
    deleted = vecload("index", "delete", name, "--to", to, "--yes")
    assert deleted.code == 0
    assert name not in vecload("index", "list", "--to", to).out.split()
    gone = vecload("index", "describe", name, "--to", to)
    assert gone.code == 2
    assert f"there is no index {name!r}" in gone.error


def test_an_index_is_not_deleted_unasked(tmp_path: Path) -> None:
    vecload("upsert", write_jsonl(tmp_path / "rows.jsonl", rows(2)))

    ended = vecload("index", "delete", "rows")

    assert ended.code != 0
    assert vecload("get", "doc-0").code == 0


def test_an_index_made_again_after_its_deletion_takes_the_key_that_is_still_there(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(2))
    first = vecload("upsert", path)
    vecload("index", "delete", "rows", "--yes")

    second = vecload("upsert", path)

    assert (first.code, second.code) == (0, 0), second.err
    assert len([*(Path(os.environ["XDG_CONFIG_HOME"]) / "vecload" / "keys").iterdir()]) == 1
    assert vecload("get", "doc-1").code == 0


def test_an_index_whose_key_is_elsewhere_names_the_flag(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    vecload("keygen", key_file)
    vecload("index", "create", "elsewhere", "--key-file", key_file)

    ended = vecload("index", "describe", "elsewhere")

    assert ended.code == 2
    assert "is not in the key store" in ended.error
    assert "--key-file" in ended.error


def test_policies_that_exclude_each_other_make_nothing() -> None:
    ended = vecload("index", "create", "torn", "--pattern", "body", "--full-text", "body")

    assert ended.code == 2
    assert "'body'" in ended.error
    assert vecload("index", "list").out == ""


def test_keygen_writes_two_keys_for_the_owner_alone_and_never_overwrites(tmp_path: Path) -> None:
    key_file = tmp_path / "new.key"

    made = vecload("keygen", key_file)
    before = key_file.read_bytes()
    again = vecload("keygen", key_file)

    key = api.Key.load(key_file)
    assert made.code == 0
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert not key.derived
    assert key.key_id in made.err
    assert key.index_key.hex() not in made.err + made.out
    assert again.code == 2
    assert "exists" in again.error
    assert key_file.read_bytes() == before


def test_a_contents_key_alone_does_not_create_or_open_an_index_that_has_an_index_key(tmp_path: Path) -> None:
    both, alone = tmp_path / "both.key", tmp_path / "alone.key"
    vecload("keygen", both)
    made = vecload("keygen", "--contents-only", alone)
    assert made.code == 0
    key = api.Key.load(alone)
    assert key.index_key is None
    assert key.key_id in made.err
    vecload("index", "create", "docs", "--key-file", both)

    created = vecload("index", "create", "other", "--key-file", alone)
    opened = vecload("index", "describe", "docs", "--key-file", alone)

    for ended, name in ((created, "other"), (opened, "docs")):
        assert ended.code == 2
        assert f"index '{name}' needs its index key" in ended.error
        assert f"{alone} contains a contents key alone" in ended.error
    assert vecload("index", "list").out == "docs\n"


def test_a_configuration_names_keys_last(tmp_path: Path) -> None:
    file, variable = tmp_path / "file", tmp_path / "variable"
    for key_file in (file, variable):
        vecload("keygen", key_file)
    config = tmp_path / "my.toml"
    config.write_text(f'key-file = "{file}"\n')

    by_file = vecload("--config", config, "index", "create", "a")
    by_variable = vecload(
        "--config", config, "index", "create", "b", variables={"VECLOAD_KEY_FILE": str(variable)}
    )
    by_flag = vecload("--config", config, "index", "create", "c", "--key-command", f"cat {variable}")
    config.write_text(f'key-command = "cat {file}"\n')
    by_command = vecload("--config", config, "index", "create", "d")
    assert api.Key.load(file).key_id in by_file.err
    assert api.Key.load(variable).key_id in by_variable.err
    assert api.Key.load(variable).key_id in by_flag.err
    assert api.Key.load(file).key_id in by_command.err


def test_keys_are_taken_in_the_documented_order(tmp_path: Path) -> None:
    keys = {name: tmp_path / name for name in ("file", "command", "variable")}
    for key_file in keys.values():
        vecload("keygen", key_file)
    bare = api.generate_key()
    variables = {"VECLOAD_INDEX_KEY": bare.index_key.hex(), "VECLOAD_CONTENTS_KEY": bare.contents_key.hex()}

    def key_id_of_new(name: str, *flags: str | Path) -> str:
        ended = vecload("index", "create", name, *flags, variables=variables)
        return ended.err.rpartition("key id ")[2].strip(" )\n")

    expected = {name: api.Key.load(key_file).key_id for name, key_file in keys.items()}
    command = f"cat {keys['command']}"
    assert key_id_of_new("a") == bare.key_id
    variables["VECLOAD_KEY_FILE"] = str(keys["variable"])
    assert key_id_of_new("b") == expected["variable"]
    variables["VECLOAD_KEY_COMMAND"] = command
    assert key_id_of_new("c") == expected["command"]
    assert key_id_of_new("d", "--key-command", command) == expected["command"]
    assert key_id_of_new("e", "--key-command", command, "--key-file", keys["file"]) == expected["file"]


def test_a_key_command_is_asked_once(tmp_path: Path) -> None:
    key_file, asked = tmp_path / "key", tmp_path / "asked"
    vecload("keygen", key_file)
    script = tmp_path / "command"
    script.write_text(f"#!/bin/sh\necho asked >> {asked}\ncat {key_file}\n")
    script.chmod(0o700)
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "a", "vector": [1.5, 2.5]}\n')
    made = vecload("upsert", path, "--key-command", str(script))
    assert made.code == 0, made.err
    assert asked.read_text() == "asked\n"
