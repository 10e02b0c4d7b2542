"""The engine's own limits met by a load: the free tier's items, and the training that starts by itself.

Slow: run by hand, with VECLOAD_LONG=1. docs/reliability.md says what came of it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.command import vecload
from tests.faults.loads import wait_for
from tests.servers import Service
from vecload.batch import Batch, Span
from vecload.sealing import Key, generate_key
from vecload.targets import IndexSettings, connect_target

pytestmark = pytest.mark.skipif(os.environ.get("VECLOAD_LONG") != "1", reason="slow: VECLOAD_LONG=1 runs it")

LIMIT = 1_000_000
LEFT = 100
FILLED_BY = 5000


def fill(store: Path, index: str, key: Key) -> None:
    """Fill an index up to some items below the limit."""
    with connect_target(str(store)) as target:
        opened = target.create_index(index, key.index_key, IndexSettings(dimension=1))
        for start in range(0, LIMIT - LEFT, FILLED_BY):
            stop = min(start + FILLED_BY, LIMIT - LEFT)
            ids = [f"filler-{n}" for n in range(start, stop)]
            vectors = np.ones((stop - start, 1), dtype=np.float32)
            opened.upsert(Batch(ids, vectors, None, None, Span("fillers", start, stop)))


def count(store: Path, index: str, key: Key) -> int:
    with connect_target(str(store)) as target:
        return target.open_index(index, key.index_key).count()


def test_the_limit_of_items_stops_a_load_and_what_is_in_stays_in(tmp_path: Path) -> None:
    key, store, key_file = generate_key(), tmp_path / "store", tmp_path / "key.toml"
    key.save(key_file)
    fill(store, "full", key)
    source = tmp_path / "source.jsonl"
    source.write_text("".join(json.dumps({"id": f"own-{n}", "vector": [n + 1]}) + "\n" for n in range(130)))
    load = ("upsert", source, "--to", store, "--index", "full", "--key-file", key_file, "--json")
    options = ("--batch-rows", "20", "--concurrency", "1")

    stopped = vecload(*load, *options)
    assert stopped.code == 1, stopped.err
    assert "the index is full" in stopped.error
    assert "the items that it has stay" in stopped.error
    assert json.loads(stopped.out)["loaded"] == LEFT
    assert count(store, "full", key) == LIMIT

    again = vecload(*load, *options)
    assert again.code == 1
    assert f"resuming: {LEFT} rows are done" in again.err
    assert (json.loads(again.out)["loaded"], json.loads(again.out)["skipped"]) == (0, LEFT)

    # At the limit the engine refuses ids that are in as well: a load from the start can't be acknowledged.
    fresh = vecload(*load, *options, "--fresh")
    assert fresh.code == 1
    assert "rows that replace items are refused too" in fresh.error
    assert json.loads(fresh.out)["loaded"] == 0
    assert count(store, "full", key) == LIMIT


def test_a_load_goes_through_the_training_that_the_service_starts_by_itself(tmp_path: Path) -> None:
    rows, dimension = 140_000, 32
    vectors = np.random.default_rng(1).normal(size=(rows, dimension)).astype(np.float32)
    source, key_file = tmp_path / "source.parquet", tmp_path / "key.toml"
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimension)
    pq.write_table(pa.table({"id": [f"i{n}" for n in range(rows)], "vector": column}), source)
    key = generate_key()
    key.save(key_file)
    with Service(tmp_path / "service") as service:
        ended = vecload(
            *("upsert", source, "--to", service.url, "--index", "trains", "--key-file", key_file, "--json")
        )
        assert ended.code == 0, ended.err
        told = json.loads(ended.out)
        assert (told["read"], told["loaded"], told["rejected"]) == (rows, rows, 0)
        with connect_target(service.url) as target:
            index = target.open_index("trains", key.index_key)
            wait_for(lambda: index.describe().trained, "the training", 120)
            assert index.count() == rows
            assert set(index.list_ids()) == {f"i{n}" for n in range(rows)}
            looked_at = range(0, rows, 97)
            for item in index.get([f"i{n}" for n in looked_at], ["vector"]):
                assert item.vector is not None
                assert item.vector.tobytes() == vectors[int(item.id[1:])].tobytes()
