"""Record batches, cut into pieces of bounded size whatever their encoding hides."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecload.batch import Span
from vecload.mapping.arrow_rows import ArrowRows
from vecload.mapping.arrow_values import is_binary, is_list, is_text, lengths_of


def pieces(
    source: str, start: int, table: pa.RecordBatch, *, batch_rows: int, batch_bytes: int
) -> Iterator[ArrowRows]:
    """A record batch in pieces.

    Args:
        source: The source's name.
        start: The number of the first row.
        table: The rows.
        batch_rows: Rows of a piece at the most.
        batch_bytes: Bytes of a piece at the most, its dictionaries spread out; a larger row is one by itself.
    """
    for at in range(0, len(table), batch_rows):
        for offset, piece in _halved(table.slice(at, batch_rows), at, batch_bytes):
            yield ArrowRows(Span(source, start + offset, start + offset + len(piece)), piece)


def _halved(table: pa.RecordBatch, at: int, most: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    if len(table) > 1 and sum(map(_bytes, table.columns)) > most:
        half = len(table) // 2
        yield from _halved(table.slice(0, half), at, most)
        yield from _halved(table.slice(half), at + half, most)
    else:
        yield at, table


def _bytes(array: pa.Array) -> int:
    try:
        return spread_bytes(array)
    except pa.ArrowException:
        return int(array.nbytes)  # a type that Arrow can't decode: whoever needs the column says so


def spread_bytes(array: pa.Array) -> int:
    """Bytes of an array as it is once dictionaries and runs are spread out to a value each."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return spread_bytes(array.storage)
    if pa.types.is_dictionary(kind):
        lengths = value_bytes(array.dictionary)
        known = array.indices.drop_null().to_numpy().astype(np.int64)
        return int(lengths[known].sum())
    if pa.types.is_run_end_encoded(kind):
        return len(array) * int(value_bytes(array.values).max(initial=1))
    if pa.types.is_struct(kind):
        return sum(map(spread_bytes, array.flatten()))
    if pa.types.is_map(kind):
        entries = (
            pa.ListArray.from_arrays(array.offsets, array.keys),
            pa.ListArray.from_arrays(array.offsets, array.items),
        )
        return sum(map(spread_bytes, entries))
    if is_list(kind) and not _flat(kind.value_type):
        return 8 * len(array) + spread_bytes(array.flatten())
    return int(array.nbytes)


def value_bytes(values: pa.Array) -> NDArray[np.int64]:
    """Bytes of each value of an array: int64, as long as that."""
    if is_text(values.type) or is_binary(values.type):
        if pa.types.is_string_view(values.type) or pa.types.is_binary_view(values.type):
            values = values.cast(pa.large_binary())
        return lengths_of(values, null=0)
    return np.full(len(values), -(-values.nbytes // max(len(values), 1)), dtype=np.int64)


def _flat(kind: pa.DataType) -> bool:
    return bool(pa.types.is_primitive(kind) or is_text(kind) or is_binary(kind))
