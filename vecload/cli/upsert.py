"""`vecload upsert`: a load from its options to its summary."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from vecload.cli.access import OpenedIndex, connect_to, open_existing, open_or_create
from vecload.cli.checks import (
    check_index,
    check_new,
    check_options,
    check_plan,
    check_records,
    check_reject_file,
    check_same_index,
    index_name,
    known_metric,
    rejected_rows,
    why_not_skipped,
)
from vecload.cli.explain import explain
from vecload.cli.progress import Extent, LineProgress, Progress, QuietProgress, TerminalProgress
from vecload.cli.settings import UpsertSettings
from vecload.cli.signals import StopAsked, beside, stopping_on_signals
from vecload.cli.still_there import check_still_there
from vecload.errors import Interrupted, JournalError, VecloadError
from vecload.loading.advice import Sample
from vecload.loading.binary_hint import binary_hints
from vecload.loading.dispatch import Dispatcher
from vecload.loading.flow import Flow, Job
from vecload.loading.identity import REJECTED
from vecload.loading.journal import Journal
from vecload.loading.ledger import Ledger, Stages, shares
from vecload.loading.plan import Plan, check_unchanged, check_whole, make_plan, note_stop
from vecload.loading.rejects import RejectFile, rejects_held
from vecload.loading.repeated_ids import RepeatedIds, policy_of
from vecload.loading.result import Summary
from vecload.loading.retry import START_SECONDS, RetryPolicy, Sender, when_up
from vecload.loading.retry_rejects import choose_rows
from vecload.loading.tuning import BatchRows, Concurrency
from vecload.mapping.contents_choice import cleartext_line
from vecload.places import short, state_folder
from vecload.readers import Source, open_sources
from vecload.readers.prefetch import parsers_for
from vecload.readers.storage.files import by_samples, printable, repeatable
from vecload.safe_text import escaped
from vecload.sealing import Sealer
from vecload.targets import IndexSettings, Target, is_service

CONCURRENCY_MOST = 8
"""How far `--concurrency auto` goes with a service."""
GC_OBJECTS = 50_000
"""New objects before the collector looks for cycles: a batch's metadata alone are thousands."""
MAPPINGS_SAID = 3
"""Mappings of further sources that are printed, where sources differ."""
QUEUED = 2
"""Batches that wait encoded for the embedded engine's writers."""


def run_load(
    settings: UpsertSettings, *, tell: Callable[[str], None], write: Callable[[bytes], None] | None
) -> int:
    """Run a load to its end and say what it came to, whatever that is.

    Args:
        settings: What to do.
        tell: Says a line to people.
        write: Takes the summary as a JSON object; None if nobody asked for it.

    Returns:
        The exit code of a load that ended.

    Raises:
        VecloadError: It stopped.
    """
    summary = Summary(exit_code=1, error="a defect of vecload")
    try:
        load(settings, summary, (lambda line: None) if settings.quiet else tell)
        summary.exit_code, summary.error = (3 if summary.status == "rejected" else 0), None
    except (VecloadError, KeyboardInterrupt) as stopped:
        error = (
            stopped
            if isinstance(stopped, VecloadError)
            else Interrupted(getattr(stopped, "number", signal.SIGINT))
        )
        summary.status = "interrupted" if isinstance(error, Interrupted) else "failed"
        summary.exit_code, summary.error = error.exit_code, printable(str(error))
        raise error from None
    finally:
        if write is not None:
            write(orjson.dumps(summary.as_json()))
        if not settings.quiet and summary.about and (summary.exit_code in (0, 3) or summary.read):
            for line in summary.lines():
                tell(line)
    return summary.exit_code


def load(settings: UpsertSettings, summary: Summary, tell: Callable[[str], None]) -> None:
    """Run a load; the summary is filled in as far as it goes, whether it fails or not.

    Args:
        settings: What to do.
        summary: Filled in.
        tell: Says a line to people.

    Raises:
        VecloadError: It stopped.
    """
    with ExitStack() as opened:
        rejected = rejected_rows(settings)
        names = settings.sources or [*rejected]
        summary.sources = [*map(repeatable, names)]
        check_options(settings, names)
        stop = StopAsked()
        sources = open_sources(names, replace(settings.reading, interrupted=lambda: stop.number))
        for source in sources:
            opened.callback(source.close)
        check_reject_file(settings, names, sources)
        plan = plan_of(settings, sources)
        summary.index = settings.index or index_name(names)
        if not plan.sources:
            tell("no rows to load")
            summary.status = "complete"
            return
        check_plan(settings, plan)
        for hint in binary_hints(plan):
            tell(hint)
        check_records(settings)
        target = opened.enter_context(
            connect_to(
                settings.to,
                settings.api_key_file,
                wire=settings.wire,
                binary_threshold=settings.binary_threshold,
                must_exist=creation_of(settings, plan) is None,
            )
        )
        summary.target = target.location
        access = when_up(
            lambda: _open_index(settings, plan, target, summary.index),
            tell,
            seconds=min(START_SECONDS, settings.give_up_after),
        )
        _describe(access, plan, settings, summary, tell)
        jobs = plan.jobs(
            index_dimension=access.index.describe().dimension,
            allow_zero_vectors=settings.allow_zero_vectors,
            keep_rows=settings.reject_rows,
        )
        summary.ids = ids = RepeatedIds(policy_of(settings.repeated_ids, plan.mappings), tell=tell)
        if rejected:
            jobs, replaced = choose_rows(jobs, rejected, ids)
            if replaced:
                tell(f"{replaced:,} rejected rows are left out: later rows of the same ids were loaded")
        _run(settings, plan, jobs, ids, target, access, stop, summary, tell)
        if settings.train:
            _train(access, tell)


def plan_of(settings: UpsertSettings, sources: Sequence[Source]) -> Plan:
    """Which columns become what, as the settings have it."""
    columns, dimension = settings.columns, settings.creation.dimension
    return make_plan(sources, columns, embed=settings.embed, rules=settings.rules, dimension=dimension)


def _train(access: OpenedIndex, tell: Callable[[str], None]) -> None:
    """Train the index, and see whether it is trained."""
    try:
        tell("training the index")
        beside(access.index.train)
    except KeyboardInterrupt as stopped:
        raise Interrupted(
            getattr(stopped, "number", signal.SIGINT),
            hint="all rows are in, and the index is not known to be trained: run it again with --skip-loaded",
        ) from None
    told = (
        "the index is trained"
        if access.index.describe().trained
        else "the index stays untrained: it holds too few items, and queries search it whole"
    )
    tell(told)


def _open_index(settings: UpsertSettings, plan: Plan, target: Target, name: str) -> OpenedIndex:
    """The index, made where there is none; one that is there is checked."""
    wanted = creation_of(settings, plan)
    if wanted is None:
        access = open_existing(target, name, settings.keys)
    else:
        access = open_or_create(target, name, settings.keys, wanted, before=lambda: check_new(settings, plan))
    if not access.created:
        check_index(settings, plan, access)
    return access


def creation_of(settings: UpsertSettings, plan: Plan) -> IndexSettings | None:
    """What an index is made with, if one is missing; None where none may be made."""
    if not settings.embed:
        metric = settings.creation.metric or known_metric(plan.metric)
        wanted = replace(settings.creation, dimension=plan.dimension, metric=metric, embedding_model=None)
    elif settings.creation.embedding_model is None:
        return None  # an index made now could not embed anything
    else:
        wanted = settings.creation
    return wanted if settings.create else None


def _describe(
    access: OpenedIndex, plan: Plan, settings: UpsertSettings, summary: Summary, tell: Callable[[str], None]
) -> None:
    _say_mapping(plan, settings, summary, tell)
    info = access.index.describe()
    summary.key_id, summary.key_from = access.key.key_id, access.key_from
    summary.about = f"{info.dimension or plan.dimension} dimensions, {info.metric}"
    if access.created:
        tell(f"made index {info.name!r} ({summary.about}); its key: {short(access.key_from)}")
    if not settings.seal and any(mapping.contents for mapping in plan.mappings):
        tell("contents go unsealed: the engine keeps no type, and can't tell empty from absent")
    if access.key.derived and settings.seal:
        tell("the key has no contents key of its own: whoever sees the index key could open contents")


def _say_mapping(plan: Plan, settings: UpsertSettings, summary: Summary, tell: Callable[[str], None]) -> None:
    """Which column became what, before a row is written."""
    (_, first), *others = plan.distinct()
    summary.mapping = first.as_json(plan.dimension, seal=settings.seal)
    tell(f"columns   {escaped(summary.mapping['line'])}")
    for source, mapping in others:
        other = mapping.as_json(plan.dimension, seal=settings.seal)
        summary.other_mappings.append({"source": source.name, **other})
    for other in summary.other_mappings[:MAPPINGS_SAID]:
        tell(f"columns   {escaped(other['line'])} (in {escaped(other['source'])})")
    if len(others) > MAPPINGS_SAID:
        tell(f"columns   {len(others) - MAPPINGS_SAID} more; --json has them all")
    if clear := plan.cleartexts():
        summary.clear_text = [asdict(text) for text in clear]
        tell(escaped(cleartext_line(clear)))


def _run(
    settings: UpsertSettings,
    plan: Plan,
    jobs: Sequence[Job],
    ids: RepeatedIds,
    target: Target,
    access: OpenedIndex,
    stop: StopAsked,
    summary: Summary,
    tell: Callable[[str], None],
) -> None:
    """Wire the parts of the flow together, and let it run."""
    index, key = access.index, access.key
    stored = (
        f"key {key.key_id}",
        f"sealed {settings.seal}",
        f"embedded {settings.embed}",
        f"zero vectors {settings.allow_zero_vectors}",
        *([REJECTED] if ids.policy == "reject" else []),
    )
    with ExitStack() as opened:
        folder = settings.state_dir or state_folder()
        if plan.once:
            tell("standard input can be read only once: if this load stops, it can't go on from there")
            folder = Path(opened.enter_context(TemporaryDirectory(prefix="vecload-")))
        identity = plan.identity(
            target.location, index.name, stored, named=summary.sources, rejects=settings.retry_rejects
        )
        journal = Journal(folder, identity, fresh=settings.fresh)
        opened.callback(journal.close)
        if journal.had_finished and not settings.fresh:
            why = "the sources or the settings are not the same"
            if settings.skip_loaded and journal.unchanged:
                why = why_not_skipped(journal, access, hidden=settings.allow_zero_vectors)
            if settings.skip_loaded and why:
                tell(f"loading again: {why}")
            elif settings.skip_loaded:
                loaded, rejected = journal.totals()
                ids.leave_out_earlier()
                summary.read, summary.skipped, summary.rejected = loaded + rejected, loaded, rejected
                summary.status = "rejected" if rejected else "complete"
                named = settings.rejects or journal.rejects_path()
                _say_missing(summary, _held_before(settings, journal), named, tell)
                seen = " (large files by samples)" if by_samples(identity.fingerprints.values()) else ""
                tell(f"nothing to do: all {loaded:,} rows were loaded, and the sources are unchanged{seen}")
                return
            journal.start_over()
        sealer = Sealer(key.contents_key, index.name) if settings.seal else None
        rejects, rejects_path = None, journal.rejects_path()
        if settings.rejects is not None:
            rejects_path = settings.rejects
            journal.rejects_go_to(os.path.realpath(settings.rejects))
            rejects = RejectFile(settings.rejects, journal.reject_bytes or None, sealer=sealer)
            opened.callback(rejects.close)
        check_same_index(journal, access, hidden=settings.allow_zero_vectors)
        journal.begin()
        progress = _progress(settings, plan, journal, index.name)
        before = index.describe()
        ledger = Ledger(
            journal=journal,
            rejects=rejects,
            limit=settings.max_errors,
            on_progress=progress.update,
        )
        if ledger.totals.read:
            known = [source.total_rows for source in plan.sources]
            of_all = f" of {sum(n or 0 for n in known):,}" if None not in known else ""
            tell(f"resuming: {ledger.totals.read:,}{of_all} rows are in")
        if journal.unfinished and is_service(target.location):
            # What a killed run had in flight may still be stored: not after what is sent now.
            time.sleep(max(0.0, settings.resume_wait - max(0.0, journal.age(time.time()))))
        remote, stages, sample = is_service(target.location), Stages(), Sample()
        rows = batch_rows_of(settings.batch_rows, plan.dimension)
        concurrency = _concurrency(settings.concurrency, index.writers, rows, remote=remote)
        sender = Sender(
            (lambda batch: index.prepare(sample.keep(batch))) if settings.explain else index.prepare,
            target.healthy,
            RetryPolicy(give_up_after=settings.give_up_after),
            stop,
            on_busy=concurrency.busy,
            tell=tell,
        )
        dispatcher = opened.enter_context(
            Dispatcher(sender.ready, concurrency, stop, on_wait=ledger.waiting, stages=stages)
        )
        # What was imported and built so far stays: the collector need not look through it in every batch.
        gc.freeze()
        gc.set_threshold(GC_OBJECTS, 20, 20)
        parsers = opened.enter_context(parsers_for(settings.parse_workers, plan.sources))

        def ended() -> None:
            _check_sources(plan.sources, identity.fingerprints, tell)
            check_still_there(
                index,
                journal.samples(),
                loaded=ledger.totals.loaded + ledger.totals.skipped,
                repeated=ids.replaced if ids.exact else None,
                hidden=settings.allow_zero_vectors,
            )

        with stopping_on_signals(stop) as interrupted, progress:
            begun = time.monotonic()
            try:
                flow = Flow(
                    *(jobs, sealer, dispatcher, ledger, rows, settings.batch_bytes, interrupted, stages),
                    *(parsers, ids),
                    check=ended,
                )
                try:
                    flow.run()
                except BaseException:
                    with suppress(JournalError):
                        note_stop(journal, plan.sources, identity.fingerprints)
                    raise
                summary.status = "rejected" if ledger.totals.rejected else "complete"
            finally:
                summary.seconds = time.monotonic() - begun
                totals = ledger.totals
                summary.read, summary.loaded = totals.read, totals.loaded
                summary.rejected, summary.skipped = totals.rejected, totals.skipped
                summary.nbytes, summary.wire, summary.retries = totals.nbytes, totals.requests, totals.retries
                summary.nan_left_out = totals.nan_left_out
                summary.time = shares(stages, sending=totals.sending, waiting=totals.waiting)
                if rejects is None:
                    _say_missing(summary, _held_before(settings, journal), rejects_path, tell)
                else:
                    _say_held(summary, rejects, tell)
        with suppress(VecloadError):
            held = index.count()
            journal.ended_with(held)
            journal.commit(reject_bytes=None, finished=True)
        if settings.explain:
            summary.advice = explain(
                settings, plan.sources, before, summary.time, sample.batches, remote=remote
            )


def _check_sources(
    sources: Sequence[Source], fingerprints: Mapping[str, str], tell: Callable[[str], None]
) -> None:
    """When all is sent: whether the sources are what they were, and whole."""
    check_unchanged(sources, fingerprints, tell)
    check_whole(sources)


def _held_before(settings: UpsertSettings, journal: Journal) -> int:
    """How many of a load's rejects are in the reject file that its earlier runs wrote, if it is that file."""
    with suppress(JournalError):
        path = journal.rejects_path()
        same = settings.rejects is None or os.path.realpath(settings.rejects) == path
        if path is not None and same:
            return rejects_held(path, journal.reject_bytes)
    return 0


def _say_held(summary: Summary, rejects: RejectFile, tell: Callable[[str], None]) -> None:
    """Say if the reject file of this run holds fewer rejects than are counted, however the run ends."""
    try:
        rejects.check()
    except JournalError as error:
        tell(str(error))
    if rejects.failed:  # and that was said
        summary.rejects_missing = max(0, summary.rejected - rejects_held(rejects.path))
    else:
        _say_missing(summary, rejects.held, rejects.path, tell)


def _say_missing(summary: Summary, held: int, path: str | None, tell: Callable[[str], None]) -> None:
    """Say if the reject file holds fewer rejects than are counted."""
    if path is None:
        return
    summary.rejects_missing = max(0, summary.rejected - held)
    if summary.rejects_missing:
        tell(
            f"{summary.rejects_missing:,} of the {summary.rejected:,} rejected rows are not in {path}: "
            "it holds those of runs that named it with --rejects; to have them all, load with --fresh"
        )


def batch_rows_of(text: str, dimension: int) -> BatchRows:
    """The rows of a batch that `--batch-rows` means."""
    return BatchRows.auto(dimension) if text == "auto" else BatchRows([int(text)])


def _concurrency(text: str, writers: int, rows: BatchRows, *, remote: bool) -> Concurrency:
    """The limit of batches in flight that `--concurrency` means."""
    if text == "auto" and remote:
        return Concurrency(writers, CONCURRENCY_MOST, rows=rows)
    limit = writers if text == "auto" else int(text)
    # A writer of the embedded engine is done with a batch in milliseconds: its next one must be there.
    return Concurrency(limit, limit, queued=0 if remote else QUEUED, rows=rows)


def _progress(settings: UpsertSettings, plan: Plan, journal: Journal, title: str) -> Progress:
    if settings.quiet:
        return QuietProgress()
    extent = Extent(plan.sources)
    for source in plan.sources:
        for span in journal.done(source.name):
            extent.add(span)
    return TerminalProgress(extent, title) if settings.terminal else LineProgress(extent)
