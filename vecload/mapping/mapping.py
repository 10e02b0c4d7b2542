"""ColumnMapping: which column becomes which part of an item and why; and the rules that items follow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from vecload.limits import CONTENTS_MAX_BYTES, ID_MAX_BYTES, ID_SEPARATOR, METADATA_DEPTH
from vecload.mapping.paths import Steps, path_of
from vecload.options import CsvTypes, GeneratedIds, Nan, VectorDtype


@dataclass(frozen=True, slots=True)
class Rules:
    """How rows become items.

    id_prefix: put before every id.
    id_separator: put between the columns of an id that is made of several.
    generate_ids: a row without a usable id gets a digest of its item as the id; with `rows` its number.
    vector_dtype: the number type of vectors written as bytes; None detects it from the first rows.
    max_id_bytes: largest id including its prefix, as UTF-8.
    max_depth: deepest nesting of lists and objects below the metadata object.
    max_contents_bytes: largest contents, before they are sealed.
    max_metadata_bytes: longest JSON text of the metadata; None leaves the limit to the target.
    nan: what to do with NaN in metadata from Parquet, Arrow and NumPy.
    binary_as_text: bytes in Parquet and Arrow columns are text, except in vectors.
    csv_types: whether columns of CSV may be numbers, or all are text.
    """

    id_prefix: str = ""
    generate_ids: bool | GeneratedIds = False
    vector_dtype: VectorDtype | None = None
    max_id_bytes: int = ID_MAX_BYTES
    max_depth: int = METADATA_DEPTH
    max_contents_bytes: int = CONTENTS_MAX_BYTES
    max_metadata_bytes: int | None = None
    id_separator: str = ID_SEPARATOR
    nan: Nan = "omit"
    binary_as_text: bool = False
    csv_types: CsvTypes = "infer"

    def __str__(self) -> str:
        """The rules that differ from the defaults, for the journal. For bytes, float32 is the default."""
        default = Rules(vector_dtype="float32" if self.vector_dtype else None)
        own = ((field.name, getattr(self, field.name)) for field in fields(self))
        return ", ".join(f"{name} {value!r}" for name, value in own if value != getattr(default, name))


NAMES_SHOWN = 3
"""Metadata names that a line lists; it counts the others."""


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """What the user chose. None, or no metadata columns, leaves a part to the guess.

    id, vector, contents, metadata: columns, or paths of fields.
    more_ids: more id columns; an id joins the values of all of them.
    more_contents: more contents columns; the contents are then one JSON object.
    excluded: columns, fields and metadata names to omit from the metadata.
    renamed: metadata names, and their new names.
    """

    id: str | None = None
    vector: str | None = None
    contents: str | None = None
    metadata: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    more_ids: tuple[str, ...] = ()
    more_contents: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """All columns of the id."""
        return () if self.id is None else (self.id, *self.more_ids)

    @property
    def all_contents(self) -> tuple[str, ...]:
        """All columns of the contents."""
        return () if self.contents is None else (self.contents, *self.more_contents)


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why each column was chosen, for people; empty if items have no such part."""

    id: str = ""
    vector: str = ""
    contents: str = ""
    metadata: str = ""


OF_AN_INDEX = "an item's part"
"""The reason for every column of an index, and of an export of one."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which column becomes which part of an item. A part may also be a field inside a column.

    id: None if every id is generated.
    vector: None if the index makes all vectors from the contents.
    contents: None if there are none.
    metadata_object: a column of JSON objects, whose entries become metadata.
    metadata_fields: columns that become metadata under their own names; None means all remaining columns.
    excluded: columns that do not become metadata.
    excluded_fields: fields of columns, and entries of the metadata object, that do not become metadata.
    renamed: metadata names in the source, and their new names.
    renamed_fields: steps inside the metadata to fields, and the new name of each.
    nested: those of the names above that are fields inside columns, each with its steps.
    unsupported: columns whose values an index can't store; a row with a value in one is a reject.
    cleartext_allowed: metadata that may hold text under a name of contents: the user or a folder named it.
        A row with other such text is a reject, since metadata is not sealed. None skips this check.
    embed: the index makes the vectors of rows that have none from their contents.
    recipe: the recipe whose form the source has; "" if it has none.
    reshaped: a digest of that form, if it changes rows before their columns are mapped.
    more_ids: more id columns, joined by `rules.id_separator`.
    more_contents: more contents columns; the contents are then one JSON object.
    contents_bytes: the column of contents that are bytes, where `contents` has those that are text.
    unsure_id: the id column was chosen only because its values in the first rows do not repeat.
    vector_written: how the vectors are written, for people.
    unused: vectors and long lists of numbers that do not become metadata, each with a description.
    inner_objects: entries of the metadata that are objects themselves, whose entries join it.
    metadata_names: the names of the metadata in the first rows.
    rules: the rules that items follow.
    columns: the columns that were known at the time of the choice.
    reasons: why each column was chosen.
    """

    id: str | None
    vector: str | None
    contents: str | None = None
    metadata_object: str | None = None
    metadata_fields: tuple[str, ...] | None = None
    excluded: tuple[str, ...] = ()
    excluded_fields: tuple[Steps, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    renamed_fields: tuple[tuple[Steps, str], ...] = ()
    nested: tuple[tuple[str, Steps], ...] = ()
    unsupported: tuple[str, ...] = ()
    cleartext_allowed: frozenset[str] | None = None
    embed: bool = False
    recipe: str = ""
    reshaped: str = ""
    more_ids: tuple[str, ...] = ()
    more_contents: tuple[str, ...] = ()
    contents_bytes: str | None = None
    unsure_id: bool = field(default=False, compare=False)
    vector_written: str = field(default="", compare=False)
    unused: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    inner_objects: tuple[str, ...] = ()
    metadata_names: tuple[str, ...] = field(default=(), compare=False, repr=False)
    rules: Rules = field(default_factory=Rules)
    columns: tuple[str, ...] = field(default=(), compare=False, repr=False)
    reasons: Reasons = field(default_factory=Reasons, compare=False)
    used: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        named = {*self._parts(), *self.excluded}
        object.__setattr__(self, "used", frozenset(named))

    def _parts(self) -> set[str]:
        """The columns that are read for another reason than to become a metadata field."""
        one = {self.id, self.vector, self.contents, self.contents_bytes, self.metadata_object} - {None}
        return {*(name for name in one if name), *self.more_ids, *self.more_contents, *self.unsupported}

    @property
    def ids(self) -> tuple[str, ...]:
        """All columns of the id; empty if every id is generated."""
        return () if self.id is None else (self.id, *self.more_ids)

    @property
    def all_contents(self) -> tuple[str, ...]:
        """All columns of the contents."""
        return () if self.contents is None else (self.contents, *self.more_contents)

    @property
    def id_guessed(self) -> bool:
        """Whether the id column was guessed."""
        return self.id is not None and self.reasons.id not in ("--id-column", OF_AN_INDEX)

    @property
    def needs_nested_rows(self) -> bool:
        """Whether a part is a field inside a column, or metadata is renamed or partly omitted."""
        renamed = self.renamed or self.renamed_fields
        return bool(self.nested or self.excluded_fields or renamed or self.inner_objects)

    def leftover(self, names: Iterable[str]) -> list[str]:
        """Those of these columns that become metadata under their own names."""
        if self.metadata_fields is not None:
            return [name for name in names if name in self.metadata_fields]
        return [name for name in names if name not in self.used]

    def id_columns(self) -> list[str] | None:
        """The columns that decide a row's id; None if all of its columns do."""
        if self.id is None or self.rules.generate_ids:
            return None
        outer = {name: steps[0] for name, steps in self.nested}
        return [*dict.fromkeys(outer.get(name, name) for name in self.ids)]

    def needed(self) -> list[str] | None:
        """The columns that have to be read; None if all have."""
        outer = {name: steps[0] for name, steps in self.nested}
        parts = self._parts()
        if self.metadata_fields is not None:
            return sorted({outer.get(name, name) for name in (*parts, *self.metadata_fields)})
        if not self.excluded:
            return None
        idle = set(self.excluded) - {outer.get(name, name) for name in parts}
        return [name for name in self.columns if name not in idle]

    def line(self, dimension: int, *, seal: bool) -> str:
        """The choice, in one line for people.

        Args:
            dimension: Dimension of the vectors; 0 if there are none.
            seal: Whether contents are sealed.
        """
        vector = "made by the index"
        if self.vector is not None:
            written = re.sub(r"^[0-9,]+ (?=numbers|integers)", "", self.vector_written)
            known = ", ".join(part for part in (f"{dimension:,}" if dimension else "", written) if part)
            vector = f"{self.vector}{f' ({known})' if known else ''}{', else made by the index' * self.embed}"
        contents = "none"
        if self.contents is not None:
            contents = f"{' + '.join(self.all_contents)}, {self._sealed(seal)}"
        names = ", ".join(self.metadata_names[:NAMES_SHOWN])
        more = len(self.metadata_names) - NAMES_SHOWN
        parts = [
            f"id: {' + '.join(self.ids) or 'generated'}",
            f"vector: {vector}",
            f"contents: {contents}",
            f"metadata: {names or 'none'}{f' and {more} more' if more > 0 else ''}",
        ]
        if self.unused:
            unused = [f"{name} ({what})" for name, what in self.unused[:NAMES_SHOWN]]
            more = len(self.unused) - NAMES_SHOWN
            parts.append(f"left out: {', '.join(unused)}{f' and {more} more' if more > 0 else ''}")
        return " · ".join(parts)

    def _sealed(self, seal: bool) -> str:
        """Which contents are sealed, for people: not those that the index reads."""
        if not seal or (self.embed and self.vector is None):
            return "unsealed"
        return "sealed if the row has a vector" if self.embed else "sealed"

    def as_json(self, dimension: int, *, seal: bool) -> dict[str, Any]:
        """The choice, as upsert and inspect print it with `--json` (docs/inspect.md)."""
        return {
            "id": self.id,
            "id_columns": [*self.ids],
            "vector": self.vector,
            "vector_written": self.vector_written or None,
            "contents": self.contents,
            "contents_columns": [*self.all_contents],
            "metadata_object": self.metadata_object,
            "metadata_fields": None if self.metadata_fields is None else [*self.metadata_fields],
            "metadata_names": [*self.metadata_names],
            "left_out": [{"name": name, "what": what} for name, what in self.unused],
            "recipe": self.recipe,
            "line": self.line(dimension, seal=seal),
            "text": str(self),
            "reasons": asdict(self.reasons),
        }

    def __str__(self) -> str:
        fields = "the other columns" if self.metadata_fields is None else ", ".join(self.metadata_fields)
        metadata = " and ".join(part for part in (self.metadata_object, fields) if part) or "none"
        without = [*self.excluded, *map(path_of, self.excluded_fields)]
        said = [
            f"id {' + '.join(self.ids) or 'generated'}",
            f"vector {self.vector or 'none'}",
            f"contents {' + '.join(self.all_contents) or 'none'}",
            f"metadata {metadata}" + (f" without {', '.join(without)}" if without else ""),
            *(f"{old} as {new}" for old, new in self.renamed),
            *(f"{path_of(steps)} as {new}" for steps, new in self.renamed_fields),
            str(self.rules),
            f"rows by {self.recipe} {self.reshaped}".replace("  ", " ") if self.reshaped else "",
        ]
        return ", ".join(part for part in said if part)


def unsealed_line(mappings: Sequence[ColumnMapping], *, seal: bool) -> str:
    """What is said of contents that are not sealed; "" if all are.

    Args:
        mappings: Those of all sources.
        seal: Whether contents are sealed.
    """
    with_contents = [mapping for mapping in mappings if mapping.contents is not None]
    if not with_contents:
        return ""
    if not seal:
        return "contents are not sealed: the engine loses their type, and treats empty ones as missing"
    if not any(mapping.embed for mapping in with_contents):
        return ""
    whose = " of rows without a vector" if any(mapping.vector for mapping in with_contents) else ""
    return f"contents{whose} are not sealed: the index reads them to make the vectors"
