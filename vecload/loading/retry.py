"""Send one batch until the target acknowledges it, or until that is hopeless.

A circuit breaker makes one thread at a time ask a target that is down whether it is back.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from logging import DEBUG, INFO, WARNING
from typing import TypeVar

from vecload.batch import Batch, Reject, Span
from vecload.errors import Busy, NotAcknowledged, TargetError, Unreachable
from vecload.events import REQUESTS, emit, fields_of
from vecload.limits import GIVE_UP_AFTER
from vecload.targets import Ack
from vecload.tracing import span as traced

T = TypeVar("T")

SERVER_FAULTS = 3
"""After this many 500s in a row, the batch probably holds a row that the service can't process."""
UNACKNOWLEDGED = 5
"""After this many answers in a row without an acknowledgement, the target is probably not CyborgDB."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait between tries: exponential backoff with full jitter.

    Attributes:
        wait_initial: Seconds, the upper bound of the first wait.
        wait_max: Seconds, the upper bound of any wait that the service did not ask for.
        give_up_after: Seconds from a batch's first failure to its last try, including its parts. An
            acknowledged part starts the time again.
    """

    wait_initial: float = 0.25
    wait_max: float = 15.0
    give_up_after: float = GIVE_UP_AFTER

    def next_wait(self, failures: int, retry_after: float | None, chance: float) -> float:
        """Seconds to wait before the next try.

        Args:
            failures: Failures so far, from 1.
            retry_after: Seconds the service asked for, already capped.
            chance: Uniform in [0, 1).
        """
        bound = min(self.wait_max, self.wait_initial * 2.0 ** min(failures - 1, 30))
        return (retry_after or 0.0) + bound * chance


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a batch: every item is acknowledged or among the rejects.

    Attributes:
        batch: The batch.
        ack: What the target acknowledged.
        rejects: The items that it refused.
        retries: Requests sent again.
        seconds: Seconds from the first request to the last answer.
    """

    batch: Batch
    ack: Ack
    rejects: tuple[Reject, ...] = ()
    retries: int = 0
    seconds: float = 0.0


class Stopping(Exception):
    """The load is stopping; a batch that waits for a retry is abandoned."""


@dataclass(slots=True)
class Sender:
    """Sends batches to one index. Threads may share it.

    Attributes:
        prepare: Encodes a batch; the returned call stores it or raises a TargetError, and may be repeated.
        probe: Whether the target is up; called before a retry after a lost connection.
        policy: How long to wait.
        stop: Set to abandon batches that wait.
        clock: Monotonic seconds.
        pause: Waits for some seconds, or until `stop` is set.
        chance: Uniform in [0, 1).
        on_busy: Called when the target asks for less.
        tell: Takes a message, when the target goes down and when it is back.
    """

    prepare: Callable[[Batch], Callable[[], Ack]]
    probe: Callable[[], bool] = lambda: True
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    stop: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], object] | None = None
    chance: Callable[[], float] = random.random
    on_busy: Callable[[], None] = lambda: None
    tell: Callable[[str], None] = lambda line: None
    _breaker: Breaker = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Do not refer to self: a reference cycle would keep this object, and an engine's threads, alive.
        policy, chance = self.policy, self.chance
        self._breaker = Breaker(
            self.probe,
            lambda failures: policy.next_wait(failures, None, chance()),
            self.clock,
            self.tell,
        )

    def ready(self, batch: Batch) -> Callable[[], Outcome]:
        """Encode a batch while others are in flight; the returned call sends it as `send` does."""
        return partial(self._send, batch, self.prepare(batch))

    def send(self, batch: Batch) -> Outcome:
        """Send a batch until every item is acknowledged or rejected.

        A batch that the target refuses is halved, left half first, until each bad row is alone.

        Raises:
            TargetError: It can't be stored now, or the target refuses all of it for another reason.
            Stopping: The load is stopping.
        """
        return self.ready(batch)()

    def _send(self, batch: Batch, store: Callable[[], Ack]) -> Outcome:
        begun = self.clock()
        with traced("batch", items=len(batch), **fields_of(batch.span)) as recorded:
            outcome = self._outcome(batch, store)
            if recorded is not None:
                recorded.set_attribute("vecload.retries", outcome.retries)
                recorded.set_attribute("vecload.rejected", len(outcome.rejects))
        return replace(outcome, seconds=self.clock() - begun)

    def _outcome(self, batch: Batch, store: Callable[[], Ack]) -> Outcome:
        patience = _Patience()
        try:
            ack, retries = self._insist(store, SERVER_FAULTS, patience, batch.span)
            return Outcome(batch, ack, (), retries)
        except TargetError as error:
            if patience.over or not _splittable(error):
                raise
            total = _Total(patience)
            self._split(batch, error, total)
            if total.suspects and not total.ack.items:
                # The service accepts nothing at all, so the rows are not the cause.
                raise total.suspects[0][1] from None
            rejects = [*total.rejects, *(_reject(part, cause) for part, cause in total.suspects)]
            rejects.sort(key=lambda reject: reject.row)
            return Outcome(batch, total.ack, tuple(rejects), total.requests)

    def insist(self, batch: Batch) -> Ack:
        """Send a whole batch, and retry while that can help.

        Raises:
            TargetError: It can't be stored now, or the target refuses it.
            Stopping: The load is stopping.
        """
        return self._insist(self.prepare(batch), SERVER_FAULTS, _Patience())[0]

    def ask(self, question: Callable[[], T]) -> T:
        """Ask the target something, and retry while that can help.

        Raises:
            TargetError: It can't answer now, or refuses to.
            Stopping: The load is stopping.
        """
        return self._insist(question, SERVER_FAULTS, _Patience())[0]

    def _insist(
        self, store: Callable[[], T], server_faults: int, patience: _Patience, span: Span | None = None
    ) -> tuple[T, int]:
        """Store a batch; returns the acknowledgement and the number of retries.

        Args:
            store: Sends the batch, or another request.
            server_faults: How many 500s in a row end the retries.
            patience: The patience of the whole batch, if this is a part.
            span: The rows of the batch.
        """
        failures = in_a_row = 0
        kind: tuple[type[TargetError], int | None] | None = None
        while True:
            try:
                ack = self._request(store, span, failures)
                patience.begun = None
                return ack, failures
            except TargetError as error:
                if not error.retryable:
                    raise
                failures += 1
                patience.begun = self.clock() if patience.begun is None else patience.begun
                before, kind = kind, (type(error), getattr(error, "status", None))
                in_a_row = in_a_row + 1 if kind == before else 1
                if isinstance(error, Busy) and error.status in (429, 503):
                    self.on_busy()
                if _server_fault(error) and in_a_row >= server_faults and self.probe():
                    raise
                if isinstance(error, NotAcknowledged) and in_a_row >= UNACKNOWLEDGED:
                    raise
                self._wait(error, failures, patience, span)

    def _request(self, store: Callable[[], T], span: Span | None, failures: int) -> T:
        """Send one request."""
        begun, outcome = self.clock(), "failed"
        try:
            with traced("request", attempt=failures + 1):
                answer = store()
            outcome = "ok"
            return answer
        except TargetError as error:
            outcome = _outcome_of(error)
            raise
        finally:
            emit(
                REQUESTS,
                DEBUG,
                "request",
                outcome=outcome,
                attempt=failures + 1,
                seconds=self.clock() - begun,
                **fields_of(span),
            )

    def _wait(self, error: TargetError, failures: int, patience: _Patience, span: Span | None) -> None:
        """Wait before the next try; if the target may be down, until it is up again.

        Raises:
            TargetError: The time is over: the given error.
            Stopping: The load is stopping.
        """
        failed_at = self.clock()
        end = (failed_at if patience.begun is None else patience.begun) + self.policy.give_up_after
        wait = self.policy.next_wait(failures, error.retry_after, self.chance())
        if (error.retry_after or 0) > end - failed_at:
            patience.over = True
            raise error
        self._breaker.report_wait(error, wait, end - failed_at)
        about, reason = fields_of(span), str(error.args[0])
        emit(REQUESTS, INFO, "wait", seconds=min(wait, end - failed_at), reason=reason, **about)
        while (left := end - self.clock()) > 0:
            (self.pause or self.stop.wait)(min(wait, left))
            if self.stop.is_set():
                raise Stopping
            if not may_be_down(error) or self._breaker.lets_pass(error, failed_at, left):
                waited = self.clock() - failed_at
                emit(REQUESTS, INFO, "retry", failures=failures, seconds=waited, reason=reason, **about)
                return
            wait = self._breaker.wait()
        patience.over = True
        raise error

    def _split(self, batch: Batch, error: TargetError, total: _Total) -> None:
        """Send the halves of a refused batch, and their halves, in order."""
        if len(batch) == 1:
            if _server_fault(error):
                total.suspects.append((batch, error))
            else:
                total.rejects.append(_reject(batch, error))
            return
        middle = len(batch) // 2
        for half in (batch.part(0, middle), batch.part(middle, len(batch))):
            total.requests += 1
            try:
                # One 500 does not prove that a single row is bad: another batch may have caused it.
                ack, retries = self._insist(
                    self.prepare(half), 1 if len(half) > 1 else SERVER_FAULTS, total.patience, half.span
                )
                total.add(ack, retries)
            except TargetError as refused:
                if total.patience.over or not _splittable(refused):
                    raise
                self._split(half, refused, total)


@dataclass(slots=True)
class _Patience:
    """How long a batch has been failing. Its parts share it, so that their waits do not add up.

    Attributes:
        begun: The first failure since the last acknowledgement; None if there is none.
        over: The load gives up on the batch, whatever the last answer means.
    """

    begun: float | None = None
    over: bool = False


class _Total:
    """The outcomes of a split batch's parts, added up."""

    def __init__(self, patience: _Patience) -> None:
        self.patience = patience
        self.ack = Ack(0, {}, 0)
        self.rejects: list[Reject] = []
        self.suspects: list[tuple[Batch, TargetError]] = []
        self.requests = 0

    def add(self, ack: Ack, retries: int) -> None:
        self.requests += retries
        self.ack += ack


def _outcome_of(error: TargetError) -> str:
    """How a request failed, in one word or as its HTTP status."""
    if isinstance(error, Unreachable):
        return "unreachable"
    if isinstance(error, NotAcknowledged):
        return "unacknowledged"
    status = getattr(error, "status", None)
    return "refused" if status is None else str(status)


def _server_fault(error: TargetError) -> bool:
    return isinstance(error, Busy) and error.status == 500


def _splittable(error: TargetError) -> bool:
    return error.splittable or _server_fault(error)


def _reject(batch: Batch, error: TargetError) -> Reject:
    row = int(batch.item_rows()[0])
    return batch.origin.reject(batch.span, row, "item", "refused", str(error), batch.ids[0])


GATEWAY_STATUSES = (502, 503, 504)
"""A gateway's answers for a service that is down. A service that is only busy passes the probe."""
START_SECONDS = 10.0
"""How long to wait for a target before anything is loaded: the service starts in 0.6 to 3.5 s."""
START_PAUSE_SECONDS = 0.25
LONG_SECONDS = 5.0
"""Waits from this length are reported, so that a load that stands still says why."""
TELL_AGAIN_SECONDS = 60.0
ASKING_SECONDS = 0.1
"""How long threads wait for the answer to another thread's probe before they check again."""


def may_be_down(error: TargetError) -> bool:
    """Whether the target may be down, so that a probe must come before a retry."""
    return isinstance(error, Unreachable) or (isinstance(error, Busy) and error.status in GATEWAY_STATUSES)


class Breaker:
    """Tracks whether the target is down. The sending threads share it.

    A target that is down gets one probe at a time, at growing intervals, however many batches wait.

    Args:
        probe: Whether the target is up.
        next_wait: Seconds until the next probe, from the number of failed ones.
        clock: Monotonic seconds.
        tell: Takes a message: once when the target goes down, once when it is back.
    """

    def __init__(
        self,
        probe: Callable[[], bool],
        next_wait: Callable[[int], float],
        clock: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self._probe = probe
        self._next_wait = next_wait
        self._clock = clock
        self._tell = tell
        self._lock = threading.Lock()
        self._asking = False
        self._failed = 0
        self._next = self._up_at = self._reported_at = float("-inf")
        self._down_since: float | None = None

    def lets_pass(self, error: TargetError, failed_at: float, left: float) -> bool:
        """Whether a batch may be sent again. Asks the target if its state is not known.

        Args:
            error: The error of the batch.
            failed_at: When it failed.
            left: Seconds until the load gives up on the batch, for the message.
        """
        with self._lock:
            if self._up_at > failed_at:
                return True
            if self._asking or self._clock() < self._next:
                return False
            self._asking = True
        up = False
        try:
            up = self._probe()
        finally:
            self._answered(error, left, up=up)
        return up

    def report_wait(self, error: TargetError, wait: float, left: float) -> None:
        """Report a long wait for a target that is up but accepts nothing, at most once a minute."""
        with self._lock:
            now = self._clock()
            if (
                wait < LONG_SECONDS
                or self._down_since is not None
                or now < self._reported_at + TELL_AGAIN_SECONDS
            ):
                return
            self._reported_at = now
        self._tell(f"{error.args[0]}: retrying in {wait:.0f} s, for up to {left:.0f} s")

    def wait(self) -> float:
        """Seconds until the next check is due."""
        return max(self._next - self._clock(), ASKING_SECONDS)

    def _answered(self, error: TargetError, left: float, *, up: bool) -> None:
        message = event = None
        about: dict[str, object] = {}
        with self._lock:
            now = self._clock()
            self._asking = False
            if up:
                if self._down_since is not None:
                    message = f"the service is back after {now - self._down_since:.0f} s"
                    event, about = "breaker_closed", {"seconds": now - self._down_since}
                self._up_at, self._down_since, self._failed = now, None, 0
            else:
                if self._down_since is None:
                    message = f"{error.args[0]}: waiting up to {left:.0f} s for the service to come back"
                    event, about = "breaker_opened", {"seconds": left, "reason": str(error.args[0])}
                    self._down_since = now
                self._failed += 1
                self._next = now + self._next_wait(self._failed)
        if message and event:
            self._tell(message)
            emit(REQUESTS, INFO if up else WARNING, event, **about)


def when_up(
    ask: Callable[[], T],
    tell: Callable[[str], None],
    *,
    seconds: float = START_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
) -> T:
    """Ask a target that may still be starting.

    Args:
        ask: Asks the target; may be repeated.
        tell: Takes a message, if the target is not up at once.
        seconds: How long to wait for it.
        clock: Monotonic seconds.
        pause: Waits for some seconds.

    Raises:
        Unreachable: It does not answer in that time, or its address is wrong.
    """
    end = clock() + seconds
    reported = False
    while True:
        try:
            return ask()
        except Unreachable as error:
            if error.bad_address or clock() >= end:
                raise
            if not reported:
                tell(f"{error.args[0]}: waiting up to {seconds:.0f} s for the service to start")
                emit(REQUESTS, INFO, "wait", seconds=seconds, reason=str(error.args[0]))
                reported = True
            pause(START_PAUSE_SECONDS)
