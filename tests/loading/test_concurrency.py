"""The limit of batches in flight: it climbs while that pays, and falls when the target says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.loading.batches import Clock
from vecload.loading.tuning import SETTLED_WINDOWS, WINDOW_BATCHES, Concurrency


def run(concurrency: Concurrency, clock: Clock, rate: Callable[[int], float], windows: int) -> list[int]:
    """Let a target whose rate depends on the limit complete batches; the limit after each window."""
    limits = []
    for _ in range(windows):
        for _ in range(WINDOW_BATCHES * concurrency.limit):
            seconds = 1000 / rate(concurrency.limit)
            clock.now += seconds
            concurrency.completed(1000, seconds * concurrency.limit)
        limits.append(concurrency.limit)
    return limits


@pytest.mark.parametrize("best", [1, 2, 3, 5, 8])
def test_the_limit_climbs_to_where_more_do_not_help(best: int) -> None:
    clock = Clock()
    concurrency = Concurrency(1, 8, clock=clock)
    limits = run(concurrency, clock, lambda limit: 5000.0 * min(limit, best), 40)
    assert max(limits) <= min(best + 1, 8)
    assert Counter(limits[-SETTLED_WINDOWS:]).most_common(1)[0][0] == best


def test_a_target_that_gets_slower_with_more_is_left_at_one() -> None:
    clock = Clock()
    limits = run(Concurrency(1, 8, clock=clock), clock, lambda limit: 5000.0 / limit, 60)
    assert limits.count(2) <= 4
    assert limits[-1] == 1


def test_what_did_not_help_is_tried_again_after_some_time() -> None:
    clock = Clock()
    concurrency = Concurrency(1, 4, clock=clock)
    assert run(concurrency, clock, lambda limit: 1000.0, 3)[-1] == 1
    limits = run(concurrency, clock, lambda limit: 1000.0 * limit, 2 * SETTLED_WINDOWS)
    assert max(limits) == 4


def test_a_limit_that_was_climbed_to_is_left_again_where_fewer_do_as_well() -> None:
    clock = Clock()
    concurrency = Concurrency(1, 4, clock=clock)
    assert run(concurrency, clock, lambda limit: 1000.0 * limit, 8)[-1] == 4
    limits = run(concurrency, clock, lambda limit: 1000.0, 6 * SETTLED_WINDOWS)
    assert limits[-1] <= 2


def test_a_target_whose_answers_take_much_longer_is_given_less_to_do() -> None:
    clock = Clock()
    concurrency = Concurrency(4, 8, clock=clock)
    run(concurrency, clock, lambda limit: 1000.0, 3)
    limits = run(concurrency, clock, lambda limit: 200.0, 2)
    assert limits == [2, 2]


def test_a_target_that_is_slow_from_the_start_is_not_slowed_down_further() -> None:
    clock = Clock()
    assert min(run(Concurrency(2, 2, clock=clock), clock, lambda limit: 1.0, 40)) == 2


def test_batches_may_wait_encoded_beside_those_in_flight() -> None:
    concurrency = Concurrency(2, 2, queued=1)
    assert (concurrency.limit, concurrency.allowed) == (2, 3)


def test_a_busy_target_halves_the_limit_down_to_one() -> None:
    concurrency = Concurrency(8, 8)
    limits = []
    for _ in range(5):
        concurrency.busy()
        limits.append(concurrency.limit)
    assert limits == [4, 2, 1, 1, 1]


def test_after_a_busy_target_the_limit_rests_before_it_climbs() -> None:
    clock = Clock()
    concurrency = Concurrency(4, 4, clock=clock)
    concurrency.busy()
    limits = run(concurrency, clock, lambda limit: 1000.0 * limit, SETTLED_WINDOWS)
    assert set(limits) == {2}
    assert run(concurrency, clock, lambda limit: 1000.0 * limit, 4)[-1] > 2


def test_a_fixed_limit_stays() -> None:
    clock = Clock()
    assert set(run(Concurrency(3, 3, clock=clock), clock, lambda limit: 1000.0 * limit, 50)) == {3}


@given(
    start=st.integers(-5, 100),
    most=st.integers(-5, 64),
    events=st.lists(st.tuples(st.integers(0, 2000), st.floats(0, 1e6)) | st.none(), max_size=300),
)
def test_the_limit_is_always_between_one_and_the_most(
    start: int, most: int, events: list[tuple[int, float] | None]
) -> None:
    clock = Clock()
    concurrency = Concurrency(start, most, clock=clock)
    for event in events:
        clock.now += 0.01
        if event is None:
            concurrency.busy()
        else:
            items, seconds = event
            concurrency.completed(items, seconds)
        assert 1 <= concurrency.limit <= max(1, most)
