"""Mapping: which columns become which part of an item and why, and the rules that items follow."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from vecload.limits import CONTENTS_MAX_BYTES, ID_MAX_BYTES, ID_SEPARATOR, METADATA_DEPTH
from vecload.mapping.columns import Steps
from vecload.options import Nan, VectorDtype


@dataclass(frozen=True, slots=True)
class Rules:
    """How items are made of rows.

    id_prefix: stands before every id.
    id_separator: stands between the columns of an id that has several.
    generate_ids: a row without a usable id gets a digest of its item.
    vector_dtype: the numbers in a vector of bytes; None has them found from the first rows.
    max_id_bytes: of an id with its prefix, as UTF-8.
    max_depth: lists and objects inside one another, below the metadata object.
    max_contents_bytes: of contents, before they are sealed.
    max_metadata_bytes: of the metadata's JSON text; None leaves it to the target.
    nan: what becomes of NaN in metadata of Parquet, Arrow and NumPy.
    binary_as_text: bytes of Parquet and Arrow are text, but in vectors.
    """

    id_prefix: str = ""
    generate_ids: bool = False
    vector_dtype: VectorDtype | None = None
    max_id_bytes: int = ID_MAX_BYTES
    max_depth: int = METADATA_DEPTH
    max_contents_bytes: int = CONTENTS_MAX_BYTES
    max_metadata_bytes: int | None = None
    id_separator: str = ID_SEPARATOR
    nan: Nan = "omit"
    binary_as_text: bool = False

    def __str__(self) -> str:
        """What differs from the usual, for the journal; bytes are usually float32."""
        usual = Rules(vector_dtype="float32" if self.vector_dtype else None)
        own = ((field.name, getattr(self, field.name)) for field in fields(self))
        return ", ".join(f"{name} {value!r}" for name, value in own if value != getattr(usual, name))


NAMES_SHOWN = 3
"""Names of metadata in a line: more are counted."""


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """What the user named; None, or no metadata columns, leaves it to the guess.

    id, vector, contents, metadata: columns, or fields by their paths.
    more_ids: further columns; an id is made of all of them, joined.
    more_contents: further columns; contents are one JSON object of all of them.
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
    """Why each part is where it is: clauses for people; empty where an item has no such part."""

    id: str = ""
    vector: str = ""
    contents: str = ""
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
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
    unsupported: columns that hold what an index can't; a row with anything in one is a reject.
    cleartext_allowed: metadata that may hold text under a name of contents: the user or a folder named it.
        A row with other such text is a reject, since metadata is not sealed. None skips this check.
    shape: the known shape of the source, "" if it has none.
    more_ids: further columns of the id, joined to it by `rules.id_separator`.
    more_contents: further columns of the contents, which are then one JSON object.
    unsure_id: the id was taken because its values in the first rows do not repeat.
    vector_written: how the vectors are written, for people.
    unused: vectors and long lists of numbers that become no metadata, each with what it is.
    inner_objects: entries of the metadata object that are objects, whose entries join it.
    metadata_names: the names that metadata has in the first rows.
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
    unsupported: tuple[str, ...] = ()
    cleartext_allowed: frozenset[str] | None = None
    shape: str = ""
    more_ids: tuple[str, ...] = ()
    more_contents: tuple[str, ...] = ()
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
        """What is read for something else than a metadata field of its own."""
        one = {self.id, self.vector, self.contents, self.metadata_object} - {None}
        return {*(name for name in one if name), *self.more_ids, *self.more_contents, *self.unsupported}

    @property
    def ids(self) -> tuple[str, ...]:
        """All columns of the id; empty where every id is generated."""
        return () if self.id is None else (self.id, *self.more_ids)

    @property
    def all_contents(self) -> tuple[str, ...]:
        """All columns of the contents."""
        return () if self.contents is None else (self.contents, *self.more_contents)

    @property
    def id_guessed(self) -> bool:
        """Whether the ids are those of a column that nobody named."""
        return self.id is not None and self.reasons.id != "--id-column"

    @property
    def needs_nested_rows(self) -> bool:
        """Whether metadata or any part is not simply a column."""
        return bool(self.nested or self.excluded_fields or self.renamed or self.inner_objects)

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
        return [*dict.fromkeys(outer.get(name, name) for name in self.ids)]

    def needed(self) -> list[str] | None:
        """The columns that are asked for; None where every column is."""
        outer = {name: steps[0] for name, steps in self.nested}
        parts = self._parts()
        if self.metadata_fields is not None:
            return sorted({outer.get(name, name) for name in (*parts, *self.metadata_fields)})
        if not self.excluded:
            return None
        idle = set(self.excluded) - {outer.get(name, name) for name in parts}
        return [name for name in self.columns if name not in idle]

    def line(self, dimension: int, *, seal: bool) -> str:
        """What was chosen, in a line for people.

        Args:
            dimension: Of the vectors; 0 where there are none.
            seal: Contents are sealed.
        """
        vector = "made by the index"
        if self.vector is not None:
            written = re.sub(r"^[0-9,]+ (?=numbers|integers)", "", self.vector_written)
            vector = f"{self.vector} ({dimension:,}{f', {written}' if written else ''})"
        contents = "none"
        if self.contents is not None:
            contents = f"{' + '.join(self.all_contents)}, {'sealed' if seal else 'unsealed'}"
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

    def as_json(self, dimension: int, *, seal: bool) -> dict[str, Any]:
        """What was chosen, as `--json` of upsert and of inspect has it: docs/inspect.md."""
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
            "shape": self.shape,
            "line": self.line(dimension, seal=seal),
            "text": str(self),
            "reasons": asdict(self.reasons),
        }

    def __str__(self) -> str:
        fields = "the other columns" if self.metadata_fields is None else ", ".join(self.metadata_fields)
        metadata = " and ".join(part for part in (self.metadata_object, fields) if part) or "none"
        without = [*self.excluded, *(".".join(steps) for steps in self.excluded_fields)]
        told = [
            f"id {' + '.join(self.ids) or 'generated'}",
            f"vector {self.vector or 'none'}",
            f"contents {' + '.join(self.all_contents) or 'none'}",
            f"metadata {metadata}" + (f" without {', '.join(without)}" if without else ""),
            *(f"{old} as {new}" for old, new in self.renamed),
            str(self.rules),
        ]
        return ", ".join(part for part in told if part)
