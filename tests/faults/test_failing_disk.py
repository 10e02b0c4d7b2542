"""ENOSPC, EIO and EROFS at each call that writes, syncs or cuts the journal or the reject file.

`failing_disk.c` is compiled and loaded before the C library of the process that runs vecload: SQLite and
Python meet the error where a disk would give it. In CI each third call is tried, with the errors in turn;
VECLOAD_DISK_FAULTS=all tries each call with each error, by itself and with all later ones failing too.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.forked import Forks
from tests.faults.loads import Ended, Load, Running
from tests.faults.oracle import Source, write_source
from vecload.sealing import Key
from vecload.sealing.keyring import pending_path
from vecload.sealing.keys import stored_key_paths
from vecload.targets import connect_target

HERE = Path(__file__).parent
ALL = os.environ.get("VECLOAD_DISK_FAULTS") == "all"
ROWS = 30
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
TOLD = {
    errno.ENOSPC: ("disk is full", "disk I/O error", "No space left on device"),
    errno.EIO: ("disk I/O error", "Input/output error"),
    errno.EROFS: ("disk I/O error", "Read-only file system"),
}


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Runs of vecload on a disk that fails when armed."""
    library = tmp_path_factory.mktemp("failing-disk") / "failing_disk.so"
    command = ["gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
    subprocess.run([*command, "-o", str(library), str(HERE / "failing_disk.c"), "-ldl"], check=True)
    with Forks(library) as running:
        yield running


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return write_source(tmp_path / "source.jsonl", 1, ROWS, bad=range(3, ROWS, 4))


LoadOn = Callable[[str], Load]


@pytest.fixture
def load_on(
    tmp_path: Path, source: Source, service: str, new_name: Callable[[], str], failing: Forks
) -> LoadOn:
    """Makes a load with its journal and reject file on a disk of its own, which commits every batch."""

    def make(disk: str) -> Load:
        options = ("--batch-rows", "6", "--concurrency", "2", "--max-errors", "100")
        program = ("-m", "tests.faults.mutant", "commits_each")
        load = Load(tmp_path / f"{disk}-load", source, service, options, program, new_name(), forks=failing)
        folder = tmp_path / disk
        folder.mkdir()
        load.state, load.rejects = folder / "state", folder / "rejects.jsonl"
        return load

    return make


def recorded(load: Load) -> tuple[int, int, bool]:
    """Rows loaded and rejected as the journal has them, and whether it calls the load finished."""
    path = load.journal()
    if path is None:
        return 0, 0, False
    with closing(sqlite3.connect(path)) as database:
        if not database.execute("SELECT name FROM sqlite_master WHERE name = 'sample'").fetchone():
            return 0, 0, False
        loaded, rejected = database.execute("SELECT total(loaded), total(rejected) FROM span").fetchone()
        finished = database.execute("SELECT max(finished) FROM load").fetchone()[0]
    return int(loaded), int(rejected), bool(finished)


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def check_claims(load: Load, ended: Ended, error: int, what: str) -> None:
    """Whatever a run met, what it says of itself is true."""
    loaded, rejected, finished = recorded(load)
    summary = ended.summary
    assert summary["loaded"] <= loaded
    assert summary["rejected"] <= rejected <= lines(load.rejects)
    if ended.code == 3:
        # Copying the log into the database failed, and every commit is in the log; or the sync of the folder,
        # which SQLite passes over.
        assert finished
        assert str(load.state) in what
        load.check(ended)
        return
    assert ended.code == 1, ended.err
    assert summary["status"] == "failed"
    (told,) = [line for line in ended.err.splitlines() if line.startswith("vecload: ")]
    assert any(words in told for words in TOLD[error]), told
    assert str(load.rejects if "rejects" in what else load.state) in told


@pytest.mark.parametrize("stays", [False, True] if ALL else [None])
@pytest.mark.parametrize("error", ERRORS, ids=[errno.errorcode[error] for error in ERRORS])
def test_a_fault_of_any_write_is_told_and_the_same_command_goes_on(
    load_on: LoadOn, failing: Forks, error: int, stays: bool | None
) -> None:
    met: list[str] = []
    codes: list[int] = []
    for at in range(1, 1000) if ALL else range(1 + 3 * ERRORS.index(error), 1000, 3 * len(ERRORS)):
        load = load_on(f"disk-{at}")
        failing.ask(arm=[f"{load.rejects.parent}/", error, at, at % 2 if stays is None else int(stays)])
        ended = load.run()
        failed, what = failing.ask(failed=True)
        failing.ask(arm=["", 0, 0, 0])
        if not failed:
            break
        met.append(what.replace(str(load.rejects.parent), ""))
        codes.append(ended.code)
        check_claims(load, ended, error, what)
        load.run_until_done(most=1, code=3)
        load.drop()
    else:
        raise AssertionError("the calls never end")
    assert codes.count(1) > (60 if ALL else 5), met
    if ALL:
        assert {what.split()[0] for what in met} == {"write", "pwrite64", "fsync", "fdatasync", "ftruncate64"}


def faults_at(failing: Forks, folder: Path, run: Callable[[int], Ended]) -> Iterator[tuple[Ended, str]]:
    """The runs on a disk that is full from the n-th call on, for each n, until one meets no fault."""
    for at in range(1, 200):
        failing.ask(arm=[str(folder), errno.ENOSPC, at, 1])
        ended = run(at)
        failed, what = failing.ask(failed=True)
        failing.ask(arm=["", 0, 0, 0])
        if not failed:
            assert ended.code == 0, ended.err
            return
        yield ended, what
    raise AssertionError("the calls never end")


def test_a_disk_that_is_full_leaves_no_part_of_a_key_file(tmp_path: Path, failing: Forks) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()

    def keygen(at: int) -> Ended:
        return Running(["-m", "vecload", "keygen", str(folder / "new.key")], tmp_path, failing).end()

    met = []
    for ended, what in faults_at(failing, folder, keygen):
        met.append(what.split()[0])
        assert ended.code == 2
        assert "No space left on device" in ended.err
        assert [*folder.iterdir()] == []
    assert {*met} == {"write", "fsync"}
    assert Key.load(folder / "new.key")


@pytest.mark.parametrize("named", [False, True], ids=["the key store", "a named key file"])
def test_a_full_disk_under_the_keys_leaves_no_index_without_its_key(
    tmp_path: Path, failing: Forks, service: str, new_name: Callable[[], str], named: bool
) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    names: list[str] = []

    def key_of(name: str) -> Path:
        return folder / f"{name}.key" if named else stored_key_paths(folder / "vecload", service, name)[0]

    def create(at: int) -> Ended:
        names.append(new_name())
        given = ["-m", "vecload", "index", "create", names[-1], "--to", service, "--create-key"]
        given += ["--key-file", str(key_of(names[-1]))] if named else []
        return Running(given, tmp_path, failing, {"XDG_CONFIG_HOME": str(folder)}).end()

    with connect_target(service) as target:
        for ended, what in faults_at(failing, folder, create):
            assert ended.code in (0, 2), what
            files = [*key_of("index").parent.glob("index-*")]
            for file in files:
                assert Key.load(file)
            for name in {*names} & {*target.list_indexes()}:
                # Only its last step, which makes a link, can't be taken back: the key stays pending.
                path = key_of(name)
                key = Key.load(path if path.exists() else pending_path(path))
                target.open_index(name, key.index_key)
        for name in {*names} & {*target.list_indexes()}:
            path = key_of(name)
            target.open_index(name, Key.load(path if path.exists() else pending_path(path)).index_key).drop()
    assert len(names) > 3
