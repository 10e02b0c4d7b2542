"""Connection: a target for Python users, and `connect`, which opens one."""

from __future__ import annotations

import os
from collections.abc import Iterable

from vecload.closing import Closing
from vecload.errors import ItemTypeError, UsageError
from vecload.flags import parameters_named
from vecload.index import Index
from vecload.limits import BINARY_THRESHOLD
from vecload.options import LoadOptions
from vecload.sealing import Key
from vecload.sealing.keys import as_key
from vecload.targets import IndexSettings, Metric, StoragePrecision, Target, WireFormat, connect_target
from vecload.targets.opening import open_with


class Connection(Closing):
    """A connection to a target, from `vecload.connect`."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def __repr__(self) -> str:
        return f"vecload.Connection({self.location!r})"

    @property
    def location(self) -> str:
        """The service's address, or the store's folder."""
        return self._target.location

    @parameters_named()
    def list_indexes(self) -> list[str]:
        """The names of the indexes, sorted."""
        return self._target.list_indexes()

    @parameters_named()
    def create_index(
        self,
        name: str,
        key: Key | bytes | None = None,
        *,
        dimension: int | None = None,
        metric: Metric | None = None,
        storage_precision: StoragePrecision | None = None,
        unfilterable: Iterable[str] = (),
        pattern: Iterable[str] = (),
        full_text: Iterable[str] = (),
        embedding_model: str | None = None,
        kms: str | None = None,
        seal: bool = True,
        allow_zero_vectors: bool = False,
    ) -> Index:
        """Create an index and open it.

        Args:
            name: Its name.
            key: A Key, or 32 bytes. With 32 bytes, the contents key is derived from them, and the service
                could open contents. With `kms` only its contents key is used; None can't seal contents.
            dimension: The vector dimension; None lets the first upsert decide.
            metric: `euclidean` (the default), `cosine` or `squared_euclidean`.
            storage_precision: `float32` (the default, exact), `float16`, `tq12`, `tq8`, `tq6` or `tq4`.
            unfilterable: Metadata fields you will never filter on; they load several times faster.
            pattern: Metadata fields to search by regular expressions.
            full_text: Metadata fields to search by words.
            embedding_model: The engine's model that creates vectors from contents, which are then not sealed.
            kms: The KMS, by its name in the service's configuration, from which the service gets the index
                key.
            seal: Encrypt contents on this machine.
            allow_zero_vectors: Store all-zero vectors, which the engine cannot return.

        Raises:
            IndexExists: An index with that name exists.
            IndexMismatch: The settings are not possible.
            KeyFileError: There is neither an index key nor `kms`.
            RootKeyNeeded: The API key is a user token.
        """
        opened = None if key is None else as_key(key)
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
            kms=kms,
        )
        index_key = None if opened is None or kms else opened.index_key_for(name, _source(opened))
        index = self._target.create_index(name, index_key, settings)
        embed = embedding_model is not None
        return Index(index, opened, seal=seal, embed=embed, allow_zero_vectors=allow_zero_vectors)

    @parameters_named()
    def open_index(
        self,
        name: str,
        key: Key | bytes | None = None,
        *,
        seal: bool = True,
        embed: bool = False,
        allow_zero_vectors: bool = False,
    ) -> Index:
        """Open an index.

        Args:
            name: Its name.
            key: The Key or the 32 bytes it was created with. An index whose index key is in a KMS of the
                service, or that a user token opens, needs only a contents key; with None it can't seal or
                open contents.
            seal: Encrypt contents on this machine. Reading opens sealed contents in any case.
            embed: The index has an embedding model: items need no vector, and contents are not sealed.
            allow_zero_vectors: Store all-zero vectors, which the engine cannot return.

        Raises:
            IndexNotFound: No index has that name.
            KeyFileError: The index needs its index key, and none was given.
            WrongKey: The index was created with another key.
        """
        opened = None if key is None else as_key(key)
        index = open_with(self._target, name, opened, _source(opened)).index
        return Index(index, opened, seal=seal, embed=embed, allow_zero_vectors=allow_zero_vectors)

    @parameters_named()
    def delete_index(self, name: str, key: Key | bytes | None = None) -> None:
        """Delete an index and everything in it.

        Raises:
            IndexNotFound: No index has that name.
            KeyFileError: The index needs its index key, and none was given.
            RootKeyNeeded: The API key is a user token.
            WrongKey: The index was created with another key.
        """
        opened = None if key is None else as_key(key)
        open_with(self._target, name, opened, _source(opened)).index.drop()

    def close(self) -> None:
        """Release connections and locks. Later calls, also on its indexes, raise ConnectionClosed."""
        self._target.close()


def _source(key: Key | None) -> str:
    return (key.source if key is not None else "") or "the key that was given"


@parameters_named()
def connect(
    location: str | os.PathLike[str],
    *,
    api_key: str | None = None,
    wire: WireFormat = "auto",
    binary_threshold: int = BINARY_THRESHOLD,
) -> Connection:
    """Connect to a target.

    Args:
        location: `http://…` or `https://…` means a CyborgDB service; anything else is the folder of a store.
        api_key: The API key for a service, sent as X-API-Key.
        wire: The format of batches for a service: `json`, `binary`, or `auto`, which decides by size.
        binary_threshold: With `wire="auto"`, use binary from this many items on.

    Raises:
        UsageError: The location is neither, or an argument has no such value.
        EngineMissing: The location is a folder, and cyborgdb-core is not installed.
    """
    checked = LoadOptions(wire=wire, binary_threshold=binary_threshold)
    for name, text in (("location", location), ("api_key", api_key)):
        if text is not None and not text:
            raise UsageError(f"{name} is empty")
    wire, binary_threshold = checked.wire, checked.binary_threshold
    return Connection(connect_target(location, api_key=api_key, wire=wire, binary_threshold=binary_threshold))
