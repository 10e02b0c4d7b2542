"""A command that is killed at random moments, and run again until it ends well."""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from tests.faults.forked import shared_forks

KILLS = int(os.environ.get("VECLOAD_KILLS", "5"))
"""How often each command is killed; VECLOAD_KILLS=30 by hand."""
SEED = int(os.environ.get("VECLOAD_SEED", "0"))
MOST = 0.6
"""Seconds after which a command is killed at the latest; a command of these tests takes longer."""


def kill_until_done(
    arguments: list[str], folder: Path, number: int, after_each: Callable[[], None] = lambda: None
) -> int:
    """Run a command, kill it, and so on; then to its end. Returns how often it was killed before its end."""
    chance = random.Random(SEED + number)  # noqa: S311 the number repeats a failure
    killed = 0
    for turn in range(chance.choice([1, 2, 3])):
        out, err = folder / f"out{turn}", folder / f"err{turn}"
        process = shared_forks().start(["-m", "vecload", *arguments], out, err, {**os.environ}, folder)
        # Random moments of a process that says nothing of itself: no event to wait for is random.
        threading.Event().wait(chance.random() * MOST)
        process.kill()
        killed += process.wait() == -9
        after_each()
    last = shared_forks().start(
        ["-m", "vecload", *arguments], folder / "out", folder / "err", {**os.environ}, folder
    )
    try:
        code = last.wait(300)
    except subprocess.TimeoutExpired:
        last.kill()
        raise
    assert code == 0, (folder / "err").read_text()
    return killed
