"""Exports that begin with rows that failed, or with deletions: what comes later says what the rows are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import vecload

VECTOR = [1.0, 2.0, 3.0, 4.0]
FAILED = {"custom_id": "x", "response": None, "error": {"code": "rate_limit", "message": "later"}}
DELETED = {"delete": {"_index": "a", "_id": "1"}}


def answered(name: str) -> dict[str, Any]:
    data = [{"object": "embedding", "index": 0, "embedding": VECTOR}]
    return {"custom_id": name, "response": {"status_code": 200, "body": {"data": data}}, "error": None}


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (FAILED, [answered("a"), answered("b")]),
        (DELETED, [{"index": {"_id": "a"}}, {"v": VECTOR}, {"create": {"_id": "b"}}, {"v": VECTOR}]),
    ],
    ids=["openai", "elasticsearch"],
)
def test_rows_are_known_by_the_first_one_that_is_no_reject(
    tmp_path: Path, first: dict[str, Any], rest: list[dict[str, Any]]
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [first] * 250 + rest))

    ended = vecload("upsert", path, "--max-errors", "100%", "--json")

    assert ended.code == 3, ended.err
    told = json.loads(ended.out)
    assert (told["read"], told["loaded"], told["rejected"]) == (252, 2, 250)
    got = vecload("get", "a", "b")
    assert [json.loads(line)["vector"] for line in got.out.splitlines()] == [VECTOR, VECTOR]


def test_a_file_of_nothing_else_says_so(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text((json.dumps(FAILED) + "\n") * 250)
    ended = vecload("upsert", path)
    assert ended.code == 2
    assert "has only failed requests in its first rows" in ended.error


@pytest.mark.parametrize("pages", [1, 2])
def test_an_element_that_lacks_its_row_is_a_reject_however_it_is_read(tmp_path: Path, pages: int) -> None:
    path = tmp_path / "rows.jsonl"  # of one page its elements are read one by one, of two whole pages
    for page in range(pages):
        hits = [{"document": {"id": f"d{page}-{number}", "v": VECTOR}} for number in range(3)]
        hits[1] = {"error": {"text": "gone"}}
        with path.open("a") as file:
            file.write(json.dumps({"found": 3, "hits": hits, "page": page, "search_cutoff": False}) + "\n")

    ended = vecload("upsert", path, "--max-errors", "2", "--json", "--recipe", "typesense")

    told = json.loads(ended.out)
    assert (told["read"], told["loaded"], told["rejected"]) == (3 * pages, 2 * pages, pages), ended.err
    assert [(one["row"], one["code"]) for one in told["first_rejects"]] == [(1, "no-rows"), (4, "no-rows")][
        :pages
    ]
