"""Locations of targets: the address of a service, or the folder of an embedded store. Refuses misspelt ones.

A location may contain a user, a password or a token: no error repeats these.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import ipaddress
import os
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from vecload.errors import TargetError, UsageError
from vecload.places import expanded

_BROKEN_URL = re.compile(r"https?(:|//)|[A-Za-z][A-Za-z0-9+.-]+:/", re.IGNORECASE)
_PORT = r":\d{1,5}"
_NAME = r"[A-Za-z0-9-]+"
_NUMBERS = r"\d{1,3}(?:\.\d{1,3}){3}"
_HOST_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_HOST = re.compile(
    # With a port, any name is a host. Without one: localhost, IP addresses, dotted names that end in letters.
    rf"(?:[\w.\-]*{_PORT}|\[[0-9A-Fa-f:.]+\](?:{_PORT})?|[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*"
    rf"|(?:localhost|{_NUMBERS}|{_NAME}(?:\.{_NAME})*\.[A-Za-z]{{2,}})\.?)",
    re.IGNORECASE,
)


def check_folder_name(name: str, *, bare: bool = True) -> None:
    """Refuse the name of a folder if it looks like the address of a service.

    Args:
        name: The location, which has no `://`.
        bare: It may be a bare host. False if the caller knows that it is a path.

    Raises:
        UsageError: It looks like a host and is not an existing folder, or it looks like a misspelt URL.
    """
    hint = "write http://HOST:PORT for a service, ./NAME for a folder"
    if _BROKEN_URL.match(name):
        raise UsageError(f"{redacted_address(name)!r} is not a URL", hint=hint)
    if not bare or os.path.isdir(os.path.expanduser(name)):  # noqa: PTH111, PTH112 the text as the user wrote it
        return
    first, _, rest = name.rpartition("@")[2].partition("/")
    if rest not in ("", "v1", "v1/") and not re.search(f"{_PORT}$", first):
        return
    if _HOST.fullmatch(first):
        raise UsageError(f"{redacted_address(name)!r} looks like the address of a service", hint=hint)


def redacted_url(url: str) -> str:
    """A URL that errors may show: without query and fragment, and only the scheme if it names a user."""
    if "@" in url:
        # A password may contain any character that usually ends it.
        scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:?/{1,2}", url)
        return f"{scheme[0] if scheme else ''}…"
    return url.partition("?")[0].partition("#")[0]


def shard_list(location: str) -> list[str]:
    """The addresses in a location: of one service, or of several with commas between."""
    return re.split(r",(?=[A-Za-z][A-Za-z0-9+.-]*://)", location)


def shards_location(shards: str | Sequence[str]) -> str:
    """The location of several services.

    Args:
        shards: Their addresses, in order, or a text with commas between them.

    Raises:
        UsageError: One is no address of a service, or one is named twice.
    """
    given = shards.split(",") if isinstance(shards, str) else [*shards]
    addresses = [one.strip() if isinstance(one, str) else "" for one in given]
    locations = [service_address(one).location for one in addresses]
    twice = next((one for at, one in enumerate(locations) if one in locations[:at]), None)
    if twice is not None or not locations:
        raise UsageError(
            "--shards names no service" if twice is None else f"--shards names {twice} twice",
            hint="name each service once: --shards http://one:8000,http://two:8000",
        )
    return ",".join(addresses)


def redacted_address(url: str) -> str:
    """A service's address that errors may show: as `redacted_url`, and without a path, which may be a token.

    The path `/v1`, which every service has, stays. Of several addresses, all are shown.
    """
    if len(several := shard_list(url)) > 1:
        return ",".join(map(redacted_address, several))
    url = redacted_url(url)
    host = re.match(r"(?:https?(?=//)|[A-Za-z][A-Za-z0-9+.-]*:)?/*[^/]*", url, re.IGNORECASE)
    kept = host[0] if host else ""
    return url if url[len(kept) :] in ("", "/", "/v1", "/v1/") else f"{kept}/…"


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """The address of a service.

    Attributes:
        scheme: `http` or `https`.
        host: In lower case; an IPv6 address without brackets.
        port: None for the scheme's own.
        prefix: The path under which the service answers, `/cyborgdb`; "" for none. It may be a token, so no
            message shows it.
    """

    scheme: str
    host: str
    port: int | None
    prefix: str = field(default="", repr=False)

    @property
    def location(self) -> str:
        """Its only spelling, which messages may show. Two prefixes of one host differ in their digests."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        origin = f"{self.scheme}://{host}" + ("" if self.port is None else f":{self.port}")
        if not self.prefix:
            return origin
        return f"{origin}/…{hashlib.sha256(f'{origin}{self.prefix}'.encode()).hexdigest()[:12]}"


def service_address(url: str) -> ServiceAddress:
    """The address of a service in its parts. The path `/v1`, which every service has, is not a prefix.

    Raises:
        UsageError: It is not such an address, or it contains a user name or password.
    """
    if "@" in url:
        raise UsageError("the service's address contains a password", hint="set VECLOAD_API_KEY instead")
    no_address = UsageError(
        f"{redacted_address(url)!r} is not the address of a service", hint="write it like http://host:8000"
    )
    url = url.strip()
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
        # urlsplit drops tabs and line ends.
        usable = url.isprintable() and parts.scheme in ("http", "https") and is_host(parts.hostname or "")
    except ValueError:
        usable = False
    if not usable:
        raise no_address
    if "?" in url or "#" in url:
        raise UsageError(
            f"{redacted_address(url)!r} has a query", hint="give only the address: http://host:8000"
        )
    prefix = parts.path.removesuffix("/").removesuffix("/v1")
    if prefix and not _is_prefix(prefix):
        raise UsageError(
            f"the path of {redacted_address(url)!r} can't be the path of a service",
            hint="it may have no empty part, no '.' and '..', and only characters of URLs",
        )
    return ServiceAddress(parts.scheme, parts.hostname or "", port, prefix)


_PREFIX = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})+)+")


def _is_prefix(path: str) -> bool:
    """Whether a path is spelt in one way only: a proxy would resolve dots and empty parts."""
    return _PREFIX.fullmatch(path) is not None and not {".", ".."} & {*map(unquote, path.split("/"))}


def is_host(name: str) -> bool:
    """Whether a name can be a host.

    Raises:
        ValueError: It can't.
    """
    if ":" in name or re.fullmatch(_NUMBERS, name):
        ipaddress.ip_address(name)
        return True
    ascii_name = name.encode("idna")
    # The encoding replaces some characters (ß by ss), so that the name would reach another host.
    same = ascii_name.decode("idna") == name or name.isascii()
    return same and _HOST_NAME.fullmatch(ascii_name.decode("ascii")) is not None


def expand_home(folder: Path) -> Path:
    """A folder, with `~` or `~name` at its start replaced by the home folder.

    Raises:
        UsageError: There is no such user, or the user has no home folder.
    """
    return Path(expanded(str(folder)))


@contextmanager
def exclusive(folder: str) -> Iterator[None]:
    """Hold a lock on a folder, if its file system can lock. Other callers wait for it."""
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
    """Remove an incomplete index from the list, so that the engine can create it again.

    Args:
        folder: The store's folder; the caller holds its lock.
        name: An index that `is_half_made`.
    """
    _files(folder, name)[1].unlink()


def _files(folder: str, name: str) -> tuple[Path, Path, Path]:
    base = Path(folder) / "_catalog" / "config" / quote(name, safe="")
    key, entry, settings = (base.with_name(f"{base.name}.{part}.cat") for part in ("dek", "cei", "cvs"))
    return key, entry, settings


def check_can_make(folder: Path) -> None:
    """See whether a folder could be created, as far as permissions say. Nothing is created.

    Raises:
        TargetError: It could not.
    """
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir():
        raise cannot_make(folder, os.strerror(errno.EEXIST if there == folder else errno.ENOTDIR))
    if not os.access(there, os.W_OK | os.X_OK):
        raise cannot_make(folder, os.strerror(errno.EACCES))


def cannot_make(folder: Path, why: str) -> TargetError:
    """What to raise for a store that can't be created."""
    return TargetError(f"the store {folder} can't be created: {why}", hint="name another folder with --to")
