"""The flow: reader -> mapping -> Batch -> seal -> dispatch -> target -> ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from vecload.batch import Batch, Span
from vecload.errors import Interrupted, JournalError, RowsRejected
from vecload.limits import BATCH_BYTES, BATCH_ROWS
from vecload.loading.dispatch import Dispatcher
from vecload.loading.incremental.changes import Changes
from vecload.loading.ledger import Ledger, Stages
from vecload.loading.repeated_ids import RepeatedIds, earlier_rows
from vecload.loading.retry import Outcome, Stopping
from vecload.loading.tuning import BatchRows
from vecload.mapping import Mapper
from vecload.readers import Source
from vecload.readers.json.workers import Parsers
from vecload.readers.prefetch import batches
from vecload.sealing import Sealer
from vecload.targets import Ack

ABANDON_SECONDS = 4.0
"""How long a load that stops waits for what is in flight."""


def seal(batch: Batch, sealer: Sealer | None) -> Batch:
    """The batch with its contents sealed, except those from which the index makes a vector.

    Unchanged without a sealer or contents.
    """
    if sealer is None or batch.contents is None or batch.vectors is None:
        return batch
    if batch.to_embed is None:
        return replace(batch, contents=[*sealer.seal(batch.ids, batch.contents)])
    clear = batch.to_embed.tolist()
    own = [None if to_embed else each for to_embed, each in zip(clear, batch.contents, strict=True)]
    sealed = sealer.seal(batch.ids, own)
    contents = [
        each if to_embed else closed
        for to_embed, each, closed in zip(clear, batch.contents, sealed, strict=True)
    ]
    return replace(batch, contents=contents)


@dataclass(frozen=True, slots=True)
class Job:
    """One source, its mapper, and the rows that are not part of this load."""

    source: Source
    mapper: Mapper
    done: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Flow:
    """A load, ready to run.

    Attributes:
        jobs: The sources in order.
        sealer: Seals contents; None leaves them to the engine.
        dispatcher: Sends batches.
        ledger: Records the outcomes.
        batch_rows: The largest batch, in rows, and how many rows are read at once.
        batch_bytes: The approximate largest batch, in bytes.
        interrupted: The number of the signal that stops the load, 0 without one.
        stages: The stopwatch of the flow, which the dispatcher shares.
        parsers: Processes that may parse.
        ids: Gets the ids of all rows in order, and rejects repeated ones if the policy says so.
        check: Called after every row is acknowledged, before the load counts as finished.
        changes: Drops rows that need not be sent; None sends all.
        skim: Sources that an earlier load has loaded are read only if the repeated ids in them are rejected.
    """

    jobs: Sequence[Job]
    sealer: Sealer | None
    dispatcher: Dispatcher
    ledger: Ledger
    batch_rows: BatchRows = field(default_factory=lambda: BatchRows([BATCH_ROWS]))
    batch_bytes: int = BATCH_BYTES
    interrupted: Callable[[], int] = lambda: 0
    stages: Stages = field(default_factory=Stages)
    parsers: Parsers | None = None
    ids: RepeatedIds = field(default_factory=RepeatedIds)
    check: Callable[[], None] = lambda: None
    changes: Changes | None = None
    skim: bool = False

    def run(self) -> None:
        """Load every row.

        Raises:
            Interrupted: A signal came. Acknowledged rows are recorded.
            VecloadError: The load can't continue. Acknowledged rows are recorded.
        """
        ledger, dispatcher, stages = self.ledger, self.dispatcher, self.stages
        stages.start()
        try:
            for job in self.jobs:
                for batch in self._batches(job):
                    ledger.mapped(batch)
                    sealed = seal(batch, self.sealer)
                    stages.lap("seal")
                    for outcome in self._send(sealed):
                        ledger.acknowledged(outcome)
                        stages.lap("record")
            for outcome in dispatcher.finish():
                ledger.acknowledged(outcome)
                stages.lap("record")
            self.check()
            ledger.finish()
        except BaseException as error:
            for outcome in dispatcher.abandon(ABANDON_SECONDS):
                # If the reject file fails, only spans with rejects can't be recorded.
                with suppress(RowsRejected, JournalError):
                    ledger.acknowledged(outcome)
            try:
                ledger.save()
            except JournalError:
                if isinstance(error, JournalError):
                    raise error from None  # if two disks fail, report the first
                raise
            if isinstance(error, Stopping):
                raise Interrupted(self.interrupted()) from None
            raise

    def _batches(self, job: Job) -> Iterator[Batch]:
        """The remaining rows of a source, mapped. The next rows are read meanwhile."""
        earlier = self.ledger.done(job.source.name)
        if earlier:
            self._expect(job)
        mapped = batches(
            job.source,
            job.mapper,
            batch_rows=self.batch_rows.piece,
            batch_bytes=self.batch_bytes,
            done=[*job.done, *earlier],
            lap=self.stages.lap,
            parsers=self.parsers,
            interrupted=self.interrupted,
        )
        for batch in mapped:
            checked = self.ids.checked(batch)
            if self.changes is not None:
                checked = self.changes.only_changed(checked)
            self.stages.lap("map")
            yield from checked.split(self.batch_rows.now)
        self.ids.end_of_source()

    def _expect(self, job: Job) -> None:
        """Add the ids of rows that earlier runs loaded."""
        name = job.source.name
        rejecting = self.ledger.done(name, rejecting=True)
        clean = self.ledger.done(name, rejecting=False)
        recorded = self.ledger.recorded_ids(name)
        if recorded and sum(map(len, clean)) == sum(len(one.rows) for one in recorded):
            self.ids.expect(recorded)
            clean = []
        if (
            self.ids.policy != "reject"
            and (job.source.total_rows is None or self.skim)
            and (clean or rejecting)
        ):
            # Reading lines again costs as much as loading them did, only to count repeated ids.
            self.ids.leave_out_earlier()
            return
        self.ids.expect(
            earlier_rows(
                job.source,
                job.mapper,
                clean,
                rejecting,
                digests=self.ids.digests,
                interrupted=self.interrupted,
            )
        )
        self.stages.lap("read")

    def _send(self, batch: Batch) -> Iterator[Outcome]:
        if batch.ids:
            if self.changes is not None:
                self.changes.sending(batch)
                self.stages.lap("record")
            yield from self.dispatcher.submit(batch)
        else:
            # Every row was rejected or passed, so there is nothing to send and the span is done.
            yield Outcome(batch, Ack(0, {}, 0))
            yield from self.dispatcher.collect()
