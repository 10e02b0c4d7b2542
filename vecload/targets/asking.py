"""Asking a target again while that may help: for what only reads, and so may be repeated at will."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from vecload.errors import Busy, Interrupted, TargetError

T = TypeVar("T")

GIVE_UP_SECONDS = 60.0
WAIT_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Before the second try, the third, and so on; then the last again."""
SERVER_FAULTS = 3
"""After so many 500s in a row, what was asked for is probably what the service can't process."""
_POLL_SECONDS = 0.1


def insist(
    ask: Callable[[], T],
    *,
    interrupted: Callable[[], int] = lambda: 0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """What a target answers.

    Args:
        ask: Asks the target.
        interrupted: The number of the signal that asked to stop, 0 while none did.
        clock: Monotonic seconds.
        sleep: Waits some seconds.

    Raises:
        Interrupted: A signal came during a wait.
        TargetError: The target fails in a way that does not pass, or for GIVE_UP_SECONDS.
    """
    end = clock() + GIVE_UP_SECONDS
    failures = faults = 0
    while True:
        try:
            return ask()
        except TargetError as error:
            faults = faults + 1 if isinstance(error, Busy) and error.status == 500 else 0
            wait = max(error.retry_after or 0.0, WAIT_SECONDS[min(failures, len(WAIT_SECONDS) - 1)])
            if not error.retryable or faults >= SERVER_FAULTS or clock() + wait > end:
                raise
        failures += 1
        again = clock() + wait
        while (left := again - clock()) > 0:
            if number := interrupted():
                raise Interrupted(number)
            sleep(min(left, _POLL_SECONDS))
