"""Queries: the methods of an index that search it, with the SDK's names and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from vecload.errors import ItemTypeError
from vecload.flags import parameters_named
from vecload.querying.arguments import (
    metadata_query_of,
    query_of,
    refusals_explained,
    results_of,
    text_search_of,
)
from vecload.targets import TargetIndex


class Queries:
    """How an index is searched; the base of `Index`.

    Args:
        index: The target's index.
    """

    def __init__(self, index: TargetIndex) -> None:
        info = index.describe()
        self._index = index
        self._dimension = info.dimension
        self._schema = info.metadata_schema

    def _known_dimension(self) -> int:
        """The index's dimension, which another client's first upsert may have set meanwhile."""
        if not self._dimension:
            self._dimension = self._index.describe().dimension
        return self._dimension

    @parameters_named()
    def query(
        self,
        query_vectors: ArrayLike | None = None,
        query_contents: str | None = None,
        top_k: int | None = None,
        n_probes: int | None = None,
        filters: Mapping[str, Any] | None = None,
        include: Sequence[str] | None = None,
        greedy: bool | None = None,
        rerank_mult: int | None = None,
        text: str | None = None,
        text_fields: Sequence[str] | None = None,
        text_field_weights: Sequence[float] | None = None,
        require_all_terms: bool | None = None,
        alpha: float | None = None,
        rrf_k: float | None = None,
        window_mult: int | None = None,
        *,
        vector: ArrayLike | None = None,
    ) -> list[Any]:
        """The items nearest to one vector, or to each of several, nearest first.

        Args:
            query_vectors: Numbers, shape (dim,) or (n, dim).
            query_contents: Text of which the index's embedding model makes the vector; instead of vectors.
            top_k: How many items for each vector; 100 if None.
            n_probes: How many lists of a trained index to search; the engine decides if None.
            filters: Conditions on metadata: `{"field": value}`, `{"field": {"$gt": 5}}`, `{"$and": [...]}`.
            include: Any of `distance` and `metadata`; both if None.
            greedy: Search greedily.
            rerank_mult: How many times `top_k` candidates a trained index compares exactly.
            text: Words to search for in the index's full-text fields as well. Results then have a `score`
                (larger is better) of both searches, and no `distance`.
            text_fields: The full-text fields to search; all if None.
            text_field_weights: A number for each searched field; 1 each if None.
            require_all_terms: Every word must occur, not only one of them.
            alpha: From 0, which ranks by text alone, to 1, by the vector alone.
            rrf_k: The larger, the less the first ranks count.
            window_mult: How many times `top_k` candidates each search gives.
            vector: The same as `query_vectors`.

        Returns:
            For one vector, a list of dicts with `id`, and `distance` and `metadata` as in `include`. For n
            vectors, n such lists. An array of shape (1, dim) is one vector, as in the SDK.

        Raises:
            ItemTypeError: An argument has the wrong type. Also a TypeError.
            ItemValueError: A vector has another dimension than the index, or is not finite; or an argument
                has a value that the engine can't answer. Also a ValueError.
        """
        if query_vectors is not None and vector is not None:
            raise ItemTypeError("query_vectors is given twice", hint="vector is the same argument")
        query = query_of(
            query_vectors if vector is None else vector,
            query_contents,
            dimension=self._known_dimension(),
            schema=self._schema,
            top_k=top_k,
            n_probes=n_probes,
            filters=filters,
            include=include,
            greedy=greedy,
            rerank_mult=rerank_mult,
            text=text_search_of(text, text_fields, text_field_weights, require_all_terms, self._schema),
            alpha=alpha,
            rrf_k=rrf_k,
            window_mult=window_mult,
        )
        with refusals_explained(query):
            found = [results_of(hits, query.include) for hits in self._index.query(query)]
        return found if len(query) > 1 else found[0]

    @parameters_named()
    def query_binary(
        self,
        query_vectors: ArrayLike,
        top_k: int | None = None,
        n_probes: int | None = None,
        filters: Mapping[str, Any] | None = None,
        include: Sequence[str] | None = None,
        greedy: bool | None = None,
        rerank_mult: int | None = None,
        text: str | None = None,
        text_fields: Sequence[str] | None = None,
        text_field_weights: Sequence[float] | None = None,
        require_all_terms: bool | None = None,
        alpha: float | None = None,
        rrf_k: float | None = None,
        window_mult: int | None = None,
    ) -> list[Any]:
        """The same as `query`, which sends several vectors as bytes by itself."""
        return self.query(
            query_vectors,
            None,
            top_k,
            n_probes,
            filters,
            include,
            greedy,
            rerank_mult,
            text,
            text_fields,
            text_field_weights,
            require_all_terms,
            alpha,
            rrf_k,
            window_mult,
        )

    @parameters_named()
    def query_metadata(
        self,
        filters: Mapping[str, Any] | None = None,
        top_k: int | None = None,
        order_by: str | Mapping[str, int] | None = None,
        ascending: bool = True,
        text: str | None = None,
        text_fields: Sequence[str] | None = None,
        text_field_weights: Sequence[float] | None = None,
        require_all_terms: bool | None = None,
    ) -> list[dict[str, Any]]:
        """The items with such metadata, without a vector.

        Args:
            filters: Conditions on metadata, as in `query`; None is every item.
            top_k: How many items, after sorting; None is all.
            order_by: A metadata field to sort by, or `{"field": -1}` for the largest first.
            ascending: Whether smaller values come first.
            text: Words to search for in the index's full-text fields. Sorts by score.
            text_fields: The full-text fields to search; all if None.
            text_field_weights: A number for each searched field; 1 each if None.
            require_all_terms: Every word must occur, not only one of them.

        Returns:
            Dicts with `id`, and with `text` also `score` (larger is better).

        Raises:
            ItemTypeError: An argument has the wrong type. Also a TypeError.
            ItemValueError: The index can't answer it: a field is not filterable, say, or there is no
                full-text field. Also a ValueError.
        """
        search = text_search_of(text, text_fields, text_field_weights, require_all_terms, self._schema)
        query = metadata_query_of(filters, top_k, order_by, ascending, search, self._schema)
        with refusals_explained(query):
            return results_of(self._index.query_metadata(query), ())
