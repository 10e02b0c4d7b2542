"""Queries as Python callers write them, checked before they are sent, and results as they get them.

Every fault is the same error on every target. Some values would crash the engine's process, and others would
silently give wrong results (docs/cyborgdb.md).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from vecload.batch import Metadata, Vectors
from vecload.errors import BatchRefused, IndexMismatch, ItemTypeError, ItemValueError
from vecload.items import encodable, kind_of
from vecload.limits import QUERY_TOP_K
from vecload.querying.filters import Schema, check_indexed, checked_filters
from vecload.targets import Hit, MetadataQuery, Query, TextSearch
from vecload.targets.queries import QUERY_FIELDS

WHOLE_MAX = 2**31 - 1
"""The engine cuts larger numbers: 2**32 becomes 0, with which a query crashes its process."""
CANDIDATES_MAX = 10_000_000
"""Candidates of a text search: the engine reserves memory for all of them beforehand."""
TRAINED_CANDIDATES_MAX = 10_000
"""`top_k` times `rerank_mult` on a trained index, as the engine has it."""
_REASON = re.compile(r"(?:Invalid input: |refused the request \()(.*)\)$")
"""The engine's words in a refusal, whichever target it is from."""
RERANK_MULT = 50
WINDOW_MULT = 3


def query_of(
    query_vectors: Any,
    query_contents: Any,
    *,
    dimension: int,
    schema: Schema,
    top_k: Any,
    n_probes: Any,
    filters: Any,
    include: Any,
    greedy: Any,
    rerank_mult: Any,
    text: TextSearch | None,
    alpha: Any,
    rrf_k: Any,
    window_mult: Any,
) -> Query:
    """A query from the arguments of `Index.query`.

    Args:
        query_vectors: As the caller passed it, as everything else here.
        query_contents: Text, in the place of vectors.
        dimension: The index's dimension; 0 if no upsert has set it.
        schema: The policies of the index's metadata fields.
        top_k: How many items for each vector; None is QUERY_TOP_K.
        n_probes: 0 and None leave the choice to the engine.
        filters: None and {} match every item.
        include: Names of QUERY_FIELDS; None is all of them.
        greedy: None leaves the choice to the engine.
        rerank_mult: None leaves the choice to the engine.
        text: The checked text search.
        alpha: With a text search, 0 to 1.
        rrf_k: With a text search, above 0.
        window_mult: With a text search, from 1.

    Raises:
        ItemTypeError: An argument has the wrong type.
        ItemValueError: An argument has a value that the engine can't answer, or would answer wrong.
    """
    if query_contents is not None and not isinstance(query_contents, str):
        raise ItemTypeError(
            f"query_contents is {kind_of(query_contents)}, not text", hint="name others: top_k=5"
        )
    if (query_vectors is None) == (query_contents is None):
        raise ItemValueError(
            "a query needs vectors or contents" + ("" if query_vectors is None else ", not both"),
            hint="pass query_vectors, or for text alone call query_metadata(text=...)",
        )
    top_k = whole_number_of(top_k, "top_k", 1) or QUERY_TOP_K
    if text is None:
        _not_without_text(alpha=alpha, rrf_k=rrf_k, window_mult=window_mult)
    window_mult = whole_number_of(window_mult, "window_mult", 1)
    if text is not None and top_k * (window_mult or WINDOW_MULT) > CANDIDATES_MAX:
        raise ItemValueError(
            f"top_k {top_k} times window_mult {window_mult or WINDOW_MULT} is above {CANDIDATES_MAX}"
        )
    conditions = _conditions(filters)
    if text is not None:
        check_indexed(conditions or {}, schema, "a search for text")
    greedy = _truth_of(greedy, "greedy")
    return Query(
        vectors=None if query_vectors is None else query_vectors_of(query_vectors, dimension),
        contents=None if query_contents is None else _some_text(query_contents, "query_contents"),
        top_k=top_k,
        include=_included(include),
        filters=conditions,
        n_probes=whole_number_of(n_probes, "n_probes", 0) or None,
        greedy=greedy,
        rerank_mult=whole_number_of(rerank_mult, "rerank_mult", 1),
        text=text,
        alpha=number_of(alpha, "alpha", 0, 1),
        rrf_k=number_of(rrf_k, "rrf_k", 0, above=True),
        window_mult=window_mult,
    )


def metadata_query_of(
    filters: Any, top_k: Any, order_by: Any, ascending: Any, text: TextSearch | None, schema: Schema
) -> MetadataQuery:
    """A metadata query from the arguments of `Index.query_metadata`; see `query_of`.

    Args:
        filters: None and {} match every item.
        top_k: None is all items.
        order_by: A field's name, or a dict of one name and 1 or -1.
        ascending: Whether smaller values come first.
        text: The checked text search.
        schema: The policies of the index's metadata fields.

    Raises:
        ItemTypeError: An argument has the wrong type.
        ItemValueError: An argument has a value that the engine can't answer, or would answer wrong.
    """
    if isinstance(order_by, dict):
        if len(order_by) != 1 or next(iter(order_by.values())) not in (1, -1):
            raise ItemValueError(
                "order_by takes one field with 1 or -1", hint='write {"views": -1} for the largest first'
            )
        ((order_by, direction),) = order_by.items()
        ascending = direction == 1
    if order_by is not None:
        order_by = _some_text(order_by, "order_by")
        if text is not None:
            raise ItemValueError("order_by does not go with text, which sorts by score", hint="omit order_by")
    ascending = _truth_of(ascending, "ascending")
    conditions = _conditions(filters)
    check_indexed(conditions or {}, schema, "a search without a vector")
    return MetadataQuery(
        filters=conditions,
        top_k=whole_number_of(top_k, "top_k", 1),
        order_by=order_by,
        ascending=ascending is not False,
        text=text,
    )


def text_search_of(
    text: Any, text_fields: Any, text_field_weights: Any, require_all_terms: Any, schema: Schema
) -> TextSearch | None:
    """A text search from the arguments of a query; None without text, or with an empty one, as in the SDK.

    Args:
        text: Words.
        text_fields: Some of the index's full-text fields; None is all of them.
        text_field_weights: A number for each searched field; None is 1 each.
        require_all_terms: None is False.
        schema: The policies of the index's metadata fields.

    Raises:
        ItemTypeError: An argument has the wrong type.
        ItemValueError: The index has no such full-text field, the weights are not one for each field, or
            something is given without text.
    """
    if text is None or (isinstance(text, str) and not text):
        _not_without_text(
            text_fields=text_fields,
            text_field_weights=text_field_weights,
            require_all_terms=require_all_terms or None,
        )
        return None
    text = _some_text(text, "text")
    there = [name for name, policy in schema.items() if policy.get("full_text")]
    if not there:
        raise ItemValueError(
            "the index has no full-text field to search for text",
            hint="full-text fields are named when an index is created",
        )
    fields = _names(text_fields, "text_fields")
    for name in fields:
        if name not in there:
            raise ItemValueError(
                f"{name!r} is not a full-text field of the index",
                hint=f"it has {', '.join(map(repr, there))}",
            )
        if fields.count(name) > 1:
            raise ItemValueError(f"text_fields names {name!r} more than once")
    weights = text_field_weights
    if weights is not None:
        if isinstance(weights, str | bytes) or not isinstance(weights, Iterable):
            raise ItemTypeError(f"text_field_weights is {kind_of(weights)}, not a list of numbers")
        weights = [number_of(weight, "a weight of text_field_weights", 0) for weight in weights]
        searched = len(fields or there)
        if len(weights) != searched or None in weights:
            raise ItemValueError(
                f"text_field_weights has {len(weights)} numbers; {searched} fields are searched"
            )
    require_all_terms = _truth_of(require_all_terms, "require_all_terms")
    return TextSearch(text, tuple(fields), tuple(weights or ()), bool(require_all_terms))


def _not_without_text(**given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise ItemValueError(f"{name} is for a query with text", hint=f"pass text, or omit {name}")


def query_vectors_of(vectors: Any, dimension: int) -> Vectors:
    """Vectors of a query: float32, C-contiguous, shape (n, dim), with n at least 1.

    Args:
        vectors: Numbers, shape (dim,) or (n, dim).
        dimension: The index's dimension; 0 if no upsert has set it.

    Raises:
        ItemTypeError: They are not numbers.
        ItemValueError: They have another shape, are not finite, or so long that distances are infinite.
    """
    try:
        array = np.asarray(vectors)
    except ValueError:
        raise ItemValueError("the query vectors have different dimensions") from None
    if array.dtype.kind not in "fiu" and array.size:
        what = array.dtype if isinstance(vectors, np.ndarray) else kind_of(vectors)
        raise ItemTypeError(f"a query needs vectors of numbers, not {what}")
    if array.ndim not in (1, 2) or not array.size:
        raise ItemValueError(f"a query needs one vector or several of one dimension, not shape {array.shape}")
    if not dimension:
        raise ItemValueError("the index has no dimension yet, since it holds no items")
    if array.shape[-1] != dimension:
        raise ItemValueError(
            f"the query has vectors of {array.shape[-1]} dimensions; the index has {dimension}"
        )
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(np.atleast_2d(array), dtype=np.float32)
        lengths = np.square(single, dtype=np.float32).sum(axis=1, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(lengths))
    if bad.size:
        row = int(bad[0])
        if not np.isfinite(single[row]).all():
            what = "holds a value that is not a finite float32"
        else:
            # The engine's distances overflow: they are all infinite, and their order is arbitrary.
            what = "is too long for distances in float32"
        raise ItemValueError(f"query vector {row} {what}")
    return single


def results_of(hits: Sequence[Hit], include: Sequence[str]) -> list[dict[str, Any]]:
    """Results as dicts: `id`, then `distance` or `score`, and `metadata`."""
    results: list[dict[str, Any]] = []
    for hit in hits:
        result: dict[str, Any] = {"id": hit.id}
        if hit.score is not None:
            result["score"] = hit.score
        elif hit.distance is not None:
            result["distance"] = hit.distance
        if "metadata" in include:
            result["metadata"] = hit.metadata or {}
        results.append(result)
    return results


@contextmanager
def refusals_explained(query: Query | MetadataQuery) -> Iterator[None]:
    """Make the engine's refusal of a query an error of its values.

    Raises:
        ItemValueError: The engine refused the query.
        IndexMismatch: The query has contents, and the index has no embedding model.
    """
    try:
        yield
    except BatchRefused as error:
        message = str(error.args[0])
        if "kMaxTopK" in message and isinstance(query, Query):
            times = query.rerank_mult or RERANK_MULT
            raise ItemValueError(
                f"top_k {query.top_k} times rerank_mult {times} is above {TRAINED_CANDIDATES_MAX}, the most "
                "items that a trained index compares exactly",
                hint=f"ask for at most {TRAINED_CANDIDATES_MAX // times} items, or lower rerank_mult",
            ) from None
        reason = _REASON.search(message)
        raise ItemValueError(
            f"the engine can't answer this query ({reason[1] if reason else message})"
        ) from None
    except IndexMismatch:
        raise IndexMismatch(
            "the index has no embedding model that makes a vector of query_contents",
            hint="pass query_vectors",
        ) from None


def number_of(
    value: Any, name: str, least: float, most: float = math.inf, *, above: bool = False
) -> float | None:
    """A finite number from `least` to `most`, or above `least`; None stays None.

    Raises:
        ItemTypeError: It is not a number.
        ItemValueError: It is not in the range.
    """
    if value is None:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ItemTypeError(f"{name} is {kind_of(value)}, not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or not least <= number <= most or (above and number == least):
        start, end = "above" if above else "from", f" to {most:g}" if math.isfinite(most) else ""
        raise ItemValueError(f"{name} is {number!r}, not a finite number {start} {least:g}{end}")
    return number


def whole_number_of(value: Any, name: str, least: int, most: int = WHOLE_MAX) -> int | None:
    """A whole number that the engine does not cut; None stays None.

    Raises:
        ItemValueError: It is something else.
    """
    if value is None:
        return None
    if isinstance(value, np.integer):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ItemValueError(f"{name} is {value!r}, not a whole number from {least} to {most}")
    return value


def _truth_of(value: Any, name: str) -> bool | None:
    """True or False, also NumPy's; None stays None."""
    if not isinstance(value, bool | np.bool_ | None):
        raise ItemTypeError(f"{name} is {kind_of(value)}, not True or False")
    return None if value is None else bool(value)


def _conditions(filters: Any) -> Metadata | None:
    return (checked_filters(filters) or None) if filters is not None else None


def _included(include: Any) -> tuple[str, ...]:
    if include is None:
        return QUERY_FIELDS
    names = _names(include, "include")
    for name in names:
        if name not in QUERY_FIELDS:
            raise ItemValueError(
                f"a query can't include {name!r}",
                hint=f"give a list of {', '.join(QUERY_FIELDS)}; get(ids) returns vectors and contents",
            )
    return tuple(names)


def _names(value: Any, name: str) -> list[str]:
    """A list of texts; None is an empty one."""
    if value is None:
        return []
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ItemTypeError(f"{name} is {kind_of(value)}, not a list of names")
    names = list(value)
    for each in names:
        if not isinstance(each, str):
            raise ItemTypeError(f"{name} has {kind_of(each)}, not only names")
        encodable(each, name)
    return [str(each) for each in names]


def _some_text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ItemTypeError(f"{name} is {kind_of(value)}, not text")
    if not value:
        raise ItemValueError(f"{name} is empty")
    encodable(value, name)
    return str(value)
