"""Every corruption of an index is found, with its item and field, and none is invented."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecload
from tests.verifying.corruptions import KINDS, Corruptor
from vecload.sealing import Key
from vecload.targets import connect_target

ITEMS = 120
ROUNDS = [12] * 22 + [1] * 36
"""How many items are corrupted before each verification: 300. One alone must be found, too."""
LONG = os.environ.get("VECLOAD_LONG")


def rows_of(count: int, dim: int = 8, seed: int = 0) -> list[dict[str, Any]]:
    """Rows with a vector, metadata of every type, and contents that are text or bytes."""
    chance = random.Random(seed)  # noqa: S311 the same rows each time
    vectors = np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)
    values: list[Any] = [
        0,
        1,
        -0.0,
        0.0,
        1.0,
        2**70,
        True,
        False,
        None,
        "",
        "żółć",
        [1, [2.5, None]],
        {"a": {}},
    ]
    return [
        {
            "id": f"id {number}",
            "vector": vectors[number],
            "metadata": {
                "n": number,
                **{f"f{field}": chance.choice(values) for field in range(chance.randrange(4))},
            },
            "contents": f"text {number}" if number % 2 else b"\xff%d" % number,
        }
        for number in range(count)
    ]


@pytest.fixture(params=["embedded", "service"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "embedded" else str(request.getfixturevalue("service"))


@pytest.fixture
def key() -> Key:
    return vecload.generate_key()


@pytest.fixture
def loaded(place: str, index_name: str, key: Key) -> Iterator[dict[str, Any]]:
    """The arguments of a load of `rows_of(ITEMS)` that was done."""
    arguments: dict[str, Any] = {"to": place, "index": index_name, "key": key}
    vecload.load(rows_of(ITEMS), **arguments)
    yield arguments
    with vecload.connect(place) as connection:
        connection.delete_index(index_name, key)


def found_by(result: vecload.VerifyResult, path: Path) -> dict[str, set[str]]:
    """The fields that differ by item, as the file of differences has them; checked against the result."""
    found: dict[str, set[str]] = {}
    missing, extra = 0, 0
    for line in path.read_text().splitlines():
        one = json.loads(line)
        assert [*one] == ["id", "source", "row", "field", "what"]
        found.setdefault(one["id"], set()).add(one["field"])
        missing += one["what"] == "is missing"
        extra += one["source"] is None
        if one["source"] is not None:
            assert one["id"] == f"id {one['row']}"
    assert (result.missing, result.extra) == (missing, extra)
    assert result.different == len(found) - missing - extra
    assert result.status == ("different" if found else "equal")
    assert result.exit_code == (5 if found else 0)
    return found


def check_rounds(loaded: dict[str, Any], folder: Path, rounds: list[int]) -> None:
    """Corrupt items of every kind, find just these, and load them again, in turn."""
    rows, file = rows_of(ITEMS), folder / "differences.jsonl"
    chance = random.Random(1)  # noqa: S311 the same each time
    kinds = itertools.cycle(KINDS)
    for at_once in rounds:
        ids = chance.sample([row["id"] for row in rows], 2 * at_once)
        expected: dict[str, set[str]] = {}
        with connect_target(loaded["to"]) as target:
            index = target.open_index(loaded["index"], loaded["key"].index_key)
            corruptor = Corruptor(index, loaded["key"], chance)
            for one, other in zip(ids[::2], ids[1::2], strict=True):
                expected |= next(kinds)(corruptor, one, other)
        result = vecload.verify(rows, **loaded, vectors="all", extra=True, differences=file)
        assert found_by(result, file) == expected
        assert (result.checked, result.vectors_checked) == (ITEMS, ITEMS - result.missing)
        with connect_target(loaded["to"]) as target:
            index = target.open_index(loaded["index"], loaded["key"].index_key)
            index.delete([item_id for item_id in expected if "nobody" in item_id])
        if again := [row for row in rows if row["id"] in expected]:
            vecload.load(again, **loaded, seal=True)
    assert found_by(vecload.verify(rows, **loaded, extra=True, differences=file), file) == {}


@pytest.mark.parametrize("place", ["embedded"], indirect=True)
def test_300_corruptions_are_found_and_none_is_invented(loaded: dict[str, Any], tmp_path: Path) -> None:
    assert sum(ROUNDS) == 300
    check_rounds(loaded, tmp_path, ROUNDS)


@pytest.mark.parametrize("place", ["service"], indirect=True)
def test_corruptions_of_a_service_are_found(loaded: dict[str, Any], tmp_path: Path) -> None:
    check_rounds(loaded, tmp_path, [12, 12, 1, 1])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("place", ["embedded"], indirect=True)
def test_a_single_corruption_is_found(loaded: dict[str, Any], tmp_path: Path, kind: Any) -> None:
    with connect_target(loaded["to"]) as target:
        index = target.open_index(loaded["index"], loaded["key"].index_key)
        expected = kind(Corruptor(index, loaded["key"], random.Random(0)), "id 7", "id 8")  # noqa: S311
    file = tmp_path / "differences.jsonl"
    result = vecload.verify(rows_of(ITEMS), **loaded, extra=True, differences=file)
    assert found_by(result, file) == expected


@pytest.mark.parametrize("place", ["embedded"], indirect=True)
def test_clean_indexes_are_equal(place: str, key: Key) -> None:
    count, times = (100_000, 10) if LONG else (2500, 2)
    for seed in range(times):
        rows = rows_of(count, seed=seed)
        where: dict[str, Any] = {"to": place, "index": f"clean-{seed}", "key": key}
        vecload.load(rows, **where)
        result = vecload.verify(rows, **where, extra=True)
        assert (result.status, result.checked, result.vectors_checked) == ("equal", count, count)
        assert (result.missing, result.different, result.extra) == (0, 0, 0)
