"""The contract of a target: whatever holds vectors for vecload keeps all of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vecload.batch import Batch, Contents, Metadata, Span
from vecload.errors import (
    BatchRefused,
    ConnectionClosed,
    IndexExists,
    IndexKeyNeeded,
    IndexMismatch,
    IndexNotFound,
    TrainingFailed,
    VecloadError,
    WrongKey,
)
from vecload.targets import (
    Hit,
    IndexSettings,
    MetadataQuery,
    Query,
    StoredItem,
    Target,
    TargetIndex,
    Training,
)
from vecload.targets.embedded import EmbeddedTarget
from vecload.targets.memory import MemoryTarget
from vecload.targets.service import ServiceTarget

ALL = ("vector", "metadata", "contents")


def batch(
    ids: list[str],
    vectors: Any,
    metadata: list[Metadata | None] | None = None,
    contents: list[Contents | None] | None = None,
) -> Batch:
    array = None if vectors is None else np.ascontiguousarray(vectors, dtype=np.float32)
    return Batch(ids, array, metadata, contents, Span("rows", 0, len(ids)))


def numbers(n: int, dim: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)


def bits(vector: Any) -> list[int]:
    assert vector is not None
    assert vector.dtype == np.float32
    return np.asarray(vector).view(np.uint32).tolist()


def only(index: TargetIndex, item_id: str) -> StoredItem:
    (item,) = index.get([item_id], ALL)
    return item


@pytest.fixture(params=["memory", "embedded", "service-json", "service-binary"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    kind, _, wire = str(request.param).partition("-")
    made: Target
    if kind == "memory":
        made = MemoryTarget()
    elif kind == "embedded":
        made = EmbeddedTarget(tmp_path / "store")
    else:
        made = ServiceTarget(
            request.getfixturevalue("service"), wire="binary" if wire == "binary" else "json"
        )
    with made:
        yield made


@pytest.fixture
def key() -> bytes:
    return os.urandom(32)


@pytest.fixture
def index(target: Target, index_name: str, key: bytes) -> Iterator[TargetIndex]:
    made = target.create_index(index_name, key, IndexSettings(dimension=4))
    yield made
    # The service keeps eight threads busy for each index that it has open.
    with suppress(VecloadError):
        made.drop()


def test_without_its_index_key_an_index_does_not_open(
    target: Target, index: TargetIndex, new_name: Callable[[], str]
) -> None:
    assert (index.opened_by, index.permissions()) == ("index key", {"read", "write"})
    with pytest.raises(IndexKeyNeeded):
        target.open_index(index.name, None)
    with pytest.raises(IndexNotFound):
        target.open_index(new_name(), None)
    with pytest.raises(IndexKeyNeeded):
        target.create_index(new_name(), None, IndexSettings(dimension=4))
    with pytest.raises(IndexMismatch):
        target.create_index(new_name(), None, IndexSettings(dimension=4, kms=""))


def test_vectors_come_back_bit_for_bit(index: TargetIndex) -> None:
    hard = [
        [0x15AE43FD, 0x80000000, 0x00000000, 0x3F800000],  # shortest text reads back as its neighbour; -0.0
        [0x00000001, 0x80000001, 0x007FFFFF, 0x00800000],  # denormals, the smallest normal
        [0x7F7FFFFF, 0xFF7FFFFF, 0x3DCCCCCD, 0x34000000],  # the largest, 0.1, an epsilon
    ]
    vectors = np.array(hard, dtype=np.uint32).view(np.float32)
    index.upsert(batch(["a", "b", "c"], vectors))
    assert [bits(item.vector) for item in index.get(["a", "b", "c"], ["vector"])] == hard


def test_vectors_beside_metadata_and_contents_come_back_bit_for_bit(index: TargetIndex) -> None:
    patterns = np.random.default_rng(1).integers(0, 2**32, (64, 4), dtype=np.uint32)
    patterns[~np.isfinite(patterns.view(np.float32))] = 0x15AE43FD
    ids = [f"i{n}" for n in range(64)]
    index.upsert(batch(ids, patterns.view(np.float32), [{"n": n} for n in range(64)], ["text"] * 64))
    assert [bits(item.vector) for item in index.get(ids, ALL)] == patterns.tolist()


def test_metadata_comes_back_equal(index: TargetIndex) -> None:
    metadata: list[Metadata | None] = [
        {"title": 'Żółć 😀 \u0000 "quoted" \\ \u2028', "": "empty name", "dotted.name": 1, "$dollar": 2},
        {"nested": {"list": [1, [2.5, {"deep": None}], "x", True, False], "empty": {}, "none": []}},
        {"large": 2**70, "negative": -(2**70), "edge": 2**63, "unsigned": 2**64 - 1, "float": 5e-324},
        {"null": None, "minus zero": -0.0, "tenth": 0.1},
        {},
        None,
    ]
    ids = [f"m{n}" for n in range(len(metadata))]
    index.upsert(batch(ids, numbers(len(ids)), metadata))
    got = [item.metadata for item in index.get(ids, ALL)]
    assert got == [value or {} for value in metadata]
    assert str(got[3]["minus zero"]) == "-0.0"
    assert isinstance(got[2]["large"], int)


def test_contents_come_back_as_their_text(index: TargetIndex) -> None:
    contents: list[Contents | None] = ["plain", "Żółć 😀\n\ttabs \u0000 end", " ", "x" * 100_000, None, ""]
    ids = [f"c{n}" for n in range(len(contents))]
    index.upsert(batch(ids, numbers(len(ids)), None, contents))
    assert [item.contents for item in index.get(ids, ALL)] == [value or None for value in contents]


def test_bytes_contents_come_back_as_the_base64_text_of_the_official_sdk(index: TargetIndex) -> None:
    index.upsert(batch(["b"], numbers(1), None, [b"\xff\x00bytes"]))
    assert only(index, "b").contents == "/wBieXRlcw=="


def test_deleted_items_are_gone_and_others_stay(index: TargetIndex) -> None:
    ids = [f"d{n}" for n in range(6000)]
    index.upsert(batch(ids, numbers(len(ids))))
    index.delete([*ids[:5500], "never there"])
    assert sorted(index.list_ids()) == sorted(ids[5500:])
    assert index.get(ids[:1], []) == []
    index.delete([])
    assert index.count() == 500


def test_an_upsert_replaces_the_whole_item(index: TargetIndex) -> None:
    index.upsert(batch(["a", "b"], numbers(2), [{"x": 1}, {"x": 2}], ["one", "two"]))
    later = numbers(1, seed=9)
    index.upsert(batch(["a"], later))
    assert index.count() == 2
    replaced = only(index, "a")
    assert bits(replaced.vector) == bits(later[0])
    assert (replaced.metadata, replaced.contents) == ({}, None)
    assert (only(index, "b").metadata, only(index, "b").contents) == ({"x": 2}, "two")


def test_an_upsert_sent_again_changes_nothing(index: TargetIndex) -> None:
    sent = batch(["a", "b"], numbers(2), [{"x": 1}, None], [None, "two"])
    index.upsert(sent)
    index.upsert(sent)
    assert index.count() == 2
    assert only(index, "a").metadata == {"x": 1}


def test_the_last_row_of_an_id_in_one_batch_wins(index: TargetIndex) -> None:
    vectors = numbers(5)
    index.upsert(
        batch(["a", "b", "a", "c", "a"], vectors, [{"n": n} for n in range(5)], [f"t{n}" for n in range(5)])
    )
    assert index.count() == 3
    last = only(index, "a")
    assert bits(last.vector) == bits(vectors[4])
    assert (last.metadata, last.contents) == ({"n": 4}, "t4")


def test_the_last_row_of_an_id_wins_in_a_batch_of_vectors_alone(index: TargetIndex) -> None:
    vectors = numbers(3)
    index.upsert(batch(["a", "b", "a"], vectors))
    assert index.count() == 2
    assert bits(only(index, "a").vector) == bits(vectors[2])


def test_get_keeps_the_order_asked_for_and_leaves_out_what_is_not_there(index: TargetIndex) -> None:
    index.upsert(batch([f"i{n}" for n in range(20)], numbers(20)))
    asked = ["i7", "missing", "i0", "i19", "", "i3"]
    assert [item.id for item in index.get(asked, ALL)] == ["i7", "i0", "i19", "i3"]
    assert index.get([], ALL) == []


def test_get_gives_only_what_was_asked_for(index: TargetIndex) -> None:
    vectors = numbers(1)
    index.upsert(batch(["a"], vectors, [{"x": 1}], ["text"]))
    (vector,) = index.get(["a"], ["vector"])
    assert (bits(vector.vector), vector.metadata, vector.contents) == (bits(vectors[0]), {}, None)
    (metadata,) = index.get(["a"], ["metadata"])
    assert (metadata.vector, metadata.metadata, metadata.contents) == (None, {"x": 1}, None)
    (contents,) = index.get(["a"], ["contents"])
    assert (contents.vector, contents.metadata, contents.contents) == (None, {}, "text")


def test_get_for_nothing_tells_which_items_exist(index: TargetIndex) -> None:
    index.upsert(batch(["a", "b"], numbers(2)))
    assert [item.id for item in index.get(["a", "missing", "b"], [])] == ["a", "b"]


def test_more_items_than_one_request_asks_for_are_got(index: TargetIndex) -> None:
    ids = [f"i{n}" for n in range(1201)]
    vectors = numbers(1201)
    index.upsert(batch(ids, vectors))
    got = index.get(ids[::-1], ["vector"])
    assert [item.id for item in got] == ids[::-1]
    assert [bits(item.vector) for item in got] == vectors.view(np.uint32)[::-1].tolist()


def test_ids_of_any_text_are_kept_apart(index: TargetIndex) -> None:
    ids = [
        "with space",
        " leading and trailing ",
        "a/b/../c",
        "per%2Fcent",
        'quote"back\\slash',
        "caf\u00e9",
        "cafe\u0301",
        "😀",
        "nul\0in",
        "line\nbreak\r\t",
        "\u2028",
        "0",
        "00",
        "A",
        "a",
        "ż" * 2048,
    ]
    vectors = numbers(len(ids))
    index.upsert(batch(ids, vectors))
    assert sorted(index.list_ids()) == sorted(ids)
    got = index.get(ids, ["vector"])
    assert [item.id for item in got] == ids
    assert [bits(item.vector) for item in got] == vectors.view(np.uint32).tolist()


def test_count_and_list_ids_tell_what_is_in(index: TargetIndex) -> None:
    assert (index.count(), index.list_ids()) == (0, [])
    index.upsert(batch(["a", "b", "c"], numbers(3)))
    assert index.count() == 3
    assert sorted(index.list_ids()) == ["a", "b", "c"]


def test_query_finds_the_nearest_first(index: TargetIndex) -> None:
    index.upsert(batch(["x", "y", "z"], np.eye(3, 4), [{"axis": "x"}, {"axis": "y"}, None]))
    hits = index.query(Query(np.array([[0.1, 0.9, 0.05, 0]], dtype=np.float32), 2))[0]
    assert [hit.id for hit in hits] == ["y", "x"]
    assert (hits[0].distance or 0) < (hits[1].distance or 0)
    assert hits[0].metadata == {"axis": "y"}


def test_several_queries_have_their_hits_apart_with_what_is_included(index: TargetIndex) -> None:
    index.upsert(batch(["x", "y", "z"], np.eye(3, 4), [{"axis": "x"}, {"axis": "y"}, None]))
    vectors = np.array([[0, 0, 2, 0], [0, 2, 0, 0]], dtype=np.float32)
    assert index.query(Query(vectors, 1, include=())) == [[Hit("z")], [Hit("y")]]
    (first,), (second,) = index.query(Query(vectors, 1))
    assert (first.distance, second.distance) == (1.0, 1.0)
    assert (first.metadata or {}, second.metadata) == ({}, {"axis": "y"})
    assert (first.score, second.score) == (None, None)
    assert sorted(hit.id for hit in index.query_metadata(MetadataQuery())) == ["x", "y", "z"]
    assert len(index.query_metadata(MetadataQuery(top_k=2))) == 2


def test_a_target_says_that_it_is_healthy_and_trains_nothing(target: Target, index: TargetIndex) -> None:
    assert target.health()["status"] == "healthy"
    assert not index.is_training()
    index.train(Training(n_lists=2))
    assert not index.describe().trained


def test_describe_tells_the_settings(target: Target, index_name: str, key: bytes) -> None:
    settings = IndexSettings(
        dimension=8, metric="cosine", unfilterable=("raw",), pattern=("code",), full_text=("body.text",)
    )
    info = target.create_index(index_name, key, settings).describe()
    assert (info.name, info.dimension, info.metric, info.trained) == (index_name, 8, "cosine", False)
    assert {name: dict(policy) for name, policy in info.metadata_schema.items()} == settings.metadata_schema()


def test_the_first_upsert_sets_a_dimension_that_was_left_open(
    target: Target, index_name: str, key: bytes
) -> None:
    index = target.create_index(index_name, key, IndexSettings())
    assert (index.describe().dimension, index.describe().metric) == (0, "euclidean")
    index.upsert(batch(["a"], numbers(1, dim=7)))
    assert index.describe().dimension == 7


def test_an_index_opened_before_its_dimension_was_set_learns_of_it(
    target: Target, index_name: str, key: bytes
) -> None:
    first = target.create_index(index_name, key, IndexSettings())
    early, idle = target.open_index(index_name, key), target.open_index(index_name, key)
    vectors = numbers(2, dim=3)
    first.upsert(batch(["a"], vectors[:1]))
    with pytest.raises(BatchRefused):
        early.upsert(batch(["x"], numbers(1, dim=4)))
    assert idle.describe().dimension == 3
    early.upsert(batch(["b"], vectors[1:]))
    for index in (first, early, idle):
        got = index.get(["a", "b", "x"], ["vector"])
        assert [bits(item.vector) for item in got] == vectors.view(np.uint32).tolist()


def test_an_acknowledgement_tells_how_many_items_were_taken(index: TargetIndex) -> None:
    ack = index.upsert(batch(["a", "b", "a"], numbers(3), [{"x": 1}, None, None]))
    assert ack.items == 3
    assert ack.nbytes > 0
    assert sum(ack.requests.values()) <= 1


def test_a_batch_of_another_dimension_is_refused_whole(index: TargetIndex) -> None:
    index.upsert(batch(["a"], numbers(1)))
    for refused in (batch(["b", "c"], numbers(2, dim=5)), batch(["b"], numbers(1, dim=3), [{"x": 1}])):
        with pytest.raises(BatchRefused) as caught:
            index.upsert(refused)
        assert caught.value.splittable
        assert not caught.value.retryable
    assert index.list_ids() == ["a"]


def test_a_batch_without_vectors_is_refused_where_the_index_embeds_nothing(index: TargetIndex) -> None:
    with pytest.raises(IndexMismatch, match=r"has no embedding model.*vector"):
        index.upsert(batch(["a"], None, None, ["text"]))
    assert index.count() == 0


def test_an_index_opened_again_has_what_was_stored(target: Target, index_name: str, key: bytes) -> None:
    vectors = numbers(2)
    target.create_index(index_name, key, IndexSettings(dimension=4)).upsert(batch(["a", "b"], vectors))
    opened = target.open_index(index_name, key)
    assert opened.name == index_name
    assert [bits(item.vector) for item in opened.get(["a", "b"], ALL)] == vectors.view(np.uint32).tolist()


def test_creating_an_index_that_exists_is_refused_and_leaves_it_untouched(
    target: Target, index: TargetIndex, index_name: str, key: bytes
) -> None:
    index.upsert(batch(["a"], numbers(1)))
    for other_key in (key, os.urandom(32)):
        with pytest.raises(IndexExists, match=index_name) as caught:
            target.create_index(index_name, other_key, IndexSettings(dimension=9))
        assert caught.value.exit_code == 2
    assert index.describe().dimension == 4
    assert [item.id for item in target.open_index(index_name, key).get(["a"], ALL)] == ["a"]


def test_opening_an_index_that_is_not_there_is_told(target: Target, index_name: str, key: bytes) -> None:
    with pytest.raises(IndexNotFound) as caught:
        target.open_index(index_name, key)
    assert caught.value.exit_code == 2
    assert index_name not in target.list_indexes()


def test_the_wrong_key_is_told_however_often_and_from_wherever_it_is_tried(
    target: Target, index: TargetIndex, index_name: str, key: bytes
) -> None:
    index.upsert(batch(["a"], numbers(1)))
    wrong = os.urandom(32)

    def attempt(number: int) -> None:
        target.open_index(
            index_name, key
        )  # warms the service's thread, which then words its refusal otherwise
        with pytest.raises(WrongKey) as caught:
            target.open_index(index_name, wrong)
        assert caught.value.exit_code == 6
        assert wrong.hex() not in str(caught.value) + repr(caught.value)

    with pytest.raises(WrongKey):
        target.open_index(index_name, wrong)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(attempt, range(24)))
    assert index.list_ids() == ["a"]


def test_a_dropped_index_is_gone_and_its_name_is_free(
    target: Target, index: TargetIndex, index_name: str
) -> None:
    index.upsert(batch(["a"], numbers(1)))
    assert index_name in target.list_indexes()
    index.drop()
    assert index_name not in target.list_indexes()
    other_key = os.urandom(32)
    with pytest.raises(IndexNotFound):
        target.open_index(index_name, other_key)
    assert target.create_index(index_name, other_key, IndexSettings(dimension=2)).count() == 0


def test_a_target_that_is_there_is_healthy(target: Target) -> None:
    assert target.healthy()


def test_indexes_are_listed_by_name(target: Target, new_name: Callable[[], str], key: bytes) -> None:
    names = [f"{new_name()} ä.B_c", new_name()]
    for name in names:
        target.create_index(name, key, IndexSettings(dimension=4))
    listed = target.list_indexes()
    assert set(names) <= set(listed)
    assert listed == sorted(listed)


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a/b", "../x", ".", "..", "nul\0", "default", "x" * 201, "é" * 101, "\ud800"]
)
def test_a_name_that_would_harm_is_refused(target: Target, name: str, key: bytes) -> None:
    with pytest.raises(IndexMismatch) as caught:
        target.create_index(name, key, IndexSettings(dimension=4))
    assert caught.value.hint


def test_a_name_of_the_longest_size_works(target: Target, new_name: Callable[[], str], key: bytes) -> None:
    name = new_name().ljust(200, "x")
    target.create_index(name, key, IndexSettings(dimension=4)).upsert(batch(["a"], numbers(1)))
    assert target.open_index(name, key).count() == 1


@pytest.mark.parametrize(
    "settings",
    [
        IndexSettings(dimension=0),
        IndexSettings(dimension=65536),
        IndexSettings(dimension=4, pattern=("a",), full_text=("a",)),
        IndexSettings(dimension=4, metric="dot"),  # type: ignore[arg-type]
        IndexSettings(dimension=4, storage_precision="float8"),  # type: ignore[arg-type]
    ],
)
def test_settings_that_cannot_be_had_make_no_index(
    target: Target, index_name: str, key: bytes, settings: IndexSettings
) -> None:
    with pytest.raises(IndexMismatch):
        target.create_index(index_name, key, settings)
    assert index_name not in target.list_indexes()


def test_two_threads_may_upsert_at_once(index: TargetIndex) -> None:
    vectors = numbers(400)
    ids = [f"i{n}" for n in range(400)]
    together = threading.Barrier(2)

    def load(half: int) -> int:
        together.wait(30)
        return sum(
            index.upsert(
                batch(ids[start : start + 20], vectors[start : start + 20], [{"start": start}] * 20)
            ).items
            for start in range(half * 200, half * 200 + 200, 20)
        )

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(load, (0, 1))) == [200, 200]
    assert index.count() == 400
    got = index.get(ids, ALL)
    assert [bits(item.vector) for item in got] == vectors.view(np.uint32).tolist()
    assert [item.metadata["start"] for item in got] == [n // 20 * 20 for n in range(400)]


@pytest.mark.parametrize("target", ["embedded", "service-binary"], indirect=True)
def test_a_training_that_fails_is_an_error_and_takes_nothing_away(
    target: Target, index_name: str, key: bytes
) -> None:
    # The engine trains no dimension that is not a multiple of 32; the service says so with HTTP 200.
    index = target.create_index(index_name, key, IndexSettings(dimension=33))
    rows = 10_000
    index.upsert(batch([f"i{n}" for n in range(rows)], numbers(rows, 33)))
    with pytest.raises(TrainingFailed, match="the index was not trained"):
        index.train()
    assert not index.describe().trained
    assert index.count() == rows
    index.drop()


@pytest.mark.parametrize(
    "call",
    [
        lambda _, index: index.describe(),
        lambda _, index: index.upsert(batch(["a"], numbers(1))),
        lambda _, index: index.get(["a"], ALL),
        lambda _, index: index.query(Query(numbers(1), 1)),
        lambda _, index: index.query_metadata(MetadataQuery()),
        lambda _, index: index.is_training(),
        lambda target, _: target.health(),
        lambda _, index: index.count(),
        lambda _, index: index.list_ids(),
        lambda _, index: index.train(),
        lambda _, index: index.drop(),
        lambda target, _: target.list_indexes(),
        lambda target, _: target.create_index("another", bytes(range(32)), IndexSettings()),
        lambda target, _: target.open_index("another", bytes(range(32))),
    ],
    ids=[
        "describe",
        "upsert",
        "get",
        "query",
        "query_metadata",
        "is_training",
        "health",
        "count",
        "list_ids",
        "train",
        "drop",
        "list",
        "create",
        "open",
    ],
)
def test_a_closed_target_and_its_indexes_say_that_they_are_closed(
    target: Target, index_name: str, key: bytes, call: Callable[[Target, TargetIndex], object]
) -> None:
    index = target.create_index(index_name, key, IndexSettings(dimension=4))
    target.close()
    target.close()
    with pytest.raises(ConnectionClosed, match=r"the connection to .+ is closed; connect again") as caught:
        call(target, index)
    assert (caught.value.exit_code, caught.value.retryable, caught.value.splittable) == (1, False, False)
    assert target.location in str(caught.value)
    assert not target.healthy()


def test_the_ids_of_a_sample_are_all_or_as_many_as_asked_for(index: TargetIndex) -> None:
    assert index.sample_ids(10) == []
    ids = [f"i{n}" for n in range(60)]
    index.upsert(batch(ids[:30], numbers(30)))
    index.upsert(batch(ids[30:], numbers(30), [{"n": n} for n in range(30)], ["text"] * 30))
    assert sorted(index.sample_ids(60)) == sorted(index.sample_ids(1000)) == sorted(ids)
    some = index.sample_ids(17)
    assert (len(some), len({*some}), {*some} <= {*ids}) == (17, 17, True)
    index.delete(ids[:50])
    assert sorted(index.sample_ids(60)) == sorted(ids[50:])


@pytest.mark.parametrize("trained", [False, True])
def test_a_sample_favours_neither_old_nor_new_items_nor_those_with_contents(
    target: Target, index_name: str, key: bytes, trained: bool
) -> None:
    index = target.create_index(index_name, key, IndexSettings(dimension=32))
    old, new = [f"o{n:05}" for n in range(6000)], [f"n{n:05}" for n in range(6000)]
    for start in range(0, 6000, 2000):
        index.upsert(batch(old[start : start + 2000], numbers(2000, 32, start), None, ["text"] * 2000))
    for start in range(0, 6000, 2000):
        index.upsert(batch(new[start : start + 2000], numbers(2000, 32, start + 1)))
    if trained:
        index.train()
    sample = index.sample_ids(1000)
    index.drop()
    assert len({*sample}) == 1000
    # Half of them are new; 400 or fewer would be six standard deviations away.
    assert 400 < sum(item_id.startswith("n") for item_id in sample) < 600
    assert 400 < sum(int(item_id[1:]) < 3000 for item_id in sample) < 600


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"n": 1}, "ae"),
        ({"n": 1.0}, "ae"),
        ({"n": True}, ""),
        ({"n": "1"}, "c"),
        ({"n": {"$gt": 1}}, "b"),
        ({"n": {"$in": [1, 2]}}, "abe"),
        ({"n": {"$ne": 1}}, "bc"),
        ({"n": {"$exists": False}}, "d"),
        ({"$or": [{"n": 2}, {"in.side": "x"}]}, "ab"),
        ({"$and": [{"n": 1}, {"in.side": "x"}]}, "a"),
        ({"$not": {"n": 1}}, "bcd"),
        ({"n": 1, "absent": 1}, ""),
    ],
)
def test_the_ids_of_items_whose_metadata_matches_are_listed(
    index: TargetIndex, filters: dict[str, Any], found: str
) -> None:
    metadata: list[Metadata | None] = [{"n": 1, "in": {"side": "x"}}, {"n": 2}, {"n": "1"}, None, {"n": 1}]
    vectors = numbers(5)
    vectors[4] = 0.0  # which get hides
    index.upsert(batch([*"abcde"], vectors, metadata))
    assert sorted(index.ids_where(filters)) == [*found]


def test_all_matching_ids_are_listed_however_many_there_are(index: TargetIndex) -> None:
    ids = [f"d{n}" for n in range(12_000)]
    index.upsert(batch(ids, numbers(len(ids)), [{"even": n % 2 == 0} for n in range(len(ids))]))
    assert sorted(index.ids_where({"even": True})) == sorted(ids[::2])


def test_a_filter_with_an_operator_that_does_not_exist_is_refused(index: TargetIndex) -> None:
    index.upsert(batch(["a"], numbers(1), [{"n": 1}]))
    with pytest.raises(BatchRefused, match="operator"):
        index.ids_where({"n": {"$near": 1}})
