"""Key: the index key and the contents key of an index, the key file, and its place in the key store."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import secrets
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vecload.errors import ItemTypeError, ItemValueError, KeyFileError
from vecload.sealing.envelope import key_id_of
from vecload.sealing.key_text import (
    KEY_SIZE,
    KeyFields,
    MadeFor,
    made_for_line,
    parse_contents_key,
    parse_fields,
    parse_key,
)
from vecload.sealing.new_file import write_new
from vecload.sealing.private_input import COMMAND_SECONDS, command_output, read_private


class Key:
    """The keys of an index: its index key and its contents key.

    CyborgDB's protocol sends the index key to the service with every request. The contents key never leaves
    this process.

    Args:
        index_key: 32 bytes, the engine's key. None for an index whose index key the service has itself.
        contents_key: 32 bytes that seal contents. None derives it from the index key: then everyone who has
            the index key, such as the service, could open the contents.
        old_contents_keys: Keys that open contents but do not seal them.

    Raises:
        ItemTypeError: A key is not bytes.
        ItemValueError: There is neither of the first two; a key is not 32 bytes long; the index key or the
            contents key is all zeros; both are equal. Old keys may have any value, since contents that they
            sealed must open.
    """

    __slots__ = (
        *("bare", "contents_key", "derived", "index_key", "made_for", "old_contents_keys", "source"),
    )

    def __init__(
        self,
        index_key: bytes | None = None,
        contents_key: bytes | None = None,
        old_contents_keys: tuple[bytes, ...] = (),
    ) -> None:
        named = (("index key", index_key), ("contents key", contents_key))
        there = [(name, value) for name, value in named if value is not None]
        for name, value in (*there, *(("old contents key", old) for old in old_contents_keys)):
            if not isinstance(value, bytes | bytearray):
                raise ItemTypeError(f"the {name} is {type(value).__name__}, not bytes")
            if len(value) != KEY_SIZE:
                raise ItemValueError(f"the {name} is {len(value)} bytes long, not {KEY_SIZE}")
        for name, value in there:
            if not any(value):
                raise ItemValueError(f"the {name} is all zeros")
        if len({bytes(value) for _, value in there}) < len(there):
            # The service gets the index key with every request.
            raise ItemValueError("the contents key is the index key, so a service could open contents")
        self.index_key: Final = None if index_key is None else bytes(index_key)
        self.derived: Final = contents_key is None
        if contents_key is None:
            if self.index_key is None:
                raise ItemValueError("a key contains an index key, a contents key, or both")
            contents_key = _derive_contents_key(self.index_key)
        self.contents_key: Final = bytes(contents_key)
        self.old_contents_keys: Final = tuple(bytes(old) for old in old_contents_keys)
        self.source = ""
        """Where it was read, for people; "" if it was made here."""
        self.bare = ""
        """The form of an index key alone that was read, for people: `64 hex digits`. "" for TOML."""
        self.made_for: MadeFor | None = None
        """The index it was made with, if its file says so."""

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Key:
        """Read a key file: one of vecload, or an index key alone, as other tools write it.

        An index key alone is 32 bytes, 64 hex digits, or base64. The contents key is derived from it.

        Raises:
            KeyFileError: It is missing, malformed, too large, readable by others, or another user's link.
        """
        return cls._of(parse_key(read_private(Path(path), "key file"), str(path)), str(path))

    @classmethod
    def load_contents_key(cls, path: str | os.PathLike[str]) -> Key:
        """Read the contents keys of a key file, or a contents key alone.

        Returns:
            A key without an index key.

        Raises:
            KeyFileError: It can't be read, or has no contents key.
        """
        text = read_private(Path(path), "contents key file")
        return cls._of(parse_contents_key(text, str(path)), str(path))

    @classmethod
    def from_command(cls, command: str, *, seconds: float = COMMAND_SECONDS) -> Key:
        """Run a command that prints a key file to standard output.

        Args:
            command: Program and arguments, split like in a shell. No shell runs it.
            seconds: How long it may take.

        Raises:
            KeyFileError: It can't be run, fails, takes too long, or does not print a key file.
        """
        output, program = command_output(command, seconds=seconds)
        where = f"the output of {program!r}"
        return cls._of(parse_key(output, where), where)

    @classmethod
    def from_hex(cls, index_key: str | None, contents_key: str | None, *, where: str) -> Key:
        """A key from hex digits, as VECLOAD_INDEX_KEY and VECLOAD_CONTENTS_KEY contain them."""
        given = {"index_key": index_key, "contents_key": contents_key}
        return cls._of(parse_fields({name: text for name, text in given.items() if text}, where), where)

    @classmethod
    def _of(cls, fields: KeyFields, where: str) -> Key:
        try:
            key = cls(fields.index_key, fields.contents_key, fields.old_contents_keys)
        except ItemValueError as error:
            raise KeyFileError(f"{where}: {error}") from None
        key.source, key.bare, key.made_for = where, fields.bare, fields.made_for
        return key

    def with_contents_key(self, other: Key) -> Key:
        """This index key with the contents keys of another Key. Old contents keys of both open contents.

        Raises:
            KeyFileError: This key has another contents key of its own, or the index key is the contents key.
        """
        if not self.derived and self.contents_key != other.contents_key:
            mine, others = self.source or "the key", other.source or "the other key"
            raise KeyFileError(f"{mine} and {others} contain different contents keys", hint="name only one")
        old = dict.fromkeys((*other.old_contents_keys, *self.old_contents_keys))
        try:
            both = Key(self.index_key, other.contents_key, tuple(old))
        except ItemValueError as error:
            raise KeyFileError(f"{other.source}: {error}") from None
        both.source = f"{self.source} and {other.source}"
        both.made_for = self.made_for
        return both

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a new key file, readable only by its owner: all of it, or nothing.

        Raises:
            KeyFileError: The file exists, or can't be written.
        """
        try:
            write_new(Path(path), self.file_text())
        except FileExistsError:
            raise KeyFileError(
                f"{path} exists", hint="a key is never overwritten; choose another name, or move the file"
            ) from None
        except OSError as error:
            raise KeyFileError(f"the key file {path} can't be written: {error.strerror}") from None

    def index_key_for(self, name: str, key_from: str) -> bytes:
        """The index key, where it is needed.

        Args:
            name: The index that it is to open.
            key_from: Where this key is from, for people.

        Raises:
            KeyFileError: This is a contents key alone.
        """
        if self.index_key is None:
            raise KeyFileError(
                f"index {name!r} needs its index key, and {key_from} contains a contents key alone",
                hint="name a key file that contains the index key",
            )
        return self.index_key

    def derivation(self, key_from: str) -> str:
        """The sentence about a contents key that is derived; "" if there is a separate one.

        Args:
            key_from: Where this key is from, for people.
        """
        if not self.derived:
            return ""
        alone = f"{key_from} is an index key alone ({self.bare}): " if self.bare else ""
        who = "anyone with the index key can open contents"
        return f"{alone}the contents key is derived from the index key: {who}"

    def file_text(self) -> bytes:
        """The text of a key file for this key."""
        made_for = made_for_line(self.made_for) if self.made_for is not None else ""
        lines = [
            "# A vecload key file. Keep it, and keep it secret: contents sealed with a lost key are gone.",
            *([] if self.index_key is None else [f'index_key = "{self.index_key.hex()}"']),
            *([] if self.derived else [f'contents_key = "{self.contents_key.hex()}"']),
            *([made_for] if made_for else []),
            *(f'\n[[old_contents_keys]]\ncontents_key = "{old.hex()}"' for old in self.old_contents_keys),
        ]
        return ("\n".join(lines) + "\n").encode()

    @property
    def key_id(self) -> str:
        """The id of the contents key: 8 hex digits, which may be shown and logged."""
        return key_id_of(self.contents_key).hex()

    @property
    def opening_keys(self) -> tuple[bytes, ...]:
        """Every contents key that may open contents, the current one first."""
        return (self.contents_key, *self.old_contents_keys)

    def __repr__(self) -> str:
        return f"Key(key_id={self.key_id})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Key):
            return NotImplemented
        return (self.index_key, self.opening_keys) == (other.index_key, other.opening_keys)

    __hash__ = None  # type: ignore[assignment] # no sets of keys

    def __reduce__(self) -> NoReturn:
        # A pickle could bring a key into a cache, a queue or another process by mistake.
        raise TypeError("a Key can't be pickled; give the other process the key file")


def generate_key(*, contents_only: bool = False) -> Key:
    """A new random Key, with separate index key and contents key.

    Args:
        contents_only: Make the contents key alone, for an index whose index key the service has itself.
    """
    return Key(None if contents_only else secrets.token_bytes(KEY_SIZE), secrets.token_bytes(KEY_SIZE))


def as_key(key: Key | bytes) -> Key:
    """A Key from what the Python API accepts: a Key, or 32 bytes.

    Raises:
        ItemTypeError: It is neither.
        ItemValueError: The bytes have another length.
    """
    return key if isinstance(key, Key) else Key(key)


def stored_key_paths(config_home: Path, location: str, index_name: str) -> list[Path]:
    """The key file of an index in the key store, then those that earlier versions would have used.

    Earlier versions had a file for each spelling: `localhost`, `127.0.0.1`, with and without `:80`.

    Args:
        config_home: The user's configuration folder for vecload.
        location: The target's location, as the target spells it.
        index_name: The index, with any characters.

    Returns:
        Paths that differ for the same name on another target. The names of this machine are one target.
    """
    return [
        config_home / "keys" / f"{legible_name(index_name)}-{digest}.toml"
        for digest in (
            hashlib.sha256(f"{spelling}\0{index_name}".encode()).hexdigest()[:12]
            for spelling in _spellings(location)
        )
    ]


def legible_name(index_name: str) -> str:
    """The beginning of the names of an index's key files."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", index_name)[:64].strip("._") or "index"


def _spellings(location: str) -> list[str]:
    """The spellings of a target's location, the one for new files first. Of several services there is one."""
    several = re.split(r",(?=https?://)", location)
    if len(several) > 1:
        return [",".join(_spellings(one)[0] for one in several)]
    parts = urlsplit(location) if location.startswith(("http://", "https://")) else None
    if parts is None or parts.hostname is None:
        return [location]
    usual = {"http": 80, "https": 443}[parts.scheme]
    is_local = is_loopback(parts.hostname)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    hosts = ["localhost", "127.0.0.1", "[::1]", host] if is_local else [host]
    port = parts.port or usual
    ports = ["", f":{usual}"] if port == usual else [f":{port}"]
    return [
        *dict.fromkeys(f"{parts.scheme}://{host}{port}{parts.path}" for port in ports for host in hosts),
    ]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, `localhost`, 127.0.0.0/8 or ::1: what is sent to it never leaves it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".") == "localhost"


def _derive_contents_key(index_key: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_SIZE, salt=None, info=b"vecload/contents-key/v1").derive(
        index_key
    )
