"""Tasks begin in their turn, and again if their worker dies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import pytest

from vecload.distributed.engine import ATTEMPTS, Ended, Run, Task, WorkerDied
from vecload.errors import SourceError, TargetError


class Clocked:
    """An engine without workers: calls end when the test says so, in time that only it moves.

    Args:
        workers: How many calls run at once.
        ends: What a call does, by its name and how often it was begun.
    """

    def __init__(
        self, workers: int, ends: Callable[[str, int], Ended] = lambda name, time: Ended(None, name)
    ) -> None:
        self.workers = workers
        self.now = 0.0
        self.begun: list[tuple[float, str]] = []
        self.cancelled = 0
        self.running: list[tuple[int, str]] = []
        self._ends = ends

    def submit(self, call: Callable[..., Any], arguments: Sequence[Any], name: str) -> Hashable:
        self.begun.append((self.now, name))
        self.running.append((len(self.begun), name))
        assert len(self.running) <= self.workers
        return len(self.begun)

    def wait(self, seconds: float) -> list[Ended]:
        self.now += seconds
        if not self.running:
            return []
        handle, name = self.running.pop(0)
        ended = self._ends(name, sum(one == name for _, one in self.begun))
        return [Ended(handle, ended.value, ended.error)]

    def cancel(self) -> None:
        self.cancelled += 1
        self.running = []

    def close(self) -> None:
        self.cancel()


def tasks(*after: Sequence[int]) -> list[Task]:
    return [Task(n, f"t{n}", print, (), frozenset(before)) for n, before in enumerate(after)]


def test_no_more_tasks_run_at_once_than_there_are_workers() -> None:
    engine = Clocked(3)
    run = Run(engine, tasks(*[()] * 20))
    assert sorted(task.number for task, _ in run.results()) == [*range(20)]
    assert len(engine.begun) == 20


def test_a_task_begins_after_the_results_of_those_before_it_are_taken() -> None:
    engine, taken = Clocked(4), []
    for task, value in Run(engine, tasks((), (0,), (1,), (), (0, 3))).results():
        assert value == task.name
        begun = {name for _, name in engine.begun}
        assert task.after <= {*taken}
        assert (
            not {f"t{n}" for n, one in enumerate([(), (0,), (1,), (), (0, 3)]) if not {*one} <= {*taken}}
            & begun
        )
        taken.append(task.number)
    assert sorted(taken) == [0, 1, 2, 3, 4]


def test_a_task_that_waits_for_one_that_is_no_task_of_this_run_begins_at_once() -> None:
    (done,) = Run(Clocked(1), [Task(5, "t", print, (), frozenset({4}))]).results()
    assert done[0].number == 5


def test_a_task_whose_worker_died_begins_again_after_a_while() -> None:
    engine = Clocked(
        2, lambda name, time: Ended(None, name, WorkerDied() if (name, time) == ("t1", 1) else None)
    )
    said: list[str] = []
    run = Run(engine, tasks((), (), ()), retry_wait=5.0, tell=said.append, clock=lambda: engine.now)
    assert sorted(task.number for task, _ in run.results()) == [0, 1, 2]
    first, second = (when for when, name in engine.begun if name == "t1")
    assert second - first >= 5.0
    assert run.begun == {0: 1, 1: 2, 2: 1}
    assert said == ["a worker died: t1 begins again"]


def test_a_task_whose_workers_always_die_ends_the_run() -> None:
    engine = Clocked(2, lambda name, time: Ended(None, error=WorkerDied() if name == "t0" else None))
    with pytest.raises(TargetError, match="t0: its worker died 3 times"):
        [*Run(engine, tasks((), (), ()), clock=lambda: engine.now).results()]
    assert sum(name == "t0" for _, name in engine.begun) == ATTEMPTS
    assert engine.cancelled == 1


def test_an_error_ends_the_run_and_cancels_what_still_works() -> None:
    engine = Clocked(2, lambda name, time: Ended(None, error=SourceError("gone")))
    with pytest.raises(SourceError, match="gone"):
        [*Run(engine, tasks((), (), ())).results()]
    assert (engine.cancelled, len(engine.begun)) == (1, 2)


def test_a_stop_ends_the_run_and_cancels_what_still_works() -> None:
    engine, stop = Clocked(2), threading.Event()
    for _ in Run(engine, tasks(*[()] * 9), stop).results():
        assert len(engine.begun) == 3  # the worker that is free does not wait until a result is recorded
        stop.set()
    assert (engine.cancelled, len(engine.begun)) == (1, 3)


def test_nothing_begins_after_a_stop() -> None:
    stop = threading.Event()

    def ends(name: str, time: int) -> Ended:
        stop.set()
        return Ended(None, name)

    engine = Clocked(2, ends)
    assert len([*Run(engine, tasks(*[()] * 9), stop).results()]) == 1
    assert (engine.cancelled, len(engine.begun)) == (1, 2)
