"""Peak memory of a load, engine excluded: of a large file beside a small one of the same rows.

    python -m benchmarks.memory [--megabytes 10000] [--small]

vecload's flow into a null target, which encodes each batch for the service and drops it, in a process of its
own; with the processes it starts, if it does. Memory is what the kernel counted at the most.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.data import data_file
from benchmarks.report import Report, parser, print_table

DIMENSION = 768
SMALL_MEGABYTES = 100
ROW_BYTES = {"parquet": 3080, "jsonl": 15_500}
"""About what a row of 768 values takes in a file."""
POLL_SECONDS = 0.05


def jsonl_file(cache: Path, rows: int, dim: int) -> Path:
    """A file of JSON Lines of that many rows; made if it is not there."""
    path = cache / f"vectors-{rows}x{dim}.jsonl"
    if path.exists():
        return path
    cache.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    block = [random.standard_normal(dim, dtype=np.float32).astype(np.float64).tolist() for _ in range(1000)]
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        for number in range(rows):
            row = {"id": f"doc-{number:09d}", "vector": block[number % len(block)]}
            file.write(orjson.dumps(row) + b"\n")
    return unfinished.rename(path)


def resident(pid: int) -> int:
    """Bytes that a process and all it started hold in memory now; 0 if it is gone."""
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            status = Path(f"/proc/{one}/status").read_text()
            waiting += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except (OSError, ValueError):
            continue
        total += sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))
    return total


@contextmanager
def watching(pid: int) -> Iterator[list[int]]:
    """The most that a process and all it started held, looked at now and then; the only item of the list."""
    most, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_SECONDS):
            most[0] = max(most[0], resident(pid))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield most
    finally:
        ended.set()
        watcher.join()


def peak(file: Path, rows: int) -> dict[str, Any]:
    """Load a file into the null target; its peak memory in bytes, and what it says of itself."""
    begun = time.perf_counter()
    with (
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ways", "null", str(file), "none"],
            cwd=Path(__file__).parent.parent,
            env={"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent"},
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
        watching(process.pid) as most,
    ):
        out, _ = process.communicate()
    told = json.loads(out)
    if process.returncode or told["items"] != rows:
        raise RuntimeError(f"{file.name}: {out}")
    return {"bytes": most[0], "seconds": time.perf_counter() - begun}


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--megabytes", type=int, default=10_000)
    options.add_argument("--formats", nargs="+", choices=[*ROW_BYTES], default=[*ROW_BYTES])
    settings: argparse.Namespace = options.parse_args()
    dim, small = DIMENSION, SMALL_MEGABYTES
    if settings.small:
        dim, small, settings.megabytes = 32, 1, 4
    report = Report("memory", settings)
    found: dict[str, dict[str, Any]] = {}
    for kind in settings.formats:
        for size in (small, settings.megabytes):
            rows = size * 1_000_000 // (ROW_BYTES[kind] * dim // DIMENSION)
            make = jsonl_file if kind == "jsonl" else lambda cache, n, d: data_file(cache, n, d, "vectors")
            found[f"{kind}, {size} MB"] = {"rows": rows, **peak(make(settings.cache, rows, dim), rows)}
    print_table(
        "peak memory of a load into a null target, all its processes together",
        ["", "rows", "MB", "seconds"],
        [
            [name, f"{one['rows']:,}", f"{one['bytes'] / 1e6:.0f}", f"{one['seconds']:.1f}"]
            for name, one in found.items()
        ],
    )
    report.write(found)


if __name__ == "__main__":
    main()
