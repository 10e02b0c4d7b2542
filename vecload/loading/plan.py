"""The plan of a load: which columns of each source become what, and of which dimension."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from orjson import loads

from vecload.errors import IndexMismatch, MappingError, SourceError, SourceUnfinished
from vecload.loading.flow import Job
from vecload.loading.identity import Identity
from vecload.loading.journal import Journal
from vecload.mapping import ColumnChoice, ColumnMapping, Mapper, Rows, Rules, guess_mapping
from vecload.mapping.columns import listed
from vecload.mapping.contents_choice import ClearText, clear_texts
from vecload.mapping.first_rows import as_text, with_first_rows
from vecload.mapping.mapper import common_dimension
from vecload.mapping.names import qualifiers_of
from vecload.mapping.vector_choice import with_vector_dtype
from vecload.readers import Source
from vecload.readers.json.causes import hint_of_rows
from vecload.readers.source import HEAD_ROWS, ExportFacts
from vecload.readers.storage.compressed import Unpacked
from vecload.readers.storage.files import (
    ChangedError,
    File,
    LocalFile,
    located,
    reason,
    spelled,
    unreadable,
)

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
    mappings: tuple[ColumnMapping, ...]
    dimension: int
    embed: bool
    metric: str = ""

    @property
    def once(self) -> bool:
        """Whether a source can be read only once, so that no other run can go on."""
        return any(source.once for source in self.sources)

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

    def distinct(self) -> list[tuple[Source, ColumnMapping]]:
        """The mappings that differ, each with the first source that has it."""
        found = {str(m): (s, m) for s, m in reversed([*zip(self.sources, self.mappings, strict=True)])}
        return [*reversed(found.values())]

    def clear_texts(self) -> list[ClearText]:
        """Long or nearly unique texts that go unsealed, in the first rows of sources without contents.

        Raises:
            SourceError: A source can't be read.
        """
        found: dict[str, ClearText] = {}
        for source, mapping in self.distinct():
            head = source.head() if mapping.contents is None else None
            if head is None:
                continue
            batch = Mapper(mapping, self.dimension, allow_zero_vectors=True).map(head)
            named = mapping.metadata_fields or ()
            found |= {
                text.name: text for text in clear_texts(batch.metadata, named) if text.name not in found
            }
        return [*found.values()]

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
        appendable = {source.files[0].location for source in self.sources if source.appendable}
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
    sources: Sequence[Source], fingerprints: Mapping[str, str], tell: Callable[[str], None]
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
                raise unreadable(file, ChangedError("it is not the file that the load began with"))
            tell(f"{file.name} was appended to while it was loaded: run again for what came last")


def _grew(source: Source, file: File, fingerprints: Mapping[str, str]) -> bool:
    """Whether lines were appended to a file, and nothing else happened to it."""
    return source.appendable and isinstance(file, LocalFile) and file.grew_from(fingerprints[file.location])


def check_whole(sources: Sequence[Source]) -> None:
    """See whether sources at rest end where a row ends; all other rows of them are loaded.

    Raises:
        SourceUnfinished: One ends in half a line.
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
                f"{source.name} ends in half a line, at byte {source.unfinished_at:,}, which is not loaded",
                hint="run again when it is written to its end; with a newline behind it, it counts as a row",
            )


def note_stop(journal: Journal, sources: Sequence[Source], fingerprints: Mapping[str, str]) -> None:
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
                elif end and stored is file and source.appendable:
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
        MappingError: The columns can't be told, or sources differ in dimension or in what is contents.
        SourceError: A source can't be read.
    """
    kept: list[Source] = []
    mappings: list[ColumnMapping] = []
    dimensions: dict[int, str] = {}
    metric = ""
    first_ids = _FirstIds()
    for source in sources:
        head = source.head()
        if head is None:
            continue
        if len(head.broken) == len(head.span):
            fault = head.broken[0].message
            if source.format == "memory":
                raise SourceError(
                    f"{source.name} holds no dict in its first rows: row 0 {fault}",
                    hint="pass a dict for each row",
                )
            raise SourceError(
                f"{source.name} holds no JSON object in its first rows: row 0 {fault}",
                # A cause that is known says itself what to do.
                hint="" if ";" in fault else "JSON Lines has one object a line",
            )
        export = source.export
        try:
            mapping = _mapping(source, head, choice, embed=embed, rules=rules, dimension=dimension)
        except MappingError as error:
            raise _of_rows_inside(source, head) or error from None
        if mapping.vector is not None:
            found = common_dimension(head, mapping, source.name, dimension)
            dimensions.setdefault(found, source.name)
            if export is not None and export.dimension not in (None, found):
                raise SourceError(
                    f"{source.name} has vectors of {found} values, its export says {export.dimension}",
                    hint="pick another column with --vector-column, or export it again",
                )
        first_ids.add(source.name, mapping, head)
        metric = metric or (export.metric if export else "")
        kept.append(source)
        mappings.append(mapping)
    if len(dimensions) > 1:
        (one, first), (other, second) = list(dimensions.items())[:2]
        raise MappingError(
            f"the vectors of {first} have {one} dimensions, those of {second} {other}",
            hint="load them into different indexes",
        )
    _check_agreement(kept, mappings)
    return Plan(tuple(kept), tuple(mappings), next(iter(dimensions), 0), embed, metric)


def _mapping(
    source: Source,
    head: Rows,
    choice: ColumnChoice,
    *,
    embed: bool,
    rules: Rules,
    dimension: int | None,
) -> ColumnMapping:
    """Which column is which: as the user said, else as the export tells, else as it is guessed."""
    head, columns = head.under(rules), source.columns()
    if rules.binary_as_text:
        columns = [as_text(column, head, choice) for column in columns]
    columns = with_first_rows(columns, head)
    later = _has_later(source, head)
    more = head.own_columns and later
    export = source.export or ExportFacts()
    if not export.shape:
        if choice.shape in EXPORTS_THAT_TELL:
            raise MappingError(
                f"{source.name} has not the shape of {choice.shape}",
                hint="leave --shape away to have it seen",
            )
        mapping = guess_mapping(columns, choice, source=source.name, embed=embed, rules=rules, more=more)
    else:
        if export.vectors and choice.vector is None and not embed:
            raise MappingError(
                f"{source.name} has several vector columns: {listed(export.vectors)}",
                hint="pick one with --vector-column",
            )
        known = replace(
            choice,
            id=choice.id or export.id,
            vector=choice.vector or (None if embed else export.vector),
            shape=None,
        )
        mapping = guess_mapping(columns, known, source=source.name, embed=embed, rules=rules, more=more)
        why = mapping.reasons
        if export.id and not choice.id:
            why = replace(why, id="the export tells")
        if export.vector and not choice.vector and not embed:
            why = replace(why, vector="the export tells")
        mapping = replace(mapping, shape=export.shape, reasons=why)
    return with_vector_dtype(mapping, columns, source.name, dimension)


def _of_rows_inside(source: Source, head: Rows) -> MappingError | None:
    """What to say of an only row that is a service's answer, with rows inside; None if it is none."""
    if not head.own_columns or head.broken or len(head.span) > 1 or has_more(source, head):
        return None
    hint = hint_of_rows(loads(head.raw(0).rstrip("\0")), source.name, sure=True)
    return (
        MappingError(f"{source.name} has no rows but an object with rows inside", hint=hint) if hint else None
    )


def has_more(source: Source, head: Rows) -> bool:
    """Whether rows after the first may have columns that these don't."""
    return head.own_columns and _has_later(source, head)


def _has_later(source: Source, head: Rows) -> bool:
    """Whether there are rows after the first."""
    if source.total_rows is not None:
        return source.total_rows > len(head.span)
    if source.once:
        return len(head.span) >= HEAD_ROWS  # what comes after is not waited for
    return next(source.read(batch_rows=1, batch_bytes=1, done=[head.span]), None) is not None


class _FirstIds:
    """The ids in the first rows of all sources, where only their values speak for them."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def add(self, source: str, mapping: ColumnMapping, head: Rows) -> None:
        """Look at one source's.

        Raises:
            MappingError: One stands in an earlier source.
        """
        if not mapping.unsure_id:
            return
        ids = [*dict.fromkeys(item_id for item_id in Mapper(mapping, 0).ids(head) if item_id)]
        again = next((item_id for item_id in ids if item_id in self._seen), None)
        if again is not None:
            raise MappingError(
                f"{mapping.id!r} is not surely the id: {again!r} is in the first rows of "
                f"{self._seen[again]} and of {source}",
                hint="name the id with --id-column, several columns together with --id-column A "
                "--id-column B, or have ids made with --generate-ids",
            )
        self._seen |= dict.fromkeys(ids, source)


def _check_agreement(sources: Sequence[Source], mappings: Sequence[ColumnMapping]) -> None:
    """Refuse sources with two embeddings, or of which one seals what another sends as clear metadata.

    Raises:
        MappingError: They differ so.
    """
    vectors = {m.vector: source.name for source, m in zip(sources, mappings, strict=True) if m.vector}
    for one, other in itertools.combinations(vectors, 2):
        if len({frozenset(qualifiers_of(path)) for path in (one, other)} - {frozenset()}) > 1:
            raise MappingError(
                f"the vectors are in {one!r} of {vectors[one]} and in {other!r} of {vectors[other]}, "
                "which may be two embeddings",
                hint="load them into different indexes, or one by one with --vector-column",
            )
    sealed = {
        path: source.name for source, m in zip(sources, mappings, strict=True) for path in m.all_contents
    }
    for source, mapping in zip(sources, mappings, strict=True):
        for path, other in sealed.items():
            if path in mapping.columns and path not in mapping.all_contents and mapping.leftover([path]):
                if mapping.metadata_fields is not None:
                    continue  # it was named as metadata
                raise MappingError(
                    f"{path!r} is the contents in {other}, and would be clear metadata in {source.name}",
                    hint=f"name the contents of all sources with --contents-column {path}, "
                    "or load them one by one",
                )
