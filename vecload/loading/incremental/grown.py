"""Grown loads: with `--skip-loaded`, sources that an earlier load has loaded are not loaded again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import orjson

from vecload.batch import Span
from vecload.errors import JournalError
from vecload.loading.flow import Job
from vecload.loading.identity import Identity, Part
from vecload.loading.incremental.shared_ids import Digests, LoadedSource, WantedSource, sources_to_keep
from vecload.loading.journal import Journal
from vecload.loading.rejects import rejects_of
from vecload.loading.repeated_ids import RepeatedIds, earlier_rows
from vecload.readers import Source
from vecload.readers.source import LAST_ROW
from vecload.readers.storage.files import located

Say = Callable[[str], None]


def keep_loaded(
    journal: Journal,
    identity: Identity,
    jobs: Sequence[Job],
    ids: RepeatedIds,
    rejects: str | None,
    say: Say,
    interrupted: Callable[[], int],
) -> int:
    """Keep in a journal what need not be loaded again, and forget the rest.

    Args:
        journal: The journal of an earlier load under the same names, from other sources.
        identity: This load.
        jobs: Its sources.
        ids: Its repeated ids.
        rejects: The reject file that this run names.
        say: Takes a message.
        interrupted: The number of the signal that stops the load, 0 without one.

    Returns:
        How many sources are kept; 0 leaves the journal as it is.

    Raises:
        JournalError: The journal or the reject file can't be written.
        SourceError: A source can't be read.
    """
    before = journal.loaded_sources()
    places = {one.part.location: place for place, one in enumerate(before)}
    now = []
    for part, job in zip(identity.parts, jobs, strict=True):
        place = places.get(part.location)
        same = place is not None and _is_same(before[place], part, identity)
        whole = place is not None and same and _is_whole(before[place], job.source)
        now.append(
            WantedSource(
                place if whole else None,
                partial(_ids_in, job, ids, interrupted),
                begun=place if same and not whole else None,
            )
        )
    keep = sources_to_keep(before, now, ids.policy)
    rejecting = {n for n in keep if before[now[n].loaded or 0].rejected}
    length = 0  # without a reject file in this run, the file of earlier ones does not hold all rejects
    if rejecting and rejects is not None:
        kept = {identity.parts[n].location for n in keep}
        path = journal.rejects_path()
        whole = path == os.path.realpath(rejects) and _size(path) == journal.reject_bytes
        if whole:
            length = _keep_rejects(rejects, kept)
        else:
            # The reject file would lack theirs: they are found again.
            now = [
                WantedSource(None, one.ids, begun=one.loaded) if n in rejecting else one
                for n, one in enumerate(now)
            ]
            keep = sources_to_keep(before, now, ids.policy)
    if not keep:
        return 0
    journal.keep({identity.parts[n].location for n in keep}, reject_bytes=length)
    gone = len(before) - sum(part.location in places for part in identity.parts)
    if gone:
        say(f"gone since the last load: {_sources(gone)}; their items stay in the index")
    unchanged = sum(one.loaded is not None for one in now)
    again = f" ({unchanged - len(keep)} more share ids with others)" if unchanged > len(keep) else ""
    say(f"skipping {len(keep)} of {_sources(len(now))}, which are loaded and unchanged{again}")
    return len(keep)


def _is_same(old: LoadedSource, part: Part, identity: Identity) -> bool:
    """Whether a source is what was loaded, or what was being loaded."""
    if old.touched or old.part != part:
        return False
    return all(
        old.fingerprints[file] == identity.fingerprints[file]
        or identity.holds(file, old.fingerprints[file], False)
        for file in part.files
    )


def _is_whole(old: LoadedSource, source: Source) -> bool:
    """Whether all rows of an unchanged source are recorded."""
    if old.whole:
        return True
    if source.total_rows is not None:
        return old.rows == source.total_rows
    return source.appendable and old.end == source.nbytes


def _ids_in(job: Job, ids: RepeatedIds, interrupted: Callable[[], int]) -> Digests:
    """The digests of the ids in a source, of rows that become items: so whole rows must be mapped."""
    whole = [Span(job.source.name, 0, job.source.total_rows or LAST_ROW)]
    rows = earlier_rows(job.source, job.mapper, [], whole, digests=ids.digests, interrupted=interrupted)
    return np.concatenate([np.empty(0, dtype=np.int64), *(one.digests for one in rows)])


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return -1


def _keep_rejects(path: str, sources: set[str]) -> int:
    """Leave in a reject file only the rejects of some sources; returns its length in bytes.

    Raises:
        JournalError: It can't be written.
    """
    kept = [
        orjson.dumps(reject) + b"\n" for reject in rejects_of(path) if located(reject["source"]) in sources
    ]
    content = b"".join(kept)
    try:
        with NamedTemporaryFile(dir=Path(path).resolve().parent, delete=False) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
    except OSError as error:
        raise JournalError(f"the reject file {path} can't be written: {error.strerror}") from None
    return len(content)


def _sources(number: int) -> str:
    return "1 source" if number == 1 else f"{number:,} sources"
