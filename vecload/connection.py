"""Connection: a target for Python users, and `connect`, which makes one."""

from __future__ import annotations

import os
from collections.abc import Iterable

from vecload.closing import Closing
from vecload.errors import ItemTypeError
from vecload.index import Index
from vecload.limits import BINARY_THRESHOLD
from vecload.sealing import Key
from vecload.sealing.keys import as_key
from vecload.targets import IndexSettings, Metric, StoragePrecision, Target, WireFormat, connect_target


class Connection(Closing):
    """A target, connected. Made by `vecload.connect`."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def __repr__(self) -> str:
        return f"vecload.Connection({self.location!r})"

    @property
    def location(self) -> str:
        """The service's address, or the store's folder."""
        return self._target.location

    def list_indexes(self) -> list[str]:
        """The names of the indexes, sorted."""
        return self._target.list_indexes()

    def create_index(
        self,
        name: str,
        key: Key | bytes,
        *,
        dimension: int | None = None,
        metric: Metric | None = None,
        storage_precision: StoragePrecision | None = None,
        unfilterable: Iterable[str] = (),
        pattern: Iterable[str] = (),
        full_text: Iterable[str] = (),
        embedding_model: str | None = None,
        seal: bool = True,
        allow_zero_vectors: bool = False,
    ) -> Index:
        """Make an index and open it.

        Args:
            name: Its name.
            key: A Key, or 32 bytes: then the contents key is derived, and the service could open contents.
            dimension: Values a vector; None lets the first upsert decide.
            metric: `euclidean` (the default), `cosine` or `squared_euclidean`.
            storage_precision: `float32` (the default, exact), `float16`, `tq12`, `tq8`, `tq6` or `tq4`.
            unfilterable: Metadata fields that no filter will name: they load several times faster.
            pattern: Metadata fields that regular expressions will search.
            full_text: Metadata fields that full-text search will search.
            embedding_model: The engine's model that makes vectors of contents; contents then go unsealed.
            seal: Encrypt contents on this machine.
            allow_zero_vectors: Store vectors of zeros, which the engine can't give back.

        Raises:
            IndexExists: There is one of that name.
            IndexMismatch: The settings can't be had.
        """
        opened = as_key(key)
        for fields in (unfilterable, pattern, full_text):
            if isinstance(fields, str):
                raise ItemTypeError(f"the metadata fields {fields!r} are a text, not a list of names")
        settings = IndexSettings(
            dimension=dimension,
            metric=metric,
            storage_precision=storage_precision,
            unfilterable=tuple(unfilterable),
            pattern=tuple(pattern),
            full_text=tuple(full_text),
            embedding_model=embedding_model,
        )
        index = self._target.create_index(name, opened.index_key, settings)
        embed = embedding_model is not None
        return Index(index, opened, seal=seal, embed=embed, allow_zero_vectors=allow_zero_vectors)

    def open_index(
        self,
        name: str,
        key: Key | bytes,
        *,
        seal: bool = True,
        embed: bool = False,
        allow_zero_vectors: bool = False,
    ) -> Index:
        """Open an index.

        Args:
            name: Its name.
            key: The Key or the 32 bytes it was made with.
            seal: Encrypt contents on this machine; what is sealed is opened in any case.
            embed: It was made with an embedding model: items need no vector, and contents go unsealed.
            allow_zero_vectors: Store vectors of zeros, which the engine can't give back.

        Raises:
            IndexNotFound: There is none of that name.
            WrongKey: It was made with another key.
        """
        opened = as_key(key)
        index = self._target.open_index(name, opened.index_key)
        return Index(index, opened, seal=seal, embed=embed, allow_zero_vectors=allow_zero_vectors)

    def delete_index(self, name: str, key: Key | bytes) -> None:
        """Delete an index and all that is in it.

        Raises:
            IndexNotFound: There is none of that name.
            WrongKey: It was made with another key.
        """
        self._target.open_index(name, as_key(key).index_key).drop()

    def close(self) -> None:
        """Release connections and locks; later calls, of its indexes too, raise ConnectionClosed."""
        self._target.close()


def connect(
    location: str | os.PathLike[str],
    *,
    api_key: str | None = None,
    wire: WireFormat = "auto",
    binary_threshold: int = BINARY_THRESHOLD,
) -> Connection:
    """Connect to a target.

    Args:
        location: `http://…` or `https://…` is a CyborgDB service; all else a folder with a store.
        api_key: For a service, sent as X-API-Key.
        wire: How batches are sent to a service: `json`, `binary`, or `auto` by their size.
        binary_threshold: Items of a batch from which `auto` takes binary.

    Raises:
        UsageError: The location is neither.
        EngineMissing: A folder, and cyborgdb-core is not installed.
    """
    return Connection(connect_target(location, api_key=api_key, wire=wire, binary_threshold=binary_threshold))
