"""Output: data goes to standard output; messages and progress go to standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import typer

from vecload.closing import Closing
from vecload.errors import VecloadError
from vecload.events import MESSAGES, message
from vecload.safe_text import escaped, escaped_json

if TYPE_CHECKING:
    from vecload.loading.result import Progress


def tell(line: str, level: int = logging.INFO) -> None:
    """Write a message to standard error, as one line even if a file's name contains line breaks.

    It goes to the log too; if the log is on standard error, only there.

    Args:
        line: The message.
        level: Its level in the log.
    """
    message(level, line.removeprefix("warning: "))
    if not on_standard_error():
        typer.echo(escaped(line), err=True)


class StandardError(logging.StreamHandler[Any]):
    """Writes the log to standard error, in place of the messages for people."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 the base class's
        """Nobody reads standard error, so there is nobody to tell."""


def on_standard_error() -> bool:
    """Whether the log is on standard error, so that nothing else may be written there."""
    return any(isinstance(handler, StandardError) for handler in MESSAGES.handlers)


def say(line: str) -> None:
    """Write a line of a report to standard output."""
    out(escaped(line).encode("utf-8", "backslashreplace"))


def out(line: bytes) -> None:
    """Write a line of data, text or JSON, to standard output. Terminal control characters are escaped.

    Raises:
        VecloadError: Standard output can't be written.
    """
    try:
        typer.echo(escaped_json(line))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise VecloadError(f"standard output can't be written: {error.strerror}") from None


def ask(question: str) -> bool:
    """Ask a question on the terminal, to be answered by y or n."""
    return bool(typer.confirm(escaped(question), err=True))


LINE_SECONDS = 10.0
"""Seconds between plain lines, so that the log of a long load stays short."""


def display(*, quiet: bool, terminal: bool) -> Display:
    """The progress display for standard error."""
    return Display() if quiet else Bar() if terminal else Lines()


class Display(Closing):
    """Shows nothing."""

    def update(self, progress: Progress) -> None:
        """Show the progress of a load."""


class Lines(Display):
    """Writes a line every LINE_SECONDS, for logs.

    Args:
        write: Takes each line.
    """

    def __init__(self, *, write: Callable[[str], object] = sys.stderr.write) -> None:
        self._write = write
        self._shown = 0.0

    def update(self, progress: Progress) -> None:
        """Write a line if LINE_SECONDS have passed."""
        if progress.seconds - self._shown >= LINE_SECONDS:
            self._shown = progress.seconds
            self._write(f"{progress.part:4.0%}  {_counts(progress)}\n")


class Bar(Display):
    """A progress bar on one line."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def update(self, progress: Progress) -> None:
        """Move the bar."""
        if self._bar is None:
            self._start(progress.index)
        self._bar.update(self._task, completed=progress.part, counts=_counts(progress))

    def _start(self, title: str) -> None:
        # Importing rich takes 60 ms, so import it only for a terminal.
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[counts]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(escape(title), total=1.0, counts="")
        self._bar.start()

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _counts(progress: Progress) -> str:
    rate = progress.loaded / max(progress.seconds, 1e-9)
    rejected = f"  {progress.rejected:,} rejected" if progress.rejected else ""
    return f"{progress.loaded:,} {progress.done}  {rate:,.0f} items/s{rejected}"
