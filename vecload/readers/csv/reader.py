"""CSV, TSV and COPY's text format as a source: read in blocks of whole rows, which Arrow splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.limits import LINE_MAX_BYTES
from vecload.mapping import Column
from vecload.mapping.dimensions import dimension_columns
from vecload.mapping.rows import Fault
from vecload.mapping.text_rows import TextColumns, TextRows, are_bare_numbers
from vecload.mapping.text_types import TextType, type_of, wider
from vecload.options import CsvTypes
from vecload.readers.csv.dialect import LOOK_BYTES, ROW_NUMBERS, Layout, delimiter_of, layout_of, names_of
from vecload.readers.csv.records import Cut, Dialect, Fields, fields_of, read_cuts, unescaped
from vecload.readers.source import HEAD_BYTES, HEAD_ROWS, Source, missing
from vecload.readers.storage.files import File, LocalFile, as_file, reason, unreadable
from vecload.readers.storage.transformed import storage_of

BLOCK_BYTES_MIN = 2**20
_TOO_LONG = b"(a row too long)"
_NOT_UTF8 = Fault(
    "line", "not-utf8", "is not UTF-8; if it is Windows-1252 or Latin-1, load it with --encoding windows-1252"
)


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How delimited text is read.

    columns: names of the columns of a file without a header, each text as `--csv-columns` takes it.
    delimiter: what separates fields; None detects it.
    types: whether columns may be numbers.
    vector_columns: the pattern of the columns of a vector's dimensions; None if there are none.
    copied: it is the text format of COPY.
    """

    columns: Sequence[str] = ()
    delimiter: str | None = None
    types: CsvTypes = "infer"
    vector_columns: str | None = None
    copied: bool = False


class CsvSource(Source):
    """A file of delimited text. Blank lines and the header don't count as rows.

    Args:
        file: The file, or the path of a local one.
        options: How it is read.
        line_max_bytes: A longer row is rejected.

    Raises:
        SourceError: It can't be read, or its first row is not a header.
        MappingError: The columns of dimensions are not complete.
    """

    format = "csv"

    def __init__(
        self,
        file: File | str,
        options: CsvOptions = CsvOptions(),
        *,
        line_max_bytes: int = LINE_MAX_BYTES,
    ) -> None:
        self._file = as_file(file)
        super().__init__(self._file.name, [self._file], self._file.nbytes or 0)
        self._options = options
        self._line_max = line_max_bytes
        self._layout = self._look()
        self._together = options.vector_columns or ""
        self._dimensions: tuple[str, ...] = ()
        if self._together:
            self._dimensions = (*dimension_columns(self._layout.names, self._together, self.name),)
        self._agreed: dict[str, TextType] = {}

    def _look(self) -> Layout:
        options = self._options
        delimiter = None if options.delimiter is None else delimiter_of(options.delimiter)
        names = names_of(options.columns)
        try:
            with self._file.open() as stream:
                head, whole = b"", False
                while True:
                    more = stream.read(LOOK_BYTES if not head else len(head))
                    head, whole = head + more, not more
                    # A header of many columns may be longer than that.
                    if whole or (len(head) >= LOOK_BYTES and b"\n" in head) or len(head) > self._line_max:
                        break
        except OSError as error:
            raise unreadable(self._file, error) from None
        return layout_of(
            self.name, head, delimiter=delimiter, columns=names, copied=options.copied, whole=whole
        )

    @property
    def appendable(self) -> bool:
        """Whether it is a file on a disk that ends with its last row, so that others may be appended."""
        return isinstance(self._file, LocalFile) and self._ends_with_a_newline

    @cached_property
    def _ends_with_a_newline(self) -> bool:
        try:
            with self._file.open() as stream:
                stream.seek(max(0, self.nbytes - 1))
                return stream.read(1) == b"\n"
        except OSError as error:
            raise unreadable(self._file, error) from None

    @property
    def kind(self) -> str:
        """Its format, and its compression if it is compressed."""
        delimiter = self._layout.dialect.delimiter
        name = "COPY text" if self._options.copied else "TSV" if delimiter == b"\t" else "CSV"
        return f"{name}{storage_of(self._file)}"

    def part(self, span: Span) -> float:
        """By its bytes, as many as they would be where it is stored."""
        size = (span.end or 0) - (span.begin or 0)
        return min(1.0, size * self._file.stored_part / self.nbytes) if self.nbytes else 0.0

    def columns(self) -> list[Column]:
        """The columns of its header, with the types that its first rows show."""
        return self._known.columns(self._names)

    @property
    def _names(self) -> list[str]:
        """Its columns, less the numbers of rows that a data frame is written with."""
        return [name for name in self._layout.names if name not in self._idle]

    @cached_property
    def _first(self) -> pa.RecordBatch | None:
        """Its first rows, as text."""
        first = next(self._tables(Span(self.name, 0, -1), HEAD_ROWS, HEAD_BYTES, None), None)
        return None if first is None else first.table

    @cached_property
    def _idle(self) -> frozenset[str]:
        if self._first is None or ROW_NUMBERS not in self._layout.names:
            return frozenset()
        values = self._first.column(ROW_NUMBERS).to_pylist()
        numbered = all(value in (None, str(at)) for at, value in enumerate(values))
        return frozenset({ROW_NUMBERS}) if numbered else frozenset()

    @cached_property
    def types(self) -> dict[str, TextType]:
        """The types of its columns, as its first rows show them; of those that are not text."""
        if self._first is None or self._options.types == "text":
            return {}
        names = [name for name in self._names if name not in self._dimensions]
        found = {name: type_of(self._first.column(name).to_pylist()) for name in names}
        return {name: kind for name, kind in found.items() if kind != "text"}

    def agree(self, types: dict[str, TextType]) -> None:
        """Read its columns with types that other sources share."""
        self._agreed = types

    @cached_property
    def _known(self) -> TextColumns:
        types = {name: self._agreed.get(name, kind) for name, kind in self.types.items()}
        bare: list[str] = []
        if self._first is not None:
            texts = [name for name in self._names if types.get(name, "text") == "text"]
            bare = [
                name
                for name in texts
                if name not in self._dimensions and are_bare_numbers(self._first.column(name).to_pylist())
            ]
        return TextColumns(types, frozenset(bare), self._dimensions, self._together)

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[TextRows]:
        """Its rows in order, from the byte where each gap begins."""
        for gap in missing(done, None):
            for piece in self._tables(gap, batch_rows, batch_bytes, columns):
                known, names = self._known, piece.table.schema.names
                if known.dimensions and known.dimensions[0] not in names:
                    known = replace(known, dimensions=(), together="")
                yield TextRows(
                    piece.span,
                    piece.table.select([name for name in names if name not in self._idle]),
                    known,
                    broken=piece.broken,
                    offsets=piece.offsets,
                    line=piece.line,
                    typed=self._options.types == "infer",
                )

    def _needed(self, columns: Sequence[str] | None) -> list[str]:
        names = self._layout.names
        if columns is None:
            return [*names]
        together = self._dimensions if self._together in columns else ()
        return [name for name in names if name in columns or name in together]

    def _tables(
        self, gap: Span, batch_rows: int, batch_bytes: int, columns: Sequence[str] | None
    ) -> Iterator[_Piece]:
        needed = self._needed(columns)
        row, begin = gap.start, max(gap.begin or 0, self._layout.begin)
        end = max(begin, self.nbytes) if isinstance(self._file, LocalFile) else None
        size = min(batch_bytes, max(batch_rows * self._layout.row_bytes, BLOCK_BYTES_MIN))
        dialect = self._layout.dialect
        try:
            with self._file.open() as stream:
                stream.seek(begin)
                for at, cut in read_cuts(stream, begin, end, dialect, size=size, line_max=self._line_max):
                    for start in range(0, len(cut), batch_rows):
                        stop = min(start + batch_rows, len(cut))
                        if gap.stop >= 0:
                            stop = min(stop, start + gap.stop - row)
                        if stop <= start:
                            return
                        span = Span(self.name, row, row + stop - start)
                        yield _piece(span, at, cut, start, stop, dialect, self._layout.names, needed)
                        row += stop - start
        except OSError as error:
            raise unreadable(self._file, error, f" after row {row - 1}" if row else "") from None
        except pa.ArrowInvalid as error:
            # Rows are cut as Arrow's parser cuts them; should both differ, no row may be lost.
            raise SourceError(f"{self.name} can't be parsed at or after row {row}: {reason(error)}") from None


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some rows: their fields as text, null in broken rows."""

    span: Span
    table: pa.RecordBatch
    broken: dict[int, Fault]
    offsets: list[int]
    cut: Cut
    start: int

    def line(self, position: int) -> bytes:
        """The row at a position as the source has it."""
        return self.cut.row(self.start + position) if self.cut.data else _TOO_LONG


def _piece(
    span: Span,
    at: int,
    cut: Cut,
    start: int,
    stop: int,
    dialect: Dialect,
    names: Sequence[str],
    needed: Sequence[str],
) -> _Piece:
    """The rows `[start, stop)` of a cut.

    Args:
        span: Where they come from.
        at: Where the cut's text begins in the source.
        cut: The rows.
        start: The first.
        stop: The one after the last.
        dialect: How fields are separated.
        names: The source's columns.
        needed: Those that will be used.
    """
    broken = {row - start: fault for row, fault in cut.faults.items() if start <= row < stop}
    positions = [position for position in range(stop - start) if position not in broken]
    split = _at_once if cut.simple else _by_row
    arrays, kept, wrong = split(cut, [start + position for position in positions], dialect, names, needed)
    for row, count in wrong.items():
        broken[row - start] = Fault("line", "fields", f"has {count:,} fields instead of {len(names):,}")
    arrays = [_as_text(array, dialect) for array in arrays]
    for array_bad in (bad for _, bad in arrays):
        for place in array_bad:
            broken[kept[place] - start] = _NOT_UTF8
    texts = [text for text, _ in arrays]
    good = [row - start for row in kept]
    if len(good) < stop - start or any(bad for _, bad in arrays):
        places = dict(zip(good, range(len(good)), strict=True))
        order = pa.array(
            [None if position in broken else places[position] for position in range(stop - start)], pa.int64()
        )
        texts = [text.take(order) for text in texts]
    table = pa.RecordBatch.from_arrays(texts, names=[*needed])
    if not needed:
        table = pa.RecordBatch.from_struct_array(pa.array([{}] * (stop - start), pa.struct([])))
    offsets = (cut.starts[start:stop] + at).tolist()
    end = at + (int(cut.starts[stop]) if stop < len(cut) else cut.consumed)
    return _Piece(replace(span, begin=offsets[0], end=end), table, broken, offsets, cut, start)


_Split = tuple[list[pa.Array], list[int], dict[int, int]]
"""A binary array for each needed column; the rows in them; and for other rows how many fields they have."""


def _at_once(
    cut: Cut, rows: Sequence[int], dialect: Dialect, names: Sequence[str], needed: Sequence[str]
) -> _Split:
    """Split rows by Arrow's parser."""
    text = _text_of(cut, rows)
    wrong: dict[int, int] = {}

    def skip(row: pa.csv.InvalidRow) -> str:
        wrong[rows[row.number - 1]] = row.actual_columns
        return "skip"

    empty = pa.array([], pa.binary())
    if not rows:
        return [empty] * len(needed), [], {}
    quotes = {"quote_char": '"', "double_quote": True} if dialect.quoted else {"quote_char": False}
    # Arrow's own names: those of the file may be anything.
    own = {name: str(at) for at, name in enumerate(names)}
    found = pa.csv.read_csv(
        pa.BufferReader(text),
        read_options=pa.csv.ReadOptions(
            column_names=[*own.values()], block_size=len(text) + 1, use_threads=False
        ),
        parse_options=pa.csv.ParseOptions(
            delimiter=dialect.delimiter.decode(),
            newlines_in_values=dialect.quoted,
            ignore_empty_lines=False,
            invalid_row_handler=skip,
            **quotes,
        ),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(own.values(), pa.binary()),
            include_columns=[own[name] for name in needed] or ["0"],
            strings_can_be_null=dialect.quoted,
            quoted_strings_can_be_null=False,
            null_values=[""] if dialect.quoted else [],
            check_utf8=False,
        ),
    )
    kept = [row for row in rows if row not in wrong] if wrong else [*rows]
    if len(found) != len(kept):
        raise pa.ArrowInvalid(f"{len(kept)} rows were split into {len(found)}")
    arrays = [found.column(own[name]).combine_chunks() for name in needed]
    return (
        [array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks) for array in arrays],
        kept,
        wrong,
    )


def _text_of(cut: Cut, rows: Sequence[int]) -> bytes:
    """Some rows in one text, without blank lines."""
    if not rows:
        return b""
    first, last = rows[0], rows[-1]
    if len(rows) == last - first + 1:
        between = cut.starts[first + 1 : last + 1] - cut.stops[first:last]
        if bool((between == 1).all()):
            return cut.data[cut.starts[first] : cut.stops[last]] + b"\n"
    return b"".join(cut.row(row) + b"\n" for row in rows)


def _by_row(
    cut: Cut, rows: Sequence[int], dialect: Dialect, names: Sequence[str], needed: Sequence[str]
) -> _Split:
    """Split rows one by one, as some quotes are not as they should be."""
    wrong: dict[int, int] = {}
    kept: list[int] = []
    found: list[Fields] = []
    for row in rows:
        fields = fields_of(cut.row(row), dialect)
        if len(fields) == len(names):
            kept.append(row)
            found.append(fields)
        else:
            wrong[row] = len(fields)
    places = [names.index(name) for name in needed]
    return [pa.array([fields[at] for fields in found], pa.binary()) for at in places], kept, wrong


def _as_text(array: pa.BinaryArray, dialect: Dialect) -> tuple[pa.StringArray, list[int]]:
    """Bytes as text, and the positions of those that are not UTF-8."""
    if not dialect.quoted and array.null_count == 0:
        # Arrow does not know COPY's escapes: fields with one are read here.
        escaped = pc.match_substring(array, "\\")
        if pc.any(escaped).as_py():
            array = pa.array([unescaped(value) for value in array.to_pylist()], pa.binary())
    try:
        return array.cast(pa.string()), []
    except pa.ArrowInvalid:
        pass
    values: list[str | None] = []
    bad: list[int] = []
    for position, value in enumerate(array.to_pylist()):
        try:
            values.append(None if value is None else value.decode())
        except UnicodeDecodeError:
            values.append(None)
            bad.append(position)
    return pa.array(values, pa.string()), bad


def agree_on_types(sources: Sequence[Source]) -> None:
    """Make a column that is numbers in one source and text in another text in all: one index has one type."""
    found = [source for source in sources if isinstance(source, CsvSource)]
    if len(found) < 2:
        return
    agreed: dict[str, TextType] = {}
    for source in found:
        for name in source._names:  # noqa: SLF001 of this class
            kind = source.types.get(name, "text")
            agreed[name] = wider(agreed.get(name, kind), kind)
    for source in found:
        source.agree(agreed)
