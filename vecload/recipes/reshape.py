"""Makes rows of JSON lines and documents, as a form says: where they are, what joins them, their types."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from vecload.errors import SourceError
from vecload.mapping.columns import BYTES_MARK
from vecload.mapping.forms import Form, RejectRule
from vecload.mapping.nested_rows import same, without
from vecload.mapping.paths import EACH, ENTRIES, Steps, dig, elements, is_bracket, path_of
from vecload.mapping.rows import Fault
from vecload.recipes.split import splitter_of
from vecload.recipes.typed import untyped

Row: TypeAlias = dict[str, Any]
Made: TypeAlias = list[tuple[Row, Fault | None]]
"""Rows of one line, each with its fault."""
Maker: TypeAlias = Callable[[Any, Any, str], Made]
_NO_OBJECT = Fault("line", "not-object", "is not a JSON object")
_FORMS_MAX = 256


@dataclass(slots=True)
class Reshaped:
    """Rows of some lines or of a document.

    rows: n objects; an empty or partial one for a broken row.
    origins: n pairs: the position of the line that a row comes from, and the row's number within it.
    broken: faults of rows, by position.
    """

    rows: list[Row] = field(default_factory=list)
    origins: list[tuple[int, int]] = field(default_factory=list)
    broken: dict[int, Fault] = field(default_factory=dict)


def reshaped(
    form: Form, values: Sequence[Any], broken: Mapping[int, Fault], companion: Any = None, source: str = ""
) -> Reshaped:
    """The rows of some lines, or of a document.

    Args:
        form: Reshapes.
        values: Parsed lines, or one document.
        broken: Faults of lines that could not be parsed: each stays one row.
        companion: The file that a part of the rows comes from; None without one.
        source: The name of a source that is one document; "" if each value is a line.

    Raises:
        SourceError: The lists of a document, which are its columns, have different lengths.
    """
    found = Reshaped()
    rejects, make, finish = _rejecter(form.rejects), _maker(form), _finisher(form)
    rows, origins, faults = found.rows, found.origins, found.broken
    for position, value in enumerate(values):
        if broken and (fault := broken.get(position)) is not None:
            faults[len(rows)] = fault
            rows.append(value if isinstance(value, dict) else {})
            origins.append((position, 0))
            continue
        if rejects is not None and (fault := rejects(value)) is not None:
            faults[len(rows)] = fault
            rows.append(_of_reject(form, value))
            origins.append((position, 0))
            continue
        if make is _whole and isinstance(value, dict):
            # Most lines: without a list for each row.
            row, wrong = (value, None) if finish is None else finish(value)
            if wrong is not None:
                faults[len(rows)] = wrong
            rows.append(row)
            origins.append((position, 0))
            continue
        for number, (row, wrong) in enumerate(make(value, companion, source)):
            if wrong is None and finish is not None:
                row, wrong = finish(row)
            if wrong is not None:
                faults[len(rows)] = wrong
            rows.append(row)
            origins.append((position, number))
    return found


def _of_reject(form: Form, value: Any) -> Row:
    """What remains of a line that is a reject: that by which its row is known."""
    if not isinstance(value, dict):
        return {}
    return {name: value.get(name) for name in form.outer} if form.rows or form.columns else value


@lru_cache(_FORMS_MAX)
def _maker(form: Form) -> Maker:
    """What makes the rows of one line or document."""
    if form.columns:
        make = _transposing(form)
    elif form.rows:
        make = _elements(form)
    else:
        make = _whole
    split = splitter_of(form)
    if split is not None:
        make = _splitting(form, make, split)
    elif form.numbered:
        make = _numbering(form, make)
    rejects = _rejecter(form.row_rejects)
    return make if rejects is None else _checking(make, rejects)


def _whole(value: Any, _companion: Any, _source: str) -> Made:
    return [(value, None)] if isinstance(value, dict) else [({}, _NO_OBJECT)]


def _splitting(form: Form, make: Maker, split: Callable[[Row], list[Row]]) -> Maker:
    """Rows of which each becomes several."""
    nothing = Fault("line", "no-rows", f"has nothing in {path_of(form.each or form.chunks)!r}")

    def split_each(value: Any, companion: Any, source: str) -> Made:
        made: Made = []
        for row, wrong in make(value, companion, source):
            parts = split(row) if wrong is None else []
            if form.numbered and len(parts) > 1:
                parts = _numbered(parts, form.numbered)
            if parts:
                made += [(part, None) for part in parts]
            else:
                made.append((row, wrong or nothing))
        return made

    return split_each


def _numbering(form: Form, make: Maker) -> Maker:
    """Rows whose ids get a number, if there are several in a line."""

    def numbered(value: Any, companion: Any, source: str) -> Made:
        made = make(value, companion, source)
        if len(made) > 1:
            rows = _numbered([row for row, _ in made], form.numbered)
            made = [(row, wrong) for row, (_, wrong) in zip(rows, made, strict=True)]
        return made

    return numbered


def _numbered(rows: list[Row], columns: Sequence[str]) -> list[Row]:
    """Tell rows of one line apart: a number or a name joins their id."""
    *ids, by = columns
    column = next((name for name in ids if rows[0].get(name) is not None), ids[0])
    return [
        row if row.get(column) is None else {**row, column: f"{row[column]}#{row.get(by, position)}"}
        for position, row in enumerate(rows)
    ]


def _checking(make: Maker, rejects: Callable[[Any], Fault | None]) -> Maker:
    """Rows of which some are rejects."""

    def checked(value: Any, companion: Any, source: str) -> Made:
        return [(row, wrong or rejects(row)) for row, wrong in make(value, companion, source)]

    return checked


def _elements(form: Form) -> Maker:
    """The elements or entries at some steps."""
    way, outer = form.rows, form.outer
    only = outer[0] if len(outer) == 1 else ""
    nothing = Fault("line", "no-rows", f"has nothing in {path_of(way)!r}")
    keyed = form.key if form.key and ENTRIES in way else ""
    joins = bool(form.join or form.join_companion)
    inside = way[-1] not in (EACH, ENTRIES)  # rows are in the elements of a list
    names = way[:-1] if way[-1] == EACH and not any(map(is_bracket, way[1:-1])) else ()

    def make(value: Any, companion: Any, _source: str) -> Made:
        around: Row = {}
        if outer and isinstance(value, dict):
            around = {only: value.get(only)} if only else {name: value.get(name) for name in outer}
        items: Any = None
        if names and not joins:
            # Most forms: the elements of one list, without a generator for each line.
            items = value
            for name in names:
                items = items.get(name) if type(items) is dict else None
        if type(items) is list and len(items) == 1 and type(items[0]) is dict:
            return [({**around, **items[0]} if around else items[0], None)]
        if type(items) is list:
            made: Made = [
                ({**around, **item} if around else item, None)
                if type(item) is dict
                else ({**around, form.value: item}, None)
                if form.value
                else ({}, _NO_OBJECT)
                for item in items
            ]
        else:
            made = [
                (around, nothing) if item is None and inside else _entry(form, around, key, item, keyed)
                for key, item in elements(value, way)
            ]
            if joins:
                keys = (key for key, _ in elements(value, way))
                made = [
                    _joined(form, one, key, value, companion) for one, key in zip(made, keys, strict=True)
                ]
        if not made and (around or not _is_there(form, value, way)):
            made = [(around, nothing)]
        return made

    return make


def _entry(form: Form, around: Row, key: str, item: Any, keyed: str) -> tuple[Row, Fault | None]:
    if isinstance(item, dict):
        row = {**around, **item} if around else item
    elif form.value:
        row = {**around, form.value: item}
    else:
        return {}, _NO_OBJECT
    if keyed and row.get(keyed) is None:
        row = {keyed: key, **{name: one for name, one in row.items() if name != keyed}}
    return row, None


def _joined(
    form: Form, made: tuple[Row, Fault | None], key: str, value: Any, companion: Any
) -> tuple[Row, Fault | None]:
    row, wrong = made
    tables = [(name, dig(value, way)) for name, way in form.join]
    tables += [(name, dig(companion, way)) for name, way in form.join_companion]
    return {**row, **{name: table.get(key) for name, table in tables if isinstance(table, dict)}}, wrong


def _is_there(form: Form, value: Any, way: Steps) -> bool:
    """Whether the list or object is there of which elements are rows, though it is empty.

    For a row that is not in a list: whether the line is one without a row, with fields of `empty` alone.
    """
    if EACH in way or way[-1] == ENTRIES:
        return dig(value, way[: way.index(EACH)] if EACH in way else way[:-1]) is not None
    return isinstance(value, dict) and bool(value) and value.keys() <= {*form.empty}


def _transposing(form: Form) -> Maker:
    """The rows of lists that are columns."""

    def make(value: Any, _companion: Any, source: str) -> Made:
        around = {name: value.get(name) for name in form.outer} if isinstance(value, dict) else {}
        rows, wrong = _transposed(form, value)
        if wrong and source:
            raise SourceError(f"{source} has {wrong}", hint="export it again")
        made: Made = [({**around, **row} if around else row, None) for row in rows]
        return [*made, (around, Fault("line", "no-rows", f"has {wrong}"))] if wrong else made

    return make


def _transposed(form: Form, value: Any) -> tuple[list[Row], str]:
    """The rows of lists that are columns; if they can't be that, what they are."""
    columns: list[tuple[str, Any]] = []
    for way in form.columns:
        if way[-1] == ENTRIES:
            entries = dig(value, way[:-1])
            columns += entries.items() if isinstance(entries, dict) else ()
        else:
            columns += ((_name(way), column) for column in [dig(value, way)] if column is not None)
    if any(column for _, column in columns):
        # An empty list next to others says nothing: images have no texts.
        columns = [(name, column) for name, column in columns if column != []]
    names = [name for name, _ in columns]
    if not columns:
        return [], "no lists"
    first, given = columns[0]
    for at, (name, column) in enumerate(columns):
        if not isinstance(given, list) or not isinstance(column, list):
            return [], f"no list of {name if isinstance(given, list) else first}"
        if len(column) != len(given):
            return [], f"{len(given)} {first} and {len(column)} {name}"
        if name in names[:at]:
            return [], f"two lists of {name}"
    rows = zip(*(column for _, column in columns), strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows], ""


def _name(way: Steps) -> str:
    """The name of a column that is a list at some steps: the last name."""
    return next(step for step in reversed(way) if not step.startswith("["))


@lru_cache(_FORMS_MAX)
def _rejecter(rules: tuple[RejectRule, ...]) -> Callable[[Any], Fault | None] | None:
    """What finds the fault of a line or row that is a reject; None without rules."""
    if not rules:
        return None
    checks = [(rule.at, rule.says, (None, *rule.unless) if rule.unless else ()) for rule in rules]

    def rejected(value: Any) -> Fault | None:
        for way, says, fine in checks:
            found = value
            for step in way:
                if type(found) is not dict:
                    found = dig(value, way)
                    break
                found = found.get(step)
                if found is None:
                    break
            if found is None or found in (fine or _NOTHING):
                continue
            number = f" ({found})" if type(found) is int else ""
            return Fault("line", "failed", f"{says}{number}")
        return None

    return rejected


_NOTHING: tuple[Any, ...] = (None, "", [], {})


@lru_cache(_FORMS_MAX)
def _finisher(form: Form) -> Callable[[Row], tuple[Row, Fault | None]] | None:
    """What changes single rows; None if nothing does."""
    if not form.finishes:
        return None
    kinds = dict(form.typed)
    others = any((form.single, form.octets, form.drop, form.absent, form.objects))
    if form.first and not kinds and not others:
        return _choosing(form)
    typed_alone = bool(kinds) and not others and not form.first

    def finish(row: Row) -> tuple[Row, Fault | None]:
        if kinds:
            try:
                row = {name: untyped(value, kinds) for name, value in row.items()}
            except (ValueError, TypeError, OverflowError, ArithmeticError):
                return row, Fault("line", "bad-type", "has a value that is not of the type it names")
            except RecursionError:
                return row, Fault("line", "too-deep", "is nested too deep")
        return (row, None) if typed_alone else _finished(form, row)

    return finish


def _choosing(form: Form) -> Callable[[Row], tuple[Row, Fault | None]]:
    """What gives rows the first value of several that exists."""
    if len(form.first) == 1:
        ((name, ways),) = form.first
        return lambda row: ({**row, name: _first_of(row, ways)}, None)
    return lambda row: ({**row, **{name: _first_of(row, ways) for name, ways in form.first}}, None)


def _first_of(row: Row, ways: Sequence[Steps]) -> Any:
    """The first value that exists at some steps; None if there is none."""
    for way in ways:
        if (found := dig(row, way)) is not None:
            return found
    return None


def _finished(form: Form, row: Row) -> tuple[Row, Fault | None]:
    for way in form.single:
        row = _changed(row, way, _single)
    for way in form.octets:
        row = _changed(row, way, _bytes)
    if form.drop:
        row = without(row, form.drop)
    for name, absent in form.absent:
        if row.get(name) in absent:
            row = {key: value for key, value in row.items() if key != name}
    for name, ways in form.first:
        row = {**row, name: _first_of(row, ways)}
    for name, (key, *entries) in form.objects:
        if name not in row:
            continue
        entry, fault = _object_of(row[name], name, key, entries)
        if fault is not None:
            return row, fault
        row = {other: value for other, value in row.items() if other != name}
        if entry:
            row[name] = entry
    return row, None


def _object_of(items: Any, name: str, key: str, entries: Sequence[str]) -> tuple[Any, Fault | None]:
    """The object of a list of objects: lists under the same key are joined."""
    found: Row = {}
    if not isinstance(items, list):
        return items, None
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get(key), str):
            return items, Fault("line", "no-name", f"has an element without {key!r} in {name!r}")
        value = next((item[entry] for entry in entries if item.get(entry) is not None), None)
        if value is None:
            continue
        before = found.get(item[key])
        if isinstance(before, list) and isinstance(value, list):
            value = [*before, *(one for one in value if one not in before)]
        elif before is not None and not same(before, value):
            return items, Fault("line", "two-values", f"has two elements of one {key!r} in {name!r}")
        found[item[key]] = value
    return found, None


def _changed(row: Any, way: Steps, change: Callable[[Any], Any]) -> Any:
    """The row with another value at some steps."""
    if not way:
        return change(row)
    if not isinstance(row, dict) or way[0] not in row:
        return row
    return {**row, way[0]: _changed(row[way[0]], way[1:], change)}


def _bytes(value: Any) -> Any:
    """A list of the values of bytes as bytes."""
    is_octets = isinstance(value, list) and all(type(one) is int and 0 <= one < 256 for one in value)
    return {BYTES_MARK: base64.b64encode(bytes(value)).decode()} if is_octets else value


def _single(value: Any) -> Any:
    """An object, with the only element of a list in place of the list."""
    if not isinstance(value, dict):
        return value
    return {name: one[0] if isinstance(one, list) and len(one) == 1 else one for name, one in value.items()}
