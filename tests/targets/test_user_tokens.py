"""User tokens as API keys of the real service: they open one index, without its index key."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecload
from tests.cli.command import vecload as command
from tests.cli.sources import rows, write_jsonl
from tests.inspecting.test_same_refusals import outcome
from tests.kms import ROOT, SLOT, official, requests_seen, service_with_kms, token_for
from tests.servers import Service
from vecload.errors import KeyFileError, RootKeyNeeded, Unauthorised
from vecload.targets.service import ServiceTarget

KEY = vecload.generate_key()
CONTENTS_ONLY = vecload.Key(contents_key=KEY.contents_key)
DIMENSION = 8
ROWS = 12


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service_with_kms(tmp_path_factory.mktemp("tokens")) as (running, _):
        yield running


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "rows.jsonl", rows(ROWS))


@pytest.fixture(params=["index key", "KMS"])
def index_name(request: pytest.FixtureRequest, service: Service, new_name: Callable[[], str]) -> str:
    """An index with two sealed items, whose index key this test has, or the service's KMS."""
    name = new_name()
    with vecload.connect(service.url, api_key=ROOT) as connection:
        kms = SLOT if request.param == "KMS" else None
        index = connection.create_index(name, KEY, dimension=DIMENSION, kms=kms)
        index.upsert_binary(["x", "y"], np.eye(2, DIMENSION), contents=["private", "private"])
    return name


@pytest.fixture
def token(service: Service, index_name: str) -> Callable[..., str]:
    """Makes a user token of the index."""

    def make(*permissions: str) -> str:
        try:
            return token_for(service, index_name, None, permissions)
        except Exception:  # noqa: BLE001 the official client's, for an index that is not KMS-backed
            return token_for(service, index_name, KEY.index_key, permissions)

    return make


def untouched(service: Service) -> Callable[[], bool]:
    """Says whether the files of the service's store are as they were."""

    def now() -> dict[Path, str]:
        files = (file for file in service.data.rglob("*") if file.is_file())
        return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    before = now()
    return lambda: now() == before


@pytest.mark.parametrize("key", [KEY, CONTENTS_ONLY], ids=["whole", "contents only"])
def test_a_token_loads_and_no_request_has_an_index_key(
    service: Service, source: Path, index_name: str, token: Callable[..., str], key: vecload.Key
) -> None:
    target = {"to": service.url, "index": index_name, "api_key": token("read", "write"), "key": key}
    with requests_seen() as seen:
        report = vecload.inspect(source, **target)
        assert (report.exit_code, report.error) == (0, None)
        result = vecload.load(source, **target)
        assert (result.status, result.loaded, result.key_id) == ("complete", ROWS, KEY.key_id)
        assert vecload.load(source, **target, skip_loaded=True).skipped == ROWS
        assert not any(b"index_key" in body for _, body in seen)
    checks = {check.name: (check.state, check.told) for check in report.checks}
    assert checks["API key"] == ("ok", "the user token may read and write")
    assert "the user token opens the index" in checks["key"][1]
    assert "fits the index" not in str(checks)
    assert checks["contents"] == ("ok", f"key {KEY.key_id} opens those of the index (2 of 2 looked at)")
    with vecload.connect(service.url, api_key=target["api_key"]) as connection:
        index = connection.open_index(index_name, key)
        assert [item["contents"] for item in index.get(["doc-1", "y"])] == [
            "The text of 1, naïve ☃",
            "private",
        ]


def test_the_official_client_reads_with_the_same_token_what_was_loaded_unsealed(
    service: Service, source: Path, index_name: str, token: Callable[..., str]
) -> None:
    api_key = token("read", "write")
    # Nothing is sealed, so there is no key at all: neither of the index nor for contents.
    options: dict[str, Any] = {"to": service.url, "index": index_name, "api_key": api_key, "seal": False}
    assert vecload.load(source, **options).loaded == ROWS
    with official(service, api_key) as client:
        theirs = client.load_index(index_name)
        items = theirs.get(["doc-0", "doc-5"])
        assert [item["contents"] for item in items] == ["The text of 0, naïve ☃", "The text of 5, naïve ☃"]
        assert items[1]["metadata"] == {"title": "Title 5"}
        assert np.float32(items[1]["vector"]).tolist() == rows(ROWS)[5]["vector"]
        assert len(theirs.list_ids()) == ROWS + 2


def test_asking_what_a_token_may_do_changes_nothing(
    service: Service, index_name: str, token: Callable[..., str]
) -> None:
    for permissions in (["read", "write"], ["read"], ["write"]):
        with ServiceTarget(service.url, api_key=token(*permissions)) as target:
            index = target.open_index(index_name, None)
            index.permissions()
            same = untouched(service)
            assert index.permissions() == {*permissions}
            assert same()
    with ServiceTarget(service.url, api_key=token("read")) as target:
        assert sorted(target.open_index(index_name, None).list_ids()) == ["x", "y"]


def read_only(token: Callable[..., str]) -> dict[str, Any]:
    return {"api_key": token("read")}


def write_only(token: Callable[..., str]) -> dict[str, Any]:
    return {"api_key": token("write")}


def both(token: Callable[..., str]) -> dict[str, Any]:
    return {"api_key": token("read", "write")}


def tampered(token: Callable[..., str]) -> dict[str, Any]:
    good = token("read", "write")
    return {"api_key": good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB")}


REFUSALS: dict[str, tuple[Callable[[Callable[..., str]], dict[str, Any]], dict[str, Any], int, str]] = {
    "read only": (read_only, {}, 6, "may read index 'I', but not write to it"),
    "write only": (write_only, {}, 6, "may write to index 'I', but not read it"),
    "tampered": (tampered, {}, 6, "Invalid user API key"),
    "a missing index, and a whole key": (both, {"index": "nowhere", "key": KEY}, 6, "no index 'nowhere' in"),
    "a missing index": (both, {"index": "nowhere"}, 6, "no index 'nowhere' in"),
    "a missing index, not to be made": (
        both,
        {"index": "nowhere", "create": False},
        2,
        "no index 'nowhere' in",
    ),
    "to train": (both, {"train": True, "dimension": None, "source": 32}, 6, "can't train"),
    "another contents key": (
        both,
        {"key": vecload.Key(contents_key=b"\x03" * 32)},
        6,
        "another contents key",
    ),
    "no contents key": (both, {"key": None}, 2, "no contents key for index 'I'"),
    "another dimension": (both, {"source": 16}, 2, "16"),
    "read only, without contents": (read_only, {"key": None, "seal": False}, 6, "not write to it"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_inspect_and_load_refuse_alike_and_load_nothing(
    service: Service, tmp_path: Path, index_name: str, token: Callable[..., str], refusal: str
) -> None:
    credentials, options, code, says = REFUSALS[refusal]
    options = {"key": CONTENTS_ONLY, "index": index_name, **credentials(token), **options}
    dimension = options.pop("source", DIMENSION)
    if refusal == "to train":
        with vecload.connect(service.url, api_key=ROOT) as connection:
            options["index"] = f"{index_name}-32"
            connection.create_index(options["index"], KEY, dimension=32)
        options["api_key"] = token_for(service, options["index"], KEY.index_key)
    source = str(write_jsonl(tmp_path / "rows.jsonl", rows(ROWS, dimension)))
    same = untouched(service)
    inspected = outcome(vecload.inspect, source, {"to": service.url, **options})
    loaded = outcome(vecload.load, source, {"to": service.url, **options})
    assert inspected == loaded
    assert loaded[0] == code
    assert says.replace("'I'", repr(index_name)) in loaded[1]
    assert options["api_key"] not in str(loaded)
    assert same()


def test_without_a_contents_key_an_inspection_says_so_once(
    service: Service, source: Path, index_name: str, token: Callable[..., str]
) -> None:
    report = vecload.inspect(source, to=service.url, index=index_name, api_key=token("read", "write"))
    wrong = [check.name for check in report.checks if check.state == "wrong"]
    assert wrong == ["key"]


def test_errors_in_python_name_the_parameter_of_the_token(
    service: Service, index_name: str, token: Callable[..., str]
) -> None:
    with vecload.connect(service.url, api_key=token("read")) as connection:
        index = connection.open_index(index_name)
        calls: tuple[Callable[[], object], ...] = (
            connection.list_indexes,
            index.train,
            index.is_training,
            index.delete_index,
            vecload.connect(service.url).list_indexes,
            vecload.connect(service.url, api_key="wrong").list_indexes,
        )
        for call in calls:
            with pytest.raises(vecload.VecloadError, match="api_key") as caught:
                call()
            assert "VECLOAD" not in str(caught.value)
            assert "--" not in str(caught.value)


def test_the_commands_agree_too(
    service: Service, source: Path, index_name: str, token: Callable[..., str], tmp_path: Path
) -> None:
    CONTENTS_ONLY.save(tmp_path / "contents.key")
    place = [source, "--to", service.url, "--index", index_name, "--key-file", tmp_path / "contents.key"]
    for permissions, code in ((("read", "write"), 0), (("read",), 6), (("write",), 6)):
        variables = {"VECLOAD_API_KEY": token(*permissions)}
        inspected = command("inspect", *place, "--json", variables=variables)
        loaded = command("upsert", *place, "--json", variables=variables)
        assert (inspected.code, loaded.code) == (code, code)
        report, result = json.loads(inspected.out), json.loads(loaded.out)
        assert (report["exit_code"], result["exit_code"]) == (code, code)
        assert report["error"] is None if code == 0 else report["error"] in result["error"]
        assert result["loaded"] == (ROWS if code == 0 else 0)


def test_a_token_of_another_index_and_a_revoked_one_are_told_from_wrong_keys(
    service: Service, source: Path, index_name: str, token: Callable[..., str], new_name: Callable[[], str]
) -> None:
    other = new_name()
    with vecload.connect(service.url, api_key=ROOT) as connection:
        connection.create_index(other, KEY, dimension=DIMENSION)
    of_other = token_for(service, other, KEY.index_key)
    with official(service) as client:
        theirs = client.load_index(other, KEY.index_key)
        user = theirs.create_user(["read", "write"])
        theirs.delete_user(user["user_id"])
    for api_key, index in ((of_other, index_name), (user["api_key"], other)):
        options = {"to": service.url, "index": index, "api_key": api_key, "key": KEY}
        loaded = outcome(vecload.load, str(source), options)
        assert outcome(vecload.inspect, str(source), options) == loaded
        assert loaded[0] == 6
        assert "of another index, or it was revoked" in loaded[1]
        assert "--key-file" not in " ".join(map(str, loaded))


def test_what_only_the_root_key_may_do_says_so(
    service: Service, index_name: str, token: Callable[..., str], source: Path
) -> None:
    variables = {"VECLOAD_API_KEY": token("read", "write"), "VECLOAD_TO": service.url}
    for arguments in (
        ["index", "list"],
        ["index", "create", "mine", "--create-key"],
        ["index", "delete", index_name, "--yes"],
    ):
        ended = command(*arguments, variables=variables)
        assert ended.code == 6, ended.err
        assert "only the service's root API key may do this" in ended.error
        assert "root API key" in ended.error
    assert not [*Path(os.environ["XDG_CONFIG_HOME"]).rglob("*.toml*")]
    unnamed = command("get", "x", variables=variables)
    assert unnamed.code == 2
    assert "can't list indexes; name its index with --index" in unnamed.error
    described = command("index", "describe", index_name, variables=variables)
    assert json.loads(described.out)["opened_by"] == "user token"
    assert json.loads(described.out)["items"] == 2
    with vecload.connect(service.url, api_key=variables["VECLOAD_API_KEY"]) as connection:
        with pytest.raises(RootKeyNeeded):
            connection.list_indexes()
        with pytest.raises(RootKeyNeeded):
            connection.create_index("mine", KEY)
        with pytest.raises(RootKeyNeeded):
            connection.delete_index(index_name)


def test_reading_takes_a_token_that_may_only_read(
    service: Service, index_name: str, token: Callable[..., str], tmp_path: Path
) -> None:
    CONTENTS_ONLY.save(tmp_path / "contents.key")
    variables = {"VECLOAD_API_KEY": token("read"), "VECLOAD_TO": service.url}
    got = command(
        "get", "x", "--index", index_name, "--key-file", tmp_path / "contents.key", variables=variables
    )
    assert json.loads(got.out)["contents"] == "private"
    unkeyed = command("get", "x", "--index", index_name, variables=variables)
    assert unkeyed.code == 6
    assert "sealed with key" in unkeyed.error
    query = ["query", json.dumps([1.0, *[0.0] * (DIMENSION - 1)]), "--index", index_name]
    assert command(*query, variables=variables).out.startswith('{"id":"x"')


def test_the_python_index_of_a_token(service: Service, index_name: str, token: Callable[..., str]) -> None:
    with vecload.connect(service.url, api_key=token("read")) as connection:
        index = connection.open_index(index_name)
        assert index.describe().dimension == DIMENSION
        with pytest.raises(Unauthorised, match="without the permission"):
            index.upsert_binary(["z"], np.eye(1, DIMENSION))
    with vecload.connect(service.url, api_key=token("read", "write")) as connection:
        connection.open_index(index_name, KEY).upsert_binary(["z"], np.eye(1, DIMENSION), contents=["mine"])
    with (
        vecload.connect(service.url, api_key=token("write")) as connection,
        pytest.raises(Unauthorised, match="without the permission"),
    ):
        connection.open_index(index_name).get(["x"])


def test_a_service_that_asks_for_no_api_key_ignores_a_token(
    shared_service: Service, new_name: Callable[[], str], source: Path
) -> None:
    # It has no users then, so the index key opens the index, as always.
    options = {"to": shared_service.url, "index": new_name(), "api_key": "cdbk_1_whatever"}
    assert vecload.load(source, **options, key=KEY).loaded == ROWS
    assert vecload.load(source, **options, key=KEY, fresh=True).loaded == ROWS
    with pytest.raises(KeyFileError, match="needs its index key"):
        vecload.load(source, **options, key=CONTENTS_ONLY)
