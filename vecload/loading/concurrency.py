"""Concurrency: how many batches may be in flight, learnt from how the target does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

WINDOW_BATCHES = 8
"""Batches a limit must see before it is judged."""
GAIN = 1.05
"""A larger limit must bring that much more throughput to be kept."""
SETTLED_WINDOWS = 16
"""Windows after which a limit that once did not help is tried again."""


class Concurrency:
    """A limit between 1 and `most`, climbed by trying one more and keeping it if throughput grew.

    Halved when the target says it is busy (429, 503).

    Args:
        start: The first limit.
        most: The largest.
        clock: Monotonic seconds.
    """

    def __init__(self, start: int, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = max(1, most)
        self.limit = max(1, min(start, self.most))
        self._clock = clock
        self._lock = threading.Lock()
        self._items = 0
        self._batches = 0
        self._since = clock()
        self._before: tuple[int, float] | None = None
        self._quiet = 0

    def completed(self, items: int) -> None:
        """A batch was acknowledged."""
        with self._lock:
            self._items += items
            self._batches += 1
            if self._batches < WINDOW_BATCHES * self.limit:
                return
            now = self._clock()
            rate = self._items / max(now - self._since, 1e-9)
            self._judge(rate)
            self._items = self._batches = 0
            self._since = now

    def busy(self) -> None:
        """The target asked for less."""
        with self._lock:
            self.limit = max(1, self.limit // 2)
            self._before = None
            self._quiet = SETTLED_WINDOWS
            self._items = self._batches = 0
            self._since = self._clock()

    def _judge(self, rate: float) -> None:
        if self._before is not None:
            limit_before, rate_before = self._before
            self._before = None
            if rate < rate_before * GAIN:
                self.limit = limit_before
                self._quiet = SETTLED_WINDOWS
            return
        if self._quiet:
            self._quiet -= 1
        elif self.limit < self.most:
            self._before = (self.limit, rate)
            self.limit += 1
