"""Columns of a source, and the fields inside them by paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from vecload.errors import MappingError

ValueKind: TypeAlias = Literal["text", "integer", "bytes", "floats", "integers", "object", "null", "other"]
"""What a column's values look like; `floats` and `integers` are lists of numbers, `null` tells of none."""

Steps: TypeAlias = tuple[str, ...]
"""The names on the way to a field: its column's, and those inside; a column itself is one step.

`[0]` is the first element of a list.
"""


LISTED_MAX = 20
"""Names in a message: more are not read."""
_ONE = re.compile(r"\[[0-9]+\]")
_ELEMENT = re.compile(r"(?<!^)(?<!\.)(\[[0-9]+\])")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a source.

    name: as the file has it.
    kind: what its values look like.
    type_name: its type as the file names it.
    fields: of a column of objects, the fields inside as far as they are known.
    index: it is the index of the data frame that was written.
    partition: a folder's name tells it, not the file: metadata, unless it is named as another part.
    free_text: its text is not the JSON of objects.
    lost_index: the name of the data frame's index, where it was stored as a range and has no column.
    elements: of a column of lists of objects, the fields inside these objects.
    values: those of the first rows, as Python values, bytes as bytes; None where a row has none. Of a field,
        those in the objects that the first rows have.
    """

    name: str
    kind: ValueKind
    type_name: str = ""
    fields: tuple[Column, ...] = ()
    index: bool = False
    partition: bool = False
    free_text: bool = False
    lost_index: str = ""
    elements: tuple[Column, ...] = ()
    values: Sequence[Any] = field(default=(), compare=False, repr=False)


def find(columns: Sequence[Column], path: str) -> tuple[Steps, Column] | None:
    """Find a column by its name, or a field by its path; a name with dots in it comes first.

    What is inside text, which may be JSON, and inside values that the first rows don't have can't be known:
    any field is found there, of kind `other`.
    """
    by_name = {column.name: column for column in columns}
    if path in by_name:
        return (path,), by_name[path]
    dotted = _ELEMENT.sub(r".\1", path)
    end = dotted.rfind(".")
    while end >= 0:
        column, inner = by_name.get(dotted[:end]), dotted[end + 1 :]
        if column is not None:
            found = _find_inside(column, inner, path)
            if found is not None:
                return (column.name, *found[0]), found[1]
        end = dotted.rfind(".", 0, end) if end else -1
    return None


def _find_inside(column: Column, inner: str, path: str) -> tuple[Steps, Column] | None:
    if column.elements:
        first, _, rest = inner.partition(".")
        found = find(column.elements, rest) if _ONE.fullmatch(first) and rest else None
        return None if found is None else ((first, *found[0]), found[1])
    if column.fields:
        return find(column.fields, inner)
    if inner and column.kind in ("text", "object", "null", "other"):
        return (*inner.split("."),), Column(path, "other")
    return None


def walk(columns: Iterable[Column]) -> Iterator[tuple[Steps, Column]]:
    """Every column and, before what follows it, every field inside it; elements of lists as the step `[]`."""
    for column in columns:
        yield (column.name,), column
        for steps, inside in walk(column.fields):
            yield (column.name, *steps), inside
        for steps, inside in walk(column.elements):
            yield (column.name, "[]", *steps), inside


def path_of(steps: Steps) -> str:
    """The path that people write for it."""
    return ".".join(steps).replace(".[", "[")


def with_named(columns: Sequence[Column], path: str) -> list[Column]:
    """The columns, and one or a field in one of kind `null` for a path that leads nowhere yet."""
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
    kinds: dict[str, ValueKind] = {}
    for row in rows:
        for name, value in row.items():
            known = kinds.setdefault(name, "null")
            if known in ("null", "other", "integers"):
                kind = _kind_of(value)
                tells = kind != "null" if known == "null" else kind not in ("null", "other")
                kinds[name] = kind if tells else known
    return [Column(name, kind, kind, _inside(rows, name, kind, depth)) for name, kind in kinds.items()]


def _inside(rows: Sequence[dict[str, Any]], name: str, kind: ValueKind, depth: int) -> tuple[Column, ...]:
    if kind != "object" or depth == 0:
        return ()
    return tuple(columns_of([row[name] for row in rows if isinstance(row.get(name), dict)], depth - 1))


def _kind_of(value: Any) -> ValueKind:
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
    from vecload.sealing.envelope import decode_base64  # with it come keys, which parsers have no use for

    try:
        return decode_base64(text)
    except (TypeError, ValueError):
        return {}
