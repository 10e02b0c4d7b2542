"""Items a second that `vecload verify` compares, and that the engine returns when nobody looks at them.

    python -m benchmarks.verifying [--rows 50000] [--dim 768] [--rounds 5] [--small]

The engine alone: its own API for an embedded store, `POST /v1/vectors/get` for a service, 500 ids at once.
The whole `vecload.verify` reads the file, opens contents and compares all fields; nothing may differ. Of a
service once with all vectors, and once with next to none: then the engine is not asked for them either.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cyborgdb_core
import httpcore
import orjson

import vecload
from benchmarks.data import data_file
from benchmarks.report import Report, parser, print_table, rate, ratio
from tests.servers import Service
from vecload.targets import connect_target

PAGE = 500
ALL = ("vector", "metadata", "contents")
NAME = "verified"


def embedded_returns(to: str, key: vecload.Key, include: Sequence[str]) -> float:
    """Items a second that the embedded engine returns."""
    client = cyborgdb_core.Client(storage_config=cyborgdb_core.StorageConfig.disk(to))
    index = client.load_index(NAME, key.index_key)
    ids = index.list_ids(index_key=key.index_key)
    begun = time.perf_counter()
    for start in range(0, len(ids), PAGE):
        index.get(ids[start : start + PAGE], list(include), index_key=key.index_key)
    return len(ids) / (time.perf_counter() - begun)


def service_returns(to: str, key: vecload.Key, include: Sequence[str]) -> float:
    """Items a second that a service returns; its answers are read and not parsed."""
    with connect_target(to) as target:
        ids = target.open_index(NAME, key.index_key).list_ids()
    with httpcore.ConnectionPool() as pool:
        begun = time.perf_counter()
        for start in range(0, len(ids), PAGE):
            asked = {
                "index_name": NAME,
                "index_key": key.index_key.hex(),
                "ids": ids[start : start + PAGE],
                "include": list(include),
            }
            answer = pool.request(
                "POST",
                f"{to}/v1/vectors/get",
                headers=[("Content-Type", "application/json")],
                content=orjson.dumps(asked),
            )
            if answer.status != 200:
                raise SystemExit(f"the service answered {answer.status}")
        return len(ids) / (time.perf_counter() - begun)


def verifies(path: Path, to: str, key: vecload.Key, vectors: int | str) -> float:
    """Items a second that `vecload.verify` compares."""
    result = vecload.verify(path, to=to, index=NAME, key=key, vectors=vectors)
    if not result.equal:
        raise SystemExit(repr(result))
    return result.items_per_second


Way = tuple[str, Callable[[], float], Callable[[], float]]


def measure(settings: argparse.Namespace, ways: Callable[[Path, vecload.Key], list[Way]]) -> Any:
    """All ways, in turn; prints their table."""
    path = data_file(settings.cache, settings.rows, settings.dim, "full")
    key = vecload.generate_key()
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(settings.rounds):
        for name, engine, verify in ways(path, key):
            measured = found.setdefault(name, {"engine": [], "verify": []})
            measured["engine"].append(engine())
            measured["verify"].append(verify())
    print_table(
        f"items/s, {settings.rows:,} x {settings.dim} with five metadata fields and 1 KiB of contents, best "
        f"of {settings.rounds} rounds; median of the ratios",
        ["", "the engine returns", "verify compares", "ratio"],
        [
            [
                name,
                rate(max(one["engine"])),
                rate(max(one["verify"])),
                f"{ratio(one['verify'], one['engine']):.2f}",
            ]
            for name, one in found.items()
        ],
    )
    return found


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=50_000)
    options.add_argument("--dim", type=int, default=768)
    settings = options.parse_args()
    if settings.small:
        settings.rows, settings.dim, settings.rounds = 2_000, 32, 1
    report = Report("verifying", settings)
    with tempfile.TemporaryDirectory() as name:
        folder, loaded = Path(name), set[str]()
        with Service(folder / "service") as service:

            def ways(path: Path, key: vecload.Key) -> list[Way]:
                store = str(folder / "store")
                for to in {store, service.url} - loaded:
                    vecload.load(path, to=to, index=NAME, key=key, state_dir=folder / "state")
                    loaded.add(to)
                few = ("metadata", "contents")
                return [
                    (
                        "embedded",
                        lambda: embedded_returns(store, key, ALL),
                        lambda: verifies(path, store, key, "all"),
                    ),
                    (
                        "service, with vectors",
                        lambda: service_returns(service.url, key, ALL),
                        lambda: verifies(path, service.url, key, "all"),
                    ),
                    (
                        "service, without",
                        lambda: service_returns(service.url, key, few),
                        lambda: verifies(path, service.url, key, 1),
                    ),
                ]

            report.write(measure(settings, ways))


if __name__ == "__main__":
    main()
