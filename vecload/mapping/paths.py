"""Paths: how people name a field inside a column. One language for every option, every recipe, every format.

a.b          the field `b` of the object, struct, map or JSON text `a`
a[0].c       a field of the first element of the list `a`
a[].b        a field of each element: every element is a row
a[*].b       a field of each entry of the object `a`, which maps ids to items: every entry is a row
vector[""]   a field whose name is empty; quoted names may hold dots and brackets: `"a.b".c`, `a["[x]"]`
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import orjson

Steps: TypeAlias = tuple[str, ...]
"""The names that lead to a field: first that of its column, then those inside. A column itself is one step.

`[0]` is the first element of a list, `[]` any element, `[*]` any entry of an object, `[key]` its key.
"""

EACH, ENTRIES, KEY = "[]", "[*]", "[key]"
"""Steps to every element of a list, to every entry of an object, and to the key of an entry."""
DIGITS_MAX = 9
"""Digits of an element's number: no list is longer."""

_NUMBER = re.compile(r"\[([0-9]+)\]")
_BARE = re.compile(r'[^.\[\]"\s](?:[^.\[\]"]*[^.\[\]"\s])?')
"""A name that needs no quotes."""
_NAME = re.compile(r"[^.\[\]]+")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


class PathError(ValueError):
    """A text is not a path. Its message says where and why."""


class Token(NamedTuple):
    """One part of a path.

    step: what it is as a step.
    kind: a bare name, which may be a part of a name with dots; a quoted one; or what is in brackets.
    """

    step: str
    kind: Literal["name", "quoted", "index", "each", "entries"]


def tokens_of(path: str, *, root: bool = False) -> list[Token]:
    """The parts of a path.

    Args:
        path: The text.
        root: It may begin with brackets, which then lead into the whole document.

    Raises:
        PathError: It is not one.
    """
    found: list[Token] = []
    at = 0
    while at < len(path):
        if path[at] == "[":
            token, at = _bracket(path, at)
        else:
            if found and path[at] != ".":
                raise PathError(f"has {path[at]!r} at character {at + 1} where a dot or '[' is expected")
            token, at = _named(path, at + bool(found))
        found.append(token)
    if not found:
        raise PathError("is empty")
    if found[0].kind not in ("name", "quoted") and not root:
        raise PathError("begins with brackets, where the name of a column is expected")
    return found


def _named(path: str, at: int) -> tuple[Token, int]:
    if path[at : at + 1] == '"' and (quoted := _QUOTED.match(path, at)):
        return Token(_unquoted(quoted[0], at), "quoted"), quoted.end()
    name = _NAME.match(path, at)
    if name is None:
        raise PathError(f'has no name at character {at + 1}; an empty name is written [""]')
    return Token(name[0], "name"), name.end()


def _bracket(path: str, at: int) -> tuple[Token, int]:
    if quoted := _QUOTED.match(path, at + 1):
        if path[quoted.end() : quoted.end() + 1] != "]":
            raise PathError(f"has a '[' at character {at + 1} that is not closed")
        return Token(_unquoted(quoted[0], at + 1), "quoted"), quoted.end() + 1
    end = path.find("]", at)
    if end < 0:
        raise PathError(f"has a '[' at character {at + 1} that is not closed")
    inside, after = path[at + 1 : end], end + 1
    if inside == "":
        return Token(EACH, "each"), after
    if inside == "*":
        return Token(ENTRIES, "entries"), after
    if inside.isascii() and inside.isdecimal() and len(inside) <= DIGITS_MAX:
        return Token(f"[{int(inside)}]", "index"), after
    raise PathError(
        f"has {path[at:after]!r} at character {at + 1}; brackets hold a number, nothing, * or a quoted name"
    )


def _unquoted(text: str, at: int) -> str:
    try:
        name: str = json.loads(text, strict=False)
        name.encode()
    except (ValueError, UnicodeEncodeError):
        raise PathError(f"has a quoted name at character {at + 1} that is not text in JSON") from None
    return name


def steps_of(path: str, *, root: bool = False) -> Steps:
    """The steps of a path whose names hold no dots, unless they are quoted.

    Args:
        path: The text.
        root: It may begin with brackets, which then lead into the whole document.

    Raises:
        PathError: It is not a path.
    """
    return tuple(token.step for token in tokens_of(path, root=root))


def path_of(steps: Steps) -> str:
    """The path as people write it. A column itself is written as its name, whatever that is."""
    if len(steps) == 1:
        return steps[0]
    text = ""
    for at, step in enumerate(steps):
        if at and (step in (EACH, ENTRIES, KEY) or _NUMBER.fullmatch(step)):
            text += ENTRIES if step == KEY and not text.endswith(ENTRIES) else "" if step == KEY else step
        elif _BARE.fullmatch(step):
            text += f".{step}" if at else step
        else:
            quoted = json.dumps(step, ensure_ascii=False)
            text += f"[{quoted}]" if at else quoted
    return text


def is_bracket(step: str) -> bool:
    """Whether a step after the first leads into a list, or to entries of an object."""
    return step in (EACH, ENTRIES, KEY) or _NUMBER.fullmatch(step) is not None


def element_of(step: str) -> int | None:
    """The number of the element that a step leads to; 0 for any: a row has only one. None if it is a name."""
    if step == EACH:
        return 0
    found = _NUMBER.fullmatch(step)
    return None if found is None else int(found[1])


def dig(value: Any, steps: Sequence[str]) -> Any:
    """The value at some steps inside a JSON value, also through JSON text; None if there is none.

    `[]` and `[*]` lead to the first element and entry: a row of theirs has only one.
    """
    for step in steps:
        if type(value) is dict and step in value:
            value = value[step]
            continue
        if isinstance(value, str | bytes):
            try:
                value = orjson.loads(value)
            except ValueError:
                return None
        if isinstance(value, list):
            at = element_of(step)
            if at is None:
                return None
            value = value[at] if at < len(value) else None
        elif isinstance(value, dict):
            if step in value:
                value = value[step]
            elif step in (ENTRIES, KEY):
                value = next(iter(value if step == KEY else value.values()), None)
            else:
                return None
        else:
            return None
    return value


def expansion_of(paths: Sequence[str], columns: Sequence[str] = ()) -> Steps:
    """The steps up to the list or object whose elements are rows; () if no path has one.

    Args:
        paths: What the user named.
        columns: Names that are columns as they are, whatever they look like.

    Raises:
        PathError: Paths go through different lists, so it is not clear which elements are rows.
    """
    found: Steps = ()
    for path in paths:
        if path in columns or ("[]" not in path and "[*]" not in path):
            continue
        steps = steps_of(path)
        way = next((steps[:n] for n in range(len(steps), 0, -1) if steps[n - 1] in (EACH, ENTRIES)), ())
        longer, shorter = (way, found) if len(way) >= len(found) else (found, way)
        if longer[: len(shorter)] != shorter:
            raise PathError(f"goes through {path_of(way)!r}, and another through {path_of(found)!r}")
        found = longer
    return found


def elements(value: Any, steps: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Every element that some steps lead to, with the key of its entry or "", in order.

    An element in which the rest of the steps, which are names, lead nowhere is None, so that it is not lost.
    """
    at = next((at for at, step in enumerate(steps) if step in (EACH, ENTRIES)), None)
    value = dig(value, steps if at is None else steps[:at])
    if at is None:
        if value is not None:
            yield "", value
        return
    items: Iterable[tuple[str, Any]] = ()
    if steps[at] == EACH and isinstance(value, list):
        items = (("", item) for item in value)
    elif steps[at] == ENTRIES and isinstance(value, dict):
        items = value.items()
    rest = steps[at + 1 :]
    for key, item in items:
        if not rest:
            yield key, item
        elif dig(item, rest) is None and not {EACH, ENTRIES}.intersection(rest):
            yield key, None
        else:
            yield from elements(item, rest)


def one_each(value: Any, steps: Sequence[str]) -> list[Any]:
    """A value once for each element at some steps, with only this element in its list or object."""
    if not steps:
        return [value]
    step, rest = steps[0], steps[1:]
    if step == EACH and isinstance(value, list):
        return [[one] for item in value for one in one_each(item, rest)]
    if step == ENTRIES and isinstance(value, dict):
        return [{key: one} for key, item in value.items() for one in one_each(item, rest)]
    if isinstance(value, str | bytes) and step not in (EACH, ENTRIES):
        try:
            value = orjson.loads(value)
        except ValueError:
            return []
    if isinstance(value, dict) and step in value:
        return [{**value, step: one} for one in one_each(value[step], rest)]
    at = element_of(step)
    if isinstance(value, list) and at is not None and at < len(value):
        return [[*value[:at], one, *value[at + 1 :]] for one in one_each(value[at], rest)]
    return []
