"""Rejected rows, loaded again: just those rows of their sources, and none that a later row has replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vecload.batch import Span
from vecload.errors import SourceError, UsageError
from vecload.loading.loader import Job
from vecload.loading.rejects import rejects_of
from vecload.readers.source import LAST_ROW
from vecload.readers.storage import located

SCAN_ROWS = 10_000


@dataclass(slots=True)
class _Chosen:
    """A rejected row that is to be loaded: its source's place, its number and its byte offset."""

    job: int
    row: int
    offset: int | None


def read_rejects(path: str) -> dict[str, set[int]]:
    """The rows that a reject file names, by their sources.

    Raises:
        SourceError: It can't be read, or is no reject file.
        UsageError: It names no row.
    """
    rows: dict[str, set[int]] = {}
    for reject in rejects_of(path):
        rows.setdefault(located(reject["source"]), set()).add(reject["row"])
    if not rows:
        raise UsageError(f"the reject file {path} names no row", hint="there is nothing to load again")
    return rows


def choose_rows(jobs: Sequence[Job], rejected: Mapping[str, set[int]]) -> tuple[list[Job], int]:
    """The jobs, less every row that was not rejected; and how many rejected rows are left out as replaced.

    The sources' ids are read through once: a rejected row whose id stands again in a later row that was
    loaded must not overwrite that one.

    Args:
        jobs: In the order of the load.
        rejected: Row numbers by the sources' locations.

    Raises:
        SourceError: A source has no such row any more.
    """
    chosen: dict[int | str, _Chosen] = {}
    found = 0
    for number, job in enumerate(jobs):
        wanted = rejected.get(located(job.source.name), set())
        for rows in job.source.read(batch_rows=SCAN_ROWS, batch_bytes=2**27):
            start = rows.span.start
            for position, item_id in enumerate(job.mapper.ids(rows)):
                row = start + position
                if row in wanted:
                    # Ids that can't be told are as many different ones.
                    chosen[item_id or -1 - found] = _Chosen(
                        number, row, rows.offsets[position] if rows.offsets else None
                    )
                    found += 1
                else:
                    chosen.pop(item_id, None)
    total = sum(map(len, rejected.values()))
    if found < total:
        raise SourceError(f"the sources have only {found} of the {total} rows in the reject file")
    left = sorted(chosen.values(), key=lambda choice: (choice.job, choice.row))
    return [
        replace(job, done=_all_but([c for c in left if c.job == number], job))
        for number, job in enumerate(jobs)
    ], total - len(left)


def _all_but(rows: Sequence[_Chosen], job: Job) -> tuple[Span, ...]:
    """The spans of a source around some of its rows, with the offsets at which those begin."""
    name = job.source.name
    spans: list[Span] = []
    after = 0
    for choice in rows:
        if choice.row > after:
            spans.append(Span(name, after, choice.row, 0, choice.offset))
        after = choice.row + 1
    end = LAST_ROW if job.source.total_rows is None else job.source.total_rows
    if after < end:
        spans.append(Span(name, after, end))
    return tuple(spans)
