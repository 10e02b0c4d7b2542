"""Rekey: every item opens with the new key file at any moment, at the end with its contents key alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import vecload
from tests.cli.command import vecload as run
from tests.upkeep.conftest import CONTENTS, ITEMS, Place
from tests.upkeep.kills import KILLS, kill_until_done
from vecload.batch import Batch
from vecload.errors import KeyFileError
from vecload.targets.base import Ack, StoredItem
from vecload.targets.embedded import EmbeddedIndex

ENGINES = ("embedded", "service")
SEALED = sum(CONTENTS[n % len(CONTENTS)] is not None for n in range(ITEMS) if n != 2)


def rekey(place: Place, file: Path, **options: object) -> vecload.RekeyResult:
    return vecload.rekey(file, to=place.to, index=place.index, key=place.key, **options)


def alone(file: Path) -> vecload.Key:
    """The new contents key, without the old ones."""
    key = vecload.Key.load(file)
    return vecload.Key(key.index_key, key.contents_key)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_item_opens_with_the_new_key_alone(
    tmp_path: Path, full: Callable[[str], Place], engine: str
) -> None:
    there, file = full(engine), tmp_path / "new.key"
    before = there.items()
    result = rekey(there, file)
    assert (result.status, result.items, result.sealed_again, result.left) == ("complete", SEALED, SEALED, 0)
    assert result.old_key_ids == [there.key.key_id]
    assert Place(there.to, there.index, alone(file)).items() == before
    with pytest.raises(vecload.SealError):
        there.items()
    again = rekey(there, file)
    assert (again.sealed_again, again.already) == (0, SEALED)


def test_items_without_contents_are_not_written(tmp_path: Path, place: Callable[[str], Place]) -> None:
    there = place("embedded")
    index = vecload.connect(there.to).create_index(there.index, there.key)
    index.upsert([{"id": "a", "vector": [1.0, 2.0]}, {"id": "b", "vector": [1.0, 2.0], "contents": "x"}])
    there.open(seal=False).upsert([{"id": "c", "vector": [1.0, 2.0], "contents": "in clear"}])
    result = rekey(there, tmp_path / "new.key")
    assert (result.items, result.sealed_again, result.unsealed) == (2, 1, 1)
    assert there.open().get(["c"], ["contents", "sealed"]) == [
        {"id": "c", "contents": "in clear", "sealed": False}
    ]


def test_the_new_file_has_both_keys_and_nobody_else_can_read_it(
    tmp_path: Path, full: Callable[[str], Place]
) -> None:
    there, file = full("embedded"), tmp_path / "new.key"
    rekey(there, file)
    key = vecload.Key.load(file)
    assert key.index_key == there.key.index_key
    assert key.old_contents_keys == (there.key.contents_key,)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_could_not_open_everything_is_refused(
    tmp_path: Path, full: Callable[[str], Place]
) -> None:
    there = full("embedded")
    vecload.Key(there.key.index_key, os.urandom(32)).save(tmp_path / "without")
    with pytest.raises(KeyFileError, match=rf"not have the old contents key \(key id {there.key.key_id}\)"):
        rekey(there, tmp_path / "without")
    vecload.generate_key().save(tmp_path / "strange")
    with pytest.raises(KeyFileError, match="has another index key than index"):
        rekey(there, tmp_path / "strange")
    there.items()


def test_an_item_under_a_lost_key_stops_it(tmp_path: Path, full: Callable[[str], Place]) -> None:
    there, file = full("embedded"), tmp_path / "new.key"
    there.put_under_another_key("lost")
    with pytest.raises(vecload.RowsRejected, match=r"\(id 'lost'\): contents: do not open: unknown key"):
        rekey(there, file)
    result = rekey(there, file, max_errors=1)
    assert (result.status, result.left, result.exit_code, result.old_key_ids) == ("rejected", 1, 3, [])
    assert "keep the old contents keys" in "\n".join(result.lines())


def test_the_key_store_gets_the_new_key(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a", "vector": [1, 2], "contents": "text"}\n')
    assert run("upsert", tmp_path / "a.jsonl").code == 0
    ended = run("rekey", "--new-key-file", tmp_path / "new.key", "--json")
    assert ended.code == 0
    summary = json.loads(ended.out)
    assert (summary["status"], summary["sealed_again"]) == ("complete", 1)
    assert "keep a copy" in ended.err
    (stored,) = Path(os.environ["XDG_CONFIG_HOME"], "vecload", "keys").iterdir()
    assert vecload.Key.load(stored) == vecload.Key.load(tmp_path / "new.key")
    assert stored.stat().st_mode & 0o777 == 0o600
    assert '"contents":"text"' in run("get", "a").out
    assert run("upsert", tmp_path / "a.jsonl").code == 0
    ended = run("rekey", "--new-key-file", tmp_path / "new.key", "--json")
    assert json.loads(ended.out)["already"] == 1


def test_a_rekey_that_ended_between_batches_is_ended_by_the_next(
    tmp_path: Path, full: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, file = full("embedded"), tmp_path / "new.key"
    before = there.items()
    batches: list[Batch] = []
    prepare = EmbeddedIndex.prepare

    def fails(self: EmbeddedIndex, batch: Batch) -> Callable[[], Ack]:
        batches.append(batch)
        if len(batches) > 3:
            raise vecload.TargetError("the disk is full")
        return prepare(self, batch)

    with monkeypatch.context() as faults:
        faults.setattr(EmbeddedIndex, "prepare", fails)
        for _ in range(2):
            with pytest.raises(vecload.TargetError, match="the disk is full"):
                rekey(there, file, batch_rows=2, concurrency=1)
    assert rekey(there, file, batch_rows=2, concurrency=1).left == 0
    assert Place(there.to, there.index, alone(file)).items() == before


@pytest.mark.parametrize("number", range(KILLS))
def test_a_rekey_outlives_kills(tmp_path: Path, full: Callable[[str], Place], number: int) -> None:
    there, file = full(ENGINES[number % 2]), tmp_path / "new.key"
    before = there.items()
    there.key.save(tmp_path / "old.key")
    arguments = [
        *("rekey", "--to", there.to, "--index", there.index, "--key-file", str(tmp_path / "old.key")),
        *("--new-key-file", str(file), "--batch-rows", "2", "--concurrency", "1"),
    ]

    kept = Path(os.environ["XDG_STATE_HOME"], "vecload", "rekey")

    def opens() -> None:
        key = vecload.Key.load(file) if file.exists() else there.key
        found = Place(there.to, there.index, key).items()
        assert {item_id: before[item_id] for item_id in found} == found
        # What the killed engine was replacing is in the file from which the next run loads it.
        assert len(found) == len(before) or [*kept.iterdir()]

    kill_until_done(arguments, tmp_path, number, after_each=opens)
    assert [*kept.iterdir()] == []
    assert Place(there.to, there.index, alone(file)).items() == before


@pytest.mark.parametrize("left", ["no contents", "contents that are not listed"])
def test_items_of_which_a_killed_engine_left_a_part_are_loaded_from_the_kept_file(
    tmp_path: Path, full: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    there, file = full("embedded"), tmp_path / "new.key"
    before = there.items()
    lost: dict[str, str | bytes | None] = {}
    get, prepare = EmbeddedIndex.get, EmbeddedIndex.prepare

    def killed(self: EmbeddedIndex, batch: Batch) -> Callable[[], Ack]:
        assert batch.contents is not None
        for item_id, contents in zip(batch.ids, batch.contents, strict=True):
            lost[item_id] = None if left == "no contents" else contents
        self.delete(batch.ids)
        raise vecload.TargetError("killed")

    def half_there(self: EmbeddedIndex, ids: Sequence[str], include: Sequence[str]) -> list[StoredItem]:
        found = get(self, ids, include)
        if not loading:
            found += [StoredItem(item_id, None, {}, lost[item_id]) for item_id in lost if item_id in ids]
        return found

    def loads(self: EmbeddedIndex, batch: Batch) -> Callable[[], Ack]:
        loading.append(batch)
        return prepare(self, batch)

    loading: list[Batch] = []
    with monkeypatch.context() as faults:
        faults.setattr(EmbeddedIndex, "prepare", killed)
        with pytest.raises(vecload.TargetError, match="killed"):
            rekey(there, file, batch_rows=2, concurrency=1)
    assert len(lost) == 2
    monkeypatch.setattr(EmbeddedIndex, "get", half_there)
    with monkeypatch.context() as faults:
        faults.setattr(EmbeddedIndex, "prepare", loads)
        rekey(there, file, batch_rows=2, concurrency=1)
    assert Place(there.to, there.index, alone(file)).items() == before
