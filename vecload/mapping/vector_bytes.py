"""Vectors written as bytes: numbers one after the other, little-endian."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vecload.batch import Vectors
from vecload.mapping.rows import Fault, Mapped, fault_of_length
from vecload.mapping.rules import VectorDtype


def from_bytes(values: Sequence[bytes | None], dimension: int, dtype: VectorDtype) -> Mapped[Vectors]:
    """Vectors of n pieces of bytes, as float32.

    Args:
        values: None is no vector.
        dimension: Numbers in each.
        dtype: Of the numbers.
    """
    kind = np.dtype(dtype).newbyteorder("<")
    size = dimension * kind.itemsize
    faults: dict[int, Fault] = {}
    rows: list[bytes] = []
    for position, value in enumerate(values):
        if value is not None and len(value) == size:
            rows.append(value)
            continue
        rows.append(bytes(size))
        if value is None or len(value) % kind.itemsize == 0:
            length = -1 if value is None else len(value) // kind.itemsize
            faults[position] = fault_of_length(length, dimension)
        else:
            faults[position] = Fault("vector", "bytes", f"has {len(value)} bytes, no whole number of {dtype}")
    flat = np.frombuffer(b"".join(rows), dtype=kind).reshape(len(rows), dimension)
    with np.errstate(over="ignore"):
        return Mapped(np.ascontiguousarray(flat, dtype=np.float32), faults)
