"""Mapping: which columns become which part of an item, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from vecload.mapping.columns import Steps
from vecload.mapping.rules import Rules


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """What the user named; None, or no metadata columns, leaves it to the guess.

    id, vector, contents, metadata: columns, or fields by their dot paths.
    excluded: columns, fields and metadata names that become no metadata.
    renamed: metadata names, and what they become.
    shape: a known shape; None has it recognised.
    """

    id: str | None = None
    vector: str | None = None
    contents: str | None = None
    metadata: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    shape: str | None = None


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why each part is where it is: clauses for people; empty where an item has no such part."""

    id: str = ""
    vector: str = ""
    contents: str = ""
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which columns become which part of an item.

    id: None where every id is generated.
    vector: None where the index embeds the contents.
    contents: None where there are none.
    metadata_object: a column of JSON objects whose entries become the metadata.
    metadata_fields: columns that become metadata under their own names; None is every column left over.
    excluded: columns that become no metadata.
    excluded_fields: fields in columns, and entries of the metadata object, that become no metadata.
    renamed: metadata names in the source, and what they become.
    nested: of the names above, those that are no columns but fields in one, and the way to each.
    refused: columns that hold what an index can't; a row with anything in one is a reject.
    late_contents: names that the first rows don't have: a row with text under one is a reject, or it would
        become metadata, which is not sealed.
    shape: the known shape of the source, "" if it has none.
    rules: what else is asked of items.
    columns: the names that were known when this was chosen.
    reasons: why each part is where it is.
    """

    id: str | None
    vector: str | None
    contents: str | None = None
    metadata_object: str | None = None
    metadata_fields: tuple[str, ...] | None = None
    excluded: tuple[str, ...] = ()
    excluded_fields: tuple[Steps, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    nested: tuple[tuple[str, Steps], ...] = ()
    refused: tuple[str, ...] = ()
    late_contents: frozenset[str] = frozenset()
    shape: str = ""
    rules: Rules = field(default_factory=Rules)
    columns: tuple[str, ...] = field(default=(), compare=False, repr=False)
    reasons: Reasons = field(default_factory=Reasons, compare=False)
    used: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        named = {self.id, self.vector, self.contents, self.metadata_object, *self.excluded, *self.refused}
        object.__setattr__(self, "used", frozenset(named - {None}))

    @property
    def id_guessed(self) -> bool:
        """Whether the ids are those of a column that nobody named."""
        return self.id is not None and self.reasons.id != "--id-column"

    @property
    def reshapes(self) -> bool:
        """Whether metadata or any part is not simply a column."""
        return bool(self.nested or self.excluded_fields or self.renamed)

    def leftover(self, names: Iterable[str]) -> list[str]:
        """Of these columns, those that become metadata under their own names."""
        if self.metadata_fields is not None:
            return [name for name in names if name in self.metadata_fields]
        return [name for name in names if name not in self.used]

    def id_columns(self) -> list[str] | None:
        """The columns that tell a row's id; None where all of the row does."""
        if self.id is None or self.rules.generate_ids:
            return None
        outer = {name: steps[0] for name, steps in self.nested}
        return [outer.get(self.id, self.id)]

    def needed(self) -> list[str] | None:
        """The columns that are asked for; None where every column is."""
        outer = {name: steps[0] for name, steps in self.nested}
        parts = {self.id, self.vector, self.contents, self.metadata_object, *self.refused} - {None}
        if self.metadata_fields is not None:
            return sorted({outer.get(name, name) for name in (*parts, *self.metadata_fields) if name})
        if not self.excluded:
            return None
        idle = set(self.excluded) - {outer.get(name, name) for name in parts if name}
        return [name for name in self.columns if name not in idle]

    def __str__(self) -> str:
        fields = "the other columns" if self.metadata_fields is None else ", ".join(self.metadata_fields)
        metadata = " and ".join(part for part in (self.metadata_object, fields) if part) or "none"
        without = [*self.excluded, *(".".join(steps) for steps in self.excluded_fields)]
        told = [
            f"id {self.id or 'generated'}",
            f"vector {self.vector or 'none'}",
            f"contents {self.contents or 'none'}",
            f"metadata {metadata}" + (f" without {', '.join(without)}" if without else ""),
            *(f"{old} as {new}" for old, new in self.renamed),
            str(self.rules),
        ]
        return ", ".join(part for part in told if part)
