"""The ids of rows that earlier runs of a load have loaded, found again by reading those rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from vecload.batch import Span
from vecload.loading.repeated_ids import EarlierRows
from vecload.loading.seen_ids import digests_of
from vecload.mapping import Mapper, Rows
from vecload.readers import Source
from vecload.readers.ahead import ahead
from vecload.readers.jsonl import JsonlSource
from vecload.readers.source import around

SCAN_ROWS = 10_000
SCAN_BYTES = 2**25


def earlier_rows(
    source: Source,
    mapper: Mapper,
    clean: Sequence[Span],
    rejecting: Sequence[Span],
    *,
    interrupted: Callable[[], int] = lambda: 0,
) -> Iterator[EarlierRows]:
    """The rows of some spans that became items: the same ones as when they were loaded.

    Args:
        source: It is unchanged since.
        mapper: As it was then.
        clean: Spans in which every row became an item: their ids alone are read, where the source can.
        rejecting: Spans with rejects: their rows are mapped again, since the ids of those that can't be don't
            count. A row that only the target refused counts, as it did then.
        interrupted: The number of the signal that asked to stop, 0 while none did.

    Raises:
        Interrupted: A signal came.
        SourceError: The source can't be read on.
    """
    mapping = mapper.mapping
    columns = mapping.id_columns()
    if columns is None or isinstance(source, JsonlSource):
        # Lines are parsed whole in any case, and faster as a load does it, than for their ids alone.
        clean, rejecting = (), sorted((*clean, *rejecting), key=lambda span: span.start)
    if isinstance(source, JsonlSource):
        others = around(rejecting, source.name, None)
        mapped = source.batches(mapper, batch_rows=SCAN_ROWS, batch_bytes=SCAN_BYTES, done=others)
        with closing(ahead(mapped, interrupted=interrupted)) as batches:
            for batch in batches:
                yield EarlierRows(source.name, batch.item_rows(), digests_of(batch.ids))
        return
    for spans, whole, wanted in ((clean, False, columns), (rejecting, True, mapping.needed())):
        if not spans:
            continue
        others = around(spans, source.name, source.total_rows)
        rows = source.read(batch_rows=SCAN_ROWS, batch_bytes=SCAN_BYTES, columns=wanted, done=others)
        with closing(ahead(rows, interrupted=interrupted)) as pieces:
            for piece in pieces:
                numbers, ids = items_in(mapper, piece, whole=whole)
                yield EarlierRows(source.name, numbers, digests_of(ids))


def items_in(mapper: Mapper, rows: Rows, *, whole: bool) -> tuple[NDArray[np.int64], list[str]]:
    """Numbers and ids of the rows that become items.

    Args:
        mapper: Maps them.
        rows: The rows.
        whole: Map them whole; else every row that has an id is taken for one that becomes an item.
    """
    if whole or mapper.mapping.id_columns() is None:
        batch = mapper.map(rows)
        return batch.item_rows(), batch.ids
    prefix = mapper.mapping.rules.id_prefix
    found = mapper.ids(rows)
    numbers = np.array([n for n, item_id in enumerate(found, rows.span.start) if item_id], dtype=np.int64)
    return numbers, [prefix + item_id for item_id in found if item_id]
