"""Data frames that a real cluster of Spark writes into the real service."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql.types import ArrayType, DoubleType, StringType, StructField, StructType

import vecload
from tests.clusters.spark.conftest import Cluster
from tests.clusters.spark.writing import Write, process_of
from tests.conftest import ROOT_KEY
from tests.faults.proxy import Exchange, Proxy, answer_of
from tests.stores import BUCKET, CREDENTIALS

pytestmark = pytest.mark.filterwarnings(
    "ignore:PySpark does not yet fully support pandas", "ignore::ResourceWarning"
)

Writes = Callable[..., Write]
DIMENSION = 8


def rows(count: int, first: int = 0) -> pa.Table:
    """Rows of every type that people have, with nulls."""
    numbers = range(first, first + count)
    random = np.random.default_rng(first)
    vectors = random.standard_normal((count, DIMENSION), dtype=np.float32)

    def some(value: Callable[[int], Any]) -> list[Any]:
        return [None if n % 7 == 3 else value(n) for n in numbers]

    when = datetime(2024, 3, 10, 6, 30, tzinfo=UTC)
    return pa.table(
        {
            "id": [f"doc-{n}" for n in numbers],
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIMENSION),
            "contents": pa.array(some(lambda n: f"text {n}".encode() + bytes([n % 256])), pa.binary()),
            "title": pa.array(some(lambda n: f"Größe {n}"), pa.string()),
            "price": pa.array(some(lambda n: Decimal(n) / 4), pa.decimal128(12, 2)),
            "seen": pa.array(some(lambda n: when.replace(second=n % 60)), pa.timestamp("us", "UTC")),
            "day": pa.array(some(lambda n: date(2024, 1, 1 + n % 28)), pa.date32()),
            "big": pa.array(some(lambda n: 2**53 + n), pa.int64()),
            "ratio": pa.array(some(lambda n: n / 3), pa.float64()),
            "good": pa.array(some(lambda n: n % 2 == 0), pa.bool_()),
            "tags": pa.array(some(lambda n: ["a", None, str(n)]), pa.list_(pa.string())),
            "place": pa.array(
                some(lambda n: {"lat": n / 7, "name": None if n % 2 else "x"}),
                pa.struct({"lat": pa.float64(), "name": pa.string()}),
            ),
            "counts": pa.array(some(lambda n: [("k", n)]), pa.map_(pa.string(), pa.int32())),
        }
    )


def files(folder: Path, *tables: pa.Table) -> Path:
    """A folder of Parquet files, one a table."""
    folder.mkdir()
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"part-{number}.parquet")
    return folder


def check_same(write: Write, cluster: Cluster, source: Path, count: int) -> None:
    """Every item of the source is in the index as `vecload.load` makes it, and no other item is."""
    found = vecload.verify(
        str(source),
        to=write.options["to"],
        index=write.options["index"],
        key=cluster.key,
        api_key=ROOT_KEY if "api_key" in write.options else None,
        extra=True,
    )
    assert (found.status, found.checked, found.extra) == ("equal", count, 0)


def numbered(cluster: Cluster, count: int, partitions: int, *bad: int) -> Any:
    """A data frame whose partitions are in order; some of its rows have a NaN."""
    schema = StructType([StructField("id", StringType()), StructField("vector", ArrayType(DoubleType()))])
    data = [(f"{n}", [float("nan") if n in bad else 1.0, float(n)]) for n in range(count)]
    frame = cluster.session.createDataFrame(
        cluster.session.sparkContext.parallelize(data, partitions), schema
    )
    assert frame.rdd.getNumPartitions() == partitions
    return frame


def test_every_row_of_parquet_becomes_the_item_that_a_load_makes_of_it(
    cluster: Cluster, write: Writes, tmp_path: Path
) -> None:
    source = files(tmp_path / "in", rows(700), rows(500, 700), rows(0))
    to = write(dimension=DIMENSION)
    frame = cluster.session.read.parquet(str(source))
    assert isinstance(frame.schema["embedding"].dataType, ArrayType)
    report = to.save(frame)
    assert (report.status, report.exit_code) == ("complete", 0)
    assert (report.read, report.loaded, report.rejected) == (1200, 1200, 0)
    assert report.attempts == report.partitions > 1
    assert report.mapping is not None
    assert report.mapping["line"].startswith(
        "id: id · vector: embedding (8, float32) · contents: contents, sealed"
    )
    check_same(to, cluster, source, 1200)
    assert to.save(frame).loaded == 1200  # again: the same items
    check_same(to, cluster, source, 1200)
    # What only the end of a job needs is gone; the report of each task stays.
    left = {path.name for path in (tmp_path / "report").rglob("*") if path.is_file()}
    assert left <= {"summary.json", *(f"{n:05}-0.json" for n in range(report.partitions))}
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "report").rglob("*.json"))


def test_a_task_whose_worker_is_killed_is_loaded_by_the_next_attempt(
    cluster: Cluster, write: Writes, service: str, tmp_path: Path
) -> None:
    # Each id comes twice, and the killed attempt has some of the first rows in flight.
    table = rows(3000)
    table = table.set_column(0, "id", pa.array([f"doc-{n % 1500}" for n in range(3000)]))
    killed: list[int] = []

    def kill(exchange: Exchange) -> None:
        if exchange.number != 5:
            exchange.pass_on()
            return
        killed.append(process_of(exchange.port))
        os.kill(killed[0], signal.SIGKILL)
        exchange.forward()  # the service stores it, and nobody hears of it
        exchange.close()

    source = files(tmp_path / "in", table)
    with Proxy(service, kill) as proxy:
        to = write(
            to=proxy.url,
            api_key=None,
            dimension=DIMENSION,
            id_column="id",
            batch_rows=100,
            resume_wait=1,
            concurrency=2,
        )
        report = to.save(cluster.session.read.parquet(str(source)).coalesce(1))
        assert len(killed) == 1
        assert (report.status, report.attempts, report.partitions) == ("complete", 2, 1)
        assert (report.read, report.loaded, report.repeated) == (3000, 3000, 1500)
        last = tmp_path / "last.parquet"
        pq.write_table(table.slice(1500), last)
        check_same(to, cluster, last, 1500)


def test_busy_services_and_broken_connections_cost_no_row(
    cluster: Cluster, write: Writes, service: str, tmp_path: Path
) -> None:
    def behave(exchange: Exchange) -> None:
        match exchange.number % 6:
            case 1:
                exchange.send(answer_of(429, b'{"detail":"slow down"}', "Retry-After: 0"))
            case 3:
                exchange.read_part()
                exchange.reset()
            case 5:
                exchange.forward()
                exchange.reset()
            case _:
                exchange.pass_on()

    source = files(tmp_path / "in", rows(900), rows(900, 900))
    with Proxy(service, behave) as proxy:
        to = write(to=proxy.url, api_key=None, dimension=DIMENSION, batch_rows=100)
        report = to.save(cluster.session.read.parquet(str(source)))
        assert (report.status, report.loaded) == ("complete", 1800)
        assert report.retries > 3
        check_same(to, cluster, source, 1800)


def test_ids_that_several_partitions_have_fail_the_job_by_name(
    cluster: Cluster, write: Writes, tmp_path: Path
) -> None:
    one, other = numbered(cluster, 300, 1), numbered(cluster, 303, 1).where("int(id) >= 297")
    frame = one.union(other)
    to = write(dimension=2, id_column="id")
    error = to.error(frame)
    said = (
        "id '297' is in 2 partitions (0, 1), and 2 more ids are in several: which of their rows the index "
        "has now is chance; drop the repeated rows, or bring those of an id together with "
        "df.repartition('id'), and write again"
    )
    assert said in error
    report = to.report()
    assert (report.status, report.exit_code, report.error) == ("failed", 2, said)
    # As it says: in one partition, the later row replaces the earlier one.
    report = to.save(frame.repartition(2, "id"))
    assert (report.status, report.repeated, report.repeated_ids) == ("complete", 3, "last")
    assert len(to.index(ROOT_KEY, cluster.key).list_ids()) == 303
    # Or nobody looks, and the report says so.
    report = write(dimension=2, repeated_ids="assume-unique").save(frame)
    assert (report.status, report.repeated_ids) == ("complete", "assume-unique")
    assert "ids are assumed unique" in repr(report)


def test_vectors_of_spark_ml_are_loaded_exactly_sparse_ones_too(cluster: Cluster, write: Writes) -> None:
    schema = StructType(
        [
            StructField("id", StringType()),
            StructField("features", VectorUDT()),
            StructField("note", StringType()),
        ]
    )
    frame = cluster.session.createDataFrame(
        [
            ("dense", Vectors.dense([1.5, 0.0, -2.0, 1e-3]), "a"),
            ("sparse", Vectors.sparse(4, [1, 3], [0.25, 7.0]), "b"),
            ("short", Vectors.sparse(3, [1], [0.25]), "c"),
            ("none", None, "d"),
        ],
        schema,
    ).coalesce(1)
    to = write(vectorColumn="features", dimension=4, max_errors="50%")
    report = to.save(frame)
    assert (report.status, report.exit_code, report.loaded, report.rejected) == ("rejected", 3, 2, 2)
    index = to.index(ROOT_KEY, cluster.key)
    items = {item["id"]: item for item in index.get(["dense", "sparse"], ["vector", "metadata"])}
    assert np.array_equal(items["dense"]["vector"], np.float32([1.5, 0, -2, 1e-3]))
    assert np.array_equal(items["sparse"]["vector"], np.float32([0, 0.25, 0, 7]))
    assert items["sparse"]["metadata"] == {"note": "b"}
    lines = (Path(to.options["report"]) / report.rejects).read_text().splitlines()
    assert [(one["id"], one["row"]) for one in map(json.loads, lines)] == [("short", 2), ("none", 3)]


def test_rejects_are_judged_over_all_partitions_and_are_in_one_file(
    cluster: Cluster, write: Writes, tmp_path: Path
) -> None:
    frame = numbered(cluster, 40, 2, 1, 3, 35)
    to = write(dimension=2, max_errors=2, reject_rows=True)
    error = to.error(frame)  # two in one partition, one in the other: none has too many by itself
    assert "partition 0 of the DataFrame, row 1 (id '1'): vector: holds NaN (3 rows rejected so far)" in error
    assert (to.report().exit_code, to.report().rejected) == (4, 3)
    report = write(dimension=2, max_errors="10%", reject_rows=True).save(frame)
    assert (report.status, report.loaded, report.rejected) == ("rejected", 37, 3)
    rejects = tmp_path / "report" / report.rejects
    found = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [one["id"] for one in found] == ["1", "3", "35"]
    assert all("NaN" not in one["raw"] for one in found)  # sealed
    assert rejects.stat().st_mode & 0o077 == 0
    # No rejects, no file, although one was there.
    assert write(dimension=2).save(numbered(cluster, 4, 1)).rejects == ""
    assert not rejects.exists()


def test_a_bad_row_stops_the_job_without_its_partition_being_loaded_four_times(
    cluster: Cluster, write: Writes, tmp_path: Path
) -> None:
    to = write(dimension=2, resume_wait=600)
    error = to.error(numbered(cluster, 10, 1, 4))
    assert "row 4 (id '4'): vector: holds NaN; fix the row, or skip bad rows with option max_errors" in error
    report = to.report()
    assert (report.status, report.exit_code) == ("failed", 4)
    assert report.error is not None
    assert report.error.startswith("partition 0 of the DataFrame, row 4")
    assert [path.name for path in (tmp_path / "report").rglob("0*")] == ["00000-0.json"]


def test_a_report_in_a_store_is_like_one_in_a_folder(
    cluster: Cluster, write: Writes, bucket: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    url, client = bucket
    to = write(dimension=2, report=f"s3://{BUCKET}/spark/job", endpoint_url=url, max_errors=1)
    report = to.save(numbered(cluster, 20, 2, 7))
    assert (report.status, report.loaded, report.rejected) == ("rejected", 19, 1)
    body = client.get_object(Bucket=BUCKET, Key=f"spark/job/{report.rejects}")["Body"].read()
    assert json.loads(body)["id"] == "7"


def test_a_new_index_needs_its_dimension_and_its_key(cluster: Cluster, write: Writes, tmp_path: Path) -> None:
    frame = numbered(cluster, 4, 1)
    assert "option dimension is missing, and there is no index" in write().error(frame)
    assert "needs a key, and none is named; pass key" in write(key=None, dimension=2).error(frame)
    by_variable = write(key="env:DOCS_INDEX_KEY", create_key=True, dimension=2)
    assert "create_key needs key=file:PATH" in by_variable.error(frame)
    made = tmp_path / "made.key"
    assert write(key=f"file:{made}", create_key=True, dimension=2).save(frame).loaded == 4
    assert made.stat().st_mode & 0o077 == 0
    # Then the index has both.
    assert write(key=f"file:{made}").save(frame).loaded == 4
    assert "does not open index" in write().error(frame)


def test_columns_of_dimensions_and_vectors_of_another_length(
    cluster: Cluster, write: Writes, tmp_path: Path
) -> None:
    frame = cluster.session.range(20).selectExpr("id", "1.5D as d0", "cast(id as double) as d1", "id as n")
    to = write(vectorColumns="d*")  # they say the dimension
    assert to.save(frame.repartition(2)).loaded == 20
    assert to.index(ROOT_KEY, cluster.key).get(["7"], ["vector", "metadata"]) == [
        {"id": "7", "vector": [1.5, 7.0], "metadata": {"n": 7}}
    ]
    assert "generate_ids=rows would give" in write(generate_ids="rows").error(frame)
    # A partition of other vectors is so many rejects, however it begins.
    wrong = frame.selectExpr("id", "if(id < 10, array(1D, 2D, 3D), array(1D, 2D)) as vector")
    report = write(max_errors="60%").save(wrong.repartitionByRange(2, "id"))
    assert (report.loaded, report.rejected) == (10, 10)
    error = write().error(wrong.coalesce(1))
    assert "row 0 (id '0'): vector: has 3 values; the index has 2 dimensions" in error


def test_keys_come_from_variables_of_the_workers(cluster: Cluster, write: Writes) -> None:
    to = write(key="env:DOCS_INDEX_KEY", contents_key="env:DOCS_CONTENTS_KEY", dimension=2)
    assert to.save(numbered(cluster, 30, 2)).loaded == 30
    assert len(to.index(ROOT_KEY, cluster.key).list_ids()) == 30
    assert "there is no API key in env:NOT_SET" in write(api_key="env:NOT_SET").error(numbered(cluster, 3, 1))


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("overwrite", 'mode("overwrite") would have to empty the index; use mode("append")'),
        ("error", 'cannot be written in the "ErrorIfExists" mode'),
        ("ignore", 'cannot be written in the "Ignore" mode'),
    ],
)
def test_other_modes_than_append_say_so(cluster: Cluster, write: Writes, mode: str, said: str) -> None:
    assert said in write(dimension=2).error(numbered(cluster, 3, 1), mode)


def test_reading_says_that_the_format_only_writes(cluster: Cluster) -> None:
    with pytest.raises(Exception, match="the format vecload only writes"):
        cluster.session.read.format("vecload").load()
