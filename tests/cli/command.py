"""The real `vecload` command, run as a user runs it, but for the second in which Python starts."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults.forked import shared_forks

SECONDS = 300
"""A command that hangs ends then; a slow machine is no hang."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that says what went wrong."""
        lines = [line for line in self.err.splitlines() if line.startswith("vecload: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


def vecload(
    *arguments: str | Path, cwd: Path | None = None, variables: Mapping[str, str] | None = None
) -> Ended:
    """Run the command in this test's own home, and wait for its end."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = shared_forks().start(
            ["-m", "vecload", *map(str, arguments)],
            *(out, err),
            {**os.environ, **(variables or {})},
            cwd or Path.cwd(),
        )
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        return Ended(code, out.read_text(), err.read_text())
