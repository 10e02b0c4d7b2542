"""Loads with `changed_only`: the index is always what a full load would have made, and little is sent."""

from __future__ import annotations

import copy
import gzip
import json
import logging
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

import vecload
from tests.loading.edits import Files, Item, as_object, items_in, rows_to_send
from vecload.index import Index
from vecload.loading.incremental.item_state import state_path
from vecload.options import LoadOptions
from vecload.places import state_folder

ROUNDS = int(os.environ.get("VECLOAD_ROUNDS", "40"))
SEED = int(os.environ.get("VECLOAD_SEED", "0"))
OPTIONS = LoadOptions(
    changed_only=True,
    max_deletes="100%",
    id_column=("id",),
    metadata_column=("meta",),
    contents_column=("text",),
    max_errors="100%",
)

Sources = Callable[[Files], Any]


def in_files(files: Files) -> Path:
    files.write()
    return files.folder


def in_a_list(files: Files) -> list[dict[str, Any]]:
    return [as_object(row) for row in files.in_order()]


def in_a_stream(files: Files) -> Iterator[dict[str, Any]]:
    return (as_object(row) for row in files.in_order())


@pytest.mark.parametrize(
    ("sources", "policy", "to"),
    [
        (in_files, "last", "embedded"),
        (in_files, "reject", "embedded"),
        (in_a_list, "last", "embedded"),
        (in_a_stream, "last", "embedded"),
        (in_a_stream, "reject", "embedded"),
        (in_files, "last", "service"),
    ],
)
def test_after_random_edits_the_index_is_what_a_full_load_would_have_made(
    request: pytest.FixtureRequest, tmp_path: Path, index_name: str, sources: Sources, policy: str, to: str
) -> None:
    chance = random.Random(SEED)  # noqa: S311 the number repeats a failure
    files = Files(tmp_path / "files", chance)
    key = vecload.generate_key()
    where = str(tmp_path / "store") if to == "embedded" else request.getfixturevalue("service")
    options = replace(OPTIONS, repeated_ids=policy)
    held: dict[str, Item] = {}
    for number in range(ROUNDS if to == "embedded" else ROUNDS // 4):
        for _ in range(chance.choice([0, 1, 1, 2, 5])):
            files.edit()
        deleting = chance.random() < 0.5
        good, rows = files.good_rows(), files.in_order()
        repeated = sum(len(items) - 1 for items in good.values())
        if policy == "reject":
            good = {item_id: items[:1] for item_id, items in good.items()}

        result = vecload.load(
            *(sources(files),),
            to=where,
            index=index_name,
            key=key,
            options=options,
            delete_missing=deleting,
            batch_rows=chance.choice([2, 5, 100]),
        )

        with vecload.connect(where) as connection:
            found = items_in(connection.open_index(index_name, key))
        want = {**held, **{item_id: items[-1] for item_id, items in good.items()}}
        if deleting and all(row.id for row in rows):
            named = {row.id for row in rows}
            want = {item_id: item for item_id, item in want.items() if item_id in named}
        assert found == want, number
        # A stream is read once: a row may be sent though a later one replaces it.
        least = rows_to_send(good, held)
        assert result.loaded == least or (sources is in_a_stream and result.loaded >= least), number
        assert result.deleted == len(held.keys() - want.keys())
        assert result.read == len(rows)
        bad = sum(row.bad or not row.id for row in rows)
        assert result.rejected == bad + (repeated if policy == "reject" else 0)
        held = found


class Nightly:
    """A load of a table every night, with what it says."""

    def __init__(self, folder: Path, said: pytest.LogCaptureFixture) -> None:
        said.set_level(logging.INFO, "vecload")
        self.folder = folder
        self.said = said
        self.key = vecload.generate_key()
        self.rows = [
            {"id": f"i{n}", "vector": [1.0, n, 0.5, -n], "n": n, "text": f"text {n}"} for n in range(100)
        ]

    def load(self, source: Any = None, **fields: Any) -> vecload.LoadResult:
        self.said.clear()
        options = {"changed_only": True, "id_column": "id", "index": "docs", "key": self.key, **fields}
        return vecload.load(
            pa.Table.from_pylist(self.rows) if source is None else source, to=self.folder, **options
        )

    def index(self) -> Index:
        return vecload.connect(self.folder).open_index("docs", self.key)

    @property
    def messages(self) -> str:
        return "\n".join(record.getMessage() for record in self.said.records)


@pytest.fixture
def nightly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Nightly:
    return Nightly(tmp_path / "store", caplog)


def test_a_second_load_sends_nothing_and_a_third_only_what_changed(nightly: Nightly) -> None:
    assert nightly.load().loaded == 100
    again = nightly.load()
    assert (again.read, again.loaded, again.skipped) == (100, 0, 100)
    assert "0 of 100 rows are new or changed" in nightly.messages
    nightly.rows[7]["n"] = 7.5
    nightly.rows.append({"id": "new", "vector": [1.0, 2.0, 3.0, 4.0], "n": 1.0, "text": None})
    third = nightly.load()
    assert (third.loaded, third.skipped) == (101, 0)  # the column became one of floats
    nightly.rows[8]["text"] = "other"
    assert nightly.load().loaded == 1
    (item,) = nightly.index().get(["i8"])
    assert item["contents"] == "other"


def drop(nightly: Nightly) -> None:
    connection = vecload.connect(nightly.folder)
    connection.delete_index("docs", nightly.key)


def drop_and_fill(nightly: Nightly) -> None:
    drop(nightly)
    index = vecload.connect(nightly.folder).create_index("docs", nightly.key)
    index.upsert_binary([f"other{n}" for n in range(200)], np.ones((200, 4)))


def delete_some(nightly: Nightly) -> None:
    vecload.connect(nightly.folder)._target.open_index("docs", nightly.key.index_key).delete(["i3"])  # noqa: SLF001


def change_vectors(nightly: Nightly) -> None:
    index = nightly.index()
    for item in index.get([f"i{n}" for n in range(0, 100, 2)]):
        index.upsert([{**item, "vector": [9.0, 9.0, 9.0, 9.0]}])


def change_metadata(nightly: Nightly) -> None:
    index = nightly.index()
    for item in index.get([f"i{n}" for n in range(0, 100, 2)]):
        index.upsert([{**item, "metadata": {"n": True}}])


def load_otherwise(nightly: Nightly) -> None:
    vecload.load([{**row, "n": -1} for row in nightly.rows], to=nightly.folder, index="docs", key=nightly.key)


@pytest.mark.parametrize(
    ("happens", "says"),
    [
        (drop, "the index is new"),
        (drop_and_fill, "the index lacks items that the last load stored"),
        (delete_some, "the index holds 99 items, but held 100"),
        (change_vectors, "others changed items"),
        (change_metadata, "others changed items"),
        (load_otherwise, "another load or deletion changed the index"),
    ],
)
def test_an_index_that_others_changed_is_noticed_and_everything_is_loaded(
    nightly: Nightly, happens: Callable[[Nightly], None], says: str
) -> None:
    nightly.load()
    happens(nightly)
    result = nightly.load()
    assert f"loading everything: {says}" in nightly.messages
    assert result.loaded == 100
    assert {item["metadata"]["n"] for item in nightly.index().get([f"i{n}" for n in range(100)])} == {
        *range(100)
    }
    assert nightly.load().loaded == 0
    assert "loading everything" not in nightly.messages


def test_what_others_add_does_no_harm(nightly: Nightly) -> None:
    nightly.load()
    nightly.index().upsert([{"id": "theirs", "vector": [1.0, 2.0, 3.0, 4.0]}])
    assert nightly.load(delete_missing=True).loaded == 0
    assert nightly.index().count() == 101


def test_a_new_contents_key_another_policy_and_fresh_load_everything(nightly: Nightly) -> None:
    nightly.load()
    index_key, old = nightly.key.index_key, nightly.key.contents_key
    nightly.key = vecload.Key(index_key, os.urandom(32), (old,))
    assert nightly.load().loaded == 100
    assert "loading everything: the contents key is another one" in nightly.messages
    assert nightly.load().loaded == 0
    assert nightly.load(seal=False).loaded == 100
    assert nightly.load(seal=False).loaded == 0
    assert nightly.load(seal=False, fresh=True).loaded == 100
    assert "loading everything: fresh" in nightly.messages


def test_items_that_left_are_deleted_only_if_asked_for_and_not_too_many(nightly: Nightly) -> None:
    nightly.load()
    left = nightly.rows[:9]
    del nightly.rows[:9]
    kept = nightly.load()
    assert kept.deleted == 0
    assert "9 items left the sources and stay; delete_missing=True deletes them" in nightly.messages
    with pytest.raises(vecload.UsageError, match=r"9 of 100 items left the sources, more than max_deletes 8"):
        nightly.load(delete_missing=True, max_deletes=8)
    deleted = nightly.load(delete_missing=True)
    assert deleted.deleted == 9
    assert deleted.as_dict()["deleted"] == 9
    assert nightly.index().count() == 91
    nightly.rows[:0] = left
    assert nightly.load().loaded == 9
    del nightly.rows[50:]
    with pytest.raises(vecload.UsageError, match="50 of 100 items left"):
        nightly.load(delete_missing=True)
    assert nightly.index().count() == 100


def test_loads_of_other_sources_keep_their_items(nightly: Nightly, tmp_path: Path) -> None:
    nightly.load()
    other = tmp_path / "other.jsonl"
    other.write_text('{"id": "i1", "vector": [4, 3, 2, 1]}\n{"id": "own", "vector": [1, 1, 1, 1]}\n')
    assert nightly.load(other, delete_missing=True, max_deletes="100%").loaded == 2
    assert "99 items of loads of other sources stay" in nightly.messages
    assert nightly.index().count() == 101
    other.write_text('{"id": "i1", "vector": [4, 3, 2, 1]}\n')
    assert nightly.load(other, delete_missing=True, max_deletes="100%").deleted == 1
    assert nightly.load().loaded == 1  # what the other load had replaced
    assert nightly.load(other).loaded == 1


def test_an_item_whose_row_is_rejected_stays(nightly: Nightly) -> None:
    nightly.load()
    del nightly.rows[0]
    nightly.rows[0]["vector"] = [0.0, 0.0, 0.0, 0.0]
    result = nightly.load(delete_missing=True, max_errors=1)
    assert (result.rejected, result.deleted, result.loaded) == (1, 1, 0)
    assert nightly.index().get(["i1"])[0]["metadata"] == {"n": 1}


def test_a_row_rejected_without_an_id_may_be_any_item_so_nothing_is_deleted(nightly: Nightly) -> None:
    nightly.load()
    del nightly.rows[0]
    nightly.rows[0]["id"] = None  # type: ignore[assignment]
    result = nightly.load(delete_missing=True, max_errors=1)
    assert (result.rejected, result.deleted) == (1, 0)
    assert "they may be the rows rejected without an id (1)" in nightly.messages


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"delete_missing": True, "changed_only": False}, "delete_missing=True needs changed_only=True"),
        ({"skip_loaded": True}, "exclude each other"),
        ({"max_deletes": "many"}, "max_deletes 'many' is neither a number of items nor a percentage"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    nightly: Nightly, tmp_path: Path, fields: dict[str, Any], says: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "a", "vector": [1, 2]}\n')
    with pytest.raises(vecload.UsageError, match=says):
        nightly.load(path, **fields)


def test_two_loads_into_one_index_do_not_run_at_once_if_one_sends_only_changes(nightly: Nightly) -> None:
    nightly.load()
    refused: list[str] = []

    def load_meanwhile(progress: vecload.Progress) -> None:
        for changed_only in (True, False):
            try:
                nightly.load([{"id": "b", "vector": [1.0, 2.0, 3.0, 4.0]}], changed_only=changed_only)
            except vecload.VecloadError as error:
                refused.append(str(error))

    nightly.rows[0]["n"] = -1
    nightly.load(on_progress=load_meanwhile)
    assert refused
    assert all("another load into this index is running" in error for error in refused)


def test_items_that_vecload_deleted_are_known_to_be_gone(nightly: Nightly) -> None:
    nightly.load()
    here: dict[str, Any] = {"to": nightly.folder, "index": "docs", "key": nightly.key}
    assert vecload.delete([f"i{n}" for n in range(5)], **here).deleted == 5
    del nightly.rows[:2]
    result = nightly.load(delete_missing=True)
    assert (result.loaded, result.deleted) == (3, 0)
    assert "loading everything" not in nightly.messages
    assert nightly.index().count() == 98
    # With another contents key the state can't be kept, but it is not believed either.
    here["key"] = vecload.Key(nightly.key.index_key, os.urandom(32))
    assert vecload.delete(["i7"], **here).deleted == 1
    assert nightly.load().loaded == 98
    assert "loading everything: another load or deletion changed the index" in nightly.messages


def test_the_state_says_nothing_without_the_key(nightly: Nightly) -> None:
    for row in nightly.rows:
        row["id"] = f"document {row['id']}"
    nightly.load()
    copied = copy.deepcopy(nightly.rows)
    path = state_path(state_folder(), str(nightly.folder.resolve()), "docs")
    content = path.read_bytes()
    assert len(content) > 36 * len(copied)
    for row in copied:
        assert str(row["id"]).encode() not in content
        assert str(row["text"]).encode() not in content
        assert np.float32(row["vector"]).tobytes() not in content
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "parquet", "csv"])
def test_rows_that_changed_here_and_there_in_a_large_file_are_sent_and_no_others(
    tmp_path: Path, kind: str
) -> None:
    chance = random.Random(SEED)  # noqa: S311
    rows = [
        {"id": f"id-{n}", "vector": f"[{n}, 1, 2, {n % 7}]", "title": f"title {n}"} for n in range(12_000)
    ]
    path = tmp_path / f"rows.{kind}"
    key = vecload.generate_key()
    options: dict[str, Any] = {"to": tmp_path / "store", "index": "docs", "key": key, "changed_only": True}
    options |= {"id_column": "id", "vector_column": "vector", "parse_workers": 2}

    def write() -> None:
        table = pa.Table.from_pylist(rows)
        if kind == "parquet":
            pq.write_table(table, path, row_group_size=3000)
        elif kind == "csv":
            pacsv.write_csv(table, path)
        else:
            text = "".join(json.dumps(row) + "\n" for row in rows).encode()
            path.write_bytes(gzip.compress(text) if kind.endswith("gz") else text)

    write()
    assert vecload.load(path, **options).loaded == 12_000
    changed = sorted(chance.sample(range(12_000), 200))
    for n in changed:
        rows[n]["title"] = "changed"
    gone = [rows.pop(n)["id"] for n in (9_000, 10, 3)]
    write()

    result = vecload.load(path, **options, delete_missing=True)

    still = [n for n in changed if f"id-{n}" not in gone]
    assert (result.loaded, result.deleted) == (len(still), 3)
    index = vecload.connect(tmp_path / "store").open_index("docs", key)
    items = {item["id"]: item["metadata"]["title"] for item in index.get(index.list_ids(), ["metadata"])}
    assert items == {str(row["id"]): row["title"] for row in rows}
    assert vecload.load(path, **options).loaded == 0
