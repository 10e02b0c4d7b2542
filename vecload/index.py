"""Index: an open index, with the methods that the CyborgDB SDK documents."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, overload

from numpy.typing import ArrayLike

from vecload.batch import Batch, Contents, Metadata
from vecload.errors import (
    ItemTypeError,
    ItemUnreadable,
    ItemValueError,
    NotSealed,
    SealError,
    VecloadError,
)
from vecload.flags import parameters_named
from vecload.items import batch_of_columns, batch_of_dicts, ids_of, integers_as_text
from vecload.limits import BATCH_BYTES, BATCH_ROWS
from vecload.loading.contents_check import ContentsCheck
from vecload.loading.flow import seal
from vecload.loading.retry import RetryPolicy, Sender
from vecload.querying import Queries
from vecload.querying.arguments import number_of, whole_number_of
from vecload.sealing import Key, Opener, Sealer
from vecload.sealing.envelope import is_sealed
from vecload.targets import IndexInfo, StoredItem, TargetIndex, Training

FIELDS = ("vector", "metadata", "contents")
SEALED = "sealed"
N_LISTS_MAX = 65535
"""The most lists that the engine trains."""


class Index(Queries):
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
        seal: bool | None = None,
        embed: bool = False,
        allow_zero_vectors: bool = False,
        retry: RetryPolicy | None = None,
    ) -> None:
        super().__init__(index)
        self._seals = seal is not False
        self._sealer = Sealer(key.contents_key, index.name) if self._seals and key is not None else None
        key_from = (key.source if key is not None else "") or "the key that was given"
        self._opener = Opener(() if key is None else key.opening_keys, index.name, key_from)
        self._contents_check = (
            ContentsCheck(seal, index, key, embed=embed) if self._sealer is not None else None
        )
        self._embed = embed
        self._allow_zero = allow_zero_vectors
        self._retry = retry or RetryPolicy()
        self._sender, self._pid = Sender(index.prepare, policy=self._retry), os.getpid()

    def __repr__(self) -> str:
        return f"vecload.Index({self.name!r})"

    @property
    def name(self) -> str:
        """The index's name."""
        return self._index.name

    @property
    def index_name(self) -> str:
        """The index's name."""
        return self._index.name

    @property
    def dimension(self) -> int:
        """How many numbers a vector has; 0 until the first upsert sets it."""
        return self._known_dimension()

    @property
    def metric(self) -> str:
        """How distances are measured: `euclidean`, `cosine` or `squared_euclidean`."""
        return self._index.describe().metric

    @property
    def n_lists(self) -> int:
        """Into how many lists the index is divided now; 1 if it is not trained."""
        return self._index.describe().n_lists

    @property
    def metadata_schema(self) -> dict[str, dict[str, bool]]:
        """The policies of metadata fields, each with `filterable`, `pattern` and `full_text`."""
        return {field: dict(policy) for field, policy in self._schema.items()}

    @property
    def bm25(self) -> dict[str, Any] | None:
        """How full-text search scores: `k1`, `b` and `analyzer_version`; None without full-text fields."""
        bm25 = self._index.describe().bm25
        return None if bm25 is None else dict(bm25)

    @parameters_named()
    def describe(self) -> IndexInfo:
        """Dimension, metric, and whether it is trained, as the target reports now."""
        return self._index.describe()

    @parameters_named()
    def is_trained(self) -> bool:
        """Whether queries search only a part of the index."""
        return self._index.describe().trained

    @parameters_named()
    def is_training(self) -> bool:
        """Whether the index is being trained now. A service needs its root API key for this."""
        return self._index.is_training()

    @parameters_named()
    def train(
        self,
        n_lists: int | None = None,
        batch_size: int | None = None,
        max_iters: int | None = None,
        tolerance: float | None = None,
        max_memory: int | None = None,
    ) -> None:
        """Train the index, so that queries search only a part of it. Returns after the training.

        An index of a few thousand items or less stays untrained, without an error.

        Args:
            n_lists: Into how many lists to divide the index; the engine decides if None, here and below.
            batch_size: Items of a step.
            max_iters: Steps at most.
            tolerance: End when a step changes less.
            max_memory: Megabytes at most; 0 is any amount.

        Raises:
            ItemValueError: An argument is not a number that the engine takes. Also a ValueError.
            TrainingFailed: The index could not be trained. Its items stay, and queries find them.
        """
        if n_lists is not None and whole_number_of(n_lists, "n_lists", 0, N_LISTS_MAX) == 0:
            n_lists = None
        self._index.train(
            Training(
                n_lists=n_lists,
                batch_size=whole_number_of(batch_size, "batch_size", 0),
                max_iters=whole_number_of(max_iters, "max_iters", 1),
                tolerance=number_of(tolerance, "tolerance", 0),
                max_memory=whole_number_of(max_memory, "max_memory", 0),
            )
        )

    @overload
    def upsert(self, items: list[dict[str, Any]], /) -> None: ...

    @overload
    def upsert(
        self,
        ids: Sequence[str | int],
        vectors: ArrayLike,
        /,
        *,
        metadata: Sequence[Metadata | None] | None = None,
        contents: Sequence[Contents | None] | None = None,
    ) -> None: ...

    @overload
    def upsert(self, *, items: list[dict[str, Any]]) -> None: ...

    @overload
    def upsert(
        self,
        *,
        ids: Sequence[str | int],
        vectors: ArrayLike,
        metadata: Sequence[Metadata | None] | None = None,
        contents: Sequence[Contents | None] | None = None,
    ) -> None: ...

    @parameters_named()
    def upsert(
        self,
        items: Any = None,
        vectors: Any = None,
        *others: Any,
        ids: Any = None,
        metadata: Any = None,
        contents: Any = None,
    ) -> None:
        """Store items. They replace whole items with the same ids.

        The first call with contents looks at a sample of the contents in the index (`open_index`).

        Args:
            items: Dicts with `id`, `vector`, and optionally `metadata` and `contents`; or, with vectors, n
                ids. On an index with an embedding model, an item may have `contents` instead of a vector.
                These contents are not sealed, since the index reads them.
            vectors: Shape (n, dim).
            others: Not allowed.
            ids: n ids: texts, or integers, which become their decimal text.
            metadata: With ids, n dicts or None each.
            contents: With ids, n texts, bytes or None each.

        Raises:
            ItemTypeError: A part of an item has the wrong type. Also a TypeError.
            ItemValueError: A value can't be stored, or would be stored wrong. Also a ValueError.
            IndexMismatch: The index holds unsealed contents, and was opened without `seal`.
            WrongKey: The contents key does not open the contents of the index.
            TargetError: The target failed or refused. It is safe to call again.
        """
        if others or (ids is not None and items is not None):
            raise ItemTypeError(
                "upsert takes a list of dicts, or ids and vectors",
                hint="name metadata and contents: upsert(ids, vectors, metadata=..., contents=...)",
            )
        if ids is not None or vectors is not None:
            named = items if ids is None else ids
            self.upsert_binary(integers_as_text(named), vectors, metadata, contents)
            return
        if metadata is not None or contents is not None:
            raise ItemTypeError("upsert takes metadata and contents with ids and vectors, or in each item")
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

        The first call with contents looks at a sample of the contents in the index (`open_index`).

        Args:
            ids: n texts.
            vectors: Numbers, shape (n, dim); stored as float32.
            metadata: n dicts or None each.
            contents: n texts, bytes or None each.

        Raises:
            ItemTypeError: A column has the wrong type. Also a TypeError.
            ItemValueError: Lengths differ, or a value can't be stored. Also a ValueError.
            IndexMismatch: The index holds unsealed contents, and was opened without `seal`.
            WrongKey: The contents key does not open the contents of the index.
            TargetError: The target failed or refused. It is safe to call again.
        """
        if vectors is None:
            raise ItemValueError("upsert_binary needs vectors")
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
        check = self._contents_check  # another thread may have done it meanwhile
        if batch.contents is not None and batch.vectors is not None and check is not None:
            sender.ask(check.run)
            self._contents_check = None
        for start in range(0, len(batch), rows):
            sender.insist(seal(batch.part(start, start + rows), self._sealer))

    def _own_sender(self) -> Sender:
        """The sender of this process. In a forked child, the parent's locks may never be released."""
        if self._pid != os.getpid():
            self._sender, self._pid = Sender(self._index.prepare, policy=self._retry), os.getpid()
        return self._sender

    @parameters_named()
    def get(
        self,
        ids: Iterable[str],
        include: Iterable[str] = FIELDS,
        *,
        require_sealed: bool = False,
        unopened: dict[str, VecloadError] | None = None,
    ) -> list[dict[str, Any]]:
        """Fetch items, in the order of the ids. Missing items are omitted.

        Args:
            ids: Any number of ids.
            include: Any of `vector`, `metadata`, `contents` and `sealed`. `sealed` says whether the contents
                were sealed with the contents key for this item; if not, anyone who can write to the index may
                have written them.
            require_sealed: Treat unsealed contents as an error of their item.
            unopened: Receives the errors of items whose contents do not open, or that the service can't send,
                by id; these items are omitted. Without it, the first such error is raised.

        Returns:
            Dicts with `id` and the fields in `include`: the vector as a list of floats (each a float32), the
            metadata as a dict, the contents in their original type, and whether they were sealed. The last
            two are None for items without contents.

        Raises:
            ItemValueError: Items have no such field.
            SealError: Sealed contents do not open.
            NotSealed: Contents are not sealed, with `require_sealed`.
            ItemUnreadable: A client stored what the service can't send: NaN, or bytes that are not UTF-8.
        """
        ids = ids_of(ids, "get")
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
            except (SealError, ItemUnreadable) as error:
                if unopened is None:
                    raise
                unopened[item_id] = error
        return [{**opened[item_id]} for item_id in ids if item_id in opened]

    def _opened(self, item: StoredItem, wanted: Sequence[str], *, require_sealed: bool) -> dict[str, Any]:
        if item.unreadable:
            raise ItemUnreadable(item.id, item.unreadable)
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

    @parameters_named()
    def delete(self, ids: Iterable[str]) -> None:
        """Delete items. Ids that the index does not have are ignored.

        Args:
            ids: Any number of ids.

        Raises:
            ItemTypeError: They are not texts.
        """
        self._index.delete(ids_of(ids, "delete"))

    @parameters_named()
    def delete_index(self) -> None:
        """Delete the index and everything in it."""
        self._index.drop()

    @parameters_named()
    def count(self) -> int:
        """How many items the index holds."""
        return self._index.count()

    @parameters_named()
    def list_ids(self) -> list[str]:
        """The ids of all items, in any order."""
        return self._index.list_ids()
