"""Recipes on the command line: listed, printed, named, and read from people's own files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import vecload
from tests.cli.loading import Loading
from tests.cli.sources import write_jsonl
from vecload.recipes.known import recipe_names, recipe_text

OWN = """
tool = "Mine"

[[form]]
has = ["page.hits: list"]
rows = "page.hits[]"
outer = ["lang"]
id = ["key"]
vector = ["emb"]
contents = ["said"]
left_out = ["score"]

[[form.reject]]
at = "status"
unless = [200]
says = "was not embedded: status"
"""
PAGES = [
    {
        "status": 200,
        "lang": "en",
        "page": {
            "hits": [{"key": "a", "emb": [1, 2], "said": "private", "score": 1}, {"key": "b", "emb": [3, 4]}]
        },
    },
    {"status": 500, "lang": "en"},
    {"status": 200, "lang": "de", "page": {"hits": [{"key": "c", "emb": [5, 6]}]}},
]


def test_recipes_are_listed_and_printed(tmp_path: Path) -> None:
    listed = vecload("recipes")
    assert [line.split()[0] for line in listed.out.splitlines()] == [*recipe_names()]
    printed = vecload("recipes", "qdrant")
    assert printed.out == recipe_text("qdrant")
    (tmp_path / "own.toml").write_text(OWN)
    assert vecload("recipes", str(tmp_path / "own.toml")).out.endswith(
        "own.toml is a recipe: Mine, forms: 1\n"
    )
    missing = vecload("recipes", "qdrnt")
    assert (missing.code, "there is no recipe 'qdrnt'" in missing.error) == (2, True)


def test_a_recipe_of_ones_own_makes_rows_of_pages(loading: Loading, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN)
    source = write_jsonl(tmp_path / "rows.jsonl", PAGES)
    own = ("--recipe", str(tmp_path / "own.toml"), "--batch-rows", "1")
    rejects = str(tmp_path / "rejects.jsonl")
    loading.load(source, *own, "--max-errors", "1", "--rejects", rejects, code=3)
    (reject,) = map(json.loads, Path(rejects).read_text().splitlines())
    assert (reject["row"], reject["message"]) == (2, "was not embedded: status (500)")
    items = loading.items()
    assert {key: item["metadata"] for key, item in items.items()} == {
        "a": {"lang": "en"},
        "b": {"lang": "en"},
        "c": {"lang": "de"},
    }
    assert items["a"]["contents"] == "private"
    fixed = {"status": 200, "page": {"hits": [{"key": "d", "emb": [7, 8]}]}}
    write_jsonl(source, [PAGES[0], fixed, PAGES[2]])
    loading.load(source, *own, "--retry-rejects", rejects)
    assert [*loading.items()] == ["a", "b", "c", "d"]
    assert "does not look like an export of own" in loading.load(
        write_jsonl(tmp_path / "other.jsonl", [{"id": "a", "vector": [1, 2]}]), *own, code=2
    )


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("tool = ", 1, "is not TOML"),
        ('tool = "x"\nform = 3', 2, "'form' is not a list of tables"),
        ('tool = "x"', 1, "has no form"),
        ('documentation = []\n[[form]]\nhas = ["a"]', 1, "has no 'tool'"),
        ('tool = "x"\ntools = "y"\n[[form]]\nhas = ["a"]', 2, "unknown key 'tools'"),
        ('tool = "x"\n[[form]]\nid = ["a"]', 2, "neither 'has' nor 'has_one_of'"),
        (
            'tool = "x"\n[[form]]\nhas = ["a"]\n\n[[form]]\nhas = ["a"]\nrows = "a["',
            7,
            "path 'a[' in 'rows' has a '['",
        ),
        ('tool = "x"\n[[form]]\nhas = ["a: texts"]', 3, "unknown kind 'texts'; known are any, text"),
        ('tool = "x"\n[[form]]\nhas = ["a"]\nid = "a"', 4, "'id' is not a list of texts"),
        ('tool = "x"\n[[form]]\nhas = ["a"]\ncolour = 1', 4, "unknown key 'colour'"),
        ('tool = "x"\n[[form]]\nhas = ["a"]\nouter = ["b"]', 4, "'outer' needs 'rows'"),
        (
            'tool = "x"\n[[form]]\nhas = ["a"]\ntyped = { a = "date", b = "day" }',
            4,
            "'b' in 'typed' is 'day'",
        ),
        ('tool = "x"\n[[form]]\nhas = ["a"]\n[[form.reject]]\nat = "a"\nwhen = 1', 6, "unknown key 'when'"),
        ('tool = "x"\n[[form]]\nhas = ["a"]\nvector_dtype = "int4"', 4, "not one of float32"),
        ('tool = "x"\n[[form]]\nhas = ["a"]\ncompanion = "../x"', 4, "not the name of a file"),
        ('tool = "x"\n[folder]\nmeta = "m"', 2, "'folder' has no 'exports'"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_said_with_its_line(
    loading: Loading, tmp_path: Path, text: str, line: int, says: str
) -> None:
    (tmp_path / "own.toml").write_text(text)
    source = write_jsonl(tmp_path / "rows.jsonl", PAGES)
    said = loading.load(source, "--recipe", str(tmp_path / "own.toml"), code=2)
    assert f"own.toml, line {line}: " in said
    assert says in said
    assert not (tmp_path / "store").exists()


def test_a_recipe_that_can_not_be_read_is_one_line(loading: Loading, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", PAGES)
    assert "can't be read: No such file" in loading.load(source, "--recipe", "./lost.toml", code=2)
    (tmp_path / "own.toml").write_bytes(b"\xff")
    assert "is not UTF-8" in loading.load(source, "--recipe", str(tmp_path / "own.toml"), code=2)


@pytest.mark.parametrize("indent", [None, 1])
def test_a_response_takes_its_ids_from_a_file(loading: Loading, tmp_path: Path, indent: int | None) -> None:
    data = [{"object": "embedding", "index": n, "embedding": [n, 0.5]} for n in (1, 2)]
    source = tmp_path / "response.json"
    source.write_text(json.dumps({"object": "list", "data": data, "model": "m"}, indent=indent))
    ids = tmp_path / "ids.txt"
    ids.write_text("doc-1\r\ndoc-2\n")
    loading.load(source, "--ids-file", str(ids))
    assert {key: [*item["vector"]] for key, item in loading.items().items()} == {
        "doc-1": [1, 0.5],
        "doc-2": [2, 0.5],
    }
    ids.write_text("doc-1\n")
    assert "has 1 ids, but" in loading.load(source, "--ids-file", str(ids), "--index", "b", code=2)
