"""Differences: the items that differ, in bounded memory, and the file of them."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import orjson

from vecload.closing import Closing
from vecload.errors import UsageError, VecloadError
from vecload.safe_text import escaped_json
from vecload.verifying.comparison import Compared, Difference

_CACHE_KIB = 16 * 1024
_BEGINS = b'{"id":'
FIRST_LINE_BYTES = 2**16
_TABLE = (
    "CREATE TABLE differing (id TEXT PRIMARY KEY, place INTEGER, missing INTEGER, source TEXT, row INTEGER, "
    "parts TEXT) WITHOUT ROWID"
)


class Differences(Closing):
    """The items that differ, as far as they were compared. Takes batches in the order of their rows.

    The last row with an id decides: a later row of an item that differs replaces what is known about it. So
    every batch is needed, with all of its ids. They are kept in a temporary database, which goes to the disk
    where there are many; nothing of an item but its id is in it.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        for statement in (
            f"PRAGMA cache_size = -{_CACHE_KIB}",
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            _TABLE,
        ):
            self._database.execute(statement)
        self._place = 0
        self._any = False

    def add(self, compared: Compared) -> None:
        """Take the outcome of the next batch."""
        if self._any:
            self._database.executemany("DELETE FROM differing WHERE id = ?", [(one,) for one in compared.ids])
        if not compared.differing:
            return
        self._any = True
        rows = []
        for one in compared.differing:
            self._place += 1
            parts = orjson.dumps(one.parts).decode()
            rows.append((one.id, self._place, one.missing, one.source, one.row, parts))
        self._database.executemany("INSERT OR REPLACE INTO differing VALUES (?, ?, ?, ?, ?, ?)", rows)

    def counts(self) -> tuple[int, int]:
        """How many items are missing, and how many differ otherwise."""
        missing, all_of_them = self._database.execute(
            "SELECT COALESCE(SUM(missing), 0), COUNT(*) FROM differing"
        ).fetchone()
        return missing, all_of_them - missing

    def __iter__(self) -> Iterator[Difference]:
        """The items that differ, in the order of their rows."""
        rows = self._database.execute("SELECT id, source, row, parts FROM differing ORDER BY place")
        for item_id, source, row, parts in rows:
            yield Difference(item_id, source, row, tuple(map(tuple, orjson.loads(parts))))

    def close(self) -> None:
        """Delete the database."""
        self._database.close()


def check_place(path: str) -> None:
    """Refuse a path where a file of differences can't be, or which holds another file.

    Raises:
        UsageError: It is a folder, or a file that is not one of differences.
    """
    place = Path(path)
    try:
        if not place.parent.is_dir():
            raise UsageError(f"can't write differences to {path}: there is no folder {place.parent}")
        if not place.exists():
            return
        if not place.is_file():
            raise UsageError(f"can't write differences to {path}: it is not a regular file")
        with place.open("rb") as file:
            line = file.readline(FIRST_LINE_BYTES)
    except OSError as error:
        raise UsageError(f"can't write differences to {path}: {error.strerror}") from None
    if line and not line.startswith(_BEGINS):
        raise UsageError(
            f"--differences {path} exists and is not a file of differences",
            hint="name another file, or move that one",
        )


def write_differences(path: str, differences: Iterable[Difference], extra: Iterable[str]) -> None:
    """Write the differences as JSON Lines, all of them or nothing: under another name, which is then changed.

    Args:
        path: The file. One that is there is replaced.
        differences: The items that differ: a line for each field.
        extra: The ids that only the index has.

    Raises:
        VecloadError: It can't be written.
    """
    place = Path(path)
    aside = place.with_name(f".{place.name}.{secrets.token_hex(4)}.new")
    try:
        with aside.open("xb") as file:
            for one in differences:
                for field, what in one.parts:
                    file.write(_line(one.id, one.source, one.row, field, what))
            for item_id in extra:
                file.write(_line(item_id, None, None, "item", "is not in the sources"))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(place)
    except OSError as error:
        raise VecloadError(f"can't write differences to {path}: {error.strerror}") from None
    finally:
        with suppress(OSError):
            aside.unlink()


def _line(item_id: str, source: str | None, row: int | None, field: str, what: str) -> bytes:
    line = {"id": item_id, "source": source, "row": row, "field": field, "what": what}
    return escaped_json(orjson.dumps(line)) + b"\n"
