"""The journal: what it recorded stays recorded, and what it did not record it never shows."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.loading.batches import Clock
from vecload.batch import Span
from vecload.errors import JournalError, LoadLocked, SourceError, UsageError
from vecload.loading.database import ALIVE_SECONDS
from vecload.loading.identity import Identity
from vecload.loading.journal import COMMIT_SECONDS, Journal

IDENTITY = Identity(
    "http://host", "docs", ("/data/a.jsonl",), {"/data/a.jsonl": "print-1"}, ("mapping m", "key k")
)
SOURCE = "/data/a.jsonl"


@pytest.fixture
def open_journal(tmp_path: Path) -> Iterator[Callable[..., Journal]]:
    opened: list[Journal] = []

    def make(identity: Identity = IDENTITY, **settings: Any) -> Journal:
        opened.append(Journal(tmp_path / "state", identity, **settings))
        return opened[-1]

    yield make
    for journal in opened:
        close(journal)


def close(journal: Journal) -> None:
    """Close it, whether the test did already or not."""
    with suppress(OSError):
        journal.close()


def begun(open_journal: Callable[..., Journal], identity: Identity = IDENTITY) -> Journal:
    """A journal with something in it."""
    journal = open_journal(identity)
    journal.record(Span(SOURCE, 0, 10, 0, 500), 10, 0)
    journal.commit(reject_bytes=0)
    return journal


def rows_done(journal: Journal, source: str = SOURCE) -> list[tuple[int, int]]:
    return [(span.start, span.stop) for span in journal.done(source)]


def test_a_new_journal_knows_nothing(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    assert not journal.had_finished
    assert not journal.unchanged
    assert journal.done(SOURCE) == []
    assert journal.totals() == (0, 0)
    assert (journal.samples(), journal.reject_bytes) == ([], 0)


def test_a_load_that_was_stopped_goes_on_where_it_was(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    journal.record(Span(SOURCE, 0, 10, 0, 500), 9, 1)
    journal.record(Span(SOURCE, 20, 30, 1000, 1500), 10, 0)
    journal.record(Span("/data/b.jsonl", 0, 5, 0, 50), 5, 0)
    journal.remember("item-24")
    journal.commit(reject_bytes=77)
    journal.close()
    resumed = open_journal()
    assert resumed.unchanged
    assert not resumed.had_finished
    assert resumed.done(SOURCE) == [Span(SOURCE, 0, 10, 0, 500), Span(SOURCE, 20, 30, 1000, 1500)]
    assert resumed.done("/data/b.jsonl") == [Span("/data/b.jsonl", 0, 5, 0, 50)]
    assert resumed.totals() == (24, 1)
    assert (resumed.samples(), resumed.reject_bytes) == (["item-24"], 77)


def test_spans_that_touch_are_joined_in_whatever_order_they_came(
    open_journal: Callable[..., Journal],
) -> None:
    journal = open_journal()
    for start in (30, 0, 20, 10, 50):
        journal.record(Span(SOURCE, start, start + 10, start * 7, start * 7 + 70), 10, 0)
    journal.commit(reject_bytes=0)
    assert journal.done(SOURCE) == [Span(SOURCE, 0, 40, 0, 280), Span(SOURCE, 50, 60, 350, 420)]


def test_a_source_is_the_same_however_its_path_is_spelt(
    open_journal: Callable[..., Journal], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").touch()
    identity = replace(IDENTITY, sources=(str(tmp_path / "a.jsonl"),))
    journal = open_journal(identity)
    journal.record(Span("a.jsonl", 0, 10), 10, 0)
    journal.commit(reject_bytes=0)
    journal.close()
    resumed = open_journal(identity)
    for name in ("a.jsonl", "./a.jsonl", str(tmp_path / "a.jsonl")):
        assert resumed.done(name) == [Span(name, 0, 10)]


def test_what_was_not_committed_is_forgotten(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    journal.record(Span(SOURCE, 0, 10), 10, 0)
    journal.commit(reject_bytes=0)
    journal.record(Span(SOURCE, 10, 20), 10, 0)
    journal.close()
    assert rows_done(open_journal()) == [(0, 10)]


def test_commits_are_due_by_time_and_only_when_something_waits(open_journal: Callable[..., Journal]) -> None:
    clock = Clock()
    journal = open_journal(clock=clock)
    clock.now += 10
    assert not journal.due()
    journal.record(Span(SOURCE, 0, 10), 10, 0)
    assert journal.due()
    journal.commit(reject_bytes=0)
    journal.record(Span(SOURCE, 10, 20), 10, 0)
    assert not journal.due()
    clock.now += COMMIT_SECONDS
    assert journal.due()


def test_the_count_of_the_index_and_the_reject_file_stay_when_a_commit_does_not_tell_them(
    open_journal: Callable[..., Journal],
) -> None:
    journal = open_journal()
    journal.remember("item-12")
    journal.commit(reject_bytes=44)
    journal.commit(reject_bytes=None)
    journal.close()
    resumed = open_journal()
    assert (resumed.samples(), resumed.reject_bytes) == (["item-12"], 44)


def test_a_finished_load_is_known_as_finished_and_may_begin_again(
    open_journal: Callable[..., Journal],
) -> None:
    journal = open_journal()
    journal.record(Span(SOURCE, 0, 10), 8, 2)
    journal.remember("item-8")
    journal.commit(reject_bytes=9, finished=True)
    journal.close()
    again = open_journal()
    assert again.had_finished
    assert again.unchanged
    assert again.totals() == (8, 2)
    again.start_over()
    assert again.totals() == (0, 0)
    again.close()
    assert not open_journal().had_finished


def test_a_finished_load_may_begin_again_with_other_sources_and_settings(
    open_journal: Callable[..., Journal],
) -> None:
    journal = open_journal()
    journal.commit(reject_bytes=0, finished=True)
    journal.close()
    other = open_journal(replace(IDENTITY, fingerprints={"/data/a.jsonl": "print-2"}, settings=("key k2",)))
    assert other.had_finished
    assert not other.unchanged
    other.start_over()
    other.close()
    assert open_journal(
        replace(IDENTITY, fingerprints={"/data/a.jsonl": "print-2"}, settings=("key k2",))
    ).unchanged


def test_a_source_that_changed_under_an_unfinished_load_is_refused_with_what_to_do(
    open_journal: Callable[..., Journal],
) -> None:
    begun(open_journal).close()
    with pytest.raises(SourceError, match=r"/data/a\.jsonl changed") as caught:
        open_journal(replace(IDENTITY, fingerprints={"/data/a.jsonl": "print-2"}))
    assert "--fresh" in caught.value.hint
    open_journal()


def test_other_settings_under_an_unfinished_load_are_refused_by_name(
    open_journal: Callable[..., Journal],
) -> None:
    begun(open_journal).close()
    with pytest.raises(UsageError, match=r"key k, key other") as caught:
        open_journal(replace(IDENTITY, settings=("mapping m", "key other")))
    assert "--fresh" in caught.value.hint


@pytest.mark.parametrize(
    "other",
    [
        replace(IDENTITY, fingerprints={"/data/a.jsonl": "print-2"}),
        replace(IDENTITY, fingerprints={"/data/b.jsonl": "print-1"}),
        replace(IDENTITY, settings=("key k2",)),
    ],
)
def test_a_load_of_which_nothing_is_recorded_starts_anew_whatever_changed(
    open_journal: Callable[..., Journal], other: Identity
) -> None:
    journal = open_journal()
    journal.commit(reject_bytes=0)
    journal.close()
    anew = open_journal(other)
    assert anew.unfinished  # what an earlier run had sent may still be stored
    anew.record(Span(SOURCE, 0, 10), 10, 0)
    anew.commit(reject_bytes=0)
    anew.close()
    assert rows_done(open_journal(other)) == [(0, 10)]


def test_only_what_the_recorded_rows_come_from_must_be_the_same(open_journal: Callable[..., Journal]) -> None:
    both = replace(
        IDENTITY,
        fingerprints={"/data/a.jsonl": "1", "/data/b.jsonl": "2", "/data/ids": "3"},
        owners={"/data/a.jsonl": "/data/a.jsonl", "/data/b.jsonl": "/data/b.jsonl"},
    )
    begun(open_journal, both).close()
    open_journal(replace(both, fingerprints={**both.fingerprints, "/data/b.jsonl": "other"})).close()
    for path in ("/data/a.jsonl", "/data/ids"):
        with pytest.raises(SourceError, match=f"{path} changed"):
            open_journal(replace(both, fingerprints={**both.fingerprints, path: "other"}))


def test_a_file_that_begins_as_it_did_up_to_its_last_recorded_row_goes_on(
    open_journal: Callable[..., Journal],
) -> None:
    journal = begun(open_journal)
    assert journal.recorded_to(SOURCE) == 500
    assert journal.recorded_to("/data/b.jsonl") is None
    journal.begins_as(SOURCE, "beginning")
    journal.commit(reject_bytes=0)
    journal.close()
    asked: list[tuple[str, str, bool]] = []

    def holds(path: str, known: str, begins: bool) -> bool:
        asked.append((path, known, begins))
        return begins and known == "beginning"

    now = replace(IDENTITY, fingerprints={SOURCE: "print-2"}, holds=holds)
    resumed = open_journal(now)
    assert rows_done(resumed) == [(0, 10)]
    assert asked == [(SOURCE, "print-1", False), (SOURCE, "beginning", True)]
    resumed.commit(reject_bytes=0)
    resumed.close()
    open_journal(replace(IDENTITY, fingerprints={SOURCE: "print-2"})).close()  # which is what it is of now


def test_a_file_that_changed_under_a_run_is_refused_even_if_it_is_as_it_was_again(
    open_journal: Callable[..., Journal],
) -> None:
    journal = begun(open_journal)
    journal.was_touched(SOURCE)
    journal.commit(reject_bytes=0)
    journal.close()
    with pytest.raises(SourceError, match=r"a\.jsonl changed") as caught:
        open_journal()
    assert "changed while a run read it" in caught.value.hint
    open_journal(fresh=True).close()
    begun(open_journal).close()
    assert rows_done(open_journal()) == [(0, 10)]


def test_a_file_of_which_an_earlier_version_tells_too_little_is_refused_with_the_reason(
    open_journal: Callable[..., Journal],
) -> None:
    begun(open_journal, replace(IDENTITY, fingerprints={SOURCE: "1:2:3000000:4:digest"})).close()
    with pytest.raises(SourceError, match="journal, from an earlier version of vecload, does not show which"):
        open_journal(replace(IDENTITY, fingerprints={SOURCE: "3000000:whole:digest"}))


def test_an_unfinished_load_of_the_version_before_goes_on(open_journal: Callable[..., Journal]) -> None:
    journal = begun(open_journal)
    journal.close()
    with sqlite3.connect(journal.path) as database:
        database.execute("UPDATE load SET format = 2")
        database.execute("DROP TABLE beginning")
        database.execute("DROP TABLE touched")
    database.close()
    known = replace(
        IDENTITY, fingerprints={SOURCE: "new"}, holds=lambda path, known, begins: known == "print-1"
    )
    assert rows_done(open_journal(known)) == [(0, 10)]


def test_a_load_that_goes_on_keeps_to_the_reject_file_that_holds_its_rejects(
    open_journal: Callable[..., Journal],
) -> None:
    journal = open_journal()
    journal.rejects_go_to("/data/first")
    journal.commit(reject_bytes=0)
    journal.close()
    journal = open_journal()
    journal.rejects_go_to("/data/second")  # the first holds nothing yet
    journal.commit(reject_bytes=77)
    journal.close()
    journal = open_journal()
    with pytest.raises(UsageError, match="are in /data/second, not in /data/third") as caught:
        journal.rejects_go_to("/data/third")
    assert "--fresh" in caught.value.hint
    journal.rejects_go_to("/data/second")
    journal.close()
    journal = open_journal(fresh=True)
    journal.rejects_go_to("/data/third")


def test_fresh_forgets_an_unfinished_load_whatever_changed(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    journal.record(Span(SOURCE, 0, 10), 10, 0)
    journal.remember("item-10")
    journal.commit(reject_bytes=5)
    journal.close()
    fresh = open_journal(replace(IDENTITY, fingerprints={"/data/a.jsonl": "print-2"}), fresh=True)
    assert (fresh.totals(), fresh.samples(), fresh.reject_bytes) == ((0, 0), [], 0)
    assert not fresh.had_finished


def test_fresh_begins_over_a_journal_of_another_version(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    journal.close()
    with sqlite3.connect(journal.path) as database:
        database.execute("UPDATE load SET format = 99")
    database.close()
    with pytest.raises(JournalError, match="another version"):
        open_journal()
    assert open_journal(fresh=True).totals() == (0, 0)


def test_a_finished_load_of_another_version_is_no_obstacle(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    journal.commit(reject_bytes=0, finished=True)
    journal.close()
    with sqlite3.connect(journal.path) as database:
        database.execute("UPDATE load SET format = 1, identity = '[[], []]'")
    database.close()
    again = open_journal()
    assert again.had_finished
    assert not again.unchanged
    again.start_over()
    again.close()
    assert open_journal().unfinished


@pytest.mark.parametrize(
    "other",
    [
        replace(IDENTITY, index="other"),
        replace(IDENTITY, target="http://other:8000"),
        replace(IDENTITY, sources=("/data/b.jsonl",)),
        replace(IDENTITY, sources=("/data/a.jsonl", "/data/b.jsonl"), fingerprints={}),
    ],
)
def test_other_loads_have_journals_of_their_own(
    open_journal: Callable[..., Journal], other: Identity
) -> None:
    journal = open_journal()
    assert open_journal(other).path != journal.path


def test_a_second_run_of_the_same_load_is_locked_out(open_journal: Callable[..., Journal]) -> None:
    open_journal()
    for _ in range(3):
        with pytest.raises(LoadLocked, match="index 'docs' is already running") as caught:
            open_journal()
        assert caught.value.exit_code == 1


def test_the_lock_goes_with_the_journal(open_journal: Callable[..., Journal]) -> None:
    for _ in range(3):
        open_journal().close()


def make_old(folder: Path) -> None:
    """As if everything there had been written an hour ago."""
    for path in folder.iterdir():
        os.utime(path, (time.time() - 3600, time.time() - 3600))


def test_an_earlier_run_s_age_counts_from_when_it_was_last_alive_not_only_from_what_it_recorded(
    open_journal: Callable[..., Journal],
) -> None:
    clock = Clock()
    journal = open_journal(clock=clock)
    folder = journal.path.parent
    journal.commit(reject_bytes=0)
    make_old(folder)
    clock.now += ALIVE_SECONDS / 2
    journal.alive()  # too soon to tell again
    journal.close()
    make_old(folder)
    quiet = open_journal(clock=clock)
    assert quiet.age(time.time()) > 3000
    make_old(folder)
    clock.now += ALIVE_SECONDS
    quiet.alive()
    copies = {path: path.stat().st_mtime for path in folder.iterdir()}
    quiet.close()
    for path, at in copies.items():
        if path.exists():  # a kill would leave the files as they were
            os.utime(path, (at, at))
    assert open_journal(clock=clock).age(time.time()) < 60


def test_the_last_load_under_the_same_names_is_known(open_journal: Callable[..., Journal]) -> None:
    named = replace(IDENTITY, named=("/data/link",))
    other = replace(named, sources=("/data/b.jsonl",))
    first = open_journal(named)
    assert first.is_last()  # an earlier version noted nothing
    first.begin()
    first.close()
    second = open_journal(other)
    assert not second.is_last()
    second.begin()
    assert second.is_last()
    assert not open_journal(named).is_last()


def test_what_the_index_held_at_the_end_is_forgotten_when_a_load_begins(
    open_journal: Callable[..., Journal],
) -> None:
    journal = begun(open_journal)
    assert journal.items_at_end() is None
    journal.ended_with(7)
    journal.ended_with(10)
    journal.commit(reject_bytes=None, finished=True)
    journal.close()
    again = open_journal()
    assert (again.items_at_end(), again.had_finished) == (10, True)
    again.start_over()
    assert again.items_at_end() is None


def test_only_its_owner_can_read_the_journal(open_journal: Callable[..., Journal]) -> None:
    journal = open_journal()
    journal.record(Span(SOURCE, 0, 10), 10, 0)
    journal.commit(reject_bytes=0)
    for path in journal.path.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700


# A process of its own, killed by the kernel.

_CHILD = """
import sys
from pathlib import Path
from vecload.batch import Span
from vecload.loading.journal import Identity, Journal
files = {"/data/a.jsonl": "print-1"}
identity = Identity("http://host", "docs", tuple(files), files, ("mapping m", "key k"))
journal = Journal(Path(sys.argv[1]), identity)
begin = journal.totals()[0]
for n in range(begin, begin + 100000):
    journal.record(Span("/data/a.jsonl", n, n + 1, n * 10, n * 10 + 10), 1, 0)
    if n % 3 == 2:
        print("commit", n + 1, flush=True)
        journal.commit(reject_bytes=n)
        print("done", n + 1, flush=True)
"""


def test_a_killed_run_loses_no_committed_span_and_shows_no_other(
    open_journal: Callable[..., Journal], tmp_path: Path
) -> None:
    committed = 0
    for round_number in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(tmp_path / "state")], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        # Killed between two lines of a commit, or after some of them.
        told = [child.stdout.readline() for _ in range(1 + 7 * round_number)]
        child.send_signal(signal.SIGKILL)
        told += child.stdout.read().splitlines()
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        journal = open_journal()  # nor is its lock in the way
        loaded, rejected = journal.totals()
        done = [int(line.split()[1]) for line in told if line.startswith("done ")]
        begun = [int(line.split()[1]) for line in told if line.startswith("commit ")]
        assert rejected == 0
        assert max([committed, *done]) <= loaded <= max(begun)
        assert rows_done(journal) == ([(0, loaded)] if loaded else [])
        assert loaded % 3 == 0
        committed = loaded
        journal.close()
    assert committed > 0


# Disks that fail.


class FaultyDatabase:
    """An SQLite connection that fails at its n-th statement, and at every one after it if it `stays`."""

    def __init__(self, real: sqlite3.Connection, fails_at: int, message: str, *, stays: bool) -> None:
        self._real = real
        self._left = fails_at
        self._message = message
        self._stays = stays
        self.failed = False

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0 or (self._left < 0 and self._stays):
            self.failed = True
            raise sqlite3.OperationalError(self._message)

    def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
        self._count()
        return self._real.execute(statement, values)

    def executemany(self, statement: str, values: Any) -> sqlite3.Cursor:
        self._count()
        return self._real.executemany(statement, values)

    def executescript(self, script: str) -> sqlite3.Cursor:
        self._count()
        return self._real.executescript(script)

    def close(self) -> None:
        self._real.close()


STATEMENTS = 40
FAULTS = {
    "ENOSPC": "database or disk is full",
    "EIO": "disk I/O error",
    "EROFS": "attempt to write a readonly database",
}


@pytest.mark.parametrize("stays", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_statement_loses_nothing_committed_and_claims_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, stays: bool
) -> None:
    connect = sqlite3.connect
    told: list[str] = []
    for fails_at in range(1, STATEMENTS):
        folder = tmp_path / f"{fails_at}"
        made: list[FaultyDatabase] = []

        def faulty(
            *args: Any, fails_at: int = fails_at, made: list[FaultyDatabase] = made, **kwargs: Any
        ) -> Any:
            made.append(FaultyDatabase(connect(*args, **kwargs), fails_at, FAULTS[fault], stays=stays))
            return made[-1]

        monkeypatch.setattr(sqlite3, "connect", faulty)
        acknowledged = committed = 0
        journal = None
        try:
            journal = Journal(folder, IDENTITY)
            for n in range(6):
                acknowledged = n + 1
                journal.record(Span(SOURCE, n, n + 1), 1, 0)
                journal.commit(reject_bytes=n)
                committed = n + 1
        except JournalError as error:
            told.append(str(error))
            if journal is not None:
                with suppress(JournalError):
                    journal.commit(reject_bytes=0)  # as the ledger's save does
        if journal is not None:
            journal.close()
        monkeypatch.setattr(sqlite3, "connect", connect)
        after = Journal(folder, IDENTITY)
        (loaded, _), spans = after.totals(), rows_done(after)
        after.close()
        assert committed <= loaded <= acknowledged, f"statement {fails_at}"
        assert spans == ([(0, loaded)] if loaded else [])
        assert (committed < 6) == made[0].failed
    assert len(told) > 20
    assert all(FAULTS[fault] in message for message in told)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "vecload-tests", str(folder)], check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, *, leave: int) -> Path:
    """Take all the room but some pages."""
    filler = folder / "filler"
    free = os.statvfs(folder)
    filler.write_bytes(b"\0" * max(0, (free.f_bavail - leave) * free.f_bsize))
    return filler


def test_a_disk_that_is_full_at_any_write_loses_nothing_committed(tiny_disk: Path) -> None:
    codes: list[int] = []
    for leave in range(36):
        folder = tiny_disk / "state"
        filler = fill(tiny_disk, leave=leave)
        acknowledged = committed = 0
        journal = None
        try:
            journal = Journal(folder, IDENTITY)
            for n in range(0, 120, 3):
                acknowledged = n + 3
                for row in range(n, n + 3):
                    journal.record(Span(SOURCE, row, row + 1, row, row + 1), 1, 0)
                journal.commit(reject_bytes=n)
                committed = n + 3
        except JournalError as error:
            codes.append(error.exit_code)
        if journal is not None:
            journal.close()
        filler.unlink()
        after = Journal(folder, IDENTITY)
        loaded, _ = after.totals()
        assert committed <= loaded <= acknowledged, f"{leave} pages free"
        assert rows_done(after) == ([(0, loaded)] if loaded else [])
        after.close()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    assert len(codes) > 10
    assert set(codes) == {1}


def test_a_read_only_disk_is_refused_with_its_folder(tiny_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(JournalError, match=r"state.*[Rr]ead-only"):
        Journal(tiny_disk / "state", IDENTITY)


def test_a_journal_on_a_disk_that_became_read_only_is_refused(
    tiny_disk: Path, open_journal: Callable[..., Journal]
) -> None:
    Journal(tiny_disk, IDENTITY).close()
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(JournalError, match=str(tiny_disk)):
        Journal(tiny_disk, IDENTITY)


def test_a_folder_that_can_not_be_made_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="can't keep a journal in"):
        Journal(tmp_path / "file" / "state", IDENTITY)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"not a database at all, but long enough to be taken for one" * 100,
        lambda content: content[:100] + b"\xff" * 5000,
        lambda content: content[: len(content) // 2],
        lambda content: content[:4096] + bytes(len(content) - 4096),
    ],
    ids=["other-file", "overwritten", "cut", "zeroed"],
)
def test_a_damaged_journal_is_told_and_never_taken_for_an_empty_one(
    open_journal: Callable[..., Journal], damage: Callable[[bytes], bytes]
) -> None:
    journal = open_journal()
    for n in range(500):
        journal.record(Span(SOURCE, 2 * n, 2 * n + 1, n, n), 1, 0)
    journal.commit(reject_bytes=0)
    journal.close()
    journal.path.write_bytes(damage(journal.path.read_bytes()))

    def resume() -> None:
        damaged = open_journal()
        damaged.totals()
        damaged.done(SOURCE)

    with pytest.raises(JournalError, match=r"\.sqlite can't be") as caught:
        resume()
    assert "remove it" in caught.value.hint
