"""Keys on the command line: which are made, which are refused, and what the messages name."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import vecload as api
from tests.cli.command import Ended, vecload
from tests.cli.sources import rows, write_jsonl
from tests.servers import Service
from vecload.sealing.keyring import pending_path

WARNING = "keep a copy; without it, nobody can open the index"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "rows.jsonl", rows(5))


@pytest.fixture
def key_store() -> Path:
    return Path(os.environ["XDG_CONFIG_HOME"]) / "vecload" / "keys"


def kept(folder: Path) -> list[str]:
    """The names of everything in a folder, hidden files too."""
    return sorted(each.name for each in folder.iterdir()) if folder.exists() else []


def of(command: str, source: Path, to: str, index: str) -> tuple[str | Path, ...]:
    """A command that makes an index."""
    if command == "upsert":
        return ("upsert", source, "--to", to, "--index", index)
    return ("index", "create", index, "--to", to, "--dimension", "8")


BOTH = pytest.mark.parametrize("command", ["upsert", "index create"])


# --- which keys are made ---


@BOTH
def test_into_a_service_no_key_is_made_that_nobody_asked_for_or_sees(
    service: str, source: Path, index_name: str, key_store: Path, command: str
) -> None:
    ended = vecload(*of(command, source, service, index_name))

    assert ended.code == 2
    assert f"the new index '{index_name}' needs a key, and none is named" in ended.error
    assert "--key-file" in ended.error
    assert "--create-key" in ended.error
    assert index_name not in vecload("index", "list", "--to", service).out.split()
    assert kept(key_store) == []


def test_an_inspection_says_so_too(service: str, source: Path, index_name: str) -> None:
    load = of("upsert", source, service, index_name)
    refused = vecload(*load)
    dry = vecload(*load, "--dry-run", "--json")
    inspected = vecload("inspect", *load[1:], "--json")
    wanted = vecload("inspect", *load[1:], "--json", "--create-key")

    for ended in (dry, inspected):
        report = json.loads(ended.out)
        assert ended.code == report["exit_code"] == refused.code == 2
        assert refused.error.startswith(f"vecload: {report['error']}; ")
    assert wanted.code == 0
    assert "a load makes a new one: " in wanted.out
    assert vecload(*load, "--create-key").code == 0


@pytest.mark.parametrize("quiet", [(), ("-q",)], ids=["", "quiet"])
@pytest.mark.parametrize("engine", ["service", "embedded"])
def test_a_new_key_is_warned_of_once_and_an_old_one_is_not(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    source: Path,
    index_name: str,
    key_store: Path,
    engine: str,
    quiet: tuple[str, ...],
) -> None:
    to = request.getfixturevalue("service") if engine == "service" else str(tmp_path / "store")
    asked = ("--create-key",) if engine == "service" else ()
    load = (*of("upsert", source, to, index_name), *quiet)

    first = vecload(*load, *asked)
    again = vecload(*load, "--fresh")

    assert (first.code, again.code) == (0, 0), first.err + again.err
    (file,) = key_store.iterdir()
    key_id = api.Key.load(file).key_id
    assert first.err.count(WARNING) == 1
    (line,) = [line for line in first.err.splitlines() if WARNING in line]
    assert line.startswith(f"warning: the new key of index '{index_name}' is only in ")
    assert file.name in line
    assert key_id in line
    assert not quiet or first.err == f"{line}\n"
    assert WARNING not in again.err


def test_index_create_warns_of_a_new_key_and_not_of_a_named_one(
    tmp_path: Path, service: str, index_name: str
) -> None:
    made = vecload(*of("index create", tmp_path, service, index_name), "--create-key")
    vecload("keygen", tmp_path / "a.key")
    named = vecload(
        *of("index create", tmp_path, service, f"{index_name}-2"), "--key-file", tmp_path / "a.key"
    )

    assert (made.code, named.code) == (0, 0), made.err + named.err
    assert made.err.count(WARNING) == 1
    assert WARNING not in named.err


def in_terminal(*arguments: str | Path) -> Ended:
    """Run the command with a terminal as its standard error alone."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "vecload", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=theirs,
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                chunk = os.read(ours, 1 << 16)
            except OSError:  # the other side is closed
                break
            if not chunk:
                break
            shown += chunk
        return Ended(process.wait(), "", shown.decode())
    finally:
        os.close(ours)


def test_in_a_terminal_a_key_is_made_and_shown(
    service: str, source: Path, index_name: str, key_store: Path
) -> None:
    ended = in_terminal(*of("upsert", source, service, index_name), "-q")

    assert ended.code == 0, ended.err
    assert ended.err.count(WARNING) == 1
    assert len(kept(key_store)) == 1


def test_in_a_terminal_a_named_key_file_is_not_made_by_mistake(
    tmp_path: Path, service: str, source: Path
) -> None:
    ended = in_terminal(*of("upsert", source, service, "mistyped"), "--key-file", tmp_path / "typo.key")

    assert ended.code == 2
    assert "--create-key" in ended.err
    assert not (tmp_path / "typo.key").exists()


# --- key files made together with the index ---


@BOTH
@pytest.mark.parametrize("engine", ["service", "embedded"])
def test_a_key_file_that_is_missing_is_made_if_asked_for(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    source: Path,
    index_name: str,
    key_store: Path,
    command: str,
    engine: str,
) -> None:
    to = request.getfixturevalue("service") if engine == "service" else str(tmp_path / "store")
    (tmp_path / "keys").mkdir()
    file = tmp_path / "keys" / "docs.key"
    create = (*of(command, source, to, index_name), "--key-file", file)

    refused = vecload(*create)
    assert refused.code == 2
    assert f"the key file {file} can't be read: No such file or directory" in refused.error
    assert "--create-key" in refused.error
    assert kept(file.parent) == []

    made = vecload(*create, "--create-key")
    assert made.code == 0, made.err
    assert made.err.count(WARNING) == 1
    assert str(file) in made.err
    assert kept(file.parent) == ["docs.key"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert kept(key_store) == []
    described = vecload("index", "describe", index_name, "--to", to, "--key-file", file)
    assert json.loads(described.out)["key_id"] == api.Key.load(file).key_id

    again = vecload(*of("upsert", source, to, index_name), "--key-file", file, "--create-key")
    assert again.code == 0, again.err
    assert WARNING not in again.err


def variables_naming(file: Path, how: str, tmp_path: Path) -> tuple[tuple[str | Path, ...], dict[str, str]]:
    if how == "VECLOAD_KEY_FILE":
        return (), {how: str(file)}
    config = tmp_path / "my.toml"
    config.write_text(f'key-file = "{file}"\n')
    return ("--config", config), {}


@pytest.mark.parametrize("how", ["VECLOAD_KEY_FILE", "configuration"])
def test_so_is_one_that_a_variable_or_a_configuration_names(tmp_path: Path, source: Path, how: str) -> None:
    file = tmp_path / "docs.key"
    flags, variables = variables_naming(file, how, tmp_path)
    made = vecload(*flags, "upsert", source, "--create-key", variables=variables)
    assert made.code == 0, made.err
    assert api.Key.load(file).made_for is not None


REFUSALS = {
    "an index of that name": ("--create-key",),
    "an impossible setting": ("--create-key", "--full-text", "body", "--pattern", "body"),
    "the wrong API key": ("--create-key", "--api-key-file", "wrong"),
}


@BOTH
@pytest.mark.parametrize("named", [True, False], ids=["a key file", "the key store"])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refused_creation_leaves_no_key(
    tmp_path: Path,
    service_with_key: Service,
    source: Path,
    index_name: str,
    key_store: Path,
    command: str,
    named: bool,
    refusal: str,
) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for file, text in ((right, service_with_key.root_key or ""), (wrong, "another")):
        file.write_text(text)
        file.chmod(0o600)
    (tmp_path / "keys").mkdir()
    key_file = ("--key-file", tmp_path / "keys" / "docs.key") if named else ()
    if refusal == "an index of that name":
        with api.connect(service_with_key.url, api_key=service_with_key.root_key) as connection:
            connection.create_index(index_name, api.generate_key(), dimension=8)
    flags = [wrong if flag == "wrong" else flag for flag in REFUSALS[refusal]]
    api_key = () if "--api-key-file" in flags else ("--api-key-file", right)

    ended = vecload(*of(command, source, service_with_key.url, index_name), *key_file, *api_key, *flags)

    assert ended.code in (2, 6), ended.err
    assert kept(key_store) == []
    assert kept(tmp_path / "keys") == []


@BOTH
@pytest.mark.parametrize("named", [True, False], ids=["a key file", "the key store"])
def test_a_refused_creation_in_an_embedded_store_leaves_no_key(
    tmp_path: Path, source: Path, key_store: Path, command: str, named: bool
) -> None:
    (tmp_path / "keys").mkdir()
    with api.connect(tmp_path / "store") as connection:
        connection.create_index("docs", api.generate_key(), dimension=8)
    key_file = ("--key-file", tmp_path / "keys" / "docs.key", "--create-key") if named else ()

    ended = vecload(*of(command, source, str(tmp_path / "store"), "docs"), *key_file)

    assert ended.code == 2
    assert any(said in ended.error for said in ("exists", "already", "is not in the key store"))
    assert kept(key_store) == []
    assert kept(tmp_path / "keys") == []


def test_a_key_file_that_cannot_be_made_stops_before_the_index_is(tmp_path: Path, source: Path) -> None:
    to = str(tmp_path / "store")
    link = tmp_path / "link.key"
    link.symlink_to(tmp_path / "nowhere.key")
    for file, why in ((tmp_path / "no" / "docs.key", "No such file or directory"), (link, "link to nothing")):
        flags = ("--key-file", file, "--create-key")
        inspected = vecload("inspect", *of("upsert", source, to, "docs")[1:], *flags, "--json")
        ended = vecload(*of("upsert", source, to, "docs"), *flags)
        assert ended.code == inspected.code == 2
        assert why in ended.error
        assert ended.error.startswith(f"vecload: {json.loads(inspected.out)['error']}")
    assert vecload("index", "list", "--to", to).out == ""
    assert kept(tmp_path) == ["link.key", "rows.jsonl", "store"]


def test_a_key_left_pending_next_to_a_key_file_is_used_by_the_next_run(tmp_path: Path, source: Path) -> None:
    file = tmp_path / "docs.key"
    left = api.generate_key()
    left.save(pending_path(file))
    load = (*of("upsert", source, str(tmp_path / "store"), "docs"), "--key-file", file)

    without = vecload(*load)
    made = vecload(*load, "--create-key")

    assert without.code == 2
    assert f"an earlier run left its key in {pending_path(file)}" in without.error
    assert made.code == 0, made.err
    assert made.err.count(WARNING) == 1
    assert api.Key.load(file) == left
    assert not pending_path(file).exists()
