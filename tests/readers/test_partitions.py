from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice
from vecload.readers import open_sources
from vecload.readers.added_columns import partition_values


def metadata(folder: Path, **choice: Any) -> dict[str, dict[str, Any] | None]:
    """What every row's metadata become, by id."""
    plan = make_plan(open_sources([str(folder)]), ColumnChoice(**choice), embed=False)
    found: dict[str, dict[str, Any] | None] = {}
    for job in plan.jobs(index_dimension=0, allow_zero_vectors=False):
        for rows in job.source.read(batch_rows=2, batch_bytes=10**6, columns=job.mapper.mapping.needed()):
            batch = job.mapper.map(rows)
            assert batch.rejects == ()
            assert batch.span.source == job.source.name
            found |= dict(zip(batch.ids, batch.metadata or [None] * len(batch), strict=True))
    return found


def write(folder: Path, rows: list[dict[str, Any]], name: str = "part.parquet") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / name)


def row(item_id: str, **more: Any) -> dict[str, Any]:
    return {"id": item_id, "vector": [1.0, 2.0], **more}


def test_what_folders_say_becomes_metadata_typed_as_pyarrow_does(tmp_path: Path) -> None:
    rows = [row("a", year=2024, city="Köln/1"), row("b", year=-7, city=None), row("c", year=None, city="x=y")]
    table = pa.Table.from_pylist(rows)
    ds.write_dataset(
        table, tmp_path / "t", format="parquet", partitioning=["year", "city"], partitioning_flavor="hive"
    )
    assert metadata(tmp_path / "t") == {
        "a": {"year": 2024, "city": "Köln/1"},
        "b": {"year": -7},
        "c": {"city": "x=y"},
    }


def test_one_value_that_is_no_integer_makes_a_key_text_in_every_file(tmp_path: Path) -> None:
    write(tmp_path / "year=2024", [row("a")])
    write(tmp_path / "year=unknown", [row("b")])
    write(tmp_path / "year=__HIVE_DEFAULT_PARTITION__", [row("c")])
    assert metadata(tmp_path) == {"a": {"year": "2024"}, "b": {"year": "unknown"}, "c": None}


@pytest.mark.parametrize("value", ["02134", "00", "-0", "-07", "+1", "1_0", "\u0661", "1" * 19, "1.0", "%20"])
def test_a_value_that_an_integer_would_not_give_back_makes_a_key_text(tmp_path: Path, value: str) -> None:
    write(tmp_path / f"zip={value}", [row("a")])
    write(tmp_path / "zip=10001", [row("b")])
    write(tmp_path / "zip=__HIVE_DEFAULT_PARTITION__", [row("c")])
    assert metadata(tmp_path) == {"a": {"zip": unquote(value)}, "b": {"zip": "10001"}, "c": None}


@pytest.mark.parametrize("value", ["0", "7", "-7", "1" * 18])
def test_a_value_that_is_written_as_an_integer_is_one(tmp_path: Path, value: str) -> None:
    write(tmp_path / f"n={value}", [row("a")])
    assert metadata(tmp_path) == {"a": {"n": int(value)}}


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_column_of_that_name_in_the_file_goes_before_its_folder(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "year=2024"
    write(folder, [row("a", year="own", title="t"), row("b", year="own", title="t")])
    if kind == "jsonl":
        (folder / "part.parquet").unlink()
        (folder / "a.jsonl").write_text('{"id": "a", "vector": [1, 2], "year": "own", "title": "t"}\n')
    assert metadata(tmp_path)["a"] == {"year": "own", "title": "t"}
    assert metadata(tmp_path, metadata=("title",))["a"] == {"title": "t"}


def test_what_a_folder_says_may_be_picked_like_any_column(tmp_path: Path) -> None:
    write(tmp_path / "lang=de" / "doc=d1", [{"vector": [1.0], "title": "t", "metadata": {"lang": "inner"}}])
    assert metadata(tmp_path, id="doc") == {"d1": {"lang": "inner", "title": "t"}}
    assert metadata(tmp_path, id="doc", metadata=("lang",)) == {"d1": {"lang": "de"}}


@pytest.mark.parametrize("key", ["id", "text", "metadata", "meta", "vector"])
def test_what_a_folder_says_is_never_guessed_to_be_another_part(tmp_path: Path, key: str) -> None:
    write(tmp_path / f"{key}=exp1", [{"_id": "a", "emb": [1.0], "body": "contents"}])
    (mapping,) = make_plan(open_sources([str(tmp_path)]), ColumnChoice(), embed=False).mappings
    assert (mapping.id, mapping.vector, mapping.contents) == ("_id", "emb", "body")
    assert metadata(tmp_path) == {"a": {key: "exp1"}}
    assert metadata(tmp_path, metadata=(key,)) == {"a": {key: "exp1"}}


@pytest.mark.parametrize("key", ["id", "text", "metadata", "vector"])
def test_the_files_own_parts_go_before_folders_of_their_names(tmp_path: Path, key: str) -> None:
    folder = tmp_path / f"{key}=7"
    write(folder, [row("a", text="one", metadata={"n": 1}), row("b", text=None, metadata=None)])
    (job,) = make_plan(open_sources([str(tmp_path)]), ColumnChoice(), embed=False).jobs(
        index_dimension=0, allow_zero_vectors=False
    )
    (rows,) = job.source.read(batch_rows=9, batch_bytes=10**6, columns=job.mapper.mapping.needed())
    batch = job.mapper.map(rows)
    assert batch.rejects == ()
    assert (batch.ids, batch.contents) == (["a", "b"], ["one", None])
    assert batch.metadata == [{"n": 1}, None]
    assert batch.vectors is not None
    assert batch.vectors.tolist() == [[1, 2], [1, 2]]


def test_a_null_of_the_files_own_column_stays_null(tmp_path: Path) -> None:
    write(tmp_path / "year=2024", [row("a", year=None), row("b", year=1)])
    assert metadata(tmp_path) == {"a": None, "b": {"year": 1}}


@pytest.mark.parametrize(
    ("path", "named", "found"),
    [
        ("/e=1/d/y=2/m=3/a", "/e=1/d", {"y": "2", "m": "3"}),
        ("/e=1/d/y=2/m=3/a", "/e=1/d/y=2/", {"y": "2", "m": "3"}),
        ("/e=1/d/y=2/m=3/a", "/e=1/d/y=2/m=3", {"m": "3"}),
        ("/e=1/d/y=2/m=3/a", "/e=1/d/y=2/m=3/a", {"y": "2", "m": "3"}),
        ("/e=1/d/a", "/e=1/d/a", {}),
        ("/e=1/d/y=2/x/a", "/e=1/d/*/x/*", {"y": "2"}),
        ("/e=1/d/y=2/m=3/a", "/e=1/d/y=2/m=3/*", {"y": "2", "m": "3"}),
        ("/e=1/d/y=2/m=3/a", "/e=1/d/y=2/m=*/*", {"y": "2", "m": "3"}),
        ("/e=1/d/y=[2]/x/a", "/e=1/d/y=[2]/x/a", {}),
        ("s3://b/e=1/d/y=2/a", "s3://b/e=1/d", {"y": "2"}),
        ("s3://b/e=1/y=2/a", "s3://b/e=1/y=2/a", {"e": "1", "y": "2"}),
        ("/y=2/a", "/", {"y": "2"}),
    ],
)
def test_folders_count_from_what_was_named(path: str, named: str, found: dict[str, str]) -> None:
    assert partition_values(path, named) == found


def test_a_relative_name_counts_like_an_absolute_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "e=1" / "d" / "y=2", [row("a")])
    monkeypatch.chdir(tmp_path / "e=1" / "d" / "y=2")
    for name in (".", "part.parquet", "*.parquet", "../y=2"):
        assert metadata(Path(name)) == {"a": {"y": 2}}
