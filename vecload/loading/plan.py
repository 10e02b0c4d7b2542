"""The plan of a load: the column mapping of each source, and the dimension of the vectors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orjson import loads

from vecload.errors import IndexMismatch, MappingError, SourceError
from vecload.loading.flow import Job
from vecload.loading.identity import Identity, Part
from vecload.mapping import ColumnChoice, ColumnMapping, Mapper, Rows, Rules, guess_mapping
from vecload.mapping.columns import listed
from vecload.mapping.contents_choice import Cleartext, cleartexts
from vecload.mapping.exported import mapping_of_export
from vecload.mapping.first_rows import bytes_as_text, holds_text, with_first_rows
from vecload.mapping.guess import metadata_names
from vecload.mapping.mapper import common_dimension
from vecload.mapping.names import vector_qualifiers
from vecload.mapping.vector_choice import with_vector_dtype
from vecload.readers import Source
from vecload.readers.json.causes import hint_of_rows
from vecload.readers.prefetch import in_order
from vecload.readers.source import HEAD_ROWS, ExportFacts, around
from vecload.readers.storage.files import File, LocalFile, located, spelled, unreadable
from vecload.readers.storage.remote import FETCHES, RemoteFile
from vecload.safe_text import escaped

MAPPINGS_SAID = 3
"""Mappings of further sources that are printed, where sources differ."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the sources are, as found before anything is created or sent.

    Attributes:
        sources: The sources with rows, in order.
        mappings: The column mapping of each source.
        dimension: The vectors' dimension; 0 if there are none in the first rows.
        embed: The index makes the vectors of rows that have none.
        metric: The metric of the index that the sources were exported from; "" if unknown.
    """

    sources: tuple[Source, ...]
    mappings: tuple[ColumnMapping, ...]
    dimension: int
    embed: bool
    metric: str = ""

    @property
    def once(self) -> str:
        """The source that can be read only once, so that another run can't resume; "" if there is none."""
        return next((source.name for source in self.sources if source.once), "")

    @property
    def known_again(self) -> bool:
        """Whether another run can recognise the sources: they are files, which can be read again."""
        return not self.once and all(source.files for source in self.sources)

    def check_dimension(self, index_dimension: int) -> None:
        """Refuse an index of another dimension.

        Args:
            index_dimension: The index's dimension; 0 if no upsert has set it.

        Raises:
            IndexMismatch: The dimensions differ.
        """
        if self.dimension and index_dimension and index_dimension != self.dimension:
            raise IndexMismatch(
                f"the vectors of {self.sources[0].name} have {self.dimension} dimensions, but the index has "
                f"{index_dimension}",
                hint="load into another index with --index, or pick another column with --vector-column"
                + self._or_leave_out(),
            )

    def _or_leave_out(self) -> str:
        column = next((mapping.vector for mapping in self.mappings if mapping.vector), None)
        return f", or let the index make all vectors: --metadata-exclude {column}" if self.embed else ""

    def jobs(self, *, index_dimension: int, allow_zero_vectors: bool, keep_rows: bool = False) -> list[Job]:
        """The jobs of this plan for an index, one for each source.

        Args:
            index_dimension: The index's dimension; 0 if no upsert has set it.
            allow_zero_vectors: Accept vectors of zeros.
            keep_rows: Keep the rows in their rejects.

        Raises:
            IndexMismatch: The index has another dimension.
        """
        self.check_dimension(index_dimension)
        dimension = index_dimension or self.dimension
        return [
            Job(
                source,
                Mapper(mapping, dimension, allow_zero_vectors=allow_zero_vectors, keep_rows=keep_rows),
                () if source.only is None else tuple(around(source.only, source.name, source.total_rows)),
            )
            for source, mapping in zip(self.sources, self.mappings, strict=True)
        ]

    def distinct(self) -> list[tuple[Source, ColumnMapping]]:
        """The different mappings, each with the first source that has it."""
        found = {str(m): (s, m) for s, m in reversed([*zip(self.sources, self.mappings, strict=True)])}
        return [*reversed(found.values())]

    def cleartexts(self) -> list[Cleartext]:
        """Long or nearly unique metadata texts, which are not sealed, in sources without contents.

        Looks at the first rows only.

        Raises:
            SourceError: A source can't be read.
        """
        found: dict[str, Cleartext] = {}
        for source, mapping in self.distinct():
            head = source.head() if mapping.contents is None else None
            if head is None:
                continue
            batch = Mapper(mapping, self.dimension, allow_zero_vectors=True).map(head)
            named = mapping.metadata_fields or ()
            found |= {text.name: text for text in cleartexts(batch.metadata, named) if text.name not in found}
        return [*found.values()]

    def identity(
        self,
        target: str,
        index: str,
        settings: Sequence[str],
        *,
        named: Sequence[str] = (),
        rejects: str | None = None,
        digested: bool = True,
    ) -> Identity:
        """What identifies this load, for its journal.

        Args:
            target: The target's location.
            index: The index.
            settings: All other settings that change what is stored.
            named: The names that the user gave, including folders and patterns.
            rejects: The reject file, if only its rows are loaded.
            digested: Files have digests as fingerprints; without, nobody could tell them in another run.

        Raises:
            SourceError: A source can't be read.
        """
        files = [file for source in self.sources for file in source.files]
        parts = [
            f"rows {span.start} to {span.stop} of {located(span.source)}"
            for source in self.sources
            for span in source.only or ()
        ]
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
            sources=(*map(located, names), *parts),
            named=(*map(spelled, names), *parts),
            fingerprints={file.location: _fingerprint(file) if digested else "" for file in files},
            settings=(*mappings, *settings),
            parts=tuple(
                Part(located(source.name), tuple(file.location for file in source.files), mapping)
                for source, mapping in zip(self.sources, mappings, strict=True)
            ),
            owners={file.location: located(source.name) for source in self.sources for file in source.files},
            holds=holds,
        )


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
    """Choose the columns from the first rows of every source.

    Args:
        sources: In the order of the load.
        choice: The columns that the user named.
        embed: The index makes the vectors of rows that have none.
        rules: The other rules for items.
        dimension: The dimension for sources whose first rows have no vectors.

    Raises:
        MappingError: The columns are not clear, or sources differ in their dimension or their contents.
        SourceError: A source can't be read.
    """
    kept: list[Source] = []
    mappings: list[ColumnMapping] = []
    dimensions: dict[int, str] = {}
    metric = ""
    first_ids = _FirstIds()
    for source, head in _heads(sources):
        if head is None:
            continue
        if head.broken and len(head.broken) == len(head.span):
            fault = head.broken[0].message
            if source.format == "memory":
                raise SourceError(
                    f"{source.name} has no dict in its first rows: row 0 {fault}",
                    hint="pass a dict for each row",
                )
            if source.format == "csv":
                raise SourceError(
                    f"{source.name} has no row that can be read in its first rows: row 0 {fault}",
                    hint="check --csv-delimiter and --csv-columns",
                )
            raise SourceError(
                f"{source.name} has no JSON object in its first rows: row 0 {fault}",
                # A known cause comes with its own hint.
                hint="" if ";" in fault else "JSON Lines has one object a line",
            )
        export = source.export
        try:
            mapping = _mapping(source, head, choice, embed=embed, rules=rules, dimension=dimension)
        except MappingError as error:
            raise _of_rows_inside(source, head) or error from None
        if mapping.vector is not None:
            found = common_dimension(head, mapping, source.name, dimension)
            if found:
                dimensions.setdefault(found, source.name)
            if found and export is not None and export.dimension not in (None, found):
                raise SourceError(
                    f"{source.name} has vectors of {found} values, but its export says {export.dimension}",
                    hint="pick another column with --vector-column, or export it again",
                )
        first_ids.add(source.name, mapping, head)
        metric = metric or (export.metric if export else "")
        kept.append(source)
        mappings.append(mapping)
    if len(dimensions) > 1:
        (one, first), (other, second) = list(dimensions.items())[:2]
        raise MappingError(
            f"the vectors of {first} have {one} dimensions, those of {second} have {other}",
            hint="load them into different indexes",
        )
    if len(kept) > 1 and any(mapping.rules.generate_ids == "rows" for mapping in mappings):
        raise MappingError(
            f"{kept[0].name} and {kept[1].name} would get the same ids, since both have a row 0",
            hint="load each source by itself, with --id-prefix, or use --generate-ids digest",
        )
    _check_agreement(kept, mappings)
    return Plan(tuple(kept), tuple(mappings), next(iter(dimensions), 0), embed, metric)


def _heads(sources: Sequence[Source]) -> Iterator[tuple[Source, Rows | None]]:
    """The first rows of each source. Of those in object stores, several are fetched at once."""
    if len(sources) > 1 and all(isinstance(file, RemoteFile) for one in sources for file in one.files):
        yield from zip(sources, in_order(sources, Source.head, FETCHES), strict=True)
    else:
        for source in sources:
            yield source, source.head()


def _mapping(
    source: Source,
    head: Rows,
    choice: ColumnChoice,
    *,
    embed: bool,
    rules: Rules,
    dimension: int | None,
) -> ColumnMapping:
    """The column mapping: as the user chose, or else as the export says, or else as guessed."""
    settled = source.mapping or (None if source.export else mapping_of_export(source.columns()))
    if settled is not None and choice == ColumnChoice():
        names = metadata_names(settled, with_first_rows(source.columns(), head))
        vector = None if embed and not settled.embed else settled.vector
        return replace(settled, vector=vector, rules=rules, metadata_names=names)
    head, columns = head.with_rules(rules), source.columns()
    if rules.binary_as_text:
        columns = [bytes_as_text(column, head, choice) for column in columns]
    columns = with_first_rows(columns, head)
    later = _has_later(source, head)
    more = head.columns_vary and later
    export = source.export or ExportFacts()
    if not export.recipe:
        form = source.form(columns)
        if form is not None and form.vector_dtype is not None and rules.vector_dtype is None:
            rules = replace(rules, vector_dtype=form.vector_dtype)
        mapping = guess_mapping(
            columns,
            choice,
            source=source.name,
            embed=embed,
            rules=rules,
            more=more,
            form=form,
            form_named=source.recipes.named is not None,
        )
    else:
        # Vectors that the user leaves out are made by the index.
        left_out = frozenset(choice.excluded if embed else ())
        if {*export.vectors} - left_out and choice.vector is None:
            raise MappingError(
                f"{source.name} has several vector columns: {listed(export.vectors)}",
                hint="pick one with --vector-column",
            )
        known = replace(
            choice,
            id=choice.id or export.id,
            vector=choice.vector or (None if export.vector in left_out else export.vector),
        )
        mapping = guess_mapping(columns, known, source=source.name, embed=embed, rules=rules, more=more)
        why = mapping.reasons
        if export.id and not choice.id:
            why = replace(why, id="from the export")
        if export.vector and not choice.vector and mapping.vector == export.vector:
            why = replace(why, vector="from the export")
        mapping = replace(mapping, recipe=export.recipe, reasons=why)
    return with_vector_dtype(mapping, columns, source.name, dimension)


def _of_rows_inside(source: Source, head: Rows) -> MappingError | None:
    """The error for a single row that is an object with rows inside, like a service's answer; None if not."""
    if not head.columns_vary or head.broken or len(head.span) > 1 or has_more(source, head):
        return None
    if source.form(source.columns()) is not None:
        return None  # what a recipe knows is a row
    hint = hint_of_rows(loads(head.raw(0).rstrip("\0")), source.name, sure=True)
    return MappingError(f"{source.name} is one object with rows inside", hint=hint) if hint else None


def has_more(source: Source, head: Rows) -> bool:
    """Whether rows after the first ones may have other columns."""
    return head.columns_vary and _has_later(source, head)


def _has_later(source: Source, head: Rows) -> bool:
    """Whether there are rows after the first ones."""
    if source.total_rows is not None:
        return source.total_rows > len(head.span)
    if source.once:
        return len(head.span) >= HEAD_ROWS  # do not wait for later rows
    return next(source.read(batch_rows=1, batch_bytes=1, done=[head.span]), None) is not None


class _FirstIds:
    """The ids in the first rows of all sources whose id column was chosen by its values alone."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def add(self, source: str, mapping: ColumnMapping, head: Rows) -> None:
        """Add the ids of one source.

        Raises:
            MappingError: An earlier source has one of them.
        """
        if not mapping.unsure_id:
            return
        ids = [*dict.fromkeys(item_id for item_id in Mapper(mapping, 0).ids(head) if item_id)]
        repeated = next((item_id for item_id in ids if item_id in self._seen), None)
        if repeated is not None:
            raise MappingError(
                f"{mapping.id!r} may not be the id: {repeated!r} is in the first rows of "
                f"{self._seen[repeated]} and of {source}",
                hint="name the id with --id-column, combine columns with --id-column A --id-column B, or "
                "generate ids with --generate-ids",
            )
        self._seen |= dict.fromkeys(ids, source)


def _check_agreement(sources: Sequence[Source], mappings: Sequence[ColumnMapping]) -> None:
    """Refuse sources with different embeddings, or where one seals a column that another sends in clear.

    Raises:
        MappingError: The sources disagree.
    """
    vectors = {m.vector: source.name for source, m in zip(sources, mappings, strict=True) if m.vector}
    for one, other in itertools.combinations(vectors, 2):
        if len({frozenset(vector_qualifiers(path)) for path in (one, other)} - {frozenset()}) > 1:
            raise MappingError(
                f"the vectors are in {one!r} of {vectors[one]} and in {other!r} of {vectors[other]}, "
                "which may be different embeddings",
                hint="load them into different indexes, or one by one with --vector-column",
            )
    sealed = {
        path: source.name for source, m in zip(sources, mappings, strict=True) for path in m.all_contents
    }
    for source, mapping in zip(sources, mappings, strict=True):
        for path, other in sealed.items():
            if path in mapping.columns and path not in mapping.all_contents and mapping.leftover([path]):
                if mapping.metadata_fields is not None:
                    continue  # the user named it as metadata
                raise MappingError(
                    f"{path!r} is contents in {other}, but would be unsealed metadata in {source.name}",
                    hint=f"name the contents of all sources with --contents-column {path}, "
                    "or load them one by one",
                )


def binary_hints(plan: Plan) -> list[str]:
    """Hints about columns that are loaded as bytes but look like text: at most one line for each source."""
    said: list[str] = []
    for source, mapping in zip(plan.sources, plan.mappings, strict=True):
        names = [column.name for column in source.columns() if column.kind == "bytes"]
        used = {mapping.contents, *mapping.leftover(names)} - {mapping.vector}
        head = source.head() if used.intersection(names) and not mapping.rules.binary_as_text else None
        if head is None:
            continue
        found = [name for name in names if name in used and holds_text(head, name)]
        if found:
            verb = "is binary; if it is" if len(found) == 1 else "are binary; if they are"
            said.append(f"{source.name}: {listed(found)} {verb} text, load with --binary-as-text")
    return said


def say_mappings(
    plan: Plan, seal: bool, say: Callable[[str], None]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Say which columns are which parts of items.

    Returns:
        The mapping of the first source, and those of others that differ, each with the first such source.
    """
    (_, first), *more = plan.distinct()
    mapping = first.as_json(plan.dimension, seal=seal)
    others = [{"source": source.name, **one.as_json(plan.dimension, seal=seal)} for source, one in more]
    say(f"columns   {escaped(mapping['line'])}")
    for other in others[:MAPPINGS_SAID]:
        say(f"columns   {escaped(other['line'])} (in {escaped(other['source'])})")
    if len(others) > MAPPINGS_SAID:
        say(f"columns   {len(others) - MAPPINGS_SAID} more; --json shows all")
    return mapping, others
