"""A load simulated step by step: whatever fails, in whatever order, the index ends as one undisturbed load.

Real are the flow, the dispatcher, the sender, the ledger, the journal and the reject file. Simulated are
the target, time, and the scheduler: one thread runs at a time, and a seed says which goes on, what fails,
and when the process is killed or told to stop.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.loading.batches import Clock, ack_of
from vecload.batch import Batch, Reject, Span
from vecload.errors import BatchRefused, Busy, Interrupted, TargetError, Unreachable
from vecload.loading import dispatch
from vecload.loading.dispatch import Dispatcher
from vecload.loading.flow import Flow, Job
from vecload.loading.journal import Digests, Identity, Journal
from vecload.loading.ledger import Ledger
from vecload.loading.rejects import ErrorLimit, RejectFile
from vecload.loading.repeated_ids import EarlierRows, RepeatedIds
from vecload.loading.retry import Outcome, RetryPolicy, Sender
from vecload.loading.tuning import BatchRows, Concurrency
from vecload.mapping import Rules
from vecload.options import RepeatedIdPolicy
from vecload.readers import missing
from vecload.targets import Ack

RUNS_MOST = 60
IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 folders in it have names of their own
"""Where journals cost nothing to sync: a simulated kill takes nothing from a disk."""
GOOD, UNMAPPABLE, REFUSED = "good", "unmappable", "refused"


class Killed(BaseException):
    """The process is gone: nothing of it runs on."""


@dataclass(frozen=True)
class Row:
    id: str
    kind: str


class Scheduler:
    """In place of a thread pool: tasks go on one step at a time, by chance."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.dead = False
        self._tasks: list[_Task] = []

    def submit(self, work: Callable[..., Outcome], *arguments: Any) -> Future[Outcome]:
        self._tasks.append(_Task(self, work, arguments))
        return self._tasks[-1].future

    def shutdown(self, **_: Any) -> None:
        pass

    def wait(
        self, futures: Iterable[Future[Outcome]], timeout: float, return_when: str = "ALL_COMPLETED"
    ) -> tuple[list[Future[Outcome]], list[Future[Outcome]]]:
        """As `concurrent.futures.wait`, but in order: tasks make some steps meanwhile."""
        futures = [*futures]
        for _ in range(self.chance.randrange(4) if timeout == 0 else self.chance.randrange(1, 30)):
            self.may_die()
            alive = [task for task in self._tasks if not task.future.done()]
            if not alive:
                break
            self.chance.choice(alive).step()
        self.may_die()
        return [f for f in futures if f.done()], [f for f in futures if not f.done()]

    def may_die(self, likely: float = 0.0) -> None:
        if self.dead or self.chance.random() < likely:
            self.dead = True
            raise Killed

    def pause(self) -> None:
        """Called by a task: let others go on."""
        task = _Task.running
        assert task is not None
        task.hand_back()

    def end(self) -> None:
        """End the threads of tasks that a kill left behind."""
        self.dead = True
        for task in self._tasks:
            while task.alive():
                task.step()


class _Task:
    running: _Task | None = None

    def __init__(self, scheduler: Scheduler, work: Callable[..., Outcome], arguments: Sequence[Any]) -> None:
        self.future: Future[Outcome] = Future()
        self._scheduler = scheduler
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(work, arguments), daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        return self._thread.is_alive()

    def step(self) -> None:
        _Task.running = self
        self._go.release()
        self._back.acquire()
        _Task.running = None
        if self.future.done():
            self._thread.join()

    def hand_back(self) -> None:
        self._back.release()
        self._go.acquire()
        if self._scheduler.dead:
            raise Killed

    def _run(self, work: Callable[..., Outcome], arguments: Sequence[Any]) -> None:
        self._go.acquire()
        if self.future.set_running_or_notify_cancel():
            try:
                if self._scheduler.dead:
                    raise Killed
                self.future.set_result(work(*arguments))
            except BaseException as error:  # noqa: BLE001 - a future holds whatever was raised
                self.future.set_exception(error)
        self._back.release()


@dataclass
class SimulatedIndex:
    """What a target holds, and how it fails. Refuses batches whole; the last row of an id wins."""

    rows: dict[str, dict[int, Row]]
    items: dict[str, tuple[str, int]] = field(default_factory=dict)
    faulty: float = 0.0

    def upsert_with(self, scheduler: Scheduler, batch: Batch) -> Ack:
        chance = scheduler.chance
        scheduler.pause()
        if chance.random() < self.faulty:
            raise chance.choice([Unreachable("refused"), Busy("503", status=503), Busy("429", status=429)])
        if scheduler.dead and chance.random() < 0.5:
            raise Killed
        kinds = {self.rows[batch.span.source][int(row)].kind for row in batch.item_rows()}
        if REFUSED in kinds:
            raise BatchRefused("400")
        for row, item_id in zip(batch.item_rows().tolist(), batch.ids, strict=True):
            self.items[item_id] = (batch.span.source, row)
        scheduler.pause()
        if chance.random() < self.faulty:
            raise Unreachable("the answer was lost")
        return ack_of(batch)


@dataclass(frozen=True)
class SpanRows:
    """Rows of a simulated source."""

    span: Span


@dataclass
class SimulatedSource:
    """A source, and its mapper and mapping at once."""

    name: str
    rows: list[Row]
    maps_while_reading: ClassVar[bool] = False
    any_thread: ClassVar[bool] = True

    @property
    def mapping(self) -> SimulatedSource:
        return self

    rules: ClassVar[Rules] = Rules()

    @property
    def total_rows(self) -> int:
        return len(self.rows)

    def needed(self) -> None:
        """All columns."""

    def id_columns(self) -> list[str]:
        return ["id"]

    def ids(self, rows: SpanRows) -> list[str]:
        return [row.id for row in self.rows[rows.span.start : rows.span.stop]]

    def read(
        self, *, batch_rows: int, batch_bytes: int, columns: object = None, done: Sequence[Span] = ()
    ) -> Iterator[SpanRows]:
        for gap in missing(done, len(self.rows)):
            for start in range(gap.start, gap.stop, batch_rows):
                yield SpanRows(Span(self.name, start, min(start + batch_rows, gap.stop)))

    def map(self, rows: SpanRows) -> Batch:
        span = rows.span
        numbers = range(span.start, span.stop)
        good = [n for n in numbers if self.rows[n].kind != UNMAPPABLE]
        bad = [n for n in numbers if self.rows[n].kind == UNMAPPABLE]
        return Batch(
            [self.rows[n].id for n in good],
            np.ones((len(good), 1), dtype=np.float32),
            None,
            None,
            span,
            np.array(good, dtype=np.int64),
            tuple(Reject(self.name, n, "vector", "bad", "is bad", self.rows[n].id) for n in bad),
        )


class Simulation:
    """A load over simulated sources, run until it is done."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        *,
        journal: type[Journal] = Journal,
        repeated_ids: RepeatedIdPolicy = "last",
    ) -> None:
        chance = self.chance = random.Random(seed)  # noqa: S311 - the seed repeats a failure
        ids = [f"i{n}" for n in range(chance.choice([1, 3, 10, 60]))]
        kinds = [GOOD] * 12 + chance.choice([[], [UNMAPPABLE, REFUSED]])
        self.sources = [
            SimulatedSource(
                f"/simulated/{name}",
                [Row(chance.choice(ids), chance.choice(kinds)) for _ in range(chance.randrange(1, 60))],
            )
            for name in ("a", "b")[: chance.choice([1, 2])]
        ]
        rows = {source.name: dict(enumerate(source.rows)) for source in self.sources}
        self.index = SimulatedIndex(rows, faulty=chance.choice([0.0, 0.1, 0.4]))
        self.deadly = chance.choice([0.0, 0.02, 0.1])
        self.folder = folder
        self.journal = journal
        self.policy = repeated_ids
        self.ids: RepeatedIds | None = None
        self.runs = 0

    def run(self) -> Ledger:
        """Run the load, again and again, until a run ends by itself."""
        for self.runs in range(1, RUNS_MOST + 1):
            if self.runs == RUNS_MOST - 1:
                self.deadly = self.index.faulty = 0.0
            ledger = self._once()
            if ledger is not None:
                return ledger
        raise AssertionError("the load never ends")

    def _once(self) -> Ledger | None:
        chance, scheduler, clock = self.chance, Scheduler(self.chance), Clock()
        identity = Identity("simulated", "x", tuple(s.name for s in self.sources), {}, ())
        stop = threading.Event()
        most = chance.randrange(1, 6)
        journal = self.journal(self.folder, identity, clock=clock)
        if journal.had_finished:
            # Killed after its last commit: all is done.
            ledger = Ledger(journal=journal)
            self.ids = None
            journal.close()
            return ledger
        rejects = RejectFile(str(self.folder / "rejects"), journal.reject_bytes or None)
        ledger = Ledger(journal=journal, rejects=rejects, limit=ErrorLimit(None, 100.0))
        deadly = self.deadly
        self.ids = RepeatedIds(self.policy)

        def pause(seconds: float) -> None:
            clock.pause(seconds)
            scheduler.pause()

        def killed_at_random(what: Callable[..., None]) -> Callable[..., None]:
            def does(*arguments: Any, **named: Any) -> None:
                scheduler.may_die(deadly)
                what(*arguments, **named)
                clock.now += chance.random() * 0.1
                scheduler.may_die(deadly)
                if chance.random() < deadly / 4:
                    stop.set()

            return does

        concurrency = Concurrency(most, most, clock=clock)
        sender = Sender(
            lambda batch: partial(self.index.upsert_with, scheduler, batch),
            lambda: chance.random() < 0.7 or not self.index.faulty,
            RetryPolicy(give_up_after=chance.choice([5.0, 300.0])),
            stop,
            clock,
            pause,
            chance.random,
            concurrency.busy,
        )
        try:
            with (
                patch.object(dispatch, "ThreadPoolExecutor", lambda *_, **__: scheduler),
                patch.object(dispatch, "wait", scheduler.wait),
                patch.object(journal, "commit", killed_at_random(journal.commit)),
                patch.object(rejects, "write", killed_at_random(rejects.write)),
                patch.object(ledger, "acknowledged", killed_at_random(ledger.acknowledged)),
            ):
                Flow(
                    [Job(source, source) for source in self.sources],  # type: ignore[arg-type]
                    None,
                    Dispatcher(sender.ready, concurrency, stop),
                    ledger,
                    BatchRows([chance.randrange(1, 9), chance.randrange(1, 9)]),
                    # The number that a signal has; none comes while rows of earlier runs are read.
                    interrupted=lambda: 15 if stop.is_set() else 0,
                    ids=self.ids,
                ).run()
            return ledger
        except (Killed, Interrupted, TargetError):
            return None
        finally:
            scheduler.end()
            rejects.close()
            journal.close()

    def check(self, ledger: Ledger) -> None:
        """Compare with what one undisturbed load would have ended with."""
        expected: dict[str, tuple[str, int]] = {}
        bad: list[tuple[str, int]] = []
        seen: set[str] = set()
        repeated = 0
        for source in self.sources:
            for n, row in enumerate(source.rows):
                again = row.kind != UNMAPPABLE and row.id in seen
                repeated += again
                if row.kind != UNMAPPABLE:
                    seen.add(row.id)
                if row.kind == GOOD and not (again and self.policy == "reject"):
                    expected[row.id] = source.name, n
                else:
                    bad.append((source.name, n))
        assert self.index.items == expected
        if self.ids is not None:
            assert (self.ids.repeated, self.ids.exact) == (repeated, True)
        totals = ledger.totals
        assert totals.read == sum(len(source.rows) for source in self.sources)
        assert totals.read == totals.loaded + totals.rejected + totals.skipped
        assert totals.rejected == len(bad)
        lines = map(orjson.loads, (self.folder / "rejects").read_bytes().splitlines())
        assert sorted((line["source"], line["row"]) for line in lines) == bad


def simulate(seed: int, **settings: Any) -> Simulation:
    with TemporaryDirectory(dir=IN_MEMORY) as folder:
        simulation = Simulation(seed, Path(folder), **settings)
        simulation.check(simulation.run())
        return simulation


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_whatever_happens_the_index_ends_as_by_one_undisturbed_load(seed: int) -> None:
    simulate(seed)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_whatever_happens_the_first_row_of_each_id_stays_where_repeated_ids_are_rejected(seed: int) -> None:
    simulate(seed, repeated_ids="reject")


def test_the_simulation_does_kill_and_resume() -> None:
    runs = [simulate(seed).runs for seed in range(30)]
    assert max(runs) > 5
    assert runs.count(1) > 2


# A check that can't fail is a defect: a loader broken on purpose is caught by some seed.


def test_a_resumed_load_that_forgets_the_ids_of_earlier_runs_is_caught() -> None:
    def forget(self: RepeatedIds, earlier: Iterable[EarlierRows]) -> None:
        pass

    with patch.object(RepeatedIds, "expect", forget):
        assert caught(repeated_ids="reject")


def test_a_resumed_load_to_which_later_rows_of_earlier_runs_count_as_earlier_is_caught() -> None:
    expect = RepeatedIds.expect

    def at_once(self: RepeatedIds, earlier: Iterable[EarlierRows]) -> None:
        expect(self, earlier)
        self.end_of_source()

    with patch.object(RepeatedIds, "expect", at_once):
        assert caught(repeated_ids="reject")


def test_a_resumed_load_to_which_ids_of_unmappable_rows_count_is_caught() -> None:
    done = Ledger.done

    def all_clean(self: Ledger, source: str, *, rejecting: bool | None = None) -> list[Span]:
        return [] if rejecting else done(self, source)

    with patch.object(Ledger, "done", all_clean):
        assert caught(repeated_ids="reject")


class HighWater(Journal):
    """Resumes after the last row that was ever acknowledged."""

    def done(self, source: str, *, rejecting: bool | None = None) -> list[Span]:
        spans = super().done(source, rejecting=rejecting)
        return [replace(spans[-1], start=0)] if spans else []


class Early(Journal):
    """Forgets nothing of what it was told, whether it was committed with its rejects or not."""

    def record(self, span: Span, loaded: int, rejected: int, ids: Digests | None = None) -> None:
        super().record(span, loaded, rejected)
        super().record(replace(span, stop=span.stop + 1), loaded, rejected)


def caught(seeds: int = 300, **settings: Any) -> bool:
    for seed in range(seeds):
        try:
            simulate(seed, **settings)
        except AssertionError:
            return True
    return False


def test_a_load_resumed_by_high_water_mark_is_caught() -> None:
    assert caught(journal=HighWater)


def test_a_journal_that_records_more_than_was_acknowledged_is_caught() -> None:
    assert caught(journal=Early)


def test_a_dispatcher_without_a_guard_of_order_is_caught() -> None:
    def without_guard(self: Dispatcher, batch: Batch) -> Iterator[Outcome]:
        shadow = replace(batch, ids=[f"{id(batch)}-{item_id}" for item_id in batch.ids])
        real = self._ready
        self._ready = lambda _: real(batch)
        try:
            yield from submit(self, shadow)
        finally:
            self._ready = real

    submit = Dispatcher.submit
    with patch.object(Dispatcher, "submit", without_guard):
        assert caught()


def test_a_sender_that_halves_from_the_right_is_caught() -> None:
    part = Batch.part

    def mirrored(batch: Batch, start: int, stop: int) -> Batch:
        n = len(batch)
        return part(batch, n - stop, n - start) if n > 1 else part(batch, start, stop)

    with patch.object(Batch, "part", mirrored):
        assert caught()


def test_a_ledger_that_records_what_was_only_sent_is_caught() -> None:
    mapped = Ledger.mapped

    def early(self: Any, batch: Batch) -> None:
        mapped(self, batch)
        self._journal.record(batch.span, len(batch), len(batch.rejects))

    with patch.object(Ledger, "mapped", early):
        assert caught()


def test_a_reject_file_that_keeps_what_a_killed_run_wrote_last_is_caught() -> None:
    begin = RejectFile._begin  # noqa: SLF001

    def keeping(self: RejectFile, length: int) -> None:
        begin(self, Path(self.path).stat().st_size if length else 0)

    with patch.object(RejectFile, "_begin", keeping):
        assert caught()


def test_a_journal_that_is_behind_the_reject_file_is_caught() -> None:
    commit = Journal.commit

    def behind(self: Journal, *, reject_bytes: int | None, finished: bool = False) -> None:
        commit(self, reject_bytes=self.reject_bytes, finished=finished)
        self.reject_bytes = reject_bytes or 0

    with patch.object(Journal, "commit", behind):
        assert caught()


def test_a_ledger_that_forgets_what_earlier_runs_rejected_is_caught() -> None:
    totals = Journal.totals

    with patch.object(Journal, "totals", lambda self: (totals(self)[0], 0)):
        assert caught()


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    with suppress(RuntimeError):
        assert threading.active_count() <= before
