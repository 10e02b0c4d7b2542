"""Stages: where a load's time goes, so that its summary can name what holds it back.

The ledger: what a load has read, loaded and rejected, kept true in the journal and the reject file.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from vecload.batch import Batch, Reject, Span
from vecload.errors import RowsRejected, VecloadError
from vecload.loading.journal import Journal
from vecload.loading.rejects import ErrorLimit, RejectFile, too_many
from vecload.loading.retry import Outcome

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


SAMPLE_COMMITS = 50
"""Commits after which another item is noted, by which a resumed load knows its index: about every 5 s."""


@dataclass(slots=True)
class Totals:
    """Rows of a load. At its end `read = loaded + rejected + skipped`.

    Attributes:
        read: Rows read, and rows of earlier runs that are not read again.
        loaded: Rows acknowledged in this run.
        rejected: Rows rejected, in earlier runs too.
        skipped: Rows that earlier runs loaded.
        nbytes: Bytes sent in this run.
        requests: Requests of this run by wire format.
        retries: Requests sent again.
        sending: Seconds in which requests were written, all connections together.
        waiting: Seconds in which their answers were waited for.
        nan_left_out: Values of metadata in rows read in this run that were NaN and were left out.
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


class Ledger:
    """Takes what the flow yields, and claims nothing before it is durable.

    Args:
        journal: Where acknowledged spans are recorded; None keeps none.
        rejects: Where rejects are written; None keeps none.
        limit: How many rejects are allowed.
        on_progress: Told of every span that is done.
    """

    def __init__(
        self,
        *,
        journal: Journal | None = None,
        rejects: RejectFile | None = None,
        limit: ErrorLimit | None = None,
        on_progress: Callable[[Span, Totals], None] = lambda span, totals: None,
    ) -> None:
        self.totals = Totals()
        self.first_reject: Reject | None = None
        self._journal = journal
        self._rejects = rejects
        self._limit = limit or ErrorLimit()
        self._on_progress = on_progress
        self._commits = self._next_sample = 0
        self._unrecorded: Sequence[Reject] = ()
        self._waiting = [0, 0]
        if journal is not None:
            self.totals.skipped, self.totals.rejected = journal.totals()
            self.totals.read = self.totals.skipped + self.totals.rejected
        self._durable = [0, self.totals.rejected]

    def done(self, source: str, *, rejecting: bool | None = None) -> list[Span]:
        """The spans of a source that earlier runs finished; of these, those with rejects or those without."""
        return [] if self._journal is None else self._journal.done(source, rejecting=rejecting)

    def mapped(self, batch: Batch) -> None:
        """A batch was read and mapped.

        Raises:
            RowsRejected: Its rejects are more than allowed.
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
        """Every item of a batch was acknowledged or refused for good.

        Raises:
            RowsRejected: The refused ones are more than allowed.
            JournalError: It can't be recorded.
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
        totals.loaded += outcome.ack.items
        self._waiting[0] += outcome.ack.items
        self._waiting[1] += len(rejects)
        if self._journal is not None:
            self._journal.record(batch.span, outcome.ack.items, len(rejects))
            if batch.ids and not outcome.rejects and self._commits >= self._next_sample:
                self._journal.remember(batch.ids[-1])
                self._next_sample = self._commits + SAMPLE_COMMITS
            if self._journal.due():
                self._commit()
        self._on_progress(batch.span, totals)

    def waiting(self) -> None:
        """Nothing comes back for a while: what is acknowledged must not wait for the next to be recorded.

        Raises:
            JournalError: It can't be recorded.
        """
        if self._journal is not None:
            self._journal.alive()
            if self._journal.due():
                self._commit()

    def _count(self, rejects: tuple[Reject, ...]) -> None:
        if rejects:
            self.first_reject = self.first_reject or rejects[0]
            self.totals.rejected += len(rejects)

    def _judge(self, *, ended: bool) -> None:
        if self._limit.exceeded(self.totals.rejected, self.totals.read, ended=ended):
            raise too_many(
                self.first_reject, self.totals.rejected, recorded=self._durable[1] + self._waiting[1] > 0
            )

    def _commit(self, *, finished: bool = False) -> None:
        if self._journal is not None:
            self._commits += 1
            self._journal.commit(
                reject_bytes=None if self._rejects is None else self._rejects.length,
                finished=finished,
            )
        self._durable = [durable + more for durable, more in zip(self._durable, self._waiting, strict=True)]
        self._waiting = [0, 0]

    def save(self) -> None:
        """Record what is known, for a load that stops.

        The rejects that stopped it are written after that: a resumed load cuts them off, and meets them
        again. The totals then claim no more than what is recorded.

        Raises:
            JournalError: It can't be recorded.
        """
        told = 0
        try:
            self._commit()
            if self._rejects is not None and self._unrecorded:
                self._rejects.write(self._unrecorded)
            told = len(self._unrecorded)
        finally:
            self.totals.loaded, self.totals.rejected = self._durable[0], self._durable[1] + told

    def finish(self) -> None:
        """The load has ended.

        Raises:
            RowsRejected: The rejects are more than the allowed percentage.
            JournalError: Others touched the reject file, and it does not hold all rejects.
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
                hint="this is a defect of vecload: please report it; the load is not claimed to be complete",
            )
        self._commit(finished=True)
