"""Vectors written as bytes: numbers one after the other, little-endian, or a saved NumPy array each."""

from __future__ import annotations

import io
import tokenize
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecload.batch import Vectors
from vecload.mapping.rows import Fault, Mapped, fault_of_length
from vecload.mapping.rules import VectorDtype

NPY_MAGIC = b"\x93NUMPY"
"""Every array that NumPy saves begins with it."""
_NPY_HEADER_MAX = 10_000
"""Characters of a header: NumPy's own limit for files that are not trusted."""
_NO_HEADER = (*(ValueError, SyntaxError, KeyError, TypeError, EOFError), tokenize.TokenError, RecursionError)
"""What NumPy raises of a header, which it parses as Python literals."""


def item_size(dtype: VectorDtype) -> int:
    """Bytes of one number; 1 for `npy`, whose values say it themselves."""
    if dtype == "npy":
        return 1
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def numbers_in(data: bytes, dtype: VectorDtype) -> NDArray[Any] | Fault:
    """The numbers in a vector's bytes.

    Args:
        data: Any bytes.
        dtype: Of the numbers.

    Returns:
        One dimension, of a type that float32 or float64 holds exactly, in this machine's byte order; or what
        is wrong with the bytes.
    """
    if dtype == "npy":
        return _of_npy(data)
    if len(data) % item_size(dtype):
        return Fault("vector", "bytes", f"has {len(data)} bytes, which is not a whole number of {dtype}")
    return _numbers(data, dtype)


def from_bytes(values: Sequence[bytes | None], dimension: int, dtype: VectorDtype) -> Mapped[Vectors]:
    """Vectors of n pieces of bytes, as float32.

    Args:
        values: None is no vector.
        dimension: Numbers in each.
        dtype: Of the numbers.
    """
    faults: dict[int, Fault] = {}
    if dtype == "npy":
        vectors = np.ones((len(values), dimension), dtype=np.float32)  # 1: not mistaken for another fault
        for position, value in enumerate(values):
            numbers = fault_of_length(-1, dimension) if value is None else _of_npy(value)
            if isinstance(numbers, Fault):
                faults[position] = numbers
            elif len(numbers) != dimension:
                faults[position] = fault_of_length(len(numbers), dimension)
            else:
                with np.errstate(over="ignore"):
                    vectors[position] = numbers
        return Mapped(vectors, faults)
    size = dimension * item_size(dtype)
    rows: list[bytes] = []
    for position, value in enumerate(values):
        if value is not None and len(value) == size:
            rows.append(value)
            continue
        rows.append(bytes(size))
        wrong = None if value is None else numbers_in(value, dtype)
        if isinstance(wrong, Fault):
            faults[position] = wrong
        else:
            faults[position] = fault_of_length(-1 if wrong is None else len(wrong), dimension)
    flat = _numbers(b"".join(rows), dtype).reshape(len(rows), dimension)
    with np.errstate(over="ignore"):
        return Mapped(np.ascontiguousarray(flat, dtype=np.float32), faults)


def _numbers(data: bytes, dtype: VectorDtype) -> NDArray[Any]:
    if dtype == "bfloat16":
        # The upper half of a float32.
        return (np.frombuffer(data, "<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    kind = np.dtype(dtype).newbyteorder("<")
    return np.frombuffer(data, kind)


def _of_npy(data: bytes) -> NDArray[Any] | Fault:
    """The numbers of an array as `numpy.save` writes it: of one dimension, or of two with one row."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        of = np.lib.format
        read = of.read_array_header_1_0 if version == (1, 0) else of.read_array_header_2_0
        shape, _, dtype = read(stream, max_header_size=_NPY_HEADER_MAX)
    except _NO_HEADER:
        return Fault("vector", "bytes", "is not a NumPy array as numpy.save writes it")
    # By kind: objects, which are pickles, are never loaded.
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        return Fault("vector", "bytes", f"is a NumPy array of {dtype}, which are not numbers of a vector")
    count = shape[-1] if shape else 0
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[0] != 1):
        return Fault("vector", "bytes", f"is a NumPy array of shape {shape}; one vector has one dimension")
    begin = stream.tell()
    if len(data) - begin != count * dtype.itemsize:
        have, need = len(data) - begin, count * dtype.itemsize
        return Fault("vector", "bytes", f"is a NumPy array with {have} bytes of numbers instead of {need}")
    return np.frombuffer(data, dtype, offset=begin).astype(dtype.newbyteorder("="), copy=False)
