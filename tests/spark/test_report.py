"""The report of a job: added up from its tasks, written and read again."""

from __future__ import annotations

from pathlib import Path

import pytest

import vecload.spark
from vecload.errors import SourceError
from vecload.loading.result import LoadResult
from vecload.spark.folder import ReportFolder
from vecload.spark.report import SUMMARY, Report, TaskReport, report_of


def task(partition: int, attempt: int = 0, **counts: int) -> TaskReport:
    result = LoadResult(**counts, wire={"binary": 2, "json": 1}, seconds=1.5)  # type: ignore[arg-type]
    result.clear_text = [{"name": "title", "characters": 30}]
    return TaskReport(partition=partition, attempt=attempt, result=report_of(result))


def test_a_report_adds_up_what_tasks_did() -> None:
    report = Report(index="docs", target="https://example.com")
    report.count(
        [task(0, read=10, loaded=9, rejected=1), task(1, 2, read=5, loaded=5, retries=3, repeated=2)]
    )
    assert (report.read, report.loaded, report.rejected, report.repeated) == (15, 14, 1, 2)
    assert (report.partitions, report.attempts, report.requests, report.retries) == (2, 4, 6, 3)
    assert report.clear_text == [{"name": "title", "characters": 30}]
    report.seconds = 2.0
    assert repr(report).splitlines() == [
        "vecload.spark.Report: running",
        "rows   15 read, 14 loaded, 1 rejected; 2 replaced by later rows with the same id",
        "tasks  2 partitions, 2 attempts failed and ran again, 3.00 s of work in 2.00 s",
        "index  docs in https://example.com",
    ]


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    report = Report(index="docs", status="rejected", read=3, rejected=1, mapping={"id": "id"}, exit_code=3)
    report.write_to(ReportFolder(str(tmp_path)))
    assert vecload.spark.read_report(tmp_path) == report
    assert vecload.spark.Report is Report


def test_what_is_no_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is no summary\.json in "):
        vecload.spark.read_report(tmp_path)
    for wrong in (b"{", b"[1]", b'"x"'):
        (tmp_path / SUMMARY).write_bytes(wrong)
        with pytest.raises(SourceError, match="is not a report of vecload"):
            vecload.spark.read_report(tmp_path)


def test_the_file_of_a_task_says_which_it_was() -> None:
    written = task(7, 1, read=1, loaded=1).as_json()
    assert b'"partition": 7' in written
    assert b'"attempt": 1' in written
