"""The command on a terminal, where it asks."""

from __future__ import annotations

import os
import pty
import sys

from tests.cli.command import Ended


def on_terminal(typed: str, *arguments: str) -> Ended:
    """The command with a terminal, where something was typed ahead."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-m", "vecload", *arguments])  # noqa: S606 this program
    os.write(terminal, typed.encode())
    printed = b""
    try:
        while piece := os.read(terminal, 4096):
            printed += piece
    except OSError:
        pass  # the child closed its side
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return Ended(os.waitstatus_to_exitcode(status), "", printed.decode())
