"""Stages: where a load's time goes, so that its summary can name what holds it back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

Stage: TypeAlias = Literal["read", "map", "seal", "encode", "target", "record"]
"""What the flow does or waits for: the next rows, mapping, sealing, encoding, the target, and the books."""


class Stages:
    """A stopwatch of the flow, which is one thread: all that passes between two laps was for one stage.

    Reading goes on beside the flow, so `read` is the time in which the flow waited for rows; `target` is the
    time in which it waited for the target to take more.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._last = clock()
        self.seconds: dict[Stage, float] = dict.fromkeys(get_args(Stage), 0.0)

    def start(self) -> None:
        """What has passed until now is nobody's."""
        self._last = self._clock()

    def lap(self, stage: Stage) -> None:
        """What has passed since the last lap was for this stage."""
        now = self._clock()
        self.seconds[stage] += now - self._last
        self._last = now


def shares(stages: Stages, *, sending: float, waiting: float) -> dict[str, float]:
    """The parts of a load's time, from 0 to 1, largest first; they add up to 1.

    Args:
        stages: The flow's stopwatch.
        sending: Seconds in which requests were written to the network, all connections together.
        waiting: Seconds in which their answers were waited for; all of it where there is no network.

    Returns:
        By stage; `target` is divided in `network` and `server` as requests spent their time.
    """
    spent: dict[str, float] = {str(stage): seconds for stage, seconds in stages.seconds.items()}
    target = spent.pop("target", 0.0)
    in_all = sending + waiting
    spent["network"] = target * sending / in_all if in_all else 0.0
    spent["server"] = target - spent["network"]
    whole = sum(spent.values())
    found = {stage: seconds / whole if whole else 0.0 for stage, seconds in spent.items()}
    return dict(sorted(found.items(), key=lambda one: -one[1]))
