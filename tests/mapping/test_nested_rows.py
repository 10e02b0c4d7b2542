"""Fields by dot paths, metadata left out and renamed: through real files of both kinds."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vecload.batch import Batch
from vecload.errors import MappingError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice, ColumnMapping, Mapper, Rules
from vecload.readers import open_sources

ROW: dict[str, Any] = {
    "id": "a",
    "vector": [1.0, 2.0],
    "payload": {"text": "the text", "lang": "en", "deep": {"x": 1, "y": 2}},
    "label": "outside",
    "year": 2024,
}


def loaded(path: Path, choice: ColumnChoice, rules: Rules | None = None) -> Batch:
    """All rows mapped as the real flow maps them; the mapper goes through a pickle, as to another process."""
    sources = open_sources([str(path)])
    plan = make_plan(sources, choice, embed=False, rules=rules or Rules())
    (job,) = plan.jobs(index_dimension=0, allow_zero_vectors=False)
    mapper: Mapper = pickle.loads(pickle.dumps(job.mapper))  # noqa: S301 our own
    (rows,) = job.source.read(batch_rows=1000, batch_bytes=2**30, columns=mapper.mapping.needed())
    return mapper.map(rows)


def chosen(path: Path, choice: ColumnChoice) -> ColumnMapping:
    return make_plan(open_sources([str(path)]), choice, embed=False).mappings[0]


def jsonl(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def parquet(folder: Path, *rows: dict[str, Any]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / "rows.parquet")
    return folder / "rows.parquet"


def parquet_of_text(folder: Path, *rows: dict[str, Any]) -> Path:
    """The payload as JSON text, as Pinecone's exports have it."""
    return parquet(folder, *({**row, "payload": json.dumps(row["payload"])} for row in rows))


def parquet_of_maps(folder: Path, *rows: dict[str, Any]) -> Path:
    kind = pa.map_(pa.string(), pa.string())
    table = pa.Table.from_pylist([{**row, "payload": None} for row in rows])
    maps = pa.array([[(k, v) for k, v in row["payload"].items() if k != "deep"] for row in rows], kind)
    at = table.schema.get_field_index("payload")
    pq.write_table(table.set_column(at, "payload", maps), folder / "rows.parquet")
    return folder / "rows.parquet"


WRITERS = pytest.mark.parametrize("write", [jsonl, parquet, parquet_of_text])


@pytest.mark.parametrize("write", [jsonl, parquet, parquet_of_text, parquet_of_maps])
def test_contents_come_from_a_field_and_the_rest_stays_metadata(tmp_path: Path, write: Any) -> None:
    batch = loaded(write(tmp_path, ROW), ColumnChoice(contents="payload.text"))
    assert batch.contents == ["the text"]
    deep = {} if write is parquet_of_maps else {"deep": {"x": 1, "y": 2}}
    assert batch.metadata == [{"label": "outside", "year": 2024, "lang": "en", **deep}]


@WRITERS
def test_a_literal_column_comes_before_a_path(tmp_path: Path, write: Any) -> None:
    choice = ColumnChoice(contents="payload.lang")
    row = {**ROW, "payload": {"lang": "en", "deep": {"x": 1, "y": 2}}, "payload.lang": "literal"}
    batch = loaded(write(tmp_path, row), choice)
    assert batch.contents == ["literal"]
    assert batch.metadata is not None
    assert batch.metadata[0] is not None
    assert batch.metadata[0]["lang"] == "en"


@WRITERS
def test_ids_and_vectors_come_from_fields_too(tmp_path: Path, write: Any) -> None:
    row = {"payload": {"key": 2**53 + 1, "emb": [0.5, 1.5], "note": "n"}, "x": 1}
    batch = loaded(write(tmp_path, row), ColumnChoice(id="payload.key", vector="payload.emb"))
    assert batch.ids == [str(2**53 + 1)]
    assert batch.vectors is not None
    assert batch.vectors.tolist() == [[0.5, 1.5]]
    assert batch.metadata == [{"x": 1, "note": "n"}]


def test_an_id_in_a_field_is_exact_beyond_64_bits(tmp_path: Path) -> None:
    row = {"payload": {"key": 2**70, "n": 2**71}, "vector": [1, 2]}
    batch = loaded(jsonl(tmp_path, row), ColumnChoice(id="payload.key"))
    assert batch.ids == [str(2**70)]
    assert batch.metadata == [{"n": 2**71}]


@WRITERS
def test_fields_and_columns_are_left_out_of_metadata(tmp_path: Path, write: Any) -> None:
    choice = ColumnChoice(excluded=("year", "payload.deep.x", "payload.lang"))
    batch = loaded(write(tmp_path, ROW), choice)
    assert batch.contents == ["the text"]
    assert batch.metadata == [{"label": "outside", "deep": {"y": 2}}]


@WRITERS
def test_a_metadata_name_is_left_out_wherever_it_comes_from(tmp_path: Path, write: Any) -> None:
    row = {**ROW, "lang": "de"}
    assert loaded(write(tmp_path, row), ColumnChoice(excluded=("lang", "deep"))).metadata == [
        {"year": 2024, "label": "outside"}
    ]


@WRITERS
def test_an_object_that_is_left_empty_goes(tmp_path: Path, write: Any) -> None:
    choice = ColumnChoice(excluded=("payload.deep.x", "payload.deep.y"))
    (metadata,) = loaded(write(tmp_path, ROW), choice).metadata or [None]
    assert metadata == {"year": 2024, "label": "outside", "lang": "en"}


@WRITERS
def test_a_named_field_is_metadata_under_its_path(tmp_path: Path, write: Any) -> None:
    batch = loaded(write(tmp_path, ROW), ColumnChoice(metadata=("payload.lang", "year")))
    assert batch.metadata == [{"payload.lang": "en", "year": 2024}]


@pytest.mark.parametrize("write", [jsonl, parquet])
def test_one_named_object_inside_another_is_spread(tmp_path: Path, write: Any) -> None:
    choice = ColumnChoice(metadata=("payload.deep",), excluded=("payload.deep.y",))
    assert loaded(write(tmp_path, ROW), choice).metadata == [{"x": 1}]


@WRITERS
def test_metadata_gets_other_names(tmp_path: Path, write: Any) -> None:
    choice = ColumnChoice(renamed=(("year", "lang"), ("lang", "year"), ("label", "body")))
    assert loaded(write(tmp_path, ROW), choice).metadata == [
        {"lang": 2024, "year": "en", "body": "outside", "deep": {"x": 1, "y": 2}}
    ]


def test_a_new_name_that_a_row_has_already_makes_it_a_reject(tmp_path: Path) -> None:
    row = {"id": "b", "vector": [1, 2], "payload": {"a": 1}}
    # Among the first rows it would be seen before the load.
    path = parquet_of_text(tmp_path, *[row] * 100, {**row, "id": "c", "payload": {"a": 1, "b": 2}})
    batch = loaded(path, ColumnChoice(renamed=(("a", "b"),)))
    assert batch.metadata == [{"b": 1}] * 100
    assert [(r.row, r.field, r.code) for r in batch.rejects] == [(100, "metadata", "name-taken")]


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (ColumnChoice(contents="payload.txt"), "has no column 'payload.txt' (--contents-column); it has"),
        (ColumnChoice(excluded=("yaer",)), "has no metadata 'yaer' (--metadata-exclude)"),
        (ColumnChoice(renamed=(("yaer", "y"),)), "has no metadata 'yaer' (--rename)"),
        (ColumnChoice(renamed=(("year", "lang"),)), "already has metadata 'lang'"),
    ],
)
@WRITERS
def test_a_name_that_is_not_there_is_an_error(
    tmp_path: Path, write: Any, choice: ColumnChoice, says: str
) -> None:
    with pytest.raises(MappingError) as failed:
        chosen(write(tmp_path, ROW), choice)
    assert says in str(failed.value)


def test_only_columns_that_are_used_are_read(tmp_path: Path) -> None:
    path = parquet(tmp_path, ROW)
    assert chosen(path, ColumnChoice()).needed() is None
    assert chosen(path, ColumnChoice(excluded=("year",))).needed() == ["id", "vector", "payload", "label"]
    choice = ColumnChoice(contents="payload.text", metadata=("year",))
    assert chosen(path, choice).needed() == ["id", "payload", "vector", "year"]
    choice = ColumnChoice(contents="payload.text", excluded=("payload",))
    assert chosen(path, choice).needed() == ["id", "vector", "payload", "label", "year"]
    assert loaded(path, choice).metadata == [{"label": "outside", "year": 2024}]


def test_what_changes_items_is_in_the_words_of_the_mapping(tmp_path: Path) -> None:
    path = parquet(tmp_path, ROW)
    told = {
        str(make_plan(open_sources([str(path)]), choice, embed=False, rules=rules).mappings[0])
        for choice in (
            ColumnChoice(),
            ColumnChoice(contents="label", excluded=("payload.text",)),
            ColumnChoice(excluded=("year",)),
            ColumnChoice(excluded=("payload.lang",)),
            ColumnChoice(renamed=(("year", "y"),)),
        )
        for rules in (
            Rules(),
            Rules("p-"),
            Rules(generate_ids=True),
            Rules(vector_dtype="int8"),
            Rules(max_depth=3),
        )
    }
    assert len(told) == 25


def test_what_is_null_is_left_out_too(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"id": "a", "vector": [1.0], "payload": {"text": null, "secret": null, "n": 1}}\n'
        '{"id": "b", "vector": [1.0], "payload": {"text": "t", "secret": "s", "n": null}}\n'
    )
    choice = ColumnChoice(contents="payload.text", excluded=("payload.secret",))
    (job,) = make_plan(open_sources([str(path)]), choice, embed=False).jobs(
        index_dimension=0, allow_zero_vectors=False
    )
    (batch,) = (job.mapper.map(rows) for rows in job.source.read(batch_rows=9, batch_bytes=10**6))
    assert batch.metadata == [{"n": 1}, {"n": None}]


@pytest.mark.parametrize(
    ("texts", "spread"),
    [
        (["free", "text"], None),
        (["free", "[1]"], None),
        (["free", "{}"], "meta"),
        (["", '{"n": 1}'], "meta"),
        ([None, None], "meta"),
    ],
)
def test_text_named_metadata_is_spread_if_any_of_it_is_an_object(
    tmp_path: Path, texts: list[str | None], spread: str | None
) -> None:
    table = pa.table({"id": ["a", "b"], "vector": [[1.0], [1.0]], "meta": pa.array(texts, pa.string())})
    pq.write_table(table, tmp_path / "a.parquet")
    (mapping,) = make_plan(open_sources([str(tmp_path / "a.parquet")]), ColumnChoice(), embed=False).mappings
    assert mapping.metadata_object == spread
