"""Filters: conditions on metadata, checked before they are sent.

The engine ignores a filter that is not an object, takes an unknown operator for a field, and fails on NaN
(docs/cyborgdb.md). A query would then return all items, or none, without an error.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from vecload.batch import Metadata
from vecload.errors import ItemTypeError, ItemValueError
from vecload.items import encodable, epoch_milliseconds, kind_of
from vecload.limits import METADATA_DEPTH

_JOINING = ("$and", "$or", "$nor")
_PATTERNS = ("$regex", "$contains")
_HINT = 'write {"field": value} or {"field": {"$gt": 5}}; $and, $or, $nor and $not join filters'

Schema = Mapping[str, Mapping[str, bool]]


def checked_filters(filters: Any) -> Metadata:
    """Filters in the engine's form. Dates become epoch milliseconds, as in metadata.

    Args:
        filters: A dict: `{"field": value}`, `{"field": {"$gt": 5}}`, `{"$and": [...]}`, in any depth.

    Raises:
        ItemTypeError: A part has a type that the engine would ignore or fail on.
        ItemValueError: An operator is unknown, or a value can't match anything.
    """
    return _filter(filters, "the filter", 0)


def check_indexed(filters: Metadata, schema: Schema, why: str) -> None:
    """Check that a filter can be answered from the metadata index alone.

    Args:
        filters: Checked filters.
        schema: The fields' policies.
        why: What needs it, for the message.

    Raises:
        ItemValueError: It names a field that is not filterable, or searches a field for a pattern that is
            not declared for patterns.
    """
    for field, operators in _fields(filters):
        policy = schema.get(field, {})
        if policy.get("filterable", True) is False:
            raise ItemValueError(
                f"{why} can't filter on {field!r}, which the index was created not to filter on",
                hint="query with a vector and without text",
            )
        pattern = next((name for name in operators if name in _PATTERNS), None)
        if pattern is not None and not policy.get("pattern"):
            raise ItemValueError(
                f"{why} can't use {pattern} on {field!r}, which is not declared a pattern field",
                hint="query with a vector and without text, or create the index with pattern fields",
            )


def _fields(filters: Metadata) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The fields of a checked filter, each with its operators."""
    for name, condition in filters.items():
        if name in _JOINING:
            for part in condition:
                yield from _fields(part)
        elif name == "$not":
            yield from _fields(condition)
        else:
            yield name, tuple(condition) if isinstance(condition, dict) else ()


def _filter(value: Any, where: str, depth: int) -> Metadata:
    if not isinstance(value, dict):
        raise ItemTypeError(f"{where} is {kind_of(value)}, not a dict", hint=_HINT)
    if depth > METADATA_DEPTH:
        raise ItemValueError(f"the filter is nested deeper than {METADATA_DEPTH}")
    checked: Metadata = {}
    for name, condition in value.items():
        if not isinstance(name, str):
            raise ItemTypeError(f"{where} has a field that is {kind_of(name)}, not text", hint=_HINT)
        encodable(name, where)
        if name in _JOINING:
            checked[name] = [_filter(part, f"a part of {name}", depth + 1) for part in _list(condition, name)]
        elif name == "$not":
            checked[name] = _filter(condition, "the part of $not", depth + 1)
        elif name.startswith("$"):
            # The engine takes it for a field, and finds nothing.
            raise ItemValueError(f"{where} has {name!r} in the place of a field", hint=_HINT)
        else:
            checked[name] = _condition(condition, f"the filter on {name!r}")
    return checked


def _condition(value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        return _operand(value, where)
    if not value:
        raise ItemValueError(f"{where} is an empty dict, which every item matches", hint=_HINT)
    checked: Metadata = {}
    for name, operand in value.items():
        check = _OPERATORS.get(name) if isinstance(name, str) else None
        if check is None:
            named = repr(name) if isinstance(name, str) else kind_of(name)
            raise ItemValueError(
                f"{where} has no operator {named[:80]}",
                hint=f"there are {', '.join(_OPERATORS)}; a nested field is 'outer.inner'",
            )
        checked[name] = check(operand, f"{where} with {name}")
    return checked


def _operand(value: Any, where: str, *, none: bool = False) -> Any:
    """A value to compare with: text, a number, true or false."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None and not none:
        raise ItemValueError(
            f"{where} compares with None, which nothing equals", hint='write {"$exists": False}'
        )
    if isinstance(value, str):
        encodable(value, where)
        return str(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, list | tuple | dict):
        raise ItemTypeError(
            f"{where} compares with {kind_of(value)}, which nothing equals",
            hint="a field that holds a list matches each of its values; several values go into $in",
        )
    return _number(value, where)


def _unlike(value: Any, where: str) -> Any:
    return _operand(value, where, none=True)


def _number(value: Any, where: str) -> int | float:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, dt.date):
        return epoch_milliseconds(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ItemTypeError(f"{where} compares with {kind_of(value)}, not a number or a date")
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise ItemValueError(f"{where} compares with a number that is not finite")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        raise ItemTypeError(f"{where} takes a list, not {kind_of(value)}", hint=_HINT)
    return list(value)


def _any_of(value: Any, where: str) -> list[Any]:
    return [_operand(part, where) for part in _list(value, where)]


def _none_of(value: Any, where: str) -> list[Any]:
    return [_unlike(part, where) for part in _list(value, where)]


def _truth(value: Any, where: str) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise ItemTypeError(f"{where} takes True or False, not {kind_of(value)}")
    return bool(value)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ItemTypeError(f"{where} takes a text, not {kind_of(value)}")
    encodable(value, where)
    return str(value)


_OPERATORS: dict[str, Callable[[Any, str], Any]] = {
    "$eq": _operand,
    "$ne": _unlike,
    "$in": _any_of,
    "$nin": _none_of,
    "$exists": _truth,
    "$gt": _number,
    "$gte": _number,
    "$lt": _number,
    "$lte": _number,
    "$regex": _text,
    "$contains": _text,
}
"""The operators of the engine, and what checks the value of each."""
