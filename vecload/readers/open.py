"""Opening sources: what a file is, by its first bytes and then by its name."""

from __future__ import annotations

import codecs
import os
from collections.abc import Sequence
from pathlib import Path

from vecload.errors import SourceError
from vecload.readers.source import Source

JSONL_SUFFIXES = (".jsonl", ".ndjson", ".json")

_OTHER_KINDS = (
    (b"\x1f\x8b", "gzip", "unpack it first: gzip -d"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unpack it first: zstd -d"),
    (b"PK\x03\x04", "a zip archive", "unpack it first"),
    (b"\x93NUMPY", "a NumPy array", "write it to Parquet with an id for each row"),
    (b"ARROW1", "an Arrow IPC file", "write it to Parquet"),
    (b"SQLite format 3", "an SQLite database", "write the table to Parquet"),
)


def open_sources(paths: Sequence[str]) -> list[Source]:
    """Open every source, before anything is read from any.

    Raises:
        SourceError: One is missing, unreadable, empty, of another kind, or named twice.
    """
    seen: set[str] = set()
    for path in paths:
        if (file := os.path.realpath(path)) in seen:
            raise SourceError(f"{path} is named twice")
        seen.add(file)
    return [open_source(path) for path in paths]


def open_source(path: str) -> Source:
    """Open one source by what it holds.

    Raises:
        SourceError: It is missing, unreadable, empty or of another kind.
    """
    file = Path(path)
    try:
        if file.is_dir():
            raise SourceError(f"{path} is a folder", hint="name the files in it")
        if file.exists() and not file.is_file():
            raise SourceError(f"{path} is no file on a disk", hint="write it to one: a load reads it again")
        with file.open("rb") as stream:
            head = stream.read(64)
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}") from None
    if not head:
        raise SourceError(f"{path} is empty")
    # pyarrow.parquet takes 140 ms to import: only what is used is loaded.
    if head.startswith(b"PAR1"):
        from vecload.readers.parquet import ParquetSource

        return ParquetSource(path)
    for magic, kind, hint in _OTHER_KINDS:
        if head.startswith(magic):
            raise SourceError(f"{path} is {kind}, neither Parquet nor JSON Lines", hint=hint)
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if text.startswith(b"["):
        raise SourceError(f"{path} is a JSON array, not JSON Lines", hint="convert it with: jq -c '.[]'")
    if text.startswith(b"{") or file.suffix.lower() in JSONL_SUFFIXES:
        from vecload.readers.jsonl import JsonlSource

        return JsonlSource(path)
    raise SourceError(f"{path} is neither Parquet nor JSON Lines")
