"""Caller: how a load, and other work, reports to whoever runs it, and is stopped by it."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from vecload.errors import ItemTypeError
from vecload.events import message
from vecload.flags import as_parameters
from vecload.loading.progress import Progress


@dataclass(frozen=True, slots=True)
class Caller:
    """How a load reports to its caller, and how the caller stops it.

    Attributes:
        say: Takes a message.
        warn: Takes a message that must reach a person: a load may make a key.
        on_progress: Takes the progress, after each span that is done.
        stop: Set to stop the load. Its attribute `number` may hold the number of the signal.
        around: A context that spans the load from before its first row is read until its last is recorded.
            A load that compares its rows first enters it twice.
        confirm: Asks whether to delete items.
    """

    say: Callable[[str], None] = lambda line: None
    warn: Callable[[str], None] = lambda line: None
    on_progress: Callable[[Progress], None] | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    confirm: Callable[[str], bool] = lambda question: True

    @classmethod
    def of_python(
        cls, on_progress: Callable[[Progress], None] | None, stop: threading.Event | None
    ) -> Caller:
        """The caller of a function: messages go to the logger `vecload`.

        Raises:
            ItemTypeError: An argument has another type.
        """
        if stop is not None and not callable(getattr(stop, "is_set", None)):
            raise ItemTypeError(f"stop is {type(stop).__name__}, not an Event")
        if on_progress is not None and not callable(on_progress):
            raise ItemTypeError(f"on_progress is {type(on_progress).__name__}, which can't be called")
        return cls(
            say=lambda line: message(logging.INFO, as_parameters(line)),
            warn=lambda line: message(logging.WARNING, line.removeprefix("warning: ")),
            on_progress=on_progress,
            stop=stop or threading.Event(),
        )

    def stopped_by(self) -> int:
        """The number of the signal that stops the load; 0 if nothing does."""
        return getattr(self.stop, "number", 0) or (int(signal.SIGINT) if self.stop.is_set() else 0)
