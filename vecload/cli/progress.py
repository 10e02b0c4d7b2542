"""The display of progress on standard error: a bar on a terminal, elsewhere a line from time to time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

from vecload.closing import Closing
from vecload.safe_text import one_line

if TYPE_CHECKING:
    from vecload.loading.progress import Progress

LINE_SECONDS = 10.0
"""Seconds between plain lines, so that the log of a long load stays short."""
BAR_LEAST = 10
"""Columns of the narrowest bar."""
ECHO = 3
"""Columns at the end that stay free: a terminal echoes ^C there, and a longer line would be folded."""
NAME_MOST = 24
"""Columns of the longest name."""


def display(*, quiet: bool, terminal: bool) -> Display:
    """The progress display for standard error."""
    if quiet:
        return Display()
    dumb = os.environ.get("TERM", "") in ("", "dumb", "unknown")
    return Bar() if terminal and not dumb else Lines()


class Display(Closing):
    """Shows nothing."""

    def update(self, progress: Progress) -> None:
        """Show the progress of a load."""


class Lines(Display):
    """Writes a line every LINE_SECONDS, for logs.

    Args:
        write: Takes each line.
        now: The time of day.
    """

    def __init__(
        self,
        *,
        write: Callable[[str], object] = sys.stderr.write,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._write = write
        self._now = now
        self._shown = 0.0

    def update(self, progress: Progress) -> None:
        """Write a line if LINE_SECONDS have passed."""
        if progress.seconds - self._shown >= LINE_SECONDS:
            self._shown = progress.seconds
            time = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
            shown = [_rows(progress), _rate(progress), _left(progress), *_troubles(progress)]
            self._write("  ".join((f"{time} {progress.part:4.0%}", *filter(None, shown))) + "\n")


class Bar(Display):
    """A line with a bar for the load, and one for each of several sources that are being read."""

    def __init__(self) -> None:
        self._live: Any = None
        self._progress: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def update(self, progress: Progress) -> None:
        """Move the bar. It is drawn some times a second, however often this is called."""
        self._progress = progress
        if self._live is None:
            self._start()

    def _start(self) -> None:
        # Importing rich takes 60 ms, so import it only for a terminal.
        from rich.console import Console

        from vecload.cli.redrawn import Redrawn

        self._live = Redrawn(self._drawn, Console(stderr=True))
        self._live.start(refresh=True)

    def _drawn(self, width: int) -> Any:
        from rich.console import Group

        progress = self._progress
        if progress is None:
            return ""
        lines = [_line(progress.index, progress.part, _columns(progress), width)]
        for source in progress.sources:
            columns = [f"{source.read:,} rows"]
            lines.append(_line(PurePath(source.name).name, source.part, columns, width))
        return Group(*lines)

    def close(self) -> None:
        """Remove what was drawn."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def _line(name: str, part: float, columns: Iterable[str], width: int) -> Any:
    """A line of a name, a bar, a percentage, and as many columns as there is room for, the first ones first.

    Args:
        name: What it is about.
        part: What the bar shows, from 0 to 1.
        columns: Texts, the most important first.
        width: Columns of the terminal.
    """
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    name = one_line(name, min(NAME_MOST, max(width // 5, 6)) - 1)
    room = width - ECHO - len(name) - 1 - BAR_LEAST - 5
    kept: list[str] = []
    for column in filter(None, columns):
        if len(column) + 2 > room:
            break
        kept.append(column)
        room -= len(column) + 2
    rest = "".join(f"  {column}" for column in kept)
    bar = BAR_LEAST + min(max(room, 0), 30)
    grid = Table.grid(padding=0)
    grid.add_row(f"{name} ", ProgressBar(1.0, part, width=bar), f"{part:5.0%}", rest)
    for each in grid.columns:
        each.no_wrap, each.overflow = True, "crop"
    return grid


def _columns(progress: Progress) -> list[str]:
    """What is shown beside the bar, the most important first."""
    sent = progress.bytes / max(progress.seconds, 1e-9) / 1e6
    return [
        _rows(progress),
        _left(progress),
        _rate(progress),
        *_troubles(progress),
        f"{_time(progress.seconds)} elapsed",
        f"{sent:,.1f} MB/s" if progress.bytes else "",
        f"{progress.in_flight} in flight" if progress.in_flight else "",
    ]


def _rows(progress: Progress) -> str:
    """Rows that this run and earlier ones have done, of all."""
    of = "" if progress.rows is None else f" of {progress.rows:,}"
    done = "" if progress.done == "loaded" else f" {progress.done}"
    return f"{progress.rows_done:,}{of} rows{done}"


def _rate(progress: Progress) -> str:
    return f"{progress.rows_per_second:,.0f} rows/s"


def _left(progress: Progress) -> str:
    left = progress.seconds_left
    return "" if left is None else f"{_time(left)} left"


def _troubles(progress: Progress) -> list[str]:
    counts = (("rejected", progress.rejected), ("retries", progress.retries))
    return [f"{count:,} {name}" for name, count in counts if count]


def _time(seconds: float) -> str:
    """Hours, minutes and seconds."""
    return str(timedelta(seconds=round(seconds)))
