"""IndexPlace: an index as a user names it, opened when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from vecload.loading.request import Request
from vecload.loading.retry import START_SECONDS, when_up
from vecload.sealing.key_source import KeySource
from vecload.targets import Reach, Target
from vecload.targets.opened import OpenedIndex
from vecload.targets.opening import connect_to, only_index, open_existing
from vecload.targets.reach import REACH_FIELDS


@dataclass(frozen=True, slots=True)
class IndexPlace:
    """Where an index is.

    Attributes:
        to: The address of a service, or the folder of a store; None is the user's local store.
        index: Its name; None is the only one there.
        keys: Where to find its key.
        api_key: The API key of a service.
        reach: How to reach it.
    """

    to: str | None = None
    index: str | None = None
    keys: KeySource = field(default_factory=KeySource)
    api_key: str | None = field(default=None, repr=False)
    reach: Reach = field(default_factory=Reach)

    @classmethod
    def of(cls, request: Request) -> IndexPlace:
        """The place that a request names."""
        return cls(request.to, request.index, request.keys, request.api_key, request.reach)

    @contextmanager
    def opened(
        self, say: Callable[[str], None], *, read_only: bool = True
    ) -> Iterator[tuple[Target, OpenedIndex]]:
        """Its target and the index, open.

        Args:
            say: Takes a message.
            read_only: Write nothing.

        Raises:
            UsageError: There is no such place, or it has several indexes and none is named.
            TargetError: It can't be opened.
        """
        with connect_to(self.to, self.api_key, self.reach, read_only=read_only, must_exist=True) as target:
            yield target, when_up(partial(self._open, target, read_only), say, seconds=START_SECONDS)

    def _open(self, target: Target, read_only: bool) -> OpenedIndex:
        return open_existing(target, self.index or only_index(target), self.keys, read_only=read_only)


def check_network(fields: Mapping[str, Any], name: str) -> None:
    """Refuse keyword arguments of a function that are not about the network.

    Raises:
        TypeError: There is another.
    """
    for field_name in fields:
        if field_name not in REACH_FIELDS:
            raise TypeError(f"{name}() got an unexpected keyword argument {field_name!r}")
