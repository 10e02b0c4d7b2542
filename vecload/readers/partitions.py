"""Hive partitions: what folders named `key=value` say of the rows below them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from urllib.parse import unquote

import pyarrow as pa

from vecload.batch import Span
from vecload.mapping import Column, Rows
from vecload.mapping.arrow_rows import columns_of
from vecload.readers.beside import Beside, own_columns
from vecload.readers.expand import WILDCARD
from vecload.readers.source import Source

ABSENT = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark write for null."""
_PARTITION = re.compile(r"[^=]+=")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
"""What is written as an integer is: a zip code of `02134` is not 2134."""


def partition_values(path: str, named: str) -> dict[str, str | None]:
    """The keys and values in the folders of a file, decoded; None for null.

    Args:
        path: The file's: absolute, or a URI.
        named: What the user named and the file was found by, likewise: itself, a folder or a pattern.
            A folder counts with all below it. Of a file, and of a pattern from its first wildcard on, the
            folders `key=value` count that it stands in without another between.
    """
    folders = path.split("/")[:-1]
    parts = named.rstrip("/").split("/")
    if path.startswith(named.rstrip("/") + "/"):
        first = len(parts) - 1
    else:
        wild = (at for at, part in enumerate(parts[:-1]) if path != named and WILDCARD.search(part))
        first = next(wild, len(folders))
        while first and _PARTITION.match(folders[first - 1]):
            first -= 1
    values: dict[str, str | None] = {}
    for folder in folders[first:]:
        key, equals, value = folder.partition("=")
        if key and equals:
            values[unquote(key)] = None if value == ABSENT else unquote(value)
    return values


def with_partitions(sources: Sequence[Source], values: Sequence[Mapping[str, str | None]]) -> list[Source]:
    """The sources, each with what its folders say as columns of its own.

    A key's values are integers if those of all sources are written as integers are, and texts otherwise.

    Args:
        sources: Any.
        values: Of each source's folders.
    """
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
    """A source with the same few values beside each of its rows; its own columns go before them.

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
        self.lines = getattr(source, "lines", None)
        self._source = source
        self._told = dict(values)

    @cached_property
    def _values(self) -> dict[str, pa.Scalar]:
        """What its folders say and the file does not."""
        own = {column.name for column in self._source.columns()}
        return {name: value for name, value in self._told.items() if name not in own}

    @cached_property
    def _schema(self) -> pa.Schema:
        return pa.schema([(name, value.type) for name, value in self._values.items()])

    def columns(self) -> list[Column]:
        """Its own columns, and those of its folders."""
        more = (replace(column, partition=True) for column in columns_of(self._schema))
        return [*self._source.columns(), *more]

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
