"""Reports: what each task did, and what came of the job, as files in the report folder.

`summary.json` is the job's, `rejects.jsonl` its rejects; `tasks/` has the report of every attempt that ended.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

import orjson

from vecload.batch import Reject
from vecload.errors import SourceError
from vecload.loading.result import LoadResult
from vecload.options import RepeatedIdPolicy
from vecload.places import short
from vecload.spark.folder import ReportFolder
from vecload.spark.shared_ids import IdFiles

SUMMARY = "summary.json"
REJECTS = "rejects.jsonl"
VERSION = 1
"""Grows when a key of the summary changes its meaning or is removed; docs/howto/spark.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """What one attempt of a task did with its partition. Goes from the worker to the driver, without secrets.

    Attributes:
        partition: The number of the partition.
        attempt: The number of the attempt, from 0.
        result: What the load of the partition came to, as `LoadResult.as_dict` has it.
        first_reject: The first row that was rejected.
        rejects: The file of its rejects in the report folder; "" if it has none.
        ids: The files of its ids in the report folder; None if they are not compared.
        sample: An id that the target acknowledged; "" if there is none.
    """

    partition: int
    attempt: int
    result: Mapping[str, Any] = field(default_factory=dict)
    first_reject: Reject | None = None
    rejects: str = ""
    ids: IdFiles | None = None
    sample: str = ""

    def as_json(self) -> bytes:
        """The object of its file."""
        about = {"partition": self.partition, "attempt": self.attempt}
        return orjson.dumps(about | {**self.result}, option=orjson.OPT_INDENT_2)


@dataclass(slots=True, kw_only=True)
class Report:
    """What came of a job of Spark that wrote with the format `vecload`.

    Attributes:
        status: `complete`, `rejected` (complete except for allowed rejects), `failed`, or `running`, which it
            stays if the driver was killed.
        read, loaded, rejected: Rows, of the attempts that count.
        repeated: Rows with the id of an earlier one in their partition; a lower bound if not
            `repeated_exact`.
        repeated_ids: What happened to these, or `assume-unique`.
        partitions: How many partitions were loaded.
        attempts: How many attempts that took; more than `partitions` if tasks failed and ran again.
        seconds: Seconds of the job, from before the first task to the end.
        task_seconds: Seconds of all tasks that count.
        bytes, requests, retries: Sent: bytes, requests, and how many of them again.
        nan_left_out: NaN values in the metadata, which were omitted.
        index, target, key_id: As of a load.
        mapping: Which column is which part of an item.
        clear_text: Metadata that looks like contents and is not sealed.
        messages: What the driver said of the load.
        rejects: The name of the reject file in the report folder; "" if no row was rejected.
        exit_code: The exit code that `vecload upsert` would return.
        error: Why the job failed.
    """

    status: Literal["running", "complete", "rejected", "failed"] = "running"
    read: int = 0
    loaded: int = 0
    rejected: int = 0
    repeated: int = 0
    repeated_exact: bool = True
    repeated_ids: RepeatedIdPolicy = "last"
    partitions: int = 0
    attempts: int = 0
    seconds: float = 0.0
    task_seconds: float = 0.0
    bytes: int = 0
    requests: int = 0
    retries: int = 0
    nan_left_out: int = 0
    index: str = ""
    target: str = ""
    key_id: str = ""
    mapping: Mapping[str, Any] | None = None
    clear_text: list[dict[str, Any]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    rejects: str = ""
    exit_code: int = 1
    error: str | None = None

    @classmethod
    def read_from(cls, folder: str | os.PathLike[str], *, endpoint_url: str | None = None) -> Self:
        """The report in a folder.

        Args:
            folder: What the job had as option `report`.
            endpoint_url: Of an S3-compatible store; None for Amazon's.

        Raises:
            SourceError: There is no report.
            JournalError: It can't be read.
        """
        data = ReportFolder(os.fspath(folder), endpoint_url).read(SUMMARY)
        if data is None:
            raise SourceError(f"there is no {SUMMARY} in {folder}", hint="name the folder of option report")
        try:
            found = orjson.loads(data)
            known = {one.name for one in fields(cls)}
            return cls(**{name: value for name, value in found.items() if name in known})
        except (orjson.JSONDecodeError, AttributeError):
            raise SourceError(f"{SUMMARY} in {folder} is not a report of vecload") from None

    def as_dict(self) -> dict[str, Any]:
        """The object of the summary."""
        return {"version": VERSION, **asdict(self)}

    def write_to(self, folder: ReportFolder) -> None:
        """Write it.

        Raises:
            JournalError: It can't be written.
        """
        folder.write(SUMMARY, orjson.dumps(self.as_dict(), option=orjson.OPT_INDENT_2) + b"\n")

    def count(self, tasks: Sequence[TaskReport]) -> None:
        """Add up what tasks did."""
        found = [task.result for task in tasks]

        def total(name: str) -> Any:
            return sum(one[name] for one in found)

        self.partitions = len(tasks)
        self.attempts = sum(task.attempt + 1 for task in tasks)
        self.read, self.loaded, self.rejected = total("read"), total("loaded"), total("rejected")
        self.repeated, self.repeated_exact = total("repeated"), all(one["repeated_exact"] for one in found)
        self.task_seconds = round(total("seconds"), 3)
        self.bytes, self.retries, self.nan_left_out = total("bytes"), total("retries"), total("nan_left_out")
        self.requests = sum(Counter(one["wire"]).total() for one in found)
        clear = {each["name"]: each for one in found for each in one["clear_text"]}
        self.clear_text = [*clear.values()]

    def lines(self) -> list[str]:
        """The summary as lines of text."""
        counts = f"{self.read:,} read, {self.loaded:,} loaded, {self.rejected:,} rejected"
        if self.repeated:
            least = "" if self.repeated_exact else "at least "
            became = (
                "repeat the id of an earlier row"
                if self.repeated_ids == "reject"
                else "replaced by later rows with the same id"
            )
            counts += f"; {least}{self.repeated:,} {became}"
        if self.repeated_ids == "assume-unique":
            counts += "; ids are assumed unique"
        again = self.attempts - self.partitions
        tasks = f"{self.partitions:,} partition{'s' * (self.partitions != 1)}"
        if again:
            tasks += f", {again:,} attempt{'s' * (again > 1)} failed and ran again"
        return [
            f"rows   {counts}",
            f"tasks  {tasks}, {self.task_seconds:,.2f} s of work in {self.seconds:,.2f} s",
            f"index  {self.index} in {short(self.target)}",
        ]

    def __repr__(self) -> str:
        return "\n".join([f"vecload.spark.Report: {self.error or self.status}", *self.lines()])


def report_of(result: LoadResult) -> dict[str, Any]:
    """What a task's report has of the result of its load."""
    found = result.as_dict()
    for name in _NOT_OF_A_TASK:
        del found[name]
    return found


_NOT_OF_A_TASK = (
    *("version", "deleted", "verify", "sources", "rejects_missing", "advice", "other_mappings"),
    *("splits", "attempts"),
)
