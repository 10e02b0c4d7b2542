"""HTTP requests to one service. Each request ends by its deadline, whatever the other side does.

httpcore is the only HTTP layer here, without httpx on top of it, for two reasons:

- A deadline for a whole request needs the layer that reads and writes sockets. The timeouts of httpx and
  httpcore limit a single read or write. One call reads until the headers are complete, or writes until the
  body is sent, so a server that sends or takes a byte now and then outlives all of these timeouts. httpcore
  accepts a network backend, in which every read and write gets the time that is left. httpx offers no such
  place.
- A load wants nothing of what httpx adds: redirects, cookies, proxies from the environment, decompression,
  log lines with the server's words. A proxy is used only if the user names it.

Connections that were idle for 4 s, or gave a 500, are not used again. Each process has its own.
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpcore

from vecload._version import __version__
from vecload.errors import ClientRefused, ConnectionClosed, NotAcknowledged, TargetError, Unreachable
from vecload.targets.location import ServiceAddress
from vecload.targets.reach import Reach
from vecload.targets.tls import fault_of_nginx, tls_context, tls_fault
from vecload.targets.wire import Body

CONNECTIONS = 64
"""Connections to one service at most."""
CONNECT_SECONDS = 10.0
KEEPALIVE_SECONDS = 4.0
"""The service drops idle connections after 5 s without a word (docs/cyborgdb.md)."""
_WRITE_BYTES = 256 * 1024
"""Bytes of one write at most: a server that reads slowly can't outlive the deadline."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request.

    status: the HTTP status.
    headers: by their names in lower case.
    body: its bytes; not shown, since they may repeat what was sent.
    sending: seconds until the request was written.
    waiting: seconds from then until the answer was complete.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    sending: float = 0.0
    waiting: float = 0.0


class Connections:
    """The connections to one service. A forked child makes its own, and leaves those of its parent alone.

    Args:
        address: The service's address.
        api_key: Sent as X-API-Key.
        reach: How to reach it.

    Raises:
        UsageError: A certificate file can't be used.
    """

    def __init__(self, address: ServiceAddress, api_key: str | None, reach: Reach) -> None:
        self._location = address.location
        self._prefix = address.prefix
        self._reach = reach
        self._proxy = reach.through
        self._scheme = address.scheme.encode("ascii")
        self._host = address.host.encode("idna")
        self._port = address.port
        # Loading the certificates of the authorities takes some time.
        self._tls = tls_context(reach) if address.scheme == "https" else None
        host = b"[%b]" % self._host if b":" in self._host else self._host
        self._headers = [
            (b"Host", host if self._port is None else b"%b:%d" % (host, self._port)),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", b"identity"),
            (b"Content-Type", b"application/json"),
            (b"User-Agent", b"vecload/" + __version__.encode("ascii")),
            *([(b"X-API-Key", api_key.encode("ascii"))] if api_key else []),
        ]
        self._closed = False
        self._pools = {os.getpid(): self._new_pool()}
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_SILENCE)

    def __repr__(self) -> str:
        return f"Connections({self._location!r})"

    def request(self, method: str, path: str, body: Body | None, *, limit: int, seconds: float) -> Answer:
        """Send one request and read its answer, of any status.

        Args:
            method: HTTP method.
            path: Path and query, below the service's prefix.
            body: JSON.
            limit: Bytes of the answer at most.
            seconds: How long all of it may take.

        Raises:
            ConnectionClosed: `close` was called.
            Unreachable: No connection, or no whole answer in time.
            NotTrusted: The service's certificate is not trusted.
            ClientRefused: The service refuses the client certificate, or a proxy its user.
            NotAcknowledged: The answer is compressed, or larger than the limit.
        """
        if self._closed:
            raise ConnectionClosed(self._location)
        deadline = Deadline(seconds)
        target = f"{self._prefix}{path}".encode("ascii")
        url = httpcore.URL(scheme=self._scheme, host=self._host, port=self._port, target=target)
        # With its length in a header, the body goes out as it is and not in chunks.
        length = [(b"Content-Length", b"%d" % body.nbytes)] if body else []
        # Closed below: the answer may be part of a reference cycle, which would hold what was sent for long.
        content = iter(body) if body else None
        timeouts = {"connect": deadline, "read": deadline, "write": deadline, "pool": seconds}
        failed: TargetError
        try:
            with (
                _SILENCE,
                self._pool().stream(
                    method,
                    url,
                    headers=self._headers + length,
                    content=content,
                    extensions={"timeout": timeouts},
                ) as response,
            ):
                answer = _read(response, limit, deadline)
                if answer.status == 500:
                    # The service drops the connection after some of these, and does not say so.
                    response.extensions["network_stream"].close()
            if (refused := self._refused(answer)) is None:
                return answer
            failed = refused
        except httpcore.ConnectTimeout as error:
            failed = self._unreachable(error, connected=deadline.connected)
        except httpcore.TimeoutException:
            failed = Unreachable(f"{self._location} gave no answer in {seconds:g} s")
        except httpcore.ProxyError as error:
            failed = self._proxy_fault(int(str(error).partition(" ")[0]))
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            failed = self._unreachable(error, connected=deadline.connected)
        finally:
            if content is not None:
                content.close()
        # Raised outside of `except`, it has no context: the text of the caught error may repeat the request.
        try:
            raise failed
        finally:
            del failed  # otherwise it forms a cycle with this frame, which holds the body

    def close(self) -> None:
        """Close the connections of this process; later requests raise ConnectionClosed."""
        self._closed = True
        if pool := self._pools.get(os.getpid()):
            pool.close()

    def _pool(self) -> httpcore.ConnectionPool:
        """The pool of this process."""
        pid = os.getpid()
        # If two threads make one at the same time, one wins. The parent's pool stays, so it is not freed.
        return self._pools.get(pid) or self._pools.setdefault(pid, self._new_pool())

    def _new_pool(self) -> httpcore.ConnectionPool:
        settings: dict[str, Any] = {
            "ssl_context": self._tls,
            "max_connections": CONNECTIONS,
            "keepalive_expiry": KEEPALIVE_SECONDS,
            "network_backend": _DeadlineBackend(),
        }
        if self._proxy is None:
            pool = httpcore.ConnectionPool(**settings)
        else:
            host = self._proxy.host.encode("idna")
            url = httpcore.URL(scheme=b"http", host=host, port=self._proxy.port, target=b"/")
            pool = httpcore.HTTPProxy(url, self._proxy.user, **settings)
        # Whoever drops an index without closing its connection leaves no open sockets. A forked child must
        # not close its parent's pool: a lock in it may be held for ever.
        weakref.finalize(self, _close, pool, os.getpid())
        return pool

    def _refused(self, answer: Answer) -> TargetError | None:
        """The error for an answer by somebody on the way to the service."""
        if answer.status == 407 and self._proxy is not None:
            return self._proxy_fault(407)
        return fault_of_nginx(answer.status, answer.body, self._location)

    def _proxy_fault(self, status: int) -> TargetError:
        """What to raise if the proxy opens no way to the service."""
        proxy = f"the proxy {self._proxy.location if self._proxy else ''}"
        if status == 407:
            wrong = "refuses the user and password" if self._proxy and self._proxy.user else "requires a user"
            return ClientRefused(
                f"{proxy} {wrong}",
                hint="set VECLOAD_PROXY=http://USER:PASSWORD@HOST:PORT",
            )
        if status in (401, 403, 405):
            return ClientRefused(
                f"{proxy} allows no connection to {self._location} ({status})",
                hint="ask who runs it, or omit --proxy",
            )
        return Unreachable(
            f"{proxy} has no connection to {self._location} ({status})",
            hint="check the address, and that the service is running",
        )

    def _unreachable(self, error: Exception, *, connected: bool) -> TargetError:
        faults = [cause for cause in _causes_of(error) if isinstance(cause, ssl.SSLError)]
        if faults and (lasting := tls_fault(faults[-1], self._location, self._reach)):
            return lasting
        missing, hint = self._location, "check the address, and that the service is running"
        is_connecting = isinstance(error, httpcore.ConnectError | httpcore.ConnectTimeout)
        if self._proxy and is_connecting and not connected:
            missing, hint = f"the proxy {self._proxy.location}", "check --proxy"
        unreachable = Unreachable(f"no connection to {missing} ({reason_of(error)})", hint=hint)
        unreachable.bad_address = bool(faults) or any(
            isinstance(cause, socket.gaierror) for cause in _causes_of(error)
        )
        return unreachable


def _close(pool: httpcore.ConnectionPool, pid: int) -> None:
    if os.getpid() == pid:
        pool.close()


def _read(response: httpcore.Response, limit: int, deadline: Deadline) -> Answer:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
    if "content-encoding" in headers:
        raise NotAcknowledged("the service sent a compressed answer, although the request rules that out")
    body = bytearray()
    for chunk in response.iter_stream():
        body += chunk
        if len(body) > limit:
            raise NotAcknowledged(f"the service's answer is larger than {limit} bytes")
    return Answer(response.status, headers, bytes(body), *deadline.spent())


class Deadline:
    """The time of one request. httpcore passes it, as the request's timeout, to every read and write.

    Args:
        seconds: How long the request may take.
        clock: Monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = self._written = clock()
        self._end = self._begun + seconds
        self.connected = False
        """Whether a connection was opened for the request."""

    def left(self) -> float:
        """Seconds that are left.

        Raises:
            httpcore.ReadTimeout: None are left.
        """
        left = self._end - self._clock()
        if left <= 0:
            raise httpcore.ReadTimeout("the request's time is over")
        return left

    def wrote(self) -> None:
        """Note that a part of the request was written."""
        self._written = self._clock()

    def spent(self) -> tuple[float, float]:
        """Seconds until the request was written, and from then until now."""
        return self._written - self._begun, self._clock() - self._written


class _DeadlineBackend(httpcore.SyncBackend):
    """Opens sockets whose timeouts are a Deadline."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: Any = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        seconds = min(timeout.left(), CONNECT_SECONDS)
        stream = _DeadlineStream(super().connect_tcp(host, port, seconds, local_address, socket_options))
        timeout.connected = True
        return stream


class _DeadlineStream(httpcore.NetworkStream):
    """A socket whose timeouts are a Deadline."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: Any = None) -> bytes:
        return self._inner.read(max_bytes, timeout.left())

    def write(self, buffer: bytes, timeout: Any = None) -> None:
        # A view: slices of megabytes would copy them, and the rest again after each partial write.
        view = memoryview(buffer)
        for start in range(0, len(view), _WRITE_BYTES):
            self._inner.write(view[start : start + _WRITE_BYTES], timeout.left())  # type: ignore[arg-type] # as bytes
        timeout.wrote()

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: Any = None
    ) -> httpcore.NetworkStream:
        return _DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, timeout.left()))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Silence(logging.Filter):
    """Keeps httpcore from logging our requests: at DEBUG it writes headers of answers, and its errors."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self._thread, "depth", 0)

    def __enter__(self) -> None:
        self._thread.depth = getattr(self._thread, "depth", 0) + 1

    def __exit__(self, *_: object) -> None:
        self._thread.depth -= 1


# A logger belongs to the whole process, and so does its filter.
_SILENCE = _Silence()
_LOGGERS = ("httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks")


def reason_of(error: Exception) -> str:
    """Why a connection failed, in a few words of ours.

    The text of a protocol error is never repeated: it holds what the other side sent, which may be what this
    side sent before.
    """
    for cause in _causes_of(error):
        if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return "it ended the TLS connection"
        if isinstance(cause, ssl.SSLError):
            code = getattr(cause, "reason", None) or ""
            return f"TLS failed: {code}" if _CODE.fullmatch(code) else "TLS failed"
        if isinstance(cause, socket.gaierror):
            return "no such host" if cause.errno != socket.EAI_AGAIN else "its name can't be looked up now"
        if isinstance(cause, httpcore.ConnectTimeout):
            return "timed out while connecting"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno).lower()
    if isinstance(error, httpcore.RemoteProtocolError):
        known = (why for text, why in _PROTOCOL if str(error).startswith(text))
        return next(known, "its answer is not HTTP")
    if isinstance(error, httpcore.LocalProtocolError):
        return "the request is not HTTP"
    return "the connection broke"


_CODE = re.compile(r"[A-Z0-9_]{1,60}")
_PROTOCOL = (
    ("Server disconnected", "it closed the connection without an answer"),
    ("peer closed connection", "the answer was cut off"),
    ("peer unexpectedly closed", "the answer was cut off"),
    ("Received more data", "the answer is longer than it says"),
)
"""How errors of httpcore and h11 begin that repeat nothing, and what they mean."""


def _causes_of(error: BaseException) -> Iterator[BaseException]:
    """An error, and the errors that it was raised from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
