"""Reading, mapping and encoding without a target, beside the least that any program has to do.

    python -m benchmarks.parsing [--rows 20000] [--dim 768] [--rounds 5] [--small]

A target that drops what it is sent: each batch is written as the binary body of a request, and that is all.
JSON Lines stand beside bare passes of two parsers over the same lines, which are in memory already and whose
outcome is dropped; Parquet beside pyarrow's bare batches and one pass of base64 over their values. All is
counted in seconds of a core, those of other processes too, so that it tells what one core does; the fastest
of all rounds is taken, since others only add to it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, get_args

import orjson
import pyarrow.parquet as pq
import pybase64
import simdjson

from benchmarks.data import Variant, data_file
from benchmarks.encoding import settle_allocator
from benchmarks.report import Report, parser, print_table
from vecload.limits import BATCH_BYTES, BATCH_ROWS
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice
from vecload.readers import open_sources
from vecload.readers.json.workers import Parsers
from vecload.readers.prefetch import batches
from vecload.targets.wire import encode_binary

WORKERS = 2
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
Pass: TypeAlias = Callable[[], object]


def json_file(parquet: Path) -> Path:
    """The rows of a Parquet file as JSON Lines, each float32 as its shortest text; made if not there."""
    path = parquet.with_suffix(".jsonl")
    if not path.exists():
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file, pq.ParquetFile(parquet) as rows:
            for table in rows.iter_batches(1000):
                dim = table.schema.field("vector").type.list_size
                vectors = table["vector"].flatten().to_numpy().reshape(-1, dim)
                others = table.drop_columns(["vector"]).to_pylist()
                for other, vector in zip(others, vectors, strict=True):
                    row = {**other, "vector": vector}
                    file.write(
                        orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)
                    )
        unfinished.rename(path)
    return path


def to_null(file: Path, parsers: Parsers | None) -> Pass:
    """The way of vecload, to a target that drops the bodies."""
    (source,) = open_sources([str(file)])
    (job,) = make_plan([source], ColumnChoice(), embed=False).jobs(
        index_dimension=0, allow_zero_vectors=False
    )

    def run() -> None:
        for batch in batches(
            source, job.mapper, batch_rows=BATCH_ROWS, batch_bytes=BATCH_BYTES, parsers=parsers
        ):
            for part in encode_binary(batch, "benchmark", "ab" * 32):
                del part  # dropped where it would be written

    return run


def bare_orjson(lines: Sequence[bytes]) -> None:
    """Every line as Python values."""
    for line in lines:
        orjson.loads(line)


def bare_simdjson(lines: Sequence[bytes]) -> None:
    """Every line in simdjson's own form, from which nothing is taken."""
    parse = simdjson.Parser().parse
    for line in lines:
        document = parse(line)
        del document


def bare_parquet(file: Path) -> None:
    """Every batch as pyarrow gives it, and base64 of its vectors."""
    with pq.ParquetFile(file) as rows:
        for table in rows.iter_batches(BATCH_ROWS, use_threads=False):
            pybase64.b64encode(table["vector"].flatten().to_numpy().data)


def core_seconds(task: Pass, parsers: Parsers | None) -> float:
    """Seconds of a core that a task takes, here and in the processes that parse."""
    before = _spent(parsers)
    task()
    return _spent(parsers) - before


def _spent(parsers: Parsers | None) -> float:
    spent = time.process_time()
    for worker in parsers.workers if parsers is not None else ():
        fields = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
        spent += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def measure(parquet: Path, rounds: int) -> dict[str, float]:
    """Core seconds of every way by its name: the fastest of the rounds, which take the ways in turn."""
    lines_file = json_file(parquet)
    lines = lines_file.read_bytes().splitlines(keepends=True)
    with Parsers(WORKERS, pays_from=0) as parsers:
        ways: dict[str, tuple[Pass, Parsers | None]] = {
            "JSONL, one process": (to_null(lines_file, None), None),
            f"JSONL, {WORKERS} processes": (to_null(lines_file, parsers), parsers),
            "bare orjson": (lambda: bare_orjson(lines), None),
            "bare simdjson": (lambda: bare_simdjson(lines), None),
            "Parquet": (to_null(parquet, None), None),
            "bare Parquet and base64": (lambda: bare_parquet(parquet), None),
        }
        found = {name: float("inf") for name in ways}
        for task, _ in ways.values():
            task()  # what is made or started at first
        for _ in range(rounds):
            for name, (task, others) in ways.items():
                found[name] = min(found[name], core_seconds(task, others))
    return found


RATIOS = (
    ("JSONL, one process", "bare orjson"),
    ("JSONL, one process", "bare simdjson"),
    (f"JSONL, {WORKERS} processes", "bare orjson"),
    (f"JSONL, {WORKERS} processes", "bare simdjson"),
    ("Parquet", "bare Parquet and base64"),
)


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=20_000)
    options.add_argument("--dim", type=int, default=768)
    settings = options.parse_args()
    if settings.small:
        settings.rows, settings.dim, settings.rounds = 2_000, 32, 1
    report = Report("parsing", settings)
    settle_allocator()
    found: dict[str, Any] = {}
    for variant in get_args(Variant):
        file = data_file(settings.cache, settings.rows, settings.dim, variant)
        spent = measure(file, settings.rounds)
        ratios = {f"{ours} / {theirs}": spent[theirs] / max(spent[ours], 1e-9) for ours, theirs in RATIOS}
        print_table(
            f"{variant}: microseconds of a core for a row of {settings.dim} values",
            ["", "µs a row"],
            [[name, f"{seconds / settings.rows * 1e6:.1f}"] for name, seconds in spent.items()],
        )
        print_table(
            f"{variant}: rows a core-second, as a part of the bare pass's",
            ["", "part"],
            [[name, f"{value:.2f}"] for name, value in ratios.items()],
        )
        found[variant] = {"core_seconds": spent, "parts": ratios, "rows": settings.rows}
    report.write(found)


if __name__ == "__main__":
    main()
