"""Changed-only loads: what `--changed-only` and `--delete-missing` add to a load, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from vecload.batch import Batch
from vecload.errors import UsageError
from vecload.loading.flow import Job
from vecload.loading.incremental.changes import Changes
from vecload.loading.incremental.comparison import Comparison, RepeatsFound, compare
from vecload.loading.incremental.item_state import ItemState, state_path
from vecload.loading.journal import Journal
from vecload.loading.ledger import Stages, Totals
from vecload.loading.plan import Plan
from vecload.loading.progress import Meter
from vecload.loading.rejects import ErrorLimit
from vecload.loading.repeated_ids import RepeatedIds
from vecload.loading.request import Request
from vecload.loading.retry import Sender
from vecload.readers.json.workers import Parsers
from vecload.readers.storage.files import located
from vecload.targets.opened import OpenedIndex

DELETE_ITEMS = 2000
"""Ids of one deletion, so that a retry repeats little."""

Say = Callable[[str], None]


class Caller(Protocol):
    """What a comparison needs of a load's caller."""

    @property
    def around(self) -> Callable[[], AbstractContextManager[object]]:
        """A context that spans the comparison."""

    @property
    def confirm(self) -> Callable[[str], bool]:
        """Asks whether to delete items."""

    def stopped_by(self) -> int:
        """The number of the signal that stops the load; 0 if nothing does."""


@dataclass(slots=True)
class ChangedOnly:
    """A load that sends only what changed.

    Attributes:
        request: The load.
        plan: Its sources.
        access: Its index.
        changes: What the index is known to hold.
        say: Takes a message.
        deleted: How many items this run deleted.
        seconds: How long it took to compare the rows.
    """

    request: Request
    plan: Plan
    access: OpenedIndex
    changes: Changes
    say: Say
    deleted: int = 0
    seconds: float = 0.0
    _to_delete: list[str] | None = field(default=None, init=False)

    @classmethod
    def open(
        cls, request: Request, plan: Plan, access: OpenedIndex, target: str, opened: ExitStack, say: Say
    ) -> ChangedOnly:
        """Open the state of the index, and check whether it still describes the index.

        Args:
            request: The load.
            plan: Its sources.
            access: Its index.
            target: The target's location.
            opened: Closes the state.
            say: Takes a message.

        Raises:
            LoadLocked: Another load into the index is running.
            JournalError: The state can't be used.
            TargetError: The index can't be asked.
        """
        options = request.options
        path = state_path(request.state_folder, target, access.index.name)
        state = ItemState(path, access.key_for("--changed-only").key_id)
        opened.callback(state.close)
        changes = Changes(
            state,
            access,
            sealed=request.seal,
            embedded=options.embed,
            named=[located(name) for name in request.names] or ["data in memory"],
            hidden=options.allow_zero_vectors,
        )
        why = "--fresh" if options.fresh and len(changes.known) else changes.why_forgotten()
        if why:
            say(f"loading everything: {why}")
            changes.forget()
        return cls(request, plan, access, changes, say)

    def begin(
        self,
        jobs: Sequence[Job],
        ids: RepeatedIds,
        journal: Journal,
        sender: Sender,
        *,
        batch_rows: int,
        parsers: Parsers,
        stages: Stages,
        meter: Meter,
        caller: Caller,
    ) -> RepeatedIds:
        """Find what changed before anything is sent, if the sources can be read twice.

        Then asks whether to delete the items that left the sources.

        Args:
            jobs: The sources.
            ids: Gets the ids of all rows in order.
            journal: Gets the rows that need not be sent.
            sender: Repeats requests that failed.
            batch_rows: The most rows that are read at once.
            parsers: Processes that may parse.
            stages: The stopwatch of the load.
            meter: Reports the progress of the comparison.
            caller: Starts and stops the load.

        Returns:
            What rejects repeated ids in the rows that are sent.

        Raises:
            UsageError: Too many items left the sources, or they may not be deleted.
            VecloadError: The load stopped.
        """
        if not self.plan.once and self.changes.known.any_item:
            with caller.around():
                ids = self._compare(jobs, ids, journal, batch_rows, parsers, stages, meter, caller.stopped_by)
            self._find_missing(sender)
        self._ask(caller.confirm)
        self.changes.begin()
        return ids

    def _compare(
        self,
        jobs: Sequence[Job],
        ids: RepeatedIds,
        journal: Journal,
        batch_rows: int,
        parsers: Parsers,
        stages: Stages,
        meter: Meter,
        interrupted: Callable[[], int],
    ) -> RepeatedIds:
        """Compare all rows, and record those that need not be sent as done."""
        totals = Totals()

        def on_batch(batch: Batch) -> None:
            totals.read += len(batch.span)
            meter.update(batch.span, totals)

        meter.start(totals)
        stages.start()
        found: Comparison = compare(
            jobs,
            self.changes,
            ids,
            batch_rows=batch_rows,
            batch_bytes=self.request.options.batch_bytes,
            parsers=parsers,
            interrupted=interrupted,
            lap=stages.lap,
            on_batch=on_batch,
        )
        self.seconds = meter.seconds
        self.say(f"{found.changed:,} of {found.rows:,} rows are new or changed")
        for span in found.passed:
            journal.record(span, len(span), 0)
        journal.commit(reject_bytes=None)
        self.changes.chosen = found.chosen
        return RepeatsFound(found.repeated)

    def _find_missing(self, sender: Sender) -> None:
        """Find the items whose ids left the sources. Call it after all rows were compared.

        Raises:
            UsageError: There are more than may be deleted.
            TargetError: The index can't be asked.
        """
        changes, options = self.changes, self.request.options
        missing = changes.known.unseen(changes.owner)
        self._to_delete = []
        if others := changes.known.unseen_of_others(changes.owner) if options.delete_missing else 0:
            self.say(f"{_items(others)} of loads of other sources stay, though these sources lack their ids")
        if not len(missing):
            return
        if not options.delete_missing:
            self.say(f"{_items(len(missing))} left the sources and stay; --delete-missing deletes them")
            return
        if changes.without_id:
            self.say(
                f"nothing is deleted, though {_items(len(missing))} left the sources: they may be the rows "
                f"rejected without an id ({changes.without_id:,})"
            )
            return
        listed = sender.ask(self.access.index.list_ids)
        wanted = changes.known.find(changes.digests.of_ids(listed))
        gone = np.zeros(len(changes.known), dtype=np.bool_)
        gone[changes.known.find(missing)] = True
        self._to_delete = [
            item_id for item_id, at in zip(listed, wanted.tolist(), strict=True) if at >= 0 and gone[at]
        ]
        limit = ErrorLimit.parse(options.max_deletes, "max_deletes")
        known = changes.known.of(changes.owner)
        if limit.exceeded(len(self._to_delete), known, ended=True):
            raise UsageError(
                f"{len(self._to_delete):,} of {known:,} items left the sources, more than --max-deletes "
                f"{options.max_deletes}",
                hint="check the sources; to delete so many, name a higher limit",
            )

    def _ask(self, confirm: Callable[[str], bool]) -> None:
        """Ask whether to delete what was found, or what may be found later.

        Raises:
            UsageError: The answer is no.
        """
        if not self.request.options.delete_missing or self._to_delete == []:
            return
        index = self.access.index.name
        if self._to_delete is None:
            if not self.changes.known.of(self.changes.owner):
                return
            question = f"delete the items of index {index!r} whose ids are not in the sources?"
        else:
            question = f"delete {_items(len(self._to_delete))} of index {index!r} that left the sources?"
        if not confirm(question):
            raise UsageError(
                "nothing was loaded and nothing deleted", hint="omit --delete-missing to keep all"
            )

    def delete_missing(self, sender: Sender, stopping: Callable[[], None]) -> None:
        """Delete the items whose ids left the sources.

        Args:
            sender: Repeats requests that failed.
            stopping: Called before each request; may raise to stop.

        Raises:
            UsageError: There are more than may be deleted.
            TargetError: The target failed.
            JournalError: The state can't be written.
        """
        if self._to_delete is None:
            self._find_missing(sender)
        ids, state, changes = self._to_delete or [], self.changes.state, self.changes
        for start in range(0, len(ids), DELETE_ITEMS):
            stopping()
            some = ids[start : start + DELETE_ITEMS]
            digests = changes.digests.of_ids(some)
            changes.withdraw(digests)
            state.expect_fewer(len(some))
            state.commit()
            sender.ask(lambda some=some: self.access.index.delete(some))  # type: ignore[misc]
            state.add(digests, None, 0)
            self.deleted += len(some)
        if self.request.options.delete_missing and not changes.without_id:
            state.add(changes.known.unseen(changes.owner), None, 0)  # those too that others had deleted
        state.commit()


def age_of_killed(journal: Journal, only: ChangedOnly | None) -> float | None:
    """Seconds since a killed run last recorded something; None if no run was killed."""
    now, ages = time.time(), []
    if journal.unfinished:
        ages.append(journal.age(now))
    if only is not None and only.changes.state.unfinished:
        ages.append(only.changes.state.age(now))
    return min(ages, default=None)


def _items(number: int) -> str:
    return "1 item" if number == 1 else f"{number:,} items"
