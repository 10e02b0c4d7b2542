"""The quick flow of the official SDK's tests, with vecload's index, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cyborgdb
import numpy as np
import pytest

import vecload
from tests.sdk.conftest import BOTH, Connections

DIMENSION = 32
UNTRAINED, ALL = 2000, 12_000
TOP = 50
GENERATOR = np.random.default_rng(7)
VECTORS = GENERATOR.standard_normal((ALL, DIMENSION), dtype=np.float32)
QUERIES = GENERATOR.standard_normal((7, DIMENSION), dtype=np.float32)
METADATA: list[dict[str, Any]] = [
    {
        "owner": {"name": ["Ada", "Bob", "Cy"][n % 3], "pets_owned": n % 5},
        "age": n % 90,
        "tags": [f"t{n % 4}"],
    }
    for n in range(ALL)
]
FILTERS: list[tuple[dict[str, Any], Any]] = [
    ({"owner.name": "Ada"}, lambda row: row["owner"]["name"] == "Ada"),
    ({"age": {"$gte": 30, "$lt": 60}}, lambda row: 30 <= row["age"] < 60),
    ({"tags": {"$in": ["t1", "t3"]}}, lambda row: row["tags"][0] in ("t1", "t3")),
    (
        {"$and": [{"owner.pets_owned": {"$gt": 2}}, {"$or": [{"age": 7}, {"tags": "t2"}]}]},
        lambda row: row["owner"]["pets_owned"] > 2 and (row["age"] == 7 or row["tags"] == ["t2"]),
    ),
]


def nearest(query: Any, rows: range, wanted: Any = lambda row: True) -> list[str]:
    """The ids of the nearest of some rows."""
    candidates = np.array([n for n in rows if wanted(METADATA[n])])
    distances = np.linalg.norm(VECTORS[candidates].astype(np.float64) - query, axis=1)
    return [str(n) for n in candidates[np.argsort(distances, kind="stable")[:TOP]]]


@pytest.fixture(scope="module", params=BOTH)
def flow(
    request: pytest.FixtureRequest, connections: Connections
) -> Iterator[tuple[vecload.Index, Any, Any]]:
    """An index of 2000 items, with its connection and key."""
    connection = connections[request.param]
    index_key = cyborgdb.Client.generate_key()
    index = connection.create_index(
        index_name="quick-flow", index_key=index_key, dimension=DIMENSION, metric="euclidean"
    )
    index.upsert(
        [
            {"id": str(n), "vector": VECTORS[n], "metadata": METADATA[n], "contents": VECTORS[n].tobytes()}
            for n in range(UNTRAINED)
        ]
    )
    yield index, connection, index_key
    index.delete_index()
    assert "quick-flow" not in connection.list_indexes()


def test_the_target_is_healthy(connection: vecload.Connection) -> None:
    health = connection.get_health()
    assert health["status"] == "healthy"
    assert health["version"].startswith("0.18")


def test_an_index_says_what_it_is(flow: Any) -> None:
    index, connection, _ = flow
    assert index.index_name == "quick-flow"
    assert (index.dimension, index.metric, index.n_lists) == (DIMENSION, "euclidean", 1)
    assert (index.is_trained(), index.is_training(), index.metadata_schema, index.bm25) == (
        False,
        False,
        {},
        None,
    )
    assert "quick-flow" in connection.list_indexes()
    assert sorted(index.list_ids(), key=int) == [str(n) for n in range(UNTRAINED)]


def test_several_queries_give_a_list_of_lists(flow: Any) -> None:
    index, _, _ = flow
    expected = [nearest(query, range(UNTRAINED)) for query in QUERIES]
    for vectors in (
        QUERIES,
        QUERIES.tolist(),
        [*QUERIES],
        QUERIES.astype(np.float64),
        tuple(QUERIES.tolist()),
    ):
        results = index.query(query_vectors=vectors, top_k=TOP, n_probes=1)
        assert [[hit["id"] for hit in hits] for hits in results] == expected
    binary = index.query_binary(QUERIES, TOP, n_probes=1, include=["distance"])
    assert [[hit["id"] for hit in hits] for hits in binary] == expected
    assert {frozenset(hit) for hits in binary for hit in hits} == {frozenset({"id", "distance"})}


def test_one_query_gives_a_list(flow: Any) -> None:
    index, _, _ = flow
    expected = nearest(QUERIES[0], range(UNTRAINED))
    for vector in (QUERIES[0], QUERIES[0].tolist(), QUERIES[:1], [QUERIES[0].tolist()], [QUERIES[0]]):
        hits = index.query(query_vectors=vector, top_k=TOP)
        assert [hit["id"] for hit in hits] == expected
        assert [hit["distance"] for hit in hits] == sorted(hit["distance"] for hit in hits)
    assert index.query(vector=QUERIES[0], top_k=1) == index.query(QUERIES[0], None, 1)


def test_several_vectors_find_what_each_finds_alone(connection: vecload.Connection, index_name: str) -> None:
    index = connection.create_index(index_name, bytes(range(32)), dimension=384)
    vectors = GENERATOR.standard_normal((150, 384), dtype=np.float32)
    index.upsert([str(n) for n in range(150)], vectors)
    several = index.query(vectors, top_k=3)
    assert [hits[0]["id"] for hits in several] == [str(n) for n in range(150)]
    assert [index.query(vector, top_k=3) for vector in vectors] == several


def test_a_query_returns_100_items_unless_told_otherwise(flow: Any) -> None:
    index, _, _ = flow
    assert len(index.query(QUERIES[0])) == 100
    assert [len(hits) for hits in index.query(QUERIES, top_k=None)] == [100] * len(QUERIES)


def test_results_have_what_is_included(flow: Any) -> None:
    index, _, _ = flow
    (hit,) = index.query(VECTORS[5], top_k=1)
    assert hit == {"id": "5", "distance": 0.0, "metadata": METADATA[5]}
    for include in ([], ["distance"], ["metadata"], ("metadata", "distance")):
        assert index.query(VECTORS[5], top_k=1, include=include) == [
            {name: hit[name] for name in ("id", *include)}
        ]


@pytest.mark.parametrize("number", range(len(FILTERS)))
def test_filters_choose_among_items(flow: Any, number: int) -> None:
    index, _, _ = flow
    filters, wanted = FILTERS[number]
    results = index.query(query_vectors=QUERIES, top_k=TOP, n_probes=1, filters=filters)
    assert [[hit["id"] for hit in hits] for hits in results] == [
        nearest(query, range(UNTRAINED), wanted) for query in QUERIES
    ]
    found = {hit["id"] for hit in index.query_metadata(filters)}
    assert found == {str(n) for n in range(UNTRAINED) if wanted(METADATA[n])}


def test_get_gives_items_in_the_order_of_the_ids(flow: Any) -> None:
    index, _, _ = flow
    chosen = GENERATOR.choice(UNTRAINED, 300, replace=False)
    items = index.get(ids=chosen.astype(str), include=["vector", "contents", "metadata"])
    assert [item["id"] for item in items] == [str(n) for n in chosen]
    for n, item in zip(chosen, items, strict=True):
        assert item["vector"] == VECTORS[n].tolist()
        assert (item["metadata"], item["contents"]) == (METADATA[n], VECTORS[n].tobytes())


def test_another_connection_finds_the_same(flow: Any) -> None:
    _, connection, index_key = flow
    loaded = connection.load_index(index_name="quick-flow", index_key=index_key)
    assert sorted(loaded.list_ids(), key=int) == [str(n) for n in range(UNTRAINED)]
    assert [hit["id"] for hit in loaded.query(QUERIES[0], top_k=TOP)] == nearest(QUERIES[0], range(UNTRAINED))
    with pytest.raises(vecload.WrongKey):
        connection.load_index("quick-flow", bytes(range(1, 33)))


def test_an_index_is_trained_and_items_are_deleted(connection: vecload.Connection, index_name: str) -> None:
    index = connection.create_index(index_name, connection.generate_key(), dimension=DIMENSION)
    index.upsert(ids=[str(n) for n in range(ALL)], vectors=VECTORS)
    index.train(n_lists=40, batch_size=512, max_iters=20, tolerance=1e-4, max_memory=0)
    assert (index.is_trained(), index.is_training(), index.n_lists) == (True, False, 40)
    assert index.count() == ALL

    results = index.query(query_vectors=VECTORS[:20], top_k=10, n_probes=40)
    assert [hits[0]["id"] for hits in results] == [str(n) for n in range(20)]
    assert (
        len(index.query(QUERIES[0], top_k=150, n_probes=np.int64(40), greedy=np.True_, rerank_mult=10)) == 150
    )
    with pytest.raises(ValueError, match="top_k 201 times rerank_mult 50 is above 10000"):
        index.query(QUERIES[0], top_k=201)

    index.delete(["0", "1", "not there"])
    index.delete(ids=np.array(["2"]))
    index.delete([])
    assert index.count() == ALL - 3
    assert [item["id"] for item in index.get(["0", "1", "2", "3"], [])] == ["3"]
    assert "0" not in [hit["id"] for hit in index.query(VECTORS[0], top_k=10)]
    index.delete_index()
    assert index_name not in connection.list_indexes()


def test_a_few_items_are_not_trained_and_that_is_no_error(
    connection: vecload.Connection, index_name: str
) -> None:
    index = connection.create_index(index_name, bytes(range(32)), dimension=4)
    index.upsert(["a"], [[1, 2, 3, 4]])
    index.train()
    index.train(n_lists=0)
    assert (index.is_trained(), index.n_lists) == (False, 1)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("n_lists", -1),
        ("n_lists", 65_536),
        ("n_lists", 1.5),
        ("n_lists", True),
        ("batch_size", -1),
        ("batch_size", 2**31),
        ("max_iters", 0),
        ("max_iters", 2**32),
        ("max_memory", -1),
        ("max_memory", "1"),
        ("tolerance", -1),
        ("tolerance", float("nan")),
        ("tolerance", float("inf")),
        ("tolerance", "x"),
    ],
)
def test_what_a_training_does_not_take_is_refused_before_it(
    connections: Connections, argument: str, value: Any
) -> None:
    said = set()
    for engine, connection in connections.items():
        name = f"untrained-{argument}-{value}".replace("/", "")
        index = connection.create_index(name, bytes(range(32)), dimension=4)
        with pytest.raises((ValueError, TypeError), match=argument) as caught:
            index.train(**{argument: value})
        assert isinstance(caught.value, vecload.VecloadError), engine
        said.add(str(caught.value))
    assert len(said) == 1


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_keys_of_the_sdk_are_keys_here(connection: vecload.Connection, index_name: str, kind: Any) -> None:
    key = kind(cyborgdb.Client.generate_key())
    connection.create_index(index_name=index_name, index_key=key).upsert(["a"], [[1.0, 2.0]])
    assert connection.open_index(name=index_name, key=key).count() == 1
    assert vecload.connect(connection.location).load_index(index_name, bytes(key)).list_ids() == ["a"]
    with pytest.raises(TypeError, match="index_name is given twice"):
        connection.load_index(index_name, key, name=index_name)
    with pytest.raises(vecload.VecloadError, match=r"needs (its|the) index key"):
        connection.load_index(index_name)
    connection.delete_index(index_name=index_name, index_key=key)
