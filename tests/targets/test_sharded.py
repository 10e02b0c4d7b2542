"""Several services as one target: what is asked of it is what one index would answer."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cyborgdb import Client  # type: ignore[import-untyped] # has no types

import vecload
from tests.cli.command import vecload as run
from tests.distributed.conftest import write
from tests.faults.proxy import Exchange, Proxy
from tests.servers import Service
from vecload.targets import MetadataQuery, Query
from vecload.targets.placement import shards_of
from vecload.targets.service import ServiceTarget
from vecload.targets.shard_record import ShardMark, mark_of

DIMENSION = 8


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Service]]:
    folder = tmp_path_factory.mktemp("shards")
    running = [Service(folder / str(number)) for number in range(3)]
    try:
        for service in running:
            service.start()
        yield running
    finally:
        for service in running:
            service.stop()


@pytest.fixture
def shards(services: list[Service]) -> list[str]:
    return [service.url for service in services]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    vecload.generate_key().save(tmp_path / "index.key")
    return tmp_path / "index.key"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return write(tmp_path / "rows.parquet", [f"id {n}" for n in range(400)])


def load(files: Any, shards: list[str], index: str, key: Path, **fields: Any) -> vecload.LoadResult:
    return vecload.load(files, shards=shards, index=index, key=key, **fields)


def create_marked(url: str, index: str, key: vecload.Key, mark: ShardMark) -> None:
    schema = {mark.field: {"filterable": True}}
    vecload.connect(url).create_index(index, key, dimension=2, metadata_schema=schema)


def marks(shards: list[str], index: str, key: vecload.Key) -> list[ShardMark | None]:
    return [mark_of(ServiceTarget(url).open_index(index, key.index_key).describe()) for url in shards]


def test_each_service_holds_the_ids_that_hash_to_it(
    files: Path, shards: list[str], key: Path, index_name: str
) -> None:
    assert load(files, shards, index_name, key, batch_rows=50).loaded == 400
    ids = [f"id {n}" for n in range(400)]
    places = shards_of(ids, 3).tolist()
    for number, url in enumerate(shards):
        own = Client(url, None).load_index(index_name, vecload.Key.load(key).index_key)
        held = own.list_ids()
        held = held["ids"] if isinstance(held, dict) else held
        assert sorted(held) == sorted(one for one, place in zip(ids, places, strict=True) if place == number)
    assert vecload.verify(files, shards=shards, index=index_name, key=key, extra=True).equal
    index = vecload.connect(shards).open_index(index_name, vecload.Key.load(key))
    found = index.get(["id 7", "no", "id 3", "id 399"], ["contents"])
    assert [(one["id"], one["contents"]) for one in found] == [
        (f"id {n}", f"private rows {n}") for n in (7, 3, 399)
    ]


def test_a_query_finds_what_one_index_finds(
    files: Path, shards: list[str], service: str, key: Path, new_name: Callable[[], str]
) -> None:
    one, several = new_name(), new_name()
    fields: dict[str, Any] = {"metric": "cosine"}
    load(files, shards, several, key, **fields)
    vecload.load(files, to=service, index=one, key=key, **fields)
    opened = vecload.Key.load(key)
    alone = vecload.connect(service).open_index(one, opened)
    whole = vecload.connect(shards).open_index(several, opened)
    vectors = np.random.default_rng(1).normal(size=(20, DIMENSION)).astype("f4")
    for include in (["distance"], ["distance", "metadata"], []):
        ours = whole.query(vectors, top_k=10, include=include)
        theirs = alone.query(vectors, top_k=10, include=include)
        for mine, other in zip(ours, theirs, strict=True):
            assert [hit["id"] for hit in mine] == [hit["id"] for hit in other]
            assert [{*hit} for hit in mine] == [{*hit} for hit in other]
            if "distance" in include:
                assert np.allclose([hit["distance"] for hit in mine], [hit["distance"] for hit in other])
    assert (len(whole.list_ids()), whole.describe().dimension) == (400, DIMENSION)


def test_a_wrong_list_is_refused_on_this_machine_and_on_any_other(
    files: Path,
    shards: list[str],
    key: Path,
    index_name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load(files, shards, index_name, key)
    one, two, three = shards
    wrong = ([two, one, three], [one, two], [three, two, one], [two, three])
    for other in wrong:
        with pytest.raises(vecload.IndexMismatch, match="was loaded over other shards"):
            load(files, other, index_name, key)
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "other"))
    for other in wrong:
        with pytest.raises(vecload.IndexMismatch, match=r"shard \d of \d was shard \d of 3 when index"):
            load(files, other, index_name, key)
    with pytest.raises(vecload.IndexMismatch, match="is shard 2 of 3 here; name all shards with --shards"):
        vecload.load(files, to=two, index=index_name, key=key)
    assert vecload.verify(files, shards=shards, index=index_name, key=key).equal


def test_items_that_another_list_placed_are_found(shards: list[str], key: Path, index_name: str) -> None:
    opened, ids = vecload.Key.load(key), [f"id {n}" for n in range(100)]
    for url, place in zip(shards, (1, 0, 2), strict=True):
        own = vecload.connect(url).create_index(index_name, opened, dimension=2)
        places = shards_of(ids, 3).tolist()
        mine = [one for one, at in zip(ids, places, strict=True) if at == place]
        own.upsert([{"id": one, "vector": [1.0, 2.0]} for one in mine])
    with pytest.raises(vecload.IndexMismatch, match="items of shard 1 of 3 belong to others"):
        vecload.connect(shards).open_index(index_name, opened)
    one, two, three = shards
    assert len(vecload.connect([two, one, three]).open_index(index_name, opened).list_ids()) == 100


def test_an_index_that_only_some_shards_have_is_completed_only_if_it_is_empty(
    files: Path, shards: list[str], key: Path, new_name: Callable[[], str]
) -> None:
    opened = vecload.Key.load(key)
    begun, other = new_name(), new_name()
    vecload.connect(shards[1]).create_index(begun, opened, dimension=DIMENSION)
    assert load(files, shards, begun, key).loaded == 400
    vecload.connect(shards[1]).create_index(other, opened).upsert([{"id": "a", "vector": [1.0] * DIMENSION}])
    with pytest.raises(vecload.IndexMismatch, match="is missing on shard 1, 3 of 3"):
        load(files, shards, other, key)
    assert other not in vecload.connect(shards[0]).list_indexes()


def test_shards_that_were_not_created_together_are_refused_on_any_machine(
    shards: list[str], key: Path, new_name: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, index = vecload.Key.load(key), new_name()
    one, two, three = shards
    vecload.connect([one, two]).create_index(index, opened, dimension=2)
    create_marked(three, index, opened, ShardMark(2, 2, "00112233445566ff"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    with pytest.raises(vecload.IndexMismatch, match=r"shard 2 and shard 1 both .* were not created together"):
        vecload.connect([one, three]).open_index(index, opened)
    assert vecload.connect([one, two]).open_index(index, opened).describe().metadata_schema == {}


def test_an_index_that_was_created_before_shards_had_a_number_opens(
    shards: list[str], key: Path, index_name: str
) -> None:
    opened = vecload.Key.load(key)
    for number, url in enumerate(shards, 1):
        create_marked(url, index_name, opened, ShardMark(number, 3))
    assert vecload.connect(shards).open_index(index_name, opened).describe().metadata_schema == {}


@pytest.mark.parametrize("begun", [0, 1, 2])
def test_a_creation_that_was_interrupted_goes_on_with_the_same_number(
    shards: list[str], key: Path, index_name: str, begun: int
) -> None:
    opened = vecload.Key.load(key)
    create_marked(shards[begun], index_name, opened, ShardMark(begun + 1, 3, "0123456789abcdef"))
    vecload.connect(shards).create_index(index_name, opened, dimension=2)
    assert marks(shards, index_name, opened) == [ShardMark(n, 3, "0123456789abcdef") for n in (1, 2, 3)]


def test_the_error_of_one_shard_names_it(files: Path, shards: list[str], key: Path, index_name: str) -> None:
    def fails(exchange: Exchange) -> None:
        if exchange.path.startswith("/v1/vectors"):
            exchange.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        else:
            exchange.pass_on()

    with Proxy(shards[1]) as proxy:
        through = [shards[0], proxy.url, shards[2]]
        load(files, through, index_name, key)
        index = vecload.connect(through).open_index(index_name, vecload.Key.load(key))
        inner = index._index  # noqa: SLF001 an Index asks again for a minute
        proxy.behave = proxy.behave_otherwise = fails
        for asked in (
            lambda: inner.get([f"id {n}" for n in range(20)], []),
            inner.list_ids,
            inner.count,
            lambda: inner.query(Query(np.ones((1, DIMENSION), "f4"), 3, include=())),
            lambda: load(files, through, index_name, key, fresh=True, give_up_after=0.1),
        ):
            with pytest.raises(vecload.VecloadError, match="503") as failed:
                asked()
            assert f"shard {proxy.url}: " in str(failed.value)
            assert shards[0] not in str(failed.value)


def test_a_shard_that_fails_holds_nothing_up_for_good(
    files: Path, shards: list[str], key: Path, index_name: str
) -> None:
    def faulty(exchange: Exchange) -> None:
        if exchange.number % 3 == 0:
            exchange.reset()
        elif exchange.number % 3 == 1:
            exchange.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        else:
            exchange.pass_on()

    with Proxy(shards[1], faulty) as proxy:
        result = load(files, [shards[0], proxy.url, shards[2]], index_name, key, batch_rows=50)
        assert (result.loaded, result.rejected) == (400, 0)
        assert result.retries > 4
        through = [shards[0], proxy.url, shards[2]]
        assert vecload.verify(files, shards=through, index=index_name, key=key, extra=True).equal


def test_a_load_goes_on_where_it_stopped(files: Path, shards: list[str], key: Path, index_name: str) -> None:
    stop = threading.Event()
    with pytest.raises(vecload.Interrupted):
        load(
            files,
            shards,
            index_name,
            key,
            batch_rows=20,
            concurrency=1,
            stop=stop,
            on_progress=lambda progress: stop.set() if progress.read >= 100 else None,
        )
    result = load(files, shards, index_name, key, batch_rows=20)
    assert result.skipped >= 100
    assert result.skipped + result.loaded == 400
    assert vecload.verify(files, shards=shards, index=index_name, key=key, extra=True).equal


def test_a_row_that_one_shard_refuses_is_rejected_alone(
    tmp_path: Path, shards: list[str], key: Path, index_name: str
) -> None:
    file = write(tmp_path / "rows.parquet", [f"id {n}" for n in range(60)])
    refused = "id 31"
    number = int(shards_of([refused], 3)[0])

    def refuses(exchange: Exchange) -> None:
        if refused in exchange.ids:
            exchange.send(b"HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n")
        else:
            exchange.pass_on()

    with Proxy(shards[number], refuses) as proxy:
        through = [proxy.url if at == number else url for at, url in enumerate(shards)]
        result = load(file, through, index_name, key, max_errors=1, wire="json")
        assert (result.loaded, result.rejected) == (59, 1)


def test_export_copy_rekey_and_delete_see_one_index(
    files: Path, shards: list[str], key: Path, new_name: Callable[[], str], tmp_path: Path
) -> None:
    index, copied = new_name(), new_name()
    load(files, shards, index, key)
    out = tmp_path / "out.parquet"
    assert vecload.export(out, shards=shards, index=index, key=key).exported == 400
    to_folder = {"to": tmp_path / "store", "index": copied, "key": key}
    assert vecload.load(out, **to_folder).loaded == 400
    result = vecload.rekey(tmp_path / "new.key", shards=shards, index=index, key=key)
    assert (result.sealed_again, result.left) == (400, 0)
    key = tmp_path / "new.key"
    assert vecload.delete(["id 1", "id 2", "id 3"], shards=shards, index=index, key=key).deleted == 3
    opened = vecload.connect(shards).open_index(index, vecload.Key.load(key))
    assert len(opened.list_ids()) == 397
    found = opened.query_metadata(filters={"row": {"$in": ["rows:5", "rows:6", "rows:2"]}})
    assert sorted(hit["id"] for hit in found) == ["id 5", "id 6"]


def test_metadata_is_sorted_over_all_shards(shards: list[str], index_name: str) -> None:
    target = vecload.connect(shards)
    index = target.create_index(index_name, vecload.generate_key())
    items = [{"id": f"i{n}", "vector": [float(n), 1.0], "metadata": {"n": n * 7 % 50}} for n in range(50)]
    index.upsert([*items, {"id": "none", "vector": [0.5, 1.0]}])
    for ascending in (True, False):
        hits = index.query_metadata(filters={"n": {"$gte": 0}}, order_by="n", ascending=ascending, top_k=20)
        numbers = [int(hit["id"][1:]) * 7 % 50 for hit in hits]
        assert numbers == sorted(range(50), reverse=not ascending)[:20]


def test_the_command_takes_shards(
    files: Path, shards: list[str], key: Path, index_name: str, tmp_path: Path
) -> None:
    where = ("--index", index_name, "--key-file", key)
    several = ("--shards", ",".join(shards))
    assert run("upsert", files, *several, *where, "--verify").code == 0
    ended = run("get", "id 5", *several, *where)
    assert json.loads(ended.out)["contents"] == "private rows 5"
    ended = run("index", "describe", index_name, *several, "--key-file", key)
    assert json.loads(ended.out)["items"] == 400
    assert json.loads(ended.out)["target"] == ",".join(shards)
    ended = run("verify", files, *where, variables={"VECLOAD_SHARDS": ",".join(shards)})
    assert ended.code == 0, ended.err
    ended = run("upsert", files, *several, *where, "--to", shards[0])
    assert (ended.code, ended.error) == (2, "vecload: --to and --shards exclude each other; omit one")
    ended = run("upsert", files, "--shards", f"{shards[0]},{shards[0]}/", *where)
    assert (ended.code, "twice" in ended.error) == (2, True)
    ended = run("upsert", files, "--shards", f"{shards[0]},http://user:canary@host", *where)
    assert (ended.code, "canary" in ended.err) == (2, False)
    (tmp_path / "vecload.toml").write_text(f'shards = "{",".join(shards)}"\n')
    ended = run("verify", files, *where, "--config", tmp_path / "vecload.toml")
    assert ended.code == 0, ended.err
    ended = run("query", "[1,1,1,1,1,1,1,1]", *several, *where, "--top-k", "3")
    assert len(ended.out.splitlines()) == 3
    ended = run("index", "delete", index_name, *several, "--key-file", key, "--yes")
    assert ended.code == 0, ended.err
    assert all(index_name not in vecload.connect(url).list_indexes() for url in shards)
    assert os.environ.get("VECLOAD_SHARDS") is None


def test_what_is_not_asked_for_is_not_answered(shards: list[str], index_name: str) -> None:
    index = vecload.connect(shards).create_index(index_name, vecload.generate_key())
    index.upsert([{"id": "a", "vector": [1.0, 2.0]}])
    inner = index._index  # noqa: SLF001 the target's own interface
    assert inner.query(Query(np.ones((1, 2), "f4"), 3, include=()))[0][0].distance is None
    assert [hit.id for hit in inner.query_metadata(MetadataQuery())] == ["a"]
    assert inner.sample_ids(5) == ["a"]


def test_two_runs_that_create_one_index_at_once_lose_nothing(
    shards: list[str], key: Path, index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = vecload.Key.load(key)
    create = ServiceTarget.create_index
    other: list[vecload.Index] = []

    def meanwhile(self: ServiceTarget, name: str, *rest: Any) -> Any:
        made = create(self, name, *rest)
        if not other and self.location == shards[0]:
            other.append(vecload.connect(shards).create_index(name, opened, dimension=2))
            other[0].upsert([{"id": f"id {n}", "vector": [1.0, float(n)]} for n in range(100)])
        return made

    monkeypatch.setattr(ServiceTarget, "create_index", meanwhile)
    with suppress(vecload.VecloadError):
        vecload.connect(shards).create_index(index_name, opened, dimension=2)
    assert len(other) == 1
    monkeypatch.undo()
    assert len(vecload.connect(shards).open_index(index_name, opened).list_ids()) == 100
    assert len({mark and mark.together for mark in marks(shards, index_name, opened)}) == 1


def test_the_key_of_the_key_store_opens_shards(files: Path, shards: list[str], index_name: str) -> None:
    several = ("--shards", ",".join(shards), "--index", index_name)
    assert run("upsert", files, *several, "--create-key").code == 0
    ended = run("get", "id 5", *several)
    assert json.loads(ended.out)["contents"] == "private rows 5"


def test_a_deletion_begins_only_if_every_shard_answers(
    files: Path, services: list[Service], shards: list[str], key: Path, index_name: str
) -> None:
    load(files, shards, index_name, key)
    index = vecload.connect(shards).open_index(index_name, vecload.Key.load(key))
    services[2].stop()
    try:
        with pytest.raises(vecload.VecloadError):
            index._index.drop()  # noqa: SLF001 the target's own interface
    finally:
        services[2].start()
    assert vecload.verify(files, shards=shards, index=index_name, key=key, extra=True).equal


def test_a_forked_process_asks_with_threads_of_its_own(shards: list[str], key: Path, index_name: str) -> None:
    opened = vecload.connect(shards).create_index(index_name, vecload.Key.load(key), dimension=2)
    opened.upsert([{"id": f"id {n}", "vector": [1.0, float(n)]} for n in range(20)])
    child = os.fork()
    if child == 0:
        try:
            os._exit(len(opened.list_ids()))
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 20
