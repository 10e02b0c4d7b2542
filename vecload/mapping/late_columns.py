"""Text in JSON that comes late under a name of contents: as metadata it would not be sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vecload.mapping.json_columns import BYTES_MARK
from vecload.mapping.rows import Fault


def late_names(names: Sequence[str], known: Sequence[str]) -> frozenset[str]:
    """Names as they are mostly spelled, less those that are known in any case."""
    lower = {name.lower() for name in known}
    return frozenset(
        spelling
        for name in names
        if name not in lower
        for spelling in (name, name.capitalize(), name.title(), name.upper())
    )


def fault_of_late(fields: Mapping[str, Any], late: frozenset[str]) -> Fault | None:
    """What is wrong with a row that has text or bytes under one of the names; None if it has not."""
    for name in sorted(late.intersection(fields)):
        value = fields[name]
        if isinstance(value, str) or (isinstance(value, dict) and value.keys() == {BYTES_MARK}):
            told = f"may be {name!r}, which the first rows don't have: take it with --contents-column, or"
            return Fault("contents", "late-column", f"{told} leave it out with --metadata-exclude")
    return None
