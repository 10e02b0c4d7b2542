"""Hive partitions: what folders named `key=value` say of the rows below them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote

import pyarrow as pa

from vecload.batch import Span
from vecload.mapping import Column, Rows
from vecload.readers.beside import Beside, all_columns, own_columns
from vecload.readers.source import Source

ABSENT = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark write for null."""
_INTEGER = re.compile(r"-?[0-9]{1,18}")


def partition_values(location: str) -> dict[str, str | None]:
    """The keys and values in the folders of a path, decoded; None for null."""
    values: dict[str, str | None] = {}
    for folder in location.split("/")[:-1]:
        key, equals, value = folder.partition("=")
        if key and equals:
            values[unquote(key)] = None if value == ABSENT else unquote(value)
    return values


def with_partitions(sources: Sequence[Source]) -> list[Source]:
    """The sources, each with what its folders say as columns of its own.

    A key's values are integers if those of all sources are, and texts otherwise.
    """
    values = [partition_values(source.files[0].location) for source in sources]
    texts = {
        key
        for found in values
        for key, value in found.items()
        if value is not None and not _INTEGER.fullmatch(value)
    }
    return [
        Partitioned(source, {key: _typed(value, key in texts) for key, value in found.items()})
        if found
        else source
        for source, found in zip(sources, values, strict=True)
    ]


def _typed(value: str | None, is_text: bool) -> pa.Scalar:
    if is_text:
        return pa.scalar(value, pa.string())
    return pa.scalar(None if value is None else int(value), pa.int64())


class Partitioned:
    """A source with the same few values beside each of its rows.

    Args:
        source: The source.
        values: By the names of their columns.
    """

    def __init__(self, source: Source, values: Mapping[str, pa.Scalar]) -> None:
        self.name = source.name
        self.files = source.files
        self.nbytes = source.nbytes
        self.total_rows = source.total_rows
        self.part = source.part
        self.kind = source.kind
        self.places = source.places
        self.close = source.close
        self._source = source
        self._values = dict(values)
        self._schema = pa.schema([(name, value.type) for name, value in values.items()])

    def columns(self) -> list[Column]:
        """Its own columns, and those of its folders."""
        return all_columns(self._source.columns(), self._schema)

    def head(self) -> Rows | None:
        """Its first rows."""
        rows = self._source.head()
        return None if rows is None else Beside(rows, self._of(len(rows.span)), self.name)

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[Rows]:
        """Its rows in order."""
        for rows in self._source.read(
            batch_rows=batch_rows,
            batch_bytes=batch_bytes,
            columns=own_columns(columns, self._values),
            done=done,
        ):
            yield Beside(rows, self._of(len(rows.span)), self.name)

    def _of(self, rows: int) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays(
            [pa.repeat(value, rows) for value in self._values.values()], schema=self._schema
        )
