"""Batches of a source: its rows read and mapped ahead of whoever takes them, elsewhere where that pays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Literal, TypeAlias

from vecload.batch import Batch, Span
from vecload.mapping.mapper import Mapper
from vecload.readers.ahead import ahead
from vecload.readers.jsonl import JsonlSource
from vecload.readers.parallel import Parsers, automatic
from vecload.readers.source import Source

Lap: TypeAlias = Callable[[Literal["read", "map"]], None]


def parsers_for(workers: str, sources: Sequence[Source]) -> Parsers:
    """The processes that may parse sources: `auto`, or so many."""
    # Those that can't tell their rows are those that are parsed.
    expected = sum(source.nbytes for source in sources if source.total_rows is None)
    return Parsers(automatic() if workers == "auto" else int(workers), expected)


def batches(
    source: Source,
    mapper: Mapper,
    *,
    batch_rows: int,
    batch_bytes: int,
    done: Sequence[Span] = (),
    lap: Lap = lambda spent: None,
    parsers: Parsers | None = None,
    interrupted: Callable[[], int] = lambda: 0,
) -> Iterator[Batch]:
    """A source's rows in order, mapped.

    Args:
        source: The source.
        mapper: How its rows become items.
        batch_rows: Rows of a batch at the most.
        batch_bytes: Bytes of a batch at about the most; a larger row is one by itself.
        done: Spans that are not to be read again.
        lap: Told what the caller's time since the last call was spent on.
        parsers: Processes that may parse; None leaves it to this one.
        interrupted: The number of the signal that asked to stop, 0 while none did.

    Raises:
        Interrupted: A signal came while rows were waited for.
        VecloadError: The source can't be read on or is damaged, or a process that parsed it ended.
    """
    if isinstance(source, JsonlSource):
        mapped = source.batches(
            mapper, batch_rows=batch_rows, batch_bytes=batch_bytes, done=done, parsers=parsers
        )
        with closing(ahead(mapped, interrupted=interrupted)) as ready:
            for batch in ready:
                lap("read")
                yield batch
        return
    needed = mapper.mapping.needed()
    rows = source.read(batch_rows=batch_rows, batch_bytes=batch_bytes, columns=needed, done=done)
    with closing(ahead(rows, interrupted=interrupted)) as pieces:
        for piece in pieces:
            lap("read")
            batch = mapper.map(piece)
            lap("map")
            yield batch
