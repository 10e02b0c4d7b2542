"""Names of an index's policies: those that are nowhere are refused before an index is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.command import vecload
from vecload.errors import MappingError
from vecload.loading.index_checks import check_policy_names
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice
from vecload.readers import open_sources

ROW: dict[str, Any] = {
    "id": "a",
    "vector": [0.5, 1.5],
    "text": "contents",
    "title": "t",
    "nothing": None,
    "about": {"author": {"name": "n"}, "year": 2024},
    "metadata": {"lang": "en", "deep": {"x": 1}},
}
THERE = ["title", "nothing", "about", "about.author", "about.author.name", "about.year", "lang", "deep.x"]
NOT_THERE = [
    "titel",
    "about.authr",
    "about.author.name.x",
    "text",
    "id",
    "vector",
    "metadata",
    "metadata.lang",
    "year",
    "x",
]


def jsonl(folder: Path, rows: int, **more: Any) -> Path:
    path = folder / f"rows-{rows}.jsonl"
    path.write_text("".join(json.dumps({**ROW, "id": str(i), **more}) + "\n" for i in range(rows)))
    return path


def parquet(folder: Path, rows: int, **more: Any) -> Path:
    path = folder / f"rows-{rows}.parquet"
    pq.write_table(pa.Table.from_pylist([{**ROW, "id": str(i), **more} for i in range(rows)]), path)
    return path


def check(*paths: Path, choice: ColumnChoice = ColumnChoice(), **policies: list[str]) -> None:  # noqa: B008 a frozen value
    plan = make_plan(open_sources([*map(str, paths)]), choice, embed=False)
    check_policy_names(plan, {f"--{flag}": names for flag, names in policies.items()})


@pytest.mark.parametrize("name", THERE)
@pytest.mark.parametrize("write", [jsonl, parquet])
def test_a_field_that_is_there_is_fine(tmp_path: Path, write: Any, name: str) -> None:
    check(write(tmp_path, 3), unfilterable=[name])


@pytest.mark.parametrize("name", NOT_THERE)
@pytest.mark.parametrize("write", [jsonl, parquet])
def test_a_field_that_is_nowhere_is_refused_and_what_there_is_is_listed(
    tmp_path: Path, write: Any, name: str
) -> None:
    with pytest.raises(MappingError, match=r"has no metadata .* \(--pattern\); it has .*'title'") as raised:
        check(write(tmp_path, 3), unfilterable=["title"], pattern=[name])
    assert repr(name) in str(raised.value)


def test_where_more_rows_may_bring_more_fields_any_name_is_taken(tmp_path: Path) -> None:
    check(jsonl(tmp_path, 101), unfilterable=["titel"])
    with pytest.raises(MappingError):
        check(jsonl(tmp_path, 100), unfilterable=["titel"])
    with pytest.raises(MappingError):
        check(parquet(tmp_path, 101), unfilterable=["titel"])
    text = {"metadata": json.dumps(ROW["metadata"])}
    check(parquet(tmp_path, 101, **text), unfilterable=["titel"])
    with pytest.raises(MappingError):
        check(parquet(tmp_path, 100, **text), unfilterable=["titel"])


def test_one_source_that_has_it_is_enough(tmp_path: Path) -> None:
    both = jsonl(tmp_path, 2), parquet(tmp_path, 3, other=1)
    check(*both, unfilterable=["other"])
    with pytest.raises(MappingError, match="no source has metadata 'othr'"):
        check(*both, unfilterable=["othr"])


@pytest.mark.parametrize("write", [jsonl, parquet])
def test_a_renamed_field_goes_by_its_new_name(tmp_path: Path, write: Any) -> None:
    choice = ColumnChoice(renamed=(("title", "heading"), ("lang", "language")))
    check(write(tmp_path, 3), choice=choice, unfilterable=["heading", "language"])
    for name in ("title", "lang"):
        with pytest.raises(MappingError):
            check(write(tmp_path, 3), choice=choice, unfilterable=[name])


def test_fields_of_maps_can_have_any_name(tmp_path: Path) -> None:
    maps = pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string()))
    table = pa.table({"id": ["a"], "vector": [[1.0, 2.0]], "map": maps})
    pq.write_table(table, tmp_path / "map.parquet")
    check(tmp_path / "map.parquet", unfilterable=["map", "map.a", "map.other"])


def test_a_load_stops_before_it_makes_anything_and_inspect_says_so(tmp_path: Path) -> None:
    path, store = parquet(tmp_path, 3), tmp_path / "store"
    for command in ("upsert", "inspect"):
        ended = vecload(command, path, "--to", store, "--index", "i", "--full-text", "titel")
        assert ended.code == 2
        assert "has no metadata 'titel' (--full-text); it has" in ended.out + ended.err
        assert not store.exists() or not (store / "i").exists()
    ended = vecload("upsert", path, "--to", store, "--index", "i", "--full-text", "title")
    assert ended.code == 0
