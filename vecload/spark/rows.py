"""Rows of a DataFrame: the columns that the driver knows, and the partitions that tasks read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vecload.batch import Batch, Span
from vecload.errors import SourceError
from vecload.mapping import Column, ColumnMapping, Mapper
from vecload.mapping.arrow_rows import ArrowRows, columns_of
from vecload.mapping.dimensions import as_lists, dimension_columns
from vecload.mapping.mapper import common_dimension
from vecload.readers.json.workers import Parsers
from vecload.readers.memory import ArrowStreamSource, Stream, check_names
from vecload.readers.source import Source
from vecload.readers.storage.files import partition_name

DATA_FRAME = "the DataFrame"
DENSE_BYTES = 2**25
"""Of sparse vectors that are made dense at once."""
SPARSE_MOST = 2**20
"""The longest sparse vector that is made dense; an index takes 65,535 numbers."""

_ML_VECTORS = ("pyspark.ml.linalg.VectorUDT", "pyspark.mllib.linalg.VectorUDT")
_NUMBERS = pa.list_(pa.float64())


@dataclass(frozen=True, slots=True)
class Shape:
    """How Spark's record batches become rows. Picklable.

    Attributes:
        ml_vectors: Columns of Spark ML's vectors: structs of `type`, `size`, `indices` and `values`, which
            become lists. A sparse one gets its zeros, so it is exact.
        dimensions: Columns with one dimension of the vector each, which become one column of lists.
        pattern: The name of that column.
    """

    ml_vectors: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    pattern: str = ""

    @classmethod
    def of_schema(cls, schema: Any, pattern: str | None) -> Self:
        """The shape of a DataFrame.

        Args:
            schema: Its StructType.
            pattern: The names of the columns of dimensions, with `*` in place of the number.

        Raises:
            MappingError: There are no such columns, or one is missing.
        """
        ml_vectors = tuple(
            field.name
            for field in schema.fields
            if f"{type(field.dataType).__module__}.{type(field.dataType).__name__}" in _ML_VECTORS
        )
        names = () if pattern is None else dimension_columns(schema.fieldNames(), pattern, DATA_FRAME)
        return cls(ml_vectors, tuple(names), pattern or "")

    def rows(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A record batch as rows.

        Raises:
            MappingError: A column of dimensions holds something else than numbers.
        """
        for name in self.ml_vectors:
            at = batch.schema.get_field_index(name)
            batch = batch.set_column(at, pa.field(name, _NUMBERS), _lists(batch.column(at)))
        if self.dimensions:
            columns = [batch.column(name) for name in self.dimensions]
            lists = as_lists(columns, self.dimensions, DATA_FRAME)
            others = [name for name in batch.schema.names if name not in self.dimensions]
            batch = batch.select(others).append_column(self.pattern, lists)
        return batch

    def pieces(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """A record batch as rows, in pieces that fit the memory once sparse vectors are dense."""
        if not self.ml_vectors:
            yield self.rows(batch)
            return
        sizes = np.ones(len(batch), dtype=np.int64)
        for name in self.ml_vectors:
            sizes += 8 * _sparse_sizes(batch.column(name))
        at = 0
        while at < len(batch):
            count = max(1, int(np.searchsorted(np.cumsum(sizes[at:]), DENSE_BYTES, side="right")))
            yield self.rows(batch.slice(at, count))
            at += count


def _is_sparse(array: pa.StructArray) -> NDArray[np.bool_]:
    kinds = pc.struct_field(array, "type")
    return np.asarray(pc.fill_null(pc.equal(kinds, 0), False)).astype(np.bool_)


def _sparse_sizes(array: pa.StructArray) -> NDArray[np.int64]:
    """Lengths of the sparse vectors in an array of Spark ML: int64, 0 for dense ones and nulls."""
    sizes = np.asarray(pc.fill_null(pc.struct_field(array, "size"), 0)).astype(np.int64)
    return np.where(_is_sparse(array), np.clip(sizes, 0, SPARSE_MOST), 0)


def _lists(array: pa.StructArray) -> pa.ListArray:
    """Vectors of Spark ML as lists of float64."""
    sparse = _is_sparse(array)
    values = pc.struct_field(array, "values").cast(_NUMBERS)
    if not sparse.any():
        return values
    sizes, indices = _sparse_sizes(array), pc.struct_field(array, "indices")
    rows: list[NDArray[np.float64] | None] = []
    for position, is_sparse in enumerate(sparse.tolist()):
        given = values[position]
        numbers = np.asarray(given.values) if given.is_valid else None
        if is_sparse and numbers is not None:
            places = np.asarray(indices[position].values)
            full = np.zeros(sizes[position])
            if len(places) and not 0 <= places.min() <= places.max() < len(full):
                numbers = None  # longer than any index takes, or no vector of Spark's: a reject
            else:
                full[places] = numbers
                numbers = full
        rows.append(numbers)
    return pa.array(rows, _NUMBERS)


class SchemaSource(Source):
    """A DataFrame of which only the columns are known: what the driver checks before a task runs.

    Args:
        schema: Its StructType.
        shape: How its record batches become rows.

    Raises:
        SourceError: Spark can't hand over a column, or two have one name.
    """

    format = "memory"

    def __init__(self, schema: Any, shape: Shape) -> None:
        super().__init__(DATA_FRAME, total_rows=0)
        check_names(DATA_FRAME, schema.fieldNames())
        self._no_rows = shape.rows(pa.RecordBatch.from_pylist([], _arrow_schema(schema)))

    @property
    def kind(self) -> str:
        """What it is, for people."""
        return "a DataFrame of Spark"

    def columns(self) -> list[Column]:
        """Its columns."""
        return columns_of(self._no_rows.schema)

    def head(self) -> ArrowRows:
        """No rows, in its columns."""
        return ArrowRows(Span(self.name, 0, 0), self._no_rows)

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[ArrowRows]:
        """No rows."""
        return iter(())


def _arrow_schema(schema: Any) -> pa.Schema:
    """The schema of the record batches that Spark hands over."""
    from pyspark.sql.pandas.types import to_arrow_type

    found = []
    for field in schema.fields:
        try:
            kind = to_arrow_type(field.dataType, timezone="UTC")
        except Exception as error:
            raise SourceError(
                f"column {field.name!r} of {DATA_FRAME} is {field.dataType.simpleString()}, which Spark "
                f"can't hand over ({type(error).__name__})",
                hint="cast it, or leave it out with df.drop(...)",
            ) from error
        found.append(pa.field(field.name, kind, field.nullable))
    return pa.schema(found)


class PartitionSource(ArrowStreamSource):
    """A partition of a DataFrame, as a task of Spark reads it, once.

    Args:
        number: Of the partition.
        batches: Its record batches.
        shape: How they become rows.
        mapping: Which column is which part of an item, as the driver chose.
        dimension: Of the index; None if it makes the vectors itself.
        seen: Called with the ids of each batch of items.
    """

    any_thread = True
    maps_while_reading = True
    """Rows are mapped where their ids are noted."""

    def __init__(
        self,
        number: int,
        batches: Iterator[pa.RecordBatch],
        shape: Shape,
        mapping: ColumnMapping,
        dimension: int | None,
        seen: Callable[[Sequence[str]], None],
    ) -> None:
        first = next(batches, None)
        schema = pa.schema([]) if first is None else shape.rows(first.slice(0, 0)).schema
        every = _rows(first, batches, shape)
        super().__init__(Stream(schema, every), name=partition_name(number), kind="a partition of Spark")
        self._mapping = mapping
        self._dimension = dimension
        self._seen = seen

    @property
    def mapping(self) -> ColumnMapping:
        """As the driver chose, the same in every partition."""
        return self._mapping

    def head(self) -> ArrowRows | None:
        """Its first rows; none of them if most have vectors of another length.

        A load would refuse such a source as a whole. Of a partition, each row is a reject.
        """
        head = super().head()
        if head is None or self._mapping.vector is None or self._dimension is None:
            return head
        found = common_dimension(head, self._mapping, self.name, self._dimension)
        same = found == self._dimension
        return head if same else ArrowRows(Span(self.name, 0, 0), head.batch.slice(0, 0))

    def batches(
        self,
        mapper: Mapper,
        *,
        batch_rows: int,
        batch_bytes: int,
        done: Sequence[Span] = (),
        parsers: Parsers | None = None,
    ) -> Iterator[Batch]:
        """Its rows in order, mapped."""
        for batch in super().batches(mapper, batch_rows=batch_rows, batch_bytes=batch_bytes, done=done):
            self._seen(batch.ids)
            yield batch


def _rows(
    batch: pa.RecordBatch | None, others: Iterator[pa.RecordBatch], shape: Shape
) -> Iterator[pa.RecordBatch]:
    while batch is not None:
        yield from shape.pieces(batch)
        batch = next(others, None)
