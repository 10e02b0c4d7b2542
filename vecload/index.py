"""Index: an open index, with the methods that the CyborgDB SDK documents."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from vecload.batch import Batch, Contents, Metadata
from vecload.errors import ItemTypeError, ItemValueError, NotSealed, SealError
from vecload.flags import parameters_named
from vecload.items import batch_of_columns, batch_of_dicts
from vecload.limits import BATCH_BYTES, BATCH_ROWS, QUERY_TOP_K
from vecload.loading.flow import seal
from vecload.loading.retry import RetryPolicy, Sender
from vecload.sealing import Key, Opener, Sealer
from vecload.sealing.envelope import is_sealed
from vecload.targets import IndexInfo, StoredItem, TargetIndex

FIELDS = ("vector", "metadata", "contents")
SEALED = "sealed"


class Index:
    """An open index, from `Connection.open_index` or `Connection.create_index`.

    Every method raises TargetError or a subclass when the target fails or refuses. Threads may share an
    index; two simultaneous upserts of the same id end in either order. In a forked process, an index of a
    service opens its own connections; an index of an embedded store raises ForkedStore.
    """

    def __init__(
        self,
        index: TargetIndex,
        key: Key | None,
        *,
        seal: bool = True,
        embed: bool = False,
        allow_zero_vectors: bool = False,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._index = index
        self._seals = seal and not embed
        self._sealer = Sealer(key.contents_key, index.name) if self._seals and key is not None else None
        key_from = (key.source if key is not None else "") or "the key that was given"
        self._opener = Opener(() if key is None else key.opening_keys, index.name, key_from)
        self._embed = embed
        self._allow_zero = allow_zero_vectors
        self._retry = retry or RetryPolicy()
        self._sender, self._pid = Sender(index.prepare, policy=self._retry), os.getpid()
        self._dimension = index.describe().dimension

    def __repr__(self) -> str:
        return f"vecload.Index({self.name!r})"

    @property
    def name(self) -> str:
        """The index's name."""
        return self._index.name

    def describe(self) -> IndexInfo:
        """Dimension, metric, and whether it is trained, as the target reports now."""
        return self._index.describe()

    @overload
    def upsert(self, items: list[dict[str, Any]], /) -> None: ...

    @overload
    def upsert(self, ids: Sequence[str], vectors: ArrayLike, /) -> None: ...

    @parameters_named()
    def upsert(self, items: Any, /, vectors: Any = None, *others: Any, **named: Any) -> None:
        """Store items. They replace whole items with the same ids.

        Args:
            items: Dicts with `id`, `vector`, and optionally `metadata` and `contents`; or, with vectors, n
                ids.
            vectors: Shape (n, dim): the same as `upsert_binary(ids, vectors)`.
            others: Not allowed.
            named: Not allowed.

        Raises:
            ItemTypeError: A part of an item has the wrong type. Also a TypeError.
            ItemValueError: A value can't be stored, or would be stored wrong. Also a ValueError.
            TargetError: The target failed or refused. It is safe to call again.
        """
        if others or named:
            raise ItemTypeError(
                "upsert takes a list of dicts, or only ids and vectors",
                hint="pass metadata and contents to upsert_binary(ids, vectors, metadata=..., contents=...)",
            )
        if vectors is not None:
            self.upsert_binary(items, vectors)
            return
        self._store(
            batch_of_dicts(
                items, dimension=self._known_dimension(), embed=self._embed, allow_zero=self._allow_zero
            )
        )

    @parameters_named()
    def upsert_binary(
        self,
        ids: Sequence[str],
        vectors: ArrayLike,
        metadata: Sequence[Metadata | None] | None = None,
        contents: Sequence[Contents | None] | None = None,
    ) -> None:
        """Store items given as columns. They replace whole items with the same ids.

        Args:
            ids: n texts.
            vectors: Numbers, shape (n, dim); stored as float32.
            metadata: n dicts or None each.
            contents: n texts, bytes or None each.

        Raises:
            ItemTypeError: A column has the wrong type. Also a TypeError.
            ItemValueError: Lengths differ, or a value can't be stored. Also a ValueError.
            TargetError: The target failed or refused. It is safe to call again.
        """
        if vectors is None or self._embed:
            raise ItemValueError("upsert_binary needs vectors, and an index without an embedding model")
        self._store(
            batch_of_columns(
                ids,
                vectors,
                metadata,
                contents,
                dimension=self._known_dimension(),
                allow_zero=self._allow_zero,
            )
        )

    def _known_dimension(self) -> int:
        """The index's dimension, which another client's first upsert may have set meanwhile."""
        if not self._dimension:
            self._dimension = self._index.describe().dimension
        return self._dimension

    def _store(self, batch: Batch) -> None:
        """Send a batch in parts of the usual size, in order."""
        if self._seals and self._sealer is None and any(one is not None for one in batch.contents or ()):
            raise ItemValueError(
                f"there is no contents key for index {self.name!r} to seal contents with",
                hint="open the index with key=..., or with seal=False",
            )
        sender = self._own_sender()
        rows = BATCH_ROWS
        if len(batch):
            rows = max(1, min(rows, BATCH_BYTES * len(batch) // max(batch.nbytes, 1)))
        for start in range(0, len(batch), rows):
            sender.insist(seal(batch.part(start, start + rows), self._sealer))

    def _own_sender(self) -> Sender:
        """The sender of this process. In a forked child, the parent's locks may never be released."""
        if self._pid != os.getpid():
            self._sender, self._pid = Sender(self._index.prepare, policy=self._retry), os.getpid()
        return self._sender

    def get(
        self,
        ids: Sequence[str],
        include: Iterable[str] = FIELDS,
        *,
        require_sealed: bool = False,
        unopened: dict[str, SealError] | None = None,
    ) -> list[dict[str, Any]]:
        """Fetch items, in the order of the ids. Missing items are omitted.

        Args:
            ids: Any number of ids.
            include: Any of `vector`, `metadata`, `contents` and `sealed`. `sealed` says whether the contents
                were sealed with the contents key for this item; if not, anyone who can write to the index may
                have written them.
            require_sealed: Treat unsealed contents as an error of their item.
            unopened: Receives the errors of items whose contents do not open, by id; these items are omitted.
                Without it, the first such error is raised.

        Returns:
            Dicts with `id` and the fields in `include`: the vector as a list of floats (each a float32), the
            metadata as a dict, the contents in their original type, and whether they were sealed. The last
            two are None for items without contents.

        Raises:
            ItemValueError: Items have no such field.
            SealError: Sealed contents do not open.
            NotSealed: Contents are not sealed, with `require_sealed`.
        """
        if isinstance(ids, str | bytes) or not all(isinstance(item_id, str) for item_id in ids):
            raise ItemTypeError("get takes a list of ids, which are texts")
        names = [include] if isinstance(include, str) else list(include)
        if isinstance(include, str) or not set(names) <= {*FIELDS, SEALED}:
            raise ItemValueError(
                f"get can't include {names}", hint="give a list of vector, metadata, contents, sealed"
            )
        look = require_sealed or SEALED in names
        wanted = [name for name in FIELDS if name in names or (look and name == "contents")]
        asked = list(dict.fromkeys(ids))
        found = {item.id: item for item in self._index.get(asked, wanted)}
        # The engine omits items that have none of the fields. Asked for no field, it returns them.
        lacking = [item_id for item_id in asked if item_id not in found]
        if lacking and wanted:
            found |= {item.id: item for item in self._index.get(lacking, [])}
        opened: dict[str, dict[str, Any]] = {}
        for item_id, item in found.items():
            try:
                opened[item_id] = self._opened(item, names, require_sealed=require_sealed)
            except SealError as error:
                if unopened is None:
                    raise
                unopened[item_id] = error
        return [{**opened[item_id]} for item_id in ids if item_id in opened]

    def _opened(self, item: StoredItem, wanted: Sequence[str], *, require_sealed: bool) -> dict[str, Any]:
        stored = item.contents
        sealed = None if stored is None else is_sealed(stored)
        if require_sealed and sealed is False:
            raise NotSealed(item.id)
        opened: dict[str, Any] = {"id": item.id}
        if "vector" in wanted:
            opened["vector"] = None if item.vector is None else item.vector.tolist()
        if "metadata" in wanted:
            opened["metadata"] = item.metadata
        if "contents" in wanted:
            opened["contents"] = None if stored is None else self._opener.open(item.id, stored)
        elif sealed:
            self._opener.open(item.id, stored or "")
        if SEALED in wanted:
            opened[SEALED] = sealed
        return opened

    def query(self, vector: ArrayLike, top_k: int = QUERY_TOP_K) -> list[dict[str, Any]]:
        """The nearest items, nearest first.

        Args:
            vector: Numbers, shape (dim,).
            top_k: How many.

        Returns:
            Dicts with `id`, `distance` and `metadata`.

        Raises:
            ItemTypeError: The vector does not hold numbers.
            ItemValueError: The vector has another dimension than the index, or is not finite.
        """
        if isinstance(top_k, bool) or not isinstance(top_k, int) or top_k < 1:
            # Other values crash the engine's process with a segmentation fault.
            raise ItemValueError(f"top_k is {top_k!r}, not a number of items from 1")
        try:
            with np.errstate(over="ignore"):
                query = np.asarray(vector, dtype=np.float32)
        except (TypeError, ValueError):
            raise ItemTypeError("a query needs one vector of numbers") from None
        dimension = self._known_dimension()
        if query.ndim != 1 or not np.isfinite(query).all() or (dimension and len(query) != dimension):
            raise ItemValueError(
                f"a query needs one vector of {dimension} finite numbers, not shape {query.shape}"
            )
        return [
            {"id": hit.id, "distance": hit.distance, "metadata": hit.metadata}
            for hit in self._index.query(query, top_k)
        ]

    def count(self) -> int:
        """How many items the index holds."""
        return self._index.count()

    def list_ids(self) -> list[str]:
        """The ids of all items, in any order."""
        return self._index.list_ids()
