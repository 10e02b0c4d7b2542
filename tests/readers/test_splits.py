"""Splits: what is planned from footers, and what is read of a file."""

from __future__ import annotations

import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.distributed.conftest import write
from vecload.errors import SourceError, UsageError
from vecload.loading.parts import open_splits
from vecload.readers import ReadOptions, open_sources
from vecload.readers.splits import Split, in_parts, part_of, splits_of


def planned(folder: Path, rows: int) -> list[Split]:
    return splits_of(open_sources([str(folder)]), rows)


def test_row_groups_are_put_together_up_to_the_rows(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [f"a{n}" for n in range(10)], group=3)
    write(tmp_path / "b.parquet", ["b"])
    pq.write_table(pa.table({"id": pa.array([], pa.string())}), tmp_path / "c.parquet")
    found = [(Path(split.uri).name, split.row_groups, split.rows) for split in planned(tmp_path, 5)]
    assert found == [("a.parquet", (0, 1), 6), ("a.parquet", (2, 3), 4), ("b.parquet", (0,), 1)]
    assert planned(tmp_path, 5) == planned(tmp_path, 5)
    whole = [(Path(split.uri).name, split.row_groups) for split in planned(tmp_path, 1000)]
    assert whole == [("a.parquet", (0, 1, 2, 3)), ("b.parquet", (0,))]
    assert [split.row_groups for split in planned(tmp_path, 1)][:4] == [(0,), (1,), (2,), (3,)]


def test_a_split_is_read_with_the_numbers_of_the_rows_of_its_file(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", [f"a{n}" for n in range(10)], group=3)
    (source,) = open_splits([Split(str(file), (1, 2))], ReadOptions())
    assert [(span.start, span.stop) for span in source.only or ()] == [(3, 9)]
    assert source.loaded_rows == 6
    (source,) = open_splits([Split(str(file), (1,)), Split(str(file), (3,))], ReadOptions())
    assert [(span.start, span.stop) for span in source.only or ()] == [(3, 6), (9, 10)]


def test_splits_know_the_columns_of_their_folders(tmp_path: Path) -> None:
    write(tmp_path / "in" / "year=2024" / "lang=en" / "a.parquet", ["a"])
    write(tmp_path / "in" / "year=2025" / "lang=7" / "b.parquet", ["b"])
    first, second = planned(tmp_path / "in", 10)
    assert first.partitions == (("year", 2024, False), ("lang", "en", True))
    assert second.partitions == (("year", 2025, False), ("lang", "7", True))
    (source,) = open_splits([pickle.loads(pickle.dumps(second))], ReadOptions())  # noqa: S301 our own
    head = source.head()
    assert head is not None
    assert [*head.values("lang")] == ["7"]
    assert {column.name for column in source.columns() if column.partition} == {"year", "lang"}


def test_a_split_of_another_file_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", ["a"])
    with pytest.raises(SourceError, match="has 1 row groups, so no row group 2"):
        open_splits([Split(str(file), (1, 2))], ReadOptions())
    with pytest.raises(SourceError, match=r"is not the file .*: row group 0 should have 20 rows, not 1"):
        open_splits([Split(str(file), (0,), rows=20)], ReadOptions())


@pytest.mark.parametrize("groups", [(), (1, 3), (2, 1), (-1, 0), ("0",), (0.0,)])
def test_row_groups_that_do_not_follow_each_other_are_refused(groups: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="are not consecutive numbers"):
        Split("a.parquet", groups)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"id": "a", "vector": [1]}\n', "is JSON Lines, and only Parquet can be split"),
        ("a.csv", "id,vector\na,[1]\n", "is CSV"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=message):
        planned(tmp_path / name, 10)


@given(st.lists(st.integers(1, 1000), max_size=30), st.integers(1, 12))
def test_parts_have_every_split_once_in_order_and_about_as_many_rows(rows: list[int], parts: int) -> None:
    splits = [Split("a", (n,), rows=count) for n, count in enumerate(rows)]
    found = in_parts(splits, parts)
    assert len(found) == parts
    assert [split for part in found for split in part] == splits
    fair = sum(rows) / parts
    assert all(abs(sum(split.rows for split in part) - fair) <= max(rows, default=0) for part in found)


def test_parts_are_counted_from_0() -> None:
    assert part_of("0/8") == (0, 8)
    assert part_of("7/8") == (7, 8)
    with pytest.raises(UsageError, match="--split '8/8': the parts are counted from 0 to 7"):
        part_of("8/8")
    for text in ("", "1", "1/0", "-1/2", "a/b", "1/2/3", " 1/2"):
        with pytest.raises(UsageError, match="is not i/n, like 0/8"):
            part_of(text)
