"""One load from its request to its result, for `vecload.load` and `vecload upsert`.

Nothing here prints, handles signals or tunes the process: callers do that.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import Any, TypeAlias

from vecload.errors import (
    IndexReplaced,
    Interrupted,
    ItemLimit,
    JournalError,
    RowsRejected,
    UsageError,
    VecloadError,
)
from vecload.events import LOADS, REQUESTS, emit
from vecload.flags import as_parameters, parameters_named
from vecload.loading import checks
from vecload.loading.advice import Sample, advise
from vecload.loading.books import open_books
from vecload.loading.caller import Caller
from vecload.loading.checks import index_name, named_sources
from vecload.loading.dispatch import Dispatcher
from vecload.loading.ending import ending, note
from vecload.loading.flow import Flow, Job
from vecload.loading.ids_across import IdPass, ids_of_others, refuse_shared
from vecload.loading.incremental.changed_only import ChangedOnly, age_of_killed
from vecload.loading.incremental.item_digests import ItemDigests
from vecload.loading.index_checks import check_still_there, seals_something
from vecload.loading.ledger import Ledger, Stages, shares
from vecload.loading.parts import creation_of, other_parts, plan_of, sources_of
from vecload.loading.plan import Plan, binary_hints, say_mappings
from vecload.loading.progress import Meter, Progress
from vecload.loading.repeated_ids import RepeatedIds, digests_of, policy_of
from vecload.loading.request import Request, request_of
from vecload.loading.result import LoadResult
from vecload.loading.retry import START_SECONDS, RetryPolicy, Sender, when_up
from vecload.loading.retry_rejects import choose_rows
from vecload.loading.training import train
from vecload.loading.tuning import batch_rows_of, concurrency_of
from vecload.loading.unchanged import check_unchanged, check_whole, note_stop
from vecload.mapping.contents_choice import cleartext_line
from vecload.mapping.mapping import unsealed_line
from vecload.options import LoadOptions
from vecload.readers.prefetch import parsers_for
from vecload.readers.storage.files import repeatable
from vecload.safe_text import escaped
from vecload.sealing import Key
from vecload.targets import Target, is_service
from vecload.targets.opened import OpenedIndex
from vecload.targets.opening import connect_to, open_existing, open_or_create
from vecload.tracing import span

NOT_RESUMED = (RowsRejected, IndexReplaced, ItemLimit)
"""Errors after which the same command would stop in the same way, as after all with exit code 2."""


def load(
    sources: Any,
    *,
    to: str | os.PathLike[str] | None = None,
    index: str | None = None,
    key: Key | bytes | str | os.PathLike[str] | None = None,
    api_key: str | None = None,
    options: LoadOptions | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    **fields: Any,
) -> LoadResult:
    """Load sources into an index: the same engine as `vecload upsert`.

    May run in any thread and process, several at once on different indexes. It prints nothing and handles no
    signals; the messages of the command line go to the logger `vecload`. If a load of files stops, call it
    again to resume.

    Args:
        sources: A path, URI, folder or pattern, or a list of them; or an object with `__arrow_c_stream__` (a
            pandas or polars DataFrame, a DuckDB relation, a dataset, a pyarrow Table), a
            `pyarrow.RecordBatchReader`, or an iterable of dicts, read as a stream.
        to: A CyborgDB service's URL, or the folder of an embedded store; None is your local store.
        index: The index, created if it does not exist; None names it after the only file.
        key: A Key, its 32 bytes, or the path of a key file; None uses the key in your key store. There,
            vecload makes a key for a new index of an embedded store; for one of a service only with
            `create_key=True`, which also makes a key file that is missing. The logger warns of a new key.
        api_key: The API key for a service; for a folder, CyborgDB's licence key. No environment variable is
            read.
        options: All other options.
        on_progress: Called in this thread during the load.
        stop: Set it in another thread to stop the load. Acknowledged rows are recorded.
        fields: Fields of LoadOptions, which replace those of `options`; and `ca_file`, `client_cert`,
            `client_key`, `proxy` and `insecure_http`, as for `vecload.connect`.

    Returns:
        The result: its status is `complete`, or `rejected` if rows were rejected within `max_errors`.

    Raises:
        VecloadError: The load stopped; `error.result` shows how far it came.
        TypeError: An option does not exist.
    """
    try:
        with parameters_named():
            caller = Caller.of_python(on_progress, stop)
            request = request_of(
                sources, to=to, index=index, key=key, api_key=api_key, options=options, changes=fields
            )
            result = run_load(request, caller)
    except VecloadError as error:
        if error.result is None:  # it stopped before it began
            note(LoadResult(), error)
        raise
    result.advice = as_parameters(result.advice)
    return result


def run_load(
    request: Request,
    caller: Caller,
    steps: Steps | None = None,
) -> LoadResult:
    """Run a load to its end.

    Args:
        request: The load.
        caller: Takes its messages and may stop it.
        steps: Makes its steps; None is a load by this process.

    Returns:
        The result: its status is `complete`, or `rejected` if rows were rejected within `max_errors`.

    Raises:
        VecloadError: The load stopped. The error has the result as `result`.
        KeyboardInterrupt: The user interrupted this process.
    """
    result = LoadResult(error="a bug in vecload")
    try:
        with ending(result), span("load"), ExitStack() as opened:
            (steps or Load)(request, caller, result, opened).run()
        result.exit_code, result.error = (3 if result.status == "rejected" else 0), None
        result.resumable = False
    except VecloadError as error:
        result.resumable &= error.exit_code != UsageError.exit_code and not isinstance(error, NOT_RESUMED)
        raise
    finally:
        _log_end(result)
    return result


def _log_end(result: LoadResult) -> None:
    names = ("index", "target", "status", "exit_code", "error", "seconds", "bytes", "retries")
    counts = ("read", "loaded", "rejected", "skipped", "deleted")
    fields = {name: getattr(result, name) for name in (*names, *counts)}
    emit(LOADS, logging.INFO, "load_ended", **fields)  # an error is raised, too: printing it is for callers


class Load:
    """The steps of a load. Each fills in its part of the result.

    A load on a cluster has all of them, and sends in its own way.
    """

    def __init__(self, request: Request, caller: Caller, result: LoadResult, opened: ExitStack) -> None:
        self.request = request
        self.options = request.options
        self.caller = caller
        self.say = caller.say
        self.result = result
        self.opened = opened

    def run(self) -> None:
        """Run all steps.

        Raises:
            VecloadError: The load stopped.
        """
        request, result = self.request, self.result
        names, rejected = named_sources(request)
        checks.check_options(request, names)
        sources = sources_of(request, names, interrupted=self.caller.stopped_by)
        for source in sources:
            self.opened.callback(source.close)
        result.sources = [*map(repeatable, names)] or [source.name for source in sources]
        checks.run(checks.source_checks(request, names, sources))
        plan = plan_of(request, sources)
        result.index = request.index or index_name(names)
        if not plan.sources:
            self.say("no rows to load")
            result.status = "complete"
            return
        checks.run(checks.plan_checks(request, plan))
        for hint in binary_hints(plan):
            self.say(hint)
        if self.caller.stop.is_set():
            raise Interrupted(self.caller.stopped_by())  # before anything is created
        self.planned(plan)
        target = self._connect(plan)
        access = when_up(
            lambda: self._open(plan, target),
            self.say,
            seconds=min(START_SECONDS, self.options.give_up_after),
        )
        self._describe(access, plan)
        jobs = self._jobs(plan, access)
        policy = policy_of(self.options.repeated_ids, plan.mappings)
        digests = digests_of
        if self.options.skip_loaded and access.key is not None:
            digests = ItemDigests(access.key.contents_key, access.index.name, "").short_of_ids
        ids = RepeatedIds(policy, tell=self.say, digests=digests)
        ids.loaded_elsewhere(request.loaded_elsewhere)
        if self.options.split is not None:
            self._compare_with_other_parts(jobs, ids, access)
        if rejected:
            jobs, replaced = choose_rows(jobs, rejected, ids)
            if replaced:
                self.say(f"omitting {replaced:,} rejected rows: later rows with the same ids were loaded")
        try:
            self.send(plan, jobs, ids, target, access)
        finally:
            result.repeated, result.repeated_exact, result.repeated_ids = ids.repeated, ids.exact, ids.policy
        if self.options.train:
            train(access.index, self.caller.stop, self.caller.stopped_by, self.say)

    def planned(self, plan: Plan) -> None:
        """Called when it is known what is loaded, before anything is created."""

    def _compare_with_other_parts(self, jobs: Sequence[Job], ids: RepeatedIds, access: OpenedIndex) -> None:
        """With `--split`, let ids that other parts have count as repeated, or refuse them."""
        if ids.policy == "assume-unique":
            return
        others = other_parts(self.request, before=ids.policy == "reject", interrupted=self.caller.stopped_by)
        for source in others:
            self.opened.callback(source.close)
        if not others:
            return
        self.say(f"comparing ids with those of other parts than {self.options.split}")
        other_jobs = self._jobs(plan_of(self.request, others), access)
        found = ids_of_others(jobs, other_jobs, IdPass(interrupted=self.caller.stopped_by))
        if ids.policy == "last":
            refuse_shared(jobs, found)
        ids.loaded_elsewhere([*found])

    def _jobs(self, plan: Plan, access: OpenedIndex) -> list[Job]:
        return plan.jobs(
            index_dimension=access.index.describe().dimension,
            allow_zero_vectors=self.options.allow_zero_vectors,
            keep_rows=self.options.reject_rows,
        )

    def _connect(self, plan: Plan) -> Target:
        target = connect_to(
            self.request.to,
            self.request.api_key,
            self.request.reach,
            wire=self.options.wire,
            binary_threshold=self.options.binary_threshold,
            must_exist=creation_of(self.request, plan) is None,
        )
        self.result.target = target.location
        return self.opened.enter_context(target)

    def _open(self, plan: Plan, target: Target) -> OpenedIndex:
        """The index: created if it does not exist, checked if it does."""
        request, name = self.request, self.result.index
        wanted = creation_of(request, plan)
        if wanted is None:
            access = open_existing(target, name, request.keys, kms=self.options.kms)
        else:
            access = open_or_create(
                target,
                name,
                request.keys,
                wanted,
                before=lambda: checks.run(
                    checks.new_index_checks(request, plan, name, wanted, target.embedding_models)
                ),
                seals=seals_something(request, plan),
                tell=self.say,
            )
        access.warn_of_new_key(self.caller.warn)
        if not access.created:
            contents = checks.contents_check(request, plan, access)
            checks.run(checks.index_checks(request, plan, access, contents))
            if contents is not None and contents.note:
                self.say(contents.note)
        return access

    def _describe(self, access: OpenedIndex, plan: Plan) -> None:
        """Report the mapping and the index before a row is written."""
        self._say_mapping(plan)
        result, info = self.result, access.index.describe()
        result.key_id, result.key_from = access.key_id, access.key_from
        result.about = f"{info.dimension or plan.dimension} dimensions, {info.metric}"
        if access.created:
            self.say(f"created index {info.name!r} ({result.about}){access.its_key}")
        if access.index.opened_by != "index key":
            self.say(access.access)
        if line := unsealed_line(plan.mappings, seal=self.request.seal):
            self.say(line)
        if self.request.seal and (line := access.derivation):
            self.say(line)

    def _say_mapping(self, plan: Plan) -> None:
        result = self.result
        result.mapping, result.other_mappings = say_mappings(plan, self.request.seal, self.say)
        if clear := plan.cleartexts():
            result.clear_text = [asdict(text) for text in clear]
            self.say(escaped(cleartext_line(clear)))

    def send(
        self, plan: Plan, jobs: Sequence[Job], ids: RepeatedIds, target: Target, access: OpenedIndex
    ) -> None:
        """Open the books, connect the parts of the flow, and run it."""
        options, result, index = self.options, self.result, access.index
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
                return  # everything was loaded before
            journal, sealer, all_ids = books.journal, books.sealer, ids
            remote, stages, sample = is_service(target.location), Stages(), Sample()
            before = index.describe()
            rows = batch_rows_of(options.batch_rows, plan.dimension)
            concurrency = concurrency_of(options.concurrency, index.writers, rows, remote=remote)
            sender = Sender(
                (lambda batch: index.prepare(sample.keep(batch))) if options.explain else index.prepare,
                target.healthy,
                RetryPolicy(give_up_after=options.give_up_after),
                self.caller.stop,
                on_busy=concurrency.busy,
                tell=self.say,
            )
            parsers = opened.enter_context(parsers_for(str(options.parse_workers), plan.sources))
            only = None
            if options.changed_only:
                only = ChangedOnly.open(self.request, plan, access, target.location, opened, self.say)
                ids = only.begin(
                    jobs,
                    ids,
                    journal,
                    sender,
                    batch_rows=rows.piece,
                    parsers=parsers,
                    stages=stages,
                    meter=self.meter(plan, index.name),
                    caller=self.caller,
                )
            meter = self.meter(plan, index.name)
            for source in plan.sources:
                for span in journal.done(source.name):
                    meter.add(span)
            ledger = Ledger(
                journal=journal,
                rejects=books.rejects,
                limit=self.request.max_errors,
                on_progress=meter.update,
                changes=only.changes if only else None,
                digests=ids.digests if options.skip_loaded and access.key is not None else None,
            )
            if ledger.totals.read and only is None and not books.kept:
                known = [source.loaded_rows for source in plan.sources]
                of_all = f" of {sum(n or 0 for n in known):,}" if None not in known else ""
                self.say(f"resuming: {ledger.totals.read:,}{of_all} rows are done")
            if remote and (age := age_of_killed(journal, only)) is not None:
                # The service may still store what a killed run had in flight. Wait, so that it comes first.
                wait = max(0.0, options.resume_wait - max(0.0, age))
                if wait:
                    emit(REQUESTS, logging.INFO, "wait", seconds=wait, reason="a run was killed a moment ago")
                self.caller.stop.wait(min(wait, threading.TIMEOUT_MAX))
            dispatcher = opened.enter_context(
                Dispatcher(sender.ready, concurrency, self.caller.stop, on_wait=ledger.waiting, stages=stages)
            )

            meter.in_flight = lambda: dispatcher.in_flight

            def ended() -> None:
                check_unchanged(plan.sources, books.identity.fingerprints, self.say)
                check_whole(plan.sources)
                check_still_there(
                    index,
                    journal.samples(),
                    loaded=ledger.totals.loaded + ledger.totals.skipped,
                    repeated=all_ids.replaced if all_ids.exact else None,
                    hidden=options.allow_zero_vectors,
                )
                if only is not None:
                    only.delete_missing(sender, self.go_on)

            flow = Flow(
                jobs=jobs,
                sealer=sealer,
                dispatcher=dispatcher,
                ledger=ledger,
                batch_rows=rows,
                batch_bytes=options.batch_bytes,
                interrupted=self.caller.stopped_by,
                stages=stages,
                parsers=parsers,
                ids=ids,
                check=ended,
                changes=only.changes if only else None,
                skim=bool(books.kept),
            )
            totals = ledger.totals
            emit(
                LOADS,
                logging.INFO,
                "load_started",
                index=result.index,
                target=target.location,
                kind="service" if remote else "embedded",
                sources=len(plan.sources),
                rejected=totals.rejected,
                skipped=totals.skipped,
            )
            with self.caller.around():
                meter.start(totals)
                try:
                    try:
                        flow.run()
                    except BaseException:
                        with suppress(JournalError):
                            note_stop(journal, plan.sources, books.identity.fingerprints)
                        raise
                    result.status = "rejected" if ledger.totals.rejected else "complete"
                finally:
                    result.seconds = meter.seconds + (only.seconds if only else 0.0)
                    result.deleted = only.deleted if only else 0
                    result.count(ledger)
                    result.time = shares(stages, sending=ledger.totals.sending, waiting=ledger.totals.waiting)
                    books.say_rejects(result, self.options.rejects, self.say)
            if only is not None:
                only.changes.finish()
            result.an_id = next(iter(journal.samples()), None)
            with suppress(VecloadError):
                journal.ended_with(index.count())
                journal.commit(reject_bytes=None, finished=True)
            if options.explain:
                result.advice = advise(
                    options, plan.sources, before, result.time, sample.batches, remote=remote
                )

    def meter(self, plan: Plan, index: str) -> Meter:
        """Measures the progress of the load."""
        return Meter(index, plan.sources, self.caller.on_progress, clock=time.monotonic)

    def go_on(self) -> None:
        """Raise Interrupted if the load must stop."""
        if self.caller.stop.is_set():
            raise Interrupted(self.caller.stopped_by())


Steps: TypeAlias = Callable[[Request, Caller, LoadResult, ExitStack], Load]
"""Makes the steps of a load."""
