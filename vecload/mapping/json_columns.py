"""The columns of JSON objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vecload.mapping.columns import Column, Shape

BYTES_MARK = "$bytes"
"""`{"$bytes": "base64"}` stands for bytes in JSON: so `vecload get` writes them, and so they are read."""

FIELDS_DEPTH = 8
"""A path that leads deeper can be named too, but can't be known to be there."""


def columns_of(rows: Sequence[dict[str, Any]], depth: int = FIELDS_DEPTH) -> list[Column]:
    """The columns of some JSON rows, each by its first values that tell.

    Null, an empty list and a list with a null in it don't; nor do whole numbers make integers of a list that
    has fractions in the next row.

    Args:
        rows: n objects.
        depth: How deep fields inside objects are told.
    """
    shapes: dict[str, Shape] = {}
    for row in rows:
        for name, value in row.items():
            known = shapes.setdefault(name, "null")
            if known in ("null", "other", "integers"):
                shape = _shape(value)
                tells = shape != "null" if known == "null" else shape not in ("null", "other")
                shapes[name] = shape if tells else known
    return [Column(name, shape, shape, _inside(rows, name, shape, depth)) for name, shape in shapes.items()]


def _inside(rows: Sequence[dict[str, Any]], name: str, shape: Shape, depth: int) -> tuple[Column, ...]:
    if shape != "object" or depth == 0:
        return ()
    return tuple(columns_of([row[name] for row in rows if isinstance(row.get(name), dict)], depth - 1))


def _shape(value: Any) -> Shape:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "text"
    if isinstance(value, dict):
        return "bytes" if value.keys() == {BYTES_MARK} else "object"
    if isinstance(value, list) and value and all(type(number) in (int, float) for number in value):
        return "floats" if any(type(number) is float for number in value) else "integers"
    return "integer" if type(value) is int else "other"


def marked_bytes(text: Any) -> Any:
    """The bytes that a value under BYTES_MARK stands for; an empty dict if it stands for none."""
    from vecload.contents import canonical  # with it come keys, which parsers have no use for

    try:
        return canonical.decode(text)
    except (TypeError, ValueError):
        return {}
