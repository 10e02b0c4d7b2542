"""The parts of a load, as its request describes them: sources, plan, settings of a new index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from vecload.errors import SourceError
from vecload.loading.checks import known_metric
from vecload.loading.plan import Plan, make_plan
from vecload.loading.request import Request
from vecload.readers import Source, open_sources
from vecload.readers.memory import open_memory_source
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
        return open_sources(names, replace(request.reading, interrupted=interrupted), failed=failed)
    reading = replace(request.reading, interrupted=interrupted)
    return [
        one if isinstance(one, Source) else open_memory_source(one, options=reading)
        for one in request.sources
    ]


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
