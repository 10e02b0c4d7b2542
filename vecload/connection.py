"""Connection: a target for Python users, and `connect`, which opens one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from vecload.closing import Closing
from vecload.errors import ItemTypeError, UsageError
from vecload.flags import parameters_named
from vecload.index import Index
from vecload.limits import BINARY_THRESHOLD
from vecload.metadata_fields import MetadataFields
from vecload.options import LoadOptions
from vecload.sealing import Key, generate_key
from vecload.sealing.keys import as_key
from vecload.targets import IndexSettings, Metric, Reach, StoragePrecision, Target, WireFormat, connect_target
from vecload.targets.location import shards_location
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
    def get_health(self) -> dict[str, str]:
        """What the target says of itself: `status`, and the `version` of its engine.

        Raises:
            TargetError: It does not answer.
        """
        return self._target.health()

    @staticmethod
    def generate_key() -> Key:
        """A new random key, with separate index key and contents key: `vecload.generate_key`."""
        return generate_key()

    @parameters_named()
    def list_indexes(self) -> list[str]:
        """The names of the indexes, sorted."""
        return self._target.list_indexes()

    @parameters_named()
    def create_index(
        self,
        index_name: str | None = None,
        index_key: Key | bytes | None = None,
        *,
        name: str | None = None,
        key: Key | bytes | None = None,
        dimension: int | None = None,
        metric: Metric | None = None,
        storage_precision: StoragePrecision | None = None,
        unfilterable: Iterable[str] = (),
        pattern: Iterable[str] = (),
        full_text: Iterable[str] = (),
        metadata_schema: Mapping[str, Mapping[str, bool]] | None = None,
        text_fields: Iterable[str] = (),
        bm25_k1: float | None = None,
        bm25_b: float | None = None,
        embedding_model: str | None = None,
        kms: str | None = None,
        seal: bool | None = None,
        allow_zero_vectors: bool = False,
    ) -> Index:
        """Create an index and open it.

        Args:
            index_name: Its name.
            index_key: A Key, or 32 bytes. With 32 bytes, the contents key is derived from them, and the
                service could open contents. With `kms` only its contents key is used; None can't seal
                contents.
            name: The same as `index_name`.
            key: The same as `index_key`.
            dimension: The vector dimension; None lets the first upsert decide.
            metric: `euclidean` (the default), `cosine` or `squared_euclidean`.
            storage_precision: `float32` (the default, exact), `float16`, `tq12`, `tq8`, `tq6` or `tq4`.
            unfilterable: Metadata fields you will never filter on; they load several times faster.
            pattern: Metadata fields to search by regular expressions.
            full_text: Metadata fields to search by words.
            metadata_schema: The same in the SDK's form: `{"field": {"filterable": False}}`, with
                `filterable`, `pattern` and `full_text`.
            text_fields: The same as `full_text`.
            bm25_k1: How much repeated words count in a text search, from 0; the engine's default is 1.2.
            bm25_b: How much the length of a field counts, 0 to 1; the engine's default is 0.75.
            embedding_model: The engine's model that makes the vectors of items that have none from their
                contents, which are then not sealed.
            kms: The KMS, by its name in the service's configuration, from which the service gets the index
                key.
            seal: Encrypt contents on this machine. None is True, unless somebody else adds unsealed contents
                before the first upsert with contents: see `open_index`.
            allow_zero_vectors: Store all-zero vectors, which the engine cannot return.

        Raises:
            IndexExists: An index with that name exists.
            IndexMismatch: The settings are not possible.
            KeyFileError: There is neither an index key nor `kms`.
            RootKeyNeeded: The API key is a user token.
        """
        name = _given(index_name, name, "index_name")
        key = _given(index_key, key, "index_key", needed=False)
        seal = LoadOptions(seal=seal).seal
        opened = None if key is None else as_key(key)
        fields = MetadataFields.of(unfilterable, pattern, full_text, text_fields).with_schema(metadata_schema)
        settings = IndexSettings(
            dimension=dimension,
            metric=metric,
            storage_precision=storage_precision,
            filterable=fields.filterable,
            unfilterable=fields.unfilterable,
            pattern=fields.pattern,
            full_text=fields.full_text,
            bm25_k1=bm25_k1,
            bm25_b=bm25_b,
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
        index_name: str | None = None,
        index_key: Key | bytes | None = None,
        *,
        name: str | None = None,
        key: Key | bytes | None = None,
        seal: bool | None = None,
        embed: bool = False,
        allow_zero_vectors: bool = False,
    ) -> Index:
        """Open an index.

        Args:
            index_name: Its name.
            index_key: The Key or the 32 bytes it was created with. An index whose index key is in a KMS of
                the service, or that a user token opens, needs only a contents key; with None it can't seal or
                open contents.
            name: The same as `index_name`.
            key: The same as `index_key`.
            seal: Encrypt contents on this machine. None does too, but the first upsert with contents raises
                if a sample shows that the index holds contents that are not sealed, or that this key does not
                open. True then goes on, unless this key opens none; False goes on in any case. Reading opens
                sealed contents in any case.
            embed: The index has an embedding model: an item may have contents instead of a vector. Such
                contents are not sealed. The target does not say whether an index has a model.
            allow_zero_vectors: Store all-zero vectors, which the engine cannot return.

        Raises:
            IndexNotFound: No index has that name.
            KeyFileError: The index needs its index key, and none was given.
            WrongKey: The index was created with another key.
        """
        name = _given(index_name, name, "index_name")
        key = _given(index_key, key, "index_key", needed=False)
        seal = LoadOptions(seal=seal).seal
        opened = None if key is None else as_key(key)
        index = open_with(self._target, name, opened, _source(opened)).index
        return Index(index, opened, seal=seal, embed=embed, allow_zero_vectors=allow_zero_vectors)

    load_index = open_index

    @parameters_named()
    def delete_index(
        self,
        index_name: str | None = None,
        index_key: Key | bytes | None = None,
        *,
        name: str | None = None,
        key: Key | bytes | None = None,
    ) -> None:
        """Delete an index and everything in it.

        Args:
            index_name: Its name.
            index_key: Its key.
            name: The same as `index_name`.
            key: The same as `index_key`.

        Raises:
            IndexNotFound: No index has that name.
            KeyFileError: The index needs its index key, and none was given.
            RootKeyNeeded: The API key is a user token.
            WrongKey: The index was created with another key.
        """
        name = _given(index_name, name, "index_name")
        key = _given(index_key, key, "index_key", needed=False)
        opened = None if key is None else as_key(key)
        open_with(self._target, name, opened, _source(opened)).index.drop()

    def close(self) -> None:
        """Release connections and locks. Later calls, also on its indexes, raise ConnectionClosed."""
        self._target.close()


def _given(value: Any, same: Any, name: str, *, needed: bool = True) -> Any:
    """An argument that has two names."""
    if (value is not None and same is not None) or (needed and value is None and same is None):
        how = "not given" if value is None else "given twice"
        raise ItemTypeError(f"{name} is {how}", hint='call it as (index_name, index_key): ("docs", key)')
    return same if value is None else value


def _source(key: Key | None) -> str:
    return (key.source if key is not None else "") or "the key that was given"


@parameters_named()
def connect(
    location: str | os.PathLike[str] | list[str] | tuple[str, ...],
    *,
    api_key: str | None = None,
    ca_file: str | os.PathLike[str] | None = None,
    client_cert: str | os.PathLike[str] | None = None,
    client_key: str | os.PathLike[str] | None = None,
    proxy: str | None = None,
    insecure_http: bool = False,
    wire: WireFormat = "auto",
    binary_threshold: int = BINARY_THRESHOLD,
) -> Connection:
    """Connect to a target.

    Args:
        location: `http://…` or `https://…` means a CyborgDB service; anything else is the folder of a store.
            A list of services are shards.
        api_key: The API key for a service, sent as X-API-Key; for a folder, CyborgDB's licence key.
        ca_file: PEM file of the authorities that certificates of a service count with; None: the system's.
        client_cert: PEM file of the certificate to show to a service.
        client_key: PEM file of its private key, unless `client_cert` has it.
        proxy: `http://HOST:PORT` of a proxy to a service. Variables like HTTPS_PROXY are not read.
        insecure_http: Send keys unencrypted over the network to a service at `http://`.
        wire: The format of batches for a service: `json`, `binary`, or `auto`, which decides by size.
        binary_threshold: With `wire="auto"`, use binary from this many items on.

    Raises:
        UsageError: The location is neither, an argument has no such value, or keys would travel unencrypted.
        ItemTypeError: An argument has the wrong type. Also a TypeError.
        Unauthorised: CyborgDB does not confirm the licence key.
        EngineMissing: The location is a folder, and cyborgdb-core is not installed.
    """
    if isinstance(location, list | tuple):
        location = shards_location(location)
    checked = LoadOptions(wire=wire, binary_threshold=binary_threshold)
    for name, text, kinds in (
        ("location", location, (str, os.PathLike)),
        ("api_key", api_key, (str, type(None))),
    ):
        if not isinstance(text, kinds):
            raise ItemTypeError(f"{name} is {type(text).__name__}, not text")
        if text is not None and not os.fspath(text).strip():
            raise UsageError(f"{name} is empty")
    reach = Reach(ca_file, client_cert, client_key, proxy, insecure_http)  # type: ignore[arg-type] # makes paths
    target = connect_target(
        location,
        api_key=api_key,
        reach=reach,
        wire=checked.wire,
        binary_threshold=checked.binary_threshold,
    )
    return Connection(target)
