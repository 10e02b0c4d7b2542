"""The sample of stored contents finds what is there, and what follows from it is one table."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vecload.batch import Batch, Contents, Span
from vecload.errors import AccessRefused, Busy, IndexMismatch, TargetError, VecloadError, WrongKey
from vecload.loading import contents_check
from vecload.loading.contents_check import (
    BYTES_AT_ONCE,
    BYTES_LOOKED_AT,
    CONTENTS_LOOKED_AT,
    FIRST_IDS,
    IDS_ASKED,
    IDS_AT_ONCE,
    ContentsCheck,
    StoredContents,
    look_at_contents,
)
from vecload.sealing import Key, Opener, Sealer, key_id_of
from vecload.targets import IndexSettings, StoredItem, Target, TargetIndex, connect_target
from vecload.targets.memory import MemoryTarget

KEY = Key(bytes(range(32)), b"c" * 32)
OLD = Key(KEY.index_key, b"o" * 32)
ITEMS = 1500
"""More than are looked at."""
FOUND = 15
"""So many of them are found: a sample of 1,000 lacks all with a chance below one in ten million."""
PARTS = (0.0, 0.01, 0.5, 0.99, 1.0)
MIXES = [
    (target, unsealed, unknown)
    for target in ("service", "folder", "memory")
    for unsealed in PARTS
    for unknown in PARTS
    if target == "memory" or not (unsealed and unknown)  # a part shows what an engine's sample finds
]


@pytest.fixture(params=["service", "folder", "memory"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    if request.param == "memory":
        yield MemoryTarget()
        return
    at = request.getfixturevalue("service") if request.param == "service" else tmp_path / "store"
    with connect_target(at) as made:
        yield made
    gc.collect()


@pytest.fixture
def index(target: Target, index_name: str) -> Iterator[TargetIndex]:
    made = target.create_index(index_name, KEY.index_key, IndexSettings(dimension=2))
    yield made
    with suppress(VecloadError):
        made.drop()


def put(index: TargetIndex, ids: Sequence[str], contents: Sequence[Contents | None] | None) -> None:
    for at in range(0, len(ids), 1000):
        some = [*ids[at : at + 1000]]
        own = None if contents is None else [*contents[at : at + 1000]]
        index.upsert(Batch(some, np.ones((len(some), 2), np.float32), None, own, Span("rows", 0, len(some))))


def mixed(index: TargetIndex, count: int, unsealed: float, unknown: float, *, seed: int) -> dict[str, int]:
    """Fill an index: a part unsealed, of the sealed ones a part with an old key. Returns how many of each."""
    ids = [f"item-{n:05}" for n in range(count)]
    chance = random.Random(seed)  # noqa: S311 a test
    chance.shuffle(ids)
    clear = round(count * unsealed)
    old = round((count - clear) * unknown)
    sealed, by_old = Sealer(KEY.contents_key, index.name), Sealer(OLD.contents_key, index.name)
    put(index, ids[:clear], [f"plain {item_id}" for item_id in ids[:clear]])
    put(index, ids[clear : clear + old], by_old.seal(ids[clear : clear + old], ["text"] * old))
    rest = ids[clear + old :]
    put(index, rest, sealed.seal(rest, ["text"] * len(rest)))
    return {"unsealed": clear, "unknown": old, "opened": len(rest)}


def expected(found: StoredContents, seal: bool | None) -> type[VecloadError] | str:
    """The error or the note by the table of docs/keys.md."""
    if seal is False:
        return "holds sealed contents" if found.opened + found.unknown else ""
    if found.unknown and not found.opened:
        return WrongKey
    if seal is None and (found.unknown or found.unsealed):
        return WrongKey if found.unknown else IndexMismatch
    if found.unknown:
        return "contents that this key does not open"
    return "holds unsealed contents" if found.unsealed else ""


@pytest.mark.parametrize(("target", "unsealed", "unknown"), MIXES, indirect=["target"])
def test_the_sample_finds_every_part_and_the_table_decides(
    index: TargetIndex, unsealed: float, unknown: float
) -> None:
    there = mixed(index, ITEMS, unsealed, unknown, seed=1)
    found = look_at_contents(index, Opener(KEY.opening_keys, index.name))
    assert found.looked_at >= CONTENTS_LOOKED_AT
    for name, count in there.items():
        assert (getattr(found, name) > 0) == (count > 0) or 0 < count < FOUND, name
    assert found.key_ids == ((key_id_of(OLD.contents_key).hex(),) if found.unknown else ())
    for seal in (None, True, False):
        check, then = ContentsCheck(seal, index, KEY), expected(found, seal)
        if isinstance(then, str):
            check.run()
            assert (check.found, bool(check.note)) == (found, bool(then))
            assert then in check.note
            assert check.line
        else:
            with pytest.raises(then):
                check.run()


@pytest.mark.parametrize("seed", range(5))
def test_few_contents_are_looked_at_one_and_all(target: Target, index_name: str, seed: int) -> None:
    index = target.create_index(f"{index_name}-{seed}", KEY.index_key, IndexSettings(dimension=2))
    there = mixed(index, 300, 0.01, 0.02, seed=seed)
    found = look_at_contents(index, Opener(KEY.opening_keys, index.name))
    assert found == StoredContents(**there, key_ids=found.key_ids)
    both = Opener([KEY.contents_key, OLD.contents_key], index.name)
    assert look_at_contents(index, both).opened == there["opened"] + there["unknown"]
    index.drop()


def test_contents_of_few_items_are_found_among_many_without(index: TargetIndex) -> None:
    put(index, [f"bare-{n}" for n in range(3000)], None)
    put(index, ["one", "two"], ["plain", None])
    assert look_at_contents(index, Opener([], index.name)).unsealed == 1
    with pytest.raises(IndexMismatch, match="1 of 1 looked at"):
        ContentsCheck(None, index, KEY).run()


def test_an_index_without_contents_or_without_items_takes_sealed_ones(index: TargetIndex) -> None:
    for _ in range(2):
        check = ContentsCheck(None, index, KEY)
        check.run()
        assert (check.note, check.line) == ("", "the index holds none yet")
        put(index, ["bare"], None)


class Recorded:
    """An index that answers from memory; it notes what it is asked for."""

    name = "docs"

    def __init__(self, contents: dict[str, str]) -> None:
        self._contents = contents
        self.asked: list[int] = []
        self.most: list[int] = []
        self.error: TargetError | None = None

    def count(self) -> int:
        return len(self._contents)

    def sample_ids(self, most: int) -> list[str]:
        self.most.append(most)
        return [*self._contents][:most]

    def get(self, ids: Sequence[str], include: Sequence[str]) -> list[StoredItem]:
        if self.error is not None:
            raise self.error
        self.asked.append(len(ids))
        return [StoredItem(i, None, {}, self._contents[i]) for i in ids if self._contents[i]]


def look(recorded: Any) -> StoredContents:
    return look_at_contents(recorded, Opener([], "docs"))


def test_large_contents_are_asked_for_a_few_at_a_time_and_not_without_end() -> None:
    size = BYTES_AT_ONCE // 4
    recorded = Recorded(dict.fromkeys(map(str, range(500)), "x" * size))
    assert look(recorded).unsealed * size < BYTES_LOOKED_AT + FIRST_IDS * size
    assert {*recorded.asked} == {FIRST_IDS}
    assert sum(recorded.asked) == -(-BYTES_LOOKED_AT // size // FIRST_IDS) * FIRST_IDS


def test_small_contents_take_few_requests() -> None:
    recorded = Recorded({str(n): "text" for n in range(5000)})
    assert look(recorded).unsealed == CONTENTS_LOOKED_AT
    assert recorded.most == [CONTENTS_LOOKED_AT]
    assert max(recorded.asked) == IDS_AT_ONCE
    assert len(recorded.asked) == 4


def test_items_without_contents_are_asked_once_and_not_without_end() -> None:
    recorded = Recorded({str(n): "" for n in range(50_000)})
    assert look(recorded).looked_at == 0
    assert recorded.most == [*IDS_ASKED]
    assert sum(recorded.asked) == IDS_ASKED[-1]


@pytest.mark.parametrize("seal", [None, True, False])
def test_a_target_that_cannot_show_contents_stops_only_where_nothing_is_said(seal: bool | None) -> None:
    recorded: Any = Recorded({"a": "text"})
    recorded.error = TargetError("the service can't return the contents of any item")
    check = ContentsCheck(seal, recorded, KEY)
    if seal is None:
        with pytest.raises(TargetError):
            check.run()
        return
    check.run()
    assert check.line == check.note
    assert "can't be looked at (the service can't return the contents of any item)" in check.note
    for error in (Busy("busy", status=503), AccessRefused("no")):
        recorded.error = error
        with pytest.raises(type(error)):
            check.run()


def test_messages_name_a_few_key_ids_and_no_contents() -> None:
    keys = [bytes([n]) * 32 for n in range(1, 6)]
    contents = {str(n): str(Sealer(key, "docs").seal([str(n)], ["private"])[0]) for n, key in enumerate(keys)}
    recorded: Any = Recorded(contents)
    with pytest.raises(WrongKey) as caught:
        ContentsCheck(None, recorded, KEY).run()
    shown = sorted(key_id_of(key).hex() for key in keys)[:3]
    assert f"key {', '.join(shown)}, …, not {KEY.key_id}" in str(caught.value)
    assert "private" not in str(caught.value)


def test_the_numbers_keep_what_the_docs_promise() -> None:
    assert (1 - 0.01) ** contents_check.CONTENTS_LOOKED_AT < 1 / 20_000


def test_unsealed_contents_decide_nothing_where_the_index_makes_vectors_from_them() -> None:
    plain, sealer = {"plain": "text"}, Sealer(OLD.contents_key, "docs")
    for seal in (None, True):
        recorded: Any = Recorded(plain)
        check = ContentsCheck(seal, recorded, KEY, embed=True)
        check.run()
        assert (check.note, check.line) == ("", "the index holds no sealed ones (1 looked at)")
        own = {"own": str(Sealer(KEY.contents_key, "docs").seal(["own"], ["text"])[0])}
        check = ContentsCheck(seal, Recorded({**plain, **own}), KEY, embed=True)  # type: ignore[arg-type]
        check.run()
        assert check.line == f"key {KEY.key_id} opens the sealed ones of the index (1 of 2 looked at)"
        recorded = Recorded({**plain, "old": str(sealer.seal(["old"], ["text"])[0])})
        with pytest.raises(WrongKey):
            ContentsCheck(seal, recorded, KEY, embed=True).run()


def test_without_a_contents_key_unsealed_contents_are_added_to_whatever_is_there() -> None:
    sealer = Sealer(KEY.contents_key, "docs")
    recorded: Any = Recorded({"plain": "text", "sealed": str(sealer.seal(["sealed"], ["text"])[0])})
    check = ContentsCheck(False, recorded, None)
    check.run()
    assert "holds sealed contents (1 of 2 looked at)" in check.note
