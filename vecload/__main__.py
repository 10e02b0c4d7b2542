"""`python -m vecload`, and what the `vecload` command runs."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    _open_standard_streams()
    # NumPy's linear algebra is not used; its threads would spin for work beside the load.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if sys.argv[1:] == ["--version"]:
        # Asked for by scripts: answered without importing the command line.
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
    # A request that was abandoned must not hold up the end: its thread is not waited for.
    os._exit(code)


def _run() -> int:
    """The exit code of the command line; a signal that comes before a load can be asked to stop ends it."""

    def on_signal(number: int, frame: FrameType | None) -> NoReturn:
        raise _Signalled(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as for a shell's command in the background
            signal.signal(number, on_signal)
    try:
        from vecload.cli.app import run

        return run(sys.argv[1:])
    except _Signalled as signalled:
        sys.stderr.write("vecload: interrupted; run the same command again to go on\n")
        return 128 + signalled.number


class _Signalled(KeyboardInterrupt):
    """A signal came. No exception that anything on the way could take for its own."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def _open_standard_streams() -> None:
    """Let no file of ours take the place of a standard stream that was closed."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123 open until the process ends
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123


if __name__ == "__main__":
    main()
