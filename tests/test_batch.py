"""A batch divided is the same items, the same rejects, the same places in the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vecload.batch import Batch, Origin, Reject, Span


def batch_of(start: int, good: Sequence[bool], *, lines: bool) -> Batch:
    """A batch of rows, of which some are rejects."""
    numbers = [start + i for i, kept in enumerate(good) if kept]
    rejects = tuple(
        Reject("rows", start + i, "vector", "nan", "holds NaN") for i, kept in enumerate(good) if not kept
    )
    offsets = [1000 + 10 * i for i in range(len(good))] if lines else None
    stop = start + len(good)
    span = Span("rows", start, stop, *((1000, 1000 + 10 * len(good) + 7) if lines else ()))
    return Batch(
        [f"i{n}" for n in numbers],
        np.array(numbers, dtype=np.float32).reshape(-1, 1),
        [{"n": n} for n in numbers],
        None,
        span,
        np.array(numbers, dtype=np.int64) if rejects else None,
        rejects,
        Origin(offsets, lambda position: f"row {start + position}"),
    )


@given(
    st.integers(0, 50), st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 45), st.booleans()
)
def test_a_split_batch_says_the_same(start: int, good: list[bool], rows: int, lines: bool) -> None:
    whole = replace(batch_of(start, good, lines=lines), nan_left_out=7)
    parts = [*whole.split(rows)]
    assert sum(part.nan_left_out for part in parts) == 7
    assert sum(part.part(0, 1).nan_left_out for part in parts) == 0
    assert all(len(part.span) <= rows for part in parts)
    assert [part.span.start for part in parts] == [*range(start, start + len(good), rows)]
    assert parts[-1].span.stop == whole.span.stop
    assert [item_id for part in parts for item_id in part.ids] == whole.ids
    assert [n for part in parts for n in part.item_rows().tolist()] == whole.item_rows().tolist()
    assert [reject for part in parts for reject in part.rejects] == [*whole.rejects]
    for part in parts:
        assert part.vectors is not None
        assert part.vectors.ravel().tolist() == part.item_rows().tolist()
        assert part.metadata == [{"n": n} for n in part.item_rows().tolist()]
        assert all(part.span.start <= reject.row < part.span.stop for reject in part.rejects)
        found = part.origin.reject(part.span, part.span.start, "item", "refused", "no", None)
        assert found.raw == f"row {part.span.start}"
        assert found.offset == (1000 + 10 * (part.span.start - start) if lines else None)
        assert part.span.begin == found.offset
    # Each part ends where the next begins: a load that goes on reads neither a row twice nor none.
    assert [part.span.end for part in parts[:-1]] == [part.span.begin for part in parts[1:]]
    assert parts[-1].span.end == whole.span.end


def mixed(ids: Sequence[str], lacking: Sequence[bool]) -> Batch:
    """A batch in which some items have no vector. Each has its number in all of its parts."""
    n = len(ids)
    return Batch(
        [*ids],
        np.arange(n, dtype=np.float32).reshape(-1, 1),
        [{"n": i} for i in range(n)],
        [f"text {i}" for i in range(n)],
        Span("rows", 0, n),
        to_embed=np.array(lacking, dtype=np.bool_),
    )


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=40))
def test_a_batch_by_vector_has_every_item_once_and_those_of_an_id_in_order(
    rows: list[tuple[str, bool]],
) -> None:
    whole = mixed([item_id for item_id, _ in rows], [lacking for _, lacking in rows])
    sent: list[int] = []
    for part in whole.by_vector():
        assert part.to_embed is None
        assert part.metadata is not None
        assert part.contents is not None
        numbers = [entries["n"] for entries in part.metadata if entries]
        assert [rows[n][0] for n in numbers] == part.ids
        assert [f"text {n}" for n in numbers] == part.contents
        assert {rows[n][1] for n in numbers} <= {part.vectors is None}
        if part.vectors is not None:
            assert part.vectors[:, 0].tolist() == numbers
            assert part.vectors.flags.c_contiguous
        sent += numbers
    assert sorted(sent) == [*range(len(rows))]
    for item_id in "abcdefgh":
        own = [n for n in sent if rows[n][0] == item_id]
        assert own == sorted(own)


def test_a_batch_without_an_id_twice_is_two_at_most() -> None:
    whole = mixed([f"i{n}" for n in range(100)], [n % 2 == 0 for n in range(100)])
    assert [len(part) for part in whole.by_vector()] == [50, 50]
    assert [part.vectors is None for part in whole.by_vector()] == [True, False]


def test_a_batch_of_items_with_vectors_is_left_as_it_is() -> None:
    whole = replace(mixed(["a"], [False]), to_embed=None)
    assert whole.by_vector() == [whole]
    assert [whole.has_vector(0), replace(whole, vectors=None).has_vector(0)] == [True, False]


def test_parts_of_a_batch_know_which_items_have_no_vector() -> None:
    whole = mixed("abcd", [True, False, True, False])
    part = whole.part(1, 3)
    assert [part.has_vector(0), part.has_vector(1)] == [True, False]
    kept = whole.keep_only(np.array([True, False, False, True]), ())
    assert [kept.has_vector(0), kept.has_vector(1)] == [False, True]
    halves = [*whole.split(2)]
    assert [half.to_embed.tolist() for half in halves if half.to_embed is not None] == [[True, False]] * 2
