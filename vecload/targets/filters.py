"""Filters: conditions on metadata, in the engine's form, which is MongoDB's.

The engine evaluates them itself. Here are a check that a filter has a condition at all, and an evaluation of
the usual operators for the target in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from vecload.errors import BatchRefused


def has_condition(filters: Any) -> bool:
    """Whether a filter leaves out any item: `{}`, `{"$and": []}` and `{"field": {}}` match every item."""
    if not isinstance(filters, Mapping):
        return True
    for name, value in filters.items():
        parts = value if isinstance(value, list | tuple) else [value]
        if name == "$or":
            found = all(map(has_condition, parts))
        else:
            found = any(map(has_condition, parts)) or (name != "$and" and parts is value)
        if found:
            return True
    return False


def matches(metadata: Mapping[str, Any], filters: Mapping[str, Any]) -> bool:
    """Whether metadata matches a filter, as the engine has it: an item without a field matches no comparison.

    Raises:
        BatchRefused: There is no such operator.
    """
    for name, wanted in filters.items():
        if name == "$and":
            found = all(matches(metadata, one) for one in wanted)
        elif name in ("$or", "$nor"):
            found = any(matches(metadata, one) for one in wanted) == (name == "$or")
        elif name == "$not":
            found = not matches(metadata, wanted)
        else:
            found = _field_matches(_at(metadata, name), wanted)
        if not found:
            return False
    return True


_ABSENT: Final = object()


def _at(metadata: Mapping[str, Any], path: str) -> Any:
    """The value of a field, by its name or by a dot path into objects."""
    if path in metadata:
        return metadata[path]
    first, dot, rest = path.partition(".")
    inner = metadata.get(first)
    return _at(inner, rest) if dot and isinstance(inner, Mapping) else _ABSENT


def _field_matches(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, Mapping):
        return _equal(value, wanted)
    for operator, operand in wanted.items():
        if operator == "$exists":
            found = (value is not _ABSENT) == bool(operand)
        elif operator not in _OPERATORS:
            raise BatchRefused(f"Unsupported metadata operator: {operator}")
        else:
            found = value is not _ABSENT and _OPERATORS[operator](value, operand)
        if not found:
            return False
    return True


def _equal(value: Any, wanted: Any) -> bool:
    """Whether values are equal. Booleans are not numbers, and a list equals each of its elements."""
    if isinstance(value, list):
        return any(_equal(one, wanted) for one in value)
    return value is not _ABSENT and isinstance(value, bool) == isinstance(wanted, bool) and value == wanted


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compared(value: Any, operand: Any) -> bool:
        try:
            return isinstance(value, bool) == isinstance(operand, bool) and compare(value, operand)
        except TypeError:
            return False

    return compared


_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$eq": _equal,
    "$ne": lambda value, wanted: not _equal(value, wanted),
    "$in": lambda value, wanted: any(_equal(value, one) for one in wanted),
    "$nin": lambda value, wanted: not any(_equal(value, one) for one in wanted),
    "$gt": _ordered(lambda value, operand: value > operand),
    "$gte": _ordered(lambda value, operand: value >= operand),
    "$lt": _ordered(lambda value, operand: value < operand),
    "$lte": _ordered(lambda value, operand: value <= operand),
}
