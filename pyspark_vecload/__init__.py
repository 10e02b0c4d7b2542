"""Lets Spark find the format `vecload`: of each package named `pyspark_*` it takes the DefaultSource."""

from vecload.spark.source import VecloadSource as DefaultSource

__all__ = ["DefaultSource"]
