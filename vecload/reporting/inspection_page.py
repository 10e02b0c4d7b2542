"""The page of an inspection: what the vectors, the metadata and the contents of sources look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vecload.inspecting.distributions import Distributions
from vecload.inspecting.survey import shortened
from vecload.inspecting.text import seconds
from vecload.places import short
from vecload.reporting.page import Markup, facts, page, paragraph, pictures, section, table

if TYPE_CHECKING:
    from vecload.inspecting.report import Report, SourceReport

GROUPS_MOST = 7
"""The most values of a field by which the scatter is coloured; the others are one more group."""
NAME_CHARACTERS = 24
"""Characters of such a value that are shown."""
EQUALS_SHOWN = 5
NUMBERS_SHOWN = 12
"""Dimensions that are listed; more are only counted."""


def inspection_page(report: Report, found: Distributions, colour: str | None) -> str:
    """The page of an inspection.

    It shows no contents, and values of metadata only of a field that the user names.

    Args:
        report: What was found.
        found: What the items look like.
        colour: The metadata field by whose values the scatter is coloured; None chooses one, and does not
            show its values.
    """
    whole = "all rows read" if report.whole else "a sample of the rows read; --full reads all"
    state = "a load would be complete"
    if report.exit_code:
        state = f"a load would end with exit code {report.exit_code}"
    names = [source.survey.source.name for source in report.sources]
    title = names[0] if len(names) == 1 else f"{len(names):,} sources"
    return page(
        f"Inspection of {title}",
        f"{state}; {whole}",
        [
            _outcome(report, found),
            _vectors(found),
            _items(report, found, colour),
            section(
                "Metadata",
                table(
                    ("field", "types", "different values", "of those compared", "items that have it"),
                    _fields(report),
                ),
            ),
            _rejects(report),
            section("Sources", table(("source", "format", "rows", "bytes"), map(_source, report.sources))),
            section("Columns", *map(_columns, report.sources[:10])),
            section(
                "Checks",
                table(
                    ("check", "state", "found", "what to do"),
                    [(one.name, one.state, one.told, one.hint) for one in report.checks],
                ),
            ),
        ],
        good=report.exit_code in (0, 3),
    )


def _outcome(report: Report, found: Distributions) -> Markup:
    about = "" if all(one.survey.rows_known for one in report.sources) else "about "
    dimension = next((one.dimension for one in report.sources if one.dimension), 0)
    repeated = f"{'' if report.ids.exact else 'at least '}{report.ids.repeated:,}"
    return section(
        "Outcome",
        paragraph(report.error),
        facts(
            [
                ("rows", f"{about}{report.rows:,}"),
                ("rows read", f"{sum(one.survey.looked_at for one in report.sources):,}"),
                ("rejected of these", f"{sum(one.survey.rejected for one in report.sources):,}"),
                ("rows that repeat an id", repeated),
                ("dimensions", f"{dimension:,}" if dimension else ""),
                ("vectors", "normalised" if found.normalised else ""),
                ("index", report.index),
                ("target", short(report.target)),
                ("a load takes about", seconds(report.estimate.seconds) if report.estimate else ""),
            ]
        ),
    )


def _vectors(found: Distributions) -> Markup:
    norms, dimensions = found.norms, found.dimensions
    if not norms.count:
        return Markup("")
    from vecload.reporting.pictures import bands, histogram

    same, most_equal = found.equals.found(EQUALS_SHOWN)
    of = f"{found.equals.count:,}" + ("" if found.equals.exact else " compared")
    dead = _numbers(found.dimensions.dead, "always 0")
    constant = _numbers(found.dimensions.constant, "the same in every vector")
    return section(
        "Vectors",
        paragraph(metric_advice(found)),
        pictures(
            (
                _spread("Lengths of the vectors", norms.least, norms.most, norms.values, ".4g"),
                histogram(norms.values, "length", "Lengths of the vectors"),
            ),
            (
                f"Values by dimension: {dimensions.least.min():.4g} to {dimensions.most.max():.4g}",
                bands(
                    dimensions.least,
                    dimensions.mean,
                    dimensions.deviation,
                    dimensions.most,
                    "Values by dimension",
                ),
            ),
        ),
        paragraph(dead or constant or "No dimension is dead or constant."),
        paragraph(constant if dead else ""),
        paragraph(
            f"{same:,} of {of} vectors equal an earlier one."
            if same
            else f"No two of {of} vectors are equal."
        ),
        table(
            ("items with one vector", "first", "second"),
            [
                (one.items, "{}, row {}".format(*one.first), "{}, row {}".format(*one.second))
                for one in most_equal
            ],
        ),
    )


def _spread(what: str, least: float, most: float, values: NDArray[np.float64], form: str) -> str:
    """The range of numbers in words."""
    return f"{what}: {least:{form}} to {most:{form}}, {np.median(values):{form}} in the middle"


def _numbers(numbers: Sequence[int], are: str) -> str:
    if not numbers:
        return ""
    more = f" and {len(numbers) - NUMBERS_SHOWN:,} more" if len(numbers) > NUMBERS_SHOWN else ""
    named = ", ".join(map(str, numbers[:NUMBERS_SHOWN]))
    if len(numbers) == 1:
        return f"Dimension {named} is {are}."
    return f"{len(numbers):,} dimensions are {are}: {named}{more}."


def metric_advice(found: Distributions) -> str:
    """What the lengths of the vectors say about the metric."""
    norms = found.norms
    if found.normalised:
        return (
            "The vectors are normalised: their length is 1. Metrics cosine and euclidean give the same order "
            "of results, so --metric cosine, which most models are made for, loses nothing."
        )
    spread = norms.most / norms.least if norms.least > 0 else np.inf
    if spread < 1.05:
        return (
            f"The vectors are not normalised, but their lengths hardly differ, from {norms.least:.4g} to "
            f"{norms.most:.4g}: metrics cosine and euclidean give nearly the same order of results."
        )
    return (
        f"The vectors are not normalised: their lengths go from {norms.least:.4g} to {norms.most:.4g}. "
        "With --metric euclidean the length counts, with cosine it does not: choose what the model's "
        "documentation names, and cosine if it compares directions."
    )


def _items(report: Report, found: Distributions, colour: str | None) -> Markup:
    without = sum(one.survey.no_contents for one in report.sources)
    told = f"{without:,} of the items read have no contents." if without else ""
    return section(
        "Items",
        pictures(*_scatter(report, found, colour), *_lengths(found)),
        paragraph("The items have no contents." if not found.lengths.count else told),
        *(
            paragraph(f"{one.name} looks like contents, and would be unsealed metadata.")
            for one in report.clear_text
        ),
    )


def _scatter(report: Report, found: Distributions, colour: str | None) -> Iterator[tuple[str, Markup]]:
    points, parts = found.plane()
    if len(points) < 2 or not any(parts):
        return
    from vecload.reporting.pictures import scatter

    named = colour is not None
    colour = colour or _usual_colour(report)
    groups: list[tuple[str, NDArray[np.bool_]]] = [("", np.ones(len(points), bool))]
    told = "No metadata field has few enough values to colour them."
    if colour:
        values = ["" if one is None else str(one) for one in found.values_of(colour)]
        groups = _groups(values, shown=named)
        told = f"Coloured by the values of {colour}."
        if not named:
            told += f" --color-by {colour} names the values in the picture."
        elif not any(values):
            told = f"No item has the metadata field {colour}."
    which = "drawn at random" if len(points) < found.norms.count else "read"
    first, second = (f"{part:.0%}" for part in parts)
    caption = (
        f"The {len(points):,} items {which}, where they differ most: their first two principal "
        f"components, with {first} and {second} of the variance. {told}"
    )
    shows = "Items by their first two principal components"
    yield caption, scatter(points, groups, "first and second component", shows)


def _usual_colour(report: Report) -> str | None:
    """The field with the fewest values, of those that most items have."""
    fields = [one for source in report.sources for one in source.survey.fields]
    items = max(sum(source.survey.fields.items for source in report.sources), 1)
    few = [
        one for one in fields if 1 < one.distinct <= GROUPS_MOST and 2 * one.present >= items and one.compared
    ]
    return min(few, key=lambda one: one.distinct).name if few else None


def _groups(values: Sequence[str], *, shown: bool) -> list[tuple[str, NDArray[np.bool_]]]:
    """The items by their value, the most frequent first."""
    every = np.array(values, dtype=object)
    frequent = [value for value, _ in Counter(values).most_common(GROUPS_MOST)]
    groups = [
        (
            (shortened(value, NAME_CHARACTERS) or "none") if shown else f"value {number}",
            np.array(every == value, dtype=bool),
        )
        for number, value in enumerate(frequent, 1)
    ]
    others = ~np.isin(every.astype(str), frequent)
    return [*groups, *([("others", others)] if others.any() else [])]


def _lengths(found: Distributions) -> Iterator[tuple[str, Markup]]:
    lengths = found.lengths
    if lengths.count:
        from vecload.reporting.pictures import histogram

        what = "Bytes of contents, before they are sealed"
        caption = _spread(what, lengths.least, lengths.most, lengths.values, ",.0f")
        yield caption, histogram(lengths.values, "bytes", "Bytes of contents")


_FIELD_HEADS = ("field", "types", "different values", "of those compared", "items that have it")


def _fields(report: Report) -> Iterator[tuple[str, str, str, float, int]]:
    for source in report.sources:
        for one in source.survey.fields:
            part = one.distinct / max(one.compared, 1)
            yield one.name, ", ".join(sorted(one.kinds)), f"{one.distinct:,}", part, one.present


def _rejects(report: Report) -> Markup:
    rows = [
        (
            kind.first.field,
            kind.first.code,
            kind.rows,
            f"{kind.first.source}, row {kind.first.row}: {kind.first.message}",
        )
        for source in report.sources
        for kind in source.survey.rejects.values()
    ]
    return section("Rejects", table(("field", "reason", "rows", "first"), rows)) if rows else Markup("")


def _source(one: SourceReport) -> tuple[str, str, int, int]:
    source = one.survey.source
    return source.name, source.kind, one.survey.rows, source.nbytes


def _columns(one: SourceReport) -> Markup:
    return paragraph(f"{one.survey.source.name}: {one.mapping.line(one.dimension, seal=one.seal)}")
