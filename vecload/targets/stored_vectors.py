"""Vectors as the engine returns them, made into arrays: for a service and for an embedded store."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np

from vecload.batch import Vectors


def arrays_of(vectors: Sequence[Sequence[float] | None]) -> list[Vectors | None]:
    """Vectors of Python numbers, each of them a float32 widened to 64 bits, as arrays that share memory.

    Args:
        vectors: n vectors; None or an empty one where there is none.

    Raises:
        struct.error: A value is not a number.
    """
    # Three times faster than NumPy, which looks at every number to find a type for all of them.
    packers: dict[int, Callable[..., bytes]] = {}
    packed: list[bytes] = []
    for vector in vectors:
        size = len(vector) if vector else 0
        if size not in packers:
            packers[size] = struct.Struct(f"{size}f").pack
        packed.append(packers[size](*vector) if vector else b"")
    if len(packers) == 1 and size:
        return [*np.frombuffer(b"".join(packed), dtype=np.float32).reshape(len(vectors), size)]
    return [np.frombuffer(data, dtype=np.float32) if data else None for data in packed]
