"""Values in the service's answers: items, hits, ids, the description of an index. Each is checked."""

from __future__ import annotations

import struct
from typing import Any, get_args

import orjson

from vecload.errors import NotAcknowledged
from vecload.options import Metric
from vecload.targets.answers import object_of
from vecload.targets.base import DIMENSION_MAX, IndexInfo, StoredItem, array_of, metadata_of
from vecload.targets.queries import Hit, hit_of

COUNT_MAX = 2**63 - 1
_LARGE = 2.0**63


def stored_items_of(body: bytes) -> list[StoredItem]:
    """The items in the body of an answer to a get.

    Raises:
        NotAcknowledged: The body is not a JSON object, or has something else.
    """
    # The fast parser does not call Python for each number. It makes floats of integers beyond 64 bits, and
    # refuses some of what the other reads.
    try:
        answer = orjson.loads(body)
    except ValueError:
        answer = object_of(body)
    if not isinstance(answer, dict) or _has_large_floats(answer):
        answer = object_of(body)
    try:
        return [_stored(result) for result in _results(answer)]
    except (TypeError, ValueError, OverflowError, struct.error):
        raise NotAcknowledged("the service returned items in an unknown form") from None


def _has_large_floats(answer: dict[str, Any]) -> bool:
    """Whether metadata in an answer may have held integers beyond 64 bits, or is nested too deep to look."""
    results = answer.get("results")
    try:
        return isinstance(results, list) and any(
            _is_large(result.get("metadata")) for result in results if isinstance(result, dict)
        )
    except RecursionError:
        return True


def _is_large(value: Any) -> bool:
    kind = type(value)
    if kind is float:
        return bool(abs(value) >= _LARGE)
    if kind is dict or kind is list:
        for inner in value.values() if kind is dict else value:
            if _is_large(inner):
                return True
    return False


def hits_of(answer: dict[str, Any], queries: int, ranked_by: str | None = None) -> list[list[Hit]]:
    """The results in an answer to a query, for each of its vectors.

    Args:
        answer: The answer.
        queries: How many vectors the query had. For a single one the service returns its results alone.
        ranked_by: What every result must have: `distance` or `score`; None is neither.

    Raises:
        NotAcknowledged: The answer has something else.
    """
    results = answer.get("results")
    groups = [results] if queries == 1 else results
    try:
        if not isinstance(groups, list) or len(groups) != queries:
            raise TypeError
        found = [[hit_of(result) for result in _results({"results": group})] for group in groups]
        if ranked_by and any(getattr(hit, ranked_by) is None for hits in found for hit in hits):
            raise TypeError
        return found
    except (KeyError, TypeError, ValueError, OverflowError):
        raise NotAcknowledged("the service returned results in an unknown form") from None


def texts_of(answer: dict[str, Any], field: str) -> list[str]:
    """A field that is a list of texts.

    Raises:
        NotAcknowledged: It is not.
    """
    texts = answer.get(field)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise NotAcknowledged(f"the service returned no list of {field}")
    return texts


def number_of(answer: dict[str, Any], field: str) -> int:
    """A field that is a whole number.

    Raises:
        NotAcknowledged: It is not.
    """
    number = answer.get(field)
    if type(number) is not int or not 0 <= number <= COUNT_MAX:
        raise NotAcknowledged(f"the service returned no number as {field}")
    return number


def _results(answer: dict[str, Any]) -> list[dict[str, Any]]:
    results = answer.get("results")
    if not isinstance(results, list) or not all(
        isinstance(result, dict) and isinstance(result.get("id"), str) for result in results
    ):
        raise NotAcknowledged("the service answered without results")
    return results


def _stored(result: dict[str, Any]) -> StoredItem:
    vector, contents = result.get("vector"), result.get("contents")
    if not isinstance(vector, list | None) or not isinstance(contents, str | None):
        raise TypeError
    return StoredItem(
        result["id"],
        array_of(vector) if vector else None,
        metadata_of(result.get("metadata")),
        contents or None,
    )


def index_info(name: str, answer: dict[str, Any]) -> IndexInfo:
    """The description of an index in an answer, checked: people see it, and it decides what is sent.

    Raises:
        NotAcknowledged: The answer has something else.
    """
    schema = answer.get("metadata_schema") or {}
    metric = answer.get("metric")
    try:
        if not isinstance(metric, str) or metric not in get_args(Metric) or not isinstance(schema, dict):
            raise TypeError
        for field, policy in schema.items():
            field.encode()
            if not isinstance(policy, dict) or not all(type(value) is bool for value in policy.values()):
                raise TypeError
        return IndexInfo(
            name=name,
            dimension=_whole(answer["dimension"] or 0, DIMENSION_MAX),
            metric=metric,
            trained=bool(answer["is_trained"]),
            n_lists=_whole(answer["n_lists"], COUNT_MAX),
            metadata_schema=schema,
            bm25=_bm25(answer.get("bm25")),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise NotAcknowledged("the service described the index in an unknown form") from None


def _bm25(config: Any) -> dict[str, Any] | None:
    if config is None:
        return None
    version = config.get("analyzer_version")
    if not isinstance(version, str | None):
        raise TypeError
    return {"k1": float(config["k1"]), "b": float(config["b"]), "analyzer_version": version}


def _whole(number: Any, most: int) -> int:
    if type(number) is not int or not 0 <= number <= most:
        raise ValueError
    return number
