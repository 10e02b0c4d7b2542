"""Tuning: learn from the target how many rows to put in a batch and how many batches to have in flight."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from vecload.limits import BATCH_ROWS

PIECE_BYTES = 3_200_000
"""Approximate bytes of vectors read at once: 2000 rows of 384 dimensions, 1000 rows of 768."""
TRIAL_BATCHES = 12
"""Batches of one size to time before trying another size."""
ROUNDS = 2
"""How often to try each size, since a target may be slow for a moment."""
OTHERS_MOST = 60
"""After this many batches of other sizes, stop learning and keep the usual size."""
ROWS_GAIN = 1.05
"""A size replaces the usual one only if it is at least this many times as fast."""


class BatchRows:
    """The rows of a batch: chosen during the first batches of a load, then fixed.

    Args:
        sizes: The sizes to choose from, in rows; the first is the usual one. A single size is fixed.
        clock: Monotonic seconds.
    """

    def __init__(self, sizes: Sequence[int], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = sizes[0]
        self.piece = max(sizes)
        """Rows that are read at once and then split into batches."""
        self._clock = clock
        self._trials = [*sizes] * ROUNDS if len(sizes) > 1 else []
        self._rates: dict[int, float] = dict.fromkeys(sizes, 0.0)
        self._batches = self._others = 0
        self._since = 0.0

    @classmethod
    def auto(cls, dimension: int) -> BatchRows:
        """Learn the size, for vectors of this dimension; 0 if there are no vectors."""
        usual = BATCH_ROWS
        sizes = [usual, usual // 2]
        if 2 * usual * dimension * 4 <= PIECE_BYTES:
            sizes.append(2 * usual)
        return cls(sizes)

    @property
    def settled(self) -> bool:
        """Whether the size is final."""
        return not self._trials

    def completed(self, rows: int) -> None:
        """Note that a batch with this many rows was acknowledged."""
        if not self._trials:
            return
        if rows != self.now:
            # Encoded before this trial began, or smaller through rejects, its bytes or the end of a source.
            self._others += 1
            if self._others > OTHERS_MOST:
                self._trials, self.now = [], next(iter(self._rates))
            return
        if not self._batches:
            self._since = self._clock()
        self._batches += 1
        if self._batches <= TRIAL_BATCHES:
            return
        rate = rows * TRIAL_BATCHES / max(self._clock() - self._since, 1e-9)
        self._rates[rows] = max(self._rates[rows], rate)
        self._batches = 0
        self._trials.pop(0)
        self.now = self._trials[0] if self._trials else self._best()

    def _best(self) -> int:
        usual, *others = self._rates
        best = max(others, key=self._rates.__getitem__)
        return best if self._rates[best] >= ROWS_GAIN * self._rates[usual] else usual


WINDOW_BATCHES = 8
"""Batches to measure before judging a limit, for each batch in flight."""
GAIN = 1.08
"""One more in flight must raise throughput by this factor to stay: measurements vary by a few percent."""
SETTLED_WINDOWS = 16
"""Windows after which another limit is tried."""
SLOWER = 3.0
"""If answers become this many times slower at the same limit, the limit is halved."""


class Concurrency:
    """A limit of batches in flight, between 1 and `most`. It grows by one while throughput grows.

    The limit shrinks again if one less is as fast. It is halved when the target is busy (429, 503), and when
    answers take much longer than before.

    Args:
        start: The first limit.
        most: The largest limit.
        queued: Encoded batches that wait in addition to those in flight, for a target whose threads take the
            next one themselves.
        rows: The rows of a batch, which are learnt first. The limit stays until they are final.
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
        """Batches that may be submitted at once: in flight, or encoded and waiting."""
        return self.limit + self._queued

    def completed(self, items: int, seconds: float) -> None:
        """Note that a batch was acknowledged.

        Args:
            items: How many items it held.
            seconds: The time since its first byte was sent.
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
        """Note that the target asked for less."""
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


CONCURRENCY_MOST = 8
"""The most batches in flight that `--concurrency auto` tries with a service."""
QUEUED = 2
"""Encoded batches that wait for the embedded engine's writers."""


def batch_rows_of(asked: int | str, dimension: int) -> BatchRows:
    """The rows of a batch, from the option `batch_rows`."""
    return BatchRows.auto(dimension) if asked == "auto" else BatchRows([int(asked)])


def concurrency_of(asked: int | str, writers: int, rows: BatchRows, *, remote: bool) -> Concurrency:
    """The limit of batches in flight, from the option `concurrency`."""
    if asked == "auto" and remote:
        return Concurrency(writers, CONCURRENCY_MOST, rows=rows)
    limit = writers if asked == "auto" else int(asked)
    # A writer of the embedded engine finishes a batch in milliseconds, so the next one must be ready.
    return Concurrency(limit, limit, queued=0 if remote else QUEUED, rows=rows)
