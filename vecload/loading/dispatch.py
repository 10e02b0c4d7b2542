"""Dispatch: a limited number of batches in flight, and no batch overtakes another that shares an id."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from logging import DEBUG
from types import TracebackType
from typing import Self, TypeAlias

from vecload.batch import Batch
from vecload.events import BATCHES, emit, fields_of
from vecload.loading.ledger import Stages
from vecload.loading.retry import Outcome, Stopping
from vecload.loading.tuning import Concurrency

POLL_SECONDS = 0.1
"""How often a wait for the target checks whether the load must stop."""


_Sent: TypeAlias = tuple[Outcome, float]


def _timed(send: Callable[[], Outcome], clock: Callable[[], float]) -> _Sent:
    """The outcome of a batch, and the seconds it took."""
    begun = clock()
    return send(), clock() - begun


@dataclass(slots=True)
class _Ended:
    """Yields the acknowledged outcomes; then raises the first failure, or Stopping if the load must stop."""

    stopping: Callable[[], bool]
    outcomes: list[Outcome] = field(default_factory=list)
    ids: list[frozenset[str]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    def __iter__(self) -> Iterator[Outcome]:
        yield from self.outcomes
        if self.failures:
            raise self.failures[0]
        if self.stopping():
            raise Stopping


class Dispatcher:
    """Sends batches from its own threads, in an order that keeps the last row of each id last.

    A batch that shares an id with one in flight waits until that one is acknowledged, including retries, and
    until the caller has recorded it. So of two batches that share an id, the later one is never sent before
    the earlier one is recorded. A load that stops at any moment can then send the unrecorded batches without
    overwriting anything newer.

    Args:
        ready: Encodes a batch; the returned call sends it from a thread until it is acknowledged.
        concurrency: How many batches may be in flight.
        stop: Set when the load fails or stops, to abandon batches that wait for a retry.
        on_wait: Called regularly while no answer comes.
        clock: Monotonic seconds.
        stages: The stopwatch of the flow.
    """

    def __init__(
        self,
        ready: Callable[[Batch], Callable[[], Outcome]],
        concurrency: Concurrency,
        stop: threading.Event,
        *,
        on_wait: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        stages: Stages | None = None,
    ) -> None:
        self._ready = ready
        self._concurrency = concurrency
        self._stop = stop
        self._on_wait = on_wait
        self._clock = clock
        self._stages = stages or Stages()
        self._pool = ThreadPoolExecutor(concurrency.most, thread_name_prefix="vecload-send")
        self._in_flight: dict[Future[_Sent], frozenset[str]] = {}

    @property
    def in_flight(self) -> int:
        """How many batches are sent and not yet recorded."""
        return len(self._in_flight)

    def submit(self, batch: Batch) -> Iterator[Outcome]:
        """Send a batch as soon as allowed; yield the batches acknowledged meanwhile.

        The caller must iterate to the end. The batch is encoded before it waits, so it can then go at once.

        Raises:
            VecloadError: A batch could not be sent.
            Stopping: `stop` was set.
        """
        send = self._ready(batch)
        self._stages.lap("encode")
        ids = frozenset(batch.ids)
        ended = _Ended(self._stop.is_set)
        while not self._may_go(ids):
            yield from ended
            ended = self._collect(POLL_SECONDS)
        if not all(map(ids.isdisjoint, ended.ids)):
            # Record the earlier batch first: if that fails, a resumed load must not send it after this one.
            yield from ended
            ended = _Ended(self._stop.is_set)
        if not ended.failures and not self._stop.is_set():
            # Send before recording acknowledged batches, so that the target does not wait for that.
            # Spans and log filters of the caller need its context variables.
            future = self._pool.submit(copy_context().run, _timed, send, self._clock)
            self._in_flight[future] = ids
            flying = len(self._in_flight)
            emit(BATCHES, DEBUG, "batch_sent", items=len(batch), in_flight=flying, **fields_of(batch.span))
        yield from ended
        yield from self._collect(0)

    def _may_go(self, ids: frozenset[str]) -> bool:
        return len(self._in_flight) < self._concurrency.allowed and all(
            map(ids.isdisjoint, self._in_flight.values())
        )

    def collect(self) -> Iterator[Outcome]:
        """Yield the batches acknowledged meanwhile, without waiting.

        Raises:
            VecloadError: A batch could not be sent.
            Stopping: `stop` was set.
        """
        yield from self._collect(0)

    def finish(self) -> Iterator[Outcome]:
        """Wait for all batches in flight, and yield them as they are acknowledged.

        Raises:
            VecloadError: A batch could not be sent.
            Stopping: `stop` was set.
        """
        while self._in_flight:
            yield from self._collect(POLL_SECONDS)

    def abandon(self, seconds: float) -> Iterator[Outcome]:
        """Stop: yield the batches acknowledged within some seconds, and abandon the others."""
        self._stop.set()
        for future in [future for future in self._in_flight if future.cancel()]:
            self._in_flight.pop(future)  # it had not started
        ended, _ = wait(self._in_flight, timeout=seconds)
        for future in ended:
            self._in_flight.pop(future)
            if future.exception() is None:
                yield future.result()[0]
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _collect(self, seconds: float) -> _Ended:
        """The batches that end within some seconds."""
        done, _ = wait(self._in_flight, timeout=seconds, return_when=FIRST_COMPLETED)
        self._stages.lap("target")
        if seconds and not done:
            self._on_wait()
        ended = _Ended(self._stop.is_set)
        for future in done:
            ended.ids.append(self._in_flight.pop(future))
            error = future.exception()
            if error is None:
                outcome, took = future.result()
                self._concurrency.completed(len(outcome.batch), took)
                ended.outcomes.append(outcome)
            elif not isinstance(error, Stopping):
                ended.failures.append(error)
        return ended

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
