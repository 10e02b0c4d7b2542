"""Files that looked harmless, and loaded the wrong vector or sent private text in clear: now they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vecload.batch import Reject
from vecload.errors import MappingError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice
from vecload.readers import open_sources

V = [0.5, -0.25, 0.125, 0.75, -0.5, 0.25, 0.0625, -0.125]
PRIVATE = "a SECRET text"


def rejects(path: Path, **choice: Any) -> list[Reject]:
    """What a load would reject of a file; that nothing secret is in the metadata of the rest."""
    plan = make_plan(open_sources([str(path)]), ColumnChoice(**choice), embed=False)
    (job,) = plan.jobs(index_dimension=0, allow_zero_vectors=False)
    found: list[Reject] = []
    for rows in job.source.read(batch_rows=50, batch_bytes=10**7):
        batch = job.mapper.map(rows)
        assert "SECRET" not in json.dumps(batch.metadata)
        found += batch.rejects
    return found


def stop(*paths: Path, **choice: Any) -> str:
    with pytest.raises(MappingError) as failed:
        make_plan(open_sources([str(path) for path in paths]), ColumnChoice(**choice), embed=False)
    return str(failed.value)


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_text_that_comes_late_in_a_json_document_is_no_metadata(tmp_path: Path) -> None:
    rows = [{"id": f"r{n}", "embedding": V} for n in range(105)] + [
        {"id": "last", "embedding": V, "text": PRIVATE}
    ]
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    assert [(r.row, r.code) for r in rejects(path)] == [(105, "late-column")]
    assert rejects(path, contents="text") == []
    assert rejects(path, excluded=("text",)) == []


LATE: list[tuple[Any, Any, pa.DataType]] = [
    ("", PRIVATE, pa.string()),
    (" ", PRIVATE, pa.string()),
    (None, [PRIVATE], pa.list_(pa.string())),
    (["", ""], [PRIVATE], pa.list_(pa.string())),
    (None, [{"text": PRIVATE}], pa.list_(pa.struct([("text", pa.string())]))),
    (None, json.dumps({"text": PRIVATE}), pa.string()),
    ("x", json.dumps([{"text": PRIVATE}]), pa.string()),
]


@pytest.mark.parametrize(("first", "last", "kind"), LATE)
def test_a_column_of_parquet_that_is_empty_at_first_does_not_leak_later(
    tmp_path: Path, first: Any, last: Any, kind: pa.DataType
) -> None:
    name = (
        "text"
        if kind in (pa.string(), pa.list_(pa.string())) and last != json.dumps({"text": PRIVATE})
        else "docs"
    )
    columns = {
        "id": [f"r{n}" for n in range(106)],
        "embedding": [V] * 106,
        "body": ["b"] * 106,
        name: pa.array([first] * 105 + [last], kind),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    try:
        found = rejects(tmp_path / "a.parquet")
    except MappingError:
        return
    assert [(r.row, r.code) for r in found] == [(105, "late-column")]


@pytest.mark.parametrize(
    "embedding",
    [
        "0.01,-0.02,0.03",
        "0.01 -0.02 0.03",
        np.array(V, "<f4").tobytes().hex(),
        [V, V],
        {"indices": [1, 5], "values": [0.5, 0.25]},
        [],
        "",
        {},
        "NaN",
        [None, None],
        [True, False],
    ],
)
def test_a_column_named_like_a_vector_is_never_passed_over_for_a_nameless_list(
    tmp_path: Path, embedding: Any
) -> None:
    path = lines(
        tmp_path / "a.jsonl", *({"id": f"r{n}", "embedding": embedding, "hidden": V} for n in range(3))
    )
    assert "'embedding'" in stop(path)


@pytest.mark.parametrize("name", ["embedding_title", "emb_b", "content_embedding"])
def test_a_qualified_name_that_is_null_at_first_is_one_of_them(tmp_path: Path, name: str) -> None:
    path = lines(
        tmp_path / "a.jsonl", {"id": "a", name: None, "hidden": V}, {"id": "b", name: None, "hidden": V}
    )
    assert f"{name!r} (null in the first rows), 'hidden'" in stop(path)


@pytest.mark.parametrize(
    ("embedding", "says"),
    [
        (np.array(V, "<f4").tobytes().hex(), "hexadecimal"),
        ("0.01,-0.02,0.03", "without brackets"),
        ("data:application/octet-stream;base64,AAAA", "data: URL"),
        ([True, False], "booleans"),
    ],
)
def test_a_named_column_that_holds_no_vector_says_what_it_holds(
    tmp_path: Path, embedding: Any, says: str
) -> None:
    path = lines(tmp_path / "a.jsonl", *({"id": f"r{n}", "embedding": embedding} for n in range(3)))
    for choice in ({}, {"vector": "embedding"}):
        assert says in stop(path, **choice)


@pytest.mark.parametrize(
    "row",
    [
        {"meta": {"doc": {"body": {"raw": PRIVATE}}}},
        {"blob": {"data": PRIVATE}},
        {"extra": json.dumps({"text": PRIVATE})},
        {"extra": json.dumps([{"text": PRIVATE}])},
        {"extra": [json.dumps({"text": PRIVATE})]},
        {"extra": [[{"text": PRIVATE}]]},
        {"extra": [{"n": 1}, {"text": PRIVATE}]},
        {"text": [None, PRIVATE]},
        {"text": {"en": PRIVATE}},
        {"content": {"rendered": PRIVATE}},
        {"messages": [{"parts": [PRIVATE]}]},
        {"extra": json.dumps(json.dumps({"text": PRIVATE}))[1:-1].replace('\\"', '"')},
        {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {"j": {"text": PRIVATE}}}}}}}}}}},
    ],
)
@pytest.mark.parametrize("rows", [1, 105])
def test_private_text_leaves_from_no_corner_of_a_row(tmp_path: Path, row: dict[str, Any], rows: int) -> None:
    plain = [{"id": f"r{n}", "embedding": V, "body": "b"} for n in range(rows)]
    path = lines(tmp_path / "a.jsonl", *plain, {"id": "last", "embedding": V, "body": "b", **row})
    try:
        found = rejects(path)
    except MappingError:
        return  # nothing is loaded
    assert [(r.id, r.code) for r in found] == [("last", "late-column")]


def test_what_is_named_as_contents_is_contents_inside_the_metadata_too(tmp_path: Path) -> None:
    row = {"id": "a", "embedding": V, "summary": "s", "meta": json.dumps({"summary": PRIVATE})}
    assert [r.code for r in rejects(lines(tmp_path / "a.jsonl", row), contents="summary")] == ["late-column"]


def test_a_list_that_was_named_as_metadata_may_be_clear(tmp_path: Path) -> None:
    row = {"id": "a", "embedding": V, "messages": [{"role": "user", "content": "clear"}], "n": 1}
    path = lines(tmp_path / "a.jsonl", row)
    hint = stop(path)
    assert "--metadata-exclude messages" in hint
    assert "--metadata-column messages" in hint
    assert rejects(path, metadata=("messages", "n")) == []
    assert rejects(path, excluded=("messages",)) == []


def test_sources_with_two_embeddings_are_no_one_load(tmp_path: Path) -> None:
    one = lines(tmp_path / "a.jsonl", {"id": "a", "title_embedding": V})
    other = lines(tmp_path / "b.jsonl", {"id": "b", "body_embedding": V})
    assert "which may be different embeddings" in stop(one, other)
    other = lines(tmp_path / "b.jsonl", {"id": "b", "embedding_v2": V})
    assert make_plan(open_sources([str(one), str(other)]), ColumnChoice(), embed=False).dimension == 8


def test_a_tensor_of_two_dimensions_is_no_vector(tmp_path: Path) -> None:
    kind = pa.fixed_shape_tensor(pa.float32(), (2, 4))
    tensor = pa.ExtensionArray.from_storage(kind, pa.array([V], pa.list_(pa.float32(), 8)))
    table = pa.table({"id": ["a"], "embedding": tensor})
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as file:
        file.write_table(table)
    assert "multi-vector" in stop(tmp_path / "a.arrow")
