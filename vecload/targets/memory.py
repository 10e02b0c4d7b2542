"""A target in memory, for unit tests and dry runs. It keeps items as the engine does, and nothing on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from vecload.batch import Batch
from vecload.closing import Closing
from vecload.errors import BatchRefused, ConnectionClosed, IndexExists, IndexMismatch, IndexNotFound, WrongKey
from vecload.targets.base import (
    DEFAULT_TRAINING,
    Ack,
    IndexInfo,
    IndexSettings,
    OpenedBy,
    Permission,
    StoredItem,
    Training,
    check_settings,
    drawn,
    own_key,
)
from vecload.targets.filters import matches
from vecload.targets.queries import Hit, MetadataQuery, Query
from vecload.targets.wire import contents_text


class MemoryIndex:
    """An index of a MemoryTarget."""

    writers = 1
    opened_by: OpenedBy = "index key"

    def __init__(self, target: MemoryTarget, name: str, index_key: bytes, settings: IndexSettings) -> None:
        self.name = name
        self.index_key = index_key
        self._target = target
        self._settings = settings
        self._dimension = settings.dimension or 0
        self._stored: dict[str, StoredItem] = {}
        self._lock = threading.Lock()

    def describe(self) -> IndexInfo:
        """The settings, as the engine would report them."""
        self._target.check_open()
        settings = self._settings
        return IndexInfo(
            self.name, self._dimension, settings.metric or "euclidean", False, 1, settings.metadata_schema()
        )

    @property
    def _items(self) -> dict[str, StoredItem]:
        self._target.check_open()
        return self._stored

    def permissions(self) -> frozenset[Permission]:
        """All: whoever has the key may do anything."""
        return frozenset(("read", "write"))

    def prepare(self, batch: Batch) -> Callable[[], Ack]:
        """Nothing has to be encoded."""
        return partial(self.upsert, batch)

    def upsert(self, batch: Batch) -> Ack:
        """Keep the items, or refuse the whole batch."""
        if batch.vectors is None or batch.to_embed is not None:
            raise IndexMismatch(
                "the index has no embedding model", hint="omit --embed, and give every row a vector"
            )
        with self._lock:
            dimension = batch.vectors.shape[1]
            if self._dimension not in (0, dimension):
                raise BatchRefused(f"vectors of dimension {dimension} in an index of {self._dimension}")
            self._dimension = dimension
            metadata = batch.metadata or [None] * len(batch)
            contents = batch.contents or [None] * len(batch)
            for item_id, vector, fields, body in zip(
                batch.ids, batch.vectors, metadata, contents, strict=True
            ):
                stored = contents_text(body) if body else None
                self._items[item_id] = StoredItem(item_id, vector.copy(), fields or {}, stored)
        return Ack(len(batch), {}, batch.nbytes)

    def get(self, ids: Sequence[str], include: Sequence[str]) -> list[StoredItem]:
        """The items, with the parts to include."""
        found = [self._items[item_id] for item_id in ids if item_id in self._items]
        return [
            StoredItem(
                item.id,
                item.vector if "vector" in include else None,
                item.metadata if "metadata" in include else {},
                item.contents if "contents" in include else None,
            )
            for item in found
        ]

    def delete(self, ids: Sequence[str]) -> None:
        """Forget items."""
        with self._lock:
            for item_id in ids:
                self._items.pop(item_id, None)

    def query(self, query: Query) -> list[list[Hit]]:
        """The nearest by squared Euclidean distance. There are no filters, and no text search."""
        if query.vectors is None or query.filters or query.text:
            raise BatchRefused("an index in memory is searched by vectors alone")
        stored = [(item, item.vector) for item in self._items.values() if item.vector is not None]
        found: list[list[Hit]] = []
        for vector in query.vectors:
            near = [(float(np.sum((own - vector) ** 2)), item) for item, own in stored]
            near.sort(key=lambda pair: pair[0])
            found.append(
                [
                    Hit(
                        item.id,
                        distance if "distance" in query.include else None,
                        item.metadata if "metadata" in query.include else None,
                    )
                    for distance, item in near[: query.top_k]
                ]
            )
        return found

    def query_metadata(self, query: MetadataQuery) -> list[Hit]:
        """All items; there are no filters, and no text search."""
        if query.filters or query.text or query.order_by:
            raise BatchRefused("an index in memory is not searched by metadata")
        return [Hit(item_id) for item_id in [*self._items][: query.top_k]]

    def ids_where(self, filters: Mapping[str, Any]) -> list[str]:
        """The ids of the items whose metadata matches."""
        return [item.id for item in self._items.values() if matches(item.metadata, filters)]

    def count(self) -> int:
        """How many items there are."""
        return len(self._items)

    def list_ids(self) -> list[str]:
        """The ids of all items."""
        return list(self._items)

    def sample_ids(self, most: int) -> list[str]:
        """The ids of some items."""
        return drawn(self.list_ids(), most)

    def train(self, training: Training = DEFAULT_TRAINING) -> None:
        """Do nothing: every query looks at every item."""
        self._target.check_open()

    def is_training(self) -> bool:
        """It never is."""
        self._target.check_open()
        return False

    def drop(self) -> None:
        """Forget the index."""
        self._target.forget(self.name)


class MemoryTarget(Closing):
    """A target that lives as long as this object."""

    location = "memory"

    def __init__(self) -> None:
        self._closed = False
        self._indexes: dict[str, MemoryIndex] = {}

    def check_open(self) -> None:
        """Raise ConnectionClosed after `close`."""
        if self._closed:
            raise ConnectionClosed(self.location)

    def healthy(self) -> bool:
        """A store in this process answers until it is closed."""
        return not self._closed

    def health(self) -> dict[str, str]:
        """It is well until it is closed."""
        self.check_open()
        return {"status": "healthy"}

    def list_indexes(self) -> list[str]:
        """The names of the indexes, sorted."""
        self.check_open()
        return sorted(self._indexes)

    def embedding_models(self) -> list[str]:
        """No model is known."""
        return []

    def create_index(self, name: str, index_key: bytes | None, settings: IndexSettings) -> MemoryIndex:
        """Make an index."""
        self.check_open()
        check_settings(name, settings)
        index_key = own_key(name, index_key, settings)
        if name in self._indexes:
            raise IndexExists(f"there is already an index {name!r} in {self.location}")
        index = self._indexes[name] = MemoryIndex(self, name, index_key, settings)
        return index

    def open_index(self, name: str, index_key: bytes | None) -> MemoryIndex:
        """Open an index."""
        self.check_open()
        index = self._indexes.get(name)
        if index is None:
            raise IndexNotFound(f"there is no index {name!r} in {self.location}")
        if index.index_key != own_key(name, index_key):
            raise WrongKey(f"the key does not belong to the index {name!r}")
        return index

    def forget(self, name: str) -> None:
        """Delete an index by its name."""
        self.check_open()
        self._indexes.pop(name, None)

    def close(self) -> None:
        """Refuse later calls."""
        self._closed = True
