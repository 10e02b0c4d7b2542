"""Data in memory: what becomes of it is what becomes of the same rows in a file."""

from __future__ import annotations

import datetime as dt
import enum
import re
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import datasets
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from vecload.batch import Batch, Span
from vecload.errors import SourceError
from vecload.loading.plan import Plan, make_plan
from vecload.mapping import ColumnChoice, Rules
from vecload.readers import ReadOptions, Source, open_sources
from vecload.readers.memory import is_memory_source, open_memory_source
from vecload.readers.prefetch import batches
from vecload.readers.source import HEAD_ROWS

COUNT = 2500
IDS = [f"doc-{n}" for n in range(COUNT)]
VECTORS = np.random.default_rng(3).standard_normal((COUNT, 4), dtype=np.float32)
TEXTS = [None if n % 7 == 0 else f"text {n}, naïve ☃" for n in range(COUNT)]
WHEN = [dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC) + dt.timedelta(minutes=n) for n in range(COUNT)]


def arrow_table() -> pa.Table:
    return pa.table(
        {
            "id": IDS,
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), 4),
            "text": TEXTS,
            "n": range(COUNT),
            "when": pa.array(WHEN, pa.timestamp("us", "UTC")),
        }
    )


def dicts() -> list[dict[str, Any]]:
    return [
        {"id": IDS[n], "embedding": VECTORS[n], "text": TEXTS[n], "n": n, "when": WHEN[n]}
        for n in range(COUNT)
    ]


def duckdb_relation() -> Any:
    connection = duckdb.connect()
    connection.register("rows", arrow_table())
    return connection.sql("select * from rows")


SOURCES: dict[str, Any] = {
    "pandas": lambda: pd.DataFrame(
        {**arrow_table().drop(["embedding"]).to_pydict(), "embedding": [*VECTORS]}
    ),
    "pandas of arrow": lambda: arrow_table().to_pandas(types_mapper=pd.ArrowDtype),
    "polars": lambda: pl.DataFrame(arrow_table()),
    "polars in chunks": lambda: pl.concat(
        [pl.DataFrame(arrow_table().slice(0, 900)), pl.DataFrame(arrow_table().slice(900))], rechunk=False
    ),
    "duckdb": duckdb_relation,
    "datasets": lambda: datasets.Dataset(arrow_table()),
    "datasets in another order": lambda: datasets.Dataset(arrow_table().take([*range(COUNT)[::-1]])).select(
        range(COUNT)[::-1]
    ),
    "datasets, streamed": lambda: datasets.Dataset(arrow_table()).to_iterable_dataset(),
    "table": arrow_table,
    "record batch": lambda: arrow_table().combine_chunks().to_batches()[0],
    "reader": lambda: arrow_table().to_reader(max_chunksize=33),
    "large lists, views and dictionaries": lambda: arrow_table().cast(
        pa.schema(
            [
                ("id", pa.string_view()),
                ("embedding", pa.large_list(pa.float32())),
                ("text", pa.large_string()),
                ("n", pa.int64()),
                ("when", pa.timestamp("us", "UTC")),
            ]
        )
    ),
    "dictionary": lambda: arrow_table().set_column(2, "text", arrow_table()["text"].dictionary_encode()),
    "dicts": dicts,
    "tuple of dicts": lambda: (*dicts(),),
    "generator of dicts": lambda: (row for row in dicts()),
    "mappings": lambda: map(MappingProxyType, dicts()),
    "dicts of lists": lambda: ({**row, "embedding": row["embedding"].tolist()} for row in dicts()),
}
AGAIN = {
    *("pandas", "pandas of arrow", "polars", "polars in chunks", "datasets", "datasets in another order"),
    *("table", "record batch", "large lists, views and dictionaries", "dictionary"),
    *("dicts", "tuple of dicts"),
}


def planned(source: Source, **choice: Any) -> Plan:
    return make_plan([source], ColumnChoice(**choice), embed=False)


def mapped(source: Source, plan: Plan | None = None, *, done: Any = (), rows: int = 1000) -> list[Batch]:
    (job,) = (plan or planned(source)).jobs(index_dimension=0, allow_zero_vectors=False, keep_rows=True)
    return [*batches(source, job.mapper, batch_rows=rows, batch_bytes=10**7, done=done)]


def ids(found: list[Batch]) -> list[str]:
    return [item_id for batch in found for item_id in batch.ids]


def metadata(found: list[Batch]) -> list[Any]:
    return [one for batch in found for one in batch.metadata or [None] * len(batch)]


def vectors(found: list[Batch]) -> NDArray[np.float32]:
    return np.concatenate([batch.vectors for batch in found if batch.vectors is not None])


def only(value: Any, *, rules: Rules | None = None, **choice: Any) -> Batch:
    """The one batch of some rows."""
    source = open_memory_source(value)
    plan = make_plan([source], ColumnChoice(**choice), embed=False, rules=rules or Rules())
    (batch,) = mapped(source, plan)
    return batch


@pytest.mark.parametrize("kind", SOURCES)
def test_every_row_becomes_the_item_that_it_becomes_from_parquet(tmp_path: Path, kind: str) -> None:
    source = open_memory_source(SOURCES[kind]())
    plan = planned(source)
    found = mapped(source, plan)
    assert (source.format, source.once, [*source.files]) == ("memory", kind not in AGAIN, [])
    assert ids(found) == IDS
    assert np.array_equal(vectors(found), VECTORS)
    pq.write_table(arrow_table(), tmp_path / "rows.parquet")
    (file,) = open_sources([str(tmp_path / "rows.parquet")])
    expected = mapped(file)
    assert planned(file).mappings[0].contents == plan.mappings[0].contents == "text"
    assert [c for batch in found for c in batch.contents or ()] == TEXTS
    assert metadata(found) == metadata(expected)
    assert found[0].span.start == 0
    assert sum(len(batch.span) for batch in found) == COUNT
    assert not [reject for batch in found for reject in batch.rejects]


@pytest.mark.parametrize("kind", SOURCES)
def test_a_part_that_is_done_is_not_read_again(kind: str) -> None:
    source = open_memory_source(SOURCES[kind]())
    plan = planned(source)
    done = [Span(source.name, 0, 5), Span(source.name, 1000, 1200), Span(source.name, 2400, 2500)]
    assert ids(mapped(source, plan, done=done, rows=300)) == IDS[5:1000] + IDS[1200:2400]


@pytest.mark.parametrize("kind", sorted(AGAIN))
def test_what_is_a_table_can_be_read_again(kind: str) -> None:
    source = open_memory_source(SOURCES[kind]())
    assert source.total_rows == COUNT
    assert ids(mapped(source)) == ids(mapped(source)) == IDS
    (place, *_) = source.places(3)
    assert ids(mapped(source, done=[place])) == IDS[place.stop :]


@pytest.mark.parametrize("kind", sorted(SOURCES.keys() - AGAIN))
def test_what_is_a_stream_is_read_once_and_says_so(kind: str) -> None:
    source = open_memory_source(SOURCES[kind]())
    plan = planned(source)
    assert plan.once
    assert ids(mapped(source, plan)) == IDS
    head = source.head()
    assert head is not None
    assert len(head.span) > 0
    with pytest.raises(SourceError, match="can be read only once"):
        mapped(source, plan)


@pytest.mark.parametrize("kind", SOURCES)
def test_columns_that_are_not_needed_are_not_mapped(kind: str) -> None:
    source = open_memory_source(SOURCES[kind]())
    (batch,) = mapped(source, planned(source, metadata=("n",)), rows=COUNT)[:1]
    assert (batch.metadata or [])[:2] == [{"n": 0}, {"n": 1}]


@pytest.mark.parametrize(
    "empty",
    [
        pd.DataFrame({"id": [], "vector": []}),
        pl.DataFrame({"id": [], "vector": []}),
        pa.table({"id": [], "vector": []}),
        pa.table({"id": [], "vector": []}).to_reader(),
        datasets.Dataset.from_dict({"id": [], "vector": []}),
        datasets.IterableDataset.from_generator(lambda: iter(())),
        (row for row in ()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nothing_is_no_rows(empty: Any) -> None:
    source = open_memory_source(empty)
    assert source.head() is None
    assert planned(source).sources == ()
    assert [*source.read(batch_rows=10, batch_bytes=10**6)] == []


# Dicts


class Level(enum.StrEnum):
    HIGH = "high"


VALUES: dict[str, tuple[Any, Any]] = {
    "text": ("x", "x"),
    "text of an enum": (Level.HIGH, "high"),
    "none": (None, None),
    "boolean": (True, True),
    "integer": (2**70, 2**70),
    "number": (1.5, 1.5),
    "numpy integer": (np.int64(7), 7),
    "numpy number": (np.float32(0.5), 0.5),
    "numpy boolean": (np.bool_(True), True),
    "numpy text": (np.str_("x"), "x"),
    "numpy day": (np.datetime64("2024-02-29"), 1709164800000),
    "numpy hours": (np.datetime64("2024-02-29T01", "h"), 1709168400000),
    "numpy nanoseconds": (np.datetime64("1969-12-31T23:59:59.999999999", "ns"), -1),
    "numpy no time": (np.datetime64("NaT"), None),
    "array": (np.arange(3, dtype=np.int16), [0, 1, 2]),
    "array of times": (np.array(["2024-02-29"], "datetime64[ns]"), [1709164800000]),
    "matrix": (np.eye(2), [[1.0, 0.0], [0.0, 1.0]]),
    "naive": (dt.datetime(2024, 2, 29), 1709164800000),  # noqa: DTZ001 naive on purpose
    "aware": (dt.datetime(2024, 2, 29, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))), 1709164800000),
    "before 1970": (dt.datetime(1969, 12, 31, 23, 59, 59, 999_999), -1),  # noqa: DTZ001 likewise
    "timestamp of pandas": (pd.Timestamp("2024-02-29"), 1709164800000),
    "no time of pandas": (pd.NaT, None),
    "missing in pandas": (pd.NA, None),
    "day": (dt.date(2024, 2, 29), 1709164800000),
    "time": (dt.time(1, 2, 3), "01:02:03"),
    "duration": (dt.timedelta(seconds=2), 2000),
    "decimal": (Decimal("1.25"), 1.25),
    "whole decimal": (Decimal(7), 7),
    "long decimal": (Decimal("0.12345678901234567890123"), "0.12345678901234567890123"),
    "uuid": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "bytes": (b"\0\1", "AAE="),
    "bytearray": (bytearray(b"\0\1"), "AAE="),
    "tuple": ((1, (2, "x")), [1, [2, "x"]]),
    "nested": ({"a": [{"when": dt.date(1970, 1, 2), "b": b"\0"}]}, {"a": [{"when": 86400000, "b": "AA=="}]}),
    "mapping": (MappingProxyType({"a": 1}), {"a": 1}),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_in_metadata_becomes_what_it_becomes_from_a_file(name: str) -> None:
    given, expected = VALUES[name]
    row = {"id": "a", "vector": [1.0, 2.0], "value": given}
    assert only([row, {**row, "id": "b"}]).metadata == [{"value": expected}] * 2
    (one,) = only([{**row, "value": {"inside": given}}]).metadata or []
    assert one == {"value": {"inside": expected}}
    (one,) = only([{"id": "a", "vector": [1.0, 2.0], "metadata": {"value": given}}]).metadata or []
    assert one == {"value": expected}


@pytest.mark.parametrize("missing", [None, pd.NA, float("nan"), np.float32("nan")], ids=repr)
def test_missing_contents_are_absent(missing: Any) -> None:
    rows = [{"id": f"{n}", "vector": [1.0, 2.0], "contents": "x"} for n in range(3)]
    rows[1]["contents"] = missing
    assert only(rows).contents == ["x", None, "x"]


@pytest.mark.parametrize("name", ["day", "naive", "time", "duration", "decimal", "bytes", "aware"])
def test_such_a_value_is_the_same_from_arrow(name: str) -> None:
    given, expected = VALUES[name]
    table = pa.table({"id": ["a"], "vector": [[1.0, 2.0]], "value": [given]})
    assert only(table).metadata == [{"value": expected}]


UNSAYABLE: dict[str, Any] = {
    "NaN": float("nan"),
    "infinite": float("inf"),
    "numpy NaN": np.float32("nan"),
    "NaN in an array": np.array([1.0, np.nan]),
    "decimal NaN": Decimal("NaN"),
    "lone surrogate": "\ud800",
    "lone surrogate in a key": {"\ud800": 1},
    "key that is not text": {1: 2},
    "set": {1, 2},
    "object": object(),
    "complex": 1j,
    "nested": [{"a": float("nan")}],
}


@pytest.mark.parametrize("name", UNSAYABLE)
def test_what_json_can_not_say_rejects_its_row_alone(name: str) -> None:
    rows = [{"id": f"{n}", "vector": [1.0, 2.0], "value": 1} for n in range(3)]
    rows[1]["value"] = UNSAYABLE[name]
    batch = only(rows, rules=Rules(nan="reject"))
    assert batch.ids == ["0", "2"]
    (reject,) = batch.rejects
    assert (reject.row, reject.field, reject.code) == (1, "metadata", "not-json")
    assert "'value'" in reject.message
    assert reject.raw


def test_what_holds_itself_is_too_deep() -> None:
    endless: list[Any] = []
    endless.append(endless)
    rows = [{"id": "a", "vector": [1.0], "value": "x"}, {"id": "b", "vector": [1.0], "value": endless}]
    (reject,) = only(rows).rejects
    assert (reject.row, reject.code) == (1, "too-deep")


def test_nan_is_left_out_where_that_is_asked_for() -> None:
    rows = [
        {"id": "a", "vector": [1.0], "x": float("nan"), "y": {"z": np.float64("nan"), "w": 1}},
        {"id": "b", "vector": [1.0], "x": 1.0, "y": {}},
        {"id": "c", "vector": [1.0], "x": [float("nan")]},
    ]
    batch = only(rows, rules=Rules(nan="omit"))
    assert batch.metadata == [{"y": {"w": 1}}, {"x": 1.0, "y": {}}]
    assert (batch.nan_left_out, [reject.row for reject in batch.rejects]) == (2, [2])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (7, "7"),
        (np.uint64(2**64 - 1), str(2**64 - 1)),
        (2**80, str(2**80)),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (uuid.UUID(int=2**127).bytes, str(uuid.UUID(int=2**127))),
        (b"key", "key"),
        (Decimal("7.00"), "7"),
        (np.str_("x"), "x"),
    ],
    ids=repr,
)
def test_ids(given: Any, expected: str) -> None:
    assert only([{"id": given, "vector": [1.0]}], id="id").ids == [expected]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (None, "missing"),
        (1.0, "not-text"),
        (np.float64(1), "not-text"),
        (float("nan"), "not-text"),
        (Decimal("1.5"), "not-text"),
        (Decimal("NaN"), "not-text"),
        (True, "not-text"),
        (dt.date(2024, 1, 1), "not-text"),
        (b"\0\1", "not-text"),
        ("", "empty-id"),
        ("\ud800", "lone-surrogate"),
    ],
    ids=repr,
)
def test_what_is_no_id_is_a_reject(given: Any, code: str) -> None:
    rows = [{"id": "a", "vector": [1.0]}, {"id": given, "vector": [1.0]}]
    (reject,) = only(rows, id="id").rejects
    assert (reject.row, reject.field, reject.code) == (1, "id", code)


VALUE = [0.1, -2.0, 3.5]


@pytest.mark.parametrize(
    "given",
    [
        VALUE,
        tuple(VALUE),
        np.array(VALUE),
        np.array(VALUE, np.float32),
        np.array(VALUE, ">f8"),
        np.array([VALUE, VALUE]).T[:, 0],
        np.array([VALUE]),
        [np.float64(value) for value in VALUE],
        [np.float32(value) for value in VALUE],
        np.array(VALUE, np.float32).tobytes(),
        memoryview(np.array(VALUE, np.float32).tobytes()),
        "[0.1, -2.0, 3.5]",
    ],
    ids=lambda value: type(value).__name__,
)
def test_vectors_in_whatever_way_python_has_them(given: Any) -> None:
    rows = [{"id": "a", "vector": given}, {"id": "b", "vector": np.array(VALUE, np.float32)}]
    for some in (rows, rows[:1], [{**rows[0], "id": f"{n}"} for n in range(3)]):
        batch = only(some, vector="vector", rules=Rules(vector_dtype="float32"))
        assert not batch.rejects
        assert batch.vectors is not None
        assert np.array_equal(batch.vectors, np.array([VALUE] * len(some), np.float32))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (None, "missing"),
        (np.ones(2), "dimension"),
        (np.array([1.0, np.nan, 1.0]), "nan"),
        (np.array([1.0, 1e300, 1.0]), "infinite"),
        (np.zeros(3), "zero"),
        (np.array([True, False, True]), "not-a-number"),
        (np.ones((2, 3)), "multi-vector"),
        (np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False]), "null-element"),
        (np.array([1j, 1, 1]), "not-a-number"),
        (object(), "not-a-list"),
    ],
    ids=["none", "short", "nan", "infinite", "zero", "booleans", "matrix", "masked", "complex", "object"],
)
def test_what_is_no_vector_is_a_reject(given: Any, code: str) -> None:
    for good in (np.ones(3, np.float32), [1.0, 2.0, 3.0]):
        rows = [{"id": f"{n}", "vector": good} for n in range(3)] + [{"id": "x", "vector": given}]
        (reject,) = only(rows).rejects
        assert (reject.row, reject.field, reject.code) == (3, "vector", code)


def test_integers_are_rounded_once() -> None:
    number = 2**60 + 2**36 + 1  # halfway between two float32, but for the 1
    for vector in (np.array([number, 1]), [number, 1]):
        found = only([{"id": "a", "vector": vector}]).vectors
        assert found is not None
        assert found.tolist() == [[float(2**60 + 2**37), 1.0]]


@pytest.mark.parametrize(
    ("given", "expected"),
    [("x", "x"), ("", ""), (b"\0", b"\0"), (bytearray(b"a"), b"a"), (np.str_("x"), "x"), (None, None)],
    ids=repr,
)
def test_contents(given: Any, expected: Any) -> None:
    batch = only(
        [{"id": "a", "vector": [1.0], "text": given}, {"id": "b", "vector": [1.0], "text": "y"}],
        contents="text",
    )
    assert batch.contents == [expected, "y"]


def test_bytes_are_text_where_that_is_asked_for() -> None:
    rows = [{"id": f"{n}", "vector": [1.0], "text": text} for n, text in enumerate([b"x", b"\xff", "y"])]
    batch = only(rows, contents="text", rules=Rules(binary_as_text=True))
    assert batch.contents == ["x", "y"]
    assert [(reject.row, reject.code) for reject in batch.rejects] == [(1, "not-utf8")]


def test_a_row_that_is_no_dict_is_a_reject() -> None:
    good = {"id": "a", "vector": [1.0]}
    batch = only([good, "text", None, {1: "x"}, {**good, "id": "b"}])
    assert batch.ids == ["a", "b"]
    assert [reject.message for reject in batch.rejects] == [
        "is not a dict but str",
        "is not a dict but NoneType",
        "has a key that is not text",
    ]


def test_no_dict_at_all_is_an_error() -> None:
    with pytest.raises(SourceError, match="has no dict in its first rows: row 0 is not a dict but str"):
        planned(open_memory_source(text for text in ["a.parquet"]))
    with pytest.raises(SourceError, match=r"row 0 is not a dict but numpy\.ndarray"):
        planned(open_memory_source(np.ones((3, 2))))


def test_columns_that_come_later_are_metadata_too() -> None:
    rows: list[dict[str, Any]] = [{"id": f"{n}", "vector": [1.0]} for n in range(300)]
    rows[250]["late"] = dt.date(1970, 1, 2)
    source = open_memory_source(iter(rows))
    assert metadata(mapped(source, rows=300))[250] == {"late": 86400000}


def test_fields_inside_are_found_and_left_out() -> None:
    rows = [{"doc": {"id": "a", "vec": np.ones(2, np.float32), "when": dt.date(1970, 1, 2), "secret": 1}}]
    batch = only(rows, id="doc.id", vector="doc.vec", excluded=("doc.secret",))
    assert (batch.ids, batch.metadata) == (["a"], [{"doc": {"when": 86400000}}])
    assert batch.vectors is not None
    assert batch.vectors.tolist() == [[1.0, 1.0]]


class Counting:
    """Rows, and how many of them were drawn."""

    def __init__(self, count: int) -> None:
        self.drawn = 0
        self._count = count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for n in range(self._count):
            self.drawn += 1
            yield {"id": str(n), "vector": np.ones(2, np.float32), "text": "x" * 100}


def test_a_million_rows_are_not_held() -> None:
    rows = Counting(1_000_000)
    source = open_memory_source(rows)
    plan = planned(source)
    assert rows.drawn <= HEAD_ROWS
    (job,) = plan.jobs(index_dimension=0, allow_zero_vectors=False)
    taken = 0
    for batch in batches(source, job.mapper, batch_rows=1000, batch_bytes=10**7):
        taken += len(batch)
        assert rows.drawn <= taken + 1
        if taken == 20_000:
            break
    assert taken == 20_000


def test_pieces_are_bounded_by_their_bytes() -> None:
    source = open_memory_source({"id": str(n), "vector": [1.0], "text": "x" * 10_000} for n in range(100))
    sizes = [len(piece.span) for piece in source.read(batch_rows=1000, batch_bytes=105_000)]
    assert sum(sizes) == 100
    assert max(sizes) <= 10


@pytest.mark.parametrize("kind", ["pandas", "polars", "table", "reader"])
def test_pieces_of_tables_are_bounded_by_their_bytes(kind: str) -> None:
    table = pa.table({"id": range(200), "text": ["x" * 10_000] * 200})
    source = open_memory_source(
        {"pandas": table.to_pandas, "polars": lambda: pl.DataFrame(table), "table": lambda: table}.get(
            kind, table.to_reader
        )()
    )
    sizes = [len(piece.span) for piece in source.read(batch_rows=1000, batch_bytes=105_000)]
    assert sum(sizes) == 200
    assert max(sizes) <= 10


def test_rows_that_share_one_dict_and_one_array_are_not_mixed_up() -> None:
    def rows() -> Iterator[dict[str, Any]]:
        row: dict[str, Any] = {"vector": np.zeros(2, np.float32), "tags": [0], "inner": {"n": 0}}
        for n in range(300):
            row["id"] = str(n)
            row["vector"][:] = n + 1
            row["tags"][0] = row["inner"]["n"] = n
            yield row

    found = mapped(open_memory_source(rows()), rows=100)
    assert ids(found) == [str(n) for n in range(300)]
    assert vectors(found)[:, 0].tolist() == [n + 1 for n in range(300)]
    assert metadata(found) == [{"tags": [n], "inner": {"n": n}} for n in range(300)]


def test_an_iterator_is_drawn_from_by_the_thread_that_loads() -> None:
    connection = sqlite3.connect(":memory:")  # refuses other threads
    connection.execute("create table rows (id text, x real)")
    connection.executemany("insert into rows values (?, ?)", [(str(n), float(n + 1)) for n in range(500)])
    cursor = connection.execute("select id, x from rows")
    threads: set[int] = set()

    def rows() -> Iterator[dict[str, Any]]:
        for item_id, x in cursor:
            threads.add(threading.get_ident())
            yield {"id": item_id, "vector": [x, 1.0]}

    assert len(ids(mapped(open_memory_source(rows()), rows=100))) == 500
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("as_table", [False, True], ids=["stream", "table"])
def test_small_batches_are_joined(as_table: bool) -> None:
    table = pa.concat_tables([arrow_table().slice(n, 1) for n in range(COUNT)])
    source = open_memory_source(table if as_table else table.to_reader())
    found = mapped(source)
    assert ids(found) == IDS
    assert len(found) <= 4


@pytest.mark.parametrize("good", [150, 3])
@pytest.mark.parametrize("as_arrow", [False, True], ids=["dicts", "arrow"])
def test_rows_before_an_error_are_kept(good: int, as_arrow: bool) -> None:
    def rows() -> Iterator[dict[str, Any]]:
        for n in range(good):
            yield {"id": str(n), "vector": [1.0]}
        raise RuntimeError("SECRET of a row")

    schema = pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32()))])
    value: Any = rows()
    if as_arrow:
        value = pa.RecordBatchReader.from_batches(
            schema, (pa.RecordBatch.from_pylist([row], schema=schema) for row in rows())
        )
    source = open_memory_source(value, "my rows")
    (job,) = planned(source).jobs(index_dimension=0, allow_zero_vectors=False)
    found: list[str] = []
    given = batches(source, job.mapper, batch_rows=40, batch_bytes=10**6)
    with pytest.raises(SourceError) as raised:
        found.extend(item_id for batch in given for item_id in batch.ids)
    assert found == [str(n) for n in range(good)]
    assert f"my rows raised RuntimeError after row {good - 1}" in str(raised.value)
    assert "SECRET" not in f"{raised.value} {raised.value.hint}"
    assert raised.value.__cause__ is not None


def test_an_error_before_the_first_row_is_no_empty_source() -> None:
    def rows() -> Iterator[dict[str, Any]]:
        raise OSError
        yield {}

    with pytest.raises(SourceError, match="my rows raised OSError"):
        planned(open_memory_source(rows(), "my rows"))


def test_an_interrupted_load_does_not_wait_for_the_next_rows() -> None:
    from vecload.errors import Interrupted

    rows = Counting(10_000)
    source = open_memory_source(rows)
    (job,) = planned(source).jobs(index_dimension=0, allow_zero_vectors=False)
    asked = 0
    found = batches(source, job.mapper, batch_rows=100, batch_bytes=10**6, interrupted=lambda: asked)
    next(found)
    asked = 15
    with pytest.raises(Interrupted):
        next(found)
    assert rows.drawn < 1000


# Tables


def test_an_index_of_pandas_is_the_id() -> None:
    frame = pd.DataFrame({"vector": [[1.0, 2.0]] * 2, "n": [1, 2]}, index=pd.Index(["a", "b"], name="doc_id"))
    batch = only(frame)
    assert (batch.ids, batch.metadata) == (["a", "b"], [{"n": 1}, {"n": 2}])
    unnamed = frame.rename_axis(None)
    source = open_memory_source(unnamed)
    assert [column.name for column in source.columns() if column.index] == ["__index_level_0__"]


def test_a_column_of_objects_without_a_value_in_its_first_rows_has_its_type() -> None:
    frame = pd.DataFrame(
        {
            "id": [str(n) for n in range(300)],
            "vector": [None] * 200 + [np.ones(2)] * 100,
            "text": pd.Series([None] * 250 + ["later"] * 50, dtype=object),
        }
    )
    shapes = {column.name: column.kind for column in open_memory_source(frame).columns()}
    assert shapes == {"id": "text", "vector": "floats", "text": "text"}


def test_a_column_of_mixed_objects_is_said_with_its_rows_and_not_its_values() -> None:
    frame = pd.DataFrame({"id": [str(n) for n in range(300)], "vector": [np.ones(2)] * 300})
    frame["mixed"] = pd.Series([1] * 299 + ["SECRET"], dtype=object)
    source = open_memory_source(frame)
    with pytest.raises(SourceError) as raised:
        mapped(source, rows=150)
    assert "in rows" in str(raised.value)
    assert "column mixed" in str(raised.value)
    assert "SECRET" not in f"{raised.value} {raised.value.hint}"
    assert len(ids(mapped(open_memory_source(frame.to_dict("records"))))) == 300


@pytest.mark.parametrize(
    "value",
    [
        pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["id", "id"]),
        pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["id", "id"]).to_reader(),
    ],
    ids=["table", "stream"],
)
def test_two_columns_of_one_name_are_refused(value: Any) -> None:
    with pytest.raises(SourceError, match="has several columns 'id'"):
        open_memory_source(value)


def test_categories_are_text() -> None:
    frame = pl.DataFrame(
        {"id": ["a", "b"], "vector": [[1.0], [2.0]], "kind": ["x", "y"]},
        schema_overrides={"kind": pl.Categorical},
    )
    assert only(frame).metadata == only(frame.to_pandas().astype({"kind": "category"})).metadata
    assert only(frame).metadata == [{"kind": "x"}, {"kind": "y"}]


# What is a source in memory


@pytest.mark.parametrize(
    "value", ["a.parquet", b"a.parquet", Path("a"), ["a", "b"], [Path("a")], ("-",), {"a"}, []], ids=repr
)
def test_names_of_files_are_not_data(value: Any) -> None:
    assert not is_memory_source(value)


@pytest.mark.parametrize("kind", SOURCES)
def test_data_is(kind: str) -> None:
    assert is_memory_source(SOURCES[kind]())


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        (pl.LazyFrame({"a": [1]}), "polars.LazyFrame can't be loaded", r"collect\(\)"),
        ({"id": ["a"]}, "dict can't be loaded", "list of dicts"),
        (7, "int can't be loaded", "iterable of dicts"),
        (None, "NoneType can't be loaded", "iterable of dicts"),
        (pd.Series([1], name="x"), "pandas.Series is not a table", "column"),
        (pl.Series("x", [1]), "polars.Series is not a table", "column"),
        (pa.chunked_array([[1]]), "pyarrow.ChunkedArray is not a table", "column"),
        (pa.array([1]), "pyarrow.Int64Array is not a table", "column"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_refused_with_what_to_pass(value: Any, message: str, hint: str) -> None:
    assert is_memory_source(value)
    with pytest.raises(SourceError) as raised:
        open_memory_source(value)
    assert message in str(raised.value)
    assert re.search(hint, raised.value.hint)


@pytest.mark.parametrize("option", [{"format": "jsonl"}, {"ids_file": "ids.txt"}])
def test_options_for_files_are_refused(option: dict[str, str]) -> None:
    with pytest.raises(SourceError, match="is for files, not for data in memory"):
        open_memory_source(arrow_table(), options=ReadOptions(**option))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("pandas", "pandas.DataFrame"),
        ("polars", "polars.DataFrame"),
        ("duckdb", "duckdb.DuckDBPyRelation"),
        ("table", "pyarrow.Table"),
        ("reader", "pyarrow.RecordBatchReader"),
        ("datasets", "datasets.Dataset"),
        ("dicts", "iterable of dicts"),
        ("generator of dicts", "iterable of dicts"),
    ],
)
def test_a_source_is_named_after_its_type_or_as_the_caller_says(kind: str, name: str) -> None:
    assert open_memory_source(SOURCES[kind]()).name == name
    assert open_memory_source(SOURCES[kind](), "mine").name == "mine"
