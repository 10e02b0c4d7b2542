from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vecload.batch import Batch, Span
from vecload.inspecting import distributions
from vecload.inspecting.distributions import Dimensions, Distributions, Drawn, Equals

CHANCE = np.random.default_rng(5)


def batch_of(vectors: Any, *, start: int = 0, metadata: list[Any] | None = None, source: str = "s") -> Batch:
    ids = [f"i{start + number}" for number in range(len(vectors))]
    return Batch(ids, np.asarray(vectors, np.float32), metadata, None, Span(source, start, start + len(ids)))


@pytest.mark.parametrize("sizes", [(1, 1), (500,), (3, 200, 1, 96)])
def test_the_values_of_each_dimension_are_those_of_all_vectors_together(sizes: tuple[int, ...]) -> None:
    whole = (CHANCE.normal(size=(sum(sizes), 7)) * 100 + 1e4).astype(np.float32)
    found = Dimensions()
    for part in np.split(whole, np.cumsum(sizes)[:-1]):
        found.add(part)
    exact = whole.astype(np.float64)
    assert found.count == len(whole)
    np.testing.assert_allclose(found.mean, exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.deviation, exact.std(axis=0), rtol=1e-9, atol=1e-9)
    assert (found.least == exact.min(axis=0)).all()
    assert (found.most == exact.max(axis=0)).all()


def test_dead_and_constant_dimensions_are_told_apart() -> None:
    found = Dimensions()
    found.add(np.array([[0, 2, 1], [0, 2, 5]], np.float32))
    assert (found.dead, found.constant) == ([0], [1])
    found.add(np.array([[0, 3, 1]], np.float32))
    assert (found.dead, found.constant) == ([0], [])


def test_equal_vectors_are_found_with_their_places_across_sources() -> None:
    found = Equals()
    found.add("a", np.array([3, 4, 9]), np.array([[1, 2], [3, 4], [1, 2]], np.float32))
    found.add("b", np.array([0, 1]), np.array([[1, 2], [3, 4.5]], np.float32))
    repeats, (one,) = found.found(5)
    assert repeats == 2
    assert (one.items, one.first, one.second) == (3, ("a", 3), ("a", 9))
    assert (found.count, found.exact) == (5, True)


def test_vectors_beyond_the_limit_are_not_compared_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributions, "COMPARED_MOST", 3)
    found = Equals()
    found.add("a", np.arange(2), np.array([[1.0], [2.0]], np.float32))
    found.add("a", np.arange(2, 4), np.array([[1.0], [2.0]], np.float32))
    assert found.found(5)[0] == 1
    assert (found.count, found.exact) == (3, False)


def test_numbers_are_drawn_evenly_and_the_same_ones_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributions, "VALUES_MOST", 2000)
    runs = []
    for _ in range(2):
        drawn = Drawn()
        for start in range(0, 50_000, 500):
            drawn.add(np.arange(start, start + 500, dtype=np.float64))
        runs.append(drawn)
    first, second = runs
    assert (first.count, first.least, first.most) == (50_000, 0, 49_999)
    assert (first.values == second.values).all()
    assert len(set(first.values)) == 2000
    # A tenth of the range holds 200 of them, with a deviation of 13.
    assert np.histogram(first.values, 10, (0, 50_000))[0] == pytest.approx(200, abs=70)


def test_drawn_items_keep_their_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributions, "ITEMS_MOST", 20)
    found = Distributions()
    for start in range(0, 900, 30):
        vectors = [[number, 1.0] for number in range(start, start + 30)]
        found.add(
            batch_of(
                vectors, start=start, metadata=[{"at": {"row": v[0]}} if v[0] else None for v in vectors]
            ),
            [],
        )
    assert found.vectors.shape == (20, 2)
    assert [*found.values_of("at.row")] == [*map(int, found.vectors[:, 0])]
    assert [*found.values_of("at.nothing")] == [None] * 20


def test_items_without_a_vector_of_their_own_do_not_count() -> None:
    found = Distributions()
    batch = batch_of([[3, 4], [9, 9]])
    found.add(Batch(**{**_fields(batch), "to_embed": np.array([False, True])}), [7, 9])
    assert (found.norms.count, found.norms.most) == (1, 5.0)
    assert [*found.lengths.values] == [7, 9]


def _fields(batch: Batch) -> dict[str, Any]:
    return {name: getattr(batch, name) for name in ("ids", "vectors", "metadata", "contents", "span")}


def test_vectors_are_normalised_if_nearly_all_have_length_1() -> None:
    vectors = CHANCE.normal(size=(5000, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rounded, longer = Distributions(), Distributions()
    rounded.add(batch_of(vectors.astype(np.float16)), [])
    longer.add(batch_of(vectors * np.linspace(1, 1.01, 5000)[:, None]), [])
    assert rounded.normalised
    assert not longer.normalised
    assert not Distributions().normalised


def test_the_plane_shows_what_differs_most() -> None:
    group = np.repeat([0, 1], 50)
    vectors = CHANCE.normal(size=(100, 30)) * 0.1
    vectors[:, 11] += group * 10
    found = Distributions()
    found.add(batch_of(vectors), [])
    points, (first, second) = found.plane()
    assert points.shape == (100, 2)
    assert points[group == 0, 0].max() < points[group == 1, 0].min() or (
        points[group == 1, 0].max() < points[group == 0, 0].min()
    )
    assert 0.9 < first < first + second <= 1
    # The same as by the eigenvectors of the covariance.
    values = np.linalg.eigvalsh(np.cov(found.vectors.T.astype(np.float64)))
    assert first == pytest.approx(values[-1] / values.sum())


@pytest.mark.parametrize("vectors", [[[1.0, 2.0]], [[1.0], [2.0]], [[1.0, 1.0], [1.0, 1.0]]])
def test_too_little_for_a_plane_is_no_picture(vectors: list[list[float]]) -> None:
    found = Distributions()
    found.add(batch_of(vectors), [])
    assert found.plane()[1] == (0.0, 0.0)
