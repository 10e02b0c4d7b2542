"""Output: data goes to standard output; messages and progress go to standard error."""

from __future__ import annotations

import logging
from typing import Any

import typer

from vecload.errors import VecloadError
from vecload.events import MESSAGES, message
from vecload.safe_text import escaped, escaped_json


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
