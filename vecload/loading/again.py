"""Rejected rows, loaded again: just those rows of their sources, and none that a later row has replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeAlias

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


Rejected: TypeAlias = Mapping[str, Mapping[int, str | None]]
"""By the locations of sources: the numbers of rejected rows, each with the id it had; None if none counts."""


def read_rejects(path: str) -> dict[str, dict[int, str | None]]:
    """The rows that a reject file names, by their sources, with the ids that they had.

    Raises:
        SourceError: It can't be read, or is no reject file.
        UsageError: It names no row.
    """
    rows: dict[str, dict[int, str | None]] = {}
    for reject in rejects_of(path):
        # An id that was itself at fault is mended, and is another then.
        known = None if reject.get("field") == "id" else reject.get("id")
        rows.setdefault(located(reject["source"]), {})[reject["row"]] = known or None
    if not rows:
        raise UsageError(f"the reject file {path} names no row", hint="there is nothing to load again")
    return rows


def choose_rows(jobs: Sequence[Job], rejected: Rejected) -> tuple[list[Job], int]:
    """The jobs, less every row that was not rejected; and how many rejected rows are left out as replaced.

    The sources' ids are read through once: a rejected row whose id stands again in a later row that was
    loaded must not overwrite that one. Of rejected rows that share an id all are loaded, in order.

    Args:
        jobs: In the order of the load.
        rejected: The rows.

    Raises:
        SourceError: A source has no such row any more, or another one in its place.
    """
    chosen: dict[int | str, list[_Chosen]] = {}
    found = 0
    for number, job in enumerate(jobs):
        wanted = rejected.get(located(job.source.name), {})
        prefix = job.mapper.mapping.rules.id_prefix
        for rows in job.source.read(batch_rows=SCAN_ROWS, batch_bytes=2**27):
            start = rows.span.start
            for position, item_id in enumerate(job.mapper.ids(rows)):
                row = start + position
                if row in wanted:
                    if item_id and wanted[row] not in (None, prefix + item_id):
                        raise _changed(job, row, wanted[row], prefix + item_id)
                    # Ids that can't be told are as many different ones.
                    chosen.setdefault(item_id or -1 - found, []).append(
                        _Chosen(number, row, rows.offsets[position] if rows.offsets else None)
                    )
                    found += 1
                else:
                    chosen.pop(item_id, None)
    total = sum(map(len, rejected.values()))
    if found < total:
        raise SourceError(f"the sources have only {found} of the {total} rows in the reject file")
    left = sorted(chain.from_iterable(chosen.values()), key=lambda choice: (choice.job, choice.row))
    return [
        replace(job, done=_all_but([c for c in left if c.job == number], job))
        for number, job in enumerate(jobs)
    ], total - len(left)


def _changed(job: Job, row: int, before: str | None, now: str) -> SourceError:
    return SourceError(
        f"{job.source.name}, row {row}: has the id {now!r}, but the reject file has {before!r} for it: "
        "the source changed since, or its ids are made in another way",
        hint="mend rows in their places, with the options of the first load; or load the whole source again",
    )


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
