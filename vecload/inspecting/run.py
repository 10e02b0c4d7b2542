"""Run an inspection: report what a load would find and do. Nothing is written."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from vecload.errors import UsageError, VecloadError
from vecload.flags import as_parameters, parameters_named
from vecload.inspecting.distributions import Distributions
from vecload.inspecting.report import Check, Report, SourceReport, estimate, first_sending
from vecload.inspecting.survey import Surveyor
from vecload.inspecting.target_checks import TargetChecks, Wanted, shown, wrong
from vecload.limits import INSPECT_ITEMS
from vecload.loading import checks
from vecload.loading.checks import index_name, named_sources
from vecload.loading.flow import Job
from vecload.loading.parts import plan_of, sources_of
from vecload.loading.plan import Plan, binary_hints
from vecload.loading.repeated_ids import RepeatedIds, policy_of
from vecload.loading.request import Request, request_of
from vecload.loading.retry_rejects import choose_rows
from vecload.loading.tuning import batch_rows_of
from vecload.loading.unchanged import check_whole
from vecload.options import LoadOptions
from vecload.readers import Source
from vecload.sealing import Key
from vecload.targets import is_service

PROGRESS_SECONDS = 10.0
"""Seconds between two progress messages of a full inspection."""


_log = logging.getLogger("vecload")


def inspect(
    sources: Any,
    *,
    to: str | os.PathLike[str] | None = None,
    index: str | None = None,
    key: Key | bytes | str | os.PathLike[str] | None = None,
    api_key: str | None = None,
    options: LoadOptions | None = None,
    full: bool = False,
    items: int = INSPECT_ITEMS,
    **fields: Any,
) -> Report:
    """Report what sources are and what `vecload.load` with the same arguments would do. Nothing is written.

    Args:
        sources: As for `vecload.load`, like the next arguments.
        to: The target.
        index: The index.
        key: Its key.
        api_key: The API key for a service; for a folder, CyborgDB's licence key.
        options: All other options.
        fields: As for `vecload.load`.
        full: Read every row, not a sample.
        items: How many of the first items of each source to show.

    Returns:
        The report. Its `exit_code` and `error` are those of the load, judging by the rows read. `as_dict()`
        is the object of `vecload inspect --json`.

    Raises:
        VecloadError: There is nothing to report on.
        TypeError: An option does not exist.
    """
    with parameters_named():
        request = request_of(
            sources, to=to, index=index, key=key, api_key=api_key, options=options, changes=fields
        )
        report = run_inspection(
            request, full=full, items=items, say=lambda line: _log.info("%s", as_parameters(line))
        )
    return report.with_parameters()


def run_inspection(
    request: Request,
    *,
    full: bool = False,
    items: int = INSPECT_ITEMS,
    say: Callable[[str], None] = lambda line: None,
    distributions: Distributions | None = None,
) -> Report:
    """Inspect the sources and the target of a load.

    Args:
        request: The load.
        full: Read every row, not a sample.
        items: How many of the first items of each source to show.
        say: Takes messages meanwhile.
        distributions: Gets the items that are read.

    Returns:
        The report, with the exit code that the load would return, judging by the rows read.

    Raises:
        VecloadError: There is nothing to report on.
    """
    report = Report(full=full, seal=request.seal)
    with ExitStack() as opened:
        _inspect(request, report, opened, full, items, say, distributions)
    return report


def _inspect(
    request: Request,
    report: Report,
    opened: ExitStack,
    full: bool,
    items: int,
    say: Callable[[str], None],
    distributions: Distributions | None,
) -> None:
    names, rejected = named_sources(request)
    checks.check_options(request, names)
    errors: list[VecloadError] = []
    sources = sources_of(request, names, failed=errors.append)
    for source in sources:
        opened.callback(source.close)
    checks.run(checks.source_checks(request, names, sources))
    plans = _plans(request, sources, errors, report)
    report.checks += [wrong(error, "source") for error in errors]
    report.checks += shown([("index", lambda: _name(report, request, names))])
    jobs = [
        job
        for plan in plans
        for job in plan.jobs(index_dimension=0, allow_zero_vectors=request.options.allow_zero_vectors)
    ]
    mappings = [mapping for plan in plans for mapping in plan.mappings]
    report.ids = RepeatedIds(policy_of(request.options.repeated_ids, mappings), tell=say)
    if rejected and not errors:
        jobs, _ = choose_rows(jobs, rejected, report.ids)
    surveyor = Surveyor(
        report.ids,
        batch_rows_of(request.options.batch_rows, next((plan.dimension for plan in plans), 0)).now,
        request.options.batch_bytes,
        items,
        full,
        distributions,
        on_rows=_progress(say),
    )
    report.sources = [_look(request, surveyor, job) for job in jobs]
    if report.sources:
        whole = _together(request, plans)
        report.clear_text = whole.cleartexts()
        report.checks += [Check("values", "unsure", hint) for hint in binary_hints(whole)]
        report.checks += shown(checks.plan_checks(request, whole, read_only=True))
        report.checks += shown([("source", lambda: check_whole(whole.sources))])
        if report.index:
            _look_at_target(request, whole, report, say)
    _conclude(request, report)


def _plans(
    request: Request, sources: Sequence[Source], errors: list[VecloadError], report: Report
) -> list[Plan]:
    """A plan for each source separately, so that a source that can't be loaded does not hide the others."""
    plans: list[Plan] = []
    before = len(errors)
    for source in sources:
        try:
            plan = plan_of(request, [source])
        except UsageError as error:
            errors.append(error)
        else:
            plans += [plan] if plan.sources else []
            if not plan.sources:
                report.checks.append(Check("source", "ok", f"{source.name} has no rows"))
    if len(errors) == before:
        try:
            plan_of(request, sources)
        except UsageError as error:
            errors.append(error)
    return plans


def _together(request: Request, plans: Sequence[Plan]) -> Plan:
    """The plans as one, with the dimension of the first."""
    return Plan(
        tuple(source for plan in plans for source in plan.sources),
        tuple(mapping for plan in plans for mapping in plan.mappings),
        plans[0].dimension,
        request.options.embed,
        next((plan.metric for plan in plans if plan.metric), ""),
    )


def _name(report: Report, request: Request, names: Sequence[str]) -> None:
    report.index = request.index or index_name(names)


def _look(request: Request, surveyor: Surveyor, job: Job) -> SourceReport:
    survey = surveyor.look(job)
    sending = None
    if survey.batch is not None:
        sending = first_sending(
            survey.batch,
            index_name=request.index or "",
            remote=is_service(request.to or ""),
            wire=request.options.wire,
            binary_threshold=request.options.binary_threshold,
            sealed=request.seal,
        )
    return SourceReport(survey, job.mapper.mapping, job.mapper.dimension, sending, request.seal)


def _look_at_target(request: Request, plan: Plan, report: Report, say: Callable[[str], None]) -> None:
    """Check the target, and derive hints and the estimated time."""
    surveys = [source.survey for source in report.sources]
    wanted = Wanted(
        plan,
        report.index,
        report.rows,
        all(survey.rows_known for survey in surveys),
        next((survey.batch for survey in surveys if survey.batch is not None), None),
    )
    target = TargetChecks(request, wanted, say)
    report.checks += target.run()
    report.target = target.location
    if target.is_new:
        declared = {*target.unfilterable, *request.creation.pattern}
        fields = {one.name for survey in surveys for one in survey.fields if one.nearly_all_different}
        report.unfilterable = sorted(fields - declared - {text.name for text in report.clear_text})
    sent = [(source.survey, source.sending) for source in report.sources if source.sending is not None]
    if sent:
        report.estimate = estimate(sent, target.unfilterable)


def _conclude(request: Request, report: Report) -> None:
    """Set the exit code of a load from its first error or its rejects."""
    first = next((check for check in report.checks if check.state == "wrong"), None)
    surveys = [source.survey for source in report.sources]
    damage = next((survey.error for survey in surveys if survey.error is not None), None)
    rejected = sum(survey.rejected for survey in surveys)
    looked_at = sum(survey.looked_at for survey in surveys)
    if first is not None:
        report.exit_code, report.error = first.exit_code, first.told
    elif damage is not None:
        report.exit_code, report.error = damage.exit_code, str(damage)
    elif request.max_errors.exceeded(rejected, looked_at, ended=True):
        report.exit_code, report.error = 4, "more rows would be rejected than --max-errors allows"
    elif rejected:
        report.exit_code = 3


def _progress(say: Callable[[str], None]) -> Callable[[str, int], None]:
    """Reports the progress of a long inspection every PROGRESS_SECONDS."""
    reported = time.monotonic()

    def on_rows(source: str, rows: int) -> None:
        nonlocal reported
        if time.monotonic() - reported >= PROGRESS_SECONDS:
            reported = time.monotonic()
            say(f"read {rows:,} rows of {source}")

    return on_rows
