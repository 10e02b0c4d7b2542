"""Which column is which: what the user named, and a guess of the rest from names and types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from vecload.errors import MappingError

Shape: TypeAlias = Literal["text", "integer", "bytes", "floats", "integers", "object", "other"]
"""What a column's values look like; `floats` and `integers` are lists of numbers."""

ID_NAMES = ("id", "_id", "ids", "doc_id", "uuid", "key", "__index_level_0__")
VECTOR_NAMES = ("vector", "embedding", "embeddings", "values", "emb")
CONTENTS_NAMES = ("contents", "content", "text", "document", "page_content", "body", "chunk")
METADATA_NAMES = ("metadata", "meta", "payload", "attributes")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a source: its name, what its values look like, and its type as the file names it."""

    name: str
    shape: Shape
    type_name: str = ""


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """What the user named; None, or no metadata columns, leaves it to the guess."""

    id: str | None = None
    vector: str | None = None
    contents: str | None = None
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which columns become which part of an item.

    vector: None where the index embeds the contents.
    contents: None where there are none.
    metadata_object: a column of JSON objects whose entries become the metadata.
    metadata_fields: columns that become metadata under their own names; None is every column left over.
    """

    id: str
    vector: str | None
    contents: str | None = None
    metadata_object: str | None = None
    metadata_fields: tuple[str, ...] | None = None
    used: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        named = {self.id, self.vector, self.contents, self.metadata_object} - {None}
        object.__setattr__(self, "used", frozenset(named))

    def leftover(self, names: Iterable[str]) -> list[str]:
        """Of these columns, those that become metadata under their own names."""
        if self.metadata_fields is not None:
            return [name for name in names if name in self.metadata_fields]
        return [name for name in names if name not in self.used]

    def needed(self) -> list[str] | None:
        """The columns that are asked for; None where every column is."""
        if self.metadata_fields is None:
            return None
        return sorted({*self.used, *self.metadata_fields})

    def __str__(self) -> str:
        fields = "the other columns" if self.metadata_fields is None else ", ".join(self.metadata_fields)
        metadata = " and ".join(part for part in (self.metadata_object, fields) if part)
        return (
            f"id {self.id}, vector {self.vector or 'none'}, contents {self.contents or 'none'}, "
            f"metadata {metadata or 'none'}"
        )


def guess_mapping(
    columns: Sequence[Column], choice: ColumnChoice, *, source: str, embed: bool = False
) -> Mapping:
    """Decide which column is which.

    Args:
        columns: The source's columns.
        choice: What the user named.
        source: For messages.
        embed: The index makes the vectors of the contents; no vector column is looked for.

    Raises:
        MappingError: A named column is missing, or the guess finds none or several.
    """
    by_name = {column.name: column for column in columns}
    if len(by_name) < len(columns):
        twice = next(c.name for i, c in enumerate(columns) if c.name in [d.name for d in columns[:i]])
        raise MappingError(f"{source} has two columns named {twice!r}", hint="rename one of them in the file")
    for flag, names in (
        ("--id-column", (choice.id,)),
        ("--vector-column", (choice.vector,)),
        ("--contents-column", (choice.contents,)),
        ("--metadata-column", choice.metadata),
    ):
        for name in names:
            if name is not None and name not in by_name:
                raise MappingError(
                    f"{source} has no column {name!r} ({flag})", hint=f"it has {_listed(by_name)}"
                )

    taken = {choice.id, choice.vector, choice.contents, *choice.metadata}
    free = [column for column in columns if column.name not in taken]
    id_column = choice.id or _first_named(ID_NAMES, free)
    if id_column is None:
        raise MappingError(
            f"{source} has no id column; it has {_listed(by_name)}", hint="name it with --id-column"
        )
    free = [column for column in free if column.name != id_column]
    vector = choice.vector or (None if embed else _guess_vector(free, source))
    free = [column for column in free if column.name != vector]
    contents = choice.contents or _first_named(
        CONTENTS_NAMES, [column for column in free if column.shape in ("text", "bytes", "other")]
    )
    if embed and contents is None:
        raise MappingError(
            f"{source} has no contents column, which --embed needs; it has {_listed(by_name)}",
            hint="name it with --contents-column",
        )
    if choice.metadata:
        objects = [name for name in choice.metadata if by_name[name].shape == "object"]
        named = _first_named(METADATA_NAMES, [by_name[name] for name in choice.metadata])
        spread = named or (objects[0] if objects and len(choice.metadata) == 1 else None)
        fields = tuple(name for name in choice.metadata if name != spread)
        return Mapping(id_column, vector, contents, spread, fields)
    free = [column for column in free if column.name != contents]
    spread = _first_named(METADATA_NAMES, [column for column in free if column.shape in ("object", "text")])
    return Mapping(id_column, vector, contents, spread)


def _guess_vector(columns: Sequence[Column], source: str) -> str:
    """The one column of lists of numbers, or the one with a usual name."""
    floats = [column for column in columns if column.shape == "floats"]
    integers = [column for column in columns if column.shape == "integers"]
    if len(floats) == 1:
        return floats[0].name
    # Integers may be tokens or tags: a usual name tells more than they do.
    candidates = floats or [column for column in columns if column.shape in ("integers", "bytes", "text")]
    usual = [column.name for column in candidates if column.name.lower() in VECTOR_NAMES]
    if len(usual) == 1:
        return usual[0]
    if not usual and not floats and len(integers) == 1:
        return integers[0].name
    if floats or usual:
        listed = _listed(usual or [column.name for column in floats])
        raise MappingError(
            f"{source} has several vector columns: {listed}", hint="pick one with --vector-column"
        )
    raise MappingError(
        f"{source} has no vector column; it has {_listed(column.name for column in columns)}",
        hint="name it with --vector-column",
    )


def _first_named(names: Sequence[str], columns: Sequence[Column]) -> str | None:
    by_lower = {column.name.lower(): column.name for column in reversed(columns)}
    return next((by_lower[name] for name in names if name in by_lower), None)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names) or "no columns"
