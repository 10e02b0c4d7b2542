"""VecloadSource and Writer: what Spark calls to write a DataFrame.

Every session of Spark that looks for formats imports this module, so it imports the loader only to load.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql.datasource import DataSource, DataSourceArrowWriter, WriterCommitMessage

from vecload.errors import UsageError, VecloadError

if TYPE_CHECKING:
    import pyarrow as pa

    from vecload.spark.partition_load import PartitionLoad
    from vecload.spark.report import Report, TaskReport


class VecloadSource(DataSource):
    """The format `vecload`, which writes only."""

    @classmethod
    def name(cls) -> str:
        """The format's name."""
        return "vecload"

    def schema(self) -> Any:
        """Refuse to read.

        Raises:
            UsageError: Always.
        """
        raise UsageError("the format vecload only writes", hint="'vecload export' writes an index to Parquet")

    def writer(self, schema: Any, overwrite: bool) -> DataSourceArrowWriter:
        """The writer of a DataFrame. Runs at the driver, before any task.

        Args:
            schema: Its StructType.
            overwrite: The mode is `overwrite`.

        Raises:
            VecloadError: The write can't work.
        """
        from vecload.spark.options import as_options, read_options
        from vecload.spark.preflight import prepare

        begun = time.time()
        try:
            if overwrite:
                raise UsageError(
                    'mode("overwrite") would have to empty the index',
                    hint='use mode("append"), which replaces items with the same id; to start anew, delete '
                    "the index first: vecload index delete",
                )
            load, report = prepare(read_options(dict(self.options)), schema)
            if load.options.report is not None:
                report.write_to(load.options.report)
        except VecloadError as error:
            raise as_options(error).with_traceback(None) from None
        return Writer(load, report, begun)

    def streamWriter(self, schema: Any, overwrite: bool) -> Any:  # noqa: N802 Spark's call
        """Refuse to write a stream.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            "the format vecload does not write streams",
            hint='write each batch: writeStream.foreachBatch(lambda df, n: df.write.format("vecload")…)',
        )


@dataclass(frozen=True)
class Loaded(WriterCommitMessage):
    """What a task sends to the driver."""

    report: TaskReport


class Writer(DataSourceArrowWriter):
    """Writes a DataFrame. Goes to the workers and back as a pickle, without secrets.

    Args:
        load: The load of a partition.
        report: Of the job, as it began.
        begun: When, in seconds since 1970.
    """

    def __init__(self, load: PartitionLoad, report: Report, begun: float) -> None:
        self._load = load
        self._report = report
        self._begun = begun

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        """Load a partition, in a task.

        Raises:
            VecloadError: The load stopped.
        """
        from pyspark import TaskContext

        from vecload.spark.options import as_options

        context = TaskContext.get()
        try:
            return Loaded(self._load.run(context.partitionId(), context.attemptNumber(), iterator))
        except VecloadError as error:
            raise as_options(error).with_traceback(None) from None

    def commit(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Judge the job after its last task, at the driver, and write its report.

        Raises:
            VecloadError: The job failed.
        """
        from vecload.spark.ending import end
        from vecload.spark.options import as_options

        try:
            end(self._load, self._report, _reports(messages), self._seconds())
        except VecloadError as error:
            raise as_options(error).with_traceback(None) from None

    def abort(self, messages: Sequence[WriterCommitMessage | None]) -> None:
        """Write the report of a job that failed, unless `commit` did."""
        from vecload.spark.ending import give_up

        with suppress(VecloadError):
            give_up(self._load, self._report, _reports(messages), len(messages), self._seconds())

    def _seconds(self) -> float:
        return round(time.time() - self._begun, 3)


def _reports(messages: Sequence[WriterCommitMessage | None]) -> list[TaskReport]:
    return [message.report for message in messages if isinstance(message, Loaded)]
