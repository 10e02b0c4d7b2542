"""A real terminal of a test's own: tmux, which folds the lines that it shows when it becomes narrower."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

SECONDS = 60.0


class Screen:
    """A terminal that runs the command. Ended when left.

    Args:
        folder: For its socket, which must have a short path.
        columns: Its width.
        arguments: Of the command.
    """

    def __init__(self, folder: Path, columns: int, *arguments: str | Path) -> None:
        self._socket = f"/tmp/vecload-{os.getpid()}-{id(self)}"  # noqa: S108 a path of a socket must be short
        self._status = folder / "status"
        command = shlex.join([sys.executable, "-m", "vecload", *map(str, arguments)])
        self._tmux(
            *("-f", os.devnull, "new-session", "-d", "-x", str(columns), "-y", "40"),
            f"{command}; echo $? > {shlex.quote(str(self._status))}; sleep 60",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tmux("kill-server", check=False)

    def _tmux(self, *arguments: str, check: bool = True) -> str:
        # What it runs has its environment, and must ask the terminal itself how wide it is.
        env = {name: value for name, value in os.environ.items() if name not in ("TERM", "COLUMNS", "LINES")}
        done = subprocess.run(
            ["tmux", "-S", self._socket, *arguments], check=check, capture_output=True, text=True, env=env
        )
        return done.stdout

    def lines(self) -> list[str]:
        """What it shows, without empty lines."""
        return [line.rstrip() for line in self._tmux("capture-pane", "-p").splitlines() if line.strip()]

    def resize(self, columns: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", "40")

    def press(self, key: str) -> None:
        self._tmux("send-keys", key)

    def wait_for(self, text: str) -> list[str]:
        """The lines, once one has the text."""
        until = time.monotonic() + SECONDS
        while not any(text in line for line in self.lines()):
            assert time.monotonic() < until, f"{text!r} is not in {self.lines()}"
            time.sleep(0.05)
        return self.lines()

    def code(self) -> int:
        """The exit code of the command, once it ended."""
        until = time.monotonic() + SECONDS
        while not self._status.exists() or not self._status.read_text().strip():
            assert time.monotonic() < until, self.lines()
            time.sleep(0.05)
        return int(self._status.read_text())
