"""JSON whose later rows have fields that the first rows don't have, or have as null."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vecload.batch import Batch
from vecload.errors import MappingError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice, ColumnMapping
from vecload.readers import open_sources

FIRST: dict[str, Any] = {"vector": [1.5, 2.0], "n": 1}


def mapped(
    path: Path, last: dict[str, Any], *, first: dict[str, Any] = FIRST, rows: int = 100, **choice: Any
) -> tuple[ColumnMapping, Batch]:
    """The mapping of so many rows alike and a last one, and what becomes of the last one."""
    lines = [*({**first, "id": f"r{n}"} for n in range(rows)), {"vector": [1.5, 2.0], "id": "last", **last}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    plan = make_plan(open_sources([str(path)]), ColumnChoice(**choice), embed=False, dimension=2)
    (job,) = plan.jobs(index_dimension=0, allow_zero_vectors=False)
    *_, batch = (job.mapper.map(each) for each in job.source.read(batch_rows=rows, batch_bytes=10**6))
    return job.mapper.mapping, batch


@pytest.fixture(params=["a.jsonl", "year=1/a.jsonl"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    found = tmp_path / str(request.param)
    found.parent.mkdir(exist_ok=True)
    return found


def test_a_named_column_may_come_after_the_first_rows(path: Path) -> None:
    last = {"story": "s", "of": {"who": "w", "secret": 1}, "secret": 1, "year": 2}
    choice = {"contents": "story", "excluded": ("secret", "of.secret")}
    _, batch = mapped(path, last, **choice)
    assert batch.contents == ["s"]
    assert batch.metadata == [{"of": {"who": "w"}, "year": 2}]
    _, batch = mapped(path, last, metadata=("of.who", "year"), contents="story")
    assert (batch.contents, batch.metadata) == (["s"], [{"of.who": "w", "year": 2}])


def test_a_name_left_out_is_left_out_of_the_metadata_object_too(path: Path) -> None:
    first = {**FIRST, "metadata": {"n": 1}}
    for excluded in ("secret", "metadata.secret"):
        _, batch = mapped(path, {"metadata": {"n": 2, "secret": 3}}, first=first, excluded=(excluded,))
        assert [{**(entries or {}), "year": 1} for entries in batch.metadata or ()] == [{"n": 2, "year": 1}]


def test_what_the_whole_file_does_not_have_is_a_slip_of_the_pen(path: Path) -> None:
    for choice in ({"contents": "story"}, {"excluded": ("story",)}, {"metadata": ("story",)}):
        with pytest.raises(MappingError, match="'story'"):
            mapped(path, {"n": 2}, rows=99, **choice)


def test_contents_of_another_name_are_not_passed_over_for_a_slip_of_the_pen(path: Path) -> None:
    first = {**FIRST, "text": "t"}
    with pytest.raises(MappingError) as failed:
        mapped(path, {}, first=first, contents="txet")
    assert "no column 'txet' (--contents-column) in its first rows, but it has 'text'; name that" in str(
        failed.value
    )
    mapping, _ = mapped(path, {"txet": "x"}, first=first, contents="txet", excluded=("text",))
    assert mapping.contents == "txet"


def test_an_object_that_is_null_in_the_first_rows_is_spread(path: Path) -> None:
    _, batch = mapped(path, {"metadata": {"x": 1}, "year": 2}, first={**FIRST, "metadata": None})
    assert batch.metadata == [{"x": 1, "year": 2}]


@pytest.mark.parametrize("name", ["text", "content", "page_content", "Text", "TEXT"])
@pytest.mark.parametrize("value", ["sealed?", {"$bytes": "AAAA"}])
def test_text_named_like_contents_that_comes_late_is_no_metadata(path: Path, name: str, value: Any) -> None:
    _, batch = mapped(path, {name: value})
    (reject,) = batch.rejects
    assert (reject.field, reject.code, reject.row) == ("contents", "late-column", 100)
    assert f"text in {name!r} that would be stored unsealed" in reject.message
    assert "--contents-column" in reject.message
    _, batch = mapped(path, {name: value, "year": 1}, contents=name)
    assert batch.contents == [value if isinstance(value, str) else b"\0\0\0"]
    _, batch = mapped(path, {name: value, "year": 1}, excluded=(name,))
    assert (batch.contents, batch.metadata) == (None, [{"year": 1}])


def test_late_fields_that_are_no_contents_are_metadata(path: Path) -> None:
    last = {"title": "t", "year": 1}
    assert mapped(path, {**last, "text": 5})[1].metadata == [{**last, "text": 5}]
    assert mapped(path, {**last, "text": None})[1].rejects == ()
    assert mapped(path, {**last, "text": "t"}, metadata=("title", "text"))[1].metadata == [
        {"title": "t", "text": "t"}
    ]


@pytest.mark.parametrize(
    ("last", "name"),
    [
        ({"text": "t"}, "text"),
        ({"meta": {"n": 1, "text": "t"}}, "text"),
        ({"of": {"deep": {"page_content": "t"}}}, "of.deep.page_content"),
        ({"of": [{"body": "t"}]}, "of[].body"),
        ({"text": ["t"]}, "text[]"),
        ({"chunk_text": "t"}, "chunk_text"),
    ],
)
def test_late_text_is_no_metadata_next_to_contents_nor_inside_an_object(
    path: Path, last: dict[str, Any], name: str
) -> None:
    first = {**FIRST, "body": "b", "meta": {"n": 1}}
    _, batch = mapped(path, {"body": "b", **last}, first=first)
    assert [(r.row, r.field, r.code) for r in batch.rejects] == [(100, "contents", "late-column")]
    assert f"text in {name!r} (or meta.{name}) that would be stored unsealed" in batch.rejects[0].message
    assert mapped(path, {"body": "b", "page": "t"}, first=first)[1].rejects == ()


def test_late_text_in_the_json_text_of_parquet_is_no_metadata(tmp_path: Path) -> None:
    texts = [json.dumps({"n": n}) for n in range(100)] + [json.dumps({"text": "private"})]
    table = pa.table({"id": [f"r{n}" for n in range(101)], "vector": [[1.5, 2.0]] * 101, "payload": texts})
    pq.write_table(table, tmp_path / "a.parquet")
    plan = make_plan(open_sources([str(tmp_path / "a.parquet")]), ColumnChoice(), embed=False)
    (job,) = plan.jobs(index_dimension=0, allow_zero_vectors=False)
    (batch,) = (job.mapper.map(rows) for rows in job.source.read(batch_rows=200, batch_bytes=10**6))
    assert [(r.row, r.code) for r in batch.rejects] == [(100, "late-column")]


def test_a_dimension_that_is_named_is_that_of_vectors_which_come_late(path: Path) -> None:
    _, batch = mapped(path, {"v": [3.0, 4.0]}, first={"v": None}, vector="v")
    assert batch.vectors is not None
    assert batch.vectors.tolist() == [[3, 4]]
    with pytest.raises(MappingError, match="--dimension"):
        make_plan(open_sources([str(path)]), ColumnChoice(vector="v"), embed=False)
