"""Loads on a real Ray cluster: every row arrives, whatever dies, and no secret is anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray.data

import vecload
import vecload.ray
from tests.clusters.conftest import API_KEY, Cluster
from tests.distributed.conftest import write
from tests.faults.proxy import Exchange, Proxy

# Ray Data warns of its own defaults.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")

Where = dict[str, str]


def files_in(folder: Path, **how: Any) -> Path:
    for number in range(3):
        write(folder / f"{number}.parquet", [f"{number}-{row}" for row in range(300)], **how)
    return folder


def load(sources: Any, where: Where, **fields: Any) -> vecload.LoadResult:
    fields = {"rows_per_split": 100, "resume_wait": 0, "workers": 2, **fields}
    return vecload.ray.load(sources, **where, **fields)


def is_equal(sources: Any, where: Where, cluster: Cluster, **fields: Any) -> bool:
    """Whether the index holds exactly what the sources say."""
    own = {name: where[name] for name in ("to", "index")}
    found = vecload.verify(sources, **own, key=cluster.key, api_key=API_KEY, extra=True, **fields)
    return bool(found.equal)


def test_every_row_arrives(tmp_path: Path, cluster: Cluster, loaded: Callable[[], Where]) -> None:
    files, where = files_in(tmp_path / "in", missing=[3]), loaded()
    rejects = tmp_path / "rejects"
    result = load(files, where, max_errors=3, rejects=rejects)
    assert (result.status, result.read, result.loaded, result.rejected) == ("rejected", 900, 897, 3)
    assert (result.splits, result.attempts) == (9, 9)
    assert len(rejects.read_text().splitlines()) == 3
    assert is_equal(files, where, cluster, max_errors=3)
    again = load(files, where, max_errors=3, rejects=rejects)
    assert (again.loaded, again.rejected) == (897, 3)
    assert len(rejects.read_text().splitlines()) == 3


def test_faults_and_a_killed_worker(
    tmp_path: Path, cluster: Cluster, service: str, new_name: Callable[[], str]
) -> None:
    files = files_in(tmp_path / "in")
    where = {"to": service, "index": new_name(), "key": str(cluster.key)}
    killed: list[int] = []

    def faulty(exchange: Exchange) -> None:
        if exchange.number == 7:
            exchange.pass_on()
            worker = next(pid for pid in workers() if pid not in killed)
            killed.append(worker)
            os.kill(worker, signal.SIGKILL)
        elif exchange.number % 4 == 1:
            exchange.reset()
        elif exchange.number % 4 == 2:
            exchange.send(b"HTTP/1.1 429 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")
        else:
            exchange.pass_on()

    with Proxy(where["to"], faulty) as proxy:
        result = load(files, where | {"to": proxy.url}, batch_rows=25)
    assert len(killed) == 1
    assert result.loaded == 900
    assert result.attempts > result.splits
    assert is_equal(files, where, cluster)


def workers() -> list[int]:
    """The processes of tasks of vecload."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                title = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if title.startswith(b"ray::load_split"):
                found.append(int(entry.name))
    return found


def test_the_driver_is_killed_and_the_command_run_again(
    tmp_path: Path, cluster: Cluster, secured: str, new_name: Callable[[], str]
) -> None:
    files, index, rejects = files_in(tmp_path / "in", missing=[120]), new_name(), tmp_path / "rejects"
    address = ray.get_runtime_context().gcs_address
    key = tmp_path / "api.key"
    key.write_text(API_KEY)
    key.chmod(0o600)
    command = [
        *(sys.executable, "-m", "vecload", "upsert", str(files), "--to", secured, "--index", index),
        *("--key-file", str(cluster.key), "--api-key-file", str(key), "--ray", address, "--workers", "1"),
        *("--rows-per-split", "100", "--max-errors", "3", "--rejects", str(rejects), "--batch-rows", "10"),
        *("--resume-wait", "0"),
    ]
    environment = {**os.environ, "HOME": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    waited = time.monotonic()
    connection = vecload.connect(secured, api_key=API_KEY)
    while not held(connection, index, cluster) and process.poll() is None:
        time.sleep(0.05)
        assert time.monotonic() - waited < 120
    process.kill()
    process.wait()
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 3, ended.stderr
    assert "resuming: " in ended.stderr or "9 of 9 splits to load" in ended.stderr
    assert len(rejects.read_text().splitlines()) == 3
    assert is_equal(files, {"to": secured, "index": index}, cluster, max_errors=3)


def held(connection: vecload.Connection, index: str, cluster: Cluster) -> int:
    """How many items the index holds; 0 while there is none."""
    try:
        return len(connection.open_index(index, vecload.Key.load(cluster.key)).list_ids())
    except vecload.VecloadError:
        return 0


@pytest.mark.parametrize("policy", ["reject", "last"])
def test_repeated_ids_end_as_in_a_load_by_one_process(
    tmp_path: Path, cluster: Cluster, loaded: Callable[[], Where], policy: str
) -> None:
    folder = tmp_path / "in"
    write(folder / "0.parquet", [f"a{row}" for row in range(150)], missing=[7])
    write(folder / "1.parquet", ["a3", "a7", *(f"b{row}" for row in range(100)), "b2", "a149"])
    where, own = loaded(), loaded()
    fields: dict[str, Any] = {"repeated_ids": policy, "max_errors": 9}
    result = load(folder, where, **fields)
    expected = vecload.load(
        folder, to=own["to"], index=own["index"], key=cluster.key, api_key=API_KEY, **fields
    )
    assert result.repeated == expected.repeated == 3
    assert (result.loaded, result.rejected) == (expected.loaded, expected.rejected)
    assert is_equal(folder, where, cluster, **fields)


def test_no_secret_is_in_the_session_the_dashboard_or_the_logs(
    tmp_path: Path, cluster: Cluster, loaded: Callable[[], Where]
) -> None:
    key = vecload.Key.load(cluster.key)
    secrets = {
        "API key": API_KEY.encode(),
        "index key": key.index_key.hex().encode(),
        "contents key": key.contents_key.hex().encode(),
        "index key in bytes": key.index_key,
        "contents key in bytes": key.contents_key,
        "contents": b"private canary 2",
    }
    for number in range(2):
        write(
            tmp_path / "in" / f"{number}.parquet", [f"{number}-{row}" for row in range(200)], note="canary "
        )
    where = loaded()
    assert load(tmp_path / "in", where).loaded == 400
    with pytest.raises(vecload.VecloadError) as refused:
        load(tmp_path / "in", {**loaded(), "api_key": "env:CLUSTER_INDEX_KEY"})
    assert API_KEY not in str(refused.value)
    files = [file for file in cluster.session.rglob("*") if file.is_file()]
    assert len(files) > 10
    assert {
        (what, file.name) for file in files for what, secret in secrets.items() if secret in file.read_bytes()
    } == set()
    found = 0
    for path in (
        "tasks?detail=1",
        "workers?detail=1",
        "actors?detail=1",
        "nodes?detail=1",
        "objects?detail=1",
    ):
        answer = urllib.request.urlopen(f"http://{cluster.dashboard}/api/v0/{path}", timeout=30)
        data = answer.read()
        found += data.count(b"load_split")
        assert [what for what, secret in secrets.items() if secret in data] == []
    assert found > 0, "the dashboard does not show the tasks"


def test_an_interruption_ends_the_load_and_its_tasks(
    tmp_path: Path, cluster: Cluster, loaded: Callable[[], Where]
) -> None:
    files, where, stop = files_in(tmp_path / "in"), loaded(), threading.Event()
    with pytest.raises(vecload.Interrupted) as stopped:
        load(files, where, stop=stop, on_progress=lambda progress: stop.set() if progress.read else None)
    assert 0 < stopped.value.result.loaded < 900
    result = load(files, where)
    assert result.skipped >= stopped.value.result.loaded
    assert is_equal(files, where, cluster)


def test_a_dataset_is_written(tmp_path: Path, cluster: Cluster, loaded: Callable[[], Where]) -> None:
    files, where = files_in(tmp_path / "in"), loaded()
    dataset = ray.data.read_parquet(str(files)).repartition(4)
    sink = vecload.ray.Datasink(**where)
    dataset.write_datasink(sink)
    assert (sink.result.status, sink.result.read, sink.result.loaded) == ("complete", 900, 900)
    assert is_equal(files, where, cluster)


def test_a_dataset_with_ids_in_two_tasks_fails(cluster: Cluster, loaded: Callable[[], Where]) -> None:
    rows = [{"id": f"i{n % 90}", "vector": np.full(4, n + 1.0, "f4"), "text": "t"} for n in range(100)]
    dataset = ray.data.from_items(rows).repartition(4).materialize()
    with pytest.raises(Exception, match="10 ids are in several tasks"):
        dataset.write_datasink(vecload.ray.Datasink(**loaded()))
    sink = vecload.ray.Datasink(**loaded(), repeated_ids="assume-unique")
    dataset.write_datasink(sink)
    assert sink.result.loaded == 100


def test_rejects_of_a_dataset_are_counted_over_all_tasks(
    tmp_path: Path, cluster: Cluster, loaded: Callable[[], Where]
) -> None:
    files, rejects = files_in(tmp_path / "in", missing=[3]), tmp_path / "rejects"
    dataset = ray.data.read_parquet(str(files)).repartition(3)
    sink = vecload.ray.Datasink(**loaded(), max_errors=3, rejects=str(rejects))
    dataset.write_datasink(sink)
    assert (sink.result.status, sink.result.rejected) == ("rejected", 3)
    assert len([json.loads(line) for line in rejects.read_text().splitlines()]) == 3
    with pytest.raises(Exception, match="rows rejected so far"):
        dataset.write_datasink(vecload.ray.Datasink(**loaded(), max_errors=2))


@pytest.mark.parametrize("name", ["key", "contents_key", "api_key"])
def test_a_secret_itself_is_refused_and_not_repeated(loaded: Callable[[], Where], name: str) -> None:
    where = {**loaded(), name: "env:00ff canary"}
    for make in (lambda: vecload.ray.Datasink(**where), lambda: load("a.parquet", where)):
        with pytest.raises(vecload.UsageError, match="is not a reference to a secret") as refused:
            make()
        assert "canary" not in str(refused.value)
