"""Result: what a load came to, as an object, as JSON and as a few lines; and how far one is.

The JSON object is that of `--json`: docs/summary.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vecload.batch import Span
from vecload.loading.ledger import Totals
from vecload.options import RepeatedIdPolicy, as_parameters
from vecload.places import short
from vecload.readers import Source

SCHEMA_VERSION = 1
"""Grows when a key of the JSON object changes its meaning or goes; docs/summary.md."""
SHOWN_SHARE = 0.05
"""Of a load's time, the part that a stage must have taken to be shown to people."""


@dataclass(slots=True, kw_only=True)
class LoadResult:
    """What a load came to. Made by `vecload.load`; an error that stops a load has one as `result`.

    Attributes:
        status: `complete`, `rejected` (complete but for allowed rejects), `failed` or `interrupted`.
        read: Rows read, those of earlier runs among them.
        loaded: Rows loaded by this run.
        rejected: Rows rejected, by earlier runs too.
        skipped: Rows that earlier runs loaded.
        repeated: Rows that repeat the id of an earlier one; at least, if not `repeated_exact`.
        repeated_ids: What became of these: `last` replaced the earlier row, `reject` is among `rejected`.
        seconds: Of this run, from the first row read.
        bytes: Bytes sent by this run.
        index: The index's name.
        target: The target's location.
        key_id: Of the contents key, 8 hex digits.
        key_from: Where the key is, for people.
        about: The index's dimension and metric, for people.
        wire: Requests of this run by wire format.
        retries: Requests sent again.
        mapping: What was chosen in the first source: docs/inspect.md; None before that is known.
        other_mappings: What was chosen otherwise in others, each with the first such source.
        clear_text: Metadata that looks like contents and goes unsealed.
        nan_left_out: Values of metadata in rows of this run that were NaN and were left out.
        rejects_missing: Rejected rows that the reject file does not hold; None if no run named one.
        time: The parts of this run's time by stage, from 0 to 1, largest first.
        advice: What slowed it down and what would help, if `explain` asked for that.
        sources: The sources as they were named.
        exit_code: The one of `vecload upsert`.
        error: The error's message, where there is one.
    """

    status: Literal["complete", "rejected", "failed", "interrupted"] = "failed"
    read: int = 0
    loaded: int = 0
    rejected: int = 0
    skipped: int = 0
    repeated: int = 0
    repeated_exact: bool = True
    repeated_ids: RepeatedIdPolicy = "last"
    seconds: float = 0.0
    bytes: int = 0
    index: str = ""
    target: str = ""
    key_id: str = ""
    key_from: str = ""
    about: str = ""
    wire: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    mapping: Mapping[str, Any] | None = None
    other_mappings: list[dict[str, Any]] = field(default_factory=list)
    clear_text: list[dict[str, Any]] = field(default_factory=list)
    nan_left_out: int = 0
    rejects_missing: int | None = None
    time: Mapping[str, float] = field(default_factory=dict)
    advice: str = ""
    sources: list[str] = field(default_factory=list)
    exit_code: int = 1
    error: str | None = None

    def __repr__(self) -> str:
        about = self.error or self.status
        lines = map(as_parameters, self.lines()) if self.about else ()
        return "\n".join([f"vecload.LoadResult: {about}", *lines])

    def count(self, totals: Totals) -> None:
        """Take over what a ledger counted."""
        self.read, self.loaded = totals.read, totals.loaded
        self.rejected, self.skipped = totals.rejected, totals.skipped
        self.bytes, self.wire, self.retries = totals.nbytes, dict(totals.requests), totals.retries
        self.nan_left_out = totals.nan_left_out

    @property
    def items_per_second(self) -> float:
        """Items loaded a second."""
        return self.loaded / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The object that `--json` prints: docs/summary.md."""
        return {
            "version": SCHEMA_VERSION,
            "status": self.status,
            "read": self.read,
            "loaded": self.loaded,
            "rejected": self.rejected,
            "skipped": self.skipped,
            "seconds": round(self.seconds, 3),
            "items_per_second": round(self.items_per_second, 1),
            "bytes": self.bytes,
            "index": self.index,
            "target": self.target,
            "key_id": self.key_id,
            "wire": {"json": self.wire.get("json", 0), "binary": self.wire.get("binary", 0)},
            "retries": self.retries,
            "repeated": self.repeated,
            "repeated_exact": self.repeated_exact,
            "nan_left_out": self.nan_left_out,
            "rejects_missing": self.rejects_missing,
            "time": {stage: round(share, 3) for stage, share in self.time.items()},
            "advice": self.advice or None,
            "mapping": self.mapping,
            "other_mappings": self.other_mappings,
            "clear_text": self.clear_text,
            "sources": self.sources,
            "exit_code": self.exit_code,
            "error": self.error,
        }

    def lines(self) -> list[str]:
        """For people."""
        counts = f"{self.read:,} read, {self.loaded:,} loaded, {self.rejected:,} rejected"
        if self.skipped:
            counts += f", {self.skipped:,} already in the index"
        if self.repeated:
            least = "" if self.repeated_exact else "at least "
            became = (
                "replaced by later rows of the same id"
                if self.repeated_ids == "last"
                else "repeat the id of an earlier row"
            )
            counts += f"; {least}{self.repeated:,} {became}"
        megabytes = self.bytes / 1e6 / self.seconds if self.seconds else 0.0
        requests = ", ".join(
            f"{number:,} {wire} request{'s' * (number != 1)}"
            for wire, number in sorted(self.wire.items())
            if number
        )
        spent = ", ".join(
            f"{share:.0%} {stage}" for stage, share in self.time.items() if share >= SHOWN_SHARE
        )
        lines = [
            f"rows   {counts}",
            f"rate   {self.items_per_second:,.0f} items/s, {megabytes:,.1f} MB/s, {self.seconds:,.2f} s"
            + (f", {requests}" if requests else ""),
            f"index  {self.index} ({self.about}) in {short(self.target)}",
            f"key    {short(self.key_from)} (key id {self.key_id})",
        ]
        if spent:
            lines.insert(2, f"time   {spent}")
        if self.nan_left_out:
            values = "1 value was" if self.nan_left_out == 1 else f"{self.nan_left_out:,} values were"
            lines.insert(1, f"nan    {values} NaN in metadata and left out; --nan reject rejects such rows")
        return [*lines, f"hint   {self.advice}"] if self.advice else lines


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a load is.

    Attributes:
        index: The index's name.
        read, loaded, rejected, skipped: As of `LoadResult`.
        rows: Rows of all sources; None where some are not counted yet.
        part: About the part of the sources that is done, from 0 to 1, by their bytes as they are stored.
        seconds: Since this run began to read.
    """

    index: str
    read: int
    loaded: int
    rejected: int
    skipped: int
    rows: int | None
    part: float
    seconds: float


class Meter:
    """Tells the progress of a load to whoever wants to know.

    Args:
        index: The index's name.
        sources: The load's.
        on_progress: Takes the progress; None if nobody does.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        index: str,
        sources: Sequence[Source],
        on_progress: Callable[[Progress], None] | None,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._index = index
        self._sources = {source.name: source for source in sources}
        self._whole = sum(source.nbytes for source in sources) or 1
        counted = [source.total_rows for source in sources]
        self._rows = None if None in counted else sum(rows or 0 for rows in counted)
        self._done = 0.0
        self._on_progress = on_progress
        self._clock = clock
        self._begun = clock()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._begun

    def add(self, span: Span) -> None:
        """Count a span as done."""
        source = self._sources[span.source]
        self._done += source.nbytes * source.part(span)

    def start(self, totals: Totals) -> None:
        """Begin to count seconds, and tell how far earlier runs came."""
        self._begun = self._clock()
        self._tell(totals)

    def update(self, span: Span, totals: Totals) -> None:
        """Count a span as done, and tell how far the load is."""
        self.add(span)
        self._tell(totals)

    def _tell(self, totals: Totals) -> None:
        if self._on_progress is None:
            return
        self._on_progress(
            Progress(
                self._index,
                totals.read,
                totals.loaded,
                totals.rejected,
                totals.skipped,
                self._rows,
                min(self._done / self._whole, 1.0),
                self.seconds,
            )
        )
