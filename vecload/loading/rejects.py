"""Rejects: how many a load allows, and the reject file."""

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
"""Rows that must be read before a limit in percent applies; at the end it always applies."""

FIRST_LINE_BYTES = 2**26
"""Bytes read of a file's first line, which shows whether it is a reject file."""
_BEGINS = b'{"source":"'


@dataclass(frozen=True, slots=True)
class ErrorLimit:
    """How many rows may be rejected before a load stops: a number, or a percentage of the rows read."""

    rows: int | None = 0
    percent: float | None = None

    @classmethod
    def parse(cls, text: int | str, name: str = "max_errors") -> Self:
        """Parse `N` or `N%`.

        Args:
            text: The value.
            name: The option that has it.

        Raises:
            UsageError: The text is neither.
        """
        return cls(*error_limit(text, name))

    def exceeded(self, rejected: int, read: int, *, ended: bool) -> bool:
        """Whether that many rejects among that many rows are too many."""
        if self.rows is not None:
            return rejected > self.rows
        if not ended and read < PERCENT_FROM_ROWS:
            return False
        return rejected > read * (self.percent or 0.0) / 100


def check_place(path: str) -> None:
    """Refuse a path that can't be a reject file. Creates, opens and changes nothing.

    Args:
        path: As the user gave it: a link is refused, wherever it leads.

    Raises:
        UsageError: It is a device, a FIFO, a socket, a link, a folder, or another user's file.
    """
    try:
        status = os.lstat(path)
    except OSError:
        return  # missing, or the write will report the error
    if why := _not_ours(status):
        raise UsageError(f"the reject file {path} {why}", hint="name your own regular file, or a new one")


def _not_ours(status: os.stat_result) -> str:
    """Why an existing path can't be a reject file; "" if it can."""
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
"""The path may have been replaced since it was checked: do not follow links or wait for pipes."""


def may_start_anew(path: str) -> bool:
    """Whether emptying a file would lose nothing but rejects, judging by its first line.

    A line that a full disk cut short counts as a reject. If the file can't be read, the write reports it.
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
    """How many rejects a file holds; 0 for a file that is missing or holds something else.

    Args:
        path: The file.
        length: Count only the first bytes; None counts all.
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
    """A file of JSON Lines, one for each reject, readable by its owner only.

    Args:
        path: The file to append to.
        length: For a resumed load, the last recorded length in bytes; anything that a killed run wrote after
            it is cut off. None for a new load, which empties an existing reject file.
        sealer: Seals the rows in rejects, if they hold rows.

    Attributes:
        held: How many rejects it holds.

    Raises:
        JournalError: It can't be written, is not a regular file, or belongs to another user.
        UsageError: For a new load, the file exists and holds something else.
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
        """The file, created if it does not exist."""
        try:
            try:
                descriptor = os.open(self.path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                # Check before opening: opening a device can have effects.
                self._check_ours(os.lstat(self.path))
                descriptor = os.open(self.path, _FLAGS)
        except OSError as error:
            raise self._unwritable(error) from None
        return io.FileIO(descriptor, "r+b")

    def _begin(self, length: int) -> None:
        """Truncate the file to its recorded length, and continue at its end."""
        descriptor = self._file.fileno()
        status = os.fstat(descriptor)
        self._check_ours(status)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise JournalError(
                f"another load is writing the reject file {self.path}", hint="give each load its own file"
            ) from None
        ours = _holds_rejects(descriptor)
        if not length and not ours:
            raise UsageError(f"{self.path} exists and is not a reject file", hint="name another file")
        if os.fstat(descriptor).st_size < length:
            raise JournalError(
                f"the reject file {self.path} is shorter than when the load stopped",
                hint="restore it, or start over with --fresh",
            )
        if length and (os.pread(descriptor, 1, length - 1) != b"\n" or not ours):
            raise JournalError(
                f"the reject file {self.path} changed since the load stopped",
                hint="restore it, or start over with --fresh",
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
                hint="name your own regular file, or a new one",
            )

    def check(self) -> None:
        """Check that the file is still at its path and holds what was written.

        If the file was removed, it is written again from the open descriptor.

        Raises:
            JournalError: Another program truncated, changed or replaced the file, and rejects are lost.
        """
        if not self.held or self._failure is not None:
            return  # it holds nothing that could be lost
        try:
            own = os.fstat(self._file.fileno())
            try:
                there = os.lstat(self.path)
            except FileNotFoundError:
                there = None
            if own.st_size != self._length:
                happened = "was truncated" if own.st_size < self._length else "was changed"
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
                f"the reject file {self.path} {happened} by another program during the load",
                hint="it does not hold every reject: load from the start with --fresh, and let no other "
                "program write to it",
            )
        )

    def _fail(self, error: JournalError) -> JournalError:
        self._failure = error
        return error

    def _write_again(self) -> None:
        """Copy the removed file to a new one at its path."""
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
        """Whether a write failed or another program changed the file: it may hold fewer than `held`."""
        return self._failure is not None

    @property
    def length(self) -> int:
        """Bytes that are certainly on the disk: whole lines."""
        return self._length

    def write(self, rejects: Sequence[Reject]) -> None:
        """Append rejects and sync them to the disk.

        Raises:
            JournalError: They can't be written.
        """
        self.write_lines(b"".join(map(self._line, rejects)))

    def write_lines(self, lines: bytes) -> None:
        """Append lines of another reject file and sync them to the disk.

        Raises:
            JournalError: They can't be written.
        """
        self.check()
        if self._failure is not None:
            raise self._failure  # nothing may follow an incomplete line
        count = lines.count(b"\n")
        try:
            while lines:
                lines = lines[self._file.write(lines) :]
            os.fsync(self._file.fileno())
            self._length = self._file.tell()
            self.held += count
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


def rejects_in(lines: bytes, most: int | None = None) -> list[Reject]:
    """The rejects in lines of a reject file that this version wrote, without their rows.

    Args:
        lines: The lines.
        most: How many of the first ones; None for all.
    """
    return [Reject(**{**orjson.loads(line), "raw": None}) for line in lines.splitlines()[:most]]


def row_name(source: str, row: int) -> str:
    """The name under which a row in a reject file is sealed, in place of an item id."""
    return f"{source}:{row}"


def rejects_of(path: str) -> Iterator[dict[str, Any]]:
    """The rejects in a file, as parsed from its lines.

    Raises:
        SourceError: The file can't be read, or is not a reject file.
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
                f"{path} is not a reject file: line {number + 1} names no row of a source"
            ) from None
        yield reject


def too_many(first: Reject | None, rejected: int, *, recorded: bool = False) -> RowsRejected:
    """The error that stops a load with too many rejects.

    Args:
        first: The first reject of this run; None if only earlier runs rejected rows.
        rejected: How many rows were rejected, in earlier runs too.
        recorded: Some are recorded as rejected, so a resumed run does not read them again.
    """
    if first is None:
        return RowsRejected(
            f"{rejected} rows were rejected by earlier runs of this load",
            hint="skip them with --max-errors, or load from the start with --fresh",
        )
    others = f" ({rejected} rows rejected so far)" if rejected > 1 else ""
    if first.code == "repeated-id":
        return RowsRejected(
            f"{first}{others}",
            hint="keep the last row of each id with --repeated-ids last, pick another column with "
            "--id-column, combine columns (--id-column doc_id --id-column chunk_no), or skip the later rows "
            "with --max-errors and --rejects FILE",
        )
    fix = "fix the rows and load from the start with --fresh" if recorded else "fix the row"
    return RowsRejected(
        f"{first}{others}", hint=f"{fix}, or skip bad rows with --max-errors and --rejects FILE"
    )
