"""The Python API, as its examples stand, on the service and on a folder."""

from __future__ import annotations

import datetime as dt
import gc
import math
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecload
from vecload.errors import IndexKeyNeeded, ItemError
from vecload.index import FIELDS
from vecload.sealing.envelope import Sealer
from vecload.targets import IndexSettings
from vecload.targets.memory import MemoryTarget

DENORMAL = 2.0**-149
SOME_KEY = bytes(range(32))


@pytest.fixture(params=["service", "folder"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "service":
        return str(request.getfixturevalue("service"))
    return str(tmp_path / "store")


@pytest.fixture
def key() -> bytes:
    return os.urandom(32)


@pytest.fixture
def connection(location: str) -> Iterator[vecload.Connection]:
    with vecload.connect(location) as made:
        yield made


@pytest.fixture
def index(connection: vecload.Connection, index_name: str, key: bytes) -> vecload.Index:
    return connection.create_index(index_name, key, dimension=4)


def vectors_of(index: vecload.Index, ids: list[str]) -> np.ndarray:
    return np.array([item["vector"] for item in index.get(ids, ["vector"])], dtype=np.float64)


def test_the_examples_work_as_they_stand(
    connection: vecload.Connection, location: str, index_name: str, key: bytes
) -> None:
    connection.create_index(index_name, key)

    index = vecload.connect(location).open_index(index_name, key)
    index.upsert(
        [
            {"id": "doc1", "vector": [0.1, 0.2, 0.3, 0.4]},
            {
                "id": "doc2",
                "vector": [0.5, 0.6, 0.7, 0.8],
                "metadata": {"category": "news"},
                "contents": "text or bytes",
            },
        ]
    )
    doc1, doc2 = index.get(["doc1", "doc2"])
    assert doc1 == {
        "id": "doc1",
        "vector": [float(np.float32(x)) for x in (0.1, 0.2, 0.3, 0.4)],
        "metadata": {},
        "contents": None,
    }
    assert (doc2["metadata"], doc2["contents"]) == ({"category": "news"}, "text or bytes")

    ids = ["doc3", "doc4"]
    vectors = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], dtype=np.float32)
    index.upsert(ids, vectors)
    assert vectors_of(index, ids).tolist() == vectors.tolist()

    index.upsert_binary(
        ids, vectors, metadata=[{"category": "news"}, None], contents=["First doc body", None]
    )
    assert [(item["metadata"], item["contents"]) for item in index.get(ids)] == [
        ({"category": "news"}, "First doc body"),
        ({}, None),
    ]
    assert index.count() == 4
    assert sorted(index.list_ids()) == ["doc1", "doc2", "doc3", "doc4"]


def test_an_index_dropped_without_closing_its_connection_leaves_no_open_socket(
    location: str, index_name: str, key: bytes
) -> None:
    with vecload.connect(location) as connection:
        connection.create_index(index_name, key)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(3):
            vecload.connect(location).open_index(index_name, key).upsert([{"id": "a", "vector": VECTOR}])
            gc.collect()
    assert [str(warning.message) for warning in warned] == []


def test_every_way_to_store_returns_none(index: vecload.Index) -> None:
    ones = np.ones((1, 4), dtype=np.float32)
    stores: list[Callable[[], object]] = [
        lambda: index.upsert([{"id": "a", "vector": [1, 2, 3, 4]}]),
        lambda: index.upsert(["b"], ones),
        lambda: index.upsert_binary(["c"], ones),
        lambda: index.upsert([]),
    ]
    assert [store() for store in stores] == [None] * 4
    assert index.count() == 3


def test_contents_come_back_in_their_original_type(index: vecload.Index) -> None:
    contents = [
        "text",
        b"bytes",
        "",
        b"",
        "Żółć \0 😀",
        b"\xff\x00\xfe",
        "x" * 100_000,
        os.urandom(100_000),
        None,
    ]
    ids = [f"c{n}" for n in range(len(contents))]
    index.upsert_binary(ids, np.ones((len(ids), 4)), contents=contents)
    got = [item["contents"] for item in index.get(ids)]
    assert got == contents
    assert [type(value) for value in got] == [type(value) for value in contents]


def test_what_the_engine_holds_of_sealed_contents_tells_nothing(
    connection: vecload.Connection, index: vecload.Index, index_name: str, key: bytes
) -> None:
    plain = "a very recognisable plaintext"
    index.upsert([{"id": "a", "vector": [1, 2, 3, 4], "contents": plain}])
    (stored,) = connection._target.open_index(index_name, key).get(["a"], ["contents"])  # noqa: SLF001 as it is stored
    held = stored.contents if isinstance(stored.contents, bytes) else str(stored.contents).encode()
    assert held.startswith(b"VkxFMQE")
    assert b"recognisable" not in held


@pytest.mark.parametrize("sealed", [True, False])
def test_contents_that_were_not_sealed_are_read_as_they_are(
    connection: vecload.Connection, index_name: str, key: bytes, sealed: bool
) -> None:
    connection.create_index(index_name, key, dimension=4, seal=False).upsert(
        [{"id": "a", "vector": [1, 2, 3, 4], "contents": "plain text"}]
    )
    (item,) = connection.open_index(index_name, key, seal=sealed).get(["a"])
    assert item["contents"] in ("plain text", b"plain text")  # the engine keeps no type


def test_a_bare_key_and_a_key_made_of_it_open_the_same(
    connection: vecload.Connection, index: vecload.Index, index_name: str, key: bytes
) -> None:
    index.upsert([{"id": "a", "vector": [1, 2, 3, 4], "contents": b"sealed"}])
    for same in (vecload.Key(key), bytearray(key)):
        (item,) = connection.open_index(index_name, same).get(["a"])  # type: ignore[arg-type]
        assert item["contents"] == b"sealed"


def test_a_key_with_contents_key_of_its_own_is_needed_to_open_contents(
    connection: vecload.Connection, index_name: str
) -> None:
    key = vecload.generate_key()
    assert not key.derived
    connection.create_index(index_name, key, dimension=4).upsert(
        [{"id": "a", "vector": [1, 2, 3, 4], "contents": "sealed"}]
    )
    assert connection.open_index(index_name, key).get(["a"])[0]["contents"] == "sealed"
    without = connection.open_index(index_name, key.index_key)
    assert without.get(["a"], ["vector"])[0]["vector"] == [1, 2, 3, 4]
    with pytest.raises(vecload.SealError, match="'a'"):
        without.get(["a"])


@pytest.mark.parametrize("wrong", ["hex" * 8, b"short", b"x" * 33, bytes(32), 77])
def test_what_is_no_key_is_refused_and_not_shown(
    connection: vecload.Connection, index_name: str, wrong: Any
) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        connection.create_index(index_name, wrong)
    assert isinstance(caught.value, vecload.VecloadError)
    assert repr(wrong) not in str(caught.value)
    assert index_name not in connection.list_indexes()


def test_without_a_key_and_without_a_kms_no_index_is_made_or_opened(
    connection: vecload.Connection, index_name: str
) -> None:
    with pytest.raises(IndexKeyNeeded, match="needs its index key"):
        connection.create_index(index_name)
    assert index_name not in connection.list_indexes()
    with pytest.raises(vecload.IndexNotFound):
        connection.open_index(index_name)
    connection.create_index(index_name, vecload.generate_key(), dimension=4)
    with pytest.raises(IndexKeyNeeded):
        connection.open_index(index_name)
    with pytest.raises(vecload.UsageError, match="contents key alone"):
        connection.open_index(index_name, vecload.generate_key(contents_only=True))


VECTOR = [1.0, 2.0, 3.0, 4.0]
ONE = np.ones((1, 4), dtype=np.float32)
TWO = np.ones((2, 4), dtype=np.float32)
SELF: list[Any] = []
SELF.append(SELF)


def row(**fields: Any) -> tuple[Any, ...]:
    return ([{"id": "new", "vector": VECTOR} | fields],)


TYPE_FAULTS: dict[str, tuple[Any, ...]] = {
    "a dict": ({"id": "new", "vector": VECTOR},),
    "a generator": ((item for item in ()),),
    "a tuple of dicts": (({"id": "new", "vector": VECTOR},),),
    "None": (None,),
    "a list of texts": (["new"],),
    "one that is no dict": ([{"id": "new", "vector": VECTOR}, "x"],),
    "an integer id": row(id=7),
    "a bytes id": row(id=b"new"),
    "no id at all, None": row(id=None),
    "a text vector": row(vector="1234"),
    "a set as vector": row(vector={1.0, 2.0, 3.0, 4.0}),
    "text in a vector": row(vector=[1.0, "2", 3.0, 4.0]),
    "None in a vector": row(vector=[1.0, None, 3.0, 4.0]),
    "a bool in a vector": row(vector=[1.0, True, 3.0, 4.0]),
    "complex in a vector": row(vector=[1.0, 2j, 3.0, 4.0]),
    "a vector of texts": row(vector=np.array(["1", "2", "3", "4"])),
    "a vector of bools": row(vector=np.array([True] * 4)),
    "a vector of objects": row(vector=np.array([1, 2, 3, None])),
    "metadata as text": row(metadata="{}"),
    "metadata as list": row(metadata=[1]),
    "metadata with a set": row(metadata={"a": {1}}),
    "metadata with bytes": row(metadata={"a": b"x"}),
    "metadata with a numpy number": row(metadata={"a": np.float32(1)}),
    "metadata with an integer key": row(metadata={1: "x"}),
    "metadata with an inner integer key": row(metadata={"a": [{2: "x"}]}),
    "contents as number": row(contents=7),
    "contents as list": row(contents=["x"]),
    "columns: a text as ids": ("ab", TWO),
    "columns: a float id": ([1.0], ONE),
    "columns: a boolean id": ([True], ONE),
    "columns: float ids": (np.array([1.0]), ONE),
    "columns: bool vectors": (["new"], ONE.astype(bool)),
    "columns: complex vectors": (["new"], ONE.astype(complex)),
    "columns: texts as vectors": (["new"], [["1", "2", "3", "4"]]),
    "columns: integers beyond 64 bits": (["new"], [[10**39, 1, 1, 1]]),
    "columns: objects as vectors": (["new"], [[1, 2, 3, None]]),
}

VALUE_FAULTS: dict[str, tuple[Any, ...]] = {
    "an unknown field": row(metdata={}),
    "no id": ([{"vector": VECTOR}],),
    "no vector": ([{"id": "new"}],),
    "a vector of None": row(vector=None),
    "an empty id": row(id=""),
    "a lone surrogate in an id": row(id="\ud800"),
    "an id beyond 4 KiB": row(id="é" * 2049),
    "too few values": row(vector=[1.0, 2.0, 3.0]),
    "too many values": row(vector=[1.0] * 5),
    "an empty vector": row(vector=[]),
    "two dimensions in one list": ([{"id": "n1", "vector": VECTOR}, {"id": "n2", "vector": [1.0]}],),
    "a vector of two axes": row(vector=ONE),
    "NaN": row(vector=[1.0, math.nan, 3.0, 4.0]),
    "infinity": row(vector=[1.0, math.inf, 3.0, 4.0]),
    "minus infinity": row(vector=[1.0, -math.inf, 3.0, 4.0]),
    "beyond float32": row(vector=[1.0, 1e39, 3.0, 4.0]),
    "an integer beyond float64": row(vector=[1.0, 10**400, 3.0, 4.0]),
    "all zeros": row(vector=[0.0, -0.0, 0, 0]),
    "all so small that they become zeros": row(vector=[1e-60] * 4),
    "metadata with NaN": row(metadata={"a": math.nan}),
    "metadata with infinity inside": row(metadata={"a": [{"b": -math.inf}]}),
    "metadata with a lone surrogate": row(metadata={"a": "\udfff"}),
    "metadata with a lone surrogate in a key": row(metadata={"\ud800": 1}),
    "metadata within itself": row(metadata={"a": SELF}),
    "contents with a lone surrogate": row(contents="\ud800"),
    "contents beyond 48 MiB": row(contents=b"x" * (48 * 2**20 + 1)),
    "columns: fewer ids": (["new"], TWO),
    "columns: more ids": (["new", "newer"], ONE),
    "columns: one axis": (["new"], np.ones(4, dtype=np.float32)),
    "columns: three axes": (["new"], np.ones((1, 2, 2), dtype=np.float32)),
    "columns: another dimension": (["new"], np.ones((1, 5), dtype=np.float32)),
    "columns: no dimension": (["new"], np.ones((1, 0), dtype=np.float32)),
    "columns: ragged": (["new", "newer"], [[1.0, 2.0, 3.0, 4.0], [1.0]]),
    "columns: NaN in the last row": (["new", "newer"], np.vstack([ONE, ONE * math.nan])),
    "columns: beyond float32": (["new"], ONE.astype(np.float64) * 1e300),
    "columns: zeros": (["new"], ONE * 0),
    "columns: an empty id": (["new", ""], TWO),
}


@pytest.mark.parametrize(("faults", "kind"), [(TYPE_FAULTS, TypeError), (VALUE_FAULTS, ValueError)])
def test_what_cannot_be_stored_is_refused_before_anything_is_sent(
    index: vecload.Index, faults: dict[str, tuple[Any, ...]], kind: type[Exception]
) -> None:
    index.upsert([{"id": "old", "vector": VECTOR, "metadata": {"kept": True}, "contents": "kept"}])
    for fault, arguments in faults.items():
        with pytest.raises(kind) as caught:
            index.upsert(*arguments)
        assert isinstance(caught.value, vecload.VecloadError), fault
        assert isinstance(caught.value, ItemError), fault
        assert caught.value.exit_code == 2, fault
        assert len(str(caught.value)) < 500, fault
        assert "\n" not in str(caught.value), fault
    assert index.list_ids() == ["old"]
    (kept,) = index.get(["old"])
    assert (kept["metadata"], kept["contents"]) == ({"kept": True}, "kept")


@pytest.mark.parametrize(
    ("named", "kind"),
    [
        ({"metadata": {"a": 1}}, TypeError),
        ({"metadata": "ab"}, TypeError),
        ({"metadata": [1, None]}, TypeError),
        ({"contents": "ab"}, TypeError),
        ({"contents": [1, None]}, TypeError),
        ({"metadata": [None]}, ValueError),
        ({"metadata": [None] * 3}, ValueError),
        ({"contents": ["a"]}, ValueError),
        ({"contents": ["a"] * 3}, ValueError),
        ({"metadata": [None, {"a": math.inf}]}, ValueError),
        ({"contents": [None, "\ud800"]}, ValueError),
    ],
)
def test_columns_that_do_not_fit_are_refused_before_anything_is_sent(
    index: vecload.Index, named: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind) as caught:
        index.upsert_binary(["a", "b"], TWO, **named)
    assert isinstance(caught.value, vecload.VecloadError)
    assert index.count() == 0


def test_a_vector_column_is_needed(index: vecload.Index) -> None:
    with pytest.raises(ValueError, match="needs vectors"):
        index.upsert_binary(["a"], None)  # type: ignore[arg-type]
    assert index.count() == 0


def test_what_belongs_to_ids_and_vectors_is_named_and_goes_with_nothing_else(index: vecload.Index) -> None:
    attempts: list[Callable[[], None]] = [
        lambda: index.upsert(["a"], ONE, [None]),  # type: ignore[call-overload]
        lambda: index.upsert([{"id": "a", "vector": VECTOR}], contents=["x"]),  # type: ignore[call-overload]
        lambda: index.upsert([{"id": "a", "vector": VECTOR}], ids=["a"]),  # type: ignore[call-overload]
    ]
    for attempt in attempts:
        with pytest.raises(TypeError, match="ids and vectors") as caught:
            attempt()
        assert isinstance(caught.value, vecload.VecloadError)
    assert index.count() == 0


BASE = np.arange(1, 81, dtype=np.float64).reshape(10, 8) / 8


@pytest.mark.parametrize(
    ("form", "array"),
    [
        ("every other row", BASE.astype(np.float32)[::2, :4]),
        ("some columns", BASE.astype(np.float32)[:, 2:6]),
        ("backwards", BASE.astype(np.float32)[::-1, 3::-1]),
        ("transposed", BASE.astype(np.float32)[:4, :].T),
        ("Fortran order", np.asfortranarray(BASE.astype(np.float32)[:, :4])),
        ("float64", BASE[:, :4]),
        ("float16", BASE[:, :4].astype(np.float16)),
        ("big-endian float32", BASE[:, :4].astype(">f4")),
        ("big-endian float64", BASE[:, :4].astype(">f8")),
        ("int64", (BASE * 8)[:, :4].astype(np.int64)),
        ("uint8", (BASE * 8)[:, :4].astype(np.uint8)),
        ("int8, negative", -(BASE * 8)[:, :4].astype(np.int8)),
        ("read only", np.frombuffer(BASE[:, :4].astype(np.float32).tobytes(), np.float32).reshape(10, 4)),
        ("broadcast", np.broadcast_to(BASE[0, :4].astype(np.float32), (5, 4))),
        ("lists", BASE[:, :4].tolist()),
        ("lists of integers", [[1, 2, 3, 2**24]]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arrays_of_every_form_store_the_right_numbers(index: vecload.Index, form: str, array: Any) -> None:
    ids = [f"{form} {n}" for n in range(len(array))]
    expected = np.asarray(array).astype(np.float64)
    assert (expected.astype(np.float32) == expected).all()
    with_metadata: list[Any] = [{"n": n} for n in range(len(ids))]
    stores: list[Callable[[], None]] = [
        lambda: index.upsert(ids, array),
        lambda: index.upsert_binary(ids, array, metadata=with_metadata),
        lambda: index.upsert([{"id": i, "vector": vector} for i, vector in zip(ids, array, strict=True)]),
    ]
    for store in stores:
        index.upsert(ids, np.full((len(ids), 4), 99, dtype=np.float32))
        store()
        assert vectors_of(index, ids).tolist() == expected.tolist()


def test_float64_is_stored_as_the_nearest_float32(index: vecload.Index) -> None:
    values = [0.1, 1 / 3, 1e-45, 3.4028235677973362e38]
    index.upsert([{"id": "list", "vector": values}, {"id": "array", "vector": np.array(values)}])
    index.upsert(["column"], np.array([values]))
    expected = np.array(values).astype(np.float32).astype(np.float64).tolist()
    assert expected[2:] == [DENORMAL, float(np.finfo(np.float32).max)]
    assert vectors_of(index, ["list", "array", "column"]).tolist() == [expected] * 3


def test_numpy_texts_numbers_and_tuples_are_as_good(index: vecload.Index) -> None:
    index.upsert(np.array(["a", "b"]), TWO)  # type: ignore[call-overload]
    index.upsert(("c",), ONE)
    index.upsert([{"id": "d", "vector": (np.float32(1), np.int8(2), 3, 4.0)}])
    assert vectors_of(index, ["a", "d"]).tolist() == [[1, 1, 1, 1], [1, 2, 3, 4]]


def test_metadata_comes_back_equal_with_dates_as_epoch_milliseconds(index: vecload.Index) -> None:
    metadata = {
        "date": dt.date(2026, 1, 2),
        "naive": dt.datetime(2026, 1, 2, 3, 4, 5, 678_999),  # noqa: DTZ001 naive means UTC
        "aware": dt.datetime(2026, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        "old": dt.date(1969, 12, 31),
        "pair": (1, "two"),
        "large": 2**70,
        "nested": {"null": None, "yes": True},
    }
    index.upsert([{"id": "a", "vector": VECTOR, "metadata": metadata}])
    midnight = int(dt.datetime(2026, 1, 2, tzinfo=dt.UTC).timestamp()) * 1000
    assert index.get(["a"])[0]["metadata"] == {
        "date": midnight,
        "naive": midnight + 3 * 3_600_000 + 4 * 60_000 + 5_678,
        "aware": midnight + 3_600_000,
        "old": -86_400_000,
        "pair": [1, "two"],
        "large": 2**70,
        "nested": {"null": None, "yes": True},
    }


@pytest.mark.parametrize(
    "include", [(), ("vector",), ("metadata",), ("contents",), ("contents", "vector"), FIELDS]
)
def test_get_gives_the_fields_asked_for_of_every_item_there_is(
    index: vecload.Index, include: tuple[str, ...]
) -> None:
    whole = {
        "full": {"id": "full", "vector": VECTOR, "metadata": {"x": 1}, "contents": "text"},
        "bare": {"id": "bare", "vector": VECTOR, "metadata": {}, "contents": None},
        "told": {"id": "told", "vector": VECTOR, "metadata": {"y": 2}, "contents": None},
    }
    index.upsert([*whole.values()])
    asked = ["told", "missing", "full", "bare", "full"]
    expected = [
        {field: value for field, value in whole[item_id].items() if field == "id" or field in include}
        for item_id in asked
        if item_id in whole
    ]
    assert index.get(asked, include) == expected
    assert index.get(asked, iter(include)) == expected


def test_a_field_that_no_item_has_is_refused(index: vecload.Index) -> None:
    for include in (["vectors"], "vector", ["id"]):
        with pytest.raises(ValueError, match="vector, metadata"):
            index.get(["a"], include)


def test_query_gives_the_nearest_first_and_refuses_what_is_no_vector(index: vecload.Index) -> None:
    index.upsert(["x", "y", "z"], np.eye(3, 4))
    assert [hit["id"] for hit in index.query([0.1, 0.9, 0.3, 0], top_k=2)] == ["y", "z"]
    assert index.query(np.eye(4)[0])[0] == {"id": "x", "distance": 0.0, "metadata": {}}
    for wrong in ([1.0, 2.0], [[1.0, 2.0]], [[VECTOR]], [math.nan] * 4, [1e300] * 4, ["a"] * 4, None):
        with pytest.raises((ValueError, TypeError)) as caught:
            index.query(wrong)
        assert isinstance(caught.value, vecload.VecloadError)


def test_more_items_than_a_batch_holds_are_all_stored_in_order(index: vecload.Index) -> None:
    ids = [f"i{n}" for n in range(2500)]
    vectors = np.random.default_rng(0).standard_normal((2500, 4), dtype=np.float32)
    index.upsert_binary([*ids, "i0"], np.vstack([vectors, ONE]), contents=[*ids, "the last"])
    assert index.count() == 2500
    assert vectors_of(index, ids[1:]).tolist() == vectors[1:].astype(np.float64).tolist()
    assert [item["contents"] for item in index.get(["i0", "i2499"])] == ["the last", "i2499"]


def test_zero_vectors_are_stored_only_when_they_are_allowed(
    connection: vecload.Connection, index_name: str, key: bytes
) -> None:
    index = connection.create_index(index_name, key, dimension=4, allow_zero_vectors=True)
    index.upsert([{"id": "zero", "vector": [0, 0, 0, 0], "metadata": {"x": 1}}])
    assert index.count() == 1
    assert index.get(["zero"]) == [{"id": "zero", "vector": None, "metadata": {"x": 1}, "contents": None}]


def test_the_first_upsert_sets_the_dimension_that_the_next_must_have(
    connection: vecload.Connection, index_name: str, key: bytes
) -> None:
    index = connection.create_index(index_name, key)
    other = connection.open_index(index_name, key)
    index.upsert([{"id": "a", "vector": [1, 2, 3]}])
    for opened in (index, other):
        with pytest.raises(ValueError, match="3"):
            opened.upsert([{"id": "b", "vector": [1, 2, 3, 4]}])
    assert other.describe().dimension == 3


def test_contents_moved_to_another_item_do_not_open(
    connection: vecload.Connection, index_name: str, key: bytes
) -> None:
    unsealed = connection.create_index(index_name, key, dimension=4, seal=False)
    opened = vecload.Key(key)
    (sealed,) = Sealer(opened.contents_key, index_name).seal(["a"], ["secret"])
    unsealed.upsert([{"id": i, "vector": VECTOR, "contents": sealed} for i in ("a", "b")])
    assert unsealed.get(["a"])[0]["contents"] == "secret"
    with pytest.raises(vecload.SealError) as caught:
        unsealed.get(["a", "b"])
    assert "'b'" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_index_is_listed_and_deleted_with_its_key_only(
    connection: vecload.Connection, index: vecload.Index, index_name: str, key: bytes
) -> None:
    assert index_name in connection.list_indexes()
    with pytest.raises(vecload.WrongKey):
        connection.delete_index(index_name, os.urandom(32))
    with pytest.raises(vecload.IndexExists):
        connection.create_index(index_name, key)
    connection.delete_index(index_name, key)
    assert index_name not in connection.list_indexes()
    with pytest.raises(vecload.IndexNotFound):
        connection.open_index(index_name, key)


def test_nothing_that_is_shown_holds_a_key(
    connection: vecload.Connection, index: vecload.Index, location: str, index_name: str, key: bytes
) -> None:
    assert repr(index) == f"vecload.Index({index_name!r})"
    shown = repr(connection) + repr(vecload.Key(key)) + str(index.describe())
    assert key.hex() not in shown
    assert repr(key) not in shown
    assert location in repr(connection)


@pytest.mark.parametrize("top_k", [0, -1, True, 2.5, "3"])
def test_a_number_of_hits_that_would_end_the_engine_is_refused(embedded_folder: Path, top_k: Any) -> None:
    index = vecload.connect(embedded_folder).create_index("docs", bytes(range(32)), dimension=4)
    with pytest.raises(ValueError, match="top_k"):
        index.query([1, 2, 3, 4], top_k=top_k)


@pytest.mark.parametrize("dimension", [4.5, True, "4"])
def test_a_dimension_that_would_end_the_engine_is_refused(embedded_folder: Path, dimension: Any) -> None:
    with pytest.raises(vecload.IndexMismatch, match="whole number"):
        vecload.connect(embedded_folder).create_index("docs", bytes(range(32)), dimension=dimension)


@pytest.mark.parametrize("ids", ["doc1", [1], b"doc1"])
def test_get_takes_a_list_of_texts(embedded_folder: Path, ids: Any) -> None:
    index = vecload.connect(embedded_folder).create_index("docs", bytes(range(32)), dimension=4)
    with pytest.raises(TypeError, match="list of ids"):
        index.get(ids)


def test_metadata_fields_are_a_list_of_names(embedded_folder: Path) -> None:
    with pytest.raises(TypeError, match="not a list of names"):
        vecload.connect(embedded_folder).create_index("docs", bytes(range(32)), unfilterable="title")


def test_contents_that_were_not_sealed_are_told_apart_and_refused_on_request() -> None:
    target = MemoryTarget()
    key = vecload.Key(SOME_KEY, bytes(range(32, 64)))
    index = vecload.Index(target.create_index("docs", SOME_KEY, IndexSettings(dimension=4)), key)
    index.upsert([{"id": name, "vector": VECTOR, "contents": "sealed"} for name in ("a", "c")])
    index.upsert([{"id": "none", "vector": VECTOR}])
    unsealing = vecload.Index(target.open_index("docs", SOME_KEY), key, seal=False)
    unsealing.upsert([{"id": "b", "vector": VECTOR, "contents": "forged"}])

    got = index.get(["a", "b", "none"], ["contents", "sealed"])
    assert [(item["contents"], item["sealed"]) for item in got] == [
        ("sealed", True),
        ("forged", False),
        (None, None),
    ]
    assert index.get(["a", "b"], ["sealed"]) == [{"id": "a", "sealed": True}, {"id": "b", "sealed": False}]
    with pytest.raises(vecload.NotSealed, match="'b'"):
        index.get(["a", "b"], require_sealed=True)
    with pytest.raises(vecload.NotSealed):
        index.get(["b"], ["vector"], require_sealed=True)
    unopened: dict[str, vecload.SealError] = {}
    given = index.get(["c", "b", "a", "c"], require_sealed=True, unopened=unopened)
    assert [item["id"] for item in given] == ["c", "a", "c"]
    assert [*unopened] == ["b"]
    assert isinstance(unopened["b"], vecload.NotSealed)


def test_sealed_is_said_only_of_what_opens() -> None:
    target = MemoryTarget()
    index = vecload.Index(
        target.create_index("docs", SOME_KEY, IndexSettings(dimension=4)), vecload.Key(SOME_KEY, b"1" * 32)
    )
    index.upsert([{"id": "a", "vector": VECTOR, "contents": "sealed"}])
    other = vecload.Index(target.open_index("docs", SOME_KEY), vecload.Key(SOME_KEY, b"2" * 32))
    with pytest.raises(vecload.SealError, match="unknown key"):
        other.get(["a"], ["sealed"])
