"""IndexPlace: an index as a user names it, opened when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from vecload.sealing.key_source import KeySource
from vecload.targets import Reach, Target
from vecload.targets.opened import OpenedIndex
from vecload.targets.opening import connect_to, only_index, open_existing


@dataclass(frozen=True, slots=True)
class IndexPlace:
    """Where an index is, and what opens it.

    Attributes:
        to: The address of a service, or the folder of a store; None is the user's local store.
        index: Its name; None is the only one there.
        keys: Where to find its key.
        api_key: The API key of a service; for a folder, CyborgDB's licence key.
        reach: How to reach a service.
        secret_files: Key files, which no other file may replace, and what each one is.
    """

    to: str | None = field(default=None, repr=False)
    index: str | None = None
    keys: KeySource = field(default_factory=KeySource)
    api_key: str | None = field(default=None, repr=False)
    reach: Reach = field(default_factory=Reach)
    secret_files: Mapping[str, str] = field(default_factory=dict)

    def connected(self, *, read_only: bool = False, must_exist: bool = True) -> Target:
        """The target, a context manager.

        Args:
            read_only: Write nothing.
            must_exist: Do not create a folder.

        Raises:
            UsageError: It does not exist.
            TargetError: It can't be opened.
        """
        return connect_to(self.to, self.api_key, self.reach, read_only=read_only, must_exist=must_exist)

    @contextmanager
    def opened(
        self,
        *,
        read_only: bool = True,
        when_up: Callable[[Callable[[], OpenedIndex]], OpenedIndex] = lambda ask: ask(),
    ) -> Iterator[tuple[Target, OpenedIndex]]:
        """Its target and the index, open.

        Args:
            read_only: Write nothing.
            when_up: Asks again while the target is starting.

        Raises:
            UsageError: There is no such place, or it has several indexes and none is named.
            TargetError: It can't be opened.
        """
        with self.connected(read_only=read_only) as target:
            yield target, when_up(partial(self._open, target, read_only))

    def _open(self, target: Target, read_only: bool) -> OpenedIndex:
        return open_existing(target, self.index or only_index(target), self.keys, read_only=read_only)
