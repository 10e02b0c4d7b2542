"""Load rejected rows again: only those rows of their sources, and none that a later row has replaced."""

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
    """A rejected row to load: the position of its source, its row number and its byte offset."""

    job: int
    row: int
    offset: int | None


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """What a reject file says about a row.

    id: the id that it must still have; None if any id will do.
    repeated: the id of an earlier row, if the row was rejected for repeating it.
    """

    id: str | None
    repeated: str | None = None


Rejected: TypeAlias = Mapping[str, Mapping[int, RejectedRow]]
"""Rejected rows by their numbers, by the locations of their sources."""


def read_rejects(path: str) -> dict[str, dict[int, RejectedRow]]:
    """The rows that a reject file names, by their sources.

    Raises:
        SourceError: The file can't be read, or is not a reject file.
        UsageError: It names no row.
    """
    rows: dict[str, dict[int, RejectedRow]] = {}
    for reject in rejects_of(path):
        # If the id itself was wrong, the fixed row has another id.
        known = None if reject.get("field") == "id" else reject.get("id")
        repeated = reject.get("id") if reject.get("code") == "repeated-id" else None
        rows.setdefault(located(reject["source"]), {})[reject["row"]] = RejectedRow(known or None, repeated)
    if not rows:
        raise UsageError(f"the reject file {path} names no row", hint="there is nothing to load again")
    return rows


def choose_rows(jobs: Sequence[Job], rejected: Rejected, ids: RepeatedIds) -> tuple[list[Job], int]:
    """The jobs for only the rejected rows; and how many rejected rows are omitted because they were replaced.

    Reads all ids of the sources once, because a rejected row may share its id with a loaded row. If the last
    row of an id wins, the rejected row is omitted if the loaded one is later, and replaces it if that one is
    earlier. Rejected rows that share an id are all loaded, in order. If repeated ids are rejected, no row is
    omitted: a row that shares its id with a loaded row stays a reject. So does a row that was rejected for a
    repeated id and still has that id, even if the source of the other row is not named.

    Args:
        jobs: In the order of the load.
        rejected: The rejected rows.
        ids: Gets the ids of the loaded rows, if it rejects repeated ids.

    Raises:
        SourceError: A source no longer has a row, or has another row in its place.
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
                    # Each unknown id counts as a different one.
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
    """The rows of one job, each as a span."""
    name = job.source.name
    return [Span(name, one.row, one.row + 1, one.offset) for one in rows if one.job == number]


def _changed(job: Job, row: int, before: str | None, now: str) -> SourceError:
    return SourceError(
        f"{job.source.name}, row {row}: has the id {now!r}, but the reject file has {before!r} for it: "
        "the source changed since, or other options form its ids",
        hint="fix rows in place and use the options of the first load, or load the whole source again",
    )
