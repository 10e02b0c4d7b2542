"""What Spark costs: the same files by `vecload upsert`, by Spark alone, and by Spark's format `vecload`.

    python -m benchmarks.spark [--rows 100000] [--dim 768] [--rounds 5] [--service] [--small]

All of them into a service that stores nothing, in turn; with `--service`, into a real one, an index each.
Spark alone reads the files and hands the rows to a Python function that drops them. The start of Spark, and
the first write of its session, are shown apart.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.data import data_file
from benchmarks.null_server import null_server
from benchmarks.report import Report, parser, print_table
from tests.servers import Service
from vecload.sealing import generate_key
from vecload.spark import read_report

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROOT = Path(__file__).parent.parent
CORES = 2


@contextmanager
def target(folder: Path, *, real: bool) -> Iterator[str]:
    """The address of what is loaded into."""
    if real:
        with Service(folder / "service", environment={"AUTO_TRAIN_DISABLED": "true"}) as service:
            yield service.url
    else:
        with null_server() as url:
            yield url


def by_upsert(file: Path, url: str, index: str, key: Path) -> float:
    """Load a file with `vecload upsert` in one process: seconds from its first row."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "vecload", "upsert", str(file), "--to", url, "--index", index),
            *("--key-file", str(key), "--fresh", "--json", "--quiet"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds: float = json.loads(done.stdout)["seconds"]
    return seconds


def by_spark_alone(frame: DataFrame) -> float:
    """Hand the rows of a data frame to Python: seconds."""

    def count(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow as pa

        yield pa.record_batch({"rows": [sum(map(len, batches))]})

    begun = time.perf_counter()
    frame.mapInArrow(count, "rows long").collect()
    return time.perf_counter() - begun


def by_write(frame: DataFrame, url: str, index: str, key: Path, report: Path, dim: int) -> float:
    """Write a data frame: seconds of `save()`."""
    begun = time.perf_counter()
    (
        frame.write.format("vecload")
        .options(to=url, index=index, key=f"file:{key}", report=str(report), dimension=dim)
        .mode("append")
        .save()
    )
    return time.perf_counter() - begun


def started(folder: Path) -> SparkSession:
    """A session of Spark on this machine."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master(f"local[{CORES}]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "4g")
        .config("spark.local.dir", str(folder))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    return session


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--dim", type=int, default=768)
    options.add_argument("--service", action="store_true", help="into a real service")
    settings = options.parse_args()
    if settings.small:
        settings.rows, settings.dim, settings.rounds = 2_000, 32, 1
    report = Report("spark-service" if settings.service else "spark", settings)
    file = data_file(settings.cache, settings.rows, settings.dim, "vectors")
    with contextlib.ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="vecload-benchmark-")))
        url = opened.enter_context(target(folder, real=settings.service))
        key = folder / "key"
        generate_key().save(key)
        _make_indexes(url, key, settings.dim, settings.rounds, real=settings.service)
        begun = time.perf_counter()
        session = started(folder)
        opened.callback(session.stop)
        frame = session.read.parquet(str(file))
        start = time.perf_counter() - begun
        first = by_write(frame.limit(1000), url, "first", key, folder / "report", settings.dim)
        found: dict[str, list[float]] = {}
        for number in range(settings.rounds):
            ways: dict[str, Callable[[], float]] = {
                "vecload upsert, one process": lambda n=number: by_upsert(file, url, f"u{n}", key),
                "Spark alone, rows dropped": lambda: by_spark_alone(frame),
                "Spark's format vecload": lambda n=number: by_write(
                    frame, url, f"s{n}", key, folder / "report", settings.dim
                ),
            }
            for name in [*ways][number % 3 :] + [*ways][: number % 3]:
                found.setdefault(name, []).append(ways[name]())
        partitions = read_report(folder / "report").partitions
    upsert, alone, write = (found[name] for name in sorted(found, key=[*ways].index))
    ratios = {
        "write / upsert": [w / u for w, u in zip(write, upsert, strict=True)],
        "write / Spark alone": [w / a for w, a in zip(write, alone, strict=True)],
        "Spark alone / upsert": [a / u for a, u in zip(alone, upsert, strict=True)],
    }
    rows = f"{settings.rows:,} x {settings.dim}, {partitions} partitions"
    print_table(
        f"{rows}, {CORES} cores, {settings.rounds} rounds",
        ["way", "median s", "least", "most"],
        [[name, *_cells(seconds)] for name, seconds in found.items()],
    )
    print_table("ratios", ["", "median", "least", "most"], [[n, *_cells(r)] for n, r in ratios.items()])
    print(f"\nstart of Spark {start:.1f} s, first write of its session {first:.1f} s")
    report.write({"seconds": found, "ratios": ratios, "start": start, "first": first})


def _make_indexes(url: str, key: Path, dim: int, rounds: int, *, real: bool) -> None:
    """The indexes of a real service, which both ways find."""
    import vecload

    if real:
        connection = vecload.connect(url)
        for name in ("first", *(f"{way}{n}" for way in "us" for n in range(rounds))):
            connection.create_index(name, vecload.Key.load(key), dimension=dim)


def _cells(values: list[float]) -> list[str]:
    return [f"{value:.2f}" for value in (statistics.median(values), min(values), max(values))]


if __name__ == "__main__":
    main()
