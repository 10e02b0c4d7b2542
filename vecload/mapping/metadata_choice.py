"""Chooses the metadata: the entries of an object, the remaining columns, and what of them is omitted."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import dataclass

from vecload.errors import MappingError
from vecload.mapping.columns import (
    Column,
    deepest,
    find,
    first_named,
    listed,
    missing_error,
    with_named,
)
from vecload.mapping.forms import Form
from vecload.mapping.mapping import ColumnChoice
from vecload.mapping.paths import PathError, Steps, steps_of
from vecload.mapping.vector_choice import OBJECTS_OF_VECTORS

METADATA_NAMES = ("metadata", "meta", "payload", "attributes", "cmetadata")
GET_FIELDS = {"id", "vector", "metadata", "contents", "sealed"}
"""The fields that `vecload get` prints. `sealed`, whether the contents were sealed, is not metadata."""


@dataclass(frozen=True, slots=True)
class MetadataChoice:
    """The metadata part of a ColumnMapping; `steps` lead to the object."""

    object: str | None
    fields: tuple[str, ...] | None
    excluded: tuple[str, ...]
    excluded_fields: tuple[Steps, ...]
    renamed: tuple[tuple[str, str], ...]
    renamed_fields: tuple[tuple[Steps, str], ...]
    unsupported: tuple[str, ...]
    steps: dict[str, Steps]
    reason: str


def choose_metadata(
    columns: Sequence[Column],
    choice: ColumnChoice,
    form: Form | None,
    parts: Dict[str, Steps],
    source: str,
    *,
    idle: Sequence[str] = (),
    more: bool = False,
    unused: Sequence[Steps] = (),
) -> MetadataChoice:
    """Decide what becomes metadata.

    Args:
        columns: The source's columns.
        choice: What the user chose.
        form: The form of a recipe that the rows have.
        parts: Columns and fields that are another part or that the user named as metadata, with their steps.
        source: For messages.
        idle: Columns that become metadata only if the user names them.
        more: Later rows may have more columns and entries.
        unused: Columns and fields that do not become metadata. A field inside a list excludes the whole list.

    Raises:
        MappingError: A name to omit or rename does not exist, or a new name is taken.
    """
    spread, fields, reason = _what(columns, choice, form, parts, source)
    steps: dict[str, Steps] = {}
    inside: tuple[Column, ...] = ()
    if spread is not None:
        found = find(columns, spread)
        assert found is not None  # noqa: S101 it was found before
        steps[spread], inside = found[0], found[1].fields
    names = [column.name for column in columns]
    out = _left_out(form, choice, parts, names, spread)
    out += [name for name in idle if not choice.metadata and name not in out]
    out_fields = [
        _outside_lists(way) for path, way in parts.items() if len(way) > 1 and path not in choice.metadata
    ]
    ways = [_outside_lists(way) for way in unused]
    taken = {way[0] for way in parts.values() if len(way) == 1}
    out += [way[0] for way in (*ways, *out_fields) if len(way) == 1 and way[0] not in taken]
    out_fields = [way for way in (*out_fields, *ways) if len(way) > 1]
    for path in choice.excluded:
        at = find(_with_named(columns, path, source) if more else columns, path)
        entry = spread is not None and (more or not inside or find(inside, path) is not None)
        if at is None and not entry:
            raise _no_metadata(columns, path, source, "--metadata-exclude")
        if at is not None and len(at[0]) == 1:
            out.append(path)
        elif at is not None:
            out_fields.append(at[0])
        if entry and spread is not None:
            below = find(inside, path)
            out_fields.append((*steps[spread], *(below[0] if below else _steps(path))))
    for path in form.left_out if form and not choice.metadata else ():
        field = None if path in names else find(columns, path)
        if field is not None and len(field[0]) > 1:
            out_fields.append(field[0])
    if fields is not None:
        fields = tuple(name for name in fields if name not in choice.excluded)
    plain = [name for name in names if name not in taken and name not in out and name != spread]
    known = {*(plain if fields is None else fields), *(field.name for field in inside)}
    renamed, renamed_fields = _renamed(choice, columns, steps.get(spread or "", ()), known)
    mine = {name for name, _ in renamed}
    renamed += [
        (name, new) for name, new in (form.rename if form else ()) if name not in mine and name in known
    ]
    _check_renamed(renamed, known, columns, source, sure=not more and (spread is None or bool(inside)))
    unsupported = tuple(name for name in (form.unsupported if form else ()) if name in plain)
    reached = {name for name in names if name not in out} | {way[0] for way in steps.values()}
    return MetadataChoice(
        spread,
        fields,
        tuple(dict.fromkeys(out)),
        tuple(dict.fromkeys(way for way in out_fields if way[0] in reached or (more and way[0] not in out))),
        tuple(renamed),
        tuple(renamed_fields),
        unsupported,
        steps,
        reason,
    )


def _what(
    columns: Sequence[Column],
    choice: ColumnChoice,
    form: Form | None,
    parts: Dict[str, Steps],
    source: str,
) -> tuple[str | None, tuple[str, ...] | None, str]:
    """The object whose entries become metadata, the named fields, and the reason."""
    own = [column for column in columns if not column.partition and not column.free_text]
    if choice.metadata:
        named = [Column(path, found[1].kind) for path in choice.metadata if (found := find(own, path))]
        objects = [column.name for column in named if column.kind == "object"]
        spread = first_named(METADATA_NAMES, named, source, "--metadata-column")
        spread = spread or (objects[0] if objects and len(choice.metadata) == 1 else None)
        return spread, tuple(path for path in choice.metadata if path != spread), "--metadata-column"
    for path in form.metadata if form else ():
        found = find(own, path)
        if found is None or path in parts or path in choice.excluded:
            continue
        if found[1].kind in ("object", "text", "null", "other"):
            return path, None, f"the recipe {form.recipe if form else ''}; every column left over"
    taken = {way[0] for way in parts.values() if len(way) == 1} | {*choice.excluded}
    free = [c for c in own if c.name not in taken]
    spread = None
    for kinds in (("object", "text"), ("null",)):
        some = [c for c in free if c.kind in kinds]
        spread = spread or first_named(METADATA_NAMES, some, source, "--metadata-column")
    return spread, None, "its name; every column left over" if spread else "every column left over"


def _left_out(
    form: Form | None,
    choice: ColumnChoice,
    parts: Dict[str, Steps],
    names: Sequence[str],
    spread: str | None,
) -> list[str]:
    """Columns about the export itself, and objects of named vectors if one of the vectors was chosen."""
    if choice.metadata:
        return []
    taken = {way[0] for way in parts.values() if len(way) == 1} | {spread}
    out = [name for name in (form.left_out if form else ()) if name in names and name not in taken]
    if {*names} == GET_FIELDS and spread == "metadata":
        out.append("sealed")
    outer = [way[0] for way in parts.values() if len(way) > 1]
    return out + [name for name in outer if name.lower() in OBJECTS_OF_VECTORS]


def _outside_lists(way: Steps) -> Steps:
    """The steps to a field, or to the outermost list that contains it."""
    return way[: next((at for at, step in enumerate(way) if step.startswith("[")), len(way))]


def _steps(path: str) -> Steps:
    try:
        return steps_of(path)
    except PathError:
        return (path,)


def _with_named(columns: Sequence[Column], path: str, source: str) -> list[Column]:
    try:
        return with_named(columns, path)
    except PathError:
        raise _no_metadata(columns, path, source, "--metadata-exclude") from None


def _no_metadata(columns: Sequence[Column], path: str, source: str, flag: str) -> MappingError:
    error = missing_error(columns, path, source, flag)
    return MappingError(f"{source} has no metadata {path!r} ({flag})", hint=error.hint)


def _renamed(
    choice: ColumnChoice, columns: Sequence[Column], spread: Steps, known: set[str]
) -> tuple[list[tuple[str, str]], list[tuple[Steps, str]]]:
    """The metadata names to change, and the fields inside metadata to rename, each with its new name.

    A name of metadata comes before a path.
    """
    names: list[tuple[str, str]] = []
    fields: list[tuple[Steps, str]] = []
    for old, new in choice.renamed:
        at = None if old in known else find(columns, old)
        steps = (old,) if at is None else at[0]
        if at is None and old not in known:
            steps = _steps(old)
        if spread and steps[: len(spread)] == spread and len(steps) > len(spread):
            steps = steps[len(spread) :]
        if len(steps) > 1:
            fields.append((steps, new))
        if len(steps) == 1 or at is None:
            names.append((steps[0] if len(steps) == 1 else old, new))
    return names, fields


def _check_renamed(
    renamed: Sequence[tuple[str, str]],
    known: set[str],
    columns: Sequence[Column],
    source: str,
    *,
    sure: bool,
) -> None:
    old = {name for name, _ in renamed}
    for name, new in renamed:
        if sure and name not in known:
            place, has = deepest(columns, name)
            hint = listed(has) if place else listed(sorted(known))
            raise MappingError(f"{source} has no metadata {name!r} (--rename)", hint=f"it has {hint}")
        if new in known - old:
            raise MappingError(
                f"{source} already has metadata {new!r}, so {name!r} can't be renamed to it",
                hint="rename that one too, or omit it with --metadata-exclude",
            )
