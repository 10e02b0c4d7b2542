"""Chooses the contents columns, and finds cleartext: metadata that looks like contents but is not sealed.

Text under a usual name of contents is sealed, or the load stops. It becomes metadata only if the user names
it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from vecload.batch import Metadata
from vecload.errors import MappingError
from vecload.mapping.columns import BYTES_MARK, LISTED_MAX, Column, walk
from vecload.mapping.names import CONTENTS_NAMES, is_contents_name, is_contents_path
from vecload.mapping.paths import Steps, path_of
from vecload.mapping.rows import Fault

BYTES_LEAST = 8
"""Shortest list of numbers that may be the bytes of a text; lists of offsets are shorter."""


@dataclass(frozen=True, slots=True)
class TextCandidate:
    """A column or field with a name of contents, which holds text or bytes.

    steps: the names that lead to it; `[]` is any element of a list.
    column: the column or field in the first rows.
    whole: its values are texts or bytes, not lists of them.
    """

    steps: Steps
    column: Column
    whole: bool

    @property
    def path(self) -> str:
        """The path as people write it."""
        return path_of(self.steps)

    @property
    def column_path(self) -> str:
        """The path for an option: the path of the outermost list, for a field inside one."""
        return self.path.partition("[")[0]

    def __str__(self) -> str:
        """For a message: its path and its type, never its values."""
        values = [value for value in self.column.values if isinstance(value, str | bytes)]
        kind = "text" if self.column.kind == "text" else "bytes" if self.column.kind == "bytes" else "lists"
        if not values:
            return f"{self.path!r} ({kind})"
        unit = "characters" if isinstance(values[0], str) else "bytes"
        return f"{self.path!r} ({kind}, {sum(map(len, values)) / len(values):,.0f} {unit} on average)"


def text_candidates(columns: Iterable[Column], without: Collection[Steps] = ()) -> list[TextCandidate]:
    """All texts under a name of contents, at any depth. Of two that are nested, only the outer one.

    Args:
        columns: The source's columns.
        without: Columns and fields that are known to be something else.
    """
    found: list[TextCandidate] = []
    for steps, column in walk(column for column in columns if not column.partition):
        names = tuple(step for step in steps if step != "[]")
        # Fields follow their column.
        inside = found and steps[: len(found[-1].steps)] == found[-1].steps
        if inside or steps in without or not is_contents_path(names):
            continue
        whole = _is_text(column)
        if whole or _holds_texts(column):
            found.append(TextCandidate(steps, column, whole and "[]" not in steps))
    return found


def _is_text(column: Column) -> bool:
    if column.kind not in ("text", "bytes"):
        return any(isinstance(value, str) and value.strip() for value in column.values)
    given = [value for value in column.values if value is not None]
    return not given or any(not isinstance(value, str) or value.strip() for value in given)


def _holds_texts(column: Column) -> bool:
    """Whether its values are lists of texts, or of bytes as numbers."""
    lists = [value for value in column.values if isinstance(value, list) and value]
    return any(isinstance(item, str) and item.strip() for value in lists for item in value[:20]) or (
        bool(lists)
        and all(len(value) >= BYTES_LEAST for value in lists)
        and all(type(item) is int and 0 <= item < 256 for value in lists for item in value)
    )


def choose_contents(
    found: Sequence[TextCandidate], columns: Sequence[Column], source: str, *, metadata_named: bool
) -> tuple[str | None, str]:
    """The contents column and the reason for it; None if there is none.

    Args:
        found: The texts under a name of contents that are not another part.
        columns: The source's columns that are not another part.
        source: For messages.
        metadata_named: Only columns that the user named become metadata.

    Raises:
        MappingError: There are several, or the only one is not a single text.
    """
    if len(found) > 1:
        raise MappingError(
            f"{source} has several columns that could be the contents: {_shown(found)}",
            hint=_settle(found[0], found[1], metadata_named=metadata_named),
        )
    if found and found[0].whole:
        return found[0].path, "its name"
    if found:
        raise MappingError(
            f"{source} has contents that are not a single text: {found[0]}",
            hint=f"name another column with --contents-column, omit this one with --metadata-exclude "
            f"{found[0].column_path}, or name all metadata columns including it: --metadata-column "
            f"{found[0].column_path}",
        )
    for name in CONTENTS_NAMES:
        # Only nulls in the first rows: text in later rows is sealed.
        empty = next((c.name for c in columns if c.name.lower() == name and _is_empty(c)), None)
        if empty is not None:
            return empty, "its name"
    return None, ""


def check_chosen(found: Sequence[TextCandidate], chosen: Sequence[str], source: str) -> None:
    """Refuse other texts that would be stored unsealed as metadata.

    Args:
        found: Texts under a name of contents that become metadata although the user did not name them.
        chosen: The paths of the contents.
        source: For messages.

    Raises:
        MappingError: There are some.
    """
    if found:
        one = found[0]
        both = f"seal both with {_flags(*chosen, one.path)}, " if one.whole else ""
        raise MappingError(
            f"{source} would store {one} unsealed as metadata, next to the contents {chosen[0]!r}",
            hint=f"{both}omit it with --metadata-exclude {one.column_path}, or name all metadata columns "
            f"including it: --metadata-column {one.column_path}",
        )


def _settle(one: TextCandidate, other: TextCandidate, *, metadata_named: bool) -> str:
    if not (one.whole and other.whole):
        out = next(each for each in (one, other) if not each.whole)
        return (
            f"pick one with --contents-column, and omit {out.column_path!r} with --metadata-exclude "
            f"{out.column_path}, or name all metadata columns including it with --metadata-column"
        )
    both = _flags(one.path, other.path)
    if metadata_named:
        return f"pick one with --contents-column, or seal both: {both}"
    return f"pick one with --contents-column and omit the other with --metadata-exclude, or seal both: {both}"


def _shown(found: Sequence[TextCandidate]) -> str:
    more = len(found) - LISTED_MAX
    return ", ".join(map(str, found[:LISTED_MAX])) + (f" and {more} more" if more > 0 else "")


def _flags(*paths: str) -> str:
    return " ".join(f"--contents-column {path}" for path in paths)


def _is_empty(column: Column) -> bool:
    if column.kind == "null":
        return True
    return column.kind in ("text", "bytes") and not column.partition


def fault_of_cleartext(path: str, spread: str | None) -> Fault:
    """The fault of a row whose metadata has text under a name of contents.

    Args:
        path: Where the text is in the metadata.
        spread: The object whose entries join the metadata, if there is one; the text may be in it.
    """
    # An option names a list as a whole.
    column = path.partition("[")[0]
    perhaps = f" (or {spread}.{path})" if spread is not None else ""
    return Fault(
        "contents",
        "late-column",
        f"has text in {path!r}{perhaps} that would be stored unsealed as metadata: make it contents with "
        f"--contents-column, omit it with --metadata-exclude {column}, or name all metadata columns "
        "including it with --metadata-column",
    )


def find_cleartext(entries: dict[str, Any], clear: frozenset[str], also: frozenset[str]) -> str | None:
    """The first path in an item's metadata that has text under a name of contents.

    Args:
        entries: The metadata.
        clear: Paths that may have such text.
        also: More names of contents.
    """
    for name, value in entries.items():
        kind = type(value)
        # Most values are plain: they need only one call, whose result is cached.
        if kind is str:
            plain = value[:1] not in _LOOKED_INTO
        elif kind is list:
            plain = all(type(item) is str and item[:1] not in _LOOKED_INTO for item in value)
        elif kind is dict:
            plain = False
        else:
            continue
        if plain and name not in also and not is_contents_name(name):
            continue
        found = _in_value(value, (name,), name, clear, also)
        if found is not None:
            return found
    return None


_LOOKED_INTO = frozenset(("{", "[", " ", "\t", "\n", "\r", "\ufeff"))
"""First characters of text that may be JSON."""


def _in_object(
    entries: dict[str, Any], outer: tuple[str, ...], path: str, clear: frozenset[str], also: frozenset[str]
) -> str | None:
    for name, value in entries.items():
        kind = type(value)
        if kind is not str and kind is not dict and kind is not list:
            continue
        found = _in_value(value, (*outer, name), f"{path}.{name}" if path else name, clear, also)
        if found is not None:
            return found
    return None


def _in_value(
    value: Any, names: tuple[str, ...], path: str, clear: frozenset[str], also: frozenset[str]
) -> str | None:
    if path in clear and type(value) is not dict:
        return None
    if type(value) is list:
        for item in value:
            found = _in_value(item, names, f"{path}[]", clear, also)
            if found is not None:
                return found
        return None
    if type(value) is dict:
        if value.keys() != {BYTES_MARK}:
            return _in_object(value, names, path, clear, also)
        return path if _is_named(names, also) and path.replace("[]", "") not in clear else None
    if type(value) is not str or not value or value.isspace():
        return None
    if _is_named(names, also):
        return path
    if value[0] in _LOOKED_INTO and (text := value.lstrip("\ufeff \t\r\n"))[:1] in ("{", "["):
        try:
            inner = orjson.loads(text)
        except ValueError:
            return None
        return _in_value(inner, names, path, clear, also) if isinstance(inner, dict | list) else None
    return None


def _is_named(names: tuple[str, ...], also: frozenset[str]) -> bool:
    return names[-1] in also or is_contents_path(names)


LONG_CHARACTERS = 200
"""Texts with this average length are prose, even if they repeat."""
UNIQUE_CHARACTERS = 20
"""Texts with this average length are prose if nearly all of them are unique."""
UNIQUE_SHARE = 0.9
NAMED_MOST = 4
"""Fields that the line lists; it counts the others."""


@dataclass(frozen=True, slots=True)
class Cleartext:
    """A metadata field that holds prose.

    name: the path of the field in the metadata.
    characters: average length of its texts.
    """

    name: str
    characters: int

    def __str__(self) -> str:
        return f"{self.name} (avg {self.characters:,} characters)"


def cleartexts(metadata: Sequence[Metadata | None] | None, named: Sequence[str] = ()) -> list[Cleartext]:
    """The metadata fields of the first items that hold prose.

    Args:
        metadata: n objects or None each.
        named: Fields that the user named as metadata.
    """
    values: dict[str, list[str]] = {}
    for entries in metadata or ():
        for name, value in _text_values(entries or {}, ""):
            values.setdefault(name, []).append(value)
    found: list[Cleartext] = []
    for name, texts in values.items():
        average = sum(map(len, texts)) / len(texts)
        words = sum(" " in text.strip() for text in texts)
        unique = len({*texts}) >= UNIQUE_SHARE * len(texts) and average >= UNIQUE_CHARACTERS
        if name not in named and words * 2 >= len(texts) and (average >= LONG_CHARACTERS or unique):
            found.append(Cleartext(name, round(average)))
    return found


def cleartext_line(found: Sequence[Cleartext]) -> str:
    """A line about them, for people."""
    shown = ", ".join(map(str, found[:NAMED_MOST]))
    more = f" and {len(found) - NAMED_MOST} more" if len(found) > NAMED_MOST else ""
    goes = "goes" if len(found) == 1 else "go"
    return f"no contents: {shown}{more} {goes} unsealed into metadata; seal text with --contents-column NAME"


def _text_values(entries: dict[str, Any], outer: str) -> Iterator[tuple[str, str]]:
    for name, value in entries.items():
        if isinstance(value, str) and value:
            yield outer + name, value
        elif isinstance(value, dict):
            yield from _text_values(value, f"{outer}{name}.")
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, str) and item:
                    yield outer + name, item
                elif isinstance(item, dict):
                    yield from _text_values(item, f"{outer}{name}.")
