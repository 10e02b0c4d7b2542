"""SIGKILL: of vecload, of the service. The same command again, and the index is as if nothing had happened.

VECLOAD_KILLS=500 makes that many loads of each engine instead of the few of CI; VECLOAD_SEED another seed.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.loads import Load
from tests.faults.oracle import write_source
from tests.faults.proxy import Exchange, Proxy
from tests.faults.scenarios import recorded
from tests.servers import Service

LOADS = int(os.environ.get("VECLOAD_KILLS", "15"))
SEED = int(os.environ.get("VECLOAD_SEED", "0"))
KINDS = ("jsonl", "parquet", "csv", "json")


@pytest.mark.parametrize("number", range(LOADS))
def test_a_load_into_an_embedded_store_outlives_kills_at_random_moments(tmp_path: Path, number: int) -> None:
    chance = random.Random(SEED + number)  # noqa: S311 - the number repeats a failure
    bad = range(0, 1200, 90) if number % 2 else ()
    source = write_source(
        tmp_path / f"source.{KINDS[number // 2 % len(KINDS)]}", SEED + number, 1200, bad=bad
    )
    batch = ("--batch-rows", str(chance.choice([3, 5, 8])), "--concurrency", "4", "--max-errors", "100")
    load = Load(tmp_path / "load", source, str(tmp_path / "store"), batch)
    for _ in range(chance.choice([1, 1, 2])):
        running = load.start()
        running.wait_for(load.journal)
        # Random moments of a process that tells nothing of itself: no event to wait for is random.
        threading.Event().wait(chance.random() * 0.25)
        load.kill(running)
    load.run_until_done(code=3 if bad else 0)


REJECT = ("--repeated-ids", "reject", "--max-errors", "100%")


@pytest.mark.parametrize("number", range(max(4, LOADS // 4)))
def test_the_first_row_of_each_id_outlives_kills_where_repeated_ids_are_rejected(
    tmp_path: Path, number: int
) -> None:
    chance = random.Random(SEED + number)  # noqa: S311
    bad = range(0, 1200, 90) if number % 2 else ()
    source = write_source(
        tmp_path / f"source.{KINDS[number // 2 % len(KINDS)]}",
        SEED + number,
        1200,
        bad=bad,
        repeated_ids="reject",
    )
    batch = ("--batch-rows", str(chance.choice([3, 5, 8])), "--concurrency", "4", *REJECT)
    load = Load(tmp_path / "load", source, str(tmp_path / "store"), batch)
    for _ in range(chance.choice([1, 1, 2])):
        running = load.start()
        running.wait_for(load.journal)
        threading.Event().wait(chance.random() * 0.25)
        load.kill(running)
    load.run_until_done(code=3)
    assert load.runs[-1].summary["repeated"] == len(source.rejected) - len(bad)
    assert load.runs[-1].summary["repeated_exact"] is True


@pytest.mark.parametrize("kind", KINDS)
def test_an_early_batch_whose_ids_later_rows_repeat_is_loaded_though_these_are_recorded(
    tmp_path: Path, service: str, new_name: Callable[[], str], kind: str
) -> None:
    source = write_source(tmp_path / f"source.{kind}", SEED, 300, repeated_ids="reject")
    killed = threading.Event()

    def drop_first(exchange: Exchange) -> None:
        if exchange.number == 0:
            killed.wait(30)
            exchange.reset()
        else:
            exchange.pass_on()

    with Proxy(service, drop_first) as proxy:
        options = ("--batch-rows", "5", "--concurrency", "4", *REJECT)
        load = Load(tmp_path / "load", source, proxy.url, options, index=new_name(), store=service)
        running = load.start()
        running.wait_for(lambda: recorded(load) > 20)
        load.kill(running)
        killed.set()
        proxy.behave = Exchange.pass_on
        ended = load.run_until_done(most=1, code=3)
        assert ended.summary["skipped"] > 0
        assert ended.summary["repeated"] == len(source.rejected)
        load.drop()


class Killer:
    """Lets upserts pass, and kills a run when its n-th comes in, is stored, or is answered."""

    def __init__(self, chance: random.Random) -> None:
        self.moment = chance.choice(["before", "stored", "answered"])
        self.at = chance.randrange(50)
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        mine = exchange.number == self.at
        if mine and self.moment == "before":
            self._kill()
        answer = exchange.forward()
        if mine and self.moment == "stored":
            self._kill()
        exchange.send(answer)
        if mine and self.moment == "answered":
            self._kill()

    def _kill(self) -> None:
        self.reached.set()
        self.go_on.wait(30)


@pytest.mark.parametrize("number", range(LOADS))
def test_a_load_into_a_service_outlives_kills_at_random_requests(
    tmp_path: Path, service: str, new_name: Callable[[], str], number: int
) -> None:
    chance = random.Random(SEED + number)  # noqa: S311
    source = write_source(tmp_path / f"source.{KINDS[number % len(KINDS)]}", SEED + number, 400)
    with Proxy(service) as proxy:
        load = Load(tmp_path / "load", source, proxy.url, index=new_name(), store=service)
        for _ in range(chance.choice([1, 1, 2])):
            killer = Killer(chance)
            proxy.behave, proxy.upserts = killer, 0
            running = load.start()
            running.wait_for(killer.reached.is_set)
            ended = load.kill(running)
            killer.go_on.set()
            assert ended.code in (-signal.SIGKILL, 0)
        load.run_until_done()


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[Service]:
    """A service that a test may kill."""
    with Service(tmp_path / "service") as running:
        yield running


class ServiceKiller:
    """Lets upserts pass, and kills and restarts the service now and then, in all phases of a request."""

    def __init__(self, service: Service, at: dict[int, str]) -> None:
        self.service = service
        self.at = at
        self.kills = 0
        self._one = threading.Lock()

    def __call__(self, exchange: Exchange) -> None:
        moment = self.at.get(exchange.number)
        if moment == "before":
            self._kill()
        try:
            if moment == "during":
                threading.Thread(target=self._kill, daemon=True).start()
            answer = exchange.forward()
        except ConnectionAbortedError:
            exchange.reset()
            return
        if moment == "after":
            self._kill()
        exchange.send(answer)

    def _kill(self) -> None:
        with self._one:
            self.service.kill()
            self.service.start()
            self.kills += 1


def test_a_load_outlives_ten_kills_of_its_service(tmp_path: Path, own_service: Service) -> None:
    chance = random.Random(SEED)  # noqa: S311
    source = write_source(tmp_path / "source.jsonl", SEED, 1000)
    at = {number: chance.choice(["before", "during", "after"]) for number in range(10, 200, 18)}
    killer = ServiceKiller(own_service, at)
    with Proxy(own_service.url, killer) as proxy:
        load = Load(tmp_path / "load", source, proxy.url, store=own_service.url)
        ended = load.run_until_done(most=1)
    assert killer.kills >= 10
    assert ended.summary["retries"] > 0


def test_a_service_that_stays_away_ends_the_load_which_goes_on_when_it_is_back(
    tmp_path: Path, own_service: Service
) -> None:
    source = write_source(tmp_path / "source.jsonl", SEED, 500)
    dead = threading.Event()

    def dies(exchange: Exchange) -> None:
        if exchange.number >= 40 and not dead.is_set():
            dead.set()
            own_service.kill()
        try:
            exchange.pass_on()
        except ConnectionAbortedError:
            exchange.reset()

    with Proxy(own_service.url, dies) as proxy:
        load = Load(tmp_path / "load", source, proxy.url, store=own_service.url)
        stopped = load.run("--give-up-after", "1")
        assert stopped.code == 1
        assert stopped.err.count("waiting up to 1 s for the service to come back") == 1
        assert "check the address, and that the service is running" in stopped.err
        assert stopped.summary["status"] == "failed"
        own_service.start()
        ended = load.run_until_done(most=1)
    assert ended.summary["skipped"] == stopped.summary["loaded"]
    assert "resuming: " in ended.err


def test_a_load_waits_for_a_service_that_is_just_starting_and_says_so_once(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source.jsonl", SEED, 50)
    service = Service(tmp_path / "service")
    with service:
        load = Load(tmp_path / "load", source, service.url)
        service.stop()
        running = load.start()
        running.wait_for(lambda: "waiting up to 10 s for the service to start" in running.err())
        service.start()
        ended = running.end()
        assert ended.code == 0, ended.err
        assert ended.err.count("waiting up to") == 1
        load.check(ended)
