from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cyborgdb
import pytest

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl, write_parquet
from vecload.sealing import Key


def stored(*ids: str) -> dict[str, Any]:
    """Of these ids, those in the index, with their titles."""
    lines = vecload("get", *ids, "--index", "rows").out.splitlines()
    return {item["id"]: item["metadata"]["title"] for item in map(json.loads, lines)}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_just_the_rejected_rows_are_loaded_again_and_none_that_a_later_row_replaced(
    tmp_path: Path, kind: str
) -> None:
    source = rows(60)
    for row in (0, 7, 8, 33, 59):
        source[row]["vector"] = [0.0] * 8
    source[40]["id"] = "doc-33"  # later than the rejected row of that id
    source[2]["id"] = "doc-8"  # earlier than it
    path = tmp_path / f"rows.{kind}"
    (write_jsonl if kind == "jsonl" else write_parquet)(path, source)
    rejects = tmp_path / "rejects.jsonl"
    named = ("--id-column", "id")
    first = vecload("upsert", path, "--max-errors", "9", "--rejects", rejects, "--batch-rows", "10", *named)
    assert first.code == 3, first.err

    again = vecload("upsert", "--retry-rejects", rejects, "--allow-zero-vectors", "--json", *named)

    assert again.code == 0, again.err
    told = json.loads(again.out)
    assert (told["read"], told["loaded"]) == (4, 4)
    assert "omitting 1 rejected rows" in again.err
    assert stored("doc-0", "doc-7", "doc-8", "doc-33", "doc-59") == {
        "doc-0": "Title 0",
        "doc-7": "Title 7",
        "doc-8": "Title 8",
        "doc-33": "Title 40",
        "doc-59": "Title 59",
    }


def test_a_reject_file_that_is_none_or_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(3))
    past = tmp_path / "past.jsonl"
    past.write_text(json.dumps({"source": str(path), "row": 3}) + "\n")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")

    for file, says in (
        (path, "is not a reject file"),
        (past, "have only 0 of the 1 rows"),
        (empty, "names no row"),
    ):
        ended = vecload("upsert", "--retry-rejects", file)
        assert ended.code == 2
        assert says in ended.error
    both = vecload("upsert", "--retry-rejects", past, "--rejects", past)
    assert "name the same file" in both.error


def test_rejected_rows_that_share_an_id_are_all_loaded_again_in_order(tmp_path: Path) -> None:
    source = rows(6)
    for row in (1, 3):
        source[row].update(id="twice", vector=[0.0] * 8)
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    rejects, still = tmp_path / "rejects.jsonl", tmp_path / "still.jsonl"
    assert vecload("upsert", path, "--max-errors", "2", "--rejects", rejects).code == 3
    source[1]["vector"] = [1.0] * 8  # the other stays as it is
    write_jsonl(path, source)

    again = vecload("upsert", "--retry-rejects", rejects, "--max-errors", "1", "--rejects", still, "--json")

    assert again.code == 3, again.err
    told = json.loads(again.out)
    assert (told["read"], told["loaded"], told["rejected"]) == (2, 1, 1)
    assert "omitting" not in again.err
    assert stored("twice") == {"twice": "Title 1"}


def test_a_source_whose_rows_moved_since_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    source = rows(6)
    source[4]["vector"] = [0.0] * 8
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    rejects = tmp_path / "rejects.jsonl"
    assert vecload("upsert", path, "--max-errors", "1", "--rejects", rejects).code == 3
    source[4]["vector"] = [1.0] * 8
    write_jsonl(path, source[1:])

    again = vecload("upsert", "--retry-rejects", rejects)

    assert again.code == 2, again.err
    assert "row 4: has the id 'doc-5', but the reject file has 'doc-4'" in again.error
    assert stored("doc-4") == {}


def test_a_row_whose_id_was_at_fault_is_loaded_again_under_its_new_one(tmp_path: Path) -> None:
    source = rows(4)
    source[2]["id"] = "x" * 5000
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    rejects = tmp_path / "rejects.jsonl"
    assert vecload("upsert", path, "--max-errors", "1", "--rejects", rejects).code == 3
    source[2]["id"] = "short"
    write_jsonl(path, source)

    again = vecload("upsert", "--retry-rejects", rejects)

    assert again.code == 0, again.err
    assert stored("short") == {"short": "Title 2"}


@pytest.mark.parametrize("engine", ["service", "embedded"])
def test_training_ends_in_a_trained_index_or_says_why_not(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    to = request.getfixturevalue("service") if engine == "service" else str(tmp_path / "store")
    to_new = ("--to", to, "--create-key", "--train")
    many = write_parquet(tmp_path / "many.parquet", rows(12_000, dimension=32))
    few = write_jsonl(tmp_path / "few.jsonl", rows(20, dimension=32))
    odd = write_jsonl(tmp_path / "odd.jsonl", rows(20, dimension=33))

    trained = vecload("upsert", many, "--index", f"trained-{engine}", *to_new)
    untrained = vecload("upsert", few, "--index", f"few-{engine}", *to_new)
    refused = vecload("upsert", odd, "--index", f"odd-{engine}", *to_new)

    assert trained.code == 0, trained.err
    assert "the index is trained" in trained.err
    assert json.loads(vecload("index", "describe", f"trained-{engine}", "--to", to).out)["trained"] is True
    assert untrained.code == 0, untrained.err
    assert "too few items" in untrained.err
    assert refused.code == 2
    assert "multiples of 32" in refused.error


@pytest.mark.parametrize("seal", ["--seal", "--no-seal"])
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_rejected_rows_are_kept_only_when_asked_for_and_sealed_as_contents_are(
    tmp_path: Path, kind: str, seal: str
) -> None:
    source = rows(10)
    source[4]["vector"] = [1.0]
    source[4]["text"] = "SECRET-TEXT"
    path = tmp_path / f"rows.{kind}"
    (write_jsonl if kind == "jsonl" else write_parquet)(path, source)
    without, kept = tmp_path / "without.jsonl", tmp_path / "kept.jsonl"
    load = ("upsert", path, seal, "--max-errors", "1", "--rejects")
    assert vecload(*load, without).code == 3
    assert vecload(*load, kept, "--reject-rows").code == 3

    printed = vecload("rejects", kept)

    assert "SECRET" not in without.read_text()
    assert "raw" not in json.loads(without.read_text())
    assert ("SECRET-TEXT" in kept.read_text()) == (seal == "--no-seal")
    assert printed.code == 0, printed.err
    reject = json.loads(printed.out)
    assert (reject["row"], reject["code"]) == (4, "dimension")
    assert json.loads(reject["raw"])["text"] == "SECRET-TEXT"


def test_rows_to_keep_need_a_file_to_keep_them_in(tmp_path: Path) -> None:
    ended = vecload("upsert", write_jsonl(tmp_path / "rows.jsonl", rows(1)), "--reject-rows")

    assert ended.code == 2
    assert "--rejects FILE" in ended.error


def test_a_finished_load_whose_items_others_deleted_is_loaded_again(
    tmp_path: Path, service: str, index_name: str
) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(40))
    vecload("keygen", tmp_path / "key")
    here = ("--to", service, "--index", index_name, "--key-file", tmp_path / "key", "--skip-loaded", "--json")
    index_key = Key.load(tmp_path / "key").index_key
    assert vecload("upsert", path, *here).code == 0
    index = cyborgdb.Client(service, "").load_index(index_name, index_key)
    index.delete([f"doc-{i}" for i in range(10, 20)])  # not the last, by which the load knows its index

    fewer = vecload("upsert", path, *here)
    then = vecload("upsert", path, *here)
    index.delete([f"doc-{i}" for i in range(40)])
    index.upsert([{"id": f"other-{i}", "vector": [1.0] * 8} for i in range(50)])
    others = vecload("upsert", path, *here)

    assert fewer.code == 0, fewer.err
    assert "loading again: the index holds 30 items, but held 40" in fewer.err
    assert json.loads(fewer.out)["loaded"] == 40
    assert "nothing to do: all 40 rows were loaded, and the sources are unchanged" in then.err
    assert (json.loads(then.out)["loaded"], json.loads(then.out)["skipped"]) == (0, 40)
    assert others.code == 0, others.err
    assert "lacks items that this load stored" in others.err
    assert json.loads(others.out)["loaded"] == 40


def test_a_link_that_led_elsewhere_and_back_is_loaded_again(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "old.jsonl", rows(20))
    write_jsonl(tmp_path / "new.jsonl", [{**row, "title": "new"} for row in rows(20)])
    link = tmp_path / "rows.jsonl"

    def load(target: str) -> dict[str, Any]:
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        ended = vecload("upsert", link, "--index", "rows", "--skip-loaded", "--json")
        assert ended.code == 0, ended.err
        told: dict[str, Any] = json.loads(ended.out)
        return told

    assert load("old.jsonl")["loaded"] == 20
    assert load("new.jsonl")["loaded"] == 20
    assert load("new.jsonl")["loaded"] == 0
    assert load("old.jsonl")["loaded"] == 20
    assert load("old.jsonl")["loaded"] == 0
    assert stored("doc-3") == {"doc-3": "Title 3"}
