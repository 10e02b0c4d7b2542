"""What holds a load back, and the setting that would help."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vecload.batch import Batch, Span
from vecload.loading.advice import SAMPLE_ROWS, Circumstances, Sample, advice, gain_of, nearly_unique
from vecload.targets import IndexSettings

REMOTE = Circumstances(remote=True)
EMBEDDED = Circumstances(remote=False)


def batch_of(n: int, metadata: list[Any] | None = None) -> Batch:
    vectors = np.arange(1, n * 4 + 1, dtype=np.float32).reshape(n, 4)
    return Batch([f"i{k}" for k in range(n)], vectors, metadata, None, Span("rows", 0, n))


@pytest.mark.parametrize(
    ("bottleneck", "load", "told"),
    [
        ("server", EMBEDDED, "no setting would help"),
        ("server", REMOTE, "loading into a folder"),
        ("server", replace(REMOTE, concurrency="1"), "--concurrency auto"),
        ("server", replace(REMOTE, wire="json"), "--wire auto"),
        ("server", replace(EMBEDDED, batch_rows="5"), "--batch-rows auto"),
        ("server", replace(REMOTE, trained=True), "then train"),
        (
            "server",
            replace(REMOTE, unfilterable=(("url", "title"), 3.04)),
            "--unfilterable url --unfilterable title loaded the first rows 3.0 times as fast",
        ),
        ("network", REMOTE, "closer to the service"),
        ("network", replace(REMOTE, wire="json"), "--wire auto"),
        ("read", EMBEDDED, "faster disk"),
        ("read", replace(EMBEDDED, kinds=frozenset({"jsonl", "parquet"})), "Parquet"),
        ("map", EMBEDDED, "--metadata-column"),
        ("seal", EMBEDDED, "keeps contents unreadable"),
        ("encode", replace(REMOTE, wire="json"), "--wire auto"),
        ("record", EMBEDDED, "--state-dir"),
    ],
)
def test_the_largest_share_names_the_setting(bottleneck: str, load: Circumstances, told: str) -> None:
    shares = dict.fromkeys(("server", "network", "read", "map", "seal", "encode", "record"), 0.1)
    assert told in advice({**shares, bottleneck: 0.4}, load)


def test_fields_whose_values_are_nearly_all_different_are_found() -> None:
    rows = [
        {"url": f"u{k}", "n": k, "kind": k % 3, "public": k % 2 == 0, "nested": {"x": k}, "known": f"k{k}"}
        for k in range(300)
    ]
    schema = {"known": {"filterable": False}, "url": {"filterable": True}}
    assert nearly_unique([batch_of(300, rows)], schema) == ("n", "url")


def test_few_rows_tell_nothing_of_a_field() -> None:
    assert nearly_unique([batch_of(100, [{"url": f"u{k}"} for k in range(100)])], {}) == ()


def test_a_sample_is_the_first_rows_and_no_more() -> None:
    sample = Sample()
    for _ in range(5):
        batch = batch_of(900)
        assert sample.keep(batch) is batch
    assert [len(batch) for batch in sample.batches] == [900, 900, SAMPLE_ROWS - 1800]


def test_the_gain_of_an_unfilterable_field_is_measured_with_the_real_engine() -> None:
    # Ten fields of texts that all differ: that their index costs something is the engine's nature, not luck.
    rows = [{f"field{f}": f"{f} {k} {k * 7919 % 1000}" for f in range(10)} for k in range(1000)]
    gain = gain_of([f"field{f}" for f in range(10)], [batch_of(1000, rows)], IndexSettings(dimension=4))
    assert gain is not None
    assert gain > 1
