"""Keys on the command line: which are made, which are refused, and what the messages name."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cyborgdb
import pytest

import vecload as api
from tests.cli.command import Ended, vecload
from tests.cli.sources import rows, write_jsonl
from tests.servers import Service
from vecload.places import short
from vecload.sealing.keyring import pending_path
from vecload.sealing.keys import stored_key_paths

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
    assert first.err.count(WARNING) == 1
    (line,) = [line for line in first.err.splitlines() if WARNING in line]
    assert line.startswith(f"warning: the new key of index '{index_name}' is only in ")
    assert file.name in line
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


SAID = {
    "an index of that name": ("already", "exists, and the key file", "is not in the key store"),
    "an impossible setting": ("'body'",),
    "the wrong API key": ("refuses the API key",),
}
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
    assert any(said in ended.error for said in SAID[refusal]), ended.error
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


# --- one target of several spellings ---


def old_file(key_store: Path, location: str, index: str) -> Path:
    """Where versions before this one kept the key: one file for each spelling of the location."""
    digest = hashlib.sha256(f"{location}\0{index}".encode()).hexdigest()[:12]
    return key_store / f"{index}-{digest}.toml"


def spellings(service: str) -> list[str]:
    assert service.startswith("http://127.0.0.1:")
    return [service, service.replace("127.0.0.1", "localhost")]


def test_localhost_and_127_0_0_1_have_one_key_file(
    service: str, source: Path, index_name: str, key_store: Path
) -> None:
    first, other = spellings(service)
    made = vecload(*of("upsert", source, first, index_name), "--create-key")
    again = vecload(*of("upsert", source, other, index_name))
    got = vecload("get", "doc-1", "--to", other, "--index", index_name)

    assert (made.code, again.code, got.code) == (0, 0, 0), made.err + again.err + got.err
    assert len(kept(key_store)) == 1
    assert vecload("index", "delete", index_name, "--to", other, "--yes").code == 0


def test_the_key_files_of_earlier_versions_open_their_indexes(
    service: str, source: Path, new_name: Callable[[], str], key_store: Path
) -> None:
    key_store.mkdir(parents=True)
    for kept_for in spellings(service):
        index, key = new_name(), api.generate_key()
        file = old_file(key_store, kept_for, index)
        file.write_text(f'index_key = "{key.index_key.hex()}"\ncontents_key = "{key.contents_key.hex()}"\n')
        file.chmod(0o600)
        made = vecload(*of("index create", source, kept_for, index))
        assert made.code == 0, made.err
        assert WARNING not in made.err
        for to in spellings(service):
            ended = vecload(*of("upsert", source, to, index), "--json")
            assert ended.code == 0, ended.err
            assert json.loads(ended.out)["key_id"] == key.key_id
    assert len(kept(key_store)) == 2


def test_where_two_spellings_have_a_key_file_the_one_that_opens_the_index_is_used(
    service: str, source: Path, index_name: str, key_store: Path
) -> None:
    key_store.mkdir(parents=True)
    keys = [api.generate_key(), api.generate_key()]
    for kept_for, key in zip(spellings(service), keys, strict=True):
        key.save(old_file(key_store, kept_for, index_name))
    with api.connect(service) as connection:
        connection.create_index(index_name, keys[0], dimension=8)
    for to in spellings(service):
        ended = vecload("index", "describe", index_name, "--to", to)
        assert ended.code == 0, ended.err
        assert json.loads(ended.out)["key_id"] == keys[0].key_id


def test_a_key_for_an_index_of_that_name_elsewhere_is_hinted_at(
    tmp_path: Path, service: str, source: Path, index_name: str, key_store: Path
) -> None:
    store = str(tmp_path / "store")
    assert vecload(*of("upsert", source, store, index_name)).code == 0
    (file,) = key_store.iterdir()
    with api.connect(service) as connection:
        connection.create_index(index_name, api.generate_key(), dimension=8)
    described = ("index", "describe", index_name, "--to", service)
    found = f"a key for an index of that name is stored for {short(store)}: "

    without = vecload(*described)
    vecload("keygen", tmp_path / "wrong.key")
    wrong = vecload(*described, "--key-file", tmp_path / "wrong.key")

    assert (without.code, wrong.code) == (2, 6)
    for ended in (without, wrong):
        assert found in ended.error
        assert file.name in ended.error
    text = [line for line in file.read_text().splitlines() if not line.startswith("made_for")]
    file.write_text("\n".join(text))
    assert "is stored for another target: " in vecload(*described).error


# --- what a wrong key's error names ---


@pytest.mark.parametrize("engine", ["service", "embedded"])
@pytest.mark.parametrize("how", ["file", "variable", "store", "python"])
def test_a_wrong_key_is_an_error_that_names_index_source_and_key_id(
    request: pytest.FixtureRequest, tmp_path: Path, source: Path, index_name: str, engine: str, how: str
) -> None:
    to = request.getfixturevalue("service") if engine == "service" else str(tmp_path / "store")
    with api.connect(to) as connection:
        connection.create_index(index_name, api.generate_key(), dimension=8)
    wrong = api.generate_key()
    flags, variables, named = (), {}, str(tmp_path / "wrong.key")
    if how == "variable":
        variables = {
            "VECLOAD_INDEX_KEY": wrong.index_key.hex(),
            "VECLOAD_CONTENTS_KEY": wrong.contents_key.hex(),
        }
        named = "VECLOAD_INDEX_KEY"
    elif how == "store":
        file = stored_key_paths(Path(os.environ["XDG_CONFIG_HOME"]) / "vecload", to, index_name)[0]
        file.parent.mkdir(parents=True)
        wrong.save(file)
        named = file.name
    else:
        wrong.save(tmp_path / "wrong.key")
        flags = ("--key-file", tmp_path / "wrong.key")
    if how == "python":
        with pytest.raises(api.WrongKey) as failed, api.connect(to) as connection:
            connection.open_index(index_name, api.Key.load(tmp_path / "wrong.key"))
        errors = [str(failed.value)]
    else:
        here = ("--to", to, "--index", index_name, *flags)
        load = ("upsert", source, *here)
        ends = [vecload(*load, variables=variables), vecload("get", "a", *here, variables=variables)]
        inspected = vecload("inspect", *load[1:], "--json", variables=variables)
        assert [ended.code for ended in (*ends, inspected)] == [6, 6, 6]
        errors = [ended.error for ended in ends]
        assert errors[0].startswith(f"vecload: {json.loads(inspected.out)['error']}")
    for error in errors:
        assert f"(key id {wrong.key_id}) does not open index '{index_name}'" in error
        assert named in error


@pytest.mark.parametrize("engine", ["service", "embedded"])
def test_so_is_a_wrong_contents_key(
    request: pytest.FixtureRequest, tmp_path: Path, source: Path, index_name: str, engine: str
) -> None:
    to = request.getfixturevalue("service") if engine == "service" else str(tmp_path / "store")
    right, wrong = tmp_path / "right.key", tmp_path / "wrong.key"
    vecload("keygen", right)
    other = api.Key(api.Key.load(right).index_key, b"c" * 32)
    other.save(wrong)
    here = ("--to", to, "--index", index_name)
    assert vecload("upsert", source, *here, "--key-file", right).code == 0

    for command in (("upsert", source), ("get", "doc-1")):
        ended = vecload(*command, *here, "--key-file", wrong)
        assert ended.code == 6, ended.err
        for part in (index_name, str(wrong), other.key_id):
            assert part in ended.error, ended.error


# --- keys of other tools, and contents keys of their own ---


@pytest.mark.parametrize("form", ["32 bytes", "64 hex digits", "base64"])
def test_a_key_file_of_another_tool_opens_that_tools_index_and_is_said_to_be_one(
    tmp_path: Path, service: str, source: Path, index_name: str, form: str
) -> None:
    key = cyborgdb.Client.generate_key()
    cyborgdb.Client(base_url=service, api_key="none").create_index(index_name, key, dimension=8)
    text = {"32 bytes": key, "64 hex digits": key.hex().encode() + b"\n", "base64": base64.b64encode(key)}[
        form
    ]
    file = tmp_path / "sdk.key"
    file.write_bytes(text)
    file.chmod(0o600)
    here = ("--to", service, "--index", index_name, "--key-file", file)
    said = f"{file} is an index key alone ({form}): the contents key is derived from the index key"

    loaded = vecload("upsert", source, *here)
    got = vecload("get", "doc-1", *here)

    assert (loaded.code, got.code) == (0, 0), loaded.err + got.err
    assert loaded.err.count(said) == got.err.count(said) == 1
    assert json.loads(got.out)["sealed"] is True
    assert file.read_bytes() == text


@pytest.mark.parametrize("how", ["--contents-key-file", "VECLOAD_CONTENTS_KEY_FILE", "VECLOAD_CONTENTS_KEY"])
@pytest.mark.parametrize("main", ["--key-file", "VECLOAD_KEY_FILE", "VECLOAD_INDEX_KEY", "--key-command"])
def test_the_contents_key_may_be_elsewhere(tmp_path: Path, source: Path, main: str, how: str) -> None:
    index_key, contents = api.generate_key().index_key or b"", api.generate_key(contents_only=True)
    file, contents_file = tmp_path / "index.key", tmp_path / "contents.key"
    file.write_text(index_key.hex())
    file.chmod(0o600)
    contents.save(contents_file)
    flags: list[str | Path] = []
    variables = {}
    values = {"VECLOAD_INDEX_KEY": index_key.hex(), "--key-command": f"cat {file}"}
    values |= {"VECLOAD_CONTENTS_KEY": contents.contents_key.hex()}
    for name, path in ((main, file), (how, contents_file)):
        if name.startswith("--"):
            flags += [name, values.get(name, path)]
        else:
            variables[name] = values.get(name, str(path))

    loaded = vecload("upsert", source, *flags, "--json", variables=variables)
    both = api.Key(index_key, contents.contents_key)
    both.save(tmp_path / "both.key")

    assert loaded.code == 0, loaded.err
    summary = json.loads(loaded.out)
    assert summary["key_id"] == both.key_id
    assert " and " in loaded.err.splitlines()[-1]
    assert "derived" not in loaded.err
    assert vecload("get", "doc-1", "--key-file", tmp_path / "both.key").code == 0
    got = vecload("get", "doc-1", *flags, variables=variables)
    assert json.loads(got.out)["contents"]


def test_two_different_contents_keys_are_an_error(tmp_path: Path, source: Path) -> None:
    vecload("keygen", tmp_path / "both.key")
    vecload("keygen", "--contents-only", tmp_path / "contents.key")
    text = api.Key.load(tmp_path / "contents.key").contents_key.hex()
    for flags, variables in (
        (("--contents-key-file", tmp_path / "contents.key"), {}),
        ((), {"VECLOAD_CONTENTS_KEY": text}),
    ):
        ended = vecload("upsert", source, "--key-file", tmp_path / "both.key", *flags, variables=variables)
        assert ended.code == 2
        assert "contain different contents keys" in ended.error
        assert text not in ended.error
    # Both of the variables belong together: the key file is used in their place.
    variables = {"VECLOAD_CONTENTS_KEY": text, "VECLOAD_INDEX_KEY": "ab" * 32}
    assert vecload("upsert", source, "--key-file", tmp_path / "both.key", variables=variables).code == 0


@pytest.mark.parametrize("how", ["--contents-key-file", "VECLOAD_CONTENTS_KEY"])
def test_a_key_file_that_is_made_does_not_replace_the_contents_key_that_is_named(
    tmp_path: Path, source: Path, how: str
) -> None:
    contents = tmp_path / "contents.key"
    contents.touch(mode=0o600)
    contents.write_text("cd" * 32)
    flags = ("--contents-key-file", contents) if how.startswith("--") else ()
    variables = {} if flags else {how: "cd" * 32}
    load = (*of("upsert", source, str(tmp_path / "store"), "docs"), *flags)
    load += ("--key-file", tmp_path / "new.key", "--create-key")
    for ended in (vecload(*load, variables=variables), vecload(*load, "--dry-run", variables=variables)):
        assert ended.code == 2
        assert f"{contents if flags else how} is named too" in ended.err + ended.out
        assert "cdcd" not in ended.err + ended.out
    assert not (tmp_path / "new.key").exists()
    assert not (tmp_path / "store").exists() or "docs" not in vecload("index", "list", "--to", load[3]).out


def test_a_configured_contents_key_file_adds_only_what_is_missing(tmp_path: Path, source: Path) -> None:
    vecload("keygen", tmp_path / "both.key")
    vecload("keygen", "--contents-only", tmp_path / "contents.key")
    bare = tmp_path / "bare.key"
    bare.write_text("ab" * 32)
    bare.chmod(0o600)
    config = tmp_path / "my.toml"
    config.write_text(f'contents-key-file = "{tmp_path / "contents.key"}"\n')

    def key_id_with(file: Path, index: str) -> str:
        ended = vecload("--config", config, "upsert", source, "--index", index, "--key-file", file, "--json")
        assert ended.code == 0, ended.err
        return str(json.loads(ended.out)["key_id"])

    assert key_id_with(tmp_path / "both.key", "a") == api.Key.load(tmp_path / "both.key").key_id
    assert key_id_with(bare, "b") == api.Key.load(tmp_path / "contents.key").key_id


def test_a_contents_key_file_of_a_found_configuration_is_refused(tmp_path: Path, source: Path) -> None:
    for line in ('contents-key-file = "x"', "create-key = true"):
        (tmp_path / "vecload.toml").write_text(line)
        ended = vecload("upsert", source, cwd=tmp_path)
        assert ended.code == 2
        assert line.partition(" ")[0] in ended.error


# --- API keys ---


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_an_api_key_file_that_others_can_read_is_refused(
    tmp_path: Path, service_with_key: Service, mode: int
) -> None:
    file = tmp_path / "api key"
    file.write_text(f"{service_with_key.root_key}\n")
    file.chmod(mode)
    listed = ("index", "list", "--to", service_with_key.url, "--api-key-file", file)

    refused = vecload(*listed)
    file.chmod(0o600)
    taken = vecload(*listed)

    assert refused.code == 2
    assert f"the API key file {file} can be read by others than its owner" in refused.error
    assert f"chmod 600 '{file}'" in refused.error
    assert taken.code == 0, taken.err


def test_an_api_key_file_that_is_missing_or_no_text_is_one_error(tmp_path: Path, service: str) -> None:
    file = tmp_path / "api.key"
    listed = ("index", "list", "--to", service, "--api-key-file", file)
    assert f"the API key file {file} can't be read: No such file" in vecload(*listed).error
    file.write_bytes(b"\xff\xfe")
    file.chmod(0o600)
    assert f"the API key file {file} is not text" in vecload(*listed).error


# --- a key that is lost ---


def opened_by(pid: int) -> list[str]:
    """The files that a process or a child of it has open."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    paths = []
    for each in (str(pid), *children):
        for descriptor in Path(f"/proc/{each}/fd").iterdir():
            with suppress(OSError):
                paths.append(str(descriptor.readlink()))
    return paths


@pytest.mark.parametrize("engine", ["service", "embedded"])
def test_an_index_whose_key_is_lost_is_removed_as_the_docs_say(
    tmp_path: Path, source: Path, key_store: Path, engine: str
) -> None:
    store = tmp_path / "service" / "data" if engine == "service" else tmp_path / "store"
    running = Service(tmp_path / "service")
    if engine == "service":
        running.start()
    to = running.url if engine == "service" else str(store)
    try:
        for name in ("lost", "lost.too", "kept"):
            vecload(*of("upsert", source, to, name), "--create-key")
        (file,) = key_store.glob("lost-*.toml")
        file.unlink()
        assert vecload("index", "delete", "lost", "--to", to, "--yes").code == 2

        running.stop()
        for part in ("cei", "cvs", "dek", "kms"):
            (store / "_catalog" / "config" / f"lost.{part}.cat").unlink(missing_ok=True)
        if engine == "service":
            running.start()

        assert vecload("index", "list", "--to", to).out.split() == ["kept", "lost.too"]
        made = vecload(*of("index create", source, to, "lost"), "--create-key")
        assert made.code == 0, made.err
        described = vecload("index", "describe", "lost", "--to", to)
        assert json.loads(described.out)["items"] == 0
        assert vecload("index", "delete", "lost", "--to", to, "--yes").code == 0
        for name in ("kept", "lost.too"):
            assert vecload("get", "doc-1", "--to", to, "--index", name).code == 0
        folders = {each.name for each in store.glob("idx_*")}
        assert len(folders) == 3
        if engine == "service":
            used = {name for name in folders if any(name in path for path in opened_by(running.pid))}
            assert len(used) == 2
    finally:
        running.stop()
