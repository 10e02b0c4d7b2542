"""Fields: what the metadata of many items has under each name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from vecload.batch import Metadata
from vecload.loading.explain import UNIQUE_PART, UNIQUE_ROWS

DISTINCT_ROWS = 20_000
"""Values of a field that are compared, so that memory stays bounded."""
FIELDS_MAX = 200
"""Fields that are told apart; metadata with keys of data in them could have any number."""
_KINDS = {str: "text", bool: "boolean", int: "integer", float: "number", list: "list", dict: "object"}


@dataclass(slots=True)
class Field:
    """One metadata field, by its dot path.

    present: Items that have it, nulls not counted.
    kinds: What its values are: text, integer, number, boolean, list.
    compared, distinct: Of its first values, and how many different ones they are.
    """

    name: str
    present: int = 0
    kinds: set[str] = field(default_factory=set)
    compared: int = 0
    values: set[int] = field(default_factory=set, repr=False)

    @property
    def distinct(self) -> int:
        """How many different values were met among those compared."""
        return len(self.values)

    @property
    def nearly_all_different(self) -> bool:
        """Whether a filter on it would find next to nothing."""
        return self.compared >= UNIQUE_ROWS and self.distinct >= UNIQUE_PART * self.compared


class Fields:
    """The metadata fields of the items looked at."""

    def __init__(self) -> None:
        self.items = 0
        self._fields: dict[str, Field] = {}

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields.values())

    def add(self, metadata: Sequence[Metadata | None] | None, items: int) -> None:
        """Look at the metadata of that many items."""
        self.items += items
        for entries in metadata or ():
            if entries:
                for path, value in _leaves(entries, ""):
                    self._add(path, value)

    def _add(self, path: str, value: Any) -> None:
        known = self._fields.get(path)
        if known is None:
            if len(self._fields) >= FIELDS_MAX:
                return
            known = self._fields[path] = Field(path)
        if value is None:
            return
        known.present += 1
        known.kinds.add(_KINDS.get(type(value), type(value).__name__))
        if known.compared < DISTINCT_ROWS:
            known.compared += 1
            known.values.add(hash(repr(value)))


def _leaves(entries: Metadata, prefix: str) -> Iterator[tuple[str, Any]]:
    """Dot paths and values; the engine's policies name fields inside objects so."""
    for name, value in entries.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
