"""Why text is no JSON, in words that name the cause and what to do: a parser names only a place.

No value is quoted, only the name of a field.
"""

from __future__ import annotations

import re

import orjson

TO_UTF8 = "convert the file: iconv -f {} -t utf-8"
_NOT_UTF8 = "is not valid UTF-8"
_AFTER = "unexpected content after document"
_KEY = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:\s*[^"{}]*$')
"""The last name before a place, and what stands between: a list that is not closed at the most."""
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
        return "it is not UTF-8; if it is Windows-1252 or Latin-1, " + TO_UTF8.format("windows-1252")
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
        return f"it has commas between objects, and no array around them; remove those: sed 's/,$//'{name}"
    cause = cause_of(error, data)
    return "" if "several lines" in cause else cause


def wide_encoding(head: bytes) -> str:
    """The encoding of text whose characters have two or four bytes each; "" if it is none.

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
        return f"{what}, which JSON has no text for; write null in its place"
    if rest.startswith("'") or _PYTHON.match(rest):
        return "it is what Python prints of a dict; write it with json.dumps"
    return ""
