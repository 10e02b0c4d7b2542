"""Books: open the journal and the reject file of a load, and report missing rejects."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from vecload.errors import JournalError
from vecload.loading.flow import Job
from vecload.loading.identity import REJECTED, Identity
from vecload.loading.incremental.grown import keep_loaded
from vecload.loading.incremental.item_state import others_write, state_path
from vecload.loading.index_checks import check_same_index, why_not_skipped
from vecload.loading.journal import Journal
from vecload.loading.plan import Plan
from vecload.loading.rejects import RejectFile, rejects_held
from vecload.loading.repeated_ids import RepeatedIds
from vecload.loading.request import Request
from vecload.loading.result import LoadResult
from vecload.readers.storage.files import by_samples
from vecload.sealing import Sealer
from vecload.targets import Target
from vecload.targets.opened import OpenedIndex

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Books:
    """The durable records of a load.

    Attributes:
        journal: The journal, begun.
        identity: Identifies the load in later runs.
        rejects: The reject file; None if this run names none.
        sealer: Seals contents and rows in the reject file; None leaves contents to the engine.
        kept: How many sources need not be loaded, since an earlier load has loaded them.
    """

    journal: Journal
    identity: Identity
    rejects: RejectFile | None
    sealer: Sealer | None
    kept: int = 0

    def say_rejects(self, result: LoadResult, named: str | None, say: Say) -> None:
        """Report if the reject file holds fewer rejects than were counted. Runs however the load ends.

        Args:
            result: The result of the load.
            named: The reject file that this run names.
            say: Takes a message.
        """
        if self.rejects is None:
            _say_missing(result, _held_before(self.journal, named), self.journal.rejects_path(), say)
            return
        result.rejects_file = self.rejects.path
        try:
            self.rejects.check()
        except JournalError as error:
            say(str(error))
        if self.rejects.failed:  # reported already
            result.rejects_missing = max(0, result.rejected - rejects_held(self.rejects.path))
        else:
            _say_missing(result, self.rejects.held, self.rejects.path, say)


def open_books(
    request: Request,
    plan: Plan,
    jobs: Sequence[Job],
    ids: RepeatedIds,
    target: Target,
    access: OpenedIndex,
    result: LoadResult,
    opened: ExitStack,
    say: Say,
    *,
    interrupted: Callable[[], int] = lambda: 0,
) -> Books | None:
    """Open the journal and the reject file of a load.

    Args:
        request: The load.
        plan: Its sources.
        jobs: Its sources, with their mappers.
        ids: Its repeated ids.
        target: Its target.
        access: Its index.
        result: Filled in if everything was loaded before.
        opened: Closes the records.
        say: Takes a message.
        interrupted: The number of the signal that stops the load, 0 without one.

    Returns:
        The books; None if everything was loaded before and the load is skipped.

    Raises:
        VecloadError: The records can't be written, or the index is not the one that the load began with.
    """
    options, folder = request.options, request.state_folder
    if plan.once:
        say(f"{plan.once} can be read only once: if this load stops, it can't resume")
    if not plan.known_again or request.recorded_elsewhere:
        folder = Path(opened.enter_context(TemporaryDirectory(prefix="vecload-")))
    stored = (
        f"key {access.key_id}",
        f"sealed {request.seal}",
        f"embedded {options.embed}",
        f"zero vectors {options.allow_zero_vectors}",
        *([REJECTED] if ids.policy == "reject" else []),
    )
    identity = plan.identity(
        target.location,
        access.index.name,
        stored,
        named=result.sources,
        rejects=options.retry_rejects,
        digested=not request.recorded_elsewhere,
    )
    # A load that sends only what changed compares all rows again, whatever an earlier run recorded.
    part_by_part = options.skip_loaded and not options.retry_rejects
    fresh = options.fresh or options.changed_only
    journal = Journal(folder, identity, fresh=fresh, replan=part_by_part)
    opened.callback(journal.close)
    hidden, kept = options.allow_zero_vectors, 0
    if journal.had_finished and not fresh:
        if options.skip_loaded:
            why = why_not_skipped(journal, access, hidden=hidden)
            if not why and journal.unchanged:
                ids.leave_out_earlier()
                _skip(journal, identity, result, options.rejects, say)
                return None
            if not why:
                kept = keep_loaded(
                    journal, identity, jobs, ids, options.rejects, say, interrupted=interrupted
                )
            if not kept:
                say(f"loading again: {why or 'the sources or the settings changed'}")
        if not kept:
            journal.start_over()
    elif journal.changed is not None:
        check_same_index(journal, access, hidden=hidden)
        kept = keep_loaded(journal, identity, jobs, ids, options.rejects, say, interrupted)
        if not kept:
            say(f"loading from the start: {journal.changed.args[0]}")
            journal.start_over()
    if not options.changed_only:
        state = state_path(request.state_folder, target.location, access.index.name)
        opened.enter_context(others_write(state))
    key = access.key if request.seal else None  # None also without contents: index_checks has made sure
    sealer = Sealer(key.contents_key, access.index.name) if key is not None else None
    rejects = None
    if options.rejects is not None:
        journal.rejects_go_to(os.path.realpath(options.rejects))
        rejects = RejectFile(options.rejects, journal.reject_bytes or None, sealer=sealer)
        opened.callback(rejects.close)
    check_same_index(journal, access, hidden=hidden)
    journal.begin()
    result.resumable = plan.known_again
    return Books(journal, identity, rejects, sealer, kept)


def _skip(journal: Journal, identity: Identity, result: LoadResult, named: str | None, say: Say) -> None:
    """Report that everything was loaded before."""
    loaded, rejected = journal.totals()
    result.read, result.skipped, result.rejected = loaded + rejected, loaded, rejected
    result.status = "rejected" if rejected else "complete"
    _say_missing(result, _held_before(journal, named), named or journal.rejects_path(), say)
    seen = " (large files by samples)" if by_samples(identity.fingerprints.values()) else ""
    say(f"nothing to do: all {loaded:,} rows were loaded, and the sources are unchanged{seen}")


def _held_before(journal: Journal, named: str | None) -> int:
    """How many rejects are in the reject file of earlier runs, unless this run names another file."""
    with suppress(JournalError):
        path = journal.rejects_path()
        if path is not None and (named is None or os.path.realpath(named) == path):
            return rejects_held(path, journal.reject_bytes)
    return 0


def _say_missing(result: LoadResult, held: int, path: str | None, say: Say) -> None:
    """Report if the reject file holds fewer rejects than were counted."""
    result.rejects_file = path
    if path is None:
        return
    result.rejects_missing = max(0, result.rejected - held)
    if result.rejects_missing:
        say(
            f"{result.rejects_missing:,} of the {result.rejected:,} rejected rows are not in {path}: "
            "it holds only those of runs with --rejects; to get them all, load with --fresh"
        )
