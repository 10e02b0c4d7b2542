"""The embedded store: CyborgDB's engine, which runs in this process, on a folder of this machine."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vecload.batch import Batch, Contents
from vecload.closing import Closing
from vecload.errors import (
    BatchRefused,
    ConnectionClosed,
    IndexExists,
    IndexMismatch,
    IndexNotFound,
    ItemLimit,
    StoreLocked,
    TargetError,
    TrainingFailed,
    Unauthorised,
    VecloadError,
    WrongKey,
)
from vecload.safe_text import one_line
from vecload.targets.base import (
    DEFAULT_TRAINING,
    Ack,
    IndexInfo,
    IndexSettings,
    OpenedBy,
    Permission,
    StoredItem,
    Training,
    array_of,
    check_created,
    check_settings,
    in_turn,
    metadata_of,
    own_key,
)
from vecload.targets.engine import check_process, claim_engine, import_engine, track_engine_objects
from vecload.targets.location import cannot_make, exclusive, expand_home, is_half_made, unlist_half_made
from vecload.targets.queries import Hit, MetadataQuery, Query, hit_of
from vecload.targets.wire import contents_text

T = TypeVar("T")

GET_ITEMS = 5000
"""Ids of one get, so that a long list is not held twice."""


class EmbeddedIndex:
    """An index of an embedded store. Two threads may write to it at the same time."""

    # The engine releases the GIL: a second thread adds half the speed of one, more add nothing
    # (docs/cyborgdb.md).
    writers = 2
    opened_by: OpenedBy = "index key"

    def __init__(self, store: EmbeddedTarget, name: str, index_key: bytes, engine_index: Any) -> None:
        self.name = name
        self._store = store
        self._key = index_key
        self._engine_index = engine_index
        track_engine_objects(self, "_engine_index")
        store.track(self)
        self._dimension_known = False
        """Whether this object of the engine surely knows the index's dimension."""

    def __repr__(self) -> str:
        return f"EmbeddedIndex({self.name!r}, {self._store.location!r})"

    @property
    def _engine(self) -> Any:
        """The engine's object of the index.

        Raises:
            ConnectionClosed: It was released.
        """
        if self._engine_index is None:
            raise ConnectionClosed(self._store.location)
        return self._engine_index

    def release(self) -> None:
        """Drop the engine's object, which holds a lock of the store as long as it lives."""
        self._engine_index = None

    def describe(self) -> IndexInfo:
        """Ask the engine about the index."""
        config = self._call(self._engine.index_config)
        if not config["dimension"]:
            # The engine's object does not notice that the first upsert of another object set the dimension.
            self._engine_index = self._store.load(self.name, self._key)
            config = self._call(self._engine.index_config)
        return IndexInfo(
            name=self.name,
            dimension=int(config["dimension"] or 0),
            metric=str(config["metric"]),
            trained=self._call(self._engine.is_trained),
            n_lists=int(config["n_lists"]),
            metadata_schema=config["metadata_schema"],
            bm25=config["bm25"],
        )

    def permissions(self) -> frozenset[Permission]:
        """All: whoever has the key may do anything."""
        return frozenset(("read", "write"))

    def prepare(self, batch: Batch) -> Callable[[], Ack]:
        """Bring a batch into the engine's form; items with a vector and items without are stored in turn."""
        if batch.to_embed is not None:
            return partial(in_turn, [self.prepare(part) for part in batch.by_vector()])
        return partial(self._upsert_prepared, _for_engine(batch), Ack(len(batch), {}, batch.nbytes))

    def upsert(self, batch: Batch) -> Ack:
        """Store a batch. The engine stores all of it or nothing, and syncs it before it returns."""
        return self.prepare(batch)()

    def _upsert_prepared(self, arguments: tuple[Any, ...], ack: Ack) -> Ack:
        """Upsert, with care for the upsert that sets the dimension."""
        self._store.check_process()  # first, since in a forked child the lock may never be released
        if self._dimension_known:
            self._call(self._engine.upsert, *arguments, index_key=self._key)
            return ack
        # Through an object that does not know the dimension, an upsert may set another one, and the index
        # loses its items (docs/cyborgdb.md). So these upserts run one at a time, each after asking for the
        # dimension.
        with self._store.dimension_lock:
            self._dimension_known = self.describe().dimension > 0
            self._call(self._engine.upsert, *arguments, index_key=self._key)
            self._dimension_known = True
        return ack

    def get(self, ids: Sequence[str], include: Sequence[str]) -> list[StoredItem]:
        """Fetch items."""
        items: list[StoredItem] = []
        for start in range(0, len(ids), GET_ITEMS):
            some = list(ids[start : start + GET_ITEMS])
            for stored in self._call(self._engine.get, some, list(include), index_key=self._key):
                vector = stored.get("vector")
                items.append(
                    StoredItem(
                        stored["id"],
                        array_of(vector) if vector else None,
                        metadata_of(stored.get("metadata")),
                        _text_if_utf8(stored.get("contents") or None),
                    )
                )
        return items

    def delete(self, ids: Sequence[str]) -> None:
        """Delete items."""
        for start in range(0, len(ids), GET_ITEMS):
            self._call(self._engine.delete, list(ids[start : start + GET_ITEMS]), index_key=self._key)

    def query(self, query: Query) -> list[list[Hit]]:
        """The nearest items of each vector."""
        found = self._call(
            self._engine.query, query_vectors=query.vectors, **query.arguments(), index_key=self._key
        )
        # For a single vector the engine returns its results alone.
        return [[hit_of(hit) for hit in hits] for hits in (found if len(query) > 1 else [found])]

    def query_metadata(self, query: MetadataQuery) -> list[Hit]:
        """The items with such metadata."""
        found = self._call(self._engine.query_metadata, **query.arguments(), index_key=self._key)
        return [hit_of(hit) for hit in found]

    def ids_where(self, filters: Mapping[str, Any]) -> list[str]:
        """The ids of the items whose metadata matches."""
        found = self._call(self._engine.query_metadata, dict(filters), index_key=self._key)
        return [item["id"] for item in found]

    def count(self) -> int:
        """How many items the index holds."""
        return int(self._call(self._engine.get_num_vectors, index_key=self._key))

    def list_ids(self) -> list[str]:
        """The ids of all items."""
        return list(self._call(self._engine.list_ids, index_key=self._key))

    def sample_ids(self, most: int) -> list[str]:
        """The ids of some items: the engine's order without a filter depends on the index key alone."""
        found = self._call(self._engine.query_metadata, filters={}, top_k=most, index_key=self._key)
        return [item["id"] for item in found]

    def train(self, training: Training = DEFAULT_TRAINING) -> None:
        """Train the index."""
        self._store.check_process()
        try:
            self._engine.train(**training.arguments(), index_key=self._key)
        except (ValueError, RuntimeError) as error:
            raise TrainingFailed(
                f"the index was not trained ({_message_line(str(error))})",
                hint="the loaded items stay, and queries find them",
            ) from None

    def is_training(self) -> bool:
        """Whether this process trains the index."""
        return bool(self._call(self._engine.is_training))

    def drop(self) -> None:
        """Delete the index, and the envelope that lets a service serve it."""
        self._call(self._engine.delete_index, index_key=self._key)
        self._store.delete_envelope(self.name)

    def _call(self, method: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        return self._store.call(method, *args, **kwargs)


def embedding_models() -> list[str]:
    """The models that the engine has; none without the engine."""
    try:
        from cyborgdb_core import supported_embedding_models
    except ImportError:
        return []
    return [str(model["name"]) for model in supported_embedding_models()]


def has_store(folder: Path) -> bool:
    """Whether a folder has an embedded store. The engine creates one in any other folder that it opens."""
    return (expand_home(folder) / "_catalog").exists()


class EmbeddedTarget(Closing):
    """An embedded store.

    Args:
        folder: Where the engine keeps it. A missing folder is created, readable only by its owner.
        api_key: CyborgDB's licence key, which lifts the limit of items. The engine then asks CyborgDB's
            server about it, and reports its use there. Without one it uses no network.
        clock: Seconds since the epoch, for the dates of envelopes.
        read_only: Write nothing: in an existing store (`has_store`), opening and reading change no file.

    Raises:
        EngineMissing: cyborgdb-core is not installed.
        TargetError: The folder can't be used.
        Unauthorised: CyborgDB's server does not confirm the licence key, or can't be reached.
    """

    def __init__(
        self,
        folder: Path,
        *,
        api_key: str | None = None,
        clock: Callable[[], float] = time.time,
        read_only: bool = False,
    ) -> None:
        cyborgdb_core = import_engine()
        self._core = cyborgdb_core
        self._indexes: weakref.WeakSet[EmbeddedIndex] = weakref.WeakSet()
        self._pid = os.getpid()
        self._clock = clock
        self._read_only = read_only
        self.dimension_lock = threading.Lock()
        self.location = str(expand_home(folder).resolve())
        try:
            Path(self.location).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_make(Path(self.location), error.strerror or "") from None
        # Otherwise the engine writes log lines to both standard streams.
        self._logger = cyborgdb_core.Logger.instance()
        self._logger.configure("critical")
        self._config = cyborgdb_core.StorageConfig.disk(self.location)
        self._engine_client = self.call(cyborgdb_core.Client, api_key or "", self._config)
        track_engine_objects(self, "_engine_client", "_config", "_logger")

    def __repr__(self) -> str:
        return f"EmbeddedTarget({self.location!r})"

    @property
    def _client(self) -> Any:
        """The engine's client of the store.

        Raises:
            ConnectionClosed: `close` was called.
        """
        if self._engine_client is None:
            raise ConnectionClosed(self.location)
        return self._engine_client

    def track(self, index: EmbeddedIndex) -> None:
        """Release an index when the store is closed."""
        self._indexes.add(index)

    def check_process(self) -> None:
        """Check that this process opened the store.

        Raises:
            ForkedStore: Another process opened it.
        """
        check_process(self._pid, self.location)

    def healthy(self) -> bool:
        """A store in this process answers until it is closed."""
        return self._engine_client is not None and self._pid == os.getpid()

    def health(self) -> dict[str, str]:
        """The engine's version."""
        self.call(self._client.list_indexes)
        return {"status": "healthy", "version": str(self._core.__version__)}

    def list_indexes(self) -> list[str]:
        """The names of the indexes, sorted."""
        return sorted(self.call(self._client.list_indexes))

    def embedding_models(self) -> list[str]:
        """The engine's models."""
        return embedding_models()

    def create_index(self, name: str, index_key: bytes | None, settings: IndexSettings) -> EmbeddedIndex:
        """Create an index that cyborgdb-service can serve from the same folder.

        The envelope that the service needs is written first. If a kill left one behind, it is written again.
        """
        check_settings(name, settings)
        index_key = own_key(name, index_key, settings)
        # The engine lets two processes create the same index with two keys, one of which then opens nothing.
        with exclusive(self.location):
            index = EmbeddedIndex(self, name, index_key, self._create(name, index_key, settings))
            check_created(index, settings)
        return index

    def _create(self, name: str, index_key: bytes, settings: IndexSettings) -> Any:
        if name in self.list_indexes():
            with suppress(WrongKey):
                if self._opened(name, index_key) is None:
                    unlist_half_made(self.location, name)
        if name in self.list_indexes():
            raise IndexExists(f"there is already an index {name!r} in {self.location}")
        claim_engine()
        self._push_envelope(name)
        try:
            return self.call(
                self._client.create_index,
                name,
                index_key,
                dimension=settings.dimension,
                metric=settings.metric,
                storage_precision=settings.storage_precision,
                metadata_schema=settings.metadata_schema() or None,
                embedding_model=settings.embedding_model,
                bm25_k1=settings.bm25_k1,
                bm25_b=settings.bm25_b,
                logger=self._logger,
            )
        except VecloadError:
            if name not in self.list_indexes():
                self.delete_envelope(name)
            raise

    def open_index(self, name: str, index_key: bytes | None) -> EmbeddedIndex:
        """Open an index. One that the engine alone created can then be served as well."""
        with exclusive(self.location):
            there = name in self.list_indexes()
            index_key = own_key(name, index_key) if there else b""
            engine_index = self._opened(name, index_key) if there else None
        if engine_index is None:
            raise IndexNotFound(f"there is no index {name!r} in {self.location}")
        try:
            self._core.get_index_kms(self._config, name)
        except ValueError as error:
            if "No KMS blob exists" in str(error) and not self._read_only:
                self._push_envelope(name)
        return EmbeddedIndex(self, name, index_key, engine_index)

    def _opened(self, name: str, index_key: bytes) -> Any:
        """The engine's object of a listed index; None if a kill left it incomplete, and with this key."""
        try:
            return self.load(name, index_key)
        except BatchRefused:
            if is_half_made(self.location, name):
                return None
            raise

    def load(self, name: str, index_key: bytes) -> Any:
        """The engine's object of an index."""
        claim_engine()
        return self.call(self._client.load_index, name, index_key, self._logger)

    def call(self, method: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call the engine, and translate its errors."""
        self.check_process()
        try:
            return method(*args, **kwargs)
        except (ValueError, TypeError, RuntimeError) as error:
            raise self._error_of(str(error)) from None

    def delete_envelope(self, name: str) -> None:
        """Delete the envelope that lets a service serve an index."""
        self.call(self._core.delete_index_kms, self._config, name)

    def _push_envelope(self, name: str) -> None:
        blob = self._core.KMSBlob(provider="none", wrapped_kek=b"", version=1, created_at=int(self._clock()))
        self.call(self._core.push_index_kms, self._config, name, blob)

    def _error_of(self, message: str) -> VecloadError:
        line = _message_line(message)
        if "does not authenticate the stored wrap" in message:
            return WrongKey(
                f"the key does not belong to the index in {self.location}",
                hint="name the right one with --key-file",
            )
        if "check your API key" in message:
            return Unauthorised(
                "CyborgDB does not confirm the licence key, or its server can't be reached",
                hint="check CYBORGDB_API_KEY; without it the limit is 1,000,000 items an index",
            )
        if "locked by another store" in message:
            return StoreLocked(
                f"another process holds the store {self.location}",
                hint="stop it (a running cyborgdb-service, or another load), then run again",
            )
        if "Item limit reached" in message:
            return ItemLimit(
                f"the index is full ({line})",
                hint="the items that it has stay; near the limit, rows that replace items are refused too; "
                "CYBORGDB_API_KEY lifts the limit",
            )
        if "not set up for automatic embedding" in message:
            return IndexMismatch(
                "the index has no embedding model", hint="omit --embed, and give every row a vector"
            )
        if "does not match embedding model" in message:
            return IndexMismatch(f"the index can't be created with these settings ({line})")
        if "mbedding model" in message:
            return TargetError(f"the embedding model is not available ({line})")
        if "metric" in message or "storage_precision" in message or "metadata_schema" in message:
            return IndexMismatch(f"the index can't be created with these settings ({line})")
        if "[IoError]" in message or "[NoSpace]" in message or "commit" in message:
            return TargetError(f"the store {self.location} failed ({line})")
        return BatchRefused(f"the engine refused the request ({line})")

    def close(self) -> None:
        """Release the store: its lock lasts as long as the engine has an object of an index."""
        self._engine_client = None
        for index in [*self._indexes]:
            index.release()


def _text_if_utf8(contents: bytes | None) -> Contents | None:
    """Contents as the service returns them, which has text alone; other bytes as they are."""
    try:
        return None if contents is None else contents.decode()
    except UnicodeDecodeError:
        return contents


def _message_line(message: str) -> str:
    """A message of the engine on one line, without the arguments of the call, which include the index key."""
    return one_line(" ".join(message.partition("Invoked with")[0].split()))


def _for_engine(batch: Batch) -> tuple[Any, ...]:
    """A batch as arguments of the engine's upsert: an array if items have only vectors, else dicts."""
    if batch.vectors is not None and batch.metadata is None and batch.contents is None:
        # The engine silently ignores strides (docs/cyborgdb.md), so the array has to be C-contiguous.
        return batch.ids, np.ascontiguousarray(batch.vectors)
    return (_engine_items(batch),)


def _engine_items(batch: Batch) -> list[dict[str, Any]]:
    """A batch as dicts for the engine. It needs contiguous vectors, as rows of a C-contiguous array are."""
    items: list[dict[str, Any]] = [{"id": item_id} for item_id in batch.ids]
    if batch.vectors is not None:
        for item, vector in zip(items, np.ascontiguousarray(batch.vectors), strict=True):
            item["vector"] = vector
    if batch.metadata is not None:
        for item, metadata in zip(items, batch.metadata, strict=True):
            if metadata:
                item["metadata"] = metadata
    if batch.contents is not None:
        for item, contents in zip(items, batch.contents, strict=True):
            if contents is not None:
                item["contents"] = contents_text(contents)
    return items
