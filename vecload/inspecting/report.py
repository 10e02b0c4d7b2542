"""Report: everything `vecload inspect` found, as one JSON object; docs/inspect.md.

Also the estimated time of a load: reading and mapping as measured here, the target from a reference machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from vecload.batch import Batch, Reject
from vecload.flags import as_parameters
from vecload.inspecting.survey import Field, Survey
from vecload.loading.flow import seal
from vecload.loading.repeated_ids import RepeatedIds
from vecload.mapping import ColumnMapping
from vecload.mapping.contents_choice import Cleartext
from vecload.options import WireFormat
from vecload.sealing import Sealer, generate_key
from vecload.targets.wire import choose_format, encode_binary, encode_json

SCHEMA_VERSION = 1
"""Grows when a key of the JSON object changes its meaning or is removed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One requirement of a load: whether it is met, what is wrong, and what to do.

    Attributes:
        name: What was checked, in one or two words.
        state: `ok`; `wrong`: a load would stop; `unsure`: it may stop.
        told: What was found.
        hint: What to do about it.
        exit_code: The exit code of a load, if this is wrong.
    """

    name: str
    state: Literal["ok", "wrong", "unsure"]
    told: str
    hint: str = ""
    exit_code: int = 0


@dataclass(slots=True)
class SourceReport:
    """One source: its survey, and what a load would do with it."""

    survey: Survey
    mapping: ColumnMapping
    dimension: int
    sending: Sending | None
    seal: bool = True

    @property
    def batch_rows(self) -> float:
        """Average rows of a batch."""
        counted = self.survey.batch_rows
        return sum(counted) / len(counted) if counted else 0.0

    @property
    def batches(self) -> int:
        """How many batches a load would send; approximate if not all rows were counted."""
        if self.survey.whole:
            return len(self.survey.batch_rows)
        return math.ceil(self.survey.rows / self.batch_rows) if self.batch_rows else 0

    def as_json(self) -> dict[str, Any]:
        """An element of `sources`."""
        survey, source = self.survey, self.survey.source
        items = survey.item_count or 1
        return {
            "name": source.name,
            "kind": source.kind,
            "bytes": source.nbytes,
            "rows": survey.rows,
            "rows_known": survey.rows_known,
            "looked_at": survey.looked_at,
            "whole": survey.whole,
            "places": [[span.start, span.stop] for span in survey.spans],
            "columns": [{"name": column.name, "type": column.type_name} for column in source.columns()],
            "mapping": self.mapping.as_json(self.dimension, seal=self.seal),
            "dimension": self.dimension,
            "items": survey.items,
            "rejected": survey.rejected,
            "rejects": [_reject_json(kind.first, kind.rows) for kind in survey.rejects.values()],
            "fields": [_field_json(one, survey.fields.items) for one in survey.fields],
            "no_contents": survey.no_contents,
            "no_metadata": survey.no_metadata,
            "item_bytes": {
                "vector": round(survey.vector_bytes / items, 1),
                "metadata": round(survey.metadata_bytes / items, 1),
                "contents": round(survey.contents_bytes / items, 1),
                "sealed": round(survey.sealed_bytes / items, 1),
            },
            "batches": {
                "count": self.batches,
                "rows": round(self.batch_rows),
                "wire": self.sending.wire if self.sending else None,
                "bytes": self.sending.nbytes if self.sending else None,
            },
            "error": None if survey.error is None else str(survey.error),
        }


@dataclass(slots=True)
class Report:
    """The whole report.

    Attributes:
        full: Every row was read.
        index, target: Where a load would go; the target is empty if none was reached.
        sources: The sources, in the order of the load.
        ids: The ids of the rows read, and the policy for repeated ones.
        clear_text: Metadata that looks like contents and is not sealed.
        unfilterable: Fields that could be declared unfilterable.
        checks: The requirements of a load.
        estimate: How long a load would take.
        exit_code: The exit code of a load with these options, judging by the rows read.
        error: The message with which the load would stop.
    """

    full: bool
    index: str = ""
    target: str = ""
    seal: bool = True
    sources: list[SourceReport] = field(default_factory=list)
    ids: RepeatedIds = field(default_factory=RepeatedIds)
    clear_text: list[Cleartext] = field(default_factory=list)
    unfilterable: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    estimate: Estimate | None = None
    exit_code: int = 0
    error: str | None = None

    def __repr__(self) -> str:
        from vecload.inspecting.text import report_lines  # that module imports this one

        return "\n".join(["vecload.Report:", *map(as_parameters, report_lines(self))])

    @property
    def rows(self) -> int:
        """Rows of all sources; approximate if not all were counted."""
        return sum(report.survey.rows for report in self.sources)

    @property
    def whole(self) -> bool:
        """Whether every row of every source was read."""
        return all(report.survey.whole for report in self.sources)

    def with_parameters(self) -> Report:
        """The report with Python's parameters in place of flags."""
        self.error = None if self.error is None else as_parameters(self.error)
        self.checks = [
            replace(check, told=as_parameters(check.told), hint=as_parameters(check.hint))
            for check in self.checks
        ]
        return self

    def as_dict(self) -> dict[str, Any]:
        """The object that `--json` prints: docs/inspect.md."""
        return {
            "version": SCHEMA_VERSION,
            "full": self.full,
            "whole": self.whole,
            "rows": self.rows,
            "sources": [source.as_json() for source in self.sources],
            "ids": {
                "repeated": self.ids.repeated,
                "exact": self.ids.exact and self.whole,
                "first": asdict(self.ids.first) if self.ids.first else None,
                "policy": self.ids.policy,
            },
            "clear_text": [asdict(text) for text in self.clear_text],
            "unfilterable": self.unfilterable,
            "index": self.index,
            "target": self.target,
            "checks": [asdict(check) for check in self.checks],
            "seconds": None
            if self.estimate is None
            else {
                "about": round(self.estimate.seconds, 1),
                "reading": round(self.estimate.reading, 1),
                "target": round(self.estimate.target, 1),
            },
            "exit_code": self.exit_code,
            "error": self.error,
        }


def _reject_json(first: Reject, rows: int) -> dict[str, Any]:
    return {
        "field": first.field,
        "code": first.code,
        "rows": rows,
        "first": {
            "row": first.row,
            "offset": first.offset,
            "id": first.id,
            "message": first.message,
        },
    }


def _field_json(one: Field, items: int) -> dict[str, Any]:
    return {
        "name": one.name,
        "kinds": sorted(one.kinds),
        "missing": items - one.present,
        "compared": one.compared,
        "distinct": one.distinct,
    }


BINARY_BYTES_A_SECOND = 60e6
"""How fast a service accepts binary bodies. docs/inspect.md describes the machine for these numbers."""
JSON_BYTES_A_SECOND = 37e6
"""How fast a service accepts JSON bodies."""
SERVICE_ITEMS_A_SECOND = 60_000
"""The most items a service accepts per second, however small."""
EMBEDDED_BYTES_A_SECOND = 450e6
"""How fast an embedded store accepts vectors and contents."""
FILTERABLE_SECONDS = 4e-6
"""The extra time for each filterable metadata field of an item."""
DIFFERENT_SECONDS = 8e-6
"""The extra time if nearly every value of the field is unique."""


@dataclass(frozen=True, slots=True)
class Sending:
    """How the first batch would be sent.

    Attributes:
        wire: `json` or `binary`, that of most items; `none` for an embedded store.
        rows: How many items it has.
        nbytes: Bytes of its request body, or of the items for an embedded store.
        seconds: The time for sealing and encoding it.
    """

    wire: str
    rows: int
    nbytes: int
    seconds: float


def first_sending(
    batch: Batch,
    *,
    index_name: str,
    remote: bool,
    wire: WireFormat,
    binary_threshold: int,
    sealed: bool,
    clock: Callable[[], float] = time.perf_counter,
) -> Sending:
    """Seal and encode a batch with a throwaway key, to measure its size and time."""
    sealer = Sealer(generate_key().contents_key, index_name) if sealed else None
    begun = clock()
    batch = seal(batch, sealer)
    if not remote:
        return Sending("none", len(batch), batch.nbytes, clock() - begun)
    parts = batch.by_vector()
    chosen = choose_format(max(parts, key=len), wire, binary_threshold)
    nbytes = 0
    for part in parts:
        encode = encode_json if choose_format(part, wire, binary_threshold) == "json" else encode_binary
        nbytes += sum(map(len, encode(part, index_name, "0" * 64)))
    return Sending(chosen, len(batch), nbytes, clock() - begun)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimated time of a load.

    Attributes:
        reading: Seconds to read, map and seal all rows, measured here on the rows read, on one thread.
        target: Seconds for the target, estimated from a reference machine.
    """

    reading: float
    target: float

    @property
    def seconds(self) -> float:
        """The estimated time: both run in parallel, so the slower one counts."""
        return max(self.reading, self.target)


def estimate(sources: Sequence[tuple[Survey, Sending]], unfilterable: Collection[str]) -> Estimate:
    """Estimate a load.

    Args:
        sources: The survey of every source, and how its first batch would be sent.
        unfilterable: Fields that the index does not make filterable.
    """
    reading = target = 0.0
    for survey, sending in sources:
        per_item = sending.seconds / max(sending.rows, 1)
        reading += survey.rows * (survey.seconds_a_row + per_item)
        items = survey.rows * (1 - survey.rejected / max(survey.looked_at, 1))
        target += items * _target_seconds(survey, sending, unfilterable)
    return Estimate(reading, target)


def _target_seconds(survey: Survey, sending: Sending, unfilterable: Collection[str]) -> float:
    """Seconds the target needs for an item."""
    nbytes = sending.nbytes / max(sending.rows, 1)
    if sending.wire != "none":
        rate = JSON_BYTES_A_SECOND if sending.wire == "json" else BINARY_BYTES_A_SECOND
        return max(nbytes / rate, 1 / SERVICE_ITEMS_A_SECOND)
    fields: list[Field] = [one for one in survey.fields if one.name not in unfilterable]
    items = max(survey.fields.items, 1)
    costs = (
        (DIFFERENT_SECONDS if one.nearly_all_different else FILTERABLE_SECONDS) * one.present / items
        for one in fields
    )
    return nbytes / EMBEDDED_BYTES_A_SECOND + sum(costs)
