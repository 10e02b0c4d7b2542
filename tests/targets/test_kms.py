"""KMS-backed indexes of the real service, whose KMS is moto's: no request for one has an index key."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecload
from tests.cli.command import Ended
from tests.cli.command import vecload as command
from tests.cli.sources import rows, write_jsonl
from tests.inspecting.test_same_refusals import outcome
from tests.kms import GONE, ROOT, SLOT, TTL_SECONDS, Kms, official, registry, requests_seen, service_with_kms
from tests.servers import Service
from vecload.errors import IndexMismatch, KeyFileError, KmsRefused
from vecload.sealing.envelope import is_sealed
from vecload.targets.transport import Answer, Connections

VECTORS = np.eye(4, 8, dtype=np.float32)
IDS = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Kms]]:
    with service_with_kms(tmp_path_factory.mktemp("kms")) as running:
        yield running


@pytest.fixture
def service(served: tuple[Service, Kms], monkeypatch: pytest.MonkeyPatch) -> Service:
    monkeypatch.setenv("VECLOAD_TO", served[0].url)
    monkeypatch.setenv("VECLOAD_API_KEY", ROOT)
    monkeypatch.setenv("VECLOAD_CREATE_KEY", "1")
    return served[0]


@pytest.fixture
def target(service: Service) -> dict[str, Any]:
    """The arguments that name the target."""
    return {"to": service.url, "api_key": ROOT, "create_key": True}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "rows.jsonl", rows(20))


def stored_keys() -> list[Path]:
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "vecload" / "keys"
    return sorted(folder.iterdir()) if folder.exists() else []


def told_by(error: vecload.VecloadError, code: int) -> tuple[int, str, str]:
    """What `outcome` gives for an error, which must have that exit code."""
    assert error.exit_code == code
    return code, str(error.args[0]), error.hint


def told(ended: Ended) -> str:
    assert ended.code == 0, ended.err
    return ended.err


def test_a_load_makes_a_kms_backed_index_and_its_contents_come_back(
    service: Service, target: dict[str, Any], source: Path, index_name: str
) -> None:
    with requests_seen() as seen:
        result = vecload.load(source, **target, index=index_name, kms=SLOT)
        assert result.loaded == 20
        assert not any(b"index_key" in body for _, body in seen)

    # The key store has the contents key alone, which opens what is stored.
    (file,) = stored_keys()
    key = vecload.Key.load(file)
    assert (key.index_key, key.key_id) == (None, result.key_id)
    with official(service) as client:
        (there,) = client.load_index(index_name).get(["doc-3"])
    assert is_sealed(there["contents"])
    got = command("get", "doc-3", "--index", index_name)
    assert "The text of 3, naïve ☃" in got.out, got.err

    # Without --kms too: the key store says that there is no index key.
    with requests_seen() as seen:
        again = vecload.load(source, **target, index=index_name, fresh=True)
        assert not any(b"index_key" in body for _, body in seen)
    assert (again.loaded, again.key_id) == (20, result.key_id)


def test_the_commands_make_describe_and_delete_one(service: Service, index_name: str) -> None:
    made = told(command("index", "create", index_name, "--kms", SLOT, "--dimension", "8"))
    assert f"its index key: in '{SLOT}', the KMS of the service" in made
    assert "its contents key: " in made
    described = command("index", "describe", index_name)
    assert '"opened_by": "KMS"' in described.out
    assert command("index", "create", index_name, "--kms", SLOT).code == 2
    deleted = told(command("index", "delete", index_name, "--yes"))
    assert "its key stays" in deleted
    assert index_name not in command("index", "list").out


def test_a_whole_key_file_seals_and_its_index_key_is_not_used(
    target: dict[str, Any], source: Path, index_name: str, tmp_path: Path
) -> None:
    key = vecload.generate_key()
    key.save(tmp_path / "whole.key")
    assert key.index_key is not None
    with requests_seen() as seen:
        vecload.load(source, **target, index=index_name, key=tmp_path / "whole.key", kms=SLOT)
        vecload.load(source, **target, index=index_name, key=key, kms=SLOT, fresh=True)
        assert not any(key.index_key.hex().encode() in body for _, body in seen)
    with requests_seen() as seen:
        vecload.load(source, **target, index=index_name, key=key, fresh=True)
        # Unknown whether the index is KMS-backed, vecload asks once with the key, and is told to omit it.
        assert [path for path, body in seen if key.index_key.hex().encode() in body] == [
            "/v1/indexes/describe"
        ]
    ended = command("upsert", source, "--index", index_name, "--key-file", tmp_path / "whole.key", "--fresh")
    assert "the service's KMS opens the index; contents key in " in told(ended)
    assert "its index key is not used" in ended.err


def test_a_contents_key_alone_is_enough(target: dict[str, Any], source: Path, index_name: str) -> None:
    key = vecload.generate_key(contents_only=True)
    assert vecload.load(source, **target, index=index_name, key=key, kms=SLOT).key_id == key.key_id
    with vecload.connect(target["to"], api_key=ROOT) as connection:
        (item,) = connection.open_index(index_name, key).get(["doc-0"])
    assert item["contents"] == "The text of 0, naïve ☃"


def test_another_contents_key_is_refused_by_load_and_inspect(
    target: dict[str, Any], source: Path, index_name: str
) -> None:
    vecload.load(source, **target, index=index_name, kms=SLOT)
    other = {"index": index_name, "key": vecload.generate_key(contents_only=True)}
    with pytest.raises(vecload.WrongKey, match="another contents key") as caught:
        vecload.load(source, **target, **other)
    assert outcome(vecload.inspect, source, {**target, **other}) == told_by(caught.value, 6)


def test_a_load_resumes_in_a_kms_backed_index(
    target: dict[str, Any], tmp_path: Path, index_name: str
) -> None:
    good = rows(20)
    bad = [*good[:12], {**good[12], "vector": None}, *good[13:]]
    path = write_jsonl(tmp_path / "rows.jsonl", bad)
    options: dict[str, Any] = {**target, "index": index_name, "kms": SLOT, "batch_rows": 4, "concurrency": 1}
    with pytest.raises(vecload.RowsRejected):
        vecload.load(path, **options)
    write_jsonl(path, good)
    result = vecload.load(path, **options, max_errors=0)
    assert result.status == "complete"
    assert vecload.load(path, **options, skip_loaded=True).skipped == 20


def test_vectors_alone_need_no_key_at_all(
    service: Service, target: dict[str, Any], tmp_path: Path, index_name: str, source: Path
) -> None:
    with official(service) as client:
        client.create_index(index_name, kms_name=SLOT, dimension=8)
    plain = write_jsonl(
        tmp_path / "plain.jsonl", [{"id": row["id"], "vector": row["vector"]} for row in rows(9)]
    )
    result = vecload.load(plain, **target, index=index_name)
    assert (result.loaded, result.key_id) == (9, "")
    assert stored_keys() == []
    # What has to be sealed stops, before anything of it is stored.
    with pytest.raises(KeyFileError, match="no contents key") as caught:
        vecload.load(source, **target, index=index_name)
    assert outcome(vecload.inspect, source, {**target, "index": index_name}) == told_by(caught.value, 2)
    assert vecload.load(source, **target, index=index_name, seal=False).loaded == 20
    with official(service) as client:
        (there,) = client.load_index(index_name).get(["doc-3"])
    assert there["contents"] == "The text of 3, naïve ☃"
    assert "The text of 3" in command("get", "doc-3", "--index", index_name).out


def test_where_no_key_may_be_made_none_is_and_only_what_needs_none_goes_on(
    service: Service, source: Path, index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VECLOAD_CREATE_KEY")
    target = {"to": service.url, "api_key": ROOT, "index": index_name, "kms": SLOT}
    loaded = outcome(vecload.load, source, target)
    assert loaded == outcome(vecload.inspect, source, target)
    assert loaded[0] == 2
    assert "needs a key" in loaded[1]
    assert index_name not in command("index", "list").out.split()

    assert outcome(vecload.inspect, source, {**target, "seal": False}) == (0, "", "")
    assert vecload.load(source, **target, seal=False).key_id == ""
    made = told(command("index", "create", f"{index_name}-empty", "--kms", SLOT))
    assert "it has no contents key" in made
    assert stored_keys() == []


def test_the_python_index_of_one(service: Service, index_name: str) -> None:
    key = vecload.generate_key(contents_only=True)
    with vecload.connect(service.url, api_key=ROOT) as connection:
        index = connection.create_index(index_name, key, dimension=8, kms=SLOT)
        index.upsert_binary(IDS, VECTORS, contents=["x", b"y", None, ""])
        unkeyed = connection.open_index(index_name)
        assert [item["metadata"] for item in unkeyed.get(IDS, ["metadata"])] == [{}] * 4
        with pytest.raises(vecload.SealError, match="unknown key"):
            unkeyed.get(["a"])
        with pytest.raises(vecload.ItemValueError, match="no contents key"):
            unkeyed.upsert_binary(["e"], VECTORS[:1], contents=["z"])
        unkeyed.upsert_binary(["e"], VECTORS[:1])
        opened = connection.open_index(index_name, key).get(IDS, ["contents"])
        assert [item["contents"] for item in opened] == ["x", b"y", None, ""]
        connection.delete_index(index_name)
        assert index_name not in connection.list_indexes()


@pytest.mark.parametrize(
    ("kms", "code", "says"),
    [("nowhere", 2, f"Known: ['{GONE}', '{SLOT}']"), (GONE, 6, "can't get the index key from its KMS")],
)
def test_a_kms_that_makes_no_key_leaves_nothing(
    service: Service, source: Path, index_name: str, kms: str, code: int, says: str
) -> None:
    for ended in (
        command("upsert", source, "--index", index_name, "--kms", kms),
        command("index", "create", index_name, "--kms", kms),
    ):
        assert ended.code == code
        assert says in ended.error
    assert stored_keys() == []
    assert index_name not in command("index", "list").out.split()
    report = vecload.inspect(source, to=service.url, index=index_name, api_key=ROOT, kms=kms, create_key=True)
    (said,) = [check for check in report.checks if check.name == "key"]
    assert (said.state, repr(kms) in said.told) == ("unsure", True), said


def test_an_index_with_its_own_index_key_is_not_taken_for_kms_backed(
    target: dict[str, Any], source: Path, index_name: str
) -> None:
    vecload.load(source, **target, index=index_name)
    with pytest.raises(IndexMismatch, match="not KMS-backed") as caught:
        vecload.load(source, **target, index=index_name, kms=SLOT)
    said = outcome(vecload.inspect, source, {**target, "index": index_name, "kms": SLOT})
    assert said == told_by(caught.value, 2)
    # Nor does a contents key alone open it, or make one.
    for name in (index_name, f"{index_name}-new"):
        options = {**target, "index": name, "key": vecload.generate_key(contents_only=True)}
        loaded = outcome(vecload.load, source, options)
        assert loaded == outcome(vecload.inspect, source, options)
        assert loaded[0] == 2
        assert f"index {name!r} needs its index key" in loaded[1]


def test_an_embedded_store_has_no_kms(source: Path, tmp_path: Path) -> None:
    store = {"to": str(tmp_path / "store")}
    with pytest.raises(vecload.UsageError, match="kms needs a service") as caught:
        vecload.load(source, **store, kms=SLOT)
    with pytest.raises(vecload.UsageError, match="kms needs a service"):
        vecload.inspect(source, **store, kms=SLOT)
    assert caught.value.exit_code == 2
    with vecload.connect(tmp_path / "store") as connection, pytest.raises(IndexMismatch, match="no KMS"):
        connection.create_index("x", vecload.generate_key(), kms=SLOT)


def test_an_index_that_somebody_else_made_meanwhile_does_not_take_our_pending_key(
    service: Service, target: dict[str, Any], source: Path, index_name: str
) -> None:
    with official(service) as client:
        index = client.create_index(index_name, kms_name=SLOT, dimension=8)
        index.upsert([{"id": "theirs", "vector": [1.0] * 8}])
    command("index", "create", index_name, "--kms", SLOT)
    assert stored_keys() == []
    # A pending key that a killed run left is not this index's either, since the index has items.
    vecload.load(source, **target, index=f"{index_name}-ours", kms=SLOT)
    (ours,) = stored_keys()
    from vecload.places import config_folder
    from vecload.sealing.keyring import pending_path
    from vecload.sealing.keys import stored_key_paths

    pending = pending_path(stored_key_paths(config_folder(), service.url, index_name)[0])
    ours.rename(pending)
    with pytest.raises(KeyFileError, match="no contents key"):
        vecload.load(source, **target, index=index_name)
    assert stored_keys() == [pending]


def test_a_pending_key_opens_the_empty_index_that_a_killed_run_made(
    service: Service, target: dict[str, Any], source: Path, index_name: str
) -> None:
    told(command("index", "create", index_name, "--kms", SLOT, "--dimension", "8"))
    (file,) = stored_keys()
    key = vecload.Key.load(file)
    file.rename(file.with_name(f"{file.name}.pending"))
    assert vecload.load(source, **target, index=index_name, kms=SLOT).key_id == key.key_id
    assert stored_keys() == [file]


class TestAKmsThatFails:
    """In a class of its own, at the end: these end the KMS, or the service, which others use."""

    @pytest.fixture
    def cold(self, served: tuple[Service, Kms]) -> Iterator[Kms]:
        """The KMS of a service that has forgotten every key."""
        service, kms = served
        service.restart()
        yield kms
        kms.stop()
        kms.start()
        registry(service.folder, kms.key_id)
        service.restart()

    def test_it_is_down(
        self, service: Service, target: dict[str, Any], source: Path, index_name: str, cold: Kms
    ) -> None:
        vecload.load(source, **target, index=index_name, kms=SLOT)
        service.restart()
        cold.stop()
        for options in ({"index": index_name}, {"index": f"{index_name}-new", "kms": SLOT}):
            ended = command(
                "upsert", source, "--index", options["index"], *(["--kms", SLOT] if "kms" in options else [])
            )
            assert ended.code == 1
            assert "can't get the index key from its KMS at the moment" in ended.error
            assert "run again when the service reaches its KMS" in ended.error
            assert "--key-file" not in ended.error
        report = vecload.inspect(source, **target, index=index_name)
        assert report.exit_code == 1
        assert "can't get the index key from its KMS at the moment" in (report.error or "")
        assert len(stored_keys()) == 1  # nothing is left of the index that could not be made
        cold.start()
        assert vecload.load(source, **target, index=index_name, fresh=True).loaded == 20

    def test_it_is_down_in_the_middle_of_a_load(
        self,
        target: dict[str, Any],
        source: Path,
        index_name: str,
        cold: Kms,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        refused = 0
        real = Connections.request

        def request(self: Connections, *args: Any, **more: Any) -> Answer:
            nonlocal refused
            answer = real(self, *args, **more)
            if answer.status == 401 and b"AWS KMS Decrypt request failed" in answer.body:
                refused += 1
                cold.start()
            return answer

        def on_progress(_: vecload.Progress) -> None:
            if not refused:
                cold.stop()
                time.sleep(2 * TTL_SECONDS)  # the service forgets the key

        monkeypatch.setattr(Connections, "request", request)
        options: dict[str, Any] = {"batch_rows": 4, "concurrency": 1, "on_progress": on_progress}
        result = vecload.load(source, **target, index=index_name, kms=SLOT, **options)
        assert refused >= 1
        assert (result.status, result.loaded) == ("complete", 20)
        assert result.retries >= 1

    def test_it_refuses(
        self, service: Service, target: dict[str, Any], source: Path, index_name: str, cold: Kms
    ) -> None:
        vecload.load(source, **target, index=index_name, kms=SLOT)
        registry(service.folder, cold.key_id, slot="other")
        service.restart()
        with pytest.raises(KmsRefused, match="can't get the index key from its KMS") as caught:
            vecload.load(source, **target, index=index_name)
        assert outcome(vecload.inspect, source, {**target, "index": index_name}) == told_by(caught.value, 6)
