"""Progress: how far a load is, and the meter that measures it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vecload.batch import Span
from vecload.loading.ledger import Totals
from vecload.readers import Source

SOURCES_SHOWN = 5
"""Of several sources, those that are shown as being read."""


@dataclass(frozen=True, slots=True)
class SourceProgress:
    """How far one source is, of several.

    Attributes:
        name: Its name.
        part: The approximate part of its rows that is done, from 0 to 1.
        read: Rows read.
    """

    name: str
    part: float
    read: int


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a load.

    Attributes:
        index: The index's name.
        read, loaded, rejected, skipped: As in `LoadResult`.
        rows: Rows of all sources; None if some are not counted yet.
        part: The approximate part of the sources that is done, from 0 to 1, by their stored bytes.
        seconds: Seconds since this run began to read.
        done: What happened to the rows that `loaded` counts: `loaded`, or `compared` by a verification.
        bytes: Bytes sent by this run.
        retries: Requests sent again.
        in_flight: Batches, or splits of a cluster, that are being loaded now.
        rows_before, part_before: `rows_done` and `part` when this run began: what earlier runs did.
        sources: Of several sources, those that are begun and not ended, the last ones begun.
    """

    index: str
    read: int
    loaded: int
    rejected: int
    skipped: int
    rows: int | None
    part: float
    seconds: float
    done: str = "loaded"
    bytes: int = 0
    retries: int = 0
    in_flight: int = 0
    rows_before: int = 0
    part_before: float = 0.0
    sources: tuple[SourceProgress, ...] = ()

    @property
    def rows_done(self) -> int:
        """Rows that are done with: loaded, by earlier runs too, or rejected. More may be read ahead."""
        return self.loaded + self.rejected + self.skipped

    @property
    def rows_per_second(self) -> float:
        """Rows that this run is done with in a second."""
        return (self.rows_done - self.rows_before) / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at the rate of this run; None before anything shows that."""
        done = self.part - self.part_before
        return (1.0 - self.part) * self.seconds / done if done > 0 else None


class Meter:
    """Measures the progress of a load and reports it.

    Args:
        index: The index's name.
        sources: The sources of the load.
        on_progress: Takes the progress; None for no reports.
        clock: Monotonic seconds.
        done: What happens to rows.

    Attributes:
        in_flight: How many batches are being loaded now.
    """

    def __init__(
        self,
        index: str,
        sources: Sequence[Source],
        on_progress: Callable[[Progress], None] | None,
        *,
        clock: Callable[[], float],
        done: str = "loaded",
    ) -> None:
        self.in_flight: Callable[[], int] = lambda: 0
        self._index = index
        self._word = done
        self._sources = {source.name: source for source in sources}
        self._bytes = {source.name: _loaded_bytes(source) for source in sources}
        self._whole = sum(self._bytes.values()) or 1
        counted = [source.loaded_rows for source in sources]
        self._rows = None if None in counted else sum(rows or 0 for rows in counted)
        self._done = 0.0
        self._begun_sources: dict[str, list[float]] = {}
        self._on_progress = on_progress
        self._clock = clock
        self._begun = clock()
        self._before = (0, 0.0)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._begun

    def add(self, span: Span) -> None:
        """Count a span as done."""
        source = self._sources[span.source]
        done = source.nbytes * source.part(span)
        self._done += done
        if len(self._sources) > 1:
            own = self._begun_sources.setdefault(span.source, [0.0, 0])
            own[0] += done / (self._bytes[span.source] or 1)
            own[1] += len(span)

    def start(self, totals: Totals) -> None:
        """Start the clock, and report the progress of earlier runs."""
        self._begun = self._clock()
        self._before = (totals.loaded + totals.rejected + totals.skipped, self._part)
        self._report(totals)

    def update(self, span: Span, totals: Totals) -> None:
        """Count a span as done, and report the progress."""
        self.add(span)
        self._report(totals)

    @property
    def _part(self) -> float:
        return min(self._done / self._whole, 1.0)

    def _report(self, totals: Totals) -> None:
        if self._on_progress is None:
            return
        self._on_progress(
            Progress(
                self._index,
                totals.read,
                totals.loaded,
                totals.rejected,
                totals.skipped,
                self._rows,
                self._part,
                self.seconds,
                self._word,
                totals.nbytes,
                totals.retries,
                self.in_flight(),
                *self._before,
                self._being_read(),
            )
        )

    def _being_read(self) -> tuple[SourceProgress, ...]:
        found: list[SourceProgress] = []
        for name, (part, read) in reversed(self._begun_sources.items()):
            if part < 1 - 1e-9:
                found.append(SourceProgress(name, part, int(read)))
            if len(found) == SOURCES_SHOWN:
                break
        return tuple(reversed(found))


def _loaded_bytes(source: Source) -> float:
    """The stored bytes of the rows of a source that are loaded."""
    return source.nbytes * (1.0 if source.only is None else sum(map(source.part, source.only)))
