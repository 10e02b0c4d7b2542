"""Sending a batch: what is sent again, when, for how long; and how bad rows are found."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.loading.batches import Clock, ack_of, batch_of, numbered
from vecload.batch import Batch
from vecload.errors import (
    BatchRefused,
    Busy,
    IndexNotFound,
    ItemLimit,
    NotAcknowledged,
    StoreLocked,
    TargetError,
    Unauthorised,
    Unreachable,
    WrongKey,
)
from vecload.loading.retry import SERVER_FAULTS, UNACKNOWLEDGED, RetryPolicy, Sender, Stopping
from vecload.targets import Ack


def busy(status: int, retry_after: float | None = None) -> Busy:
    error = Busy(f"the service answered {status}", status=status)
    error.retry_after = retry_after
    return error


class Script:
    """A target that fails as it was told, and takes everything after that."""

    def __init__(self, *failures: Exception | None) -> None:
        self.failures = [*failures]
        self.sent: list[list[str]] = []

    def __call__(self, batch: Batch) -> Ack:
        self.sent.append(batch.ids)
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return ack_of(batch)


class Poisoned:
    """A target that refuses every batch that holds a bad id, whole, and keeps the order of the rest."""

    def __init__(self, bad: Iterable[str], error: Callable[[], TargetError]) -> None:
        self.bad = {*bad}
        self.error = error
        self.requests = 0
        self.stored: list[str] = []

    def __call__(self, batch: Batch) -> Ack:
        self.requests += 1
        if not self.bad.isdisjoint(batch.ids):
            raise self.error()
        self.stored += batch.ids
        return ack_of(batch)


def sender(upsert: Callable[[Batch], Ack], clock: Clock | None = None, **settings: Any) -> Sender:
    clock = clock or Clock()
    settings = {"chance": lambda: 1.0, **settings}
    return Sender(partial(partial, upsert), clock=clock, pause=clock.pause, **settings)


@pytest.mark.parametrize(
    "failure",
    [
        Unreachable("reset"),
        busy(408),
        busy(429),
        busy(500),
        busy(502),
        busy(503),
        busy(504),
        NotAcknowledged("what?"),
    ],
)
def test_what_may_succeed_later_is_sent_again(failure: TargetError) -> None:
    target = Script(failure)
    outcome = sender(target).send(numbered(3))
    assert target.sent == [["i0", "i1", "i2"]] * 2
    assert (outcome.ack.items, outcome.rejects, outcome.retries) == (3, (), 1)


@pytest.mark.parametrize(
    "failure",
    [
        Unauthorised("401"),
        WrongKey("404"),
        ItemLimit("full"),
        StoreLocked("locked"),
        TargetError("a redirect"),
        IndexNotFound("gone"),
    ],
)
def test_what_can_not_succeed_is_sent_once_and_never_halved(failure: Exception) -> None:
    target = Script(failure)
    with pytest.raises(type(failure)) as caught:
        sender(target).send(numbered(8))
    assert caught.value is failure
    assert len(target.sent) == 1


def test_waits_double_up_to_their_bound() -> None:
    clock = Clock()
    sender(Script(*[Unreachable("reset")] * 9), clock).send(numbered(1))
    assert clock.waits == [0.25, 0.5, 1, 2, 4, 8, 15, 15, 15]


@given(
    failures=st.integers(1, 2000),
    asked=st.none() | st.floats(0, 300),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_a_wait_is_never_less_than_asked_for_nor_beyond_the_bound(
    failures: int, asked: float | None, chance: float
) -> None:
    policy = RetryPolicy()
    wait = policy.next_wait(failures, asked, chance)
    assert (asked or 0) <= wait <= (asked or 0) + policy.wait_max


def test_the_jitter_is_full() -> None:
    clock = Clock()
    chances = iter([0.0, 0.5, 0.999])
    sender(Script(*[Unreachable("reset")] * 3), clock, chance=lambda: next(chances)).send(numbered(1))
    assert clock.waits == [0.0, 0.25, 0.999]


def test_retry_after_is_waited_for_with_jitter_on_top() -> None:
    clock = Clock()
    sender(Script(busy(429, 7.0)), clock, chance=lambda: 0.5).send(numbered(1))
    assert clock.waits == [7.125]


def test_a_service_that_asks_for_longer_than_there_is_left_ends_the_load_at_once() -> None:
    clock = Clock()
    failure = busy(503, 300.0)
    with pytest.raises(Busy) as caught:
        sender(Script(failure), clock, policy=RetryPolicy(give_up_after=20)).send(numbered(1))
    assert caught.value is failure
    assert clock.waits == []


def test_a_batch_is_given_up_after_the_time_for_it() -> None:
    clock = Clock()
    target = Script(*[Unreachable("reset")] * 1000)
    with pytest.raises(Unreachable):
        sender(target, clock, policy=RetryPolicy(give_up_after=60)).send(numbered(1))
    assert sum(clock.waits) == 60


def test_the_time_to_give_up_runs_from_the_first_failure() -> None:
    clock = Clock()
    failures = [Unreachable("no answer in 120 s")]

    def hangs_once(batch: Batch) -> Ack:
        if failures:
            clock.now += 120
            raise failures.pop()
        return ack_of(batch)

    outcome = sender(hangs_once, clock, policy=RetryPolicy(give_up_after=60)).send(numbered(2))
    assert outcome.ack.items == 2


def test_giving_up_after_no_time_means_one_try() -> None:
    target = Script(Unreachable("reset"))
    with pytest.raises(Unreachable):
        sender(target, policy=RetryPolicy(give_up_after=0)).send(numbered(1))
    assert len(target.sent) == 1


def test_500s_of_a_service_that_stays_unwell_end_the_load_after_the_time_for_one_batch() -> None:
    clock = Clock()
    target = Poisoned(numbered(64).ids, lambda: busy(500))
    with pytest.raises(Busy):
        sender(target, clock, probe=lambda: False, policy=RetryPolicy(give_up_after=60)).send(numbered(64))
    assert sum(clock.waits) == 60


def test_the_parts_of_a_batch_share_the_time_to_give_up() -> None:
    clock = Clock()
    well = [True] * 3

    def upsert(batch: Batch) -> Ack:
        raise busy(500)

    with pytest.raises(Busy):
        sender(
            upsert,
            clock,
            probe=lambda: bool(well and well.pop()),
            policy=RetryPolicy(give_up_after=60),
        ).send(numbered(64))
    assert not well
    assert sum(clock.waits) == 60


def test_a_part_that_is_acknowledged_gives_the_others_their_time_anew() -> None:
    clock = Clock()
    batch = numbered(400)
    target = Poisoned(batch.ids[::2], lambda: busy(500))
    outcome = sender(target, clock, policy=RetryPolicy(give_up_after=60)).send(batch)
    assert sum(clock.waits) > 60
    assert (outcome.ack.items, len(outcome.rejects)) == (200, 200)


def test_after_a_lost_connection_the_target_is_probed_before_the_batch_goes_again() -> None:
    health = [False, False, True]
    log: list[str] = []

    def upsert(batch: Batch) -> Ack:
        log.append("sent")
        if len(log) == 1:
            raise Unreachable("reset")
        return ack_of(batch)

    def probe() -> bool:
        log.append("probed")
        return health.pop(0)

    sender(upsert, probe=probe).send(numbered(1))
    assert log == ["sent", "probed", "probed", "probed", "sent"]


def test_a_target_that_stays_down_is_given_up_without_a_word_sent_to_it() -> None:
    clock = Clock()
    target = Script(Unreachable("refused"))
    with pytest.raises(Unreachable):
        sender(target, clock, probe=lambda: False, policy=RetryPolicy(give_up_after=100)).send(numbered(1))
    assert len(target.sent) == 1
    assert sum(clock.waits) == 100


@pytest.mark.parametrize(("status", "told"), [(429, 1), (503, 1), (500, 0), (408, 0)])
def test_only_429_and_503_ask_for_fewer_batches_at_once(status: int, told: int) -> None:
    asked: list[None] = []
    sender(Script(busy(status)), on_busy=lambda: asked.append(None)).send(numbered(1))
    assert len(asked) == told


def test_answers_that_are_no_acknowledgement_end_the_load_after_some() -> None:
    target = Script(*[NotAcknowledged("a page")] * 100)
    with pytest.raises(NotAcknowledged):
        sender(target).send(numbered(4))
    assert target.sent == [numbered(4).ids] * UNACKNOWLEDGED


def test_a_500_that_goes_away_splits_nothing() -> None:
    target = Script(*[busy(500)] * (SERVER_FAULTS - 1))
    outcome = sender(target).send(numbered(8))
    assert {len(ids) for ids in target.sent} == {8}
    assert outcome.rejects == ()


def test_a_batch_is_halved_only_after_500_three_times_in_a_row() -> None:
    target = Script(busy(503), busy(503), busy(500), busy(503), busy(500), busy(500))
    outcome = sender(target).send(numbered(8))
    assert [len(ids) for ids in target.sent] == [8] * 7
    assert outcome.ack.items == 8


def test_500s_of_a_service_that_is_not_healthy_split_nothing() -> None:
    target = Script(*[busy(500)] * 6)
    outcome = sender(target, probe=lambda: False).send(numbered(8))
    assert [len(ids) for ids in target.sent] == [8] * 7
    assert outcome.rejects == ()


def test_a_service_that_answers_everything_with_500_is_at_fault_and_no_row_is() -> None:
    def upsert(batch: Batch) -> Ack:
        raise busy(500)

    for n in (1, 2, 7):
        with pytest.raises(Busy) as caught:
            sender(upsert).send(numbered(n))
        assert caught.value.status == 500


def test_a_single_row_gets_500_three_times_before_it_is_taken_to_be_bad() -> None:
    # Of four rows, the last is answered with 500 in every part of the batch it is in, alone only twice.
    left = {4: 3, 2: 1, 1: 2}

    def upsert(batch: Batch) -> Ack:
        if "i3" in batch.ids and left[len(batch)]:
            left[len(batch)] -= 1
            raise busy(500)
        return ack_of(batch)

    outcome = sender(upsert).send(numbered(4))
    assert outcome.rejects == ()
    assert outcome.ack.items == 4


REFUSALS = {"400": lambda: BatchRefused("400"), "500": lambda: busy(500)}


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize("place", [0, 1, 499, 500, 624, 998, 999])
def test_one_bad_row_of_a_thousand_is_found_in_twice_log2_requests(kind: str, place: int) -> None:
    target = Poisoned([f"i{place}"], REFUSALS[kind])
    outcome = sender(target).send(numbered(1000))
    assert [reject.row for reject in outcome.rejects] == [place]
    assert outcome.rejects[0].id == f"i{place}"
    assert outcome.ack.items == 999
    assert target.stored == [f"i{row}" for row in range(1000) if row != place]
    again = 0 if kind == "400" else 2 * (SERVER_FAULTS - 1)  # the whole batch, and the row alone
    assert target.requests - 1 <= 2 * math.ceil(math.log2(1000)) + again


@pytest.mark.parametrize("kind", REFUSALS)
@given(data=st.data())
def test_exactly_the_bad_rows_are_rejected_whatever_they_are(kind: str, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 40))
    bad = data.draw(st.sets(st.integers(0, n - 1), max_size=n - 1))
    target = Poisoned([f"i{row}" for row in bad], REFUSALS[kind])
    outcome = sender(target).send(numbered(n))
    assert [reject.row for reject in outcome.rejects] == sorted(bad)
    assert outcome.ack.items + len(outcome.rejects) == n
    assert target.stored == [f"i{row}" for row in range(n) if row not in bad]


def test_all_rows_of_a_batch_may_be_refused_with_400() -> None:
    target = Poisoned([f"i{row}" for row in range(5)], REFUSALS["400"])
    outcome = sender(target).send(numbered(5))
    assert outcome.ack.items == 0
    assert [reject.row for reject in outcome.rejects] == [0, 1, 2, 3, 4]


def test_halves_go_left_then_right_so_the_last_row_of_an_id_stays_the_last() -> None:
    stored: dict[str, float] = {}

    def upsert(batch: Batch) -> Ack:
        if "bad" in batch.ids:
            raise BatchRefused("400")
        assert batch.vectors is not None
        stored.update(zip(batch.ids, batch.vectors[:, 0].tolist(), strict=True))
        return ack_of(batch)

    sender(upsert).send(batch_of(["a", "b", "bad", "a", "b", "a", "bad", "c"]))
    assert stored == {"a": 5, "b": 4, "c": 7}


def test_a_part_that_meets_another_fault_is_sent_again_by_itself() -> None:
    target = Script(BatchRefused("413"), Unreachable("reset"), busy(503))
    outcome = sender(target).send(numbered(4))
    assert [len(ids) for ids in target.sent] == [4, 2, 2, 2, 2]
    assert outcome.ack.items == 4


def test_a_part_that_can_not_be_sent_fails_the_whole_batch() -> None:
    target = Script(BatchRefused("400"), None, ItemLimit("full"))
    with pytest.raises(ItemLimit):
        sender(target).send(numbered(4))


def test_a_batch_that_waits_is_abandoned_when_the_load_stops() -> None:
    stop = threading.Event()

    def fails(batch: Batch) -> Ack:
        stop.set()
        raise Unreachable("reset")

    with pytest.raises(Stopping):
        Sender(partial(partial, fails), stop=stop, policy=RetryPolicy(wait_initial=1e6, wait_max=1e6)).send(
            numbered(1)
        )


def test_a_reject_names_its_row_and_nothing_of_what_the_row_holds() -> None:
    batch = batch_of(["a", "b", "c"], start=700)
    outcome = sender(Poisoned(["b"], REFUSALS["400"])).send(batch)
    (reject,) = outcome.rejects
    assert (reject.source, reject.row, reject.id, reject.field, reject.code) == (
        "rows",
        701,
        "b",
        "item",
        "refused",
    )
