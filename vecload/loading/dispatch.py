"""Dispatch: a bounded number of batches in flight, and no batch overtakes another that shares an id."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

from vecload.batch import Batch
from vecload.loading.concurrency import Concurrency
from vecload.loading.retry import Outcome, Stopping

POLL_SECONDS = 0.1
"""How often a wait for the target looks whether the load is to stop."""


class Dispatcher:
    """Sends batches from threads of its own, in an order that keeps the last row of each id the last.

    A batch that shares an id with one in flight waits until that one is acknowledged, retries included.
    So of two batches that share an id, the later is never acknowledged while the earlier is not: a load
    that stops at any moment can send what was not acknowledged, and nothing newer is overwritten.

    Args:
        send: Sends a batch until it is acknowledged; called from several threads.
        concurrency: How many batches may be in flight.
        stop: Set when the load fails or stops, so that what waits in `send` is abandoned.
    """

    def __init__(
        self, send: Callable[[Batch], Outcome], concurrency: Concurrency, stop: threading.Event
    ) -> None:
        self._send = send
        self._concurrency = concurrency
        self._stop = stop
        self._pool = ThreadPoolExecutor(concurrency.most, thread_name_prefix="vecload-send")
        self._in_flight: dict[Future[Outcome], frozenset[str]] = {}

    def submit(self, batch: Batch) -> Iterator[Outcome]:
        """Send a batch as soon as it may go; yields what was acknowledged meanwhile.

        Must be iterated to its end.

        Raises:
            VecloadError: A batch could not be sent.
            Stopping: `stop` was set.
        """
        ids = frozenset(batch.ids)
        while len(self._in_flight) >= self._concurrency.limit or not all(
            map(ids.isdisjoint, self._in_flight.values())
        ):
            yield from self._collect(POLL_SECONDS)
        self._in_flight[self._pool.submit(self._send, batch)] = ids
        yield from self._collect(0)

    def collect(self) -> Iterator[Outcome]:
        """Yield what was acknowledged meanwhile, without waiting.

        Raises:
            VecloadError: A batch could not be sent.
            Stopping: `stop` was set.
        """
        yield from self._collect(0)

    def finish(self) -> Iterator[Outcome]:
        """Wait for everything in flight, yielding what is acknowledged.

        Raises:
            VecloadError: A batch could not be sent.
            Stopping: `stop` was set.
        """
        while self._in_flight:
            yield from self._collect(POLL_SECONDS)

    def abandon(self, seconds: float) -> Iterator[Outcome]:
        """Stop: yield what is acknowledged within some seconds, and let go of the rest."""
        self._stop.set()
        ended, _ = wait(self._in_flight, timeout=seconds)
        for future in ended:
            self._in_flight.pop(future)
            if future.exception() is None:
                yield future.result()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _collect(self, seconds: float) -> Iterator[Outcome]:
        ended, _ = wait(self._in_flight, timeout=seconds, return_when=FIRST_COMPLETED)
        outcomes: list[Outcome] = []
        failures: list[BaseException] = []
        for future in ended:
            self._in_flight.pop(future)
            error = future.exception()
            if error is None:
                outcomes.append(future.result())
            elif not isinstance(error, Stopping):
                failures.append(error)
        for outcome in outcomes:
            self._concurrency.completed(len(outcome.batch))
            yield outcome
        if failures:
            raise failures[0]
        if self._stop.is_set():
            raise Stopping

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
