"""`vecload`, which ends itself at a step of making a key and an index.

`python -m tests.faults.killed_at STEP SIGNAL upsert ...`. Steps are counted from 1: before and after
each call that changes the key store, and before and after each question to the target.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import vecload.sealing.keyring as key_store_module
import vecload.sealing.new_file as new_file_module
from vecload.__main__ import main
from vecload.targets.embedded import EmbeddedTarget
from vecload.targets.service import ServiceTarget

CALLS = ("open", "write", "fsync", "link", "unlink")
QUESTIONS = ("list_indexes", "create_index", "open_index")


class Steps:
    """Counts, and ends the process at one of them."""

    def __init__(self, at: int, number: int) -> None:
        self.at = at
        self.number = number
        self.count = 0

    def step(self) -> None:
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), self.number)

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            self.step()
            result = call(*args, **kwargs)
            self.step()
            return result

        return stepped


class SteppedOs:
    """The module os, its calls that change files as steps."""

    def __init__(self, steps: Steps) -> None:
        for name in CALLS:
            setattr(self, name, steps.around(getattr(os, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


if __name__ == "__main__":
    steps = Steps(int(sys.argv.pop(1)), int(sys.argv.pop(1)))
    key_store_module.os = new_file_module.os = SteppedOs(steps)  # type: ignore[attr-defined]
    for target in (ServiceTarget, EmbeddedTarget):
        for question in QUESTIONS:
            setattr(target, question, steps.around(getattr(target, question)))
    main()
