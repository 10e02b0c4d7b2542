"""Sending one batch until it is acknowledged, or until it is known that it won't be.

The circuit breaker: while the target is down, one thread at a time asks whether it is back.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from vecload.batch import Batch, Reject
from vecload.errors import Busy, NotAcknowledged, TargetError, Unreachable
from vecload.limits import GIVE_UP_AFTER
from vecload.targets import Ack

SERVER_FAULTS = 3
"""500s in a row after which a batch is taken to hold a row that the service can't stand."""
UNACKNOWLEDGED = 5
"""Answers in a row that are no acknowledgement after which the target is taken to be something else."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait between tries: exponential backoff with full jitter.

    Attributes:
        wait_initial: Seconds, the upper bound of the first wait.
        wait_max: Seconds, the upper bound of any wait that the service didn't ask for.
        give_up_after: Seconds from a batch's first failure to its last try, its parts included; anew after an
            acknowledged part.
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
    """What became of a batch: every item was acknowledged, or is among the rejects."""

    batch: Batch
    ack: Ack
    rejects: tuple[Reject, ...] = ()
    retries: int = 0


class Stopping(Exception):
    """The load is stopping; a batch that was waiting to be sent again is abandoned."""


@dataclass(slots=True)
class Sender:
    """Sends batches to one index. May be shared by threads.

    Attributes:
        prepare: Encodes a batch; the returned call stores it, or raises a TargetError, and may be repeated.
        probe: Whether the target is up; asked before a batch is sent again after a lost connection.
        policy: The waits.
        stop: Set to abandon batches that wait.
        clock: Monotonic seconds.
        pause: Waits for some seconds, less if `stop` is set.
        chance: Uniform in [0, 1).
        on_busy: Called when the target asks for less.
        tell: Says a line to people, when the target goes down and when it is back.
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
        # Not by way of this object: in a circle it would outlive its use, and an engine's threads with it.
        policy, chance = self.policy, self.chance
        self._breaker = Breaker(
            self.probe,
            lambda failures: policy.next_wait(failures, None, chance()),
            self.clock,
            self.tell,
        )

    def ready(self, batch: Batch) -> Callable[[], Outcome]:
        """Encode a batch, while others are on their way; the returned call sends it as `send` does."""
        return partial(self._send, batch, self.prepare(batch))

    def send(self, batch: Batch) -> Outcome:
        """Send a batch until every item is acknowledged or rejected.

        A batch that the target refuses is halved, left half first, until the bad rows stand alone.

        Raises:
            TargetError: It can't be stored now, or the target refuses all of it for another reason.
            Stopping: The load is stopping.
        """
        return self.ready(batch)()

    def _send(self, batch: Batch, store: Callable[[], Ack]) -> Outcome:
        patience = _Patience()
        try:
            ack, retries = self._insist(store, SERVER_FAULTS, patience)
            return Outcome(batch, ack, (), retries)
        except TargetError as error:
            if patience.over or not _splittable(error):
                raise
            total = _Total(patience)
            self._split(batch, error, total)
            if total.suspects and not total.ack.items:
                # Nothing at all is taken: that is the service's fault, not the rows'.
                raise total.suspects[0][1] from None
            rejects = [*total.rejects, *(_reject(part, cause) for part, cause in total.suspects)]
            rejects.sort(key=lambda reject: reject.row)
            return Outcome(batch, total.ack, tuple(rejects), total.requests)

    def insist(self, batch: Batch) -> Ack:
        """Send a batch whole, again and again while that can help.

        Raises:
            TargetError: It can't be stored now, or is refused.
            Stopping: The load is stopping.
        """
        return self._insist(self.prepare(batch), SERVER_FAULTS, _Patience())[0]

    def _insist(self, store: Callable[[], Ack], server_faults: int, patience: _Patience) -> tuple[Ack, int]:
        """Store a batch; the acknowledgement, and how often it was sent again.

        Args:
            store: Sends the batch.
            server_faults: 500s in a row after which it is not sent again.
            patience: Of the batch that this is a part of.
        """
        failures = in_a_row = 0
        kind: tuple[type[TargetError], int | None] | None = None
        while True:
            try:
                ack = store()
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
                self._wait(error, failures, patience)

    def _wait(self, error: TargetError, failures: int, patience: _Patience) -> None:
        """Wait before the next try; where the target may be down, until it is up again.

        Raises:
            TargetError: The error itself, when the time is over.
            Stopping: The load is stopping.
        """
        failed_at = self.clock()
        end = (failed_at if patience.begun is None else patience.begun) + self.policy.give_up_after
        wait = self.policy.next_wait(failures, error.retry_after, self.chance())
        if (error.retry_after or 0) > end - failed_at:
            patience.over = True
            raise error
        self._breaker.tell_of_wait(error, wait, end - failed_at)
        while (left := end - self.clock()) > 0:
            (self.pause or self.stop.wait)(min(wait, left))
            if self.stop.is_set():
                raise Stopping
            if not may_be_down(error) or self._breaker.lets_pass(error, failed_at, left):
                return
            wait = self._breaker.wait()
        patience.over = True
        raise error

    def _split(self, batch: Batch, error: TargetError, total: _Total) -> None:
        """Send the halves of a refused batch, and theirs, in order."""
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
                # A row alone is not condemned by one 500, which may be another's.
                ack, retries = self._insist(
                    self.prepare(half), 1 if len(half) > 1 else SERVER_FAULTS, total.patience
                )
                total.add(ack, retries)
            except TargetError as refused:
                if total.patience.over or not _splittable(refused):
                    raise
                self._split(half, refused, total)


@dataclass(slots=True)
class _Patience:
    """Since when a batch fails, all its parts together: else each would be waited for by itself.

    Attributes:
        begun: The first failure that no acknowledgement followed; None while there is none.
        over: The batch is given up, whatever its last answer would mean.
    """

    begun: float | None = None
    over: bool = False


class _Total:
    """What the parts of a split batch came to."""

    def __init__(self, patience: _Patience) -> None:
        self.patience = patience
        self.ack = Ack(0, {}, 0)
        self.rejects: list[Reject] = []
        self.suspects: list[tuple[Batch, TargetError]] = []
        self.requests = 0

    def add(self, ack: Ack, retries: int) -> None:
        self.requests += retries
        self.ack += ack


def _server_fault(error: TargetError) -> bool:
    return isinstance(error, Busy) and error.status == 500


def _splittable(error: TargetError) -> bool:
    return error.splittable or _server_fault(error)


def _reject(batch: Batch, error: TargetError) -> Reject:
    row = int(batch.item_rows()[0])
    return batch.origin.reject(batch.span, row, "item", "refused", str(error), batch.ids[0])


GATEWAY_STATUSES = (502, 503, 504)
"""What a gateway answers for a service that is down; one that is merely busy passes the probe."""
START_SECONDS = 10.0
"""How long a target is waited for before anything was loaded: the service starts in 0.6 to 3.5 s."""
START_PAUSE_SECONDS = 0.25
LONG_SECONDS = 5.0
"""Waits from which people are told of, so that a load that stands still says why."""
TELL_AGAIN_SECONDS = 60.0
ASKING_SECONDS = 0.1
"""How long others wait before they look whether a probe was answered."""

T = TypeVar("T")


def may_be_down(error: TargetError) -> bool:
    """Whether the target may be down, so that it is asked before anything is sent again."""
    return isinstance(error, Unreachable) or (isinstance(error, Busy) and error.status in GATEWAY_STATUSES)


class Breaker:
    """Knows whether the target is down. Shared by the threads that send.

    A target that is down gets one probe at a time, at growing intervals, however many batches wait for it.

    Args:
        probe: Whether the target is up.
        next_wait: Seconds until the next probe, from how many failed.
        clock: Monotonic seconds.
        tell: Says a line to people: once when the target is found down, once when it is back.
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
        self._next = self._up_at = self._told_at = float("-inf")
        self._down_since: float | None = None

    def lets_pass(self, error: TargetError, failed_at: float, left: float) -> bool:
        """Whether a batch may be sent again; asks the target where that is not known.

        Args:
            error: What the batch failed with.
            failed_at: When that was.
            left: Seconds after which the batch is given up, to tell people.
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

    def tell_of_wait(self, error: TargetError, wait: float, left: float) -> None:
        """Tell people of a long wait for a target that is up but takes nothing, though not of each."""
        with self._lock:
            now = self._clock()
            if (
                wait < LONG_SECONDS
                or self._down_since is not None
                or now < self._told_at + TELL_AGAIN_SECONDS
            ):
                return
            self._told_at = now
        self._tell(f"{error.args[0]}: trying again in {wait:.0f} s, and for {left:.0f} s at the most")

    def wait(self) -> float:
        """Seconds until it is worth asking again."""
        return max(self._next - self._clock(), ASKING_SECONDS)

    def _answered(self, error: TargetError, left: float, *, up: bool) -> None:
        told = None
        with self._lock:
            now = self._clock()
            self._asking = False
            if up:
                if self._down_since is not None:
                    told = f"the service is back after {now - self._down_since:.0f} s"
                self._up_at, self._down_since, self._failed = now, None, 0
            else:
                if self._down_since is None:
                    told = f"{error.args[0]}: waiting up to {left:.0f} s for the service to come back"
                    self._down_since = now
                self._failed += 1
                self._next = now + self._next_wait(self._failed)
        if told:
            self._tell(told)


def when_up(
    ask: Callable[[], T],
    tell: Callable[[str], None],
    *,
    seconds: float = START_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
) -> T:
    """Ask a target that may be starting.

    Args:
        ask: Asks it; may be repeated.
        tell: Says a line to people, if it has to be waited for.
        seconds: How long it is waited for.
        clock: Monotonic seconds.
        pause: Waits for some seconds.

    Raises:
        Unreachable: It does not answer in that time, or its address can't be right.
    """
    end = clock() + seconds
    told = False
    while True:
        try:
            return ask()
        except Unreachable as error:
            if error.bad_address or clock() >= end:
                raise
            if not told:
                tell(f"{error.args[0]}: waiting up to {seconds:.0f} s for the service to start")
                told = True
            pause(START_PAUSE_SECONDS)
