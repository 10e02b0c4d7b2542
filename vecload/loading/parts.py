"""The parts of a load, as its request describes them: sources, plan, settings of a new index."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from vecload.errors import SourceError
from vecload.loading.checks import known_metric
from vecload.loading.plan import Plan, make_plan
from vecload.loading.request import Request
from vecload.readers import ReadOptions, Source, open_sources
from vecload.readers.memory import open_memory_source
from vecload.readers.open import open_source
from vecload.readers.splits import Split, in_parts, part_of, splits_of
from vecload.readers.storage.expand import FileFinder
from vecload.targets import IndexSettings


def sources_of(
    request: Request,
    names: Sequence[str],
    *,
    interrupted: Callable[[], int] = lambda: 0,
    failed: Callable[[SourceError], None] | None = None,
) -> list[Source]:
    """The sources of a load, opened.

    Args:
        request: The load.
        names: Its sources by name; empty if it loads an object in memory.
        interrupted: The number of the signal that stops the load.
        failed: Takes the error of each file that can't be opened; without it, the error is raised.

    Raises:
        SourceError: A source can't be opened.
    """
    if names:
        reading = replace(request.reading, interrupted=interrupted)
        if request.splits:
            return open_splits(request.splits, reading)
        sources = open_sources(names, reading, failed=failed)
        if request.options.split is None:
            return sources
        number, _ = part_of(request.options.split)
        return in_parts_of(request, sources, [number])
    reading = replace(request.reading, interrupted=interrupted)
    return [
        one if isinstance(one, Source) else open_memory_source(one, options=reading)
        for one in request.sources
    ]


def open_splits(splits: Sequence[Split], options: ReadOptions) -> list[Source]:
    """The files of some splits, opened once each, of which only the rows of these splits are loaded.

    Raises:
        SourceError: A file can't be opened, or does not have the row groups of its split.
    """
    finder = FileFinder(options.endpoint_url)
    sources: dict[str, Source] = {}
    for split in splits:
        files = finder.find(split.uri)
        if len(files) != 1:
            raise SourceError(f"{split.uri} is several files", hint="a split is of one")
        source = split.of(open_source(files[0], options, finder, export=split.export))
        first = sources.setdefault(split.uri, source)
        if first is not source:
            both = (*(first.only or ()), *(source.only or ()))
            first.only = tuple(sorted(both, key=lambda span: span.start))
            source.close()
    return [*sources.values()]


def in_parts_of(request: Request, sources: Sequence[Source], numbers: Collection[int]) -> list[Source]:
    """The sources of some parts of a load; of those that are partly in them, the rows that are.

    Args:
        request: The load, with its option `split`.
        sources: All sources of the load.
        numbers: The parts.

    Raises:
        UsageError: The option is not `i/n`.
        SourceError: A source is no Parquet file.
    """
    _, parts = part_of(request.options.split or "0/1")
    every = in_parts(splits_of(sources, request.options.rows_per_split), parts)
    of_files = {source.files[0].location: source for source in sources}
    found: dict[str, Source] = {}
    for one in (split for number in sorted(numbers) for split in every[number]):
        source = found.setdefault(one.uri, of_files[one.uri])
        source.only = (*(source.only or ()), one.span(source))
    return [*found.values()]


def other_parts(
    request: Request, *, before: bool, interrupted: Callable[[], int] = lambda: 0
) -> list[Source]:
    """The sources of other parts than that of a load with the option `split`, with the rows that are theirs.

    Args:
        request: The load.
        before: Only of the parts before it.
        interrupted: The number of the signal that stops the load.

    Raises:
        SourceError: A source can't be read.
    """
    number, parts = part_of(request.options.split or "0/1")
    numbers = [*range(number), *([] if before else range(number + 1, parts))]
    sources = open_sources(request.names, replace(request.reading, interrupted=interrupted))
    return in_parts_of(request, sources, numbers)


def plan_of(request: Request, sources: Sequence[Source]) -> Plan:
    """The plan for the sources of a load."""
    options = request.options
    return make_plan(
        sources, request.columns, embed=options.embed, rules=request.rules, dimension=options.dimension
    )


def creation_of(request: Request, plan: Plan) -> IndexSettings | None:
    """The settings for a missing index; None if it must not be created."""
    options, asked = request.options, request.creation
    if not options.create:
        return None
    if not options.embed:
        metric = options.metric or known_metric(plan.metric)
        return replace(asked, dimension=plan.dimension, metric=metric, embedding_model=None)
    if options.embedding_model is None:
        return None  # without a model it can't embed
    # The engine refuses vectors of another dimension than the model's, before it makes anything.
    return replace(asked, dimension=plan.dimension or asked.dimension)
