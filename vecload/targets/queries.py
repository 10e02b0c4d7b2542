"""Query and MetadataQuery: what is asked of an index, checked; and Hit, one result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vecload.batch import Metadata, Vectors

QUERY_FIELDS = ("distance", "metadata")
"""What a query may include in its results."""


@dataclass(frozen=True, slots=True)
class TextSearch:
    """Words to search for in the full-text fields of an index, ranked by BM25.

    text: the words, at least one character.
    fields: the full-text fields to search; none means all of them.
    weights: one for each searched field; none means 1 each.
    all_terms: every word must occur, not only one of them.
    """

    text: str
    fields: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    all_terms: bool = False

    def arguments(self) -> dict[str, Any]:
        """The engine's arguments."""
        arguments = {
            "text": self.text,
            "text_fields": list(self.fields),
            "text_field_weights": list(self.weights),
            "require_all_terms": self.all_terms,
        }
        return {name: value for name, value in arguments.items() if value}


@dataclass(frozen=True, slots=True)
class Query:
    """Vectors whose nearest items are asked for. Where None is possible, it is the engine's default.

    vectors: float32, C-contiguous, shape (n, dim), n at least 1; None if the engine makes one of `contents`.
    top_k: how many items for each vector.
    include: some of QUERY_FIELDS.
    filters: conditions on metadata in the engine's form.
    n_probes: lists that a trained index searches.
    greedy: search greedily.
    rerank_mult: how many times `top_k` candidates a trained index compares exactly.
    text: makes the query a hybrid one: results have a score, which is fused from both ranks, and no distance.
    alpha: weight of the vector's rank, 0 to 1; `rrf_k` and `window_mult`: how ranks are fused.
    """

    vectors: Vectors | None
    top_k: int
    contents: str | None = None
    include: tuple[str, ...] = QUERY_FIELDS
    filters: Metadata | None = None
    n_probes: int | None = None
    greedy: bool | None = None
    rerank_mult: int | None = None
    text: TextSearch | None = None
    alpha: float | None = None
    rrf_k: float | None = None
    window_mult: int | None = None

    def __len__(self) -> int:
        return 1 if self.vectors is None else len(self.vectors)

    @property
    def ranked_by(self) -> str | None:
        """What every result has besides its id: `score`, or `distance` if asked for."""
        if self.text is not None:
            return "score"
        return "distance" if "distance" in self.include else None

    def part(self, start: int, stop: int) -> Query:
        """The query of vectors `[start, stop)`."""
        return self if self.vectors is None else replace(self, vectors=self.vectors[start:stop])

    def arguments(self) -> dict[str, Any]:
        """The engine's arguments, without the vectors."""
        arguments = {
            "query_contents": self.contents,
            "top_k": self.top_k,
            "include": list(self.include),
            "filters": self.filters,
            "n_probes": self.n_probes,
            "greedy": self.greedy,
            "rerank_mult": self.rerank_mult,
            "alpha": self.alpha,
            "rrf_k": self.rrf_k,
            "window_mult": self.window_mult,
            **(self.text.arguments() if self.text else {}),
        }
        return {name: value for name, value in arguments.items() if value is not None}


@dataclass(frozen=True, slots=True)
class MetadataQuery:
    """Items asked for by their metadata alone.

    filters: conditions on metadata in the engine's form; None matches every item.
    top_k: how many items; None is all.
    order_by: a metadata field to sort by; not with `text`, which sorts by score.
    """

    filters: Metadata | None = None
    top_k: int | None = None
    order_by: str | None = None
    ascending: bool = True
    text: TextSearch | None = None

    def arguments(self) -> dict[str, Any]:
        """The engine's arguments."""
        arguments = {
            "filters": self.filters or {},
            "top_k": self.top_k,
            "order_by": self.order_by,
            "ascending": self.ascending,
            **(self.text.arguments() if self.text else {}),
        }
        return {name: value for name, value in arguments.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Hit:
    """One result.

    distance: smaller is nearer; None if not asked for, and with a text search.
    metadata: None if not asked for.
    score: with a text search; larger is better.
    """

    id: str
    distance: float | None = None
    metadata: Metadata | None = None
    score: float | None = None


def hit_of(result: Mapping[str, Any]) -> Hit:
    """A result of the engine.

    Raises:
        KeyError, TypeError, ValueError: It is something else.
    """
    metadata, distance, score = (result.get(name) for name in ("metadata", "distance", "score"))
    if not isinstance(result["id"], str) or not isinstance(metadata, dict | None):
        raise TypeError
    return Hit(
        result["id"],
        None if distance is None else float(distance),
        metadata,
        None if score is None else float(score),
    )
