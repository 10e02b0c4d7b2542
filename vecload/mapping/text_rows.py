"""TextRows: rows of delimited text, whose values are text until a part of an item needs another type."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import simdjson
from numpy.typing import NDArray

from vecload.batch import Span, Vectors
from vecload.mapping.arrow_rows import ArrowRows
from vecload.mapping.arrow_values import NOT_A_NUMBER, ArrowOptions, JsonValues, json_of
from vecload.mapping.columns import Column
from vecload.mapping.dimensions import lists_of
from vecload.mapping.json_rows import JsonRows, line_as_text
from vecload.mapping.mapping import Rules
from vecload.mapping.rows import Fault, Mapped, fault_of_length
from vecload.mapping.text_types import TextType, converted
from vecload.mapping.vector_values import fault_of_elements, float32_of, numbers_of_texts, vector_in
from vecload.options import VectorDtype

_NUMBER = r"[-+]?(?:[0-9.]+(?:[eE][-+]?[0-9]+)?|nan|NaN|inf)"
_BARE = re.compile(rf"\s*{_NUMBER}(?:\s*[,;]\s*{_NUMBER}|\s+{_NUMBER})+\s*")
_LOOK_ROWS = 5
_BETWEEN = re.compile(r"[\s,;]+")
_HALF, _LOW = np.uint64(0x10000000), np.uint64(0x1FFFFFFF)
"""The lower bits of a float64 that is halfway between two float32, and those that a float32 lacks."""
_SMALLEST = float(np.finfo(np.float32).smallest_normal)


def are_bare_numbers(texts: Sequence[str | None]) -> bool:
    """Whether texts are several numbers each, without brackets: `0.1 0.2 0.3` or `0.1,0.2,0.3`."""
    given = [text for text in texts if text and not text.isspace()][:_LOOK_ROWS]
    return bool(given) and all(_BARE.fullmatch(text) for text in given)


@dataclass(frozen=True, slots=True)
class TextColumns:
    """What the first rows show of a source's columns.

    types: by name; a column that is not in it is text.
    bare: columns of numbers without brackets.
    dimensions: the columns of a vector's dimensions, and the name that they have together; "" without.
    """

    types: Mapping[str, TextType] = field(default_factory=dict)
    bare: frozenset[str] = frozenset()
    dimensions: tuple[str, ...] = ()
    together: str = ""

    def columns(self, names: Sequence[str]) -> list[Column]:
        """The columns of the source: those of dimensions are one."""
        found = [self._column(name) for name in names if name not in self.dimensions]
        return [*found, Column(self.together, "floats", "numbers")] if self.dimensions else found

    def _column(self, name: str) -> Column:
        kind = self.types.get(name, "text")
        return Column(name, "other" if kind == "number" else kind, kind)


class TextRows(ArrowRows):
    """Some rows of delimited text.

    Args:
        span: Where they come from.
        table: Texts, as long as the span; null in broken rows.
        known: What the first rows show of the columns.
        broken: Faults of rows that could not be read.
        offsets: The byte offset of each row.
        line: Returns the row at a position as the source has it.
        typed: Metadata has the types that the first rows show; otherwise it is text.
    """

    def __init__(
        self,
        span: Span,
        table: pa.RecordBatch,
        known: TextColumns,
        *,
        broken: dict[int, Fault],
        offsets: Sequence[int],
        line: Callable[[int], bytes],
        typed: bool = True,
    ) -> None:
        self._all = table
        others = [name for name in table.schema.names if name not in known.dimensions]
        super().__init__(span, table.select(others), ArrowOptions(omit_nan=True))
        self.broken = broken
        self.offsets = offsets
        self._known = known
        self._line = line
        self._typed = typed

    def with_rules(self, rules: Rules) -> TextRows:
        """The same rows, with metadata typed or as text, and NaN read as the rules say."""
        rows = TextRows(
            self.span,
            self._all,
            self._known,
            broken=self.broken,
            offsets=self.offsets or (),
            line=self._line,
            typed=rules.csv_types == "infer",
        )
        rows._options = ArrowOptions(omit_nan=rules.nan == "omit")
        return rows

    def raw(self, position: int) -> str:
        """A row as JSON text; a broken one as the source has it."""
        if position in self.broken:
            return line_as_text(self._line(position))
        return ArrowRows(self.span, self._all).raw(position)

    def values(self, column: str) -> list[Any]:
        """The values of a column, for guesses: numbers where the column holds numbers."""
        if column == self._known.together and self._known.dimensions:
            return [None if one is None else [*one] for one in self._lists()[0].to_pylist()]
        if column not in self._table.schema.names:
            return [None] * len(self.span)
        kind = self._known.types.get(column, "text") if self._typed else "text"
        values: list[Any] = converted(self._table.column(column), kind)[0].to_pylist()
        return [*map(_bracketed, values)] if column in self._known.bare else values

    def vector_lengths(self, column: str, dtype: VectorDtype | None = None) -> NDArray[np.int64]:
        """Length of each row's vector; -1 if it has none."""
        if column == self._known.together and self._known.dimensions:
            lists, _ = self._lists()
            return np.where(np.asarray(lists.is_valid()), lists.type.list_size, -1).astype(np.int64)
        return super().vector_lengths(column, dtype)

    def vectors(self, column: str, dimension: int, dtype: VectorDtype | None = None) -> Mapped[Vectors]:
        """Vectors in any encoding; each number is the float32 nearest to what is written."""
        if column == self._known.together and self._known.dimensions:
            return self._of_dimensions(dimension)
        if column not in self._table.schema.names:
            return super().vectors(column, dimension, dtype)
        bare = column in self._known.bare
        texts: list[bytes | None] = self._table.column(column).cast(pa.binary()).to_pylist()
        doubles = np.ones((len(texts), dimension))
        faults: dict[int, Fault] = {}
        slow: list[int] = []
        parser = simdjson.Parser()
        for position, text in enumerate(texts):
            if not text or text.isspace():
                faults[position] = Fault("vector", "missing", "is missing")
            elif not _fast(parser, text, doubles[position], bare=bare):
                slow.append(position)
        slow += _rounded_twice(doubles)
        with np.errstate(over="ignore"):
            vectors = doubles.astype(np.float32)
        for position in slow:
            found = _vector_of((texts[position] or b"").decode(), dimension, dtype, bare=bare)
            if isinstance(found, Fault):
                faults[position] = found
                vectors[position] = 1
            else:
                vectors[position] = found
        return Mapped(vectors, faults)

    def _of_dimensions(self, dimension: int) -> Mapped[Vectors]:
        lists, faults = self._lists()
        found = ArrowRows(self.span, pa.record_batch({self._known.together: lists}))
        mapped = found.vectors(self._known.together, dimension)
        mapped.values[list(faults)] = 1  # not mistaken for another fault
        return Mapped(mapped.values, {**mapped.faults, **faults})

    def _lists(self) -> tuple[pa.FixedSizeListArray, dict[int, Fault]]:
        """The columns of a vector's dimensions as lists of float32, and faults of rows with other values."""
        faults: dict[int, Fault] = {}
        names = self._known.dimensions
        columns = [self._all.column(name) for name in names]
        texts = pa.concat_arrays(columns)
        found = _all_numbers(texts)
        if found is not None:
            arrays = [*found.reshape(len(names), -1)]
        else:
            arrays = []
            for name, column in zip(names, columns, strict=True):
                numbers, bad = _numbers(column)
                arrays.append(numbers)
                for position in bad:
                    fault = Fault("vector", "not-a-number", f"has text that is not a number in {name!r}")
                    faults.setdefault(position, fault)
        nulls = np.asarray(pc.fill_null(pc.equal(texts, ""), True)).reshape(len(names), -1)
        return lists_of(arrays, nulls.T if nulls.any() else None), faults

    def _json(self, column: str) -> JsonValues:
        """A column as JSON values, of its type."""
        kind = self._known.types.get(column, "text") if self._typed else "text"
        typed, bad = converted(self._table.column(column), kind)
        found = json_of(typed, self._options)
        found.bad |= dict.fromkeys(bad, NOT_A_NUMBER)
        return found

    def _parsed(self, column: str, array: pa.Array) -> JsonRows:
        values = array.to_pylist()
        if column in self._known.bare:
            values = [*map(_bracketed, values)]
        return JsonRows(self.span, [{column: value} for value in values])


def _bracketed(text: str | None) -> str | None:
    return f"[{','.join(_BETWEEN.split(text.strip()))}]" if text and not text.isspace() else None


def _fast(parser: simdjson.Parser, text: bytes, into: NDArray[np.float64], *, bare: bool) -> bool:
    """Read a vector that is numbers as JSON writes them; False if it is written otherwise."""
    if bare:
        text = b"[%b]" % (text if b"," in text else b",".join(text.split()))
    elif text.startswith(b"{") and text.endswith(b"}"):
        text = b"[%b]" % text[1:-1]
    values = None
    try:
        values = parser.parse(text)
        if type(values) is not simdjson.Array or len(values) != len(into):
            return False
        numbers = np.frombuffer(values.as_buffer(of_type="d"), dtype=np.float64)
        if len(numbers) != len(into):
            return False  # lists in the list
        into[:] = numbers
    except (ValueError, TypeError, RuntimeError):
        return False
    finally:
        values = None  # the parser allows only one at a time
    return True


def _vector_of(text: str, dimension: int, dtype: VectorDtype | None, *, bare: bool) -> Vectors | Fault:
    """A vector in any encoding, each number rounded once."""
    found = vector_in(_bracketed(text) if bare else text, dtype)
    if isinstance(found, Fault):
        return found
    if len(found) != dimension:
        return fault_of_length(len(found), dimension)
    if not isinstance(found, list):
        return float32_of(found)
    wrong = fault_of_elements(found)
    if wrong is not None:
        return wrong
    exact = _exact(text)
    return float32_of(found) if exact is None else exact


def _rounded_twice(doubles: NDArray[np.float64]) -> list[int]:
    """The rows with a number that may be halfway between two float32: rounding it again may be wrong.

    Args:
        doubles: Shape (n, dimension).
    """
    doubtful = (doubles.view(np.uint64) & _LOW) == _HALF
    doubtful |= (np.abs(doubles) < _SMALLEST) & (doubles != 0)
    return np.flatnonzero(doubtful.any(axis=1)).tolist() if doubtful.any() else []


def _exact(text: str) -> Vectors | None:
    """The numbers of a text, each rounded once; None if it is not only numbers."""
    found = numbers_of_texts([part for part in _BETWEEN.split(text.strip(" \t\r\n[]{}()")) if part])
    return found if isinstance(found, np.ndarray) else None


def _all_numbers(texts: pa.StringArray) -> Vectors | None:
    """Texts as float32, each rounded once, and 1 where there is none; None if some are not numbers."""
    given = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
    try:
        doubles = pc.fill_null(pc.cast(given, pa.float64()), 1.0).to_numpy()
    except pa.ArrowInvalid:
        return None
    with np.errstate(over="ignore"):
        singles: Vectors = doubles.astype(np.float32)
    for position in _rounded_twice(doubles[:, None]):
        found = numbers_of_texts([texts[position].as_py()])
        if found is None:
            return None
        singles[position] = float32_of(found)[0]
    return singles


def _numbers(column: pa.StringArray) -> tuple[Vectors, list[int]]:
    """Texts as float32, each rounded once; and the positions of those that are not numbers, and are 1."""
    found = _all_numbers(column)
    if found is not None:
        return found, []
    singles = np.ones(len(column), dtype=np.float32)
    bad: list[int] = []
    for position, text in enumerate(column.to_pylist()):
        if not text:
            continue
        numbers = numbers_of_texts([text])
        if numbers is not None:
            singles[position] = float32_of(numbers)[0]
            continue
        try:
            singles[position] = float(text)  # NaN and infinity, which have a fault of their own
        except ValueError:
            bad.append(position)
    return singles, bad
