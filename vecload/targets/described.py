"""What the service says of an index, checked: it is shown to people, and decides what is sent."""

from __future__ import annotations

from typing import Any, get_args

from vecload.errors import NotAcknowledged
from vecload.targets.answers import COUNT_MAX
from vecload.targets.target import DIMENSION_MAX, IndexInfo, Metric


def described(name: str, answer: dict[str, Any]) -> IndexInfo:
    """What an answer says of an index.

    Raises:
        NotAcknowledged: It says something else.
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
        )
    except (KeyError, TypeError, ValueError):
        raise NotAcknowledged("the service described the index in a form not known") from None


def _whole(number: Any, most: int) -> int:
    if type(number) is not int or not 0 <= number <= most:
        raise ValueError
    return number
