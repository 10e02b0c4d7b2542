"""What only reads is asked again while that may help, and no longer; what the engine hides is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.loading.batches import Clock
from vecload.errors import Busy, Interrupted, TargetError, Unreachable, WrongKey
from vecload.targets.asking import GIVE_UP_SECONDS, SERVER_FAULTS, insist

START = Clock().now


def failing(*errors: TargetError) -> Callable[[], int]:
    """Asks in vain as often as there are errors; then how often it was asked."""
    left = [*errors]

    def ask() -> int:
        if left:
            raise left.pop(0)
        return len(errors) + 1

    return ask


def asked(ask: Callable[[], int], clock: Clock, interrupted: Callable[[], int] = lambda: 0) -> int:
    def sleep(seconds: float) -> None:
        clock.now += seconds

    return insist(ask, interrupted=interrupted, clock=lambda: clock.now, sleep=sleep)


def test_what_passes_is_waited_for() -> None:
    clock = Clock()
    errors = [Unreachable("gone"), Busy("full", status=503), Unreachable("gone")]
    assert asked(failing(*errors), clock) == 4
    assert 0 < clock.now - START < 5


def test_a_service_says_how_long_to_wait() -> None:
    clock, busy = Clock(), Busy("later", status=429)
    busy.retry_after = 30.0
    assert asked(failing(busy), clock) == 2
    assert clock.now - START >= 30


def test_what_does_not_pass_is_raised_at_once() -> None:
    clock = Clock()
    with pytest.raises(WrongKey):
        asked(failing(WrongKey("no")), clock)
    assert clock.now == START


def test_a_target_that_stays_away_is_given_up() -> None:
    clock = Clock()
    with pytest.raises(Unreachable):
        asked(failing(*[Unreachable("gone")] * 999), clock)
    assert GIVE_UP_SECONDS / 2 < clock.now - START <= GIVE_UP_SECONDS


def test_what_the_service_can_not_answer_is_not_asked_for_ever() -> None:
    ask = failing(*[Busy("500", status=500)] * SERVER_FAULTS)
    with pytest.raises(Busy):
        asked(ask, Clock())
    assert asked(ask, Clock()) == SERVER_FAULTS + 1


def test_a_signal_ends_the_wait() -> None:
    with pytest.raises(Interrupted):
        asked(failing(Unreachable("gone")), Clock(), lambda: 15)
