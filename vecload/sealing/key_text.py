"""The text of a key file: vecload's own TOML, or a key alone, as other tools write it."""

from __future__ import annotations

import base64
import binascii
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vecload.errors import KeyFileError
from vecload.sealing.private_input import INPUT_MAX_BYTES

KEY_SIZE: Final = 32
_ENTRIES: Final = frozenset({"index_key", "contents_key", "old_contents_keys", "made_for"})
_FORMS: Final = (
    "a key file is TOML, as 'vecload keygen' writes it, or a key alone: 32 bytes, 64 hex digits, or 44 "
    "characters of base64"
)
_TEXT: Final = re.compile(rb"[\t\n\r -~]*")


@dataclass(frozen=True, slots=True)
class MadeFor:
    """The index that a key was made with.

    Attributes:
        index: Its name.
        target: The target's location.
    """

    index: str
    target: str


@dataclass(frozen=True, slots=True)
class KeyFields:
    """What a key file contains.

    Attributes:
        index_key: The index key.
        contents_key: The contents key.
        old_contents_keys: Keys that only open contents.
        made_for: The index that the key was made with, if the file says so.
        bare: The form of a key alone, for people: `64 hex digits`. "" for TOML.
    """

    index_key: bytes | None = field(default=None, repr=False)
    contents_key: bytes | None = field(default=None, repr=False)
    old_contents_keys: tuple[bytes, ...] = field(default=(), repr=False)
    made_for: MadeFor | None = None
    bare: str = ""


def parse_key(text: bytes, where: str) -> KeyFields:
    """Read a key file. A key alone is the index key.

    Args:
        text: Its bytes.
        where: What to call it in messages.

    Raises:
        KeyFileError: It is not a key file.
    """
    if len(text) <= INPUT_MAX_BYTES and (bare := _bare_key(text)) is not None:
        return KeyFields(index_key=bare[0], bare=bare[1])
    fields = _parse(text, where)
    if fields.index_key is None and fields.contents_key is None:
        raise KeyFileError(f"{where} contains neither index_key nor contents_key", hint=_FORMS)
    return fields


def parse_contents_key(text: bytes, where: str) -> KeyFields:
    """Read a file for its contents key. A key alone is the contents key; an index key is ignored.

    Raises:
        KeyFileError: It is not a key file, or has no contents key.
    """
    if len(text) <= INPUT_MAX_BYTES and (bare := _bare_key(text)) is not None:
        return KeyFields(contents_key=bare[0], bare=bare[1])
    fields = _parse(text, where)
    if fields.contents_key is None:
        raise KeyFileError(
            f"{where} contains no contents_key",
            hint="'vecload keygen --contents-only' writes a file with one",
        )
    return KeyFields(contents_key=fields.contents_key, old_contents_keys=fields.old_contents_keys)


def _bare_key(text: bytes) -> tuple[bytes, str] | None:
    """A key alone, and its form for people; None if this is none."""
    # 32 random bytes are never 32 characters: these would be a password, or half of the hex digits.
    if len(text) == KEY_SIZE and not _TEXT.fullmatch(text):
        return text, f"{KEY_SIZE} bytes"
    line = text.strip(b" \t\r\n")
    if re.fullmatch(rb"[0-9A-Fa-f]{64}", line):
        return bytes.fromhex(line.decode("ascii")), f"{2 * KEY_SIZE} hex digits"
    if re.fullmatch(rb"[A-Za-z0-9+/]{43}=|[A-Za-z0-9_-]{43}=", line):
        try:
            value = base64.b64decode(line.translate(bytes.maketrans(b"-_", b"+/")), validate=True)
        except binascii.Error:
            return None
        # The last character has unused bits: a mistyped one must not be another text of the same key.
        if base64.b64encode(value) == line.translate(bytes.maketrans(b"-_", b"+/")):
            return value, "base64"
    return None


def _parse(text: bytes, where: str) -> KeyFields:
    if len(text) > INPUT_MAX_BYTES:
        raise KeyFileError(f"{where} is larger than {INPUT_MAX_BYTES // 1024} KiB, so it is not a key file")
    try:
        fields = tomllib.loads(text.decode())
    except (ValueError, RecursionError):
        # ValueError: also a number with thousands of digits. Its message could quote the key.
        raise KeyFileError(f"{where} is not a key file", hint=_FORMS) from None
    return parse_fields(fields, where)


def parse_fields(fields: Mapping[str, object], where: str) -> KeyFields:
    """Check the entries of a key file, which may lack both keys.

    Raises:
        KeyFileError: An entry is unknown or malformed.
    """
    unknown = set(fields) - _ENTRIES
    if unknown:
        # A long name may be a key in the wrong place.
        name = min(unknown)
        named = f" {name!r}" if len(name) <= 24 else ""
        raise KeyFileError(f"{where} contains an unknown entry{named}")
    index_key, contents_key = (
        _hex_key(fields[name], name, where) if name in fields else None
        for name in ("index_key", "contents_key")
    )
    old = fields.get("old_contents_keys", [])
    if not isinstance(old, list):
        raise KeyFileError(f"old_contents_keys of {where} is not an array of tables")
    old_keys = tuple(
        _hex_key(entry.get("contents_key") if isinstance(entry, dict) else None, "an old contents_key", where)
        for entry in old
    )
    return KeyFields(index_key, contents_key, old_keys, _made_for(fields.get("made_for"), where))


def _made_for(value: object, where: str) -> MadeFor | None:
    if value is None:
        return None
    index, target = (value.get(name) if isinstance(value, dict) else None for name in ("index", "target"))
    if not isinstance(index, str) or not isinstance(target, str):
        raise KeyFileError(f"made_for of {where} does not name an index and a target")
    return MadeFor(index, target)


def made_for_line(made_for: MadeFor) -> str:
    """The entry of a key file that names the index; "" if it can't be written."""
    try:
        made_for.index.encode(), made_for.target.encode()
    except UnicodeEncodeError:  # a folder whose name is not text
        return ""
    # A string of JSON is one of TOML, but for one control character.
    index, target = (
        json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
        for text in (made_for.index, made_for.target)
    )
    return f"made_for = {{ index = {index}, target = {target} }}"


def _hex_key(value: object, name: str, where: str) -> bytes:
    try:
        if isinstance(value, str) and len(value) == 2 * KEY_SIZE:
            return bytes.fromhex(value)
    except ValueError:
        pass
    raise KeyFileError(f"{name} of {where} is not {2 * KEY_SIZE} hex digits")
