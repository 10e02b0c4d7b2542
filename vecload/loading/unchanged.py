"""Whether sources stay as they were while they are loaded, and what a load that stops records of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vecload.errors import SourceUnfinished
from vecload.loading.journal import Journal
from vecload.readers import Source
from vecload.readers.storage.compressed import Unpacked
from vecload.readers.storage.files import ChangedError, File, LocalFile, reason, unreadable


def check_unchanged(
    sources: Sequence[Source], fingerprints: Mapping[str, str], tell: Callable[[str], None]
) -> None:
    """Check that sources have not changed since the load began.

    Args:
        sources: The sources, all read to their ends.
        fingerprints: The fingerprints of their files when the load began, by location.
        tell: Takes a message about JSON Lines that were only appended to. Their earlier lines are loaded.

    Raises:
        SourceError: A source changed.
    """
    for source in sources:
        for file in source.files:
            try:
                if not file.changed():
                    continue
                grew = _grew(source, file, fingerprints)
            except OSError as error:
                raise unreadable(file, ChangedError(reason(error))) from None
            if not grew:
                raise unreadable(file, ChangedError("it changed since the load began"))
            tell(f"{file.name} was appended to during the load: run again to load the new lines")


def _grew(source: Source, file: File, fingerprints: Mapping[str, str]) -> bool:
    """Whether lines were appended to a file and nothing else changed."""
    return source.appendable and isinstance(file, LocalFile) and file.grew_from(fingerprints[file.location])


def check_whole(sources: Sequence[Source]) -> None:
    """Check that sources which are not growing end with a complete row. All other rows are loaded.

    Raises:
        SourceUnfinished: A source ends with an incomplete line.
    """
    for source in sources:
        if source.unfinished_at is None:
            continue
        try:
            grew = source.files[0].changed()
        except OSError as error:
            raise unreadable(source.files[0], ChangedError(reason(error))) from None
        if not grew:
            raise SourceUnfinished(
                f"{source.name} ends with an incomplete line, at byte {source.unfinished_at:,}, which is not "
                "loaded",
                hint="run again when the file is complete; a newline at its end makes the line a row",
            )


def note_stop(journal: Journal, sources: Sequence[Source], fingerprints: Mapping[str, str]) -> None:
    """Record the state of the files of a load that stops, for the run that resumes it.

    Of JSON Lines on a disk, only the part with the recorded rows must then be unchanged.

    Args:
        journal: The journal of the load.
        sources: All sources of the load.
        fingerprints: The fingerprints of their files when the load began, by location.

    Raises:
        JournalError: The journal can't be written.
    """
    for source in sources:
        end = journal.recorded_to(source.name)
        for file in source.files:
            stored = file.file if isinstance(file, Unpacked) else file
            if not isinstance(stored, LocalFile):
                continue  # an object store that does not answer must not delay the stop
            try:
                if file.changed() and not _grew(source, file, fingerprints):
                    journal.was_touched(file.location)
                elif end and stored is file and source.appendable:
                    journal.begins_as(file.location, file.fingerprint(end))
            except OSError:
                journal.was_touched(file.location)
    journal.commit(reject_bytes=None)
