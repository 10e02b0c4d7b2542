"""Documents whose rows lie below one path, so that each is read by itself; and the form of such rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from vecload.errors import MappingError, SourceError
from vecload.mapping.forms import Form
from vecload.mapping.paths import EACH, ENTRIES, Steps, path_of
from vecload.readers.json.elements import Line
from vecload.readers.json.outline import Outline
from vecload.recipes.known import RecipeChoice
from vecload.recipes.reshape import reshaped

AROUND_BYTES_MAX = 2**16
"""Of fields around a list that every row gets; a document with more is read whole."""


@dataclass(frozen=True, slots=True)
class RowsBelow:
    """Rows below one path.

    way: the steps to them.
    line: what each becomes as a line.
    form: that of these lines.
    """

    way: Steps
    line: Line
    form: Form


def rows_below(
    outline: Outline, recipes: RecipeChoice, source: str, *, ids: bool = False
) -> RowsBelow | None:
    """The rows of a document that is one object, if each can be read by itself; None otherwise.

    A form whose rows are parallel lists, or get a part from another list of the document or from another
    file, needs the whole document. So does a document without rows, and one that is rejected.

    Args:
        outline: Of the document.
        recipes: Those that may make rows of it.
        source: For messages.
        ids: Rows get ids from a file of their own.

    Raises:
        SourceError: Two lists could be that of the rows.
    """
    if outline.value is None or outline.error is not None or outline.rest:
        return None
    try:
        form = recipes.form_of_document(outline.value, source)
    except MappingError:
        return None  # raised again when the document is looked at
    if form is None or form.join or form.join_companion or form.companion or form.numbered:
        return None
    whole = form.each or form.rows
    splits = [at for at, step in enumerate(whole, start=1) if step in (EACH, ENTRIES)]
    if not splits:
        return None
    if form.each and len(splits) > 1:
        return None  # the fields around an inner list are its rows', too
    way, rest = whole[: splits[-1]], whole[splits[-1] :]
    twice = outline.twice(way)
    if twice:
        raise SourceError(
            f"{source} has {path_of(twice)!r} twice, so its rows could be in either",
            hint="keep one of them, or write the rows as JSON Lines",
        )
    if not outline.leads(way):
        return None
    found = _each(outline, form, way) if form.each else _rows(outline, form, way, rest)
    return None if found is None or (ids and (found.line.before or found.line.value or rest)) else found


def _each(outline: Outline, form: Form, way: Steps) -> RowsBelow | None:
    """Lines that are the document with one element in its list."""
    if not outline.is_whole_around(way):
        return None
    before, after = _around(outline.value, way)
    if len(before) + len(after) > AROUND_BYTES_MAX:
        return None
    return RowsBelow(way, Line(before, after, keyed=way[-1] == ENTRIES), form)


def _around(value: Any, way: Steps) -> tuple[bytes, bytes]:
    """The text before and after one element."""
    step, rest = way[0], way[1:]
    if not rest and step == ENTRIES:
        return b"{", b"}"
    if not rest:
        return b"[", b"]"
    if isinstance(value, dict):
        others = {name: one for name, one in value.items() if name != step}
        before, after = _around(value[step], rest)
        members = _text(others)[1:-1]
        return b"{" + members + (b"," if others else b"") + _text(step) + b":" + before, after + b"}"
    at = int(step[1:-1])
    before, after = _around(value[at], rest)
    parts = [_text(one) for one in value]
    return (
        b"[" + b"".join(part + b"," for part in parts[:at]) + before,
        after + b"".join(b"," + part for part in parts[at + 1 :]) + b"]",
    )


def _rows(outline: Outline, form: Form, way: Steps, rest: Steps) -> RowsBelow | None:
    """Lines that are elements, with the fields next to their list that the form gives to every row."""
    inside = [replace(rule, at=rule.at[len(way) :]) for rule in form.rejects if rule.at[: len(way)] == way]
    outside = tuple(rule for rule in form.rejects if rule.at[: len(way)] != way)
    if reshaped(Form(form.recipe, rejects=outside), [outline.value], {}).broken:
        return None
    lines = replace(form, rows=rest, outer=(), key="", value="", rejects=tuple(inside))
    if form.key and ENTRIES in way:
        if form.outer or way[-1] != ENTRIES:
            return None
        return RowsBelow(
            way,
            Line(b"{", b"}", keyed=True),
            replace(lines, rows=(ENTRIES, *rest), key=form.key, value=form.value),
        )
    if form.outer and (rest or not all(outline.has_whole(name) for name in form.outer)):
        return None
    front = _text({name: outline.value.get(name) for name in form.outer})[1:-1]
    value = _text(form.value) if form.value else b""
    return RowsBelow(way, Line(front=front, value=value), lines)


def _text(value: Any) -> bytes:
    """A value as JSON, with integers of any size."""
    return json.dumps(value, separators=(",", ":")).encode()
