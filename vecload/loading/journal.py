"""The journal: the durable record of acknowledged spans, by which a load resumes.

One SQLite file for each load, found by what is loaded where: the same command finds it again. A span is
recorded only after its target's acknowledgement was checked and its rejects are on the disk. Commits are
grouped: what a kill loses of them is only sent again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vecload.batch import Span
from vecload.errors import JournalError, LoadLocked, SourceError, UsageError
from vecload.readers.storage import located

COMMIT_SECONDS = 0.1
"""Spans are committed together that often; a commit for each costs 5% of an embedded load."""
ALIVE_SECONDS = 1.0
"""How often a run that waits for its target leaves a sign of that."""
_FORMAT = 2

_SCHEMA = """
CREATE TABLE IF NOT EXISTS load (
    format INTEGER NOT NULL,
    identity TEXT NOT NULL,
    finished INTEGER NOT NULL DEFAULT 0,
    reject_bytes INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS span (
    source TEXT NOT NULL,
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    begin INTEGER,
    "end" INTEGER,
    loaded INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    PRIMARY KEY (source, start)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sample (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reject_file (path TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a load the same load.

    Attributes:
        target: The target's location.
        index: The index.
        sources: What was named, in order: the locations of files, folders, patterns.
        fingerprints: By the location of each file that these were when the load began.
        settings: All else that changes what is stored: mapping, key id, sealing, wire options.
    """

    target: str
    index: str
    sources: tuple[str, ...]
    fingerprints: Mapping[str, str]
    settings: tuple[str, ...]

    @property
    def name(self) -> str:
        """The journal's name: the same for the same sources into the same index of the same target."""
        what = json.dumps([self.target, self.index, self.sources])
        return hashlib.sha256(what.encode()).hexdigest()[:24]

    def text(self) -> str:
        """All of it as JSON."""
        return json.dumps([dict(self.fingerprints), self.settings])


class Journal:
    """The journal of one load, held by one process at a time.

    Args:
        folder: Where journals are kept; made if missing.
        identity: The load.
        fresh: Forget what an earlier run recorded.
        clock: Monotonic seconds.

    Raises:
        LoadLocked: The same load is running.
        SourceError: A source changed under the unfinished load.
        UsageError: The unfinished load had other settings.
        JournalError: It can't be kept.
    """

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        *,
        fresh: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = folder / f"{identity.name}.sqlite"
        self._clock = clock
        self._waiting: list[tuple[Any, ...]] = []
        self._samples: list[str] = []
        self._committed = clock()
        self._alive = clock()
        self._written = _written(self.path)
        self._failure: JournalError | None = None
        self._paths: dict[str, str] = {}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(f"no journal can be kept in {folder}: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise LoadLocked(
                f"the same load into index {identity.index!r} is running already", hint="wait for it to end"
            ) from None
        try:
            self._database = self._open()
        except BaseException:
            os.close(self._lock)
            raise
        try:
            self._begin(identity, fresh=fresh)
        except BaseException:
            self.close()
            raise

    def _begin(self, identity: Identity, *, fresh: bool) -> None:
        known = self._run("SELECT format, identity, finished, reject_bytes FROM load").fetchone()
        if known is not None and known[0] != _FORMAT and not known[2] and not fresh:
            raise JournalError(
                f"the journal {self.path} is of another version", hint="start over with --fresh"
            )
        self.had_finished = bool(known and known[2])
        self.unfinished = known is not None and not self.had_finished
        self.unchanged = known is not None and known[1] == identity.text()
        self._identity_text = identity.text()
        if known is None or fresh:
            self.start_over()
            return
        if not self.had_finished and not self.unchanged:
            self._refuse(json.loads(known[1]), identity)
        self.reject_bytes = int(known[3])

    def start_over(self) -> None:
        """Forget every span: the load begins."""
        for table in ("span", "sample", "reject_file", "load"):
            self._run(f"DELETE FROM {table}")  # noqa: S608 of the names above
        self.reject_bytes = 0
        self._run("INSERT INTO load (format, identity) VALUES (?, ?)", (_FORMAT, self._identity_text))
        self._run("COMMIT")
        self._run("BEGIN IMMEDIATE")

    def rejects_go_to(self, path: str) -> None:
        """Note where the reject file is; a load that goes on keeps to it. Durable at the next commit.

        Args:
            path: Absolute.

        Raises:
            UsageError: The load has rejects in another.
        """
        known = self._run("SELECT path FROM reject_file").fetchone()
        if known is not None and known[0] != path and self.reject_bytes:
            raise UsageError(
                f"the rejects of this unfinished load are in {known[0]}, not in {path}",
                hint="name that one with --rejects to go on, or load from the start with --fresh",
            )
        self._run("DELETE FROM reject_file")
        self._run("INSERT INTO reject_file VALUES (?)", (path,))

    def done(self, source: str) -> list[Span]:
        """The spans of a source that are recorded, joined where they touch, in order."""
        rows = self._run(
            'SELECT start, stop, begin, "end" FROM span WHERE source = ? ORDER BY start',
            (self._path(source),),
        )
        spans: list[Span] = []
        for start, stop, begin, end in rows:
            if spans and spans[-1].stop == start:
                spans[-1] = Span(source, spans[-1].start, stop, spans[-1].begin, end)
            else:
                spans.append(Span(source, start, stop, begin, end))
        return spans

    def totals(self) -> tuple[int, int]:
        """Rows loaded and rows rejected, as recorded."""
        loaded, rejected = self._run(
            "SELECT coalesce(sum(loaded), 0), coalesce(sum(rejected), 0) FROM span"
        ).fetchone()
        return int(loaded), int(rejected)

    def record(self, span: Span, loaded: int, rejected: int) -> None:
        """Record an acknowledged span. Durable at the next commit."""
        source = self._path(span.source)
        self._waiting.append((source, span.start, span.stop, span.begin, span.end, loaded, rejected))

    def remember(self, item_id: str) -> None:
        """Note an acknowledged item, by which the index is known again. Durable at the next commit."""
        self._samples.append(item_id)

    def samples(self) -> list[str]:
        """The items noted, those that are not durable yet too."""
        return [*(str(item_id) for (item_id,) in self._run("SELECT id FROM sample")), *self._samples]

    def due(self) -> bool:
        """Whether it is time to commit."""
        return bool(self._waiting) and self._clock() - self._committed >= COMMIT_SECONDS

    def commit(self, *, reject_bytes: int | None, finished: bool = False) -> None:
        """Make what was recorded durable.

        Args:
            reject_bytes: The reject file's length, which is on the disk already; None without such a file.
            finished: The load is complete.

        Raises:
            JournalError: It can't be written; nothing recorded since the last commit may be claimed.
        """
        self._run("INSERT OR REPLACE INTO span VALUES (?, ?, ?, ?, ?, ?, ?)", many=self._waiting)
        self._run("INSERT OR IGNORE INTO sample VALUES (?)", many=[(item_id,) for item_id in self._samples])
        self._run(
            "UPDATE load SET reject_bytes = coalesce(?, reject_bytes), finished = ?",
            (reject_bytes, int(finished)),
        )
        self._run("COMMIT")
        self._run("BEGIN IMMEDIATE")
        self._waiting.clear()
        self._samples.clear()
        self._committed = self._clock()

    def alive(self) -> None:
        """Leave a sign that this run still waits for the target: what it has sent may be stored any time."""
        if self._clock() - self._alive >= ALIVE_SECONDS:
            self._alive = self._clock()
            with suppress(OSError):  # a disk that fails is met by the next commit
                os.utime(self._lock)

    def age(self, now: float) -> float:
        """Seconds since an earlier run last recorded something, or waited for the target.

        Args:
            now: Seconds since the epoch.
        """
        return now - self._written

    def close(self) -> None:
        """Let go of the journal. What was not committed is forgotten."""
        try:
            self._database.close()
        except sqlite3.Error:
            pass  # nothing more is claimed
        finally:
            os.close(self._lock)

    def _path(self, source: str) -> str:
        """A source's name in the journal: the same however the user spells it."""
        if source not in self._paths:
            self._paths[source] = located(source)
        return self._paths[source]

    def _open(self) -> sqlite3.Connection:
        database = None
        try:
            database = sqlite3.connect(self.path, isolation_level=None)
            self.path.chmod(0o600)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.executescript(_SCHEMA)
            database.execute("BEGIN IMMEDIATE")
        except (sqlite3.Error, OSError) as error:
            if database is not None:
                database.close()
            raise self._unusable(error) from None
        return database

    def _run(
        self, statement: str, values: Sequence[Any] = (), *, many: Iterable[Sequence[Any]] | None = None
    ) -> sqlite3.Cursor:
        if self._failure is not None:
            # SQLite may have undone the transaction: half of the next one would be made durable by itself.
            raise self._failure
        try:
            if many is not None:
                return self._database.executemany(statement, many)
            return self._database.execute(statement, values)
        except sqlite3.Error as error:
            self._failure = self._unusable(error)
            raise self._failure from None

    def _unusable(self, error: Exception) -> JournalError:
        damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        return JournalError(
            f"the journal {self.path} can't be used: {error}",
            hint="the file is damaged: remove it and load from the start"
            if damaged
            else "make room or mend the disk, then run the same command again",
        )

    def _refuse(self, known: Sequence[Any], identity: Identity) -> None:
        """Say what differs from the unfinished load."""
        before, settings = known
        now = identity.fingerprints
        for path in sorted({*before, *now}):
            if before.get(path) != now.get(path):
                happened = "changed" if path in before and path in now else "is gone"
                happened = "was added" if path not in before else happened
                raise SourceError(
                    f"{path} {happened} since the load of it began, and that load is unfinished",
                    hint="put back what was there to go on, or load from the start with --fresh",
                )
        differing = sorted(set(identity.settings) ^ set(settings))
        raise UsageError(
            f"an unfinished load of these sources had other settings ({', '.join(differing)})",
            hint="use the same to go on, or load from the start with --fresh",
        )


def _written(path: Path) -> float:
    """When a run last left a sign in its journal; seconds since the epoch, 0 if there is none."""
    files = (path, Path(f"{path}-wal"), path.with_suffix(".lock"))
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
