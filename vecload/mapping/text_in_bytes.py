"""Columns of bytes without a type whose values are text, as far as the first rows show."""

from __future__ import annotations

from dataclasses import replace

from vecload.mapping.chosen import ColumnChoice
from vecload.mapping.columns import Column
from vecload.mapping.names import names_a_vector
from vecload.mapping.rows import Rows
from vecload.mapping.rules import Rules

_AS_TEXT = Rules(binary_as_text=True)


def holds_text(head: Rows, column: str) -> bool:
    """Whether a column of bytes holds UTF-8 without control characters in every row that has a value."""
    found = head.under(_AS_TEXT).contents(column)
    values = [value for value in found.values or () if isinstance(value, str) and value]
    return not found.faults and bool(values) and all(_looks_like_text(value) for value in values)


def as_text(column: Column, head: Rows, choice: ColumnChoice) -> Column:
    """A column as the guess should see it where bytes are text: what is a vector stays bytes."""
    is_vector = column.name == choice.vector or names_a_vector(column.name)
    if column.shape != "bytes" or column.partition or is_vector or not holds_text(head, column.name):
        return column
    return replace(column, shape="text")


def _looks_like_text(value: str) -> bool:
    return value.isprintable() or not any(not one.isprintable() and not one.isspace() for one in value)
