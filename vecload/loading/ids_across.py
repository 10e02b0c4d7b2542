"""Ids across splits: which ids are in several splits of a load that are loaded at the same time.

`RepeatedIds` sees the rows of one load in their order. Splits have no order among them, so which row of an id
stays would be chance. A pass over ids alone finds these ids before anything is sent. It compares digests of
64 bits (`text_digests`), of whole columns at once; of splits that share one, it compares the ids themselves,
so a collision costs a little time and changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vecload.batch import Span
from vecload.errors import UsageError
from vecload.loading.flow import Job
from vecload.loading.repeated_ids import SCAN_BYTES, SCAN_ROWS, items_in
from vecload.loading.text_digests import text_digests
from vecload.mapping import Mapper, Rows
from vecload.mapping.arrow_rows import ArrowRows
from vecload.readers.prefetch import rows_ahead
from vecload.readers.source import around
from vecload.targets.placement import IdDigests

ID_ROWS = 2**16
"""Rows of a piece of which only the ids are read."""
BUCKET_ROWS = 2**22
"""About how many digests of all splits are compared at once: 48 MB, and as much again to sort them."""


def wide_digests(ids: Iterable[str]) -> NDArray[np.uint64]:
    """The ids as BLAKE2b digests of 16 bytes: shape (n, 2). Where two are the same, so are the ids."""
    blake = hashlib.blake2b
    whole = b"".join([blake(one.encode(), digest_size=16).digest() for one in ids])
    return np.frombuffer(whole, dtype="<u8").astype(np.uint64, copy=False).reshape(-1, 2)


class IdPass:
    """Reads the ids of splits.

    Args:
        digests: Computes the digests of an array of ids without nulls.
        interrupted: The number of the signal that stops the load, 0 without one.
    """

    def __init__(
        self,
        digests: Callable[[pa.Array], IdDigests] = text_digests,
        interrupted: Callable[[], int] = lambda: 0,
    ) -> None:
        self._digests = digests
        self._interrupted = interrupted

    def digests(self, job: Job) -> IdDigests:
        """The different digests of the ids in the rows of a job, sorted.

        Raises:
            Interrupted: A signal came.
            SourceError: The source can't be read.
        """
        return different([self._digests(ids) for _, ids in self._pieces(job, _spans(job), whole=False)])

    def items(self, job: Job, shared: IdDigests) -> set[str]:
        """The ids with these digests of rows that become items.

        Whole rows are read only where there is such an id: a row that can't be loaded does not count.

        Args:
            job: The rows.
            shared: Sorted.

        Raises:
            Interrupted: A signal came.
            SourceError: The source can't be read.
        """
        spans = [
            span
            for span, ids in self._pieces(job, _spans(job), whole=False, rows=SCAN_ROWS)
            if is_among(self._digests(ids), shared).any()
        ]
        return {
            item_id
            for _, ids in (self._pieces(job, spans, whole=True, rows=SCAN_ROWS) if spans else ())
            for item_id in ids.filter(pa.array(is_among(self._digests(ids), shared))).to_pylist()
        }

    def _pieces(
        self, job: Job, spans: Sequence[Span], *, whole: bool, rows: int = ID_ROWS
    ) -> Iterator[tuple[Span, pa.Array]]:
        """The ids of some rows, piece by piece."""
        mapping = job.mapper.mapping
        columns = mapping.needed() if whole else mapping.id_columns() or mapping.needed()
        others = around(spans, job.source.name, job.source.total_rows)
        found = job.source.read(batch_rows=rows, batch_bytes=SCAN_BYTES, columns=columns, done=others)
        with closing(rows_ahead(job.source, found, interrupted=self._interrupted)) as pieces:
            for piece in pieces:
                yield piece.span, ids_in(job.mapper, piece, whole=whole)


def ids_in(mapper: Mapper, rows: Rows, *, whole: bool) -> pa.Array:
    """The ids of the rows that become items, as texts without nulls: string or large_string, shape (n,).

    Args:
        mapper: Maps the rows.
        rows: The rows.
        whole: Map the whole rows; otherwise every row that has something as an id may count, even if the id
            is too long or not UTF-8.
    """
    found = None if whole else _of_one_column(mapper, rows)
    if found is None:
        _, ids = items_in(mapper, rows, whole=whole)
        return pa.array(ids, pa.large_string())
    there = found.drop_null() if found.null_count else found
    lengths = pc.binary_length(there)
    if pc.min(lengths).as_py() == 0:
        there = there.filter(pc.greater(lengths, 0))
    prefix, nothing = (pa.scalar(text, there.type) for text in (mapper.mapping.rules.id_prefix, ""))
    return pc.binary_join_element_wise(prefix, there, nothing) if prefix.as_py() else there


def _of_one_column(mapper: Mapper, rows: Rows) -> pa.Array | None:
    """The ids that a column of Arrow has as they are; None if they are made otherwise."""
    mapping = mapper.mapping
    made = mapping.id_columns() is None or mapping.more_ids or mapping.needs_nested_rows
    if mapping.id is None or made or not isinstance(rows, ArrowRows):
        return None
    return rows.id_texts(mapping.id)


def different(parts: Sequence[IdDigests]) -> IdDigests:
    """The different ones among digests, sorted."""
    whole = np.sort(np.concatenate([np.empty(0, dtype=np.uint64), *parts]))
    return whole[np.concatenate(([True], whole[1:] != whole[:-1]))[: len(whole)]]


def _spans(job: Job) -> Sequence[Span]:
    source = job.source
    return source.only if source.only is not None else [Span(source.name, 0, source.total_rows or 0)]


def is_among(digests: IdDigests, shared: IdDigests) -> NDArray[np.bool_]:
    """Which digests are among some that are sorted: bool, shape (n,)."""
    if not len(shared):
        return np.zeros(len(digests), dtype=np.bool_)
    found: NDArray[np.bool_] = shared[np.minimum(shared.searchsorted(digests), len(shared) - 1)] == digests
    return found


class SharedDigests:
    """Finds digests that are in several splits, in memory that does not grow with their number.

    The digests go to files, by their highest bits; then one file after the other is sorted.

    Args:
        folder: An empty folder for the files, 12 bytes a digest.
        rows: About how many digests there will be.
    """

    _ONE = np.dtype([("digest", "<u8"), ("split", "<u4")])

    def __init__(self, folder: Path, rows: int) -> None:
        self._bits = max(1, (max(rows, 1) // BUCKET_ROWS).bit_length())
        self._files = [folder / f"{number}" for number in range(2**self._bits)]

    def add(self, split: int, digests: IdDigests) -> None:
        """Add the digests of a split: different ones, sorted."""
        high = digests >> np.uint64(64 - self._bits)
        ends = np.searchsorted(high, np.arange(len(self._files), dtype=np.uint64), side="right")
        start = 0
        for file, end in zip(self._files, ends.tolist(), strict=True):
            if end > start:
                part = np.empty(end - start, dtype=self._ONE)
                part["digest"], part["split"] = digests[start:end], split
                with file.open("ab") as stream:
                    stream.write(part.tobytes())
            start = end

    def shared(self) -> dict[int, IdDigests]:
        """The digests that several splits have: of each such split, sorted. Call it once, at the end."""
        found: dict[int, list[IdDigests]] = {}
        for file in self._files:
            if not file.exists():
                continue
            all_of_it = np.fromfile(file, dtype=self._ONE)
            file.unlink()
            digests = np.ascontiguousarray(all_of_it["digest"]).astype(np.uint64, copy=False)
            # Without the splits: mostly, there is nothing to find. "stable" is faster with sorted parts.
            ordered = np.sort(digests, kind="stable")
            several = is_among(digests, ordered[1:][ordered[1:] == ordered[:-1]])
            digests, splits = digests[several], all_of_it["split"][several]
            for split in np.unique(splits).tolist():
                found.setdefault(split, []).append(np.sort(digests[splits == split]))
        return {split: np.concatenate(parts) for split, parts in sorted(found.items())}


def ids_of_others(own: Sequence[Job], others: Sequence[Job], reads: IdPass) -> dict[str, str]:
    """The ids of items of some jobs that items of other jobs have, too.

    Args:
        own: These jobs.
        others: The other jobs, in order.
        reads: Reads ids.

    Returns:
        For each id, the name of the first other source that has it.

    Raises:
        Interrupted: A signal came.
        SourceError: A source can't be read.
    """
    mine = different([*map(reads.digests, own)])
    shared: dict[int, IdDigests] = {}
    for number, job in enumerate(others):
        theirs = reads.digests(job)
        hits = theirs[is_among(theirs, mine)]
        if len(hits):
            shared[number] = hits
    if not shared:
        return {}
    every = different([*shared.values()])
    ids = set[str]().union(*(reads.items(job, every) for job in own))
    found: dict[str, str] = {}
    for number, hits in shared.items():
        for item_id in sorted(ids & reads.items(others[number], hits)):
            found.setdefault(item_id, others[number].source.name)
    return found


def refuse_shared(own: Sequence[Job], found: dict[str, str]) -> None:
    """Refuse a part of a load whose ids other parts have, if the last row of an id should win.

    Raises:
        UsageError: There is such an id.
    """
    if found:
        item_id, other = next(iter(found.items()))
        more = f" ({len(found):,} such ids)" if len(found) > 1 else ""
        raise UsageError(
            f"id {item_id!r} is in {own[0].source.name} and, in another part, in {other}{more}: parts have "
            "no order, so which row stays would be chance",
            hint="reject later rows with --repeated-ids reject, or load without --split",
        )
