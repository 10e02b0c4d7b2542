"""Opening sources: what a file is, by its first bytes and then by its name."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from vecload.defaults import LINE_MAX_BYTES
from vecload.errors import SourceError
from vecload.readers.expand import Places
from vecload.readers.source import Source
from vecload.readers.storage import File, unreadable

HEAD_BYTES = 64
"""Of a file's beginning, which tell what it is."""

JSONL_SUFFIXES = (".jsonl", ".ndjson", ".json")

_OTHER_KINDS = (
    (b"\x1f\x8b", "gzip", "unpack it first: gzip -d"),
    (b"\x28\xb5\x2f\xfd", "zstd", "unpack it first: zstd -d"),
    (b"PK\x03\x04", "a zip archive", "unpack it first"),
    (b"\x93NUMPY", "a NumPy array", "write it to Parquet with an id for each row"),
    (b"ARROW1", "an Arrow IPC file", "write it to Parquet"),
    (b"SQLite format 3", "an SQLite database", "write the table to Parquet"),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """How sources are read, whatever they are.

    Attributes:
        format: What every source is, `parquet` or `jsonl`; None to see that from what it holds.
        endpoint_url: Of an S3-compatible store.
        max_line_bytes: A longer line of JSON Lines is rejected.
    """

    format: str | None = None
    endpoint_url: str | None = None
    max_line_bytes: int = LINE_MAX_BYTES


def open_sources(names: Sequence[str], reading: Reading = Reading()) -> list[Source]:
    """Open every source, before anything is read from any.

    Args:
        names: Paths, URIs, folders, patterns.
        reading: How they are read.

    Raises:
        SourceError: One is missing, unreadable, empty, of another kind, or named twice.
    """
    return [open_source(file, reading) for file in Places(reading.endpoint_url).files(names)]


def open_source(file: File, reading: Reading) -> Source:
    """Open one source by what it holds.

    Raises:
        SourceError: It is unreadable, empty or of another kind.
    """
    head = _head(file)
    if not head:
        raise SourceError(f"{file.name} is empty")
    # pyarrow.parquet takes 140 ms to import: only what is used is loaded.
    if reading.format == "parquet" or (reading.format is None and head.startswith(b"PAR1")):
        from vecload.readers.parquet import ParquetSource

        return ParquetSource(file)
    for magic, kind, hint in _OTHER_KINDS:
        if head.startswith(magic):
            raise SourceError(f"{file.name} is {kind}, neither Parquet nor JSON Lines", hint=hint)
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if text.startswith(b"["):
        raise SourceError(f"{file.name} is a JSON array, not JSON Lines", hint="convert it with: jq -c '.[]'")
    if reading.format == "jsonl" or text.startswith(b"{") or file.name.lower().endswith(JSONL_SUFFIXES):
        from vecload.readers.jsonl import JsonlSource

        return JsonlSource(file, line_max_bytes=reading.max_line_bytes)
    raise SourceError(f"{file.name} is neither Parquet nor JSON Lines")


def _head(file: File) -> bytes:
    try:
        with file.open() as stream:
            return stream.read(HEAD_BYTES)
    except OSError as error:
        raise unreadable(file, error) from None
