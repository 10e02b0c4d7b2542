"""Chooses the vector column, and the number type of vectors written as bytes.

Every column or field that could hold a vector, at any depth and in any encoding, is a candidate. The only
candidate is taken, or the only one with the name of a vector if no other candidate is longer. A list with the
name of something else (scores, boxes, tokens) is never taken, and neither is a list of integers without a
vector's name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vecload.errors import MappingError
from vecload.mapping.columns import LISTED_MAX, Column, find
from vecload.mapping.forms import Form
from vecload.mapping.mapping import ColumnMapping
from vecload.mapping.names import NameHint, is_vector_name, name_hint_of, words_of
from vecload.mapping.paths import Steps, is_bracket, path_of, steps_of
from vecload.mapping.tensors import is_tensor
from vecload.mapping.vector_encodings import Encoding, encoding_of, sparse_parent

OBJECTS_OF_VECTORS = ("vector", "vectors", "embedding", "embeddings", "values", "emb")
"""Columns with these names may be objects whose fields are named vectors."""
NAMELESS_LEAST = 8
"""Shortest list that can be a vector without the name of one: points and boxes are shorter."""
FIRST_LOOK = 5
"""Values of a column to look at first: most columns are then known not to hold vectors."""
LONG_LIST = 32
"""A list this long becomes metadata only if the user names it: no filter uses it, and it slows the load."""
FLAG_HINT = "pick one with --vector-column"

NODE = "_node_content"
"""LlamaIndex's node as JSON text, whose own vector is null: the vector is next to it."""
SPARSE_ENCODING = Encoding("numbers", 0, False, (), "sparse")
"""For columns that are sparse by their names, however they are written."""
_EMPTY: tuple[Any, ...] = (None, "", [], {})
_FLOAT_DTYPES = frozenset({"float32", "float16", "bfloat16", "float64", "npy"})
_TELLING_KINDS: dict[str, NameHint] = {
    "BSON vector": "vector",
    "dense struct": "perhaps",
    "hex text": "perhaps",
}
"""What an encoding suggests of a list of numbers whose name suggests nothing."""
_NUMBERS_OF_LISTS = re.compile(r": (halffloat|float|double|u?int[0-9]+)(?: not null)?>")
_NUMBER_TYPES = {"halffloat": "float16", "float": "float32", "double": "float64"}
"""Arrow's names of number types, and the common ones."""
_NUMBERED = re.compile(r"(.*?)([0-9]+)")
_KINDS_OF_LISTS = {"floats": False, "integers": True}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A column or field that could hold a vector, or holds several, or a sparse one.

    steps: the names that lead to it; `[]` is any element of a list.
    column: the column or field in the first rows.
    encoding: how its vectors are written; None if the first rows have none.
    name_hint: what its name suggests.
    readable: its values are vectors, or the first rows have none.
    """

    steps: Steps
    column: Column
    encoding: Encoding | None
    name_hint: NameHint
    readable: bool = True

    @property
    def path(self) -> str:
        """The path as people write it."""
        return path_of(self.steps)

    @property
    def length(self) -> int:
        """Numbers in a vector; 0 if unknown."""
        return 0 if self.encoding is None else self.encoding.length

    @property
    def dense(self) -> bool:
        """Whether it may hold one dense vector per row."""
        return self.readable and (self.encoding is None or not self.encoding.problem)

    @property
    def is_text_of_numbers(self) -> bool:
        """Whether it is numbers written as text, which are not contents."""
        return self.encoding is not None and self.encoding.kind in ("array text", "number texts")

    @property
    def whole(self) -> bool:
        """Whether it holds integers, which are an embedding only if the name says so."""
        return self.encoding is not None and self.encoding.integers

    @property
    def plausible_kind(self) -> bool:
        """Whether its values look like an embedding, whatever its name."""
        encoding = self.encoding
        if encoding is None or encoding.problem or self.whole:
            return False
        if encoding.kind in ("bytes", "base64 text", "buffer"):
            return len(encoding.dtypes) == 1 and encoding.dtypes[0] in _FLOAT_DTYPES
        return True

    @property
    def plausible(self) -> bool:
        """Whether it could be the vector although its name does not say so."""
        if self.name_hint not in ("nothing", "perhaps") or not self.plausible_kind:
            return False
        return not self.column.values or self.length == 0 or self.length >= NAMELESS_LEAST

    def __str__(self) -> str:
        """For a message: its path, how it is written, and its first values."""
        if self.encoding is None:
            return (
                f"{self.path!r} ({'null in the first rows' if self.readable else 'not readable as a vector'})"
            )
        return f"{self.path!r} ({encoding_text(self.encoding)}{_first(self.column)})"


def encoding_text(encoding: Encoding) -> str:
    """How vectors are written, for people."""
    if encoding.problem:
        return f"{encoding.problem} vectors"
    many = f"{encoding.length:,} " if encoding.length else ""
    if encoding.kind == "numbers":
        return f"{many}{'integers' if encoding.integers else 'numbers'}"
    return f"{many}numbers as {encoding.kind}" if many else encoding.kind


def vector_written(chosen: Candidate) -> str:
    """How vectors are written, or the number type if the file names one; "" if unknown."""
    encoding = chosen.encoding
    if encoding is None:
        return ""
    found = _NUMBERS_OF_LISTS.search(chosen.column.type_name) if encoding.kind == "numbers" else None
    return _NUMBER_TYPES.get(found[1], found[1]) if found else encoding_text(encoding)


def _first(column: Column) -> str:
    """The first numbers of the first list, so that people recognise it."""
    value = next((value for value in column.values if isinstance(value, list) and value), None)
    if value is None:
        return ""
    numbers = [f"{number:.3g}" for number in value[:2] if isinstance(number, int | float)]
    return f", [{', '.join(numbers)}, …]" if numbers else ""


def candidates(columns: Iterable[Column]) -> list[Candidate]:
    """All columns and fields that could hold a vector, at any depth, in the order of the columns."""
    found: list[Candidate] = []
    for column in columns:
        if not column.partition:
            _add(found, (column.name,), column)
    return found


def _add(found: list[Candidate], steps: Steps, column: Column) -> None:
    names = [step for step in steps if step != "[]"]
    if "sparse" in words_of(column.name):
        if any(value is not None for value in column.values):
            found.append(Candidate(steps, column, SPARSE_ENCODING, "vector"))
        return
    if column.name == NODE:
        return
    name_hint = name_hint_of(names)
    # Look into the JSON text of objects, unless its name says that the text is the vector.
    is_object = column.kind == "text" and column.fields and name_hint != "vector"
    encoding = None if is_object else encoding_of_column(column)
    if encoding is not None:
        if name_hint == "nothing":
            name_hint = _TELLING_KINDS.get(encoding.kind, name_hint)
        if name_hint == "nothing" and encoding.problem and any(map(is_tensor, column.values)):
            name_hint = "perhaps"
        if name_hint != "nothing" or encoding.kind not in ("bytes", "base64 text") or encoding.dtypes:
            found.append(Candidate(steps, column, encoding, name_hint))
        return
    if is_vector_name(column.name) and name_hint == "vector":
        given = [value for value in column.values if value not in _EMPTY]
        if not given and (column.kind == "null" or column.values):
            found.append(Candidate(steps, column, None, "vector"))
        elif given and isinstance(given[0], str | bytes | list) and not (column.fields or column.elements):
            found.append(Candidate(steps, column, None, "vector", readable=False))
    for inside in column.fields:
        _add(found, (*steps, inside.name), inside)
    for inside in column.elements:
        _add(found, (*steps, "[]", inside.name), inside)


def encoding_of_column(column: Column) -> Encoding | None:
    """How the vectors of a column are written, by its first values, or by its type if there are none."""
    found = [value for value in column.values if value is not None]
    whole = _KINDS_OF_LISTS.get(column.kind)
    if whole is not None:
        lengths = Counter(len(value) for value in found if isinstance(value, list) and value)
        return Encoding("numbers", lengths.most_common(1)[0][0] if lengths else 0, whole)
    if not found or not isinstance(found[0], list | dict | str | bytes):
        return None
    # Most columns are text: a few values show that they are not vectors.
    return encoding_of(found) if encoding_of(found[:FIRST_LOOK]) is not None else None


def choose_vector(
    found: Sequence[Candidate],
    columns: Sequence[Column],
    form: Form | None,
    source: str,
    *,
    named: bool,
) -> tuple[Candidate, str]:
    """Find the column of vectors.

    Args:
        found: All candidates that are not another part.
        columns: The columns that are not another part, for messages.
        form: The form of a recipe that the rows have.
        source: For messages.
        named: The user named that recipe.

    Returns:
        The candidate, and the reason for it.

    Raises:
        MappingError: There is none, or there are several.
    """
    dense = [each for each in found if each.dense]
    if form is not None and form.vector:
        there = [each for each in dense if each.encoding is not None] or dense
        for path in form.vector:
            within = [each for each in there if _is_below(each.steps, path)]
            if len(within) == 1 and (named or not _rivals(within[0], dense, form.vector)):
                return _reached(within[0], source), f"the recipe {form.recipe}"
            if within:
                raise several_error(within if len(within) > 1 else dense, source)
    usual = [each for each in dense if each.name_hint == "vector"]
    usual = usual or [each for each in dense if each.name_hint == "perhaps" and not each.whole]
    if len(usual) == 1:
        only = usual[0]
        longer = [each for each in dense if _rivals_by_length(each, only)]
        if longer:
            raise several_error([only, *longer], source)
        return _reached(only, source), "its name"
    if usual:
        raise several_error(usual, source)
    plausible = [each for each in dense if each.plausible]
    unsupported = [each for each in found if not each.dense and is_vector_name(each.column.name)]
    if plausible and unsupported:
        raise several_error([*unsupported, *plausible], source)
    if len(plausible) == 1:
        lists = len([each for each in dense if each.encoding is not None])
        why = "the only column that could be one" if lists > 1 else "the only column of lists of numbers"
        return _reached(plausible[0], source), why
    if plausible:
        raise several_error(plausible, source)
    raise _none(found, columns, source)


def _is_below(steps: Steps, path: str) -> bool:
    """Whether steps lead to a path, or to a field inside it."""
    way = steps_of(path)
    return steps[: len(way)] == way


def _rivals_by_length(each: Candidate, chosen: Candidate) -> bool:
    """Whether another candidate could be the vector, being longer than the one with a vector's name."""
    if each is chosen or each.name_hint not in ("nothing", "perhaps") or each.whole:
        return False
    # Bytes without a type have no known length. If the name only perhaps says vector, they may be the vector
    # too.
    unknown = chosen.name_hint == "perhaps" and each.encoding is not None and not each.length
    return unknown or (each.plausible_kind and each.length > chosen.length)


def _rivals(chosen: Candidate, dense: Sequence[Candidate], own: Sequence[str]) -> list[Candidate]:
    """Candidates that could be the vector instead of that of a form."""
    return [
        each
        for each in dense
        if each is not chosen
        and each.encoding is not None
        and each.steps[0] not in {steps_of(path)[0] for path in own}
        and (each.name_hint == "vector" or _rivals_by_length(each, chosen))
    ]


def check_named(column: Column, steps: Steps, columns: Sequence[Column], source: str) -> None:
    """Refuse a column that the user named if it can't hold one dense vector per row.

    Raises:
        MappingError: Its vectors are sparse or unreadable, or it has several per row.
    """
    encoding = encoding_of_column(column)
    if encoding is not None and encoding.problem:
        raise _unsupported(Candidate(steps, column, encoding, "vector"), source)
    given = [value for value in column.values if value not in _EMPTY]
    if encoding is None and given and isinstance(given[0], str | list):
        raise unreadable(Candidate(steps, column, None, "vector", readable=False), source)
    outer: Sequence[Column] = columns
    parent: Column | None = None
    for step in steps[:-1]:
        if is_bracket(step):
            continue
        parent = next((each for each in outer if each.name == step), None)
        if parent is None:
            return
        outer = parent.fields or parent.elements
    if parent is not None and sparse_parent([field.name for field in parent.fields]):
        around = encoding_of_column(parent)
        if around is None or around.problem == "sparse":
            raise _unsupported(Candidate(steps[:-1], parent, SPARSE_ENCODING, "vector"), source)


def several_error(found: Sequence[Candidate], source: str, hint: str = FLAG_HINT) -> MappingError:
    """The error for several candidates, none of which clearly is the vector."""
    shown = ", ".join(map(str, found[:LISTED_MAX]))
    more = f" and {len(found) - LISTED_MAX} more" if len(found) > LISTED_MAX else ""
    return MappingError(f"{source} has several columns that could be the vector: {shown}{more}", hint=hint)


def _reached(chosen: Candidate, source: str) -> Candidate:
    """The candidate, if it has one value per row.

    Raises:
        MappingError: It is inside the elements of a list.
    """
    if "[]" in chosen.steps:
        every = path_of(chosen.steps)
        one = every.replace("[]", "[0]")
        raise MappingError(
            f"{source} has its vectors inside a list: {chosen}",
            hint=f"name one element with --vector-column '{one}', or make each a row: '{every}'",
        )
    return chosen


def _unsupported(one: Candidate, source: str) -> MappingError:
    assert one.encoding is not None  # noqa: S101 for the type checker
    if one.encoding.problem == "sparse":
        return MappingError(
            f"{source} has sparse vectors in {one.path!r}, which an index can't hold",
            hint="write them dense, or pick another column with --vector-column",
        )
    return MappingError(
        f"{source} has several vectors per row in {one.path!r} (multi-vector, like ColBERT); an item has one",
        hint="pool them into one, or write one row for each",
    )


def _none(found: Sequence[Candidate], columns: Sequence[Column], source: str) -> MappingError:
    """The error for a source without vectors, with the cause if it is visible."""
    unread = next((each for each in found if not each.readable), None)
    if unread is not None:
        return unreadable(unread, source)
    unsupported = next((each for each in found if not each.dense), None)
    if unsupported is not None and (unsupported.name_hint == "vector" or len(found) == 1):
        return _unsupported(unsupported, source)
    numbered = _one_a_dimension(columns)
    if numbered is not None:
        first, last = numbered
        pattern = re.sub("[0-9]+$", "*", first)
        return MappingError(
            f"{source} has one column per dimension: {first!r} to {last!r}",
            hint=f"name them with --vector-columns {pattern!r}",
        )
    if found:
        shown = ", ".join(map(str, found[:LISTED_MAX]))
        return MappingError(
            f"{source} has no clear vector column; it has {shown}",
            hint="name it with --vector-column",
        )
    listed = ", ".join(repr(column.name) for column in columns[:LISTED_MAX]) or "nothing"
    more = f" and {len(columns) - LISTED_MAX} more" if len(columns) > LISTED_MAX else ""
    return MappingError(
        f"{source} has no vector column; its other columns are {listed}{more}",
        hint="name it with --vector-column",
    )


def unreadable(one: Candidate, source: str) -> MappingError:
    """The error for a column whose values are in no known encoding, with the cause if it is visible."""
    value = next(value for value in one.column.values if value not in _EMPTY)
    cause, hint = "their encoding is unknown", "write them as lists of numbers"
    if isinstance(value, str):
        text = value.strip()
        if re.fullmatch(r"(?:[0-9a-fA-F]{2}){4,}", text):
            cause, hint = "they look like hexadecimal bytes", "write bytes, base64 or lists of numbers"
        elif text.startswith("data:"):
            cause, hint = "they are data: URLs", "write only the base64 after the comma"
        elif re.fullmatch(r"[-+0-9.eE]+(?:[ ,;|\t]+[-+0-9.eE]+)+", text):
            cause, hint = "they are numbers without brackets", "put them in [ ], with commas between them"
    elif isinstance(value, list) and value and isinstance(value[0], bool):
        cause = "they are lists of booleans"
    return MappingError(
        f"{source} has values in {one.path!r} that can't be read as vectors: {cause}", hint=hint
    )


def _one_a_dimension(columns: Sequence[Column]) -> tuple[str, str] | None:
    """The first and the last of numeric columns like `dim_0` and `dim_1`."""
    runs: dict[str, list[str]] = {}
    for column in columns:
        match = _NUMBERED.fullmatch(column.name)
        numbers = [value for value in column.values if value is not None]
        if match and numbers and all(isinstance(value, int | float) for value in numbers):
            runs.setdefault(match[1], []).append(column.name)
    longest = max(runs.values(), key=len, default=[])
    return (longest[0], longest[-1]) if len(longest) >= NAMELESS_LEAST else None


def unused_candidates(found: Sequence[Candidate], chosen: Candidate | None) -> list[Candidate]:
    """Candidates that do not become metadata: vectors that were not chosen, and long lists of numbers.

    Args:
        found: All candidates.
        chosen: The vector; None if the index computes its vectors.
    """
    return [
        each
        for each in found
        if each is not chosen
        and (each.name_hint in ("vector", "perhaps") or each.length >= LONG_LIST)
        and each.encoding is not None
    ]


def with_vector_dtype(
    mapping: ColumnMapping, columns: Sequence[Column], source: str, dimension: int | None
) -> ColumnMapping:
    """The mapping with the number type of its vectors, if they are written as bytes.

    Args:
        mapping: The mapping.
        columns: The source's columns, with their first values.
        source: For messages.
        dimension: Dimension of the vectors, if it is known.

    Raises:
        MappingError: The first rows look like embeddings with several number types, or with none.
    """
    found = None if mapping.vector is None else find(columns, mapping.vector)
    column = None if found is None else found[1]
    listed = column is None or column.kind in ("floats", "integers")
    encoding = None if column is None or listed else encoding_of(column.values, dimension=dimension)
    if encoding is None or encoding.kind not in ("bytes", "base64 text", "buffer"):
        return mapping
    dtype = mapping.rules.vector_dtype
    if dtype is None:
        if len(encoding.dtypes) != 1:
            types = " and as ".join(encoding.dtypes) or "no number type"
            raise MappingError(
                f"the vectors in {mapping.vector!r} of {source} are {encoding.kind} "
                f"that look like embeddings as {types}",
                hint="name their number type with --vector-dtype, and their length with --dimension",
            )
        dtype = encoding.dtypes[0]
    return replace(
        mapping,
        rules=replace(mapping.rules, vector_dtype=dtype),
        vector_written=f"{dtype} as {encoding.kind}",
    )
