"""A cluster that is simulated: workers that die and straggle, and one service that they share.

    python -m benchmarks.simulation [--workers 1000] [--rows 1000000000] [--seed 0]

The scheduler is the real one (`vecload.distributed.engine.Run`), in simulated time. What is simulated is the
cluster: a worker loads so many rows a second by itself, and all workers together no more than the service
takes, which is shared equally among those that could use more. `tests/test_benchmarks.py` compares it with
what can be computed, `benchmarks/cluster.py` with small real runs.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.report import print_table
from vecload.distributed.engine import Ended, Run, Task, WorkerDied


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What is simulated.

    Attributes:
        workers: How many tasks run at once.
        worker_rate: Rows a second of one worker for which the service is no limit.
        service_rate: Rows a second that the service takes, of all workers together.
        begin_seconds: What a task takes besides its rows: it opens its file and the index, and is scheduled.
        deaths_an_hour: How often a worker that works dies.
        stragglers: The part of tasks that a slow worker gets.
        slowness: How many times slower that one is.
        retry_wait: Seconds from a death until the task begins again.
    """

    workers: int
    worker_rate: float
    service_rate: float
    begin_seconds: float = 0.0
    deaths_an_hour: float = 0.0
    stragglers: float = 0.0
    slowness: float = 1.0
    retry_wait: float = 5.0


@dataclass(slots=True)
class Simulated:
    """An engine in simulated time.

    Args:
        cluster: What is simulated.
        seed: Of deaths and stragglers.
    """

    cluster: Cluster
    seed: int = 0
    now: float = 0.0
    died: int = 0
    workers: int = field(init=False)
    _handles: list[int] = field(default_factory=list, init=False)
    _left: np.ndarray[Any, np.dtype[np.float64]] = field(default_factory=lambda: np.empty((0, 4)), init=False)
    _chance: random.Random = field(init=False)
    _begun: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.workers = self.cluster.workers
        self._chance = random.Random(self.seed)  # noqa: S311 repeatable

    def submit(self, call: Callable[..., Any], arguments: Sequence[Any], name: str) -> Hashable:
        """Begin a task of `arguments[0]` rows."""
        cluster, chance = self.cluster, self._chance
        slow = cluster.slowness if chance.random() < cluster.stragglers else 1.0
        dies = chance.expovariate(cluster.deaths_an_hour / 3600) if cluster.deaths_an_hour else np.inf
        row = [[cluster.begin_seconds, float(arguments[0]), cluster.worker_rate / slow, self.now + dies]]
        self._left = np.concatenate([self._left, row])
        self._begun += 1
        self._handles.append(self._begun)
        return self._begun

    def wait(self, seconds: float) -> list[Ended]:
        """Let time pass until a task ends, but no longer than that."""
        until = self.now + seconds
        while True:
            if not self._handles:
                self.now = until
                return []
            rates = self._rates()
            begin, rows, dies = self._left[:, 0], self._left[:, 1], self._left[:, 3]
            with np.errstate(divide="ignore"):
                ends = np.where(begin > 0, begin, rows / np.maximum(rates, 1e-12))
            step = max(0.0, min(float(ends.min()), float(dies.min()) - self.now, until - self.now))
            starting = begin > 0
            self._left[starting, 0] -= step
            self._left[~starting, 1] -= rates[~starting] * step
            self.now += step
            dead = self._left[:, 3] <= self.now + 1e-9
            done = ~dead & (self._left[:, 0] <= 1e-9) & (self._left[:, 1] <= 1e-6)
            if dead.any() or done.any():
                return self._take(dead, done)
            if self.now >= until - 1e-9:
                return []

    def _rates(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Rows a second of each task: what its worker can, or an equal share of what the service takes."""
        working = self._left[:, 0] <= 0
        most = np.where(working, self._left[:, 2], 0.0)
        left, rates = self.cluster.service_rate, np.zeros(len(most))
        order = np.argsort(most)
        for position, at in enumerate(order):
            rates[at] = min(most[at], left / (len(order) - position))
            left -= rates[at]
        return rates

    def _take(self, dead: np.ndarray[Any, Any], done: np.ndarray[Any, Any]) -> list[Ended]:
        ended = [
            Ended(handle, error=WorkerDied() if is_dead else None)
            for handle, is_dead, is_done in zip(self._handles, dead.tolist(), done.tolist(), strict=True)
            if is_dead or is_done
        ]
        self.died += int(dead.sum())
        kept = ~(dead | done)
        self._handles = [handle for handle, keep in zip(self._handles, kept.tolist(), strict=True) if keep]
        self._left = self._left[kept]
        return ended

    def cancel(self) -> None:
        """End all tasks."""
        self._handles, self._left = [], np.empty((0, 4))

    def close(self) -> None:
        """Nothing is held open."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: seconds, and how many tasks were begun for how many splits."""

    seconds: float
    attempts: int
    splits: int


def simulate(cluster: Cluster, rows: int, rows_per_split: int, seed: int = 0) -> Outcome:
    """Load so many rows on a simulated cluster.

    Raises:
        TargetError: The workers of one split died again and again.
    """
    engine = Simulated(cluster, seed)
    sizes = [min(rows_per_split, rows - at) for at in range(0, rows, rows_per_split)]
    tasks = [Task(number, f"split {number}", print, (size,)) for number, size in enumerate(sizes)]
    run = Run(engine, tasks, retry_wait=cluster.retry_wait, clock=lambda: engine.now)
    for _ in run.results():
        pass
    return Outcome(engine.now, sum(run.begun.values()), len(tasks))


def main() -> None:
    """Print what some clusters would take."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--workers", type=int, default=1000)
    given.add_argument("--rows", type=int, default=10**9)
    given.add_argument("--rows-per-split", type=int, default=250_000)
    given.add_argument("--worker-rate", type=float, default=15_000)
    given.add_argument("--service-rate", type=float, default=1_000_000)
    given.add_argument("--seed", type=int, default=0)
    args = given.parse_args()
    base = {"workers": args.workers, "worker_rate": args.worker_rate, "service_rate": args.service_rate}
    begins = {"begin_seconds": 2.0}
    straggles = begins | {"stragglers": 0.05, "slowness": 4.0}
    cases: list[tuple[str, dict[str, Any]]] = [
        ("nothing goes wrong", {}),
        ("each task takes 2 s to begin", begins),
        ("and 1 of 20 gets a worker 4 times slower", straggles),
        ("and each worker dies once in 10 hours", straggles | {"deaths_an_hour": 0.1}),
    ]
    ideal = args.rows / min(args.service_rate, args.workers * args.worker_rate)
    table = []
    for name, more in cases:
        found = simulate(Cluster(**base, **more), args.rows, args.rows_per_split, args.seed)
        table.append([name, f"{found.seconds:,.0f}", f"{found.seconds / ideal:.2f}", f"{found.attempts:,}"])
    title = f"{args.rows:,} rows, {args.workers:,} workers; {ideal:,.0f} s if nothing but rates counts"
    print_table(title, ["", "seconds", "of that", "tasks begun"], table)


if __name__ == "__main__":
    main()
