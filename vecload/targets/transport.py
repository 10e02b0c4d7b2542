"""An httpx transport whose requests end by a deadline.

httpx's timeouts hold for each read and write by itself: a server that drips one byte at a time, headers
included, outlives all of them. Here every read and write of a request gets what is left of its time.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpcore
import httpx

CONNECT_SECONDS = 10.0
KEEPALIVE_SECONDS = 4.0
"""The service drops idle connections after 5 s without a word (docs/cyborgdb.md)."""

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
        # Whoever drops an index without closing its connection leaves no open sockets.
        weakref.finalize(self, self._pool.close)

    def set_deadline(self, seconds: float) -> None:
        """The calling thread's next request ends within that many seconds from now."""
        self._deadline.set(seconds)

    def spent(self) -> tuple[float, float]:
        """Of the calling thread's last request: seconds until it was written, and from then until now."""
        return self._deadline.spent()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the body of the response is read as it is iterated."""
        url = request.url
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
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


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
        yield from self._response.iter_stream()

    def close(self) -> None:
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
    """The cause of a failed connection in a few words."""
    for cause in causes_of(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted: {cause.verify_message}; set SSL_CERT_FILE to its authority"
            )
        if isinstance(cause, socket.gaierror):
            return "no such host"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    return str(error) or type(error).__name__


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """An error, and what it was raised from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
