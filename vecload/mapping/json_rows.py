"""Rows of JSON objects, and their vectors without a Python number for each value."""

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
from vecload.mapping.columns import BYTES_MARK, Column, Steps, columns_of, marked_bytes
from vecload.mapping.mapping import ColumnMapping, Rules
from vecload.mapping.nested_rows import dig, holds_anything, joined
from vecload.mapping.rows import Fault, Mapped, fault_of_id, fault_of_length, fault_of_name_conflict
from vecload.mapping.vector_values import Numbers, fault_of_elements, float32_of, type_in_words, vector_in
from vecload.options import VectorDtype

_INEXACT = 2.0**53
"""Beyond it float64 is coarser than the integers of JSON: these are rounded once, from what they are."""
_TEXT_MAX_BYTES = 2**23
"""The parser keeps memory of several times its longest text: of more there is no hurry."""


@dataclass(frozen=True, slots=True)
class ParsedVectors:
    """The vectors of some rows that were packed.

    column: the column they were in, which is null in the rows now.
    vectors: float32, shape (n, dimension).
    left: positions of the rows that were not packed; their vectors mean nothing.
    """

    column: str
    vectors: Vectors
    left: tuple[int, ...]


def vector_parser_for(mapping: ColumnMapping, dimension: int) -> VectorParser | None:
    """The vector_parser of a mapping's vectors; None where they are no column, or are some other part too."""
    column = mapping.vector
    other = {mapping.id, mapping.contents, mapping.metadata_object, *(mapping.metadata_fields or ())}
    inside = {steps[0] for _, steps in mapping.nested}
    if column is None or not dimension or column in other | inside | {name for name, _ in mapping.nested}:
        return None
    return VectorParser(column, dimension)


class VectorParser:
    """Takes the vectors of one column out of the text of their rows. For one thread.

    Args:
        column: The name of a column at the top of a row.
        dimension: Values that a vector has.
    """

    def __init__(self, column: str, dimension: int) -> None:
        self.column = column
        self.dimension = dimension
        self._key = orjson.dumps(column)
        # What takes the vector's place in the row. Found as the column's value, it proves that the text which
        # was taken out is that value: no file can hold a text that was drawn just now.
        self._mark = secrets.token_hex(16)
        self._mark_text = orjson.dumps(self._mark)
        self._parse = simdjson.Parser().parse

    def parse_rows(
        self, lines: Iterable[tuple[bytes | None, int, int]], vectors: Vectors
    ) -> list[dict[str, Any] | None]:
        """Parse rows, and write their vectors down.

        Args:
            lines: n texts that hold a row each, and where in it the row begins and has ended.
            vectors: float32, shape (n, dimension). NumPy may warn of values beyond it, which become infinite.

        Returns:
            The rows, their vectors null. None for one whose vector isn't a list of so many numbers or is told
            in an unusual way, or that is no JSON object: it must be looked at as any row is.
        """
        # One loop with everything at hand: what it does besides parsing is a few microseconds a row.
        column, dimension, mark = self.column, self.dimension, self._mark
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
                if type(row) is not dict or row.get(column) != mark:
                    continue
                # There is but one bracket that closes: no list is within this one.
                values = parse(data[begin:end])
                if type(values) is not array or len(values) != dimension:
                    continue
                vectors[position] = from_buffer(values.as_buffer(of_type="d"))
            except (ValueError, TypeError, RuntimeError):
                continue
            finally:
                values = None  # the parser serves one at a time
            row[column] = None
            rows[-1] = row
        return rows


def inexact(vectors: Vectors) -> list[int]:
    """The positions of vectors with values that may be integers which float64 doesn't hold exactly."""
    if not len(vectors) or max(vectors.max(), -vectors.min()) < _INEXACT:
        return []
    return np.flatnonzero((np.abs(vectors) >= _INEXACT).any(axis=1)).tolist()


_EXACT_FLOATS = 2.0**63
"""The fast parser makes floats of integers beyond 64 bits; no smaller float can be one."""

TOO_DEEP = Fault("metadata", "too-deep", f"is nested deeper than {METADATA_DEPTH}")


class _TooDeepError(ValueError):
    """JSON that is nested deeper than metadata may be."""


class JsonRows:
    """Some rows of a source of JSON objects.

    Args:
        span: Where they come from.
        rows: n objects; of a broken row an empty one.
        exact: Parses the row at a position again, with integers of any size kept exact.
        broken: Rows that could not be read.
        offsets: The byte offset of each row, where the source has lines.
        line: Gives the row at a position as it stands in the source.
        parsed_vectors: Vectors that were taken out of the rows already.
        unsayable: Rows whose metadata JSON can't say.
        nan: Rows of which NaN was left out.
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
        """Themselves: in JSON there is one way to read a value."""
        return self

    def raw(self, position: int) -> str:
        """A row as it stands in the source."""
        if self._line is None:
            return orjson.dumps(self._rows[position]).decode()
        return line_as_text(self._line(position))

    def columns(self) -> list[Column]:
        """The columns these rows tell of."""
        return columns_of(self._rows)

    def field(self, name: str, steps: Steps) -> JsonRows:
        """A field inside a column's objects, or in their JSON text."""
        exact = self._exact
        return JsonRows(
            self.span,
            [{name: dig(row, steps)} for row in self._rows],
            exact=None if exact is None else lambda position: {name: dig(exact(position), steps)},
        )

    def non_empty_rows(self, column: str) -> list[int]:
        """The positions of rows in which the column holds anything."""
        return [position for position, row in enumerate(self._rows) if holds_anything(row.get(column))]

    def values(self, column: str) -> list[Any]:
        """The values of a column."""
        return [row.get(column) for row in self._rows]

    def ids(self, column: str) -> Mapped[list[str]]:
        """Text as it is, integers as decimal text."""
        faults: dict[int, Fault] = {}
        ids: list[str] = []
        for position, row in enumerate(self._rows):
            value = row.get(column)
            if type(value) is float and abs(value) >= _EXACT_FLOATS:
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
        """How many values each row's vector has; -1 where there is none."""
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
            # Numbers alone give a number type. A boolean among them passes for 0 or 1: rows with either
            # are looked at one by one, like all rows where anything is no number.
            if array.dtype.kind in "fiu" and array.ndim == 2:
                return _checked(values, array)
        vectors = np.zeros((len(values), dimension), dtype=np.float32)
        return _one_by_one(vectors, dict(enumerate(values)), dtype)

    def metadata(self, mapping: ColumnMapping) -> Mapped[list[Metadata | None] | None]:
        """The metadata object's entries and the columns left over; an explicit null stays."""
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
    """A line as text, whatever it holds."""
    return line.decode("utf-8", "backslashreplace").rstrip("\r\n")


def as_object(value: Any) -> tuple[dict[str, Any], Fault | None]:
    """The entries of a metadata object, or of its JSON text; none for null or an empty text."""
    if isinstance(value, str | bytes):
        if not value or value.isspace():
            return {}, None
        try:
            parsed = parse_exact(value)
        except _TooDeepError:
            return {}, TOO_DEEP
        except ValueError:
            return {}, Fault("metadata", "not-json", "is text, but not the JSON of an object")
        value = {} if parsed is None else parsed
    if value is None:
        return {}, None
    if not isinstance(value, dict):
        return {}, Fault("metadata", "not-object", "is no JSON object")
    return value, None


def parse_exact(text: str | bytes) -> Any:
    """Parse JSON with integers of any size kept exact.

    Raises:
        ValueError: Not JSON, or not JSON that another reader would take: NaN, lone surrogates, much nesting.
    """
    value = orjson.loads(text)
    return json.loads(text) if _has_big_float(value) else value


def fault_of_contents(value: Any) -> Fault | None:
    """What is wrong with contents, if anything; None are absent contents."""
    if value is None:
        return None
    if not isinstance(value, str | bytes):
        return Fault("contents", "not-text", f"is neither text nor bytes but {type_in_words(value)}")
    try:
        size = len(value.encode()) if isinstance(value, str) and len(value) > CONTENTS_MAX_BYTES // 4 else 0
        if isinstance(value, str) and not size and not value.isascii():
            value.encode()
    except UnicodeEncodeError:
        return Fault("contents", "lone-surrogate", "holds a lone surrogate, which is no Unicode text")
    if max(size, len(value)) > CONTENTS_MAX_BYTES:
        return Fault("contents", "too-large", f"is larger than {CONTENTS_MAX_BYTES // 2**20} MiB")
    return None


def _checked(values: list[Any], array: NDArray[Any]) -> Mapped[Vectors]:
    """Numbers as float32, less the rows in which a boolean passed for a number."""
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
    """The vectors, some of them written from values of any kind, by position."""
    faults: dict[int, Fault] = {}
    for position, given in values.items():
        value = given if isinstance(given, Fault) else vector_in(given, dtype)
        fault = _fault_of_vector(value, vectors.shape[1])
        if fault is None and not isinstance(value, Fault):
            vectors[position] = float32_of(value)
        elif fault is not None:
            faults[position] = fault
            vectors[position] = 1  # not mistaken for another fault
    return Mapped(vectors, faults)


def _as_list(value: Any, dtype: VectorDtype | None) -> Any:
    """A list as it is, of JSON text too: it is mostly of numbers. Else the numbers or a fault."""
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
    """Whether an integer beyond 64 bits may have become a float anywhere inside.

    Raises:
        _TooDeepError: More lists and objects than there is room for are inside one another.
    """
    if type(value) is float:
        return abs(value) >= _EXACT_FLOATS
    if type(value) is not dict and type(value) is not list:
        return False
    if not room:
        raise _TooDeepError
    found = False
    for inner in value.values() if type(value) is dict else value:
        # Most values need no call. And on after a find: there may be too much of depth behind it.
        kind = type(inner)
        if kind is float:
            found |= abs(inner) >= _EXACT_FLOATS
        elif (kind is dict or kind is list) and _has_big_float(inner, room - 1):
            found = True
    return found


def _no_id(value: Any) -> Fault:
    if value is None:
        return Fault("id", "missing", "is missing")
    if type(value) is float:
        told = (
            "is a number with a fraction or an exponent, which may be rounded: write ids as integers or text"
        )
        return Fault("id", "not-text", told)
    return Fault("id", "not-text", f"is neither text nor an integer but {type_in_words(value)}")
