"""Bad rows, with the real service: each is found, told once, and takes no other with it."""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.forked import Forks
from tests.faults.loads import Load
from tests.faults.oracle import Source, write_source
from tests.faults.proxy import Behaviour, Exchange, Proxy, answer_of

SEED = int(os.environ.get("VECLOAD_SEED", "0"))


def refusing(status: int) -> Behaviour:
    """A service that can't stand some ids, and answers a whole batch with one of them so."""

    def behave(exchange: Exchange) -> None:
        if any(item_id.startswith("refused-") for item_id in exchange.ids):
            exchange.send(answer_of(status, b'{"detail":"no"}'))
        else:
            exchange.pass_on()

    return behave


@pytest.mark.parametrize("status", [400, 413, 422, 500])
@pytest.mark.parametrize("place", [1000, 1500, 1999], ids=["first", "middle", "last"])
def test_one_refused_row_of_a_batch_of_a_thousand_is_found(
    tmp_path: Path, service: str, new_name: Callable[[], str], forks: Forks, status: int, place: int
) -> None:
    source = write_source(tmp_path / "source.jsonl", SEED, 2000, refused=[place])
    with Proxy(service, refusing(status)) as proxy:
        options = ("--batch-rows", "1000", "--max-errors", "1")
        load = Load(
            tmp_path / "load", source, proxy.url, options, index=new_name(), store=service, forks=forks
        )
        ended = load.run_until_done(most=1, code=3)
    assert ended.summary["loaded"] == 1999
    again = 0 if status != 500 else 4  # three tries of the whole batch, and three of the row
    assert proxy.upserts - 2 <= 2 * math.ceil(math.log2(1000)) + again
    (line,) = load.rejects.read_text().splitlines()
    reject = json.loads(line)
    assert (reject["row"], reject["id"], reject["code"]) == (place, f"refused-{place}", "refused")


@pytest.fixture(scope="module")
def one_bad_row_in_a_hundred(tmp_path_factory: pytest.TempPathFactory) -> Source:
    rows = 100_000
    folder = tmp_path_factory.mktemp("rows")
    return write_source(folder / "source.jsonl", SEED, rows, bad=range(2050, rows, 100))


@pytest.mark.parametrize("to", ["service", "embedded"])
def test_one_bad_row_in_a_hundred_stops_a_load_unless_that_many_are_allowed(
    tmp_path: Path, service: str, new_name: Callable[[], str], one_bad_row_in_a_hundred: Source, to: str
) -> None:
    source = one_bad_row_in_a_hundred
    target = service if to == "service" else str(tmp_path / "store")
    load = Load(tmp_path / "load", source, target, ("--concurrency", "2"), index=new_name())
    stopped = load.run()
    assert stopped.code == 4
    assert "row 2050" in stopped.err
    assert stopped.summary["loaded"] <= 2050
    load.options = (*load.options, "--max-errors", "1%")
    ended = load.run_until_done(most=1, code=3)
    assert ended.summary["rejected"] == 980
    assert ended.summary["loaded"] + ended.summary["skipped"] == 99_020


def test_one_bad_row_in_a_hundred_stops_the_load_at_the_first_where_none_is_allowed(
    tmp_path: Path, service: str, new_name: Callable[[], str]
) -> None:
    source = write_source(tmp_path / "source.jsonl", SEED, 5000, bad=range(2050, 5000, 100))
    options = ("--batch-rows", "100", "--concurrency", "2")
    load = Load(tmp_path / "load", source, service, options, index=new_name())
    stopped = load.run()
    assert stopped.code == 4
    assert "row 2050" in stopped.err
    # The last two batches before it may have been in flight: a load that stops may let go of these.
    assert stopped.summary["loaded"] in (1800, 1900, 2000)
    assert [json.loads(line)["row"] for line in load.rejects.read_text().splitlines()] == [2050]
    ids = [json.loads(line)["id"] for line in source.path.read_text().splitlines()]
    spans, stored = recorded_spans(load), load.stored_ids()
    assert sum(stop - start for start, stop in spans) == stopped.summary["loaded"]
    assert {item_id for start, stop in spans for item_id in ids[start:stop]} <= stored <= {*ids[:2000]}
    load.options = (*options, "--max-errors", "30")
    ended = load.run_until_done(most=1, code=3)
    assert ended.summary["skipped"] == stopped.summary["loaded"]


def recorded_spans(load: Load) -> list[tuple[int, int]]:
    """The rows that the journal claims to be in."""
    path = load.journal()
    assert path is not None
    with closing(sqlite3.connect(path)) as database:
        return [(int(start), int(stop)) for start, stop in database.execute("SELECT start, stop FROM span")]


def test_more_bad_rows_than_allowed_stop_the_load_and_resuming_counts_them_all(
    tmp_path: Path, service: str, new_name: Callable[[], str]
) -> None:
    source = write_source(tmp_path / "source.jsonl", SEED, 1000, bad=range(5, 1000, 100))
    options = ("--batch-rows", "50", "--max-errors")
    load = Load(tmp_path / "load", source, service, (*options, "2"), index=new_name())
    for allowed in (2, 5, 8):
        load.options = (*options, str(allowed))
        stopped = load.run()
        assert stopped.code == 4
        assert f"({allowed + 1} rows rejected so far)" in stopped.err
    load.options = (*options, "10")
    load.run_until_done(most=1, code=3)


def test_a_refused_row_that_stopped_a_load_stops_it_again(
    tmp_path: Path, service: str, new_name: Callable[[], str]
) -> None:
    source = write_source(tmp_path / "source.jsonl", SEED, 100, refused=[42])
    with Proxy(service, refusing(400)) as proxy:
        load = Load(tmp_path / "load", source, proxy.url, index=new_name(), store=service)
        for _ in range(2):
            stopped = load.run()
            assert stopped.code == 4, "it was let pass"
            assert "row 42" in stopped.err
            assert [json.loads(line)["row"] for line in load.rejects.read_text().splitlines()] == [42]
        load.options = (*load.options, "--max-errors", "1")
        load.run_until_done(most=1, code=3)
