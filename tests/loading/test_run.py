"""A load called from Python: in any thread and process, and with nothing left behind in the process."""

from __future__ import annotations

import gc
import json
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import datasets
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import vecload
from tests.cli.sources import rows, write_jsonl, write_parquet
from tests.loading.calls import load_in_another_process
from vecload.options import LoadOptions


@pytest.fixture
def key() -> vecload.Key:
    return vecload.generate_key()


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))


def test_a_load_is_one_call_and_its_items_are_in_the_index(tmp_path: Path, key: vecload.Key) -> None:
    source = write_parquet(tmp_path / "rows.parquet", rows(30))
    store = tmp_path / "store"
    result = vecload.load(source, to=store, key=key, contents_column="text", batch_rows=7)

    assert (result.status, result.read, result.loaded, result.rejected, result.skipped) == (
        *("complete", 30, 30, 0, 0),
    )
    assert (result.index, result.target, result.key_id) == ("rows", str(store), key.key_id)
    assert result.mapping is not None
    assert result.mapping["contents"] == "text"
    assert result.as_dict()["status"] == "complete"
    assert "30 loaded" in repr(result)
    with vecload.connect(store) as connection:
        index = connection.open_index("rows", key)
        assert [item["contents"] for item in index.get(["doc-0", "doc-29"])] == [
            "The text of 0, naïve ☃",
            "The text of 29, naïve ☃",
        ]


def test_without_a_key_the_one_of_the_key_store_is_taken_or_made(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", rows(5))
    first = vecload.load(str(source), to=tmp_path / "store")
    again = vecload.load(str(source), to=tmp_path / "store")
    assert (first.loaded, again.loaded, first.key_id) == (5, 5, again.key_id)
    assert Path(first.key_from).is_file()


def test_a_key_may_be_a_file_or_its_bytes(tmp_path: Path, key: vecload.Key) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", rows(5))
    key.save(tmp_path / "docs.key")
    assert vecload.load(source, to=tmp_path / "store", key=tmp_path / "docs.key").key_id == key.key_id
    derived = vecload.Key(key.index_key)
    loaded = vecload.load(source, to=tmp_path / "other", key=key.index_key)
    assert loaded.key_id == derived.key_id


def test_what_stopped_goes_on_when_it_is_called_again(tmp_path: Path, key: vecload.Key) -> None:
    source = [*rows(40)]
    source[25]["vector"] = None
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    call = {"to": tmp_path / "store", "key": key, "batch_rows": 5, "rejects": tmp_path / "bad.jsonl"}
    with pytest.raises(vecload.RowsRejected) as stopped:
        vecload.load(path, **call)
    result = stopped.value.result
    assert isinstance(result, vecload.LoadResult)
    assert (result.status, result.exit_code) == ("failed", 4)
    assert result.error == str(stopped.value)
    assert "max_errors" in str(stopped.value)
    assert "--" not in str(stopped.value)

    ended = vecload.load(path, **call, max_errors=1)
    assert (ended.status, ended.loaded + ended.skipped, ended.rejected) == ("rejected", 39, 1)
    assert ended.skipped == result.loaded


def test_options_are_frozen_picklable_and_replaced_field_by_field() -> None:
    options = LoadOptions(max_errors="5%", id_column="a", rename={"x": "y"}, batch_rows=10)
    assert pickle.loads(pickle.dumps(options)) == options  # noqa: S301 what was just written
    assert (options.id_column, options.rename) == (("a",), ("x=y",))
    with pytest.raises(AttributeError):
        options.max_errors = 5  # type: ignore[misc]
    with pytest.raises(TypeError, match="max_eror"):
        vecload.load("rows.jsonl", max_eror=1)
    assert replace(options, max_errors=0).max_errors == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_errors": "x"}, "max_errors 'x' is neither"),
        ({"batch_rows": 0}, "batch_rows 0 is neither 'auto' nor"),
        ({"wire": "xml"}, "wire 'xml' is not one of auto, json, binary"),
        ({"batch_bytes": "6 MB"}, "batch_bytes is '6 MB', not a number"),
        ({"seal": "no"}, "seal is 'no', neither True nor False"),
        ({"id_column": ""}, "id_column is empty"),
        ({"metadata_column": [1]}, "metadata_column holds int"),
        ({"rejects": ""}, "rejects is empty"),
        ({"reject_rows": True}, "reject_rows needs rejects"),
        ({"to": ""}, "to is empty"),
        ({"index": ""}, "index is empty"),
        ({"key": b"short"}, "not 32"),
        ({"to": "http:/host"}, "is not a URL"),
    ],
)
def test_a_wrong_argument_is_named_as_a_parameter(tmp_path: Path, options: object, message: str) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", rows(2))
    assert isinstance(options, dict)
    with pytest.raises(vecload.VecloadError) as raised:
        vecload.load(source, **{"to": tmp_path / "store", **options})
    assert message in str(raised.value)
    assert "--" not in str(raised.value)


def test_a_load_and_an_inspection_in_a_thread_leave_signals_and_collector_alone(
    tmp_path: Path, key: vecload.Key
) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", rows(100))
    before = (
        gc.get_threshold(),
        gc.get_freeze_count(),
        *map(signal.getsignal, (signal.SIGINT, signal.SIGTERM)),
    )
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(vecload.load, source, to=tmp_path / "store", key=key).result()
        report = pool.submit(vecload.inspect, source, to=tmp_path / "store", key=key).result()
    assert (result.loaded, report.exit_code) == (100, 0)
    after = (
        gc.get_threshold(),
        gc.get_freeze_count(),
        *map(signal.getsignal, (signal.SIGINT, signal.SIGTERM)),
    )
    assert after == before


def test_several_loads_at_once_into_different_indexes(tmp_path: Path, service: str, key: vecload.Key) -> None:
    sources = [write_jsonl(tmp_path / f"rows-{n}.jsonl", rows(200, seed=n)) for n in range(4)]
    names = [f"at-once-{time.time_ns()}-{n}" for n in range(4)]

    def load(n: int) -> vecload.LoadResult:
        return vecload.load(sources[n], to=service, index=names[n], key=key, batch_rows=20)

    with ThreadPoolExecutor(4) as pool:
        results = [*pool.map(load, range(4))]
    assert [result.loaded for result in results] == [200] * 4
    connection = vecload.connect(service)
    vectors = [connection.open_index(name, key).get(["doc-7"], ["vector"])[0]["vector"] for name in names]
    assert len({tuple(vector) for vector in vectors}) == 4


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_loads_in_a_pool_of_processes(tmp_path: Path, key: vecload.Key, method: str) -> None:
    sources = [write_jsonl(tmp_path / f"rows-{n}.jsonl", rows(10 + n)) for n in range(2)]
    bad = write_jsonl(tmp_path / "bad.jsonl", [{"id": "a", "vector": "x"}])
    key.save(tmp_path / "docs.key")
    with ProcessPoolExecutor(2, mp_context=get_context(method)) as pool:
        loads = [
            pool.submit(load_in_another_process, str(source), str(tmp_path), LoadOptions(max_errors=0))
            for source in (*sources, bad)
        ]
        assert [load.result().loaded for load in loads[:2]] == [10, 11]
        with pytest.raises(vecload.MappingError) as raised:
            loads[2].result()
    assert raised.value.result.status == "failed"


def test_no_module_of_the_command_line_is_imported(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", rows(5))
    program = """
import sys
sys.modules["typer"] = sys.modules["rich"] = None  # an import of either fails
import vecload
key = vecload.generate_key()
result = vecload.load("rows.jsonl", to="store", key=key)
report = vecload.inspect("rows.jsonl", to="store", key=key)
assert (result.loaded, report.exit_code) == (5, 0), repr(report)
assert not [name for name in sys.modules if name.startswith("vecload.cli")]
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_an_event_stops_a_load_which_goes_on_later(tmp_path: Path, key: vecload.Key) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", rows(300))
    stop, seen = threading.Event(), []

    def on_progress(progress: vecload.Progress) -> None:
        seen.append(progress)
        if progress.loaded >= 20:
            stop.set()

    call = {"to": tmp_path / "store", "key": key, "batch_rows": 5, "concurrency": 1}
    with pytest.raises(vecload.Interrupted) as stopped:
        vecload.load(source, **call, on_progress=on_progress, stop=stop)
    result = stopped.value.result
    assert (result.status, 20 <= result.loaded < 300) == ("interrupted", True)
    assert seen[0].read == 0
    assert all(0 <= progress.part <= 1 for progress in seen)

    ended = vecload.load(source, **call, on_progress=seen.append)
    assert (ended.status, ended.loaded + ended.skipped, ended.skipped) == ("complete", 300, result.loaded)
    assert (seen[-1].part, seen[-1].index) == (1.0, "rows")


def test_an_event_that_is_set_before_stops_a_load_before_anything_is_created(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", rows(5))
    stop = threading.Event()
    stop.set()
    with pytest.raises(vecload.Interrupted) as stopped:
        vecload.load(source, to=tmp_path / "store", stop=stop)
    assert stopped.value.result.status == "interrupted"
    assert not (tmp_path / "store").exists()


def test_what_on_progress_raises_stops_the_load_and_what_is_loaded_is_recorded(
    tmp_path: Path, key: vecload.Key
) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", rows(50))

    def on_progress(progress: vecload.Progress) -> None:
        if progress.loaded >= 10:
            raise ZeroDivisionError

    call = {"to": tmp_path / "store", "key": key, "batch_rows": 5, "concurrency": 1}
    with pytest.raises(ZeroDivisionError):
        vecload.load(source, **call, on_progress=on_progress)
    ended = vecload.load(source, **call)
    assert ended.skipped >= 10
    assert ended.loaded + ended.skipped == 50


def test_nothing_is_printed_and_the_logger_hears_what_the_command_line_says(
    tmp_path: Path, key: vecload.Key, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", rows(5))
    with caplog.at_level("INFO", "vecload"):
        vecload.load(source, to=tmp_path / "store", key=key)
    assert capfd.readouterr() == ("", "")
    assert any(record.getMessage().startswith("columns   id: id") for record in caplog.records)


def test_the_result_is_the_object_that_the_command_prints(tmp_path: Path, key: vecload.Key) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", rows(5))
    key.save(tmp_path / "docs.key")
    result = vecload.load(source, to=tmp_path / "one", key=tmp_path / "docs.key").as_dict()
    command = ("upsert", "rows.jsonl", "--to", "two", "--key-file", "docs.key", "--json", "-q")
    ran = subprocess.run(
        [sys.executable, "-m", "vecload", *command], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    printed = json.loads(ran.stdout)
    varies = {"seconds", "items_per_second", "target", "sources", "time"}
    assert {name: value for name, value in printed.items() if name not in varies} == {
        name: value for name, value in result.items() if name not in varies
    }
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 what was just written


def test_the_public_names_are_shown_and_are_there() -> None:
    assert {"load", "inspect", "connect", "LoadOptions", "LoadResult", "Key"} <= {*dir(vecload)}
    assert all(getattr(vecload, name) is not None for name in dir(vecload))
    assert "max_errors" in str(vecload.LoadOptions())


def a_generator(source: list[dict[str, object]]) -> Iterator[dict[str, object]]:
    yield from source


SHAPES: dict[str, Callable[[list[dict[str, object]]], object]] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "duckdb": lambda source: duckdb.from_arrow(pa.Table.from_pylist(source)),
    "datasets": datasets.Dataset.from_list,
    "a pyarrow table": pa.Table.from_pylist,
    "a reader of record batches": lambda source: pa.Table.from_pylist(source).to_reader(max_chunksize=7),
    "a list of dicts": list,
    "an iterator of dicts": a_generator,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_data_in_memory_is_loaded_as_a_file_of_it_would_be(
    tmp_path: Path, key: vecload.Key, shape: str
) -> None:
    source: list[dict[str, object]] = [*rows(50)]
    source[30] = {**source[30], "id": ""}
    result = vecload.load(
        SHAPES[shape](source),
        to=tmp_path / "store",
        index="docs",
        key=key,
        batch_rows=20,
        max_errors=1,
        rejects=tmp_path / "bad.jsonl",
    )
    assert (result.status, result.read, result.loaded, result.rejected) == ("rejected", 50, 49, 1)
    assert json.loads((tmp_path / "bad.jsonl").read_text())["row"] == 30
    with vecload.connect(tmp_path / "store") as connection:
        items = connection.open_index("docs", key).get(["doc-0", "doc-49"])
    assert [item["contents"] for item in items] == ["The text of 0, naïve ☃", "The text of 49, naïve ☃"]
    assert [item["metadata"] for item in items] == [{"title": "Title 0"}, {"title": "Title 49"}]
    assert items[0]["vector"] == source[0]["vector"]


def test_an_iterator_is_read_as_a_stream_and_one_that_fails_keeps_what_came_before(
    tmp_path: Path, service: str, key: vecload.Key
) -> None:
    ahead = 0

    def endless() -> Iterator[dict[str, object]]:
        for number in range(20_000):
            given.append(number)
            yield {"id": f"d{number}", "vector": [number, 1.0, 2.0]}
        raise OSError("the database went away")

    def on_progress(progress: vecload.Progress) -> None:
        nonlocal ahead
        ahead = max(ahead, len(given) - progress.loaded)

    given: list[int] = []
    with pytest.raises(vecload.SourceError, match="row 19999") as stopped:
        vecload.load(
            endless(),
            to=service,
            index=f"stream-{time.time_ns()}",
            key=key,
            batch_rows=100,
            concurrency=2,
            on_progress=on_progress,
        )
    assert 19_000 < stopped.value.result.loaded <= 20_000
    assert ahead < 5_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs an index name"),
        ({"index": "a", "retry_rejects": "bad.jsonl"}, "retry_rejects"),
        ({"index": "a", "skip_loaded": True}, "skip_loaded"),
        ({"index": "a", "format": "parquet"}, "format is for files"),
    ],
)
def test_what_needs_a_file_is_refused_for_data_in_memory(
    tmp_path: Path, options: object, message: str
) -> None:
    assert isinstance(options, dict)
    with pytest.raises(vecload.UsageError, match=message):
        vecload.load(rows(3), to=tmp_path / "store", **options)
    assert not (tmp_path / "store").exists()


def test_a_second_table_of_the_same_kind_is_another_load(tmp_path: Path, key: vecload.Key) -> None:
    for seed in (1, 2):
        frame = pd.DataFrame(rows(5, seed=seed))
        assert vecload.load(frame, to=tmp_path / "store", index="docs", key=key).loaded == 5


def test_data_in_memory_is_inspected(tmp_path: Path) -> None:
    report = vecload.inspect(pd.DataFrame(rows(5)), to=tmp_path / "store", index="docs")
    assert (report.exit_code, report.rows) == (0, 5)
    assert "pandas.DataFrame" in repr(report)
