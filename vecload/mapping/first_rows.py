"""What the first rows show of a source's columns: values, fields, and text that is stored as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from vecload.mapping.columns import FIELDS_DEPTH, Column, columns_of
from vecload.mapping.mapping import ColumnChoice, Rules
from vecload.mapping.names import is_vector_name
from vecload.mapping.rows import Rows


def with_first_rows(columns: Sequence[Column], head: Rows) -> list[Column]:
    """The columns, each with its values in the first rows and the fields inside them.

    Text has fields if all of it is JSON objects.
    """
    return [_with(column, head.values(column.name), FIELDS_DEPTH) for column in columns]


def _with(column: Column, values: Sequence[Any], depth: int) -> Column:
    if column.kind == "text":
        # Bytes that were recognised as text.
        values = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
    if column.partition or not depth:
        return replace(column, values=values)
    objects = [value for value in values if isinstance(value, dict)]
    fields, free_text = column.fields, False
    if column.kind == "text":
        texts = [value for value in values if isinstance(value, str) and value.strip()]
        parsed = [*map(_parsed, texts)]
        objects = [value for value in parsed if isinstance(value, dict)]
        free_text = bool(texts) and all(value is _NOT_JSON for value in parsed)
        if len(objects) < len(parsed):
            # Some values are not JSON: their fields count only if the user names the column as an object.
            return replace(
                column,
                values=values,
                free_text=free_text,
                fields=_inside((), objects, depth) if objects else (),
            )
    items = [
        item
        for value in values
        if isinstance(value, list)
        for item in value[:ITEMS_MAX]
        if isinstance(item, dict)
    ]
    return replace(
        column,
        values=values,
        free_text=free_text,
        fields=_inside(fields, objects, depth),
        elements=_inside((), items, depth),
    )


ITEMS_MAX = 20
"""Elements of a list whose fields are looked at."""
_NOT_JSON = object()


def _inside(known: Sequence[Column], objects: Sequence[dict[str, Any]], depth: int) -> tuple[Column, ...]:
    """The fields of objects, each with its values."""
    fields = known or columns_of(objects, 1)
    return tuple(_with(field, [each.get(field.name) for each in objects], depth - 1) for field in fields)


def _parsed(text: str) -> Any:
    """A JSON object or null in a text; _NOT_JSON for anything else."""
    begin = text.lstrip()[:1]
    if begin not in ("{", "n"):
        return _NOT_JSON
    try:
        value = orjson.loads(text)
    except ValueError:
        return _NOT_JSON
    return value if value is None or isinstance(value, dict) else _NOT_JSON


_AS_TEXT = Rules(binary_as_text=True)


def holds_text(head: Rows, column: str) -> bool:
    """Whether every value of a bytes column is UTF-8 without control characters."""
    found = head.with_rules(_AS_TEXT).contents(column)
    values = [value for value in found.values or () if isinstance(value, str) and value]
    return not found.faults and bool(values) and all(_looks_like_text(value) for value in values)


def bytes_as_text(column: Column, head: Rows, choice: ColumnChoice) -> Column:
    """The column, as a text column if its bytes are text and not a vector."""
    is_vector = column.name == choice.vector or is_vector_name(column.name)
    if column.kind != "bytes" or column.partition or is_vector or not holds_text(head, column.name):
        return column
    return replace(column, kind="text")


def _looks_like_text(value: str) -> bool:
    return value.isprintable() or not any(not one.isprintable() and not one.isspace() for one in value)
