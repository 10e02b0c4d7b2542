"""Bytes that look like text: old Parquet writers leave away the annotation that says so."""

from __future__ import annotations

from vecload.loading.plan import Plan
from vecload.mapping.columns import listed
from vecload.mapping.first_rows import holds_text


def binary_hints(plan: Plan) -> list[str]:
    """What to say of columns that are loaded as bytes and look like text: a line a source at the most."""
    said: list[str] = []
    for source, mapping in zip(plan.sources, plan.mappings, strict=True):
        names = [column.name for column in source.columns() if column.kind == "bytes"]
        used = {mapping.contents, *mapping.leftover(names)} - {mapping.vector}
        head = source.head() if used.intersection(names) and not mapping.rules.binary_as_text else None
        if head is None:
            continue
        found = [name for name in names if name in used and holds_text(head, name)]
        if found:
            verb = "is binary; if it is" if len(found) == 1 else "are binary; if they are"
            said.append(f"{source.name}: {listed(found)} {verb} text, load with --binary-as-text")
    return said
