"""The entry point of `python -m vecload` and of the `vecload` command."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    _open_standard_streams()
    # vecload does not use NumPy's linear algebra, whose threads would take CPU time from the load.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if sys.argv[1:] == ["--version"]:
        # Scripts ask for the version: answer without importing the command line.
        from vecload._version import __version__

        sys.stdout.write(f"vecload {__version__}\n")
        code = 0
    else:
        code = _run()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 1  # the reader of our output is gone, or its disk is full
    # Do not wait for the threads of abandoned requests.
    os._exit(code)


def _run() -> int:
    """Run the command line and return its exit code. A signal outside a load ends the process."""
    on_signal = _OnSignal()
    sys.unraisablehook = _unless_signalled
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as for a shell's command in the background
            signal.signal(number, on_signal)
    try:
        from vecload.cli.app import run

        return run(sys.argv[1:])
    except _Signalled as signalled:
        sys.stderr.write("vecload: interrupted; run the same command again to go on\n")
        return 128 + signalled.number


class _OnSignal:
    """What signals do outside a load.

    Python drops an exception that is raised while it frees an object. So a load that begins looks here, and
    stops.

    Attributes:
        number: The number of the signal that came last; 0 before one.
    """

    number = 0

    def __call__(self, number: int, frame: FrameType | None) -> NoReturn:
        self.number = number
        raise _Signalled(number)


def _unless_signalled(dropped: sys.UnraisableHookArgs) -> None:
    """Print an exception that Python drops, unless it is that of a signal, of which nothing is lost."""
    if not isinstance(dropped.exc_value, _Signalled):
        sys.__unraisablehook__(dropped)


class _Signalled(KeyboardInterrupt):
    """A signal came. Not an Exception, so that no handler catches it by mistake."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _open_standard_streams() -> None:
    """Reopen closed standard streams, so that no other file gets their descriptors."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123 open until the process ends
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123


if __name__ == "__main__":
    main()
