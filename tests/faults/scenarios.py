"""Small stories in which each kind of broken loader goes wrong: run with the real one and with mutants."""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from tests.faults.loads import Load, wait_for
from tests.faults.oracle import write_source
from tests.faults.proxy import Exchange, Proxy, answer_of

Program = Sequence[str]
Scenario = Callable[[Path, str, str, Program], None]
HELD_SECONDS = 0.7


def _load(folder: Path, proxy: Proxy, service: str, index: str, program: Program) -> Load:
    source = write_source(folder / "source.jsonl", 1, 300)
    return Load(folder / "load", source, proxy.url, index=index, store=service, program=program)


def slow_first_batches(folder: Path, service: str, index: str, program: Program) -> None:
    """Some requests reach the service late, while later ones with the same ids are ready to go."""
    with Proxy(service) as proxy:
        load = _load(folder, proxy, service, index, program)
        written = [json.loads(line) for line in load.source.path.read_text().splitlines()]
        # Rows whose id comes again in the batch after the next, for the last time.
        older = {
            (row["id"], n // 5)
            for n, row in enumerate(written)
            if n // 5 + 1 <= load.source.items[row["id"]]["n"] // 5 <= n // 5 + 2
        }
        held = {item_id for item_id, _ in sorted(older, key=lambda one: one[1])[:3]}

        def hold(exchange: Exchange) -> None:
            mine = held.intersection(exchange.ids)
            if mine:
                held.difference_update(mine)
                threading.Event().wait(HELD_SECONDS)
            exchange.pass_on()

        proxy.behave = hold
        load.run_until_done(most=1)
    assert not held


def foreign_200s(folder: Path, service: str, index: str, program: Program) -> None:
    """Something between answers some upserts with 200, and the service never sees them."""

    def swallow(exchange: Exchange) -> None:
        if exchange.number in (2, 9):
            exchange.send(answer_of(200, b'{"status":"success","message":"Upserted 1 vectors"}'))
        else:
            exchange.pass_on()

    with Proxy(service, swallow) as proxy:
        _load(folder, proxy, service, index, program).run_until_done(most=1)


def stopped_and_resumed(folder: Path, service: str, index: str, program: Program) -> None:
    """A load is stopped in the middle; what was acknowledged is not sent again."""
    reached = threading.Event()

    def tell(exchange: Exchange) -> None:
        if exchange.number == 20:
            reached.set()
        exchange.pass_on()

    with Proxy(service, tell) as proxy:
        load = _load(folder, proxy, service, index, program)
        running = load.start()
        running.reach(reached)
        running.signal(signal.SIGTERM)
        stopped = running.end()
        assert stopped.code == 143
        ended = load.run_until_done(most=1)
    assert ended.summary["skipped"] == stopped.summary["loaded"] > 0, "rows that were in are sent again"


def killed_with_a_batch_on_its_way(folder: Path, service: str, index: str, program: Program) -> None:
    """vecload is killed while some of its requests are on their way, and the service never gets them."""
    reached, killed = threading.Event(), threading.Event()

    def drop(exchange: Exchange) -> None:
        if exchange.number >= 12:
            reached.set()
            killed.wait(30)
            exchange.reset()
        else:
            exchange.pass_on()

    with Proxy(service, drop) as proxy:
        load = _load(folder, proxy, service, index, program)
        running = load.start()
        running.reach(reached)
        load.kill(running)
        killed.set()
        proxy.behave = Exchange.pass_on
        load.run_until_done(most=1)


def killed_with_an_early_batch_outstanding(folder: Path, service: str, index: str, program: Program) -> None:
    """vecload is killed when later batches are recorded, and an early one never reached the service."""
    killed = threading.Event()

    def drop_first(exchange: Exchange) -> None:
        # It may not be the first to arrive.
        if first in exchange.ids:
            killed.wait(30)
            exchange.reset()
        else:
            exchange.pass_on()

    with Proxy(service, drop_first) as proxy:
        load = _load(folder, proxy, service, index, program)
        first = next(item_id for item_id, row in load.source.items.items() if item_id == f"own-{row['n']}")
        running = load.start()
        # Enough batches go by before one needs an id of the first.
        wait_for(lambda: recorded(load) > 0, "a recorded span")
        load.kill(running)
        killed.set()
        proxy.behave = Exchange.pass_on
        load.run_until_done(most=1)


def recorded(load: Load) -> int:
    """Spans in the journal."""
    path = load.journal()
    if path is None:
        return 0
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            number: int = database.execute("SELECT count(*) FROM span").fetchone()[0]
            return number
    except sqlite3.OperationalError:
        return 0  # it is being made
