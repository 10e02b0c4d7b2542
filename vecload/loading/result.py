"""Result: the outcome of a load as an object, as JSON and as a few lines; and its progress.

The JSON object is the one of `--json`: docs/summary.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vecload.batch import Reject
from vecload.errors import RowsRejected
from vecload.flags import as_parameters
from vecload.loading.ledger import Ledger
from vecload.options import RepeatedIdPolicy
from vecload.places import short

SCHEMA_VERSION = 1
"""Grows when a key of the JSON object changes its meaning or is removed; docs/summary.md."""
AGAIN = "run the same command again"
"""What the summary says unless the error does."""
SHOWN_SHARE = 0.05
"""The part of a load's time from which the summary shows a stage."""


@dataclass(slots=True, kw_only=True)
class LoadResult:
    """The outcome of a load. `vecload.load` returns it; an error that stops a load has it as `result`.

    Attributes:
        status: `complete`, `rejected` (complete except for allowed rejects), `failed` or `interrupted`.
        read: Rows read, including those of earlier runs.
        loaded: Rows loaded by this run.
        rejected: Rows rejected, by earlier runs too.
        skipped: Rows that earlier runs loaded, and with `changed_only` those that need not be sent.
        deleted: Items that this run deleted, with `delete_missing`.
        repeated: Rows with the id of an earlier one; a lower bound if not `repeated_exact`.
        repeated_ids: What happened to these: with `last` they replaced the earlier rows, with `reject` they
            are among `rejected`.
        seconds: Seconds of this run, from the first row read.
        bytes: Bytes sent by this run.
        index: The index's name.
        target: The target's location.
        key_id: The id of the contents key, 8 hex digits.
        key_from: Where the key is, as messages say it.
        about: The index's dimension and metric, as messages say them.
        wire: Requests of this run by wire format.
        retries: Requests sent again.
        mapping: The mapping of the first source: docs/inspect.md; None before it is known.
        other_mappings: The different mappings of other sources, each with the first such source.
        clear_text: Metadata that looks like contents and is not sealed.
        nan_left_out: NaN values in the metadata of this run's rows, which were omitted.
        rejects_missing: Rejected rows that the reject file does not hold; None if no run named one.
        time: The parts of this run's time by stage, from 0 to 1, largest first.
        advice: What slowed the load down and what would help, with the option `explain`.
        sources: The sources as the user named them.
        splits: Splits that workers of a cluster loaded in this run.
        attempts: How often they were begun: more than `splits` if workers died.
        work_seconds: Seconds of the workers' work, of all splits together.
        first_rejects: The first rejects of this run, three at most.
        rejects_file: The reject file, of this run or an earlier one.
        resumable: The load stopped, and the same command goes on where it stopped.
        an_id: The id of an item that this run loaded.
        verified: The outcome of the verification after the load, a `VerifyResult`; None without one.
        exit_code: The exit code of `vecload upsert`.
        error: The error's message, if there is one.
    """

    status: Literal["complete", "rejected", "failed", "interrupted"] = "failed"
    read: int = 0
    loaded: int = 0
    rejected: int = 0
    skipped: int = 0
    deleted: int = 0
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
    splits: int = 0
    attempts: int = 0
    work_seconds: float = 0.0
    first_rejects: list[Reject] = field(default_factory=list)
    rejects_file: str | None = None
    resumable: bool = False
    an_id: str | None = field(default=None, repr=False)
    verified: Any = None
    exit_code: int = 1
    error: str | None = None

    def __repr__(self) -> str:
        about = self.error or self.status
        lines = map(as_parameters, self.lines()) if self.about else ()
        return "\n".join([f"vecload.LoadResult: {about}", *lines])

    def count(self, ledger: Ledger) -> None:
        """Copy the totals and the first rejects of a ledger."""
        totals = ledger.totals
        self.first_rejects = ledger.first_rejects
        self.read, self.loaded = totals.read, totals.loaded
        self.rejected, self.skipped = totals.rejected, totals.skipped
        self.bytes, self.wire, self.retries = totals.nbytes, dict(totals.requests), totals.retries
        self.nan_left_out = totals.nan_left_out

    @property
    def worth_saying(self) -> bool:
        """Whether the summary says more than the error."""
        return bool(self.about) and (self.exit_code in (0, 3) or self.read > 0)

    @property
    def items_per_second(self) -> float:
        """Items loaded per second."""
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
            "deleted": self.deleted,
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
            "first_rejects": [
                {name: getattr(reject, name) for name in ("source", "row", "id", "field", "code", "message")}
                for reject in self.first_rejects
            ],
            "rejects_file": self.rejects_file,
            "rejects_missing": self.rejects_missing,
            "time": {stage: round(share, 3) for stage, share in self.time.items()},
            "advice": self.advice or None,
            "mapping": self.mapping,
            "other_mappings": self.other_mappings,
            "clear_text": self.clear_text,
            "sources": self.sources,
            "repeated_ids": self.repeated_ids,
            "splits": self.splits,
            "attempts": self.attempts,
            "work_seconds": round(self.work_seconds, 3),
            "verify": None if self.verified is None else self.verified.as_dict(),
            "resumable": self.resumable,
            "exit_code": self.exit_code,
            "error": self.error,
        }

    def lines(self) -> list[str]:
        """The summary as lines of text."""
        counts = f"{self.read:,} read, {self.loaded:,} loaded, {self.rejected:,} rejected"
        if self.skipped:
            counts += f", {self.skipped:,} already in the index"
        if self.deleted:
            counts += f", {self.deleted:,} deleted"
        if self.repeated:
            least = "" if self.repeated_exact else "at least "
            became = (
                "replaced by later rows with the same id"
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
        percents = {stage: round(100 * part) for stage, part in self.time.items() if part >= SHOWN_SHARE}
        if percents and sum(percents.values()) < 100:
            percents["other"] = 100 - sum(percents.values())
        spent = ", ".join(f"{percent}% {stage}" for stage, percent in percents.items())
        lines = [
            f"rows   {counts}",
            f"rate   {self.items_per_second:,.0f} items/s, {megabytes:,.1f} MB/s, {self.seconds:,.2f} s"
            + (f", {requests}" if requests else ""),
            f"index  {self.index} ({self.about}) in {short(self.target)}",
            *([f"key    {short(self.key_from)} (key id {self.key_id})"] if self.key_id else []),
        ]
        if self.splits:
            again = self.attempts - self.splits
            lines.insert(2, f"splits {self.splits:,} loaded" + (f", {again:,} begun again" if again else ""))
        if self.repeated_ids == "assume-unique":
            lines.insert(1, "ids    assumed to be unique: not compared")
        if spent:
            lines.insert(2, f"time   {spent}")
        if self.nan_left_out:
            values = "1 value was" if self.nan_left_out == 1 else f"{self.nan_left_out:,} values were"
            lines.insert(1, f"nan    {values} NaN in metadata and omitted; --nan reject rejects such rows")
        lines += self._reject_lines()
        if self.advice:
            lines.append(f"hint   {self.advice}")
        if self.resumable and AGAIN not in (self.error or ""):
            lines.append(f"again  {AGAIN} to resume")
        return lines

    def _reject_lines(self) -> list[str]:
        """The first rejects, and where the others are."""
        shown = [f"reject {reject}" for reject in self.first_rejects]
        if self.exit_code == RowsRejected.exit_code and self.rejected <= 1:
            return []  # the error is about that one
        more = self.rejected - len(shown)
        if more > 0:
            where = (
                f"vecload rejects {short(self.rejects_file)}"
                if self.rejects_file
                else "--fresh --rejects FILE writes all of them to a file"
            )
            shown.append(f"       {more:,} more: {where}")
        return shown
