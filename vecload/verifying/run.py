"""Run a verification: read sources as a load does, and compare each batch with the index. Writes nothing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecload.batch import Batch
from vecload.errors import Interrupted, UsageError
from vecload.flags import as_parameters, parameters_named
from vecload.loading.caller import Caller
from vecload.loading.checks import check_dimension, check_not_read, index_name, named_sources
from vecload.loading.ending import ending
from vecload.loading.flow import Job
from vecload.loading.index_checks import check_index_settings
from vecload.loading.ledger import Totals
from vecload.loading.parts import plan_of, sources_of
from vecload.loading.plan import Plan, say_mappings
from vecload.loading.progress import Meter, Progress
from vecload.loading.repeated_ids import RepeatedIds, policy_of
from vecload.loading.request import Request, request_of
from vecload.loading.retry import when_up
from vecload.options import LoadOptions
from vecload.readers import Source
from vecload.readers.json.workers import Parsers
from vecload.readers.prefetch import batches, in_order, parsers_for
from vecload.readers.storage.files import STDIN, ChangedError, reason, repeatable, unreadable
from vecload.sealing import Key, Opener
from vecload.targets import is_service
from vecload.targets.opened import OpenedIndex
from vecload.targets.opening import connect_to, open_existing
from vecload.verifying.comparison import Comparer
from vecload.verifying.differences import Differences, check_place, write_differences
from vecload.verifying.precision import LOSSY
from vecload.verifying.presence import Presence
from vecload.verifying.result import SHOWN, VerifyResult
from vecload.verifying.selection import Amount, Selection, vectors_in_time
from vecload.verifying.tally import Tally

PAGE_ROWS = 2000
"""Rows that are read at once, and items of a page without vectors."""
VECTOR_PAGE_ROWS = 128
"""Items of a page with vectors: each value is a Python number for a moment, and these should fit a cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thoroughness:
    """How much is compared.

    Attributes:
        sample: How many items; None is all.
        vectors: Of how many of them the vectors; None decides by the time it takes.
        extra: Report the ids that only the index has.
        differences: A file for all differences.
    """

    sample: int | str | None = None
    vectors: int | str | None = None
    extra: bool = False
    differences: str | None = None


def verify(
    sources: Any,
    *,
    to: str | os.PathLike[str] | None = None,
    index: str | None = None,
    key: Key | bytes | str | os.PathLike[str] | None = None,
    api_key: str | None = None,
    options: LoadOptions | None = None,
    sample: int | str | None = None,
    vectors: int | str | None = None,
    extra: bool = False,
    differences: str | os.PathLike[str] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    **fields: Any,
) -> VerifyResult:
    """Compare sources with the index that `vecload.load` with the same arguments loaded them into.

    An item is equal if its vector is (bit for bit; with a lossy `storage_precision`, within what it loses),
    its metadata as JSON values, and its opened contents in type and value. Of rows with the same id the last
    one counts. Rows that a load rejects are not expected in the index. Nothing is created or written, except
    the file of differences.

    Args:
        sources: As for `vecload.load`, like the next arguments.
        to: The target.
        index: The index.
        key: Its key.
        api_key: The API key for a service; for a folder, CyborgDB's licence key.
        options: All other options.
        sample: About how many items to compare: a number, or a percentage such as "1%"; None is all.
        vectors: Of about how many of them the vectors, in the same way, or "all". None is all, except that of
            a service it is as many as it returns in about a minute.
        extra: Report the ids in the index that no row has, too.
        differences: A file for all differences, JSON Lines with `id`, `source`, `row`, `field` and `what`.
        on_progress: Called in this thread during the verification; `loaded` counts compared items.
        stop: Set it in another thread to stop.
        fields: As for `vecload.load`.

    Returns:
        The result: its status is `equal` or `different`.

    Raises:
        VecloadError: The sources can't be read, or the index can't be.
        TypeError: An option does not exist.
    """
    with parameters_named():
        request = request_of(
            sources, to=to, index=index, key=key, api_key=api_key, options=options, changes=fields
        )
        how = Thoroughness(
            sample=sample,
            vectors=vectors,
            extra=extra,
            differences=None if differences is None else os.fspath(differences),
        )
        result = run_verification(request, how, Caller.of_python(on_progress, stop))
    result.hints = [as_parameters(hint) for hint in result.hints]
    return result


def run_verification(request: Request, how: Thoroughness, caller: Caller) -> VerifyResult:
    """Run a verification to its end.

    Args:
        request: The load to verify.
        how: How much is compared.
        caller: Takes messages and progress, and may stop it.

    Returns:
        The result: its status is `equal` or `different`, its exit code 0 or 5.

    Raises:
        VecloadError: It stopped. The error has the result as `result`.
        KeyboardInterrupt: The user interrupted this process.
    """
    result = VerifyResult(error="a bug in vecload")
    with ending(result), ExitStack() as opened:
        _Verification(request, how, caller, result, opened).run()
    result.status = "equal" if result.equal else "different"
    result.exit_code, result.error = (0 if result.equal else 5), None
    return result


def check_readable_again(request: Request) -> None:
    """Refuse to verify a load whose sources can be read only once, before it begins.

    Raises:
        UsageError: Standard input is a source.
    """
    if STDIN in request.sources:
        raise UsageError(
            "--verify reads the sources again, but standard input can be read only once",
            hint="load it from a file",
        )


class _Verification:
    """The steps of a verification. Each fills in its part of the result."""

    def __init__(
        self,
        request: Request,
        how: Thoroughness,
        caller: Caller,
        result: VerifyResult,
        opened: ExitStack,
    ) -> None:
        self._request = request
        self._options = request.options
        self._how = how
        self._sample = Amount.parse("--sample", how.sample) or Amount()
        self._vectors = Amount.parse("--vectors", how.vectors)
        self._caller = caller
        self._say = caller.say
        self._result = result
        self._opened = opened

    def run(self) -> None:
        """Run all steps.

        Raises:
            VecloadError: It stopped.
        """
        request, result = self._request, self._result
        names, _ = named_sources(request)
        sources = sources_of(request, names, interrupted=self._caller.stopped_by)
        for source in sources:
            self._opened.callback(source.close)
        result.sources = [*map(repeatable, names)] or [source.name for source in sources]
        if self._how.differences is not None:
            check_not_read("--differences", self._how.differences, request, names, sources)
            check_place(self._how.differences)
        plan = plan_of(request, sources)
        if not plan.sources and not self._how.extra:
            self._say("no rows to compare")
            return
        check_dimension(request, plan)
        result.index = request.index or index_name(names)
        target = self._opened.enter_context(
            connect_to(request.to, request.api_key, request.reach, read_only=True, must_exist=True)
        )
        result.target = target.location
        access = when_up(lambda: open_existing(target, result.index, request.keys, read_only=True), self._say)
        check_index_settings(request, access)
        info = access.index.describe()
        result.key_id, result.about = access.key_id, f"{info.dimension} dimensions, {info.metric}"
        result.precision = self._options.storage_precision
        if plan.sources:
            result.mapping, result.other_mappings = say_mappings(plan, request.seal, self._say)
        jobs = plan.jobs(index_dimension=info.dimension, allow_zero_vectors=self._options.allow_zero_vectors)
        policy = policy_of(self._options.repeated_ids, plan.mappings)
        ids = RepeatedIds(policy, tell=self._say) if policy == "reject" else None
        known = [source.total_rows for source in plan.sources]
        items = min([access.index.count(), *([] if None in known else [sum(n or 0 for n in known)])])
        selected = self._selections(plan, access, items, remote=is_service(target.location))
        with Differences() as differences, self._caller.around():
            presence = Presence(access.index, interrupted=self._caller.stopped_by)
            self._compare(plan, jobs, ids, access, presence, differences, selected)
            self._conclude(plan, access, presence, differences)

    def _selections(
        self, plan: Plan, access: OpenedIndex, items: int, *, remote: bool
    ) -> tuple[Selection, Selection]:
        """Which items are compared, and of which the vectors. Says what is not compared."""
        sample = Selection(self._sample.part_of(items))
        self._result.sampled = sample.part < 1
        if self._options.embed or not plan.dimension:
            if plan.sources:
                self._say(
                    "vectors are not compared: the sources have none, the index made them from the contents"
                )
            return sample, Selection(0)
        checked = int(items * sample.part)
        amount = self._vectors
        if amount is None and remote and plan.dimension:
            amount = vectors_in_time(plan.dimension, checked)
            if amount.number is not None:
                self._say(
                    f"comparing the vectors of about {amount.number:,} of {checked:,} items, as many as a "
                    "service returns in about a minute; --vectors all compares all of them"
                )
        return sample, Selection((amount or Amount()).part_of(checked))

    def _compare(
        self,
        plan: Plan,
        jobs: Sequence[Job],
        ids: RepeatedIds | None,
        access: OpenedIndex,
        presence: Presence,
        differences: Differences,
        selected: tuple[Selection, Selection],
    ) -> None:
        """Compare every selected item, several batches at the same time, and take the outcomes in order."""
        result, index = self._result, access.index
        meter = Meter(
            index.name, plan.sources, self._caller.on_progress, clock=time.monotonic, done="compared"
        )
        comparer = Comparer(
            index,
            Opener(access.opening_keys, index.name, access.key_from),
            self._request.seal,
            self._options.storage_precision,
            presence.hidden,
            self._caller.stopped_by,
        )
        parsers = self._opened.enter_context(parsers_for(str(self._options.parse_workers), plan.sources))
        totals, tally = Totals(), Tally()
        lossy, opened, unknown, not_sealed = -1, 0, 0, 0
        meter.start(totals)
        try:
            pieces = self._pieces(jobs, ids, parsers, presence, selected, totals)
            for compared in in_order(pieces, lambda piece: comparer.compare(*piece), index.writers):
                self._check_stop()
                differences.add(compared)
                tally.add(compared)
                totals.loaded = max(totals.loaded, tally.items)
                lossy = max(lossy, compared.lossy)
                opened += compared.opened
                unknown += compared.unknown_key
                not_sealed += compared.not_sealed
                meter.update(compared.span, totals)
        finally:
            result.seconds = meter.seconds
            result.read, result.rejected = totals.read, totals.rejected
            tally.flush()
            result.checked, result.vectors_checked = tally.items, tally.vectors
            result.repeated, result.repeated_exact = tally.repeated, tally.exact
            result.missing, result.different = differences.counts()
        if 0 <= lossy < len(LOSSY):
            result.hints.append(
                f"the vectors differ only by what {LOSSY[lossy]} loses: if the index was created with it, "
                f"give --storage-precision {LOSSY[lossy]}"
            )
        if not_sealed and not opened:
            result.hints.append("no contents are sealed: if they were loaded with --no-seal, give --no-seal")
        if unknown and not opened:
            result.hints.append(
                "no contents open, and some are sealed with another contents key: is it the right --key-file?"
            )

    def _pieces(
        self,
        jobs: Sequence[Job],
        ids: RepeatedIds | None,
        parsers: Parsers,
        presence: Presence,
        selected: tuple[Selection, Selection],
        totals: Totals,
    ) -> Iterator[tuple[Batch, NDArray[np.bool_]]]:
        """The rows of all sources as batches of selected items, and the items whose vectors are compared."""
        sample, vectors = selected
        most = VECTOR_PAGE_ROWS if vectors.part > 0 else PAGE_ROWS
        for job in jobs:
            mapped = batches(
                job.source,
                job.mapper,
                batch_rows=PAGE_ROWS,
                batch_bytes=self._options.batch_bytes,
                parsers=parsers,
                interrupted=self._caller.stopped_by,
            )
            for batch in mapped:
                whole = batch if ids is None else ids.checked(batch)
                totals.read += len(whole.span)
                totals.rejected += len(whole.rejects)
                if self._how.extra:
                    presence.see(whole.ids)
                for piece in whole.split(most):
                    chosen = sample(piece.ids)
                    part = piece if chosen.all() else piece.keep_only(chosen, ())
                    yield part, vectors(part.ids)

    def _check_stop(self) -> None:
        if self._caller.stop.is_set():
            raise Interrupted(self._caller.stopped_by())

    def _conclude(
        self, plan: Plan, access: OpenedIndex, presence: Presence, differences: Differences
    ) -> None:
        """Check that the sources are the same as at the beginning, and report what differs."""
        result, how = self._result, self._how
        for source in plan.sources:
            self._check_unchanged(source)
        result.shown = [*islice(differences, SHOWN)]
        if how.extra:
            result.extra = presence.count_extra()
            result.shown_extra = [*islice(presence.extra(), SHOWN)]
        result.items = access.index.count()
        more = result.items - (result.checked - result.missing)
        if not how.extra and not result.sampled and more > 0:
            self._say(f"the index holds {more:,} more items than the sources; --extra lists their ids")
        if how.differences is not None:
            write_differences(how.differences, differences, presence.extra() if how.extra else ())

    def _check_unchanged(self, source: Source) -> None:
        """Check that a source has not changed, but for lines at its end.

        Raises:
            SourceError: It changed.
        """
        if source.appendable:
            if source.unfinished_at is not None:
                self._say(f"{source.name} ends with an incomplete line, which is not compared")
            return
        for file in source.files:
            try:
                if file.changed():
                    raise ChangedError("it changed since the verification began")
            except OSError as error:
                raise unreadable(file, ChangedError(reason(error))) from None
