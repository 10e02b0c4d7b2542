"""Texts that go unsealed: metadata that looks as if it were contents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vecload.batch import Metadata

LONG_CHARACTERS = 200
"""A text that is as long on average is prose, whatever it repeats."""
UNIQUE_CHARACTERS = 20
"""A text that is as long on average, and nearly unique, is one too."""
UNIQUE_SHARE = 0.9
NAMED_MOST = 4
"""Fields of such a line: more are counted."""


@dataclass(frozen=True, slots=True)
class ClearText:
    """A metadata field of such texts.

    name: the field, by its path in the metadata.
    characters: of a text, on average.
    """

    name: str
    characters: int

    def __str__(self) -> str:
        return f"{self.name} (avg {self.characters:,} characters)"


def clear_texts(metadata: Sequence[Metadata | None] | None, named: Sequence[str] = ()) -> list[ClearText]:
    """The fields of the first items whose texts are long, or nearly unique sentences.

    Args:
        metadata: n objects or None each.
        named: Fields that the user named as metadata.
    """
    values: dict[str, list[str]] = {}
    for entries in metadata or ():
        for name, value in _texts(entries or {}, ""):
            values.setdefault(name, []).append(value)
    found: list[ClearText] = []
    for name, texts in values.items():
        average = sum(map(len, texts)) / len(texts)
        words = sum(" " in text.strip() for text in texts)
        unique = len({*texts}) >= UNIQUE_SHARE * len(texts) and average >= UNIQUE_CHARACTERS
        if name not in named and words * 2 >= len(texts) and (average >= LONG_CHARACTERS or unique):
            found.append(ClearText(name, round(average)))
    return found


def clear_text_line(found: Sequence[ClearText]) -> str:
    """What people are told of them."""
    shown = ", ".join(map(str, found[:NAMED_MOST]))
    more = f" and {len(found) - NAMED_MOST} more" if len(found) > NAMED_MOST else ""
    goes = "goes" if len(found) == 1 else "go"
    return f"no contents: {shown}{more} {goes} unsealed into metadata; seal text with --contents-column NAME"


def _texts(entries: dict[str, Any], outer: str) -> Iterator[tuple[str, str]]:
    for name, value in entries.items():
        if isinstance(value, str) and value:
            yield outer + name, value
        elif isinstance(value, dict):
            yield from _texts(value, f"{outer}{name}.")
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, str) and item:
                    yield outer + name, item
                elif isinstance(item, dict):
                    yield from _texts(item, f"{outer}{name}.")
