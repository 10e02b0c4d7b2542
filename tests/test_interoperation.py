"""The official client reads what vecload wrote with seal=False, and the other way round."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from typing import Any

import cyborgdb
import numpy as np
import pytest

import vecload

IDS = ["a", "b/ż", "c d", "e"]
PATTERNS = [
    [0x15AE43FD, 0x80000000, 0x00000001, 0x7F7FFFFF],
    [0x3DCCCCCD, 0x3EAAAAAB, 0x3F800000, 0xC0490FDB],
    [0x00800000, 0xFF7FFFFF, 0x00000000, 0x42280000],
    [0x3F800000, 0x40000000, 0x40400000, 0x40800000],
]
VECTORS = np.array(PATTERNS, dtype=np.uint32).view(np.float32)
METADATA: list[Any] = [
    {"title": "Żółć 😀", "n": 7},
    None,
    {"deep": {"list": [1, 2.5, "x", None]}},
    {"n": 2**53 + 1},
]
CONTENTS: list[Any] = ["text, Żółć", b"\xff\x00bytes", None, "x" * 5000]
AS_TEXT = ["text, Żółć", base64.b64encode(b"\xff\x00bytes").decode(), "", "x" * 5000]


@pytest.fixture
def key() -> bytes:
    return os.urandom(32)


@pytest.fixture
def official(service: str) -> Iterator[cyborgdb.Client]:
    client = cyborgdb.Client(service)
    yield client
    client.api_client.rest_client.pool_manager.clear()


@pytest.fixture(params=["json", "binary"])
def connection(request: pytest.FixtureRequest, service: str) -> Iterator[vecload.Connection]:
    with vecload.connect(service, wire=request.param) as made:
        yield made


def test_the_official_client_reads_what_vecload_wrote(
    connection: vecload.Connection, official: cyborgdb.Client, index_name: str, key: bytes
) -> None:
    index = connection.create_index(index_name, key, dimension=4, metric="cosine", seal=False)
    index.upsert_binary(IDS, VECTORS, metadata=METADATA, contents=CONTENTS)
    theirs = official.load_index(index_name, key)
    assert (theirs.dimension, theirs.metric) == (4, "cosine")
    items = theirs.get(IDS)
    assert [item["id"] for item in items] == IDS
    assert np.array([item["vector"] for item in items], dtype=np.float32).tobytes() == VECTORS.tobytes()
    assert [item["metadata"] for item in items] == [value or {} for value in METADATA]
    assert [item["contents"] for item in items] == AS_TEXT
    assert sorted(theirs.list_ids()) == sorted(IDS)


@pytest.mark.parametrize("way", ["upsert", "upsert_binary"])
def test_vecload_reads_what_the_official_client_wrote(
    connection: vecload.Connection, official: cyborgdb.Client, index_name: str, key: bytes, way: str
) -> None:
    theirs = official.create_index(index_name, key, dimension=4, metric="euclidean")
    # Their JSON way gives float32 as its shortest text, and drops None; only what it says exactly is sent.
    vectors = VECTORS[1:] if way == "upsert" else VECTORS
    ids, metadata, contents = (column[-len(vectors) :] for column in (IDS, METADATA, CONTENTS))
    if way == "upsert_binary":
        theirs.upsert_binary(ids, vectors, metadata=[value or {} for value in metadata], contents=contents)
    else:
        items = [
            {"id": i, "vector": vector, "metadata": fields or {}, **({"contents": body} if body else {})}
            for i, vector, fields, body in zip(ids, vectors, metadata, contents, strict=True)
        ]
        theirs.upsert(items)
    for seal in (True, False):
        got = connection.open_index(index_name, key, seal=seal).get(ids)
        assert [item["id"] for item in got] == ids
        assert np.array([item["vector"] for item in got], dtype=np.float32).tobytes() == vectors.tobytes()
        assert [item["metadata"] for item in got] == [value or {} for value in metadata]
        assert [item["contents"] for item in got] == [text or None for text in AS_TEXT[-len(vectors) :]]


def test_both_write_into_one_index_and_find_each_other(
    connection: vecload.Connection, official: cyborgdb.Client, index_name: str, key: bytes
) -> None:
    ours = connection.create_index(index_name, key, dimension=4)
    theirs = official.load_index(index_name, key)
    ours.upsert([{"id": "ours", "vector": [1, 0, 0, 0], "metadata": {"by": "vecload"}, "contents": "sealed"}])
    theirs.upsert([{"id": "theirs", "vector": [0, 1, 0, 0], "metadata": {"by": "sdk"}, "contents": "plain"}])
    assert [hit["id"] for hit in theirs.query(query_vectors=[[0.9, 0, 0, 0]], top_k=1)] == ["ours"]
    assert [hit["id"] for hit in ours.query([0, 0.9, 0, 0], top_k=1)] == ["theirs"]
    assert [item["contents"] for item in ours.get(["ours", "theirs"])] == ["sealed", "plain"]
    (item,) = theirs.get(["ours"])
    assert item["metadata"] == {"by": "vecload"}
    assert item["contents"].startswith("VkxFMQE")
    theirs.delete(["ours"])
    assert ours.list_ids() == ["theirs"]


def test_an_item_replaced_by_the_official_client_is_replaced_whole(
    connection: vecload.Connection, official: cyborgdb.Client, index_name: str, key: bytes
) -> None:
    ours = connection.create_index(index_name, key, dimension=4)
    ours.upsert([{"id": "a", "vector": [1, 2, 3, 4], "metadata": {"x": 1}, "contents": "sealed"}])
    official.load_index(index_name, key).upsert(["a"], np.full((1, 4), 9, dtype=np.float32))
    assert ours.get(["a"]) == [{"id": "a", "vector": [9, 9, 9, 9], "metadata": {}, "contents": None}]
