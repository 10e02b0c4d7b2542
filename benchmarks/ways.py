"""The ways to load a file, each timed in a process of its own: `python -m benchmarks.ways WAY ...`.

Prints one JSON object: `items`, `seconds`, and `cpu`, the seconds of processor time. What a way prepares
before it begins is not timed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from benchmarks.data import batches
from vecload.batch import Batch, Span
from vecload.limits import BATCH_BYTES, BATCH_ROWS
from vecload.loading.flow import seal
from vecload.loading.plan import Plan, make_plan
from vecload.mapping import ColumnChoice, Rows
from vecload.readers import open_sources
from vecload.sealing import Sealer
from vecload.targets import IndexSettings, connect_target

if TYPE_CHECKING:
    from vecload.loading.ledger import Ledger
    from vecload.readers.source import Source
    from vecload.targets import Ack

INDEX = "benchmark"
SDK_ROWS = 1000
ARROW_BYTES = 2**20
"""Of each column, read at once."""
_FIELDS = ("url", "category", "year", "score", "public")


class Spent:
    """Seconds since it was made, on the clock and of the processors."""

    def __init__(self) -> None:
        self.seconds, self.cpu = -time.perf_counter(), -time.process_time()

    def stop(self) -> Self:
        """That was all."""
        self.seconds += time.perf_counter()
        self.cpu += time.process_time()
        return self


def sdk(path: Path, target: str, workers: int) -> tuple[int, Spent]:
    """The official SDK's upsert_binary in a plain loop of 1000 rows; it seals nothing."""
    import cyborgdb
    import pyarrow.parquet as pq

    client = cyborgdb.Client(target)
    index = client.create_index(INDEX, client.generate_key())
    spent = Spent()
    items = 0
    for table in pq.ParquetFile(path).iter_batches(batch_size=SDK_ROWS):
        vectors = table.column("vector").flatten().to_numpy().reshape(len(table), -1)
        metadata = contents = None
        if "contents" in table.schema.names:
            metadata = table.select(_FIELDS).to_pylist()
            contents = table.column("contents").to_pylist()
        index.upsert_binary(table.column("id").to_pylist(), vectors, metadata=metadata, contents=contents)
        items += len(table)
    return items, spent.stop()


def replay(path: Path, target: str, workers: int) -> tuple[int, Spent]:
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


def engine(path: Path, target: str, workers: int) -> tuple[int, Spent]:
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


def flow(path: Path, target: str, workers: int) -> tuple[int, Spent]:
    """The flow with its journal."""
    return _flow(path, target, journal=True)


def flow_without_journal(path: Path, target: str, workers: int) -> tuple[int, Spent]:
    """The flow as it would be without a journal."""
    return _flow(path, target, journal=False)


def _flow(path: Path, target: str, *, journal: bool) -> tuple[int, Spent]:
    from vecload.loading.journal import Journal
    from vecload.loading.ledger import Ledger

    plan = make_plan(open_sources([str(path)]), ColumnChoice(), embed=False)
    with connect_target(target) as connected:
        settings = IndexSettings(dimension=plan.dimension)
        index = connected.create_index(INDEX, secrets.token_bytes(32), settings)
        state = Path(target).parent / "state"
        kept = Journal(state, plan.identity(target, INDEX, ())) if journal else None
        return _run_flow(plan, Ledger(journal=kept), index.prepare)


def null(path: Path, target: str, workers: int) -> tuple[int, Spent]:
    """The flow into nothing: each batch is encoded for the service, and dropped."""
    from vecload.loading.ledger import Ledger
    from vecload.targets import Ack
    from vecload.targets.wire import encode_binary

    def prepare(batch: Batch) -> Callable[[], Ack]:
        nbytes = sum(map(len, encode_binary(batch, INDEX, "00" * 32)))
        return lambda: Ack(len(batch), {"binary": 1}, nbytes)

    return _run_flow(make_plan(open_sources([str(path)]), ColumnChoice(), embed=False), Ledger(), prepare)


def _run_flow(plan: Plan, ledger: Ledger, prepare: Callable[[Batch], Callable[[], Ack]]) -> tuple[int, Spent]:
    """As the command wires it."""
    from vecload.loading.dispatch import Dispatcher
    from vecload.loading.flow import Flow
    from vecload.loading.retry import Sender
    from vecload.loading.tuning import Concurrency
    from vecload.readers.prefetch import parsers_for

    stop = threading.Event()
    with (
        parsers_for("auto", plan.sources) as parsers,
        Dispatcher(Sender(prepare, stop=stop).ready, Concurrency(2, 2, queued=2), stop) as dispatcher,
    ):
        jobs = plan.jobs(index_dimension=plan.dimension, allow_zero_vectors=False)
        sealer = Sealer(secrets.token_bytes(32), INDEX)
        spent = Spent()
        Flow(jobs, sealer, dispatcher, ledger, parsers=parsers).run()
        spent.stop()
    return ledger.totals.loaded, spent


def produce(path: Path, target: str, workers: int) -> tuple[int, Spent]:
    """A batch until it could be stored: decoded; where it has contents, mapped and sealed too."""
    source = open_sources([str(path)])[0]
    return _produced(source, source.read(batch_rows=BATCH_ROWS, batch_bytes=BATCH_BYTES))


def produce_by_arrow(path: Path, target: str, workers: int) -> tuple[int, Spent]:
    """The same, all columns decoded by Arrow in one thread, as bounded and as fast as it does."""
    import pyarrow.parquet as pq

    from vecload.mapping.arrow_rows import ArrowRows

    # By default it takes whole row groups into fresh memory, which costs thrice as much.
    opened = pq.ParquetFile(path, pre_buffer=False, buffer_size=ARROW_BYTES)
    tables = opened.iter_batches(BATCH_ROWS, use_threads=False)
    rows = (ArrowRows(Span(str(path), 0, len(table)), table) for table in tables)
    return _produced(open_sources([str(path)])[0], rows)


def _produced(source: Source, pieces: Iterator[Rows]) -> tuple[int, Spent]:
    plan = make_plan([source], ColumnChoice(), embed=False)
    (job,) = plan.jobs(index_dimension=plan.dimension, allow_zero_vectors=False)
    sealer = Sealer(secrets.token_bytes(32), INDEX)
    items = 0
    spent = Spent()
    for rows in pieces:
        if job.mapper.mapping.contents is not None:
            seal(job.mapper.map(rows), sealer)
        items += len(rows.span)
    return items, spent.stop()


def _timed_threads(tasks: Sequence[Callable[[], None]]) -> Spent:
    with ThreadPoolExecutor(len(tasks)) as pool:
        spent = Spent()
        for future in [pool.submit(task) for task in tasks]:
            future.result()
        return spent.stop()


WAYS: dict[str, Callable[[Path, str, int], tuple[int, Spent]]] = {
    "sdk": sdk,
    "replay": replay,
    "engine": engine,
    "null": null,
    "produce": produce,
    "produce-by-arrow": produce_by_arrow,
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
    items, spent = WAYS[chosen.way](chosen.file, chosen.target, chosen.workers)
    print(json.dumps({"items": items, "seconds": spent.seconds, "cpu": spent.cpu}))


if __name__ == "__main__":
    main(sys.argv[1:])
