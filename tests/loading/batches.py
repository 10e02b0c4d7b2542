"""Batches of the loading tests: small, and told apart by their ids and row numbers."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from vecload.batch import Batch, Reject, Span
from vecload.targets import Ack


def batch_of(ids: Sequence[str], *, start: int = 0, source: str = "rows") -> Batch:
    """A batch whose vectors hold the row numbers."""
    rows = np.arange(start, start + len(ids), dtype=np.int64)
    vectors = np.column_stack([rows, np.ones(len(ids))]).astype(np.float32)
    return Batch([*ids], vectors, None, None, Span(source, start, start + len(ids)), rows)


def numbered(n: int, *, start: int = 0) -> Batch:
    """A batch of n items with ids of their own."""
    return batch_of([f"i{row}" for row in range(start, start + n)], start=start)


def reject_of(row: int, source: str = "rows") -> Reject:
    return Reject(source, row, "vector", "not-finite", "holds NaN", f"i{row}", row * 10)


def ack_of(batch: Batch) -> Ack:
    return Ack(len(batch), {"binary": 1}, batch.nbytes)


class Clock:
    """Time that passes only when somebody waits; keeps every wait."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        with self._lock:
            self.waits.append(seconds)
            self.now += seconds
