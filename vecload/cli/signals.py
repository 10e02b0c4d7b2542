"""Signals: the first asks a load to stop, the second ends the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_POLL_SECONDS = 0.1


class StopAsked(threading.Event):
    """Set when a load is to stop.

    Attributes:
        number: Of the signal that asked; 0 if none did.
    """

    number = 0


def beside(work: Callable[[], None]) -> None:
    """Do what nothing interrupts, a long call into C, in a thread of its own: signals act meanwhile.

    A signal leaves the thread behind; it ends with the process.

    Raises:
        KeyboardInterrupt: A signal came.
        Exception: What the work raised.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 raised again where it is waited for
            raised.append(error)

    thread = threading.Thread(target=run, name="vecload-beside", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_POLL_SECONDS)
    if raised:
        raise raised[0]


@contextmanager
def stopping_on_signals(stop: StopAsked) -> Iterator[Callable[[], int]]:
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
        yield lambda: stop.number
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
