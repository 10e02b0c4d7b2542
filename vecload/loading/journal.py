"""The journal: the durable record of acknowledged spans, from which a load resumes.

Each load has one SQLite file, named after its sources, target and index, so that the same command finds it
again. A span is recorded only after the target's acknowledgement was checked and its rejects are on the disk.
Commits are grouped: if a kill loses some, their rows are only sent again.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vecload.batch import Span
from vecload.errors import JournalError, LoadLocked, SourceError, UsageError
from vecload.loading.database import Database, last_written, locked
from vecload.loading.identity import Identity, Part, Recorded
from vecload.loading.incremental.shared_ids import Digests, LoadedSource
from vecload.readers.storage.files import located

SAMPLES_KEPT = 100
"""Recorded items that a load of more sources looks up, of all loads before."""
COMMIT_SECONDS = 0.1
"""Seconds between commits. A commit for each span would cost 5% of an embedded load."""
_FORMAT = 4
_READABLE = (2, 3, _FORMAT)
"""Formats from which a load can resume. Format 2 had other fingerprints, which `Identity.holds` reads. Before
format 4, a journal did not say which files and mapping each source has."""

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
CREATE TABLE IF NOT EXISTS beginning (file TEXT PRIMARY KEY, fingerprint TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS touched (file TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ended (items INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ids (source TEXT NOT NULL, start INTEGER NOT NULL, digests BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS ids_of_source ON ids (source);
"""


class Journal:
    """The journal of one load, open in one process at a time.

    Args:
        folder: The folder of journals; created if missing.
        identity: The load.
        fresh: Forget what an earlier run recorded.
        replan: Sources may have changed since the unfinished load began: `keep` or `start_over` comes next.
        clock: Monotonic seconds.

    Attributes:
        changed: Why an unfinished load can't resume as it is, with `replan`; None if it can.

    Raises:
        LoadLocked: The same load is running.
        SourceError: A source changed since the unfinished load began.
        UsageError: The unfinished load had other settings.
        JournalError: The journal can't be written.
    """

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        *,
        fresh: bool = False,
        replan: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.changed: SourceError | None = None
        self._replan = replan
        self._ids: list[tuple[str, int, bytes]] = []
        self.path = folder / f"{identity.name}.sqlite"
        self._last = folder / f"{identity.names}.last"
        self._clock = clock
        self._waiting: list[tuple[Any, ...]] = []
        self._samples: list[str] = []
        self._committed = clock()
        self._paths: dict[str, str] = {}
        lock = self.path.with_suffix(".lock")
        self._written = last_written(self.path, lock)
        running = LoadLocked(
            f"the same load into index {identity.index!r} is already running", hint="wait for it to end"
        )
        self._database = Database(
            self.path,
            locked(lock, fcntl.LOCK_EX, running),
            _SCHEMA,
            what="the journal",
            damaged="remove it and load from the start",
            clock=clock,
        )
        self._run = self._database.run
        try:
            self._begin(identity, fresh=fresh)
        except BaseException:
            self.close()
            raise

    def _begin(self, identity: Identity, *, fresh: bool) -> None:
        known = self._run("SELECT format, identity, finished, reject_bytes FROM load").fetchone()
        self.had_finished = bool(known and known[2])
        self.unfinished = known is not None and not self.had_finished
        self._identity, self._identity_text = identity, identity.text()
        readable = known is not None and known[0] in _READABLE
        if self.unfinished and not readable and not fresh:
            raise JournalError(
                f"the journal {self.path} is from another version of vecload", hint="start over with --fresh"
            )
        self.unchanged = readable and known[1] == self._identity_text
        before, settings, *parts = json.loads(known[1]) if readable else ({}, [])
        self._parts = [Part(one, tuple(files), mapping) for one, files, mapping in (parts or [[]])[0]]
        self._before, self._settings = before, settings
        if readable and self.had_finished and not self.unchanged:
            self.unchanged = identity.differs(before, settings) is None
        if known is None or fresh or (self.unfinished and not self._holds_anything()):
            self.start_over()
            return
        if self.unfinished:
            self._go_on(before, settings, identity)
        self.reject_bytes = int(known[3])

    def _go_on(self, before: Mapping[str, str], settings: Sequence[str], identity: Identity) -> None:
        """Resume an unfinished load.

        Raises:
            SourceError: A source with recorded rows changed.
            UsageError: The load had other settings.
        """
        recorded = Recorded(
            frozenset(str(source) for (source,) in self._run("SELECT DISTINCT source FROM span")),
            dict(self._run("SELECT file, fingerprint FROM beginning")),
            frozenset(str(file) for (file,) in self._run("SELECT file FROM touched")),
            self.totals()[1],
        )
        difference = identity.differs(before, settings, recorded)
        if difference is not None:
            if self._replan and isinstance(difference, SourceError):
                self.changed = difference
                return
            raise difference
        # The next run compares with the sources as they are now.
        self._run("UPDATE load SET format = ?, identity = ?", (_FORMAT, self._identity_text))

    def _holds_anything(self) -> bool:
        """Whether a run recorded anything to resume from."""
        (found,) = self._run(
            "SELECT EXISTS (SELECT 1 FROM span) OR EXISTS (SELECT 1 FROM sample) "
            "OR EXISTS (SELECT 1 FROM load WHERE reject_bytes > 0)"
        ).fetchone()
        return bool(found)

    def start_over(self) -> None:
        """Forget every span and begin a new load."""
        for table in ("span", "ids", "sample", "reject_file", "beginning", "touched", "ended", "load"):
            self._run(f"DELETE FROM {table}")  # noqa: S608 of the names above
        self.reject_bytes = 0
        self._run("INSERT INTO load (format, identity) VALUES (?, ?)", (_FORMAT, self._identity_text))
        self._database.commit()

    def loaded_sources(self) -> list[LoadedSource]:
        """The sources that were loaded, in order; none if their settings differ from those of this load."""

        def others(settings: Sequence[str]) -> list[str]:
            return [text for text in settings if text not in mappings]

        mappings = {part.mapping for part in (*self._parts, *self._identity.parts)}
        if others(self._settings) != others(self._identity.settings):
            return []
        touched = {str(file) for (file,) in self._run("SELECT file FROM touched")}
        found = []
        for part in self._parts:
            rows, rejected, end = self._run(
                'SELECT coalesce(sum(stop - start), 0), coalesce(sum(rejected), 0), max("end") '
                "FROM span WHERE source = ?",
                (part.location,),
            ).fetchone()
            found.append(
                LoadedSource(
                    part,
                    {file: str(self._before.get(file, "")) for file in part.files},
                    rows=rows,
                    end=end,
                    rejected=rejected,
                    whole=self.had_finished,
                    touched=not touched.isdisjoint(part.files),
                    ids=partial(self._ids_of, part.location, rows - rejected),
                )
            )
        return found

    def _ids_of(self, source: str, items: int) -> Digests | None:
        """The digests of the ids in a source, sorted; None if some are not recorded."""
        found = [_digests(one) for (one,) in self._run("SELECT digests FROM ids WHERE source = ?", (source,))]
        if sum(map(len, found)) < items:
            return None
        return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)

    def ids_of(self, source: str) -> dict[int, Digests]:
        """The recorded digests of ids in a source, by the first row of their span."""
        rows = self._run("SELECT start, digests FROM ids WHERE source = ?", (self._path(source),))
        return {int(start): _digests(blob) for start, blob in rows}

    def keep(self, sources: Collection[str], *, reject_bytes: int) -> None:
        """Begin a load in which these sources count as loaded, and forget the others. Durable at once.

        Args:
            sources: Their locations.
            reject_bytes: The length of the reject file, which holds just their rejects.
        """
        for table in ("span", "ids"):
            known = [str(one) for (one,) in self._run(f"SELECT DISTINCT source FROM {table}")]  # noqa: S608
            self._run(
                f"DELETE FROM {table} WHERE source = ?",  # noqa: S608 of the names above
                many=[(source,) for source in known if source not in sources],
            )
        for table in ("beginning", "touched"):
            self._run(f"DELETE FROM {table}")  # noqa: S608
        # Each load adds a few; their number must not grow without end.
        self._run(
            "DELETE FROM sample WHERE id NOT IN (SELECT id FROM sample ORDER BY random() LIMIT ?)",
            (SAMPLES_KEPT,),
        )
        self._run(
            "UPDATE load SET format = ?, identity = ?, finished = 0, reject_bytes = ?",
            (_FORMAT, self._identity_text, reject_bytes),
        )
        self._database.commit()
        self.reject_bytes = reject_bytes
        self.changed = None

    def rejects_go_to(self, path: str) -> None:
        """Record the path of the reject file, which a resumed load must keep. Durable at the next commit.

        Args:
            path: The absolute path.

        Raises:
            UsageError: The load has rejects in another file.
        """
        known = self._run("SELECT path FROM reject_file").fetchone()
        if known is not None and known[0] != path and self.reject_bytes:
            raise UsageError(
                f"the rejects of this unfinished load are in {known[0]}, not in {path}",
                hint="name that file with --rejects to resume, or load from the start with --fresh",
            )
        self._run("DELETE FROM reject_file")
        self._run("INSERT INTO reject_file VALUES (?)", (path,))

    def rejects_path(self) -> str | None:
        """The path of the load's reject file; None if no run named one."""
        known = self._run("SELECT path FROM reject_file").fetchone()
        return None if known is None else str(known[0])

    def done(self, source: str, *, rejecting: bool | None = None) -> list[Span]:
        """The recorded spans of a source, in order. Adjacent ones are joined.

        Args:
            source: Its name.
            rejecting: Only spans with rejects (True), or only those without (False).
        """
        spans: list[Span] = []
        for span in self.spans(source, rejecting=rejecting):
            if spans and spans[-1].stop == span.start:
                spans[-1] = replace(span, start=spans[-1].start, begin=spans[-1].begin)
            else:
                spans.append(span)
        return spans

    def spans(self, source: str, *, rejecting: bool | None = None) -> list[Span]:
        """The recorded spans of a source, in order, each as it was recorded."""
        rows = self._run(
            'SELECT start, stop, begin, "end" FROM span WHERE source = ? '
            "AND (? IS NULL OR (rejected > 0) = ?) ORDER BY start",
            (self._path(source), rejecting, rejecting),
        )
        return [Span(source, *row) for row in rows]

    def totals(self) -> tuple[int, int]:
        """The recorded numbers of rows loaded and rows rejected."""
        loaded, rejected = self._run(
            "SELECT coalesce(sum(loaded), 0), coalesce(sum(rejected), 0) FROM span"
        ).fetchone()
        return int(loaded), int(rejected)

    def record(self, span: Span, loaded: int, rejected: int, ids: Digests | None = None) -> None:
        """Record an acknowledged span. Durable at the next commit.

        Args:
            span: The span.
            loaded: How many of its rows are in the index.
            rejected: How many are rejects.
            ids: The digests of the ids of its items, by which later loads see what files share.
        """
        source = self._path(span.source)
        if ids is not None:
            self._ids.append((source, span.start, ids.astype("<i8").tobytes()))
        self._waiting.append((source, span.start, span.stop, span.begin, span.end, loaded, rejected))

    def remember(self, item_id: str) -> None:
        """Record an acknowledged item, to recognise the index later. Durable at the next commit."""
        self._samples.append(item_id)

    def recorded_to(self, source: str) -> int | None:
        """The byte at which the last recorded span of a source ends; None if spans have no bytes."""
        found = self._run('SELECT max("end") FROM span WHERE source = ?', (self._path(source),)).fetchone()[0]
        return None if found is None else int(found)

    def begins_as(self, file: str, fingerprint: str) -> None:
        """Record the fingerprint of a file up to the end of its recorded rows. Durable at the next commit.

        Args:
            file: Its location.
            fingerprint: The fingerprint of that part.
        """
        self._run("INSERT OR REPLACE INTO beginning VALUES (?, ?)", (file, fingerprint))

    def was_touched(self, file: str) -> None:
        """Record that a file changed while a run read it, so its rows may come from two versions."""
        self._run("INSERT OR IGNORE INTO touched VALUES (?)", (file,))

    def samples(self) -> list[str]:
        """The recorded items, including those that are not durable yet."""
        return [*(str(item_id) for (item_id,) in self._run("SELECT id FROM sample")), *self._samples]

    def ended_with(self, items: int) -> None:
        """Record how many items the index holds at the end of the load. Durable at the next commit."""
        self._run("DELETE FROM ended")
        self._run("INSERT INTO ended VALUES (?)", (items,))

    def items_at_end(self) -> int | None:
        """How many items the index held at the end of the load; None if that was not recorded."""
        found = self._run("SELECT items FROM ended").fetchone()
        return None if found is None else int(found[0])

    def is_last(self) -> bool:
        """Whether no other load has begun since under these names, for example through changed links."""
        try:
            return self._last.read_text() == self.path.stem
        except FileNotFoundError:
            return True  # earlier versions recorded nothing
        except (OSError, ValueError):
            return False

    def begin(self) -> None:
        """Record that this is now the last load under these names. Called before rows are sent.

        Raises:
            JournalError: It can't be written.
        """
        written = self._last.with_suffix(f".{os.getpid()}")
        try:
            with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(self.path.stem)
                file.flush()
                os.fsync(file.fileno())
            written.replace(self._last)
        except OSError as error:
            with suppress(OSError):
                written.unlink()
            raise JournalError(
                f"can't keep a journal in {self.path.parent}: {error.strerror}",
                hint="make room or fix the disk, then run the same command again",
            ) from None

    def due(self) -> bool:
        """Whether it is time to commit."""
        return bool(self._waiting) and self._clock() - self._committed >= COMMIT_SECONDS

    def commit(self, *, reject_bytes: int | None, finished: bool = False) -> None:
        """Make the records durable.

        Args:
            reject_bytes: The length of the reject file, which is already on the disk; None without one.
            finished: The load is complete.

        Raises:
            JournalError: The journal can't be written. Records since the last commit do not count.
        """
        self._run("INSERT OR REPLACE INTO span VALUES (?, ?, ?, ?, ?, ?, ?)", many=self._waiting)
        self._run("INSERT INTO ids VALUES (?, ?, ?)", many=self._ids)
        self._run("INSERT OR IGNORE INTO sample VALUES (?)", many=[(item_id,) for item_id in self._samples])
        self._run(
            "UPDATE load SET reject_bytes = coalesce(?, reject_bytes), finished = ?",
            (reject_bytes, int(finished)),
        )
        self._database.commit()
        self._waiting.clear()
        self._ids.clear()
        self._samples.clear()
        self._committed = self._clock()

    def alive(self) -> None:
        """Record that this run still waits for the target, which may store sent batches at any time."""
        self._database.alive()

    def age(self, now: float) -> float:
        """Seconds since an earlier run last recorded something or waited for the target.

        Args:
            now: Seconds since the epoch.
        """
        return now - self._written

    def close(self) -> None:
        """Close the journal. Uncommitted records are lost."""
        self._database.close()

    def _path(self, source: str) -> str:
        """A source's name in the journal, independent of how the user spells it."""
        if source not in self._paths:
            self._paths[source] = located(source)
        return self._paths[source]


def _digests(blob: bytes) -> Digests:
    return np.frombuffer(blob, dtype="<i8")
