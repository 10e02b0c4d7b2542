"""The report as lines of text: at most one screen for each source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vecload.inspecting.report import Report, SourceReport
from vecload.inspecting.survey import Field, RejectKind, Survey, shortened
from vecload.mapping import ColumnMapping
from vecload.places import short

HINTS_MOST = 4
NAMES_MOST = 12
"""Columns, fields and kinds of rejects of a source that are listed; others are only counted."""
CELL_CHARACTERS = 40
_LABEL = 10
_MARKS = {"ok": "ok", "wrong": "WRONG", "unsure": "?"}


def report_lines(report: Report) -> Iterator[str]:
    """The lines of a report."""
    for source in report.sources:
        yield from _source(source, report)
        yield ""
    if len(report.sources) > 1:
        yield _labelled("total", f"{_about(report)}{report.rows:,} rows in {len(report.sources)} sources")
    yield from _ids(report)
    for text in report.clear_text[:HINTS_MOST]:
        fix = f"if it is private, seal it with --contents-column {text.name}"
        yield _labelled("hint", f"{text} is stored as unsealed metadata; {fix}")
    for name in report.unfilterable[:HINTS_MOST]:
        fix = f"if you never filter on it, --unfilterable {name} loads faster"
        yield _labelled("hint", f"{name}: nearly every value is unique; {fix}")
    if report.index:
        where = f" in {short(report.target)}" if report.target else ""
        yield _labelled("index", f"{report.index}{where}")
    for check in report.checks:
        hint = f"; {check.hint}" if check.hint else ""
        yield f"  {_MARKS[check.state]:<{_LABEL - 2}}{check.name}: {check.told}{hint}"
    if report.estimate is not None:
        took = report.estimate
        here = f"reading, mapping and sealing {seconds(took.reading)} at the pace measured here"
        there = f"the target {seconds(took.target)}, estimated from a reference machine"
        yield _labelled("time", f"about {seconds(took.seconds)}: {here}, {there}")
    if report.exit_code:
        yield _labelled("ends", f"a load would end with exit code {report.exit_code}{_why(report)}")


def _why(report: Report) -> str:
    return f": {report.error}" if report.error else ": some rows rejected, as --max-errors allows"


def seconds(value: float) -> str:
    """A time in words."""
    if value < 120:
        return f"{value:.0f} s" if value >= 10 else f"{max(value, 0.1):.1f} s"
    return f"{value / 60:,.0f} min" if value < 7200 else f"{value / 3600:,.1f} h"


def _source(report: SourceReport, of: Report) -> Iterator[str]:
    survey, source = report.survey, report.survey.source
    a_row = f", {source.nbytes / survey.rows:,.0f} a row" if source.nbytes and survey.rows else ""
    yield _labelled("source", source.name)
    yield _labelled("format", f"{source.kind}; {source.nbytes:,} bytes{a_row}")
    yield _labelled("rows", _rows(survey))
    yield from _table("columns", _columns(report))
    if report.dimension:
        yield _labelled("vectors", f"{report.dimension:,} dimensions")
    yield from _table("metadata", _fields(survey))
    for item in survey.items:
        yield _labelled(f"row {item['row']:,}", f"id        {item['id']}")
        for part in ("vector", "metadata", "contents"):
            if part in item:
                yield _labelled("", f"{part:<8}  {item[part]}")
    yield from _rejects(survey)
    yield _labelled("item", _sizes(survey, seal=of.seal))
    if report.sending is not None:
        yield _labelled("batches", _batches(report))
    if survey.error is not None:
        yield _labelled("DAMAGED", str(survey.error))


def _labelled(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}".rstrip()


def _about(report: Report) -> str:
    return "" if all(source.survey.rows_known for source in report.sources) else "about "


def _rows(survey: Survey) -> str:
    if survey.whole:
        return f"{survey.rows:,}, all read"
    count = f"{survey.rows:,}" if survey.rows_known else f"about {survey.rows:,}"
    if survey.rows == survey.looked_at:
        count = f"{survey.rows:,} or more"
    first, further = survey.spans[0], survey.spans[1:]
    sample = f"read the first {first.stop - first.start:,}"
    if further:
        sample += f" and {sum(map(len, further)):,} at {len(further)} later places"
    return f"{count}; {sample} (--full reads all)"


def _columns(report: SourceReport) -> list[tuple[str, ...]]:
    """Name, type and use of each column; plain metadata comes last."""
    columns = report.survey.source.columns()
    rows = [(column.name, column.type_name, _becomes(column.name, report.mapping)) for column in columns]
    return sorted(rows, key=lambda row: row[-1] == "metadata" or row[-1].startswith("left out"))


def _becomes(name: str, mapping: ColumnMapping) -> str:
    outer = {path: steps[0] for path, steps in mapping.nested}
    reasons = mapping.reasons
    parts = [
        f"{part} ({', '.join(notes)})" if (notes := [*inside, *([why] if why else [])]) else part
        for part, paths, why in (
            ("id", mapping.ids, reasons.id),
            ("vector", (mapping.vector,), reasons.vector),
            ("contents", mapping.all_contents, reasons.contents),
            ("metadata", (mapping.metadata_object,), reasons.metadata),
        )
        for path in paths
        if path is not None and outer.get(path, path) == name
        for inside in [[path] if path in outer else []]
    ]
    if parts:
        return ", ".join(parts)
    if mapping.leftover([name]):
        return "metadata"
    what = dict(mapping.unused).get(name)
    return f"left out ({what})" if what else "left out"


def _fields(survey: Survey) -> list[tuple[str, ...]]:
    return [(one.name, "/".join(sorted(one.kinds)) or "null", _values(one, survey)) for one in survey.fields]


def _values(one: Field, survey: Survey) -> str:
    missing = survey.fields.items - one.present
    values = f"{one.distinct:,} different value{'s' * (one.distinct != 1)}"
    return values + (f", {missing:,} rows without" if missing else "")


def _table(label: str, rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Aligned rows with a label before the first. Rows beyond NAMES_MOST are only counted."""
    shown = [(*(shortened(cell, CELL_CHARACTERS) for cell in row[:-1]), row[-1]) for row in rows[:NAMES_MOST]]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        yield _labelled(label, "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)))
        label = ""
    if len(rows) > NAMES_MOST:
        yield _labelled("", f"and {len(rows) - NAMES_MOST:,} more (--json shows all)")


def _rejects(survey: Survey) -> Iterator[str]:
    if not survey.rejects:
        yield _labelled("rejects", "none" if survey.whole else "none among these rows")
        return
    part = f"{survey.rejected / survey.looked_at:.2%}"
    yield _labelled("REJECTS", f"{survey.rejected:,} of {survey.looked_at:,} rows read ({part})")
    kinds = sorted(survey.rejects.values(), key=lambda kind: -kind.rows)
    yield from _table("", [_reject(kind, survey) for kind in kinds])


def _reject(kind: RejectKind, survey: Survey) -> tuple[str, ...]:
    reject = kind.first
    where = f"row {reject.row:,}"
    if not survey.rows_known and reject.row >= len(survey.spans[0]):
        where = f"byte {reject.offset:,}"
    named = f" (id {shortened(reject.id)!r})" if reject.id else ""
    return f"{reject.field} {reject.code}", f"{kind.rows:,}", f"first at {where}{named}: {reject.message}"


def _sizes(survey: Survey, *, seal: bool) -> str:
    items = survey.item_count or 1
    sizes = [f"vector {survey.vector_bytes / items:,.0f}", f"metadata {survey.metadata_bytes / items:,.0f}"]
    if survey.no_contents < survey.item_count:
        same = survey.sealed_bytes == survey.contents_bytes  # the index makes all vectors from them
        sealed = f" (sealed {survey.sealed_bytes / items:,.0f})" if seal and not same else ""
        sizes.append(f"contents {survey.contents_bytes / items:,.0f}{sealed}")
        if survey.no_contents:
            sizes.append(f"{survey.no_contents:,} without contents")
    return f"average bytes: {', '.join(sizes)}"


def _batches(report: SourceReport) -> str:
    sending = report.sending
    assert sending is not None  # noqa: S101 for the type checker
    about = "" if report.survey.whole else "about "
    way = "into the engine" if sending.wire == "none" else f"{sending.wire} bodies"
    rows = round(report.batch_rows)
    of_rows = "1 row" if rows == 1 else f"{rows:,} rows"
    return f"{about}{report.batches:,} of {of_rows}, {way}; the first has {sending.nbytes:,} bytes"


def _ids(report: Report) -> Iterator[str]:
    ids = report.ids
    scope = "" if report.whole else " among the rows read"
    if ids.first is None:
        if report.sources:
            yield _labelled(
                "ids", f"no repeated ids{scope}" if ids.exact else "no repeated ids found (not all compared)"
            )
        return
    at_least = "" if ids.exact else "at least "
    where = f"{ids.first.source}, " if len(report.sources) > 1 else ""
    became = (
        "the last row of an id wins"
        if ids.policy == "last"
        else "they are rejected; --repeated-ids last keeps the last row of each id"
    )
    yield _labelled(
        "ids",
        f"{at_least}{ids.repeated:,} rows repeat an id{scope}: {became}; "
        f"first at {where}row {ids.first.row:,} (id {shortened(ids.first.id)!r})",
    )
