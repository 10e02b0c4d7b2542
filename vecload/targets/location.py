"""Locations: which are a service's address, which the folder of an embedded store, and which are misspelt.

A location may hold a user, a password or a token: no error repeats those parts.
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import os
import re
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from vecload.errors import TargetError, UsageError

_BROKEN_URL = re.compile(r"https?(:|//)|[A-Za-z][A-Za-z0-9+.-]+:/", re.IGNORECASE)
_PORT = r":\d{1,5}"
_NAME = r"[A-Za-z0-9-]+"
_NUMBERS = r"\d{1,3}(?:\.\d{1,3}){3}"
_HOST_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_HOST = re.compile(
    # With a port anything is a host; without one: localhost, IP addresses, dotted names that end in letters.
    rf"(?:[\w.\-]*{_PORT}|\[[0-9A-Fa-f:.]+\](?:{_PORT})?|[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*"
    rf"|(?:localhost|{_NUMBERS}|{_NAME}(?:\.{_NAME})*\.[A-Za-z]{{2,}})\.?)",
    re.IGNORECASE,
)


def check_folder_name(name: str, *, bare: bool = True) -> None:
    """Refuse the name of a folder that looks like a service's address.

    Args:
        name: The location: no URL, since it has no `://`.
        bare: It may be a bare host. Not if the caller says that it is a path.

    Raises:
        UsageError: It looks like a host, or like a URL that is misspelt, and is not a folder that is there.
    """
    hint = "write http://HOST:PORT for a service, ./NAME for a folder"
    if _BROKEN_URL.match(name):
        raise UsageError(f"{redacted_address(name)!r} is not a URL", hint=hint)
    if not bare or os.path.isdir(os.path.expanduser(name)):  # noqa: PTH111, PTH112 a text, as it was given
        return
    first, _, rest = name.rpartition("@")[2].partition("/")
    if rest not in ("", "v1", "v1/") and not re.search(f"{_PORT}$", first):
        return
    if _HOST.fullmatch(first):
        raise UsageError(f"{redacted_address(name)!r} looks like a service's address", hint=hint)


def redacted_url(url: str) -> str:
    """An address as errors may repeat it: without query and fragment; with a user in it, its scheme alone."""
    if "@" in url:
        # A password may hold every character that ends it elsewhere.
        scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:?/{1,2}", url)
        return f"{scheme[0] if scheme else ''}…"
    return url.partition("?")[0].partition("#")[0]


def redacted_address(url: str) -> str:
    """A service's address as errors may repeat it: as `shown`, and without a path, which may hold a token.

    The path `/v1`, which every service has, stays.
    """
    told = redacted_url(url)
    host = re.match(r"(?:https?(?=//)|[A-Za-z][A-Za-z0-9+.-]*:)?/*[^/]*", told, re.IGNORECASE)
    kept = host[0] if host else ""
    return told if told[len(kept) :] in ("", "/", "/v1", "/v1/") else f"{kept}/…"


def service_location(url: str) -> str:
    """The one spelling of a service's address: scheme, host and port in lower case, nothing after.

    Raises:
        UsageError: It is no such address, or holds a user name or password.
    """
    if "@" in url:
        raise UsageError("the service's address holds a password", hint="set VECLOAD_API_KEY instead")
    no_address = UsageError(
        f"{redacted_address(url)!r} is not the address of a service", hint="it looks like http://host:8000"
    )
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        usable = parts.scheme in ("http", "https") and _is_host(parts.hostname or "")
    except ValueError:
        usable = False
    if not usable:
        raise no_address
    if parts.path not in ("", "/", "/v1", "/v1/") or parts.query or parts.fragment:
        raise UsageError(
            f"{redacted_address(url)!r} has a path or a query",
            hint="give the address alone: http://host:8000",
        )
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port is None else f":{port}")


def _is_host(name: str) -> bool:
    """Whether a name is one that a socket can look up.

    Raises:
        ValueError: It is not, either.
    """
    if ":" in name or re.fullmatch(_NUMBERS, name):
        ipaddress.ip_address(name)
        return True
    ascii_name = name.encode("idna")
    # The encoding takes one character for another in some names (ß for ss): these would reach another host.
    same = ascii_name.decode("idna") == name or name.isascii()
    return same and _HOST_NAME.fullmatch(ascii_name.decode("ascii")) is not None


def expand_home(folder: Path) -> Path:
    """A folder with `~` and `~name` at its start as the home that they stand for.

    Raises:
        UsageError: There is no such user, or this one has no home folder.
    """
    try:
        return folder.expanduser()
    except RuntimeError:
        raise UsageError(
            f"{str(folder)!r} stands below the home folder of nobody", hint="write ./NAME, or the whole path"
        ) from None


@contextmanager
def exclusive(folder: str) -> Iterator[None]:
    """Keep others that ask for the same out of a folder, where its file system can lock."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_half_made(folder: str, name: str) -> bool:
    """Whether a kill left the index without its settings.

    The engine writes three files of an index below `_catalog/config`, one after the other: its wrapped key,
    its entry in the list of indexes, its settings. A kill before the last leaves an index that is listed,
    holds nothing, opens with no key, and can neither be deleted nor created again by the engine's own means.
    """
    key, entry, settings = _files(folder, name)
    return key.exists() and entry.exists() and not settings.exists()


def unlist_half_made(folder: str, name: str) -> None:
    """Take an index that is half made off the list, so that the engine makes it anew.

    Args:
        folder: The store's; the caller is alone in it.
        name: An index that `is_half_made`.
    """
    _files(folder, name)[1].unlink()


def _files(folder: str, name: str) -> tuple[Path, Path, Path]:
    base = Path(folder) / "_catalog" / "config" / quote(name, safe="")
    key, entry, settings = (base.with_name(f"{base.name}.{part}.cat") for part in ("dek", "cei", "cvs"))
    return key, entry, settings


def check_can_make(folder: Path) -> None:
    """See whether a folder could be made, as far as permissions say. Nothing is made.

    Raises:
        TargetError: It could not.
    """
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir():
        raise cannot_make(folder, os.strerror(errno.ENOTDIR))
    if not os.access(there, os.W_OK | os.X_OK):
        raise cannot_make(folder, os.strerror(errno.EACCES))


def cannot_make(folder: Path, why: str) -> TargetError:
    """What to raise for a store that can't be made."""
    return TargetError(f"the store {folder} can't be made: {why}", hint="give --to FOLDER another folder")
