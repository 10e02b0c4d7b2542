"""An index that is moved or changed as a whole: opened even while its service starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from vecload.loading.request import SHARDS
from vecload.loading.retry import START_SECONDS, when_up
from vecload.targets import Target
from vecload.targets.opened import OpenedIndex
from vecload.targets.place import IndexPlace
from vecload.targets.reach import REACH_FIELDS


def opened_when_up(
    place: IndexPlace, say: Callable[[str], None], *, read_only: bool = True
) -> AbstractContextManager[tuple[Target, OpenedIndex]]:
    """The target and the index at a place, open; waits for a service that is starting.

    Args:
        place: The place.
        say: Takes a message.
        read_only: Write nothing.

    Raises:
        UsageError: There is no such place, or it has several indexes and none is named.
        TargetError: It can't be opened.
    """
    return place.opened(read_only=read_only, when_up=partial(when_up, tell=say, seconds=START_SECONDS))


def check_network(fields: Mapping[str, Any], name: str) -> None:
    """Refuse keyword arguments of a function that are not about the network.

    Raises:
        TypeError: There is another.
    """
    for field_name in fields:
        if field_name not in (*REACH_FIELDS, SHARDS):
            raise TypeError(f"{name}() got an unexpected keyword argument {field_name!r}")
