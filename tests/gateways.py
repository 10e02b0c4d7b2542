"""What stands between a client and the real service: TLS, a path prefix, a proxy. Each on loopback."""

from __future__ import annotations

import base64
import re
import socket
import ssl
import threading
from contextlib import suppress
from urllib.parse import urlsplit

from tests.certificates import Identity
from tests.servers import Listener

CONNECTION_SECONDS = 60


def port_of(url: str) -> int:
    """The port in an address."""
    port = urlsplit(url).port
    assert port
    return port


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what comes from one side until it ends."""
    with suppress(OSError, ValueError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def join(first: socket.socket, second: socket.socket) -> None:
    """Let two connections talk until one of them ends."""
    back = threading.Thread(target=pump, args=(second, first), daemon=True)
    back.start()
    pump(first, second)
    back.join(CONNECTION_SECONDS)


class TlsGateway(Listener):
    """Speaks TLS to clients, and passes the bytes on to a service without.

    Args:
        upstream: The service.
        identity: The certificate to show.
        clients: PEM file of the authority that must have signed clients' certificates; None wants none.
        newest: The newest version of TLS.
    """

    def __init__(
        self,
        upstream: str,
        identity: Identity,
        *,
        clients: str | None = None,
        newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> None:
        super().__init__()
        self.url = self.url.replace("http:", "https:")
        self._upstream = port_of(upstream)
        self._clients = clients
        self._newest = newest
        self.handshakes = 0
        """How many were begun."""
        self._connections: list[socket.socket] = []
        self.show(identity)

    def show(self, identity: Identity) -> None:
        """Show this certificate from now on, and end all connections."""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(identity.cert, identity.key)
        self._context.maximum_version = self._newest
        if self._clients is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(self._clients)
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def serve(self, connection: socket.socket) -> None:
        connection.settimeout(CONNECTION_SECONDS)
        self.handshakes += 1
        with (
            suppress(OSError),
            connection,
            self._context.wrap_socket(connection, server_side=True) as secured,
            socket.create_connection((self.host, self._upstream)) as upstream,
        ):
            self._connections += [secured, upstream]
            join(secured, upstream)


class PrefixGateway(Listener):
    """Takes a prefix off the paths of requests, and answers 404 to those without, as a reverse proxy does.

    Args:
        upstream: The service.
        prefix: `/cyborgdb`.
    """

    def __init__(self, upstream: str, prefix: str) -> None:
        super().__init__()
        self._upstream = port_of(upstream)
        self._prefix = prefix
        self.paths: list[str] = []

    def serve(self, connection: socket.socket) -> None:
        connection.settimeout(CONNECTION_SECONDS)
        with suppress(OSError), connection:
            # One request a connection is enough here.
            head, rest = read_head(connection)
            path = head.split(b" ")[1].decode()
            self.paths.append(path)
            if not path.startswith(f"{self._prefix}/"):
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nNot Found")
                return
            head = head.replace(path.encode(), path.removeprefix(self._prefix).encode(), 1)
            head = re.sub(rb"\r\n\r\n$", b"\r\nConnection: close\r\n\r\n", head)
            with socket.create_connection((self.host, self._upstream)) as upstream:
                upstream.sendall(head + rest)
                join(connection, upstream)


class HttpProxy(Listener):
    """A forward proxy: CONNECT for https, whole URLs for http.

    Args:
        user: `user:password` that it asks for; None lets anyone through.
        allowed: Whether it opens any way at all.
    """

    def __init__(self, user: str | None = None, *, allowed: bool = True) -> None:
        super().__init__()
        self._wanted = user and f"basic {base64.b64encode(user.encode()).decode()}"
        self._allowed = allowed
        self.heads: list[bytes] = []
        """The heads of requests to the proxy itself."""

    def serve(self, connection: socket.socket) -> None:
        connection.settimeout(CONNECTION_SECONDS)
        with suppress(OSError), connection:
            head, rest = read_head(connection)
            self.heads.append(head)
            if (status := self._status(head)) != b"200 Connection established":
                answer = b"HTTP/1.1 %b\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n" % status
                connection.sendall(answer + b"Connection: close\r\n\r\n")
                return
            method, target, _ = head.split(b" ", 2)
            place = target if method == b"CONNECT" else target.split(b"/")[2]
            port = int(place.rpartition(b":")[2])
            try:
                upstream = socket.create_connection((self.host, port))
            except OSError:
                connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            with upstream:
                if method == b"CONNECT":
                    connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    path = b"/" + target.split(b"/", 3)[3]
                    head = head.replace(target, path, 1)
                    head = re.sub(rb"\r\n\r\n$", b"\r\nConnection: close\r\n\r\n", head)
                    upstream.sendall(head + rest)
                join(connection, upstream)

    def _status(self, head: bytes) -> bytes:
        found = re.search(rb"(?i)\r\nproxy-authorization: ([^\r]+)\r\n", head)
        if self._wanted and (found is None or found[1].decode().lower() != self._wanted.lower()):
            return b"407 Proxy Authentication Required"
        return b"200 Connection established" if self._allowed else b"403 Forbidden"


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head of a request, and what came with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        if not received:
            raise ConnectionAbortedError
        data += received
    head, end, rest = data.partition(b"\r\n\r\n")
    return head + end, rest
