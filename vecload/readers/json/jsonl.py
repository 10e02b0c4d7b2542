"""JSON Lines, read in blocks of whole lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import chain, islice

from vecload.batch import Batch, Span
from vecload.errors import MappingError
from vecload.limits import LINE_MAX_BYTES
from vecload.mapping.columns import Column
from vecload.mapping.first_rows import with_first_rows
from vecload.mapping.forms import Form
from vecload.mapping.json_rows import JsonRows, VectorParser, vector_parser_for
from vecload.mapping.mapper import Mapper
from vecload.readers.json.blocks import (
    BLOCK_BYTES_MIN,
    Block,
    Line,
    cut_blocks,
    half_line,
    lines_of,
    read_blocks,
    rows_of,
)
from vecload.readers.json.elements import Elements
from vecload.readers.json.mapped import BlockMapper, Task, moved
from vecload.readers.json.pages import Pager, after_second, begin_of_line, page_parser_for
from vecload.readers.json.relined import Relined
from vecload.readers.json.workers import Parsers
from vecload.readers.source import HEAD_BYTES, HEAD_ROWS, Source, missing
from vecload.readers.storage.files import File, LocalFile, as_file, unreadable
from vecload.readers.storage.remote import RemoteFile
from vecload.readers.storage.transformed import Transformed, storage_of

HEADS_MOST = 1000
"""How many times HEAD_ROWS rows are looked at for one that is no reject, where a recipe has rejects."""
READ_BYTES = 2**20

END_ROWS = 50
"""About how many rows before its end the last of its places is."""
SKIP_BYTES = 2**20
"""Of the line that a place falls into; after a longer one reading can't begin."""


_KINDS: dict[type[Transformed], str] = {Relined: "JSON documents", Elements: "a JSON array"}


class JsonlSource(Source):
    """A file of one JSON object a line. Blank lines don't count as rows; the last line needs no newline.

    Of a file on a disk, what it held when it was found is read; a last line that was only half written is
    left for a later run, unless there is nothing else.

    Args:
        file: The file, or the path of a local one.
        line_max_bytes: A longer line is rejected.
        form: The form of its rows; None looks for one.
        others: Other files that its rows come from.
    """

    format = "jsonl"
    maps_while_reading = True

    def __init__(
        self,
        file: File | str,
        *,
        line_max_bytes: int = LINE_MAX_BYTES,
        form: Form | None = None,
        others: Sequence[File] = (),
    ) -> None:
        self._file = as_file(file)
        super().__init__(self._file.name, [self._file, *others], self._file.nbytes or 0)
        self._line_max = line_max_bytes
        self._given = form

    def form(self, columns: Sequence[Column]) -> Form | None:
        """The form by which its rows were made."""
        return self._form

    @cached_property
    def _form(self) -> Form | None:
        """The form of its rows; it decides how they are read."""
        if self._given is not None:
            return self._given
        refused: MappingError | None = None
        for head in islice(self._plain(Span(self.name, 0, -1), HEAD_ROWS, HEAD_BYTES, None), HEADS_MOST):
            if _all_broken(head):
                break
            before = with_first_rows(head.columns(), head)
            try:
                form = self.recipes.form_of_columns(before, self.name, reshapes=True)
            except MappingError as error:
                refused = refused or error  # of rows that all failed: later ones say more
                continue
            if form is None or not form.reshapes:
                return form
            shaped = _first_good(self._paged(Span(self.name, 0, -1), HEAD_ROWS, HEAD_BYTES, form))
            after = [] if shaped is None else with_first_rows(shaped.columns(), shaped)
            return form if self.recipes.keeps_named(before, after) else None
        if refused is not None:
            raise refused
        return None

    @property
    def _pages(self) -> Form | None:
        """The form, if it makes another number of rows than there are lines."""
        return self._form if self._form is not None and (self._form.multiplies or self._form.pairs) else None

    @property
    def _changes(self) -> Form | None:
        """The form, if it changes each row by itself."""
        return self._form if self._form is not None and self._form.reshapes and not self._pages else None

    @property
    def unfinished_at(self) -> int | None:
        """Where a last line begins that was only half written when the file was found; None without one.

        Raises:
            SourceError: The file can't be read.
        """
        return self._half

    @cached_property
    def _half(self) -> int | None:
        if not isinstance(self._file, LocalFile):
            return None
        try:
            with self._file.open(0) as stream:
                return half_line(stream, self.nbytes, self._line_max)
        except OSError as error:
            raise unreadable(self._file, error) from None

    @property
    def appendable(self) -> bool:
        """Whether its offsets are those of a file on a disk, which may be appended to."""
        return isinstance(self._file, LocalFile) and not (self._form is not None and self._form.pairs)

    def _end(self, begin: int) -> int | None:
        """Where reading ends that begins there; None at the end of the stream."""
        if not isinstance(self._file, LocalFile):
            return None
        return max(begin, self.nbytes if self._half is None else self._half)

    @property
    def kind(self) -> str:
        """The recipe by which its rows are made, its compression, and its encoding, if it has one."""
        kind = "JSON Lines"
        if isinstance(self._file, Transformed):
            kind = _KINDS.get(type(self._file), kind)
        if self._given is not None:
            kind = "a JSON document"
        of = f" of {self._form.recipe}" if self._form is not None and self._form.recipe else ""
        return f"{kind}{of}{storage_of(self._file)}"

    def places(self, count: int) -> list[Span]:
        """Beginnings of lines, evenly spread by bytes; the last is near the end, where copies are cut off."""
        head = self.head()
        if head is None or self._pages or not isinstance(self._file, LocalFile | RemoteFile):
            return []
        row_bytes = max(1, ((head.span.end or 0) - (head.span.begin or 0)) // len(head.span))
        found: list[Span] = []
        try:
            with self._file.open() as file:
                for place in range(1, count + 1):
                    at = max(0, self.nbytes - END_ROWS * row_bytes) * place // count
                    file.seek(at)
                    skipped = len(file.readline(SKIP_BYTES))
                    if at and skipped < SKIP_BYTES and at + skipped < self.nbytes:
                        found.append(Span(self.name, 0, (at + skipped) // row_bytes + 1, 0, at + skipped))
        except OSError as error:
            raise unreadable(self._file, error) from None
        return found

    def part(self, span: Span) -> float:
        """By its bytes, as many as they would be where it is stored."""
        size = (span.end or 0) - (span.begin or 0)
        return min(1.0, size * self._file.stored_part / self.nbytes) if self.nbytes else 0.0

    def columns(self) -> list[Column]:
        """The columns of its first rows."""
        head = self.head()
        return [] if head is None else head.columns()

    def head(self) -> JsonRows | None:
        """Its first rows, or the first ones that are not all rejects; where it has none, the half of one."""
        pieces = self.read(batch_rows=HEAD_ROWS, batch_bytes=HEAD_BYTES)
        has_rejects = self._form is not None and bool(self._form.rejects)
        head = _first_good(pieces) if has_rejects else next(pieces, None)
        if head is None and self._half is not None:
            return next(self._rows(Span(self.name, 0, -1, self._half), 1, 1, end=self.nbytes), None)
        return head

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[JsonRows]:
        """Its rows in order, from the byte where each gap begins."""
        for gap in missing(done, None):
            yield from self._rows(gap, batch_rows, batch_bytes)

    def _rows(
        self,
        gap: Span,
        batch_rows: int,
        batch_bytes: int,
        vector_parser: VectorParser | None = None,
        *,
        end: int | None = None,
    ) -> Iterator[JsonRows]:
        if self._pages is not None:
            return self._paged(gap, batch_rows, batch_bytes, self._pages, vector_parser, end=end)
        return self._plain(gap, batch_rows, batch_bytes, self._changes, vector_parser, end=end)

    def _paged(
        self,
        gap: Span,
        batch_rows: int,
        batch_bytes: int,
        form: Form,
        vector_parser: VectorParser | None = None,
        *,
        end: int | None = None,
    ) -> Iterator[JsonRows]:
        """The gap's rows, of pages: a gap may begin at any row of one."""
        begin = gap.begin or 0
        start = self._begin_of_line(begin)
        return Pager(form, self._line_max, vector_parser).rows(
            replace(gap, source=self.name),
            self._lines(Span(self.name, 0, -1, start), end),
            batch_rows=batch_rows,
            batch_bytes=batch_bytes,
            skip=begin - start,
        )

    def _begin_of_line(self, offset: int) -> int:
        """Where the line begins that an offset is in."""
        if not offset:
            return 0
        try:
            with self._file.open() as stream:
                return begin_of_line(stream, offset)
        except OSError as error:
            raise unreadable(self._file, error) from None

    def _plain(
        self,
        gap: Span,
        batch_rows: int,
        batch_bytes: int,
        form: Form | None,
        vector_parser: VectorParser | None = None,
        *,
        end: int | None = None,
    ) -> Iterator[JsonRows]:
        """The gap's rows: one a line."""
        held: list[Line] = []
        size, row = 0, gap.start
        for line in self._lines(gap, end):
            length = 0 if line.data is None else line.after - line.at
            if held and (len(held) >= batch_rows or size + length > batch_bytes):
                yield rows_of(self.name, row, held, self._line_max, vector_parser, form)
                row, size, held = row + len(held), 0, []
            held.append(line)
            size += length
        if held:
            yield rows_of(self.name, row, held, self._line_max, vector_parser, form)

    def _lines(self, gap: Span, end: int | None) -> Iterator[Line]:
        """The gap's lines that are not blank."""
        row, offset = gap.start, gap.begin or 0
        end = self._end(offset) if end is None else end
        try:
            with self._file.open() as stream:
                stream.seek(offset)
                for block in read_blocks(stream, offset, end, size=READ_BYTES, line_max=self._line_max):
                    for line in lines_of(block, self._line_max):
                        if row == gap.stop:
                            return
                        yield line
                        row += 1
        except OSError as error:
            raise unreadable(self._file, error, f" after row {row - 1}" if row else "") from None

    def batches(
        self,
        mapper: Mapper,
        *,
        batch_rows: int,
        batch_bytes: int,
        done: Sequence[Span] = (),
        parsers: Parsers | None = None,
    ) -> Iterator[Batch]:
        """Its rows in order, mapped: by processes of their own where there is much to parse."""
        for gap in missing(done, None):
            pages = self._pages
            held = pages is not None and bool(pages.pairs) and not (pages.only and self._apart(mapper))
            if gap.stop >= 0 or held or (pages is not None and self._is_inside(gap.begin or 0)):
                # Between what is done: a few rows, whose end may be known by their number alone. Or pages of
                # two lines, which blocks that hold their lines would part; or the rest of a page.
                mapping, dimension = mapper.mapping, mapper.dimension
                vector_parser = (
                    page_parser_for(mapping, dimension, pages)
                    if pages is not None
                    else vector_parser_for(mapping, dimension)
                )
                yield from map(mapper.map, self._rows(gap, batch_rows, batch_bytes, vector_parser))
            else:
                yield from self._rest(gap, mapper, batch_rows, batch_bytes, parsers)

    def _apart(self, mapper: Mapper) -> LocalFile | None:
        """The file, if those who parse its lines read them themselves.

        The rows of a file on a disk go nowhere but where they are parsed, unless rejects are to hold them.
        """
        return self._file if isinstance(self._file, LocalFile) and not mapper.keep_rows else None

    def _is_inside(self, offset: int) -> bool:
        """Whether an offset is of a row that is not the first one of its page."""
        return self._begin_of_line(offset) != offset

    def _rest(
        self, gap: Span, mapper: Mapper, batch_rows: int, batch_bytes: int, parsers: Parsers | None
    ) -> Iterator[Batch]:
        """All from a row on, in blocks."""
        row, begin = gap.start, gap.begin or 0
        end = self._end(begin)
        guess = batch_rows * (12 * mapper.dimension + 512)
        size = min(batch_bytes, max(guess, BLOCK_BYTES_MIN))
        apart = self._apart(mapper)
        form = self._form if self._form is not None and self._form.reshapes else None
        task = Task(self.name, mapper, batch_rows, size, self._line_max, apart, form)
        try:
            with self._file.open() as stream:
                if apart is None:
                    stream.seek(begin)
                    blocks = read_blocks(stream, begin, end, size=size, line_max=self._line_max)
                else:
                    move = None
                    if form is not None and form.pairs:
                        move = partial(after_second, form=form, line_max=self._line_max)
                        size = size * 3 // 4  # leaves room for the lines by which cuts move
                    blocks = cut_blocks(stream, begin, end, size=size, move=move)
                for batches in _in_order(task, blocks, parsers):
                    for batch in batches:
                        yield moved(batch, row)
                    row += sum(len(batch.span) for batch in batches)
        except OSError as error:
            raise unreadable(self._file, error, f" after row {row - 1}" if row else "") from None


def _first_good(pieces: Iterator[JsonRows]) -> JsonRows | None:
    """The first rows of which one is no reject; without any, the first.

    A tool may write first what failed, or deletions.
    """
    first = next(pieces, None)
    if first is None or not _all_broken(first):
        return first
    return next((piece for piece in islice(pieces, HEADS_MOST) if not _all_broken(piece)), first)


def _all_broken(rows: JsonRows) -> bool:
    return len(rows.broken) == len(rows.span)


def _in_order(task: Task, blocks: Iterator[Block], parsers: Parsers | None) -> Iterator[list[Batch]]:
    """The batches of each block: of this process until it pays to have others."""
    with BlockMapper(task) as mapper:
        for block in blocks:
            if parsers is not None and parsers.pay(block.end - block.begin):
                yield from parsers.map(task, chain([block], blocks))
            else:
                yield mapper.map(block)
