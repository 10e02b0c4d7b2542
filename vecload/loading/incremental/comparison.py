"""Comparison: read all rows of a load, and find those that differ from what the index is known to hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vecload.batch import Batch, Reject, Span
from vecload.loading.flow import Job
from vecload.loading.incremental.changes import Changes
from vecload.loading.incremental.known_items import Positions
from vecload.loading.repeated_ids import EarlierRows, RepeatedIds
from vecload.readers.json.workers import Parsers
from vecload.readers.prefetch import Lap, batches


@dataclass(slots=True)
class Comparison:
    """What a load has to send.

    Attributes:
        chosen: The rows to send, sorted, by source.
        passed: Spans without rows to send and without rejects: they need not be read again.
        repeated: The rejects of rows that repeat an earlier id, by source and row.
        rows: How many rows there are.
    """

    chosen: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    passed: list[Span] = field(default_factory=list)
    repeated: dict[tuple[str, int], Reject] = field(default_factory=dict)
    rows: int = 0

    @property
    def changed(self) -> int:
        """How many rows are to be sent."""
        return sum(map(len, self.chosen.values()))


def compare(
    jobs: Sequence[Job],
    changes: Changes,
    ids: RepeatedIds,
    *,
    batch_rows: int,
    batch_bytes: int,
    parsers: Parsers | None = None,
    interrupted: Callable[[], int] = lambda: 0,
    lap: Lap = lambda spent: None,
    on_batch: Callable[[Batch], None] = lambda batch: None,
) -> Comparison:
    """Compare all rows of a load with what the index is known to hold. Sends nothing.

    Args:
        jobs: The sources, which can be read again.
        changes: What is known. Learns which ids the sources have.
        ids: Gets the ids of all rows in order.
        batch_rows: The most rows of a batch.
        batch_bytes: The approximate largest batch, in bytes.
        parsers: Processes that may parse.
        interrupted: The number of the signal that stops the load, 0 without one.
        lap: Called with what the time since the last call was spent on.
        on_batch: Called after each batch.

    Raises:
        Interrupted: A signal came.
        SourceError: A source can't be read.
    """
    found = Comparison()
    spans: list[tuple[Span, bool]] = []
    candidates: list[tuple[NDArray[np.int64], Positions]] = []
    for job in jobs:
        for batch in batches(
            job.source,
            job.mapper,
            batch_rows=batch_rows,
            batch_bytes=batch_bytes,
            done=job.done,
            lap=lap,
            parsers=parsers,
            interrupted=interrupted,
        ):
            checked = ids.checked(batch)
            found.repeated |= {
                (reject.source, reject.row): reject
                for reject in checked.rejects
                if reject.code == "repeated-id"
            }
            compared = changes.compare(checked)
            to_send = np.flatnonzero(compared.to_send)
            spans.append((batch.span, bool(checked.rejects)))
            candidates.append((checked.item_rows()[to_send], compared.positions[to_send]))
            found.rows += len(batch.span)
            lap("map")
            on_batch(batch)
        ids.end_of_source()
    chosen: dict[str, list[NDArray[np.int64]]] = {}
    for (span, rejects), (rows, positions) in zip(spans, candidates, strict=True):
        # Only now it is known which rows a later row replaces by what the index holds.
        left = rows[~changes.known.settled(positions)]
        if len(left):
            chosen.setdefault(span.source, []).append(left)
        elif not rejects:
            _append(found.passed, span)
    found.chosen = {source: np.concatenate(parts) for source, parts in chosen.items()}
    return found


def _append(spans: list[Span], span: Span) -> None:
    """Add a span to a list, joined with the last one if they are adjacent."""
    last = spans[-1] if spans else None
    if last is not None and last.source == span.source and last.stop == span.start:
        spans[-1] = Span(span.source, last.start, span.stop, last.begin, span.end)
    else:
        spans.append(span)


class RepeatsFound(RepeatedIds):
    """Rejects the rows that a comparison has found to repeat an id.

    Args:
        repeated: Their rejects.
    """

    def __init__(self, repeated: dict[tuple[str, int], Reject]) -> None:
        super().__init__()
        self._found = repeated

    def expect(self, earlier: Iterable[EarlierRows]) -> None:
        """Ignore them: they were compared."""

    def checked(self, batch: Batch) -> Batch:
        """The batch, with rejects instead of the rows that repeat an id."""
        source = batch.span.source
        rejects = [
            reject
            for row in (batch.item_rows().tolist() if self._found else ())
            if (reject := self._found.get((source, row))) is not None
        ]
        if not rejects:
            return batch
        return batch.keep_only(~np.isin(batch.item_rows(), [reject.row for reject in rejects]), rejects)

    def end_of_source(self) -> None:
        """Nothing is left to do."""
