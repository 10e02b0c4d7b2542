"""ArrowRows: rows as Arrow record batches (Parquet, Arrow, NumPy), their columns, and their ids."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from itertools import repeat
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vecload.batch import Contents, Metadata, Span, Vectors
from vecload.errors import SourceError
from vecload.limits import CONTENTS_MAX_BYTES, ID_MAX_BYTES
from vecload.mapping.arrow_values import (
    AS_STORED,
    NOT_A_NUMBER,
    NOT_UTF8,
    ArrowOptions,
    JsonValues,
    elements_at,
    is_binary,
    is_list,
    is_matrix,
    is_text,
    json_of,
    lengths_of,
    plain,
    python_values,
    texts,
    texts_of_binary,
    to_json,
)
from vecload.mapping.arrow_vectors import bare_vectors, encoded_within, from_lists
from vecload.mapping.columns import Column, ValueKind
from vecload.mapping.dimensions import as_lists
from vecload.mapping.json_rows import JsonRows, as_object, fault_of_contents
from vecload.mapping.mapping import ColumnMapping, Rules
from vecload.mapping.nested_rows import holds_anything, joined
from vecload.mapping.paths import Steps, dig, element_of
from vecload.mapping.rows import Fault, Mapped, Rows, fault_of_id, fault_of_name_conflict
from vecload.mapping.vector_bytes import from_bytes, item_size
from vecload.options import VectorDtype


class ArrowRows:
    """Some rows of a source as an Arrow record batch.

    Args:
        span: Where they come from.
        table: The record batch, as long as the span.
        options: How to read NaN and bytes.
    """

    broken: dict[int, Fault] = {}  # noqa: RUF012 a record batch has no broken rows, so it stays empty

    columns_vary = False
    offsets: Sequence[int] | None = None

    def __init__(self, span: Span, table: pa.RecordBatch, options: ArrowOptions = AS_STORED) -> None:
        self.span = span
        self._table = table
        self._options = options

    @property
    def batch(self) -> pa.RecordBatch:
        """The record batch."""
        return self._table

    def with_rules(self, rules: Rules) -> ArrowRows:
        """The same rows, with NaN and bytes read as the rules say."""
        options = ArrowOptions(omit_nan=rules.nan == "omit", binary_as_text=rules.binary_as_text)
        return ArrowRows(self.span, self._table, options)

    def with_lists(self, names: Sequence[str], together: str) -> ArrowRows:
        """The same rows, with some numeric columns as one column of lists.

        Raises:
            MappingError: A column holds something else than numbers.
        """
        table = self._table
        lists = as_lists([table.column(name) for name in names], names, self.span.source)
        others = table.select([name for name in table.schema.names if name not in names])
        return ArrowRows(self.span, others.append_column(together, lists), self._options)

    def raw(self, position: int) -> str:
        """A row as JSON text; values that JSON can't represent become text as in Python."""
        one = self._table.slice(position, 1)
        row = {name: _as_python(column) for name, column in zip(one.schema.names, one.columns, strict=True)}
        try:
            return orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:
            return json.dumps(row, default=str, ensure_ascii=False)  # an integer beyond 64 bits

    def field(self, name: str, steps: Steps) -> Rows:
        """A field of structs and lists as an array of its own; a field of maps, JSON text as JSON values."""
        outer, *rest = steps
        if outer not in self._table.schema.names:
            return JsonRows(self.span, [{}] * len(self.span))
        array = self._plain(outer)
        while rest:
            if pa.types.is_struct(array.type):
                inner = rest.pop(0)
                if array.type.get_field_index(inner) < 0:
                    return JsonRows(self.span, [{}] * len(self.span))
                array = plain(pc.struct_field(array, inner))
            elif is_list(array.type) and (at := element_of(rest[0])) is not None:
                del rest[0]
                array = plain(elements_at(array, at))
            else:
                break
        if not rest:
            return ArrowRows(self.span, pa.record_batch({name: array}), self._options)
        found = json_of(array, self._options)
        faults = {position: _unsayable(outer, code) for position, code in found.bad.items()}
        dug = [dig(value, rest) for value in found.values]
        rows = [{} if value is None else {name: value} for value in dug]
        return JsonRows(self.span, rows, unsayable=faults, nan=found.nan)

    def non_empty_rows(self, column: str) -> list[int]:
        """The positions of rows whose value in the column is neither null nor empty."""
        if column not in self._table.schema.names or self._table.column(column).null_count == len(self.span):
            return []
        values, bad = to_json(self._plain(column))
        return sorted({*bad, *(i for i, value in enumerate(values) if holds_anything(value))})

    def values(self, column: str) -> list[Any]:
        """The values of a column as Python values, for guesses; None for types that no guess uses."""
        if column not in self._table.schema.names:
            return [None] * len(self.span)
        return python_values(self._table.column(column))

    def ids(self, column: str) -> Mapped[list[str]]:
        """Ids as text: integers and whole decimals as digits, 16 bytes as a UUID."""
        array = self._plain(column)
        is_uuid = getattr(self._table.schema.field(column).type, "extension_name", "") == "arrow.uuid"
        values, faults = ids_of(array, AS_STORED if is_uuid else self._options)
        if not faults and not array.null_count and _lengths_within(array, 1, ID_MAX_BYTES):
            return Mapped(values, faults)  # type: ignore[arg-type] # none is None
        for position, value in enumerate(values):
            if value is None:
                faults.setdefault(position, Fault("id", "missing", "is missing"))
                values[position] = ""
            else:
                fault_of_it = fault_of_id(value)
                if fault_of_it is not None:
                    faults.setdefault(position, fault_of_it)
        return Mapped([value or "" for value in values] if faults else values, faults)  # type: ignore[arg-type] # None has a fault

    def id_texts(self, column: str) -> pa.Array | None:
        """Ids as an array of texts, bad ones too, without a look at each; None if they can't be had so."""
        array = self._plain(column)
        if pa.types.is_integer(array.type):
            return pc.cast(array, pa.string())
        return array if is_text(array.type) else None

    def vector_lengths(self, column: str, dtype: VectorDtype | None = None) -> NDArray[np.int64]:
        """Length of each row's vector; -1 if it has none."""
        array, faults = self._bare(column)
        kind = array.type
        if is_list(kind) and not encoded_within(kind):
            lengths = lengths_of(array)
        elif is_binary(kind) and dtype != "npy":
            size = item_size(dtype or "float32")
            sizes = lengths_of(array, null=-size)
            lengths = np.where(sizes % size == 0, sizes // size, -1)
        else:
            lengths = self._parsed(column, array).vector_lengths(column, dtype)
        lengths[list(faults)] = -1
        return lengths

    def vectors(self, column: str, dimension: int, dtype: VectorDtype | None = None) -> Mapped[Vectors]:
        """Vectors in any encoding. Lists of numbers and bytes, also inside structs, are read all at once."""
        array, faults = self._bare(column)
        kind = array.type
        if is_list(kind) and not encoded_within(kind):
            mapped = from_lists(array, dimension)
        elif is_binary(kind):
            mapped = from_bytes(array.to_pylist(), dimension, dtype or "float32")
        else:
            mapped = self._parsed(column, array).vectors(column, dimension, dtype)
        if not faults:
            return mapped
        mapped.values[list(faults)] = 1  # not mistaken for another fault
        return Mapped(mapped.values, {**mapped.faults, **faults})

    def metadata(self, mapping: ColumnMapping) -> Mapped[list[Metadata | None] | None]:
        """The entries of the metadata object and the remaining columns, without nulls."""
        names = mapping.leftover(self._table.schema.names)
        n = len(self._table)
        faults: dict[int, Fault] = {}
        columns: list[list[Any]] = []
        nan: list[int] = []
        has_null = False
        for name in names:
            one = self._json(name)
            columns.append(one.values)
            nan += one.nan
            has_null = has_null or None in one.values
            for position, code in one.bad.items():
                faults.setdefault(position, _unsayable(name, code))
        found: list[Metadata | None]
        if not names:
            found = [None] * n
        elif has_null:
            rows = zip(*columns, strict=True)
            found = [
                {name: value for name, value in zip(names, row, strict=True) if value is not None} or None
                for row in rows
            ]
        else:
            found = [*map(dict, map(zip, repeat(names), zip(*columns, strict=True)))]  # a third faster
        if mapping.metadata_object is not None:
            spread = self._json(mapping.metadata_object)
            nan += spread.nan
            for position, value in enumerate(spread.values):
                entries, fault = as_object(value)
                if fault is not None:
                    faults.setdefault(position, fault)
                elif entries:
                    found[position], taken = joined(found[position] or {}, entries)
                    if taken is not None:
                        faults.setdefault(position, fault_of_name_conflict(taken, mapping.metadata_object))
            for position, code in spread.bad.items():
                faults.setdefault(position, _unsayable(mapping.metadata_object, code))
        return Mapped(found if any(found) else None, faults, nan)

    def contents(self, column: str) -> Mapped[list[Contents | None] | None]:
        """Text and bytes as they are."""
        array = self._plain(column)
        bad: list[int] = []
        values: list[Any]
        if is_text(array.type):
            found, bad = texts(array)
            values = list(found)
        elif is_binary(array.type) and self._options.binary_as_text:
            found, bad = texts_of_binary(array)
            values = list(found)
        elif is_binary(array.type):
            values = array.to_pylist()
        else:
            fault = Fault("contents", "not-text", f"is neither text nor bytes but {array.type}")
            present = np.flatnonzero(np.asarray(array.is_valid())).tolist()
            return Mapped(None, dict.fromkeys(present, fault))
        faults = {position: Fault("contents", "not-utf8", "is not UTF-8") for position in bad}
        for position, value in () if _lengths_within(array, 0, CONTENTS_MAX_BYTES) else enumerate(values):
            wrong = fault_of_contents(value)
            if wrong is not None:
                faults.setdefault(position, wrong)
                values[position] = None
        return Mapped(None if array.null_count == len(array) else values, faults)

    def _plain(self, column: str) -> pa.Array:
        """A column in its plain type (`arrow_values.plain`).

        Raises:
            SourceError: Arrow can't decode its type.
        """
        array = self._table.column(column)
        try:
            return plain(array)
        except pa.ArrowException:
            raise self._unreadable(column) from None

    def _bare(self, column: str) -> tuple[pa.Array, dict[int, Fault]]:
        """A column of vectors as `bare_vectors` returns it, with the faults of sparse rows.

        Raises:
            SourceError: Arrow can't decode its type.
        """
        try:
            return bare_vectors(self._table.column(column))
        except pa.ArrowException:
            raise self._unreadable(column) from None

    def _json(self, column: str) -> JsonValues:
        """A column as JSON values.

        Raises:
            SourceError: Arrow can't decode its type.
        """
        try:
            return json_of(self._table.column(column), self._options)
        except pa.ArrowException:
            raise self._unreadable(column) from None

    def _unreadable(self, column: str) -> SourceError:
        kind = self._table.schema.field(column).type
        return SourceError(
            f"{self.span.source}: column {column!r} has the Arrow type {kind}, which can't be decoded",
            hint=f"write it as a plain type, or omit it with --metadata-exclude {column}",
        )

    def _parsed(self, column: str, array: pa.Array) -> JsonRows:
        """A column as JSON values, so that both kinds of rows treat them alike."""
        values = array.to_pylist() if is_binary(array.type) else to_json(array)[0]
        return JsonRows(self.span, [{column: value} for value in values])


def _unsayable(name: str, code: str) -> Fault:
    if code == NOT_UTF8:
        return Fault("metadata", "not-utf8", f"has bytes in {name!r} that are not UTF-8")
    if code == NOT_A_NUMBER:
        message = f"has text in {name!r}, which the first rows show as numbers: use --csv-types text"
        return Fault("metadata", "not-a-number", message)
    return Fault("metadata", "not-json", f"has a value in {name!r} that JSON can't represent")


def _as_python(array: pa.Array) -> Any:
    """The only value of an array as a Python value, or as a JSON value if Python has none."""
    try:
        return array.to_pylist()[0]
    except (pa.ArrowException, ArithmeticError, ValueError):
        # Dates outside of Python's range, text that is not UTF-8, types that Arrow can't decode.
        with suppress(pa.ArrowException):
            return to_json(array)[0][0]
        return f"({array.type})"


def _lengths_within(array: pa.Array, least: int, most: int) -> bool:
    """Whether all texts or bytes of an array have such lengths; nulls do not count."""
    if not is_text(array.type) and not is_binary(array.type):
        return bool(least <= 1 <= most and pa.types.is_integer(array.type))
    lengths = lengths_of(array, null=least)
    return not len(lengths) or bool(least <= lengths.min() and lengths.max() <= most)


def columns_of(schema: pa.Schema) -> list[Column]:
    """The columns of an Arrow schema."""
    index = _index_of(schema)
    names = [name for name in index if isinstance(name, str)]
    ranges = [one.get("name") for one in index if isinstance(one, dict)]
    lost = next((name for name in ranges if isinstance(name, str)), "")
    return [replace(_column(field), index=field.name in names, lost_index=lost) for field in schema]


def _column(field: pa.Field) -> Column:
    kind = field.type
    inside = tuple(map(_column, kind)) if pa.types.is_struct(kind) else ()
    return Column(field.name, _value_kind(kind), str(kind), inside)


def _index_of(schema: pa.Schema) -> list[Any]:
    """A pandas data frame's index as the schema describes it: names of columns, and ranges."""
    try:
        found = orjson.loads((schema.metadata or {})[b"pandas"])["index_columns"]
    except (KeyError, TypeError, ValueError):
        return []
    return found if isinstance(found, list) else []


def _value_kind(kind: pa.DataType) -> ValueKind:
    if is_matrix(kind):
        return "other"
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if is_list(kind):
        inner = kind.value_type
        if pa.types.is_floating(inner):
            return "floats"
        return "integers" if pa.types.is_integer(inner) else "other"
    for value_kind, is_it in _VALUE_KINDS:
        if is_it(kind):
            return value_kind
    return "other"


_VALUE_KINDS: tuple[tuple[ValueKind, Any], ...] = (
    ("text", is_text),
    ("integer", pa.types.is_integer),
    ("bytes", is_binary),
    ("object", pa.types.is_struct),
    ("object", pa.types.is_map),
    ("null", pa.types.is_null),
)


UUID_BYTES = 16
_NOT_UTF8 = Fault("id", "not-utf8", "is not UTF-8")
_FRACTION = Fault("id", "not-text", "is a decimal with a fraction")
_ROUNDED = "is a floating-point number, which may be rounded: write ids as integers or as text"
_BYTES = "is bytes that are neither text nor a UUID; ids are text, so write them as base64 or hexadecimal"


def ids_of(array: pa.Array, options: ArrowOptions) -> tuple[list[str | None], dict[int, Fault]]:
    """The ids of an array: None for nulls and faults.

    Args:
        array: A plain array: no dictionary, no views.
        options: How to read bytes.
    """
    kind = array.type
    if pa.types.is_integer(kind) or pa.types.is_null(kind):
        return pc.cast(array, pa.string()).to_pylist(), {}
    if is_text(kind):
        values, bad = texts(array)
        return values, dict.fromkeys(bad, _NOT_UTF8)
    if pa.types.is_decimal(kind):
        return _of_decimals(array.to_pylist())
    if is_binary(kind) and options.binary_as_text:
        values, bad = texts_of_binary(array)
        return values, dict.fromkeys(bad, _NOT_UTF8)
    if is_binary(kind):
        fixed = pa.types.is_fixed_size_binary(kind) and kind.byte_width == UUID_BYTES
        return _of_bytes(array.to_pylist(), all_uuids=fixed)
    other = f"is neither text nor an integer but {kind}"
    fault = Fault("id", "not-text", _ROUNDED if pa.types.is_floating(kind) else other)
    return [None] * len(array), dict.fromkeys(range(len(array)), fault)


def _of_decimals(values: list[Decimal | None]) -> tuple[list[str | None], dict[int, Fault]]:
    ids: list[str | None] = []
    faults: dict[int, Fault] = {}
    for position, value in enumerate(values):
        whole = None if value is None else int(value)
        if value is not None and whole != value:
            faults[position], whole = _FRACTION, None
        ids.append(None if whole is None else str(whole))
    return ids, faults


def _of_bytes(values: list[bytes | None], *, all_uuids: bool) -> tuple[list[str | None], dict[int, Fault]]:
    """Printable text as it is, other 16 bytes as a UUID. Other ids of the column do not matter."""
    ids: list[str | None] = []
    faults: dict[int, Fault] = {}
    for position, value in enumerate(values):
        text = None if value is None or all_uuids else printable(value)
        if text is None and value is not None:
            if len(value) == UUID_BYTES:
                text = str(uuid.UUID(bytes=value))
            else:
                faults[position] = Fault("id", "not-text", _BYTES)
        ids.append(text)
    return ids, faults


def printable(value: bytes) -> str | None:
    """Bytes as text, if they are UTF-8 without control characters."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
