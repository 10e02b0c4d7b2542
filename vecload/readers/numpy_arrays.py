"""NumPy arrays as NumPy stores them, and lines of text, read a few rows at a time."""

from __future__ import annotations

import io
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vecload.closing import Closing
from vecload.errors import SourceError
from vecload.limits import ROW_GROUP_MAX_BYTES
from vecload.readers.storage.files import DamagedError, File, reason

MAGIC = b"\x93NUMPY"
FORTRAN_MAX_BYTES = 2**30
"""The largest array in column order: it is held whole, since its rows are scattered over all of it."""
HEADER_MAX_BYTES = 2**20
"""The largest header; NumPy refuses one of more than 10,000 bytes, but reads it first."""
_SKIP_BYTES = 2**16
_NO_HEADER = (
    *(ValueError, SyntaxError, KeyError, TypeError, EOFError, zlib.error),
    *(tokenize.TokenError, RecursionError, MemoryError),
)
"""What NumPy raises for a wrong header, which it parses as Python."""
_TIMES = dict(zip("YMWDhms", "DDDDsss", strict=True)) | {unit: unit for unit in ("ms", "us", "ns")}
"""NumPy's units of time, and Arrow's unit that is at least as fine."""
_DAMAGE = (zipfile.BadZipFile, EOFError, zlib.error)
"""What reading a damaged archive raises, besides OSError."""


class ColumnReader(Protocol):
    """A column that is being read. Rows are asked for in order."""

    def rows(self, start: int, stop: int) -> pa.Array:
        """Rows `[start, stop)`.

        Raises:
            OSError: They can't be read, or the column ends before.
        """

    def close(self) -> None:
        """Close the file."""


class StoredColumn(Protocol):
    """A column of a file of its own."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def row_bytes(self) -> int:
        """About how many bytes a row takes."""

    def __len__(self) -> int:
        """How many rows it has."""

    def reader(self) -> ColumnReader:
        """Begin to read it."""


class Array:
    """An array; objects of Python are never loaded.

    Args:
        open: Opens its bytes from the beginning.
        name: For messages.
        max_bytes: Of a row.

    Raises:
        SourceError: It is not an array, or its values can't be rows.
        OSError: It can't be read.
    """

    def __init__(
        self,
        open: Callable[[], BinaryIO],  # noqa: A002 what it does
        name: str,
        *,
        max_bytes: int = ROW_GROUP_MAX_BYTES,
    ) -> None:
        self.open = open
        self.name = name
        with open() as stream:
            try:
                version = np.lib.format.read_magic(stream)
                header = cast(BinaryIO, _Header(stream))
                of = np.lib.format
                read = of.read_array_header_1_0 if version == (1, 0) else of.read_array_header_2_0
                self.shape, self.by_columns, self.dtype = read(header)
            except _NO_HEADER as error:
                raise SourceError(f"{name} is not a readable NumPy array: {reason(error)}") from None
            self.begin = stream.tell()
        if self.dtype.hasobject:
            raise SourceError(
                f"{name} holds Python objects, which vecload never loads",
                hint="save numbers, or texts: array.astype(str)",
            )
        if self.dtype.kind not in "fiubUSM" or (self.dtype.kind == "f" and self.dtype.itemsize > 8):
            raise SourceError(f"{name} holds {self.dtype}, which can't be read", hint="save it as float32")
        if self.dtype.kind == "M" and np.datetime_data(self.dtype)[0] not in _TIMES:
            raise SourceError(
                f"{name} holds {self.dtype}, which can't be read", hint="save it as datetime64[ns]"
            )
        if len(self.shape) not in (1, 2) or (self.dtype.kind in "US" and len(self.shape) == 2):
            raise SourceError(
                f"{name} has the shape {self.shape}",
                hint="vectors have two dimensions, rows and values; texts have one",
            )
        self.by_columns = self.by_columns and len(self.shape) == 2
        self.row_bytes = self.dtype.itemsize * (self.shape[1] if len(self.shape) == 2 else 1)
        if self.row_bytes > max_bytes:
            raise SourceError(
                f"{name} has rows of {self.row_bytes:,} bytes",
                hint="if that is right, raise --max-row-group-bytes",
            )
        rows = self.shape[0]
        # A header may say anything: of what it says, memory is asked for, and lengths are made.
        if rows < 0 or self.row_bytes < 0 or rows * max(self.row_bytes, 1) > sys.maxsize:
            raise SourceError(f"{name} is not a readable NumPy array: its header claims an impossible shape")
        if rows and not self.row_bytes:
            raise SourceError(f"{name} has rows without values")
        if self.by_columns and self.row_bytes * len(self) > FORTRAN_MAX_BYTES:
            raise SourceError(
                f"{name} is stored in column order, and too large to reorder in memory",
                hint="save it in row order: numpy.ascontiguousarray(array)",
            )

    def __len__(self) -> int:
        return int(self.shape[0])

    def reader(self) -> ColumnReader:
        """Begin to read it."""
        return _ArrayReader(self)


class _Header:
    """A stream that refuses to read more at once than a header may have."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        if size > HEADER_MAX_BYTES:
            raise ValueError(f"its header has {size:,} bytes")
        return self._stream.read(size)


class _ArrayReader(Closing):
    def __init__(self, array: Array) -> None:
        self._array = array
        self._stream = array.open()
        self._whole: NDArray[Any] | None = None

    def rows(self, start: int, stop: int) -> pa.Array:
        array = self._array
        if not array.by_columns:
            return _as_arrow(self._numbers(start, stop - start).reshape(-1, *array.shape[1:]))
        if self._whole is None:
            self._whole = self._numbers(0, len(array)).reshape(array.shape, order="F")
        return _as_arrow(np.ascontiguousarray(self._whole[start:stop]))

    def _numbers(self, start: int, rows: int) -> NDArray[Any]:
        array = self._array
        size = rows * array.row_bytes
        try:
            skip = array.begin + start * array.row_bytes - self._stream.tell()
            if 0 < skip <= _SKIP_BYTES:
                # An archive no longer verifies what was jumped over.
                self._stream.read(skip)
            elif skip:
                self._stream.seek(skip, io.SEEK_CUR)
            data = self._stream.read(size)
        except _DAMAGE as error:
            raise DamagedError(reason(error)) from None
        if len(data) < size:
            raise DamagedError("it is cut off")
        return np.frombuffer(data, array.dtype)

    def close(self) -> None:
        self._stream.close()


def _as_arrow(values: NDArray[Any]) -> pa.Array:
    """An array as Arrow has it, in this machine's byte order."""
    if values.dtype.kind in "US":
        # Not checked here: what is not UTF-8 is a reject of its own, and so is a lone surrogate.
        texts = pa.array(
            [
                text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
                for text in values.tolist()
            ],
            pa.binary(),
        )
        return pc.cast(texts, options=pc.CastOptions(pa.string(), allow_invalid_utf8=True))
    if values.dtype.kind == "M":
        # Arrow knows fewer units, and passes over multiples of them.
        values = values.astype(f"datetime64[{_TIMES[np.datetime_data(values.dtype)[0]]}]", copy=False)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


class TextColumn:
    """A text file as a column: one value a line. An empty line is an empty value.

    Args:
        file: The file.

    Raises:
        OSError: It can't be read.
    """

    row_bytes = 1

    def __init__(self, file: File) -> None:
        self.name = file.name
        self.file = file
        with file.open() as stream:
            self._length = sum(1 for _ in stream)

    def __len__(self) -> int:
        return self._length

    def reader(self) -> ColumnReader:
        """Begin to read it."""
        return _TextReader(self)


class _TextReader(Closing):
    def __init__(self, lines: TextColumn) -> None:
        self._stream = lines.file.open()
        self._at = 0

    def rows(self, start: int, stop: int) -> pa.Array:
        while self._at < start and self._stream.readline():
            self._at += 1
        found = [self._stream.readline().rstrip(b"\r\n") for _ in range(stop - start)]
        if self._at == 0 and found:
            found[0] = found[0].removeprefix(b"\xef\xbb\xbf")
        self._at = stop
        texts = pa.array(found, pa.binary())
        return pc.cast(texts, options=pc.CastOptions(pa.string(), allow_invalid_utf8=True))

    def close(self) -> None:
        self._stream.close()
