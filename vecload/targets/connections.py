"""The HTTP connections to a service, of each process its own."""

from __future__ import annotations

import os
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import NamedTuple

import httpx

from vecload._version import __version__
from vecload.targets.transport import DeadlineTransport

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
