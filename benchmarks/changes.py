"""A load that finds nothing changed, beside reading and mapping its rows, and beside a full load.

    python -m benchmarks.changes [--rows 200000] [--dim 384] [--rounds 3] [--small]

The index is an embedded store. Seconds are those of the clock, of whole calls of `vecload.load`; reading is
what that call does before the first row is compared: open, choose columns, read and map all rows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import vecload
from benchmarks.data import Variant, data_file
from benchmarks.encoding import settle_allocator
from benchmarks.parsing import json_file
from benchmarks.report import Report, parser, print_table, rate, ratio
from vecload.limits import BATCH_BYTES, BATCH_ROWS
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice
from vecload.readers import open_sources
from vecload.readers.prefetch import batches, parsers_for


def read(file: Path) -> int:
    """Read and map all rows; returns how many."""
    sources = open_sources([str(file)])
    with parsers_for("auto", sources) as parsers:
        (job,) = make_plan(sources, ColumnChoice(), embed=False).jobs(
            index_dimension=0, allow_zero_vectors=False
        )
        mapped = batches(
            job.source, job.mapper, batch_rows=BATCH_ROWS, batch_bytes=BATCH_BYTES, parsers=parsers
        )
        return sum(len(batch) for batch in mapped)


def seconds(task: Callable[[], object]) -> float:
    """How long a task takes."""
    begun = time.perf_counter()
    task()
    return time.perf_counter() - begun


def measure(file: Path, rows: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each way, round by round."""
    found: dict[str, list[float]] = {"full load": [], "unchanged": [], "read and map": []}
    with tempfile.TemporaryDirectory() as folder:
        key = vecload.generate_key()

        def load(index: str, **fields: Any) -> vecload.LoadResult:
            place = {"to": f"{folder}/store", "index": index, "key": key, "state_dir": f"{folder}/state"}
            return vecload.load(file, **place, **fields)

        load("changed", changed_only=True)
        for number in range(rounds):
            found["full load"].append(seconds(lambda: load(f"full-{number}")))  # noqa: B023 called here
            found["unchanged"].append(seconds(lambda: load("changed", changed_only=True)))
            found["read and map"].append(seconds(lambda: read(file)))
        if load("changed", changed_only=True).skipped != rows:
            raise ValueError("rows were taken for changed")
    return found


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--dim", type=int, default=384)
    settings = options.parse_args()
    if settings.small:
        settings.rows, settings.dim, settings.rounds = 2_000, 32, 1
    report = Report("changes", settings)
    settle_allocator()
    results: dict[str, Any] = {}
    for variant in get_args(Variant):
        parquet = data_file(settings.cache, settings.rows, settings.dim, variant)
        for kind, file in (("Parquet", parquet), ("JSON Lines", json_file(parquet))):
            found = measure(file, settings.rows, settings.rounds)
            results[f"{variant}, {kind}"] = found
    print_table(
        f"rows a second, {settings.dim} values each; ratios are medians of rounds",
        ["", "full load", "unchanged", "read and map", "unchanged / read", "unchanged / full"],
        [
            [
                name,
                *(rate(settings.rows / min(of)) for of in found.values()),
                f"{ratio(found['unchanged'], found['read and map']):.2f}",
                f"{ratio(found['unchanged'], found['full load']):.2f}",
            ]
            for name, found in results.items()
        ],
    )
    report.write(results)


if __name__ == "__main__":
    main()
