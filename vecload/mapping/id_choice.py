"""Chooses the id column.

A column named `id` or `_id` is the id, or the load stops. A column with another usual name, or a data frame's
index, is taken only if its values in the first rows do not repeat and no other column says that rows are
parts of something.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from vecload.errors import MappingError
from vecload.mapping.columns import BIG_INTEGER, Column, first_named, listed
from vecload.mapping.names import is_contents_name, is_part_name, is_vector_name

ID_NAMES = ("id", "_id")
"""A column with such a name is the id."""
UNSURE_ID_NAMES = ("ids", "doc_id", "uuid", "key")
"""A column with such a name may be the id, in this order, if its values do not repeat."""
UNNAMED_INDEX = re.compile(r"__index_level_[0-9]+__")
"""An index without a name, as pandas writes it."""
ID_MARKS = frozenset({"$oid", "$numberLong", "$numberInt"})
"""How MongoDB's exports write an id: `{"$oid": "65f0…"}`."""
ID_CHARACTERS = 200
"""A longer text is not offered as an id."""

Verdict: TypeAlias = Literal[
    "ids",
    "nothing",
    "objects",
    "floating-point numbers",
    "decimals with fractions",
    "booleans",
    "lists",
    "bytes",
    "dates or times",
]


@dataclass(frozen=True, slots=True)
class ChosenId:
    """The id column (None: all ids are generated), the reason, and whether only its values suggest it."""

    path: str | None
    reason: str
    unsure: bool = False


def verdict_on(column: Column) -> Verdict:
    """Whether the values of a column can be ids; if not, what they are."""
    found = [value for value in column.values if value is not None]
    if not found:
        if column.kind in ("text", "integer", "bytes"):
            return "ids"
        return _WITHOUT_VALUES.get(column.kind, "nothing" if column.kind == "null" else "dates or times")
    kinds = {_kind(value) for value in found}
    if "ids" in kinds:
        return "ids"
    return next((kind for kind in kinds if kind != "nothing"), "nothing")


_WITHOUT_VALUES: dict[str, Verdict] = {"object": "objects", "floats": "lists", "integers": "lists"}


def _kind(value: Any) -> Verdict:
    if isinstance(value, bool):
        return "booleans"
    if isinstance(value, str | int):
        return "ids"
    if isinstance(value, Decimal):
        return (
            "ids" if value.is_finite() and value == value.to_integral_value() else "decimals with fractions"
        )
    if isinstance(value, float):
        # The fast JSON parser turns integers beyond 64 bits into floats; smaller floats were floats.
        return "ids" if abs(value) >= BIG_INTEGER else "floating-point numbers"
    if isinstance(value, bytes):
        return "ids" if len(value) == 16 or _is_text(value) else "bytes"
    if isinstance(value, dict):
        return "objects"
    return "lists" if isinstance(value, list) else "nothing"


def _is_text(value: bytes) -> bool:
    try:
        return value.decode().isprintable()
    except UnicodeDecodeError:
        return False


def choose_id(
    columns: Sequence[Column], own: Sequence[Column], source: str, *, generate: bool, out: Sequence[str] = ()
) -> ChosenId:
    """Find the column of ids.

    Args:
        columns: The source's own columns that are not another part yet.
        own: All of the source's own columns.
        source: For messages.
        generate: Generate ids for rows without one.
        out: Columns that a form leaves out.

    Raises:
        MappingError: No column is the id, or none clearly is.
    """
    free = [column for column in columns if column.name not in out]
    named = _named(free, source)
    if named is not None:
        verdict = verdict_on(named)
        if verdict == "objects" and len(named.fields) == 1 and named.fields[0].name in ID_MARKS:
            return ChosenId(f"{named.name}.{named.fields[0].name}", "its name")
        if verdict in ("ids", "nothing") or generate:
            return ChosenId(named.name, "its name")
        floats = verdict == "floating-point numbers"
        pandas = (
            "pandas turns integers next to nulls into floats: write them as integers; or " if floats else ""
        )
        raise MappingError(
            f"{source} has {verdict} in the column {named.name!r}, which can't be ids",
            hint=f"{pandas}name another column with --id-column{_offer(own, [named.name])}, "
            "or generate ids with --generate-ids",
        )
    found, reason = _unsure(free, source)
    doubt = "" if found is None else _doubt(found, own)
    if found is not None and not doubt:
        return ChosenId(found.name, reason, unsure=True)
    if generate:
        return ChosenId(None, "--generate-ids")
    if found is not None:
        part = next((c for c in own if c is not found and _is_number_of_part(c)), None)
        both = (found.name, part.name) if part is not None else ("A", "B")
        raise MappingError(
            f"{source} has no clear id column: {found.name!r} {doubt}",
            hint=f"name it with --id-column{_offer(own, [])}, combine columns with --id-column "
            f"{both[0]} --id-column {both[1]}, or generate ids with --generate-ids",
        )
    lost = next((column.lost_index for column in own if column.lost_index), "")
    if lost:
        raise MappingError(
            f"{source} has no id: pandas does not write its index {lost!r}, a RangeIndex, as a column",
            hint="write the data frame with reset_index(), or generate ids with --generate-ids",
        )
    raise MappingError(
        f"{source} has no id column; it has {listed(column.name for column in own)}",
        hint=f"name it with --id-column{_offer(own, [])}, or generate ids with --generate-ids",
    )


def _named(free: Sequence[Column], source: str) -> Column | None:
    """The column named `id` or `_id`; one that is empty in the first rows comes last."""
    by_name = {column.name: column for column in free}
    for some in ([c for c in free if verdict_on(c) != "nothing"], free):
        name = first_named(ID_NAMES, some, source, "--id-column")
        if name is not None:
            return by_name[name]
    return None


def _unsure(free: Sequence[Column], source: str) -> tuple[Column | None, str]:
    by_name = {column.name: column for column in free}
    for wanted in ("ids", "nothing"):
        some = [column for column in free if verdict_on(column) == wanted]
        name = first_named(UNSURE_ID_NAMES, some, source, "--id-column")
        if name is not None:
            return by_name[name], "its name"
    index = [
        column
        for column in free
        if (column.index or UNNAMED_INDEX.fullmatch(column.name)) and verdict_on(column) in ("ids", "nothing")
    ]
    return (index[0], "the data frame's index") if index else (None, "")


def _doubt(found: Column, own: Sequence[Column]) -> str:
    """Why a column may not be the id; empty if there is no reason."""
    repeated = _repeated(found.values)
    if repeated is not None:
        return f"repeats {repeated!r} in the first rows"
    if found.index or UNNAMED_INDEX.fullmatch(found.name):
        others = [c.name for c in own if c is not found and (c.index or UNNAMED_INDEX.fullmatch(c.name))]
        if others:
            return f"is one of several index levels, next to {listed(others)}"
    part_column = next((c.name for c in own if c is not found and is_part_name(c.name)), None)
    return f"may be shared by several rows, since there is also {part_column!r}" if part_column else ""


def _is_number_of_part(column: Column) -> bool:
    """Whether a column numbers the parts of something."""
    return is_part_name(column.name) and column.kind == "integer"


def _repeated(values: Sequence[Any]) -> Any:
    seen: set[Any] = set()
    for value in values:
        if value is None or not isinstance(value, str | int | bytes | Decimal):
            continue
        if value in seen:
            return value
        seen.add(value)
    return None


def _offer(own: Sequence[Column], without: Sequence[str]) -> str:
    """Columns that could be the id, each with its first value, for a hint."""
    able = [
        column
        for column in own
        if column.name not in without
        and not _is_number_of_part(column)
        and not is_contents_name(column.name)
        and not is_vector_name(column.name)
        and verdict_on(column) == "ids"
        and column.kind in ("text", "integer")
        and len(column.values) > 1
        and all(isinstance(value, str | int) for value in column.values)
        and max(len(str(value)) for value in column.values) <= ID_CHARACTERS
        and _repeated(column.values) is None
        and " " not in str(column.values[0])
    ]
    shown = ", ".join(f"{column.name!r} ({column.values[0]!r}, …)" for column in able[:4])
    return f" ({shown} would work)" if shown else ""
