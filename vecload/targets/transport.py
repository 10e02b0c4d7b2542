"""An httpx transport whose requests end by a deadline.

httpx's timeouts hold for each read and write by itself: a server that drips one byte at a time, headers
included, outlives all of them. Here every read and write of a request gets what is left of its time.

The HTTP connections to a service, of each process its own.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, NamedTuple

import httpcore
import httpx

from vecload._version import __version__

CONNECT_SECONDS = 10.0
KEEPALIVE_SECONDS = 4.0
"""The service drops idle connections after 5 s without a word (docs/cyborgdb.md)."""

_NOT_HEEDED = (b"location", b"set-cookie", b"set-cookie2")
_WRITE_BYTES = 256 * 1024
"""How much one write may take to, so that a server that reads slowly can't outlive the deadline."""


class DeadlineTransport(httpx.BaseTransport):
    """Sends requests over kept connections; each ends by the deadline its thread set.

    Args:
        connections: How many connections at the most.
        secure: Requests go to https: loads the certificates of the authorities, which takes some time.
        clock: Monotonic seconds.
        backend: What opens the sockets.
    """

    def __init__(
        self,
        *,
        connections: int,
        secure: bool = True,
        clock: Callable[[], float] = time.monotonic,
        backend: httpcore.NetworkBackend | None = None,
    ) -> None:
        self._deadline = _Deadline(clock)
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context() if secure else None,
            max_connections=connections,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=_DeadlineBackend(backend or httpcore.SyncBackend(), self._deadline),
        )
        # Whoever drops an index without closing its connection leaves no open sockets. A forked child leaves
        # them alone: they are its parent's, and a lock of the pool may be held for ever.
        weakref.finalize(self, _close, self._pool, os.getpid())
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_SILENCE)

    def set_deadline(self, seconds: float) -> None:
        """The calling thread's next request ends within that many seconds from now."""
        self._deadline.set(seconds)

    def spent(self) -> tuple[float, float]:
        """Of the calling thread's last request: seconds until it was written, and from then until now."""
        return self._deadline.spent()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the body of the response is read as it is iterated."""
        url = request.url
        with _SILENCE:
            response = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        # Without the words of its status line, which httpx would log; it would keep cookies, and read where a
        # redirect leads to, though it is not followed.
        headers = [(name, value) for name, value in response.headers if name.lower() not in _NOT_HEEDED]
        return httpx.Response(response.status, headers=headers, stream=_Body(response))

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


def _close(pool: httpcore.ConnectionPool, pid: int) -> None:
    if os.getpid() == pid:
        pool.close()


class _Silence(logging.Filter):
    """Lets httpcore log nothing of our requests: at DEBUG it writes headers of answers, and its errors."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self._thread, "depth", 0)

    def __enter__(self) -> None:
        self._thread.depth = getattr(self._thread, "depth", 0) + 1

    def __exit__(self, *_: object) -> None:
        self._thread.depth -= 1


# A logger is the process's, and so is what filters it.
_SILENCE = _Silence()
_LOGGERS = ("httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks")


class _Deadline:
    """When each thread's request began, was written, and ends.

    The pool holds this and not the transport, which can then be freed.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._thread = threading.local()

    def set(self, seconds: float) -> None:
        """The calling thread's request ends within that many seconds from now."""
        self._thread.begun = self._thread.written = self._clock()
        self._thread.at = self._thread.begun + seconds

    def wrote(self) -> None:
        """The calling thread's request was written as far as here."""
        self._thread.written = self._clock()

    def spent(self) -> tuple[float, float]:
        """Seconds until the calling thread's request was written, and from then until now."""
        return self._thread.written - self._thread.begun, self._clock() - self._thread.written

    def remaining(self, timeout: float | None) -> float:
        """What a read or write may take: `timeout`, or what is left of the request's time.

        Raises:
            httpcore.TimeoutException: Nothing is left.
        """
        left: float = self._thread.at - self._clock()
        if left <= 0:
            raise httpcore.ReadTimeout("the request's time is over")
        return left if timeout is None else min(left, timeout)


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _SILENCE:
            yield from self._response.iter_stream()

    def close(self) -> None:
        with _SILENCE:
            self._response.close()


class _DeadlineBackend(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend, deadline: _Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._inner.connect_tcp(
            host, port, min(self._deadline.remaining(timeout), CONNECT_SECONDS), local_address, socket_options
        )
        return _DeadlineStream(stream, self._deadline)


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.remaining(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # A view: slices of megabytes would copy them, and the rest again after each write that took a part.
        view = memoryview(buffer)
        for start in range(0, len(view), _WRITE_BYTES):
            self._inner.write(view[start : start + _WRITE_BYTES], self._deadline.remaining(timeout))  # type: ignore[arg-type] # as bytes
        self._deadline.wrote()

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._inner.start_tls(ssl_context, server_hostname, self._deadline.remaining(timeout))
        return _DeadlineStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def reason_of(error: Exception) -> str:
    """The cause of a failed connection in a few words of ours.

    The words of a protocol's exceptions are never repeated: they hold what the other side sent, and that may
    be what it was sent.
    """
    for cause in causes_of(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = _CERTIFICATE.get(cause.verify_code, "is not trusted")
            return f"its certificate {why}; set SSL_CERT_FILE to its authority"
        if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return "it ended the TLS connection"
        if isinstance(cause, ssl.SSLError):
            code = getattr(cause, "reason", None) or ""
            return f"TLS failed: {code}" if _CODE.fullmatch(code) else "TLS failed"
        if isinstance(cause, socket.gaierror):
            return "no such host" if cause.errno != socket.EAI_AGAIN else "its name can't be looked up now"
        if isinstance(cause, httpcore.ConnectTimeout):
            return "timed out while connecting"
        if isinstance(cause, UnicodeError):
            return "no such host"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
    if isinstance(error, httpcore.RemoteProtocolError | httpx.RemoteProtocolError):
        known = (why for said, why in _PROTOCOL if str(error).startswith(said))
        return next(known, "what it answers is not HTTP")
    if isinstance(error, httpcore.LocalProtocolError):
        return "the request is not HTTP"
    return "the connection broke"


_CERTIFICATE = {
    9: "is not valid yet",
    10: "has expired",
    18: "is its own authority, which is not trusted",
    19: "is of an authority that is not trusted",
    20: "is of an authority that is not trusted",
    23: "was revoked",
    62: "is of another host",
    64: "is of another address",
}
"""By OpenSSL's numbers of X509_V_ERR."""
_CODE = re.compile(r"[A-Z0-9_]{1,60}")
_PROTOCOL = (
    ("Server disconnected", "it closed the connection without an answer"),
    ("peer closed connection", "the answer was cut off"),
    ("peer unexpectedly closed", "the answer was cut off"),
    ("Received more data", "the answer is longer than it says"),
)
"""How the errors of httpcore and h11 begin that say no more than that, and what they mean."""


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """An error, and what it was raised from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


CONNECTIONS = 64


class Http(NamedTuple):
    """A client, and the transport by which it sends."""

    transport: DeadlineTransport
    client: httpx.Client


class Connections:
    """The connections to one service. A forked child makes its own, and leaves those of its parent alone.

    Args:
        location: The service's address.
        api_key: What its header holds.
        seconds: How long a read or write may take.
        transport: For this process; None makes one.
    """

    def __init__(
        self, location: str, api_key: str | None, seconds: float, transport: DeadlineTransport | None = None
    ) -> None:
        self._location = location
        self._api_key = api_key
        self._seconds = seconds
        self._by_process = {os.getpid(): self._made(transport)}

    def __repr__(self) -> str:
        return f"Connections({self._location!r})"

    def own(self) -> Http:
        """Those of this process."""
        pid = os.getpid()
        # Of two threads that make them at once, one wins. The parent's are kept: once freed, they are closed.
        return self._by_process.get(pid) or self._by_process.setdefault(pid, self._made())

    def close(self) -> None:
        """Close those of this process."""
        if made := self._by_process.get(os.getpid()):
            made.client.close()

    def _made(self, transport: DeadlineTransport | None = None) -> Http:
        secure = self._location.startswith("https:")
        transport = transport or DeadlineTransport(connections=CONNECTIONS, secure=secure)
        client = httpx.Client(
            base_url=self._location,
            transport=transport,
            timeout=self._seconds,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # none is kept
            headers={
                "Accept-Encoding": "identity",
                "Content-Type": "application/json",
                "User-Agent": f"vecload/{__version__}",
                **({"X-API-Key": self._api_key} if self._api_key else {}),
            },
        )
        return Http(transport, client)
