"""The embedded store: what is loaded into a folder is served by a real service started on that folder."""

from __future__ import annotations

import gc
import stat
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cyborgdb_core
import numpy as np
import pytest

import vecload
from tests.servers import Service, free_port
from vecload.batch import Batch, Contents, Metadata, Span
from vecload.cli.app import run
from vecload.errors import (
    BatchRefused,
    ConnectionClosed,
    IndexExists,
    IndexMismatch,
    IndexNotFound,
    StoreLocked,
    TargetError,
    Unauthorised,
    WrongKey,
)
from vecload.targets import IndexSettings, Query, connect_target
from vecload.targets.embedded import EmbeddedIndex, EmbeddedTarget
from vecload.targets.service import ServiceTarget

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
EMBEDDING_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
VECTORS = np.array([[0x15AE43FD, 0x80000000, 1, 0x7F7FFFFF], [0x3DCCCCCD] * 4], dtype=np.uint32).view(
    np.float32
)
METADATA: list[Metadata | None] = [{"n": 2**70, "s": "ż"}, None]
CONTENTS: list[Contents | None] = ["Żółć", None]


def two_items() -> Batch:
    return Batch(["a", "b"], VECTORS, METADATA, CONTENTS, Span("rows", 0, 2))


def one_item(item_id: str = "c", dim: int = 4) -> Batch:
    return Batch([item_id], np.ones((1, dim), dtype=np.float32), None, None, Span("rows", 0, 1))


def load(folder: Path, name: str = "docs") -> None:
    """Make an index with two items, and let go of it."""
    with EmbeddedTarget(folder) as target:
        target.create_index(name, KEY, IndexSettings(dimension=4)).upsert(two_items())
    gc.collect()


def has_envelope(folder: Path, name: str = "docs") -> bool:
    """Whether a service would find the index."""
    try:
        cyborgdb_core.get_index_kms(cyborgdb_core.StorageConfig.disk(str(folder)), name)
    except ValueError as error:
        if "No KMS blob exists" in str(error):
            return False
        raise
    return True


@pytest.fixture
def served(embedded_folder: Path, tmp_path: Path) -> Iterator[Service]:
    """A service on the folder of the embedded store, not started yet."""
    service = Service(tmp_path / "service", data=embedded_folder)
    yield service
    service.stop()


@pytest.fixture
def target(embedded_folder: Path) -> Iterator[EmbeddedTarget]:
    with EmbeddedTarget(embedded_folder) as made:
        yield made


def check_served(service: Service) -> None:
    with ServiceTarget(service.url) as target:
        assert target.list_indexes() == ["docs"]
        index = target.open_index("docs", KEY)
        first, second = index.get(["a", "b"], ["vector", "metadata", "contents"])
        assert first.vector is not None
        assert second.vector is not None
        assert np.vstack([first.vector, second.vector]).tobytes() == VECTORS.tobytes()
        assert (first.metadata, first.contents) == (METADATA[0], CONTENTS[0])
        assert index.query(Query(np.full((1, 4), 0.1, dtype=np.float32), 1))[0][0].id == "b"
        index.upsert(one_item("by the service"))
        assert sorted(index.list_ids()) == ["a", "b", "by the service"]
        with pytest.raises(WrongKey):
            target.open_index("docs", OTHER_KEY)


def test_an_index_made_in_a_folder_is_served_from_it(embedded_folder: Path, served: Service) -> None:
    load(embedded_folder)
    with served:
        check_served(served)
    with EmbeddedTarget(embedded_folder) as target:
        assert target.open_index("docs", KEY).count() == 3


def test_an_index_made_by_the_service_opens_in_its_folder(embedded_folder: Path, served: Service) -> None:
    with served, ServiceTarget(served.url) as target:
        target.create_index("docs", KEY, IndexSettings(dimension=4)).upsert(two_items())
    with EmbeddedTarget(embedded_folder) as embedded:
        index = embedded.open_index("docs", KEY)
        first, _ = index.get(["a", "b"], ["vector", "metadata"])
        assert first.vector is not None
        assert (first.vector.tobytes(), first.metadata) == (VECTORS[0].tobytes(), METADATA[0])
        index.upsert(one_item("c"))
        assert index.count() == 3


def test_a_kill_between_envelope_and_index_is_made_good_by_running_again(
    embedded_folder: Path, served: Service
) -> None:
    killed_in_between = """
import os, signal, sys
from pathlib import Path
from vecload.targets import IndexSettings
from vecload.targets.embedded import EmbeddedTarget

target = EmbeddedTarget(Path(sys.argv[1]))
call = target.call

def call_until_creation(method, *args, **named):
    if method.__name__ == "create_index":
        os.kill(os.getpid(), signal.SIGKILL)
    return call(method, *args, **named)

target.call = call_until_creation
target.create_index("docs", bytes(range(32)), IndexSettings(dimension=4))
"""
    ended = subprocess.run([sys.executable, "-c", killed_in_between, str(embedded_folder)], check=False)
    assert ended.returncode == -9
    assert has_envelope(embedded_folder)
    with EmbeddedTarget(embedded_folder) as target:
        assert target.list_indexes() == []
        with pytest.raises(IndexNotFound):
            target.open_index("docs", KEY)
    load(embedded_folder)
    with served:
        check_served(served)


def test_an_index_made_by_the_engine_alone_is_served_once_it_was_opened(
    embedded_folder: Path, served: Service
) -> None:
    engine = cyborgdb_core.Client(storage_config=cyborgdb_core.StorageConfig.disk(str(embedded_folder)))
    engine.create_index("docs", KEY, dimension=4)
    del engine
    gc.collect()
    assert not has_envelope(embedded_folder)
    with EmbeddedTarget(embedded_folder) as target:
        target.open_index("docs", KEY).upsert(two_items())
    gc.collect()
    with served:
        check_served(served)


def test_opening_with_the_wrong_key_makes_nothing_servable(embedded_folder: Path) -> None:
    engine = cyborgdb_core.Client(storage_config=cyborgdb_core.StorageConfig.disk(str(embedded_folder)))
    engine.create_index("docs", KEY, dimension=4)
    with EmbeddedTarget(embedded_folder) as target, pytest.raises(WrongKey):
        target.open_index("docs", OTHER_KEY)
    assert not has_envelope(embedded_folder)


def test_a_store_that_a_service_holds_is_told_and_free_when_it_ends(
    embedded_folder: Path, served: Service, capfd: pytest.CaptureFixture[str]
) -> None:
    load(embedded_folder)
    with EmbeddedTarget(embedded_folder) as target:
        with served:
            with ServiceTarget(served.url) as remote:
                remote.open_index("docs", KEY).upsert(one_item())
            index = target.open_index("docs", KEY)
            with pytest.raises(StoreLocked, match="another process holds the store") as caught:
                index.upsert(one_item("d"))
            assert "cyborgdb-service" in caught.value.hint
            assert not caught.value.retryable
        index.upsert(one_item("d"))
        assert sorted(index.list_ids()) == ["a", "b", "c", "d"]
    assert capfd.readouterr() == ("", "")


def test_a_store_that_an_embedded_load_holds_is_told_by_the_service(
    embedded_folder: Path, served: Service
) -> None:
    with EmbeddedTarget(embedded_folder) as target:
        index = target.create_index("docs", KEY, IndexSettings(dimension=4))
        index.upsert(two_items())
        with served, ServiceTarget(served.url) as remote, pytest.raises(StoreLocked):
            remote.open_index("docs", KEY).upsert(one_item())
        assert index.count() == 2


def test_the_engine_prints_nothing_whatever_goes_wrong(
    embedded_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with EmbeddedTarget(embedded_folder) as target:
        index = target.create_index("docs", KEY, IndexSettings(dimension=4))
        index.upsert(two_items())
        with pytest.raises(IndexExists):
            target.create_index("docs", KEY, IndexSettings())
        with pytest.raises(WrongKey):
            target.open_index("docs", OTHER_KEY)
        with pytest.raises(IndexNotFound):
            target.open_index("other", KEY)
        with pytest.raises(BatchRefused):
            index.upsert(one_item(dim=5))
        with pytest.raises(IndexMismatch):
            index.upsert(Batch(["t"], None, None, ["text"], Span("rows", 0, 1)))
        with pytest.raises(TargetError):
            index.query(Query(np.ones((1, 5), dtype=np.float32), 1))
        index.drop()
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_is_no_store_prints_nothing_and_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")
    for folder in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(TargetError, match="can't be created") as caught:
            EmbeddedTarget(folder)
        assert str(folder) in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_an_index_that_cannot_be_made_leaves_nothing_behind(
    target: EmbeddedTarget, embedded_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CYBORGDB_EMBED_OFFLINE", "1")
    monkeypatch.setenv("CYBORGDB_EMBED_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(TargetError, match="embedding model") as caught:
        target.create_index("docs", KEY, IndexSettings(embedding_model=EMBEDDING_MODEL))
    assert caught.value.exit_code == 1
    with pytest.raises((TargetError, IndexMismatch)):
        target.create_index("docs", bytes(32), IndexSettings(dimension=4))
    assert target.list_indexes() == []
    assert not has_envelope(embedded_folder)
    assert target.create_index("docs", KEY, IndexSettings(dimension=4)).count() == 0


def test_a_dropped_index_is_no_longer_served(embedded_folder: Path, target: EmbeddedTarget) -> None:
    index = target.create_index("docs", KEY, IndexSettings(dimension=4))
    assert has_envelope(embedded_folder)
    index.drop()
    assert not has_envelope(embedded_folder)
    assert target.list_indexes() == []


WRITES = """
import sys
from pathlib import Path
import numpy as np
from vecload.batch import Batch, Span
from vecload.targets.embedded import EmbeddedTarget

with EmbeddedTarget(Path(sys.argv[1])) as target:
    index = target.open_index("docs", bytes(range(32)))
    index.upsert(Batch(["c"], np.ones((1, 4), dtype=np.float32), None, None, Span("rows", 0, 1)))
"""


def test_a_closed_store_is_free_for_others_while_an_index_of_it_lives(embedded_folder: Path) -> None:
    def write_in_another_process() -> int:
        return subprocess.run(
            [sys.executable, "-c", WRITES, str(embedded_folder)], check=False, capture_output=True
        ).returncode

    target = EmbeddedTarget(embedded_folder)
    made = target.create_index("docs", KEY, IndexSettings(dimension=4))
    opened = target.open_index("docs", KEY)
    made.upsert(two_items())
    opened.upsert(one_item("d"))
    assert write_in_another_process() != 0  # the store is locked
    target.close()
    assert write_in_another_process() == 0
    with EmbeddedTarget(embedded_folder) as again:
        index = again.open_index("docs", KEY)
        index.upsert(one_item("e"))
        assert sorted(index.list_ids()) == ["a", "b", "c", "d", "e"]
    for closed in (made, opened):
        with pytest.raises(ConnectionClosed):
            closed.count()


def test_a_store_is_made_for_its_owner_alone(embedded_folder: Path, target: EmbeddedTarget) -> None:
    assert stat.S_IMODE(embedded_folder.stat().st_mode) == 0o700
    assert target.location == str(embedded_folder.resolve())
    assert target.healthy()


def test_a_folder_is_the_same_store_however_it_is_named(
    embedded_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(embedded_folder)
    monkeypatch.setenv("HOME", str(embedded_folder.parent))
    monkeypatch.chdir(embedded_folder.parent)
    for spelling in ("~/store", "store", "./store/../store"):
        with connect_target(spelling) as target:
            assert target.location == str(embedded_folder.resolve())
            assert target.open_index("docs", KEY).count() == 2


def test_an_index_that_nobody_has_any_more_is_freed_at_once(
    embedded_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Threads of the engine end with it; a search for circles may be long in coming.
    made: list[weakref.ref[EmbeddedIndex]] = []
    create = EmbeddedTarget.create_index

    def noted(self: EmbeddedTarget, name: str, index_key: bytes, settings: IndexSettings) -> EmbeddedIndex:
        index = create(self, name, index_key, settings)
        made.append(weakref.ref(index))
        return index

    monkeypatch.setattr(EmbeddedTarget, "create_index", noted)
    gc.disable()
    try:
        with vecload.connect(embedded_folder) as connection:
            index = connection.create_index("docs", KEY, dimension=4)
            index.upsert_binary(["a"], np.ones((1, 4)))
            assert made[0]() is not None
        del index, connection
        assert made[0]() is None
    finally:
        gc.enable()


def test_vectors_of_zeros_are_counted_but_not_given_back(target: EmbeddedTarget) -> None:
    index = target.create_index("docs", KEY, IndexSettings(dimension=4))
    zeros = np.zeros((2, 4), dtype=np.float32)
    index.upsert(Batch(["bare", "told"], zeros, [None, {"x": 1}], None, Span("rows", 0, 2)))
    assert index.count() == 2
    (told,) = index.get(["bare", "told"], ["vector", "metadata"])
    assert (told.id, told.vector, told.metadata) == ("told", None, {"x": 1})


def test_a_store_shows_no_key(target: EmbeddedTarget) -> None:
    index = target.create_index("docs", KEY, IndexSettings(dimension=4))
    assert repr(index) == f"EmbeddedIndex('docs', {target.location!r})"
    assert repr(target) == f"EmbeddedTarget({target.location!r})"


@pytest.mark.parametrize("name", ["docs", "x.dek", "a_b-1"])
def test_an_index_that_a_kill_left_half_made_is_made_anew_with_its_key(
    embedded_folder: Path, name: str
) -> None:
    with connect_target(embedded_folder) as target:
        before = {*embedded_folder.rglob("*")}
        target.create_index(name, KEY, IndexSettings(dimension=2))
        target.create_index("another", KEY, IndexSettings(dimension=2))
        # The engine writes the settings last.
        made = {*embedded_folder.rglob("*.cvs.cat")} - before
        (settings,) = [file for file in made if not file.name.startswith("another")]
        settings.unlink()
    with connect_target(embedded_folder) as target:
        assert name in target.list_indexes()
        with pytest.raises(IndexNotFound):
            target.open_index(name, KEY)
        with pytest.raises(WrongKey):
            target.open_index(name, OTHER_KEY)
        with pytest.raises(IndexExists):
            target.create_index(name, OTHER_KEY, IndexSettings(dimension=2))
        target.create_index(name, KEY, IndexSettings(dimension=3))
        assert target.open_index(name, KEY).describe().dimension == 3
        with pytest.raises(IndexExists):
            target.create_index(name, KEY, IndexSettings(dimension=2))
        assert sorted(target.list_indexes()) == sorted(["another", name])


LICENCE = "a-licence-key-of-nobody"


def test_a_licence_key_reaches_the_engine_which_asks_cyborgdb_about_it(
    embedded_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # No licence can be tried here. The engine's request ends at a proxy that is not there.
    for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unauthorised) as caught:
        connect_target(embedded_folder, api_key=LICENCE)
    assert caught.value.exit_code == 6
    assert "CyborgDB does not confirm the licence key, or its server can't be reached" in str(caught.value)
    assert LICENCE not in f"{caught.value!r}{caught.value.__context__!r}"
    shown = capfd.readouterr()
    assert LICENCE not in shown.out + shown.err
    assert shown.out == ""  # what the engine itself says goes to standard error
    with connect_target(embedded_folder) as target:
        assert target.list_indexes() == []


@pytest.fixture
def given_keys(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The licence keys that the engine was given; this one takes any."""
    keys: list[str] = []
    real = cyborgdb_core.Client

    def client(api_key: str, config: Any) -> Any:
        keys.append(api_key)
        return real("", config)

    monkeypatch.setattr(cyborgdb_core, "Client", client)
    return keys


def test_the_engine_is_given_its_own_key_and_none_of_a_service(
    tmp_path: Path, given_keys: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "vector": [1.0, 2.0]}\n')
    (tmp_path / "api.key").write_text("of-a-service")
    (tmp_path / "api.key").chmod(0o600)
    load = ["upsert", str(tmp_path / "rows.jsonl"), "--to", str(tmp_path / "store")]
    monkeypatch.setenv("VECLOAD_API_KEY", "of-a-service")
    assert run([*load, "--api-key-file", str(tmp_path / "api.key")]) == 0
    for unset in ("", " "):  # CyborgDB's own clients take an empty key for none
        monkeypatch.setenv("CYBORGDB_API_KEY", unset)
        assert run(load) == 0
    assert {*given_keys} == {""}
    given_keys.clear()
    monkeypatch.setenv("CYBORGDB_API_KEY", LICENCE)
    for command in (load, ["index", "list", "--to", str(tmp_path / "store")]):
        assert run(command) == 0
    assert {*given_keys} == {LICENCE}
    assert LICENCE not in "".join(capsys.readouterr())


def test_python_gives_the_engine_the_key_that_is_passed(
    tmp_path: Path, given_keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CYBORGDB_API_KEY", "of-the-environment")
    rows = [{"id": "a", "vector": [1.0, 2.0]}]
    vecload.load(rows, to=tmp_path / "store", index="docs", key=KEY)
    assert {*given_keys} == {""}
    given_keys.clear()
    vecload.load(rows, to=tmp_path / "store", index="docs", key=KEY, api_key=LICENCE)
    vecload.connect(tmp_path / "store", api_key=LICENCE).close()
    assert {*given_keys} == {LICENCE}
