"""Vectors in Arrow arrays, all rows at once: lists of numbers, also inside structs and lists of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vecload.batch import Vectors
from vecload.mapping.arrow_values import is_list, is_text, lengths_of, numbers_of, offsets_of, plain
from vecload.mapping.rows import SPARSE_FAULT, Fault, Mapped, fault_of_length
from vecload.mapping.vector_encodings import sparse_parent


def bare_vectors(array: pa.Array) -> tuple[pa.Array, dict[int, Fault]]:
    """Vectors without the structs and the lists of one that they are in.

    Args:
        array: An array of any type.

    Returns:
        An array of the same length: the lists or bytes inside, or the same values without extension type,
        dictionary or run-end encoding. And the faults of rows with sparse vectors.
    """
    array = plain(array)
    kind = array.type
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        is_dense = names == ["values"] or (sparse_parent(names) and {*names} <= _SPARK_FIELDS)
        inner = plain(pc.struct_field(array, "values")) if is_dense else array
        if is_dense and (is_list(inner.type) or pa.types.is_null(inner.type)):
            return inner, _sparse_rows(array, names)
    if is_list(kind) and is_list(kind.value_type) and len(array):
        lengths = lengths_of(array)
        if bool((lengths == 1).all()) and not array.null_count:
            begin = array.offset * kind.list_size if pa.types.is_fixed_size_list(kind) else None
            first = int(offsets_of(array)[0]) if begin is None else begin
            return bare_vectors(array.values.slice(first, len(array)))
    return array, {}


_SPARK_FIELDS = {"type", "size", "indices", "values"}


def _sparse_rows(array: pa.Array, names: list[str]) -> dict[int, Fault]:
    if "indices" not in names:
        return {}
    sparse = np.asarray(plain(pc.struct_field(array, "indices")).is_valid())
    if "type" in names and pa.types.is_integer(array.type.field("type").type):
        sparse |= np.asarray(pc.fill_null(pc.equal(pc.struct_field(array, "type"), 0), False))
    return dict.fromkeys(np.flatnonzero(sparse).tolist(), SPARSE_FAULT)


def encoded_within(kind: pa.DataType) -> bool:
    """Whether the elements of a list type may be numbers in another encoding, or vectors."""
    inner = kind.value_type
    return bool(
        is_text(inner)
        or is_list(inner)
        or pa.types.is_struct(inner)
        or pa.types.is_map(inner)
        or (pa.types.is_dictionary(inner) and is_text(inner.value_type))
    )


def from_lists(array: pa.Array, dimension: int) -> Mapped[Vectors]:
    """Vectors of n lists, as float32.

    Args:
        array: Lists of any offset width and with any elements, but not views.
        dimension: Length of each vector.
    """
    n = len(array)
    lengths = lengths_of(array)
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        starts = (np.arange(n, dtype=np.int64) + array.offset) * size
    else:
        starts = offsets_of(array)[:-1]
    values = plain(array.values)
    right = np.asarray(lengths == dimension)
    gaps: NDArray[np.bool_] | None
    faults = {i: fault_of_length(int(lengths[i]), dimension) for i in np.flatnonzero(~right).tolist()}
    if pa.types.is_null(values.type):
        values = values.cast(pa.float32())
    if not pa.types.is_floating(values.type) and not pa.types.is_integer(values.type):
        fault = Fault("vector", "not-a-number", f"holds {values.type}, not numbers")
        faults |= dict.fromkeys(np.flatnonzero(right).tolist(), fault)
        return Mapped(np.ones((n, dimension), dtype=np.float32), faults)
    begin = int(starts[0]) if n else 0
    if not faults and (n == 0 or int(starts[-1]) == begin + (n - 1) * dimension):
        block = values.slice(begin, n * dimension)
        numbers = _numbers(block).reshape(n, dimension)
        gaps = None
        if block.null_count:
            gaps = np.asarray(np.asarray(block.is_null()).reshape(n, dimension).any(axis=1))
    else:
        numbers = np.ones((n, dimension), dtype=np.float64)  # 1: not mistaken for another fault
        gaps = np.zeros(n, dtype=np.bool_)
        for position in np.flatnonzero(right).tolist():
            block = values.slice(int(starts[position]), dimension)
            numbers[position] = _numbers(block)
            gaps[position] = block.null_count > 0
    if gaps is not None:
        missing = Fault("vector", "null-element", "holds a null")
        faults |= dict.fromkeys(np.flatnonzero(gaps & right).tolist(), missing)
        numbers = np.where(gaps[:, None], 1, numbers)
    with np.errstate(over="ignore"):
        return Mapped(np.ascontiguousarray(numbers, dtype=np.float32), faults)


def _numbers(values: pa.Array) -> NDArray[Any]:
    """The numbers of an array, without a copy if it has no nulls."""
    if values.null_count:
        values = pc.fill_null(values, 0)
    return numbers_of(values)
