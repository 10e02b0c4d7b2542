"""The page of a load: what it came to, how fast it was over its time, and what went wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import orjson

from vecload.places import short
from vecload.reporting.page import Markup, details, facts, page, paragraph, pictures, section, table
from vecload.reporting.recorder import Recorder

if TYPE_CHECKING:
    from vecload.loading.result import LoadResult

ENDS = {
    "complete": "complete",
    "rejected": "complete, except for rejects that --max-errors allows",
    "failed": "stopped",
    "interrupted": "interrupted",
}


def load_page(result: LoadResult, recorder: Recorder, options: Iterable[tuple[str, str, str]]) -> str:
    """The page of a load that ended, in whatever way.

    Args:
        result: What it came to.
        recorder: What happened during the load.
        options: Option, value and origin of each value that is not a default, secrets masked.
    """
    state = f"{ENDS[result.status]}; exit code {result.exit_code}"
    return page(
        f"Load into index {result.index}" if result.index else "A load that did not begin",
        state,
        [
            _outcome(result, recorder),
            _over_time(recorder),
            _time(result),
            _interruptions(result, recorder),
            _rejects(result, recorder),
            _sources(result, recorder),
            _mapping(result),
            section("Options", table(("option", "value", "from"), options)),
            details(
                "The summary as JSON", orjson.dumps(result.as_dict(), option=orjson.OPT_INDENT_2).decode()
            ),
        ],
        good=result.status in ("complete", "rejected") and result.exit_code in (0, 3),
    )


def _outcome(result: LoadResult, recorder: Recorder) -> Markup:
    megabytes = result.bytes / 1e6 / result.seconds if result.seconds else 0.0
    began = "" if recorder.began is None else time.strftime("%F %T %Z", time.localtime(recorder.began))
    quick, slow = recorder.all_requests(0.5, 0.99)
    return section(
        "Outcome",
        paragraph(result.error),
        paragraph("Run the same command again to resume." if result.resumable else ""),
        facts(
            [
                ("rows read", f"{result.read:,}"),
                ("loaded", f"{result.loaded:,}"),
                ("rejected", f"{result.rejected:,}"),
                ("loaded before, or unchanged", f"{result.skipped:,}" if result.skipped else ""),
                ("deleted", f"{result.deleted:,}" if result.deleted else ""),
                ("rows that repeat an id", f"{result.repeated:,}" if result.repeated else ""),
                ("seconds", f"{result.seconds:,.2f}"),
                ("items per second", f"{result.items_per_second:,.0f}"),
                ("megabytes per second", f"{megabytes:,.1f}"),
                ("request, median", _seconds(quick)),
                ("request, 99 of 100 within", _seconds(slow)),
                ("splits", f"{result.splits:,}" if result.splits else ""),
                ("index", f"{result.index} ({result.about})" if result.about else result.index),
                ("target", short(result.target)),
                ("key id", result.key_id),
                ("began", began),
            ]
        ),
    )


def _seconds(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value * 1e3:,.0f} ms" if value < 1 else f"{value:,.1f} s"


def _over_time(recorder: Recorder) -> Markup:
    timeline = recorder.timeline
    rows = np.array([one.rows for one in timeline.intervals]) / timeline.seconds
    if not rows.any():
        return Markup("")
    half, most, slowest = recorder.request_seconds(0.5, 0.95, 1.0)
    caption = f"Rows a second, in intervals of {timeline.seconds:g} s: {rows.max():,.0f} at most"
    figures = [(caption, _drawn("Rows a second", recorder, {"rows a second": rows}, "rows a second"))]
    if not np.isnan(half).all():
        figures.append(
            (
                "Seconds from sending a request to its answer: the median, 95 of 100, and the slowest",
                _drawn(
                    "Request seconds",
                    recorder,
                    {"median": half, "95 of 100": most, "slowest": slowest},
                    "seconds",
                ),
            )
        )
    down = [f"{_at(begin)} to {'the end' if end is None else _at(end)}" for begin, end in recorder.down]
    told = f"The target was down from {', '.join(down[:10])}." if down else ""
    return section("Over time", pictures(*figures), paragraph(told))


def _drawn(shows: str, recorder: Recorder, lines: dict[str, np.ndarray], unit: str) -> Markup:
    from vecload.reporting.pictures import over_time

    return over_time(recorder.timeline.edges, lines, unit, shows)


def _at(seconds: float) -> str:
    return f"{seconds:,.1f} s"


_DOES = {
    "read": "waiting for rows of the sources",
    "map": "turning rows into items",
    "seal": "encrypting contents",
    "encode": "encoding requests",
    "network": "sending",
    "server": "waiting for the target",
    "record": "the journal and the reject file",
}


def _time(result: LoadResult) -> Markup:
    rows = [(stage, float(part), _DOES.get(stage, "")) for stage, part in result.time.items()]
    return section(
        "Where the time went", table(("stage", "part", "which is"), rows), paragraph(result.advice)
    )


def _interruptions(result: LoadResult, recorder: Recorder) -> Markup:
    failed = [(name, number) for name, number in recorder.outcomes.most_common() if name != "ok"]
    waits = sorted(recorder.waits.items(), key=lambda one: -one[1][1])
    if not (failed or waits or recorder.failures or result.retries):
        return Markup("")
    return section(
        "Retries and waits",
        paragraph(
            f"{recorder.outcomes['ok']:,} requests were answered as they should be, "
            f"{result.retries:,} were sent again."
        ),
        table(("outcome", "requests"), failed),
        table(("sent again because", "times"), recorder.failures.most_common(), most=20),
        table(
            ("waited because", "times", "seconds"),
            [(reason, int(times), round(seconds)) for reason, (times, seconds) in waits],
            most=20,
        ),
    )


def _rejects(result: LoadResult, recorder: Recorder) -> Markup:
    if not result.rejected:
        return Markup("")
    known = sorted(recorder.rejects.items(), key=lambda one: -one[1].rows)
    rows = [
        (name[0], name[1], one.rows, "; ".join(_example(*example) for example in one.examples))
        for name, one in known
    ]
    before = result.rejected - sum(one.rows for _, one in known)
    return section(
        "Rejects",
        table(("field", "reason", "rows", "examples"), rows),
        paragraph(f"{before:,} were rejected by earlier runs of this load." if before > 0 else ""),
        paragraph(
            f"All of them are in {short(result.rejects_file)}."
            if result.rejects_file and not result.rejects_missing
            else "A load with --rejects FILE writes all of them to a file."
        ),
    )


def _example(source: str, row: int, reason: str) -> str:
    return f"{source}, row {row}: {reason}"


def _sources(result: LoadResult, recorder: Recorder) -> Markup:
    rows = [(name, one.loaded, one.rejected, one.skipped) for name, one in recorder.sources.items()]
    return section(
        "Sources",
        paragraph("" if [row[0] for row in rows] == result.sources else ", ".join(result.sources[:20])),
        table(("source", "loaded", "rejected", "left out"), rows),
    )


def _mapping(result: LoadResult) -> Markup:
    if result.mapping is None:
        return Markup("")
    other = [(one["source"], one["line"]) for one in result.other_mappings]
    clear = [f"{one['name']} is stored as unsealed metadata." for one in result.clear_text]
    return section(
        "Columns",
        paragraph(result.mapping["line"]),
        table(("column", "becomes", "chosen because"), _columns(result)),
        table(("other sources from", "columns"), other),
        *map(paragraph, clear),
    )


def _columns(result: LoadResult) -> Iterator[tuple[str, str, str]]:
    mapping = result.mapping or {}
    reasons = mapping["reasons"]
    for name in mapping["id_columns"]:
        yield name, "id", reasons.get("id", "")
    if mapping["vector"]:
        yield mapping["vector"], "vector", reasons.get("vector", "")
    for name in mapping["contents_columns"]:
        yield name, "contents", reasons.get("contents", "")
    for name in mapping["metadata_names"]:
        yield name, "metadata", ""
    for one in mapping["left_out"]:
        yield one["name"], "nothing", one["what"]
