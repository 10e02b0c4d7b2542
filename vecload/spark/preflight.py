"""Preflight: what the driver checks, chooses and creates before a task runs."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vecload.errors import IndexNotFound, UsageError
from vecload.loading.caller import Caller
from vecload.loading.checks import check_trainable
from vecload.loading.parts import plan_of
from vecload.loading.plan import Plan
from vecload.loading.repeated_ids import policy_of
from vecload.loading.run import run_load
from vecload.mapping.columns import find
from vecload.spark.options import SparkOptions
from vecload.spark.partition_load import PartitionLoad
from vecload.spark.report import Report
from vecload.spark.rows import DATA_FRAME, SchemaSource, Shape


def prepare(options: SparkOptions, schema: Any) -> tuple[PartitionLoad, Report]:
    """Check a write as a load of no rows: its columns, its index and its key. Creates the index.

    Args:
        options: What the options of the write mean.
        schema: The StructType of the DataFrame.

    Returns:
        The load of its partitions, and the report of a job that has just begun.

    Raises:
        VecloadError: The write can't work.
    """
    load = options.load
    _check_needs(options)
    shape = Shape.of_schema(schema, load.vector_columns)
    source = SchemaSource(schema, shape)
    # A load of the rows themselves has these from its first rows.
    dimension = load.dimension or len(shape.dimensions) or _dimension_of_index(options)
    load = replace(load, dimension=dimension)
    messages: list[str] = []
    with TemporaryDirectory(prefix="vecload-") as scratch:
        request = options.request(
            source, replace(load, train=False, reject_rows=False, state_dir=Path(scratch))
        )
        plan = plan_of(request, [source])
        _check_bytes(plan, load.vector_dtype)
        check_trainable(replace(request, options=load), plan)
        result = run_load(request, Caller(say=messages.append, warn=messages.append))
    policy = policy_of(load.repeated_ids, plan.mappings)
    load = replace(load, repeated_ids=policy, seal=request.seal)
    folder = "" if options.report is None else f"tasks/{secrets.token_hex(6)}"
    report = Report(
        index=result.index,
        target=result.target,
        key_id=result.key_id,
        mapping=result.mapping,
        messages=messages,
        repeated_ids=policy,
    )
    return PartitionLoad(replace(options, load=load), shape, plan.mappings[0], folder), report


def _check_needs(options: SparkOptions) -> None:
    """Refuse options that lack another.

    Raises:
        UsageError: Some do.
    """
    if options.report is None and options.load.repeated_ids != "assume-unique":
        raise UsageError(
            "option report is missing: it names the folder or URI where the driver compares the ids of the "
            "partitions, and which gets the report",
            hint="name one that the driver and every worker reach; or, if no two partitions share an id, "
            "say repeated_ids=assume-unique",
        )
    if options.load.generate_ids == "rows":
        raise UsageError(
            "option generate_ids=rows would give rows of all partitions the same ids",
            hint="use generate_ids=digest, or make ids in Spark",
        )
    if options.report is None and options.load.reject_rows:
        raise UsageError("option reject_rows needs the option report", hint="rejects are written there")
    key = options.secrets.key
    if options.load.create_key and (key is None or key.kind != "file"):
        raise UsageError(
            "option create_key needs key=file:PATH", hint="name a file that the driver and every worker read"
        )
    if options.report is not None:
        options.report.check()


def _dimension_of_index(options: SparkOptions) -> int | None:
    """The dimension of the index; None if the index makes the vectors itself.

    Raises:
        UsageError: There is no index, or none with a dimension, and the user names none.
    """
    if options.load.embed:
        return None
    try:
        with options.place.opened() as (_, access):
            if dimension := access.index.describe().dimension:
                return dimension
    except IndexNotFound:
        if not options.load.create:
            raise
    raise UsageError(
        f"option dimension is missing, and there is no index {options.index!r} yet that has one",
        hint='name the length of the vectors with .option("dimension", …)',
    )


def _check_bytes(plan: Plan, dtype: str | None) -> None:
    """Refuse vectors of bytes or texts whose number type only their values would show.

    Raises:
        UsageError: The user does not name it.
    """
    path = plan.mappings[0].vector
    found = None if path is None else find(plan.sources[0].columns(), path)
    if found is not None and found[1].kind == "bytes" and dtype is None:
        raise UsageError(
            f"column {path!r} of {DATA_FRAME} has vectors as bytes",
            hint="name their number type with option vector_dtype",
        )
