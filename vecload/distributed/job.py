"""Job: what a worker needs to load a split, without any secret; and the work itself."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vecload.batch import Span
from vecload.loading.caller import Caller
from vecload.loading.flow import Job as FlowJob
from vecload.loading.ids_across import IdPass
from vecload.loading.ledger import FIRST_REJECTS, Report, Totals
from vecload.loading.parts import plan_of, sources_of
from vecload.loading.rejects import rejects_in
from vecload.loading.request import Request
from vecload.loading.result import LoadResult
from vecload.loading.run import run_load
from vecload.options import LoadOptions
from vecload.readers.splits import Split
from vecload.sealing.references import SecretReferences
from vecload.targets import Reach
from vecload.targets.placement import IdDigests


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A load, as its workers get it. Picklable, and holds no secret.

    Attributes:
        to: The address of a service.
        index: The index, which exists.
        secrets: Where workers find keys.
        reach: How to reach the service.
        options: All other options.
        dimension: The dimension of the index; 0 if no upsert has set it.
    """

    to: str | None
    index: str
    secrets: SecretReferences
    reach: Reach = field(default_factory=Reach)
    options: LoadOptions = field(default_factory=LoadOptions)
    dimension: int = 0

    def request(
        self, source: Any, loaded_elsewhere: Sequence[str], folder: Path, *, create: bool = False
    ) -> Request:
        """The load of some rows, on a worker.

        Args:
            source: A split, or data in memory.
            loaded_elsewhere: Ids of items that other splits have.
            folder: An empty folder.
            create: Create a missing index, with a key that exists.

        Raises:
            KeyFileError: A secret can't be had.
        """
        options = replace(
            self.options,
            create=create,
            create_key=False,
            train=False,
            max_errors="100%",  # the driver judges
            rejects=str(folder / "rejects"),
            state_dir=folder,
            split=None,
        )
        return Request(
            sources=(source,),
            to=self.to,
            index=self.index,
            keys=self.secrets.key_source(),
            api_key=self.secrets.api_key_text(),
            reach=self.reach,
            options=options,
            loaded_elsewhere=tuple(loaded_elsewhere),
        )


@dataclass(frozen=True, slots=True)
class SplitReport:
    """What a worker has done.

    Attributes:
        report: The rows and their counts, for the ledger.
        result: The result of the load of the split.
        started, seconds: When the work began, in seconds since the epoch, and how long it took.
    """

    report: Report
    result: LoadResult
    started: float
    seconds: float


def load_split(job: Job, split: Split, loaded_elsewhere: Sequence[str] = ()) -> SplitReport:
    """Load the rows `only` of a split: what a worker runs.

    Raises:
        VecloadError: It can't be loaded.
    """
    started, clock = time.time(), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="vecload-") as folder:
        request = job.request(split, loaded_elsewhere, Path(folder))
        result = run_load(request, Caller())
        rejects = Path(folder) / "rejects"
        lines = rejects.read_bytes() if result.rejected else b""
    span = Span(split.uri, *(split.only or (0, 0)))
    return SplitReport(report_of(span, result, lines), result, started, time.perf_counter() - clock)


def report_of(span: Span, result: LoadResult, reject_lines: bytes) -> Report:
    """The report of a span, for the ledger.

    Args:
        span: The rows.
        result: Of the load of these rows.
        reject_lines: Its reject file.
    """
    totals = Totals(read=result.read, loaded=result.loaded, rejected=result.rejected)
    totals.nbytes, totals.retries, totals.nan_left_out = result.bytes, result.retries, result.nan_left_out
    totals.requests.update(result.wire)
    first = rejects_in(reject_lines, FIRST_REJECTS)
    return Report(span, totals, reject_lines, first, result.an_id, result.seconds)


def digests_of_split(job: Job, split: Split) -> IdDigests:
    """The digests of the ids in a split: what a worker runs to compare ids.

    Raises:
        VecloadError: The split can't be read.
    """
    with _mapped(job, split) as mapped:
        return IdPass().digests(mapped)


def items_of_split(job: Job, split: Split, shared: IdDigests) -> set[str]:
    """The ids with these digests that items of a split have: what a worker runs.

    Raises:
        VecloadError: The split can't be read.
    """
    with _mapped(job, split) as mapped:
        return IdPass().items(mapped, shared)


@contextmanager
def _mapped(job: Job, split: Split) -> Iterator[FlowJob]:
    """All rows of a split, to be mapped. Of the target nothing is asked: the driver knows the dimension."""
    request = Request(sources=(replace(split, only=None),), options=replace(job.options, split=None))
    sources = sources_of(request, request.names)
    try:
        (mapped,) = plan_of(request, sources).jobs(
            index_dimension=job.dimension, allow_zero_vectors=job.options.allow_zero_vectors
        )
        yield mapped
    finally:
        for source in sources:
            source.close()
