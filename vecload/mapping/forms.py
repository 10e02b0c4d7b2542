"""Form: one way in which a tool writes its rows, as a recipe says it; and whether columns have it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from vecload.mapping.columns import Column
from vecload.mapping.paths import EACH, ENTRIES, Steps, dig, elements, path_of
from vecload.options import VectorDtype

_ITEM_NAMES = frozenset({"id", "_id", "uuid", "key"})
"""Fields that an item may have, and no page."""
FormKind: TypeAlias = Literal["any", "text", "number", "object", "list"]
"""What a condition asks of a value."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Where a form has something, and of which kind."""

    steps: Steps
    kind: FormKind = "any"

    def __str__(self) -> str:
        return path_of(self.steps) + (f": {self.kind}" if self.kind != "any" else "")


@dataclass(frozen=True, slots=True)
class RejectRule:
    """Which rows a form rejects.

    at: a field.
    unless: values with which the row is none of them; if there are none, a row is one with any value there.
    says: the message of the reject. It holds nothing of the row but a number at `at`.
    """

    at: Steps
    says: str
    unless: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a tool's rows. The fields are those of a recipe (docs/recipes.md).

    Of several paths for a part, the first that exists counts.
    """

    recipe: str
    what: str = ""
    has: tuple[Condition, ...] = ()
    has_one_of: tuple[Condition, ...] = ()
    lacks: tuple[Condition, ...] = ()
    by_name: bool = False
    marked: bool = False
    refused: str = ""
    hint: str = ""

    only: tuple[str, ...] = ()

    rows: Steps = ()
    columns: tuple[Steps, ...] = ()
    empty: tuple[str, ...] = ()
    outer: tuple[str, ...] = ()
    key: str = ""
    value: str = ""
    pairs: str = ""
    alone: tuple[str, ...] = ()
    companion: str = ""
    join: tuple[tuple[str, Steps], ...] = ()
    join_companion: tuple[tuple[str, Steps], ...] = ()
    each: Steps = ()
    blocks: Steps = ()
    chunks: Steps = ()
    single: tuple[Steps, ...] = ()
    typed: tuple[tuple[str, str], ...] = ()
    drop: tuple[Steps, ...] = ()
    absent: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    first: tuple[tuple[str, tuple[Steps, ...]], ...] = ()
    octets: tuple[Steps, ...] = ()
    objects: tuple[tuple[str, tuple[str, ...]], ...] = ()
    numbered: tuple[str, ...] = ()
    rejects: tuple[RejectRule, ...] = ()
    row_rejects: tuple[RejectRule, ...] = ()

    id: tuple[str, ...] = ()
    vector: tuple[str, ...] = ()
    vector_dtype: VectorDtype | None = None
    contents: tuple[str, ...] = ()
    contents_else: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    spread: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()

    @property
    def digest(self) -> str:
        """A digest of it, by which another run knows that rows become the same."""
        return hashlib.blake2b(repr(self).encode(), digest_size=8).hexdigest()

    @property
    def multiplies(self) -> bool:
        """Whether a line or a document gives any number of rows."""
        return bool(self.rows or self.columns or self.splits)

    @property
    def splits(self) -> bool:
        """Whether a row becomes several."""
        return bool(self.each or self.blocks or self.chunks)

    @property
    def reshapes(self) -> bool:
        """Whether rows have to be changed before their columns are mapped; only JSON rows can be."""
        return self.multiplies or self.finishes or bool(self.pairs or self.rejects or self.row_rejects)

    @property
    def finishes(self) -> bool:
        """Whether single rows are changed."""
        return bool(
            self.single or self.typed or self.octets or self.drop or self.absent or self.first or self.objects
        )

    def fits_columns(self, columns: Sequence[Column]) -> bool:
        """Whether columns, with their values in the first rows, have this form."""
        marks = {name for name, _ in self.typed}
        if self.marked and not any(_is_marked(column, marks) for column in columns):
            return False
        if self.only:
            first = {column.name for column in columns if column.values and column.values[0] is not None}
            if not first or not first.issubset(self.only):
                return False
        return self._fits(lambda condition: _in_columns(columns, condition))

    def fits_value(self, value: Any) -> bool:
        """Whether a JSON document has this form."""
        return not self.marked and not self.only and self._fits(lambda one: _in_value(value, one))

    def is_empty_in(self, value: Any) -> bool:
        """Whether a JSON document is a page of this form without rows.

        The list or object of rows is there and empty. Something else has to show that the document is such
        a page, as an item may have an empty list: the place itself is nested, or a condition holds next to
        it, or one of the fields of `empty` is there. And there is no sign of an item: an id, or a list.
        """
        if not isinstance(value, dict) or not _ITEM_NAMES.isdisjoint(value):
            return False
        if any(isinstance(one, list) and one for one in value.values()):
            return False
        ends = [at for at, step in enumerate(self.rows) if step in (EACH, ENTRIES)]
        way = self.rows[: ends[0]] if ends else ()
        if not way or not isinstance(dig(value, way), list | dict):
            return False
        if next(iter(elements(value, self.rows[: ends[-1] + 1])), None) is not None:
            return False
        beside = [one for one in (*self.has, *self.has_one_of) if one.steps[: len(way)] != way]
        known = len(way) > 1 or bool(beside) or any(name in value for name in self.empty)
        return known and all(_in_value(value, one) for one in beside if one in self.has)

    def _fits(self, holds: Callable[[Condition], bool]) -> bool:
        return (
            all(map(holds, self.has))
            and (not self.has_one_of or any(map(holds, self.has_one_of)))
            and not any(map(holds, self.lacks))
        )


def _is_marked(column: Column, marks: set[str]) -> bool:
    """Whether values of a column, or elements of its lists, are typed values."""
    inside = column.fields or column.elements
    return bool(inside) and all(field.name in marks for field in inside)


def _in_columns(columns: Sequence[Column], condition: Condition) -> bool:
    first, *rest = condition.steps
    column = next((each for each in columns if each.name == first), None)
    if column is None:
        return False
    if not rest:
        return _is_kind(column, condition.kind)
    for at, step in enumerate(rest):
        if step in (EACH, ENTRIES) or (step.startswith("[") and step.endswith("]")):
            values = [dig(value, rest[at:]) for value in column.values]
            return any(value is not None and _kind_fits(value, condition.kind) for value in values)
        inner = next((each for each in column.fields if each.name == step), None)
        if inner is None:
            return False
        column = inner
    return _is_kind(column, condition.kind)


def _is_kind(column: Column, kind: FormKind) -> bool:
    if kind == "any":
        return True
    given = next((value for value in column.values if value is not None), None)
    if given is not None and not (kind == "object" and isinstance(given, str)):
        return _kind_fits(given, kind)
    if kind == "object":
        return column.kind == "object" or bool(column.fields)
    if kind == "list":
        return column.kind in ("floats", "integers") or bool(column.elements)
    return column.kind == ("integer" if kind == "number" else kind)


def _in_value(value: Any, condition: Condition) -> bool:
    for step in condition.steps:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif step in (EACH, ENTRIES) or step.startswith("["):
            value = dig(value, (step,))
            if value is None:
                return False
        else:
            return False
    return _kind_fits(value, condition.kind)


def _kind_fits(value: Any, kind: FormKind) -> bool:
    if kind == "any":
        return True
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str if kind == "text" else dict if kind == "object" else list)
