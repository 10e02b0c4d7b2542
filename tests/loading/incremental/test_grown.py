"""`skip_loaded` for folders that grow: only what changed is loaded, and the index is that of a full load."""

from __future__ import annotations

import json
import logging
import os
import random
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import vecload
from tests.loading.edits import Files, Item, Row, items_in
from vecload.options import LoadOptions

ROUNDS = int(os.environ.get("VECLOAD_ROUNDS", "40"))
SEED = int(os.environ.get("VECLOAD_SEED", "0"))
OPTIONS = LoadOptions(
    skip_loaded=True,
    id_column=("id",),
    metadata_column=("meta",),
    contents_column=("text",),
    max_errors="100%",
)


def full_load(files: Files, policy: str) -> tuple[dict[str, Item], int]:
    """What a load of all files makes of an empty index, and how many rows it rejects."""
    found: dict[str, Item] = {}
    rejected = 0
    for row in files.in_order():
        if row.bad or not row.id or (policy == "reject" and row.id in found):
            rejected += 1
        else:
            found[row.id] = row.item
    return found, rejected


@dataclass
class Least:
    """Which file wrote each item, if as few files are loaded as can be, where the last row of an id wins."""

    writers: dict[str, tuple[str, str]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    rows: int = 0

    def load(self, now: dict[str, list[Row]]) -> None:
        """Load what must be loaded, file by file."""
        versions = {name: repr(rows) for name, rows in now.items()}
        ids = {name: [row.id for row in rows if row.id and not row.bad] for name, rows in now.items()}
        load = {name for name, version in versions.items() if version != self.versions.get(name)}
        winners = {item_id: name for name in sorted(now) for item_id in ids[name]}
        while True:
            writers = dict(self.writers)
            for name in sorted(load):
                writers |= dict.fromkeys(ids[name], (name, versions[name]))
            more = {
                name
                for item_id, name in winners.items()
                if writers.get(item_id) != (name, versions[name]) and name not in load
            }
            if not more:
                break
            load |= more
        self.writers, self.versions = writers, versions
        self.rows += sum(len(ids[name]) for name in load)


@pytest.mark.parametrize("policy", ["last", "reject"])
@pytest.mark.parametrize("with_rejects", [False, True])
def test_after_random_edits_the_index_is_that_of_a_full_load(
    tmp_path: Path, policy: str, with_rejects: bool
) -> None:
    chance = random.Random(SEED)  # noqa: S311 the number repeats a failure
    files = Files(tmp_path / "files", chance, bad=with_rejects)
    key = vecload.generate_key()
    here: dict[str, Any] = {"to": tmp_path / "store", "index": "docs", "key": key}
    here["options"] = replace(OPTIONS, repeated_ids=policy)
    rejects = tmp_path / "rejects.jsonl"
    held: dict[str, Item] = {}
    sent, least = 0, Least()
    for number in range(ROUNDS):
        for _ in range(chance.choice([0, 1, 1, 2])):
            files.edit()
        files.write()
        want, rejected = full_load(files, policy)
        least.load(files.rows)
        named = {"rejects": rejects} if with_rejects and chance.random() < 0.8 else {}

        result = vecload.load(files.folder, **here, **named, batch_rows=chance.choice([2, 5, 100]))

        with vecload.connect(tmp_path / "store") as connection:
            found = items_in(connection.open_index("docs", key))
        assert found == {**held, **want}, number
        assert (result.read, result.rejected) == (len(files.in_order()), rejected), number
        assert result.loaded + result.skipped == result.read - rejected
        if named and not result.rejects_missing:
            lines = [json.loads(line) for line in rejects.read_text().splitlines()]
            assert len({(line["source"], line["row"]) for line in lines}) == len(lines) == rejected, number
        sent += result.loaded
        held = found
    if policy == "last" and not with_rejects:
        assert sent == least.rows


class Daily:
    """A folder to which a file is added every day."""

    def __init__(self, folder: Path, said: pytest.LogCaptureFixture) -> None:
        said.set_level(logging.INFO, "vecload")
        self.folder = folder / "days"
        self.folder.mkdir()
        self.to = folder / "store"
        self.key = vecload.generate_key()
        self.said = said

    def write(self, day: int, **fields: Any) -> Path:
        path = self.folder / f"{day:02}.jsonl"
        rows = [{"id": f"d{day}-{n}", "vector": [1.0, day, n], **fields} for n in range(10)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    def load(self, **fields: Any) -> vecload.LoadResult:
        self.said.clear()
        return vecload.load(self.folder, to=self.to, index="days", key=self.key, skip_loaded=True, **fields)

    @property
    def messages(self) -> str:
        return "\n".join(record.getMessage() for record in self.said.records)


@pytest.fixture
def daily(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Daily:
    return Daily(tmp_path, caplog)


@pytest.mark.parametrize("policy", ["last", "reject"])
def test_a_day_that_is_added_is_loaded_alone(daily: Daily, policy: str) -> None:
    for day in range(20):
        daily.write(day)
    assert daily.load(repeated_ids=policy).loaded == 200
    daily.write(20)
    result = daily.load(repeated_ids=policy)
    assert (result.read, result.loaded, result.skipped) == (210, 10, 200)
    assert "skipping 20 of 21 sources, which are loaded and unchanged" in daily.messages
    assert daily.load(repeated_ids=policy).loaded == 0
    assert "nothing to do: all 210 rows were loaded" in daily.messages
    daily.write(7, kind="edited")
    assert daily.load(repeated_ids=policy).loaded == 10
    (daily.folder / "03.jsonl").unlink()
    gone = daily.load(repeated_ids=policy)
    assert (gone.read, gone.loaded) == (200, 0)
    assert "gone since the last load: 1 source; their items stay in the index" in daily.messages


def test_another_mapping_key_or_index_loads_everything(daily: Daily, tmp_path: Path) -> None:
    for day in range(3):
        daily.write(day)
    daily.load()
    daily.write(3)
    assert daily.load(id_prefix="x").loaded == 40
    daily.write(4)
    assert daily.load(id_prefix="x", seal=False).loaded == 50
    assert "loading again: the sources or the settings changed" in daily.messages
    daily.write(5)
    with vecload.connect(daily.to) as connection:
        connection.open_index("days", daily.key)._index.drop()  # noqa: SLF001
    assert daily.load(id_prefix="x", seal=False).loaded == 60
    assert "loading again: the index is new" in daily.messages


def test_a_load_that_stopped_goes_on_though_a_day_was_added(daily: Daily) -> None:
    for day in range(11):
        daily.write(day)
    stop = threading.Event()

    def stop_within_the_last_day(progress: vecload.Progress) -> None:
        if progress.read >= 105:
            stop.set()

    with pytest.raises(vecload.Interrupted):
        daily.load(batch_rows=1, concurrency=1, stop=stop, on_progress=stop_within_the_last_day)
    daily.write(11)
    result = daily.load()
    assert result.read == 120
    assert "skipping 10 of 12 sources" in daily.messages
    assert result.loaded == 20
    with vecload.connect(daily.to) as connection:
        assert connection.open_index("days", daily.key).count() == 120


def test_a_load_that_stopped_without_skip_loaded_is_refused_if_a_day_was_added(daily: Daily) -> None:
    for day in range(3):
        daily.write(day)
    stop = threading.Event()
    with pytest.raises(vecload.Interrupted):
        daily.load(
            batch_rows=1, concurrency=1, stop=stop, on_progress=lambda so_far: so_far.read > 5 and stop.set()
        )
    daily.write(3)
    with pytest.raises(vecload.SourceError, match="was added since its unfinished load began"):
        vecload.load(daily.folder, to=daily.to, index="days", key=daily.key)


def test_a_file_that_changed_while_it_was_loaded_is_loaded_by_the_next_run(daily: Daily) -> None:
    for day in range(5):
        daily.write(day)
    done: list[int] = []

    def write_again(progress: vecload.Progress) -> None:
        if progress.read >= 35 and not done:
            done.append(progress.read)
            daily.write(3, kind="written again")

    with pytest.raises(vecload.SourceError, match="changed while it was loaded"):
        daily.load(batch_rows=5, concurrency=1, on_progress=write_again)
    result = daily.load()
    assert (result.read, result.loaded) == (50, 10 if "skipping 4 of 5" in daily.messages else 50)
    with vecload.connect(daily.to) as connection:
        items = connection.open_index("days", daily.key).get([f"d3-{n}" for n in range(10)])
    assert [item["metadata"] for item in items] == [{"kind": "written again"}] * 10
    assert daily.load().loaded == 0


def test_a_pattern_and_a_list_are_sources_like_a_folder(daily: Daily) -> None:
    for day in range(3):
        daily.write(day)
    pattern = str(daily.folder / "*.jsonl")
    place: dict[str, Any] = {"to": daily.to, "index": "days", "key": daily.key, "skip_loaded": True}
    assert vecload.load(pattern, **place).loaded == 30
    daily.write(3)
    assert vecload.load(pattern, **place).loaded == 10
    paths = [daily.folder / f"{day:02}.jsonl" for day in range(4)]
    assert vecload.load(paths, **place).loaded == 40  # another list is another load
    assert vecload.load(paths, **place).loaded == 0


def test_a_load_without_skip_loaded_counts_for_the_next_one_with_it(daily: Daily) -> None:
    for day in range(3):
        daily.write(day)
    vecload.load(daily.folder, to=daily.to, index="days", key=daily.key)
    daily.write(3)
    assert daily.load(id_column="id").loaded == 40  # another mapping
    daily.write(4)
    assert daily.load(id_column="id").loaded == 10
    vecload.load(daily.folder, to=daily.to, index="days", key=daily.key, id_column="id")
    daily.write(5)
    assert daily.load(id_column="id").loaded == 10  # nothing follows the new day, so no ids are needed
    daily.write(2, kind="edited")
    assert (
        daily.load(id_column="id").loaded == 30
    )  # days before may share its old ids, which were not recorded
    daily.write(1, kind="edited")
    assert daily.load(id_column="id").loaded == 10
