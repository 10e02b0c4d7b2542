"""The events of a load: which come, what is in them, where they go, and what they cost."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import timeit
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vecload
from tests.cli.sources import rows, write_jsonl
from tests.faults.proxy import Exchange, Proxy, answer_of
from vecload import events
from vecload.batch import Span


class Kept(logging.Handler):
    """Keeps all records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def of(self, event: str) -> list[Any]:
        return [record for record in self.records if record.event == event]  # type: ignore[attr-defined]


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler, logger = Kept(), logging.getLogger("vecload")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    written = rows(30)
    written[7]["vector"] = [1.0]
    written[3]["text"] = "a text that no log has"
    return write_jsonl(tmp_path / "rows.jsonl", written)


def test_a_load_from_python_is_followed_by_its_events(kept: Kept, source: Path, tmp_path: Path) -> None:
    result = vecload.load(source, to=tmp_path / "store", max_errors=1, batch_rows=10, concurrency=1)
    (started,), (ended,) = kept.of("load_started"), kept.of("load_ended")
    assert (started.index, started.kind, started.sources) == ("rows", "embedded", 1)
    assert (ended.status, ended.exit_code, ended.error) == ("rejected", 3, None)
    assert (ended.read, ended.loaded, ended.rejected, ended.skipped) == (30, 29, 1, 0)
    assert ended.seconds == result.seconds
    recorded = kept.of("batch_recorded")
    assert sorted((one.start, one.stop) for one in recorded) == [(0, 10), (10, 20), (20, 30)]
    assert sum(one.items for one in recorded) == 29
    assert all(one.seconds > 0 and one.bytes > 0 and one.source.endswith("rows.jsonl") for one in recorded)
    assert len(kept.of("batch_sent")) == len(kept.of("request")) == 3
    assert {one.outcome for one in kept.of("request")} == {"ok"}
    (reject,) = kept.of("reject")
    assert (reject.row, reject.field, reject.code) == (7, "vector", "dimension")
    assert not hasattr(reject, "id")
    assert kept.of("message")
    said = "\n".join(f"{record.getMessage()} {vars(record)}" for record in kept.records)
    assert "a text that no log has" not in said
    assert "doc-" not in said


def test_each_event_has_a_message_and_a_logger_of_its_kind(kept: Kept, source: Path, tmp_path: Path) -> None:
    vecload.load(source, to=tmp_path / "store", max_errors=1)
    names = {record.event: record.name for record in kept.records}  # type: ignore[attr-defined]
    assert names == {
        "message": "vecload",
        "load_started": "vecload.loads",
        "batch_sent": "vecload.batches",
        "batch_recorded": "vecload.batches",
        "request": "vecload.requests",
        "reject": "vecload.rejects",
        "load_ended": "vecload.loads",
    }
    assert {*names} - {"message"} <= {*events.TEXTS}


def test_a_failed_load_ends_with_an_event_too(kept: Kept, tmp_path: Path) -> None:
    with pytest.raises(vecload.VecloadError):
        vecload.load(tmp_path / "missing.jsonl", to=tmp_path / "store")
    (ended,) = kept.of("load_ended")
    assert (ended.status, ended.exit_code, ended.levelname) == ("failed", 2, "INFO")
    assert "missing.jsonl can't be read" in ended.error


def test_a_program_that_configures_no_logging_is_not_told_of_an_error_that_it_gets(tmp_path: Path) -> None:
    program = (
        "import vecload\n"
        "try:\n"
        f"    vecload.load({str(tmp_path / 'missing.jsonl')!r}, to={str(tmp_path / 'store')!r})\n"
        "except vecload.VecloadError:\n"
        "    pass\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout + ended.stderr == ""


def test_retries_waits_and_the_breaker_are_events(
    kept: Kept, source: Path, tmp_path: Path, service: str, index_name: str
) -> None:
    def sometimes(exchange: Exchange) -> None:
        if exchange.number == 0:
            exchange.send(answer_of(429, b"{}", "Retry-After: 0"))
        elif exchange.number == 2:
            health["down"] = 3
            exchange.reset()
        else:
            exchange.pass_on()

    health = {"down": 0}

    def ill(exchange: Exchange) -> None:
        if "health" in exchange.path and health["down"]:
            health["down"] -= 1
            exchange.reset()
        else:
            exchange.pass_on()

    with Proxy(service, sometimes) as proxy:
        proxy.behave_otherwise = ill
        vecload.load(
            source,
            to=proxy.url,
            index=index_name,
            create_key=True,
            max_errors=1,
            batch_rows=10,
            concurrency=1,
        )
    retries = kept.of("retry")
    assert {(one.failures, one.start) for one in retries} >= {(1, 0), (1, 10)}
    assert all(one.seconds >= 0 and one.reason for one in retries)
    assert len(kept.of("wait")) >= 2
    (opened,), (closed,) = kept.of("breaker_opened"), kept.of("breaker_closed")
    assert (opened.levelname, closed.levelname) == ("WARNING", "INFO")
    assert opened.reason
    assert closed.seconds > 0
    assert {one.outcome for one in kept.of("request")} == {"ok", "429", "unreachable"}


def test_nobody_listening_costs_less_than_a_hundredth_of_a_small_batch() -> None:
    span = Span("rows.jsonl", 0, 1000)

    def emits() -> None:
        events.emit(events.BATCHES, logging.DEBUG, "batch_sent", items=1000, **events.fields_of(span))

    once = min(timeit.repeat(emits, number=1000, repeat=5)) / 1000
    # A load emits four events a batch, and no batch of 1000 rows takes less than 2 ms.
    assert 4 * once < 2e-3 / 100


def test_no_field_has_the_name_of_an_attribute_of_all_records() -> None:
    reserved = {*vars(logging.makeLogRecord({})), "message", "asctime"}
    for text in events.TEXTS.values():
        assert not {*re.findall(r"%\((\w+)\)", text)} & reserved
