"""Vectors written as bytes: reads them, and guesses the type of their numbers from a sample.

The bytes are numbers one after the other, little-endian, or a whole array saved by NumPy.

Bytes do not say their number type, and with a wrong type the numbers are finite but meaningless. So a type is
likely only if its numbers look like an embedding, and it is the answer only if no other type is possible. The
numbers of an embedding lie densely around zero: their magnitudes are within a few powers of two, an interval
twice as wide has twice as many of them, and even and odd positions look alike. Read as a wrong type, halves
of numbers alternate, and exponents are multiplied by eight or run into each other.
"""

from __future__ import annotations

import io
import tokenize
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecload.batch import Vectors
from vecload.mapping.rows import Fault, Mapped, fault_of_length
from vecload.options import VectorDtype

NPY_MAGIC = b"\x93NUMPY"
"""The first bytes of every array that NumPy saves."""
_NPY_HEADER_MAX = 10_000
"""Longest header: NumPy's own limit for untrusted files."""
_NO_HEADER = (*(ValueError, SyntaxError, KeyError, TypeError, EOFError), tokenize.TokenError, RecursionError)
"""What NumPy raises for a bad header, which it parses as Python literals."""


def item_size(dtype: VectorDtype) -> int:
    """Bytes of one number; 1 for `npy`, whose arrays name their own type."""
    if dtype == "npy":
        return 1
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def numbers_in(data: bytes, dtype: VectorDtype) -> NDArray[Any] | Fault:
    """The numbers in a vector's bytes.

    Args:
        data: Any bytes.
        dtype: The number type.

    Returns:
        An array of one dimension, of a type that float32 or float64 holds exactly, in this machine's byte
        order; or a fault.
    """
    if dtype == "npy":
        return _of_npy(data)
    if len(data) % item_size(dtype):
        return Fault(
            "vector", "bytes", f"has {len(data)} bytes, which is not a whole number of {dtype} values"
        )
    return _numbers(data, dtype)


def from_bytes(values: Sequence[bytes | None], dimension: int, dtype: VectorDtype) -> Mapped[Vectors]:
    """Vectors from n values of bytes, as float32.

    Args:
        values: None means that a row has no vector.
        dimension: Length of each vector.
        dtype: The number type.
    """
    faults: dict[int, Fault] = {}
    if dtype == "npy":
        vectors = np.ones((len(values), dimension), dtype=np.float32)  # 1: no other check finds fault with it
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
    """The numbers of an array written by `numpy.save`, which has one dimension, or two and one row."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        of = np.lib.format
        read = of.read_array_header_1_0 if version == (1, 0) else of.read_array_header_2_0
        shape, _, dtype = read(stream, max_header_size=_NPY_HEADER_MAX)
    except _NO_HEADER:
        return Fault("vector", "bytes", "is not a NumPy array as numpy.save writes it")
    # Only numbers: objects are pickles, which are never loaded.
    if dtype.kind not in "fiu" or dtype.itemsize > 8:
        return Fault("vector", "bytes", f"is a NumPy array of {dtype}, which can't be a vector")
    count = shape[-1] if shape else 0
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[0] != 1):
        return Fault("vector", "bytes", f"is a NumPy array of shape {shape}; one vector has one dimension")
    begin = stream.tell()
    if len(data) - begin != count * dtype.itemsize:
        have, need = len(data) - begin, count * dtype.itemsize
        return Fault("vector", "bytes", f"is a NumPy array with {have} bytes of numbers instead of {need}")
    return np.frombuffer(data, dtype, offset=begin).astype(dtype.newbyteorder("="), copy=False)


_FLOATS: tuple[VectorDtype, ...] = ("float32", "float16", "bfloat16", "float64")
_BYTES: tuple[VectorDtype, ...] = ("int8", "uint8")
_SMALLEST: dict[VectorDtype, float] = {"float32": 2.0**-126, "bfloat16": 2.0**-126, "float64": 2.0**-1022}
"""Smallest normal numbers; smaller ones are denormal. For float16 that is where embeddings have values."""
_SAMPLE_VALUES = 2**17
_FEW = 32
"""With fewer numbers, neither magnitudes nor their spread can be judged."""
_FEW_BYTES = 1024
"""With fewer bytes, numbers of one byte can't be distinguished from parts of wider numbers."""
_ROUND_DIGITS = 4
_ROUND_MIN = 4
"""That many numbers with that few digits are no coincidence: one in thousands is that round."""


def likely_dtypes(samples: Sequence[bytes], dimension: int | None = None) -> tuple[VectorDtype, ...]:
    """The number types that vectors written as bytes may have.

    Args:
        samples: Vectors.
        dimension: Length of each, if it is known.

    Returns:
        One type if the answer is clear; several if more are possible; none if the bytes do not look like
        embeddings.
    """
    if samples and all(data.startswith(NPY_MAGIC) for data in samples):
        return ("npy",)
    sizes = Counter(map(len, samples))
    if not sizes:
        return ()
    size, count = sizes.most_common(1)[0]
    if not size or count * 2 <= len(samples):
        return ()
    rows = [data for data in samples if len(data) == size][: max(_SAMPLE_VALUES // size, 8)]
    fitting = [
        dtype
        for dtype in (*_FLOATS, *_BYTES)
        if size % item_size(dtype) == 0 and dimension in (None, size // item_size(dtype))
    ]
    with np.errstate(all="ignore"):  # numbers of a wrong type have any magnitude
        looks = {dtype: _look(rows, dtype) for dtype in fitting if dtype in _FLOATS}
    possible = [dtype for dtype, look in looks.items() if look.possible]
    if "bfloat16" in possible and looks["bfloat16"].likely:
        # Two bfloat16 are also a float32, but the lower halves of real float32 never look like an embedding.
        # And read as float16, the magnitudes of bfloat16 are eight times as close.
        clear = looks["bfloat16"].centred
        possible = [
            d for d in possible if d != "float32" and not (d == "float16" and clear and looks[d].narrow)
        ]
    likely = [dtype for dtype in possible if looks[dtype].likely]
    certain = [dtype for dtype in likely if looks[dtype].certain]
    if len(certain) == 1:
        return (certain[0],)
    if possible:
        # A known dimension may leave only one width, which a few numbers can confirm.
        only = dimension is not None and len(fitting) == 1 and looks[fitting[0]].close
        unclear = (*possible, *_integers(rows, fitting, strict=False))
        if len(unclear) == 1:
            return unclear if likely or only else ()
        return unclear
    return _integers(rows, fitting, strict=True)


@dataclass(frozen=True, slots=True)
class _Look:
    """How numbers of one type look.

    possible: they could be an embedding.
    likely: they look like most embeddings.
    certain: they have few decimal digits, which is no coincidence.
    close: no magnitude is far from the others.
    narrow: their magnitudes are closer than those of an embedding.
    centred: they have both signs, and as many small values as numbers around zero have.
    """

    possible: bool
    likely: bool = False
    certain: bool = False
    close: bool = False
    narrow: bool = False
    centred: bool = False


def _look(rows: Sequence[bytes], dtype: VectorDtype) -> _Look:
    read = [numbers for data in rows if not isinstance(numbers := numbers_in(data, dtype), Fault)]
    given = np.stack(read)
    numbers = given.astype(np.float64)
    finite = np.isfinite(numbers).all(axis=1)
    if finite.mean() < 0.9:
        return _Look(possible=False)
    given, numbers = given[finite], numbers[finite]
    size = np.abs(numbers)
    there = size > 0
    if not there.any() or (size[there] < _SMALLEST.get(dtype, 0)).any():
        return _Look(possible=False)
    octaves = np.log2(size[there])
    middle = float(np.median(octaves))
    low, high = float((octaves < middle - 3).mean()), float((octaves > middle + 4).mean())
    halved = float((octaves < middle - 1).mean())
    far = float(((octaves < middle - 9) | (octaves > middle + 9)).mean())
    norm = float(np.median(np.sqrt((numbers**2).sum(axis=1))))
    apart, zeros_apart = _apart(size)
    noise = 3 / np.sqrt(octaves.size)
    spread = float(octaves.std())
    leading = (
        np.bincount(((np.frexp(size[there])[0] - 0.5) * 16).astype(np.int64), minlength=8) / octaves.size
    )
    possible = (
        high < 0.05 + noise
        and low < 0.25 + noise
        and far < 0.03 + noise
        and -14 < middle < 14
        and apart < 1.5 + 6 * noise
        and zeros_apart < 0.4 + noise
    )
    if not possible:
        return _Look(possible=False)
    likely = (
        octaves.size >= _FEW
        and low + noise / 3 > 0.02
        and low < 0.12 + noise / 3
        and halved < 0.35 + noise / 3
        and high < 0.02
        and far < 0.01
        and spread > 0.8
        and float(leading.max()) < 0.25 + noise / 2
        and -9.5 < middle < 6.5
        and norm > 0.02
        and apart < 0.5 + 3 * noise
        and zeros_apart < 0.15 + noise
        and there.mean() > 0.05
    )
    certain = dtype in ("float32", "float64") and _round(given[given != 0], dtype) and -10 < middle < 10
    close = octaves.size >= 8 and float(np.abs(octaves - middle).max()) < 12 and -10 < middle < 10
    centred = low < 0.1 and halved < 0.32 and 0.1 < float((numbers[there] < 0).mean()) < 0.9
    return _Look(possible, likely or certain, certain, close, spread < 0.7, centred)


def _apart(size: NDArray[Any]) -> tuple[float, float]:
    """How much numbers at even and at odd positions differ: in octaves, and in their share of zeros."""
    medians, zeros = [], []
    for half in (size[:, ::2], size[:, 1::2]):
        there = half[half > 0]
        zeros.append(1 - there.size / half.size if half.size else 0.0)
        medians.append(float(np.median(np.log2(there))) if there.size else 0.0)
    if size.shape[1] < 2:
        return 0.0, 0.0
    return abs(medians[0] - medians[1]), abs(zeros[0] - zeros[1])


def _round(numbers: NDArray[Any], dtype: VectorDtype) -> bool:
    """Whether nearly all numbers have few digits, too many of them to be a coincidence."""
    some = numbers[:512]
    texts = np.char.mod(f"%.{_ROUND_DIGITS}g", some.astype(np.float64)).astype(np.float64).astype(some.dtype)
    is_round = texts == some
    # Numbers that end in zero bits, such as 0.5, are round as other types too.
    bits = some.view("u4" if dtype == "float32" else "u8").astype(np.uint64)
    telling = is_round & ((bits & np.uint64(0xFFF)) != 0)
    return bool(is_round.mean() > 0.95 and telling.sum() >= _ROUND_MIN and telling.mean() > 0.25)


def _integers(
    rows: Sequence[bytes], fitting: Sequence[VectorDtype], *, strict: bool
) -> tuple[VectorDtype, ...]:
    """int8 or uint8, if the bytes look like quantised embeddings: any bytes are numbers of these types."""
    if "int8" not in fitting:
        return ()
    values = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)
    if not _alike(values):
        return ()
    counts = np.bincount(values.ravel(), minlength=256) / values.size
    if float(counts.max()) < 1.5 / 256 + 3 * np.sqrt(1 / 256 / values.size):
        return ()  # as even as a digest or compressed data
    if not strict or values.size < _FEW_BYTES:
        return _BYTES
    bell = tuple(dtype for dtype, of in (("int8", np.roll(counts, 128)), ("uint8", counts)) if _is_bell(of))
    return bell if len(bell) == 1 else _BYTES  # type: ignore[return-value] # each is one of the literals


def _alike(values: NDArray[np.uint8]) -> bool:
    """Whether the bytes at each position of a possibly wider number look alike."""
    for step in (2, 4, 8):
        if values.shape[1] < step:
            break
        parts = [np.bincount(values[:, at::step].ravel() >> 4, minlength=16) for at in range(step)]
        shares = np.array([part / part.sum() for part in parts])
        apart = float(np.abs(shares - shares.mean(axis=0)).sum(axis=1).max()) / 2
        if apart > 0.05 + 0.8 * np.sqrt(16 * step / values.size):
            return False
    return True


def _is_bell(counts: NDArray[np.float64]) -> bool:
    """Whether values lie around the middle of their range, on both sides, and become rare at its ends."""
    parts = counts.reshape(16, 16).sum(axis=1)
    left, right = float(parts[:8].sum()), float(parts[8:].sum())
    middle, ends = float(parts[6:10].sum()), float(parts[:2].sum() + parts[-2:].sum())
    values = np.arange(256) - float((counts * np.arange(256)).sum())
    spread = float((counts * values**2).sum())
    # For an even spread it is 1.8, and less if there is a gap in the middle.
    is_peaked = bool((counts * values**4).sum() > 2.2 * spread**2)
    rising = np.diff(parts[:7]) > -0.02
    falling = np.diff(parts[9:]) < 0.02
    return bool(
        float(counts.max()) < 0.2
        and (counts > 0).sum() > 16
        and is_peaked
        and min(left, right) > 0.2
        and middle > 3 * ends
        and middle > 0.3
        and rising.all()
        and falling.all()
    )
