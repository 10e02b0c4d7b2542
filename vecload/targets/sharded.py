"""A target of several services: each id is on one of them, as `placement` says.

An index has the same name, key and settings on every shard. Whoever uses it sees one index.
"""

from __future__ import annotations

import heapq
import math
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from vecload.batch import Batch
from vecload.closing import Closing
from vecload.errors import (
    BatchRefused,
    ConnectionClosed,
    IndexExists,
    IndexMismatch,
    IndexNotFound,
    TargetError,
    VecloadError,
)
from vecload.targets.base import (
    DEFAULT_TRAINING,
    Ack,
    IndexInfo,
    IndexSettings,
    OpenedBy,
    Permission,
    StoredItem,
    Target,
    TargetIndex,
    Training,
    drawn,
)
from vecload.targets.placement import shards_of
from vecload.targets.queries import Hit, MetadataQuery, Query
from vecload.targets.shard_record import ShardMark, check_recorded, is_mark, mark_of, record

T = TypeVar("T")

SAMPLE = 500
"""Ids of each shard that are looked at when an index is opened: another list would have placed some apart."""


class ShardedIndex:
    """An index on several services.

    Args:
        shards: The index on each shard, in the order of the list.
        locations: The locations of the shards.
        pool: Asks several at once.
    """

    def __init__(self, shards: Sequence[TargetIndex], locations: Sequence[str], pool: _Threads) -> None:
        self._shards = tuple(shards)
        self._locations = tuple(locations)
        self._pool = pool
        self._with_dimension: set[TargetIndex] = set()

    @property
    def name(self) -> str:
        """The name of the index on every shard."""
        return self._shards[0].name

    @property
    def writers(self) -> int:
        """How many concurrent batches make it faster: each goes to every shard."""
        return max(shard.writers for shard in self._shards)

    @property
    def opened_by(self) -> OpenedBy:
        """What opens the index."""
        return self._shards[0].opened_by

    def permissions(self) -> frozenset[Permission]:
        """What the caller may do on every shard."""
        return frozenset.intersection(*self._all(lambda shard: shard.permissions()))

    def describe(self) -> IndexInfo:
        """The description of the index, which must be the same on every shard.

        Raises:
            IndexMismatch: Shards differ.
        """
        infos = [self._unmarked(info) for info in self._all(lambda shard: shard.describe())]
        dimensions = {info.dimension for info in infos} - {0}  # no item has set it yet
        for what, values in (
            ("dimensions", dimensions),
            ("metrics", {info.metric for info in infos}),
            ("metadata fields", {str(sorted(info.metadata_schema.items())) for info in infos}),
        ):
            if len(values) > 1:
                raise IndexMismatch(
                    f"the shards of index {self.name!r} have different {what}: "
                    f"{', '.join(map(str, sorted(values, key=str)))}",
                    hint="name the shards that were loaded together",
                )
        trained = all(info.trained for info in infos)
        lists = max(info.n_lists for info in infos)
        return replace(infos[0], dimension=max(dimensions, default=0), trained=trained, n_lists=lists)

    @staticmethod
    def _unmarked(info: IndexInfo) -> IndexInfo:
        fields = {name: policy for name, policy in info.metadata_schema.items() if not is_mark(name)}
        return replace(info, metadata_schema=fields)

    def prepare(self, batch: Batch) -> Callable[[], Ack]:
        """Divide a batch, and encode each part for its shard.

        Returns:
            A function that stores all parts at once. If it is called again after it failed, it stores the
            parts that failed.
        """
        places = shards_of(batch.ids, len(self._shards))
        left: dict[int, Callable[[], Ack]] = {}
        for number in np.unique(places).tolist():
            whole = len(batch) if (places == number).all() else 0
            left[number] = self._shards[number].prepare(
                batch if whole else batch.keep_only(places == number, ())
            )
        acks: list[Ack] = []

        def store() -> Ack:
            errors: list[VecloadError] = []
            numbers = [*left]
            outcomes = self._of(numbers, lambda number: _outcome(self._locations[number], left[number]))
            for number, done in zip(numbers, outcomes, strict=True):
                if isinstance(done, Ack):
                    acks.append(done)
                    del left[number]
                else:
                    errors.append(done)
            if errors:
                # What may succeed later is tried again first: a part that is refused is refused again then.
                raise next((error for error in errors if getattr(error, "retryable", False)), errors[0])
            return sum(acks[1:], acks[0])

        return store

    def upsert(self, batch: Batch) -> Ack:
        """Store a batch on its shards."""
        return self.prepare(batch)()

    def get(self, ids: Sequence[str], include: Sequence[str]) -> list[StoredItem]:
        """The items of the ids, in their order, without missing ones."""
        found = self._each(ids, lambda shard, own: shard.get(own, include))
        items = {item.id: item for part in found for item in part}
        return [items[item_id] for item_id in ids if item_id in items]

    def delete(self, ids: Sequence[str]) -> None:
        """Delete items from their shards. An empty list asks every shard for the permission."""
        if ids:
            self._each(ids, lambda shard, own: shard.delete(own))
        else:
            self._all(lambda shard: shard.delete(ids))

    def query(self, query: Query) -> list[list[Hit]]:
        """The nearest items of all shards: those of one index of all items, where each shard is exact.

        Scores of words are those of the shard that has the item: they depend on how often its own items have
        the words.
        """
        asked = (
            query
            if query.text or "distance" in query.include
            else replace(query, include=(*query.include, "distance"))
        )
        # A shard that never got an item has no dimension, and refuses every query.
        full = [n for n, has in enumerate(self._all(self._has_dimension)) if has] or [0]
        answers = self._of(full, lambda number: self._shards[number].query(asked))
        return [
            [
                hit if asked is query else replace(hit, distance=None)
                for hit in heapq.nsmallest(query.top_k, (hit for hits in of_one for hit in hits), key=_rank)
            ]
            for of_one in zip(*answers, strict=True)
        ]

    def _has_dimension(self, shard: TargetIndex) -> bool:
        known = shard in self._with_dimension or bool(shard.describe().dimension)
        if known:
            self._with_dimension.add(shard)
        return known

    def query_metadata(self, query: MetadataQuery) -> list[Hit]:
        """The items with such metadata, of all shards."""
        answers = self._all(lambda shard: shard.query_metadata(query))
        hits = [hit for hits in answers for hit in hits]
        if query.text is not None:
            hits.sort(key=_rank)
        elif query.order_by is not None:
            hits = self._sorted(hits, query.order_by, ascending=query.ascending)
        return hits if query.top_k is None else hits[: query.top_k]

    def _sorted(self, hits: list[Hit], field: str, *, ascending: bool) -> list[Hit]:
        """Hits by a field of their metadata; those without it last, as each shard has them."""
        items = self.get([hit.id for hit in hits], ["metadata"])
        # The engine takes the name as it is: a dot is part of it.
        values = {item.id: (item.metadata or {}).get(field) for item in items}
        having = [hit for hit in hits if values.get(hit.id) is not None]
        lacking = [hit for hit in hits if values.get(hit.id) is None]
        having.sort(key=lambda hit: _order(values[hit.id]), reverse=not ascending)
        return having + lacking

    def ids_where(self, filters: Mapping[str, Any]) -> list[str]:
        """The ids of all items whose metadata matches."""
        return _chained(self._all(lambda shard: shard.ids_where(filters)))

    def count(self) -> int:
        """How many items all shards hold."""
        return sum(self._all(lambda shard: shard.count()))

    def list_ids(self) -> list[str]:
        """The ids of all items."""
        return _chained(self._all(lambda shard: shard.list_ids()))

    def sample_ids(self, most: int) -> list[str]:
        """The ids of some items, of every shard."""
        return drawn(_chained(self._all(lambda shard: shard.sample_ids(most))), most)

    def train(self, training: Training = DEFAULT_TRAINING) -> None:
        """Train the index on every shard."""
        self._all(lambda shard: shard.train(training))

    def is_training(self) -> bool:
        """Whether any shard is being trained."""
        return any(self._all(lambda shard: shard.is_training()))

    def drop(self) -> None:
        """Delete the index from every shard, if every shard answers: a part of an index is of no use."""
        self.count()
        self._all(lambda shard: shard.drop())

    def check_placement(self) -> None:
        """Refuse an index whose items another list of shards placed.

        Raises:
            IndexMismatch: A service is another shard, or has items that this list places on others.
        """
        first, together = 0, None
        for number, info in enumerate(self._all(lambda shard: shard.describe()), 1):
            own = mark_of(info)
            if own is None:
                continue
            if (own.number, own.of) != (number, len(self._shards)):
                raise IndexMismatch(
                    f"shard {number} of {len(self._shards)} was shard {own.number} of {own.of} when index "
                    f"{self.name!r} was created",
                    hint="name the same services in the same order",
                )
            first, together = first or number, own.together if together is None else together
            if own.together != together:
                raise IndexMismatch(
                    f"shard {number} and shard {first} both have an index {self.name!r} with this key, but "
                    "were not created together",
                    hint="name the services that the index was created on",
                )
        for number, ids in enumerate(self._all(lambda shard: shard.sample_ids(SAMPLE))):
            if ids and (shards_of(ids, len(self._shards)) != number).any():
                raise IndexMismatch(
                    f"items of shard {number + 1} of {len(self._shards)} belong to others: index "
                    f"{self.name!r} was loaded over another list of shards",
                    hint="name the same services in the same order",
                )

    def _all(self, ask: Callable[[TargetIndex], T]) -> list[T]:
        """What every shard answers, asked at once."""
        return self._of(range(len(self._shards)), lambda number: ask(self._shards[number]))

    def _of(self, numbers: Iterable[int], ask: Callable[[int], T]) -> list[T]:
        """What is answered for some shards, asked at once."""
        return [*self._pool.map(lambda one: _named(self._locations[one], partial(ask, one)), numbers)]

    def _each(self, ids: Sequence[str], ask: Callable[[TargetIndex, list[str]], T]) -> list[T]:
        """What the shards of some ids answer, each asked for its own."""
        places = shards_of(ids, len(self._shards)).tolist() if ids else []
        own: dict[int, list[str]] = {}
        for item_id, place in zip(ids, places, strict=True):
            own.setdefault(place, []).append(item_id)
        return self._of(own, lambda number: ask(self._shards[number], own[number]))


def _named(location: str, ask: Callable[[], T]) -> T:
    """What a shard answers. Its errors say which shard it is; that of a bad batch is not the shard's."""
    try:
        return ask()
    except TargetError as error:
        if location not in str(error) and not isinstance(error, BatchRefused):
            error.args = (f"shard {location}: {error.args[0]}", *error.args[1:])
        raise


def _outcome(location: str, store: Callable[[], Ack]) -> Ack | VecloadError:
    try:
        return _named(location, store)
    except VecloadError as error:
        return error


def _chained(parts: Iterable[Iterable[str]]) -> list[str]:
    return [item_id for part in parts for item_id in part]


def _rank(hit: Hit) -> tuple[float, str]:
    """Best first: by score, else by distance; equal ones by their ids, so that the order is one."""
    if hit.score is not None:
        return -hit.score, hit.id
    return math.inf if hit.distance is None else hit.distance, hit.id


def _order(value: Any) -> tuple[int, Any]:
    """As the engine sorts: numbers, then texts, booleans, and the rest."""
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, int | float):
        return 0, value
    return (1, value) if isinstance(value, str) else (3, 0)


def _random_hex() -> str:
    return secrets.token_hex(8)


class _Threads:
    """Asks several shards at once. A forked process has none of the threads, and makes its own."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0

    def map(self, ask: Callable[..., T], asked: Iterable[Any]) -> Iterator[T]:
        """What each answers, in order."""
        if self._pool is None or self._process != os.getpid():
            self._pool = ThreadPoolExecutor(64, thread_name_prefix="vecload-shard")
            self._process = os.getpid()
        return self._pool.map(ask, asked)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _dropped(index: TargetIndex) -> bool:
    """Drop an index that was just made, unless another run has loaded items already; whether it is gone."""
    try:
        if index.count():
            return False
        index.drop()
    except TargetError:
        return False
    return True


class ShardedTarget(Closing):
    """Several services as one target.

    Args:
        shards: The services, in the order of the list; two at least.
        draw: Draws a random number, as hex, for the shards of a new index.
    """

    def __init__(self, shards: Sequence[Target], draw: Callable[[], str] = _random_hex) -> None:
        self._shards = tuple(shards)
        self._draw = draw
        self._pool = _Threads()
        self._closed = False

    @property
    def location(self) -> str:
        """The locations of the services, with commas between."""
        return ",".join(shard.location for shard in self._shards)

    def healthy(self) -> bool:
        """Whether every shard answers."""
        return not self._closed and all(self._pool.map(lambda shard: shard.healthy(), self._shards))

    def health(self) -> dict[str, str]:
        """What the first shard says of itself, if every shard answers."""
        return self._all(lambda shard: shard.health())[0]

    def list_indexes(self) -> list[str]:
        """The names of the indexes of all shards, sorted."""
        return sorted({name for names in self._all(lambda shard: shard.list_indexes()) for name in names})

    def embedding_models(self) -> list[str]:
        """The models that every shard has."""
        first, *others = self._all(lambda shard: shard.embedding_models())
        return [model for model in first if all(model in other for other in others)]

    def create_index(self, name: str, index_key: bytes | None, settings: IndexSettings) -> ShardedIndex:
        """Create an index on every shard. Where there is an empty one, an earlier run was interrupted."""
        opened = self._found(name, index_key)
        if all(index is not None for index in opened):
            raise IndexExists(f"there is already an index {name!r} in {self.location}")
        made: list[TargetIndex] = []
        marks = [mark_of(index.describe()) for index in opened if index is not None]
        together = next((mark.together for mark in marks if mark is not None), None)
        if together is None:
            together = self._draw()
        try:
            for number, shard in enumerate(self._shards):
                if opened[number] is None:
                    mark = ShardMark(number + 1, len(self._shards), together)
                    own = replace(settings, filterable=(*settings.filterable, mark.field))
                    try:
                        index = shard.create_index(name, index_key, own)
                        made.append(index)
                    except IndexExists:
                        # Another run creates the same index at this moment: both go on with it. Both
                        # begin with the first shard, so the number of whoever made that one is on all.
                        index = shard.open_index(name, index_key)
                        known = mark_of(index.describe())
                        together = together if known is None else known.together
                    opened[number] = index
        except BaseException as error:
            left = [index for index in made if not _dropped(index)]
            if left and isinstance(error, VecloadError):
                error.refused = False  # so that the key of what is left is kept
            raise
        record(name, index_key, self._locations)
        whole = [index for index in opened if index is not None]
        return ShardedIndex(whole, self._locations, self._pool)

    def open_index(self, name: str, index_key: bytes | None) -> ShardedIndex:
        """Open an index on every shard.

        Raises:
            IndexMismatch: It was loaded over another list of shards.
        """
        check_recorded(name, index_key, self._locations)
        opened = [index for index in self._found(name, index_key) if index is not None]
        if len(opened) < len(self._shards):
            raise IndexNotFound(f"there is no index {name!r} in {self.location}")
        index = ShardedIndex(opened, self._locations, self._pool)
        index.check_placement()
        record(name, index_key, self._locations)
        return index

    def _found(self, name: str, index_key: bytes | None) -> list[TargetIndex | None]:
        """The index on each shard; None where it is not.

        Raises:
            IndexMismatch: Only some shards have it, and it holds items there.
        """

        def look(shard: Target) -> TargetIndex | None:
            try:
                return shard.open_index(name, index_key)
            except IndexNotFound:
                return None

        opened = self._all(look)
        lacking = [number for number, index in enumerate(opened, 1) if index is None]
        if lacking and any(index is not None and index.count() for index in opened):
            where = ", ".join(map(str, lacking))
            raise IndexMismatch(
                f"index {name!r} is missing on shard {where} of {len(opened)}, and the others hold items",
                hint="name the same services as when it was loaded, in the same order",
            )
        return opened

    @property
    def _locations(self) -> list[str]:
        return [shard.location for shard in self._shards]

    def _all(self, ask: Callable[[Target], T]) -> list[T]:
        if self._closed:
            raise ConnectionClosed(self.location)
        return [*self._pool.map(lambda shard: _named(shard.location, partial(ask, shard)), self._shards)]

    def close(self) -> None:
        """Release all shards."""
        self._closed = True
        for shard in self._shards:
            shard.close()
        self._pool.close()
