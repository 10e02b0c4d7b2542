"""Rejects: how many a load allows, and the file that holds them."""

from __future__ import annotations

import fcntl
import io
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from vecload.batch import Reject
from vecload.errors import JournalError, RowsRejected, SourceError, UsageError
from vecload.options import error_limit
from vecload.readers.storage.files import located
from vecload.sealing import Sealer

PERCENT_FROM_ROWS = 1000
"""Rows that must be read before a percentage of them is judged; at the end it is judged in any case."""

FIRST_LINE_BYTES = 2**26
"""Of a file's first line, by which a reject file is known; a longer one is not read to its end."""
_BEGINS = b'{"source":"'


@dataclass(frozen=True, slots=True)
class ErrorLimit:
    """How many rows may be rejected before a load stops: a number, or a percentage of the rows read."""

    rows: int | None = 0
    percent: float | None = None

    @classmethod
    def parse(cls, text: int | str) -> Self:
        """Read `N` or `N%`.

        Raises:
            UsageError: Neither.
        """
        return cls(*error_limit(text))

    def exceeded(self, rejected: int, read: int, *, ended: bool) -> bool:
        """Whether that many rejects of that many rows are too many."""
        if self.rows is not None:
            return rejected > self.rows
        if not ended and read < PERCENT_FROM_ROWS:
            return False
        return rejected > read * (self.percent or 0.0) / 100


def check_place(path: str) -> None:
    """Refuse what is there and can't be a reject file; nothing is made, opened or changed.

    Args:
        path: As it was named: a link is refused, wherever it leads.

    Raises:
        UsageError: A device, a FIFO, a socket, a link, a folder, or another user's file.
    """
    try:
        status = os.lstat(path)
    except OSError:
        return  # missing, or for whoever writes it to find out
    if why := _not_ours(status):
        raise UsageError(f"the reject file {path} {why}", hint="name a regular file of yours, or a new one")


def _not_ours(status: os.stat_result) -> str:
    """What keeps something that is there from being a reject file; "" if nothing does."""
    if not stat.S_ISREG(status.st_mode):
        return f"is {next((kind for test, kind in _KINDS if test(status.st_mode)), 'something else')}"
    return "" if status.st_uid == os.geteuid() else "belongs to another user"


_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)
_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Whatever took a file's place in between must not be followed, nor waited for."""


def may_start_anew(path: str) -> bool:
    """Whether nothing but rejects would be lost if a file were emptied: its first line tells.

    A line that a full disk cut short is still one of ours. What can't be read is left to who writes it.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return True
        descriptor = os.open(path, _FLAGS & ~os.O_RDWR)
    except OSError:
        return True
    try:
        return _holds_rejects(descriptor)
    finally:
        os.close(descriptor)


def _holds_rejects(descriptor: int) -> bool:
    """Whether a file is empty, or begins with a reject."""
    try:
        with open(descriptor, "rb", closefd=False) as file:
            file.seek(0)
            line = file.readline(FIRST_LINE_BYTES)
    except OSError:
        return True
    try:
        reject = orjson.loads(line)
    except orjson.JSONDecodeError:
        begins = min(len(line), len(_BEGINS))
        return not line.endswith(b"\n") and line[:begins] == _BEGINS[:begins]
    return (
        isinstance(reject, dict)
        and isinstance(reject.get("source"), str)
        and type(reject.get("row")) is int
        and isinstance(reject.get("code"), str)
    )


def rejects_held(path: str, length: int | None = None) -> int:
    """How many rejects a file holds; 0 for a file that is gone, or holds something else.

    Args:
        path: The file.
        length: Its bytes that count; None counts all.
    """
    try:
        with Path(path).open("rb", 0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode) or not _holds_rejects(file.fileno()):
                return 0
            return _lines(file.fileno(), os.fstat(file.fileno()).st_size if length is None else length)
    except OSError:
        return 0


def _lines(descriptor: int, length: int) -> int:
    count = at = 0
    while at < length and (piece := os.pread(descriptor, min(2**20, length - at), at)):
        count, at = count + piece.count(b"\n"), at + len(piece)
    return count


class RejectFile:
    """A file of JSON Lines, one for each reject, readable by its owner alone.

    Args:
        path: Where; appended to.
        length: Its length in bytes when the load that goes on now last recorded it; what a killed run wrote
            after that is cut off. None for a load that begins: then an existing reject file is started anew.
        sealer: Seals the rows that rejects hold, if they do.

    Attributes:
        held: How many rejects it holds.

    Raises:
        JournalError: It can't be written, is no regular file, or is another user's.
        UsageError: A load begins, and the file is there and holds something else.
    """

    def __init__(self, path: str, length: int | None = None, *, sealer: Sealer | None = None) -> None:
        self.path = path
        self._sealer = sealer
        self._failure: JournalError | None = None
        self._file = self._opened()
        try:
            self._begin(length or 0)
        except OSError as error:
            self._file.close()
            raise self._unwritable(error) from None
        except BaseException:
            self._file.close()
            raise

    def _opened(self) -> io.FileIO:
        """The file, made if there is none."""
        try:
            try:
                descriptor = os.open(self.path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                # Opening a device may do something already.
                self._check_ours(os.lstat(self.path))
                descriptor = os.open(self.path, _FLAGS)
        except OSError as error:
            raise self._unwritable(error) from None
        return io.FileIO(descriptor, "r+b")

    def _begin(self, length: int) -> None:
        """Cut the file to its length, and go on at its end."""
        descriptor = self._file.fileno()
        status = os.fstat(descriptor)
        self._check_ours(status)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise JournalError(
                f"another load is writing the reject file {self.path}", hint="give each load one of its own"
            ) from None
        ours = _holds_rejects(descriptor)
        if not length and not ours:
            raise UsageError(f"{self.path} is there already, and is no reject file", hint="name another file")
        if os.fstat(descriptor).st_size < length:
            raise JournalError(
                f"the reject file {self.path} is shorter than the load left it",
                hint="put it back, or start over with --fresh",
            )
        if length and (os.pread(descriptor, 1, length - 1) != b"\n" or not ours):
            raise JournalError(
                f"the reject file {self.path} is not as the load left it",
                hint="put it back, or start over with --fresh",
            )
        if stat.S_IMODE(status.st_mode) != 0o600:
            os.fchmod(descriptor, 0o600)
        self._file.truncate(length)
        self._length = self._file.seek(0, os.SEEK_END)
        self.held = _lines(descriptor, length)
        self._sync_folder()

    def _check_ours(self, status: os.stat_result) -> None:
        if why := _not_ours(status):
            raise JournalError(
                f"the reject file {self.path} can't be written: it {why}",
                hint="name a regular file of yours, or a new one",
            )

    def check(self) -> None:
        """See whether the file still is where it was named, and holds what was written.

        A file that was removed is written again; it is still open.

        Raises:
            JournalError: Others cut it, wrote to it, or put another in its place, and rejects are lost.
        """
        if not self.held or self._failure is not None:
            return  # there is nothing in it to be lost
        try:
            own = os.fstat(self._file.fileno())
            try:
                there = os.lstat(self.path)
            except FileNotFoundError:
                there = None
            if own.st_size != self._length:
                happened = "was cut" if own.st_size < self._length else "was written to"
            elif there is None:
                self._write_again()
                return
            elif (there.st_dev, there.st_ino) != (own.st_dev, own.st_ino):
                happened = "was replaced"
            else:
                return
        except OSError as error:
            raise self._fail(self._unwritable(error)) from None
        raise self._fail(
            JournalError(
                f"the reject file {self.path} {happened} by others while the load wrote to it",
                hint="it does not hold every reject: load from the start with --fresh, and let nothing else "
                "touch it",
            )
        )

    def _fail(self, error: JournalError) -> JournalError:
        self._failure = error
        return error

    def _write_again(self) -> None:
        """Put what the removed file held into a new one of its name."""
        new = os.open(self.path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        copy = io.FileIO(new, "r+b")
        try:
            fcntl.flock(new, fcntl.LOCK_EX | fcntl.LOCK_NB)
            at = 0
            while piece := os.pread(self._file.fileno(), 2**20, at):
                at += os.write(new, piece)
            copy.seek(at)
            os.fsync(new)
            self._sync_folder()
        except BaseException:
            copy.close()
            raise
        self._file.close()
        self._file = copy

    @property
    def failed(self) -> bool:
        """Whether something was not written, or others touched it: it may hold less than `held`."""
        return self._failure is not None

    @property
    def length(self) -> int:
        """Bytes that are surely on the disk: whole lines."""
        return self._length

    def write(self, rejects: Sequence[Reject]) -> None:
        """Append rejects, and have them on the disk before returning.

        Raises:
            JournalError: They can't be written.
        """
        self.check()
        if self._failure is not None:
            raise self._failure  # nothing may follow half a line
        lines = b"".join(map(self._line, rejects))
        try:
            while lines:
                lines = lines[self._file.write(lines) :]
            os.fsync(self._file.fileno())
            self._length = self._file.tell()
            self.held += len(rejects)
        except OSError as error:
            raise self._fail(self._unwritable(error)) from None

    def _line(self, reject: Reject) -> bytes:
        fields = asdict(reject)
        fields["source"] = source = located(reject.source)
        if reject.raw is None:
            del fields["raw"]
        elif self._sealer is not None:
            fields["raw"] = self._sealer.seal([row_name(source, reject.row)], [reject.raw])[0]
        return orjson.dumps(fields) + b"\n"

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _unwritable(self, error: OSError) -> JournalError:
        return JournalError(f"the reject file {self.path} can't be written: {error.strerror}")

    def _sync_folder(self) -> None:
        descriptor = os.open(Path(self.path).resolve().parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def row_name(source: str, row: int) -> str:
    """What stands for an item id where a row of a reject file is sealed."""
    return f"{source}:{row}"


def rejects_of(path: str) -> Iterator[dict[str, Any]]:
    """The rejects of a file, as its lines have them.

    Raises:
        SourceError: It can't be read, or is no reject file.
    """
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise SourceError(f"the reject file {path} can't be read: {error.strerror}") from None
    for number, line in enumerate(lines):
        try:
            reject = orjson.loads(line)
            row_name(reject["source"], reject["row"] + 0)
        except (orjson.JSONDecodeError, TypeError, KeyError):
            raise SourceError(
                f"{path} is no reject file: line {number + 1} names no row of a source"
            ) from None
        yield reject


def too_many(first: Reject | None, rejected: int, *, recorded: bool = False) -> RowsRejected:
    """The error that stops a load; without a first reject, earlier runs of it had too many.

    Args:
        first: The first reject of this run.
        rejected: How many there are, in earlier runs too.
        recorded: Some are recorded as rejected, so that a run that goes on does not read them again.
    """
    if first is None:
        return RowsRejected(
            f"{rejected} rows were rejected by earlier runs of this load",
            hint="let them be left out with --max-errors, or load from the start with --fresh",
        )
    others = f" ({rejected} rows were rejected so far)" if rejected > 1 else ""
    if first.code == "repeated-id":
        return RowsRejected(
            f"{first}{others}",
            hint="keep the last row of each id with --repeated-ids last, pick another column with "
            "--id-column, combine columns (--id-column doc_id --id-column chunk_no), or skip the later rows "
            "with --max-errors and --rejects FILE",
        )
    again = "fix the rows and load from the start with --fresh" if recorded else "fix the row"
    return RowsRejected(
        f"{first}{others}", hint=f"{again}, or skip bad rows with --max-errors and --rejects FILE"
    )
