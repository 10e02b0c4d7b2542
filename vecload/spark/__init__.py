"""Spark: `df.write.format("vecload")` loads a DataFrame, a partition a task. Needs the extra `spark`.

Spark finds the format by itself, by the package `pyspark_vecload`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vecload.spark.report import Report

__all__ = ["Report", "read_report"]


def read_report(folder: str | os.PathLike[str], *, endpoint_url: str | None = None) -> Report:
    """What came of a write.

    Args:
        folder: What the write had as option `report`: a folder or a URI.
        endpoint_url: Of an S3-compatible store; None for Amazon's.

    Raises:
        SourceError: There is no report.
        JournalError: It can't be read.
    """
    from vecload.spark.report import Report

    return Report.read_from(folder, endpoint_url=endpoint_url)


def __getattr__(name: str) -> Any:
    # Imported when it is used: Spark imports this package in every session.
    if name != "Report":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vecload.spark.report import Report

    return Report
