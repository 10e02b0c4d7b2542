"""Recorder: keeps what a report shows of a load over its time, from the load's events (docs/logs.md)."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

INTERVALS_MOST = 240
"""The most intervals: with more, two become one, so that the longest load takes little memory."""
INTERVAL_SECONDS = 0.05
"""The length of an interval at first."""
FINENESS = 1.05
"""The ratio of neighbouring bounds between which seconds of requests are counted as equal."""
EXAMPLES_MOST = 3
"""Examples of each reason of rejects."""
REASONS_MOST = 50
"""Reasons that are told apart; further ones are counted together."""


@dataclass(slots=True)
class Interval:
    """What happened in an interval.

    Attributes:
        rows: Rows that were done with.
        nbytes: Bytes sent and acknowledged.
        retries: Requests sent again.
        waited: Seconds of waits that began.
        requests: How many requests ended after that many seconds, as exponents of FINENESS.
    """

    rows: float = 0.0
    nbytes: float = 0.0
    retries: int = 0
    waited: float = 0.0
    requests: Counter[int] = field(default_factory=Counter)

    def add(self, other: Interval) -> None:
        """Add another interval."""
        self.rows += other.rows
        self.nbytes += other.nbytes
        self.retries += other.retries
        self.waited += other.waited
        self.requests += other.requests


class Timeline:
    """The time of a load as intervals of the same length, INTERVALS_MOST at most.

    Attributes:
        seconds: The length of an interval.
        intervals: The intervals, from the beginning.
    """

    def __init__(self) -> None:
        self.seconds = INTERVAL_SECONDS
        self.intervals: list[Interval] = []

    def at(self, when: float) -> Interval:
        """The interval of a moment, in seconds from the beginning."""
        while when >= self.seconds * INTERVALS_MOST:
            self._join()
        number = int(max(when, 0.0) / self.seconds)
        while len(self.intervals) <= number:
            self.intervals.append(Interval())
        return self.intervals[number]

    def spread(self, begin: float, end: float, *, rows: float, nbytes: float) -> None:
        """Count rows that took from one moment to another: in each interval the part that falls into it."""
        begin = max(begin, 0.0)
        self.at(end)
        first, last = int(begin / self.seconds), int(end / self.seconds)
        took = end - begin
        for number in range(first, last + 1):
            inside = min(end, (number + 1) * self.seconds) - max(begin, number * self.seconds)
            part = inside / took if took > 0 else 1.0
            self.intervals[number].rows += rows * part
            self.intervals[number].nbytes += nbytes * part

    def _join(self) -> None:
        pairs = [self.intervals[at : at + 2] for at in range(0, len(self.intervals), 2)]
        for pair in pairs:
            for other in pair[1:]:
                pair[0].add(other)
        self.intervals = [pair[0] for pair in pairs]
        self.seconds *= 2

    @property
    def edges(self) -> NDArray[np.float64]:
        """When the intervals begin, and the last one ends: seconds, shape (n + 1,)."""
        return np.arange(len(self.intervals) + 1, dtype=np.float64) * self.seconds


@dataclass(slots=True)
class Reason:
    """Rejects with one field and code: how many, and the first ones as source, row and reason."""

    rows: int = 0
    examples: list[tuple[str, int, str]] = field(default_factory=list)


@dataclass(slots=True)
class Counts:
    """What a source came to in this run."""

    loaded: int = 0
    rejected: int = 0
    skipped: int = 0


class Recorder(logging.Handler):
    """Listens to the events of one load.

    Attributes:
        began: When the load began, in seconds since 1970; None if it did not.
        timeline: What happened when.
        sources: What each source came to in this run.
        rejects: The rejects of this run, by field and code.
        outcomes: How many requests ended how.
        failures: How often a request was sent again, by reason.
        waits: Number and seconds of waits, by reason.
        down: When the target went down and came back, in seconds from the beginning.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.began: float | None = None
        self.timeline = Timeline()
        self.sources: dict[str, Counts] = {}
        self.rejects: dict[tuple[str, str], Reason] = {}
        self.outcomes: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.waits: dict[str, list[float]] = {}
        self.down: list[tuple[float, float | None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep an event."""
        keep = getattr(self, f"_on_{getattr(record, 'event', '')}", None)
        if keep is not None:
            keep(vars(record), record.created - (self.began or record.created))

    def _on_load_started(self, event: Mapping[str, Any], when: float) -> None:
        self.began = event["created"]

    def _on_batch_recorded(self, event: Mapping[str, Any], when: float) -> None:
        rows = event["items"] + event["rejected"] + event["skipped"]
        self.timeline.spread(when - event["seconds"], when, rows=rows, nbytes=event["bytes"])
        source = self.sources.setdefault(event["source"], Counts())
        source.loaded += event["items"]
        source.rejected += event["rejected"]
        source.skipped += event["skipped"]

    def _on_request(self, event: Mapping[str, Any], when: float) -> None:
        self.outcomes[event["outcome"]] += 1
        took = max(event["seconds"], 1e-6)
        self.timeline.at(when).requests[round(math.log(took, FINENESS))] += 1

    def _on_retry(self, event: Mapping[str, Any], when: float) -> None:
        self.timeline.at(when).retries += 1
        self.failures[event["reason"]] += 1

    def _on_wait(self, event: Mapping[str, Any], when: float) -> None:
        self.timeline.at(when).waited += event["seconds"]
        known = self.waits.setdefault(event["reason"], [0, 0.0])
        known[0] += 1
        known[1] += event["seconds"]

    def _on_breaker_opened(self, event: Mapping[str, Any], when: float) -> None:
        self.down.append((when, None))

    def _on_breaker_closed(self, event: Mapping[str, Any], when: float) -> None:
        if self.down:
            self.down[-1] = (self.down[-1][0], when)

    def _on_reject(self, event: Mapping[str, Any], when: float) -> None:
        name = (event["field"], event["code"])
        if name not in self.rejects and len(self.rejects) >= REASONS_MOST:
            name = ("…", "other")
        reason = self.rejects.setdefault(name, Reason())
        reason.rows += 1
        if len(reason.examples) < EXAMPLES_MOST:
            reason.examples.append((event["source"], event["row"], event["reason"]))

    def request_seconds(self, *parts: float) -> list[NDArray[np.float64]]:
        """Within how many seconds parts of the requests ended, by interval; NaN without requests.

        Args:
            parts: From 0 to 1: 0.5 for the median.

        Returns:
            Of each part an array of shape (n,), exact to 2.5 %.
        """
        every = [percentiles(one.requests, parts) for one in self.timeline.intervals]
        return [np.array([found[number] for found in every]) for number in range(len(parts))]

    def all_requests(self, *parts: float) -> list[float]:
        """The same of all requests together."""
        whole: Counter[int] = Counter()
        for one in self.timeline.intervals:
            whole += one.requests
        return percentiles(whole, parts)


def percentiles(requests: Mapping[int, int], parts: Sequence[float]) -> list[float]:
    """Within how many seconds parts of some requests ended; NaN without requests."""
    exponents = sorted(requests)
    if not exponents:
        return [math.nan] * len(parts)
    passed = np.cumsum([requests[one] for one in exponents])
    found = np.searchsorted(passed, np.array(parts) * passed[-1] - 1e-9)
    return [FINENESS ** exponents[min(int(at), len(exponents) - 1)] for at in found]
