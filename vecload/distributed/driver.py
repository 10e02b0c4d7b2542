"""The driver: a load whose splits are loaded by workers.

All steps are those of any load (`loading/run.py`), and so are journal and reject file: a load that a cluster
began can be ended by one process, and the other way round. Only the flow is another one.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from itertools import accumulate, chain, groupby
from pathlib import Path
from typing import Any

from vecload.batch import Span
from vecload.distributed.engine import Engine, Run, Task
from vecload.distributed.job import IdsOf, Job, SplitReport, digests_of_splits, items_of_split, load_split
from vecload.errors import Interrupted, JournalError, UsageError, VecloadError
from vecload.loading.books import open_books
from vecload.loading.caller import Caller
from vecload.loading.flow import Job as FlowJob
from vecload.loading.ids_across import SharedDigests
from vecload.loading.index_checks import check_still_there
from vecload.loading.journal import Journal
from vecload.loading.ledger import Ledger
from vecload.loading.plan import Plan
from vecload.loading.repeated_ids import RepeatedIds
from vecload.loading.request import Request
from vecload.loading.result import LoadResult
from vecload.loading.run import Load, run_load
from vecload.loading.unchanged import check_unchanged, check_whole, note_stop
from vecload.mapping import ColumnMapping
from vecload.readers.source import missing
from vecload.readers.splits import Split, in_parts, splits_of
from vecload.sealing.references import SecretReferences
from vecload.targets import Target, is_service
from vecload.targets.opened import OpenedIndex
from vecload.targets.placement import IdDigests

ONE_PROCESS_ONLY = ("changed_only", "delete_missing", "skip_loaded", "retry_rejects", "split", "explain")
"""Options that a load on a cluster does not take: they need all rows in order, or choose other parts."""
ID_TASK_ROWS = 2**22
"""About the most rows whose ids a task reads: fewer, and it would mostly start; of these it returns 32 MB."""


def run_distributed(
    request: Request, engine: Callable[[], Engine], caller: Caller, *, secrets: SecretReferences
) -> LoadResult:
    """Run a load whose splits are loaded by workers, to its end.

    Args:
        request: The load.
        engine: Starts what runs the workers, when everything else is checked.
        caller: Takes its messages and may stop it.
        secrets: Where workers find keys.

    Raises:
        VecloadError: The load stopped. The error has the result as `result`.
    """
    return run_load(
        request,
        caller,
        lambda request, caller, result, opened: DistributedLoad(
            request, caller, result, opened, engine=engine, secrets=secrets
        ),
    )


class DistributedLoad(Load):
    """The steps of a load on a cluster."""

    def __init__(
        self,
        request: Request,
        caller: Caller,
        result: LoadResult,
        opened: ExitStack,
        *,
        engine: Callable[[], Engine],
        secrets: SecretReferences,
    ) -> None:
        super().__init__(request, caller, result, opened)
        self._splits: list[Split] = []
        self._start_engine = engine
        self._job = Job(
            to=request.to, index="", secrets=secrets, reach=request.reach, options=request.options
        )
        for name in ONE_PROCESS_ONLY:
            if getattr(request.options, name):
                raise UsageError(
                    f"--{name.replace('_', '-')} does not work with a load on a cluster", hint="omit it"
                )
        if request.to is None or not is_service(request.to):
            raise UsageError(
                "workers can't share an embedded store", hint="name the address of a service with --to"
            )
        if not request.names:
            raise UsageError("workers can't read data in memory", hint="write it to Parquet, and name that")

    def planned(self, plan: Plan) -> None:
        """Plan the splits.

        Raises:
            SourceError: A source is no Parquet file.
        """
        self._splits = splits_of(plan.sources, self.options.rows_per_split)

    def send(
        self, plan: Plan, jobs: Sequence[FlowJob], ids: RepeatedIds, target: Target, access: OpenedIndex
    ) -> None:
        """Plan splits, open the books, and let workers load what is missing."""
        options, result, index = self.options, self.result, access.index
        splits = self._splits
        dimension = index.describe().dimension or plan.dimension
        job = replace(self._job, to=self.request.to, index=index.name, dimension=dimension)
        with ExitStack() as opened:
            books = open_books(
                self.request,
                plan,
                jobs,
                ids,
                target,
                access,
                result,
                opened,
                self.say,
                interrupted=self.caller.stopped_by,
            )
            if books is None:
                return
            journal = books.journal
            meter = self._meter = self.meter(plan, index.name)
            for source in plan.sources:
                for span in journal.done(source.name):
                    meter.add(span)
            ledger = Ledger(
                journal=journal,
                rejects=books.rejects,
                limit=self.request.max_errors,
                on_progress=meter.update,
            )
            if ledger.totals.read:
                self.say(f"resuming: {ledger.totals.read:,} of {sum(s.rows for s in splits):,} rows are done")
            left = [*self._left(splits, plan, journal)]
            self.say(f"{len(left):,} of {len(splits):,} splits to load")
            engine = opened.enter_context(closing(self._start_engine()))
            with self.caller.around():
                meter.start(ledger.totals)
                try:
                    if left:
                        self._load(engine, job, left, self._shared(engine, job, plan, ids), ids, ledger)
                    check_unchanged(plan.sources, books.identity.fingerprints, self.say)
                    check_whole(plan.sources)
                    check_still_there(
                        index,
                        journal.samples(),
                        loaded=ledger.totals.loaded + ledger.totals.skipped,
                        repeated=None,
                        hidden=options.allow_zero_vectors,
                    )
                    ledger.finish()
                    result.status = "rejected" if ledger.totals.rejected else "complete"
                except BaseException:
                    with suppress(JournalError):
                        ledger.save()
                        note_stop(journal, plan.sources, books.identity.fingerprints)
                    raise
                finally:
                    result.seconds = meter.seconds
                    result.count(ledger)
                    books.say_rejects(result, options.rejects, self.say)
            with suppress(VecloadError):
                journal.ended_with(index.count())
                journal.commit(reject_bytes=None, finished=True)

    def _left(self, splits: Sequence[Split], plan: Plan, journal: Journal) -> Iterator[tuple[int, Split]]:
        """What is not recorded, span by span: the number of its split, and the split with these rows."""
        sources = {source.files[0].location: source for source in plan.sources}
        for number, split in enumerate(splits):
            source = sources[split.uri]
            whole = split.span(source)
            done = journal.done(source.name)
            cut = [Span(source.name, max(one.start, whole.start), min(one.stop, whole.stop)) for one in done]
            cut = [one for one in cut if one.start < one.stop]
            before = [Span(source.name, 0, whole.start)] if whole.start else []
            for gap in missing([*before, *cut], whole.stop):
                yield number, replace(split, only=(gap.start, gap.stop))

    def _load(
        self,
        engine: Engine,
        job: Job,
        left: Sequence[tuple[int, Split]],
        shared: dict[int, set[str]],
        ids: RepeatedIds,
        ledger: Ledger,
    ) -> None:
        """Let workers load splits, and record what they report."""
        tasks: list[Task] = []
        seen: dict[str, int] = {}
        for number, (of, split) in enumerate(left):
            own = shared.get(of, set())
            before = set[str]().union(*(shared[other] for other in shared if other < of)) if own else own
            given = (job, split, tuple(sorted(own & before)))
            after = {seen[one] for one in own if one in seen} if ids.policy == "last" else set()
            tasks.append(Task(number, str(split), load_split, given, frozenset(after)))
            seen |= dict.fromkeys(own, number)
        run = self._run(engine, tasks)
        self._meter.in_flight = lambda: run.running
        for task, report in run.results():
            self._add(report, ids, run.begun[task.number])
            ledger.reported(report.report)
        self._check_not_stopped()

    def _add(self, report: SplitReport, ids: RepeatedIds, attempts: int) -> None:
        result = self.result
        ids.repeated += report.result.repeated
        if report.result.key_id != result.key_id:
            raise UsageError(
                f"a worker has the key {report.result.key_id}, and this machine {result.key_id}",
                hint="name the same key everywhere",
            )
        result.splits += 1
        result.work_seconds += report.seconds
        result.attempts += attempts

    def _shared(self, engine: Engine, job: Job, plan: Plan, ids: RepeatedIds) -> dict[int, set[str]]:
        """The ids of items that several splits have, by the number of the split."""
        splits = self._splits
        if ids.policy == "assume-unique" or len(splits) < 2:
            return {}
        self.say("comparing ids across splits")
        mappings = {
            source.files[0].location: mapping
            for source, mapping in zip(plan.sources, plan.mappings, strict=True)
        }
        rows = sum(split.rows for split in splits)
        tasks = max(engine.workers, -(-rows // ID_TASK_ROWS))
        together = [group for group in in_parts(splits, tasks) if group]
        asked_digests = [(job, ids_of(group, mappings)) for group in together]
        first = [0, *accumulate(map(len, together))]
        with tempfile.TemporaryDirectory(prefix="vecload-ids-") as folder:
            digests = SharedDigests(Path(folder), rows)
            for group, found in self._ask(engine, digests_of_splits, "ids of", asked_digests):
                for number, own in enumerate(found, first[group]):
                    digests.add(number, own)
            doubtful: dict[int, IdDigests] = digests.shared()
        if not doubtful:
            return {}
        numbers = [*doubtful]
        asked = [(job, *ids_of([splits[number]], mappings), doubtful[number]) for number in numbers]
        told = self._ask(engine, items_of_split, "shared ids of", asked)
        items: dict[int, set[str]] = {numbers[at]: found for at, found in told}
        counts = Counter(chain.from_iterable(items.values()))
        several = {one for one, count in counts.items() if count > 1}
        if several:
            self.say(f"{len(several):,} ids are in several splits")
        return {number: own for number in numbers if (own := items[number] & several)}

    def _ask(
        self, engine: Engine, call: Callable[..., Any], what: str, arguments: Iterable[tuple[Any, ...]]
    ) -> Iterator[tuple[int, Any]]:
        tasks = [Task(n, f"{what} {_said(given[1])}", call, given) for n, given in enumerate(arguments)]
        for task, value in self._run(engine, tasks).results():
            yield task.number, value
        self._check_not_stopped()

    def _run(self, engine: Engine, tasks: Sequence[Task]) -> Run:
        return Run(engine, tasks, self.caller.stop, self.options.resume_wait, self.say)

    def _check_not_stopped(self) -> None:
        if self.caller.stop.is_set():
            raise Interrupted(self.caller.stopped_by())


def ids_of(splits: Sequence[Split], mappings: Mapping[str, ColumnMapping]) -> list[IdsOf]:
    """What a worker gets to read the ids of some splits, file by file."""
    return [IdsOf((*own,), mappings[uri]) for uri, own in groupby(splits, key=lambda split: split.uri)]


def _said(ids: IdsOf | Sequence[IdsOf]) -> str:
    """The splits of a task, for people."""
    first, count = (ids, 1) if isinstance(ids, IdsOf) else (ids[0], len(ids))
    return f"{first}" + (f", and {count - 1} more files" if count > 1 else "")
