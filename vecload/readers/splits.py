"""Splits: the parts of Parquet files that a cluster, or several machines, load one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vecload.batch import Span
from vecload.errors import SourceError, UsageError
from vecload.readers.source import ExportFacts, Partition, Source
from vecload.readers.storage.files import STDIN


@dataclass(frozen=True, slots=True)
class Split:
    """Some row groups of one Parquet file, to be loaded by themselves. Picklable.

    Attributes:
        uri: The file: an absolute path, or a URI.
        row_groups: The numbers of its row groups, consecutive.
        rows: How many rows they hold; 0 if that was not counted.
        nbytes: About how many bytes of the file they are.
        partitions: The columns that the folders of the file add.
        export: What the export says that the file is part of.
        only: The rows of the file, `[start, stop)`, that are still to be loaded; None is all of the split.

    Raises:
        UsageError: The row groups are not consecutive numbers.
    """

    uri: str
    row_groups: tuple[int, ...]
    rows: int = 0
    nbytes: int = 0
    partitions: tuple[Partition, ...] = ()
    export: ExportFacts | None = None
    only: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        groups = tuple(self.row_groups)
        whole = all(type(group) is int for group in groups)
        if not groups or not whole or groups[0] < 0 or groups != (*range(groups[0], groups[-1] + 1),):
            raise UsageError(
                f"the row groups of a split of {self.uri} are not consecutive numbers",
                hint="vecload.plan_splits makes splits",
            )
        object.__setattr__(self, "row_groups", groups)

    @property
    def name(self) -> str:
        """The file and the row groups as text."""
        return f"{self.uri}#{self.row_groups[0]}-{self.row_groups[-1]}"

    def __str__(self) -> str:
        return f"{self.uri}, {self._groups}"

    @property
    def _groups(self) -> str:
        first, last = self.row_groups[0], self.row_groups[-1]
        return f"row group {first}" if first == last else f"row groups {first} to {last}"

    def of(self, source: Source) -> Source:
        """The source of its file, of which only its rows are loaded.

        Raises:
            SourceError: The file does not have these row groups.
        """
        whole = self.span(source)
        if self.partitions:
            from vecload.readers.added_columns import partitioned

            source = partitioned(source, self.partitions)
        source.only = (whole if self.only is None else Span(source.name, *self.only),)
        return source

    def span(self, source: Source) -> Span:
        """Its rows of its file.

        Args:
            source: The file, opened.

        Raises:
            SourceError: The file does not have these row groups, or they have other numbers of rows.
        """
        starts = row_group_starts(source)
        if self.row_groups[-1] + 1 >= len(starts):
            raise SourceError(
                f"{source.name} has {len(starts) - 1} row groups, so no row group {self.row_groups[-1]}",
                hint="the file is not the one that the splits were planned for",
            )
        whole = Span(source.name, starts[self.row_groups[0]], starts[self.row_groups[-1] + 1])
        if self.rows not in (0, len(whole)):
            raise SourceError(
                f"{self.uri} is not the file that the splits were planned for: {self._groups} should "
                f"have {self.rows:,} rows, not {len(whole):,}",
                hint="workers must see the files that the driver sees",
            )
        return whole


def row_group_starts(source: Source) -> list[int]:
    """The first row of each row group, and the number of rows.

    Raises:
        SourceError: It is no Parquet file.
    """
    starts = source.row_group_starts()
    if source.once or source.files[0].location == STDIN:
        raise SourceError("standard input can't be split", hint="write it to a file")
    if starts is not None:
        return starts
    if source.format == "parquet":
        raise SourceError(
            f"{source.name} can't be split: its rows are the elements of a list",
            hint="load it whole, or write a row for each element",
        )
    raise SourceError(
        f"{source.name} is {source.kind}, and only Parquet can be split",
        hint="write it to Parquet, or load it whole",
    )


def splits_of(sources: Sequence[Source], rows_per_split: int) -> list[Split]:
    """The splits of some sources, in order: the same of the same files. Reads nothing but their footers.

    Args:
        sources: In the order of the load.
        rows_per_split: Row groups are put together until they have so many rows. One that has more stays
            whole, and no split has rows of two files.

    Raises:
        SourceError: A source is no Parquet file.
    """
    found: list[Split] = []
    for source in sources:
        starts = row_group_starts(source)
        for groups in _grouped(starts, rows_per_split):
            rows = starts[groups[-1] + 1] - starts[groups[0]]
            found.append(
                Split(
                    source.files[0].location,
                    groups,
                    rows=rows,
                    nbytes=source.nbytes * rows // max(starts[-1], 1),
                    partitions=source.partitions,
                    export=source.export,
                )
            )
    return found


def _grouped(starts: Sequence[int], rows: int) -> Iterator[tuple[int, ...]]:
    first = 0
    for number in range(len(starts) - 1):
        if starts[number + 1] - starts[first] >= rows:
            yield tuple(range(first, number + 1))
            first = number + 1
    if first < len(starts) - 1 and starts[-1] > starts[first]:
        yield tuple(range(first, len(starts) - 1))


def part_of(text: str) -> tuple[int, int]:
    """Parse `i/n`, the part i of n, counted from 0.

    Raises:
        UsageError: It is not that.
    """
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if match is None or int(match[2]) == 0:
        raise UsageError(f"--split {text!r} is not i/n, like 0/8 for the first of 8 parts")
    number, parts = int(match[1]), int(match[2])
    if number >= parts:
        raise UsageError(f"--split {text!r}: the parts are counted from 0 to {parts - 1}")
    return number, parts


def in_parts(splits: Sequence[Split], parts: int) -> list[list[Split]]:
    """The splits in that many parts with about as many rows each; each part has splits that follow another.

    Args:
        splits: Of the whole plan, in order.
        parts: How many.
    """
    total = sum(split.rows for split in splits) or 1
    found: list[list[Split]] = [[] for _ in range(parts)]
    before = 0
    for split in splits:
        middle = before + split.rows / 2
        found[min(int(middle * parts / total), parts - 1)].append(split)
        before += split.rows
    return found
