"""Rows of a DataFrame: vectors of Spark ML, columns of dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml.linalg import VectorUDT
from pyspark.sql.types import (
    ArrayType,
    DoubleType,
    FloatType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from vecload.errors import MappingError, SourceError
from vecload.loading.parts import plan_of
from vecload.loading.request import Request
from vecload.mapping import ColumnChoice, ColumnMapping, Mapper, guess_mapping
from vecload.mapping.arrow_rows import columns_of
from vecload.options import LoadOptions
from vecload.spark import rows as module
from vecload.spark.rows import PartitionSource, SchemaSource, Shape

ML = pa.struct(
    {
        "type": pa.int8(),
        "size": pa.int32(),
        "indices": pa.list_(pa.int32()),
        "values": pa.list_(pa.float64()),
    }
)


def dense(*values: float) -> dict[str, Any]:
    return {"type": 1, "size": None, "indices": None, "values": list(values)}


def sparse(size: int, **values: float) -> dict[str, Any]:
    places = [int(name[1:]) for name in values]
    return {"type": 0, "size": size, "indices": places, "values": [*values.values()]}


def batch(*vectors: Any) -> pa.RecordBatch:
    return pa.record_batch({"id": [str(n) for n in range(len(vectors))], "v": pa.array(vectors, ML)})


def test_vectors_of_spark_ml_become_lists_and_sparse_ones_get_their_zeros() -> None:
    found = Shape(("v",)).rows(
        batch(dense(1.5, 0.0), sparse(3, _0=1e-300, _2=2.0), None, sparse(2), dense(), sparse(0))
    )
    assert found.schema.field("v").type == pa.list_(pa.float64())
    assert found.column("v").to_pylist() == [[1.5, 0.0], [1e-300, 0.0, 2.0], None, [0.0, 0.0], [], []]


@pytest.mark.parametrize(
    "wrong", [sparse(2, _5=1.0), {**sparse(2), "indices": [-1], "values": [1.0]}, sparse(2**30, _9000000=1.0)]
)
def test_a_sparse_vector_that_is_none_has_no_list(wrong: dict[str, Any]) -> None:
    assert Shape(("v",)).rows(batch(wrong, dense(1.0))).column("v").to_pylist() == [None, [1.0]]


def test_sparse_vectors_are_made_dense_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DENSE_BYTES", 8 * 100)
    one = batch(*[sparse(40, _1=float(n)) for n in range(7)], sparse(1000), *[dense(1.0)] * 50)
    pieces = [*Shape(("v",)).pieces(one)]
    assert [len(piece) for piece in pieces] == [2, 2, 2, 1, 1, 50]
    whole = pa.Table.from_batches(pieces)
    assert whole.column("id").to_pylist() == one.column("id").to_pylist()
    assert [max(vector) for vector in whole.column("v").to_pylist()[:7]] == [0, 1, 2, 3, 4, 5, 6]


def test_columns_of_dimensions_become_one_column() -> None:
    schema = StructType(
        [
            StructField("id", StringType()),
            *(StructField(f"dim_{n}", DoubleType()) for n in (0, 1, 10, *range(2, 10))),
        ]
    )
    shape = Shape.of_schema(schema, "dim_*")
    assert shape.dimensions == tuple(f"dim_{n}" for n in range(11))
    columns = {"id": ["a"], **{f"dim_{n}": [float(n)] for n in range(11)}}
    assert shape.rows(pa.record_batch(columns)).column("dim_*").to_pylist() == [[float(n) for n in range(11)]]
    with pytest.raises(MappingError, match="has no columns named like 'x_"):
        Shape.of_schema(schema, "x_*")


def test_the_driver_knows_the_columns_without_a_row() -> None:
    schema = StructType(
        [
            StructField("id", LongType()),
            StructField("v", VectorUDT()),
            StructField("emb", ArrayType(FloatType())),
            StructField("place", StructType([StructField("name", StringType())])),
        ]
    )
    source = SchemaSource(schema, Shape.of_schema(schema, None))
    assert [(column.name, column.kind) for column in source.columns()] == [
        ("id", "integer"),
        ("v", "floats"),
        ("emb", "floats"),
        ("place", "object"),
    ]
    assert [*source.read(batch_rows=10, batch_bytes=1000)] == []
    assert len(source.head().span) == 0


def test_two_columns_of_one_name_are_refused() -> None:
    schema = StructType([StructField("id", LongType()), StructField("id", StringType())])
    with pytest.raises(SourceError, match="the DataFrame has several columns 'id'"):
        SchemaSource(schema, Shape())


def mapping_of(*batches: pa.RecordBatch) -> ColumnMapping:
    columns = columns_of(Shape(("v",)).rows(batches[0]).schema)
    return guess_mapping(columns, ColumnChoice(vector="v"), source="it")


def partition(mapping: ColumnMapping, seen: Any, *batches: pa.RecordBatch) -> PartitionSource:
    return PartitionSource(3, iter(batches), Shape(("v",)), mapping, 2, seen)


def test_a_partition_gives_its_rows_once_and_notes_their_ids() -> None:
    two = [batch(dense(1.0, 2.0), sparse(2, _1=1.0)), batch(), batch(dense(5.0, 6.0))]
    mapping, seen = mapping_of(*two), list[str]()
    source = partition(mapping, seen.extend, *two)
    assert source.name == "partition 3 of the DataFrame"
    assert source.mapping is mapping
    found = [*source.batches(Mapper(mapping, 2), batch_rows=10, batch_bytes=10_000)]
    assert seen == [item_id for one in found for item_id in one.ids] == ["0", "1", "0"]
    vectors = np.concatenate([one.vectors for one in found if one.vectors is not None])
    assert np.array_equal(vectors, np.float32([[1, 2], [0, 1], [5, 6]]))


def test_a_partition_without_rows_has_none() -> None:
    for none in ([], [batch()]):
        assert partition(mapping_of(batch()), print, *none).head() is None


@pytest.mark.parametrize(
    ("vectors", "rows"),
    [
        ([dense(1, 2), dense(1), None], 3),
        ([None, None], 2),  # nothing says otherwise
        ([dense(1, 2), dense(1), dense(1)], 0),
        ([dense(1, 2, 3)], 0),
    ],
)
def test_a_partition_of_other_vectors_does_not_look_like_another_source(vectors: Any, rows: int) -> None:
    one = batch(*vectors)
    source = partition(mapping_of(one), print, one)
    head = source.head()
    assert head is not None
    assert len(head.span) == rows
    request = Request(sources=(source,), options=LoadOptions(dimension=2))
    assert plan_of(request, [source]).dimension == 2
    assert sum(len(piece.span) for piece in source.read(batch_rows=10, batch_bytes=1000)) == len(vectors)


def test_a_vector_that_the_driver_chose_stays_where_the_index_makes_others() -> None:
    one = batch(dense(1.0, 2.0)).append_column("text", pa.array(["x"]))
    columns = columns_of(Shape(("v",)).rows(one).schema)
    mapping = guess_mapping(columns, ColumnChoice(vector="v", contents="text"), source="it", embed=True)
    source = partition(mapping, print, one)
    plan = plan_of(Request(sources=(source,), options=LoadOptions(embed=True)), [source])
    assert plan.mappings[0].vector == "v"
