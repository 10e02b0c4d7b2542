"""What differs is kept in the order of the rows, the last row of an id deciding, in bounded memory."""

from __future__ import annotations

import random
import resource
from pathlib import Path

import numpy as np
import pytest

from vecload.batch import Batch, Span
from vecload.errors import UsageError, VecloadError
from vecload.targets import IndexSettings
from vecload.targets.memory import MemoryTarget
from vecload.verifying.comparison import MISSING, Compared, Difference
from vecload.verifying.differences import Differences, check_place, write_differences
from vecload.verifying.presence import Presence
from vecload.verifying.selection import Amount, Selection, vectors_in_time

WRONG = (("metadata", "differs in 'n'"),)
GONE = (("item", MISSING),)


def compared(ids: list[str], differing: list[Difference]) -> Compared:
    return Compared(
        span=Span("s", 0, len(ids)),
        rows=len(ids),
        ids=ids,
        with_vectors=np.ones(len(ids), dtype=np.bool_),
        differing=tuple(differing),
        opened=0,
        unknown_key=0,
        not_sealed=0,
        lossy=-1,
    )


def test_a_later_row_decides() -> None:
    with Differences() as found:
        found.add(compared(["a", "b", "c"], [Difference("a", "s", 0, WRONG), Difference("b", "s", 1, GONE)]))
        assert found.counts() == (1, 1)
        found.add(compared(["a", "d"], []))
        assert [one.id for one in found] == ["b"]
        later = Difference("b", "t", 7, (*WRONG, ("vector", "is all zeros")))
        found.add(compared(["e", "b"], [Difference("e", "t", 6, GONE), later]))
        assert [*found] == [Difference("e", "t", 6, GONE), later]
        assert found.counts() == (1, 1)
        found.add(compared(["b", "e"], []))
        assert (found.counts(), [*found]) == ((0, 0), [])


def test_the_same_as_a_model_over_random_batches() -> None:
    chance = random.Random(3)  # noqa: S311 the same each time
    model: dict[str, Difference | None] = {}
    with Differences() as found:
        for batch in range(300):
            ids = chance.sample([f"id {n}\0é" for n in range(60)], 8)
            differing = [
                Difference(item_id, "s", 10 * batch + at, chance.choice([GONE, WRONG]))
                for at, item_id in enumerate(ids)
                if chance.random() < 0.4
            ]
            found.add(compared(ids, differing))
            model |= dict.fromkeys(ids)
            model |= {one.id: one for one in differing}
        expected = sorted((one for one in model.values() if one), key=lambda one: one.row)
        assert [*found] == expected
        assert found.counts() == (
            sum(one.missing for one in expected),
            sum(not one.missing for one in expected),
        )


def test_many_differences_take_little_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Differences() as found:
        for start in range(0, 300_000, 1000):
            ids = [f"an id of a usual length {number:09d}" for number in range(start, start + 1000)]
            found.add(compared(ids, [Difference(one, "s", 0, WRONG) for one in ids]))
        assert found.counts() == (0, 300_000)
        assert sum(1 for _ in found) == 300_000
    # As Python objects they would take 150 MB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 70_000


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    write_differences(str(path), [Difference("a", "s", 1, WRONG)], ["x"])
    before = path.read_text()
    assert before.count("\n") == 2
    check_place(str(path))

    def failing() -> object:
        yield Difference("a", "s", 1, WRONG)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_differences(str(path), failing(), ())  # type: ignore[arg-type]
    assert path.read_text() == before
    assert [one.name for one in tmp_path.iterdir()] == ["d.jsonl"]
    with pytest.raises(VecloadError, match="can't write differences"):
        write_differences(str(tmp_path / "none" / "d.jsonl"), [], ())
    (tmp_path / "e.jsonl").write_text('{"source": 1}\n')
    with pytest.raises(UsageError, match="not a file of differences"):
        check_place(str(tmp_path / "e.jsonl"))


def test_the_ids_that_no_row_has() -> None:
    with MemoryTarget() as target:
        index = target.create_index("a", bytes(32), IndexSettings(dimension=1))
        ids = [f"é{number}" for number in range(5000)]
        index.upsert(Batch(ids, np.ones((5000, 1), np.float32), None, None, Span("s", 0, 5000)))
        presence = Presence(index)
        assert presence.hidden(["é7", "none", "é4999"]) == {"é7", "é4999"}
        for start in range(0, 4990, 10):
            presence.see([*ids[start : start + 10], "not in the index"])
        assert presence.count_extra() == 10
        assert [*presence.extra()] == ids[4990:]
        index.drop()
        empty = target.create_index("b", bytes(32), IndexSettings(dimension=1))
        presence = Presence(empty)
        presence.see(["x"])
        assert (presence.hidden(["x"]), presence.count_extra(), [*presence.extra()]) == (set(), 0, [])


@pytest.mark.parametrize(
    ("text", "items", "part"),
    [
        ("all", 10, 1.0),
        ("5%", 10, 0.05),
        ("0.5%", 10, 0.005),
        ("100%", 10, 1.0),
        (5, 10, 0.5),
        ("5", 10, 0.5),
        (50, 10, 1.0),
        (5, 0, 1.0),
    ],
)
def test_amounts(text: int | str, items: int, part: float) -> None:
    amount = Amount.parse("--sample", text)
    assert amount is not None
    assert amount.part_of(items) == part


def test_a_selection_is_a_part_of_all_ids_and_the_same_for_each_of_them() -> None:
    ids = [f"doc-{number}" for number in range(20_000)]
    for part in (0.001, 0.1, 0.5, 0.99):
        select = Selection(part, random.Random(5))  # noqa: S311 the same each time
        chosen = select(ids)
        assert abs(chosen.mean() - part) < 0.02
        assert (select(ids[::-1])[::-1] == chosen).all()
        assert (select(ids[100:200]) == chosen[100:200]).all()
        other = Selection(part, random.Random(6))(ids)  # noqa: S311 another, and the same each time
        assert abs((chosen & other).mean() - part**2) < 0.02
    assert Selection(1.0)(ids).all()
    assert not Selection(0)(ids).any()


def test_a_service_returns_so_many_vectors_in_a_minute() -> None:
    assert vectors_in_time(768, 30_000) == Amount()
    assert vectors_in_time(768, 1_000_000) == Amount(number=39_062)
    assert vectors_in_time(0, 10) == Amount()
