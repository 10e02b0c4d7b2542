"""Columns of a source: their kinds of values, and the fields inside them, which are found by paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from vecload.errors import MappingError

ValueKind: TypeAlias = Literal["text", "integer", "bytes", "floats", "integers", "object", "null", "other"]
"""The kind of a column's values. `floats` and `integers` are lists of numbers; `null`: none is known."""

Steps: TypeAlias = tuple[str, ...]
"""The names that lead to a field: first that of its column, then those inside. A column itself is one step.

`[0]` is the first element of a list.
"""

BYTES_MARK = "$bytes"
"""`{"$bytes": "base64"}` stands for bytes in JSON: `vecload get` writes bytes so, and they are read so."""
BIG_INTEGER = 2.0**63
"""The fast JSON parser turns integers beyond 64 bits into floats; smaller floats were floats."""
FIELDS_DEPTH = 8
"""Fields in deeper objects are not listed; a path may still name them."""
LISTED_MAX = 20
"""Names in a message: nobody reads more."""
_ONE = re.compile(r"\[[0-9]+\]")
_ELEMENT = re.compile(r"(?<!^)(?<!\.)(\[[0-9]+\])")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a source.

    name: its name in the file.
    kind: the kind of its values.
    type_name: its type, as the file names it.
    fields: if its values are objects, the known fields inside them.
    index: it is the index of the data frame that wrote the file.
    partition: its value comes from a folder's name. It becomes metadata, unless the user names it otherwise.
    free_text: its text is not JSON objects.
    lost_index: the name of the data frame's index, if that is a range, which gets no column.
    elements: if its values are lists of objects, the fields inside these objects.
    values: its values in the first rows as Python values, None in a row without one. For a field: its values
        in the objects of the first rows.
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
    """Find a column by its name, or a field by its path. A column whose name contains dots comes first.

    Text may be JSON, and the first rows may lack a value. There, any field is found, of kind `other`.
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
    """Every column, each followed by the fields inside it. Elements of lists are the step `[]`."""
    for column in columns:
        yield (column.name,), column
        for steps, inside in walk(column.fields):
            yield (column.name, *steps), inside
        for steps, inside in walk(column.elements):
            yield (column.name, "[]", *steps), inside


def path_of(steps: Steps) -> str:
    """The path as people write it."""
    return ".".join(steps).replace(".[", "[")


def with_named(columns: Sequence[Column], path: str) -> list[Column]:
    """The columns, plus a column or field of kind `null` if the path leads nowhere yet."""
    if find(columns, path) is not None:
        return list(columns)
    end = path.rfind(".")
    while end > 0:
        outer = next((column for column in columns if column.name == path[:end]), None)
        if outer is not None:
            # A column without objects in the first rows gets no fields.
            fields = outer.fields and tuple(with_named(outer.fields, path[end + 1 :]))
            return [replace(column, fields=fields) if column is outer else column for column in columns]
        end = path.rfind(".", 0, end)
    return [*columns, Column(path.partition(".")[0], "null")]


def listed(names: Iterable[str]) -> str:
    """Names of columns for a message: the first of them, if there are many."""
    shown = [repr(name) for name in names]
    more = len(shown) - LISTED_MAX
    first = ", ".join(shown[:LISTED_MAX]) or "no columns"
    return f"{first} and {more} more" if more > 0 else first


def first_named(names: Sequence[str], columns: Sequence[Column], source: str, flag: str) -> str | None:
    """The first of these names that a column has, exactly or in another case.

    Args:
        names: In lower case.
        columns: Any.
        source: For messages.
        flag: The option that picks one of several.

    Raises:
        MappingError: Several columns have the name in different cases, and none has it exactly.
    """
    for name in names:
        found = [column.name for column in columns if column.name.lower() == name]
        if name in found:
            return name
        if len(found) > 1:
            raise MappingError(
                f"{source} has columns whose names differ only in case: {listed(found)}",
                hint=f"pick one with {flag}",
            )
        if found:
            return found[0]
    return None


def columns_of(rows: Sequence[dict[str, Any]], depth: int = FIELDS_DEPTH) -> list[Column]:
    """The columns of some JSON rows. The first values that show a kind decide it.

    Null, an empty list and a list that contains a null show none. A list of whole numbers is `integers` only
    if no later row has fractions.

    Args:
        rows: n objects.
        depth: Down to which depth fields inside objects are listed.
    """
    kinds: dict[str, ValueKind] = {}
    for row in rows:
        for name, value in row.items():
            known = kinds.setdefault(name, "null")
            if known in ("null", "other", "integers"):
                kind = _kind_of(value)
                shows = kind != "null" if known == "null" else kind not in ("null", "other")
                kinds[name] = kind if shows else known
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
    """The bytes of a value under BYTES_MARK; an empty dict if it is not base64."""
    # Not at the top: it loads cryptography, which parsers do not need.
    from vecload.sealing.envelope import decode_base64

    try:
        return decode_base64(text)
    except (TypeError, ValueError):
        return {}
