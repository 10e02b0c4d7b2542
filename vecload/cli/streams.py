"""Standard output carries what was asked for, standard error what is said to people meanwhile."""

from __future__ import annotations

import typer

from vecload.errors import VecloadError
from vecload.safe_text import escaped, escaped_json


def tell(line: str) -> None:
    """Say a line to people: on standard error, and as one line whatever a file's name holds."""
    typer.echo(escaped(line), err=True)


def say(line: str) -> None:
    """Say a line of a report that was asked for: on standard output."""
    out(escaped(line).encode("utf-8", "backslashreplace"))


def out(line: bytes) -> None:
    """Write a line of data, text or JSON: on standard output, with nothing in it that a terminal would obey.

    Raises:
        VecloadError: It can't be written.
    """
    try:
        typer.echo(escaped_json(line))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise VecloadError(f"standard output can't be written: {error.strerror}") from None
