"""Ending: what stopped a load, a verification, an export or a rekey, in its result."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from vecload.errors import Interrupted, VecloadError
from vecload.readers.storage.files import printable


class Result(Protocol):
    """What work came to.

    Attributes:
        status: How it ended: `failed` or `interrupted` if it stopped.
        exit_code: The exit code of its command.
        error: The message of the error that stopped it; None without one.
    """

    status: Any
    exit_code: int
    error: str | None


def note(result: Result, error: VecloadError) -> None:
    """Say in a result what stopped the work, and give it to the error."""
    result.status = "interrupted" if isinstance(error, Interrupted) else "failed"
    result.exit_code, result.error = error.exit_code, printable(str(error))
    error.result = result


@contextmanager
def ending(result: Result) -> Iterator[None]:
    """If the work stops, say so in its result, and give the result to the error.

    Args:
        result: Has `failed` as its status.

    Raises:
        VecloadError: The work stopped. The error has the result as `result`.
        KeyboardInterrupt: The user interrupted this process.
    """
    try:
        yield
    except (VecloadError, KeyboardInterrupt) as stopped:
        number = getattr(stopped, "number", signal.SIGINT)
        error = stopped if isinstance(stopped, VecloadError) else Interrupted(number)
        note(result, error)
        stopped.result = result  # type: ignore[union-attr] # of a KeyboardInterrupt, too
        if error is stopped or hasattr(stopped, "number"):
            raise error from None
        raise
