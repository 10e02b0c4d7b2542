"""VerifyResult: the outcome of a verification as an object, as JSON (docs/howto/verify.md) and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vecload.flags import as_parameters
from vecload.options import StoragePrecision
from vecload.places import short
from vecload.verifying.comparison import Difference

SCHEMA_VERSION = 1
"""Grows when a key of the JSON object changes its meaning or is removed."""
SHOWN = 5
"""Differences, and ids that only the index has, that the summary shows."""


@dataclass(slots=True, kw_only=True)
class VerifyResult:
    """The outcome of a verification. An error that stops one has it as `result`.

    Attributes:
        status: `equal`, `different`, `failed` or `interrupted`.
        read: Rows read.
        rejected: Rows that a load would reject. The index is not expected to hold them.
        repeated: Rows among the compared ones that a later row with the same id replaces; a lower bound if
            not `repeated_exact`.
        checked: Items compared with the index, each once.
        vectors_checked: Items whose vectors were compared, too.
        missing: Items that the index lacks.
        different: Items that the index holds, but with another vector, other metadata or other contents.
        extra: Ids in the index that no row has; None if that was not asked for.
        items: How many items the index held at the end; None if that was not asked.
        sampled: Only a part of the items was compared.
        seconds: Seconds from the first row read.
        precision: How the index stores vectors, as the user said.
        shown: The first differences.
        shown_extra: The first ids that only the index has.
        hints: What may explain the differences.
        index, target, key_id, about, mapping, other_mappings, sources, exit_code, error: As in `LoadResult`.
    """

    status: Literal["equal", "different", "failed", "interrupted"] = "failed"
    read: int = 0
    rejected: int = 0
    repeated: int = 0
    repeated_exact: bool = True
    checked: int = 0
    vectors_checked: int = 0
    missing: int = 0
    different: int = 0
    extra: int | None = None
    items: int | None = None
    sampled: bool = False
    seconds: float = 0.0
    precision: StoragePrecision | None = None
    shown: list[Difference] = field(default_factory=list)
    shown_extra: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    index: str = ""
    target: str = ""
    key_id: str = ""
    about: str = ""
    mapping: Mapping[str, Any] | None = None
    other_mappings: list[dict[str, Any]] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    exit_code: int = 1
    error: str | None = None

    def __repr__(self) -> str:
        lines = map(as_parameters, self.lines()) if self.about else ()
        return "\n".join([f"vecload.VerifyResult: {self.error or self.status}", *lines])

    @property
    def equal(self) -> bool:
        """Whether everything that was compared is equal."""
        return not (self.missing or self.different or self.extra)

    @property
    def items_per_second(self) -> float:
        """Items compared per second."""
        return self.checked / self.seconds if self.seconds else 0.0

    @property
    def worth_saying(self) -> bool:
        """Whether the summary says more than the error."""
        return bool(self.about) and (self.exit_code in (0, 5) or self.read > 0)

    def as_dict(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "version": SCHEMA_VERSION,
            "status": self.status,
            "checked": self.checked,
            "vectors_checked": self.vectors_checked,
            "missing": self.missing,
            "different": self.different,
            "extra": self.extra,
            "items": self.items,
            "sampled": self.sampled,
            "read": self.read,
            "rejected": self.rejected,
            "repeated": self.repeated,
            "repeated_exact": self.repeated_exact,
            "seconds": round(self.seconds, 3),
            "items_per_second": round(self.items_per_second, 1),
            "index": self.index,
            "target": self.target,
            "key_id": self.key_id,
            "hints": self.hints,
            "mapping": self.mapping,
            "other_mappings": self.other_mappings,
            "sources": self.sources,
            "exit_code": self.exit_code,
            "error": self.error,
        }

    def lines(self) -> list[str]:
        """The summary as lines of text."""
        rows = f"{self.read:,} read, {self.rejected:,} rejected"
        if self.repeated:
            least = "" if self.repeated_exact else "at least "
            rows += f"; {least}{self.repeated:,} replaced by later rows with the same id"
        compared = f"{_count(self.checked, 'item')}, {self.vectors_checked:,} with their vectors"
        if self.sampled:
            compared += ", a sample"
        found = [f"{self.missing:,} missing", f"{self.different:,} different"]
        if self.extra is not None:
            found.append(f"{self.extra:,} only in the index")
        lines = [
            f"rows   {rows}",
            f"items  {compared}: {'equal' if self.equal else ', '.join(found)}",
        ]
        lines += [f"       {one}" for one in self.shown]
        if (more := self.missing + self.different - len(self.shown)) > 0 and self.shown:
            lines.append(f"       and {more:,} more; --differences FILE lists them all")
        lines += [f"       only in the index: id {item_id!r}" for item_id in self.shown_extra]
        if (more := (self.extra or 0) - len(self.shown_extra)) > 0:
            lines.append(f"       and {more:,} more only in the index")
        lines += [
            f"rate   {self.items_per_second:,.0f} items/s, {self.seconds:,.2f} s",
            f"index  {self.index} ({self.about}) in {short(self.target)}",
        ]
        return [*lines, *(f"hint   {hint}" for hint in self.hints)]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
