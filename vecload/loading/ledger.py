"""The ledger: counts what a load has read, loaded and rejected, and records it in journal and reject file.

The stages: where a load's time goes, so that the summary can name what slows it down.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from logging import DEBUG
from typing import Literal, TypeAlias, get_args

import numpy as np

from vecload.batch import Batch, Reject, Span
from vecload.errors import RowsRejected, VecloadError
from vecload.events import BATCHES, REJECTS, emit, fields_of
from vecload.loading.incremental.changes import Changes
from vecload.loading.journal import Journal
from vecload.loading.rejects import ErrorLimit, RejectFile, rejects_in, too_many
from vecload.loading.repeated_ids import Digests, EarlierRows
from vecload.loading.retry import Outcome

Stage: TypeAlias = Literal["read", "map", "seal", "encode", "target", "record"]
"""What the flow does or waits for: the next rows, mapping, sealing, encoding, the target, and recording."""


class Stages:
    """A stopwatch for the flow, which is one thread: the time between two laps belongs to one stage.

    Reading runs in parallel with the flow, so `read` is the time the flow waited for rows. `target` is the
    time it waited until the target could accept more.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._last = clock()
        self.seconds: dict[Stage, float] = dict.fromkeys(get_args(Stage), 0.0)

    def start(self) -> None:
        """Start now: earlier time belongs to no stage."""
        self._last = self._clock()

    def lap(self, stage: Stage) -> None:
        """Add the time since the last lap to this stage."""
        now = self._clock()
        self.seconds[stage] += now - self._last
        self._last = now


def shares(stages: Stages, *, sending: float, waiting: float) -> dict[str, float]:
    """The parts of a load's time, from 0 to 1, largest first; they add up to 1.

    Args:
        stages: The flow's stopwatch.
        sending: Seconds of writing requests to the network, over all connections.
        waiting: Seconds of waiting for answers; all of the time if there is no network.

    Returns:
        The parts by stage. `target` is divided into `network` and `server`, as requests spent their time.
    """
    spent: dict[str, float] = {str(stage): seconds for stage, seconds in stages.seconds.items()}
    target = spent.pop("target", 0.0)
    in_all = sending + waiting
    spent["network"] = target * sending / in_all if in_all else 0.0
    spent["server"] = target - spent["network"]
    whole = sum(spent.values())
    found = {stage: seconds / whole if whole else 0.0 for stage, seconds in spent.items()}
    return dict(sorted(found.items(), key=lambda one: -one[1]))


FIRST_REJECTS = 3
"""How many rejects the summary shows."""
SAMPLE_COMMITS = 50
"""Commits between recorded sample items, which let a resumed load recognise its index: about every 5 s."""


@dataclass(slots=True)
class Totals:
    """The counts of a load. At its end, `read = loaded + rejected + skipped`.

    Attributes:
        read: Rows read, including rows of earlier runs, which are not read again.
        loaded: Rows acknowledged in this run.
        rejected: Rows rejected, in earlier runs too.
        skipped: Rows that earlier runs loaded, and rows that need not be sent.
        nbytes: Bytes sent in this run.
        requests: Requests of this run by wire format.
        retries: Requests sent again.
        sending: Seconds of writing requests, over all connections.
        waiting: Seconds of waiting for their answers.
        nan_left_out: NaN values in the metadata of rows read in this run, which were omitted.
    """

    read: int = 0
    loaded: int = 0
    rejected: int = 0
    skipped: int = 0
    nbytes: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    sending: float = 0.0
    waiting: float = 0.0
    nan_left_out: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every row read is accounted for."""
        return self.read == self.loaded + self.rejected + self.skipped


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker has done with a span.

    Attributes:
        span: The rows. Every one is loaded or rejected.
        totals: Their counts.
        reject_lines: Their rejects, as lines of a reject file.
        first_rejects: The first of them, as many as the summary shows.
        an_id: The id of an item that the target acknowledged.
        seconds: How long it took.
    """

    span: Span
    totals: Totals
    reject_lines: bytes = field(default=b"", repr=False)
    first_rejects: Sequence[Reject] = ()
    an_id: str | None = None
    seconds: float = 0.0


class Ledger:
    """Records the outcomes of the flow, and counts only what is durable.

    Args:
        journal: Records acknowledged spans; None records none.
        rejects: Takes the rejects; None writes none.
        limit: How many rejects are allowed.
        on_progress: Called for each span that is done.
        changes: Records what the index holds; None records nothing.
        digests: Computes digests of ids that the journal keeps; None keeps none.

    Attributes:
        totals: The counts.
        first_rejects: The first rejects of this run, FIRST_REJECTS at most.
    """

    def __init__(
        self,
        *,
        journal: Journal | None = None,
        rejects: RejectFile | None = None,
        limit: ErrorLimit | None = None,
        on_progress: Callable[[Span, Totals], None] = lambda span, totals: None,
        changes: Changes | None = None,
        digests: Callable[[Sequence[str]], Digests] | None = None,
    ) -> None:
        self._changes = changes
        self._digests = digests
        self.totals = Totals()
        self.first_rejects: list[Reject] = []
        self._journal = journal
        self._rejects = rejects
        self._limit = limit or ErrorLimit()
        self._on_progress = on_progress
        self._commits = self._next_sample = 0
        self._unrecorded: Sequence[Reject] = ()
        self._unrecorded_lines = b""
        self._waiting = [0, 0]
        if journal is not None:
            self.totals.skipped, self.totals.rejected = journal.totals()
            self.totals.read = self.totals.skipped + self.totals.rejected
        self._durable = [0, self.totals.rejected]

    def done(self, source: str, *, rejecting: bool | None = None) -> list[Span]:
        """The spans of a source that earlier runs finished: all, those with rejects, or those without."""
        return [] if self._journal is None else self._journal.done(source, rejecting=rejecting)

    def recorded_ids(self, source: str) -> list[EarlierRows]:
        """The ids of the spans of a source without rejects, as far as earlier runs recorded them."""
        if self._journal is None or self._digests is None:
            return []
        ids = self._journal.ids_of(source)
        return [
            EarlierRows(source, np.arange(span.start, span.stop), ids[span.start])
            for span in self._journal.spans(source, rejecting=False)
            if span.start in ids and len(ids[span.start]) == len(span)
        ]

    def mapped(self, batch: Batch) -> None:
        """Count a batch that was read and mapped.

        Raises:
            RowsRejected: There are more rejects than allowed.
        """
        self.totals.read += len(batch.span)
        self.totals.nan_left_out += batch.nan_left_out
        self._count(batch.rejects)
        try:
            self._judge(ended=False)
        except RowsRejected:
            self._unrecorded = (*self._unrecorded, *batch.rejects)
            raise

    def acknowledged(self, outcome: Outcome) -> None:
        """Record a batch whose items were all acknowledged or finally refused.

        Raises:
            RowsRejected: There are more rejects than allowed.
            JournalError: The batch can't be recorded.
        """
        batch = outcome.batch
        totals = self.totals
        totals.nbytes += outcome.ack.nbytes
        totals.requests.update(outcome.ack.requests)
        totals.sending += outcome.ack.sending
        totals.waiting += outcome.ack.waiting
        totals.retries += outcome.retries
        rejects = sorted((*batch.rejects, *outcome.rejects), key=lambda reject: reject.row)
        if outcome.rejects:
            self._count(outcome.rejects)
            try:
                self._judge(ended=False)
            except RowsRejected:
                self._unrecorded = (*self._unrecorded, *rejects)
                raise
        if rejects and self._rejects is not None:
            self._rejects.write(rejects)
        if self._changes is not None:
            self._changes.acknowledged(outcome)
        totals.loaded += outcome.ack.items
        totals.skipped += batch.passed
        self._waiting[0] += outcome.ack.items
        self._waiting[1] += len(rejects)
        if self._journal is not None:
            self._journal.record(
                batch.span, outcome.ack.items + batch.passed, len(rejects), self._digests_of(outcome)
            )
            if batch.ids and not outcome.rejects and self._commits >= self._next_sample:
                self._journal.remember(batch.ids[-1])
                self._next_sample = self._commits + SAMPLE_COMMITS
            if self._journal.due():
                self._commit()
        _log_rejects(rejects)
        _log_recorded(
            batch.span,
            items=outcome.ack.items,
            rejected=len(rejects),
            skipped=batch.passed,
            bytes=outcome.ack.nbytes,
            retries=outcome.retries,
            seconds=outcome.seconds,
        )
        self._on_progress(batch.span, totals)

    def reported(self, report: Report) -> None:
        """Record a span that a worker loaded.

        Raises:
            RowsRejected: There are more rejects than allowed.
            JournalError: The span can't be recorded.
        """
        totals, rows = self.totals, report.totals
        totals.read += rows.read
        totals.nan_left_out += rows.nan_left_out
        totals.nbytes += rows.nbytes
        totals.requests.update(rows.requests)
        totals.retries += rows.retries
        totals.rejected += rows.rejected
        self._keep(report.first_rejects)
        try:
            self._judge(ended=False)
        except RowsRejected:
            self._unrecorded_lines = report.reject_lines
            raise
        if rows.rejected and self._rejects is not None:
            self._rejects.write_lines(report.reject_lines)
        if rows.rejected and REJECTS.isEnabledFor(DEBUG):
            _log_rejects(rejects_in(report.reject_lines))
        totals.loaded += rows.loaded
        self._waiting[0] += rows.loaded
        self._waiting[1] += rows.rejected
        if self._journal is not None:
            self._journal.record(report.span, rows.loaded, rows.rejected)
            if report.an_id is not None:
                self._journal.remember(report.an_id)
        self._commit()
        _log_recorded(
            report.span,
            items=rows.loaded,
            rejected=rows.rejected,
            bytes=rows.nbytes,
            retries=rows.retries,
            seconds=report.seconds,
        )
        self._on_progress(report.span, totals)

    def _digests_of(self, outcome: Outcome) -> Digests | None:
        """The digests of the ids that the target acknowledged; None if the journal keeps none."""
        if self._digests is None:
            return None
        found = self._digests(outcome.batch.ids)
        if not outcome.rejects:
            return found
        return found[~np.isin(outcome.batch.item_rows(), [reject.row for reject in outcome.rejects])]

    def waiting(self) -> None:
        """Commit what is due while no answer comes, so that it does not wait for the next batch.

        Raises:
            JournalError: The journal can't be written.
        """
        if self._journal is not None:
            self._journal.alive()
            if self._changes is not None:
                self._changes.state.alive()
            if self._journal.due():
                self._commit()

    def _count(self, rejects: tuple[Reject, ...]) -> None:
        self._keep(rejects)
        self.totals.rejected += len(rejects)

    def _keep(self, rejects: Sequence[Reject]) -> None:
        self.first_rejects += rejects[: FIRST_REJECTS - len(self.first_rejects)]

    def _judge(self, *, ended: bool) -> None:
        if self._limit.exceeded(self.totals.rejected, self.totals.read, ended=ended):
            raise too_many(
                next(iter(self.first_rejects), None),
                self.totals.rejected,
                recorded=self._durable[1] + self._waiting[1] > 0,
            )

    def _commit(self, *, finished: bool = False) -> None:
        if self._journal is not None:
            self._commits += 1
            if self._changes is not None:
                self._changes.state.commit()
            self._journal.commit(
                reject_bytes=None if self._rejects is None else self._rejects.length,
                finished=finished,
            )
        self._durable = [durable + more for durable, more in zip(self._durable, self._waiting, strict=True)]
        self._waiting = [0, 0]

    def save(self) -> None:
        """Record everything known when a load stops.

        The rejects that stopped the load are written last: a resumed load cuts them off and finds them again.
        The totals then count only recorded rows.

        Raises:
            JournalError: The records can't be written.
        """
        written = 0
        try:
            self._commit()
            if self._rejects is not None and self._unrecorded:
                self._rejects.write(self._unrecorded)
            if self._rejects is not None and self._unrecorded_lines:
                self._rejects.write_lines(self._unrecorded_lines)
            _log_rejects(self._unrecorded)
            written = len(self._unrecorded) + self._unrecorded_lines.count(b"\n")
        finally:
            self.totals.loaded, self.totals.rejected = self._durable[0], self._durable[1] + written

    def finish(self) -> None:
        """Check and record the end of the load.

        Raises:
            RowsRejected: There are more rejects than the allowed percentage.
            JournalError: Another program changed the reject file, so it does not hold all rejects.
            VecloadError: The rows don't add up.
        """
        self._judge(ended=True)
        if self._rejects is not None:
            self._rejects.check()
        totals = self.totals
        if not totals.balanced:
            raise VecloadError(
                f"{totals.read} rows were read, but {totals.loaded} loaded, {totals.rejected} rejected and "
                f"{totals.skipped} skipped",
                hint="this is a bug in vecload: please report it; the load does not count as complete",
            )
        self._commit(finished=True)


def _log_recorded(span: Span, *, skipped: int = 0, **counts: float) -> None:
    """Log that a batch is done, or a split."""
    emit(BATCHES, DEBUG, "batch_recorded", skipped=skipped, **counts, **fields_of(span))


def _log_rejects(rejects: Sequence[Reject]) -> None:
    """Log why rows are rejected. Their ids are in the reject file alone, since an id may be a person."""
    for one in rejects if REJECTS.isEnabledFor(DEBUG) else ():
        about = {"source": one.source, "row": one.row, "field": one.field, "code": one.code}
        emit(REJECTS, DEBUG, "reject", **about, reason=one.message)
