"""Types of columns that are all text in their file: numbers, if every value reads back as it was written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

TextType: TypeAlias = Literal["integer", "number", "text"]
"""From the narrowest to the widest: every integer is a number, and everything is text."""

_WIDTHS: Final[tuple[TextType, ...]] = ("integer", "number", "text")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
"""Every one fits into 64 bits. Longer ones are numbers of accounts, phones and the like: they stay text."""
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NOT_A_NUMBER = frozenset({"NaN", "nan"})
"""How writers spell what is treated like NaN in other formats."""


def type_of(values: Iterable[str | None]) -> TextType:
    """The narrowest type for some values; text if there are none. Empty text counts as none."""
    found: TextType | None = None
    for value in values:
        if not value:
            continue
        if value in _NOT_A_NUMBER:
            found = "number"
        elif _INTEGER.fullmatch(value):
            found = found or "integer"
        elif reads_back(value):
            found = "number"
        else:
            return "text"
    return found or "text"


def wider(one: TextType, other: TextType) -> TextType:
    """The type that holds the values of both."""
    return max(one, other, key=_WIDTHS.index)


def reads_back(text: str) -> bool:
    """Whether a number loses nothing as float64: no digit, and no zero at either end (`1.50`, `02134`)."""
    if not _NUMBER.fullmatch(text):
        return False
    number = float(text)
    whole, point, fraction = re.split("[eE]", text)[0].partition(".")
    if point and fraction != "0" and fraction.endswith("0"):
        return False
    if whole.startswith("-") and not number:
        return False
    return abs(number) != float("inf") and Decimal(repr(number)) == Decimal(text)


def converted(array: pa.StringArray, kind: TextType) -> tuple[pa.Array, list[int]]:
    """The values of a column in its type, and the positions of those that it does not hold, which are null.

    Args:
        array: Texts.
        kind: What the first rows show.
    """
    if kind == "text":
        return array, []
    array = pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array)
    if kind == "integer":
        return _converted(array, f"^(?:{_INTEGER.pattern})$", pa.int64())
    numbers, bad = _converted(array, f"^(?:{_NUMBER.pattern}|NaN|nan)$", pa.float64())
    written = pc.cast(numbers, pa.string())
    doubtful = pc.fill_null(pc.not_equal(written, array), False)
    lost = [
        position
        for position in pc.indices_nonzero(doubtful).to_pylist()
        if (text := array[position].as_py()) not in _NOT_A_NUMBER and not reads_back(text)
    ]
    if lost:
        mask = [False] * len(array)
        for position in lost:
            mask[position] = True
        numbers = pc.if_else(pa.array(mask), pa.scalar(None, pa.float64()), numbers)
    return numbers, sorted([*bad, *lost])


def _converted(array: pa.StringArray, pattern: str, kind: pa.DataType) -> tuple[pa.Array, list[int]]:
    fits = pc.fill_null(pc.match_substring_regex(array, pattern), True)
    bad: list[int] = []
    if not pc.all(fits).as_py() and len(array):
        bad = pc.indices_nonzero(pc.invert(fits)).to_pylist()
        array = pc.if_else(fits, array, pa.scalar(None, pa.string()))
    return pc.cast(array, kind), bad
