"""Sources whose vectors have one column for each dimension: these columns are read as one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.mapping import Column, Rows
from vecload.mapping.arrow_rows import ArrowRows
from vecload.mapping.dimensions import dimension_columns
from vecload.readers.added_columns import WrappedSource, own_columns
from vecload.readers.source import Source


def with_dimensions(source: Source, pattern: str | None) -> Source:
    """The source, with the columns of its vectors' dimensions as one column of lists.

    Args:
        source: Of rows in Arrow's columns; CSV joins them itself.
        pattern: A name with `*` in place of the number; None if there are no such columns.

    Raises:
        MappingError: There are none, or one is missing.
        SourceError: Its rows have no fixed columns.
    """
    if pattern is None or source.format == "csv":
        return source
    if source.format in ("jsonl", "json"):
        raise SourceError(
            f"{source.name} is {source.kind}, which --vector-columns can't join",
            hint="it works with CSV, Parquet, Arrow IPC and NumPy archives",
        )
    return DimensionsSource(source, pattern)


class DimensionsSource(WrappedSource):
    """A source with the columns of its vectors' dimensions as one.

    Args:
        source: Gives `ArrowRows`.
        pattern: The names of these columns, with `*` in place of the number. It is the name of the one.

    Raises:
        MappingError: There are none, or one is missing.
    """

    def __init__(self, source: Source, pattern: str) -> None:
        super().__init__(source)
        self._pattern = pattern
        self._names = dimension_columns([c.name for c in source.columns()], pattern, source.name)

    def columns(self) -> list[Column]:
        """Its own columns, those of dimensions as one."""
        others = [column for column in self._source.columns() if column.name not in self._names]
        return [*others, Column(self._pattern, "floats", "numbers")]

    def head(self) -> Rows | None:
        """Its first rows."""
        rows = self._source.head()
        return None if rows is None else self._joined(rows)

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[Rows]:
        """Its rows in order."""
        own = own_columns(columns, (self._pattern,))
        if own is not None and columns is not None and self._pattern in columns:
            own = [*own, *self._names]
        for rows in self._source.read(batch_rows=batch_rows, batch_bytes=batch_bytes, columns=own, done=done):
            yield self._joined(rows) if own is None or self._names[0] in own else rows

    def _joined(self, rows: Rows) -> Rows:
        if not isinstance(rows, ArrowRows):
            raise SourceError(
                f"{self.name} has rows whose columns --vector-columns can't join",
                hint="give the vector as one column of lists",
            )
        return rows.with_lists(self._names, self._pattern)
