"""NestedRows: rows whose parts are fields inside columns, and whose metadata is renamed or partly omitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
from numpy.typing import NDArray

from vecload.batch import Contents, Metadata, Vectors
from vecload.mapping.mapping import ColumnMapping, Rules
from vecload.mapping.paths import Steps
from vecload.mapping.rows import Fault, Mapped, Rows, fault_of_name_conflict
from vecload.options import VectorDtype


def without(entries: dict[str, Any], left_out: Sequence[Steps]) -> dict[str, Any]:
    """An object without some fields, and without the objects that become empty by that."""
    for first, *rest in left_out:
        if first not in entries:
            continue
        inner = entries[first]
        others = {name: value for name, value in entries.items() if name != first}
        if isinstance(inner, str) and rest:
            try:
                inner = orjson.loads(inner)
            except ValueError:
                continue
        if not rest:
            entries = others
        elif isinstance(inner, dict):
            less = without(inner, [tuple(rest)])
            entries = {name: less if name == first else value for name, value in entries.items()}
            if inner and not less:
                entries = others
    return entries


def joined(fields: dict[str, Any], entries: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Two objects as one, and a name that has different values in them, if any. Null is a value."""
    both = {**fields, **entries}
    if len(both) == len(fields) + len(entries):
        return both, None
    differ = (name for name in fields if name in entries and not same(fields[name], entries[name]))
    return both, next(differ, None)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal. 1 equals 1.0, but not true."""
    if type(one) is dict and type(other) is dict:
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if type(one) is list and type(other) is list:
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def holds_anything(value: Any) -> bool:
    """Whether a value contains a number, a text or a boolean at any depth."""
    if isinstance(value, dict | list):
        return any(map(holds_anything, value.values() if isinstance(value, dict) else value))
    return value is not None and value != ""


class NestedRows:
    """Rows for a mapping with nested, omitted or renamed fields.

    Args:
        rows: The rows from the reader.
        mapping: A mapping that `needs_nested_rows`.
    """

    def __init__(self, rows: Rows, mapping: ColumnMapping) -> None:
        self.span = rows.span
        self.broken = rows.broken
        self.offsets = rows.offsets
        self.columns_vary = rows.columns_vary
        self.raw = rows.raw
        self._rows = rows
        self._fields = {name: rows.field(name, steps) for name, steps in mapping.nested}

    def _of(self, column: str) -> Rows:
        return self._fields.get(column, self._rows)

    def with_rules(self, rules: Rules) -> Rows:
        """The reader's rows, with NaN and bytes read as the rules say."""
        return self._rows.with_rules(rules)

    def field(self, name: str, steps: Steps) -> Rows:
        """A field inside a column, as a column of its own."""
        return self._rows.field(name, steps)

    def non_empty_rows(self, column: str) -> list[int]:
        """The positions of rows whose value in the column is neither null nor empty."""
        return self._of(column).non_empty_rows(column)

    def values(self, column: str) -> Sequence[Any]:
        """The values of a column, for guesses."""
        return self._of(column).values(column)

    def ids(self, column: str) -> Mapped[list[str]]:
        """Ids as text."""
        return self._of(column).ids(column)

    def vector_lengths(self, column: str, dtype: VectorDtype | None = None) -> NDArray[Any]:
        """Length of each row's vector; -1 if it has none."""
        return self._of(column).vector_lengths(column, dtype)

    def vectors(self, column: str, dimension: int, dtype: VectorDtype | None = None) -> Mapped[Vectors]:
        """Vectors: float32, C-contiguous, shape (n, dimension)."""
        return self._of(column).vectors(column, dimension, dtype)

    def contents(self, column: str) -> Mapped[list[Contents | None] | None]:
        """Text, bytes or None."""
        return self._of(column).contents(column)

    def metadata(self, mapping: ColumnMapping) -> Mapped[list[Metadata | None] | None]:
        """The metadata without omitted fields, under its new names."""
        n = len(self.span)
        ways = dict(mapping.nested)
        spread = mapping.metadata_object
        fields = replace(mapping, metadata_object=None, excluded=_all_used(mapping))
        parts: list[tuple[Mapped[list[Metadata | None] | None], list[Steps]]] = [
            (self._rows.metadata(fields), [*mapping.excluded_fields])
        ]
        for name in mapping.metadata_fields or ():
            if name in self._fields:
                alone = ColumnMapping(None, None, metadata_fields=(name,), rules=mapping.rules)
                parts.append((self._fields[name].metadata(alone), _below(mapping, ways[name], (name,))))
        if spread is not None:
            alone = ColumnMapping(None, None, metadata_object=spread, metadata_fields=(), rules=mapping.rules)
            way = ways.get(spread, (spread,))
            parts.append((self._of(spread).metadata(alone), _below(mapping, way, ())))
        names = dict(mapping.renamed)
        faults: dict[int, Fault] = {}
        nan: list[int] = []
        found: list[Metadata | None] = [None] * n
        for part, left_out in parts:
            nan += part.nan
            faults |= {position: fault for position, fault in part.faults.items() if position not in faults}
            for position, entries in enumerate(part.values or ()):
                kept = without(entries, left_out) if entries and left_out else entries
                if kept:
                    found[position], taken = joined(found[position] or {}, kept)
                    if taken is not None:
                        faults.setdefault(position, fault_of_name_conflict(taken, spread or ""))
        for name in mapping.inner_objects:
            for position, entries in enumerate(found):
                inner = entries.get(name) if entries else None
                if entries and isinstance(inner, dict):
                    outer = {key: value for key, value in entries.items() if key != name}
                    both, taken = joined(outer, inner)
                    found[position] = both or None
                    if taken is not None:
                        faults.setdefault(position, fault_of_name_conflict(taken, f"{spread}.{name}"))
        if names:
            for position, entries in enumerate(found):
                if entries and not names.keys().isdisjoint(entries):
                    found[position], taken = _renamed(entries, names)
                    if taken is not None:
                        message = f"already has {taken!r}, so nothing else can be renamed to it"
                        faults.setdefault(position, Fault("metadata", "name-taken", message))
        for steps, new in mapping.renamed_fields:
            for position, entries in enumerate(found):
                if entries:
                    found[position], taken = _renamed_inside(entries, steps, new)
                    if taken is not None:
                        message = f"already has {taken!r}, so nothing else can be renamed to it"
                        faults.setdefault(position, Fault("metadata", "name-taken", message))
        return Mapped(found if any(found) else None, faults, nan)


def _below(mapping: ColumnMapping, way: Steps, under: Steps) -> list[Steps]:
    """The omitted fields below a place, with their steps from there."""
    deep = len(way)
    return [
        (*under, *steps[deep:])
        for steps in mapping.excluded_fields
        if len(steps) > deep and steps[:deep] == way
    ]


def _all_used(mapping: ColumnMapping) -> tuple[str, ...]:
    """The columns that do not become metadata themselves: excluded ones, and the metadata object."""
    spread = mapping.metadata_object
    return mapping.excluded if spread is None else (*mapping.excluded, spread)


def _renamed(entries: dict[str, Any], names: dict[str, str]) -> tuple[dict[str, Any], str | None]:
    """Entries under their new names, and a new name that two entries with different values would share."""
    renamed: dict[str, Any] = {}
    taken: str | None = None
    for name, value in entries.items():
        new = names.get(name, name)
        if taken is None and new in renamed and not same(renamed[new], value):
            taken = new
        renamed[new] = value
    return renamed, taken


def _renamed_inside(entries: dict[str, Any], steps: Steps, new: str) -> tuple[dict[str, Any], str | None]:
    """Entries with a field inside them under its new name, and that name if it is taken."""
    first, *rest = steps
    inner = entries.get(first)
    if not rest:
        return _renamed(entries, {first: new}) if first in entries else (entries, None)
    if not isinstance(inner, dict):
        return entries, None
    changed, taken = _renamed_inside(inner, tuple(rest), new)
    return {**entries, first: changed}, taken
