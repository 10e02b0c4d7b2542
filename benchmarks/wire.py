"""JSON against binary requests to the real service, by dimension and batch size: docs/wire-formats.md.

    python -m benchmarks.wire [--rounds 5] [--small]

Both formats go through the same ServiceIndex.upsert, encoding included, one request after the other, in
turn, into one and the same growing index. Bodies above vecload's limit go in halves, as in any load.
"""

from __future__ import annotations

import secrets
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load import SERVICE_SETTINGS
from benchmarks.report import Report, parser, print_table, rate, ratio
from tests.servers import Service
from vecload.batch import Batch, Span
from vecload.targets import IndexSettings, TargetIndex, WireFormat
from vecload.targets.service import ServiceTarget

DIMENSIONS = (128, 384, 768, 1536)
SIZES = (1, 2, 4, 8, 16, 64, 256, 1024, 4096)
FORMATS: tuple[WireFormat, ...] = ("json", "binary")
SLICE_SECONDS = 0.25
"""How long one format is sent before it is the other's turn; at least one batch."""


def batches_of(random: np.random.Generator, size: int, dim: int) -> Iterator[Batch]:
    """Batches without end: new ids, and vectors of one block."""
    vectors = random.standard_normal((size, dim), dtype=np.float32)
    mark = secrets.token_hex(4)
    start = 0
    while True:
        ids = [f"doc-{mark}-{number:08d}" for number in range(start, start + size)]
        yield Batch(ids, vectors, None, None, Span("benchmark", start, start + size))
        start += size


def slice_rate(index: TargetIndex, batches: Iterator[Batch], seconds: float) -> tuple[float, int]:
    """Items a second of one slice, and the requests that a batch went in."""
    items = requests = sent = 0
    begun = time.perf_counter()
    while True:
        ack = index.upsert(next(batches))
        sent += 1
        items += ack.items
        requests += sum(ack.requests.values())
        spent = time.perf_counter() - begun
        if spent >= seconds:
            return items / spent, requests // sent


def measure(dim: int, sizes: tuple[int, ...], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Rates of both formats for every size, one a round."""
    random = np.random.default_rng(dim)
    rows: list[dict[str, Any]] = [
        {"dim": dim, "size": size, "json": [], "binary": [], "requests": {}} for size in sizes
    ]
    key = secrets.token_bytes(32)
    with (
        tempfile.TemporaryDirectory(prefix="vecload-benchmark-") as folder,
        Service(Path(folder) / "service", environment=SERVICE_SETTINGS) as service,
        ServiceTarget(service.url, wire="json") as json_target,
        ServiceTarget(service.url, wire="binary") as binary_target,
    ):
        indexes = {
            "json": json_target.create_index("wire", key, IndexSettings(dimension=dim)),
            "binary": binary_target.open_index("wire", key),
        }
        for index in indexes.values():
            index.upsert(next(batches_of(random, 1, dim)))
        for number in range(rounds):
            for row in rows:
                for wire in FORMATS if number % 2 else FORMATS[::-1]:
                    found, requests = slice_rate(indexes[wire], batches_of(random, row["size"], dim), seconds)
                    row[wire].append(found)
                    row["requests"][wire] = requests
    return rows


def main() -> None:
    """Measure and report."""
    settings = parser(__doc__).parse_args()
    dimensions, sizes, seconds = DIMENSIONS, SIZES, SLICE_SECONDS
    if settings.small:
        dimensions, sizes, seconds, settings.rounds = (128,), (1, 4, 64), 0.01, 1
    report = Report("wire", settings)
    rows: list[dict[str, Any]] = []
    for dim in dimensions:
        measured = measure(dim, sizes, settings.rounds, seconds)
        for row in measured:
            row["binary_over_json"] = ratio(row["binary"], row["json"])
        print_table(
            f"{dim} dimensions, medians of {settings.rounds} rounds",
            ["items a batch", "JSON, items/s", "binary, items/s", "binary / JSON", "lowest", "highest"],
            [_cells(row) for row in measured],
        )
        rows += measured
    report.write(rows)


def _cells(row: dict[str, Any]) -> list[str]:
    each = [binary / json for binary, json in zip(row["binary"], row["json"], strict=True)]
    return [
        str(row["size"]),
        rate(statistics.median(row["json"])) + _in_parts(row["requests"]["json"]),
        rate(statistics.median(row["binary"])) + _in_parts(row["requests"]["binary"]),
        f"{row['binary_over_json']:.2f}",
        f"{min(each):.2f}",
        f"{max(each):.2f}",
    ]


def _in_parts(requests: int) -> str:
    return f" (in {requests})" if requests > 1 else ""


if __name__ == "__main__":
    main()
