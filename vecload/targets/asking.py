"""Asking a target for what it holds: again while that may help, and around what the engine hides."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from vecload.errors import Busy, Interrupted, TargetError
from vecload.targets.base import StoredItem, TargetIndex

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


def stored_items(
    index: TargetIndex,
    ids: Sequence[str],
    include: Sequence[str],
    hidden: Callable[[Sequence[str]], set[str]],
    *,
    interrupted: Callable[[], int] = lambda: 0,
) -> dict[str, StoredItem]:
    """Items with some of their fields, by their ids; those that are not there are omitted.

    The engine omits items that have none of the fields. Asked for no field, it returns them, except those
    that have a vector of zeros and nothing else (docs/cyborgdb.md): these come back without any field here.

    Args:
        index: The index.
        ids: Any number.
        include: Some of `vector`, `metadata`, `contents`.
        hidden: Returns those of some ids, of which the engine returns nothing, that the index lists.
        interrupted: The number of the signal that asked to stop, 0 while none did.

    Raises:
        Interrupted: A signal came during a wait.
        TargetError: The target fails.
    """

    def get(some: Sequence[str], fields: Sequence[str]) -> dict[str, StoredItem]:
        return {item.id: item for item in insist(lambda: index.get(some, fields), interrupted=interrupted)}

    found = get(ids, include)
    lacking = [item_id for item_id in ids if item_id not in found]
    if lacking:
        found |= get(lacking, ())
        bare = [item_id for item_id in lacking if item_id not in found]
        if bare:
            found |= {item_id: StoredItem(item_id, None, {}, None) for item_id in hidden(bare)}
    return found
