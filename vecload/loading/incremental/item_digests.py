"""Item digests: what changed-only loads remember of ids and items. They reveal nothing without the key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from vecload.batch import Batch
from vecload.mapping.mapper import item_bytes
from vecload.targets import StoredItem

Digests: TypeAlias = NDArray[np.uint64]
"""Digests of 16 bytes: uint64, shape (n, 2)."""
DIGEST_BYTES = 16


class ItemDigests:
    """Computes keyed digests of ids and items, for one index.

    Args:
        contents_key: 32 bytes. The keys of the digests are derived from it.
        index: The index's name.
        policy: How items are stored: an item that is stored in another way has another digest.
    """

    def __init__(self, contents_key: bytes, index: str, policy: str) -> None:
        self._ids = _keyed(contents_key, "id", index)
        self._items = _keyed(contents_key, "item", index, policy)
        self._stored = _keyed(contents_key, "stored", index)

    def of_ids(self, ids: Sequence[str]) -> Digests:
        """The digests of some ids."""
        return _digests(self._ids, [item_id.encode("utf-8", "surrogatepass") for item_id in ids])

    def short_of_ids(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Half of the digests of some ids: int64, shape (n,)."""
        return np.ascontiguousarray(self.of_ids(ids)[:, 0]).view(np.int64)

    def of_items(self, batch: Batch) -> Digests:
        """The digests of the items of a batch that is not sealed: vector, metadata and contents."""
        count = len(batch)
        vectors = memoryview(b"" if batch.vectors is None else batch.vectors.tobytes())
        width = len(vectors) // count if count else 0
        each = [vectors[n * width : (n + 1) * width] for n in range(count)]
        if batch.to_embed is not None:
            each = [vector if batch.has_vector(n) else vectors[:0] for n, vector in enumerate(each)]
        if batch.metadata is None and batch.contents is None:
            base = self._items.copy()
            base.update(item_bytes(b"", None, None))
            return _digests(base, each)
        metadata = batch.metadata or [None] * count
        contents = batch.contents or [None] * count
        return _digests(
            self._items,
            [
                item_bytes(b"", entries, body) + vector
                for entries, body, vector in zip(metadata, contents, each, strict=True)
            ],
        )

    def of_stored(self, item: StoredItem) -> tuple[bytes, bytes]:
        """Digests of an item as the target returns it: of its metadata and contents, and of its vector."""
        vector = b"" if item.vector is None else item.vector.tobytes()
        return self._of(item_bytes(b"", item.metadata, item.contents)), self._of(vector)

    def of_text(self, text: str) -> bytes:
        """The digest of any text."""
        return self._of(text.encode("utf-8", "surrogatepass"))

    def _of(self, content: bytes) -> bytes:
        return _digests(self._stored, [content]).tobytes()


def _keyed(contents_key: bytes, *purpose: str) -> hashlib.blake2b:
    info = b"\0".join([b"vecload/changes/v1", *(text.encode() for text in purpose)])
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(contents_key)
    return hashlib.blake2b(digest_size=DIGEST_BYTES, key=key)


def _digests(base: hashlib.blake2b, contents: Iterable[bytes | memoryview]) -> Digests:
    """The digests of several contents, each after what the base has."""
    found = []
    for content in contents:
        digest = base.copy()
        digest.update(content)
        found.append(digest.digest())
    return np.frombuffer(b"".join(found), dtype="<u8").reshape(-1, 2)
