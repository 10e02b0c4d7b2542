"""Columns from elsewhere beside the rows of a source: of its folder's name, or of an array."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecload.batch import Contents, Metadata, Vectors
from vecload.mapping import Column, Rows
from vecload.mapping import Mapping as Columns
from vecload.mapping.arrow_rows import ArrowRows, columns_of
from vecload.mapping.columns import Steps
from vecload.mapping.rows import Fault, Mapped
from vecload.mapping.rules import Rules, VectorDtype


class Beside:
    """Rows with some more columns. In metadata the rows' own column goes before one of the same name.

    Args:
        rows: The rows.
        more: As many rows of other columns.
        source: The name of the source that both together are.
    """

    def __init__(self, rows: Rows, more: pa.RecordBatch, source: str) -> None:
        self.span = replace(rows.span, source=source)
        self.broken: Mapping[int, Fault] = rows.broken
        self.offsets = rows.offsets
        self.own_columns = rows.own_columns
        self._rows = rows
        self._table = more
        self._more = ArrowRows(rows.span, more)
        self._names = frozenset(more.schema.names)

    def under(self, rules: Rules) -> Rows:
        """Both, read as rules say."""
        read = Beside(self._rows.under(rules), self._table, self.span.source)
        read._more = read._more.under(rules)
        return read

    def raw(self, position: int) -> str:
        """A row of the source as JSON text."""
        return self._rows.raw(position)

    def ids(self, column: str) -> Mapped[list[str]]:
        """Ids as text."""
        return self._with(column).ids(column)

    def field(self, name: str, steps: Steps) -> Rows:
        """A field inside a column as rows of one column."""
        return self._with(steps[0]).field(name, steps)

    def present(self, column: str) -> list[int]:
        """The positions of rows in which the column holds anything."""
        return self._with(column).present(column)

    def values(self, column: str) -> Sequence[Any]:
        """The values of a column, to look at."""
        return self._with(column).values(column)

    def vector_lengths(self, column: str, dtype: VectorDtype | None = None) -> NDArray[np.int64]:
        """How many values each row's vector has; -1 where there is none."""
        return self._with(column).vector_lengths(column, dtype)

    def vectors(self, column: str, dimension: int, dtype: VectorDtype | None = None) -> Mapped[Vectors]:
        """Vectors: float32, C-contiguous, shape (n, dimension)."""
        return self._with(column).vectors(column, dimension, dtype)

    def metadata(self, mapping: Columns) -> Mapped[list[Metadata | None] | None]:
        """JSON objects of both."""
        spread = mapping.metadata_object
        other = mapping if spread is None else _without_object(mapping, spread)
        mapped = self._rows.metadata(other if spread in self._names else mapping)
        more = self._more.metadata(mapping if spread in self._names else other)
        faults = {**more.faults, **mapped.faults}
        nan = [*more.nan, *mapped.nan]
        if more.values is None:
            return Mapped(mapped.values, faults, nan)
        own = mapped.values or [None] * len(more.values)
        found = [{**(m or {}), **(o or {})} or None for m, o in zip(more.values, own, strict=True)]
        return Mapped(found, faults, nan)

    def contents(self, column: str) -> Mapped[list[Contents | None] | None]:
        """Text, bytes or None."""
        return self._with(column).contents(column)

    def _with(self, column: str) -> Rows:
        return self._more if column in self._names else self._rows


def _without_object(mapping: Columns, name: str) -> Columns:
    return replace(mapping, metadata_object=None, excluded=(*mapping.excluded, name))


def own_columns(asked: Sequence[str] | None, more: Collection[str]) -> list[str] | None:
    """Of the columns that are asked for, those to be asked of the source itself."""
    return None if asked is None else [name for name in asked if name not in more]


def all_columns(own: Sequence[Column], more: pa.Schema) -> list[Column]:
    """The columns of both."""
    return [*(column for column in own if column.name not in more.names), *columns_of(more)]
