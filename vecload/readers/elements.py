"""ElementsSource: Parquet or Arrow of which each element of a list is a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vecload.batch import Span
from vecload.errors import MappingError, SourceError
from vecload.mapping import Column, Rows
from vecload.mapping.arrow_elements import element_counts, has_elements, one_element_each
from vecload.mapping.arrow_rows import ArrowRows
from vecload.mapping.forms import Form
from vecload.mapping.paths import Steps, path_of
from vecload.readers.source import Source, around, missing

COUNT_ROWS = 2**16
COUNT_BYTES = 2**25
"""Of one piece in which elements are counted: only their list is read."""


class ElementsSource(Source):
    """A source of which each element of a list is a row; a row without elements stays one, without a vector.

    Its rows are numbered as if every element were one. Reading begins with the list's lengths in all rows.

    Args:
        source: Parquet or Arrow.
        each: The steps to the elements.
    """

    def __init__(self, source: Source, each: Steps) -> None:
        super().__init__(source.name, source.files, source.nbytes)
        self.format = source.format
        self.recipes = source.recipes
        self._source = source
        self._each = each
        head = source.head()
        if isinstance(head, ArrowRows) and not has_elements(head.batch.schema, each):
            raise MappingError(
                f"{source.name} has no list {path_of(each[:-1])!r} whose elements could be rows",
                hint="in Parquet and Arrow it is a column of lists, or inside structs",
            )

    @property
    def kind(self) -> str:
        """What the source is."""
        return self._source.kind

    @property
    def total_rows(self) -> int | None:
        """How many elements there are."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def form(self, columns: Sequence[Column]) -> Form | None:
        """That elements are rows."""
        return Form("", each=self._each)

    def columns(self) -> list[Column]:
        """The source's columns."""
        return self._source.columns()

    def close(self) -> None:
        """Release what the source holds open."""
        self._source.close()

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """The number after the last element of each of the source's rows."""
        pieces = self._source.read(batch_rows=COUNT_ROWS, batch_bytes=COUNT_BYTES, columns=[self._each[0]])
        counts = [element_counts(self._batch_of(rows).batch, self._each) for rows in pieces]
        return np.cumsum(np.concatenate(counts)) if counts else np.empty(0, dtype=np.int64)

    def _batch_of(self, rows: Rows) -> ArrowRows:
        if not isinstance(rows, ArrowRows):
            raise SourceError(f"{self.name} can't be read by the elements of a list")
        return rows

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[Rows]:
        """Its rows in order."""
        ends = self._ends
        wanted = None if columns is None else sorted({*columns, self._each[0]})
        for gap in missing(done, self.total_rows):
            first = int(np.searchsorted(ends, gap.start, side="right"))
            last = int(np.searchsorted(ends, gap.stop - 1, side="right"))
            outer = around([Span(self.name, first, last + 1)], self.name, len(ends))
            for rows in self._source.read(
                batch_rows=batch_rows, batch_bytes=batch_bytes, columns=wanted, done=outer
            ):
                batch = self._batch_of(rows).batch
                start = int(ends[rows.span.start - 1]) if rows.span.start else 0
                stop = int(ends[rows.span.stop - 1])
                begin, end = max(start, gap.start), min(stop, gap.stop)
                # A list may be long: its elements are as many rows.
                for at in range(begin, end, batch_rows):
                    to = min(at + batch_rows, end)
                    piece = one_element_each(batch, self._each, at - start, to - start)
                    yield ArrowRows(Span(self.name, at, to), piece)
