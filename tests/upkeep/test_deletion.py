"""Deletion from Python: repeated where that can help, and counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecload
from vecload.batch import Batch, Span
from vecload.errors import Unreachable
from vecload.loading.retry import Sender
from vecload.targets import IndexSettings
from vecload.targets.filters import has_condition
from vecload.targets.memory import MemoryIndex, MemoryTarget
from vecload.upkeep.deletion import DeleteResult, find

KEY = bytes(range(32))


def memory_index(items: int) -> MemoryIndex:
    index = MemoryTarget().create_index("docs", KEY, IndexSettings(dimension=2))
    ids = [f"id-{n}" for n in range(items)]
    index.upsert(Batch(ids, np.ones((items, 2), dtype=np.float32), None, None, Span("rows", 0, items)))
    return index


class Flaky:
    """An index whose every second deletion fails, after or before it was carried out."""

    def __init__(self, index: MemoryIndex) -> None:
        self.index = index
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.index, name)

    def delete(self, ids: Sequence[str]) -> None:
        self.calls += 1
        if self.calls % 4 == 1:
            raise Unreachable("no connection")
        self.index.delete(ids)
        if self.calls % 4 == 3:
            raise Unreachable("no answer")


def test_a_deletion_that_fails_is_repeated_and_counted_once() -> None:
    index = Flaky(memory_index(9000))
    result = DeleteResult()
    sender = Sender(index.prepare, pause=lambda seconds: None)
    ids = [f"id-{n}" for n in range(500, 10_000)]

    find(index, sender, ids, None, result).run()  # type: ignore[arg-type]

    assert index.calls == 10
    assert (result.asked, result.found, result.missing, result.deleted) == (9500, 8500, 1000, 8500)
    assert sorted(index.list_ids()) == sorted(f"id-{n}" for n in range(500))


def test_python_deletes_by_ids_and_by_filters(tmp_path: Path) -> None:
    here: dict[str, Any] = {"to": tmp_path / "store", "index": "docs", "key": vecload.generate_key()}
    vecload.load([{"id": f"i{n}", "vector": [1.0, n], "n": n} for n in range(10)], **here)

    counted = vecload.delete(filters={"n": {"$lt": 3}}, **here, dry_run=True)
    first = vecload.delete(filters={"n": {"$lt": 3}}, **here)
    second = vecload.delete((f"i{n}" for n in range(5)), **here)

    assert (counted.status, counted.found, counted.deleted) == ("counted", 3, 0)
    assert (first.status, first.deleted) == ("deleted", 3)
    assert (second.asked, second.found, second.missing, second.deleted) == (5, 2, 3, 2)
    left = vecload.connect(here["to"]).open_index("docs", here["key"]).list_ids()
    assert sorted(left) == [f"i{n}" for n in range(5, 10)]


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        ({}, vecload.UsageError, "delete takes ids or filters"),
        ({"ids": ["a"], "filters": {"a": 1}}, vecload.UsageError, "delete takes ids or filters"),
        ({"ids": "a"}, TypeError, "a list of ids"),
        ({"ids": [1]}, TypeError, "a list of ids"),
        ({"filters": {}}, vecload.UsageError, "matches every item"),
        ({"filters": "n = 1"}, TypeError, "not an object"),
    ],
)
def test_what_is_no_id_and_no_filter_is_refused(
    tmp_path: Path, arguments: dict[str, Any], kind: type[Exception], says: str
) -> None:
    here: dict[str, Any] = {"to": tmp_path / "store", "index": "docs", "key": vecload.generate_key()}
    vecload.load([{"id": "a", "vector": [1.0, 2.0]}], **here)
    with pytest.raises(kind, match=says):
        vecload.delete(**arguments, **here)
    assert vecload.connect(here["to"]).open_index("docs", here["key"]).count() == 1


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, False),
        ({"n": {}}, False),
        ({"$and": []}, False),
        ({"$or": [{}, {"$and": [{"n": {}}]}]}, False),
        ({"$or": [{}, {"n": 1}]}, False),
        ({"$or": [{"m": 1}, {"n": 1}]}, True),
        ({"n": None}, True),
        ({"n": []}, True),
        ({"$not": {"n": 1}}, True),
        ({"$and": [{}, {"n": {"$gt": 0}}]}, True),
    ],
)
def test_a_filter_without_a_condition_is_recognised(filters: dict[str, Any], expected: bool) -> None:
    assert has_condition(filters) is expected
