"""A request that a proxy holds back past a newer row of the same id: what it can do, and what closes it.

No client can take back what it has sent. These tests show exactly how far docs/reliability.md's promise goes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.forked import Forks
from tests.faults.loads import Load
from tests.faults.oracle import Source, WrongIndex, write_source
from tests.faults.proxy import Exchange, Proxy
from tests.faults.scenarios import recorded

WAIT_SECONDS = 60
IMPATIENT = ("-m", "tests.faults.mutant", "impatient")


def replaced_soon(source: Source) -> str:
    """An id of an early batch of five whose last row comes in a later one."""
    for n, line in enumerate(source.path.read_text().splitlines()):
        item_id: str = json.loads(line)["id"]
        if source.items[item_id]["n"] // 5 > n // 5:
            return item_id
    raise AssertionError("no id stands in two batches")


class HoldingBack:
    """Passes all on, but holds the first request with some id, and lets the service have it later."""

    def __init__(self, item_id: str) -> None:
        self.item_id = item_id
        self.held, self.release, self.landed = threading.Event(), threading.Event(), threading.Event()
        self.passed: list[bool] = []
        """Of each request since: whether the held one had landed."""

    def __call__(self, exchange: Exchange) -> None:
        if self.item_id in exchange.ids and not self.held.is_set():
            self.held.set()
            assert self.release.wait(WAIT_SECONDS)
            exchange.forward()
            self.landed.set()
            exchange.reset()
        else:
            self.passed.append(self.landed.is_set())
            exchange.pass_on()

    def land(self) -> None:
        self.release.set()
        assert self.landed.wait(WAIT_SECONDS)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return write_source(tmp_path / "source.jsonl", 1, 100)


LoadOf = Callable[..., Load]


@pytest.fixture
def load_of(
    tmp_path: Path, source: Source, service: str, new_name: Callable[[], str], forks: Forks
) -> LoadOf:
    def make(proxy: Proxy, **settings: object) -> Load:
        return Load(
            tmp_path / "load", source, proxy.url, index=new_name(), store=service, forks=forks, **settings
        )  # type: ignore[arg-type]

    return make


def test_a_killed_run_s_request_that_lands_after_a_newer_row_overwrites_it_and_fresh_mends_that(
    service: str, source: Source, load_of: LoadOf
) -> None:
    behave = HoldingBack(replaced_soon(source))
    with Proxy(service, behave) as proxy:
        load = load_of(proxy)
        running = load.start()
        running.reach(behave.held)
        load.kill(running)
        load.run_until_done(most=1)  # right, so far
        behave.land()
        with pytest.raises(WrongIndex, match=f"wrong vector: {behave.item_id}") as found:
            load.check(load.runs[-1])
        assert "lost" not in str(found.value)
        assert "extra" not in str(found.value)
        load.check(load.run("--fresh"))


def test_a_resumed_load_waits_for_a_request_that_is_held_back_for_less_than_resume_wait(
    service: str, source: Source, load_of: LoadOf
) -> None:
    behave = HoldingBack(replaced_soon(source))
    with Proxy(service, behave) as proxy:
        load = load_of(proxy)
        running = load.start()
        running.reach(behave.held)
        running.wait_for(lambda: recorded(load) > 0)
        load.kill(running)
        before = len(behave.passed)
        resumed = load.start("--resume-wait", "4")
        resumed.wait_for(lambda: "resuming: " in resumed.err())
        threading.Event().wait(0.5)  # in which it would have sent some rows
        behave.land()
        load.check(resumed.end())
    assert behave.passed[before:]
    assert all(behave.passed[before:]), "rows were sent before the held ones were in"


def test_a_request_that_timed_out_and_lands_after_a_newer_row_overwrites_it_without_a_word(
    service: str, source: Source, load_of: LoadOf
) -> None:
    behave = HoldingBack(replaced_soon(source))
    with Proxy(service, behave) as proxy:
        load = load_of(proxy, program=IMPATIENT)
        ended = load.run_until_done(most=1)
        assert ended.summary["retries"] == 1
        behave.land()
        with pytest.raises(WrongIndex, match=f"wrong vector: {behave.item_id}"):
            load.check(ended)
        load.check(load.run("--fresh"))
