"""Key: the index key and the contents key of an index, the key file, and its place in the key store."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import select
import shlex
import stat
import subprocess
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vecload.errors import ItemTypeError, ItemValueError, KeyFileError
from vecload.sealing.envelope import key_id_of
from vecload.sealing.new_file import write_new

KEY_SIZE: Final = 32
KEY_FILE_MAX_BYTES: Final = 16 * 1024
KEY_COMMAND_SECONDS: Final = 30.0


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

    __slots__ = ("contents_key", "derived", "index_key", "old_contents_keys")

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

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Key:
        """Read a key file.

        Raises:
            KeyFileError: It is missing, malformed, too large, readable by others, or another user's link.
        """
        return cls._parse(_read_private(Path(path)), str(path))

    @classmethod
    def from_command(cls, command: str, *, seconds: float = KEY_COMMAND_SECONDS) -> Key:
        """Run a command that prints a key file to standard output.

        Args:
            command: Program and arguments, split like in a shell. No shell runs it.
            seconds: How long it may take.

        Raises:
            KeyFileError: It can't be run, fails, takes too long, or does not print a key file.
        """
        try:
            argv = shlex.split(command)
            program = argv[0]
            code, output = _run(argv, seconds)
        except (OSError, ValueError, IndexError) as error:
            # ValueError: an open quote, or a NUL.
            why = error.strerror if isinstance(error, OSError) else "it is not a command"
            program = command.split()[0] if command.split() else ""
            raise KeyFileError(f"the key command {program!r} can't be run: {why}") from None
        except subprocess.TimeoutExpired:
            raise KeyFileError(f"the key command {program!r} took over {seconds:g} s") from None
        if code != 0 and len(output) <= KEY_FILE_MAX_BYTES:
            raise KeyFileError(f"the key command {program!r} failed with exit code {code}")
        return cls._parse(output, f"the output of {program!r}")

    @classmethod
    def from_hex(cls, index_key: str, contents_key: str | None, *, where: str) -> Key:
        """A key from hex digits, as VECLOAD_INDEX_KEY and VECLOAD_CONTENTS_KEY contain them."""
        return cls._parse_fields(
            {"index_key": index_key, **({"contents_key": contents_key} if contents_key else {})}, where
        )

    @classmethod
    def _parse(cls, text: bytes, where: str) -> Key:
        if len(text) > KEY_FILE_MAX_BYTES:
            raise KeyFileError(
                f"{where} is larger than {KEY_FILE_MAX_BYTES // 1024} KiB, so it is not a key file"
            )
        try:
            fields = tomllib.loads(text.decode())
        except (ValueError, RecursionError):
            # ValueError: also a number with thousands of digits. Its message could quote the key.
            raise KeyFileError(
                f"{where} is not TOML", hint="create a key file with 'vecload keygen'"
            ) from None
        return cls._parse_fields(fields, where)

    @classmethod
    def _parse_fields(cls, fields: Mapping[str, object], where: str) -> Key:
        unknown = set(fields) - {"index_key", "contents_key", "old_contents_keys"}
        if unknown:
            # A long name may be a key in the wrong place.
            name = min(unknown)
            named = f" {name!r}" if len(name) <= 24 else ""
            raise KeyFileError(f"{where} contains an unknown entry{named}")
        if not {"index_key", "contents_key"} & set(fields):
            raise KeyFileError(f"{where} contains neither index_key nor contents_key")
        index_key, contents_key = (
            _hex_key(fields[name], name, where) if name in fields else None
            for name in ("index_key", "contents_key")
        )
        old = fields.get("old_contents_keys", [])
        if not isinstance(old, list):
            raise KeyFileError(f"old_contents_keys of {where} is not an array of tables")
        old_keys = tuple(
            _hex_key(
                entry.get("contents_key") if isinstance(entry, dict) else None, "an old contents_key", where
            )
            for entry in old
        )
        try:
            return cls(index_key, contents_key, old_keys)
        except ItemValueError as error:
            raise KeyFileError(f"{where}: {error}") from None

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

    def file_text(self) -> bytes:
        """The text of a key file for this key."""
        lines = [
            "# A vecload key file. Keep it, and keep it secret: contents sealed with a lost key are gone.",
            *([] if self.index_key is None else [f'index_key = "{self.index_key.hex()}"']),
            *([] if self.derived else [f'contents_key = "{self.contents_key.hex()}"']),
            *(f'\n[[old_contents_keys]]\ncontents_key = "{old.hex()}"' for old in self.old_contents_keys),
        ]
        return ("\n".join(lines) + "\n").encode("ascii")

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


def stored_key_path(config_home: Path, location: str, index_name: str) -> Path:
    """The key file of an index in the key store.

    Args:
        config_home: The user's configuration folder for vecload.
        location: The target's location, as the target spells it.
        index_name: The index, with any characters.

    Returns:
        A path that differs for the same name on another target.
    """
    digest = hashlib.sha256(f"{location}\0{index_name}".encode()).hexdigest()[:12]
    legible = re.sub(r"[^A-Za-z0-9._-]+", "_", index_name)[:64].strip("._") or "index"
    return config_home / "keys" / f"{legible}-{digest}.toml"


def _derive_contents_key(index_key: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_SIZE, salt=None, info=b"vecload/contents-key/v1").derive(
        index_key
    )


def _hex_key(value: object, name: str, where: str) -> bytes:
    try:
        if isinstance(value, str) and len(value) == 2 * KEY_SIZE:
            return bytes.fromhex(value)
    except ValueError:
        pass
    raise KeyFileError(f"{name} of {where} is not {2 * KEY_SIZE} hex digits")


def _run(argv: list[str], seconds: float) -> tuple[int, bytes]:
    """The exit code and output of a program. It is killed if it prints more than a key file has."""
    deadline = time.monotonic() + seconds
    output = b""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, bufsize=0) as process:  # noqa: S603 the user's own command
        assert process.stdout is not None  # noqa: S101 for the type checker
        try:
            while len(output) <= KEY_FILE_MAX_BYTES:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                    raise subprocess.TimeoutExpired(argv, seconds)
                chunk = process.stdout.read(KEY_FILE_MAX_BYTES + 1)
                if not chunk:
                    process.wait(max(0, deadline - time.monotonic()))
                    break
                output += chunk
        finally:
            process.kill()
    return process.returncode, output


def _read_private(path: Path) -> bytes:
    """The bytes of a file, if only its owner can read it."""
    try:
        link = path.lstat()
        if stat.S_ISLNK(link.st_mode) and link.st_uid not in (os.geteuid(), 0):
            raise KeyFileError(
                f"the key file {path} is a symbolic link that belongs to another user",
                hint="name the file itself",
            )
        # O_NONBLOCK: do not wait for the writer of a named pipe.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileError(f"the key file {path} is not a file")
            if status.st_mode & 0o077:
                raise KeyFileError(
                    f"the key file {path} can be read by others than its owner",
                    hint=f"run: chmod 600 {shlex.quote(str(path))}",
                )
            return file.read(KEY_FILE_MAX_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"the key file {path} can't be read: {error.strerror}") from None
