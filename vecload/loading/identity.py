"""Identity: what identifies a load, and which changes an unfinished one allows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from vecload.errors import SourceError, UsageError
from vecload.readers.storage.files import tells_too_little

REJECTED = "repeated ids rejected"
"""The setting of loads that reject repeated ids. Other loads have none, like those of older versions."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a journal holds about an unfinished load.

    Attributes:
        sources: The sources with recorded rows.
        beginnings: Fingerprints of files up to the last recorded row, by their locations.
        touched: Files that changed while a run read them.
        rejects: How many rows are recorded as rejects.
    """

    sources: frozenset[str]
    beginnings: Mapping[str, str]
    touched: frozenset[str]
    rejects: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One source of a load.

    Attributes:
        location: Where it is.
        files: The locations of its files.
        mapping: How its rows become items.
    """

    location: str
    files: tuple[str, ...]
    mapping: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What identifies a load.

    Attributes:
        target: The target's location.
        index: The index.
        sources: The locations of the files, folders and patterns that the user named, in order.
        fingerprints: The fingerprint of each file when the load began, by location.
        settings: All other settings that change what is stored: mapping, key id, sealing, wire options.
        parts: The sources, in order.
        named: The names of the sources as absolute paths, with links not followed.
        owners: The location of the source that a file belongs to, by the file's location.
        holds: Whether the file at a location matches a fingerprint, which may be from another version. With
            True as the third argument, the file only needs to begin that way.
    """

    target: str
    index: str
    sources: tuple[str, ...]
    fingerprints: Mapping[str, str]
    settings: tuple[str, ...]
    parts: tuple[Part, ...] = field(default=(), compare=False)
    named: tuple[str, ...] = field(default=(), compare=False)
    owners: Mapping[str, str] = field(default_factory=dict, compare=False)
    holds: Callable[[str, str, bool], bool] = field(default=lambda path, known, begins: False, compare=False)

    @property
    def name(self) -> str:
        """The name of the journal: one for each combination of sources, target and index."""
        what = json.dumps([self.target, self.index, self.sources])
        return hashlib.sha256(what.encode()).hexdigest()[:24]

    @property
    def names(self) -> str:
        """Like `name`, but for the names as the user gave them, wherever links lead."""
        what = json.dumps([self.target, self.index, self.named or self.sources])
        return hashlib.sha256(what.encode()).hexdigest()[:24]

    def text(self) -> str:
        """The fingerprints, settings and sources as JSON."""
        parts = [[part.location, part.files, part.mapping] for part in self.parts]
        return json.dumps([dict(self.fingerprints), self.settings, parts])

    def differs(
        self, before: Mapping[str, str], settings: Sequence[str], recorded: Recorded | None = None
    ) -> UsageError | None:
        """Why this load is not the load of a journal; None if it is.

        Args:
            before: The fingerprints in the journal.
            settings: The settings in the journal.
            recorded: What the journal records: only the sources of recorded rows must be unchanged. None if
                all must be.
        """
        for path in sorted({*before, *self.fingerprints}):
            if path not in before or path not in self.fingerprints:
                return _changed(path, "is gone" if path in before else "was added")
            if not self._same(path, before[path], recorded):
                touched = recorded is not None and path in recorded.touched
                if not touched and tells_too_little(before[path]):
                    return SourceError(
                        f"{path} was moved, copied or changed since its unfinished load began, and its "
                        "journal, from an earlier version of vecload, does not show which",
                        hint="load from the start with --fresh",
                    )
                return _changed(path, "changed", touched=touched)
        differing = sorted(set(self.settings) ^ set(settings))
        if differing == [REJECTED] and REJECTED in settings and recorded is not None and not recorded.rejects:
            return None  # no row was rejected: the last row of each id is the only one
        if differing:
            resume = "use the same settings to resume"
            if differing == [REJECTED]:
                resume = f"resume with --repeated-ids {'reject' if REJECTED in settings else 'last'}"
            return UsageError(
                f"an unfinished load of these sources had other settings ({', '.join(differing)})",
                hint=f"{resume}, or load from the start with --fresh",
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
        f"{path} {happened} since its unfinished load began",
        hint="it changed while a run read it: load from the start with --fresh"
        if touched
        else "restore the earlier sources to resume, or load from the start with --fresh",
    )
