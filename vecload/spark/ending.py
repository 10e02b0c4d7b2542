"""The end of a job: what its tasks did is added up and judged, once all rows are acknowledged."""

from __future__ import annotations

import threading

from vecload.batch import Reject
from vecload.errors import JournalError, UsageError, VecloadError
from vecload.loading.index_checks import check_still_there
from vecload.loading.rejects import ErrorLimit, too_many
from vecload.loading.training import train
from vecload.spark.folder import ReportFolder
from vecload.spark.options import in_options
from vecload.spark.partition_load import PartitionLoad
from vecload.spark.report import REJECTS, Report, TaskReport
from vecload.spark.shared_ids import shared_ids

SAMPLES_MOST = 1000
"""Ids that are looked up in the index, one a partition."""
ATTEMPTS_MOST = 4
"""Attempts of a task whose files are looked for; Spark makes four by default."""


def end(load: PartitionLoad, report: Report, tasks: list[TaskReport], seconds: float) -> None:
    """Judge a job whose tasks all ended, and write its report.

    Args:
        load: The load of its partitions.
        report: The job's.
        tasks: The reports of the attempts that count, one a partition.
        seconds: How long the job took.

    Raises:
        VecloadError: The job failed: too many rows were rejected, partitions share ids, or items are gone.
    """
    folder = load.options.report
    report.count(tasks)
    report.seconds = seconds
    try:
        if folder is not None:
            _join_rejects(folder, report, tasks)
        _judge(load, report, tasks)
        if load.options.load.train:
            with load.options.place.opened(read_only=False) as (_, access):
                train(access.index, threading.Event(), lambda: 0, report.messages.append)
        report.status = "rejected" if report.rejected else "complete"
        report.exit_code = 3 if report.rejected else 0
    except VecloadError as error:
        report.status, report.exit_code, report.error = "failed", error.exit_code, in_options(str(error))
        raise
    finally:
        if folder is not None:
            report.write_to(folder)
            _tidy(folder, load, [(task.partition, task.attempt + 1) for task in tasks])


def give_up(
    load: PartitionLoad, report: Report, tasks: list[TaskReport], partitions: int, seconds: float
) -> None:
    """Write the report of a job of which a task failed for good, unless the job was judged already.

    Args:
        load: The load of its partitions.
        report: The job's.
        tasks: The reports of the tasks that ended well.
        partitions: How many partitions there are.
        seconds: How long the job took.

    Raises:
        VecloadError: The report can't be written.
    """
    folder = load.options.report
    if folder is None or Report.read_from(folder.name, endpoint_url=folder.endpoint_url).status != "running":
        return
    report.count(tasks)
    report.status, report.seconds, report.error = "failed", seconds, "a task failed; Spark's log says why"
    ended = {task.partition for task in tasks}
    for partition in range(partitions):
        errors = (load.error_of(partition, attempt) for attempt in range(ATTEMPTS_MOST))
        error = None if partition in ended else next(filter(None, errors), None)
        if error is not None:
            report.error, report.exit_code = str(error), error.exit_code
            break
    report.write_to(folder)
    _tidy(folder, load, [(partition, ATTEMPTS_MOST) for partition in range(partitions)])


def _judge(load: PartitionLoad, report: Report, tasks: list[TaskReport]) -> None:
    options = load.options.load
    if not report.read == report.loaded + report.rejected:
        raise VecloadError(
            f"{report.read} rows were read, but {report.loaded} loaded and {report.rejected} rejected",
            hint="this is a bug in vecload: please report it; the job does not count as complete",
        )
    limit = ErrorLimit.parse(options.max_errors)
    if limit.exceeded(report.rejected, report.read, ended=True):
        raise too_many(_first_reject(tasks), report.rejected)
    repeated: int | None = None
    if load.compared:
        _check_shared(load, tasks)
        if report.repeated_exact:
            repeated = report.repeated if load.policy == "last" else 0
    if report.loaded:
        samples = [task.sample for task in tasks if task.sample]
        step = max(1, len(samples) // SAMPLES_MOST)
        with load.options.place.opened() as (_, access):
            check_still_there(
                access.index,
                samples[::step],
                loaded=report.loaded,
                repeated=repeated,
                hidden=options.allow_zero_vectors,
            )


def _first_reject(tasks: list[TaskReport]) -> Reject | None:
    return next((task.first_reject for task in tasks if task.first_reject is not None), None)


def _check_shared(load: PartitionLoad, tasks: list[TaskReport]) -> None:
    """Refuse a job of which two partitions have rows with one id.

    Raises:
        UsageError: Two have.
        JournalError: The ids that tasks wrote can't be read.
    """
    folder = load.options.report
    assert folder is not None  # noqa: S101 ids are compared
    try:
        shared = shared_ids(folder, [task.ids for task in tasks if task.ids is not None])
    except OSError as error:
        raise JournalError(
            f"the ids in the report folder {folder.name} can't be compared: {type(error).__name__}",
            hint="write the DataFrame again, with a folder that the driver and every worker reach",
        ) from None
    if shared is None:
        return
    others = f", and {shared.count - 1:,} more ids are in several" if shared.count > 1 else ""
    numbers = ", ".join(map(str, shared.partitions[:5]))
    raise UsageError(
        f"id {shared.first!r} is in {len(shared.partitions)} partitions ({numbers}){others}: which of their "
        "rows the index has now is chance",
        hint=f"drop the repeated rows, or bring those of an id together with {_together(load)}, and write "
        "again",
    )


def _together(load: PartitionLoad) -> str:
    columns = [name for name in (load.mapping.id, *load.mapping.more_ids) if name]
    return f"df.repartition({', '.join(map(repr, columns))})" if columns else "df.dropDuplicates()"


def _join_rejects(folder: ReportFolder, report: Report, tasks: list[TaskReport]) -> None:
    """One file of the rejects of all attempts that count, in the order of the partitions."""
    names = [task.rejects for task in tasks if task.rejects]
    if names:
        folder.join(REJECTS, names)
        report.rejects = REJECTS
    else:
        folder.delete([REJECTS])  # of an earlier job


def _tidy(folder: ReportFolder, load: PartitionLoad, attempts: list[tuple[int, int]]) -> None:
    """Delete what only the end of the job needed, of the first attempts of each partition."""
    folder.delete(
        [
            load.place(partition, attempt, what)
            for partition, count in attempts
            for attempt in range(count)
            for what in ("-rejects.jsonl", "-ids.parquet", "-digests")
        ]
    )
