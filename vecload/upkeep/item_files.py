"""Files of items, as `vecload export` writes them: JSON Lines or Parquet, whole or not at all.

A line of JSON Lines, and a row of Parquet, has the fields of vecload/mapping/exported.py, so that a load
guesses nothing:

    {"id": "a", "vector": [0.1, …], "metadata": {…}, "contents": "text", "contents_sealed": false}

Contents that are bytes are `{"$bytes": "base64"}` in JSON Lines, and in the column `contents_bytes` in
Parquet. In Parquet, metadata is JSON text, since its values may have any type.
"""

from __future__ import annotations

import os
import secrets
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias, cast, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pybase64

from vecload.batch import Batch, Contents, Metadata
from vecload.errors import UsageError, VecloadError
from vecload.mapping.columns import BYTES_MARK
from vecload.mapping.exported import CONTENTS, CONTENTS_BYTES, CONTENTS_SEALED, ID, METADATA, VECTOR
from vecload.places import short
from vecload.sealing.envelope import is_sealed
from vecload.sealing.new_file import name_file, sync_folder
from vecload.targets.wire import dumps

FileFormat: TypeAlias = Literal["jsonl", "parquet"]
Packing: TypeAlias = Literal["", "gzip", "zstd"]

STDOUT = "-"
ENDINGS: dict[str, tuple[FileFormat, Packing]] = {
    ".parquet": ("parquet", ""),
    ".jsonl": ("jsonl", ""),
    ".jsonl.gz": ("jsonl", "gzip"),
    ".jsonl.zst": ("jsonl", "zstd"),
}
"""What the end of a name says."""
ROW_GROUP_ROWS = 50_000
ROW_GROUP_BYTES = 64 * 2**20
"""The most rows of a row group, and about the most bytes: it is held in memory until it is written."""


def form_of(name: str, asked: FileFormat | None) -> tuple[FileFormat, Packing]:
    """The format and the compression of a file.

    Args:
        name: Its name; `-` is standard output.
        asked: The format that the user named, which overrides the name.

    Raises:
        UsageError: The name does not show the format.
    """
    lower = name.lower()
    found = next((form for end, form in sorted(ENDINGS.items(), reverse=True) if lower.endswith(end)), None)
    if asked is not None:
        if asked not in get_args(FileFormat):
            raise UsageError(f"--format {asked!r} is not jsonl or parquet")
        return asked, found[1] if found and found[0] == asked else ""
    if name == STDOUT:
        return "jsonl", ""
    if found is None:
        raise UsageError(
            f"{name} does not show in which format to export",
            hint=f"end it in {', '.join(ENDINGS)}, or give --format",
        )
    return found


class ItemFile(ABC):
    """Items, written one batch after the other."""

    @abstractmethod
    def rows(self, batch: Batch) -> Any:
        """The items of a batch in the form in which `write` takes them."""

    @abstractmethod
    def write(self, rows: Any) -> int:
        """Write the items of a batch; returns about how many bytes they take.

        Raises:
            OSError: They can't be written.
        """

    @abstractmethod
    def end(self) -> None:
        """Write what must follow the last item.

        Raises:
            OSError: It can't be written.
        """

    def abandon(self) -> None:  # noqa: B027 most files need nothing
        """Write nothing more: the file is given up."""


class JsonLines(ItemFile):
    """JSON Lines.

    Args:
        file: Takes the bytes.
        packing: The compression.
    """

    def __init__(self, file: BinaryIO, packing: Packing) -> None:
        self._packed: Any = pa.CompressedOutputStream(_sink(file), packing) if packing else None
        self._file = file

    def rows(self, batch: Batch) -> bytes:
        """The lines of a batch. Vectors have the float64 text of each float32, which reads back exactly."""
        vectors = _vectors(batch).astype(np.float64)
        parts = zip(batch.ids, vectors, _metadata(batch), _contents(batch), strict=True)
        return b"".join(
            dumps(
                {
                    ID: item_id,
                    VECTOR: vector,
                    METADATA: metadata or {},
                    CONTENTS: _json_contents(contents),
                    CONTENTS_SEALED: _is_sealed(contents),
                }
            )
            + b"\n"
            for item_id, vector, metadata, contents in parts
        )

    def write(self, rows: bytes) -> int:
        """Write lines."""
        (self._packed or self._file).write(rows)
        return len(rows)

    def end(self) -> None:
        """End the compression."""
        if self._packed is not None:
            self._packed.close()


class Parquet(ItemFile):
    """Parquet, with zstd compression but for the vectors, which do not compress.

    Args:
        file: Takes the bytes.
        dimension: Of the vectors.
    """

    def __init__(self, file: BinaryIO, dimension: int) -> None:
        self._dimension = dimension
        self._schema = pa.schema(
            [
                pa.field(ID, pa.string(), nullable=False),
                pa.field(VECTOR, pa.list_(pa.float32(), dimension) if dimension else pa.list_(pa.float32())),
                pa.field(METADATA, pa.string(), nullable=False),
                pa.field(CONTENTS, pa.string()),
                pa.field(CONTENTS_BYTES, pa.binary()),
                pa.field(CONTENTS_SEALED, pa.bool_(), nullable=False),
            ]
        )
        names = [name for name in self._schema.names if name != VECTOR]
        values = f"{VECTOR}.list.element"
        self._shared = _Shared(file)
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._shared, "w"),
            self._schema,
            compression={**dict.fromkeys(names, "zstd"), values: "none"},
            use_dictionary=[METADATA, CONTENTS_SEALED],
            write_page_checksum=True,
        )
        self._waiting: list[pa.RecordBatch] = []
        self._bytes = 0

    def rows(self, batch: Batch) -> pa.RecordBatch:
        """A record batch."""
        contents = _contents(batch)
        texts = [value if isinstance(value, str) else None for value in contents]
        others = [value if isinstance(value, bytes) else None for value in contents]
        vectors = pa.array(_vectors(batch).reshape(-1))
        kind = self._schema.field(VECTOR).type
        return pa.RecordBatch.from_arrays(
            [
                pa.array(batch.ids, pa.string()),
                pa.FixedSizeListArray.from_arrays(vectors, type=kind),
                pa.array([dumps(metadata or {}).decode() for metadata in _metadata(batch)], pa.string()),
                pa.array(texts, pa.string()),
                pa.array(others, pa.binary()),
                pa.array([_is_sealed(value) for value in contents], pa.bool_()),
            ],
            schema=self._schema,
        )

    def write(self, rows: pa.RecordBatch) -> int:
        """Keep rows until a row group is full, and write that."""
        self._waiting.append(rows)
        self._bytes += rows.nbytes
        if self._bytes >= ROW_GROUP_BYTES or sum(map(len, self._waiting)) >= ROW_GROUP_ROWS:
            self._flush()
        return int(rows.nbytes)

    def abandon(self) -> None:
        """Write nothing more. Otherwise Arrow writes a footer when the writer is collected."""
        self._shared.dropped = True
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting)
            self._writer.write_table(table, row_group_size=max(1, len(table)))
        self._waiting, self._bytes = [], 0

    def end(self) -> None:
        """Write the last row group and the footer."""
        self._flush()
        self._writer.close()


class _Shared:
    """A file that Arrow writes to, but does not close: it is to be synced first."""

    closed = False
    dropped = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        return len(data) if self.dropped else self._file.write(data)

    def flush(self) -> None:
        if not self.dropped:
            self._file.flush()

    def close(self) -> None:
        self.closed = True


def _sink(file: BinaryIO) -> pa.PythonFile:
    return pa.PythonFile(_Shared(file), "w")


def _vectors(batch: Batch) -> Any:
    assert batch.vectors is not None  # noqa: S101 an index gives them all
    return batch.vectors


def _metadata(batch: Batch) -> Sequence[Metadata | None]:
    return batch.metadata or [None] * len(batch)


def _contents(batch: Batch) -> Sequence[Contents | None]:
    return batch.contents or [None] * len(batch)


def _json_contents(contents: Contents | None) -> Any:
    if isinstance(contents, bytes):
        return {BYTES_MARK: pybase64.b64encode_as_string(contents)}
    return contents


def _is_sealed(contents: Contents | None) -> bool:
    return contents is not None and is_sealed(contents)


@contextmanager
def new_item_file(name: str, form: tuple[FileFormat, Packing], dimension: int) -> Iterator[ItemFile]:
    """A file of items. It gets its name, in place of an older file, only after the block ended well.

    Until then it has a name of its own in the same folder, which nothing remains of after an error. Only its
    owner can read it. Standard output gets the items at once.

    Args:
        name: Its name; `-` is standard output.
        form: Its format and compression.
        dimension: Of the vectors.

    Raises:
        UsageError: The name can't be the one of a file.
        VecloadError: It can't be written.
    """
    if name == STDOUT:
        with _errors(name):
            items = _opened(cast(BinaryIO, sys.stdout.buffer), form, dimension)
            yield items
            items.end()
            sys.stdout.buffer.flush()
        return
    path = Path(name).expanduser().absolute()
    if path.is_dir() or (path.exists() and not path.is_file()):
        raise UsageError(f"{short(str(path))} exists and is not a file", hint="name another file")
    path = path.resolve()  # a link stays one
    aside = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
    with _errors(name):
        descriptor, named = _created(aside)
        try:
            with os.fdopen(descriptor, "wb") as file:
                items = _opened(file, form, dimension)
                try:
                    yield items
                    items.end()
                except BaseException:
                    items.abandon()
                    raise
                file.flush()
                os.fsync(file.fileno())
                if not named:
                    name_file(file.fileno(), aside)
            aside.rename(path)
            sync_folder(path.parent)
        finally:
            with suppress(OSError):
                aside.unlink()


def _created(aside: Path) -> tuple[int, bool]:
    """A new file, and whether it has its name yet: a kill leaves nothing of one without."""
    flags = os.O_WRONLY | os.O_CLOEXEC
    if Path("/proc/self/fd").exists():
        with suppress(OSError, AttributeError):  # not every file system has files without names
            return os.open(aside.parent, flags | os.O_TMPFILE, 0o600), False
    return os.open(aside, flags | os.O_CREAT | os.O_EXCL, 0o600), True


def _opened(file: BinaryIO, form: tuple[FileFormat, Packing], dimension: int) -> ItemFile:
    return Parquet(file, dimension) if form[0] == "parquet" else JsonLines(file, form[1])


@contextmanager
def _errors(name: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        named = "standard output" if name == STDOUT else name
        raise VecloadError(f"{named} can't be written: {error.strerror or type(error).__name__}") from None
