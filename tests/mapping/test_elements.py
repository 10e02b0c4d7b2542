"""Paths into lists and maps whose elements are rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.mapping.test_nested_rows import jsonl
from vecload.batch import Batch, Span
from vecload.errors import MappingError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice
from vecload.readers import ReadOptions, open_sources
from vecload.recipes.known import RecipeChoice


def loaded(path: Path, done: tuple[Span, ...] = (), batch_rows: int = 100, **named: Any) -> list[Batch]:
    """All rows, as the real flow maps them."""
    choice = ColumnChoice(**named)
    paths = (*choice.ids, choice.vector or "", *choice.all_contents, *choice.metadata)
    recipes = RecipeChoice(paths=tuple(filter(None, paths)))
    sources = open_sources([str(path)], ReadOptions(recipes=recipes))
    (job,) = make_plan(sources, choice, embed=False).jobs(index_dimension=0, allow_zero_vectors=False)
    batches = job.source.batches(job.mapper, batch_rows=batch_rows, batch_bytes=2**20, done=done)
    return [*batches]


LINES = [
    {"doc": "a", "lang": "en", "parts": [{"n": n, "v": [n, 1], "t": f"text {n}"} for n in range(5)]},
    {"doc": "b", "lang": "de", "parts": []},
    {"doc": "c", "lang": "de", "parts": [{"n": 7, "v": [7, 2**64], "t": "text 7"}]},
]
NAMED: dict[str, Any] = {
    "id": "doc",
    "more_ids": ("parts[].n",),
    "vector": "parts[].v",
    "contents": "parts[].t",
}


def test_each_element_of_a_list_is_a_row(tmp_path: Path) -> None:
    (batch,) = loaded(jsonl(tmp_path, *LINES), **NAMED)
    assert batch.ids == ["a:0", "a:1", "a:2", "a:3", "a:4", "c:7"]
    assert batch.contents == [f"text {n}" for n in (0, 1, 2, 3, 4, 7)]
    assert batch.metadata == [{"lang": "en"}] * 5 + [{"lang": "de"}]
    assert batch.vectors is not None
    assert batch.vectors.tolist()[-1] == [7.0, 2.0**64]
    assert [(r.row, r.code, r.message) for r in batch.rejects] == [(5, "no-rows", "has nothing in 'parts[]'")]


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 100])
def test_a_load_resumes_within_a_line(tmp_path: Path, batch_rows: int) -> None:
    path = jsonl(tmp_path, *LINES)
    batches = loaded(path, batch_rows=batch_rows, **NAMED)
    spans = [batch.span for batch in batches]
    whole = [item for batch in batches for item in batch.ids]
    assert whole == ["a:0", "a:1", "a:2", "a:3", "a:4", "c:7"]
    assert [span.start for span in spans[1:]] == [span.stop for span in spans[:-1]]
    for left in range(len(spans)):
        done = tuple(span for span in spans if span != spans[left])
        again = [
            item for batch in loaded(path, done=done, batch_rows=batch_rows, **NAMED) for item in batch.ids
        ]
        assert again == batches[left].ids


def parquet_of_groups(folder: Path, *rows: dict[str, Any]) -> Path:
    part = pa.struct([("n", pa.int64()), ("v", pa.list_(pa.float32())), ("t", pa.string())])
    schema = pa.schema([("doc", pa.string()), ("lang", pa.string()), ("parts", pa.list_(part))])
    pq.write_table(
        pa.Table.from_pylist(json.loads(json.dumps(rows).replace(str(2**64), "2.0")), schema),
        folder / "rows.parquet",
        row_group_size=2,
    )
    return folder / "rows.parquet"


def test_each_element_of_parquet_is_a_row_and_loads_resume(tmp_path: Path) -> None:
    path = parquet_of_groups(tmp_path, *LINES, {"doc": "d", "lang": "en", "parts": None})
    (batch,) = loaded(path, **NAMED)
    assert batch.ids == ["a:0", "a:1", "a:2", "a:3", "a:4", "c:7"]
    assert batch.contents == [f"text {n}" for n in (0, 1, 2, 3, 4, 7)]
    assert batch.metadata == [{"lang": "en"}] * 5 + [{"lang": "de"}]
    assert [(r.row, r.field, r.code) for r in batch.rejects] == [(5, "id", "missing"), (7, "id", "missing")]
    batches = loaded(path, batch_rows=2, **NAMED)
    spans = [one.span for one in batches]
    assert [(span.start, span.stop) for span in spans] == [(0, 2), (2, 4), (4, 6), (6, 8)]
    for left in range(len(spans)):
        done = tuple(span for span in spans if span != spans[left])
        again = [item for one in loaded(path, done=done, batch_rows=2, **NAMED) for item in one.ids]
        assert again == batches[left].ids


def test_elements_inside_structs_of_parquet_are_rows_too(tmp_path: Path) -> None:
    rows = [{"id": "a", "deep": {"x": 1, "list": [{"v": [1.0, 2.0]}, {"v": [3.0, 4.0]}]}}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (batch,) = loaded(tmp_path / "rows.parquet", id="id", vector="deep.list[].v")
    assert batch.vectors is not None
    assert (batch.vectors.tolist(), batch.metadata) == ([[1, 2], [3, 4]], [{"deep": {"x": 1}}] * 2)
    with pytest.raises(MappingError, match=r"has no list 'deep\.x' whose elements could be rows"):
        loaded(tmp_path / "rows.parquet", id="id", vector="deep.x[].v")


@pytest.mark.parametrize("indent", [None, 1])
def test_each_entry_of_a_map_is_a_row_and_its_key_the_id(tmp_path: Path, indent: int | None) -> None:
    document = {"space": "n", "items": {"a.b": {"v": [1, 2], "x": 1}, "": {"v": [3, 4]}, "c": {"v": [5, 6]}}}
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(document, indent=indent))
    (batch,) = loaded(path, id="items[*]", vector="items[*].v", metadata=("items[*].x", "space"))
    assert batch.ids == ["a.b", "c"]
    assert batch.metadata == [{"items[*].x": 1, "space": "n"}, {"items[*].x": None, "space": "n"}]
    assert [(r.row, r.code) for r in batch.rejects] == [(1, "empty-id")]


def test_elements_of_two_lists_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"goes through .*; the elements of one list can be rows"):
        loaded(jsonl(tmp_path, *LINES), id="a[].b", vector="parts[].v")


def test_a_column_with_brackets_in_its_name_is_a_column(tmp_path: Path) -> None:
    row = {"id[]": "a", "v[]": [1, 2], "n": 3}
    (batch,) = loaded(jsonl(tmp_path, row), id="id[]", vector="v[]")
    assert (batch.ids, batch.metadata) == (["a"], [{"n": 3}])
