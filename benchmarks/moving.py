"""Items a second that export, copy and verify handle, and their peak memory, beside the engine's own rate.

    python -m benchmarks.moving [--rows 1000000] [--dim 128] [--variant vectors] [--small]

Of an embedded store. Each command runs in a process of its own, whose memory is what the kernel counted at
the most, the engine's included. The engine alone returns all fields of all items, 500 ids at once, and drops
them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import vecload
from benchmarks.data import Variant, data_file
from benchmarks.memory import watching
from benchmarks.report import Report, parser, print_table, rate
from benchmarks.verifying import ALL, NAME, embedded_returns


def run(arguments: Sequence[str], home: Path) -> dict[str, float]:
    """Run a command of vecload; its seconds and its peak memory in bytes."""
    begun = time.perf_counter()
    with (
        subprocess.Popen(
            [sys.executable, "-m", "vecload", *arguments, "--quiet"],
            cwd=Path(__file__).parent.parent,
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(home)},
        ) as process,
        watching(process.pid) as most,
    ):
        code = process.wait()
    if code:
        raise SystemExit(f"{arguments[0]} ended with {code}")
    return {"seconds": time.perf_counter() - begun, "bytes": most[0]}


def measure(folder: Path, settings: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Load a file, and do everything with its index."""
    path = data_file(settings.cache, settings.rows, settings.dim, settings.variant)
    store, key_file = folder / "store", folder / "key"
    key = vecload.generate_key()
    key.save(key_file)
    index = ("--index", NAME, "--key-file", str(key_file))
    here = ("--to", str(store), *index)
    found = {"upsert": run(["upsert", str(path), *here], folder)}
    begun = time.perf_counter()
    returned = embedded_returns(str(store), key, ALL)
    found["the engine returns all"] = {"seconds": settings.rows / returned, "bytes": 0}
    print(f"the engine alone took {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    found["export to Parquet"] = run(["export", "-o", str(folder / "all.parquet"), *here], folder)
    found["export to JSON Lines, zstd"] = run(["export", "-o", str(folder / "all.jsonl.zst"), *here], folder)
    found["verify the sources"] = run(["verify", str(path), *here, "--vectors", "all"], folder)
    origin = ("--from", str(store), "--from-index", NAME, "--from-key-file", str(key_file))
    found["copy"] = run(["copy", *origin, "--to", str(folder / "copy"), *index], folder)
    return found


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--dim", type=int, default=128)
    options.add_argument("--variant", choices=get_args(Variant), default="vectors")
    settings: argparse.Namespace = options.parse_args()
    if settings.small:
        settings.rows, settings.dim = 2_000, 32
    report = Report("moving", settings)
    with tempfile.TemporaryDirectory() as name:
        found: Any = measure(Path(name), settings)
    engine = settings.rows / found["the engine returns all"]["seconds"]
    print_table(
        f"{settings.rows:,} x {settings.dim} ({settings.variant}), embedded, one run",
        ["", "items/s", "of the engine's rate", "peak MB"],
        [
            [
                what,
                rate(settings.rows / one["seconds"]),
                f"{settings.rows / one['seconds'] / engine:.2f}",
                f"{one['bytes'] / 1e6:.0f}" if one["bytes"] else "",
            ]
            for what, one in found.items()
        ],
    )
    report.write(found)


if __name__ == "__main__":
    main()
