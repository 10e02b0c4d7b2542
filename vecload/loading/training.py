"""Training: train an index after a load, so that queries search only parts of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from vecload.errors import Interrupted
from vecload.targets import TargetIndex

STOP_SECONDS = 0.1
"""How often a wait for a long call of the engine checks whether the load must stop."""


def train(
    index: TargetIndex, stop: threading.Event, stopped_by: Callable[[], int], say: Callable[[str], None]
) -> None:
    """Train an index, and report whether it is trained.

    Args:
        index: The index.
        stop: Set to stop waiting.
        stopped_by: The number of the signal that stops it.
        say: Takes a message.

    Raises:
        Interrupted: The load was stopped.
        TrainingFailed: The index can't be trained.
    """
    say("training the index")
    hint = "all rows are loaded, but the index may not be trained: run again with --skip-loaded"
    try:
        _interruptibly(index.train, stop)
    except KeyboardInterrupt as stopped:
        raise Interrupted(getattr(stopped, "number", signal.SIGINT), hint=hint) from None
    if stop.is_set():
        raise Interrupted(stopped_by(), hint=hint)
    trained = index.describe().trained
    say(
        "the index is trained"
        if trained
        else "the index is not trained, because it has too few items; queries search all of it"
    )


def _interruptibly(work: Callable[[], None], stop: threading.Event) -> None:
    """Run an uninterruptible C call in a thread, so that signals and `stop` still work.

    After a stop, the thread runs on until the process ends.

    Raises:
        KeyboardInterrupt: A signal came.
        Exception: The work raised it.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 raised again by the waiting thread
            raised.append(error)

    thread = threading.Thread(target=run, name="vecload-training", daemon=True)
    thread.start()
    while thread.is_alive() and not stop.is_set():
        thread.join(STOP_SECONDS)
    if raised:
        raise raised[0]
