"""Writes of data frames, and who is at the other end of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vecload
import vecload.spark
from vecload.spark.report import Report

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass
class Write:
    """How to write data frames.

    Attributes:
        options: Of the write.
        said: Takes what errors say.
    """

    options: dict[str, Any]
    said: list[str]

    def save(self, frame: DataFrame, mode: str = "append") -> Report:
        """Write a data frame, and read the report."""
        frame.write.format("vecload").options(**self.options).mode(mode).save()
        return self.report()

    def report(self) -> Report:
        return vecload.spark.read_report(
            self.options["report"], endpoint_url=self.options.get("endpoint_url")
        )

    def error(self, frame: DataFrame, mode: str = "append") -> str:
        """Write a data frame in vain: what Spark says."""
        try:
            self.save(frame, mode)
        except Exception as error:  # noqa: BLE001 of whatever kind Spark makes it
            self.said += [str(error), repr(error), str(error.__cause__)]
            return str(error)
        raise AssertionError("the write did not fail")

    def index(self, api_key: str, key: Any) -> vecload.Index:
        connection = vecload.connect(self.options["to"], api_key=api_key)
        return connection.open_index(self.options["index"], key)


def process_of(port: int) -> int:
    """The process that has a loopback connection from that port.

    Raises:
        LookupError: None has.
    """
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{line[9]}]" for line in lines if int(line[1].rpartition(":")[2], 16) == port}
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(str(one.readlink()) in inodes for one in folder.iterdir()):
                return int(folder.parent.name)
        except OSError:
            continue  # ended, or somebody else's
    raise LookupError(f"nobody has a connection from port {port}")
