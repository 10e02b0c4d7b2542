"""Rejected rows, loaded again: just those rows of their sources, and none that a later row has replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeAlias

from vecload.batch import Span
from vecload.errors import SourceError, UsageError
from vecload.loading.flow import Job
from vecload.loading.rejects import rejects_of
from vecload.loading.repeated_ids import RepeatedIds, items_in
from vecload.readers.source import around
from vecload.readers.storage.files import located

SCAN_ROWS = 10_000


@dataclass(slots=True)
class _Chosen:
    """A rejected row that is to be loaded: its source's place, its number and its byte offset."""

    job: int
    row: int
    offset: int | None


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """What a reject file says of a row.

    id: the id that it must still have; None where none counts.
    repeated: the id of an earlier row, if it was rejected for having that.
    """

    id: str | None
    repeated: str | None = None


Rejected: TypeAlias = Mapping[str, Mapping[int, RejectedRow]]
"""By the locations of sources: rejected rows by their numbers."""


def read_rejects(path: str) -> dict[str, dict[int, RejectedRow]]:
    """The rows that a reject file names, by their sources.

    Raises:
        SourceError: It can't be read, or is no reject file.
        UsageError: It names no row.
    """
    rows: dict[str, dict[int, RejectedRow]] = {}
    for reject in rejects_of(path):
        # An id that was itself at fault is mended, and is another then.
        known = None if reject.get("field") == "id" else reject.get("id")
        repeated = reject.get("id") if reject.get("code") == "repeated-id" else None
        rows.setdefault(located(reject["source"]), {})[reject["row"]] = RejectedRow(known or None, repeated)
    if not rows:
        raise UsageError(f"the reject file {path} names no row", hint="there is nothing to load again")
    return rows


def choose_rows(jobs: Sequence[Job], rejected: Rejected, ids: RepeatedIds) -> tuple[list[Job], int]:
    """The jobs, less every row that was not rejected; and how many rejected rows are left out as replaced.

    The sources' ids are read through once, since a rejected row may share its id with a row that was loaded.
    Where the last row of an id wins, it is left out if that one is later, and replaces it if it is earlier;
    of rejected rows that share an id all are loaded, in order. Where repeated ids are rejected, no row is
    left out: one that shares its id with any row that was loaded stays a reject, and so does one that was
    rejected for that and has the same id still, whether the source of the other row is named or not.

    Args:
        jobs: In the order of the load.
        rejected: The rows.
        ids: Sees the ids of the rows that were loaded, if it is to reject those that repeat one.

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
            if ids.policy == "reject":
                numbers, texts = items_in(job.mapper, rows, whole=False)
                others = [n for n, row in enumerate(numbers.tolist()) if row not in wanted]
                ids.loaded(job.source.name, numbers[others], [texts[n] for n in others])
                still = [
                    text
                    for row, text in zip(numbers.tolist(), texts, strict=True)
                    if row in wanted and wanted[row].repeated == text
                ]
                ids.loaded_elsewhere(still)
            for position, item_id in enumerate(job.mapper.ids(rows)):
                row = start + position
                if row in wanted:
                    if item_id and wanted[row].id not in (None, prefix + item_id):
                        raise _changed(job, row, wanted[row].id, prefix + item_id)
                    # Ids that can't be told are as many different ones.
                    chosen.setdefault(item_id or -1 - found, []).append(
                        _Chosen(number, row, rows.offsets[position] if rows.offsets else None)
                    )
                    found += 1
                elif ids.policy == "last":
                    chosen.pop(item_id, None)
    total = sum(map(len, rejected.values()))
    if found < total:
        raise SourceError(f"the sources have only {found} of the {total} rows in the reject file")
    left = sorted(chain.from_iterable(chosen.values()), key=lambda choice: (choice.job, choice.row))
    return [
        replace(job, done=tuple(around(_spans(job, number, left), job.source.name, job.source.total_rows)))
        for number, job in enumerate(jobs)
    ], total - len(left)


def _spans(job: Job, number: int, rows: Sequence[_Chosen]) -> list[Span]:
    """Each of the rows that are of this job, as a span."""
    name = job.source.name
    return [Span(name, one.row, one.row + 1, one.offset) for one in rows if one.job == number]


def _changed(job: Job, row: int, before: str | None, now: str) -> SourceError:
    return SourceError(
        f"{job.source.name}, row {row}: has the id {now!r}, but the reject file has {before!r} for it: "
        "the source changed since, or its ids are made in another way",
        hint="mend rows in their places, with the options of the first load; or load the whole source again",
    )
