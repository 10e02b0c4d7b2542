"""Blocks of lines, parsed and mapped to batches: in this process or in one of its own."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import BinaryIO

from vecload.batch import Batch, Origin, Span
from vecload.closing import Closing
from vecload.mapping.forms import Form
from vecload.mapping.json_rows import VectorParser, line_as_text, vector_parser_for
from vecload.mapping.mapper import Mapper
from vecload.readers.json.blocks import TOO_LONG, Block, Line, lines_of, read_blocks, rows_of
from vecload.readers.json.pages import Pager, page_parser_for
from vecload.readers.storage.files import ChangedError, LocalFile, unreadable


@dataclass(frozen=True, slots=True)
class Task:
    """How the blocks of one source become batches. Can be sent to another process, and holds no secret.

    source: its name.
    mapper: how rows become items.
    batch_rows: the most rows of a batch.
    block_bytes: the most bytes that are read at once.
    line_max: a longer line is rejected.
    file: where blocks are read from; None where they hold their lines.
    form: how rows are changed or made of lines before they are mapped; None leaves them as they are.
    """

    source: str
    mapper: Mapper
    batch_rows: int
    block_bytes: int
    line_max: int
    file: LocalFile | None = None
    form: Form | None = None


class BlockMapper(Closing):
    """Maps blocks to batches, one after the other."""

    def __init__(self, task: Task) -> None:
        self._task = task
        mapping, dimension, form = task.mapper.mapping, task.mapper.dimension, task.form
        self._vector_parser: VectorParser | None = None
        self._pager: Pager | None = None
        if form is not None and (form.multiplies or form.pairs):
            self._pager = Pager(form, task.line_max, page_parser_for(mapping, dimension, form))
        else:
            self._vector_parser = vector_parser_for(mapping, dimension)
        self._stream: BinaryIO | None = None

    def map(self, block: Block) -> list[Batch]:
        """The batches of a block. Their rows are counted from the block's first, which is 0.

        Raises:
            SourceError: The file can't be read.
        """
        task = self._task
        lines = self._lines(block)
        if self._pager is not None:
            made = self._pager.rows(
                Span(task.source, 0, -1),
                lines,
                batch_rows=task.batch_rows,
                batch_bytes=task.block_bytes,
            )
            return [task.mapper.map(rows) for rows in made]
        row = 0
        batches: list[Batch] = []
        while held := [*islice(lines, task.batch_rows)]:
            rows = rows_of(task.source, row, held, task.line_max, self._vector_parser, task.form)
            batches.append(task.mapper.map(rows))
            row += len(held)
        return batches

    def _lines(self, block: Block) -> Iterator[Line]:
        task = self._task
        if block.data is not None or block.too_long or task.file is None:
            yield from lines_of(block, task.line_max)
            return
        try:
            if self._stream is None:
                self._stream = task.file.open(0)
            self._stream.seek(block.begin)
            end = block.begin
            for part in read_blocks(
                self._stream, block.begin, block.end, size=task.block_bytes, line_max=task.line_max
            ):
                yield from lines_of(part, task.line_max)
                end = part.end
            if end < block.end:
                raise ChangedError("it became shorter")
        except OSError as error:
            raise unreadable(task.file, error) from None

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()


def portable(batch: Batch) -> Batch:
    """The batch as it can be sent to another process: without what gives its rows whole."""
    return replace(batch, origin=Origin(array("q", batch.origin.offsets or ())))


def raw_lines(batch: Batch, block: Block, line_max: int) -> Batch:
    """The batch with what gives its rows whole: the lines that the block holds."""
    data, offsets = block.data, batch.origin.offsets or ()

    def raw(position: int) -> str:
        # Rows of one line have the places after its beginning.
        begin = offsets[position] - block.begin
        begin = 0 if data is None else data.rfind(b"\n", 0, begin) + 1
        rest = None if data is None else data[begin:]
        (line,) = islice(lines_of(Block(begin + block.begin, block.end, rest), line_max), 1)
        return line_as_text(line.text or TOO_LONG)

    return replace(batch, origin=Origin(offsets, raw))


def moved(batch: Batch, by: int) -> Batch:
    """The batch with its rows numbered from another beginning."""
    span = batch.span
    return replace(
        batch,
        span=replace(span, start=span.start + by, stop=span.stop + by),
        rows=None if batch.rows is None else batch.rows + by,
        rejects=tuple(replace(reject, row=reject.row + by) for reject in batch.rejects),
    )
