"""The plan of a load: which columns of each source become what, and of which dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Prints
from dataclasses import dataclass, replace

from vecload.errors import IndexMismatch, MappingError, SourceError, SourceUnfinished
from vecload.loading.identity import Identity
from vecload.loading.journal import Journal
from vecload.loading.loader import Job
from vecload.mapping import Column, ColumnChoice, Mapper, Mapping, Rows, Rules, guess_mapping
from vecload.mapping.json_columns import columns_of
from vecload.mapping.mapper import common_dimension
from vecload.mapping.metadata_choice import METADATA_NAMES
from vecload.readers import Source
from vecload.readers.compressed import Unpacked
from vecload.readers.jsonl import lines_in
from vecload.readers.source import HEAD_ROWS, Told, told_by
from vecload.readers.storage import STDIN, ChangedError, File, LocalFile, located, reason, spelled, unreadable

EXPORTS_THAT_TELL = ("chroma", "vdf")
"""Shapes that are no matter of columns: what is opened has them, or not."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was found out before anything is made or sent.

    Attributes:
        sources: With rows, in order.
        mappings: Of each source.
        dimension: Of the vectors; 0 where there are none.
        embed: The index makes the vectors.
        metric: Of the index that they were exported from; "" if nothing tells.
    """

    sources: tuple[Source, ...]
    mappings: tuple[Mapping, ...]
    dimension: int
    embed: bool
    metric: str = ""

    @property
    def once(self) -> bool:
        """Whether a source can be read only once, so that no other run can go on."""
        return any(file.location == STDIN for source in self.sources for file in source.files)

    def jobs(self, *, index_dimension: int, allow_zero_vectors: bool, keep_rows: bool = False) -> list[Job]:
        """The plan for an index.

        Args:
            index_dimension: The index's; 0 where no upsert has set it.
            allow_zero_vectors: Let vectors of zeros pass.
            keep_rows: Let rejects hold their rows.

        Raises:
            IndexMismatch: The index has another dimension.
        """
        if self.dimension and index_dimension and index_dimension != self.dimension:
            raise IndexMismatch(
                f"the vectors of {self.sources[0].name} have {self.dimension} dimensions, the index has "
                f"{index_dimension}",
                hint="load into another index with --index, or pick another column with --vector-column",
            )
        dimension = index_dimension or self.dimension
        return [
            Job(
                source,
                Mapper(mapping, dimension, allow_zero_vectors=allow_zero_vectors, keep_rows=keep_rows),
            )
            for source, mapping in zip(self.sources, self.mappings, strict=True)
        ]

    def identity(
        self,
        target: str,
        index: str,
        settings: Sequence[str],
        *,
        named: Sequence[str] = (),
        rejects: str | None = None,
    ) -> Identity:
        """What makes this load the same load, for its journal.

        Args:
            target: The target's location.
            index: The index.
            settings: What else changes what is stored.
            named: What the user named, the folders and patterns in which the sources were found among it.
            rejects: The reject file whose rows alone are loaded.

        Raises:
            SourceError: A source can't be read.
        """
        files = [file for source in self.sources for file in source.files]
        if rejects:
            files.append(LocalFile(rejects))
        names = [*(named or [source.name for source in self.sources]), *([rejects] if rejects else [])]
        mappings = [f"mapping {mapping}" for mapping in self.mappings]
        appendable = {
            lines.files[0].location
            for source in self.sources
            if (lines := lines_in(source)) is not None and lines.appendable
        }
        found = {file.location: file for file in files}

        def holds(path: str, known: str, begins: bool) -> bool:
            try:
                return (path in appendable or not begins) and found[path].holds(known, begins=begins)
            except OSError as error:
                raise unreadable(found[path], error) from None

        return Identity(
            target=target,
            index=index,
            sources=tuple(map(located, names)),
            named=tuple(map(spelled, names)),
            fingerprints={file.location: _fingerprint(file) for file in files},
            settings=(*mappings, *settings),
            owners={file.location: located(source.name) for source in self.sources for file in source.files},
            holds=holds,
        )


def check_unchanged(
    sources: Sequence[Source], fingerprints: Prints[str, str], tell: Callable[[str], None]
) -> None:
    """See whether sources are what they were when the load began.

    Args:
        sources: All of them were read.
        fingerprints: Those of their files when the load began, by location.
        tell: Is told of JSON Lines that were only appended to: all that they had then is loaded.

    Raises:
        SourceError: One changed.
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
                raise unreadable(file, ChangedError("it is not what it was when the load began"))
            tell(f"{file.name} was appended to while it was loaded: run again for what came last")


def _grew(source: Source, file: File, fingerprints: Prints[str, str]) -> bool:
    """Whether lines were appended to a file, and nothing else happened to it."""
    return (
        lines_in(source) is not None
        and isinstance(file, LocalFile)
        and file.grew_from(fingerprints[file.location])
    )


def check_whole(sources: Sequence[Source]) -> None:
    """See whether sources at rest end where a row ends; all other rows of them are loaded.

    Raises:
        SourceUnfinished: One ends in half a line.
    """
    for source in sources:
        lines = lines_in(source)
        if lines is None or lines.half is None:
            continue
        try:
            grew = lines.files[0].changed()
        except OSError as error:
            raise unreadable(lines.files[0], ChangedError(reason(error))) from None
        if not grew:
            raise SourceUnfinished(
                f"{source.name} ends in half a line, at byte {lines.half:,}, which is not loaded",
                hint="run again when it is written to its end; with a newline behind it, it counts as a row",
            )


def note_stop(journal: Journal, sources: Sequence[Source], fingerprints: Prints[str, str]) -> None:
    """Write down what the files of a load that stops are, for the run that goes on.

    Of JSON Lines on a disk, only what the recorded rows come from must be the same then.

    Args:
        journal: The load's.
        sources: All of them.
        fingerprints: Those of their files when the load began, by location.

    Raises:
        JournalError: It can't be written.
    """
    for source in sources:
        end = journal.recorded_to(source.name)
        for file in source.files:
            stored = file.file if isinstance(file, Unpacked) else file
            if not isinstance(stored, LocalFile):
                continue  # a store that is silent must not hold up a load that stops
            try:
                if file.changed() and not _grew(source, file, fingerprints):
                    journal.was_touched(file.location)
                elif end and stored is file and lines_in(source) is not None:
                    journal.begins_as(file.location, file.fingerprint(end))
            except OSError:
                journal.was_touched(file.location)
    journal.commit(reject_bytes=None)


def _fingerprint(file: File) -> str:
    try:
        return file.fingerprint()
    except OSError as error:
        raise unreadable(file, error) from None


def make_plan(
    sources: Sequence[Source],
    choice: ColumnChoice,
    *,
    embed: bool,
    rules: Rules = Rules(),  # noqa: B008 a frozen value
    dimension: int | None = None,
) -> Plan:
    """Look at the first rows of every source, and decide.

    Args:
        sources: In the order of the load.
        choice: Which columns the user named.
        embed: The index makes the vectors.
        rules: What else is asked of items.
        dimension: Of the vectors of sources whose first rows have none.

    Raises:
        MappingError: The columns can't be told, or sources differ in dimension.
        SourceError: A source can't be read.
    """
    kept: list[Source] = []
    mappings: list[Mapping] = []
    dimensions: dict[int, str] = {}
    metric = ""
    for source in sources:
        head = source.head()
        if head is None:
            continue
        if len(head.broken) == len(head.span):
            raise SourceError(
                f"{source.name} holds no JSON object in its first rows: row 0 {head.broken[0].message}",
                hint="JSON Lines has one object a line",
            )
        told = told_by(source)
        mapping = _mapping(source, head, told, choice, embed=embed, rules=rules)
        if mapping.vector is not None:
            found = common_dimension(head, mapping, source.name, dimension)
            dimensions.setdefault(found, source.name)
            if told is not None and told.dimension not in (None, found):
                raise SourceError(
                    f"{source.name} has vectors of {found} values, its export tells of {told.dimension}",
                    hint="pick another column with --vector-column, or export it again",
                )
        metric = metric or (told.metric if told else "")
        kept.append(source)
        mappings.append(mapping)
    if len(dimensions) > 1:
        (one, first), (other, second) = list(dimensions.items())[:2]
        raise MappingError(
            f"the vectors of {first} have {one} dimensions, those of {second} {other}",
            hint="load them into different indexes",
        )
    return Plan(tuple(kept), tuple(mappings), next(iter(dimensions), 0), embed, metric)


def _mapping(
    source: Source, head: Rows, told: Told | None, choice: ColumnChoice, *, embed: bool, rules: Rules
) -> Mapping:
    """Which column is which: as the user said, else as the export tells, else as it is guessed."""
    columns = [_with_fields(column, choice, head) for column in source.columns()]
    if told is None:
        if choice.shape in EXPORTS_THAT_TELL:
            raise MappingError(
                f"{source.name} has not the shape of {choice.shape}",
                hint="leave --shape away to have it seen",
            )
        more = _has_more(source, head)
        return guess_mapping(columns, choice, source=source.name, embed=embed, rules=rules, more=more)
    known = replace(
        choice, id=choice.id or told.id, vector=choice.vector or (None if embed else told.vector), shape=None
    )
    mapping = guess_mapping(columns, known, source=source.name, embed=embed, rules=rules)
    why = mapping.reasons
    if told.id and not choice.id:
        why = replace(why, id="the export tells")
    if told.vector and not choice.vector and not embed:
        why = replace(why, vector="the export tells")
    return replace(mapping, shape=told.shape, reasons=why)


def _has_more(source: Source, head: Rows) -> bool:
    """Whether rows after the first may have columns that these don't."""
    if not head.own_columns:
        return False
    if source.total_rows is not None:
        return source.total_rows > len(head.span)
    if any(file.location == STDIN for file in source.files):
        return len(head.span) >= HEAD_ROWS  # what comes after is not waited for
    return next(source.read(batch_rows=1, batch_bytes=1, done=[head.span]), None) is not None


def _with_fields(column: Column, choice: ColumnChoice, head: Rows) -> Column:
    """The column, with the fields in its first rows if it is the JSON text of objects that are asked for."""
    asked = [choice.id, choice.vector, choice.contents, *choice.metadata, *choice.excluded]
    named = any(path is not None and path.startswith(column.name + ".") for path in asked)
    if column.partition or column.shape != "text" or not (named or column.name.lower() in METADATA_NAMES):
        return column
    found = head.metadata(Mapping(None, None, metadata_object=column.name, metadata_fields=()))
    faults = {
        position for position, fault in found.faults.items() if fault.code in ("not-json", "not-object")
    }
    told = head.present(column.name)
    return replace(
        column,
        fields=tuple(columns_of([entries for entries in found.values or () if entries])),
        free_text=bool(told) and faults.issuperset(told),
    )
