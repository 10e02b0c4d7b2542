"""A load whose index was dropped meanwhile is not called complete."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl
from tests.faults.proxy import Exchange, Proxy
from vecload.batch import Batch, Span
from vecload.errors import IndexReplaced
from vecload.loading.index_checks import check_still_there
from vecload.sealing import Key
from vecload.targets import IndexSettings, TargetIndex, connect_target
from vecload.targets.memory import MemoryTarget

KEY = Key(bytes(range(32)), bytes(range(32, 64)))


@pytest.mark.parametrize("there", [False, True])
def test_an_index_dropped_and_made_anew_during_a_load_is_an_error(
    service: str, tmp_path: Path, new_name: Callable[[], str], there: bool
) -> None:
    name, key_file = new_name(), tmp_path / "key"
    KEY.save(key_file)
    source = write_jsonl(tmp_path / "rows.jsonl", rows(400))

    def drop(exchange: Exchange) -> None:
        if exchange.number == 20:
            with connect_target(service) as target:
                target.open_index(name, KEY.index_key).drop()
                target.create_index(name, KEY.index_key, IndexSettings(dimension=8))
        exchange.pass_on()

    with Proxy(service, drop) as proxy:
        if there:
            vecload("index", "create", name, "--dimension", "8", "--to", service, "--key-file", key_file)
        load = ("upsert", source, "--to", proxy.url, "--index", name, "--key-file", key_file)
        ended = vecload(*load, "--batch-rows", "10", "--concurrency", "1")
        again = vecload(*load)
        fresh = vecload(*load, "--fresh")

    assert ended.code == 1
    assert "lacks items that this load stored" in ended.error
    assert "--fresh" in ended.error
    assert "replaced by later rows" not in ended.err
    assert (again.code, fresh.code) == (2, 0)


def batch_of(*ids: str) -> Batch:
    return Batch([*ids], np.ones((len(ids), 2), dtype=np.float32), None, None, Span("rows", 0, len(ids)))


def index_of(*ids: str) -> TargetIndex:
    index = MemoryTarget().create_index("docs", KEY.index_key, IndexSettings(dimension=2))
    index.upsert(batch_of(*ids))
    return index


@pytest.mark.parametrize(
    ("ids", "samples", "loaded", "repeated"),
    [
        (["a", "b"], ["a"], 2, 0),
        (["a", "b"], ["a", "a"], 5, 3),
        (["a", "b"], ["b"], 5, None),
        (["a", "b", "old"], [], 2, 0),
        (["old"], [], 0, 0),
    ],
)
def test_what_is_there_is_no_error(
    ids: list[str], samples: list[str], loaded: int, repeated: int | None
) -> None:
    check_still_there(index_of(*ids), samples, loaded=loaded, repeated=repeated)


@pytest.mark.parametrize(
    ("ids", "samples", "loaded", "repeated", "says"),
    [
        (["b"], ["a", "b"], 2, None, "1 of 2 items looked up"),
        (["old", "older"], ["a"], 2, 0, "1 of 1 items looked up"),
        (["a"], ["a"], 3, 1, "it holds 1 items, but the load stored 2"),
        (["a"], [], 2, 0, "it holds 1 items, but the load stored 2"),
    ],
)
def test_what_is_gone_is_one(
    ids: list[str], samples: list[str], loaded: int, repeated: int | None, says: str
) -> None:
    with pytest.raises(IndexReplaced, match=says) as caught:
        check_still_there(index_of(*ids), samples, loaded=loaded, repeated=repeated)
    assert caught.value.exit_code == 1


def test_items_that_the_engine_may_hide_are_counted_alone() -> None:
    check_still_there(index_of("b"), ["a"], loaded=1, repeated=0, hidden=True)
    with pytest.raises(IndexReplaced):
        check_still_there(index_of("b"), ["a"], loaded=2, repeated=0, hidden=True)


def test_an_item_that_another_process_replaces_just_now_is_looked_for_again() -> None:
    index = index_of("a")

    def put_back(seconds: float) -> None:
        index.upsert(batch_of("b"))

    check_still_there(index, ["b"], loaded=2, repeated=0, sleep=put_back)
