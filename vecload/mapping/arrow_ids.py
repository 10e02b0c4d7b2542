"""Ids of Arrow arrays: integers, text, whole decimals, UUIDs, and text in bytes without a type."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from vecload.mapping.arrow_values import Ways, is_binary, is_text, texts, texts_of_binary
from vecload.mapping.rows import Fault

UUID_BYTES = 16
_NOT_UTF8 = Fault("id", "not-utf8", "is not UTF-8")
_FRACTION = Fault("id", "not-text", "is a decimal with a fraction")
_ROUNDED = "is a floating-point number, which may be rounded: write ids as integers or as text"
_BYTES = "is bytes that are neither text nor a UUID; ids are text, so write them as base64 or hexadecimal"


def ids_of(array: pa.Array, ways: Ways) -> tuple[list[str | None], dict[int, Fault]]:
    """The ids of an array: None for null, and for what has a fault.

    Args:
        array: A plain one: no dictionary, no views.
        ways: How bytes are read.
    """
    kind = array.type
    if pa.types.is_integer(kind) or pa.types.is_null(kind):
        return pc.cast(array, pa.string()).to_pylist(), {}
    if is_text(kind):
        values, bad = texts(array)
        return values, dict.fromkeys(bad, _NOT_UTF8)
    if pa.types.is_decimal(kind):
        return _of_decimals(array.to_pylist())
    if is_binary(kind) and ways.binary_as_text:
        values, bad = texts_of_binary(array)
        return values, dict.fromkeys(bad, _NOT_UTF8)
    if is_binary(kind):
        fixed = pa.types.is_fixed_size_binary(kind) and kind.byte_width == UUID_BYTES
        return _of_bytes(array.to_pylist(), all_uuids=fixed)
    told = f"is neither text nor an integer but {kind}"
    fault = Fault("id", "not-text", _ROUNDED if pa.types.is_floating(kind) else told)
    return [None] * len(array), dict.fromkeys(range(len(array)), fault)


def _of_decimals(values: list[Decimal | None]) -> tuple[list[str | None], dict[int, Fault]]:
    ids: list[str | None] = []
    faults: dict[int, Fault] = {}
    for position, value in enumerate(values):
        whole = None if value is None else int(value)
        if value is not None and whole != value:
            faults[position], whole = _FRACTION, None
        ids.append(None if whole is None else str(whole))
    return ids, faults


def _of_bytes(values: list[bytes | None], *, all_uuids: bool) -> tuple[list[str | None], dict[int, Fault]]:
    """Printable text as it is, else 16 bytes as a UUID: each id by itself, whatever its neighbours are."""
    ids: list[str | None] = []
    faults: dict[int, Fault] = {}
    for position, value in enumerate(values):
        text = None if value is None or all_uuids else printable(value)
        if text is None and value is not None:
            if len(value) == UUID_BYTES:
                text = str(uuid.UUID(bytes=value))
            else:
                faults[position] = Fault("id", "not-text", _BYTES)
        ids.append(text)
    return ids, faults


def printable(value: bytes) -> str | None:
    """The text that bytes are, if they are UTF-8 without control characters."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
