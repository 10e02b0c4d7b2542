"""Job: what a worker needs to load a split, without any secret; and the work itself."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.loading.caller import Caller
from vecload.loading.flow import Job as FlowJob
from vecload.loading.ids_across import IdPass
from vecload.loading.ledger import FIRST_REJECTS, Report, Totals
from vecload.loading.parts import sources_of
from vecload.loading.rejects import rejects_in
from vecload.loading.request import Request
from vecload.loading.result import LoadResult
from vecload.loading.run import run_load
from vecload.mapping import ColumnMapping, Mapper
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
            recorded_elsewhere=True,
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


@dataclass(frozen=True, slots=True)
class IdsOf:
    """Splits of one file whose ids are compared with those of other splits. Picklable.

    Attributes:
        splits: The splits.
        mapping: Which column of the file is which, as the driver found it.
    """

    splits: tuple[Split, ...]
    mapping: ColumnMapping

    def __str__(self) -> str:
        return str(self.splits[0]) + (f", and {len(self.splits) - 1} more" if len(self.splits) > 1 else "")

    @contextmanager
    def mapped(self, job: Job) -> Iterator[Iterator[FlowJob]]:
        """All rows of each split, to be mapped. Nothing is asked of the target, nor guessed again."""
        request = Request(
            sources=(replace(self.splits[0], only=None),), options=replace(job.options, split=None)
        )
        (source,) = sources_of(request, request.names)
        if not {*self.mapping.columns} <= {column.name for column in source.columns()}:
            source.close()
            raise SourceError(
                f"{source.name} has other columns here than where the load began",
                hint="workers must see the files that the driver sees",
            )
        mapper = Mapper(self.mapping, job.dimension, allow_zero_vectors=job.options.allow_zero_vectors)

        def each() -> Iterator[FlowJob]:
            for split in self.splits:
                source.only = (split.span(source),)
                yield FlowJob(source, mapper)

        with closing(source):
            yield each()


def digests_of_splits(job: Job, ids: Sequence[IdsOf]) -> list[IdDigests]:
    """The digests of the ids in each split of some files: what a worker runs to compare ids.

    Raises:
        VecloadError: A split can't be read.
    """
    found: list[IdDigests] = []
    for of_file in ids:
        with of_file.mapped(job) as splits:
            found += map(IdPass().digests, splits)
    return found


def items_of_split(job: Job, ids: IdsOf, shared: IdDigests) -> set[str]:
    """The ids with these digests that items of a split have: what a worker runs.

    Raises:
        VecloadError: The split can't be read.
    """
    with ids.mapped(job) as splits:
        return set[str]().union(*(IdPass().items(one, shared) for one in splits))
