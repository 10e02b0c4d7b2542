"""Rows: the interface between readers and the mapper, and the faults that both kinds of rows share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from vecload.batch import Contents, Metadata, Span, Vectors
from vecload.limits import ID_MAX_BYTES
from vecload.mapping.mapping import ColumnMapping, Rules
from vecload.mapping.paths import Steps
from vecload.options import VectorDtype

T = TypeVar("T")

MISSING_TYPES = frozenset({"NaTType", "NAType"})
"""The types of pandas' own values for what is missing. Pandas itself is not imported."""


def is_missing(value: Any) -> bool:
    """Whether a value in the place of a text, a vector or an object is a missing one.

    Pandas has NaN for these too, in columns of text say. Among numbers, NaN is not always a missing value.
    """
    return (
        value is None
        or type(value).__name__ in MISSING_TYPES
        or (isinstance(value, float | np.floating) and bool(np.isnan(value)))
    )


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row can't be mapped: the part of the item, a fixed code, and a clause for people."""

    field: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Mapped(Generic[T]):
    """One part of n items. The values of rows with a fault mean nothing.

    nan: positions of metadata in which NaN was omitted, once for each omitted value.
    """

    values: T
    faults: Mapping[int, Fault]
    nan: Sequence[int] = ()


class Rows(Protocol):
    """Some rows of one source, in the form that the source has. Positions count from 0 in these rows."""

    @property
    def span(self) -> Span:
        """Where the rows come from."""

    @property
    def broken(self) -> Mapping[int, Fault]:
        """Rows that could not be read."""

    @property
    def offsets(self) -> Sequence[int] | None:
        """The byte offset of each row in its source, if the source is read by lines."""

    @property
    def columns_vary(self) -> bool:
        """Whether rows may have different columns, so that later rows may have unknown ones."""

    def with_rules(self, rules: Rules) -> Rows:
        """The same rows, with NaN and bytes read as the rules say."""

    def raw(self, position: int) -> str:
        """A whole row as JSON text; values that JSON can't represent become words."""

    def field(self, name: str, steps: Steps) -> Rows:
        """A field inside a column, as rows with one column of that name. The first step is the column.

        A missing field is null.
        """

    def non_empty_rows(self, column: str) -> list[int]:
        """The positions of rows whose value in the column is neither null nor empty."""

    def values(self, column: str) -> Sequence[Any]:
        """The values of a column as Python values, for guesses. None if a row has no value."""

    def ids(self, column: str) -> Mapped[list[str]]:
        """Ids as text."""

    def vector_lengths(self, column: str, dtype: VectorDtype | None = None) -> NDArray[np.int64]:
        """Length of each row's vector; -1 if it has none."""

    def vectors(self, column: str, dimension: int, dtype: VectorDtype | None = None) -> Mapped[Vectors]:
        """Vectors: float32, C-contiguous, shape (n, dimension). `dtype` is for vectors written as bytes."""

    def metadata(self, mapping: ColumnMapping) -> Mapped[list[Metadata | None] | None]:
        """JSON objects. None for a row without metadata; None for all if no row has any."""

    def contents(self, column: str) -> Mapped[list[Contents | None] | None]:
        """Texts or bytes. None for a row without contents; None for all if no row has any."""


def fault_of_id(item_id: str) -> Fault | None:
    """The fault of an id, if it has one."""
    if not item_id:
        return Fault("id", "empty-id", "is empty")
    # A character has at most four bytes, so a short id need not be encoded to be measured.
    if not item_id.isascii() or len(item_id) > ID_MAX_BYTES:
        try:
            size = len(item_id.encode())
        except UnicodeEncodeError:
            return Fault("id", "lone-surrogate", "contains a lone surrogate, which is not valid Unicode")
        if size > ID_MAX_BYTES:
            return Fault("id", "long-id", f"is {size} bytes long; at most {ID_MAX_BYTES} are allowed")
    return None


def fault_of_name_conflict(name: str, spread: str) -> Fault:
    """The fault of a row in which a column and an entry have the same name but different values.

    Args:
        name: The name.
        spread: The metadata object that has the entry.
    """
    return Fault(
        "metadata",
        "name-taken",
        f"has two values for {name!r}, a column and an entry of {spread!r}: omit the entry with "
        f"--metadata-exclude {spread}.{name}",
    )


def check_values(vectors: Vectors, *, allow_zero: bool) -> dict[int, Fault]:
    """Find vectors that the engine would silently store wrong.

    Args:
        vectors: float32, shape (n, dim).
        allow_zero: Accept vectors of zeros.

    Returns:
        Faults by position.
    """
    # One pass: NaN and infinity survive the sum of squares, and only zeros give 0. Squares may also
    # overflow or underflow, so suspects are checked again.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors)
    suspects = np.flatnonzero(~np.isfinite(squares) | (squares == 0))
    faults: dict[int, Fault] = {}
    for position in suspects.tolist():
        vector = vectors[position]
        if np.isnan(vector).any():
            faults[position] = Fault("vector", "nan", "holds NaN")
        elif np.isinf(vector).any():
            faults[position] = Fault("vector", "infinite", "holds a value that is infinite as float32")
        elif not allow_zero and not vector.any():
            faults[position] = Fault(
                "vector", "zero", "is all zeros, which the engine stores but can't return"
            )
    return faults


SPARSE_FAULT = Fault("vector", "sparse", "is sparse, which the index can't store")


def fault_of_several(count: int) -> Fault:
    """The fault of a row with several vectors."""
    return Fault("vector", "multi-vector", f"has {count} vectors; an item has one")


def fault_of_length(length: int, dimension: int) -> Fault:
    """The fault of a vector with that many values; -1 means that there is none."""
    if length < 0:
        return Fault("vector", "missing", "is missing")
    if length == 0:
        return Fault("vector", "empty", "is empty")
    return Fault("vector", "dimension", f"has {length} values; the index has {dimension} dimensions")
