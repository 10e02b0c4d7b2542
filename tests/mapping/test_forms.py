# ruff: noqa: E501 the table has one case a line
"""What is recognised as which export, and what of it is refused. What is stored of each: tests/files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.mapping.test_nested_rows import chosen, jsonl, loaded
from vecload.errors import MappingError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice, ColumnMapping
from vecload.readers import ReadOptions, open_sources
from vecload.recipes.known import RecipeChoice, recipe_named

V = [0.5, 1.0]
NODE = {"id_": "a", "embedding": V, "text": "t", "metadata": {"n": 1}, "relationships": {}}
SERIALISED = {
    "lc": 1,
    "type": "constructor",
    "id": ["langchain"],
    "kwargs": {"id": "a", "page_content": "t", "metadata": {}},
}

RECOGNISED: list[tuple[str, dict[str, Any], tuple[str, str, str | None, str | None]]] = [
    ("pinecone", {"id": "a", "values": V, "metadata": {"n": 1}}, ("id", "values", None, "metadata")),
    ("qdrant", {"id": 1, "vector": V, "payload": {"n": 1}}, ("id", "vector", None, "payload")),
    ("qdrant", {"id": 1, "vector": {"x": V}, "payload": None}, ("id", "vector.x", None, "payload")),
    ("weaviate", {"id": "b", "uuid": "a", "properties": {}, "vector": V}, ("uuid", "vector", None, "properties")),
    ("weaviate", {"id": "b", "properties": {}, "class": "C", "vector": V}, ("id", "vector", None, "properties")),
    ("langchain", {"id": "a", "page_content": "t", "metadata": {}, "embedding": V}, ("id", "embedding", "page_content", "metadata")),
    ("langchain", {**SERIALISED, "embedding": V}, ("kwargs.id", "embedding", "kwargs.page_content", "kwargs.metadata")),
    ("langchain", {"id": "a", "vector": V, "document": SERIALISED}, ("id", "vector", "document.kwargs.page_content", "document.kwargs.metadata")),
    ("llamaindex", NODE, ("id_", "embedding", "text", "metadata")),
    ("", {"id": "a", "vector": V, "metadata": {}}, ("id", "vector", None, "metadata")),
    ("", {"id": "a", "values": V}, ("id", "values", None, None)),
]  # fmt: skip


def parts(mapping: ColumnMapping) -> tuple[str | None, str | None, str | None, str | None]:
    return mapping.id, mapping.vector, mapping.contents, mapping.metadata_object


@pytest.mark.parametrize(("recipe", "row", "wanted"), RECOGNISED)
def test_an_export_is_recognised_by_its_columns(
    tmp_path: Path, recipe: str, row: dict[str, Any], wanted: Any
) -> None:
    mapping = chosen(jsonl(tmp_path, row), ColumnChoice())
    assert (mapping.recipe, parts(mapping)) == (recipe, wanted)


def by_recipe(path: Path, name: str) -> ColumnMapping:
    choice = RecipeChoice(none=True) if name == "none" else RecipeChoice(named=recipe_named(name))
    sources = open_sources([str(path)], ReadOptions(recipes=choice))
    return make_plan(sources, ColumnChoice(), embed=False).mappings[0]


def test_a_recipe_may_be_named(tmp_path: Path) -> None:
    row = {"id": "a", "values": V, "other": V, "metadata": {"n": 1}}
    assert by_recipe(jsonl(tmp_path, {**row, "payload": {}}), "pinecone").vector == "values"
    path = jsonl(tmp_path, {"id": 1, "vector": V, "payload": {}, "properties": {}})
    assert by_recipe(path, "weaviate").metadata_object == "properties"
    assert (by_recipe(path, "none").recipe, by_recipe(path, "none").metadata_object) == ("", "payload")


def test_two_recipes_that_fit_are_an_error(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"id": 1, "vector": V, "payload": {}, "properties": {}})
    with pytest.raises(MappingError, match="looks like an export of qdrant and weaviate; pick one: --recipe"):
        chosen(path, ColumnChoice())


@pytest.mark.parametrize("name", ["chroma", "vdf", "qdrant"])
def test_a_file_that_does_not_fit_the_named_recipe_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MappingError, match=f"does not look like an export of {name}, which has"):
        by_recipe(jsonl(tmp_path, {"id": "a", "vector": V}), name)


def test_several_named_vectors_are_never_chosen_between(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"id": 1, "vector": {"a": V, "b": V}, "payload": {"n": 1}})
    with pytest.raises(
        MappingError, match=r"could be the vector: 'vector\.a' .*'vector\.b' .*--vector-column"
    ):
        chosen(path, ColumnChoice())
    batch = loaded(path, ColumnChoice(vector="vector.a"))
    assert batch.vectors is not None
    assert (batch.vectors.tolist(), batch.metadata) == ([V], [{"n": 1}])


def test_a_sparse_vector_is_left_out_next_to_a_dense_one_and_that_is_said(tmp_path: Path) -> None:
    row = {"id": 1, "vector": {"": V, "b": {"indices": [1], "values": [0.5]}}, "payload": {"n": 1}}
    mapping = chosen(jsonl(tmp_path, row), ColumnChoice())
    assert (mapping.vector, mapping.unused) == ('vector[""]', (("vector.b", "sparse vectors"),))
    batch = loaded(jsonl(tmp_path, row), ColumnChoice())
    assert batch.vectors is not None
    assert (batch.vectors.tolist(), batch.metadata) == ([V], [{"n": 1}])


def test_named_vectors_are_found_without_a_known_shape(tmp_path: Path) -> None:
    row = {"id": "a", "embeddings": {"x": V}, "n": 1}
    batch = loaded(jsonl(tmp_path, row), ColumnChoice())
    assert batch.metadata == [{"n": 1}]
    several = jsonl(tmp_path, {**row, "embeddings": {"x": V, "y": V}})
    with pytest.raises(MappingError, match=r"could be the vector: 'embeddings\.x' .*'embeddings\.y' "):
        chosen(several, ColumnChoice())


SPARSE = [None, {"indices": [1], "values": [0.5]}, {"indices": [], "values": []}]


def sparse_parquet(folder: Path) -> Path:
    kind = pa.struct([("indices", pa.list_(pa.int64())), ("values", pa.list_(pa.float64()))])
    columns = {"id": ["a", "b", "c"], "values": [V] * 3, "sparse_values": pa.array(SPARSE, kind)}
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return folder / "rows.parquet"


def sparse_jsonl(folder: Path) -> Path:
    return jsonl(
        folder, *({"id": i, "values": V, "sparse_values": s} for i, s in zip("abc", SPARSE, strict=True))
    )


@pytest.mark.parametrize("write", [sparse_parquet, sparse_jsonl])
def test_sparse_values_with_anything_in_them_are_a_reject(tmp_path: Path, write: Any) -> None:
    batch = loaded(write(tmp_path), ColumnChoice())
    assert (batch.ids, batch.metadata) == (["a", "c"], None)
    assert [(r.row, r.field, r.code) for r in batch.rejects] == [(1, "vector", "sparse")]
    dense = loaded(write(tmp_path), ColumnChoice(excluded=("sparse_values",)))
    assert (dense.ids, dense.metadata, dense.rejects) == (["a", "b", "c"], None, ())


def test_what_tells_of_the_export_is_no_metadata(tmp_path: Path) -> None:
    assert loaded(jsonl(tmp_path, {**NODE, "mine": 1}), ColumnChoice()).metadata == [{"n": 1, "mine": 1}]
    assert loaded(jsonl(tmp_path, {**SERIALISED, "embedding": V}), ColumnChoice()).metadata is None


def test_every_part_says_why_it_was_chosen(tmp_path: Path) -> None:
    why = chosen(jsonl(tmp_path, {"id": "a", "v": V, "text": "t", "meta": {}}), ColumnChoice()).reasons
    assert (why.id, why.vector) == ("its name", "its name")
    assert (why.contents, why.metadata) == ("its name", "its name; every column left over")
    why = chosen(jsonl(tmp_path, NODE), ColumnChoice(contents="id_", id="text")).reasons
    assert (why.id, why.vector, why.contents) == (
        "--id-column",
        "the recipe llamaindex",
        "--contents-column",
    )
    assert why.metadata == "the recipe llamaindex; every column left over"
    why = chosen(
        jsonl(tmp_path, {"id": "a", "v": V, "embedding": V, "n": 1}), ColumnChoice(metadata=("n",))
    ).reasons
    assert (why.vector, why.contents, why.metadata) == ("its name", "", "--metadata-column")
