"""The summary of a load: one JSON object for scripts, a few lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vecload.loading.repeated_ids import RepeatedIds
from vecload.places import short

SCHEMA_VERSION = 1
"""Grows when a key of the JSON object changes its meaning or goes; docs/summary.md."""


TOLD_SHARE = 0.05
"""Of a load's time, the part that a stage must have taken to be told to people."""


@dataclass(slots=True)
class Summary:
    """What a load came to. `rates` are of this run alone.

    Attributes:
        status: `complete`, `rejected` (complete but for allowed rejects), `failed` or `interrupted`.
        index: The index's name.
        target: The target's location.
        sources: The sources as they were named.
        key_id: Of the contents key, 8 hex digits.
        key_from: Where the key is, for people.
        about: The index's dimension and metric, for people.
        seconds: Of this run, from the first row read.
        ids: Knows how many rows repeat the id of an earlier one, and what became of them.
        mapping: What was chosen in the first source, as `Mapping.as_json` has it; None before that is known.
        other_mappings: What was chosen otherwise in others, each with the first such source.
        clear_text: Metadata that looks like contents and goes unsealed.
        nan_left_out: Values of metadata in rows of this run that were NaN and were left out.
        rejects_missing: Rejected rows that the reject file does not hold; None if no run named one.
        time: The parts of this run's time by stage, from 0 to 1, largest first.
        advice: What held it back and what would help, if that was asked for.
        exit_code: The process's.
        error: The error's message, where there is one.
    """

    status: Literal["complete", "rejected", "failed", "interrupted"] = "failed"
    index: str = ""
    target: str = ""
    sources: list[str] = field(default_factory=list)
    key_id: str = ""
    key_from: str = ""
    about: str = ""
    read: int = 0
    loaded: int = 0
    rejected: int = 0
    skipped: int = 0
    seconds: float = 0.0
    nbytes: int = 0
    wire: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    ids: RepeatedIds = field(default_factory=RepeatedIds)
    mapping: Mapping[str, Any] | None = None
    other_mappings: list[dict[str, Any]] = field(default_factory=list)
    clear_text: list[dict[str, Any]] = field(default_factory=list)
    nan_left_out: int = 0
    rejects_missing: int | None = None
    time: Mapping[str, float] = field(default_factory=dict)
    advice: str = ""
    exit_code: int = 0
    error: str | None = None

    @property
    def items_per_second(self) -> float:
        """Items loaded a second."""
        return self.loaded / self.seconds if self.seconds else 0.0

    def as_json(self) -> dict[str, Any]:
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
            "bytes": self.nbytes,
            "index": self.index,
            "target": self.target,
            "key_id": self.key_id,
            "wire": {"json": self.wire.get("json", 0), "binary": self.wire.get("binary", 0)},
            "retries": self.retries,
            "repeated": self.ids.repeated,
            "repeated_exact": self.ids.exact,
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
            counts += f", {self.skipped:,} were in already"
        if self.ids.repeated:
            least = "" if self.ids.exact else "at least "
            became = (
                "replaced by later rows of the same id"
                if self.ids.policy == "last"
                else "repeat the id of an earlier row"
            )
            counts += f"; {least}{self.ids.repeated:,} {became}"
        megabytes = self.nbytes / 1e6 / self.seconds if self.seconds else 0.0
        requests = ", ".join(
            f"{number:,} {wire} request{'s' * (number != 1)}"
            for wire, number in sorted(self.wire.items())
            if number
        )
        spent = ", ".join(f"{share:.0%} {stage}" for stage, share in self.time.items() if share >= TOLD_SHARE)
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
