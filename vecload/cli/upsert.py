"""`vecload upsert`: a load from its options to its summary."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from vecload.cli.access import OpenedIndex, connect_to, is_exposed, open_or_create
from vecload.cli.settings import UpsertSettings
from vecload.cli.signals import stopping_on_signals
from vecload.config import short, state_folder
from vecload.contents import Sealer
from vecload.errors import IndexMismatch, Interrupted, UsageError, VecloadError
from vecload.loading.again import choose_rows, read_rejects
from vecload.loading.concurrency import Concurrency
from vecload.loading.dispatch import Dispatcher
from vecload.loading.journal import Journal
from vecload.loading.ledger import Ledger
from vecload.loading.loader import Flow, Job
from vecload.loading.plan import Plan, make_plan
from vecload.loading.rejects import RejectFile
from vecload.loading.retry import RetryPolicy, Sender
from vecload.progress import Extent, LineProgress, Progress, QuietProgress, TerminalProgress
from vecload.readers import open_sources
from vecload.summary import Summary
from vecload.targets import IndexSettings, Target

CONCURRENCY_MOST = 8
"""How far `--concurrency auto` goes with a service."""
TRAIN_MULTIPLE = 32
"""Other dimensions can't be trained (docs/cyborgdb.md)."""


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
        rejected = _rejected(settings)
        names = settings.sources or [*rejected]
        summary.sources = list(names)
        sources = open_sources(names)
        for source in sources:
            opened.callback(source.close)
        plan = make_plan(sources, settings.columns, embed=settings.embed)
        summary.index = settings.index or _index_name(names)
        if not plan.sources:
            tell("no rows to load")
            return
        target = opened.enter_context(
            connect_to(
                settings.to,
                settings.api_key_file,
                wire=settings.wire,
                binary_threshold=settings.binary_threshold,
            )
        )
        summary.target = target.location
        if is_exposed(target.location):
            tell(f"warning: the index key travels unencrypted to {target.location}; use https")
        access = _open_index(settings, plan, target, summary.index)
        _describe(access, plan, settings, summary, tell)
        jobs = plan.jobs(
            index_dimension=access.index.describe().dimension,
            allow_zero_vectors=settings.allow_zero_vectors,
            keep_rows=settings.reject_rows,
        )
        if rejected:
            jobs, replaced = choose_rows(jobs, rejected)
            if replaced:
                tell(f"{replaced:,} rejected rows are left out: later rows of the same ids were loaded")
        _check_trainable(settings, access)
        _run(settings, plan, jobs, target, access, summary, tell)
        if settings.train:
            _train(access, tell)


def _rejected(settings: UpsertSettings) -> dict[str, set[int]]:
    """The rows of `--retry-rejects`, by their sources."""
    if settings.reject_rows and not settings.rejects:
        raise UsageError("--reject-rows needs --rejects FILE, where they go")
    if settings.retry_rejects is None:
        if not settings.sources:
            raise UsageError("no source is named", hint="see 'vecload upsert --help'")
        return {}
    if settings.rejects and Path(settings.rejects).resolve() == Path(settings.retry_rejects).resolve():
        raise UsageError(
            "--rejects and --retry-rejects name the same file", hint="write new rejects to another"
        )
    return read_rejects(settings.retry_rejects)


def _check_trainable(settings: UpsertSettings, access: OpenedIndex) -> None:
    dimension = access.index.describe().dimension
    if settings.train and dimension % TRAIN_MULTIPLE:
        raise UsageError(
            f"--train: the engine trains dimensions that are multiples of {TRAIN_MULTIPLE}, and index "
            f"{access.index.name!r} has {dimension}",
            hint="leave --train away: queries find everything without it",
        )


def _train(access: OpenedIndex, tell: Callable[[str], None]) -> None:
    """Train the index, and see whether it is trained."""
    tell("training the index")
    access.index.train()
    told = (
        "the index is trained"
        if access.index.describe().trained
        else ("the index stays untrained: it holds too few items, and queries search it whole")
    )
    tell(told)


def _index_name(sources: Sequence[str]) -> str:
    """An index named after the only source."""
    if len(sources) > 1:
        raise UsageError("several sources need the name of an index", hint="give it with --index")
    name = re.sub(r"[^\w.-]+", "-", Path(sources[0]).name.split(".")[0]).strip("-.")
    if not name or name == "default":
        raise UsageError(f"no index can be named after {sources[0]}", hint="name one with --index")
    return name


def _open_index(settings: UpsertSettings, plan: Plan, target: Target, name: str) -> OpenedIndex:
    """The index, made where there is none."""
    wanted = settings.creation
    if not settings.embed:
        if wanted.dimension not in (None, plan.dimension):
            raise IndexMismatch(
                f"--dimension is {wanted.dimension}, but the vectors of {plan.sources[0].name} have "
                f"{plan.dimension} dimensions"
            )
        wanted = IndexSettings(
            dimension=plan.dimension,
            metric=wanted.metric,
            storage_precision=wanted.storage_precision,
            unfilterable=wanted.unfilterable,
            pattern=wanted.pattern,
            full_text=wanted.full_text,
        )
    return open_or_create(target, name, settings.keys, wanted, create=settings.create)


def _describe(
    access: OpenedIndex, plan: Plan, settings: UpsertSettings, summary: Summary, tell: Callable[[str], None]
) -> None:
    info = access.index.describe()
    summary.key_id, summary.key_from = access.key.key_id, access.key_from
    summary.about = f"{info.dimension or plan.dimension} dimensions, {info.metric}"
    if access.created and not settings.quiet:
        tell(f"made index {info.name!r} ({summary.about}); its key: {short(access.key_from)}")
    wanted = settings.creation
    if not access.created and wanted.metric not in (None, info.metric):
        raise IndexMismatch(
            f"index {info.name!r} has the metric {info.metric}, not {wanted.metric}",
            hint="leave --metric away, or load into another index",
        )
    if not settings.seal and any(mapping.contents for mapping in plan.mappings) and not settings.quiet:
        tell("contents go unsealed: the engine keeps no type, and can't tell empty from absent")
    if access.key.derived and settings.seal and not settings.quiet:
        tell("the key has no contents key of its own: whoever sees the index key could open contents")


def _run(
    settings: UpsertSettings,
    plan: Plan,
    jobs: Sequence[Job],
    target: Target,
    access: OpenedIndex,
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
    )
    with ExitStack() as opened:
        journal = Journal(
            settings.state_dir or state_folder(),
            plan.identity(target.location, index.name, stored, rejects=settings.retry_rejects),
            fresh=settings.fresh,
        )
        opened.callback(journal.close)
        if journal.had_finished and not settings.fresh:
            if settings.skip_loaded and journal.unchanged:
                loaded, rejected = journal.totals()
                summary.read, summary.skipped, summary.rejected = loaded + rejected, loaded, rejected
                tell(f"nothing to do: all {loaded:,} rows were loaded, and the sources are unchanged")
                return
            journal.start_over()
        sealer = Sealer(key.contents_key, index.name) if settings.seal else None
        rejects = None
        if settings.rejects is not None:
            if Path(settings.rejects).resolve() in {Path(source).resolve() for source in summary.sources}:
                raise UsageError(f"--rejects {settings.rejects} is a source")
            rejects = RejectFile(settings.rejects, journal.reject_bytes or None, sealer=sealer)
            opened.callback(rejects.close)
        if journal.index_items > index.count():
            raise IndexMismatch(
                f"index {index.name!r} holds fewer items than this load had put there; was it dropped?",
                hint="load everything again with --fresh",
            )
        progress = _progress(settings, plan, f"{index.name}")
        ledger = Ledger(
            journal=journal,
            rejects=rejects,
            limit=settings.max_errors,
            count_index=index.count,
            on_progress=progress.update,
        )
        if ledger.totals.read:
            known = [source.total_rows for source in plan.sources]
            of_all = f" of {sum(n or 0 for n in known):,}" if None not in known else ""
            tell(f"resuming: {ledger.totals.read:,}{of_all} rows are in")
        stop = threading.Event()
        concurrency = _concurrency(settings.concurrency, index.writers, is_service="://" in target.location)
        sender = Sender(
            index.upsert,
            target.healthy,
            RetryPolicy(give_up_after=settings.give_up_after),
            stop,
            on_busy=concurrency.busy,
        )
        dispatcher = opened.enter_context(Dispatcher(sender.send, concurrency, stop))
        with stopping_on_signals(stop) as interrupted, progress:
            begun = time.monotonic()
            try:
                Flow(
                    jobs,
                    sealer,
                    dispatcher,
                    ledger,
                    settings.batch_rows,
                    settings.batch_bytes,
                    interrupted,
                ).run()
                summary.status = "rejected" if ledger.totals.rejected else "complete"
            finally:
                summary.seconds = time.monotonic() - begun
                totals = ledger.totals
                summary.read, summary.loaded = totals.read, totals.loaded
                summary.rejected, summary.skipped = totals.rejected, totals.skipped
                summary.nbytes, summary.wire, summary.retries = totals.nbytes, totals.requests, totals.retries


def _concurrency(text: str, writers: int, *, is_service: bool) -> Concurrency:
    """The limit of batches in flight that `--concurrency` means."""
    if text == "auto":
        return Concurrency(writers, CONCURRENCY_MOST if is_service else writers)
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise UsageError(f"--concurrency {text!r} is neither 'auto' nor a number from 1 to 64")
    return Concurrency(int(text), int(text))


def _progress(settings: UpsertSettings, plan: Plan, title: str) -> Progress:
    if settings.quiet:
        return QuietProgress()
    extent = Extent([(source.name, source.nbytes, source.total_rows) for source in plan.sources])
    return TerminalProgress(extent, title) if settings.terminal else LineProgress(extent)


def fail(summary: Summary, error: VecloadError) -> None:
    """Note in the summary that the load stopped."""
    summary.status = "interrupted" if isinstance(error, Interrupted) else "failed"
    summary.exit_code, summary.error = error.exit_code, str(error)
