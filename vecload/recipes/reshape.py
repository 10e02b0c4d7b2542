"""Makes rows of JSON lines and documents, as a form says: where they are, what joins them, their types."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vecload.errors import SourceError
from vecload.mapping.columns import BYTES_MARK
from vecload.mapping.forms import Form, RejectRule
from vecload.mapping.nested_rows import without
from vecload.mapping.paths import EACH, ENTRIES, Steps, dig, elements, one_each, path_of
from vecload.mapping.rows import Fault
from vecload.recipes.typed import untyped

Row = dict[str, Any]
_NOTHING: tuple[Any, ...] = (None, "", [], {})
_NO_OBJECT = Fault("line", "not-object", "is not a JSON object")


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
    kinds = dict(form.typed)
    for position, value in enumerate(values):
        fault = broken.get(position) or _rejected(value, form.rejects)
        given: Iterator[tuple[Row, Fault | None]] = iter([(value if isinstance(value, dict) else {}, None)])
        if fault is None:
            given = _rows_of(form, value, companion, source)
        elif fault is not broken.get(position) and isinstance(value, dict):
            given = iter([({name: dig(value, (name,)) for name in form.outer} if form.rows else value, None)])
        count = 0
        for number, (row, wrong) in enumerate(given):
            count = number + 1
            fault_of_row, changed = fault or wrong, row
            if fault_of_row is None and form.finishes:
                changed, fault_of_row = _finished(form, row, kinds)
            if fault_of_row is not None:
                found.broken[len(found.rows)] = fault_of_row
            found.rows.append(changed)
            found.origins.append((position, number))
        if form.numbered and count > 1:
            rows = found.rows[-count:]
            _number(rows, *form.numbered)
            found.rows[-count:] = rows
    return found


def _rows_of(form: Form, value: Any, companion: Any, source: str) -> Iterator[tuple[Row, Fault | None]]:
    if form.columns:
        rows, wrong = _transposed(form, value)
        if wrong and source:
            raise SourceError(f"{source} has {wrong}", hint="export it again")
        yield from ((row, None) for row in rows)
        if wrong:
            yield {}, Fault("line", "no-rows", f"has {wrong}")
    elif form.rows:
        yield from _elements(form, value, companion)
    elif form.each:
        placed = one_each(value, form.each)
        if not placed and isinstance(value, dict):
            yield value, Fault("line", "no-rows", f"has nothing in {path_of(form.each)!r}")
        yield from ((row, None) for row in placed)
    elif isinstance(value, dict):
        yield value, None
    else:
        yield {}, _NO_OBJECT


def _elements(form: Form, value: Any, companion: Any) -> Iterator[tuple[Row, Fault | None]]:
    outer = {name: value.get(name) for name in form.outer} if isinstance(value, dict) else {}
    joins = [(name, dig(value, way)) for name, way in form.join]
    joins += [(name, dig(companion, way)) for name, way in form.join_companion]
    keyed = form.key and ENTRIES in form.rows
    empty = True
    for key, item in elements(value, form.rows):
        empty = False
        if isinstance(item, dict):
            row = {**outer, **item} if outer else item
        elif form.value:
            row = {**outer, form.value: item}
        else:
            yield {}, _NO_OBJECT
            continue
        if keyed and row.get(form.key) is None:
            row = {form.key: key, **{name: one for name, one in row.items() if name != form.key}}
        if joins:
            row = {**row, **{name: table.get(key) for name, table in joins if isinstance(table, dict)}}
        yield row, None
    if empty and (outer or not _is_there(value, form.rows)):
        yield outer, Fault("line", "no-rows", f"has nothing in {path_of(form.rows)!r}")


def _is_there(value: Any, way: Steps) -> bool:
    """Whether the list or object is there of which elements are rows, if it is empty too."""
    return dig(value, way[: way.index(EACH)] if EACH in way else way[:-1]) is not None


def _transposed(form: Form, value: Any) -> tuple[list[Row], str]:
    """The rows of lists that are columns; if they can't be that, what they are."""
    columns: list[tuple[str, Any]] = []
    for way in form.columns:
        if way[-1] == ENTRIES:
            entries = dig(value, way[:-1])
            columns += entries.items() if isinstance(entries, dict) else ()
        else:
            columns += ((_name(way), column) for column in [dig(value, way)] if column is not None)
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


def _rejected(value: Any, rules: Sequence[RejectRule]) -> Fault | None:
    for rule in rules:
        found = dig(value, rule.at)
        fine = (None, *rule.unless) if rule.unless else _NOTHING
        if found not in fine:
            number = f" ({found})" if type(found) is int else ""
            return Fault("line", "failed", f"{rule.says}{number}")
    return None


def _finished(form: Form, row: Row, kinds: dict[str, str]) -> tuple[Row, Fault | None]:
    if kinds:
        try:
            row = {name: untyped(value, kinds) for name, value in row.items()}
        except (ValueError, TypeError, OverflowError, ArithmeticError):
            return row, Fault("line", "bad-type", "has a value that is not of the type it names")
        except RecursionError:
            return row, Fault("line", "too-deep", "is nested too deep")
    for way in form.octets:
        row = _with_bytes(row, way)
    if form.drop:
        row = without(row, form.drop)
    for name, absent in form.absent:
        if row.get(name) in absent:
            row = {key: value for key, value in row.items() if key != name}
    for name, ways in form.first:
        found = (dig(row, way) for way in ways)
        row = {**row, name: next((value for value in found if value is not None), None)}
    for name, (key, *entries) in form.objects:
        items = row.get(name)
        if isinstance(items, list):
            pairs = [item for item in items if isinstance(item, dict) and isinstance(item.get(key), str)]
            values = ((item[key], _first_of(item, entries)) for item in pairs)
            row = {**row, name: {entry: value for entry, value in values if value is not None}}
    return row, None


def _first_of(item: Row, names: Sequence[str]) -> Any:
    return next((item[name] for name in names if item.get(name) is not None), None)


def _with_bytes(row: Any, way: Steps) -> Any:
    """The row with a list of the values of bytes as bytes."""
    if not way:
        is_octets = isinstance(row, list) and all(type(one) is int and 0 <= one < 256 for one in row)
        return {BYTES_MARK: base64.b64encode(bytes(row)).decode()} if is_octets else row
    if not isinstance(row, dict) or way[0] not in row:
        return row
    return {**row, way[0]: _with_bytes(row[way[0]], way[1:])}


def _number(rows: list[Row], column: str, by: str) -> None:
    """Tell rows of one line apart: a number joins their id."""
    for position, row in enumerate(rows):
        if row.get(column) is not None:
            rows[position] = {**row, column: f"{row[column]}#{row.get(by, position)}"}
