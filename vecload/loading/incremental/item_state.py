"""Item state: the durable record of which items an index holds, by which a load sends only what changed.

Each index has one SQLite file. It holds keyed digests of ids and items (`item_digests`), and a few ids that
are sealed. At any moment it claims no more than the index holds: before an item is sent, its claim is
withdrawn, and the new one is recorded after the target acknowledged the item.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vecload.errors import LoadLocked
from vecload.loading.database import Database, last_written, locked
from vecload.loading.incremental.item_digests import Digests

RECORD = np.dtype([("id", "<u8", 2), ("item", "<u8", 2), ("owner", "<u4")])
"""A claim: the digest of an id, the digest of its item, and the load that the id belongs to.

An item of zeros is unknown: the id was sent, and it is not certain what the index holds. An owner of 0 means
that the id was deleted."""
Records: TypeAlias = NDArray[np.void]
FORMAT = 1
CHUNK_RECORDS = 2**18
"""Records of one row of the file: 9 MiB."""
LOG_RECORDS = 2**16
"""The file is written anew if it has more changes than this, and than a quarter of its records."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (
    format INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    unfinished INTEGER NOT NULL DEFAULT 0,
    stale TEXT,
    least INTEGER NOT NULL DEFAULT 0,
    shape TEXT
);
CREATE TABLE IF NOT EXISTS owner (number INTEGER PRIMARY KEY, digest BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS chunk (number INTEGER PRIMARY KEY, records BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS change (number INTEGER PRIMARY KEY, records BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sample (
    id BLOB PRIMARY KEY, sealed TEXT NOT NULL, item BLOB, vector BLOB
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Sampled:
    """An item by which an index is recognised.

    Attributes:
        id: The digest of its id, 16 bytes.
        sealed: The id, sealed.
        item: The digest of its metadata and contents as the target returned them; None if only its existence
            is known.
        vector: The digest of its vector as the target returned it.
    """

    id: bytes
    sealed: str
    item: bytes | None = None
    vector: bytes | None = None


def state_path(folder: Path, target: str, index: str) -> Path:
    """The file of an index in the folder of journals."""
    digest = hashlib.sha256(json.dumps([target, index]).encode()).hexdigest()[:24]
    return folder / f"{digest}.items"


class ItemState:
    """The state of one index, open in one process at a time.

    Args:
        path: The file, from `state_path`.
        key_id: The id of the contents key. With another key, nothing in the file can be recognised.
        replace: Begin anew if nothing in the file can be recognised; otherwise, leave it as it is.

    Attributes:
        why_forgotten: Why earlier records are not used; "" if they are.
        readable: The records can be recognised.

    Raises:
        LoadLocked: A load that uses the state is running.
        JournalError: The file can't be used.
    """

    def __init__(self, path: Path, key_id: str, *, replace: bool = True) -> None:
        self._changes = 0
        self._written = last_written(path, _lock_of(path))
        self._key_id = key_id
        self._database = _opened(path, fcntl.LOCK_EX)
        self._run, self.commit = self._database.run, self._database.commit
        self.alive, self.close = self._database.alive, self._database.close
        try:
            self.why_forgotten = self._begin(replace=replace)
        except BaseException:
            self.close()
            raise

    def _begin(self, *, replace: bool) -> str:
        known = self._run("SELECT format, key_id, unfinished, stale FROM about").fetchone()
        self.unfinished = bool(known and known[2])
        self.readable = known is None or (known[0], known[1]) == (FORMAT, self._key_id)
        if known is None or (replace and not self.readable):
            for table in ("about", "owner", "chunk", "change", "sample"):
                self._run(f"DELETE FROM {table}")  # noqa: S608 of the names above
            self._run("INSERT INTO about (format, key_id) VALUES (?, ?)", (FORMAT, self._key_id))
            self.commit()
        if self.readable:
            return str(known[3] or "") if known else ""
        if known[0] != FORMAT:
            return "what was loaded was recorded by another version of vecload"
        return "the contents key is another one"

    def records(self) -> Records:
        """All claims, sorted by id, without those of deleted ids."""
        lengths = [
            int(self._run(f"SELECT coalesce(sum(length(records)), 0) FROM {table}").fetchone()[0])  # noqa: S608
            // RECORD.itemsize
            for table in ("chunk", "change")
        ]
        self._changes = lengths[1]
        both: Records = np.empty(sum(lengths), dtype=RECORD)
        at = 0
        for table in ("chunk", "change"):
            for (blob,) in self._run(f"SELECT records FROM {table} ORDER BY number"):  # noqa: S608
                some = np.frombuffer(blob, dtype=RECORD)
                both[at : at + len(some)] = some
                at += len(some)
        return last_of_each(both) if self._changes else both

    def rewrite(self, records: Records) -> None:
        """Replace all claims by these, sorted by id. Durable at the next commit."""
        self._run("DELETE FROM chunk")
        self._run("DELETE FROM change")
        for start in range(0, len(records), CHUNK_RECORDS):
            some = records[start : start + CHUNK_RECORDS]
            self._run("INSERT INTO chunk (records) VALUES (?)", (some.tobytes(),))
        self._changes = 0

    def forget_items(self, records: Records) -> None:
        """Withdraw the claims on all items, and keep only which ids there were. Durable at once."""
        records["item"] = 0
        self.rewrite(records)
        self._run("DELETE FROM sample")
        self._run("UPDATE about SET stale = NULL, least = 0, shape = NULL")
        self.commit()

    def add(self, ids: Digests, items: Digests | None, owner: int) -> None:
        """Record claims, which replace those on the same ids. Durable at the next commit.

        Args:
            ids: Shape (n, 2).
            items: Shape (n, 2); None if the items are unknown from now on.
            owner: The load that the ids belong to; 0 if they are deleted.
        """
        if not len(ids):
            return
        records = np.zeros(len(ids), dtype=RECORD)
        records["id"], records["owner"] = ids, owner
        if items is not None:
            records["item"] = items
        self._run("INSERT INTO change (records) VALUES (?)", (records.tobytes(),))
        self._changes += len(records)

    @property
    def should_rewrite(self) -> bool:
        """Whether there are so many changes that the file should be written anew."""
        (held,) = self._run("SELECT coalesce(sum(length(records)), 0) FROM chunk").fetchone()
        return self._changes > max(LOG_RECORDS, int(held) // RECORD.itemsize // 4)

    def owner(self, digest: bytes) -> int:
        """The number of a load, from 1; a load that is not known gets one."""
        found = self._run("SELECT number FROM owner WHERE digest = ?", (digest,)).fetchone()
        if found is None:
            self._run("INSERT INTO owner (digest) VALUES (?)", (digest,))
            return self.owner(digest)
        return int(found[0])

    def begin(self) -> None:
        """Record that a load is running. Durable at once."""
        self._run("UPDATE about SET unfinished = 1")
        self.commit()

    def finish(self, least: int, shape: str) -> None:
        """Record that a load is complete. Durable at once.

        Args:
            least: How many items the index holds.
            shape: How the index is trained, on which the vectors that it returns may depend.
        """
        self._run("UPDATE about SET unfinished = 0, stale = NULL, least = ?, shape = ?", (least, shape))
        self.commit()

    def expect_fewer(self, items: int) -> None:
        """Take into account that so many items are about to be deleted. Durable at the next commit."""
        self._run("UPDATE about SET least = max(0, least - ?)", (items,))

    def expected(self) -> tuple[int, str]:
        """How many items the index holds at least, and how it was trained."""
        least, shape = self._run("SELECT least, shape FROM about").fetchone()
        return int(least), str(shape or "")

    def sample(self) -> list[Sampled]:
        """The items by which the index is recognised."""
        return [Sampled(*row) for row in self._run("SELECT id, sealed, item, vector FROM sample")]

    def add_sample(self, sampled: Sequence[Sampled], *, only: bool = False) -> None:
        """Add items to the sample, or make these the only ones. Durable at the next commit."""
        if only:
            self._run("DELETE FROM sample")
        rows = [(one.id, one.sealed, one.item, one.vector) for one in sampled]
        self._run("INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?)", many=rows)

    def drop_sample(self, ids: Sequence[bytes]) -> None:
        """Remove items from the sample. Durable at the next commit."""
        self._run("DELETE FROM sample WHERE id = ?", many=[(one,) for one in ids])

    def age(self, now: float) -> float:
        """Seconds since an earlier run last recorded something.

        Args:
            now: Seconds since the epoch.
        """
        return now - self._written


@contextmanager
def others_write(path: Path) -> Iterator[None]:
    """Lets a load write that does not use the state: what the state claims is then no longer certain.

    Args:
        path: The file, from `state_path`.

    Raises:
        LoadLocked: A load that uses the state is running.
        JournalError: The file can't be used.
    """
    if not path.exists():
        yield
        return
    database = _opened(path, fcntl.LOCK_SH)
    try:
        database.run("UPDATE about SET stale = 'another load or deletion changed the index'")
        database.run("COMMIT")
        yield
    finally:
        database.close()


def last_of_each(records: Records) -> Records:
    """The last claim on each id, sorted by id, without deleted ids.

    Args:
        records: In the order in which they were recorded.
    """
    order = np.lexsort((records["id"][:, 1], records["id"][:, 0]))  # stable: later claims come last
    ids = records["id"][order]
    last = np.ones(len(order), dtype=np.bool_)
    last[:-1] = (ids[1:] != ids[:-1]).any(axis=1)
    del ids
    found: Records = records[order[last]]
    kept: Records = found[found["owner"] != 0]
    return kept


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".items-lock")


def _opened(path: Path, kind: int) -> Database:
    running = LoadLocked(
        "another load into this index is running, and one of the two sends only changes",
        hint="wait for it to end",
    )
    return Database(
        path,
        locked(_lock_of(path), kind, running),
        _SCHEMA,
        what="the state of the index,",
        damaged="remove it, and everything is loaded again",
    )
