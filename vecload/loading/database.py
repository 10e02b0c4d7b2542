"""Database: a SQLite file of records that survive a kill, open in one process at a time."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from vecload.errors import JournalError

ALIVE_SECONDS = 1.0
"""How often a run that waits for its target records that it is alive."""


class Database:
    """A SQLite file (WAL, synchronous=FULL) with a lock. A transaction is always open.

    Args:
        path: The file. Its folder exists.
        lock: The descriptor of the locked file, from `locked`; closed with the database.
        schema: Creates the tables.
        what: What the file is, for messages: `the journal`.
        damaged: What to do if the file is damaged.
        clock: Monotonic seconds.

    Raises:
        JournalError: The file can't be used.
    """

    def __init__(
        self,
        path: Path,
        lock: int,
        schema: str,
        *,
        what: str,
        damaged: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self._lock = lock
        self._what = what
        self._damaged = damaged
        self._clock = clock
        self._alive = clock()
        self._failure: JournalError | None = None
        database = None
        try:
            database = sqlite3.connect(path, isolation_level=None)
            path.chmod(0o600)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.executescript(schema)
            database.execute("BEGIN IMMEDIATE")
        except (sqlite3.Error, OSError) as error:
            if database is not None:
                database.close()
            os.close(lock)
            raise self._unusable(error) from None
        self._database = database

    def run(
        self, statement: str, values: Sequence[Any] = (), *, many: Iterable[Sequence[Any]] | None = None
    ) -> sqlite3.Cursor:
        """Execute a statement.

        Raises:
            JournalError: It failed, or an earlier one did.
        """
        if self._failure is not None:
            # SQLite may have rolled back the transaction; later statements alone must not become durable.
            raise self._failure
        try:
            if many is not None:
                return self._database.executemany(statement, many)
            return self._database.execute(statement, values)
        except sqlite3.Error as error:
            self._failure = self._unusable(error)
            raise self._failure from None

    def commit(self) -> None:
        """Make everything since the last commit durable.

        Raises:
            JournalError: It failed, or an earlier statement did.
        """
        self.run("COMMIT")
        self.run("BEGIN IMMEDIATE")

    def alive(self) -> None:
        """Record that this run still waits for the target, which may store sent batches at any time."""
        if self._clock() - self._alive >= ALIVE_SECONDS:
            self._alive = self._clock()
            with suppress(OSError):  # the next commit reports a failing disk
                os.utime(self._lock)

    def close(self) -> None:
        """Close the file, and release the lock. What is not committed is lost."""
        try:
            self._database.close()
        except sqlite3.Error:
            pass  # all that counts is committed
        finally:
            os.close(self._lock)

    def _unusable(self, error: Exception) -> JournalError:
        damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        return JournalError(
            f"{self._what} {self.path} can't be used: {error}",
            hint=f"the file is damaged: {self._damaged}"
            if damaged
            else "make room or fix the disk, then run the same command again",
        )


def locked(path: Path, kind: int, busy: JournalError) -> int:
    """The descriptor of a file that is locked, and created if it is missing.

    Args:
        path: The file. Its folder is created if it is missing.
        kind: LOCK_EX or LOCK_SH.
        busy: The error if others hold the lock.

    Raises:
        JournalError: Others hold the lock, or the file can't be opened.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalError(f"can't keep a journal in {path.parent}: {error.strerror}") from None
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise busy from None
    return lock


def last_written(path: Path, lock: Path) -> float:
    """When a run last wrote to a database, in seconds since the epoch; 0 if there is none."""
    files = (path, Path(f"{path}-wal"), lock)
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
