"""Engine: what runs calls on other machines. Run: tasks, each in its turn, and again if its worker dies."""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from vecload.errors import TargetError

ATTEMPTS = 3
"""How often a task is begun whose worker dies: a split that kills its workers must not go on for ever."""
POLL_SECONDS = 0.5
"""How long the driver waits for results before it looks at signals and at tasks to be run again."""


class WorkerDied(Exception):
    """A worker ended before its task returned."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended.

    Attributes:
        handle: The call, as `submit` returned it.
        value: What it returned.
        error: What it raised; WorkerDied if its worker is gone.
    """

    handle: Hashable
    value: Any = None
    error: BaseException | None = None


class Engine(Protocol):
    """Runs calls on workers.

    Attributes:
        workers: How many calls run at once.
    """

    workers: int

    def submit(self, call: Callable[..., Any], arguments: Sequence[Any], name: str) -> Hashable:
        """Begin a call of a function, which is importable and whose arguments are picklable.

        Args:
            call: The function.
            arguments: Its arguments.
            name: What people see of it.
        """

    def wait(self, seconds: float) -> list[Ended]:
        """The calls that ended since; waits until one has, but no longer than that."""

    def cancel(self) -> None:
        """End all calls that still run."""

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True, slots=True)
class Task:
    """A call of a worker.

    Attributes:
        number: Its number among all tasks.
        name: What people see of it.
        call: The function.
        arguments: Its arguments.
        after: The numbers of tasks whose results are recorded before it begins.
    """

    number: int
    name: str
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    after: frozenset[int] = frozenset()


@dataclass(slots=True)
class Run:
    """Tasks, run by an engine.

    Attributes:
        engine: Runs them.
        tasks: In the order in which they begin where nothing else decides.
        stop: Ends the run.
        retry_wait: Seconds from the death of a worker until its task begins again: what it had sent may still
            be stored meanwhile.
        tell: Takes a message.
        clock: Monotonic seconds.
    """

    engine: Engine
    tasks: Sequence[Task]
    stop: threading.Event = field(default_factory=threading.Event)
    retry_wait: float = 0.0
    tell: Callable[[str], None] = lambda line: None
    clock: Callable[[], float] = time.monotonic
    begun: dict[int, int] = field(default_factory=dict, init=False)
    """How often each task was begun."""
    running: int = field(default=0, init=False)
    """How many tasks run now."""

    def results(self) -> Iterator[tuple[Task, Any]]:
        """The tasks and what they returned, as they end; ends early if `stop` is set.

        A task counts as recorded when the next result is asked for.

        Raises:
            VecloadError: A task raised it, or its worker died again and again.
        """
        ready, blocked = self._sorted()
        later: list[tuple[float, int, Task]] = []
        running: dict[Hashable, Task] = {}

        def begin() -> None:
            while later and later[0][0] <= self.clock():
                ready.appendleft(heapq.heappop(later)[2])
            while ready and len(running) < self.engine.workers and not self.stop.is_set():
                task = ready.popleft()
                self.begun[task.number] = self.begun.get(task.number, 0) + 1
                running[self.engine.submit(task.call, task.arguments, task.name)] = task

        try:
            while (ready or later or running) and not self.stop.is_set():
                begin()
                pause = POLL_SECONDS if not later else max(0.0, min(POLL_SECONDS, later[0][0] - self.clock()))
                for ended in self.engine.wait(pause):
                    task = running.pop(ended.handle)
                    if isinstance(ended.error, WorkerDied):
                        self._again(task)
                        heapq.heappush(later, (self.clock() + self.retry_wait, task.number, task))
                        continue
                    if ended.error is not None:
                        raise ended.error
                    begin()  # workers need not wait until this result is recorded
                    self.running = len(running)
                    yield task, ended.value
                    ready.extend(_released(blocked, task.number))
        finally:
            self.engine.cancel()

    def _sorted(self) -> tuple[deque[Task], dict[int, tuple[Task, set[int]]]]:
        ready: deque[Task] = deque()
        blocked: dict[int, tuple[Task, set[int]]] = {}
        known = {task.number for task in self.tasks}
        for task in self.tasks:
            before = {*task.after} & known
            if before:
                blocked[task.number] = (task, before)
            else:
                ready.append(task)
        return ready, blocked

    def _again(self, task: Task) -> None:
        if self.begun[task.number] >= ATTEMPTS:
            raise TargetError(
                f"{task.name}: its worker died {ATTEMPTS} times",
                hint="look at the workers' memory and logs, then run the same command again to go on",
            )
        self.tell(f"a worker died: {task.name} begins again")


def _released(blocked: dict[int, tuple[Task, set[int]]], done: int) -> list[Task]:
    """The tasks that waited for one that is done, and for nothing else."""
    found = []
    for number, (task, before) in [*blocked.items()]:
        before.discard(done)
        if not before:
            found.append(task)
            del blocked[number]
    return found
