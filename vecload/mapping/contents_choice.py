"""Which columns are the contents.

Text under a usual name is sealed or refused; it never becomes metadata unless it was named as that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vecload.errors import MappingError
from vecload.mapping.columns import Column, Steps, path_of, walk
from vecload.mapping.json_columns import BYTES_MARK
from vecload.mapping.names import CONTENTS_NAMES, is_contents_path, names_contents
from vecload.mapping.rows import Fault


@dataclass(frozen=True, slots=True)
class Text:
    """A column or field whose name is that of contents, and which holds text or bytes.

    steps: the way to it; `[]` is any element of a list.
    column: as the first rows show it.
    whole: its values are texts or bytes; else they are lists of some.
    """

    steps: Steps
    column: Column
    whole: bool

    @property
    def path(self) -> str:
        """As people write it."""
        return path_of(self.steps)

    def __str__(self) -> str:
        """For a message: its path and its type, never its values."""
        values = [value for value in self.column.values if isinstance(value, str | bytes)]
        kind = "text" if self.column.shape == "text" else "bytes" if self.column.shape == "bytes" else "lists"
        if not values:
            return f"{self.path!r} ({kind})"
        unit = "characters" if isinstance(values[0], str) else "bytes"
        return f"{self.path!r} ({kind}, {sum(map(len, values)) / len(values):,.0f} {unit} on average)"


def texts(columns: Iterable[Column]) -> list[Text]:
    """All texts under a name of contents, at any depth; of one inside another the outer."""
    found: list[Text] = []
    for steps, column in walk(column for column in columns if not column.partition):
        names = [step for step in steps if step != "[]"]
        if not is_contents_path(names) or any(steps[: len(outer.steps)] == outer.steps for outer in found):
            continue
        whole = _is_text(column)
        if whole or _holds_texts(column):
            found.append(Text(steps, column, whole and "[]" not in steps))
    return found


def _is_text(column: Column) -> bool:
    if column.shape not in ("text", "bytes"):
        return any(isinstance(value, str) and value.strip() for value in column.values)
    told = [value for value in column.values if value is not None]
    return not told or any(not isinstance(value, str) or value.strip() for value in told)


def _holds_texts(column: Column) -> bool:
    """Whether its values are lists of texts, or of the numbers of bytes."""
    lists = [value for value in column.values if isinstance(value, list) and value]
    return any(isinstance(item, str) and item.strip() for value in lists for item in value[:20]) or (
        bool(lists) and all(type(item) is int and 0 <= item < 256 for value in lists for item in value)
    )


def choose_contents(
    found: Sequence[Text], columns: Sequence[Column], source: str, *, metadata_named: bool
) -> tuple[str | None, str]:
    """The column of contents, and why; None where there is none.

    Args:
        found: The texts under a name of contents that are no other part.
        columns: The source's columns that are no other part.
        source: For messages.
        metadata_named: Only named columns become metadata.

    Raises:
        MappingError: There are several, or the only one can't be taken.
    """
    if len(found) > 1:
        raise MappingError(
            f"{source} has several columns that could be the contents: {', '.join(map(str, found))}",
            hint=_settle(found[0], found[1], metadata_named=metadata_named),
        )
    if found and found[0].whole:
        return found[0].path, "its name"
    if found:
        raise MappingError(
            f"{source} has contents that are no single text: {found[0]}",
            hint=f"name another column with --contents-column, or say that it may be clear with "
            f"--metadata-column {found[0].path}, or leave it out with --metadata-exclude {found[0].path}",
        )
    for name in CONTENTS_NAMES:
        # Of nulls alone, so far: text that comes later is sealed.
        empty = next((c.name for c in columns if c.name.lower() == name and _is_empty(c)), None)
        if empty is not None:
            return empty, "its name"
    return None, ""


def check_chosen(found: Sequence[Text], chosen: Sequence[str], source: str) -> None:
    """Refuse texts that would become clear metadata next to the contents that were chosen.

    Args:
        found: Texts under a name of contents that become metadata, and were not named as that.
        chosen: The paths of the contents.
        source: For messages.

    Raises:
        MappingError: There are some.
    """
    if found:
        one = found[0].path
        raise MappingError(
            f"{source} would send {found[0]} unsealed as metadata, next to the contents {chosen[0]!r}",
            hint=f"seal both with {_flags(*chosen, one)}, leave it out with --metadata-exclude {one}, "
            f"or say that it may be clear with --metadata-column {one}",
        )


def _settle(one: Text, other: Text, *, metadata_named: bool) -> str:
    both = _flags(one.path, other.path)
    if metadata_named:
        return f"pick one with --contents-column, or seal both: {both}"
    return (
        "pick one with --contents-column and leave the other out with --metadata-exclude, "
        f"or seal both: {both}"
    )


def _flags(*paths: str) -> str:
    return " ".join(f"--contents-column {path}" for path in paths)


def _is_empty(column: Column) -> bool:
    if column.shape == "null":
        return True
    return column.shape in ("text", "bytes") and not column.partition


def fault_of_clear_text(entries: dict[str, Any], clear: frozenset[str]) -> Fault | None:
    """What is wrong with metadata that has text or bytes under a name of contents; None if it has none.

    Args:
        entries: One item's metadata.
        clear: Paths at which such text was asked for.
    """
    path = _clear_text(entries, clear, "")
    if path is None:
        return None
    told = (
        f"may be {path!r}, which the first rows don't have as text: take it with --contents-column, "
        "leave it out with --metadata-exclude, or name it with --metadata-column"
    )
    return Fault("contents", "late-column", told)


def _clear_text(entries: dict[str, Any], clear: frozenset[str], outer: str) -> str | None:
    for name, value in entries.items():
        kind = type(value)
        if kind is str:
            if value and names_contents(name) and outer + name not in clear:
                return outer + name
        elif kind is dict:
            if value.keys() == {BYTES_MARK}:
                if names_contents(name) and outer + name not in clear:
                    return outer + name
            elif (found := _clear_text(value, clear, f"{outer}{name}.")) is not None:
                return found
        elif kind is list and value:
            if type(value[0]) is str and names_contents(name) and outer + name not in clear:
                return outer + name
            for item in value if type(value[0]) is dict else ():
                if (
                    type(item) is dict
                    and (found := _clear_text(item, clear, f"{outer}{name}[].")) is not None
                ):
                    return found
    return None
