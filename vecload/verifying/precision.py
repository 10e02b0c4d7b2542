"""How much of a vector an index with less precise storage keeps: measured bounds (docs/howto/verify.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vecload.batch import Vectors
from vecload.options import StoragePrecision

RELATIVE_ERROR: Final[Mapping[StoragePrecision, float]] = {
    "tq12": 0.0015,
    "tq8": 0.025,
    "tq6": 0.3,
    "tq4": 0.65,
}
"""The most that a stored vector may differ from the original: the length of the difference, as a part of the
original's length. About twice the largest that 600,000 vectors of 1 to 1536 dimensions showed: 0.00074,
0.013, 0.14 and 0.33. They were of normal, uniform, whole and few numbers, with outliers, and of one number.
Training changes no stored vector."""
_USUAL_ERROR: Final[Mapping[StoragePrecision, float]] = {
    "tq12": 0.001,
    "tq8": 0.013,
    "tq6": 0.055,
    "tq4": 0.33,
}
"""The most that half of the vectors differ by. These figures tell precisions apart; the bounds overlap."""
LOSSY: Final[tuple[StoragePrecision, ...]] = ("float16", *RELATIVE_ERROR)
"""The storage precisions that lose digits, from the most precise on."""


def different_rows(
    expected: Vectors, found: Vectors, precision: StoragePrecision | None
) -> NDArray[np.bool_]:
    """Which stored vectors are not what the index must have made of the original ones.

    float32 keeps every bit. float16 keeps each value rounded to float16. The others keep the vector as a
    whole, to a part of its length.

    Args:
        expected: float32, shape (n, dim): the original vectors.
        found: float32, shape (n, dim): the stored ones.
        precision: How the index stores vectors; None is float32.

    Returns:
        bool, shape (n,).
    """
    part = None if precision is None else RELATIVE_ERROR.get(precision)
    if part is not None:
        return ~_within(expected, found, part)
    if precision == "float16":
        with np.errstate(over="ignore"):
            expected = expected.astype(np.float16).astype(np.float32)
    return np.asarray(different_bits(expected, found).any(axis=1))


def different_bits(expected: Vectors, found: Vectors) -> NDArray[np.bool_]:
    """Which values differ in a bit: bool, shape (n, dim)."""
    return np.asarray(expected.view(np.uint32) != found.view(np.uint32))


def likely_precision(expected: Vectors, found: Vectors) -> StoragePrecision | None:
    """The storage precision that probably made such vectors of the original ones; None if none did.

    Args:
        expected: float32, shape (n, dim).
        found: float32, shape (n, dim).
    """
    if not different_rows(expected, found, "float16").any():
        return "float16"
    away, length = _lengths(expected, found)
    for precision, usual in _USUAL_ERROR.items():
        if not different_rows(expected, found, precision).any() and np.median(away) <= usual * np.median(
            length
        ):
            return precision
    return None


def _within(expected: Vectors, found: Vectors, part: float) -> NDArray[np.bool_]:
    """Which vectors differ by at most that part of the original's length. None that is not finite does."""
    away, length = _lengths(expected, found)
    with np.errstate(invalid="ignore"):
        return np.asarray(away <= part * length)


def _lengths(expected: Vectors, found: Vectors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lengths of the differences and of the original vectors: float64, shape (n,)."""
    with np.errstate(invalid="ignore", over="ignore"):
        wide = expected.astype(np.float64)
        away = found.astype(np.float64) - wide
        return np.sqrt(np.einsum("ij,ij->i", away, away)), np.sqrt(np.einsum("ij,ij->i", wide, wide))
