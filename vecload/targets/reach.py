"""Reach: how a service is reached over the network, and what may be sent to it unencrypted."""

from __future__ import annotations

import os
import urllib.parse
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import unquote_to_bytes

from vecload.errors import ItemTypeError, UsageError
from vecload.places import expanded
from vecload.sealing.keys import is_loopback
from vecload.targets.location import ServiceAddress, is_host


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        host: Its host; an IPv6 address without brackets.
        port: Its port; None for 80.
        user: The user and the password for it, neither of which is shown.
    """

    host: str
    port: int | None
    user: tuple[bytes, bytes] | None = field(default=None, repr=False)

    @property
    def location(self) -> str:
        """Its address, which messages may show."""
        return ServiceAddress("http", self.host, self.port).location


@dataclass(frozen=True, slots=True)
class Reach:
    """How a service is reached. None of it is for an embedded store.

    Attributes:
        ca_file: PEM file of the authorities to trust; None means those of the system.
        client_cert: PEM file of the certificate that this client shows.
        client_key: PEM file of its private key; None if `client_cert` has it.
        proxy: `http://HOST:PORT`, perhaps with a user and password, which are not shown.
        insecure_http: Send keys unencrypted over the network, to a service without TLS.

    Raises:
        UsageError: A value is empty or impossible.
        TypeError: A value has another type.
    """

    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    proxy: str | None = field(default=None, repr=False)
    insecure_http: bool = False

    def __post_init__(self) -> None:
        for one in fields(self):
            if one.name == "insecure_http":
                continue
            value, flag = getattr(self, one.name), f"--{one.name.replace('_', '-')}"
            if value is None:
                continue
            if not isinstance(value, str if one.name == "proxy" else (str, os.PathLike)):
                raise ItemTypeError(f"{flag} is {type(value).__name__}, not text")
            if not os.fspath(value).strip():
                raise UsageError(f"{flag} is empty", hint="omit it for its default")
            if one.name != "proxy":
                object.__setattr__(self, one.name, Path(expanded(os.fspath(value))))
        if not isinstance(self.insecure_http, bool):
            raise ItemTypeError(
                f"insecure_http is {type(self.insecure_http).__name__}, neither True nor False"
            )
        if self.client_key is not None and self.client_cert is None:
            raise UsageError("--client-key is set without --client-cert", hint="name the certificate too")
        _ = self.through  # refuses what is not a proxy

    @property
    def through(self) -> Proxy | None:
        """The proxy.

        Raises:
            UsageError: It is not the address of one.
        """
        return None if self.proxy is None else _proxy_of(self.proxy)

    def check_private(self, address: ServiceAddress) -> None:
        """Refuse to send keys unencrypted to another machine, unless the user said so.

        Raises:
            UsageError: They would be.
        """
        proxy = self.through
        if address.scheme == "https" or self.insecure_http:
            return
        if not is_loopback(address.host):
            where = address.location
        elif proxy is not None and not is_loopback(proxy.host):
            where = f"the proxy {proxy.location}"
        else:
            return
        raise UsageError(
            f"keys would travel unencrypted to {where}",
            hint="use https; or allow it with --insecure-http, if nobody else can read that network",
        )


REACH_FIELDS = tuple(one.name for one in fields(Reach))
"""Their names are those of the options of the command line and of Python's arguments."""


def _proxy_of(url: str) -> Proxy:
    """The proxy that a URL names. No error repeats the URL, which may hold a password.

    Raises:
        UsageError: It is not the URL of an HTTP proxy.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port, host = parts.port, parts.hostname or ""
        usable = is_host(host) and parts.path in ("", "/") and not parts.query and not parts.fragment
    except ValueError:
        usable = False
    if not usable or parts.scheme != "http":
        raise UsageError(
            "--proxy is not the URL of an HTTP proxy",
            hint="write http://HOST:PORT; in a user or password write @ as %40, / as %2F, # as %23",
        )
    user = None
    if parts.username is not None:
        user = unquote_to_bytes(parts.username), unquote_to_bytes(parts.password or "")
    return Proxy(host, port, user)
