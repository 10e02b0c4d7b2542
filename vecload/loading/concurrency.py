"""Concurrency: how many batches may be in flight, learnt from how the target does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from vecload.loading.batch_rows import BatchRows

WINDOW_BATCHES = 8
"""Batches for each of those in flight that a limit must see before it is judged."""
GAIN = 1.08
"""One more in flight must bring that much more throughput to be kept: windows differ by some percent."""
SETTLED_WINDOWS = 16
"""Windows after which another limit is tried again."""
SLOWER = 3.0
"""A target that answers that many times slower than it did with as many in flight is given less to do."""


class Concurrency:
    """A limit between 1 and `most`, climbed by trying one more and keeping it if throughput grew.

    A limit that was climbed to is given up again where one less does as well. Halved when the target says it
    is busy (429, 503), and when its answers take much longer than they did.

    Args:
        start: The first limit.
        most: The largest.
        queued: Batches that wait encoded beside those in flight, for a target whose threads take the next one
            by themselves.
        rows: The rows of a batch are learnt first: until they are settled, the limit stays.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        start: int,
        most: int,
        *,
        queued: int = 0,
        rows: BatchRows | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most = max(1, most)
        self.limit = self._least = max(1, min(start, self.most))
        self._queued = queued
        self._rows = rows
        self._clock = clock
        self._lock = threading.Lock()
        self._before: tuple[int, float] | None = None
        self._quiet = 0
        self._fastest: dict[int, float] = {}
        self._begin_window()

    @property
    def allowed(self) -> int:
        """Batches that may be handed over at once: in flight, or encoded and next."""
        return self.limit + self._queued

    def completed(self, items: int, seconds: float) -> None:
        """A batch was acknowledged.

        Args:
            items: How many it held.
            seconds: How long it took from its first byte sent.
        """
        with self._lock:
            if self._rows is not None and not self._rows.settled:
                self._rows.completed(items)
                self._begin_window()
                return
            self._items += items
            self._seconds += seconds
            self._batches += 1
            if self._batches < WINDOW_BATCHES * self.limit:
                return
            rate = self._items / max(self._clock() - self._since, 1e-9)
            self._judge(rate, self._seconds / self._batches)
            self._begin_window()

    def busy(self) -> None:
        """The target asked for less."""
        with self._lock:
            self._halve()
            self._begin_window()

    def _judge(self, rate: float, latency: float) -> None:
        fastest = self._fastest.setdefault(self.limit, latency)
        self._fastest[self.limit] = min(fastest, latency)
        if latency > SLOWER * fastest and self.limit > 1:
            self._halve()
            self._fastest.clear()
        elif self._before is not None:
            limit_before, rate_before = self._before
            self._before = None
            needed = GAIN if self.limit > limit_before else 1 / GAIN
            if rate < rate_before * needed:
                self.limit = limit_before
                self._quiet = SETTLED_WINDOWS
        elif self._quiet:
            self._quiet -= 1
            if self._quiet == SETTLED_WINDOWS // 2 and self.limit > self._least:
                self._try(self.limit - 1, rate)
        elif self.limit < self.most:
            self._try(self.limit + 1, rate)

    def _try(self, limit: int, rate: float) -> None:
        self._before = (self.limit, rate)
        self.limit = limit

    def _halve(self) -> None:
        self.limit = max(1, self.limit // 2)
        self._least = min(self._least, self.limit)
        self._before = None
        self._quiet = SETTLED_WINDOWS

    def _begin_window(self) -> None:
        self._items = self._batches = 0
        self._seconds = 0.0
        self._since = self._clock()
