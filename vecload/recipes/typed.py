"""Typed values: objects of one key that say the type of a value, as databases write them in JSON."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else str(value)


def _integer(value: Any) -> Any:
    if isinstance(value, str):
        return int(value) if len(value) < 40 else value
    return value


def _number(value: Any) -> Any:
    """A number from its text: an integer, if it is written as one."""
    if not isinstance(value, str):
        return value
    if value.lstrip("-").isdecimal() and value.isascii() and len(value) < 40:
        return int(value)
    return _double(value)


def _double(value: Any) -> Any:
    """A number; null for what is not finite, since JSON has no such number."""
    number = float(value) if isinstance(value, str) else value
    return number if not isinstance(number, float) or math.isfinite(number) else None


def _decimal(value: Any) -> Any:
    """A number if float64 writes it back as the same text, else the text: docs/values.md."""
    if not isinstance(value, str):
        return value
    number = _number(value)
    return number if str(number) == value else value


def _boolean(value: Any) -> Any:
    return value.lower() == "true" if isinstance(value, str) else value


def _null(_value: Any) -> Any:
    return None


def _date(value: Any) -> Any:
    """Milliseconds of a date in ISO 8601; naive means UTC."""
    if not isinstance(value, str):
        return value
    found = datetime.fromisoformat(_microseconds(value))
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found
    days = found - datetime(1970, 1, 1, tzinfo=UTC)
    return (days.days * 86_400 + days.seconds) * 1000 + days.microseconds // 1000


def _microseconds(text: str) -> str:
    """A time without the digits of nanoseconds, which Python can't read."""
    head, dot, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return f"{head}{dot}{digits[:6]}{rest[len(digits) :]}"


def _bytes(value: Any) -> Any:
    """Bytes are base64 text, as bytes in metadata are."""
    return value


def _binary(value: Any) -> Any:
    """MongoDB's binary: a UUID as its text, a vector as it is for the reader of vectors, else base64 text."""
    if not isinstance(value, dict) or not isinstance(value.get("base64"), str):
        return {"$binary": value}
    data, kind = value["base64"], value.get("subType")
    raw = base64.b64decode(data)
    if kind in ("03", "04") and len(raw) == 16:
        text = raw.hex()
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
    return {"$binary": value} if kind == "09" else data


_SCALARS: dict[str, Callable[[Any], Any]] = {
    "text": _text,
    "integer": _integer,
    "number": _number,
    "double": _double,
    "decimal": _decimal,
    "boolean": _boolean,
    "null": _null,
    "date": _date,
    "bytes": _bytes,
    "binary": _binary,
}
VALUE_KINDS = (*_SCALARS, "list", "object", "fields", "values", "numbers", "texts")
"""What a typed value may stand for."""
_PLAIN = frozenset({float, int, str, bool, type(None)})


def untyped(value: Any, kinds: Mapping[str, str]) -> Any:
    """A value with plain JSON values in place of typed ones, at any depth.

    Args:
        value: A JSON value.
        kinds: What each key stands for, by the key.

    Raises:
        ValueError: A typed value is not of its type.
        RecursionError: It is nested too deep.
    """
    kind = type(value)
    if kind is dict:
        if len(value) == 1:
            (key,) = value
            named = kinds.get(key)
            if named is not None:
                return _plain(value[key], named, kinds)
        return {key: untyped(one, kinds) for key, one in value.items()}
    if kind is list and not _PLAIN.issuperset(map(type, value)):
        return [untyped(one, kinds) for one in value]
    return value


def _plain(value: Any, kind: str, kinds: Mapping[str, str]) -> Any:
    if kind in ("fields", "values"):
        if not isinstance(value, dict):
            raise ValueError("is not an object")
        value, kind = (
            (value.get("fields", {}), "object") if kind == "fields" else (value.get("values", []), "list")
        )
    if kind == "object":
        if not isinstance(value, dict):
            raise ValueError("is not an object")
        entries = {key: untyped(one, kinds) for key, one in value.items()}
        return entries.get("value") if entries.get("__type__") == "__vector__" else entries  # Firestore's
    if kind == "list":
        if not isinstance(value, list):
            raise ValueError("is not a list")
        return [untyped(one, kinds) for one in value]
    if kind in ("numbers", "texts"):
        if not isinstance(value, list):
            raise ValueError("is not a list")
        return [_number(one) if kind == "numbers" else one for one in value]
    inner = untyped(value, kinds) if kind != "binary" else value
    return _SCALARS[kind](inner)
