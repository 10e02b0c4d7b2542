"""`vecload delete`: what is taken out is what was named, and the count says how many there were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl
from tests.cli.terminal import on_terminal
from tests.servers import Service

Here = tuple[str | Path, ...]


@pytest.fixture(params=["embedded", "service"])
def here(request: pytest.FixtureRequest, tmp_path: Path, index_name: str) -> Here:
    """The options of an index with 40 items; the vector of doc-7 is all zeros."""
    to = request.getfixturevalue("service") if request.param == "service" else str(tmp_path / "store")
    source = [{**row, "n": n, "lang": "de" if n % 4 == 0 else "en"} for n, row in enumerate(rows(40))]
    source[7] = {"id": "doc-7", "vector": [0.0] * 8}
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    vecload("keygen", tmp_path / "key")
    options = ("--to", to, "--index", index_name, "--key-file", tmp_path / "key")
    assert vecload("upsert", path, *options, "--allow-zero-vectors", "--quiet").code == 0
    return options


def held(here: Here) -> int:
    _, to, _, name, _, key = map(str, here)
    described: dict[str, Any] = json.loads(
        vecload("index", "describe", name, "--to", to, "--key-file", key).out
    )
    number: int = described["items"]
    return number


def test_named_items_are_deleted_and_counted_and_others_stay(here: Here) -> None:
    counted = vecload("delete", "doc-1", "doc-7", "nowhere", "doc-1", *here, "--dry-run", "--json")
    assert json.loads(counted.out) | {"index": "", "target": ""} == {
        "version": 1,
        "status": "counted",
        "asked": 3,
        "found": 2,
        "missing": 1,
        "deleted": 0,
        "index": "",
        "target": "",
        "exit_code": 0,
        "error": None,
    }
    assert held(here) == 40

    ended = vecload("delete", "doc-1", "doc-7", "nowhere", *here, "--yes", "--json")
    again = vecload("delete", "doc-1", "doc-7", "nowhere", *here, "--yes")

    assert (ended.code, again.code) == (0, 0)
    told = json.loads(ended.out)
    assert (told["status"], told["found"], told["deleted"]) == ("deleted", 2, 2)
    assert "1 of 3 ids are not in the index" in ended.err
    assert "deleted 0 items" in again.err
    assert held(here) == 38
    assert vecload("get", "doc-2", *here).code == 0


def test_a_filter_deletes_just_what_matches(here: Here) -> None:
    wanted = json.dumps({"lang": "de", "n": {"$gte": 20}})
    ended = vecload("delete", "--filter", wanted, *here, "--yes", "--json")

    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["deleted"] == 5
    assert held(here) == 35
    assert vecload("get", "doc-16", "doc-21", *here).code == 0


@pytest.mark.parametrize(
    ("text", "deleted"),
    [
        ("doc-1\ndoc-2\r\n\nnowhere", 2),
        ('"doc-1"\n"doc-3"\n', 2),
        ('{"id": "doc-1", "metadata": {}}\n{"id": "doc-2"}\n', 2),
    ],
)
def test_a_file_of_ids_has_one_a_line_or_json_lines(
    here: Here, tmp_path: Path, text: str, deleted: int
) -> None:
    (tmp_path / "ids").write_text(text)
    ended = vecload("delete", "--ids-file", tmp_path / "ids", *here, "--yes", "--json")

    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["deleted"] == deleted
    assert held(here) == 40 - deleted


REFUSED = [
    (("doc-1",), "refusing to delete items without confirmation; pass --yes"),
    ((), "name the items to delete in one way"),
    (("doc-1", "--filter", '{"n": 1}', "--yes"), "name the items to delete in one way"),
    (("--filter", "{}", "--yes"), "matches every item"),
    (("--filter", '{"n": {}, "$and": [{}]}', "--yes"), "matches every item"),
    (("--filter", "n = 1", "--yes"), "--filter is not a JSON object"),
    (("--filter", '{"n": {"$gt": 1}, "n": {"$lt": 5}}', "--yes"), "--filter has 'n' twice in one object"),
    (("--filter", "{" * 5000, "--yes"), "--filter is not a JSON object"),
    (("--filter", "[1]", "--yes"), "--filter is not a JSON object"),
    (("--ids-file", "nowhere", "--yes"), "nowhere can't be read: No such file"),
    (("--ids-file", "-"), "standard input has the ids; pass --yes"),
    (("--ids-file", "-", "--yes"), "standard input has no ids"),
]


@pytest.mark.parametrize(("arguments", "says"), REFUSED)
def test_a_deletion_that_nobody_surely_wants_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", [{**row, "n": n} for n, row in enumerate(rows(5))])
    assert vecload("upsert", path, "--quiet").code == 0

    ended = vecload("delete", *arguments)

    assert ended.code == 2, ended.err
    assert says in ended.error
    assert json.loads(vecload("index", "describe", "rows").out)["items"] == 5


def test_a_line_that_is_not_like_the_first_is_named(tmp_path: Path) -> None:
    assert vecload("upsert", write_jsonl(tmp_path / "rows.jsonl", rows(5)), "--quiet").code == 0
    (tmp_path / "ids").write_bytes(b'"doc-1"\ndoc-2\n')
    mixed = vecload("delete", "--ids-file", tmp_path / "ids", "--yes")
    (tmp_path / "ids").write_bytes(b"doc-1\n\xff\n")
    binary = vecload("delete", "--ids-file", tmp_path / "ids", "--yes")

    assert (mixed.code, binary.code) == (2, 2)
    assert "line 2: is neither a JSON text nor an object with an id" in mixed.error
    assert "line 2: is not UTF-8" in binary.error


def test_variables_and_configuration_do_not_choose_what_is_deleted(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", [{**row, "n": n} for n, row in enumerate(rows(5))])
    assert vecload("upsert", path, "--quiet").code == 0
    (tmp_path / "ids").write_text("doc-1\n")
    (tmp_path / "config.toml").write_text(f'filter = \'{{"n": 2}}\'\nids-file = "{tmp_path / "ids"}"\n')

    by_variable = vecload(
        *("delete", "doc-3", "--yes"),
        variables={"VECLOAD_IDS_FILE": str(tmp_path / "ids"), "VECLOAD_FILTER": '{"n": 2}'},
    )
    by_file = vecload("--config", tmp_path / "config.toml", "delete", "--yes")

    assert by_variable.code == 0, by_variable.err
    assert "deleted 1 item" in by_variable.err
    assert by_file.code == 2
    assert "name the items to delete in one way" in by_file.error


def test_an_operator_that_the_engine_does_not_know_deletes_nothing(here: Here) -> None:
    ended = vecload("delete", "--filter", '{"n": {"$near": 1}}', *here, "--yes", "--json")

    assert ended.code == 1
    assert "$near" in ended.error
    assert json.loads(ended.out)["status"] == "failed"
    assert held(here) == 40


@pytest.mark.parametrize(("answer", "left"), [("y", 4), ("n", 5)])
def test_on_a_terminal_it_asks(tmp_path: Path, answer: str, left: int) -> None:
    assert vecload("upsert", write_jsonl(tmp_path / "rows.jsonl", rows(5)), "--quiet").code == 0
    ended = on_terminal(f"{answer}\n", "delete", "doc-1", "--index", "rows")

    assert "delete 1 item of index 'rows'" in ended.err
    assert ended.code == (0 if answer == "y" else 2)
    assert json.loads(vecload("index", "describe", "rows").out)["items"] == left


def test_a_deletion_needs_write_access_and_says_so(
    service_with_key: Service, tmp_path: Path, index_name: str
) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(5))
    vecload("keygen", tmp_path / "key")
    here = ("--to", service_with_key.url, "--index", index_name, "--key-file", tmp_path / "key")
    root = {"VECLOAD_API_KEY": service_with_key.root_key or ""}
    assert vecload("upsert", path, *here, "--quiet", variables=root).code == 0

    ended = vecload("delete", "doc-1", *here, "--yes", variables={"VECLOAD_API_KEY": "wrong"})

    assert ended.code == 6
