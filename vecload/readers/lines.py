"""Lines of JSON, parsed and mapped: what this process does, and the processes that it starts for that."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, BinaryIO

import numpy as np
import orjson

from vecload.batch import Batch, Origin, Span
from vecload.closing import Closing
from vecload.mapping.json_rows import JsonRows, as_text
from vecload.mapping.mapper import Mapper
from vecload.mapping.packer import Packed, Packer, inexact, packer_for
from vecload.mapping.rows import Fault
from vecload.readers.blocks import Block, Line, lines_of, read_blocks
from vecload.readers.json_causes import cause_of
from vecload.readers.storage import ChangedError, LocalFile, unreadable


@dataclass(frozen=True, slots=True)
class Task:
    """How the blocks of one source become batches. Can be sent to another process, and holds no secret.

    source: its name.
    mapper: how rows become items.
    batch_rows: rows of a batch at the most.
    block_bytes: bytes that are read at once at the most.
    line_max: a longer line is rejected.
    file: where blocks are read from; None where they hold their lines.
    """

    source: str
    mapper: Mapper
    batch_rows: int
    block_bytes: int
    line_max: int
    file: LocalFile | None = None


class BlockMapper(Closing):
    """Maps blocks to batches, one after the other."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._packer = packer_for(task.mapper.mapping, task.mapper.dimension)
        self._stream: BinaryIO | None = None

    def map(self, block: Block) -> list[Batch]:
        """The batches of a block. Their rows are counted from the block's first, which is 0.

        Raises:
            SourceError: The file can't be read.
        """
        task, row = self._task, 0
        batches: list[Batch] = []
        held: list[Line] = []
        for line in self._lines(block):
            if len(held) >= task.batch_rows:
                batches.append(task.mapper.map(rows_of(task.source, row, held, task.line_max, self._packer)))
                row, held = row + len(held), []
            held.append(line)
        if held:
            batches.append(task.mapper.map(rows_of(task.source, row, held, task.line_max, self._packer)))
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
        """Let go of the file."""
        if self._stream is not None:
            self._stream.close()


def portable(batch: Batch) -> Batch:
    """The batch as it can be sent to another process: without what gives its rows whole."""
    return replace(batch, origin=Origin(array("q", batch.origin.offsets or ())))


def raw_lines(batch: Batch, block: Block, line_max: int) -> Batch:
    """The batch with what gives its rows whole: the lines that the block holds."""
    data, offsets = block.data, batch.origin.offsets or ()

    def raw(position: int) -> str:
        begin = offsets[position]
        rest = None if data is None else data[begin - block.begin :]
        (line,) = islice(lines_of(Block(begin, block.end, rest), line_max), 1)
        return as_text(line.text or TOO_LONG)

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


def rows_of(
    source: str, start: int, lines: Sequence[Line], line_max: int, packer: Packer | None = None
) -> JsonRows:
    """Some lines as rows.

    Args:
        source: The source's name.
        start: The number of the first row.
        lines: At least one.
        line_max: What a line that isn't held was longer than.
        packer: Takes the vectors out of their rows at once.
    """
    rows: list[dict[str, Any]] = []
    broken: dict[int, Fault] = {}
    left: list[int] = []

    def parse(position: int) -> dict[str, Any]:
        parsed = _parse(lines[position].text, line_max)
        left.append(position)
        if isinstance(parsed, dict):
            return parsed
        broken[position] = parsed
        return {}

    packed = None
    if packer is None:
        rows = [parse(position) for position in range(len(lines))]
    else:
        vectors = np.empty((len(lines), packer.dimension), dtype=np.float32)
        with np.errstate(over="ignore"):
            found = packer.pack((line[2:] for line in lines), vectors)
        for position, row in enumerate(found):
            if row is None:
                vectors[position] = 1
            rows.append(parse(position) if row is None else row)
        for position in inexact(vectors):
            rows[position] = parse(position)
        packed = Packed(packer.column, vectors, tuple(left))
    return JsonRows(
        Span(source, start, start + len(lines), lines[0].offset, lines[-1].end),
        rows,
        exact=lambda position: _exactly(lines[position].text or b"{}"),
        broken=broken,
        offsets=[line.offset for line in lines],
        line=lambda position: lines[position].text or TOO_LONG,
        packed=packed,
    )


TOO_LONG = b"(a line too long)"


def _parse(line: bytes | None, line_max: int) -> dict[str, Any] | Fault:
    if line is None:
        return Fault("line", "long-line", f"is longer than {line_max:,} bytes")
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        whole = _without_tail(line)
        if len(whole) < len(line):
            return _parse(whole, line_max)
        # The parser's message names a kind and a place, never a value.
        cause = cause_of(error, line) or f"{error.msg} at column {error.colno}"
        return Fault("line", "not-json", f"is not JSON: {cause}")
    if not isinstance(row, dict):
        return Fault("line", "not-object", "is no JSON object")
    return row


def _without_tail(line: bytes) -> bytes:
    """A line less the NUL bytes that a file was made longer by before it was written; these end no line."""
    return line.rstrip(b"\0")


def _exactly(line: bytes) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(_without_tail(line))
    return row
