"""Addresses of services: which locations are one, and how it is spelled."""

from __future__ import annotations

import urllib.parse

import httpx

from vecload.errors import UsageError
from vecload.targets.misspelt import shown_address


def service_location(url: str) -> str:
    """The one spelling of a service's address: scheme, host and port in lower case, nothing after.

    Raises:
        UsageError: It is no such address, or holds a user name or password.
    """
    if "@" in url:
        raise UsageError("the service's address holds a password", hint="set VECLOAD_API_KEY instead")
    no_address = UsageError(
        f"{shown_address(url)!r} is not the address of a service", hint="it looks like http://host:8000"
    )
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")  # as the socket will
        _ = httpx.URL(url).host  # which is decoded when it is asked for
    except (ValueError, httpx.InvalidURL):
        raise no_address from None
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in parts.hostname:
        raise no_address
    if parts.path not in ("", "/", "/v1", "/v1/") or parts.query or parts.fragment:
        raise UsageError(
            f"{shown_address(url)!r} has a path or a query", hint="give the address alone: http://host:8000"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port is None else f":{port}")
