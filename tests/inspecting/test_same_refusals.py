"""What a load is refused for, an inspection of it says in the same words and with the same exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vecload
from tests.cli.sources import rows, write_jsonl, write_parquet

Arguments = dict[str, Any]
DIMENSION = 8


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.chdir(tmp_path)


def good(count: int = 20) -> str:
    return str(write_jsonl(Path("rows.jsonl"), rows(count)))


def text(name: str, content: str) -> str:
    Path(name).write_text(content)
    return name


def an_export(metric: str) -> str:
    Path("export").mkdir()
    table = pa.table({"id": ["a", "b"], "vector": [[1.0] * 8, [2.0] * 8]})
    pq.write_table(table, "export/1.parquet")
    meta = {
        "version": "1",
        "file_structure": [],
        "author": "x",
        "exported_from": "x",
        "exported_at": "x",
        "indexes": {
            "i": [
                {
                    "namespace": "",
                    "index_name": "i",
                    "total_vector_count": 2,
                    "exported_vector_count": 2,
                    "dimensions": 8,
                    "model_name": "x",
                    "vector_columns": ["vector"],
                    "data_path": ".",
                    "metric": metric,
                    "id_column": "id",
                }
            ]
        },
    }
    text("export/VDF_META.json", json.dumps(meta))
    return "export"


def an_index(**settings: Any) -> Arguments:
    """An index with some items, and the arguments that name it."""
    key = vecload.generate_key()
    with vecload.connect("store") as connection:
        index = connection.create_index("there", key, dimension=DIMENSION, **settings)
        vectors = np.random.default_rng(1).standard_normal((5, DIMENSION), dtype=np.float32)
        index.upsert_binary([f"old-{i}" for i in range(5)], vectors, contents=["private"] * 5)
        del index
    return {"index": "there", "key": key, "to": "store"}


def other_contents_key() -> Arguments:
    there = an_index()
    return {**there, "key": vecload.Key(there["key"].index_key, b"c" * 32)}


def unsealed_contents() -> Arguments:
    """An index with contents that another client wrote."""
    there = an_index()
    with vecload.connect("store") as connection:
        index = connection.open_index("there", there["key"], seal=False)
        index.upsert([{"id": "plain", "vector": [1.0] * DIMENSION, "contents": "plain"}])
        del index
    return there


def contents_of_two_keys() -> Arguments:
    """An index with contents of two keys, and the later one."""
    there = an_index()
    later = vecload.Key(there["key"].index_key, b"c" * 32)
    both = vecload.Key(later.index_key, later.contents_key, (there["key"].contents_key,))
    with vecload.connect("store") as connection:
        index = connection.open_index("there", both)
        index.upsert([{"id": "later", "vector": [1.0] * DIMENSION, "contents": "later"}])
        del index
    return {**there, "key": later}


def of_dimension_4() -> str:
    return str(write_jsonl(Path("small.jsonl"), rows(5, 4)))


def a_bad_row(at: int) -> str:
    source = rows(20)
    source[at]["vector"] = None
    return str(write_jsonl(Path("bad.jsonl"), source))


def unwritable() -> Arguments:
    text("file", "")
    return {"to": "file/store"}


REFUSALS: dict[str, tuple[Callable[[], str | list[str]], Callable[[], Arguments]]] = {
    "no such file": (lambda: "nowhere.parquet", dict),
    "an empty file": (lambda: text("empty.jsonl", ""), dict),
    "CSV without a header": (lambda: text("rows.csv", 'a,"[1,2]"\nb,"[1,2]"\n'), dict),
    "an incomplete column a dimension": (
        lambda: text("rows.csv", "id,d0,d2\na,1,2\n"),
        lambda: {"vector_columns": "d*"},
    ),
    "two ways to the vector": (good, lambda: {"vector_columns": "d*", "vector_column": "vector"}),
    "one column a dimension of JSON Lines": (good, lambda: {"vector_columns": "d*"}),
    "text that is not JSON": (lambda: text("rows.jsonl", "nothing\nof the kind\n"), dict),
    "no vectors": (lambda: text("rows.jsonl", '{"id": "a", "x": 1}\n'), dict),
    "two vectors": (lambda: text("rows.jsonl", '{"id":"a","x":[0.5,1.5],"y":[2.5,3.5]}\n'), dict),
    "no id": (lambda: text("rows.jsonl", '{"name":"a","vector":[0.5,1.5]}\n'), dict),
    "no such column": (good, lambda: {"vector_column": "nope"}),
    "another dimension than asked for": (good, lambda: {"dimension": 16}),
    "a dimension that can't be trained": (good, lambda: {"train": True}),
    "reject rows without a reject file": (good, lambda: {"reject_rows": True}),
    "a reject file that is the source": (good, lambda: {"rejects": "rows.jsonl"}),
    "a reject file that is something else": (
        good,
        lambda: {"rejects": text("notes.txt", "my notes\n")},
    ),
    "a renaming of nothing": (good, lambda: {"rename": "title"}),
    "an id column named twice": (good, lambda: {"id_column": ["id", "id"]}),
    "sources of different dimensions": (lambda: [good(), of_dimension_4()], lambda: {"index": "both"}),
    "several sources without a name": (
        lambda: [good(), str(write_jsonl(Path("more.jsonl"), rows(3, seed=2)))],
        dict,
    ),
    "a file that no index can be named after": (
        lambda: str(write_jsonl(Path("default.jsonl"), rows(3))),
        dict,
    ),
    "a metric that CyborgDB does not have": (lambda: an_export("Dot"), lambda: {"index": "dots"}),
    "a field that is not there": (good, lambda: {"unfilterable": "titel"}),
    "a field of two policies": (good, lambda: {"pattern": "title", "unfilterable": "title"}),
    "no index, and none may be created": (good, lambda: {"create": False, "to": an_index()["to"]}),
    "no model": (good, lambda: {"embed": True}),
    "a model that is not known": (good, lambda: {"embed": True, "embedding_model": "nope"}),
    "no place for a store": (good, unwritable),
    "no place for the journal": (good, lambda: {"state_dir": text("file", "")}),
    "no place for the reject file": (good, lambda: {"rejects": "nowhere/bad.jsonl"}),
    "a host for a folder": (good, lambda: {"to": "localhost:8000"}),
    "a service that is not there": (good, lambda: {"to": "http://127.0.0.1:9", "give_up_after": 0}),
    "a key file that is not there": (good, lambda: {"key": "nowhere.key"}),
    "a key file that is not one": (good, lambda: {"key": text("docs.key", "x")}),
    "a key file that nobody can make": (good, lambda: {"key": "nowhere/docs.key", "create_key": True}),
    "an index that is there, a key file that is not": (
        good,
        lambda: {**an_index(), "key": "nowhere.key", "create_key": True},
    ),
    "a contents key alone, new index": (good, lambda: {"key": vecload.generate_key(contents_only=True)}),
    "a contents key alone": (
        good,
        lambda: {**an_index(), "key": vecload.generate_key(contents_only=True)},
    ),
    "another key": (good, lambda: {**an_index(), "key": vecload.generate_key()}),
    "another contents key": (good, other_contents_key),
    "unsealed contents": (good, unsealed_contents),
    "contents that a part of the keys opens": (good, contents_of_two_keys),
    "an index of another dimension": (of_dimension_4, an_index),
    "an index of another metric": (good, lambda: {**an_index(), "metric": "cosine"}),
    "an index of another policy": (good, lambda: {**an_index(), "unfilterable": "title"}),
    "a first row that is rejected, new index": (lambda: a_bad_row(3), dict),
    "a first row that is rejected, index there": (lambda: a_bad_row(3), an_index),
    "half a line at the end": (
        lambda: text("rows.jsonl", Path(good()).read_text()[:-30]),
        lambda: {"max_errors": 5},
    ),
    "a reject file to retry that is not there": (good, lambda: {"retry_rejects": "nowhere.jsonl"}),
}


def outcome(call: Callable[..., Any], sources: Any, arguments: Arguments) -> tuple[int, str, str]:
    """Exit code, message and hint of a call."""
    try:
        said = call(sources, **arguments)
    except vecload.VecloadError as error:
        return error.exit_code, str(error.args[0]), error.hint
    if isinstance(said, vecload.LoadResult):
        return said.exit_code, said.error or "", ""
    wrong = next((check for check in said.checks if check.state == "wrong"), None)
    return said.exit_code, said.error or "", wrong.hint if wrong else ""


@pytest.mark.parametrize("refusal", REFUSALS)
def test_an_inspection_says_what_a_load_is_refused_for(refusal: str) -> None:
    source, options = REFUSALS[refusal]
    sources, arguments = source(), options()
    arguments.setdefault("to", "store")
    inspected = outcome(vecload.inspect, sources, arguments)
    loaded = outcome(vecload.load, sources, arguments)
    assert loaded[0] not in (0, 3), loaded
    assert inspected == loaded


def test_an_inspection_of_what_a_load_takes_finds_nothing_wrong(tmp_path: Path) -> None:
    source = str(write_parquet(tmp_path / "rows.parquet", rows(20)))
    assert outcome(vecload.inspect, source, {"to": "store"}) == (0, "", "")
    assert vecload.load(source, to="store").exit_code == 0
