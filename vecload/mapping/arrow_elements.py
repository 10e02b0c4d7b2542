"""Rows of Arrow of which each element of a list becomes a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vecload.mapping.arrow_values import is_list, plain
from vecload.mapping.paths import EACH, is_bracket


def has_elements(schema: pa.Schema, each: Sequence[str]) -> bool:
    """Whether steps lead to the elements of one list, which is a column or inside structs."""
    if len(each) < 2 or each[-1] != EACH or any(is_bracket(step) for step in each[1:-1]):
        return False
    if each[0] not in schema.names:
        return False
    kind = schema.field(each[0]).type
    for step in each[1:-1]:
        if not pa.types.is_struct(kind) or kind.get_field_index(step) < 0:
            return False
        kind = kind.field(step).type
    return is_list(kind)


def element_counts(batch: pa.RecordBatch, each: Sequence[str]) -> NDArray[np.int64]:
    """How many rows each row becomes: int64, shape (n,). One without elements stays a row."""
    array = plain(batch.column(each[0]))
    for step in each[1:-1]:
        array = plain(pc.struct_field(array, step))
    lengths = np.asarray(pc.fill_null(pc.list_value_length(array), 0), dtype=np.int64)
    return np.maximum(lengths, 1)


def one_element_each(batch: pa.RecordBatch, each: Sequence[str], begin: int, end: int) -> pa.RecordBatch:
    """Some of the rows that the elements become: each with only its element in the list.

    Args:
        batch: The rows.
        each: Steps that it `has_elements` at.
        begin: The first of these rows.
        end: The number after the last.
    """
    counts = element_counts(batch, each)
    ends = np.cumsum(counts)
    rows = np.repeat(np.arange(len(batch), dtype=np.int64), counts)[begin:end]
    numbers = np.arange(begin, end, dtype=np.int64) - (ends - counts)[rows]
    columns = [
        _expanded(plain(column), each[1:], rows, numbers) if name == each[0] else column.take(pa.array(rows))
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _expanded(
    array: pa.Array, steps: Sequence[str], rows: NDArray[np.int64], numbers: NDArray[np.int64]
) -> pa.Array:
    if steps[0] == EACH:
        lengths = np.asarray(pc.fill_null(pc.list_value_length(array), 0), dtype=np.int64)
        if pa.types.is_fixed_size_list(array.type):
            begins = (np.arange(len(array), dtype=np.int64) + array.offset) * array.type.list_size
        else:
            begins = np.asarray(array.offsets, dtype=np.int64)[:-1]
        picked = pa.array(begins[rows] + numbers, mask=numbers >= lengths[rows])
        offsets = pa.array(np.arange(len(rows) + 1, dtype=np.int64))
        return pa.LargeListArray.from_arrays(offsets, array.values.take(picked))
    kind = array.type
    fields = [
        _expanded(plain(pc.struct_field(array, field.name)), steps[1:], rows, numbers)
        if field.name == steps[0]
        else pc.struct_field(array, field.name).take(pa.array(rows))
        for field in kind
    ]
    return pa.StructArray.from_arrays(fields, names=[field.name for field in kind])
