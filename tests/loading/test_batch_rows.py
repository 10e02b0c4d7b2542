"""The rows of a batch: learnt in the first seconds, and then left alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.loading.batches import Clock
from vecload.loading.tuning import OTHERS_MOST, ROUNDS, TRIAL_BATCHES, BatchRows


def settle(rows: BatchRows, clock: Clock, rate: Callable[[int], float], batches: int = 1000) -> list[int]:
    """Let a target whose rate depends on the size take batches; the sizes tried, in order."""
    tried = [rows.now]
    for _ in range(batches):
        if rows.settled:
            return tried
        clock.now += rows.now / rate(rows.now)
        rows.completed(rows.now)
        if rows.now != tried[-1]:
            tried.append(rows.now)
    raise AssertionError("it never settles")


@pytest.mark.parametrize("best", [500, 1000, 2000])
def test_the_fastest_size_is_found_and_kept(best: int) -> None:
    clock = Clock()
    rows = BatchRows([1000, 500, 2000], clock=clock)
    tried = settle(rows, clock, lambda size: 1500.0 if size == best else 1000.0)
    assert rows.now == best
    assert tried[: 3 * ROUNDS] == [1000, 500, 2000] * ROUNDS
    rows.completed(best)
    assert (rows.now, rows.settled) == (best, True)


def test_a_gain_within_the_noise_leaves_the_usual_size() -> None:
    clock = Clock()
    rows = BatchRows([1000, 500], clock=clock)
    settle(rows, clock, lambda size: 1040.0 if size == 500 else 1000.0)
    assert rows.now == 1000


def test_a_target_that_was_slow_for_a_moment_is_not_misjudged() -> None:
    clock = Clock()
    rows = BatchRows([1000, 500], clock=clock)
    settle(
        rows, clock, lambda size: 10.0 if size == 1000 and clock.now < 1000 + TRIAL_BATCHES * 100 else 1000.0
    )
    assert rows.now == 1000


def test_batches_of_other_sizes_are_not_counted() -> None:
    clock = Clock()
    rows = BatchRows([1000, 500], clock=clock)
    for _ in range(OTHERS_MOST):
        clock.now += 1
        rows.completed(700)
    assert (rows.now, rows.settled) == (1000, False)
    settle(rows, clock, lambda size: 2000.0 if size == 500 else 1000.0)
    assert rows.now == 500


def test_where_batches_are_bounded_by_their_bytes_nothing_is_learnt() -> None:
    rows = BatchRows([1000, 500])
    for _ in range(OTHERS_MOST + 1):
        rows.completed(300)
    assert (rows.now, rows.settled) == (1000, True)


def test_one_size_is_settled() -> None:
    assert BatchRows([7]).settled
    assert BatchRows([7]).piece == 7


@pytest.mark.parametrize(
    ("dimension", "piece"), [(0, 2000), (128, 2000), (384, 2000), (768, 1000), (1536, 1000)]
)
def test_larger_batches_are_tried_where_vectors_are_small(dimension: int, piece: int) -> None:
    rows = BatchRows.auto(dimension)
    assert (rows.now, rows.piece) == (1000, piece)
