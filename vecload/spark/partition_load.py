"""PartitionLoad: the load of one partition, as the driver prepared it and a task runs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pyarrow as pa

from vecload.batch import Reject
from vecload.errors import AccessRefused, RowsRejected, VecloadError
from vecload.loading.caller import Caller
from vecload.loading.request import Request
from vecload.loading.result import LoadResult
from vecload.loading.run import run_load
from vecload.mapping import ColumnMapping
from vecload.options import RepeatedIdPolicy
from vecload.spark.options import SparkOptions, in_options
from vecload.spark.report import TaskReport, report_of
from vecload.spark.rows import PartitionSource, Shape
from vecload.spark.shared_ids import IdFiles, IdWriter

_LASTING = (RowsRejected.exit_code, AccessRefused.exit_code)
"""Exit codes of errors for which Spark need not try again. Other errors may be those of one worker."""


@dataclass(frozen=True, slots=True)
class PartitionLoad:
    """The load of any partition of a DataFrame. Picklable, without secrets.

    Attributes:
        options: What the options of the write mean. `dimension` and `repeated_ids` are settled.
        shape: How record batches become rows.
        mapping: Which column is which part of an item.
        folder: The name in the report folder under which tasks write; "" without a report folder.
    """

    options: SparkOptions
    shape: Shape
    mapping: ColumnMapping
    folder: str

    @property
    def policy(self) -> RepeatedIdPolicy:
        """What happens to rows that share an id."""
        assert self.options.load.repeated_ids is not None  # noqa: S101 settled
        return self.options.load.repeated_ids

    def place(self, partition: int, attempt: int, what: str) -> str:
        """The name of a file of a task in the report folder."""
        return f"{self.folder}/{partition:05}-{attempt}{what}"

    def run(
        self,
        partition: int,
        attempt: int,
        batches: Iterator[pa.RecordBatch],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> TaskReport:
        """Load a partition.

        Args:
            partition: Its number.
            attempt: The number of the attempt, from 0.
            batches: Its record batches.
            sleep: Waits some seconds.

        Raises:
            VecloadError: The load stopped.
        """
        if attempt:
            self._refuse_again(partition, attempt)
            # The service may still store what the attempt before had in flight. That must come first.
            sleep(self.options.load.resume_wait)
        with TemporaryDirectory(prefix="vecload-") as name:
            scratch = Path(name)
            with IdWriter(scratch) as ids:

                def seen(found: Sequence[str]) -> None:
                    if self.compared:
                        ids.add(found)

                dimension = self.options.load.dimension
                source = PartitionSource(partition, batches, self.shape, self.mapping, dimension, seen)
                try:
                    result = run_load(self._request(source, scratch), Caller.of_python(None, None))
                except VecloadError as error:
                    self._write(TaskReport(partition=partition, attempt=attempt, result=_outcome(error)))
                    raise
            return self._reported(partition, attempt, result, scratch, ids)

    def _refuse_again(self, partition: int, attempt: int) -> None:
        """Stop at once if an attempt before stopped for a reason that another attempt does not remove.

        Raises:
            VecloadError: The same error.
        """
        for before in range(attempt):
            error = self.error_of(partition, before)
            if error is not None and error.exit_code in _LASTING:
                raise error

    def error_of(self, partition: int, attempt: int) -> VecloadError | None:
        """The error that ended an attempt; None if there is no report of one."""
        folder = self.options.report
        data = None if folder is None else folder.read(self.place(partition, attempt, ".json"))
        found = {} if data is None else orjson.loads(data)
        if not found.get("error"):
            return None
        error = VecloadError(found["error"])
        error.exit_code = found["exit_code"]
        return error

    @property
    def compared(self) -> bool:
        """Whether the ids of partitions are compared."""
        return self.policy != "assume-unique" and bool(self.folder)

    def _request(self, source: PartitionSource, scratch: Path) -> Request:
        asked = self.options.load
        return self.options.request(
            source,
            replace(
                asked,
                # The driver has settled these.
                id_column=(),
                vector_column=None,
                vector_columns=None,
                contents_column=(),
                metadata_column=(),
                metadata_exclude=(),
                rename=(),
                create=False,
                create_key=False,
                train=False,
                rejects=str(scratch / "rejects"),
                # A percentage is judged at the end of the job: one partition may have more.
                max_errors="100%" if isinstance(asked.max_errors, str) else asked.max_errors,
                state_dir=scratch / "journals",
            ),
        )

    def _reported(
        self,
        partition: int,
        attempt: int,
        result: LoadResult,
        scratch: Path,
        ids: IdWriter,
    ) -> TaskReport:
        """The report of a partition that was loaded, written with its files to the report folder."""
        rejects, first = scratch / "rejects", None
        if result.rejected:
            with rejects.open("rb") as lines:
                first = replace(Reject(**orjson.loads(lines.readline())), raw=None)
        report = TaskReport(
            partition=partition,
            attempt=attempt,
            result=report_of(result),
            first_reject=first,
            sample=result.an_id or "",
        )
        folder = self.options.report
        if folder is None:
            return report
        if result.rejected:
            report = replace(report, rejects=self.place(partition, attempt, "-rejects.jsonl"))
            folder.put(report.rejects, rejects)
        if self.compared and ids.count:
            names = [self.place(partition, attempt, what) for what in ("-ids.parquet", "-digests")]
            folder.put(names[0], ids.ids)
            folder.put(names[1], ids.digests)
            report = replace(report, ids=IdFiles(partition, names[0], names[1], ids.count))
        self._write(report)
        return report

    def _write(self, report: TaskReport) -> None:
        if self.options.report is not None:
            name = self.place(report.partition, report.attempt, ".json")
            self.options.report.write(name, report.as_json())


def _outcome(error: VecloadError) -> dict[str, object]:
    found = report_of(error.result) if isinstance(error.result, LoadResult) else {}
    return found | {"error": in_options(str(error)), "exit_code": error.exit_code}
