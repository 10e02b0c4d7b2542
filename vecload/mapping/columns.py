"""Columns of a source, and the fields inside them by dot paths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from vecload.errors import MappingError

Shape: TypeAlias = Literal["text", "integer", "bytes", "floats", "integers", "object", "null", "other"]
"""What a column's values look like; `floats` and `integers` are lists of numbers, `null` tells of none."""

Steps: TypeAlias = tuple[str, ...]
"""The names on the way to a field: its column's, and those inside; a column itself is one step."""


LISTED_MAX = 20
"""Names in a message: more are not read."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a source.

    name: as the file has it.
    shape: what its values look like.
    type_name: its type as the file names it.
    fields: of a column of objects, the fields inside as far as they are known.
    index: it is the index of the data frame that was written.
    partition: a folder's name tells it, not the file: metadata, unless it is named as another part.
    free_text: its text is not the JSON of objects.
    """

    name: str
    shape: Shape
    type_name: str = ""
    fields: tuple[Column, ...] = ()
    index: bool = False
    partition: bool = False
    free_text: bool = False


def find(columns: Sequence[Column], path: str) -> tuple[Steps, Column] | None:
    """Find a column by its name, or a field by its dot path; a name with dots in it comes first.

    What is inside text, which may be JSON, and inside values that the first rows don't have can't be known:
    any field is found there, of shape `other`.
    """
    by_name = {column.name: column for column in columns}
    if path in by_name:
        return (path,), by_name[path]
    end = path.rfind(".")
    while end > 0:
        column, inner = by_name.get(path[:end]), path[end + 1 :]
        if column is not None and inner:
            if column.fields:
                found = find(column.fields, inner)
                if found is not None:
                    return (column.name, *found[0]), found[1]
            elif column.shape in ("text", "object", "null", "other"):
                return (column.name, *inner.split(".")), Column(path, "other")
        end = path.rfind(".", 0, end)
    return None


def with_named(columns: Sequence[Column], path: str) -> list[Column]:
    """The columns, and one or a field in one of shape `null` for a path that leads nowhere yet."""
    if find(columns, path) is not None:
        return list(columns)
    end = path.rfind(".")
    while end > 0:
        outer = next((column for column in columns if column.name == path[:end]), None)
        if outer is not None:
            # What is known to be no object has no fields in other rows either.
            fields = outer.fields and tuple(with_named(outer.fields, path[end + 1 :]))
            return [replace(column, fields=fields) if column is outer else column for column in columns]
        end = path.rfind(".", 0, end)
    return [*columns, Column(path.partition(".")[0], "null")]


def listed(names: Iterable[str]) -> str:
    """Names of columns for a message; of many the first."""
    shown = [repr(name) for name in names]
    more = len(shown) - LISTED_MAX
    told = ", ".join(shown[:LISTED_MAX]) or "no columns"
    return f"{told} and {more} more" if more > 0 else told


def first_named(names: Sequence[str], columns: Sequence[Column], source: str, flag: str) -> str | None:
    """The first of these names that a column has: as it is, else in another case.

    Args:
        names: In lower case.
        columns: Any.
        source: For messages.
        flag: What settles which column it is.

    Raises:
        MappingError: Several columns have it, each in a case of its own, and none as it is.
    """
    for name in names:
        found = [column.name for column in columns if column.name.lower() == name]
        if name in found:
            return name
        if len(found) > 1:
            raise MappingError(
                f"{source} has columns whose names differ in case alone: {listed(found)}",
                hint=f"pick one with {flag}",
            )
        if found:
            return found[0]
    return None
