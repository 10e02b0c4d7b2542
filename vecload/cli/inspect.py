"""`vecload inspect` and `vecload upsert --dry-run`: what a load would find and do. Nothing is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import orjson

from vecload.cli.checks import (
    check_options,
    check_plan,
    check_records,
    check_reject_file,
    index_name,
    rejected_rows,
)
from vecload.cli.settings import UpsertSettings
from vecload.cli.target_checks import TargetChecks, Wanted, checked, wrong
from vecload.cli.upsert import batch_rows_of, plan_of
from vecload.errors import UsageError, VecloadError
from vecload.inspecting.lines import report_lines
from vecload.inspecting.report import Check, Report, SourceReport, estimate, first_sending
from vecload.inspecting.survey import Surveyor
from vecload.loading.binary_hint import binary_hints
from vecload.loading.flow import Job
from vecload.loading.plan import Plan, check_whole
from vecload.loading.repeated_ids import RepeatedIds, policy_of
from vecload.loading.retry_rejects import choose_rows
from vecload.readers import Source, open_sources
from vecload.targets import is_service

TELL_SECONDS = 10.0
"""Between two lines of how far a full look is."""


@dataclass(frozen=True, slots=True)
class Looking:
    """How closely to look.

    Attributes:
        items: Of each source, how many of its first items are shown.
        full: Look at every row, not at a sample.
    """

    items: int
    full: bool


def run_inspect(
    settings: UpsertSettings,
    looking: Looking,
    *,
    say: Callable[[str], None],
    tell: Callable[[str], None],
    write: Callable[[bytes], None] | None,
) -> int:
    """Look at sources and target, and report.

    Args:
        settings: The load's.
        looking: How closely.
        say: Takes a line of the report.
        tell: Says a line to people meanwhile.
        write: Takes the report as a JSON object instead, if that is asked for.

    Returns:
        The exit code with which a load of these options would end, as far as was looked.

    Raises:
        VecloadError: There is nothing to report on.
    """
    report = Report(full=looking.full, seal=settings.seal)
    with ExitStack() as opened:
        _inspect(settings, looking, report, opened, (lambda line: None) if settings.quiet else tell)
    if write is not None:
        write(orjson.dumps(report.as_json()))
    else:
        for line in report_lines(report):
            say(line)
    return report.exit_code


def _inspect(
    settings: UpsertSettings, looking: Looking, report: Report, opened: ExitStack, tell: Callable[[str], None]
) -> None:
    rejected = rejected_rows(settings)
    names = settings.sources or [*rejected]
    check_options(settings, names)
    errors: list[VecloadError] = []
    sources = open_sources(names, settings.reading, failed=errors.append)
    for source in sources:
        opened.callback(source.close)
    check_reject_file(settings, names, sources)
    plans = _plans(settings, sources, errors, report)
    report.checks += [wrong(error, "source") for error in errors]
    report.checks += checked("index", lambda: _name(report, settings, names))
    jobs = [
        job
        for plan in plans
        for job in plan.jobs(index_dimension=0, allow_zero_vectors=settings.allow_zero_vectors)
    ]
    mappings = [mapping for plan in plans for mapping in plan.mappings]
    report.ids = RepeatedIds(policy_of(settings.repeated_ids, mappings), tell=tell)
    if rejected and not errors:
        jobs, _ = choose_rows(jobs, rejected, report.ids)
    surveyor = Surveyor(
        report.ids,
        batch_rows_of(settings.batch_rows, next((plan.dimension for plan in plans), 0)).now,
        settings.batch_bytes,
        looking.items,
        looking.full,
        on_rows=_progress(tell),
    )
    report.sources = [_look(settings, surveyor, job) for job in jobs]
    if report.sources:
        whole = _together(settings, plans)
        report.clear_text = whole.cleartexts()
        report.checks += [Check("values", "unsure", hint) for hint in binary_hints(whole)]
        report.checks += checked("options", lambda: check_plan(settings, whole))
        report.checks += checked("source", lambda: check_whole(whole.sources))
        report.checks += checked("records", lambda: check_records(settings, read_only=True))
        if report.index:
            _look_at_target(settings, whole, report)
    _conclude(settings, report)


def _plans(
    settings: UpsertSettings, sources: Sequence[Source], errors: list[VecloadError], report: Report
) -> list[Plan]:
    """A plan of each source by itself, so that one that can't be loaded hides nothing of the others."""
    plans: list[Plan] = []
    before = len(errors)
    for source in sources:
        try:
            plan = plan_of(settings, [source])
        except UsageError as error:
            errors.append(error)
        else:
            plans += [plan] if plan.sources else []
            if not plan.sources:
                report.checks.append(Check("source", "ok", f"{source.name} holds no rows"))
    if len(errors) == before:
        try:
            plan_of(settings, sources)
        except UsageError as error:
            errors.append(error)
    return plans


def _together(settings: UpsertSettings, plans: Sequence[Plan]) -> Plan:
    """The plans as one, of the first one's dimension."""
    return Plan(
        tuple(source for plan in plans for source in plan.sources),
        tuple(mapping for plan in plans for mapping in plan.mappings),
        plans[0].dimension,
        settings.embed,
        next((plan.metric for plan in plans if plan.metric), ""),
    )


def _name(report: Report, settings: UpsertSettings, names: Sequence[str]) -> None:
    report.index = settings.index or index_name(names)


def _look(settings: UpsertSettings, surveyor: Surveyor, job: Job) -> SourceReport:
    survey = surveyor.look(job)
    sending = None
    if survey.batch is not None:
        sending = first_sending(
            survey.batch,
            index_name=settings.index or "",
            remote=is_service(settings.to or ""),
            wire=settings.wire,
            binary_threshold=settings.binary_threshold,
            sealed=settings.seal,
        )
    return SourceReport(survey, job.mapper.mapping, job.mapper.dimension, sending, settings.seal)


def _look_at_target(settings: UpsertSettings, plan: Plan, report: Report) -> None:
    """Check what a load needs of its target, and what follows from that: hints, and how long it takes."""
    surveys = [source.survey for source in report.sources]
    wanted = Wanted(
        plan,
        report.index,
        report.rows,
        all(survey.rows_known for survey in surveys),
        next((survey.batch for survey in surveys if survey.batch is not None), None),
    )
    target = TargetChecks(settings, wanted)
    report.checks += target.run()
    report.target = target.location
    if target.is_new:
        declared = {*target.unfilterable, *settings.creation.pattern}
        fields = {one.name for survey in surveys for one in survey.fields if one.nearly_all_different}
        report.unfilterable = sorted(fields - declared - {text.name for text in report.clear_text})
    sent = [(source.survey, source.sending) for source in report.sources if source.sending is not None]
    if sent:
        report.estimate = estimate(sent, target.unfilterable)


def _conclude(settings: UpsertSettings, report: Report) -> None:
    """What a load would end with: its first error, or its rejects."""
    first = next((check for check in report.checks if check.state == "wrong"), None)
    surveys = [source.survey for source in report.sources]
    damage = next((survey.error for survey in surveys if survey.error is not None), None)
    rejected = sum(survey.rejected for survey in surveys)
    looked_at = sum(survey.looked_at for survey in surveys)
    if first is not None:
        report.exit_code, report.error = first.exit_code, first.told
    elif damage is not None:
        report.exit_code, report.error = damage.exit_code, str(damage)
    elif settings.max_errors.exceeded(rejected, looked_at, ended=True):
        report.exit_code, report.error = 4, "more rows would be rejected than --max-errors allows"
    elif rejected:
        report.exit_code = 3


def _progress(tell: Callable[[str], None]) -> Callable[[str, int], None]:
    """Tells now and then how far a long look is."""
    said = time.monotonic()

    def on_rows(source: str, rows: int) -> None:
        nonlocal said
        if time.monotonic() - said >= TELL_SECONDS:
            said = time.monotonic()
            tell(f"looked at {rows:,} rows of {source}")

    return on_rows
