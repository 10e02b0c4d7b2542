from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import numpy as np
import pytest

import vecload as api
from tests.cli.command import vecload
from tests.cli.sources import SAMPLES, rows, write_jsonl, write_parquet
from vecload.batch import Batch, Span
from vecload.targets.embedded import EmbeddedTarget


@pytest.fixture
def loaded(tmp_path: Path) -> Path:
    """A source of 20 rows, loaded into the store of the user."""
    path = write_parquet(tmp_path / "rows.parquet", rows(20))
    assert vecload("upsert", path).code == 0
    return path


@pytest.mark.usefixtures("loaded")
def test_get_prints_items_in_the_order_asked_for_and_misses_are_told() -> None:
    ended = vecload("get", "doc-7", "nowhere", "doc-3")

    items = [json.loads(line) for line in ended.out.splitlines()]
    assert [item["id"] for item in items] == ["doc-7", "doc-3"]
    assert items[0]["contents"] == "The text of 7, naïve ☃"
    assert items[0]["metadata"] == {"title": "Title 7"}
    assert ended.code == 1
    assert "1 of 3 ids are not in the index" in ended.error


def test_bytes_are_printed_marked_and_what_is_printed_can_be_loaded_again(tmp_path: Path) -> None:
    marked = {"$bytes": base64.b64encode(b"\x00\xff\n").decode()}
    path = write_jsonl(tmp_path / "rows.jsonl", [{**rows(1)[0], "text": marked}])
    vecload("upsert", path)

    printed = vecload("get", "doc-0").out
    again = tmp_path / "again.jsonl"
    again.write_text(printed)
    assert vecload("upsert", again).code == 0

    assert json.loads(printed)["contents"] == marked
    assert vecload("get", "doc-0", "--index", "again").out == printed


@pytest.mark.usefixtures("loaded")
def test_contents_under_another_contents_key_are_refused_by_name_and_never_shown(
    tmp_path: Path,
) -> None:
    (kept,) = (Path(os.environ["XDG_CONFIG_HOME"]) / "vecload" / "keys").glob("*.toml")
    other = tmp_path / "other"
    api.Key(api.Key.load(kept).index_key, bytes(range(32))).save(other)

    ended = vecload("get", "doc-1", "--key-file", other)

    assert ended.code == 6
    assert "'doc-1'" in ended.error
    assert "unknown key" in ended.error
    assert ended.out == ""


def test_a_query_finds_what_was_loaded_by_json_by_file_and_by_row(loaded: Path, tmp_path: Path) -> None:
    vector = rows(20)[11]["vector"]
    file = tmp_path / "query.json"
    file.write_text(json.dumps(vector))
    lines = write_jsonl(tmp_path / "rows.jsonl", rows(20))

    for arguments in (
        (json.dumps(vector),),
        (file,),
        (loaded, "--row", "11"),
        (lines, "--row", "11"),
    ):
        ended = vecload("query", *arguments, "--top-k", "3", "--contents")
        hits = [json.loads(line) for line in ended.out.splitlines()]
        assert [hits[0]["id"], hits[0]["distance"]] == ["doc-11", 0.0]
        assert hits[0]["contents"] == "The text of 11, naïve ☃"
        assert [hit["distance"] for hit in hits] == sorted(hit["distance"] for hit in hits)
        assert len(hits) == 3


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("[1, 2, 3]",), "the query has vectors of 3 dimensions; the index has 8"),
        (('["a"]',), "not a JSON array of numbers"),
        (("[1, 2",), "not a JSON array of numbers"),
        (("nowhere.json",), "nowhere.json can't be read"),
        ((SAMPLES / "articles.parquet", "--row", "300"), "has no row 300"),
        ((SAMPLES / "articles.jsonl", "--row", "300"), "has no row 300"),
    ],
)
def test_a_query_that_cannot_be_asked_is_one_line(arguments: tuple[str, ...], says: str) -> None:
    ended = vecload("query", *arguments)

    assert ended.code == 2
    assert says in ended.error


@pytest.fixture(params=["folder", "service"])
def searchable(request: pytest.FixtureRequest, tmp_path: Path, index_name: str) -> list[str]:
    """The options that name an index of three items with a full-text field, on either target."""
    to = str(request.getfixturevalue("service")) if request.param == "service" else str(tmp_path / "store")
    lines = [
        {"id": "en", "vector": [1, 2, 3], "lang": "en", "year": 2020, "words": "the lazy dog"},
        {"id": "de", "vector": [3, 2, 1], "lang": "de", "year": 2021, "words": "quick brown foxes"},
        {"id": "pl", "vector": [1, 1, 1], "lang": "pl", "year": 2022, "words": "a dog and a fox"},
    ]
    path = write_jsonl(tmp_path / "items.jsonl", lines)
    named = ["--to", to, "--index", index_name]
    assert vecload("upsert", path, *named, "--full-text", "words", "--create-key").code == 0
    return named


@pytest.mark.parametrize(
    ("arguments", "expected", "fields"),
    [
        (["[1,2,3]", "--filter", '{"year": {"$gte": 2021}}'], ["pl", "de"], {"distance"}),
        (["[1,2,3]", "--n-probes", "3"], ["en", "pl", "de"], {"distance"}),
        (["[1,2,3]", "--text", "foxes", "--top-k", "1"], ["pl"], {"score"}),
        (["--text", "quick"], ["de"], {"score"}),
        (
            ["--text", "dog", "--filter", '{"lang": "en"}', "--contents"],
            ["en"],
            {"score", "contents", "sealed"},
        ),
        (["--filter", '{"lang": {"$in": ["en"]}}'], ["en"], set()),
        (["--filter", "{}", "--top-k", "2"], None, set()),
        (["--text", "zzzz"], [], set()),
    ],
)
def test_a_query_searches_by_filter_and_by_text(
    searchable: list[str], arguments: list[str], expected: list[str] | None, fields: set[str]
) -> None:
    ended = vecload("query", *arguments, *searchable)

    hits = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.code == 0, ended.err
    if expected is None:
        assert len(hits) == 2
    else:
        assert [hit["id"] for hit in hits] == expected
    for hit in hits:
        assert hit.keys() == {"id", "metadata"} | fields
        assert hit["metadata"]["lang"] == hit["id"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give a vector, --text or --filter"),
        (["--filter", "[]"], "--filter is not a JSON object"),
        (["--filter", "{lang: 1}"], "--filter is not a JSON object"),
        (["--filter", "{" * 5000], "--filter is not a JSON object"),
        (["--filter", '{"year": {"$gt": 1}, "year": {"$lt": 5}}'], "--filter has 'year' twice in one object"),
        (["--filter", '{"year": NaN}'], "not finite"),
        (["--filter", '{"$bogus": 1}'], "has '$bogus' in the place of a field"),
        (["--filter", '{"year": {"$gt": "x"}}'], "not a number or a date"),
        (["--filter", '{"words": "x"}'], "a search without a vector can't filter on 'words'"),
        (["--text", "x", "--n-probes", "3"], "--n-probes is for a search by a vector"),
        (["[1,2,3]", "--n-probes", "0"], "--n-probes"),
        (["--filter", ""], "--filter is empty"),
        (["--text", ""], "--text is empty"),
    ],
    ids=str,
)
def test_a_search_that_cannot_be_asked_is_one_line(
    searchable: list[str], arguments: list[str], says: str
) -> None:
    ended = vecload("query", *arguments, *searchable)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.error


def test_an_index_must_be_named_where_there_are_several(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(2))
    none = vecload("get", "doc-0")
    for name in ("one", "two"):
        vecload("upsert", path, "--index", name)

    several = vecload("get", "doc-0")

    assert (none.code, several.code) == (2, 2)
    assert "there is no store at" in none.error
    assert "has 2 indexes (one, two); name one with --index" in several.error
    assert vecload("get", "doc-0", "--index", "two").code == 0


@pytest.fixture
def forged(loaded: Path) -> Path:
    """A store of 20 sealed items, into which somebody with the index key wrote `doc-3` and moved `doc-4`."""
    (kept,) = (Path(os.environ["XDG_CONFIG_HOME"]) / "vecload" / "keys").glob("*.toml")
    index_key = api.Key.load(kept).index_key
    with EmbeddedTarget(Path(os.environ["XDG_DATA_HOME"]) / "vecload" / "store") as target:
        index = target.open_index("rows", index_key)
        (moved,) = index.get(["doc-5"], ["contents"])
        vectors = np.array([row["vector"] for row in rows(20)[3:5]], dtype=np.float32)
        contents = ["forged", moved.contents]
        index.upsert(Batch(["doc-3", "doc-4"], vectors, None, contents, Span("rows", 0, 2)))
    return loaded


@pytest.mark.usefixtures("forged")
def test_contents_that_were_not_sealed_are_marked() -> None:
    ended = vecload("get", "doc-2", "doc-3", "doc-5")

    assert ended.code == 0
    items = {item["id"]: item for item in map(json.loads, ended.out.splitlines())}
    assert (items["doc-3"]["contents"], items["doc-3"]["sealed"]) == ("forged", False)
    assert (items["doc-2"]["sealed"], items["doc-5"]["sealed"]) == (True, True)
    assert "the contents of 1 of 3 items are not sealed" in ended.err


@pytest.mark.usefixtures("forged")
def test_contents_that_were_not_sealed_are_refused_if_that_is_asked_for_and_the_others_given() -> None:
    ended = vecload("get", "doc-2", "doc-3", "doc-5", "--require-sealed")

    assert ended.code == 1
    assert "the contents of item 'doc-3' are not sealed" in ended.error
    assert [json.loads(line)["id"] for line in ended.out.splitlines()] == ["doc-2", "doc-5"]
    assert '"forged"' not in ended.out + ended.err


@pytest.mark.usefixtures("forged")
def test_a_query_marks_or_refuses_contents_that_were_not_sealed() -> None:
    vector = json.dumps(rows(20)[3]["vector"])
    marked = vecload("query", vector, "--contents", "--top-k", "20")
    refused = vecload("query", vector, "--contents", "--top-k", "20", "--require-sealed")
    without = vecload("query", vector, "--require-sealed")

    # doc-4 holds what was sealed for doc-5, and opens nowhere else.
    hits = {hit["id"]: hit for hit in map(json.loads, marked.out.splitlines())}
    assert len(hits) == 19
    assert [name for name, hit in hits.items() if hit["sealed"] is False] == ["doc-3"]
    assert "'doc-4'" in marked.error
    assert {json.loads(line)["id"] for line in refused.out.splitlines()} == {*hits} - {"doc-3"}
    assert "2 of 20 items can't be printed" in refused.error
    assert "the contents of item 'doc-3' are not sealed" in refused.err
    assert (marked.code, refused.code, without.code) == (1, 1, 2)
    assert "--contents" in without.error


@pytest.mark.usefixtures("forged")
def test_an_item_that_does_not_open_costs_itself_alone() -> None:
    ended = vecload("get", "doc-2", "doc-4", "nowhere", "doc-5")

    assert ended.code == 1
    assert [json.loads(line)["id"] for line in ended.out.splitlines()] == ["doc-2", "doc-5"]
    assert "'doc-4'" in ended.error
    assert "bad tag" in ended.error
    assert "1 of 4 ids are not in the index" in ended.err


def test_items_without_contents_are_neither_sealed_nor_not(tmp_path: Path) -> None:
    vecload("upsert", write_jsonl(tmp_path / "rows.jsonl", [{"id": "a", "vector": [1, 2, 3]}]))

    ended = vecload("get", "a", "--require-sealed")

    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out)["sealed"] is None
