"""A column and an entry of an object that have one name: one item can't have both of their values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vecload.batch import Batch
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice, Mapper
from vecload.mapping.nested_rows import joined, same
from vecload.readers import open_sources
from vecload.readers.prefetch import batches


def jsonl(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def parquet(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([*rows]), path)
    return path


def text(folder: Path, *rows: dict[str, Any]) -> Path:
    """Objects as JSON text, in Parquet."""
    path = folder / "text.parquet"
    as_text = [{name: json.dumps(v) if isinstance(v, dict) else v for name, v in row.items()} for row in rows]
    pq.write_table(pa.Table.from_pylist(as_text), path)
    return path


WRITERS = pytest.mark.parametrize("write", [jsonl, parquet, text])


def loaded(path: Path, choice: ColumnChoice = ColumnChoice()) -> Batch:  # noqa: B008 a frozen value
    plan = make_plan(open_sources([str(path)]), choice, embed=False)
    mapper = Mapper(plan.mappings[0], plan.dimension)
    (batch,) = batches(plan.sources[0], mapper, batch_rows=1000, batch_bytes=2**30)
    return batch


def row(number: int, lang: Any, **more: Any) -> dict[str, Any]:
    return {"id": str(number), "vector": [0.5, 1.5], "lang": lang, **more}


ROWS = (
    row(0, "en", metadata={"lang": "en", "n": 1}),
    row(1, "fr", metadata={"lang": "en", "n": 2}),
    row(2, "de", metadata={"lang": "de", "n": 3}),
)


@WRITERS
def test_different_values_are_a_reject_and_equal_ones_are_one(tmp_path: Path, write: Any) -> None:
    batch = loaded(write(tmp_path, *ROWS))
    assert batch.metadata == [{"lang": "en", "n": 1}, {"lang": "de", "n": 3}]
    (reject,) = batch.rejects
    assert (reject.row, reject.field, reject.code) == (1, "metadata", "name-taken")
    assert "'lang'" in reject.message
    assert "'metadata'" in reject.message
    assert "fr" not in reject.message


@WRITERS
def test_the_flag_that_the_message_names_settles_it(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path, *ROWS)
    assert "--metadata-exclude metadata.lang" in loaded(path).rejects[0].message
    batch = loaded(path, ColumnChoice(excluded=("metadata.lang",)))
    assert batch.metadata == [{"lang": "en", "n": 1}, {"lang": "fr", "n": 2}, {"lang": "de", "n": 3}]
    assert not batch.rejects


@WRITERS
def test_it_holds_where_fields_are_left_out_or_renamed(tmp_path: Path, write: Any) -> None:
    path = write(tmp_path, *ROWS)
    for choice in (ColumnChoice(excluded=("metadata.n",)), ColumnChoice(renamed=(("n", "m"),))):
        assert [(r.row, r.code) for r in loaded(path, choice).rejects] == [(1, "name-taken")]


@WRITERS
def test_a_new_name_with_the_value_that_is_there_is_fine(tmp_path: Path, write: Any) -> None:
    # Both are renamed, so that the names are not seen to clash before the load.
    choice = ColumnChoice(renamed=(("lang", "l"), ("n", "m")))
    assert [r.row for r in loaded(write(tmp_path, *ROWS), choice).rejects] == [1]
    rows = [{"id": "a", "vector": [0.5, 1.5], "a": "x"}] * 100
    late = jsonl(tmp_path, *rows, {**rows[0], "id": "b", "b": "x"}, {**rows[0], "id": "c", "b": "y"})
    batch = loaded(late, ColumnChoice(renamed=(("a", "b"),)))
    assert [(r.row, r.code) for r in batch.rejects] == [(101, "name-taken")]


def test_a_null_in_json_is_a_value_and_a_null_in_parquet_is_none(tmp_path: Path) -> None:
    rows = (row(0, "fr", metadata={"lang": None, "n": 1}), row(1, "en", metadata={"lang": "en", "n": 1}))
    assert [r.code for r in loaded(jsonl(tmp_path, *rows)).rejects] == ["name-taken"]
    assert [r.code for r in loaded(text(tmp_path, *rows)).rejects] == ["name-taken"]
    batch = loaded(parquet(tmp_path, *rows))
    assert (batch.metadata, batch.rejects) == ([{"lang": "fr", "n": 1}, {"lang": "en", "n": 1}], ())


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ("1", 1, False),
        (None, None, True),
        (None, "", False),
        ([1, [True]], [1.0, [True]], True),
        ([1, [True]], [1, [1]], False),
        ({"a": [1]}, {"a": [1]}, True),
        ({"a": [1]}, {"a": [1], "b": 2}, False),
        (2**70, 2**70, True),
        (2**53, 2.0**53, True),
        (2**53 + 1, 2.0**53, False),
    ],
)
def test_when_two_values_are_the_same(one: Any, other: Any, equal: bool) -> None:
    assert same(one, other) is equal
    assert same(other, one) is equal
    assert joined({"x": 1, "m": one}, {"m": other, "y": 2})[1] == (None if equal else "m")
