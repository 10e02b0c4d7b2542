"""Identity: what makes a load the same load, and what of an unfinished one may have changed since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from vecload.errors import SourceError, UsageError
from vecload.readers.storage.files import tells_too_little

REJECTED = "repeated ids rejected"
"""The setting of loads that reject them. Others name none, as those of versions that rejected none did."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a journal has of an unfinished load.

    Attributes:
        sources: Those of which any row is recorded.
        beginnings: By the locations of files, fingerprints of what they held up to the last recorded row.
        touched: Files that changed under a run that read them.
        rejects: Rows that are recorded as rejects.
    """

    sources: frozenset[str]
    beginnings: Mapping[str, str]
    touched: frozenset[str]
    rejects: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes a load the same load.

    Attributes:
        target: The target's location.
        index: The index.
        sources: What was named, in order: the locations of files, folders, patterns.
        fingerprints: By the location of each file that these were when the load began.
        settings: All else that changes what is stored: mapping, key id, sealing, wire options.
        named: The same, as absolute paths whose links are not followed.
        owners: By the location of a file, that of the source whose rows alone depend on it.
        holds: Whether a file, by its location, is what a fingerprint says, whose text may be of another
            version; with True for the third argument, whether it is one that begins so and may go on.
    """

    target: str
    index: str
    sources: tuple[str, ...]
    fingerprints: Mapping[str, str]
    settings: tuple[str, ...]
    named: tuple[str, ...] = field(default=(), compare=False)
    owners: Mapping[str, str] = field(default_factory=dict, compare=False)
    holds: Callable[[str, str, bool], bool] = field(default=lambda path, known, begins: False, compare=False)

    @property
    def name(self) -> str:
        """The journal's name: the same for the same sources into the same index of the same target."""
        what = json.dumps([self.target, self.index, self.sources])
        return hashlib.sha256(what.encode()).hexdigest()[:24]

    @property
    def names(self) -> str:
        """What is the same for the same names into the same index, wherever their links lead."""
        what = json.dumps([self.target, self.index, self.named or self.sources])
        return hashlib.sha256(what.encode()).hexdigest()[:24]

    def text(self) -> str:
        """All of it as JSON."""
        return json.dumps([dict(self.fingerprints), self.settings])

    def differs(
        self, before: Mapping[str, str], settings: Sequence[str], recorded: Recorded | None = None
    ) -> UsageError | None:
        """What keeps this load from being the one that a journal is of; None if nothing does.

        Args:
            before: That load's fingerprints.
            settings: Its settings.
            recorded: What is recorded of it: only what the recorded rows come from must be the same. None if
                all must be.
        """
        for path in sorted({*before, *self.fingerprints}):
            if path not in before or path not in self.fingerprints:
                return _changed(path, "is gone" if path in before else "was added")
            if not self._same(path, before[path], recorded):
                touched = recorded is not None and path in recorded.touched
                if not touched and tells_too_little(before[path]):
                    return SourceError(
                        f"{path} was moved, copied or changed since the load of it began, and what an "
                        "earlier version of vecload wrote down does not tell which",
                        hint="load from the start with --fresh",
                    )
                return _changed(path, "changed", touched=touched)
        differing = sorted(set(self.settings) ^ set(settings))
        if differing == [REJECTED] and REJECTED in settings and recorded is not None and not recorded.rejects:
            return None  # no row was rejected: the last row of each id is the only one
        if differing:
            go_on = "use the same to go on"
            if differing == [REJECTED]:
                go_on = f"go on with --repeated-ids {'reject' if REJECTED in settings else 'last'}"
            return UsageError(
                f"an unfinished load of these sources had other settings ({', '.join(differing)})",
                hint=f"{go_on}, or load from the start with --fresh",
            )
        return None

    def _same(self, path: str, before: str, recorded: Recorded | None) -> bool:
        if recorded is not None:
            if path in self.owners and self.owners[path] not in recorded.sources:
                return True
            if path in recorded.touched:
                return False
        if before == self.fingerprints[path] or self.holds(path, before, False):
            return True
        if recorded is None:
            return False
        beginnings = (recorded.beginnings.get(path), before)
        return any(known and self.holds(path, known, True) for known in beginnings)


def _changed(path: str, happened: str, *, touched: bool = False) -> SourceError:
    return SourceError(
        f"{path} {happened} since the load of it began, and that load is unfinished",
        hint="it changed while a run read it: load from the start with --fresh"
        if touched
        else "put back what was there to go on, or load from the start with --fresh",
    )
