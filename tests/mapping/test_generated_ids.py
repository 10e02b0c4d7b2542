from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.mapping.test_nested_rows import jsonl, loaded, parquet
from vecload.mapping import ColumnChoice, Rules

MADE = Rules(generate_ids=True)
ROWS: list[dict[str, Any]] = [
    {"vector": [1.0, 2.0], "text": "a", "n": 1},
    {"vector": [1.0, 2.0], "text": "a", "n": 2},
    {"vector": [1.0, 3.0], "text": "a", "n": 1},
    {"vector": [1.0, 2.0], "text": "b", "n": 1},
    {"vector": [1.0, 2.0], "text": "a", "n": 1},
]


@pytest.mark.parametrize("write", [jsonl, parquet])
def test_equal_rows_have_equal_ids_and_others_have_others(tmp_path: Path, write: Any) -> None:
    ids = loaded(write(tmp_path, *ROWS), ColumnChoice(), MADE).ids
    assert ids[0] == ids[4]
    assert len(set(ids)) == 4
    assert all(len(item_id) == 32 and int(item_id, 16) >= 0 for item_id in ids)


def test_a_row_has_the_same_id_in_every_run_and_in_every_kind_of_file(tmp_path: Path) -> None:
    of_jsonl = loaded(jsonl(tmp_path, *ROWS), ColumnChoice(), MADE).ids
    turned = [{name: row[name] for name in ("n", "text", "vector")} for row in ROWS]
    assert loaded(parquet(tmp_path, *turned), ColumnChoice(), MADE).ids == of_jsonl
    # Once told, an id stands for that row in people's indexes: another digest would double their items.
    assert of_jsonl[0] == "726e33fc17d131ea829b8b0c5584db60"


def test_ids_are_made_only_where_there_is_no_usable_one(tmp_path: Path) -> None:
    rows = [
        {"id": value, "vector": [1, i]} for i, value in enumerate(["a", 7, None, 1.5, True, "", "x" * 5000])
    ]
    batch = loaded(jsonl(tmp_path, *rows, {"vector": [1, 9]}), ColumnChoice(), MADE)
    assert batch.ids[:2] == ["a", "7"]
    assert [len(item_id) for item_id in batch.ids[2:]] == [32] * 4
    assert [(r.row, r.code) for r in batch.rejects] == [(5, "empty-id"), (6, "long-id")]


def test_a_column_of_floats_gives_no_ids(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1.0, 2.0], "vector": [[1.0], [2.0]]}), tmp_path / "a.parquet")
    assert {len(item_id) for item_id in loaded(tmp_path / "a.parquet", ColumnChoice(), MADE).ids} == {32}


def test_integers_beyond_64_bits_count_whole(tmp_path: Path) -> None:
    rows = [{"vector": [1, 2], "n": n} for n in (2**70, 2**70 + 1, 2**70)]
    ids = loaded(jsonl(tmp_path, *rows), ColumnChoice(), MADE).ids
    assert ids[0] == ids[2] != ids[1]


def test_text_and_bytes_of_the_same_letters_are_different(tmp_path: Path) -> None:
    rows = [{"vector": [1, 2], "text": text} for text in ("text", {"$bytes": "dGV4dA=="}, None, "")]
    ids = loaded(jsonl(tmp_path, *rows), ColumnChoice(contents="text"), MADE).ids
    assert len(set(ids)) == 4


def test_the_prefix_stands_before_every_id(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"id": "a", "vector": [1, 2]}, {"vector": [1, 2]})
    first, second = loaded(path, ColumnChoice(), Rules("wiki/", generate_ids=True)).ids
    assert first == "wiki/a"
    assert second.startswith("wiki/")
    assert len(second) == 37


def test_an_id_is_measured_with_its_prefix(tmp_path: Path) -> None:
    path = jsonl(tmp_path, *({"id": "é" * n, "vector": [1, 2]} for n in (4, 5)))
    batch = loaded(path, ColumnChoice(), Rules("p-", max_id_bytes=10))
    assert batch.ids == ["p-éééé"]
    assert [(r.row, r.code) for r in batch.rejects] == [(1, "long-id")]
    long = loaded(jsonl(tmp_path, {"id": "x" * 4096, "vector": [1, 2]}), ColumnChoice(), Rules("p"))
    assert [reject.code for reject in long.rejects] == ["long-id"]


def test_a_json_row_keeps_its_words(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"vector": [1, 2], "n": 0.1}) + '\n{"n": 1e-1, "vector": [1.0, 2]}\n')
    first, second = loaded(path, ColumnChoice(), MADE).ids
    assert first == second
