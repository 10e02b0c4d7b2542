"""Metrics: counts of a load as Prometheus text, in a file for the textfile collector of node exporter."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecload.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

WRITE_SECONDS = 15.0
"""Seconds between two writes of the file."""
SUFFIX = ".prom"
"""Node exporter reads only files whose names end so."""
BEGINS = b"# HELP vecload_"
"""How a file of metrics begins: only such a file is replaced."""
LAST_SUCCESS = "vecload_last_success_timestamp_seconds"
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds of the buckets of request seconds."""
_COUNTERS = {
    "read": "Rows read, those of earlier runs included.",
    "loaded": "Rows loaded by this run.",
    "rejected": "Rows rejected, those of earlier runs included.",
    "skipped": "Rows that earlier runs loaded, or that need not be sent.",
}


class Metrics(logging.Handler):
    """Counts events, and writes the counts to a file: at once, every WRITE_SECONDS and at the end.

    Args:
        file: The file.
        index: The index, as far as it is known before the load begins.
        kind: `service` or `embedded`.
        warn: Takes a message, once, if the file can't be written later on.
        clock: Seconds since 1970.

    Raises:
        UsageError: prometheus-client is not installed, or the file can't be written.
    """

    def __init__(
        self,
        file: str,
        *,
        index: str,
        kind: str,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(logging.DEBUG)
        try:
            from prometheus_client import CollectorRegistry
        except ImportError:
            raise UsageError(
                "--metrics needs prometheus-client", hint="pip install 'vecload[metrics]'"
            ) from None
        self._file, self._warn, self._clock = file, warn, clock
        self._labels = {"index": index, "target": kind}
        self._began = clock()
        self._rows = dict.fromkeys(_COUNTERS, 0)
        self._bytes = self._retries = self._waits = self._in_flight = 0
        self._waited = self._request_seconds = 0.0
        self._requests: Counter[str] = Counter()
        self._buckets = [0] * len(BUCKETS)
        self._breaker_open = False
        self._exit_code: int | None = None
        self._succeeded = _last_successes(file)
        self._registry: CollectorRegistry = CollectorRegistry()
        self._registry.register(self)
        self._ended = threading.Event()
        try:
            self._write_now()
        except OSError as error:
            raise UsageError(f"--metrics {file} can't be written: {error.strerror}") from None
        self._writer = threading.Thread(target=self._write_regularly, name="vecload-metrics", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Count an event."""
        count = getattr(self, f"_on_{getattr(record, 'event', '')}", None)
        if count is not None:
            count(vars(record))

    def _on_load_started(self, event: Mapping[str, Any]) -> None:
        self._labels = {"index": event["index"], "target": event["kind"]}
        self._rows |= {name: event[name] for name in ("rejected", "skipped")}
        self._rows["read"] = event["rejected"] + event["skipped"]

    def _on_load_ended(self, event: Mapping[str, Any]) -> None:
        if event["index"]:
            self._labels["index"] = event["index"]
        self._rows = {name: event[name] for name in _COUNTERS}
        self._in_flight = 0

    def _on_batch_sent(self, event: Mapping[str, Any]) -> None:
        self._in_flight = event["in_flight"]

    def _on_batch_recorded(self, event: Mapping[str, Any]) -> None:
        self._rows["loaded"] += event["items"]
        self._rows["rejected"] += event["rejected"]
        self._rows["skipped"] += event["skipped"]
        self._rows["read"] += event["items"] + event["rejected"] + event["skipped"]
        self._bytes += event["bytes"]

    def _on_request(self, event: Mapping[str, Any]) -> None:
        self._requests[event["outcome"]] += 1
        self._request_seconds += event["seconds"]
        self._buckets = [
            number + (event["seconds"] <= bound) for number, bound in zip(self._buckets, BUCKETS, strict=True)
        ]

    def _on_retry(self, event: Mapping[str, Any]) -> None:
        self._retries += 1

    def _on_wait(self, event: Mapping[str, Any]) -> None:
        self._waits += 1
        self._waited += event["seconds"]

    def _on_breaker_opened(self, event: Mapping[str, Any]) -> None:
        self._breaker_open = True

    def _on_breaker_closed(self, event: Mapping[str, Any]) -> None:
        self._breaker_open = False

    def end(self, exit_code: int) -> None:
        """Write the file for the last time.

        Args:
            exit_code: The exit code of the command.
        """
        self._ended.set()
        self._writer.join()
        with self.lock or threading.RLock():
            self._exit_code = exit_code
            if exit_code == 0:
                self._succeeded[self._labels["index"], self._labels["target"]] = self._clock()
        self._write()

    def collect(self) -> Iterator[Metric]:
        """The metrics, for prometheus-client."""
        from prometheus_client.metrics_core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        names, values = (*self._labels,), [*self._labels.values()]

        def one(kind: Any, name: str, text: str, value: float) -> Metric:
            family: Metric = kind(f"vecload_{name}", text, labels=names)
            family.add_metric(values, value)  # type: ignore[attr-defined] # of every family
            return family

        for name, text in _COUNTERS.items():
            yield one(CounterMetricFamily, f"rows_{name}", text, self._rows[name])
        yield one(CounterMetricFamily, "sent_bytes", "Bytes sent in acknowledged requests.", self._bytes)
        requests = CounterMetricFamily(
            "vecload_requests", "Requests that ended, by outcome.", labels=(*names, "outcome")
        )
        for outcome, number in sorted(self._requests.items() or {"ok": 0}.items()):
            requests.add_metric([*values, outcome], number)
        yield requests
        yield one(CounterMetricFamily, "retries", "Requests sent again.", self._retries)
        yield one(CounterMetricFamily, "waits", "Waits before a request.", self._waits)
        yield one(CounterMetricFamily, "wait_seconds", "Seconds asked of these waits.", self._waited)
        seconds = HistogramMetricFamily("vecload_request_seconds", "Seconds of a request.", labels=names)
        bounds = [(str(bound), float(count)) for bound, count in zip(BUCKETS, self._buckets, strict=True)]
        whole = float(self._requests.total())
        seconds.add_metric(values, [*bounds, ("+Inf", whole)], self._request_seconds)
        yield seconds
        yield one(GaugeMetricFamily, "batches_in_flight", "Batches sent and not recorded.", self._in_flight)
        yield one(GaugeMetricFamily, "breaker_open", "1 while the target is down.", self._breaker_open)
        yield one(GaugeMetricFamily, "start_time_seconds", "When the run began.", self._began)
        running = self._exit_code is None
        yield one(GaugeMetricFamily, "running", "1 while the run goes on.", running)
        if self._exit_code is not None:
            yield one(GaugeMetricFamily, "exit_code", "The exit code of the run.", self._exit_code)
        success = GaugeMetricFamily(LAST_SUCCESS, "When a run last ended with exit code 0.", labels=names)
        for labels, when in self._succeeded.items():
            success.add_metric(labels, when)
        yield success

    def _write_regularly(self) -> None:
        while not self._ended.wait(WRITE_SECONDS):
            self._write()

    def _write(self) -> None:
        try:
            self._write_now()
        except OSError as error:
            self._warn(f"--metrics {self._file} can't be written: {error.strerror}")
            self._warn = lambda line: None

    def _write_now(self) -> None:
        from prometheus_client import write_to_textfile

        # Events of other threads must not change the counts meanwhile.
        with self.lock or threading.RLock():
            write_to_textfile(self._file, self._registry)


def _last_successes(file: str) -> dict[tuple[str, str], float]:
    """When earlier runs with this file succeeded, by index and kind of target."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[tuple[str, str], float] = {}
    with suppress(OSError, ValueError, KeyError):
        for family in text_string_to_metric_families(Path(file).read_text(encoding="utf-8")):
            for sample in family.samples if family.name == LAST_SUCCESS else ():
                found[sample.labels["index"], sample.labels["target"]] = sample.value
    return found
