"""Rows: what a reader hands to the mapper, and what the mapper asks of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from vecload.batch import Contents, Metadata, Span, Vectors
from vecload.limits import ID_MAX_BYTES
from vecload.mapping.columns import Steps
from vecload.mapping.mapping import ColumnMapping, Rules
from vecload.options import VectorDtype

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one row can't be mapped: the part of the item, a fixed code, and a clause for people."""

    field: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Mapped(Generic[T]):
    """One part of n items. The values of rows with a fault are there, and mean nothing.

    nan: positions of metadata of which NaN was left out; as often as values were.
    """

    values: T
    faults: Mapping[int, Fault]
    nan: Sequence[int] = ()


class Rows(Protocol):
    """Some rows of one source, in the source's own form. Positions count from 0 within these rows."""

    @property
    def span(self) -> Span:
        """Where the rows come from."""

    @property
    def broken(self) -> Mapping[int, Fault]:
        """Rows that could not even be read as rows."""

    @property
    def offsets(self) -> Sequence[int] | None:
        """The byte offset of each row in its source, where the source is read by lines."""

    @property
    def columns_vary(self) -> bool:
        """Whether each row has columns of its own, so that some don't tell those of others."""

    def with_rules(self, rules: Rules) -> Rows:
        """The rows, read as rules say that there are several ways for: bytes that are text."""

    def raw(self, position: int) -> str:
        """A row whole, as JSON text; what JSON can't say is told in words."""

    def field(self, name: str, steps: Steps) -> Rows:
        """A field inside a column as rows of one column of that name; the first step is the column.

        A field that is not there, in a row or in all, is null.
        """

    def non_empty_rows(self, column: str) -> list[int]:
        """The positions of rows in which the column holds anything: no null, nothing empty."""

    def values(self, column: str) -> Sequence[Any]:
        """The values of a column as Python values, to look at: bytes as bytes, None where there is none."""

    def ids(self, column: str) -> Mapped[list[str]]:
        """Ids as text."""

    def vector_lengths(self, column: str, dtype: VectorDtype | None = None) -> NDArray[np.int64]:
        """How many values each row's vector has; -1 where there is none."""

    def vectors(self, column: str, dimension: int, dtype: VectorDtype | None = None) -> Mapped[Vectors]:
        """Vectors: float32, C-contiguous, shape (n, dimension); `dtype` is that of vectors of bytes."""

    def metadata(self, mapping: ColumnMapping) -> Mapped[list[Metadata | None] | None]:
        """JSON objects; None where there is none, None for all where no row has any."""

    def contents(self, column: str) -> Mapped[list[Contents | None] | None]:
        """Text, bytes or None; None for all where no row has any."""


def fault_of_id(item_id: str) -> Fault | None:
    """What is wrong with an id, if anything."""
    if not item_id:
        return Fault("id", "empty-id", "is empty")
    # Four bytes a character at the most: a short one needs no encoding to be measured.
    if not item_id.isascii() or len(item_id) > ID_MAX_BYTES:
        try:
            size = len(item_id.encode())
        except UnicodeEncodeError:
            return Fault("id", "lone-surrogate", "holds a lone surrogate, which is no Unicode text")
        if size > ID_MAX_BYTES:
            return Fault("id", "long-id", f"is {size} bytes long; {ID_MAX_BYTES} are allowed")
    return None


def fault_of_name_conflict(name: str, spread: str) -> Fault:
    """What is wrong with a row in which a column and an entry have one name and different values.

    Args:
        name: The name.
        spread: The object whose entry it is.
    """
    told = f"has two values for {name!r}, a column and an entry of {spread!r}: leave one out with"
    return Fault("metadata", "name-taken", f"{told} --metadata-exclude {spread}.{name}")


def check_values(vectors: Vectors, *, allow_zero: bool) -> dict[int, Fault]:
    """Find the vectors that the engine would store silently wrong.

    Args:
        vectors: float32, shape (n, dim).
        allow_zero: Let vectors of zeros pass.

    Returns:
        Faults by position.
    """
    # One pass: NaN and infinity survive the sum of squares, and only zeros give 0. Squares may also
    # overflow or vanish, so what looks wrong is looked at again.
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
                "vector", "zero", "is all zeros, which the engine stores but can't give back"
            )
    return faults


def fault_of_length(length: int, dimension: int) -> Fault:
    """What is wrong with a vector of that many values, -1 for none."""
    if length < 0:
        return Fault("vector", "missing", "is missing")
    if length == 0:
        return Fault("vector", "empty", "is empty")
    return Fault("vector", "dimension", f"has {length} values; the index has {dimension} dimensions")
