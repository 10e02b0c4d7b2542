"""Why text is not JSON, or where in a JSON object its rows are: the cause, and what to do about it.

A parser names only a place. No value is quoted here, only the name of a field.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import orjson

from vecload.readers.storage.files import as_argument

TO_UTF8 = "convert the file: iconv -f {} -t utf-8"
_NOT_UTF8 = "is not valid UTF-8"
_AFTER = "unexpected content after document"
_KEY = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:\s*[^"{}]*$')
"""The last name before a place, and what is between: at most a list that is not closed."""
_LOOK_BACK = 4096
_NAME_MAX = 60
_NO_NUMBERS = ("NaN", "Infinity", "nan", "inf")
_PYTHON = re.compile(r"(True|False|None)\b")
_PARTS = ("{", "[", "}", "]", "},", "],")
"""Lines of text that is laid out over several."""
_MARKS = (
    ("utf-32", b"\xff\xfe\0\0"),
    ("utf-32", b"\0\0\xfe\xff"),
    ("utf-16", b"\xff\xfe"),
    ("utf-16", b"\xfe\xff"),
)
_SHAPES = (("utf-32le", "1000"), ("utf-32be", "0001"), ("utf-16le", "10"), ("utf-16be", "01"))
"""Which bytes of ASCII are not NUL."""
_SHAPED_BYTES = 8
_LOOKED_AT = 64
"""Bytes of a text that show how wide its characters are."""


def cause_of(error: orjson.JSONDecodeError, data: bytes) -> str:
    """What is wrong with a line, and what to do about it; "" if nothing common is.

    Args:
        error: What parsing it raised.
        data: The line, or as much of its beginning.
    """
    if wide := wide_encoding(data[:_LOOKED_AT]):
        return f"it is {wide.upper()}; {TO_UTF8.format(wide)}"
    if _NOT_UTF8 in error.msg:
        return "it is not UTF-8; if it is Windows-1252 or Latin-1, load it with --encoding windows-1252"
    doc, at = error.doc, error.pos
    rest = doc[at : at + _LOOKED_AT]
    if cause := _of_values(doc, at):
        return cause
    if rest.startswith(("//", "/*", "#")):
        return "it has a comment, which JSON does not allow; remove it"
    if "trailing comma" in error.msg:
        return "it has a comma before a closing bracket, which JSON does not allow; remove it"
    stripped = doc.strip()
    if error.msg == _AFTER and rest.rstrip() == ",":
        return "it ends with a comma; remove it: sed 's/,$//'"
    if error.msg == _AFTER and rest.startswith("{"):
        return "it holds several objects; write each on a line of its own: jq -c ."
    open_end = error.msg == "unexpected end of data" and stripped.endswith(("{", "[", ","))
    field = stripped.startswith('"') and error.msg == _AFTER and rest.startswith(":")
    if stripped in _PARTS or open_end or field:
        return "it is a part of an object on several lines; write each on one line: jq -c ."
    return ""


def cause_in_document(error: orjson.JSONDecodeError, data: bytes, name: str) -> str:
    """What is wrong with a JSON document, and what to do about it; "" if nothing common is.

    Args:
        error: What parsing it raised.
        data: The document, or as much of its beginning.
        name: The file's, as an argument with a space before it.
    """
    rest = error.doc[error.pos : error.pos + _LOOKED_AT]
    if error.msg == _AFTER and rest.startswith(("{", "[")):
        return f"it holds several JSON documents; write each on one line: jq -c .{name}"
    if error.msg == _AFTER and rest.startswith(","):
        return (
            f"it has commas between objects but no array around them; remove the commas: sed 's/,$//'{name}"
        )
    cause = cause_of(error, data)
    return "" if "several lines" in cause else cause


def wide_encoding(head: bytes) -> str:
    """The encoding of text whose characters have two or four bytes each; "" for other text.

    Args:
        head: Its first bytes, which begin with a byte order mark or with ASCII.
    """
    for encoding, mark in _MARKS:
        if head.startswith(mark):
            return encoding
    head = head[:_SHAPED_BYTES]
    shape = "".join("1" if byte else "0" for byte in head)
    if len(head) < _SHAPED_BYTES or any(byte and not 9 <= byte < 127 for byte in head):
        return ""
    return next((encoding for encoding, one in _SHAPES if shape == one * (len(head) // len(one))), "")


def _of_values(doc: str, at: int) -> str:
    """What is written as another language has it."""
    rest = doc[at : at + _LOOKED_AT]
    if rest.startswith(_NO_NUMBERS):
        found = _KEY.search(doc[max(0, at - _LOOK_BACK) : at])
        minus = "-" if doc[at - 1 : at] == "-" and rest.startswith("I") else ""
        number = "NaN" if rest[0] in "nN" else f"{minus}Infinity"
        what = f"field {found[1][:_NAME_MAX]!r} holds {number}" if found else f"it holds {number}"
        return f"{what}, which JSON can't express; write null instead"
    if rest.startswith("'") or _PYTHON.match(rest):
        return "it is a Python dict, not JSON; write it with json.dumps"
    return ""


_DEPTH = 4
"""Objects that are looked through on the way to rows."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VECTOR_KEYS = ("embedding", "vector", "embeddings", "vectors", "values", "emb")
_ROWS_SEEN = 3
"""Rows of a list that show what it is of."""
_COLUMNS_MAX = 8


def hint_of_rows(document: Any, name: str, *, sure: bool = False) -> str:
    """How to get the rows that are in an object; "" if there are none to be seen.

    Args:
        document: As it was parsed.
        name: The file's.
        sure: Only where what is inside has vectors: the object could be a row itself.
    """
    if not isinstance(document, dict):
        return ""
    file = as_argument(name)
    if {"meta", "data", "rows"} <= document.keys():
        return f"ClickHouse writes rows with FORMAT JSONEachRow; of this file: jq -c '.data[]'{file}"
    found = [*_lists(document, ())]
    with_vectors = [way for way, rows in found if any(_has_vector(row, _DEPTH) for row in rows[:_ROWS_SEEN])]
    columns = _columns(document)
    if with_vectors:
        place = _jq(with_vectors[0])
        return f"its rows are in {place}: jq -c {shlex.quote(f'{place}[]')}{file}"
    if columns:
        return f"its rows are in columns: jq -c {shlex.quote(_transposed(columns))}{file}"
    if found and not sure:
        place = _jq(max(found, key=lambda one: len(one[1]))[0])
        return f"if its rows are in {place}: jq -c {shlex.quote(f'{place}[]')}{file}"
    return ""


def _lists(value: dict[str, Any], way: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """Lists of objects, and objects of objects by their ids, with the way to each."""
    for key, inner in value.items():
        here = (*way, key)
        if isinstance(inner, list) and inner and all(isinstance(row, dict) for row in inner[:_ROWS_SEEN]):
            yield here, inner
        elif isinstance(inner, dict) and len(here) < _DEPTH:
            rows = [*inner.values()]
            by_id = rows and all(isinstance(row, dict) and row for row in rows)
            if by_id and all(_has_vector(row, 1) for row in rows[:_ROWS_SEEN]):
                yield here, rows
            else:
                yield from _lists(inner, here)


def _has_vector(row: Any, depth: int) -> bool:
    if not isinstance(row, dict):
        return False
    return any(
        _is_vector(value)
        or (key.lower() in _VECTOR_KEYS and isinstance(value, str) and bool(value))
        or (depth > 0 and _has_vector(value, depth - 1))
        for key, value in row.items()
    )


def _is_vector(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(type(n) in (int, float) for n in value)


def _columns(document: dict[str, Any]) -> list[tuple[str, ...]]:
    """The ways to lists of one length, if one of them is of vectors."""
    lists = [*_any_lists(document, ())]
    vectors = next((rows for _, rows in lists if rows and all(map(_is_vector, rows))), None)
    if vectors is None:
        return []
    return [way for way, rows in lists if len(rows) == len(vectors)][:_COLUMNS_MAX]


def _any_lists(value: dict[str, Any], way: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    for key, inner in value.items():
        here = (*way, key)
        if isinstance(inner, list):
            yield here, inner
        elif isinstance(inner, dict) and len(here) < _DEPTH:
            yield from _any_lists(inner, here)


def _jq(way: tuple[str, ...]) -> str:
    """A way as jq takes it."""
    steps = "".join(f".{name}" if _NAME.fullmatch(name) else f"[{_text(name)}]" for name in way)
    return steps if steps.startswith(".") else f".{steps}"


def _text(name: str) -> str:
    return orjson.dumps(name).decode()


def _transposed(columns: list[tuple[str, ...]]) -> str:
    """What makes rows of columns."""
    names = [way[-1] for way in columns]
    names = [".".join(way) if names.count(way[-1]) > 1 else way[-1] for way in columns]
    keys = [name if _NAME.fullmatch(name) else _text(name) for name in names]
    fields = ", ".join(f"{key}: .[{at}]" for at, key in enumerate(keys))
    return f"[{', '.join(map(_jq, columns))}] | transpose[] | {{{fields}}}"
