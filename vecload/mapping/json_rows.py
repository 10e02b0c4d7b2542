"""JsonRows: rows as JSON objects. VectorParser reads their vectors without a Python number for each value."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import simdjson
from numpy.typing import NDArray

from vecload.batch import Contents, Metadata, Span, Vectors
from vecload.limits import CONTENTS_MAX_BYTES, METADATA_DEPTH
from vecload.mapping.columns import BIG_INTEGER, BYTES_MARK, Column, columns_of, marked_bytes
from vecload.mapping.mapping import ColumnMapping, Rules
from vecload.mapping.nested_rows import holds_anything, joined
from vecload.mapping.paths import Steps, dig, element_of, is_bracket
from vecload.mapping.rows import Fault, Mapped, fault_of_id, fault_of_length, fault_of_name_conflict
from vecload.mapping.vector_values import Numbers, fault_of_elements, float32_of, type_in_words, vector_in
from vecload.options import VectorDtype

_INEXACT = 2.0**53
"""Beyond it float64 can't hold every integer: their exact values are then rounded to float32, once."""
_TEXT_MAX_BYTES = 2**23
"""The parser keeps several times its longest text in memory; longer texts are parsed the slow way."""


@dataclass(frozen=True, slots=True)
class ParsedVectors:
    """The vectors that a VectorParser took out of some rows.

    column: the column that had them, which is now null in the rows.
    vectors: float32, shape (n, dimension).
    left: positions of the rows whose vectors it left in place; their entries in `vectors` mean nothing.
    """

    column: str
    vectors: Vectors
    left: tuple[int, ...]


def vector_parser_for(mapping: ColumnMapping, dimension: int) -> VectorParser | None:
    """The VectorParser for a mapping; None if its vectors are another part as well, or elements of lists."""
    column = mapping.vector
    parts = {*mapping.ids, *mapping.all_contents, mapping.metadata_object, *(mapping.metadata_fields or ())}
    if column is None or not dimension or column in parts:
        return None
    ways = dict(mapping.nested)
    steps = ways.get(column, (column,))
    within = (way for name, way in mapping.nested if name != column)
    if is_bracket(steps[-1]) or any(way[: len(steps)] == steps for way in within):
        return None
    return VectorParser(column, dimension, steps)


class VectorParser:
    """Takes the vectors of one column out of the text of their rows. For one thread.

    Args:
        column: The name of a column, or the path of a field.
        dimension: Length of a vector.
        steps: The steps to it; () if it is a column.
    """

    def __init__(self, column: str, dimension: int, steps: Steps = ()) -> None:
        self.column = column
        self.dimension = dimension
        *outer, self._name = steps or (column,)
        self._outer = [step if (at := element_of(step)) is None else at for step in outer]
        self._key = orjson.dumps(self._name)
        # It replaces the vector in the row's text. Found as the column's value, it proves that the text which
        # was taken out was that value, since no file contains a text that was just drawn at random.
        self._mark = secrets.token_hex(16)
        self._mark_text = orjson.dumps(self._mark)
        self._parse = simdjson.Parser().parse

    def parse_rows(
        self, lines: Iterable[tuple[bytes | None, int, int]], vectors: Vectors
    ) -> list[dict[str, Any] | None]:
        """Parse rows, and write their vectors into an array.

        Args:
            lines: n texts with one row each (or None), and where the row begins and ends in the text.
            vectors: float32, shape (n, dimension). NumPy may warn of values beyond float32; they become
                infinite.

        Returns:
            The rows, with null in place of the vectors. None for a row that has to be parsed the slow way:
            its vector is not a list of that many numbers or is written unusually, or it is not a JSON object.
        """
        # One loop with local names: apart from parsing it takes a few microseconds per row.
        column, outer, dimension, mark = self._name, self._outer, self.dimension, self._mark
        key_text, mark_text, parse = self._key, self._mark_text, self._parse
        key_size, loads, from_buffer, array = len(key_text), orjson.loads, np.frombuffer, simdjson.Array
        rows: list[dict[str, Any] | None] = []
        for position, (data, at, after) in enumerate(lines):
            rows.append(None)
            if data is None or (key := data.find(key_text, at, after)) < 0:
                continue
            if (begin := data.find(b"[", key + key_size, after)) < 0:
                continue
            end = data.find(b"]", begin, after) + 1
            if not end or end - begin > _TEXT_MAX_BYTES:
                continue
            try:
                row = loads(data[at:begin] + mark_text + data[end:after])
                if type(row) is not dict:
                    continue
                holder = row
                for step in outer:
                    holder = holder[step]
                if type(holder) is not dict or holder.get(column) != mark:
                    continue
                # The text has only one closing bracket, so the list contains no other list.
                values = parse(data[begin:end])
                if type(values) is not array or len(values) != dimension:
                    continue
                vectors[position] = from_buffer(values.as_buffer(of_type="d"))
            except (ValueError, TypeError, RuntimeError, LookupError):
                continue
            finally:
                values = None  # the parser allows only one at a time
            holder[column] = None
            rows[-1] = row
        return rows


def inexact(vectors: Vectors) -> list[int]:
    """The positions of vectors with values that may be integers beyond the exact range of float64."""
    if not len(vectors) or max(vectors.max(), -vectors.min()) < _INEXACT:
        return []
    return np.flatnonzero((np.abs(vectors) >= _INEXACT).any(axis=1)).tolist()


TOO_DEEP = Fault("metadata", "too-deep", f"is nested deeper than {METADATA_DEPTH}")


class _TooDeepError(ValueError):
    """JSON is nested deeper than metadata may be."""


class JsonRows:
    """Some rows of a source of JSON objects.

    Args:
        span: Where they come from.
        rows: n objects; an empty object for a broken row.
        exact: Parses the row at a position again, with exact integers of any size.
        broken: Faults of rows that could not be read.
        offsets: The byte offset of each row, if the source is read by lines.
        line: Returns the row at a position as the source has it.
        parsed_vectors: Vectors that were already taken out of the rows.
        unsayable: Faults of rows with metadata that JSON can't represent.
        nan: Positions of rows in which NaN was omitted.
    """

    columns_vary = True

    def __init__(
        self,
        span: Span,
        rows: Sequence[dict[str, Any]],
        *,
        exact: Callable[[int], dict[str, Any]] | None = None,
        broken: dict[int, Fault] | None = None,
        offsets: Sequence[int] | None = None,
        line: Callable[[int], bytes] | None = None,
        parsed_vectors: ParsedVectors | None = None,
        unsayable: dict[int, Fault] | None = None,
        nan: Sequence[int] = (),
    ) -> None:
        self.span = span
        self.broken = broken or {}
        self._rows = rows
        self._exact = exact
        self.offsets = offsets
        self._line = line
        self._parsed_vectors = parsed_vectors
        self._unsayable = unsayable or {}
        self._nan = nan

    def with_rules(self, rules: Rules) -> JsonRows:
        """The same rows: JSON has no NaN and no bytes."""
        return self

    def raw(self, position: int) -> str:
        """A row as the source has it."""
        if self._line is None:
            return orjson.dumps(self._rows[position]).decode()
        return line_as_text(self._line(position))

    def columns(self) -> list[Column]:
        """The columns of these rows."""
        return columns_of(self._rows)

    def field(self, name: str, steps: Steps) -> JsonRows:
        """A field inside a column's objects, or in their JSON text."""
        exact, parsed = self._exact, self._parsed_vectors
        return JsonRows(
            self.span,
            [{name: dig(row, steps)} for row in self._rows],
            exact=None if exact is None else lambda position: {name: dig(exact(position), steps)},
            parsed_vectors=parsed if parsed is not None and parsed.column == name else None,
        )

    def non_empty_rows(self, column: str) -> list[int]:
        """The positions of rows whose value in the column is neither null nor empty."""
        return [position for position, row in enumerate(self._rows) if holds_anything(row.get(column))]

    def values(self, column: str) -> list[Any]:
        """The values of a column."""
        return [row.get(column) for row in self._rows]

    def ids(self, column: str) -> Mapped[list[str]]:
        """Ids as text: integers as digits."""
        faults: dict[int, Fault] = {}
        ids: list[str] = []
        for position, row in enumerate(self._rows):
            value = row.get(column)
            if type(value) is float and abs(value) >= BIG_INTEGER:
                try:
                    value = self._exactly(position).get(column)
                except _TooDeepError:
                    faults[position] = TOO_DEEP
            if type(value) is int:
                value = str(value)
            fault = fault_of_id(value) if isinstance(value, str) else _no_id(value)
            if fault is not None:
                faults.setdefault(position, fault)
            ids.append(value if isinstance(value, str) else "")
        return Mapped(ids, faults)

    def vector_lengths(self, column: str, dtype: VectorDtype | None = None) -> NDArray[np.int64]:
        """Length of each row's vector; -1 if it has none."""
        vectors = (vector_in(row.get(column), dtype) for row in self._rows)
        return np.array([-1 if isinstance(v, Fault) else len(v) for v in vectors], dtype=np.int64)

    def vectors(self, column: str, dimension: int, dtype: VectorDtype | None = None) -> Mapped[Vectors]:
        """Vectors in any encoding."""
        parsed = self._parsed_vectors
        if parsed is not None and parsed.column == column and parsed.vectors.shape[1] == dimension:
            left = {position: self._rows[position].get(column) for position in parsed.left}
            return _one_by_one(parsed.vectors, left, dtype)
        values = [_as_list(row.get(column), dtype) for row in self._rows]
        if all(not isinstance(value, Fault) and len(value) == dimension for value in values):
            try:
                array = np.array(values)
            except (ValueError, OverflowError):
                array = np.empty(0, dtype=object)
            # If all are numbers, so is the array's type. NumPy takes a boolean for 0 or 1, so rows with 0 or
            # 1 are checked one by one, like all rows with other values.
            if array.dtype.kind in "fiu" and array.ndim == 2:
                return _checked(values, array)
        vectors = np.zeros((len(values), dimension), dtype=np.float32)
        return _one_by_one(vectors, dict(enumerate(values)), dtype)

    def metadata(self, mapping: ColumnMapping) -> Mapped[list[Metadata | None] | None]:
        """The entries of the metadata object and the remaining columns. An explicit null stays."""
        faults = dict(self._unsayable)
        found: list[Metadata | None] = []
        for position, row in enumerate(self._rows):
            fields = {name: row[name] for name in mapping.leftover(row)}
            spread = row.get(mapping.metadata_object) if mapping.metadata_object else None
            if not fields and spread is None:
                found.append(None)
                continue
            try:
                if _has_big_float(fields) | _has_big_float(spread):
                    row = self._exactly(position)
                    fields = {name: row[name] for name in mapping.leftover(row)}
                    spread = row.get(mapping.metadata_object) if mapping.metadata_object else None
                entries, fault = as_object(spread)
            except _TooDeepError:
                entries, fault = {}, TOO_DEEP
            both, taken = joined(fields, entries) if fields else (entries, None)
            if taken is not None:
                fault = fault or fault_of_name_conflict(taken, mapping.metadata_object or "")
            if fault is not None:
                faults[position] = fault
            found.append(both or None)
        return Mapped(found if any(found) else None, faults, self._nan)

    def contents(self, column: str) -> Mapped[list[Contents | None] | None]:
        """Text; bytes as `{"$bytes": "base64"}`."""
        faults: dict[int, Fault] = {}
        found: list[Contents | None] = []
        for position, row in enumerate(self._rows):
            value = row.get(column)
            if isinstance(value, dict) and value.keys() == {BYTES_MARK}:
                value = marked_bytes(value[BYTES_MARK])
            fault = fault_of_contents(value)
            if fault is not None:
                faults[position] = fault
                value = None
            found.append(value)
        return Mapped(None if all(c is None for c in found) else found, faults)

    def _exactly(self, position: int) -> dict[str, Any]:
        try:
            return self._rows[position] if self._exact is None else self._exact(position)
        except RecursionError:
            raise _TooDeepError from None


def line_as_text(line: bytes) -> str:
    """A line as text, also if it is not UTF-8."""
    return line.decode("utf-8", "backslashreplace").rstrip("\r\n")


def as_object(value: Any) -> tuple[dict[str, Any], Fault | None]:
    """The entries of a metadata object, or of its JSON text; none for null and for empty text."""
    if isinstance(value, str | bytes):
        if not value or value.isspace():
            return {}, None
        try:
            parsed = parse_exact(value)
        except _TooDeepError:
            return {}, TOO_DEEP
        except ValueError:
            return {}, Fault("metadata", "not-json", "is text that is not a JSON object")
        value = {} if parsed is None else parsed
    if value is None:
        return {}, None
    if not isinstance(value, dict):
        return {}, Fault("metadata", "not-object", "is not a JSON object")
    return value, None


def parse_exact(text: str | bytes) -> Any:
    """Parse JSON with exact integers of any size.

    Raises:
        ValueError: Not JSON, or JSON that other parsers refuse: NaN, lone surrogates, deep nesting.
    """
    value = orjson.loads(text)
    return json.loads(text) if _has_big_float(value) else value


def fault_of_contents(value: Any) -> Fault | None:
    """The fault of contents, if they have one. None means that there are no contents."""
    if value is None:
        return None
    if not isinstance(value, str | bytes):
        return Fault("contents", "not-text", f"is neither text nor bytes but {type_in_words(value)}")
    try:
        size = len(value.encode()) if isinstance(value, str) and len(value) > CONTENTS_MAX_BYTES // 4 else 0
        if isinstance(value, str) and not size and not value.isascii():
            value.encode()
    except UnicodeEncodeError:
        return Fault("contents", "lone-surrogate", "contains a lone surrogate, which is not valid Unicode")
    if max(size, len(value)) > CONTENTS_MAX_BYTES:
        return Fault("contents", "too-large", f"is larger than {CONTENTS_MAX_BYTES // 2**20} MiB")
    return None


def _checked(values: list[Any], array: NDArray[Any]) -> Mapped[Vectors]:
    """Numbers as float32, and the faults of rows in which a boolean was taken for a number."""
    with np.errstate(over="ignore"):
        vectors = np.ascontiguousarray(array, dtype=np.float32)
    if array.dtype == np.float64:
        for position in inexact(vectors):
            vectors[position] = float32_of(values[position])
    faults: dict[int, Fault] = {}
    doubtful = ((array == 0) | (array == 1)).any(axis=1)
    for position in np.flatnonzero(doubtful).tolist():
        fault = isinstance(values[position], list) and fault_of_elements(values[position])
        if fault:
            faults[position] = fault
    return Mapped(vectors, faults)


def _one_by_one(vectors: Vectors, values: dict[int, Any], dtype: VectorDtype | None) -> Mapped[Vectors]:
    """The vectors, with values of any kind written into some positions."""
    faults: dict[int, Fault] = {}
    for position, given in values.items():
        value = given if isinstance(given, Fault) else vector_in(given, dtype)
        fault = _fault_of_vector(value, vectors.shape[1])
        if fault is None and not isinstance(value, Fault):
            vectors[position] = float32_of(value)
        elif fault is not None:
            faults[position] = fault
            vectors[position] = 1  # so that no other check finds a fault here
    return Mapped(vectors, faults)


def _as_list(value: Any, dtype: VectorDtype | None) -> Any:
    """A list as it is, also from JSON text, since it mostly holds numbers; else the numbers or a fault."""
    if isinstance(value, str) and value.startswith("["):
        with contextlib.suppress(ValueError):  # another notation of arrays
            value = orjson.loads(value)
    return value if type(value) is list else vector_in(value, dtype)


def _fault_of_vector(value: Numbers | Fault, dimension: int) -> Fault | None:
    if isinstance(value, Fault):
        return value
    if len(value) != dimension:
        return fault_of_length(len(value), dimension)
    return fault_of_elements(value) if isinstance(value, list) else None


def _has_big_float(value: Any, room: int = METADATA_DEPTH + 1) -> bool:
    """Whether an integer beyond 64 bits may have become a float, at any depth.

    Raises:
        _TooDeepError: The value is nested too deep.
    """
    if type(value) is float:
        return abs(value) >= BIG_INTEGER
    if type(value) is not dict and type(value) is not list:
        return False
    if not room:
        raise _TooDeepError
    found = False
    for inner in value.values() if type(value) is dict else value:
        # Most values need no call. The loop goes on after a find, since what follows may be nested too deep.
        kind = type(inner)
        if kind is float:
            found |= abs(inner) >= BIG_INTEGER
        elif (kind is dict or kind is list) and _has_big_float(inner, room - 1):
            found = True
    return found


def _no_id(value: Any) -> Fault:
    if value is None:
        return Fault("id", "missing", "is missing")
    if type(value) is float:
        return Fault(
            "id",
            "not-text",
            "is a number with a fraction or an exponent, which may be rounded: write ids as integers or text",
        )
    return Fault("id", "not-text", f"is neither text nor an integer but {type_in_words(value)}")
