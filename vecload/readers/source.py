"""Source: what every reader is to the loader, and which of its rows are still to be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from vecload.batch import Span
from vecload.mapping import Column, Rows
from vecload.readers.storage.files import File

HEAD_ROWS = 100
"""Rows of a source's beginning that tell its columns."""
LAST_ROW = 2**62
"""A row number that no source reaches: a span up to it leaves nothing to be read."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an export itself tells of its rows.

    shape: the known shape it has; its columns have the usual names.
    id, vector: the columns of ids and vectors.
    vectors: several columns of vectors, of which one is to be named.
    metric: of the index it was exported from, as CyborgDB names it where it has it; "" if it tells none.
    dimension: of its vectors.
    """

    shape: str = ""
    id: str | None = None
    vector: str | None = None
    metric: str = ""
    dimension: int | None = None
    vectors: tuple[str, ...] = ()


def told_by(source: Source) -> Told | None:
    """What a source tells of itself; most tell nothing."""
    told = getattr(source, "told", None)
    return told if isinstance(told, Told) else None


class Source(Protocol):
    """One input file, opened. May be read several times, by one thread at a time."""

    @property
    def name(self) -> str:
        """As the user gave it, or as it was found in a folder that the user gave."""

    @property
    def files(self) -> Sequence[File]:
        """What it is read from."""

    @property
    def kind(self) -> str:
        """What it is, for people: its format, and how it is compressed."""

    @property
    def nbytes(self) -> int:
        """Its size in bytes as it is stored; 0 where that is not known."""

    @property
    def total_rows(self) -> int | None:
        """How many rows it holds, where the file tells."""

    def part(self, span: Span) -> float:
        """About which part of it, from 0 to 1, a span of it is."""

    def columns(self) -> list[Column]:
        """Its columns; where only rows tell, those of its first rows."""

    def head(self) -> Rows | None:
        """Its first rows; None if it has none."""

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[Rows]:
        """Its rows in order, in pieces.

        Args:
            batch_rows: Rows of a piece at the most.
            batch_bytes: Bytes of a piece at about the most; a larger row is a piece by itself.
            columns: The columns that will be asked for; None is all of them.
            done: Spans that are not to be read again.

        Raises:
            SourceError: The file can't be read on, or is damaged.
        """

    def places(self, count: int) -> list[Span]:
        """Places further on from which it can be read without all that stands before them, in order.

        Args:
            count: How many at the most.

        Returns:
            For each the rows before it, as `done` of `read` takes them. Where only reading them would tell
            how many those are, that number is an estimate, and so are the numbers of rows read there.

        Raises:
            SourceError: The file can't be read on.
        """

    def close(self) -> None:
        """Let go of the file."""


def missing(done: Sequence[Span], total: int | None) -> Iterator[Span]:
    """The gaps between spans that are done, in order; the last has no end where the total is unknown.

    Args:
        done: In any order; may touch, never overlap.
        total: Rows of the source; None where unknown: then the last gap's `stop` is -1.
    """
    row, offset, source = 0, 0, done[0].source if done else ""
    for span in sorted(done, key=lambda span: span.start):
        if span.start > row:
            yield Span(source, row, span.start, offset, span.begin)
        row, offset = span.stop, span.end or 0
    if total is None and row < LAST_ROW:
        yield Span(source, row, -1, offset, None)
    elif total is not None and row < total:
        yield Span(source, row, total, offset, None)


def around(spans: Sequence[Span], source: str, total: int | None) -> list[Span]:
    """The rows around some spans, as `done` of `read` takes them: just those spans are read then.

    Args:
        spans: In order; may touch, never overlap.
        source: The name of the source.
        total: Rows of the source; None where unknown.
    """
    others: list[Span] = []
    row, offset = 0, 0
    for span in spans:
        if span.start > row:
            others.append(Span(source, row, span.start, offset, span.begin))
        row, offset = span.stop, span.end or 0
    end = LAST_ROW if total is None else total
    if row < end:
        others.append(Span(source, row, end))
    return others
