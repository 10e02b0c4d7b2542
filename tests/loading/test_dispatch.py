"""Dispatch: bounded, in order where ids are shared, and never silent about a failure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.loading.batches import ack_of, batch_of, numbered
from vecload.batch import Batch
from vecload.errors import TargetError
from vecload.loading.dispatch import Dispatcher
from vecload.loading.retry import Outcome, Stopping
from vecload.loading.tuning import Concurrency

SECONDS = 10.0


class Gate:
    """A target that takes a batch when the test lets it, and tells what has begun and what has ended."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: dict[int, Exception | None] = {}
        self.begun: list[int] = []
        self.ended: list[int] = []

    def __call__(self, batch: Batch) -> Callable[[], Outcome]:
        return partial(self.send, batch)

    def send(self, batch: Batch) -> Outcome:
        row = batch.span.start
        with self._changed:
            self.begun.append(row)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: row in self._open, SECONDS)
            self.ended.append(row)
            failure = self._open[row]
        if failure is not None:
            raise failure
        return Outcome(batch, ack_of(batch))

    def let(self, row: int, failure: Exception | None = None) -> None:
        with self._changed:
            self._open[row] = failure
            self._changed.notify_all()

    def wait_begun(self, n: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.begun) >= n, SECONDS)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def dispatcher_of(gate: Gate, stop: threading.Event) -> Iterator[Callable[[int], Dispatcher]]:
    made: list[Dispatcher] = []

    def make(limit: int) -> Dispatcher:
        made.append(Dispatcher(gate, Concurrency(limit, limit), stop))
        return made[-1]

    yield make
    for row in range(200):
        gate.let(row)
    for dispatcher in made:
        dispatcher.__exit__(None, None, None)


class Submitting:
    """A thread that submits batches, so that the test can see where it waits."""

    def __init__(self, dispatcher: Dispatcher, batches: list[Batch]) -> None:
        self.outcomes: list[Outcome] = []
        self.error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, args=(dispatcher, batches), daemon=True)
        self._thread.start()

    def _run(self, dispatcher: Dispatcher, batches: list[Batch]) -> None:
        try:
            for batch in batches:
                self._keep(dispatcher.submit(batch))
            self._keep(dispatcher.finish())
        except (TargetError, Stopping) as error:
            self.error = error

    def _keep(self, outcomes: Iterator[Outcome]) -> None:
        for outcome in outcomes:
            with self._changed:
                self.outcomes.append(outcome)
                self._changed.notify_all()

    def wait_outcomes(self, n: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.outcomes) >= n, SECONDS)

    def join(self) -> None:
        self._thread.join(SECONDS)
        assert not self._thread.is_alive(), "it waits for ever"


def test_every_batch_comes_out_once(gate: Gate, dispatcher_of: Callable[[int], Dispatcher]) -> None:
    for row in range(0, 60, 3):
        gate.let(row)
    submitting = Submitting(dispatcher_of(4), [numbered(3, start=row) for row in range(0, 60, 3)])
    submitting.join()
    assert submitting.error is None
    assert sorted(o.batch.span.start for o in submitting.outcomes) == [*range(0, 60, 3)]


def test_no_more_batches_are_in_flight_than_the_limit(
    gate: Gate, dispatcher_of: Callable[[int], Dispatcher]
) -> None:
    submitting = Submitting(dispatcher_of(3), [numbered(1, start=row) for row in range(10)])
    gate.wait_begun(3)
    for row in range(10):
        assert len(gate.begun) - len(gate.ended) <= 3
        gate.let(row)
        gate.wait_begun(min(10, row + 4))
    submitting.join()
    assert len(submitting.outcomes) == 10


def test_a_limit_that_shrinks_holds_for_the_next_batch(gate: Gate, stop: threading.Event) -> None:
    concurrency = Concurrency(4, 4)
    with Dispatcher(gate, concurrency, stop) as dispatcher:
        submitting = Submitting(dispatcher, [numbered(1, start=row) for row in range(6)])
        gate.wait_begun(4)
        concurrency.busy()
        concurrency.busy()
        for row in range(3):
            gate.let(row)
        submitting.wait_outcomes(3)
        assert gate.begun == [0, 1, 2, 3]
        gate.let(3)
        gate.wait_begun(5)
        assert gate.begun == [0, 1, 2, 3, 4]
        gate.let(4)
        gate.let(5)
        submitting.join()
    assert len(submitting.outcomes) == 6


def test_a_batch_waits_for_one_in_flight_that_shares_an_id(
    gate: Gate, dispatcher_of: Callable[[int], Dispatcher]
) -> None:
    shared = [batch_of(["a", "b"]), batch_of(["c", "a"], start=10), batch_of(["d"], start=20)]
    submitting = Submitting(dispatcher_of(8), shared)
    gate.wait_begun(1)
    gate.let(0)
    gate.wait_begun(3)
    assert gate.begun == [0, 10, 20]
    assert gate.ended == [0]
    gate.let(20)
    gate.let(10)
    submitting.join()


def test_a_batch_that_shares_an_id_never_begins_before_the_other_is_acknowledged(
    gate: Gate, dispatcher_of: Callable[[int], Dispatcher]
) -> None:
    others = [batch_of([f"x{n}", "a"], start=n) for n in range(20)]
    submitting = Submitting(dispatcher_of(8), others)
    for n in range(20):
        gate.wait_begun(n + 1)
        assert gate.begun == [*range(n + 1)]
        assert gate.ended == [*range(n)]
        gate.let(n)
    submitting.join()
    assert submitting.error is None


def test_a_failure_comes_out_and_what_else_ended_with_it_is_not_lost(
    gate: Gate, dispatcher_of: Callable[[int], Dispatcher]
) -> None:
    dispatcher = dispatcher_of(4)
    for row in range(3):
        assert [*dispatcher.submit(numbered(1, start=row))] == []
    gate.wait_begun(3)
    gate.let(1, TargetError("no"))
    with pytest.raises(TargetError, match="no"):
        [*dispatcher.finish()]
    gate.let(0)
    gate.let(2)
    assert sorted(o.batch.span.start for o in dispatcher.abandon(SECONDS)) == [0, 2]


def test_a_batch_that_shares_an_id_with_one_that_failed_is_never_sent(
    gate: Gate, dispatcher_of: Callable[[int], Dispatcher]
) -> None:
    gate.let(0, TargetError("no"))
    submitting = Submitting(dispatcher_of(4), [batch_of(["a"]), batch_of(["a"], start=1)])
    submitting.join()
    assert isinstance(submitting.error, TargetError)
    assert gate.begun == [0]


def test_a_stop_is_noticed_while_a_batch_waits(
    gate: Gate, stop: threading.Event, dispatcher_of: Callable[[int], Dispatcher]
) -> None:
    submitting = Submitting(dispatcher_of(1), [numbered(1), numbered(1, start=1)])
    gate.wait_begun(1)
    stop.set()
    submitting.join()
    assert isinstance(submitting.error, Stopping)
    assert gate.begun == [0]


def test_abandoning_takes_what_ends_in_time_and_lets_go_of_the_rest(
    gate: Gate, stop: threading.Event, dispatcher_of: Callable[[int], Dispatcher]
) -> None:
    dispatcher = dispatcher_of(4)
    for row in range(2):
        assert [*dispatcher.submit(numbered(1, start=row))] == []
    gate.wait_begun(2)
    gate.let(1)
    (outcome,) = dispatcher.abandon(0.3)
    assert outcome.batch.span.start == 1
    assert stop.is_set()


def test_abandoning_waits_no_longer_than_it_takes(
    gate: Gate, dispatcher_of: Callable[[int], Dispatcher]
) -> None:
    dispatcher = dispatcher_of(2)
    gate.let(0)
    outcomes = [*dispatcher.submit(numbered(1)), *dispatcher.abandon(3600)]
    assert [outcome.batch.span.start for outcome in outcomes] == [0]


def test_an_acknowledgement_counts_for_the_throughput(gate: Gate, stop: threading.Event) -> None:
    counted: list[int] = []

    class Counting(Concurrency):
        def completed(self, items: int, seconds: float) -> None:
            counted.append(items)

    gate.let(0)
    with Dispatcher(gate, Counting(1, 1), stop) as dispatcher:
        outcomes = [*dispatcher.submit(numbered(5)), *dispatcher.finish()]
    assert len(outcomes) == 1
    assert counted == [5]


def test_a_batch_is_encoded_before_it_may_go(gate: Gate, stop: threading.Event) -> None:
    encoded: list[int] = []

    def ready(batch: Batch) -> Callable[[], Outcome]:
        encoded.append(batch.span.start)
        return partial(gate.send, batch)

    with Dispatcher(ready, Concurrency(1, 1), stop) as dispatcher:
        submitting = Submitting(dispatcher, [numbered(1, start=row) for row in range(2)])
        gate.wait_begun(1)
        while len(encoded) < 2:
            assert submitting.error is None
        assert gate.begun == [0]
        gate.let(0)
        gate.let(1)
        submitting.join()


def test_the_next_batch_goes_before_what_was_acknowledged_is_written_down(
    gate: Gate, dispatcher_of: Callable[[int], Dispatcher]
) -> None:
    dispatcher = dispatcher_of(1)
    assert [*dispatcher.submit(numbered(1))] == []
    gate.let(0)
    written = dispatcher.submit(numbered(1, start=1))
    assert next(written).batch.span.start == 0
    gate.wait_begun(2)


def test_a_batch_that_shares_an_id_waits_until_the_one_before_is_written_down(
    gate: Gate, dispatcher_of: Callable[[int], Dispatcher]
) -> None:
    # The disk fails then, say: what is resumed sends the earlier again, after a later that was recorded.
    dispatcher = dispatcher_of(2)
    assert [*dispatcher.submit(batch_of(["x", "y"]))] == []
    gate.let(0)
    written = dispatcher.submit(batch_of(["z", "x"], start=2))
    assert next(written).batch.span.start == 0
    assert gate.begun == [0]
    written.close()  # type: ignore[attr-defined] # a generator: writing down failed
    assert [*dispatcher.abandon(0.05)] == []
    assert gate.begun == [0]


def test_no_batch_goes_after_one_that_failed_or_when_the_load_is_to_stop(
    gate: Gate, dispatcher_of: Callable[[int], Dispatcher], stop: threading.Event
) -> None:
    dispatcher = dispatcher_of(1)
    assert [*dispatcher.submit(numbered(1))] == []
    gate.let(0, TargetError("refused"))
    with pytest.raises(TargetError):
        [*dispatcher.submit(numbered(1, start=1))]
    stop.set()
    with pytest.raises(Stopping):
        [*dispatcher.submit(numbered(1, start=2))]
    assert gate.begun == [0]


def test_what_is_to_be_done_now_and_then_is_done_while_nothing_comes_back(
    gate: Gate, stop: threading.Event
) -> None:
    waited = threading.Event()
    with Dispatcher(gate, Concurrency(1, 1), stop, on_wait=waited.set) as dispatcher:
        submitting = Submitting(dispatcher, [numbered(1)])
        assert waited.wait(SECONDS)
        gate.let(0)
        submitting.join()


def test_abandoning_lets_go_of_what_was_not_begun(gate: Gate, stop: threading.Event) -> None:
    with Dispatcher(gate, Concurrency(1, 1, queued=1), stop) as dispatcher:
        for row in range(2):
            assert [*dispatcher.submit(numbered(1, start=row))] == []
        gate.wait_begun(1)
        assert [*dispatcher.abandon(0.05)] == []
        gate.let(0)
        gate.let(1)
    assert gate.begun == [0]
