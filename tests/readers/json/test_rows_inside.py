# ruff: noqa: E501 the tables have one case a line
"""Where the rows are in what a service answers: the command that gets them out of that very file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vecload.errors import MappingError, UsageError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice
from vecload.readers import open_sources

VECTOR = [0.5, -1.5]
POINT = {"id": 1, "payload": {"text": "secret"}, "vector": VECTOR}

DOCUMENTS: list[tuple[str, dict[str, Any], str]] = [
    ("openai", {"object": "list", "data": [{"index": 0, "embedding": VECTOR}], "model": "m"}, ".data[]"),
    ("openai, base64", {"object": "list", "data": [{"index": 0, "embedding": "rkfhPa5HYb4="}]}, ".data[]"),
    ("elasticsearch", {"took": 1, "hits": {"total": {"value": 1}, "hits": [{"_id": "1", "_source": {"v": VECTOR}, "sort": [1]}]}}, ".hits.hits[]"),
    ("other names", {"a-b": {"c d": [{"v": VECTOR}]}}, '.["a-b"]["c d"][]'),
    ("columns", {"ids": ["a", "b"], "vectors": [VECTOR, VECTOR], "n": [1]}, "[.ids, .vectors] | transpose[] | {ids: .[0], vectors: .[1]}"),
    ("columns in an object", {"labels": ["secret", "b"], "embeddings": {"float": [VECTOR, VECTOR]}}, "[.labels, .embeddings.float] | transpose[] | {labels: .[0], float: .[1]}"),
    ("clickhouse", {"meta": [{"name": "id"}], "data": [{"id": 1, "v": VECTOR}], "rows": 1}, ".data[]"),
]  # fmt: skip


def failure(path: Path) -> UsageError:
    with pytest.raises(UsageError) as raised:
        make_plan(open_sources([str(path)]), ColumnChoice(), embed=False)
    return raised.value


@pytest.mark.parametrize("indent", [None, 1], ids=["one line", "several"])
@pytest.mark.parametrize("name", ["answer.json", "my answer.jsonl"])
@pytest.mark.parametrize(("document", "program"), [pytest.param(d, p, id=n) for n, d, p in DOCUMENTS])
def test_a_service_answer_is_refused_with_the_way_to_its_rows(
    tmp_path: Path, document: dict[str, Any], program: str, name: str, indent: int | None
) -> None:
    path = tmp_path / name
    path.write_text(json.dumps(document, indent=indent) + "\n")
    said = str(failure(path))
    assert f"jq -c '{program}' " in said
    assert said.endswith(f"'{path}'" if " " in name else str(path))
    assert "secret" not in said


def test_what_is_said_of_clickhouse_is_the_format_to_write(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(DOCUMENTS[-1][1], indent=1))
    assert "FORMAT JSONEachRow" in str(failure(tmp_path / "rows.json"))


@pytest.mark.parametrize(
    "rows",
    [
        [{"name": "a", "vector": VECTOR, "tags": [{"k": "v"}]}],
        [{"custom_id": "a", "response": {"data": [{"embedding": VECTOR}]}}] * 2,
    ],
    ids=["a row with objects in it", "several rows"],
)
def test_rows_that_only_lack_a_part_are_still_told_what_is_missing(tmp_path: Path, rows: list[Any]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    error = failure(path)
    assert isinstance(error, MappingError)
    assert "jq" not in str(error)
    assert "has no id column" in str(error)
