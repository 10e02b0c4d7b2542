"""A loopback proxy before the real service, which a test lets do whatever networks and services do."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from tests.servers import Listener

CONNECTION_SECONDS = 60


class Exchange:
    """One request that came in. Until `body` is asked for, only its head was read.

    Attributes:
        number: Of this upsert among all that came, from 0.
    """

    def __init__(
        self,
        proxy: Proxy,
        connection: socket.socket,
        stream: BinaryIO,
        method: str,
        path: str,
        length: int,
        number: int,
    ) -> None:
        self.number = number
        self.path = path
        self.length = length
        self.closed = False
        self._proxy = proxy
        self._connection = connection
        self._stream = stream
        self._method = method
        self._body: bytes | None = None

    @property
    def port(self) -> int:
        """The client's port."""
        port: int = self._connection.getpeername()[1]
        return port

    @property
    def body(self) -> bytes:
        if self._body is None:
            self._body = self._stream.read(self.length)
        return self._body

    def replace(self, body: bytes) -> None:
        """Let the service have another body than the one that came."""
        _ = self.body
        self._body = body

    def read_part(self) -> None:
        """Read half of the body."""
        self._stream.read(self.length // 2)

    @property
    def ids(self) -> list[str]:
        """The ids of the items of this upsert."""
        body: dict[str, Any] = json.loads(self.body)
        ids: list[str] = body["batch"]["ids"] if "batch" in body else [item["id"] for item in body["items"]]
        return ids

    def forward(self) -> bytes:
        """Let the service have the request; its whole answer, head and body."""
        upstream = http.client.HTTPConnection(self._proxy.host, self._proxy.upstream_port, timeout=60)
        try:
            upstream.request(self._method, self.path, self.body, {"Content-Type": "application/json"})
            answer = upstream.getresponse()
            return answer_of(answer.status, answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionAbortedError("the service is gone") from error
        finally:
            upstream.close()

    def send(self, answer: bytes) -> None:
        """Answer the client."""
        _ = self.body  # a client that is still writing would see a reset
        self._connection.sendall(answer)

    def pass_on(self) -> None:
        """Do as if there were no proxy."""
        self.send(self.forward())

    def close(self) -> None:
        """Close the connection in good order."""
        self.closed = True
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Break the connection: the client sees it reset."""
        self.closed = True
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._stream.close()
        self._connection.close()


Behaviour = Callable[[Exchange], None]


def answer_of(status: int, body: bytes, *headers: str) -> bytes:
    """An HTTP answer."""
    head = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


class Proxy(Listener):
    """Hands every upsert to a behaviour, and passes all else on unless `behave_otherwise` says otherwise.

    Args:
        upstream: The service's address.
        behave: What to do with an upsert; called from several threads.
    """

    def __init__(self, upstream: str, behave: Behaviour = Exchange.pass_on) -> None:
        super().__init__()
        port = urlsplit(upstream).port
        assert port
        self.upstream_port = port
        self.behave = behave
        self.behave_otherwise: Behaviour = Exchange.pass_on
        self.upserts = 0
        self.others: list[str] = []
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()

    def serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)
        connection.settimeout(CONNECTION_SECONDS)
        with suppress(OSError, ValueError), connection, connection.makefile("rb") as stream:
            while exchange := self._next(connection, stream):
                (self.behave if exchange.number >= 0 else self.behave_otherwise)(exchange)
                if exchange.closed:
                    break
        with self._lock:
            self._connections.discard(connection)

    def _next(self, connection: socket.socket, stream: BinaryIO) -> Exchange | None:
        request = stream.readline().split()
        if len(request) != 3:
            return None
        length = 0
        while (line := stream.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        method, path = request[0].decode(), request[1].decode()
        number = -1
        with self._lock:
            if path.startswith("/v1/vectors/upsert"):
                number = self.upserts
                self.upserts += 1
            else:
                self.others.append(path)
        return Exchange(self, connection, stream, method, path, length, number)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
