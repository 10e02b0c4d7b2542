"""The ways to load a file, each timed in a process of its own: `python -m benchmarks.ways WAY ...`.

Prints one JSON object, `items` and `seconds`. What a way prepares before it begins is not timed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import secrets
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.data import batches
from vecload.batch import Batch
from vecload.contents import Sealer
from vecload.targets import IndexSettings, connect_target

INDEX = "benchmark"
SDK_ROWS = 1000
_FIELDS = ("url", "category", "year", "score", "public")


def sdk(path: Path, target: str, workers: int) -> tuple[int, float]:
    """The official SDK's upsert_binary in a plain loop of 1000 rows; it seals nothing."""
    import cyborgdb
    import pyarrow.parquet as pq

    client = cyborgdb.Client(target)
    index = client.create_index(INDEX, client.generate_key())
    begun = time.perf_counter()
    items = 0
    for table in pq.ParquetFile(path).iter_batches(batch_size=SDK_ROWS):
        vectors = table.column("vector").flatten().to_numpy().reshape(len(table), -1)
        metadata = contents = None
        if "contents" in table.schema.names:
            metadata = table.select(_FIELDS).to_pylist()
            contents = table.column("contents").to_pylist()
        index.upsert_binary(table.column("id").to_pylist(), vectors, metadata=metadata, contents=contents)
        items += len(table)
    return items, time.perf_counter() - begun


def replay(path: Path, target: str, workers: int) -> tuple[int, float]:
    """Bodies that vecload encoded beforehand, sent over that many connections: what the service can take."""
    from vecload.targets.wire import encode_binary

    key = secrets.token_bytes(32)
    bodies: list[bytes] = []
    items = 0
    for batch in batches(path, Sealer(secrets.token_bytes(32), INDEX)):
        bodies.append(b"".join(encode_binary(batch, INDEX, key.hex())))
        items += len(batch)
        dimension = 0 if batch.vectors is None else batch.vectors.shape[1]
    with connect_target(target) as service:
        service.create_index(INDEX, key, IndexSettings(dimension=dimension))
    address = urlsplit(target).netloc
    left = iter(bodies)

    def send() -> None:
        connection = http.client.HTTPConnection(address, timeout=120)
        for body in left:
            connection.request(
                "POST", "/v1/vectors/upsert_binary", body, {"Content-Type": "application/json"}
            )
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200:
                raise RuntimeError(answer[:200])
        connection.close()

    return items, _timed_threads([send] * workers)


def engine(path: Path, target: str, workers: int) -> tuple[int, float]:
    """The engine alone, on arrays or dicts that are there already."""
    import cyborgdb_core

    key = secrets.token_bytes(32)
    prepared: list[tuple[Any, ...]] = []
    items = 0
    for batch in batches(path, Sealer(secrets.token_bytes(32), INDEX)):
        prepared.append(_for_engine(batch))
        items += len(batch)
        dimension = 0 if batch.vectors is None else batch.vectors.shape[1]
    logger = cyborgdb_core.Logger.instance()
    logger.configure("critical")
    client = cyborgdb_core.Client(storage_config=cyborgdb_core.StorageConfig.disk(target))
    index = client.create_index(INDEX, key, dimension=dimension, logger=logger)
    left = iter(prepared)

    def write() -> None:
        for arguments in left:
            index.upsert(*arguments, index_key=key)

    return items, _timed_threads([write] * workers)


def _for_engine(batch: Batch) -> tuple[Any, ...]:
    if batch.metadata is None or batch.contents is None or batch.vectors is None:
        return batch.ids, batch.vectors
    return (
        [
            {"id": item_id, "vector": vector, "metadata": metadata, "contents": contents}
            for item_id, vector, metadata, contents in zip(
                batch.ids, batch.vectors, batch.metadata, batch.contents, strict=True
            )
        ],
    )


def flow(path: Path, target: str, workers: int) -> tuple[int, float]:
    """The flow with its journal."""
    return _flow(path, target, journal=True)


def flow_without_journal(path: Path, target: str, workers: int) -> tuple[int, float]:
    """The flow as it would be without a journal."""
    return _flow(path, target, journal=False)


def _flow(path: Path, target: str, *, journal: bool) -> tuple[int, float]:
    from vecload.loading.concurrency import Concurrency
    from vecload.loading.dispatch import Dispatcher
    from vecload.loading.journal import Journal
    from vecload.loading.ledger import Ledger
    from vecload.loading.loader import Flow
    from vecload.loading.plan import make_plan
    from vecload.loading.retry import Sender
    from vecload.mapping import ColumnChoice
    from vecload.readers import open_sources

    plan = make_plan(open_sources([str(path)]), ColumnChoice(), embed=False)
    with connect_target(target) as connected:
        settings = IndexSettings(dimension=plan.dimension)
        index = connected.create_index(INDEX, secrets.token_bytes(32), settings)
        state = Path(target).parent / "state"
        kept = Journal(state, plan.identity(target, INDEX, ())) if journal else None
        ledger = Ledger(journal=kept)
        stop = threading.Event()
        concurrency = Concurrency(index.writers, index.writers)
        with Dispatcher(Sender(index.prepare, stop=stop).ready, concurrency, stop) as dispatcher:
            jobs = plan.jobs(index_dimension=plan.dimension, allow_zero_vectors=False)
            sealer = Sealer(secrets.token_bytes(32), INDEX)
            begun = time.perf_counter()
            Flow(jobs, sealer, dispatcher, ledger).run()
            seconds = time.perf_counter() - begun
        return ledger.totals.loaded, seconds


def _timed_threads(tasks: Sequence[Callable[[], None]]) -> float:
    with ThreadPoolExecutor(len(tasks)) as pool:
        begun = time.perf_counter()
        for future in [pool.submit(task) for task in tasks]:
            future.result()
        return time.perf_counter() - begun


WAYS: dict[str, Callable[[Path, str, int], tuple[int, float]]] = {
    "sdk": sdk,
    "replay": replay,
    "engine": engine,
    "flow": flow,
    "flow-without-journal": flow_without_journal,
}


def main(arguments: Sequence[str]) -> None:
    """Load one file one way."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("way", choices=WAYS)
    options.add_argument("file", type=Path)
    options.add_argument("target", help="the service's address, or the store's folder")
    options.add_argument("--workers", type=int, default=1)
    chosen = options.parse_args(arguments)
    items, seconds = WAYS[chosen.way](chosen.file, chosen.target, chosen.workers)
    print(json.dumps({"items": items, "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1:])
