from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.loading.batches import batch_of
from vecload.batch import Batch, Origin, Reject, Span
from vecload.loading import repeated_ids
from vecload.loading.repeated_ids import EarlierRows, RepeatedIds, RepeatedRow, digests_of, policy_of
from vecload.mapping import ColumnMapping, Reasons
from vecload.options import RepeatedIdPolicy

ROWS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["batch", "batch", "earlier"])))


@settings(max_examples=200, deadline=None)
@given(ROWS, st.integers(1, 7), st.sampled_from(["reject", "last"]))
def test_a_row_is_rejected_if_and_only_if_a_dict_has_its_id_from_an_earlier_row(
    rows: list[tuple[str, str]], size: int, policy: RepeatedIdPolicy
) -> None:
    """Rows that earlier runs loaded lie between those of the batches, and count in their places."""
    ids = RepeatedIds(policy)
    pieces = [rows[at : at + size] for at in range(0, len(rows), size)]
    starts = list(range(0, len(rows), size))
    earlier = [
        EarlierRows("s", np.arange(at, at + len(piece)), digests_of([item_id for item_id, _ in piece]))
        for at, piece in zip(starts, pieces, strict=True)
        if piece[0][1] == "earlier"
    ]
    ids.expect(reversed(earlier))
    known: dict[str, int] = {}
    repeated = 0
    for at, piece in zip(starts, pieces, strict=True):
        texts = [item_id for item_id, _ in piece]
        again = {}
        for row, item_id in enumerate(texts, at):
            if item_id in known:
                again[row] = known[item_id]
            known.setdefault(item_id, row)
        repeated += len(again)
        if piece[0][1] == "earlier":
            continue
        checked = ids.checked(batch_of(texts, start=at, source="s"))
        if policy == "last":
            assert (checked.ids, checked.rejects) == (texts, ())
            continue
        assert {one.row: one.message for one in checked.rejects} == {
            row: f"repeats the id of row {first}" for row, first in again.items()
        }
        assert {(one.field, one.code, one.source) for one in checked.rejects} <= {("id", "repeated-id", "s")}
        left = [row for row in range(at, at + len(piece)) if row not in again]
        assert checked.item_rows().tolist() == left
        assert checked.ids == [texts[row - at] for row in left]
        assert checked.vectors is not None
        assert checked.vectors[:, 0].tolist() == left
    ids.end_of_source()
    assert (ids.repeated, ids.exact) == (repeated, True)


def test_the_earlier_row_is_named_by_its_source_where_that_is_another() -> None:
    ids = RepeatedIds("reject")
    ids.checked(batch_of(["a", "b"], source="one.jsonl"))
    checked = ids.checked(batch_of(["c", "b"], source="two.jsonl", start=7))
    (reject,) = checked.rejects
    assert str(reject) == "two.jsonl, row 8 (id 'b'): id: repeats the id of row 1 of one.jsonl"
    assert ids.first == RepeatedRow("two.jsonl", 8, "b")


def test_rejects_keep_the_order_of_rows_and_what_is_known_of_them() -> None:
    bad = Reject("s", 1, "vector", "nan", "holds NaN", "b")
    batch = Batch(
        ["a", "a", "a"],
        np.ones((3, 2), np.float32),
        [{"n": 0}, {"n": 2}, {"n": 3}],
        ["x", None, b"z"],
        Span("s", 0, 4, 0, 40),
        np.array([0, 2, 3]),
        (bad,),
        Origin([0, 10, 20, 30], lambda position: f"raw {position}"),
    )
    checked = RepeatedIds("reject").checked(batch)
    assert [(one.row, one.code) for one in checked.rejects] == [
        (1, "nan"),
        (2, "repeated-id"),
        (3, "repeated-id"),
    ]
    assert [(one.offset, one.raw) for one in checked.rejects[1:]] == [(20, "raw 2"), (30, "raw 3")]
    assert (checked.ids, checked.metadata, checked.contents) == (["a"], [{"n": 0}], ["x"])
    assert checked.span == batch.span


def test_the_id_of_a_row_that_became_no_item_may_stand_again() -> None:
    ids = RepeatedIds("reject")
    bad = Reject("s", 0, "vector", "nan", "holds NaN", "a")
    ids.checked(
        Batch([], np.ones((0, 2), np.float32), None, None, Span("s", 0, 1), np.array([], int), (bad,))
    )
    assert ids.checked(batch_of(["a"], start=1)).ids == ["a"]
    assert ids.repeated == 0


def test_rows_that_another_load_loaded_are_not_replaced_and_not_counted() -> None:
    ids = RepeatedIds("reject")
    ids.loaded("one", np.array([4, 5]), ["a", "a"])
    ids.loaded_elsewhere(["b"])
    checked = ids.checked(batch_of(["a", "b", "c"]))
    assert checked.ids == ["c"]
    assert [one.message for one in checked.rejects] == [
        "repeats the id of row 4 of one",
        "repeats the id of an earlier row",
    ]
    assert ids.repeated == 2


def test_beyond_the_bound_the_count_is_the_least_and_that_is_told_once_where_it_costs_rows() -> None:
    for policy, lines in (("reject", 1), ("last", 0)):
        told: list[str] = []
        ids = RepeatedIds(policy, limit=3, tell=told.append)  # type: ignore[arg-type] # one of the two
        for start in (0, 4):
            ids.checked(batch_of(["a", "b", "c", "d"], start=start))
        assert ids.repeated == 3
        assert not ids.exact
        assert len(told) == lines
        assert not lines or "more than 3 different ids" in told[0]


def test_earlier_rows_are_kept_only_as_far_as_there_is_room() -> None:
    taken: list[int] = []

    def endless() -> object:
        for start in range(0, 1000, 2):
            taken.append(start)
            yield EarlierRows("s", np.array([start, start + 1]), digests_of([f"{start}", f"{start}-"]))

    ids = RepeatedIds("reject", limit=5)
    ids.expect(endless())  # type: ignore[arg-type] # a generator of them
    assert taken == [0, 2, 4]
    assert ids.room == 0
    ids.end_of_source()
    assert not ids.exact
    assert ids.checked(batch_of(["4", "4-"], start=2000)).ids == ["4-"]


def test_rows_are_named_only_while_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated_ids, "PLACES", 3)
    ids = RepeatedIds("reject")
    ids.checked(batch_of(["a", "b"]))
    ids.checked(batch_of(["c", "d"], start=2))
    ids.checked(batch_of(["e"], start=4))
    checked = ids.checked(batch_of(["d", "e"], start=5))
    assert [one.message for one in checked.rejects] == [
        "repeats the id of row 3",
        "repeats the id of an earlier row",
    ]


def test_repeated_ids_are_rejected_where_any_id_was_guessed_and_nobody_says_otherwise() -> None:
    named = ColumnMapping("id", "v", reasons=Reasons(id="--id-column"))
    guessed = ColumnMapping("id", "v", reasons=Reasons(id="its name"))
    made = ColumnMapping(None, "v", reasons=Reasons(id="--generate-ids"))
    assert [mapping.id_guessed for mapping in (named, guessed, made)] == [False, True, False]
    assert policy_of(None, [named, made]) == "last"
    assert policy_of(None, [named, guessed]) == "reject"
    assert policy_of("last", [guessed]) == "last"
    assert policy_of("reject", [named]) == "reject"
