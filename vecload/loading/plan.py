"""The plan of a load: which columns of each source become what, and of which dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Prints
from dataclasses import dataclass, replace

from orjson import loads

from vecload.errors import IndexMismatch, MappingError, SourceError
from vecload.loading.journal import Identity
from vecload.loading.loader import Job
from vecload.mapping import Column, ColumnChoice, Mapper, Mapping, Rows, Rules, guess_mapping
from vecload.mapping.json_columns import columns_of
from vecload.mapping.mapper import common_dimension
from vecload.mapping.metadata_choice import METADATA_NAMES
from vecload.mapping.text_in_bytes import as_text
from vecload.readers import Source
from vecload.readers.jsonl import JsonlSource
from vecload.readers.rows_inside import hint_of_rows
from vecload.readers.source import HEAD_ROWS, Told, told_by
from vecload.readers.storage import STDIN, ChangedError, File, LocalFile, located, reason, unreadable

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
        return Identity(
            target=target,
            index=index,
            sources=tuple(map(located, names)),
            fingerprints={file.location: _fingerprint(file) for file in files},
            settings=(*mappings, *settings),
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
                grew = (
                    isinstance(source, JsonlSource)
                    and isinstance(file, LocalFile)
                    and file.grew_from(fingerprints[file.location])
                )
            except OSError as error:
                raise unreadable(file, ChangedError(reason(error))) from None
            if not grew:
                raise unreadable(file, ChangedError("it is not what it was when the load began"))
            tell(f"{file.name} was appended to while it was loaded: run again for what came last")


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
            fault = head.broken[0].message
            raise SourceError(
                f"{source.name} holds no JSON object in its first rows: row 0 {fault}",
                # A cause that is known says itself what to do.
                hint="" if ";" in fault else "JSON Lines has one object a line",
            )
        told = told_by(source)
        try:
            mapping = _mapping(source, head, told, choice, embed=embed, rules=rules)
        except MappingError as error:
            raise _of_rows_inside(source, head) or error from None
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
    head, columns = head.under(rules), source.columns()
    if rules.binary_as_text:
        columns = [as_text(column, head, choice) for column in columns]
    columns = [_with_fields(column, choice, head) for column in columns]
    if told is None:
        if choice.shape in EXPORTS_THAT_TELL:
            raise MappingError(
                f"{source.name} has not the shape of {choice.shape}",
                hint="leave --shape away to have it seen",
            )
        more = has_more(source, head)
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
