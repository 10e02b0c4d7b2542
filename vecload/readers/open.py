"""Opening sources: what a file is, by its first bytes and then by its name."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import Any

from vecload.errors import SourceError
from vecload.readers.folder_exports import find_export
from vecload.readers.json.causes import wide_encoding
from vecload.readers.read_options import USUAL, ReadOptions
from vecload.readers.source import ExportFacts, Source
from vecload.readers.storage.compressed import Unpacked, codec_of, plain_name
from vecload.readers.storage.expand import FileFinder
from vecload.readers.storage.files import STDIN, File, LocalFile, local_path, remote_parts, unreadable
from vecload.readers.storage.remote import each_opened
from vecload.readers.storage.stdin import Spooled, StandardInput

JSONL_SUFFIXES = (".jsonl", ".ndjson", ".json")
CSV_SUFFIXES = (".csv", ".tsv", ".tab")
SUFFIXES = (
    *(".parquet", ".pq", *JSONL_SUFFIXES, *CSV_SUFFIXES),
    *(".arrow", ".feather", ".ipc", ".arrows", ".npy", ".npz"),
    *(".fvecs", ".bvecs", ".fbin", ".u8bin", ".i8bin", ".hdf5", ".h5"),
)
"""Endings of sources' names, which the names of their indexes lose."""
MAGIC_BYTES = 64
"""Of a file's beginning, which show what it is."""
_BEFORE_TEXT = b" \t\r\n\v\f\x1e"
_BLANK_BYTES = 2**16
"""Of blank lines before the first that is not."""

_FORMATS = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),
    (b"\x93NUMPY", "numpy"),
    (b"PK\x03\x04", "numpy"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
)
VECTOR_SUFFIXES = (".fvecs", ".bvecs", ".fbin", ".u8bin", ".i8bin")
_OTHER_KINDS = (
    (b"PARE", "encrypted Parquet", "decrypt it first"),
    (b"FEA1", "Feather version 1", "write it to Parquet, or to Feather version 2"),
    (b"\xfd7zXZ", "xz", "unpack it first: xz -d"),
    (b"BZh", "bzip2", "unpack it first: bzip2 -d"),
    (b"\x04\x22\x4d\x18", "lz4", "unpack it first: lz4 -d"),
    (b"SQLite format 3", "an SQLite database", "write the table to Parquet"),
    (b"ORC", "ORC", "write it to Parquet"),
    (b"Obj\x01", "Avro", "write it to Parquet"),
    (b"\x80\x04", "a Python pickle", "write it to Parquet"),
    (b"\x80\x05", "a Python pickle", "write it to Parquet"),
    (b"LANC", "Lance", "write it to Parquet"),
    (b"PGDMP", "an archive of pg_dump", "load it with pg_restore, then write its rows as JSON Lines or CSV"),
)
NOT_KNOWN = "is neither Parquet, JSON Lines, CSV, Arrow IPC nor NumPy"


def open_sources(
    names: Sequence[str],
    options: ReadOptions = USUAL,
    *,
    failed: Callable[[SourceError], None] | None = None,
) -> list[Source]:
    """Open every source, before anything is read from any.

    Args:
        names: Paths, URIs, folders, patterns, `-` for standard input.
        options: How they are read.
        failed: Called with the error of each file that can't be opened and is skipped; None raises it.

    Raises:
        SourceError: One is missing, unreadable, empty, of another kind, or named twice.
    """
    from vecload.readers.added_columns import partition_values, with_partitions

    finder = FileFinder(options.endpoint_url)
    sources: list[Source] = []
    partitions: list[dict[str, str | None]] = []
    seen: set[str] = set()
    for name in names:
        found = None if name == STDIN else find_export(name, options.recipes)
        place = found.folder if found else name
        files: Sequence[File] = [StandardInput(options.interrupted)] if name == STDIN else finder.find(place)
        opened = partial(open_source, options=options, finder=finder, export=found.facts if found else None)
        for file, source_of in each_opened(files, opened):
            if file.location in seen:
                raise SourceError(f"{file.name} is named twice")
            seen.add(file.location)
            if len(files) > 1 and options.recipes.skips(PurePath(file.name).name, file.nbytes):
                continue
            if file.nbytes == 0 and len(files) > 1 and (_is_lines(file) or _is_csv(file)):
                continue  # Spark writes such files for partitions without rows
            try:
                sources.append(source_of())
                partitions.append({} if name == STDIN else partition_values(_whole(file), _whole(place)))
            except SourceError as error:
                if failed is None:
                    raise
                failed(error)
    if options.ids_file is not None and len(sources) > 1:
        raise SourceError("--ids-file works with one source only", hint="load each array separately")
    if any(source.format == "csv" for source in sources):
        from vecload.readers.csv.reader import agree_on_types

        agree_on_types(sources)
    return with_partitions(sources, partitions)


def _whole(place: File | str) -> str:
    """A path made absolute as it was named, links and all; a URI as it is."""
    if isinstance(place, LocalFile):
        return os.path.abspath(place.path)  # noqa: PTH100 pathlib's keeps `..`
    name = place if isinstance(place, str) else place.name
    return name if remote_parts(name) else os.path.abspath(local_path(name))  # noqa: PTH100 likewise


def open_source(
    file: File, options: ReadOptions, finder: FileFinder, *, export: ExportFacts | None = None
) -> Source:
    """Open one source by what it holds, with the columns that the options ask for.

    Args:
        file: The file.
        options: How it is read.
        finder: Where the ids file is looked for.
        export: What the export says that the file is part of.

    Raises:
        SourceError: It is unreadable, empty or of another kind.
        MappingError: The columns of a vector's dimensions are not complete.
    """
    source = _open(file, options, finder, export)
    if options.vector_columns is None:
        return source
    from vecload.readers.dimensions import with_dimensions

    return with_dimensions(source, options.vector_columns)


def _open(file: File, options: ReadOptions, finder: FileFinder, export: ExportFacts | None) -> Source:
    head = _head(file)
    if not head:
        raise SourceError(f"{file.name} is empty")
    codec = codec_of(head)
    if codec is not None:
        file = Unpacked(file, codec)
        head = _head(file)
    encoding = _encoding(file, head, options)
    if encoding:
        from vecload.readers.storage.transformed import Recoded

        file = Recoded(file, encoding)
        head = _head(file)
    kind = options.format or _kind(file, head)
    if encoding and kind not in _TEXT_KINDS:
        raise SourceError(f"{file.name} is not text, which --encoding is for", hint="omit --encoding")
    if kind in ("jsonl", "json"):
        # Each takes long to import: only the one that is used is loaded.
        from vecload.readers.json.opening import open_json

        return with_recipes(open_json(file, options, finder, lines=kind == "jsonl"), options)
    if kind in ("csv", "pgcopy"):
        from vecload.readers.csv.reader import CsvOptions, CsvSource

        csv = CsvOptions(
            options.csv_columns,
            options.csv_delimiter,
            options.csv_types,
            options.vector_columns,
            copied=kind == "pgcopy",
        )
        return with_recipes(CsvSource(file, csv, line_max_bytes=options.max_line_bytes), options)
    if codec is not None:
        raise SourceError(
            f"{file.name} is {codec} of a format that can't be read compressed",
            hint=f"unpack it first: {codec} -d",
        )
    if isinstance(file, StandardInput):
        file = Spooled(file)
    if kind == "parquet":
        from vecload.readers.parquet.reader import ParquetSource

        source = ParquetSource(file, row_group_max_bytes=options.row_group_max_bytes, export=export)
        return with_recipes(source, options)
    if kind == "arrow":
        from vecload.readers.arrow import ArrowSource

        return with_recipes(ArrowSource(file, max_bytes=options.row_group_max_bytes), options)
    return _arrays(file, head, kind, options, finder)


def with_recipes(source: Source, options: ReadOptions) -> Source:
    """The source, which may have a form of the recipes that the options have, or rows that are elements."""
    source.recipes = options.recipes
    if source.format in ("parquet", "arrow") and any("[]" in path for path in options.recipes.paths):
        from vecload.readers.elements import ElementsSource

        each = options.recipes.each(source.columns(), source.name)
        return ElementsSource(source, each) if each else source
    return source


def _arrays(file: File, head: bytes, kind: str, options: ReadOptions, finder: FileFinder) -> Source:
    from vecload.readers.arrays import VECTOR, ArraySource, JoinedSource, VectorKind, archive
    from vecload.readers.numpy_arrays import MAGIC, Array, StoredColumn, TextColumn
    from vecload.readers.vector_files import Hdf5Vectors, VectorFile

    most = options.row_group_max_bytes
    if kind == "numpy" and head.startswith(b"PK"):
        return archive(file, max_bytes=most)
    try:
        vectors: StoredColumn
        of: VectorKind | None = None
        if kind == "numpy":
            vectors = Array(file.open, file.name, max_bytes=most)
        elif kind == "hdf5":
            vectors = Hdf5Vectors(file, max_bytes=most)
            of = VectorKind(f"HDF5, dataset {vectors.dataset!r}", ExportFacts(metric=vectors.metric))
        else:
            vectors = VectorFile(file, kind, max_bytes=most)
            of = VectorKind(kind)
        if options.ids_file is None and not options.ids_needed:
            return ArraySource(file.name, [file], {VECTOR: vectors}, of=of)
        if options.ids_file is None:
            raise SourceError(
                f"{file.name} holds vectors without ids",
                hint="name a file of them with --ids-file, or number them with --generate-ids rows",
            )
        (ids,) = finder.find(options.ids_file)
        begins = _head(ids)
        if begins.startswith(MAGIC):
            id_array = Array(ids.open, ids.name, max_bytes=most)
            return ArraySource(file.name, [file, ids], {"id": id_array, VECTOR: vectors}, of=of)
        if codec_of(begins) is None and _known(ids, begins) is None and not _is_csv(ids):
            return ArraySource(file.name, [file, ids], {"id": TextColumn(ids), VECTOR: vectors}, of=of)
    except ValueError:
        raise SourceError(f"{options.ids_file} is several files", hint="name one with --ids-file") from None
    except OSError as error:
        raise unreadable(file, error) from None
    of_ids = replace(options, format=None, vector_columns=None, ids_file=None)
    return JoinedSource(vectors, file, open_source(ids, of_ids, finder))


def _kind(file: File, head: bytes) -> str:
    """The format of a file.

    Raises:
        SourceError: vecload does not read it.
    """
    if file.name.lower().endswith(VECTOR_SUFFIXES):
        return file.name.lower().rpartition(".")[2]
    if file.name.lower().endswith((".ivecs", ".ibin")):
        raise SourceError(
            f"{file.name} holds the neighbours of queries, not vectors",
            hint="load the vectors next to it: .fvecs, .bvecs, .fbin, .u8bin or .i8bin",
        )
    known = _known(file, head)
    if known is not None:
        return known
    for magic, kind, hint in _OTHER_KINDS:
        if head.startswith(magic):
            raise SourceError(f"{file.name} is {kind}, which vecload can't read", hint=hint)
    if _text(head).startswith(b"[") or _is_lines(file):
        return "jsonl"
    look = _head(file, LOOK_BYTES)
    if refused := refused_text(file.name, look):
        raise refused
    if _is_csv(file):
        return "csv"
    if found := kind_of_columns(file.name, look):
        return found
    raise SourceError(f"{file.name} {NOT_KNOWN}", hint="name its format with --format if it is one of them")


def _known(file: File, head: bytes) -> str | None:
    """The format that the first bytes show; None if they don't."""
    for magic, known in _FORMATS:
        if head.startswith(magic):
            return known
    if not head.removeprefix(codecs.BOM_UTF8).strip():
        head = _head(file, _BLANK_BYTES)
    return "jsonl" if _text(head).startswith(b"{") else None


def _text(head: bytes) -> bytes:
    """Text from its first character on, less what some writers put before it."""
    return head.removeprefix(codecs.BOM_UTF8).lstrip(_BEFORE_TEXT)


def _encoding(file: File, head: bytes, options: ReadOptions) -> str:
    """What the text of a file has to be converted from; "" for UTF-8, and for what is not text."""
    if options.encoding is None:
        # The marks and the shape of UTF-16 and UTF-32 are like nothing else.
        binary = file.name.lower().endswith(VECTOR_SUFFIXES) or options.format in _BINARY_KINDS
        return "" if binary else wide_encoding(head)
    from vecload.readers.storage.transformed import encoding_of

    encoding = encoding_of(options.encoding)
    return "" if encoding in ("utf-8", "ascii") else encoding


_TEXT_KINDS = ("jsonl", "json", "csv", "pgcopy")
_BINARY_KINDS = ("parquet", "arrow", "numpy", "fvecs", "bvecs", "fbin", "u8bin", "i8bin", "hdf5")


def _is_lines(file: File) -> bool:
    return plain_name(file.name).lower().endswith(JSONL_SUFFIXES)


def _is_csv(file: File) -> bool:
    return plain_name(file.name).lower().endswith(CSV_SUFFIXES)


def _head(file: File, size: int = MAGIC_BYTES) -> bytes:
    try:
        with file.open() as stream:
            return stream.read(size)
    except OSError as error:
        raise unreadable(file, error) from None


LOOK_BYTES = 2**12
"""Of a file's beginning, which show what text it is."""
_SQL_SUFFIX = ".sql"
_SQL = re.compile(
    rb"\s*(--|/\*|COPY\s+\S+[^\n]*\sFROM\s+stdin|INSERT\s+INTO\s|CREATE\s+TABLE\s|SET\s+\w+\s*=|BEGIN\s*;)",
    re.IGNORECASE,
)
_COLUMN_NAME = re.compile(rb'"?[A-Za-z_][^\t"\[{]{0,99}"?')
_COPIED = re.compile(rb"^(?:COPY|INSERT\s+INTO|CREATE\s+TABLE)\s+([\w.]+)", re.IGNORECASE | re.MULTILINE)


def refused_text(name: str, head: bytes) -> SourceError | None:
    """The error for text in another known format; None for anything else.

    Args:
        name: The file's.
        head: Its first `LOOK_BYTES`.
    """
    plain = plain_name(name).lower()
    if plain.endswith(_SQL_SUFFIX) or _SQL.match(head):
        found = _COPIED.search(head)
        table = found[1].decode() if found else "TABLE"
        return SourceError(f"{name} is SQL, as pg_dump writes it", hint=_from_postgres(table))
    return None


def _from_postgres(table: str) -> str:
    # Nothing here is run: it is text for people.
    copy = f"\\copy (select * from {table}) to 'rows.csv' csv header"  # noqa: S608 not run
    return f"load it, then write its rows as CSV: {copy}"


def kind_of_columns(name: str, head: bytes) -> str | None:
    """The format of text whose lines have as many columns each, and more than one; None for other text.

    Args:
        name: The file's.
        head: Its first `LOOK_BYTES`.

    Raises:
        SourceError: It is separated by tabs, and may be either of two formats.
    """
    if _columns(head, "\t", quoted=False) or _columns(head, "\t"):
        if b"\\" in head:
            return "pgcopy"
        if _begins_with_names(head):
            return "csv"
        raise SourceError(
            f"{name} is tab-separated text without a header, as PostgreSQL's COPY writes it",
            hint="name its format and its columns: --format pgcopy --csv-columns A,B,…",
        )
    return "csv" if any(_columns(head, one) for one in ",;|") else None


def _begins_with_names(head: bytes) -> bool:
    """Whether the first line of a tab-separated text looks like the names of columns."""
    first = head.removeprefix(codecs.BOM_UTF8).partition(b"\n")[0].strip().split(b"\t")
    return all(_COLUMN_NAME.fullmatch(field) for field in first)


def _columns(head: bytes, separator: str, *, quoted: bool = True) -> bool:
    """Whether all lines of a text have as many columns, and more than one."""
    if b"\0" in head or head.lstrip()[:1] in (b"{", b"["):
        return False
    try:
        whole, _ = codecs.utf_8_decode(head)  # what is cut off within a character is left
    except UnicodeDecodeError:
        return False
    text = io.StringIO(whole, newline="")
    quoting: Any = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    try:
        rows = [row for row in csv.reader(text, delimiter=separator, quoting=quoting) if row]
    except csv.Error:
        return False
    if len(head) >= LOOK_BYTES:
        rows.pop()
    counts = {len(row) for row in rows}
    return len(counts) == 1 and counts != {1} and (separator == "\t" or len(rows) > 1)
