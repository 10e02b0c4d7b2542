"""Where in a JSON object its rows are: what services answer, and what is to be done with it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import orjson

from vecload.readers.storage import as_argument

_DEPTH = 4
"""Objects that are looked through on the way to rows."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VECTOR_KEYS = ("embedding", "vector", "embeddings", "vectors", "values", "emb")
_LOOKED_AT = 3
"""Rows of a list that show what it is of."""
_COLUMNS_MAX = 8


def hint_of_rows(document: Any, name: str, *, sure: bool = False) -> str:
    """How to get the rows that are in an object; "" if there are none to be seen.

    Args:
        document: As it was parsed.
        name: The file's.
        sure: Only where what is inside has vectors: the object could be a row itself.
    """
    if not isinstance(document, dict):
        return ""
    file = as_argument(name)
    if {"meta", "data", "rows"} <= document.keys():
        return f"ClickHouse writes rows with FORMAT JSONEachRow; of this file: jq -c '.data[]'{file}"
    found = [*_lists(document, ())]
    with_vectors = [way for way, rows in found if any(_has_vector(row, _DEPTH) for row in rows[:_LOOKED_AT])]
    columns = _columns(document)
    if with_vectors:
        place = _jq(with_vectors[0])
        return f"its rows are in {place}: jq -c {shlex.quote(f'{place}[]')}{file}"
    if columns:
        return f"its rows are in columns: jq -c {shlex.quote(_transposed(columns))}{file}"
    if found and not sure:
        place = _jq(max(found, key=lambda one: len(one[1]))[0])
        return f"if its rows are in {place}: jq -c {shlex.quote(f'{place}[]')}{file}"
    return ""


def _lists(value: dict[str, Any], way: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """Lists of objects, and objects of objects by their ids, with the way to each."""
    for key, inner in value.items():
        here = (*way, key)
        if isinstance(inner, list) and inner and all(isinstance(row, dict) for row in inner[:_LOOKED_AT]):
            yield here, inner
        elif isinstance(inner, dict) and len(here) < _DEPTH:
            rows = [*inner.values()]
            by_id = rows and all(isinstance(row, dict) and row for row in rows)
            if by_id and all(_has_vector(row, 1) for row in rows[:_LOOKED_AT]):
                yield here, rows
            else:
                yield from _lists(inner, here)


def _has_vector(row: Any, depth: int) -> bool:
    if not isinstance(row, dict):
        return False
    return any(
        _is_vector(value)
        or (key.lower() in _VECTOR_KEYS and isinstance(value, str) and bool(value))
        or (depth > 0 and _has_vector(value, depth - 1))
        for key, value in row.items()
    )


def _is_vector(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(type(n) in (int, float) for n in value)


def _columns(document: dict[str, Any]) -> list[tuple[str, ...]]:
    """The ways to lists of one length, if one of them is of vectors."""
    lists = [*_any_lists(document, ())]
    vectors = next((rows for _, rows in lists if rows and all(map(_is_vector, rows))), None)
    if vectors is None:
        return []
    return [way for way, rows in lists if len(rows) == len(vectors)][:_COLUMNS_MAX]


def _any_lists(value: dict[str, Any], way: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    for key, inner in value.items():
        here = (*way, key)
        if isinstance(inner, list):
            yield here, inner
        elif isinstance(inner, dict) and len(here) < _DEPTH:
            yield from _any_lists(inner, here)


def _jq(way: tuple[str, ...]) -> str:
    """A way as jq takes it."""
    steps = "".join(f".{name}" if _NAME.fullmatch(name) else f"[{_text(name)}]" for name in way)
    return steps if steps.startswith(".") else f".{steps}"


def _text(name: str) -> str:
    return orjson.dumps(name).decode()


def _transposed(columns: list[tuple[str, ...]]) -> str:
    """What makes rows of columns."""
    names = [way[-1] for way in columns]
    names = [".".join(way) if names.count(way[-1]) > 1 else way[-1] for way in columns]
    keys = [name if _NAME.fullmatch(name) else _text(name) for name in names]
    fields = ", ".join(f"{key}: .[{at}]" for at, key in enumerate(keys))
    return f"[{', '.join(map(_jq, columns))}] | transpose[] | {{{fields}}}"
