"""Reading ahead: the next rows are decoded on another core while these are mapped and sent."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

from vecload.errors import Interrupted

T = TypeVar("T")

AHEAD = 2
"""How many pieces wait at the most, so that memory stays bounded by the batches' bytes."""
LEAVE_SECONDS = 0.5
"""How long a load that stops waits for the thread that reads; it ends with the process."""
_POLL_SECONDS = 0.1


class _End:
    """The end of the pieces, and the error that ended them, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(
    pieces: Iterator[T], *, most: int = AHEAD, interrupted: Callable[[], int] = lambda: 0
) -> Generator[T, None, None]:
    """The same pieces, read by a thread of its own.

    Args:
        pieces: Read by that thread alone.
        most: How many may wait.
        interrupted: The number of the signal that asked to stop, 0 while none did: a store that gives nothing
            for half a minute must not hold that up.

    Raises:
        Interrupted: A signal came while the next piece was waited for.
        Exception: What reading them raised, after the pieces before it.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(most)
    left = threading.Event()

    def put(piece: T | _End) -> bool:
        """Put a piece; False if nobody takes them any more."""
        while not left.is_set():
            try:
                waiting.put(piece, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def take() -> T | _End:
        while True:
            try:
                return waiting.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if number := interrupted():
                    raise Interrupted(number) from None

    def read() -> None:
        error: BaseException | None = None
        try:
            for piece in pieces:
                if not put(piece):
                    return
        except BaseException as raised:  # noqa: BLE001 raised again where the pieces are taken
            error = raised
        finally:
            if isinstance(pieces, Generator):
                pieces.close()
        put(_End(error))

    reader = threading.Thread(target=read, name="vecload-read", daemon=True)
    reader.start()
    try:
        while not isinstance(piece := take(), _End):
            yield piece
        if piece.error is not None:
            raise piece.error
    finally:
        left.set()
        reader.join(LEAVE_SECONDS if interrupted() else None)
