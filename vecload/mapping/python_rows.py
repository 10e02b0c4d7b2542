"""Rows that are Python dicts. They are judged as rows of JSON are, once their values are those of JSON."""

from __future__ import annotations

import array
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from vecload.batch import Contents, Metadata, Span, Vectors
from vecload.limits import METADATA_DEPTH
from vecload.mapping.arrow_rows import ids_of
from vecload.mapping.arrow_values import AS_STORED, NOT_UTF8, ArrowOptions, json_of
from vecload.mapping.columns import BYTES_MARK, Column, columns_of
from vecload.mapping.json_rows import TOO_DEEP, JsonRows, ParsedVectors
from vecload.mapping.mapping import ColumnMapping, Rules
from vecload.mapping.paths import Steps, dig
from vecload.mapping.rows import MISSING_TYPES, Fault, Mapped, is_missing
from vecload.options import VectorDtype

_DEEPEST = METADATA_DEPTH + 10
"""Nesting that is followed: a little more than what metadata may have, and an end for what holds itself."""
_PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
_BY_ARROW = (datetime, date, time, timedelta, Decimal, np.datetime64, np.timedelta64, bytes)
"""Values that Arrow converts, so that they become what they become from files."""
_TOGETHER = frozenset({datetime, date, bytes})
"""Those that do not influence each other when many are converted at once."""
_UNITS = ("D", "s", "ms", "us", "ns")
"""Units of NumPy's dates that Arrow has."""
_LEFT_OUT = object()


class _UnsayableError(ValueError):
    """A value that JSON has no way to say."""

    def __init__(self, code: str = "not-json") -> None:
        self.code = code


class PythonRows:
    """Some rows of a source of dicts. None is an explicit null, as in JSON; a key that is absent is none.

    Args:
        span: Where they come from.
        rows: n dicts whose keys are texts; of a broken row an empty one.
        broken: Rows that are not such dicts.
        options: How values are read.
    """

    columns_vary = True
    offsets = None

    def __init__(
        self,
        span: Span,
        rows: Sequence[Mapping[str, Any]],
        *,
        broken: dict[int, Fault] | None = None,
        options: ArrowOptions = AS_STORED,
    ) -> None:
        self.span = span
        self.broken = broken or {}
        self._rows = rows
        self._options = options

    def with_rules(self, rules: Rules) -> PythonRows:
        """The rows, with NaN and bytes read as rules say."""
        options = ArrowOptions(omit_nan=rules.nan == "omit", binary_as_text=rules.binary_as_text)
        return PythonRows(self.span, self._rows, broken=self.broken, options=options)

    def raw(self, position: int) -> str:
        """A row as JSON text; values that JSON can't say as the text that Python has for them."""
        row = plain(self._rows[position])
        try:
            return orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:
            pass
        try:
            return json.dumps(row, default=str)  # an integer beyond 64 bits, or a lone surrogate
        except TypeError:
            return json.dumps(repr(row))

    def columns(self) -> list[Column]:
        """The columns these rows show."""
        return columns_of([_marked(plain(row)) for row in self._rows])

    def field(self, name: str, steps: Steps) -> PythonRows:
        """A field inside a column's dicts, or in their JSON text."""
        outer, *rest = steps
        found = [{name: dig(plain(row.get(outer)), rest)} for row in self._rows]
        return PythonRows(self.span, found, options=self._options)

    def non_empty_rows(self, column: str) -> list[int]:
        """The positions of rows in which the column holds anything."""
        return self._column(column).non_empty_rows(column)

    def values(self, column: str) -> list[Any]:
        """The values of a column, arrays as lists and bytes as bytes."""
        return [plain(row.get(column)) for row in self._rows]

    def ids(self, column: str) -> Mapped[list[str]]:
        """Text as it is, integers and whole decimals as decimal text, UUIDs and 16 bytes as a UUID."""
        faults: dict[int, Fault] = {}
        values: list[Any] = []
        for position, value in enumerate(self.values(column)):
            if isinstance(value, bytes):
                found, fault = ids_of(pa.array([value], pa.binary()), self._options)
                value = found[0]
                if fault:
                    faults[position] = fault[0]
            elif isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
                value = int(value)
            values.append(value)
        mapped = JsonRows(self.span, [{column: value} for value in values]).ids(column)
        return Mapped(mapped.values, {**mapped.faults, **faults})

    def vector_lengths(self, column: str, dtype: VectorDtype | None = None) -> NDArray[np.int64]:
        """How many values each row's vector has; -1 where there is none."""
        return self._column(column).vector_lengths(column, dtype)

    def vectors(self, column: str, dimension: int, dtype: VectorDtype | None = None) -> Mapped[Vectors]:
        """Vectors in any encoding; NumPy's arrays without a Python number for each value."""
        values = [row.get(column) for row in self._rows]
        if not any(type(value) is np.ndarray for value in values):
            return self._column(column).vectors(column, dimension, dtype)
        vectors = np.ones((len(values), dimension), dtype=np.float32)
        left: list[int] = []
        with np.errstate(over="ignore"):
            for position, value in enumerate(values):
                if type(value) is np.ndarray and value.shape == (dimension,) and value.dtype.kind in "fiu":
                    vectors[position] = value
                else:
                    left.append(position)
        others = dict.fromkeys(left)
        rows = [
            {column: plain(value) if position in others else None} for position, value in enumerate(values)
        ]
        packed = ParsedVectors(column, vectors, tuple(left))
        return JsonRows(self.span, rows, parsed_vectors=packed).vectors(column, dimension, dtype)

    def metadata(self, mapping: ColumnMapping) -> Mapped[list[Metadata | None] | None]:
        """The metadata object's entries and the columns left over; None stays."""
        faults: dict[int, Fault] = {}
        nan: list[int] = []
        spread = mapping.metadata_object
        wanted: dict[str, list[int]] = {}
        for position, row in enumerate(self._rows):
            for name in mapping.leftover(row):
                wanted.setdefault(name, []).append(position)
            if spread is not None and spread in row:
                wanted.setdefault(spread, []).append(position)
        rows: list[dict[str, Any]] = [{} for _ in self._rows]
        for name, positions in wanted.items():
            values = [self._rows[position][name] for position in positions]
            if name == spread:
                # Bytes may be the JSON text of an object.
                for at, value in enumerate(values):
                    if isinstance(value, bytes | bytearray | memoryview):
                        rows[positions[at]][name], values[at] = bytes(value), _LEFT_OUT
            said = _Said(values, self._options)
            for at, code in said.bad.items():
                faults.setdefault(positions[at], _unsayable(name, code))
            nan += [positions[at] for at in said.nan]
            for position, value in zip(positions, said.values, strict=True):
                if value is not _LEFT_OUT:
                    rows[position][name] = value
        return JsonRows(self.span, rows, unsayable=faults, nan=nan).metadata(mapping)

    def contents(self, column: str) -> Mapped[list[Contents | None] | None]:
        """Text and bytes as they are."""
        values = [None if is_missing(value) else value for value in self.values(column)]
        faults: dict[int, Fault] = {}
        if self._options.binary_as_text:
            for position, value in enumerate(values):
                if isinstance(value, bytes):
                    try:
                        values[position] = value.decode()
                    except UnicodeDecodeError:
                        values[position] = None
                        faults[position] = Fault("contents", "not-utf8", "is not UTF-8")
        mapped = JsonRows(self.span, [{column: value} for value in values]).contents(column)
        return Mapped(mapped.values, {**mapped.faults, **faults})

    def _column(self, column: str) -> JsonRows:
        """One column as JSON rows."""
        return JsonRows(self.span, [{column: value} for value in self.values(column)])


def plain(value: Any, room: int = _DEEPEST) -> Any:
    """A value with lists for arrays and Python's own numbers and texts; anything else as it is.

    Args:
        value: Any.
        room: Lists and dicts that may be inside one another; what is deeper becomes an empty object().
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if not room:
        return object()
    if isinstance(value, np.generic):
        return value if isinstance(value, np.datetime64 | np.timedelta64) else plain(value.item(), room - 1)
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "mM":
            return [plain(one, room - 1) for one in value]  # as a list, nanoseconds would be bare integers
        found = value.tolist()
        return found if value.dtype.kind in "fiub" else plain(found, room)
    if isinstance(value, list | tuple):
        return list(value) if _PLAIN.issuperset(map(type, value)) else [plain(one, room - 1) for one in value]
    if isinstance(value, Mapping):
        return {str(name): plain(one, room - 1) for name, one in value.items()}
    for base, convert in _CONVERTED:
        if isinstance(value, base):
            return convert(value)
    if kind.__name__ in MISSING_TYPES:
        return None
    if hasattr(value, "__array__"):
        # A tensor, say. Some can't be an array: on another device, or with a gradient.
        try:
            return plain(np.asarray(value), room - 1)
        except (TypeError, ValueError, RuntimeError):
            return value
    return value


_CONVERTED: tuple[tuple[Any, Any], ...] = (
    (str, str.__str__),
    (int, int),
    (float, float),
    (bytes | bytearray | memoryview, bytes),
    (uuid.UUID, str),
    (array.array, list),
)


def _marked(value: Any) -> Any:
    """A plain value in which bytes are what stands for bytes in JSON, so that its columns show them."""
    if isinstance(value, bytes):
        return {BYTES_MARK: ""}
    if isinstance(value, dict):
        return {name: _marked(one) for name, one in value.items()}
    return value


class _Said:
    """Values of a column as JSON says them.

    Args:
        given: The values.
        options: How NaN and bytes are read.

    Attributes:
        values: As JSON values; `_LEFT_OUT` for NaN that is left out.
        bad: Positions of values that JSON can't say, and the code of a fault for each.
        nan: Positions of values with NaN that was left out, as often as there is one.
    """

    def __init__(self, given: Sequence[Any], options: ArrowOptions) -> None:
        self.values: list[Any] = []
        self.bad: dict[int, str] = {}
        self.nan: list[int] = []
        self._options = options
        self._at = 0
        together: dict[type, list[int]] = {}
        for self._at, value in enumerate(given):
            kind = type(value)
            if value is _LEFT_OUT or value is None or kind is int or kind is bool:
                self.values.append(value)
            elif kind in _TOGETHER:
                together.setdefault(kind, []).append(self._at)
                self.values.append(None)
            else:
                self.values.append(self._said(value))
        for positions in together.values():
            self._convert([given[at] for at in positions], positions)

    def _convert(self, values: list[Any], positions: list[int]) -> None:
        """Values of one type, at once where Arrow has a type for all of them."""
        try:
            found = json_of(pa.array(values), self._options)
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            for self._at, value in zip(positions, values, strict=True):
                self.values[self._at] = self._said(value)
            return
        for at, value in zip(positions, found.values, strict=True):
            self.values[at] = value
        self.bad |= {positions[at]: code for at, code in found.bad.items()}

    def _said(self, value: Any) -> Any:
        try:
            return self._json(value, _DEEPEST, in_list=False)
        except _UnsayableError as error:
            self.bad[self._at] = error.code
            return None

    def _json(self, value: Any, room: int, *, in_list: bool) -> Any:
        kind = type(value)
        if kind is str:
            return _checked(value)
        if kind is float:
            if math.isfinite(value):
                return value
            if math.isnan(value) and self._options.omit_nan and not in_list:
                self.nan.append(self._at)
                return _LEFT_OUT
            raise _UnsayableError
        if value is None or kind is int or kind is bool:
            return value
        if not room:
            raise _UnsayableError(_TOO_DEEP)
        if isinstance(value, Mapping):
            entries = (
                (_checked(name), self._json(one, room - 1, in_list=False)) for name, one in value.items()
            )
            return {name: one for name, one in entries if one is not _LEFT_OUT}
        if isinstance(value, list | tuple):
            return [self._json(one, room - 1, in_list=True) for one in value]
        if isinstance(value, _BY_ARROW) and kind.__name__ not in MISSING_TYPES:
            return self._by_arrow(value)
        simple = plain(value, room)
        if simple is value:
            raise _UnsayableError
        return self._json(simple, room - 1, in_list=in_list)

    def _by_arrow(self, value: Any) -> Any:
        try:
            if isinstance(value, np.datetime64 | np.timedelta64):
                if np.isnat(value):
                    return None
                if np.datetime_data(value.dtype)[0] not in _UNITS:
                    value = value.astype(f"{value.dtype.kind}8[ms]")
                found = pa.array(np.asarray([value]))
            else:
                found = pa.array([value])
            one = json_of(found, self._options)
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            raise _UnsayableError from None
        if one.bad:
            raise _UnsayableError(one.bad[0])
        return one.values[0]


_TOO_DEEP = "too-deep"


def _checked(text: Any) -> str:
    """A text that JSON can say, as it is.

    Raises:
        _UnsayableError: It is not a text, or holds a lone surrogate.
    """
    if type(text) is not str:
        raise _UnsayableError
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _UnsayableError from None
    return text


def _unsayable(name: str, code: str) -> Fault:
    if code == _TOO_DEEP:
        return TOO_DEEP
    if code == NOT_UTF8:
        return Fault("metadata", "not-utf8", f"field {name!r} holds bytes that are not UTF-8")
    return Fault("metadata", "not-json", f"field {name!r} holds what JSON can't say")
