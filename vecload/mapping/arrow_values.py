"""Arrow arrays in their plain types, and as JSON values (docs/values.md says what each type becomes)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pybase64
from numpy.typing import NDArray

_MS_DIVISOR = {"s": 1, "ms": 1, "us": 1_000, "ns": 1_000_000}
_MS_FACTOR = {"s": 1_000, "ms": 1, "us": 1, "ns": 1}
_DAY_MS = 86_400_000
_DTYPES: dict[pa.DataType, Any] = {
    pa.from_numpy_dtype(dtype): dtype
    for dtype in (
        *(np.float16, np.float32, np.float64),
        *(np.int8, np.int16, np.int32, np.int64),
        *(np.uint8, np.uint16, np.uint32, np.uint64),
    )
}
"""NumPy's type of each Arrow number type. Some versions of Arrow need pandas for their own table."""
NOT_JSON, NOT_UTF8, NOT_A_NUMBER = "not-json", "not-utf8", "not-a-number"
"""Codes of faults: a value that JSON can't represent; bytes that should be text and are not; text in a column
of numbers."""
_WIDE = (pa.types.is_large_list, pa.types.is_large_string, pa.types.is_large_binary)


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type is text of any offset width."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_binary(kind: pa.DataType) -> bool:
    """Whether an Arrow type is bytes of any offset width."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def is_list(kind: pa.DataType) -> bool:
    """Whether an Arrow type is a list of any offset width."""
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or is_list_view(kind)
    )


def is_matrix(kind: pa.DataType) -> bool:
    """Whether an Arrow type is a tensor with more than one dimension longer than 1."""
    return isinstance(kind, pa.FixedShapeTensorType) and sum(size > 1 for size in kind.shape) > 1


def is_list_view(kind: pa.DataType) -> bool:
    """Whether an Arrow type is a list view, whose values may be in any order."""
    return bool(pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))


def plain(array: pa.Array) -> pa.Array:
    """The array without extension type, dictionary or run-end encoding; views become plain arrays."""
    while isinstance(array, pa.ExtensionArray):
        is_bool = array.type.extension_name == "arrow.bool8"
        array = array.storage.cast(pa.bool_()) if is_bool else array.storage
    if pa.types.is_dictionary(array.type):
        array = plain(_decoded(array, array.dictionary))
    if pa.types.is_run_end_encoded(array.type):
        array = plain(_decoded(array, array.values))
    if pa.types.is_string_view(array.type):
        array = array.cast(pa.large_string())
    if pa.types.is_binary_view(array.type):
        array = array.cast(pa.large_binary())
    if is_list_view(array.type):
        # Arrow's own cast empties some lists next to nulls (26.0).
        lengths = np.asarray(pc.fill_null(pc.list_value_length(array), 0), dtype=np.int64)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
        array = pa.LargeListArray.from_arrays(offsets, array.flatten(), mask=array.is_null())
    return array


def elements_at(array: pa.Array, at: int) -> pa.Array:
    """One element of each list; null where the list is null or shorter.

    Args:
        array: Lists, n of them, but no list views.
        at: The number of the element, from 0.
    """
    lengths = np.asarray(pc.fill_null(pc.list_value_length(array), 0), dtype=np.int64)
    if pa.types.is_fixed_size_list(array.type):
        begins = (np.arange(len(array), dtype=np.int64) + array.offset) * array.type.list_size
    else:
        begins = np.asarray(array.offsets, dtype=np.int64)[:-1]
    return array.values.take(pa.array(begins + at, mask=lengths <= at))


def _decoded(array: pa.Array, values: pa.Array) -> pa.Array:
    """A dictionary-encoded or run-end-encoded array as an array of its values.

    Args:
        array: The array.
        values: Its dictionary, or the values of its runs.
    """
    is_dictionary = pa.types.is_dictionary(array.type)
    known = pa.types.is_string_view(values.type) or pa.types.is_binary_view(values.type)
    if known and len(values) > len(array):
        # The array uses part of a large dictionary: decoding all of the dictionary would take longer.
        with suppress(UnicodeDecodeError):
            wide = pa.large_string() if pa.types.is_string_view(values.type) else pa.large_binary()
            return pa.array(array.to_pylist(), wide)
    simple = plain(values)
    # Arrow decodes neither views nor values that are encoded twice.
    if simple.type != values.type and is_dictionary:
        array = pa.DictionaryArray.from_arrays(array.indices, simple)
    elif simple.type != values.type:
        whole = pa.RunEndEncodedArray.from_arrays(array.run_ends, simple)
        array = whole.slice(array.offset, len(array))
    return array.dictionary_decode() if is_dictionary else pc.run_end_decode(array)


def numbers_of(array: pa.Array) -> NDArray[Any]:
    """The numbers of a numeric array, without a copy and in its own type. Numbers of nulls mean nothing.

    From the buffer: `to_numpy` imports pandas if that is installed, which takes a sixth of a second.
    """
    dtype = _DTYPES[array.type]
    if not len(array):
        return np.zeros(0, dtype=dtype)
    return np.frombuffer(array.buffers()[1], dtype=dtype, count=array.offset + len(array))[array.offset :]


def offsets_of(array: pa.Array) -> NDArray[np.int64]:
    """Where each list, text or bytes value begins, and where the last ends: int64, shape (n + 1,)."""
    if not len(array):
        return np.zeros(1, dtype=np.int64)
    wide = any(is_it(array.type) for is_it in _WIDE)
    offsets = np.frombuffer(array.buffers()[1], dtype=np.int64 if wide else np.int32)
    return offsets[array.offset : array.offset + len(array) + 1].astype(np.int64)


def lengths_of(array: pa.Array, *, null: int = -1) -> NDArray[np.int64]:
    """Values in each list, or bytes in each text, of an array: int64, shape (n,).

    From the offsets: Arrow's functions take about ten times as long.

    Args:
        array: Lists, texts or bytes of any offset width, but not views.
        null: The length of a null.
    """
    kind = array.type
    if pa.types.is_fixed_size_list(kind) or pa.types.is_fixed_size_binary(kind):
        size = kind.list_size if pa.types.is_fixed_size_list(kind) else kind.byte_width
        found = np.full(len(array), size, dtype=np.int64)
    else:
        found = np.diff(offsets_of(array))
    if array.null_count:
        found[np.asarray(array.is_null())] = null
    return found


def texts_of_binary(array: pa.Array) -> tuple[list[str | None], list[int]]:
    """The texts of an array of bytes, and the positions of those that are not UTF-8."""
    if pa.types.is_fixed_size_binary(array.type):
        array = array.cast(pa.large_binary())
    # A view without a check: reading the text finds bytes that are not UTF-8.
    wide = pa.types.is_large_binary(array.type)
    return texts(array.view(pa.large_string() if wide else pa.string()))


def texts(array: pa.Array) -> tuple[list[str | None], list[int]]:
    """The texts of a text array, and the positions of those that are not UTF-8."""
    try:
        return array.to_pylist(), []
    except UnicodeDecodeError:
        # Parquet does not check that its text is UTF-8.
        values: list[str | None] = []
        bad: list[int] = []
        for position, raw in enumerate(array.cast(pa.large_binary()).to_pylist()):
            try:
                values.append(None if raw is None else raw.decode())
            except UnicodeDecodeError:
                values.append(None)
                bad.append(position)
        return values, bad


def python_values(array: pa.Array) -> list[Any]:
    """The values of any array, for guesses: structs and maps as dicts.

    None for nulls, and for types that are never an id, a vector or contents (dates, times).
    """
    if is_matrix(array.type):
        return [*array.to_numpy_ndarray().tolist()]
    array = plain(array)
    kind = array.type
    if pa.types.is_struct(kind):
        valid = array.is_valid().to_pylist()
        parts = [python_values(part) for part in array.flatten()]
        names = [field.name for field in kind]
        rows = zip(*parts, strict=True) if parts else ((),) * len(array)
        return [
            dict(zip(names, row, strict=True)) if there else None
            for row, there in zip(rows, valid, strict=True)
        ]
    if is_text(kind):
        return [*texts(array)[0]]
    if is_list(kind):
        return _python_lists(array)
    if pa.types.is_map(kind):
        return to_json(array)[0]
    if not array.null_count and kind in _DTYPES:
        numbers: list[Any] = numbers_of(array).tolist()  # about ten times as fast as Arrow's own
        return numbers
    if is_binary(kind) or any(is_it(kind) for is_it in _NUMBERS):
        values: list[Any] = array.to_pylist()
        return values
    return [None] * len(array)


_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)


def _python_lists(array: pa.Array) -> list[Any]:
    bounds = _bounds(array)
    inner = python_values(array.values.slice(bounds[0], bounds[-1] - bounds[0]))
    return _cut(inner, bounds, array)


@dataclass(frozen=True, slots=True)
class ArrowOptions:
    """How to read values that have several readings.

    omit_nan: NaN in a column, a struct or a map is a null. In a list it stays a fault.
    binary_as_text: bytes are text.
    """

    omit_nan: bool = False
    binary_as_text: bool = False


@dataclass(slots=True)
class JsonValues:
    """The values of an array as JSON values.

    values: Nulls are None; inside a struct they are omitted.
    bad: Positions of values that JSON can't represent, with the code of the fault.
    nan: Positions of values with NaN that became null, once for each NaN.
    """

    values: list[Any]
    bad: dict[int, str] = field(default_factory=dict)
    nan: list[int] = field(default_factory=list)


AS_STORED = ArrowOptions()


def to_json(array: pa.Array) -> tuple[list[Any], list[int]]:
    """The values of any array as JSON values, and the positions of those that JSON can't represent.

    Nulls are None; inside a struct they are omitted.
    """
    found = json_of(array, AS_STORED)
    return found.values, sorted(found.bad)


def json_of(array: pa.Array, options: ArrowOptions) -> JsonValues:
    """The values of any array as JSON values.

    Args:
        array: The array.
        options: How to read NaN and bytes.
    """
    if isinstance(array, pa.ExtensionArray) and array.type.extension_name == "arrow.uuid":
        return JsonValues([None if v is None else str(uuid.UUID(bytes=v)) for v in array.storage.to_pylist()])
    array = plain(array)
    kind = array.type
    if is_text(kind):
        values, bad = texts(array)
        return JsonValues(values, dict.fromkeys(bad, NOT_JSON))
    if options.binary_as_text and is_binary(kind):
        values, bad = texts_of_binary(array)
        return JsonValues(values, dict.fromkeys(bad, NOT_UTF8))
    if pa.types.is_floating(kind):
        return _floats(array, options)
    if is_list(kind):
        return _lists(array, options)
    if pa.types.is_struct(kind):
        return _structs(array, options)
    if pa.types.is_map(kind):
        return _maps(array, options)
    if pa.types.is_time(kind):
        return JsonValues(_times(array))
    for is_it, convert in _SCALARS:
        if is_it(kind):
            return JsonValues([None if value is None else convert(value) for value in array.to_pylist()])
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return JsonValues(_milliseconds(array))
    if pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return JsonValues(array.to_pylist())
    there = np.flatnonzero(np.asarray(array.is_valid())).tolist()
    return JsonValues([None] * len(array), dict.fromkeys(there, NOT_JSON))


def _floats(array: pa.Array, options: ArrowOptions) -> JsonValues:
    numbers = array.cast(pa.float64())
    values = numbers.to_pylist()
    raw = numbers_of(numbers)
    wrong = ~np.isfinite(raw)
    if array.null_count:
        wrong &= ~np.asarray(array.is_null())
    positions = np.flatnonzero(wrong)
    if not len(positions):
        return JsonValues(values)
    nan = positions[np.isnan(raw[positions])].tolist() if options.omit_nan else []
    for position in nan:
        values[position] = None
    left_out = set(nan)
    return JsonValues(values, {place: NOT_JSON for place in positions.tolist() if place not in left_out}, nan)


def _milliseconds(array: pa.Array) -> list[int | None]:
    """Integer milliseconds: since the epoch for dates and timestamps. Naive ones are UTC.

    This is the engine's convention. Finer parts are cut off towards the past, as its own client does.
    """
    kind = array.type
    if pa.types.is_date32(kind):
        return [None if v is None else v * _DAY_MS for v in array.cast(pa.int32()).to_pylist()]
    unit = "ms" if pa.types.is_date64(kind) else kind.unit
    factor, divisor = _MS_FACTOR[unit], _MS_DIVISOR[unit]
    return [None if v is None else v * factor // divisor for v in array.cast(pa.int64()).to_pylist()]


def _times(array: pa.Array) -> list[str | None]:
    """ISO 8601 times of day, with nanoseconds, which Python's times do not have."""
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[array.type.unit]
    ticks = array.cast(pa.int32() if pa.types.is_time32(array.type) else pa.int64()).to_pylist()
    return [None if value is None else _iso(value * 10 ** (9 - digits)) for value in ticks]


def _iso(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    micro, nano = divmod(rest, 1000)
    fraction = f".{micro:06}{nano:03}" if nano else f".{micro:06}" if micro else ""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"


def _decimal(value: Decimal) -> int | float | str:
    """A number if its JSON text is the same decimal, else text."""
    if value == value.to_integral_value():
        return int(value)
    number = float(value)
    return number if Decimal(repr(number)) == value else str(value)


def _bounds(array: pa.Array) -> list[int]:
    """Where each list of an array begins among its values, and where the last ends."""
    if pa.types.is_fixed_size_list(array.type):
        found: list[int] = ((np.arange(len(array) + 1) + array.offset) * array.type.list_size).tolist()
    else:
        found = offsets_of(array).tolist()
    return found


def _cut(inner: list[Any], bounds: list[int], array: pa.Array) -> list[Any]:
    """The lists of an array, cut from the values of all of them."""
    first = bounds[0]
    valid = array.is_valid().to_pylist()  # NumPy would have Arrow import pandas
    return [
        inner[start - first : stop - first] if there else None
        for start, stop, there in zip(bounds, bounds[1:], valid, strict=False)
    ]


def _lists(array: pa.Array, options: ArrowOptions) -> JsonValues:
    bounds = _bounds(array)
    first, last = bounds[0], bounds[-1]
    within = array.values.slice(first, last - first)
    if options.omit_nan and not isinstance(within, pa.ExtensionArray):
        within = plain(within)
        if pa.types.is_floating(within.type):
            options = replace(options, omit_nan=False)  # without it, the numbers after it would move up
    inner = json_of(within, options)
    valid = np.asarray(array.is_valid()).tolist()
    values = _cut(inner.values, bounds, array)
    if not inner.bad and not inner.nan:
        return JsonValues(values)

    def parents(places: Iterable[int]) -> Iterator[tuple[int, int]]:
        """The list that each value is in, unless that list is null."""
        known = [*places]
        at = np.asarray(known, dtype=np.int64) + first
        found = np.searchsorted(np.asarray(bounds), at, side="right") - 1
        return ((parent, place) for parent, place in zip(found.tolist(), known, strict=True) if valid[parent])

    bad = {parent: inner.bad[place] for parent, place in parents(inner.bad)}
    return JsonValues(values, bad, [parent for parent, _ in parents(inner.nan)])


def _structs(array: pa.Array, options: ArrowOptions) -> JsonValues:
    names = [field.name for field in array.type]
    # field() ignores the parent's nulls, and in old releases its offset; flatten respects both.
    parts = [json_of(part, options) for part in array.flatten()]
    valid = np.asarray(array.is_valid()).tolist()
    rows = zip(*(part.values for part in parts), strict=True) if parts else ((),) * len(array)
    values = [
        {name: value for name, value in zip(names, row, strict=True) if value is not None} if there else None
        for row, there in zip(rows, valid, strict=True)
    ]
    bad: dict[int, str] = {}
    for part in parts:
        bad.update(part.bad)
    return JsonValues(values, bad, [position for part in parts for position in part.nan])


def _maps(array: pa.Array, options: ArrowOptions) -> JsonValues:
    if pa.types.is_floating(array.type.key_type):
        options = replace(options, omit_nan=False)  # an entry needs a key
    entries = pa.ListArray.from_arrays(
        array.offsets, pa.StructArray.from_arrays([array.keys, array.items], names=["key", "value"])
    )
    pairs = _lists(entries, options)
    valid = np.asarray(array.is_valid()).tolist()
    values = [
        {str(pair.get("key")): pair.get("value") for pair in row if pair.get("value") is not None}
        if there
        else None
        for row, there in zip(pairs.values, valid, strict=True)
    ]
    return JsonValues(values, pairs.bad, pairs.nan)


_SCALARS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[Any], Any]], ...] = (
    (is_binary, pybase64.b64encode_as_string),
    (pa.types.is_decimal, _decimal),
)
