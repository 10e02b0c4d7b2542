"""Kills, signals and faults around the making of a key and its index: no index is left without its key.

VECLOAD_KEY_TRIALS=500 makes that many trials instead of the few of CI; VECLOAD_SEED others.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.forked import Forks
from tests.faults.loads import Ended, Load, Running
from tests.faults.oracle import Source, check_index, write_source
from tests.faults.proxy import Exchange, Proxy, answer_of
from tests.servers import Service
from vecload.sealing import Key
from vecload.sealing.keyring import pending_path
from vecload.sealing.keys import stored_key_paths
from vecload.targets import connect_target

TRIALS = int(os.environ.get("VECLOAD_KEY_TRIALS", "16"))
SEED = int(os.environ.get("VECLOAD_SEED", "0"))
STEPS, NAMED_STEPS = 38, 28
"""Of a first load around its key and index, with a key store to make and with a named key file: at later ones
nothing is left to be killed."""
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
HELD = 60


@dataclass
class FirstLoad(Load):
    """A load with a new key into an index that is not there.

    Attributes:
        home: The folder of the key store.
        named: The key is to be in a key file that is named, and missing.
    """

    home: str = "home"
    named: bool = False
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state, self.rejects = self.folder / "state", self.folder / "rejects.jsonl"
        self.variables = {"XDG_CONFIG_HOME": str(self.folder.parent / self.home)}
        config = self.folder.parent / self.home / "vecload"
        self.key_file = stored_key_paths(config, str(self.to), self.index)[0]
        if self.named:
            self.key_file = self.folder.parent / "keys" / "docs.key"
            self.key_file.parent.mkdir(exist_ok=True)
        self.made.append(self)

    @property
    def key_options(self) -> Sequence[str]:
        return (*(("--key-file", str(self.key_file)) if self.named else ()), "--create-key")

    def start(self, *options: str, program: Sequence[str] = ()) -> Running:
        given = [
            *("upsert", str(self.source.path), "--to", self.to, "--index", self.index, "--json"),
            *self.key_options,
            *("--state-dir", str(self.state), "--resume-wait", "0", "--give-up-after", "5"),
            *self.watched_options,
            # The last row of an id wins where the id column is named.
            *("--id-column", "id"),
        ]
        return Running(
            [*(program or self.program), *given, *self.options, *options],
            self.folder,
            self.forks,
            self.variables,
        )

    def check(self, ended: Ended) -> None:
        assert ended.summary["read"] == self.source.rows
        check_index(self.store or self.to, self.index, self.key_file, self.source)
        assert not pending_path(self.key_file).exists()

    def check_key(self) -> None:
        """The index opens with the key on the disk; or there is neither of them."""
        files = [file for file in (self.key_file, pending_path(self.key_file)) if file.exists()]
        with connect_target(self.store or self.to) as target:
            if self.index in target.list_indexes():
                assert files, "the index is there, and its key is nowhere"
                target.open_index(self.index, Key.load(files[0]).index_key)
            else:
                assert self.key_file not in files, "there is a key file, and no index"
        # Nothing half written, whatever its name.
        for file in self.key_file.parent.iterdir() if self.key_file.parent.exists() else ():
            Key.load(file)

    def run_again(self) -> None:
        self.run_until_done(most=1)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return write_source(tmp_path / "source.jsonl", SEED, 20)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service of these tests alone: it keeps threads of each of their many indexes."""
    with Service(tmp_path_factory.mktemp("service")) as running:
        yield running.url


@pytest.mark.parametrize("number", range(TRIALS))
def test_a_kill_at_any_step_leaves_no_index_without_its_key(
    request: pytest.FixtureRequest, tmp_path: Path, source: Source, forks: Forks, index_name: str, number: int
) -> None:
    at, turn = number // 2, number // 2 // STEPS
    named = (at // 2 + turn) % 2 == 1
    step = 1 + 11 * at % (NAMED_STEPS if named else STEPS)
    engine, ending = ("embedded", "service")[number % 2], SIGNALS[(at + turn) % 2]
    to = str(tmp_path / "store") if engine == "embedded" else request.getfixturevalue("service")
    load = FirstLoad(tmp_path / "load", source, to, index=index_name, forks=forks, named=named)

    ended = load.start(program=("-m", "tests.faults.killed_at", str(step), str(int(ending)))).end()

    assert ended.code in (-signal.SIGKILL, 128 + signal.SIGTERM), (step, ended)
    load.check_key()
    load.run_again()


class Creation:
    """What becomes of the request that makes the index, and of the run that sent it."""

    def __init__(self, proxy: Proxy, moment: str) -> None:
        self.proxy = proxy
        self.moment = moment
        self.came, self.go_on, self.done = threading.Event(), threading.Event(), threading.Event()
        self.seen = 0
        proxy.behave_otherwise = self

    def __call__(self, exchange: Exchange) -> None:
        if exchange.path != "/v1/indexes/create":
            exchange.pass_on()
            return
        self.seen += 1
        if self.seen > 1:
            if self.moment == "lands in the next run":
                self.go_on.set()
                self.done.wait(HELD)
            exchange.pass_on()
            return
        _ = exchange.body
        self.came.set()
        try:
            self._first(exchange)
        finally:
            self.done.set()

    def _first(self, exchange: Exchange) -> None:
        if self.moment in ("lands late", "lands in the next run", "lands after the next run"):
            self.go_on.wait(HELD)
            exchange.forward()
            exchange.reset()
        elif self.moment == "stored, answer held":
            answer = exchange.forward()
            self.done.set()
            self.go_on.wait(HELD)
            exchange.send(answer)
        elif self.moment == "stored, then reset":
            exchange.forward()
            exchange.reset()
        elif self.moment == "stored, then closed":
            exchange.forward()
            exchange.close()
        elif self.moment.startswith("stored, then "):
            exchange.forward()
            exchange.send(answer_of(int(self.moment[-3:]), b'{"detail": "Failed to create index: denied"}'))
        elif self.moment == "reset":
            exchange.reset()
        elif self.moment == "sent twice":
            exchange.forward()
            exchange.pass_on()
        else:
            exchange.send(answer_of(int(self.moment), b'{"detail": "Invalid something"}'))


ENDED = ("lands late", "lands in the next run", "lands after the next run", "stored, answer held")
"""Moments at which the run is ended by a signal."""
WITHOUT_END = (
    *("stored, then reset", "stored, then closed", "reset", "sent twice", "stored, then 500"),
    *("stored, then 503", "stored, then 504", "500", "503", "504", "404", "302", "400", "401", "403", "422"),
)
REFUSED = ("400", "401", "403", "422")
MOMENTS = [(moment, ending) for moment in ENDED for ending in SIGNALS] + [
    (moment, 0) for moment in WITHOUT_END
]


@pytest.mark.parametrize("number", range(max(TRIALS, len(MOMENTS))))
def test_whatever_becomes_of_the_request_no_index_is_left_without_its_key(
    tmp_path: Path, source: Source, service: str, forks: Forks, index_name: str, number: int
) -> None:
    chance = random.Random(SEED + number)  # noqa: S311 - the number repeats a failure
    moment, ending = MOMENTS[number % len(MOMENTS)]
    with Proxy(service) as proxy:
        creation = Creation(proxy, moment)
        load = FirstLoad(
            *(tmp_path / "load", source, proxy.url),
            index=index_name,
            store=service,
            forks=forks,
            named=number % 3 == 1,
        )
        running = load.start()
        running.reach(creation.came)
        if ending:
            threading.Event().wait(chance.random() * 0.05)
            running.signal(ending)
        ended = running.end()
        if moment in ("lands late", "stored, answer held"):
            creation.go_on.set()
        if moment not in ("lands in the next run", "lands after the next run"):
            assert creation.done.wait(HELD)
        load.check_key()
        if moment in REFUSED:
            assert ended.code in (2, 6), ended.err
            assert not pending_path(load.key_file).exists(), "a key stays that was refused"
        load.run_again()
        creation.go_on.set()
        assert creation.done.wait(HELD)
        load.check_key()
        check_index(service, index_name, load.key_file, source)


@pytest.mark.parametrize("engine", ["service", "embedded"])
@pytest.mark.parametrize(
    ("homes", "named"),
    [(1, False), (1, True), (2, False)],
    ids=["one key store", "one key file", "two key stores"],
)
@pytest.mark.parametrize("number", range(max(2, TRIALS // 10)))
def test_two_first_loads_at_once_end_with_one_key(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    source: Source,
    forks: Forks,
    index_name: str,
    engine: str,
    homes: int,
    named: bool,
    number: int,
) -> None:
    to = str(tmp_path / "store") if engine == "embedded" else request.getfixturevalue("service")
    options = ("--batch-rows", "5")
    loads = [
        FirstLoad(
            *(tmp_path / f"load-{n}", source, to, options),
            index=index_name,
            forks=forks,
            home=f"home-{n % homes}",
            named=named,
        )
        for n in range(2)
    ]
    ends = [running.end() for running in [load.start() for load in loads]]
    codes = [ended.code for ended in ends]
    for ended in ends:
        if ended.code:
            assert "another process holds the store" in ended.err or "key store" in ended.err, ended.err
    assert 0 in codes
    if homes == 1:
        assert engine == "embedded" or codes == [0, 0]
        loads[1].run_again()
        assert len([*loads[0].key_file.parent.iterdir()]) == 1
    winner = loads[codes.index(0)]
    check_index(to, index_name, winner.key_file, source)
    if homes == 2:
        other = loads[1 - codes.index(0)]
        assert other.run().code == 2
        assert not pending_path(other.key_file).exists()


@pytest.mark.parametrize("number", range(max(20, TRIALS)))
def test_a_kill_of_index_create_leaves_no_index_without_its_key(
    request: pytest.FixtureRequest, tmp_path: Path, source: Source, forks: Forks, index_name: str, number: int
) -> None:
    engine = ("embedded", "service")[number % 2]
    to = str(tmp_path / "store") if engine == "embedded" else request.getfixturevalue("service")
    named = number % 4 >= 2
    load = FirstLoad(tmp_path / "load", source, to, index=index_name, forks=forks, named=named)

    def create(*program: str) -> Ended:
        given = ["index", "create", index_name, "--to", to, "--dimension", "8", *load.key_options]
        return Running([*program, *given], load.folder, forks, load.variables).end()

    # It does not look whether the index is there: two steps fewer.
    step = 1 + 7 * (number // 4) % ((NAMED_STEPS if named else STEPS) - 2)
    ended = create("-m", "tests.faults.killed_at", str(step), str(int(signal.SIGKILL)))
    assert ended.code == -signal.SIGKILL, (step, ended)
    load.check_key()

    again = create("-m", "vecload")
    assert again.code in (0, 2), again.err
    load.check_key()
    assert load.key_file.exists()
    assert not pending_path(load.key_file).exists()


def test_an_index_made_by_a_run_that_was_killed_is_made_by_the_next_index_create(
    tmp_path: Path, service: str, forks: Forks, index_name: str
) -> None:
    def create(*program: str, metric: str) -> Ended:
        given = ["index", "create", index_name, "--to", service, "--dimension", "4", "--metric", metric]
        given.append("--create-key")
        return Running([*program, *given], tmp_path, forks, {"XDG_CONFIG_HOME": str(tmp_path)}).end()

    path = stored_key_paths(tmp_path / "vecload", service, index_name)[0]
    # The step after the index is made, when its key is still pending.
    for step in range(1, STEPS):
        ended = create("-m", "tests.faults.killed_at", str(step), "9", metric="cosine")
        with connect_target(service) as target:
            made = index_name in target.list_indexes()
        if made:
            break
        assert ended.code == -signal.SIGKILL
    assert pending_path(path).exists()
    assert not path.exists()

    other = create("-m", "vecload", metric="euclidean")
    again = create("-m", "vecload", metric="cosine")
    assert other.code == 2
    assert "already (4 dimensions, cosine)" in other.err
    assert again.code in (0, 2)
    assert not pending_path(path).exists()
    with connect_target(service) as target:
        target.open_index(index_name, Key.load(path).index_key).drop()
