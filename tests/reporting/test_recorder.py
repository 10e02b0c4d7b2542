from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecload.events import BATCHES, LOADS, MESSAGES, REJECTS, REQUESTS, emit
from vecload.reporting.recorder import FINENESS, INTERVALS_MOST, Recorder, Timeline, percentiles

moments = st.floats(0, 1e6)


@given(st.lists(st.tuples(moments, moments, st.integers(0, 1000)), max_size=20))
def test_what_is_spread_over_time_adds_up_however_long_that_is(
    spans: list[tuple[float, float, int]],
) -> None:
    timeline = Timeline()
    for begin, took, rows in spans:
        timeline.spread(begin, begin + took, rows=rows, nbytes=2 * rows)
    assert sum(one.rows for one in timeline.intervals) == pytest.approx(sum(rows for *_, rows in spans))
    assert sum(one.nbytes for one in timeline.intervals) == pytest.approx(2 * sum(r for *_, r in spans))
    assert len(timeline.intervals) <= INTERVALS_MOST
    assert timeline.edges[-1] >= max((begin + took for begin, took, _ in spans), default=0)


def test_rows_are_counted_in_the_intervals_in_which_they_were_loaded() -> None:
    timeline = Timeline()
    width = timeline.seconds
    timeline.spread(width, 3 * width - 1e-9, rows=10, nbytes=0)
    assert [round(one.rows, 3) for one in timeline.intervals] == [0, 5, 5]
    timeline.at(width * INTERVALS_MOST)  # two become one
    assert timeline.seconds == 2 * width
    assert [round(one.rows, 3) for one in timeline.intervals[:2]] == [5, 5]


@given(st.lists(st.floats(1e-5, 1e4), min_size=1, max_size=200), st.floats(0, 1))
def test_percentiles_are_those_of_the_seconds_themselves(seconds: list[float], part: float) -> None:
    counted: dict[int, int] = {}
    for one in seconds:
        exponent = round(math.log(one, FINENESS))
        counted[exponent] = counted.get(exponent, 0) + 1
    exact = np.quantile(seconds, part, method="inverted_cdf")
    assert percentiles(counted, [part]) == [pytest.approx(exact, rel=0.026)]


def test_without_requests_there_is_no_percentile() -> None:
    assert all(map(math.isnan, percentiles({}, [0.5, 1.0])))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(autouse=True)
def listening(recorder: Recorder) -> object:
    MESSAGES.addHandler(recorder)
    before = MESSAGES.level
    MESSAGES.setLevel(logging.DEBUG)
    yield
    MESSAGES.setLevel(before)
    MESSAGES.removeHandler(recorder)


def test_a_load_is_kept_by_source_reason_and_outcome(recorder: Recorder) -> None:
    emit(LOADS, 20, "load_started", index="i", target="t", kind="service", sources=2, rejected=0, skipped=0)
    where = {"source": "a", "start": 0, "stop": 9}
    emit(REQUESTS, 10, "request", outcome="503", attempt=1, seconds=0.5, **where)
    emit(REQUESTS, 20, "wait", seconds=2.0, reason="busy", **where)
    emit(REQUESTS, 30, "breaker_opened", reason="busy", seconds=9.0)
    emit(REQUESTS, 20, "breaker_closed", seconds=1.0)
    emit(REQUESTS, 20, "retry", failures=1, seconds=2.0, reason="busy", **where)
    emit(REQUESTS, 10, "request", outcome="ok", attempt=2, seconds=0.1, **where)
    for row in range(5):
        emit(REJECTS, 10, "reject", source="a", row=row, field="vector", code="missing", reason="is missing")
    done = {"rejected": 5, "skipped": 1, "bytes": 70, "retries": 1, "seconds": 0.0}
    emit(BATCHES, 10, "batch_recorded", items=3, **done, **where)

    assert recorder.began is not None
    assert dict(recorder.outcomes) == {"503": 1, "ok": 1}
    assert recorder.waits == {"busy": [1, 2.0]}
    assert dict(recorder.failures) == {"busy": 1}
    assert [end is not None for _, end in recorder.down] == [True]
    (reason,) = recorder.rejects.values()
    assert (reason.rows, reason.examples) == (5, [("a", row, "is missing") for row in range(3)])
    counts = recorder.sources["a"]
    assert (counts.loaded, counts.rejected, counts.skipped) == (3, 5, 1)
    assert sum(one.rows for one in recorder.timeline.intervals) == 9
    assert recorder.all_requests(1.0) == [pytest.approx(0.5, rel=0.026)]
