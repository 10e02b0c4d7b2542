"""SIGINT and SIGTERM: the load stops soon, says how to go on, and goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.faults.forked import Forks
from tests.faults.loads import Load, wait_for
from tests.faults.oracle import write_source
from tests.faults.proxy import Exchange, Proxy
from vecload.loading.dispatch import POLL_SECONDS
from vecload.loading.flow import ABANDON_SECONDS

STOP_SECONDS = 5.0
"""Promised, where the machine has time for it."""
HANG_SECONDS = 120.0
"""How long a service hangs, which nothing that heeds a signal waits for."""
LATE_SECONDS = 60.0
"""Granted to a machine that others keep busy."""
KINDS = ("jsonl", "parquet")
LOADS = int(os.environ.get("VECLOAD_SIGNALS", "5"))
STOPS = 6
"""Of each load: 30 of each signal in CI."""
SEED = int(os.environ.get("VECLOAD_SEED", "0"))


class At:
    """Lets upserts pass, and tells when the n-th came in."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.reached = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        if exchange.number == self.number:
            self.reached.set()
        exchange.pass_on()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("load_number", range(LOADS))
def test_a_load_stopped_by_signals_at_random_moments_goes_on_exactly_where_it_was(
    tmp_path: Path, service: str, new_name: Callable[[], str], forks: Forks, number: int, load_number: int
) -> None:
    seed = SEED + 100 * number + load_number
    chance = random.Random(seed)  # noqa: S311 - the seed repeats a failure
    source = write_source(tmp_path / f"source.{KINDS[load_number % 2]}", seed, 600)
    done = 0
    with Proxy(service) as proxy:
        load = Load(tmp_path / "load", source, proxy.url, index=new_name(), store=service, forks=forks)
        for _ in range(STOPS):
            at = At(chance.randrange(12))
            proxy.behave, proxy.upserts = at, 0
            running = load.start()
            running.reach(at.reached)
            threading.Event().wait(chance.random() * 0.01)
            running.signal(number)
            ended = running.end(LATE_SECONDS)
            assert ended.code == 128 + number, ended.err
            assert "run the same command again to go on" in ended.err
            assert ended.summary["status"] == "interrupted"
            assert ended.summary["skipped"] == done
            done += ended.summary["loaded"]
        ended = load.run_until_done(most=1)
        assert ended.summary["skipped"] == done, "rows that were in are sent again"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_embedded_load_stopped_by_signals_goes_on(tmp_path: Path, forks: Forks, number: int) -> None:
    chance = random.Random(SEED + number)  # noqa: S311
    source = write_source(tmp_path / "source.parquet", SEED, 4000)
    load = Load(tmp_path / "load", source, str(tmp_path / "store"), forks=forks)
    done = stops = 0
    for _ in range(STOPS):
        running = load.start()
        running.wait_for(load.journal)
        threading.Event().wait(0.05 + chance.random() * 0.1)  # into the load, of which nothing tells
        running.signal(number)
        ended = running.end(LATE_SECONDS)
        if ended.code == 0:
            break
        stops += 1
        assert ended.code == 128 + number, ended.err
        assert "run the same command again to go on" in ended.err
        done += ended.summary.get("loaded", 0)
    else:
        ended = load.run_until_done(most=1)
    assert stops > 0
    load.check(ended)
    assert ended.summary["skipped"] == done


IN_A_CALLBACK = """
import os, signal, sys, weakref

class Freed:
    pass

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "vecload.loading.dispatch":
            freed = Freed()
            callback = weakref.ref(freed, lambda _: (os.kill(os.getpid(), signal.SIGTERM), sum(range(1000))))
            del freed
        return None

sys.meta_path.insert(0, Finder())
"""
"""Sends SIGTERM while Python frees an object: it drops the exception that the handler raises then."""


def test_a_signal_that_comes_while_python_frees_an_object_stops_the_load(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(IN_A_CALLBACK)
    source = write_source(tmp_path / "source.jsonl", SEED, 500)
    options = ("--to", tmp_path / "store", "--create-key", "--repeated-ids", "last")
    ended = subprocess.run(
        [sys.executable, "-m", "vecload", "upsert", source.path, *options],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        timeout=60,
        check=False,
    )
    assert ended.returncode == 143, ended.stderr
    assert ended.stderr.endswith("vecload: interrupted; run the same command again to go on\n")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("number", "hangs"), [(signal.SIGINT, "everything"), (signal.SIGTERM, "upserts")])
def test_a_service_that_hangs_holds_up_no_stop(
    tmp_path: Path, service: str, new_name: Callable[[], str], number: int, hangs: str
) -> None:
    source = write_source(tmp_path / "source.jsonl", SEED, 500)
    hung, go_on = threading.Event(), threading.Event()

    def wait_then_pass(exchange: Exchange) -> None:
        go_on.wait(HANG_SECONDS)
        exchange.pass_on()

    def hang(exchange: Exchange) -> None:
        if exchange.number == 25:
            if hangs == "everything":
                proxy.behave_otherwise = wait_then_pass
            hung.set()
        if exchange.number >= 25:
            go_on.wait(HANG_SECONDS)
        exchange.pass_on()

    with Proxy(service, hang) as proxy:
        load = Load(tmp_path / "load", source, proxy.url, index=new_name(), store=service, forks=None)
        running = load.start()
        running.reach(hung)
        running.signal(number)
        ended = running.end(LATE_SECONDS)
        assert ended.code == 128 + number, ended.err
        assert "run the same command again to go on" in ended.err
        go_on.set()
        proxy.behave = proxy.behave_otherwise = Exchange.pass_on
        again = load.run_until_done(most=1)
        assert again.summary["skipped"] == ended.summary["loaded"] > 0


def test_what_is_in_flight_is_let_go_of_in_the_time_that_is_promised() -> None:
    assert ABANDON_SECONDS + POLL_SECONDS < STOP_SECONDS


def test_a_second_signal_stops_at_once(tmp_path: Path, service: str, new_name: Callable[[], str]) -> None:
    source = write_source(tmp_path / "source.jsonl", SEED, 500)
    hung, go_on = threading.Event(), threading.Event()

    def hang(exchange: Exchange) -> None:
        if exchange.number >= 25:
            hung.set()
            go_on.wait(HANG_SECONDS)
        exchange.pass_on()

    with Proxy(service, hang) as proxy:
        load = Load(tmp_path / "load", source, proxy.url, index=new_name(), store=service, forks=None)
        running = load.start()
        running.reach(hung)
        running.signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(0.5)
        running.signal(signal.SIGTERM)
        assert (
            running.end(LATE_SECONDS).code == -signal.SIGTERM
        )  # without the exit code of a load that stopped
        go_on.set()
        proxy.behave = Exchange.pass_on
        load.run_until_done(most=1)


def test_a_load_of_nothing_but_rejects_heeds_a_signal_too(tmp_path: Path) -> None:
    rows = 60_000
    source = write_source(tmp_path / "source.jsonl", SEED, rows, bad=range(100, rows))
    options = ("--batch-rows", "10", "--max-errors", "100%")
    load = Load(tmp_path / "load", source, str(tmp_path / "store"), options, forks=None)
    running = load.start()
    wait_for(lambda: load.rejects.exists() and load.rejects.stat().st_size > 20_000, "rejects")
    running.signal(signal.SIGINT)
    ended = running.end(LATE_SECONDS)
    assert ended.code == 130, ended.err
    assert 0 < ended.summary["read"] < rows


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_load_while_the_embedded_engine_trains(tmp_path: Path, number: int) -> None:
    many = np.random.default_rng(SEED).standard_normal((100_000, 64), dtype=np.float32)
    np.savez(tmp_path / "many.npz", id=np.arange(len(many)).astype(str), vector=many)
    load = ["upsert", str(tmp_path / "many.npz"), "--to", str(tmp_path / "store"), "--train"]
    with subprocess.Popen(
        [sys.executable, "-m", "vecload", *load],
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        while "training" not in running.stderr.readline():
            pass
        time.sleep(0.2)  # into the engine, of which nothing tells
        running.send_signal(number)
        try:
            assert running.wait(LATE_SECONDS) == 128 + number
        finally:
            running.kill()
        assert "all rows are loaded" in running.stderr.read()
