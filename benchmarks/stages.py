"""Milliseconds of each stage of the flow for a batch of 1000, one after the other on one thread.

python -m benchmarks.stages [--rows 30000] [--dim 768] [--rounds 5] [--small]
"""

from __future__ import annotations

import secrets
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import get_args

from benchmarks.data import Variant, data_file
from benchmarks.encoding import settle_allocator
from benchmarks.report import Report, parser, print_table
from vecload.limits import BATCH_BYTES, BATCH_ROWS
from vecload.loading.flow import seal
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice
from vecload.readers import open_sources
from vecload.sealing import Sealer
from vecload.targets.wire import encode_binary

STAGES = ("read", "map", "seal", "encode")


def measure(file: Path, dim: int) -> dict[str, float]:
    """Milliseconds of each stage for a batch, on the average of the file."""
    source = open_sources([str(file)])
    job = make_plan(source, ColumnChoice(), embed=False).jobs(index_dimension=dim, allow_zero_vectors=False)[
        0
    ]
    sealer = Sealer(secrets.token_bytes(32), "benchmark")
    spent: dict[str, float] = defaultdict(float)
    batches = 0
    read = job.source.read(batch_rows=BATCH_ROWS, batch_bytes=BATCH_BYTES)
    times = [time.perf_counter()]
    while (rows := next(read, None)) is not None:
        times.append(time.perf_counter())
        batch = job.mapper.map(rows)
        times.append(time.perf_counter())
        batch = seal(batch, sealer)
        times.append(time.perf_counter())
        sum(map(len, encode_binary(batch, "benchmark", "ab" * 32)))  # base64 is made as it is iterated
        times.append(time.perf_counter())
        for stage, begun, ended in zip(STAGES, times, times[1:], strict=False):
            spent[stage] += (ended - begun) * 1000
        batches += 1
        times = [time.perf_counter()]
    source[0].close()
    return {stage: spent[stage] / batches for stage in STAGES}


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=30_000)
    options.add_argument("--dim", type=int, default=768)
    settings = options.parse_args()
    if settings.small:
        settings.rows, settings.dim, settings.rounds = 2_000, 32, 1
    report = Report("stages", settings)
    settle_allocator()
    found: dict[str, list[dict[str, float]]] = {variant: [] for variant in get_args(Variant)}
    for _ in range(settings.rounds):
        for variant in get_args(Variant):
            file = data_file(settings.cache, settings.rows, settings.dim, variant)
            found[variant].append(measure(file, settings.dim))
    print_table(
        f"milliseconds a batch of {BATCH_ROWS} x {settings.dim}, medians of {settings.rounds} rounds",
        ["", *STAGES],
        [
            [variant, *(f"{statistics.median(round_[stage] for round_ in rounds):.2f}" for stage in STAGES)]
            for variant, rounds in found.items()
        ],
    )
    report.write(found)


if __name__ == "__main__":
    main()
