"""Distributions: what the vectors and contents of the items look like, for the report with pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecload.batch import Batch, Metadata, Vectors

VALUES_MOST = 100_000
"""The most numbers that are kept of a distribution: enough for any picture, 0.8 MB."""
ITEMS_MOST = 1_000
"""The most items of the scatter: more can't be told apart, and each is about 60 bytes of the page."""
COMPARED_MOST = 2**22
"""The most vectors that are compared with each other: 24 bytes each, 100 MB."""
UNIT = 1e-3
"""How far from 1 the length of a normalised vector may be: float16 and bfloat16 round that much."""
NORMALISED_PART = 0.999
"""The part of vectors with length 1 from which all count as normalised."""


class Drawn:
    """Numbers drawn uniformly from all that were added, the same ones in every run.

    Attributes:
        count: How many were added.
        least, most: The smallest and largest of all.
    """

    def __init__(self) -> None:
        self.count = 0
        self.least, self.most = np.inf, -np.inf
        self._draw = _Draw(VALUES_MOST)
        self._values = np.empty(0)

    def add(self, values: NDArray[Any]) -> None:
        """Add numbers, shape (n,)."""
        if not len(values):
            return
        self.count += len(values)
        self.least = min(self.least, float(values.min()))
        self.most = max(self.most, float(values.max()))
        kept, new = self._draw.of(len(values))
        self._values = np.concatenate([self._values[kept], values[new]])

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers drawn: all of them up to VALUES_MOST."""
        return self._values


class _Draw:
    """Chooses some of all rows that pass by: those with the smallest random numbers."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._random = np.random.default_rng(0)
        self._drawn = np.empty(0)

    def of(self, rows: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Which of those drawn before stay, and which of that many more rows are drawn."""
        before = len(self._drawn)
        numbers = np.concatenate([self._drawn, self._random.random(rows)])
        chosen = np.arange(len(numbers))
        if len(numbers) > self._most:
            chosen = np.sort(np.argpartition(numbers, self._most)[: self._most])
        self._drawn = numbers[chosen]
        return chosen[chosen < before], chosen[chosen >= before] - before


@dataclass(slots=True)
class Dimensions:
    """The values of each dimension of the vectors.

    Attributes:
        count: How many vectors were added.
        mean, least, most: float64, shape (dim,): of each dimension.
    """

    count: int = 0
    mean: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    least: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    most: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    _squares: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def add(self, vectors: Vectors) -> None:
        """Add vectors, shape (n, dim), by the formula of Chan, Golub and LeVeque (1979)."""
        values = vectors.astype(np.float64)
        count, mean = len(values), values.mean(axis=0)
        squares = ((values - mean) ** 2).sum(axis=0)
        least, most = values.min(axis=0), values.max(axis=0)
        if not self.count:
            self.count, self.mean, self._squares = count, mean, squares
            self.least, self.most = least, most
            return
        both, apart = self.count + count, mean - self.mean
        self._squares = self._squares + squares + apart**2 * (self.count * count / both)
        self.mean = self.mean + apart * (count / both)
        self.count = both
        self.least, self.most = np.minimum(self.least, least), np.maximum(self.most, most)

    @property
    def deviation(self) -> NDArray[np.float64]:
        """The standard deviation of each dimension: float64, shape (dim,)."""
        return np.sqrt(self._squares / max(self.count, 1))

    @property
    def dead(self) -> list[int]:
        """The dimensions in which every vector is 0."""
        return np.flatnonzero((self.least == 0) & (self.most == 0)).tolist()

    @property
    def constant(self) -> list[int]:
        """The dimensions in which all vectors have the same value, other than 0; of several vectors."""
        if self.count < 2:
            return []
        return np.flatnonzero((self.least == self.most) & (self.least != 0)).tolist()


@dataclass(frozen=True, slots=True)
class Repeated:
    """Items with the same vector.

    Attributes:
        items: How many.
        first, second: Source and row of the first two.
    """

    items: int
    first: tuple[str, int]
    second: tuple[str, int]


class Equals:
    """Finds equal vectors, by digests of 64 bits of their bytes.

    Attributes:
        count: How many vectors were compared.
        exact: Whether all were.
    """

    def __init__(self) -> None:
        self.count, self.exact = 0, True
        self._digests: list[NDArray[np.uint64]] = []
        self._rows: list[NDArray[np.int64]] = []
        self._sources: list[tuple[str, int]] = []

    def add(self, source: str, rows: NDArray[np.int64], vectors: Vectors) -> None:
        """Add the vectors of some rows of a source."""
        left = COMPARED_MOST - self.count
        if len(rows) > left:
            self.exact, rows, vectors = False, rows[:left], vectors[:left]
        if not len(rows):
            return
        digests = b"".join(hashlib.blake2b(vector, digest_size=8).digest() for vector in vectors)
        self.count += len(rows)
        self._digests.append(np.frombuffer(digests, np.uint64))
        self._rows.append(rows)
        self._sources.append((source, self.count))

    def found(self, most: int) -> tuple[int, list[Repeated]]:
        """How many vectors equal an earlier one, and the most frequent ones."""
        if not self.count:
            return 0, []
        digests = np.concatenate(self._digests)
        order = np.argsort(digests, kind="stable")
        _, starts, counts = np.unique(digests[order], return_index=True, return_counts=True)
        frequent = np.argsort(-counts, kind="stable")[:most]
        chosen = [int(one) for one in frequent if counts[one] > 1]
        repeated = [
            Repeated(int(counts[one]), self._place(order[starts[one]]), self._place(order[starts[one] + 1]))
            for one in chosen
        ]
        return self.count - len(counts), repeated

    def _place(self, number: np.intp) -> tuple[str, int]:
        rows = np.concatenate(self._rows)
        source = next(name for name, stop in self._sources if number < stop)
        return source, int(rows[number])


class Distributions:
    """What the items look like, as far as they were read.

    Attributes:
        norms: The lengths of the vectors.
        dimensions: Their values by dimension.
        equals: Equal ones among them.
        lengths: Bytes of contents before they are sealed; items without contents do not count.
        vectors: float32, shape (n, dim), n at most ITEMS_MOST: those of items drawn at random.
        metadata: Their metadata.
    """

    def __init__(self) -> None:
        self.norms, self.lengths = Drawn(), Drawn()
        self.dimensions, self.equals = Dimensions(), Equals()
        self.vectors: Vectors = np.empty((0, 0), np.float32)
        self.metadata: list[Metadata | None] = []
        self._draw = _Draw(ITEMS_MOST)

    def add(self, batch: Batch, content_bytes: list[int]) -> None:
        """Add a batch.

        Args:
            batch: The items.
            content_bytes: The bytes of contents of the items that have them.
        """
        self.lengths.add(np.array(content_bytes, np.float64))
        own = [number for number in range(len(batch)) if batch.has_vector(number)]
        if batch.vectors is None or not own:
            return
        vectors = np.ascontiguousarray(batch.vectors[own])
        if self.vectors.size and vectors.shape[1] != self.vectors.shape[1]:
            return  # of another dimension: a load would reject it
        self.norms.add(np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)))
        self.dimensions.add(vectors)
        self.equals.add(batch.span.source, batch.item_rows()[own], vectors)
        kept, new = self._draw.of(len(vectors))
        before = self.vectors[kept] if self.vectors.size else vectors[:0]
        self.vectors = np.concatenate([before, vectors[new]])
        entries = batch.metadata
        self.metadata = [self.metadata[number] for number in kept]
        self.metadata += [None if entries is None else entries[own[number]] for number in new]

    @property
    def normalised(self) -> bool:
        """Whether the vectors have length 1."""
        norms = self.norms.values
        return bool(len(norms)) and float(np.mean(np.abs(norms - 1) <= UNIT)) >= NORMALISED_PART

    def plane(self) -> tuple[NDArray[np.float64], tuple[float, float]]:
        """The items drawn, in the plane in which they differ most: their first two principal components.

        Returns:
            Points, float64, shape (n, 2); and the part of the variance that each of both axes shows.
        """
        centred = self.vectors.astype(np.float64)
        if len(centred) < 2 or centred.shape[1] < 2:
            return np.zeros((len(centred), 2)), (0.0, 0.0)
        centred -= centred.mean(axis=0)
        points, strengths, _ = np.linalg.svd(centred, full_matrices=False)
        whole = float((strengths**2).sum()) or 1.0
        plane = points[:, :2] * strengths[:2]
        plane *= np.where(plane[np.abs(plane).argmax(axis=0), [0, 1]] < 0, -1, 1)  # one of two mirror images
        return plane, (float(strengths[0] ** 2) / whole, float(strengths[1] ** 2) / whole)

    def values_of(self, path: str) -> Iterator[Any]:
        """The values of a metadata field, by its dot path, of the items drawn; None where it is missing."""
        for entries in self.metadata:
            yield _value(entries, path)


def _value(entries: Any, path: str) -> Any:
    if not isinstance(entries, dict):
        return None
    if path in entries:
        return entries[path]
    outer, _, inner = path.partition(".")
    return _value(entries.get(outer), inner) if inner else None
