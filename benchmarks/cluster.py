"""A load on a Ray cluster of this machine beside a load by one process, of the same files.

    python -m benchmarks.cluster [--rows 400000] [--dim 128] [--rounds 3] [--small]

With nothing behind the workers (`benchmarks/null_server.py`), what a cluster adds shows: the time of two
workers is compared with the time of the work itself, which is that of one process. The cluster's start is
measured apart. With the real service behind them, the simulation is compared with what was measured.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.null_server import null_server
from benchmarks.report import parser, print_table
from benchmarks.simulation import Cluster, simulate
from tests.servers import Service

FILES = 4


def write_files(folder: Path, rows: int, dimension: int) -> None:
    """Files of ids and normally distributed vectors, in row groups of 50,000 rows."""
    chance = np.random.default_rng(0)
    kind = pa.list_(pa.float32(), dimension)
    for file in range(FILES):
        count = rows // FILES
        values = pa.array(chance.normal(size=count * dimension).astype(np.float32))
        table = pa.table(
            {
                "id": [f"{file}-{row}" for row in range(count)],
                "vector": pa.FixedSizeListArray.from_arrays(values, type=kind),
            }
        )
        pq.write_table(table, folder / f"{file}.parquet", row_group_size=50_000)


def main() -> None:
    """Measure, and print a table."""
    given = parser(__doc__)
    given.add_argument("--rows", type=int, default=400_000)
    given.add_argument("--dim", type=int, default=128)
    given.add_argument("--rows-per-split", type=int, default=50_000)
    args = given.parse_args()
    if args.small:
        args.rows, args.rounds, args.rows_per_split = 8_000, 1, 1_000
    # Before Ray starts: workers get it from this process.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import ray

    import vecload
    import vecload.ray

    with tempfile.TemporaryDirectory(prefix="vecload-cluster-") as name:
        folder = Path(name)
        files = folder / "files"
        files.mkdir()
        write_files(files, args.rows, args.dim)
        key = folder / "index.key"
        vecload.generate_key().save(key)
        begun = time.perf_counter()
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        started = time.perf_counter() - begun
        options: dict[str, Any] = {"rows_per_split": args.rows_per_split, "fresh": True, "key": key}

        def one(to: str, index: str) -> float:
            result = vecload.load(str(files), to=to, index=index, state_dir=folder / "one", **options)
            return result.seconds

        def by_workers(to: str, index: str, workers: int) -> float:
            result = vecload.ray.load(
                str(files), to=to, index=index, workers=workers, state_dir=folder / "ray", **options
            )
            return result.seconds

        ways = {
            "one process": lambda to, index: one(to, index),
            "Ray, 1 worker": lambda to, index: by_workers(to, index, 1),
            "Ray, 2 workers": lambda to, index: by_workers(to, index, 2),
        }
        found: dict[tuple[str, str], list[float]] = {}
        with (
            null_server() as nothing,
            Service(folder / "service", environment={"AUTO_TRAIN_DISABLED": "true"}) as service,
        ):
            by_workers(nothing, "warm", 2)  # workers import vecload once
            for number in range(args.rounds):
                for target, to in (("null", nothing), ("service", service.url)):
                    for place, (way, run) in enumerate(ways.items()):
                        found.setdefault((target, way), []).append(run(to, f"index-{number}-{place}"))
        ray.shutdown()
    medians = {which: statistics.median(seconds) for which, seconds in found.items()}
    alone = {target: medians[target, "one process"] for target in ("null", "service")}
    print_table(
        f"{args.rows:,} x {args.dim}, {args.rounds} rounds; Ray itself started in {started:.1f} s",
        ["target", "way", "seconds", "rows/s", "of one process"],
        [
            [target, way, f"{seconds:.2f}", f"{args.rows / seconds:,.0f}", f"{seconds / alone[target]:.2f}"]
            for (target, way), seconds in medians.items()
        ],
    )
    measured = [medians["service", "Ray, 1 worker"], medians["service", "Ray, 2 workers"]]
    rates = {"worker_rate": args.rows / measured[0], "service_rate": args.rows / min(measured)}
    guessed = [
        simulate(Cluster(workers=workers, **rates), args.rows, args.rows_per_split) for workers in (1, 2)
    ]
    print_table(
        "the service: simulated and measured",
        ["workers", "simulated", "measured"],
        [
            [str(number), f"{guess.seconds:.2f}", f"{seconds:.2f}"]
            for number, guess, seconds in zip((1, 2), guessed, measured, strict=True)
        ],
    )


if __name__ == "__main__":
    main()
