"""Standard output carries what was asked for, standard error what is said to people meanwhile."""

from __future__ import annotations

import typer

from vecload.errors import VecloadError


def tell(line: str) -> None:
    """Say a line to people: on standard error, and as one line whatever a file's name holds."""
    typer.echo(_printable(line), err=True)


def say(line: str) -> None:
    """Say a line of a report that was asked for: on standard output."""
    out(_printable(line).encode("utf-8", "backslashreplace"))


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def out(line: bytes) -> None:
    """Write a line of data: on standard output.

    Raises:
        VecloadError: It can't be written.
    """
    try:
        typer.echo(line)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise VecloadError(f"standard output can't be written: {error.strerror}") from None
