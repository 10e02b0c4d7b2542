"""A server that answers slowly, oddly or not at all never holds a request beyond its time, nor fools it."""

from __future__ import annotations

import gzip
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

import httpcore
import numpy as np
import pytest

from vecload.batch import Batch, Span
from vecload.errors import Busy, ConnectionClosed, NotAcknowledged, NotTrusted, TargetError, Unreachable
from vecload.targets import Query, Reach
from vecload.targets.service import ServiceTarget
from vecload.targets.tls import tls_fault
from vecload.targets.transport import reason_of

SECONDS = 0.6
"""What a request may take here."""
SLACK = 1.5
"""What ending it may take beyond that on a busy machine."""
INDEX_KEY = b"k" * 32
API_KEY = "an-api-key"


class Server:
    """A loopback server whose every answer is a function on the raw connection.

    Args:
        answer: Called with each request after it was read whole; what it writes is the answer. The
            connection is closed when it returns True.
        reads: Whether requests are read at all.
    """

    def __init__(self, answer: Callable[[Server, socket.socket], bool], *, reads: bool = True) -> None:
        self._answer = answer
        self._reads = reads
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._connections: list[socket.socket] = []
        self.over = threading.Event()
        self.closed = threading.Semaphore(0)
        """Released when a connection was closed from this end."""
        self.requests: list[bytes] = []

    @property
    def connections(self) -> int:
        """How many were made so far."""
        return len(self._connections)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def drip(self, connection: socket.socket, data: bytes, seconds: float) -> None:
        """Write a byte at a time, so that no single read takes long."""
        for byte in data:
            if self.over.wait(seconds):
                return
            connection.sendall(bytes([byte]))

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while not self.over.is_set():
                if self._reads and not self._read_request(connection):
                    return
                if self._answer(self, connection):
                    break
        self.closed.release()

    def _read_request(self, connection: socket.socket) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            received = connection.recv(65536)
            if not received:
                return False
            data += received
        head, _, body = data.partition(b"\r\n\r\n")
        size = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        while size and len(body) < int(size[1]):
            received = connection.recv(65536)
            if not received:
                return False
            body += received
        self.requests.append(head + b"\r\n\r\n" + body)
        return True

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.over.set()
        for open_socket in (self._listener, *self._connections):
            with suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
            open_socket.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join((*lines, "", "")).encode() + body


UPSERTED = http(b'{"status":"success","message":"Upserted 2 vectors"}')
DESCRIBED = http(
    b'{"index_name":"docs","is_trained":false,"dimension":4,"metric":"euclidean","n_lists":1,"metadata_schema":{}}'
)


def always(data: bytes, *, close: bool = False) -> Callable[[Server, socket.socket], bool]:
    def answer(_: Server, connection: socket.socket) -> bool:
        connection.sendall(data)
        return close

    return answer


@pytest.fixture
def connect() -> Iterator[Callable[[Server], ServiceTarget]]:
    targets: list[ServiceTarget] = []

    def make(server: Server) -> ServiceTarget:
        targets.append(ServiceTarget(server.url, api_key=API_KEY, request_seconds=SECONDS))
        return targets[-1]

    yield make
    for target in targets:
        target.close()


def two_items(dim: int = 4) -> Batch:
    return Batch(["a", "b"], np.ones((2, dim), dtype=np.float32), None, None, Span("rows", 0, 2))


def upsert(target: ServiceTarget, batch: Batch | None = None) -> None:
    """One upsert, without the request that opening an index takes."""
    index = target._index("docs", INDEX_KEY)  # noqa: SLF001 the index needs no answer of its own here
    assert index.upsert(batch or two_items()).items == 2


Connect = Callable[[Server], ServiceTarget]


def ends_in_time(target: ServiceTarget, batch: Batch | None = None) -> Unreachable:
    begun = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        upsert(target, batch)
    assert time.monotonic() - begun < SECONDS + SLACK
    assert caught.value.retryable
    assert API_KEY not in str(caught.value)
    assert INDEX_KEY.hex() not in str(caught.value)
    return caught.value


def test_an_answer_that_is_right_is_taken(connect: Connect) -> None:
    with Server(always(UPSERTED)) as server:
        upsert(connect(server))
    (request,) = server.requests
    assert request.startswith(b"POST /v1/vectors/upsert_binary HTTP/1.1\r\n")
    head, _, body = request.partition(b"\r\n\r\n")
    assert b"X-API-Key: an-api-key".lower() in head.lower()
    assert b"accept-encoding: identity" in head.lower()
    assert json.loads(body)["index_key"] == INDEX_KEY.hex()


def test_headers_that_drip_end_the_request_in_time(connect: Connect) -> None:
    def answer(server: Server, connection: socket.socket) -> bool:
        server.drip(connection, UPSERTED, 0.05)
        return False

    with Server(answer) as server:
        assert "no answer in 0.6 s" in str(ends_in_time(connect(server)))


def test_a_body_that_drips_ends_the_request_in_time(connect: Connect) -> None:
    def answer(server: Server, connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        server.drip(connection, b" " * 100_000, 0.05)
        return False

    with Server(answer) as server:
        assert "no answer in 0.6 s" in str(ends_in_time(connect(server)))


def test_interim_answers_without_end_end_the_request_in_time(connect: Connect) -> None:
    def answer(server: Server, connection: socket.socket) -> bool:
        while not server.over.wait(0.05):
            connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")
        return True

    with Server(answer) as server:
        ends_in_time(connect(server))


def test_silence_ends_the_request_in_time(connect: Connect) -> None:
    with Server(lambda server, _: server.over.wait()) as server:
        ends_in_time(connect(server))


def test_a_server_that_does_not_read_ends_the_request_in_time(connect: Connect) -> None:
    with Server(lambda server, _: server.over.wait(), reads=False) as server:
        ends_in_time(connect(server), two_items(dim=600_000))


def test_a_server_that_reads_slowly_ends_the_request_in_time(connect: Connect) -> None:
    def answer(server: Server, connection: socket.socket) -> bool:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        while not server.over.wait(0.05):
            connection.recv(2048)
        return True

    with Server(answer, reads=False) as server:
        ends_in_time(connect(server), two_items(dim=900_000))


@pytest.mark.parametrize("sent", [0, 5, 40, len(UPSERTED) - 5])
def test_a_connection_closed_early_is_worth_another_try(connect: Connect, sent: int) -> None:
    with Server(always(UPSERTED[:sent], close=True)) as server:
        assert "no connection to http://127.0.0.1" in str(ends_in_time(connect(server)))


def test_a_connection_that_was_closed_while_idle_is_not_used_again(connect: Connect) -> None:
    with Server(always(UPSERTED, close=True)) as server:
        target = connect(server)
        for number in range(1, 4):
            upsert(target)
            assert server.closed.acquire(timeout=10)
            assert len(server.requests) == number


@pytest.mark.parametrize(
    "garbage", [b"SSH-2.0-OpenSSH_9.6\r\n", b"\x15\x03\x01\x00\x02\x02\x16", b"\0" * 200_000]
)
def test_what_is_no_http_is_told(connect: Connect, garbage: bytes) -> None:
    with Server(always(garbage, close=True)) as server:
        ends_in_time(connect(server))


def test_a_compressed_answer_is_not_unpacked(connect: Connect) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    with (
        Server(always(http(bomb, "200 OK", "Content-Encoding: gzip"))) as server,
        pytest.raises(NotAcknowledged, match="compressed"),
    ):
        upsert(connect(server))


@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
def test_a_body_without_end_is_not_kept(connect: Connect, status: str) -> None:
    def answer(server: Server, connection: socket.socket) -> bool:
        connection.sendall(f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        while not server.over.is_set():
            connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
        return True

    begun = time.monotonic()
    with Server(answer) as server, pytest.raises(NotAcknowledged, match="larger than"):
        upsert(connect(server))
    assert time.monotonic() - begun < SECONDS + SLACK


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 P"])
def test_a_redirect_is_not_followed(connect: Connect, status: str) -> None:
    with Server(always(UPSERTED)) as elsewhere:
        with (
            Server(always(http(b"", status, f"Location: {elsewhere.url}/v1/vectors/upsert"))) as server,
            pytest.raises(TargetError, match="redirect") as caught,
        ):
            upsert(connect(server))
        assert elsewhere.requests == []
    assert not caught.value.retryable


FOREIGN = [
    b'{"status":"ok"}',
    b'{"message":"Upserted 2 vectors"}',
    b"[]",
    b"7",
    b"null",
    b"",
    b"<html>sign in to the wireless network</html>",
    b'{"results":{"a":1},"result":"2","ids":"a","indexes":{"docs":1}}',
    b'{"results":[1],"result":true,"ids":[1],"indexes":[1,"a"]}',
    b'{"results":[{"name":"a"}],"result":null,"ids":[null],"indexes":[null,null]}',
    b'{"results":[{"id":"a","distance":"near","vector":"long"}],"result":1.5,"ids":[{}],"indexes":[{},{}]}',
    b'{"results":[{"id":"a","vector":[[1],[2,3]],"distance":null}],"dimension":"wide","metric":"euclidean"}',
    b'{"results":[{"id":7,"distance":1,"contents":5}],"dimension":4,"metric":3,"is_trained":0,"n_lists":"x"}',
]


@pytest.mark.parametrize("body", FOREIGN)
@pytest.mark.parametrize(
    "ask",
    [
        lambda target, _: upsert(target),
        lambda target, _: target.open_index("docs", INDEX_KEY),
        lambda target, _: target.list_indexes(),
        lambda _, index: index.count(),
        lambda _, index: index.list_ids(),
        lambda _, index: index.get(["a"], ["vector", "contents"]),
        lambda _, index: index.query(Query(np.ones((1, 4), dtype=np.float32), 1)),
    ],
    ids=["upsert", "open_index", "list_indexes", "count", "list_ids", "get", "query"],
)
def test_a_200_with_a_foreign_body_is_no_acknowledgement(
    connect: Connect, body: bytes, ask: Callable[..., object]
) -> None:
    answers = iter([DESCRIBED])

    def answer(_: Server, connection: socket.socket) -> bool:
        connection.sendall(next(answers, http(body)))
        return False

    with Server(answer) as server:
        target = connect(server)
        index = target.open_index("docs", INDEX_KEY)
        with pytest.raises(NotAcknowledged):
            ask(target, index)


def test_an_acknowledgement_of_fewer_items_is_none(connect: Connect) -> None:
    with (
        Server(always(http(b'{"status":"success","message":"Upserted 1 vectors"}'))) as server,
        pytest.raises(NotAcknowledged, match="1 of 2 items"),
    ):
        upsert(connect(server))


def test_a_retry_after_reaches_the_error(connect: Connect) -> None:
    with (
        Server(always(http(b'{"detail":"later"}', "503 Service Unavailable", "RETRY-AFTER: 17"))) as server,
        pytest.raises(TargetError) as caught,
    ):
        upsert(connect(server))
    assert caught.value.retry_after == 17


def test_requests_of_many_threads_each_have_their_own_time(connect: Connect) -> None:
    slow = threading.Event()

    def answer(server: Server, connection: socket.socket) -> bool:
        if slow.is_set():
            return server.over.wait()
        slow.set()
        connection.sendall(UPSERTED)
        return False

    with Server(answer) as server:
        target = connect(server)
        upsert(target)
        errors: list[Unreachable] = []
        threads = [threading.Thread(target=lambda: errors.append(ends_in_time(target))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(errors) == 4


ECHOES = [
    b"%b\r\n\r\n",
    b"HTTP/1.1 %b\r\n\r\n",
    b"HTTP/1.1 503 %b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n%b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}%b\r\n",
    b"HTTP/1.1 301 A\r\nLocation: http://[%b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nSet-Cookie: %b\r\nContent-Length: 0\r\n\r\n",
]


@pytest.mark.parametrize("template", ECHOES)
def test_no_words_of_the_other_side_are_in_an_error_or_a_log(
    connect: Connect, caplog: pytest.LogCaptureFixture, template: bytes
) -> None:
    secret = INDEX_KEY.hex()
    caplog.set_level("DEBUG")
    with Server(always(template % secret.encode(), close=True)) as server:
        target = connect(server)
        with pytest.raises(TargetError) as caught:
            upsert(target)
    error: BaseException | None = caught.value
    while error is not None:
        assert secret not in f"{error} {error!r} {error.args} {vars(error)}"
        error = error.__cause__ or error.__context__
    assert secret not in caplog.text
    assert secret not in "".join(f"{vars(record)}" for record in caplog.records)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "it closed the connection without an answer"),
        (UPSERTED[:-5], "the answer was cut off"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "its answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "its answer is not HTTP"),
    ],
)
def test_each_kind_of_fault_is_named(connect: Connect, answer: bytes, says: str) -> None:
    with Server(always(answer, close=True)) as server:
        assert f"no connection to {server.url} ({says})" in str(ends_in_time(connect(server)))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ConnectionRefusedError(111, "any words"), "connection refused"),
        (ConnectionResetError(104, "any words"), "connection reset by peer"),
        (socket.gaierror(socket.EAI_NONAME, "any words"), "no such host"),
        (socket.gaierror(socket.EAI_AGAIN, "any words"), "its name can't be looked up now"),
        (ssl.SSLEOFError(8, "any words"), "it ended the TLS connection"),
        (ssl.SSLError(1, "any words"), "TLS failed"),
        (httpcore.ConnectTimeout("any words"), "timed out while connecting"),
        (httpcore.RemoteProtocolError("any words"), "its answer is not HTTP"),
        (httpcore.LocalProtocolError("any words"), "the request is not HTTP"),
        (httpcore.ReadError("any words"), "the connection broke"),
        (OSError("any words"), "the connection broke"),
    ],
)
def test_a_reason_has_words_of_ours_alone(error: Exception, says: str) -> None:
    assert reason_of(error) == says


@pytest.mark.parametrize(
    ("code", "says"),
    [(10, "has expired"), (62, "is for another host"), (18, "is its own authority"), (99, "is not trusted")],
)
def test_a_certificate_that_is_not_taken_says_why(code: int, says: str) -> None:
    error = ssl.SSLCertVerificationError(1, "any words")
    error.verify_code, error.verify_message = code, "any words"
    fault = tls_fault(error, "https://host", Reach())
    assert isinstance(fault, NotTrusted)
    assert f"the certificate of https://host {says}" in str(fault)
    assert "any words" not in str(fault)
    assert ("--ca-file" in str(fault)) == (code in (18, 99))


def test_no_cookie_is_kept_or_sent() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: tracked=by-a-cookie; Path=/\r\nContent-Length: 15\r\n\r\n"
        b'{"indexes": []}'
    )

    def sets(server: Server, connection: socket.socket) -> bool:
        connection.sendall(answer)
        return False

    with Server(sets) as server, ServiceTarget(server.url) as target:
        for _ in range(3):
            assert target.list_indexes() == []
    assert len(server.requests) == 3
    assert b"cookie" not in b"".join(server.requests).lower()


@pytest.mark.parametrize(("seconds", "connections"), [(60.0, 1), (0.0, 3)])
def test_a_connection_is_used_again_unless_it_was_idle_for_long(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, seconds: float, connections: int
) -> None:
    monkeypatch.setattr("vecload.targets.transport.KEEPALIVE_SECONDS", seconds)
    with Server(always(UPSERTED)) as server:
        target = connect(server)
        for _ in range(3):
            upsert(target)
        assert server.connections == connections


def test_a_connection_is_not_used_again_after_a_500(connect: Connect) -> None:
    def fail_once(server: Server, connection: socket.socket) -> bool:
        # Like the service, which then drops the connection without notice, at once or with the next request.
        if len(server.requests) == 1:
            connection.sendall(http(b"Internal Server Error", "500 Internal Server Error"))
        elif server.connections > 1:
            connection.sendall(UPSERTED)
        return server.connections == len(server.requests) == 2

    with Server(fail_once) as server:
        target = connect(server)
        with pytest.raises(Busy):
            upsert(target)
        upsert(target)
        assert server.connections == 2


def test_a_closed_connection_says_so_and_sends_nothing(connect: Connect) -> None:
    with Server(always(UPSERTED)) as server:
        target = connect(server)
        target.close()
        target.close()
        with pytest.raises(ConnectionClosed, match=f"the connection to {server.url} is closed"):
            upsert(target)
        assert not target.healthy()
    assert server.requests == []
