"""Dialect: how the fields of a text file are separated, what its columns are called, and where rows begin."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vecload.errors import SourceError
from vecload.mapping.vector_values import array_in
from vecload.readers.csv.records import Cut, Dialect, Fields, cut, fields_of

LOOK_BYTES = 2**16
"""Of a file's beginning, which show how it is written."""
LOOK_ROWS = 20
DELIMITERS = (b",", b";", b"\t", b"|")
_NAMES = {"tab": b"\t", "\\t": b"\t", "comma": b",", "semicolon": b";", "pipe": b"|", "space": b" "}
_WORDS = {b",": "','", b";": "';'", b"\t": "tab", b"|": "'|'"}
_FRACTION = re.compile(r"-?[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?")
_NAME_CHARACTERS = 1000
ROW_NUMBERS = "__index_level_0__"
"""The column without a name that pandas and R write first: a data frame's index, named as in Parquet."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the beginning of a file shows.

    dialect: how fields are separated.
    names: of its columns.
    begin: the byte offset of its first row.
    row_bytes: about how many bytes a row has.
    """

    dialect: Dialect
    names: tuple[str, ...]
    begin: int
    row_bytes: int


def delimiter_of(text: str) -> bytes:
    """A delimiter as `--csv-delimiter` takes it: one character, or the word `tab`.

    Raises:
        SourceError: It is neither.
    """
    found = _NAMES.get(text.lower(), text.encode())
    if len(found) != 1 or found in b'"\r\n\\0' or found.isalnum():
        raise SourceError(
            f"--csv-delimiter {text!r} can't separate fields", hint="name one character, or the word tab"
        )
    return found


def names_of(columns: Sequence[str]) -> tuple[str, ...]:
    """The names in `--csv-columns`, which are separated by commas and quoted as in CSV.

    Raises:
        SourceError: One is empty, or two are equal.
    """
    names = tuple(name.strip() for row in csv.reader(columns, skipinitialspace=True) for name in row)
    if not all(names):
        raise SourceError("--csv-columns has an empty name", hint="give every column a name of its own")
    _check_twice(names, "--csv-columns")
    return names


def layout_of(
    name: str,
    head: bytes,
    *,
    delimiter: bytes | None,
    columns: Sequence[str],
    copied: bool,
    whole: bool,
) -> Layout:
    """What the beginning of a file shows.

    Args:
        name: The file's.
        head: Its first `LOOK_BYTES`, or as many as its first row has.
        delimiter: What separates fields; None detects it.
        columns: The names of its columns; empty if its first row has them.
        copied: It is in the text format of COPY.
        whole: There is nothing after the head.

    Raises:
        SourceError: What separates the fields, or the names of the columns, is unclear.
    """
    mark = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    text = head[mark:]
    if b"\r" in text and b"\n" not in text:
        raise SourceError(
            f"{name} has lines that end in a carriage return alone", hint="convert it: tr '\\r' '\\n'"
        )
    if copied:
        dialect = Dialect(delimiter or b"\t", quoted=False)
    else:
        if delimiter is None and name.lower().endswith((".tsv", ".tab", ".tsv.gz", ".tsv.zst")):
            delimiter = b"\t"
        dialect = Dialect(delimiter or _detected(name, text, len(columns), whole=whole))
    rows, found = _first_rows(text, dialect, whole=whole)
    if not rows:
        raise SourceError(f"{name} has no whole row in its first {len(head):,} bytes")
    first = [_text(field) for field in rows[0]]
    begin, names = mark + found.starts[0], tuple(columns)
    if not columns:
        _check_header(name, first, copied=copied)
        names = tuple(_named(first))
        _check_twice(names, name)
    if not columns or first == [*columns]:
        begin = mark + (found.starts[1] if len(found.starts) > 1 else found.consumed)
    row_bytes = max(1, found.consumed // len(rows))
    return Layout(dialect, names, int(begin), row_bytes)


def _first_rows(text: bytes, dialect: Dialect, *, whole: bool) -> tuple[list[Fields], Cut]:
    found = cut(text, dialect, last=whole, line_max=len(text))
    count = min(len(found), LOOK_ROWS)
    return [fields_of(found.row(at), dialect) for at in range(count) if at not in found.faults], found


def _detected(name: str, text: bytes, columns: int, *, whole: bool) -> bytes:
    """The only delimiter by which the rows have as many fields as the first one.

    Raises:
        SourceError: There are several.
    """
    fitting: dict[bytes, float] = {}
    for delimiter in DELIMITERS:
        rows, _ = _first_rows(text, Dialect(delimiter), whole=whole)
        counts = [len(row) for row in rows]
        if counts and counts[0] > 1 and (not columns or counts[0] == columns):
            fitting[delimiter] = counts.count(counts[0]) / len(counts)
    best = [delimiter for delimiter, part in fitting.items() if part == max(fitting.values())]
    if len(best) > 1:
        words = " or by ".join(_WORDS[delimiter] for delimiter in best)
        raise SourceError(
            f"{name} may be separated by {words}", hint="name its delimiter with --csv-delimiter"
        )
    return best[0] if best else b","


def _text(field: bytes | None) -> str:
    return "" if field is None else field.decode("utf-8", "replace").strip()


def _check_header(name: str, first: Sequence[str], *, copied: bool) -> None:
    """Refuse a first row that is not names: it would be lost as a row, and name the columns.

    Raises:
        SourceError: It holds a number with a fraction, an array, or long text.
    """
    for at, field in enumerate(first):
        bracketed = field if field[:1] in ("[", "{", "(") else f"[{field}]"
        is_array = len(field.split()) + field.count(",") > 1 and isinstance(
            array_in(bracketed), list | np.ndarray
        )
        if is_array or _FRACTION.fullmatch(field) or len(field) > _NAME_CHARACTERS:
            what = "a vector" if is_array else "a number" if _FRACTION.fullmatch(field) else "long text"
            also = ", which COPY writes with HEADER," if copied else ""
            raise SourceError(
                f"{name} has no header{also}: its first row holds {what} in column {at + 1} of {len(first)}",
                hint="name its columns with --csv-columns A,B,…",
            )


def _named(first: Sequence[str]) -> list[str]:
    """The names in a header; a column without one is named as pandas does."""
    return [field or (ROW_NUMBERS if at == 0 else f"Unnamed: {at}") for at, field in enumerate(first)]


def _check_twice(names: Sequence[str], source: str) -> None:
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise SourceError(
            f"{source} has two columns named {twice!r}",
            hint="rename one of them" if source.startswith("--") else "rename one of them in the file",
        )
