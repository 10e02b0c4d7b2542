"""Files of nothing but vectors, as benchmarks of vector search use them: fvecs, bvecs, fbin, HDF5 and so on.

fvecs and bvecs have each vector's dimension, an int32, before its values. fbin, u8bin and i8bin begin with
the number of vectors and their dimension, two uint32. All are little-endian.
"""

from __future__ import annotations

import struct
from contextlib import ExitStack
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa

from vecload.closing import Closing
from vecload.errors import SourceError
from vecload.limits import ROW_GROUP_MAX_BYTES
from vecload.readers.numpy_arrays import ColumnReader
from vecload.readers.storage.files import DamagedError, File, reason

DTYPES: Final = {"fvecs": "<f4", "bvecs": "u1", "fbin": "<f4", "u8bin": "u1", "i8bin": "i1"}
"""The number type of each format."""
DIMENSION_MAX = 65_535
"""What an index may have."""


class VectorFile:
    """The vectors of a file, as a column.

    Args:
        file: The file.
        kind: Its format.
        max_bytes: Of a row.

    Raises:
        SourceError: Its header is wrong, or its size is not that of whole vectors.
        OSError: It can't be read.
    """

    def __init__(self, file: File, kind: str, *, max_bytes: int = ROW_GROUP_MAX_BYTES) -> None:
        self.name = file.name
        self.file = file
        self.dtype = np.dtype(DTYPES[kind])
        self.each = kind.endswith("vecs")
        size = file.nbytes or 0
        with file.open() as stream:
            head = stream.read(8)
        if len(head) < 8:
            raise SourceError(f"{file.name} has {len(head)} bytes, too few for {kind}")
        first, second = struct.unpack("<II", head)
        self.dimension = first if self.each else second
        if not 0 < self.dimension <= DIMENSION_MAX:
            raise SourceError(
                f"{file.name} is not {kind}: its header claims {self.dimension:,} dimensions",
                hint="name its format with --format if it is another",
            )
        self.row_bytes = self.dimension * self.dtype.itemsize + (4 if self.each else 0)
        self.begin = 0 if self.each else 8
        self._length: int
        self._length, rest = divmod(size - self.begin, self.row_bytes)
        if rest:
            raise SourceError(
                f"{file.name} has {size:,} bytes: not whole vectors of {self.dimension:,} dimensions",
                hint="it is cut off, or has another format",
            )
        if not self.each and first != self._length:
            raise SourceError(
                f"{file.name} has {self._length:,} vectors, and its header claims {first:,}",
                hint="it is cut off, or has another format",
            )
        if self.row_bytes > max_bytes:
            raise SourceError(
                f"{file.name} has rows of {self.row_bytes:,} bytes",
                hint="if that is right, raise --max-row-group-bytes",
            )

    def __len__(self) -> int:
        return self._length

    def reader(self) -> ColumnReader:
        """Begin to read it."""
        return _VectorReader(self)


class _VectorReader(Closing):
    def __init__(self, vectors: VectorFile) -> None:
        self._vectors = vectors
        self._stream: BinaryIO = vectors.file.open()

    def rows(self, start: int, stop: int) -> pa.Array:
        vectors = self._vectors
        self._stream.seek(vectors.begin + start * vectors.row_bytes)
        size = (stop - start) * vectors.row_bytes
        data = self._stream.read(size)
        if len(data) < size:
            raise DamagedError("it is cut off")
        rows = np.frombuffer(data, np.uint8).reshape(stop - start, vectors.row_bytes)
        if vectors.each:
            headers = np.ascontiguousarray(rows[:, :4]).view("<i4")[:, 0]
            wrong = np.flatnonzero(headers != vectors.dimension)
            if len(wrong):
                at = int(wrong[0])
                raise DamagedError(
                    f"row {start + at} claims {int(headers[at]):,} dimensions, and the first has "
                    f"{vectors.dimension:,}"
                )
            rows = rows[:, 4:]
        values = np.ascontiguousarray(rows).view(vectors.dtype)
        return _as_lists(values, vectors.dimension)

    def close(self) -> None:
        self._stream.close()


def _as_lists(values: np.ndarray[Any, Any], dimension: int) -> pa.FixedSizeListArray:
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    return pa.FixedSizeListArray.from_arrays(pa.array(native.reshape(-1)), dimension)


TRAIN = "train"
"""The dataset that ann-benchmarks searches in."""
_METRICS = {"angular": "cosine", "euclidean": "euclidean"}


class Hdf5Vectors:
    """The vectors of an HDF5 file: its dataset `train`, as ann-benchmarks has it, or its only table.

    Args:
        file: The file.
        max_bytes: Of a row, and of a chunk.

    Raises:
        SourceError: h5py is missing, it is not such a file, or several datasets could be the vectors.
        OSError: It can't be read.
    """

    def __init__(self, file: File, *, max_bytes: int = ROW_GROUP_MAX_BYTES) -> None:
        self.name = file.name
        self.file = file
        with ExitStack() as held:
            opened = self.opened(held)
            self.dataset = _vectors_in(opened, file.name)
            found = opened[self.dataset]
            self._length, self.dimension = map(int, found.shape)
            self.row_bytes = self.dimension * found.dtype.itemsize
            chunk = int(np.prod(found.chunks or (1,), dtype=object)) * found.dtype.itemsize
            distance = opened.attrs.get("distance")
        self.metric = _METRICS.get(distance, "") if isinstance(distance, str) else ""
        if not 0 < self.dimension <= DIMENSION_MAX:
            raise SourceError(f"{file.name} has {self.dimension:,} dimensions in {self.dataset!r}")
        if max(self.row_bytes, chunk) > max_bytes:
            raise SourceError(
                f"{file.name} has chunks of {max(self.row_bytes, chunk):,} bytes in {self.dataset!r}",
                hint="if that is right, raise --max-row-group-bytes",
            )

    def opened(self, held: ExitStack) -> Any:
        """The file, opened by h5py until the stack is closed.

        Raises:
            SourceError: h5py is missing, or can't read it.
        """
        try:
            import h5py
        except ImportError:
            raise SourceError(
                f"{self.name} is HDF5, which needs h5py", hint="install it: pip install 'vecload[h5]'"
            ) from None
        try:
            return held.enter_context(h5py.File(held.enter_context(self.file.open()), "r"))
        except (OSError, RuntimeError, ValueError) as error:
            raise SourceError(f"{self.name} is not a readable HDF5 file: {reason(error)}") from None

    def __len__(self) -> int:
        return self._length

    def reader(self) -> ColumnReader:
        """Begin to read it."""
        return _Hdf5Reader(self)


def _vectors_in(opened: Any, name: str) -> str:
    """The name of the dataset with vectors.

    Raises:
        SourceError: There is none, or there are several.
    """
    import h5py

    found: list[str] = []
    for key in opened:
        # Links to other files, and datasets stored in them, are not followed.
        if not isinstance(opened.get(key, getlink=True), h5py.HardLink):
            continue
        one = opened[key]
        if (
            isinstance(one, h5py.Dataset)
            and one.ndim == 2
            and one.dtype.kind in "fiu"
            and not one.is_virtual
            and not one.external
        ):
            found.append(key)
    if TRAIN in found:
        return TRAIN
    if len(found) == 1:
        return found[0]
    what = ", ".join(map(repr, found[:5])) or "none"
    raise SourceError(
        f"{name} has no dataset 'train', and {len(found)} tables of numbers: {what}",
        hint="save the vectors as a dataset 'train' of shape (rows, values), or as .npy",
    )


class _Hdf5Reader(Closing):
    def __init__(self, vectors: Hdf5Vectors) -> None:
        self._vectors = vectors
        self._held = ExitStack()
        self._dataset = vectors.opened(self._held)[vectors.dataset]

    def rows(self, start: int, stop: int) -> pa.Array:
        try:
            values = np.ascontiguousarray(self._dataset[start:stop])
        except (OSError, RuntimeError, ValueError) as error:
            raise DamagedError(reason(error)) from None
        if len(values) != stop - start:
            raise DamagedError("it is cut off")
        return _as_lists(values, self._vectors.dimension)

    def close(self) -> None:
        self._held.close()
