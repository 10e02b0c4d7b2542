"""Exports of other tools that recipes read, beside JSON Lines of the same rows, which need no recipe.

    python -m benchmarks.recipes [--rows 20000] [--dim 768] [--rounds 5] [--small]

A target that drops what it is sent, as in benchmarks.parsing. The ways take turns, and each is timed by the
clock as a load runs it: with the processes that parse, once a file is large enough that they pay.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import pyarrow.parquet as pq

from benchmarks.data import data_file
from benchmarks.encoding import settle_allocator
from benchmarks.parsing import WORKERS, core_seconds, to_null
from benchmarks.report import Report, parser, print_table, ratio
from vecload.readers.json.workers import Parsers

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
Row: TypeAlias = dict[str, Any]


def _plain(row: Row) -> Iterator[Row]:
    yield row


def _openai(row: Row) -> Iterator[Row]:
    embedding = {"object": "embedding", "index": 0, "embedding": row["vector"]}
    usage = {"prompt_tokens": 8, "total_tokens": 8}
    body = {"object": "list", "data": [embedding], "model": "text-embedding-3-small", "usage": usage}
    response = {"status_code": 200, "request_id": "req_0", "body": body}
    yield {"id": "batch_req_0", "custom_id": row["id"], "response": response, "error": None}


def _qdrant(row: Row) -> Iterator[Row]:
    payload = {name: value for name, value in row.items() if name not in ("id", "vector")}
    yield {
        "id": row["id"],
        "payload": payload,
        "vector": row["vector"],
        "shard_key": None,
        "order_value": None,
    }


def _mongodb(row: Row) -> Iterator[Row]:
    rest = {name: value for name, value in row.items() if name not in ("id", "year")}
    year = {"year": {"$numberLong": str(row["year"])}} if "year" in row else {"n": {"$numberLong": "1"}}
    yield {"_id": {"$oid": row["id"]}, **rest, **year}


def _elasticsearch(row: Row) -> Iterator[Row]:
    source = {name: value for name, value in row.items() if name != "id"}
    yield {"_index": "articles", "_id": row["id"], "_score": 1.0, "_source": source}


def _bulk(row: Row) -> Iterator[Row]:
    yield {"index": {"_index": "articles", "_id": row["id"]}}
    yield {name: value for name, value in row.items() if name != "id"}


PLAIN = "JSON Lines"
TOOLS: dict[str, Callable[[Row], Iterator[Row]]] = {
    PLAIN: _plain,
    "openai": _openai,
    "qdrant": _qdrant,
    "mongodb": _mongodb,
    "elasticsearch, hits": _elasticsearch,
    "elasticsearch, _bulk": _bulk,
}


def export_file(parquet: Path, tool: str) -> Path:
    """The rows of a Parquet file as a tool writes them; made if not there."""
    path = parquet.with_name(f"{parquet.stem}-{''.join(filter(str.isalpha, tool))}.jsonl")
    if not path.exists():
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file, pq.ParquetFile(parquet) as rows:
            for table in rows.iter_batches(1000):
                dim = table.schema.field("vector").type.list_size
                vectors = table["vector"].flatten().to_numpy().reshape(-1, dim)
                others = table.drop_columns(["vector"]).to_pylist()
                for other, vector in zip(others, vectors, strict=True):
                    for line in TOOLS[tool]({**other, "vector": vector}):
                        file.write(orjson.dumps(line, option=_OPTIONS))
        unfinished.rename(path)
    return path


def measure(parquet: Path, rounds: int, tools: dict[str, Path]) -> dict[str, dict[str, list[float]]]:
    """Seconds by the clock and of a core, of every way and round; the ways take turns."""
    found: dict[str, dict[str, list[float]]] = {tool: {"seconds": [], "core": []} for tool in tools}
    with Parsers(WORKERS) as parsers:
        ways = {tool: to_null(file, parsers) for tool, file in tools.items()}
        for task in ways.values():
            task()  # what is made or started at first
        for _ in range(rounds):
            for tool, task in ways.items():
                begun = time.perf_counter()
                found[tool]["core"].append(core_seconds(task, parsers))
                found[tool]["seconds"].append(time.perf_counter() - begun)
    return found


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=20_000)
    options.add_argument("--dim", type=int, default=768)
    settings = options.parse_args()
    if settings.small:
        settings.rows, settings.dim, settings.rounds = 2_000, 32, 1
    report = Report("recipes", settings)
    settle_allocator()
    results: dict[str, Any] = {}
    for variant in ("vectors", "full"):
        parquet = data_file(settings.cache, settings.rows, settings.dim, variant)
        # A batch's output has neither metadata nor contents.
        files = {
            tool: export_file(parquet, tool) for tool in TOOLS if variant == "vectors" or tool != "openai"
        }
        spent = measure(parquet, settings.rounds, files)
        plain = spent[PLAIN]
        ratios = {
            tool: {kind: ratio(plain[kind], values[kind]) for kind in values}
            for tool, values in spent.items()
        }
        print_table(
            f"{variant}: {settings.rows:,} rows of {settings.dim} values, as a part of the rate of {PLAIN}",
            ["", "µs a row", "rows a second", "rows a core-second"],
            [
                [
                    tool,
                    f"{statistics.median(values['seconds']) / settings.rows * 1e6:.1f}",
                    f"{ratios[tool]['seconds']:.2f}",
                    f"{ratios[tool]['core']:.2f}",
                ]
                for tool, values in spent.items()
            ],
        )
        results[variant] = {"measured": spent, "ratios": ratios, "rows": settings.rows}
    report.write(results)


if __name__ == "__main__":
    main()
