"""`vecload upsert`, `inspect` and `verify`: run them with signals and terminal output."""

from __future__ import annotations

import gc
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import orjson

from vecload.cli.logs import LoggedProgress
from vecload.cli.output import ask, on_standard_error, out, say, tell
from vecload.cli.progress import display
from vecload.errors import UsageError, VecloadError
from vecload.events import message
from vecload.loading.caller import Caller
from vecload.loading.ending import Result, note
from vecload.loading.progress import Progress
from vecload.loading.request import Request
from vecload.loading.result import LoadResult
from vecload.loading.run import run_load
from vecload.verifying.result import VerifyResult
from vecload.verifying.run import Thoroughness, check_readable_again, run_verification

if TYPE_CHECKING:
    from vecload.cli.report import ReportFile

BUG = "a bug in vecload"
"""The error in a summary that is printed although nothing was raised that vecload knows."""
GC_OBJECTS = 50_000
"""New objects before the garbage collector runs: the metadata of one batch are thousands of objects."""


class Summary(Result, Protocol):
    """A result that can be printed."""

    @property
    def worth_saying(self) -> bool:
        """Whether there is more to say than the error."""

    def as_dict(self) -> dict[str, Any]:
        """The object that `--json` prints."""

    def lines(self) -> list[str]:
        """The summary as lines of text."""


R = TypeVar("R", bound=Summary)


def upsert(
    request: Request,
    *,
    json: bool,
    quiet: bool,
    terminal: bool,
    verify: bool = False,
    yes: bool = False,
    runs: Callable[[Request, Caller], LoadResult] | None = None,
    report: ReportFile | None = None,
) -> int:
    """Run a load and print its summary, also if the load stops.

    Args:
        request: The load.
        json: Print the summary as a JSON object on standard output.
        quiet: Print nothing else.
        terminal: Standard error is a terminal.
        verify: Compare the sources with the index afterwards.
        yes: Delete items without asking.
        runs: Runs the load; None is this process.
        report: Gets its page.

    Returns:
        The exit code of a load that ended.

    Raises:
        VecloadError: The load stopped.
    """
    if request.options.delete_missing and not yes and not sys.stdin.isatty():
        raise UsageError("--delete-missing: refusing to delete items without confirmation", hint="pass --yes")
    result = LoadResult(error=BUG)
    if report is not None:
        report.record()
    try:
        if verify:
            check_readable_again(request)
        confirm = (lambda question: True) if yes else ask
        run = runs or run_load
        result = summarised(
            lambda caller: run(request, replace(caller, confirm=confirm)),
            result,
            json=False,
            quiet=quiet,
            terminal=terminal,
        )
        if verify:
            result.verified = verified(request, Thoroughness(), json=False, quiet=quiet, terminal=terminal)
            result.exit_code = result.verified.exit_code or result.exit_code
    except VecloadError as error:
        if error.result is None:
            note(result, error)
        if isinstance(error.result, LoadResult):
            result = error.result
        elif isinstance(error.result, VerifyResult):
            result.verified, result.exit_code, result.error = error.result, error.exit_code, str(error)
        raise
    finally:
        if json:
            out(orjson.dumps(result.as_dict()))
        if report is not None:
            report.write_load(result)
    return result.exit_code


def summarised(run: Callable[[Caller], R], empty: R, *, json: bool, quiet: bool, terminal: bool) -> R:
    """Run work and print its summary, also if it stops.

    Args:
        run: Runs it.
        empty: The result of work that did not begin.
        json: Print the summary as a JSON object on standard output.
        quiet: Print nothing else.
        terminal: Standard error is a terminal.

    Returns:
        The result of work that ended.

    Raises:
        VecloadError: It stopped.
    """
    result = empty
    try:
        result = run(caller_of(quiet=quiet, terminal=terminal))
    except VecloadError as error:
        if error.result is None:
            note(result, error)
        result = error.result
        raise
    finally:
        if not quiet and result.worth_saying:
            for line in result.lines():
                tell(line)
        if json:
            out(orjson.dumps(result.as_dict()))
    return result


def verified(request: Request, how: Thoroughness, *, json: bool, quiet: bool, terminal: bool) -> VerifyResult:
    """Run a verification and print its summary, also if it stops.

    Args:
        request: The load to verify.
        how: How much is compared.
        json: Print the summary as a JSON object on standard output.
        quiet: Print nothing else.
        terminal: Standard error is a terminal.

    Raises:
        VecloadError: It stopped.
    """
    return summarised(
        lambda caller: run_verification(request, how, caller),
        VerifyResult(error=BUG),
        json=json,
        quiet=quiet,
        terminal=terminal,
    )


def caller_of(*, quiet: bool, terminal: bool) -> Caller:
    """Messages and progress on standard error, and signals that stop the work."""
    stop, logged = StopAsked(), LoggedProgress()
    progress = display(quiet=quiet or on_standard_error(), terminal=terminal)

    def on_progress(now: Progress) -> None:
        progress.update(now)
        logged.update(now)

    @contextmanager
    def around() -> Iterator[None]:
        with stopping_on_signals(stop), _few_collections(), progress:
            yield

    return Caller(
        say=partial(message, logging.INFO) if quiet else tell,
        warn=partial(tell, level=logging.WARNING),
        on_progress=on_progress,
        stop=stop,
        around=around,
    )


def inspect(
    request: Request,
    *,
    full: bool,
    items: int,
    json: bool,
    quiet: bool,
    page: ReportFile | None = None,
) -> int:
    """Inspect the sources and the target, and print the report.

    Args:
        request: The load.
        full: Read every row.
        items: How many of the first items to show.
        json: Print the report as a JSON object.
        quiet: Print no messages meanwhile.
        page: Gets the page of the report.

    Returns:
        The exit code that the load would return, judging by the rows read.

    Raises:
        VecloadError: There is nothing to report on.
    """
    from vecload.inspecting.distributions import Distributions
    from vecload.inspecting.run import run_inspection
    from vecload.inspecting.text import report_lines

    found = None if page is None else Distributions()
    say_meanwhile = (lambda line: None) if quiet else tell
    report = run_inspection(request, full=full, items=items, say=say_meanwhile, distributions=found)
    if page is not None and found is not None:
        page.write_inspection(report, found)
    if json:
        out(orjson.dumps(report.as_dict()))
    else:
        for line in report_lines(report):
            say(line)
    return report.exit_code


@contextmanager
def _few_collections() -> Iterator[None]:
    """Make the garbage collector run rarely, and skip objects that exist already."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(GC_OBJECTS, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


class StopAsked(threading.Event):
    """Set to stop a load.

    Attributes:
        number: The number of the signal that stops it; 0 without a signal.
    """

    number = 0


@contextmanager
def stopping_on_signals(stop: StopAsked) -> Iterator[None]:
    """Make SIGINT and SIGTERM stop the load; a second signal ends the process at once."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.number:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.number = number
        stop.set()

    heeded = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, on_signal) for number in heeded}
    for handler in before.values():
        if came := getattr(handler, "number", 0):  # a signal of which Python dropped the exception
            stop.number = came
            stop.set()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
