"""The plan of a load: which columns of each source become what, and of which dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vecload.errors import IndexMismatch, MappingError, SourceError
from vecload.loading.journal import Identity
from vecload.loading.loader import Job
from vecload.mapping import ColumnChoice, Mapper, Mapping, Rules, guess_mapping
from vecload.mapping.mapper import common_dimension
from vecload.readers import Source
from vecload.readers.storage import STDIN, File, LocalFile, located, unreadable


@dataclass(frozen=True, slots=True)
class Plan:
    """What was found out before anything is made or sent.

    Attributes:
        sources: With rows, in order.
        mappings: Of each source.
        dimension: Of the vectors; 0 where there are none.
        embed: The index makes the vectors.
    """

    sources: tuple[Source, ...]
    mappings: tuple[Mapping, ...]
    dimension: int
    embed: bool

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
) -> Plan:
    """Look at the first rows of every source, and decide.

    Args:
        sources: In the order of the load.
        choice: Which columns the user named.
        embed: The index makes the vectors.
        rules: What else is asked of items.

    Raises:
        MappingError: The columns can't be told, or sources differ in dimension.
        SourceError: A source can't be read.
    """
    kept: list[Source] = []
    mappings: list[Mapping] = []
    dimensions: dict[int, str] = {}
    for source in sources:
        head = source.head()
        if head is None:
            continue
        if len(head.broken) == len(head.span):
            raise SourceError(
                f"{source.name} holds no JSON object in its first rows: row 0 {head.broken[0].message}",
                hint="JSON Lines has one object a line",
            )
        mapping = guess_mapping(source.columns(), choice, source=source.name, embed=embed, rules=rules)
        if mapping.vector is not None:
            dimensions.setdefault(common_dimension(head, mapping, source.name), source.name)
        kept.append(source)
        mappings.append(mapping)
    if len(dimensions) > 1:
        (one, first), (other, second) = list(dimensions.items())[:2]
        raise MappingError(
            f"the vectors of {first} have {one} dimensions, those of {second} {other}",
            hint="load them into different indexes",
        )
    return Plan(tuple(kept), tuple(mappings), next(iter(dimensions), 0), embed)
