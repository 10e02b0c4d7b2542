"""Fields inside JSON values: what a path leads to, and a value without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from vecload.mapping.columns import Steps


def dig(value: Any, steps: Sequence[str]) -> Any:
    """What a dot path leads to in a JSON value, through text that is JSON; None if it leads nowhere."""
    for step in steps:
        if isinstance(value, str | bytes):
            try:
                value = orjson.loads(value)
            except ValueError:
                return None
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def without(entries: dict[str, Any], left_out: Sequence[Steps]) -> dict[str, Any]:
    """An object less some fields, and less the objects that this leaves empty."""
    for first, *rest in left_out:
        if first not in entries:
            continue
        inner = entries[first]
        others = {name: value for name, value in entries.items() if name != first}
        if isinstance(inner, str) and rest:
            try:
                inner = orjson.loads(inner)
            except ValueError:
                continue
        if not rest:
            entries = others
        elif isinstance(inner, dict):
            less = without(inner, [tuple(rest)])
            entries = {name: less if name == first else value for name, value in entries.items()}
            if inner and not less:
                entries = others
    return entries


def holds_anything(value: Any) -> bool:
    """Whether there is a number, a text or a boolean anywhere inside."""
    if isinstance(value, dict | list):
        return any(map(holds_anything, value.values() if isinstance(value, dict) else value))
    return value is not None and value != ""
