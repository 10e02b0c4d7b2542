"""Items that the service can't send, because a client stored what JSON can't say: each costs itself only."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import cyborgdb_core
import numpy as np
import pytest

import vecload
from tests.cli.command import vecload as run
from tests.servers import Service
from vecload.errors import Busy, ItemUnreadable, TargetError
from vecload.sealing import Key
from vecload.targets import IndexSettings, StoredItem
from vecload.targets.embedded import EmbeddedTarget
from vecload.targets.service import ServiceTarget
from vecload.targets.unreadable import HOPELESS_ITEMS, read_around

ALL = ("vector", "metadata", "contents")
NAME = "poisoned"
RAW = "with raw bytes"
NAN = "with nan in metadata"
GOOD = [f"good-{number}" for number in range(700)]
POISONS = {"raw bytes": "contents", "nan in a vector": "vector", "nan in metadata": "metadata"}
MIXED = [*GOOD[:40], "raw bytes", *GOOD[40:600], "nan in a vector", "nan in metadata", *GOOD[600:]]


@pytest.fixture(scope="module")
def key() -> Key:
    return vecload.generate_key()


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory, key: Key) -> Iterator[Service]:
    """A service on a folder in which the engine's own SDK stored items that the service can't send."""
    folder = tmp_path_factory.mktemp("poisoned")
    with EmbeddedTarget(folder / "data") as store:
        for name in (NAME, RAW, NAN):
            store.create_index(name, key.index_key, IndexSettings(dimension=4))
    client = cyborgdb_core.Client(storage_config=cyborgdb_core.StorageConfig.disk(str(folder / "data")))
    vector = np.ones(4, dtype=np.float32)
    good = [
        {"id": item_id, "vector": vector + at, "metadata": {"n": at}, "contents": f"text {at}"}
        for at, item_id in enumerate(GOOD)
    ]
    raw = {"id": "raw bytes", "vector": vector, "metadata": {"n": -1}, "contents": b"\xff\xfe\x00"}
    others = [
        {"id": "nan in a vector", "vector": np.float32([1, np.nan, 1, 1]), "contents": "still there"},
        {"id": "nan in metadata", "vector": vector, "metadata": {"n": float("nan")}, "contents": "as well"},
    ]
    for name, items in ((NAME, [*good, raw, *others]), (RAW, [*good, raw]), (NAN, [*good, others[1]])):
        client.load_index(name, key.index_key).upsert(items, index_key=key.index_key)
    del client
    with Service(folder / "service", data=folder / "data") as running:
        yield running


@pytest.fixture
def index(poisoned: Service, key: Key) -> Iterator[vecload.Index]:
    with vecload.connect(poisoned.url) as connection:
        yield connection.open_index(NAME, key)


def test_a_get_returns_all_items_and_names_the_fields_it_could_not_read(poisoned: Service, key: Key) -> None:
    with ServiceTarget(poisoned.url) as target:
        items = target.open_index(NAME, key.index_key).get([*MIXED, "absent", "good-3"], ALL)
    assert [item.id for item in items] == [*MIXED, "good-3"]
    assert {item.id: item.unreadable for item in items if item.unreadable} == {
        item_id: (name,) for item_id, name in POISONS.items()
    }
    for item in items:
        if item.id in GOOD:
            at = GOOD.index(item.id)
            assert item.vector is not None
            assert (item.vector.tolist(), item.metadata, item.contents) == (
                [1.0 + at] * 4,
                {"n": at},
                f"text {at}",
            )
    raw, vector, metadata = (next(item for item in items if item.id == item_id) for item_id in POISONS)
    assert raw.vector is not None
    assert (raw.vector.tolist(), raw.metadata, raw.contents) == ([1.0] * 4, {"n": -1}, None)
    assert (vector.vector, vector.contents) == (None, "still there")
    assert (metadata.metadata, metadata.contents) == ({}, "as well")


def test_only_the_fields_asked_for_are_unreadable(poisoned: Service, key: Key) -> None:
    with ServiceTarget(poisoned.url) as target:
        opened = target.open_index(NAME, key.index_key)
        assert all(not item.unreadable for item in opened.get([*POISONS], []))
        contents = opened.get([*POISONS], ["contents"])
    assert {item.id: item.unreadable for item in contents} == {
        "raw bytes": ("contents",),
        "nan in a vector": (),
        "nan in metadata": (),
    }


def test_an_index_gives_the_others_and_the_error_of_each(index: vecload.Index) -> None:
    unopened: dict[str, vecload.VecloadError] = {}
    items = index.get(MIXED, unopened=unopened)
    assert [item["id"] for item in items] == GOOD
    assert {*unopened} == {*POISONS}
    for item_id, error in unopened.items():
        assert isinstance(error, ItemUnreadable)
        assert (error.item_id, error.fields, error.exit_code) == (item_id, (POISONS[item_id],), 1)
        assert repr(item_id) in str(error)
        assert POISONS[item_id] in str(error)


def test_without_a_place_for_errors_the_first_is_raised_and_names_its_item(index: vecload.Index) -> None:
    with pytest.raises(ItemUnreadable, match="item 'raw bytes'"):
        index.get(MIXED)
    (item,) = index.get(["raw bytes"], include=["vector", "metadata"])
    assert item == {"id": "raw bytes", "vector": [1.0] * 4, "metadata": {"n": -1}}


def test_whatever_comes_after_such_an_item_goes_well(index: vecload.Index) -> None:
    for _ in range(20):
        with pytest.raises(ItemUnreadable):
            index.get(["nan in metadata"], include=["metadata"])
        assert index.count() == len(MIXED)


def test_a_query_that_finds_such_an_item_names_it(poisoned: Service, key: Key) -> None:
    with vecload.connect(poisoned.url) as connection:
        index = connection.open_index(NAN, key)
        for vectors in ([1, 1, 1, 1], [[9, 9, 9, 9], [1, 1, 1, 1]]):
            with pytest.raises(ItemUnreadable, match="the metadata of item 'nan in metadata'"):
                index.query(vectors, top_k=3)
        assert len(index.query([1, 1, 1, 1], top_k=3, include=["distance"])) == 3
        assert len(index.query([90, 90, 90, 90], top_k=3)) == 3


def test_the_command_prints_the_others(poisoned: Service, key: Key, tmp_path: Path) -> None:
    key.save(tmp_path / "the.key")
    ended = run(
        *("get", "good-1", "raw bytes", "good-2", "--to", poisoned.url, "--index", NAME),
        *("--key-file", str(tmp_path / "the.key")),
    )
    assert ended.code == 1
    assert [json.loads(line)["id"] for line in ended.out.splitlines()] == ["good-1", "good-2"]
    assert "item 'raw bytes'" in ended.err


def test_a_load_into_such_an_index_ends(poisoned: Service, key: Key) -> None:
    # The check of contents asks for a sample: here for all, also for the raw bytes.
    rows = [{"id": "new", "vector": [1.0] * 4, "text": "sealed"}]
    result = vecload.load(rows, to=poisoned.url, index=RAW, key=key, contents_column="text", seal=True)
    assert (result.status, result.loaded) == ("complete", 1)


class Broken:
    """A service whose gets fail where a test says so. It counts them."""

    def __init__(self, ids: Sequence[str], unreadable: Sequence[str], *, failing: int = 0) -> None:
        self.asked = 0
        self._ids = ids
        self._unreadable = {*unreadable}
        self._failing = failing
        self.error: TargetError = busy()

    def __call__(self, ids: Sequence[str], include: Sequence[str]) -> list[StoredItem]:
        self.asked += 1
        if self._failing:
            self._failing -= 1
            raise self.error
        if "contents" in include and self._unreadable.intersection(ids):
            raise busy()
        there = [item_id for item_id in ids if item_id in self._ids]
        return [StoredItem(item_id, None, {}, "text" if "contents" in include else None) for item_id in there]


def busy(*, unexplained: bool = True) -> Busy:
    error = Busy("the service answered 500 (no reason given)")
    error.unexplained = unexplained
    return error


def test_a_service_that_answers_nothing_is_asked_once_more_and_no_further() -> None:
    ask = Broken(GOOD, (), failing=9999)
    with pytest.raises(Busy):
        read_around(ask, GOOD, ALL, busy())
    assert ask.asked == 1


def test_another_500_is_not_taken_for_an_item() -> None:
    ask = Broken(GOOD, ())
    with pytest.raises(Busy):
        read_around(ask, GOOD, ALL, busy(unexplained=False))
    assert not ask.asked


def test_where_no_item_can_be_read_the_service_is_not_asked_for_each() -> None:
    ask = Broken(GOOD, GOOD)
    with pytest.raises(TargetError, match=f"contents of any of the first {HOPELESS_ITEMS} items"):
        read_around(ask, GOOD, ["contents"], busy())
    assert ask.asked < 4 * HOPELESS_ITEMS


def test_few_items_may_all_be_unreadable() -> None:
    ids = GOOD[: HOPELESS_ITEMS - 1]
    items = read_around(Broken(ids, ids), ids, ["contents"], busy())
    assert [item.unreadable for item in items] == [("contents",)] * len(ids)


def test_one_item_costs_few_requests() -> None:
    ids = GOOD[:512]
    ask = Broken(ids, [ids[300]])
    items = read_around(ask, ids, ["contents"], busy())
    assert [item.id for item in items if item.unreadable] == [ids[300]]
    assert ask.asked <= 2 * 9 + 3


@pytest.mark.parametrize("failing", [1, 2])
def test_a_passing_fault_makes_no_item_unreadable(failing: int) -> None:
    class Passing(Broken):
        """Fails for a while where contents are asked for."""

        def __call__(self, ids: Sequence[str], include: Sequence[str]) -> list[StoredItem]:
            return super().__call__(ids, include) if include else [StoredItem(i, None, {}, None) for i in ids]

    items = read_around(Passing(["a"], (), failing=1), ["a"], ["contents"], busy())
    assert [(item.contents, item.unreadable) for item in items] == [("text", ())]
    many = read_around(Passing(["a", "b"], (), failing=failing), ["a", "b"], ["contents"], busy())
    assert [(item.contents, item.unreadable) for item in many] == [("text", ())] * 2


def test_the_error_survives_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(ItemUnreadable("a", ("vector", "contents"))))  # noqa: S301 just written
    assert (error.item_id, error.fields) == ("a", ("vector", "contents"))
    assert "vector and the contents" in str(error)
    assert os.linesep not in str(error)
