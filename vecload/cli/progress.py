"""Progress for people, on standard error: a rich display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from vecload.batch import Span
from vecload.closing import Closing
from vecload.loading.ledger import Totals
from vecload.readers import Source

LINE_SECONDS = 10.0
"""Seconds between plain lines, so that a log of a night's load stays short."""


class Progress(Protocol):
    """What is told of a load while it runs."""

    def update(self, span: Span, totals: Totals) -> None:
        """A span is done."""

    def __enter__(self) -> Self:
        """Begin to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the screen as it should stay."""


class Extent:
    """How much of the sources is done, from 0 to 1, by their bytes as they are stored."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = {source.name: source for source in sources}
        self._total = sum(source.nbytes for source in sources) or 1
        self._done = 0.0

    def add(self, span: Span) -> float:
        """Count a span as done; the part of all that is done now."""
        source = self._sources[span.source]
        self._done += source.nbytes * source.part(span)
        return min(self._done / self._total, 1.0)


class QuietProgress(Closing):
    """Nothing at all."""

    def update(self, span: Span, totals: Totals) -> None:
        """Say nothing."""


class LineProgress(QuietProgress):
    """A line now and then, for logs.

    Args:
        extent: The sources' extent.
        write: Where a line goes.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        extent: Extent,
        *,
        write: Callable[[str], object] = sys.stderr.write,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._extent = extent
        self._write = write
        self._clock = clock
        self._begun = self._said = clock()

    def update(self, span: Span, totals: Totals) -> None:
        """Say how far it is, if it is time to."""
        part = self._extent.add(span)
        now = self._clock()
        if now - self._said >= LINE_SECONDS:
            self._said = now
            rate = totals.loaded / max(now - self._begun, 1e-9)
            self._write(f"{part:4.0%}  {totals.loaded:,} loaded  {rate:,.0f} items/s{_rejected(totals)}\n")


class TerminalProgress(QuietProgress):
    """A bar that stays on its line.

    Args:
        extent: The sources' extent.
        title: What is loaded where.
    """

    def __init__(self, extent: Extent, title: str) -> None:
        # rich takes 60 ms to import: only a terminal pays for it.
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._extent = extent
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(escape(title), total=1.0, told="")
        self._begun = time.monotonic()

    def update(self, span: Span, totals: Totals) -> None:
        """Move the bar."""
        rate = totals.loaded / max(time.monotonic() - self._begun, 1e-9)
        told = f"{totals.loaded:,} loaded, {rate:,.0f} items/s{_rejected(totals)}"
        self._bar.update(self._task, completed=self._extent.add(span), told=told)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()


def _rejected(totals: Totals) -> str:
    return f"  {totals.rejected:,} rejected" if totals.rejected else ""
