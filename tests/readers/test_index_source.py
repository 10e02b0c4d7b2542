"""An index as a source: every item is a row, also what the engine hides; what can't be a row is a reject."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vecload.batch import Batch, Contents, Metadata, Span
from vecload.errors import SourceError, Unreachable, VecloadError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice, Mapper
from vecload.readers.index_source import MAPPING, IndexSource
from vecload.readers.prefetch import batches
from vecload.readers.storage.files import located, spelled
from vecload.sealing import Opener, Sealer, generate_key
from vecload.targets import IndexSettings, Target, TargetIndex
from vecload.targets.embedded import EmbeddedTarget
from vecload.targets.service import ServiceTarget

KEY = generate_key()


@pytest.fixture(params=["embedded", "service"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    made: Target
    if request.param == "embedded":
        made = EmbeddedTarget(tmp_path / "store")
    else:
        made = ServiceTarget(request.getfixturevalue("service"))
    with made:
        yield made


@pytest.fixture
def index(target: Target, index_name: str) -> Iterator[TargetIndex]:
    made = target.create_index(index_name, KEY.index_key, IndexSettings(dimension=4))
    yield made
    with suppress(VecloadError):
        made.drop()


def store(
    index: TargetIndex,
    ids: list[str],
    vectors: Any,
    metadata: list[Metadata | None] | None = None,
    contents: list[Contents | None] | None = None,
    *,
    seal: bool = True,
    sealer: Sealer | None = None,
) -> None:
    if contents is not None and seal:
        contents = [*(sealer or Sealer(KEY.contents_key, index.name)).seal(ids, contents)]
    index.upsert(
        Batch(
            ids, np.ascontiguousarray(vectors, dtype=np.float32), metadata, contents, Span("r", 0, len(ids))
        )
    )


def source_of(index: TargetIndex, **options: Any) -> IndexSource:
    options.setdefault("opener", Opener(KEY.opening_keys, index.name))
    return IndexSource(index, "somewhere", **options)


def read(source: IndexSource, *, rows: int = 1000, done: Any = ()) -> list[Batch]:
    mapper = Mapper(MAPPING, source.dimension, allow_zero_vectors=True)
    return [*batches(source, mapper, batch_rows=rows, batch_bytes=2**20, done=done)]


def items(found: list[Batch]) -> list[tuple[str, bytes, Metadata | None, Contents | None]]:
    return [
        (
            item_id,
            batch.vectors[at].tobytes() if batch.vectors is not None else b"",
            (batch.metadata or [None] * len(batch))[at],
            (batch.contents or [None] * len(batch))[at],
        )
        for batch in found
        for at, item_id in enumerate(batch.ids)
    ]


def numbers(n: int, dim: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)


def test_every_item_is_a_row_with_all_of_its_parts(index: TargetIndex) -> None:
    bits = np.array([[0x15AE43FD, 0x80000000, 0x00000001, 0x7F7FFFFF]], dtype=np.uint32).view(np.float32)
    vectors = np.vstack([bits, numbers(3)])
    metadata: list[Metadata | None] = [{"n": 2**70, "f": 1.0, "none": None, "z": -0.0}, None, {"a": []}, None]
    contents: list[Contents | None] = ["text", b"\xff\x00", None, ""]
    store(index, ["b", "a", "c", "ü"], vectors, metadata, contents)
    source = source_of(index)
    assert source.total_rows == 4
    found = items(read(source))
    wanted = [("a", 1), ("b", 0), ("c", 2), ("ü", 3)]
    assert found == [(name, vectors[at].tobytes(), metadata[at], contents[at]) for name, at in wanted]
    assert repr(found[1][2]) == repr(metadata[0])  # 1.0 is not 1, and -0.0 is not 0


def test_what_the_engine_hides_is_read(index: TargetIndex) -> None:
    vectors = np.zeros((8, 4), dtype=np.float32)
    vectors[4:] = 1
    metadata: list[Metadata | None] = [None, {"a": 1}, None, {"a": 1}] * 2
    contents: list[Contents | None] = [None, None, "c", "c"] * 2
    store(index, [*"abcdefgh"], vectors, metadata, contents)
    found = items(read(source_of(index)))
    assert found == [
        (name, vectors[at].tobytes(), metadata[at], contents[at]) for at, name in enumerate("abcdefgh")
    ]
    bare = items(read(source_of(index), rows=1))
    assert bare == found


def test_without_vectors_every_item_is_a_row_too(index: TargetIndex) -> None:
    store(index, [*"abcd"], np.vstack([np.zeros((2, 4)), numbers(2)]), [None, {"a": 1}, None, {"a": 1}])
    source = source_of(index, vectors=False)
    pages = [*source.read(batch_rows=10, batch_bytes=2**20)]
    assert [page.ids("id").values for page in pages] == [[*"abcd"]]
    assert pages[0].metadata(MAPPING).values == [None, {"a": 1}, None, {"a": 1}]
    assert pages[0].vector_lengths("vector").tolist() == [-1] * 4


def test_an_item_that_can_not_be_a_row_costs_only_itself(index: TargetIndex) -> None:
    other = Sealer(generate_key().contents_key, index.name)
    store(index, [*"abc"], numbers(3), None, ["one", "two", "three"])
    store(index, ["b"], numbers(1), None, ["by another key"], sealer=other)
    sealed = index.get(["a"], ["contents"])[0].contents
    of_another = sealed.decode() if isinstance(sealed, bytes) else sealed
    store(index, ["d"], numbers(1), None, [of_another], seal=False)
    (batch,) = read(source_of(index))
    assert batch.ids == ["a", "c"]
    assert [(r.row, r.id, r.field, r.code) for r in batch.rejects] == [
        (1, "b", "contents", "unopened"),
        (3, "d", "contents", "unopened"),
    ]
    assert [r.message for r in batch.rejects] == ["do not open: unknown key", "do not open: bad tag"]


def test_what_json_can_not_say_costs_only_its_item(index: TargetIndex, target: Target) -> None:
    vectors = numbers(4)
    vectors[0, 2] = np.nan
    embedded = isinstance(target, EmbeddedTarget)  # the service's own client sends no such metadata
    poison: list[Metadata | None] = [{"b": float("nan")}, {"c": "\ud800"}] if embedded else [None, None]
    store(index, [*"abcd"], vectors, [None, *poison, {"d": 1}])
    (batch,) = read(source_of(index))
    found = [(r.id, r.field, r.code) for r in batch.rejects]
    if embedded:
        assert found == [("a", "vector", "nan"), ("b", "metadata", "not-json"), ("c", "metadata", "not-json")]
    else:
        assert found == [("a", "vector", "unreadable")]
    assert batch.ids[-1] == "d"


def test_contents_may_stay_sealed(index: TargetIndex) -> None:
    store(index, ["a"], numbers(1), None, ["one"])
    ((_, _, _, contents),) = items(read(source_of(index, opener=None)))
    assert isinstance(contents, str)
    assert Opener(KEY.opening_keys, index.name).open("a", contents) == "one"


def test_unsealed_contents_are_text(index: TargetIndex) -> None:
    store(index, ["a", "b"], numbers(2), None, ["żółć", b"\xff"], seal=False)
    assert [contents for *_, contents in items(read(source_of(index)))] == ["żółć", "/w=="]


def test_parts_are_read_by_span_with_the_same_row_numbers(index: TargetIndex) -> None:
    ids = [f"i{n:03}" for n in range(95)]
    store(index, ids, numbers(95))
    source = source_of(index)
    whole = items(read(source, rows=10))
    assert [name for name, *_ in whole] == ids
    done = [Span(source.name, 0, 7), Span(source.name, 40, 52), Span(source.name, 90, 95)]
    parts = read(source, rows=10, done=done)
    rows = [row for batch in parts for row in batch.item_rows().tolist()]
    assert rows == [*range(7, 40), *range(52, 90)]
    assert items(parts) == [whole[row] for row in rows]
    (place,) = source.places(1)
    assert items(read(source, done=[place])) == whole[place.stop :]
    assert source.ids(3, 5) == ids[3:5]


def test_an_item_deleted_since_is_a_reject_and_a_new_one_is_not_read(index: TargetIndex) -> None:
    store(index, [*"abcz"], np.vstack([numbers(3), np.zeros((1, 4))]))
    source = source_of(index)
    index.delete(["b"])
    store(index, ["bb"], numbers(1))
    index.delete(["bb"])
    store(index, ["d"], numbers(1))
    store(index, ["c"], np.ones((1, 4)))
    index.delete(["d"])
    (batch,) = read(source)
    assert [(r.row, r.id, r.code) for r in batch.rejects] == [(1, "b", "gone")]
    assert [(name, vector) for name, vector, *_ in items([batch])][1:] == [
        ("c", np.ones(4, np.float32).tobytes()),
        ("z", bytes(16)),
    ]


def test_an_item_taken_for_zeros_that_was_deleted_ends_the_reading_with_an_error(index: TargetIndex) -> None:
    store(index, [*"ab"], numbers(2))
    source = source_of(index)
    index.delete(["b"])
    store(index, ["x"], numbers(1))  # the count is as before
    with pytest.raises(SourceError, match="were deleted while it was read"):
        read(source)


def test_an_empty_index_has_no_rows(index: TargetIndex) -> None:
    source = source_of(index)
    assert (source.total_rows, source.head(), read(source)) == (0, None, [])


def test_its_ids_are_its_fingerprint(index: TargetIndex) -> None:
    store(index, [*"ab"], numbers(2))
    one, (file,) = source_of(index), source_of(index).files
    assert one.files[0].fingerprint() == file.fingerprint()
    assert not file.changed()
    assert located(one.name) == spelled(one.name) == one.name == file.location
    store(index, ["c"], numbers(1))
    assert file.changed()
    assert not source_of(index).files[0].holds(file.fingerprint())


def test_a_plan_of_it_guesses_nothing(index: TargetIndex) -> None:
    store(index, [*"ab"], numbers(2), [{"id": "x", "vector": [1]}, {"text": "y"}], ["one", "two"])
    source = source_of(index)
    plan = make_plan([source], ColumnChoice(), embed=False)
    assert (plan.dimension, plan.mappings, plan.known_again) == (4, (MAPPING,), True)
    assert not plan.mappings[0].id_guessed


class Failing:
    """An index whose next calls fail."""

    def __init__(self, index: TargetIndex, failures: int) -> None:
        self._index = index
        self.failures = failures

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def get(self, ids: Any, include: Any) -> Any:
        if self.failures:
            self.failures -= 1
            raise Unreachable("gone for a moment")
        return self._index.get(ids, include)


def test_a_page_that_fails_is_asked_for_again(index: TargetIndex) -> None:
    store(index, [*"ab"], numbers(2))
    assert len(items(read(source_of(Failing(index, 2))))) == 2


def test_raw_rows_are_as_get_prints_them(index: TargetIndex) -> None:
    store(index, ["a"], np.ones((1, 4)), [{"n": 1}], [b"\xff"])
    (page,) = source_of(index).read(batch_rows=10, batch_bytes=2**20)
    assert (
        page.raw(0) == '{"id":"a","metadata":{"n":1},"contents":{"$bytes":"/w=="},"vector":[1.0,1.0,1.0,1.0]}'
    )


def test_many_ids_in_their_order(index: TargetIndex, new_name: Callable[[], str]) -> None:
    ids = [os.urandom(3).hex() for _ in range(2500)]
    vectors = numbers(2500)
    store(index, ids, vectors)
    last = dict(zip(ids, vectors, strict=True))
    found = items(read(source_of(index)))
    assert [(name, vector) for name, vector, *_ in found] == [
        (name, last[name].tobytes()) for name in sorted(last)
    ]
