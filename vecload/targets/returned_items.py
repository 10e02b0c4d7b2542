"""The items in the service's answers, parsed fast and exactly."""

from __future__ import annotations

import struct
from typing import Any

import orjson

from vecload.errors import NotAcknowledged
from vecload.targets.answers import object_of, results_of
from vecload.targets.base import StoredItem, array_of, metadata_of

_LARGE = 2.0**63
"""From here on a float may have been an integer that the fast parser could not keep."""


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
        return [_stored(result) for result in results_of(answer)]
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
