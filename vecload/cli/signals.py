"""Signals: the first asks a load to stop, the second ends the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopAsked(threading.Event):
    """Set when a load is to stop.

    Attributes:
        number: Of the signal that asked; 0 if none did.
    """

    number = 0


@contextmanager
def stopping_on_signals(stop: StopAsked) -> Iterator[None]:
    """Let SIGINT and SIGTERM ask the load to stop; a second one ends the process at once."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.number:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.number = number
        stop.set()

    heeded = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, on_signal) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
