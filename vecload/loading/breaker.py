"""The circuit breaker: while the target is down, one thread at a time asks whether it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from vecload.errors import Busy, TargetError, Unreachable

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
            if error.misaddressed or clock() >= end:
                raise
            if not told:
                tell(f"{error.args[0]}: waiting up to {seconds:.0f} s for the service to start")
                told = True
            pause(START_PAUSE_SECONDS)
