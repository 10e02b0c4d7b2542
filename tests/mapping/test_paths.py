"""The language of paths: what a text means, what is found by it, and what an error says."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mapping.test_nested_rows import chosen, jsonl, loaded, parquet
from vecload.errors import MappingError
from vecload.mapping import ColumnChoice
from vecload.mapping.arrow_values import elements_at, plain
from vecload.mapping.columns import columns_of, find, missing_error
from vecload.mapping.paths import PathError, dig, path_of, steps_of


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ("a b.c-d.$e", ("a b", "c-d", "$e")),
        ("a[0].b", ("a", "[0]", "b")),
        ("a[007]", ("a", "[7]")),
        ("a[].b", ("a", "[]", "b")),
        ("a[*].b", ("a", "[*]", "b")),
        ('vector[""]', ("vector", "")),
        ('"a.b".c', ("a.b", "c")),
        ('a."b.c"', ("a", "b.c")),
        ('a["b[0]"][1]', ("a", "b[0]", "[1]")),
        (r'a["say \"so\""]', ("a", 'say "so"')),
        ("data.Get[*][]._id", ("data", "Get", "[*]", "[]", "_id")),
    ],
)
def test_a_path_is_steps(path: str, steps: tuple[str, ...]) -> None:
    assert steps_of(path) == steps
    assert steps_of(path_of(steps)) == steps or len(steps) == 1


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("", "is empty"),
        ("[0]", "begins with brackets"),
        (".a", "no name at character 1"),
        ("a.", "no name at character 3"),
        ("a..b", "no name at character 3"),
        ("a[", "'[' at character 2 that is not closed"),
        ('a["b', "'[' at character 2 that is not closed"),
        ("a[b]", "'[b]' at character 2"),
        ("a[-1]", "'[-1]' at character 2"),
        ("a[1234567890]", "'[1234567890]' at character 2"),
        ("a]", "']' at character 2"),
        ("a[0]b", "'b' at character 5 where a dot"),
        (r'a["\ud800"]', "quoted name at character 3"),
    ],
)
def test_what_is_no_path_says_where(path: str, says: str) -> None:
    with pytest.raises(PathError, match=r".") as failed:
        steps_of(path)
    assert says in str(failed.value)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.lists(NAMES | st.sampled_from(["[0]", "[12]"]), min_size=2, max_size=5))
def test_every_field_has_a_path_that_leads_to_it(steps: list[str]) -> None:
    first, *rest = steps
    # A name that looks like brackets is written in quotes only as a column.
    rest = [step if step not in ("[]", "[*]", "[key]") else "x" for step in rest]
    assert steps_of(path_of((first or "x", *rest))) == (first or "x", *rest)


@given(st.text(max_size=20) | st.text(alphabet='ab.[]*"\\0 ', max_size=20))
def test_any_text_is_a_path_or_one_error(path: str) -> None:
    columns = columns_of([{"a": {"b": [{"c": 1}]}, "b": "x"}])
    with suppress(PathError):
        steps_of(path)
    found = find(columns, path)
    if found is None:
        said = missing_error(columns, path, "f", "--id-column")
        assert said.hint


ROW: dict[str, Any] = {
    "id": "a",
    "deep": {"a.b": {"[0]": "x"}, "list": [{"v": [0.5, 1.0], "t": "one"}, {"v": [0.25, 2.0], "t": "two"}]},
    "": {"": "empty"},
}


def arrow(folder: Path, *rows: dict[str, Any]) -> Path:
    kind = pa.struct([("v", pa.list_(pa.float32())), ("t", pa.string())])
    deep = pa.struct([("a.b", pa.struct([("[0]", pa.string())])), ("list", pa.list_(kind))])
    schema = pa.schema([("id", pa.string()), ("deep", deep)])
    pq.write_table(pa.Table.from_pylist(list(rows), schema), folder / "rows.parquet")
    return folder / "rows.parquet"


@pytest.mark.parametrize("write", [jsonl, arrow, parquet])
def test_one_language_for_json_and_nested_parquet(tmp_path: Path, write: Any) -> None:
    choice = ColumnChoice(
        vector="deep.list[1].v", contents="deep.list[1].t", metadata=('deep["a.b"]["[0]"]',)
    )
    short = {**ROW, "id": "b", "deep": {**ROW["deep"], "list": ROW["deep"]["list"][:1]}}
    batch = loaded(write(tmp_path, ROW, short), choice)
    assert batch.vectors is not None
    assert (batch.ids, batch.vectors.tolist(), batch.contents) == (["a"], [[0.25, 2.0]], ["two"])
    assert batch.metadata == [{'deep["a.b"]["[0]"]': "x"}]
    assert [(r.row, r.field, r.code) for r in batch.rejects] == [(1, "vector", "missing")]


@pytest.mark.parametrize("write", [jsonl, arrow])
def test_an_error_lists_what_there_is_at_the_deepest_step(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path, ROW, ROW)
    for wanted, says in (
        ("deep.lost.x", "it has 'deep[\"a.b\"]', 'deep.list'"),
        ("deep.list[0].w", "it has 'deep.list[0].v', 'deep.list[0].t'"),
        ("deep.list.w", "it has 'deep.list[].v', 'deep.list[].t'"),
        ("nothing", "it has 'id', 'deep'"),
        ("deep[", "as a path it has a '[' at character 5 that is not closed"),
    ):
        with pytest.raises(MappingError) as failed:
            chosen(path, ColumnChoice(vector=wanted))
        assert says in str(failed.value)


@pytest.mark.parametrize("write", [jsonl, parquet])
def test_paths_rename_and_exclude_fields(tmp_path: Path, write: Any) -> None:
    row = {"id": "a", "vector": [1.0, 2.0], "payload": {"lang": "en", "in": {"x": 1, "y": 2}}, "o": {"z": 3}}
    choice = ColumnChoice(
        renamed=(("payload.lang", "language"), ("payload.in.x", "first"), ("o.z", "last")),
        excluded=("payload.in.y",),
    )
    assert loaded(write(tmp_path, row), choice).metadata == [
        {"language": "en", "in": {"first": 1}, "o": {"last": 3}}
    ]


def test_dig_goes_through_json_text() -> None:
    value = {"a": json.dumps({"b": [{"": 5}]})}
    assert dig(value, steps_of('a.b[0][""]')) == 5
    assert dig(value, steps_of("a.b[1].c")) is None


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.int64()),
        pa.large_list(pa.int64()),
        pa.list_(pa.int64(), 2),
        pa.list_view(pa.int64()),
    ],
)
def test_an_element_of_each_arrow_list(kind: pa.DataType) -> None:
    whole = pa.array([[9, 9], [1, 2], None, [3, 4], [5, 6]], kind)
    for array in (whole, whole.slice(1, 3)):
        array = plain(array)
        wanted = [None if value is None else value[1] for value in array.to_pylist()]
        assert elements_at(array, 1).to_pylist() == wanted
        assert elements_at(array, 2).to_pylist() == [None] * len(array)


@pytest.mark.parametrize("write", [jsonl, parquet])
def test_a_column_may_be_named_in_quotes(tmp_path: Path, write: Any) -> None:
    row = {"k.1": "a", "v[0]": [1.0, 2.0], "t.t": "text", "m": 1, "x.y": 2}
    choice = ColumnChoice(id='"k.1"', vector='"v[0]"', contents='"t.t"', excluded=('"x.y"',))
    batch = loaded(write(tmp_path, row), choice)
    assert (batch.ids, batch.contents, batch.metadata) == (["a"], ["text"], [{"m": 1}])
