"""Fields inside JSON values: what a path leads to, and a value without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from vecload.mapping.columns import Steps


def dig(value: Any, steps: Sequence[str]) -> Any:
    """What a path leads to in a JSON value, through text that is JSON; None if it leads nowhere."""
    for step in steps:
        if isinstance(value, str | bytes):
            try:
                value = orjson.loads(value)
            except ValueError:
                return None
        if isinstance(value, list) and step.startswith("[") and step[1:-1].isdecimal():
            at = int(step[1:-1])
            value = value[at] if at < len(value) else None
            continue
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


def joined(fields: dict[str, Any], entries: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Two objects as one, and a name that both have with different values; null is a value too."""
    both = {**fields, **entries}
    if len(both) == len(fields) + len(entries):
        return both, None
    differ = (name for name in fields if name in entries and not same(fields[name], entries[name]))
    return both, next(differ, None)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are one: 1 and 1.0 are, 1 and true are not."""
    if type(one) is dict and type(other) is dict:
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if type(one) is list and type(other) is list:
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def holds_anything(value: Any) -> bool:
    """Whether there is a number, a text or a boolean anywhere inside."""
    if isinstance(value, dict | list):
        return any(map(holds_anything, value.values() if isinstance(value, dict) else value))
    return value is not None and value != ""
