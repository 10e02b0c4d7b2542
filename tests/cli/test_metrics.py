"""The file of metrics: what Prometheus reads from it, when it is written, and what it never replaces."""

from __future__ import annotations

import logging
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl
from tests.faults.loads import Running, wait_for
from tests.faults.proxy import Exchange, Proxy, answer_of
from vecload.cli import metrics as module
from vecload.cli.metrics import LAST_SUCCESS, Metrics
from vecload.errors import UsageError
from vecload.events import LOADS, REQUESTS, emit

LOAD = ("upsert", "rows.jsonl", "--max-errors", "1", "--batch-rows", "10", "--metrics", "load.prom")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written = rows(30)
    written[7]["vector"] = [1.0]
    write_jsonl(tmp_path / "rows.jsonl", written)
    return tmp_path


def samples(file: Path, **labels: str) -> dict[str, float]:
    """All samples with these labels, by their name and other labels."""
    found = {}
    for family in text_string_to_metric_families(file.read_text()):
        assert family.documentation
        for sample in family.samples:
            assert {"index", "target"} <= {*sample.labels}
            if all(sample.labels[name] == value for name, value in labels.items()):
                others = {*sample.labels} - {"index", "target", *labels}
                found["/".join([sample.name, *(sample.labels[name] for name in sorted(others))])] = (
                    sample.value
                )
    return found


def test_the_metrics_of_a_load_are_those_of_its_summary(folder: Path) -> None:
    before = time.time()
    ended = vecload(*LOAD, cwd=folder)
    assert ended.code == 3
    found = samples(folder / "load.prom", index="rows", target="embedded")
    for name, value in {
        "rows_read_total": 30,
        "rows_loaded_total": 29,
        "rows_rejected_total": 1,
        "rows_skipped_total": 0,
        "requests_total/ok": 3,
        "request_seconds_count": 3,
        "request_seconds_bucket/+Inf": 3,
        "retries_total": 0,
        "waits_total": 0,
        "batches_in_flight": 0,
        "breaker_open": 0,
        "running": 0,
        "exit_code": 3,
    }.items():
        assert found[f"vecload_{name}"] == value, name
    assert found["vecload_sent_bytes_total"] > 29 * 32
    assert 0 < found["vecload_request_seconds_sum"] < 300
    assert before <= found["vecload_start_time_seconds"] <= time.time()
    assert LAST_SUCCESS not in found
    assert not list(folder.glob("load.prom.*")), "it is written aside and renamed"
    assert stat.S_IMODE((folder / "load.prom").stat().st_mode) & 0o444, "node exporter is another user"


def test_the_last_success_outlives_failures_and_other_indexes(folder: Path) -> None:
    good = write_jsonl(folder / "good.jsonl", rows(5))
    assert vecload("upsert", good, "--index", "a", *LOAD[-2:], cwd=folder).code == 0
    first = samples(folder / "load.prom", index="a")
    assert first[LAST_SUCCESS] == pytest.approx(time.time(), abs=60)
    failed = vecload("upsert", "missing.jsonl", "--index", "a", *LOAD[-2:], cwd=folder)
    assert failed.code == 2
    second = samples(folder / "load.prom", index="a")
    assert second["vecload_exit_code"] == 2
    assert second[LAST_SUCCESS] == first[LAST_SUCCESS]
    assert vecload("upsert", good, "--index", "b", *LOAD[-2:], cwd=folder).code == 0
    assert samples(folder / "load.prom", index="a") == {LAST_SUCCESS: first[LAST_SUCCESS]}
    assert samples(folder / "load.prom", index="b")["vecload_exit_code"] == 0


def test_a_resumed_load_counts_what_an_earlier_run_did(folder: Path) -> None:
    assert vecload(*LOAD, cwd=folder).code == 3
    assert vecload(*LOAD, "--skip-loaded", cwd=folder).code == 3
    found = samples(folder / "load.prom")
    assert [found[f"vecload_rows_{name}_total"] for name in ("read", "loaded", "rejected", "skipped")] == [
        *(30, 0, 1, 29)
    ]


def test_failures_retries_and_waits_are_counted(folder: Path, service: str, index_name: str) -> None:
    def busy(exchange: Exchange) -> None:
        if exchange.number < 2:
            exchange.send(answer_of(429, b"{}", "Retry-After: 0"))
        else:
            exchange.pass_on()

    with Proxy(service, busy) as proxy:
        to = ("--to", proxy.url, "--index", index_name, "--create-key", "--concurrency", "1")
        assert vecload(*LOAD, *to, cwd=folder).code == 3
    found = samples(folder / "load.prom", index=index_name, target="service")
    assert found["vecload_requests_total/429"] == 2
    assert found["vecload_requests_total/ok"] == 3
    assert found["vecload_retries_total"] == 2
    assert found["vecload_waits_total"] >= 2
    assert found["vecload_wait_seconds_total"] > 0


def test_a_copy_has_metrics_too(folder: Path) -> None:
    assert vecload(*LOAD, cwd=folder).code == 3
    assert vecload("copy", "--index", "b", "--metrics", "copy.prom", cwd=folder).code == 0
    found = samples(folder / "copy.prom", index="b", target="embedded")
    assert (found["vecload_rows_loaded_total"], found["vecload_exit_code"]) == (29, 0)


def test_a_load_that_is_stopped_says_by_which_signal(folder: Path, service: str, index_name: str) -> None:
    held, reached = threading.Event(), threading.Event()

    def hold(exchange: Exchange) -> None:
        reached.set()
        held.wait(60)
        exchange.reset()

    files = ("--metrics", str(folder / "load.prom"), "--log-file", str(folder / "l.log"))
    with Proxy(service, hold) as proxy:
        to = ("--to", proxy.url, "--index", index_name, "--create-key", "--max-errors", "1")
        running = Running(["-m", "vecload", "upsert", str(folder / "rows.jsonl"), *to, *files], folder)
        running.reach(reached)
        running.signal(signal.SIGTERM)
        assert running.end().code == 143
        held.set()
    found = samples(folder / "load.prom", index=index_name, target="service")
    assert (found["vecload_exit_code"], found["vecload_running"]) == (143, 0)
    assert "command_ended command=upsert exit_code=143" in (folder / "l.log").read_text()


def test_a_load_that_runs_or_is_killed_says_that_it_runs(folder: Path, service: str, index_name: str) -> None:
    held, reached = threading.Event(), threading.Event()

    def hold(exchange: Exchange) -> None:
        reached.set()
        held.wait(60)
        exchange.reset()

    file = folder / "load.prom"
    with Proxy(service, hold) as proxy:
        running = Running(
            [
                *("-m", "vecload", "upsert", str(folder / "rows.jsonl"), "--max-errors", "1"),
                *("--to", proxy.url, "--index", index_name, "--create-key", "--metrics", str(file)),
            ],
            folder,
        )
        running.reach(reached)
        assert samples(file)["vecload_running"] == 1
        assert "vecload_exit_code" not in samples(file)
        running.signal(9)
        running.end()
        held.set()
    assert samples(file)["vecload_running"] == 1


@pytest.fixture
def counting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Metrics]:
    """Metrics that are written every few milliseconds."""
    monkeypatch.setattr(module, "WRITE_SECONDS", 0.01)
    handler = Metrics(
        str(folder / "m.prom"), index="", kind="service", warn=said.append, clock=lambda: 1234.0
    )
    logger = logging.getLogger("vecload")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    said.clear()


said: list[str] = []


def test_it_is_written_regularly_and_whole_at_every_moment(folder: Path, counting: Metrics) -> None:
    file, seen = folder / "m.prom", set()

    def breaker_is(state: float) -> bool:
        found = samples(file)
        seen.add(found["vecload_breaker_open"])
        return found["vecload_breaker_open"] == state

    emit(REQUESTS, logging.WARNING, "breaker_opened", reason="x", seconds=1.0)
    wait_for(lambda: breaker_is(1), "an open breaker", 30)
    for _ in range(200):
        emit(REQUESTS, logging.DEBUG, "request", outcome="ok", attempt=1, seconds=0.03)
        samples(file)  # never half a file
    emit(REQUESTS, logging.INFO, "breaker_closed", seconds=1.0)
    wait_for(lambda: breaker_is(0), "a closed breaker", 30)
    counting.end(0)
    found = samples(file)
    assert found["vecload_request_seconds_count"] == 200
    assert (found["vecload_request_seconds_bucket/0.025"], found["vecload_request_seconds_bucket/0.05"]) == (
        *(0, 200),
    )
    assert found[LAST_SUCCESS] == 1234.0
    assert seen == {0, 1}


def test_a_file_that_can_no_longer_be_written_is_said_once(folder: Path, counting: Metrics) -> None:
    (folder / "m.prom").unlink()
    (folder / "m.prom").mkdir()
    wait_for(lambda: said, "a message", 30)
    counting.end(0)
    assert len(said) == 1
    assert "m.prom can't be written: " in said[0]


def test_labels_with_quotes_and_line_breaks_are_escaped(folder: Path, counting: Metrics) -> None:
    name = 'a"b\\c\nd{}'
    emit(LOADS, logging.INFO, "load_started", index=name, target="http://x", kind="service", sources=1,
         rejected=0, skipped=0)  # fmt: skip
    counting.end(1)
    assert samples(folder / "m.prom", index=name)["vecload_exit_code"] == 1


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("rows.jsonl", "--metrics rows.jsonl is the file of SOURCE"),
        ("notes.txt", "exists and is not a metrics file of vecload"),
        ("other.prom", "exists and is not a metrics file of vecload"),
        ("link.prom", "exists and is not a regular file"),
        (".", "exists and is not a regular file"),
        ("missing/load.prom", "the folder missing does not exist"),
    ],
)
def test_no_other_file_is_replaced(folder: Path, file: str, says: str) -> None:
    (folder / "notes.txt").write_text("my notes\n")
    (folder / "other.prom").write_text("# HELP node_x y\n")
    (folder / "link.prom").symlink_to("elsewhere.prom")
    before = {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}
    ended = vecload(*LOAD[:-1], file, cwd=folder)
    assert ended.code == 2
    assert says in ended.error
    assert {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()} == before


def test_a_name_that_node_exporter_ignores_is_said(folder: Path) -> None:
    ended = vecload(*LOAD[:-1], "load.txt", cwd=folder)
    assert "node exporter reads only files that end in .prom: --metrics load.txt does not" in ended.err
    assert samples(folder / "load.txt")["vecload_exit_code"] == 3
    assert "node exporter" not in vecload(*LOAD, cwd=folder).err


def test_a_dry_run_writes_no_metrics(folder: Path) -> None:
    assert vecload(*LOAD, "--dry-run", cwd=folder).code == 3
    assert not (folder / "load.prom").exists()


def test_without_the_library_the_error_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(UsageError, match=r"needs prometheus-client; pip install 'vecload\[metrics\]'"):
        Metrics(str(folder / "x.prom"), index="", kind="embedded", warn=print)
    assert not (folder / "x.prom").exists()
