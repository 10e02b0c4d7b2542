"""Datasink: what Ray Data writes a dataset with.

ds.write_datasink(vecload.ray.Datasink(to="https://cyborgdb:8000", index="docs", key="env:KEY"))
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray
from ray.data import Datasink as RayDatasink
from ray.data.block import BlockAccessor

from vecload.batch import Span
from vecload.distributed.driver import ONE_PROCESS_ONLY
from vecload.distributed.job import Job, report_of
from vecload.errors import MappingError, UsageError, VecloadError
from vecload.flags import parameters_named
from vecload.loading.caller import Caller
from vecload.loading.ids_across import SharedDigests, is_among, wide_digests
from vecload.loading.ledger import Ledger
from vecload.loading.parts import plan_of
from vecload.loading.rejects import ErrorLimit, RejectFile
from vecload.loading.repeated_ids import SCAN_BYTES, SCAN_ROWS, items_in
from vecload.loading.request import Request, request_of
from vecload.loading.result import LoadResult
from vecload.loading.run import run_load
from vecload.options import LoadOptions
from vecload.readers.memory import open_memory_source
from vecload.sealing.references import SecretReferences
from vecload.targets import is_service

WideDigests: TypeAlias = NDArray[np.uint64]
"""Digests of 128 bits, shape (n, 2), sorted."""


@dataclass(frozen=True, slots=True)
class WrittenBlocks:
    """What a task wrote. Goes to the driver, without secrets.

    Attributes:
        result: The result of its load.
        reject_lines: Its rejects, as lines of a reject file.
        digests: Of the ids of its items; None if ids are not compared.
    """

    result: LoadResult
    reject_lines: bytes
    digests: WideDigests | None


class Datasink(RayDatasink):
    """Writes a dataset of Ray Data into an index, a task for some blocks.

    The rows of a task are loaded as `vecload.load` loads a table: acknowledged, or rejected. Ray runs a task
    whose worker died again; it replaces the items that the worker stored. At the end the rejects are counted,
    and the write fails if two tasks have the same id, since which of its rows stays is chance.

    Args:
        to: The address of a service; workers must reach it.
        index: The index. Created if it does not exist, with a key that exists.
        key, contents_key, api_key: References to secrets, as for `vecload.ray.load`.
        options: All other options.
        fields: Fields of LoadOptions and of the reach of the service, as for `vecload.load`.

    Attributes:
        result: What the write came to, a LoadResult; None before it ends.

    Raises:
        UsageError: An option can't be used.
    """

    def __init__(
        self,
        *,
        to: str,
        index: str,
        key: str | os.PathLike[str] | None = None,
        contents_key: str | None = None,
        api_key: str | None = None,
        options: LoadOptions | None = None,
        **fields: Any,
    ) -> None:
        with parameters_named():
            asked = request_of(
                [], to=to, index=index, key=None, api_key=None, options=options, changes=fields
            )
            if not is_service(to):
                raise UsageError(
                    "workers can't share an embedded store", hint="name the address of a service"
                )
            for name in (*ONE_PROCESS_ONLY, "create_key"):
                if getattr(asked.options, name):
                    raise UsageError(
                        f"--{name.replace('_', '-')} does not work with a Datasink", hint="omit it"
                    )
            secrets = SecretReferences.named(key, contents_key, api_key)
        self._job = Job(to=to, index=index, secrets=secrets, reach=asked.reach, options=asked.options)
        self.result: LoadResult | None = None

    def get_name(self) -> str:
        """The name of the tasks."""
        return "vecload"

    def write(self, blocks: Iterable[Any], ctx: Any) -> WrittenBlocks:
        """Load some blocks: what a worker runs.

        Raises:
            VecloadError: They can't be loaded.
        """
        tables = [BlockAccessor.for_block(block).to_arrow() for block in blocks]
        tables = [table for table in tables if len(table)]
        if not tables:
            return WrittenBlocks(LoadResult(status="complete", exit_code=0), b"", None)
        source = open_memory_source(
            pa.concat_tables(tables, promote_options="default"), f"task {ctx.task_idx}"
        )
        with tempfile.TemporaryDirectory(prefix="vecload-") as folder:
            request = self._job.request(source, (), Path(folder), create=True)
            try:
                result = run_load(request, Caller())
            except VecloadError as error:
                error.result = None
                raise
            file = Path(folder) / "rejects"
            lines = file.read_bytes() if result.rejected else b""
        digests = None
        if self._job.options.repeated_ids != "assume-unique":
            digests = _digests_of_items(request, lines)
        return WrittenBlocks(result, lines, digests)

    def on_write_complete(self, write_result: Any) -> None:
        """Judge what the tasks wrote.

        Raises:
            VecloadError: Too many rows were rejected, two tasks share ids, or took other columns.
        """
        written: list[WrittenBlocks] = [one for one in write_result.write_returns if one.result.read]
        result = self.result = _added(written)
        try:
            self._keep_rejects(written)
            _check_mappings(written)
            _check_ids(written)
            ledger = Ledger(limit=ErrorLimit.parse(self._job.options.max_errors))
            for one in written:
                ledger.reported(report_of(Span("", 0, one.result.read), one.result, one.reject_lines))
            ledger.finish()
        except VecloadError as error:
            result.status, result.exit_code, result.error = "failed", error.exit_code, str(error)
            error.result = result
            raise
        result.status = "rejected" if result.rejected else "complete"
        result.exit_code, result.error = (3 if result.rejected else 0), None

    def _keep_rejects(self, written: Sequence[WrittenBlocks]) -> None:
        if self._job.options.rejects is None:
            return
        with closing(RejectFile(self._job.options.rejects)) as rejects:
            for one in written:
                if one.reject_lines:
                    rejects.write_lines(one.reject_lines)


def _digests_of_items(request: Request, reject_lines: bytes) -> WideDigests:
    """The digests of the ids of the rows that a load of a table did not reject, sorted."""
    (source,) = request.sources
    (job,) = plan_of(request, [source]).jobs(index_dimension=0, allow_zero_vectors=True)
    rejected = {orjson.loads(line)["row"] for line in reject_lines.splitlines()}
    ids: list[str] = []
    columns = job.mapper.mapping.id_columns() or job.mapper.mapping.needed()
    for rows in source.read(batch_rows=SCAN_ROWS, batch_bytes=SCAN_BYTES, columns=columns):
        numbers, found = items_in(job.mapper, rows, whole=False)
        ids += [one for number, one in zip(numbers.tolist(), found, strict=True) if number not in rejected]
    digests = np.unique(wide_digests(ids), axis=0)
    return digests[np.lexsort((digests[:, 1], digests[:, 0]))]


def _added(written: Sequence[WrittenBlocks]) -> LoadResult:
    """The results of all tasks as one."""
    whole = LoadResult()
    for one in written:
        result = one.result
        for name in ("read", "loaded", "rejected", "bytes", "retries", "repeated", "nan_left_out"):
            setattr(whole, name, getattr(whole, name) + getattr(result, name))
        whole.seconds = max(whole.seconds, result.seconds)
        whole.wire = {name: whole.wire.get(name, 0) + count for name, count in result.wire.items()} | {
            name: count for name, count in whole.wire.items() if name not in result.wire
        }
        whole.index, whole.target, whole.about = result.index, result.target, result.about
        whole.key_id, whole.mapping = result.key_id, whole.mapping or result.mapping
        whole.repeated_ids = result.repeated_ids
    whole.splits = whole.attempts = len(written)
    return whole


def _check_mappings(written: Sequence[WrittenBlocks]) -> None:
    """Refuse a write whose tasks took other columns for the same part of items.

    Raises:
        MappingError: Some did.
    """
    lines = sorted({str((one.result.mapping or {}).get("text")) for one in written})
    if len(lines) > 1:
        raise MappingError(
            f"tasks took other columns: {lines[0]}; and {lines[1]}",
            hint="name them with --id-column, --vector-column and --contents-column, and write again",
        )


def _check_ids(written: Sequence[WrittenBlocks]) -> None:
    """Refuse a write of which two tasks have the same id.

    Raises:
        UsageError: Two have.
    """
    tasks = [one.digests for one in written if one.digests is not None]
    with tempfile.TemporaryDirectory(prefix="vecload-ids-") as folder:
        digests = SharedDigests(Path(folder), sum(map(len, tasks)))
        for number, own in enumerate(tasks):
            digests.add(number, np.unique(own[:, 0]))
        shared = digests.shared()
    if not shared:
        return
    pairs = Counter[tuple[int, int]]()
    for number, halves in shared.items():
        own = tasks[number][is_among(tasks[number][:, 0], halves)]
        pairs.update((int(high), int(low)) for high, low in own)
    count = sum(number > 1 for number in pairs.values())
    if count:
        raise UsageError(
            f"{count:,} ids are in several tasks: which of their rows the index has now is chance",
            hint="bring the rows of an id together, or drop repeated ones, and write again; if no row is "
            "repeated, say --repeated-ids assume-unique",
        )
