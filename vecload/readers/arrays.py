"""Arrays as sources: vectors in one file and their ids in another, or an archive of both."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, cast

import pyarrow as pa

from vecload.batch import Span
from vecload.closing import Closing
from vecload.errors import SourceError
from vecload.limits import PACKED_AT_MOST, ROW_GROUP_MAX_BYTES
from vecload.mapping import Column, Rows
from vecload.mapping.arrow_rows import ArrowRows, columns_of
from vecload.readers.added_columns import WidenedRows, all_columns, own_columns
from vecload.readers.arrow import pieces
from vecload.readers.numpy_arrays import Array, StoredColumn
from vecload.readers.source import HEAD_BYTES, ExportFacts, Source, SourceFormat, missing
from vecload.readers.storage.files import File, reason, unreadable

VECTOR = "vector"
"""The column that an array without a name of its own is."""


@dataclass(frozen=True, slots=True)
class VectorKind:
    """What vectors are in: its name for people, and what it says of them."""

    kind: str
    facts: ExportFacts | None = None


class ArraySource(Source):
    """Arrays of the same length, each of them a column.

    Args:
        name: As people see it.
        files: What the arrays are in.
        arrays: By their columns' names.
        of: What the vectors are in, if it is not NumPy's format.

    Raises:
        SourceError: They differ in length.
    """

    _export: ExportFacts | None = None

    format: SourceFormat = "numpy"
    kind = "NumPy"

    def __init__(
        self,
        name: str,
        files: Sequence[File],
        arrays: Mapping[str, StoredColumn],
        *,
        of: VectorKind | None = None,
    ) -> None:
        if of is not None:
            self.format, self.kind, self._export = "vectors", of.kind, of.facts
        self._rows_held = len(next(iter(arrays.values())))
        super().__init__(name, files, sum(file.nbytes or 0 for file in files), self._rows_held)
        self._arrays = dict(arrays)
        if len({len(array) for array in arrays.values()}) > 1:
            said = ", ".join(f"{array.name} has {len(array):,}" for array in arrays.values())
            raise SourceError(
                f"{name}: its arrays differ in length: {said}",
                hint="every array needs one value for each row",
            )
        self._row_bytes = sum(array.row_bytes for array in arrays.values())

    @property
    def export(self) -> ExportFacts | None:
        """What the file says of its vectors."""
        return self._export

    def places(self, count: int) -> list[Span]:
        """Rows, evenly spread."""
        rows = {self._rows_held * place // (count + 1) for place in range(1, count + 1)}
        return [Span(self.name, 0, row) for row in sorted(rows) if row]

    def columns(self) -> list[Column]:
        """A column an array."""
        with ExitStack() as opened:
            return columns_of(self._rows(opened)(0, 0).schema)

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[ArrowRows]:
        """Its rows in order, from where each gap begins."""
        step = max(1, min(batch_rows, batch_bytes // max(self._row_bytes, 1)))
        at = 0
        try:
            for gap in missing(done, self.total_rows):
                with ExitStack() as opened:
                    rows = self._rows(opened)
                    for at in range(gap.start, gap.stop, step):
                        table = rows(at, min(gap.stop, at + step))
                        yield from pieces(
                            self.name, at, table, batch_rows=batch_rows, batch_bytes=batch_bytes
                        )
        except OSError as error:
            raise unreadable(self.files[0], error, f" at or after row {at}") from None

    def _rows(self, opened: ExitStack) -> Callable[[int, int], pa.RecordBatch]:
        """Begin to read every array: gives rows from one number up to another."""
        readers = {name: array.reader() for name, array in self._arrays.items()}
        for reader in readers.values():
            opened.callback(reader.close)
        return lambda start, stop: pa.RecordBatch.from_arrays(
            [reader.rows(start, stop) for reader in readers.values()], names=list(readers)
        )


class JoinedSource(Source):
    """Vectors of an array, joined in order with the rows of another source.

    Args:
        vectors: The array.
        file: What it is in.
        source: Rows with ids, and with whatever else.
        of: What the vectors are in, if it is not NumPy's format.

    Raises:
        SourceError: There are more of one than of the other.
    """

    format = "numpy"

    def __init__(
        self, vectors: StoredColumn, file: File, source: Source, *, of: VectorKind | None = None
    ) -> None:
        self._of = of
        super().__init__(file.name, (file, *source.files), source.nbytes, len(vectors))
        self._vectors = vectors
        self._source = source
        rows = source.total_rows
        if rows is None:
            rows = sum(len(piece.span) for piece in source.read(batch_rows=1000, batch_bytes=HEAD_BYTES))
        if rows != len(vectors):
            raise SourceError(
                f"{self.name} has {len(vectors):,} vectors, and {source.name} {rows:,} rows",
                hint="each vector needs a row",
            )

    @property
    def kind(self) -> str:
        """Both of what it is made of."""
        return f"{self._of.kind if self._of else 'NumPy'} with {self._source.kind}"

    @property
    def export(self) -> ExportFacts | None:
        """What the file says of its vectors."""
        return self._of.facts if self._of else None

    def part(self, span: Span) -> float:
        """What part it is of the other."""
        return self._source.part(span)

    def close(self) -> None:
        """Release what the other holds open."""
        self._source.close()

    def columns(self) -> list[Column]:
        """The source's columns, and the vector."""
        reader = self._vectors.reader()
        with_vector = pa.schema([(VECTOR, reader.rows(0, 0).type)])
        reader.close()
        return all_columns(self._source.columns(), with_vector)

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[Rows]:
        """Its rows in order."""
        step = max(1, min(batch_rows, batch_bytes // max(self._vectors.row_bytes, 1)))
        reader = self._vectors.reader()
        try:
            for rows in self._source.read(
                batch_rows=step, batch_bytes=batch_bytes, columns=own_columns(columns, (VECTOR,)), done=done
            ):
                try:
                    vectors = reader.rows(rows.span.start, rows.span.stop)
                except OSError as error:
                    where = f" at or after row {rows.span.start}"
                    raise unreadable(self.files[0], error, where) from None
                yield WidenedRows(rows, pa.RecordBatch.from_arrays([vectors], names=[VECTOR]), self.name)
        finally:
            reader.close()


_COLUMNS = {"ids": "id", "vectors": VECTOR, "embeddings": VECTOR, "embedding": VECTOR}
"""What arrays of an archive are often called, and the columns that they are."""


def archive(file: File, *, max_bytes: int = ROW_GROUP_MAX_BYTES) -> ArraySource:
    """The arrays of an .npz file.

    Args:
        file: The archive.
        max_bytes: The most bytes that a row may take, and that a suspiciously compressed array may unpack to.

    Raises:
        SourceError: It holds none, or some that can't be rows of one table.
    """
    try:
        with file.open() as stream, zipfile.ZipFile(stream) as members:
            found = [member for member in members.infolist() if member.filename.endswith(".npy")]
        arrays: dict[str, StoredColumn] = {}
        named: dict[str, str] = {}
        for member in found:
            name = member.filename
            array = name.removesuffix(".npy")
            _check_packing(file, array, member, max_bytes)
            column = _COLUMNS.get(array, array)
            if column in arrays:
                raise SourceError(
                    f"{file.name} has two arrays for the column {column!r}: {named[column]!r} and {array!r}",
                    hint="save one of them, or save the other under another name",
                )
            named[column] = array
            arrays[column] = Array(
                partial(_member, file, name),
                f"{file.name}, array {array!r}",
                max_bytes=max_bytes,
            )
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise SourceError(f"{file.name} is not a readable .npz archive: {reason(error)}") from None
    if not arrays:
        raise SourceError(f"{file.name} is a zip archive without NumPy arrays", hint="unpack it first")
    return ArraySource(file.name, [file], arrays)


def _check_packing(file: File, array: str, member: zipfile.ZipInfo, max_bytes: int) -> None:
    """Refuse what would fill the memory, before it is unpacked."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Of other kinds Python unpacks all of a piece at once, whatever it holds.
        raise SourceError(
            f"{file.name}, array {array!r}: uses a compression that NumPy does not write",
            hint="write it with numpy.savez or numpy.savez_compressed",
        )
    if member.file_size > max(max_bytes, PACKED_AT_MOST * member.compress_size):
        raise SourceError(
            f"{file.name}, array {array!r}: {member.compress_size:,} bytes unpack to {member.file_size:,}",
            hint="if that is right, raise --max-row-group-bytes",
        )


def _member(file: File, name: str) -> BinaryIO:
    return cast(BinaryIO, _Member(file, name))


class _Member(Closing):
    """A stream of a member of an archive; its checksum is verified at its end."""

    def __init__(self, file: File, name: str) -> None:
        self._file = file.open()
        try:
            self._archive = zipfile.ZipFile(self._file)
            self._member = self._archive.open(name)
        except BaseException:
            self._file.close()
            raise
        self.read, self.seek, self.tell = self._member.read, self._member.seek, self._member.tell

    def close(self) -> None:
        self._member.close()
        self._archive.close()
        self._file.close()
