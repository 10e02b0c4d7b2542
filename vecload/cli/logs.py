"""Logs: the events and messages of a command, as lines of text or JSON, in a file or on standard error."""

from __future__ import annotations

import logging
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

import orjson

from vecload.cli.options import LogFormat
from vecload.cli.output import StandardError
from vecload.errors import UsageError
from vecload.events import LOADS, emit
from vecload.loading.progress import Progress
from vecload.safe_text import escaped, escaped_json

PROGRESS_SECONDS = 10.0
"""Seconds between events of progress, so that the log of a long load stays short."""
_OF_RECORDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "event"}
"""Attributes that every record has; all others are fields of an event."""


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of an event, seconds rounded to microseconds."""
    return {
        name: round(value, 6) if isinstance(value, float) else value
        for name, value in vars(record).items()
        if name not in _OF_RECORDS
    }


def _time(record: logging.LogRecord) -> str:
    """When, by RFC 3339, in UTC."""
    time = datetime.fromtimestamp(record.created, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextLines(logging.Formatter):
    """One line a record: time, level, event, fields as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without the line break."""
        event = getattr(record, "event", "message")
        said = record.getMessage() if event == "message" else event
        values = [f"{name}={_value(value)}" for name, value in fields(record).items() if value is not None]
        return escaped(" ".join([_time(record), f"{record.levelname:<7}", said, *values]))


def _value(value: Any) -> str:
    """A value in a line of text, in quotes if its end would not be clear."""
    text = str(value)
    return text if text and not set(text) & set(" =\"'") else orjson.dumps(_utf8(text)).decode()


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without the line break."""
        whole: Mapping[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": getattr(record, "event", "message"),
            "message": record.getMessage(),
            **fields(record),
        }
        safe = {name: _utf8(value) if isinstance(value, str) else value for name, value in whole.items()}
        return escaped_json(orjson.dumps(safe, default=str)).decode()


class LogFile(WatchedFileHandler):
    """Appends to a file, and opens it again when it was moved away, as logrotate does.

    A new file can be read by its owner and group, as far as the umask allows. If it can't be written, that is
    said once, and the load goes on.
    """

    def __init__(self, file: str) -> None:
        super().__init__(file, encoding="utf-8", errors="backslashreplace")
        self._failed = False

    def _open(self) -> Any:
        return open(
            self.baseFilename,
            self.mode,
            encoding=self.encoding,
            opener=lambda path, flags: os.open(path, flags | os.O_CLOEXEC, 0o640),
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. The base class lets errors of opening the file again pass."""
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def close(self) -> None:
        """Close the file; what could not be written is lost."""
        with suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 the base class's
        """Say once that the file can't be written."""
        error = sys.exc_info()[1]
        if not self._failed:
            self._failed = True
            why = error.strerror if isinstance(error, OSError) else type(error).__name__
            sys.stderr.write(f"the log file {escaped(self.baseFilename)} can't be written: {why}\n")


def handler_of(
    file: str | None, form: LogFormat | None, *, verbose: bool, quiet: bool
) -> logging.Handler | None:
    """The handler that options ask for; None if they ask for none.

    Args:
        file: Where to write; None for standard error, if `form` or `verbose` asks for a log.
        form: How to write; None for text.
        verbose: Every event, not only those that are rare.
        quiet: On standard error only warnings and errors.

    Raises:
        UsageError: The file can't be written.
    """
    if file is None and form is None and not verbose:
        return None
    if file is None and verbose and quiet:
        raise UsageError("--verbose and --quiet exclude each other", hint="add --log-file FILE, or omit one")
    handler: logging.Handler
    if file is None:
        handler = StandardError(sys.stderr)
    else:
        check_can_append(file)
        handler = LogFile(file)
    level = logging.DEBUG if verbose else logging.WARNING if quiet and file is None else logging.INFO
    handler.setLevel(level)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    return handler


def check_can_append(file: str) -> None:
    """Refuse a log file that can't be written, before the command does anything.

    Raises:
        UsageError: It can't be written, or it is standard output.
    """
    try:
        with open(
            file, "ab", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK, 0o640)
        ) as opened:
            status = os.fstat(opened.fileno())
    except OSError as error:
        raise UsageError(f"the log file {file} can't be written: {error.strerror}") from None
    if stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode):
        raise UsageError(f"the log file {file} is a pipe", hint="name a file, or omit --log-file")
    if os.path.samestat(status, os.fstat(1)) and Path(file).resolve() != Path(os.devnull):
        raise UsageError(
            f"the log file {file} is standard output, which is for data",
            hint="omit --log-file: the log then goes to standard error",
        )


class LoggedProgress:
    """Logs the progress of a load every PROGRESS_SECONDS."""

    def __init__(self) -> None:
        self._logged = 0.0

    def update(self, progress: Progress) -> None:
        """Log the progress if it is time."""
        if progress.seconds - self._logged >= PROGRESS_SECONDS:
            self._logged = progress.seconds
            emit(
                LOADS,
                logging.INFO,
                "progress",
                index=progress.index,
                percent=round(100 * progress.part),
                rows=progress.rows,
                read=progress.read,
                loaded=progress.loaded,
                rejected=progress.rejected,
                skipped=progress.skipped,
                seconds=progress.seconds,
                done=progress.done,
            )
