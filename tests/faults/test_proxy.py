"""A network and a service at their worst: a right index, or the right exit code and a journal to resume."""

from __future__ import annotations

import email.utils
import gzip
import itertools
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.loads import Load
from tests.faults.oracle import Source, write_source
from tests.faults.proxy import Behaviour, Exchange, Proxy, answer_of
from tests.loading.batches import numbered
from vecload.loading.retry import Sender
from vecload.sealing import generate_key
from vecload.targets import IndexSettings
from vecload.targets.service import ServiceTarget

SEED = int(os.environ.get("VECLOAD_SEED", "0"))
ROWS = 150
IMPATIENT = ("-m", "tests.faults.mutant", "impatient")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return write_source(tmp_path / "source.jsonl", SEED, ROWS)


LoadOf = Callable[..., Load]


@pytest.fixture
def load_of(tmp_path: Path, source: Source, service: str, new_name: Callable[[], str]) -> LoadOf:
    """Makes a load of the source through a proxy, that the oracle reads from the service itself."""

    def make(proxy: Proxy, *options: str, program: tuple[str, ...] = ("-m", "vecload")) -> Load:
        given = ("--batch-rows", "5", "--concurrency", "4", *options)
        return Load(tmp_path / "load", source, proxy.url, given, program, new_name(), service)

    return make


def sometimes(fault: Behaviour, *, likely: float = 0.3, most: int = 1000) -> Behaviour:
    """The fault for the fourth upsert and for others by chance, but never more often than `most`."""
    chance = random.Random(SEED)  # noqa: S311 - the seed repeats a failure
    came = itertools.count()
    left = [most]
    lock = threading.Lock()

    def behave(exchange: Exchange) -> None:
        with lock:
            hit = left[0] > 0 and (chance.random() < likely or next(came) == 3)
            left[0] -= hit
        (fault if hit else Exchange.pass_on)(exchange)

    return behave


def reset_before_the_request(exchange: Exchange) -> None:
    exchange.reset()


def reset_during_the_request(exchange: Exchange) -> None:
    exchange.read_part()
    exchange.reset()


def reset_after_the_request(exchange: Exchange) -> None:
    _ = exchange.body
    exchange.reset()


def closed_after_the_request(exchange: Exchange) -> None:
    _ = exchange.body
    exchange.close()


def answer_lost_after_the_commit(exchange: Exchange) -> None:
    exchange.forward()
    exchange.reset()


def answer_truncated(exchange: Exchange) -> None:
    answer = exchange.forward()
    exchange.send(answer[: exchange.number * 7 % len(answer)])
    exchange.close()


def answer_dripped(exchange: Exchange) -> None:
    for byte in exchange.forward():
        exchange.send(bytes([byte]))
        threading.Event().wait(0.001)


def stored_but_answered_500(exchange: Exchange) -> None:
    exchange.forward()
    exchange.send(answer_of(500, b"Internal Server Error"))
    exchange.close()


def answered(status: int, body: bytes = b"", *headers: str) -> Behaviour:
    """Answers without letting the service know."""

    def behave(exchange: Exchange) -> None:
        exchange.send(answer_of(status, body, *headers))

    return behave


def in_one_second() -> str:
    return email.utils.formatdate(time.time() + 1, usegmt=True)


SUCCESS = b'{"status":"success","message":"Upserted 5 vectors"}'
GZIP_BOMB = gzip.compress(b"\0" * 50_000_000)

HEALED = {
    "reset before the request": reset_before_the_request,
    "reset during the request": reset_during_the_request,
    "reset after the request": reset_after_the_request,
    "closed after the request": closed_after_the_request,
    "answer lost after the commit": answer_lost_after_the_commit,
    "answer truncated": answer_truncated,
    "answer dripped": answer_dripped,
    "stored but answered 500": stored_but_answered_500,
    "500": answered(500, b"Internal Server Error"),
    "502": answered(502, b"<html>bad gateway</html>"),
    "408": answered(408),
    "429 with seconds": answered(429, b"{}", "Retry-After: 0.05"),
    "429 with nonsense": answered(429, b"{}", "Retry-After: soon"),
    "503": answered(503, b'{"detail":"busy"}'),
    "200 of another kind": answered(200, b"<html>welcome</html>"),
    "200 and nothing": answered(200),
    "200 of another number": answered(200, SUCCESS.replace(b"5", b"4")),
    "200 and an error": answered(200, b'{"status":"error","message":"Upserted 5 vectors"}'),
    "200 and a huge body": answered(200, b"[" * 5_000_000),
    "200 and a gzip bomb": answered(200, GZIP_BOMB, "Content-Encoding: gzip"),
    "no HTTP at all": lambda exchange: (
        exchange.send(b"\x16\x03\x01 what is this?\r\n\r\n"),
        exchange.reset(),
    ),
    "104-byte header without end": lambda exchange: (
        exchange.send(b"HTTP/1.1 200 OK\r\nX"),
        exchange.close(),
    ),
}


@pytest.mark.parametrize("fault", HEALED)
def test_a_load_comes_through(service: str, load_of: LoadOf, fault: str) -> None:
    with Proxy(service, sometimes(HEALED[fault], likely=0.2)) as proxy:
        ended = load_of(proxy).run_until_done(most=1)
    assert ended.summary["retries"] > 0 or fault == "answer dripped"


def test_an_answer_cut_at_any_byte_is_no_acknowledgement(service: str, new_name: Callable[[], str]) -> None:
    """In this process, where a cut costs milliseconds: the sender with the real target and service."""
    lengths: list[int] = []
    cuts = iter(range(10_000))

    def cut_every_other(exchange: Exchange) -> None:
        answer = exchange.forward()
        if exchange.number % 2:
            exchange.send(answer)
        else:
            lengths.append(len(answer))
            exchange.send(answer[: next(cuts)])
            exchange.close()

    with Proxy(service, cut_every_other) as proxy, ServiceTarget(proxy.url) as target:
        index = target.create_index(new_name(), generate_key().index_key, IndexSettings(dimension=2))
        sender = Sender(index.prepare, target.healthy, pause=lambda _: None)
        for number in range(len(answer_of(200, SUCCESS))):
            outcome = sender.send(numbered(5))
            assert (outcome.ack.items, outcome.retries) == (5, 1), f"cut at {number}"
        assert index.count() == 5
    assert set(lengths) == {len(lengths)}


def test_a_load_comes_through_a_storm_of_503s(service: str, load_of: LoadOf) -> None:
    storm = sometimes(answered(503, b"{}", "Retry-After: 0"), likely=1.0, most=5)
    with Proxy(service, storm) as proxy:
        ended = load_of(proxy).run_until_done(most=1)
    assert ended.summary["retries"] == 5


def test_retry_after_as_a_date_is_waited_for(service: str, load_of: LoadOf) -> None:
    came: list[float] = []

    def once(exchange: Exchange) -> None:
        came.append(time.monotonic())
        if exchange.number == 0:
            exchange.send(answer_of(429, b"{}", f"Retry-After: {in_one_second()}"))
        else:
            exchange.pass_on()

    with Proxy(service, once) as proxy:
        load_of(proxy, "--concurrency", "1").run_until_done(most=1)
    # The date has whole seconds; a slow machine takes its time.
    assert 0.0 < came[1] - came[0] < 30.0


@pytest.mark.parametrize("after", ["86400", "1e300", "Fri, 31 Dec 2199 23:59:59 GMT"])
def test_a_service_that_asks_for_ages_ends_the_load_which_can_go_on(
    service: str, load_of: LoadOf, after: str
) -> None:
    with Proxy(service, sometimes(answered(429, b"{}", f"Retry-After: {after}"), likely=0.1)) as proxy:
        load = load_of(proxy, "--give-up-after", "20")
        stopped = load.run()
        assert stopped.code == 1
        assert "429" in stopped.err
        assert stopped.summary["resumable"] is True
        assert "again  run the same command again to resume" in stopped.err
        proxy.behave = Exchange.pass_on
        ended = load.run_until_done(most=1)
    assert ended.summary["skipped"] == stopped.summary["loaded"]


def test_a_third_of_500s_rejects_no_row(service: str, load_of: LoadOf) -> None:
    storm = sometimes(answered(500, b"Internal Server Error"), likely=0.3)
    with Proxy(service, storm) as proxy:
        load_of(proxy, "--batch-rows", "25").run_until_done(most=1)


def test_a_service_that_answers_nothing_but_500_ends_the_load_and_rejects_nothing(
    service: str, load_of: LoadOf
) -> None:
    with Proxy(service, answered(500, b"Internal Server Error")) as proxy:
        load = load_of(proxy, "--max-errors", "100%")
        stopped = load.run()
        assert stopped.code == 1
        assert (stopped.summary["loaded"], stopped.summary["rejected"]) == (0, 0)
        proxy.behave = Exchange.pass_on
        load.run_until_done(most=1)


FINAL = {
    "a redirect": (answered(307, b"", "Location: http://127.0.0.1:9/"), 1, "redirect"),
    "a page not found": (answered(404, b"{}"), 1, "404"),
    "a wrong API key": (answered(401, b'{"detail":"Invalid API Key"}'), 6, "VECLOAD_API_KEY"),
    "a forbidden write": (answered(403, b'{"detail":"permission denied"}'), 6, "API key"),
    "a wrong index key": (answered(401, b'{"detail":"Wrong encryption key"}'), 6, "--key-file"),
    "a locked store": (answered(400, b'{"detail":"is locked by another store"}'), 1, "another process"),
    "the limit of items": (
        answered(400, b'{"detail":"Item limit reached: 1000000"}'),
        1,
        "items that it has stay",
    ),
    "200s that never acknowledge": (answered(200, b"{}"), 1, "did not acknowledge"),
}


@pytest.mark.parametrize("fault", FINAL)
def test_what_can_not_heal_ends_the_load_with_its_code_and_a_journal(
    service: str, load_of: LoadOf, fault: str
) -> None:
    behave, code, told = FINAL[fault]

    def after_some(exchange: Exchange) -> None:
        (behave if exchange.number >= 20 else Exchange.pass_on)(exchange)

    with Proxy(service, after_some) as proxy:
        load = load_of(proxy)
        stopped = load.run()
        assert stopped.code == code, stopped.err
        assert told in stopped.err
        assert stopped.summary["rejected"] == 0
        assert 0 < stopped.summary["loaded"] < ROWS
        proxy.behave = Exchange.pass_on
        ended = load.run_until_done(most=1)
    assert ended.summary["skipped"] == stopped.summary["loaded"]


def test_a_request_that_hangs_is_sent_again_after_its_time(service: str, load_of: LoadOf) -> None:
    end = threading.Event()

    def hang(exchange: Exchange) -> None:
        if exchange.number in (3, 20):
            end.wait(60)
            exchange.reset()
        else:
            exchange.pass_on()

    with Proxy(service, hang) as proxy:
        ended = load_of(proxy, program=IMPATIENT).run_until_done(most=1)
        end.set()
    assert ended.summary["retries"] == 2


def test_an_answer_that_drips_for_ever_does_not_outlive_the_request(service: str, load_of: LoadOf) -> None:
    end = threading.Event()

    def drip(exchange: Exchange) -> None:
        if exchange.number not in (3, 20):
            exchange.pass_on()
            return
        exchange.forward()
        exchange.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not end.wait(0.05):
            exchange.send(b"x")

    with Proxy(service, drip) as proxy:
        ended = load_of(proxy, program=IMPATIENT).run_until_done(most=1)
        end.set()
    assert ended.summary["retries"] >= 2  # on a slow machine, others run out of their time too


def test_faults_of_all_else_but_upserts_lose_nothing_either(service: str, load_of: LoadOf) -> None:
    lost = sometimes(reset_after_the_request, likely=0.3)
    with Proxy(service, sometimes(answer_lost_after_the_commit, likely=0.1)) as proxy:
        proxy.behave_otherwise = lost
        load = load_of(proxy)
        load.run_until_done(most=20, may_fail_with=(1,))
    assert "/v1/vectors/num_vectors" in proxy.others
