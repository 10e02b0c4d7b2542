"""Columns of a source: their kinds of values, and the fields inside them, which are found by paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from vecload.errors import MappingError
from vecload.mapping.paths import EACH, PathError, Steps, Token, dig, path_of, tokens_of

ValueKind: TypeAlias = Literal["text", "integer", "bytes", "floats", "integers", "object", "null", "other"]
"""The kind of a column's values. `floats` and `integers` are lists of numbers; `null`: none is known."""

BYTES_MARK = "$bytes"
"""`{"$bytes": "base64"}` stands for bytes in JSON: `vecload get` writes bytes so, and they are read so."""
BIG_INTEGER = 2.0**63
"""The fast JSON parser turns integers beyond 64 bits into floats; smaller floats were floats."""
FIELDS_DEPTH = 8
"""Fields in deeper objects are not listed; a path may still name them."""
LISTED_MAX = 20
"""Names in a message: nobody reads more."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a source.

    name: its name in the file.
    kind: the kind of its values.
    type_name: its type, as the file names it.
    fields: if its values are objects, the known fields inside them.
    index: it is the index of the data frame that wrote the file.
    partition: its value comes from a folder's name. It becomes metadata, unless the user names it otherwise.
    free_text: its text is not JSON objects.
    lost_index: the name of the data frame's index, if that is a range, which gets no column.
    elements: if its values are lists of objects, the fields inside these objects.
    values: its values in the first rows as Python values, None in a row without one. For a field: its values
        in the objects of the first rows.
    """

    name: str
    kind: ValueKind
    type_name: str = ""
    fields: tuple[Column, ...] = ()
    index: bool = False
    partition: bool = False
    free_text: bool = False
    lost_index: str = ""
    elements: tuple[Column, ...] = ()
    values: Sequence[Any] = field(default=(), compare=False, repr=False)


def find(columns: Sequence[Column], path: str) -> tuple[Steps, Column] | None:
    """Find a column by its name, or a field by its path. A column whose name is the whole path comes first.

    Text may be JSON, and the first rows may lack a value. There, any field is found, of kind `other`.
    """
    for column in columns:
        if column.name == path:
            return (path,), column
    try:
        tokens = tokens_of(path)
    except PathError:
        return None
    return _find(columns, tokens)


def _find(columns: Sequence[Column], tokens: Sequence[Token]) -> tuple[Steps, Column] | None:
    by_name = {column.name: column for column in columns}
    for name, rest in _names(tokens):
        column = by_name.get(name)
        found = None if column is None else _find_inside(column, rest)
        if found is not None:
            return (name, *found[0]), found[1]
    return None


def _names(tokens: Sequence[Token]) -> Iterator[tuple[str, Sequence[Token]]]:
    """The names that a path may begin with, the longest first: a name may contain dots."""
    bare = next((at for at, token in enumerate(tokens) if token.kind != "name"), len(tokens))
    for end in range(max(1, bare), 0, -1):
        yield ".".join(token.step for token in tokens[:end]), tokens[end:]


def _find_inside(column: Column, tokens: Sequence[Token]) -> tuple[Steps, Column] | None:
    if not tokens:
        return (), column
    first, rest = tokens[0], tokens[1:]
    if first.kind in ("index", "each", "entries"):
        inside = _element(column, first)
        found = None if inside is None else _find_inside(inside, rest)
        return None if found is None else ((first.step, *found[0]), found[1])
    if column.elements:
        return None
    if column.fields:
        return _find(column.fields, tokens)
    if column.kind in ("text", "object", "null", "other"):
        steps = tuple(token.step for token in tokens)
        return steps, Column(path_of((column.name, *steps)), "other")
    return None


def _element(column: Column, token: Token) -> Column | None:
    """The elements of a list, or the entries of an object, as a column; None if it has none."""
    if token.kind == "entries":
        if column.kind not in ("object", "text", "null", "other") or column.elements:
            return None
        entries = [next(iter(value.values()), None) for value in column.values if isinstance(value, dict)]
        return _seen(column.name, entries)
    if column.fields or column.kind in ("integer", "bytes", "object"):
        return None
    values = [dig(value, (token.step,)) for value in column.values]
    return (
        replace(_seen(column.name, values), fields=column.elements)
        if column.elements
        else _seen(column.name, values)
    )


def _seen(name: str, values: Sequence[Any], depth: int = FIELDS_DEPTH) -> Column:
    """A column as some values show it."""
    found = columns_of([{name: value} for value in values], 0)
    kind = found[0].kind if found else "null"
    if not depth:
        return Column(name, kind, kind, values=values)
    objects = [value for value in values if isinstance(value, dict)]
    items = [item for value in values if isinstance(value, list) for item in value if isinstance(item, dict)]
    return Column(
        name,
        kind,
        kind,
        fields=_fields_seen(objects, depth) if kind == "object" else (),
        elements=_fields_seen(items, depth),
        values=values,
    )


def _fields_seen(objects: Sequence[dict[str, Any]], depth: int) -> tuple[Column, ...]:
    names = dict.fromkeys(name for each in objects for name in each)
    return tuple(_seen(name, [each.get(name) for each in objects], depth - 1) for name in names)


def deepest(columns: Sequence[Column], path: str) -> tuple[str, list[str]]:
    """The longest beginning of a path that exists, "" if none does, and what there is in it."""
    try:
        tokens = tokens_of(path)
    except PathError:
        return "", [column.name for column in columns]
    for end in range(len(tokens) - 1, 0, -1):
        found = _find(columns, tokens[:end])
        if found is not None:
            steps, column = found
            inside = column.fields or column.elements
            way = steps if column.fields or not inside or steps[-1] == EACH else (*steps, EACH)
            if inside:
                return path_of(steps), [path_of((*way, field.name)) for field in inside]
            return path_of(steps), []
    return "", [column.name for column in columns]


def walk(columns: Iterable[Column]) -> Iterator[tuple[Steps, Column]]:
    """Every column, each followed by the fields inside it. Elements of lists are the step `[]`."""
    for column in columns:
        yield (column.name,), column
        for steps, inside in walk(column.fields):
            yield (column.name, *steps), inside
        for steps, inside in walk(column.elements):
            yield (column.name, "[]", *steps), inside


PATHS_HINT = 'a path is like a.b, a[0].b, a[].b or a["b.c"]'
"""What a message says of paths."""


def missing_error(columns: Sequence[Column], path: str, source: str, flag: str) -> MappingError:
    """The error for a path that leads nowhere: with what there is at its deepest step that exists."""
    try:
        tokens_of(path)
    except PathError as error:
        return MappingError(
            f"{source} has no column {path!r} ({flag}), and as a path it {error}",
            hint=f"{PATHS_HINT}; it has {listed(column.name for column in columns)}",
        )
    place, names = deepest(columns, path)
    where = f" in {place!r}" if place and not names else ""
    has = f"it has nothing inside{where}" if where else f"it has {listed(names)}"
    return MappingError(f"{source} has no column {path!r} ({flag})", hint=has)


def with_named(columns: Sequence[Column], path: str) -> list[Column]:
    """The columns, plus a column or field of kind `null` if the path leads nowhere yet.

    Raises:
        PathError: It is not a path.
    """
    if find(columns, path) is not None:
        return list(columns)
    return _with_named(columns, tokens_of(path))


def _with_named(columns: Sequence[Column], tokens: Sequence[Token]) -> list[Column]:
    for name, rest in _names(tokens):
        outer = next((column for column in columns if column.name == name), None)
        if outer is None or not rest:
            continue
        # A column without objects in the first rows gets no fields.
        named = rest[0].kind in ("name", "quoted")
        fields = outer.fields and named and tuple(_with_named(outer.fields, rest))
        return [replace(column, fields=fields or ()) if column is outer else column for column in columns]
    if _find(columns, tokens) is not None:
        return list(columns)
    return [*columns, Column(tokens[0].step, "null")]


def listed(names: Iterable[str]) -> str:
    """Names of columns for a message: the first of them, if there are many."""
    shown = [repr(name) for name in names]
    more = len(shown) - LISTED_MAX
    first = ", ".join(shown[:LISTED_MAX]) or "no columns"
    return f"{first} and {more} more" if more > 0 else first


def first_named(names: Sequence[str], columns: Sequence[Column], source: str, flag: str) -> str | None:
    """The first of these names that a column has, exactly or in another case.

    Args:
        names: In lower case.
        columns: Any.
        source: For messages.
        flag: The option that picks one of several.

    Raises:
        MappingError: Several columns have the name in different cases, and none has it exactly.
    """
    for name in names:
        found = [column.name for column in columns if column.name.lower() == name]
        if name in found:
            return name
        if len(found) > 1:
            raise MappingError(
                f"{source} has columns whose names differ only in case: {listed(found)}",
                hint=f"pick one with {flag}",
            )
        if found:
            return found[0]
    return None


def columns_of(rows: Sequence[dict[str, Any]], depth: int = FIELDS_DEPTH) -> list[Column]:
    """The columns of some JSON rows. The first values that show a kind decide it.

    Null, an empty list and a list that contains a null show none. A list of whole numbers is `integers` only
    if no later row has fractions.

    Args:
        rows: n objects.
        depth: Down to which depth fields inside objects are listed.
    """
    kinds: dict[str, ValueKind] = {}
    for row in rows:
        for name, value in row.items():
            known = kinds.setdefault(name, "null")
            if known in ("null", "other", "integers"):
                kind = _kind_of(value)
                shows = kind != "null" if known == "null" else kind not in ("null", "other")
                kinds[name] = kind if shows else known
    return [Column(name, kind, kind, _inside(rows, name, kind, depth)) for name, kind in kinds.items()]


def _inside(rows: Sequence[dict[str, Any]], name: str, kind: ValueKind, depth: int) -> tuple[Column, ...]:
    if kind != "object" or depth == 0:
        return ()
    return tuple(columns_of([row[name] for row in rows if isinstance(row.get(name), dict)], depth - 1))


def _kind_of(value: Any) -> ValueKind:
    if value is None:
        return "null"
    if isinstance(value, str):
        return "text"
    if isinstance(value, dict):
        return "bytes" if value.keys() == {BYTES_MARK} else "object"
    if isinstance(value, list) and value and all(type(number) in (int, float) for number in value):
        return "floats" if any(type(number) is float for number in value) else "integers"
    return "integer" if type(value) is int else "other"


def marked_bytes(text: Any) -> Any:
    """The bytes of a value under BYTES_MARK; an empty dict if it is not base64."""
    # Not at the top: it loads cryptography, which parsers do not need.
    from vecload.sealing.envelope import decode_base64

    try:
        return decode_base64(text)
    except (TypeError, ValueError):
        return {}
