"""Items with and without vectors in one call and one load, into an index with an embedding model.

No model can be loaded here. `tests.embedding` stands in for one; without it, the real engine refuses.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vecload
from tests.cli.command import vecload as run
from tests.embedding import DIMENSION, MODEL, ModelService, embedded_items, made
from tests.faults.proxy import answer_of
from vecload.batch import Batch, Span
from vecload.errors import IndexMismatch, ItemTypeError, ItemValueError
from vecload.loading.retry import RetryPolicy
from vecload.sealing import Key
from vecload.sealing.envelope import is_sealed
from vecload.targets import IndexSettings, connect_target
from vecload.targets.embedded import EmbeddedTarget

OWN = [0.5, -1.25, 2.0, 3.0]
BUSY = answer_of(503, b'{"detail":"busy"}', "Retry-After: 0")


@pytest.fixture
def key() -> Key:
    return vecload.generate_key()


@pytest.fixture
def model(service: str) -> Iterator[ModelService]:
    with ModelService(service) as running:
        yield running


@pytest.fixture
def index(model: ModelService, index_name: str, key: Key) -> Iterator[vecload.Index]:
    with vecload.connect(model.url) as connection:
        yield connection.create_index(index_name, key, embedding_model=MODEL)


def items_of(index: vecload.Index, *ids: str) -> dict[str, dict[str, Any]]:
    found = index.get([*ids], ["vector", "metadata", "contents", "sealed"])
    assert [item["id"] for item in found] == [*ids]
    return {item.pop("id"): item for item in found}


# --- Python ---


def test_one_call_takes_items_with_a_vector_and_items_with_contents(
    index: vecload.Index, model: ModelService
) -> None:
    index.upsert(
        [
            {"id": "own", "vector": OWN, "contents": "private", "metadata": {"n": 1}},
            {"id": "made", "contents": "public", "metadata": {"n": 2}},
            {"id": "bare", "vector": np.float32(OWN)},
            {"id": "null", "vector": None, "contents": "too"},
        ]
    )
    assert items_of(index, "own", "made", "bare", "null") == {
        "own": {"vector": OWN, "metadata": {"n": 1}, "contents": "private", "sealed": True},
        "made": {"vector": made("public"), "metadata": {"n": 2}, "contents": "public", "sealed": False},
        "bare": {"vector": OWN, "metadata": {}, "contents": None, "sealed": None},
        "null": {"vector": made("too"), "metadata": {}, "contents": "too", "sealed": False},
    }
    # Only what the index has to read left this machine unsealed.
    assert is_sealed(model.sent("own")["contents"])
    assert model.sent("made") == {"id": "made", "contents": "public", "metadata": {"n": 2}}
    assert model.sent("null") == {"id": "null", "contents": "too"}
    assert model.requests == ["upsert", "upsert_binary"]


def test_columns_of_vectors_are_taken_as_anywhere(index: vecload.Index, model: ModelService) -> None:
    vectors = np.arange(80, dtype=np.float64).reshape(20, DIMENSION) + 1
    ids = [f"i{n}" for n in range(20)]
    index.upsert(ids, vectors)
    index.upsert_binary(["a", "b"], vectors[:2], contents=["private", b"bytes"])
    assert items_of(index, "i7")["i7"]["vector"] == vectors[7].tolist()
    assert [item["contents"] for item in items_of(index, "a", "b").values()] == ["private", b"bytes"]
    assert model.requests == ["upsert_binary", "upsert_binary"]
    assert is_sealed(model.sent("b")["contents"])


def test_an_index_that_is_opened_has_to_be_said_to_embed(
    index: vecload.Index, model: ModelService, key: Key
) -> None:
    item = {"id": "a", "contents": "private"}
    with vecload.connect(model.url) as connection:
        with pytest.raises(ItemValueError, match="open it with embed=True"):
            connection.open_index(index.name, key).upsert([item])
        assert model.items == []
        connection.open_index(index.name, key, embed=True).upsert([item])
    assert items_of(index, "a")["a"]["vector"] == made("private")


def test_the_last_of_items_with_the_same_id_wins_with_a_vector_or_without(index: vecload.Index) -> None:
    index.upsert(
        [
            {"id": "a", "vector": OWN, "contents": "first"},
            {"id": "a", "contents": "second"},
            {"id": "b", "contents": "first"},
            {"id": "b", "vector": OWN, "contents": "second"},
        ]
    )
    found = items_of(index, "a", "b")
    assert [item["contents"] for item in found.values()] == ["second", "second"]
    assert [item["vector"] for item in found.values()] == [made("second"), OWN]


@pytest.mark.parametrize(
    ("item", "kind", "says"),
    [
        ({"id": "x"}, ItemValueError, "neither a vector, nor contents"),
        ({"id": "x", "contents": b"bytes"}, ItemTypeError, "only from text"),
        ({"id": "x", "vector": [1.0, 2.0]}, ItemValueError, "2 dimensions; the index has 4"),
        ({"id": "x", "vector": [0.0] * 4, "contents": "c"}, ItemValueError, "all zeros"),
    ],
)
def test_an_item_that_can_not_be_stored_stops_the_call_before_anything_is_sent(
    index: vecload.Index, model: ModelService, item: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        index.upsert([{"id": "good", "contents": "text"}, item])
    assert model.items == []


def test_without_sealing_all_contents_go_as_they_are(model: ModelService, index_name: str, key: Key) -> None:
    with vecload.connect(model.url) as connection:
        index = connection.create_index(index_name, key, embedding_model=MODEL, seal=False)
        index.upsert([{"id": "own", "vector": OWN, "contents": "a"}, {"id": "made", "contents": "b"}])
    assert (model.sent("own")["contents"], model.sent("made")["contents"]) == ("a", "b")


def test_a_request_that_fails_is_sent_again_and_every_item_is_there(
    index: vecload.Index, model: ModelService
) -> None:
    model.fail = [None, BUSY]  # those without vectors are stored, the others are not
    index._sender.policy = RetryPolicy(wait_initial=0.0)  # noqa: SLF001 no test waits
    index.upsert([{"id": "own", "vector": OWN}, {"id": "made", "contents": "b"}])
    assert {*items_of(index, "own", "made")} == {"own", "made"}
    assert index.count() == 2
    assert len(model.requests) == 4


# --- loads ---


def rows(count: int) -> list[dict[str, Any]]:
    """Every third row has a vector of its own."""
    return [
        {
            "id": f"r{n}",
            "embedding": [n + 1.0, 0.5, 0.0, -1.0] if n % 3 == 0 else None,
            "text": f"the text of {n}",
            "n": n,
        }
        for n in range(count)
    ]


def as_jsonl(folder: Path, values: list[dict[str, Any]]) -> Path:
    path = folder / "rows.jsonl"
    lines = [{name: value for name, value in row.items() if value is not None} for row in values]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def as_parquet(folder: Path, values: list[dict[str, Any]]) -> Path:
    kind = pa.list_(pa.float32(), DIMENSION)
    schema = pa.schema([("id", pa.string()), ("embedding", kind), ("text", pa.string()), ("n", pa.int64())])
    pq.write_table(pa.Table.from_pylist(values, schema), folder / "rows.parquet", row_group_size=7)
    return folder / "rows.parquet"


def as_frame(_: Path, values: list[dict[str, Any]]) -> Any:
    return pd.DataFrame(values)


def as_dicts(_: Path, values: list[dict[str, Any]]) -> Any:
    return values


@pytest.mark.parametrize("form", [as_jsonl, as_parquet, as_frame, as_dicts])
def test_one_load_takes_rows_with_a_vector_and_rows_with_contents(
    model: ModelService,
    index_name: str,
    key: Key,
    tmp_path: Path,
    form: Callable[[Path, list[dict[str, Any]]], Any],
) -> None:
    count = 25
    result = vecload.load(
        form(tmp_path, rows(count)),
        to=model.url,
        index=index_name,
        key=key,
        embed=True,
        embedding_model=MODEL,
        contents_column="text",
        batch_rows=10,
    )
    assert (result.status, result.read, result.loaded, result.rejected) == ("complete", count, count, 0)
    assert result.mapping is not None
    assert "vector: embedding (4" in result.mapping["line"]
    assert "else made by the index" in result.mapping["line"]
    with vecload.connect(model.url) as connection:
        index = connection.open_index(index_name, key, embed=True)
        assert index.count() == count
        found = items_of(index, *(f"r{n}" for n in range(count)))
    for n, item in enumerate(found.values()):
        own = n % 3 == 0
        text = f"the text of {n}"
        assert item["vector"] == ([n + 1.0, 0.5, 0.0, -1.0] if own else made(text))
        assert (item["contents"], item["sealed"], item["metadata"]) == (text, own, {"n": n})
        assert is_sealed(model.sent(f"r{n}")["contents"]) is own
        assert ("vector" in model.sent(f"r{n}")) is own


@pytest.fixture
def key_file(tmp_path: Path, key: Key) -> Path:
    key.save(tmp_path / "the.key")
    return tmp_path / "the.key"


@pytest.fixture
def command(model: ModelService, index_name: str, key_file: Path) -> tuple[str, ...]:
    return (
        *("--to", model.url, "--index", index_name, "--key-file", str(key_file)),
        *("--embed", "--embedding-model", MODEL),
    )


def test_the_command_says_once_which_contents_go_unsealed(
    command: tuple[str, ...], model: ModelService, tmp_path: Path
) -> None:
    ended = run("upsert", as_jsonl(tmp_path, rows(9)), *command)
    assert ended.code == 0, ended.err
    said = "contents of rows without a vector are not sealed: the index reads them to make the vectors"
    assert ended.err.count(said) == 1
    assert "contents: text, sealed if the row has a vector" in ended.err
    assert model.requests == ["upsert", "upsert_binary"]


def test_vectors_that_are_left_out_are_made(
    command: tuple[str, ...], model: ModelService, tmp_path: Path
) -> None:
    ended = run("upsert", as_jsonl(tmp_path, rows(9)), *command, "--metadata-exclude", "embedding")
    assert ended.code == 0, ended.err
    assert "contents are not sealed: the index reads them to make the vectors" in ended.err
    assert all("vector" not in item for item in model.items)
    assert all("embedding" not in item["metadata"] for item in model.items)


def test_rows_with_neither_and_rows_of_another_dimension_are_rejects(
    command: tuple[str, ...], model: ModelService, tmp_path: Path
) -> None:
    given = rows(12)
    given[4] = {"id": "neither", "n": 4}
    given[5] = {"id": "empty", "text": "", "n": 5}
    given[6] = {"id": "short", "embedding": [1.0, 2.0], "text": "t", "n": 6}
    given[7] = {"id": "void", "embedding": [], "text": "t", "n": 7}
    given[8] = {"id": "zero", "embedding": [0.0] * 4, "text": "t", "n": 8}
    given[9] = {"id": "no text", "embedding": [1.0] * 4, "n": 9}
    rejects = tmp_path / "rejects.jsonl"
    ended = run(
        "upsert", as_jsonl(tmp_path, given), *command, "--max-errors", "9", "--rejects", rejects, "--json"
    )
    assert ended.code == 3, ended.err
    summary = json.loads(ended.out)
    assert (summary["read"], summary["loaded"], summary["rejected"]) == (12, 7, 5)
    found = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [(reject["id"], reject["field"], reject["code"]) for reject in found if "code" in reject] == [
        ("neither", "vector", "missing"),
        ("empty", "vector", "missing"),
        ("short", "vector", "dimension"),
        ("void", "vector", "empty"),
        ("zero", "vector", "zero"),
    ]
    assert model.sent("no text")["vector"] == [1.0] * 4


def test_a_row_that_is_refused_is_found_among_rows_of_both_kinds(
    command: tuple[str, ...], model: ModelService, tmp_path: Path
) -> None:
    behave = model.behave
    refusal = answer_of(400, b'{"detail":"Failed to upsert vectors: Invalid input"}')

    def refuse(exchange: Any) -> None:
        if "r5" in exchange.ids:
            exchange.send(refusal)
        else:
            behave(exchange)

    model.behave = refuse
    ended = run("upsert", as_jsonl(tmp_path, rows(20)), *command, "--max-errors", "1", "--json")
    assert ended.code == 3, ended.err
    summary = json.loads(ended.out)
    assert (summary["read"], summary["loaded"], summary["rejected"]) == (20, 19, 1)
    assert {item["id"] for item in model.items} == {f"r{n}" for n in range(20)} - {"r5"}


def test_generated_ids_of_rows_without_a_vector_are_those_of_their_items(
    model: ModelService, new_name: Callable[[], str], key: Key
) -> None:
    both = [{"text": "a"}, {"text": "b", "vector": OWN}]
    ids = []
    for given in (both, both[:1], both[1:]):
        name = new_name()
        vecload.load(
            given,
            to=model.url,
            index=name,
            key=key,
            embed=True,
            embedding_model=MODEL,
            contents_column="text",
            generate_ids=True,
        )
        with vecload.connect(model.url) as connection:
            ids.append({*connection.open_index(name, key).list_ids()})
    assert ids[0] == ids[1] | ids[2]
    assert len(ids[0]) == 2


def test_a_load_that_stops_goes_on_where_it_stopped(
    command: tuple[str, ...], model: ModelService, tmp_path: Path
) -> None:
    given = rows(40)
    given[25] = {"id": "bad", "n": 25}
    path = as_jsonl(tmp_path, given)
    stopped = run("upsert", path, *command, "--batch-rows", "5", "--rejects", tmp_path / "bad.jsonl")
    assert stopped.code == 4, stopped.err
    resumed = run(
        *("upsert", path, *command, "--batch-rows", "5", "--rejects", tmp_path / "bad.jsonl"),
        *("--max-errors", "1", "--resume-wait", "0", "--json"),
    )
    assert resumed.code == 3, resumed.err
    summary = json.loads(resumed.out)
    assert (summary["read"], summary["loaded"] + summary["skipped"], summary["rejected"]) == (40, 39, 1)
    assert {item["id"] for item in model.items} == {row["id"] for row in given} - {"bad"}


def test_a_span_is_recorded_only_when_its_items_of_both_kinds_are_acknowledged(
    command: tuple[str, ...], model: ModelService, index_name: str, key: Key, tmp_path: Path
) -> None:
    path = as_jsonl(tmp_path, rows(9))
    model.fail = [None, answer_of(401, b'{"detail":"Invalid API Key"}')]
    stopped = run("upsert", path, *command, "--json")
    assert stopped.code == 6, stopped.err
    assert model.requests == ["upsert", "upsert_binary"]
    assert json.loads(stopped.out)["loaded"] == 0
    resumed = run("upsert", path, *command, "--resume-wait", "0", "--json")
    assert resumed.code == 0, resumed.err
    summary = json.loads(resumed.out)
    assert (summary["read"], summary["loaded"], summary["skipped"]) == (9, 9, 0)
    with vecload.connect(model.url) as connection:
        assert len(items_of(connection.open_index(index_name, key), *(f"r{n}" for n in range(9)))) == 9


def test_inspect_says_what_a_load_would_do(command: tuple[str, ...], tmp_path: Path) -> None:
    path = as_jsonl(tmp_path, rows(9))
    ended = run("inspect", path, *command, "--json")
    assert ended.code == 0, ended.err + ended.out
    line = json.loads(ended.out)["sources"][0]["mapping"]["line"]
    assert "else made by the index" in line
    shown = run("inspect", path, *command, "--items", "2")
    assert shown.code == 0
    assert "[1, 0.5, 0, …] 4 values" in shown.out


def test_vectors_of_another_dimension_than_the_models_are_refused_before_anything_is_made(
    command: tuple[str, ...], model: ModelService, index_name: str, tmp_path: Path
) -> None:
    given = [{**row, "embedding": [1.0] * 6} for row in rows(3)]
    ended = run("upsert", as_jsonl(tmp_path, given), *command)
    assert ended.code == 2
    assert "dimension 6 does not match" in ended.error
    with connect_target(model.url) as target:
        assert index_name not in target.list_indexes()


def test_vectors_of_another_dimension_than_the_index_are_refused_and_may_be_left_out(
    command: tuple[str, ...], index: vecload.Index, tmp_path: Path
) -> None:
    path = as_jsonl(tmp_path, [{**row, "embedding": [1.0] * 6} for row in rows(3)])
    ended = run("upsert", path, *command)
    assert ended.code == 2
    assert "have 6 dimensions, but the index has 4" in ended.error
    assert "--metadata-exclude embedding" in ended.error
    left_out = run("upsert", path, *command, "--metadata-exclude", "embedding")
    assert left_out.code == 0, left_out.err
    assert items_of(index, "r0")["r0"]["vector"] == made("the text of 0")


# --- the engine without a model ---


@pytest.fixture(params=["service", "embedded"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.getfixturevalue("service") if request.param == "service" else str(tmp_path / "store")


def test_an_index_without_a_model_refuses_items_without_vectors_and_they_are_no_rejects(
    place: str, index_name: str, key: Key, tmp_path: Path
) -> None:
    with vecload.connect(place) as connection:
        connection.create_index(index_name, key, dimension=DIMENSION)
        told_wrong = connection.open_index(index_name, key, embed=True)
        with pytest.raises(IndexMismatch, match="has no embedding model"):
            told_wrong.upsert([{"id": "own", "vector": OWN}, {"id": "made", "contents": "b"}])
        assert told_wrong.count() == 0
        told_wrong.upsert([{"id": "own", "vector": OWN, "contents": "a"}])
        assert told_wrong.get(["own"])[0]["contents"] == "a"
    with pytest.raises(IndexMismatch, match="has no embedding model") as caught:
        vecload.load(
            as_jsonl(tmp_path, rows(9)),
            to=place,
            index=index_name,
            key=key,
            embed=True,
            contents_column="text",
            max_errors=9,
            create=False,
        )
    assert caught.value.result.rejected == 0


def test_the_engine_itself_refuses_a_model_of_another_dimension(
    place: str, index_name: str, key_file: Path, tmp_path: Path
) -> None:
    options = ("--to", place, "--index", index_name, "--key-file", key_file, "--embed")
    ended = run("upsert", as_jsonl(tmp_path, rows(3)), *options, "--embedding-model", "all-MiniLM-L6-v2")
    assert ended.code == 2
    assert "dimension 4 does not match embedding model" in ended.error
    with connect_target(place) as target:
        assert index_name not in target.list_indexes()


class WithModel:
    """The engine's index, with the model."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def upsert(self, *arguments: Any, index_key: bytes) -> None:
        self.calls.append(arguments)
        if len(arguments) == 1 and any("vector" not in item for item in arguments[0]):
            items = embedded_items(arguments[0])
            arguments = ([{**item, "vector": np.float32(item["vector"])} for item in items],)
        self._index.upsert(*arguments, index_key=index_key)


def test_the_embedded_engine_gets_the_same_items(tmp_path: Path, key: Key) -> None:
    with EmbeddedTarget(tmp_path / "store") as store:
        index = store.create_index("docs", key.index_key, IndexSettings(dimension=DIMENSION))
        engine = index._engine_index = WithModel(index._engine_index)  # noqa: SLF001 no model can be loaded
        ack = index.upsert(
            Batch(
                ["own", "made", "bare"],
                np.array([OWN, [9.0] * 4, OWN], dtype=np.float32),
                None,
                ["sealed before", "text", None],
                Span("rows", 0, 3),
                to_embed=np.array([False, True, False]),
            )
        )
        assert ack.items == 3
        assert [[item["id"] for item in call[0]] for call in engine.calls] == [["made"], ["own", "bare"]]
        assert engine.calls[0][0] == [{"id": "made", "contents": "text"}]
        own, by_model = index.get(["own", "made"], ["vector"])
        assert own.vector is not None
        assert by_model.vector is not None
        assert (own.vector.tolist(), by_model.vector.tolist()) == (OWN, made("text"))
        # Without contents and metadata, vectors go as an array.
        vectors = np.array([OWN, OWN], dtype=np.float32)
        index.upsert(Batch(["a", "b"], vectors, None, None, Span("rows", 0, 2)))
        assert len(engine.calls[-1]) == 2
