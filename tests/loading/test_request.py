"""Arguments from Python: what is refused, in which words, and what is never repeated."""

from __future__ import annotations

import base64
import collections
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

import vecload
from tests.cli.sources import rows, write_jsonl
from vecload.flags import as_flags, as_parameters


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))


@pytest.fixture
def key() -> vecload.Key:
    return vecload.generate_key()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "rows.jsonl", rows(5))


@pytest.mark.parametrize("written", [bytes.hex, lambda key: base64.b64encode(key).decode()])
def test_a_key_given_as_text_is_refused_and_not_repeated(
    tmp_path: Path, source: Path, key: vecload.Key, written: Any
) -> None:
    text = written(key.index_key)
    with pytest.raises(vecload.UsageError, match="pass its 32 bytes") as refused:
        vecload.load(source, to=tmp_path / "store", key=text)
    assert text not in f"{refused.value}{refused.value.result!r}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("allow some with --max-errors", "allow some with max_errors"),
        ("--repeated-ids last keeps it", "repeated_ids last keeps it"),
        ("no column 'x' (--vector-column)", "no column 'x' (vector_column)"),
        ("omit --embed, and give", "omit embed=True, and give"),
        ("set VECLOAD_API_KEY, or use --api-key-file", "pass api_key"),
        (
            "name its index with --index, or set VECLOAD_API_KEY to a",
            "name its index with index, or pass as api_key a",
        ),
        ("set VECLOAD_API_KEY instead", "pass api_key instead"),
        ("skip bad rows with --max-errors and --rejects FILE", "skip bad rows with max_errors and rejects"),
        ("/data--to/x--index/nope--max-errors.parquet", "/data--to/x--index/nope--max-errors.parquet"),
        ("row 1 (id 'a--index')", "row 1 (id 'a--index')"),
        ("combine (--id-column a --id-column b)", 'combine (id_column=["a", "b"])'),
    ],
)
def test_flags_become_parameters_and_nothing_else_does(text: str, said: str) -> None:
    assert as_parameters(text) == said


def test_a_message_of_the_options_becomes_one_of_the_command_line() -> None:
    assert as_flags("max_errors 'x' is neither") == "--max-errors 'x' is neither"
    assert as_flags("nothing of the kind") == "nothing of the kind"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stop": 1}, "stop is int, not an Event"),
        ({"on_progress": "x"}, "on_progress is str, which can't be called"),
        ({"to": 1}, "to is int, not text"),
        ({"index": 1}, "index is int, not text"),
        ({"api_key": b"x"}, "api_key is bytes, not text"),
        ({"options": 1}, "options is int, not LoadOptions"),
        ({"key": 1}, "key"),
        ({"key": ""}, "key is empty"),
        ({"state_dir": 1}, "state_dir is 1, not a folder"),
        ({"state_dir": ""}, "state_dir is '', not a folder"),
        ({"id_column": 1}, "id_column is int, not a name"),
        ({"max_errors": np.float32(2.5)}, "max_errors"),
        ({"max_errors": True}, "max_errors True is neither"),
        ({"dimension": 0}, "dimension is 0"),
        ({"id_prefix": "\ud800"}, "id_prefix is not UTF-8 text"),
    ],
)
def test_a_wrong_type_is_refused_by_name_before_anything_is_created(
    tmp_path: Path, source: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(vecload.VecloadError) as refused:
        vecload.load(source, **{"to": tmp_path / "store", **arguments})
    assert message in str(refused.value)
    assert refused.value.result.status == "failed"
    assert refused.value.result.error == str(refused.value)
    assert not (tmp_path / "store").exists()


def test_bytes_are_no_sources(tmp_path: Path) -> None:
    with pytest.raises(vecload.ItemTypeError, match="sources is bytes"):
        vecload.load(b"rows.jsonl", to=tmp_path / "store")


def test_no_sources_at_all_say_what_to_pass() -> None:
    with pytest.raises(vecload.UsageError, match="pass a path, a table, or an iterable of dicts"):
        vecload.load([])


def test_a_mistyped_option_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(TypeError, match=r"no option max_error; did you mean max_errors?"):
        vecload.load("rows.jsonl", max_error=1)


def test_errors_of_a_connection_name_parameters(tmp_path: Path, key: vecload.Key) -> None:
    connection = vecload.connect(tmp_path / "store")
    connection.create_index("docs", key)
    with pytest.raises(vecload.WrongKey) as refused:
        vecload.connect(tmp_path / "store").open_index("docs", vecload.generate_key())
    assert "--" not in str(refused.value)
    assert refused.value.result is None


@pytest.mark.parametrize("kind", [vecload.Connection, vecload.Index])
def test_errors_of_every_method_name_parameters(kind: type) -> None:
    methods = {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}
    unwrapped = {name for name, one in methods.items() if callable(one) and not hasattr(one, "__wrapped__")}
    assert unwrapped <= {"close", "generate_key"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"location": ""}, "location is empty"),
        ({"api_key": ""}, "api_key is empty"),
        ({"wire": "x"}, "wire 'x' is not one of"),
        ({"binary_threshold": "x"}, "binary_threshold is 'x'"),
    ],
)
def test_a_wrong_argument_of_connect_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(vecload.UsageError, match=message):
        vecload.connect(**{"location": "http://127.0.0.1:9", **arguments})


def test_two_columns_of_one_name_are_said(tmp_path: Path) -> None:
    frame = pd.DataFrame([[1, [1.0, 2.0], 3, 4]], columns=["id", "vector", "a", "a"])
    with pytest.raises(vecload.SourceError, match=r"pandas\.DataFrame has several columns 'a'"):
        vecload.load(frame, to=tmp_path / "store", index="docs")


def test_a_stop_is_heeded_while_the_first_rows_are_waited_for(tmp_path: Path) -> None:
    stop, drawn = threading.Event(), []

    def slow() -> Iterator[dict[str, object]]:
        for number in range(100):
            drawn.append(number)
            if number == 3:
                stop.set()
            yield {"id": str(number), "vector": [1.0, 2.0]}

    with pytest.raises(vecload.Interrupted):
        vecload.load(slow(), to=tmp_path / "store", index="docs", stop=stop)
    assert len(drawn) == 4
    assert not (tmp_path / "store").exists()


def test_a_stop_is_heeded_between_the_rows_of_a_slow_iterable(tmp_path: Path, key: vecload.Key) -> None:
    stop, drawn = threading.Event(), []

    def slow() -> Iterator[dict[str, object]]:
        for number in range(100_000):
            drawn.append(number)
            if number == 300:
                stop.set()
            yield {"id": str(number), "vector": [1.0, 2.0]}

    with pytest.raises(vecload.Interrupted):
        vecload.load(slow(), to=tmp_path / "store", index="docs", key=key, stop=stop, batch_rows=10_000)
    assert len(drawn) <= 302


def test_loads_at_once_into_one_new_index_of_a_service_all_end_right(service: str, key: vecload.Key) -> None:
    name = f"race-{time.time_ns()}"

    def load(n: int) -> vecload.LoadResult:
        source = [{"id": f"{n}-{i}", "vector": [1.0 + n, float(i)]} for i in range(20)]
        return vecload.load(source, to=service, index=name, key=key)

    with ThreadPoolExecutor(3) as pool:
        assert [result.loaded for result in pool.map(load, range(3))] == [20, 20, 20]
    index = vecload.connect(service).open_index(name, key)
    assert len(index.get([f"{n}-{i}" for n in range(3) for i in range(20)], ["vector"])) == 60


def test_a_load_into_a_service_makes_a_key_only_if_asked_and_the_logger_warns_of_it(
    service: str, source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name, file = f"keys-{time.time_ns()}", tmp_path / "docs.key"
    with pytest.raises(vecload.UsageError) as refused:
        vecload.load(source, to=service, index=name)
    assert str(refused.value) == (
        f"the new index '{name}' needs a key, and none is named; "
        "pass key, or create_key=True and keep a copy of the key it makes"
    )
    with pytest.raises(vecload.UsageError, match="create_key=True makes one"):
        vecload.load(source, to=service, index=name, key=file)
    assert vecload.inspect(source, to=service, index=name).exit_code == 2

    for index, key in ((f"{name}-a", None), (f"{name}-b", file)):
        caplog.clear()
        options = vecload.LoadOptions(create_key=True)
        assert vecload.load(source, to=service, index=index, key=key, options=options).loaded == 5
        (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
        assert "keep a copy" in warning.getMessage()
        caplog.clear()
        assert vecload.load(source, to=service, index=index, key=key, fresh=True).loaded == 5
        assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert vecload.Key.load(file).index_key is not None


def test_a_sequence_that_can_not_be_sliced_is_read_as_an_iterable(tmp_path: Path, key: vecload.Key) -> None:
    rows_of = collections.deque([{"id": "a", "vector": [1.0, 2.0]}])
    assert vecload.load(rows_of, to=tmp_path / "store", index="docs", key=key).loaded == 1


def test_an_error_of_a_database_is_one_of_the_source(tmp_path: Path, key: vecload.Key) -> None:
    failing = duckdb.connect().sql("select '1' id, [1.0, 2.0] vector, error('secret') from range(3)")
    with pytest.raises(vecload.SourceError, match="duckdb") as stopped:
        vecload.load(failing, to=tmp_path / "store", index="docs", key=key)
    assert "secret" not in str(stopped.value)
    assert stopped.value.result is not None


def test_an_interrupt_of_the_process_has_the_result_too(tmp_path: Path, key: vecload.Key) -> None:
    def on_progress(progress: vecload.Progress) -> None:
        if progress.loaded:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        vecload.load(
            rows(50), to=tmp_path / "store", index="docs", key=key, batch_rows=5, on_progress=on_progress
        )
    assert stopped.value.result.status == "interrupted"  # type: ignore[attr-defined] # set by the load
