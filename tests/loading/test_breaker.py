"""The circuit breaker: a target that is down gets one probe at a time, and people are told once."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.loading.batches import Clock, ack_of, numbered
from vecload.batch import Batch
from vecload.errors import Busy, TargetError, Unreachable
from vecload.loading.retry import START_SECONDS, Outcome, RetryPolicy, Sender, when_up
from vecload.targets import Ack

BATCHES = 8


class Down:
    """A target that is down until it was probed some times; several threads may use it."""

    def __init__(self, probes: int, error: TargetError) -> None:
        self.error = error
        self.probes_left = probes
        self.probes = self.at_once = self.most_at_once = 0
        self.sent: deque[int] = deque()
        self._all_failed = threading.Barrier(BATCHES)
        self._lock = threading.Lock()

    def upsert(self, batch: Batch) -> Ack:
        self.sent.append(batch.span.start)
        if self.probes_left > 0:
            self._all_failed.wait(30)
            raise self.error
        return ack_of(batch)

    def healthy(self) -> bool:
        with self._lock:
            self.probes += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        threading.Event().wait(0.005)  # a probe takes a while: others come in meanwhile
        with self._lock:
            self.at_once -= 1
            self.probes_left -= 1
            return self.probes_left <= 0


def send_all(target: Down, clock: Clock, told: list[str], **policy: float) -> list[Outcome]:
    sender = Sender(
        lambda batch: lambda: target.upsert(batch),
        target.healthy,
        RetryPolicy(**policy),
        clock=clock,
        pause=clock.pause,
        tell=told.append,
    )
    with ThreadPoolExecutor(BATCHES) as pool:
        return [*pool.map(lambda n: sender.send(numbered(3, start=3 * n)), range(BATCHES))]


@pytest.mark.parametrize(
    "error", [Unreachable("no connection to there"), Busy("the service answered 502", status=502)]
)
def test_a_target_that_is_down_is_probed_by_one_thread_at_a_time_and_told_of_once(error: TargetError) -> None:
    target, clock, told = Down(5, error), Clock(), list[str]()
    outcomes = send_all(target, clock, told, give_up_after=1e9)
    assert [outcome.ack.items for outcome in outcomes] == [3] * BATCHES
    assert target.most_at_once == 1
    assert 5 <= target.probes < 5 + BATCHES, "each thread probes by itself"
    assert len(target.sent) == 2 * BATCHES, "batches are sent to a target that is down"
    down, back = told
    assert down.startswith(f"{error}: waiting up to 1000000000 s")
    assert back.startswith("the service is back after ")


def test_batches_that_waited_are_given_up_in_time_each_with_its_own_error() -> None:
    target, told = Down(10**9, Unreachable("no connection to there")), list[str]()
    with pytest.raises(Unreachable):
        send_all(target, Clock(), told, give_up_after=60)
    assert len(target.sent) == BATCHES
    assert len(told) == 1


def test_the_pause_between_probes_grows() -> None:
    clock, asked = Clock(), list[float]()

    def probe() -> bool:
        asked.append(clock.now)
        return len(asked) == 8

    failures = [Unreachable("reset")]

    def upsert() -> Ack:
        if failures:
            raise failures.pop()
        return ack_of(numbered(1))

    sender = Sender(lambda _: upsert, probe, clock=clock, pause=clock.pause, chance=lambda: 1.0)
    sender.send(numbered(1))
    assert [after - before for before, after in itertools.pairwise(asked)] == [
        0.25, 0.5, 1, 2, 4, 8, 15
    ]  # fmt: skip


def test_a_connection_lost_by_the_way_is_no_outage() -> None:
    told: list[str] = []
    failures = [Unreachable("reset"), Unreachable("reset")]

    def upsert() -> Ack:
        if failures:
            raise failures.pop()
        return ack_of(numbered(1))

    clock = Clock()
    Sender(lambda _: upsert, clock=clock, pause=clock.pause, tell=told.append).send(numbered(1))
    assert told == []


def test_a_target_that_is_just_starting_is_waited_for_and_told_of_once() -> None:
    clock, told = Clock(), list[str]()
    failures = [Unreachable("no connection to there")] * 7

    def ask() -> str:
        if failures:
            raise failures.pop()
        return "answer"

    assert when_up(ask, told.append, clock=clock, pause=clock.pause) == "answer"
    assert told == [f"no connection to there: waiting up to {START_SECONDS:.0f} s for the service to start"]


def test_a_target_that_does_not_start_is_given_up_soon() -> None:
    clock = Clock()

    def ask() -> str:
        raise Unreachable("no connection to there")

    with pytest.raises(Unreachable):
        when_up(ask, lambda _: None, clock=clock, pause=clock.pause)
    assert sum(clock.waits) == START_SECONDS


def test_an_address_that_can_not_be_right_is_not_waited_for() -> None:
    clock, asked = Clock(), list[None]()

    def ask() -> str:
        asked.append(None)
        error = Unreachable("no such host")
        error.bad_address = True
        raise error

    with pytest.raises(Unreachable):
        when_up(ask, lambda _: None, clock=clock, pause=clock.pause)
    assert asked == [None]


def test_a_long_wait_for_a_busy_target_is_told_of_and_again_only_after_a_minute() -> None:
    clock, told = Clock(), list[str]()
    busy = Busy("the service answered 429 (slow down)", status=429)
    busy.retry_after = 25.0
    failures = [busy] * 4

    def upsert() -> Ack:
        if failures:
            raise failures.pop()
        return ack_of(numbered(1))

    Sender(lambda _: upsert, clock=clock, pause=clock.pause, chance=lambda: 0.0, tell=told.append).send(
        numbered(1)
    )
    assert told == [
        "the service answered 429 (slow down): retrying in 25 s, for up to 300 s",
        "the service answered 429 (slow down): retrying in 25 s, for up to 225 s",
    ]


def test_a_short_wait_is_not_worth_a_word() -> None:
    told: list[str] = []
    clock = Clock()
    failures = [Busy("the service answered 503", status=503)] * 3

    def upsert() -> Ack:
        if failures:
            raise failures.pop()
        return ack_of(numbered(1))

    Sender(lambda _: upsert, clock=clock, pause=clock.pause, tell=told.append).send(numbered(1))
    assert told == []
