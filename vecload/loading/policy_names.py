"""Whether the fields that an index is to treat in a way of their own are there: a slip of the pen is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vecload.errors import MappingError
from vecload.loading.plan import Plan, has_more
from vecload.mapping import Column, ColumnMapping, Rows
from vecload.mapping.columns import listed
from vecload.mapping.mapper import rows_for
from vecload.readers import Source


def check_policy_names(plan: Plan, policies: Mapping[str, Sequence[str]]) -> None:
    """Refuse a name that no source's metadata has, as far as that can be known.

    Args:
        plan: The load's.
        policies: Names of metadata fields, dot paths inside objects, by the flags that name them.

    Raises:
        MappingError: No source has one, and no later row can.
    """
    if not any(policies.values()):
        return
    known = _Names()
    for source, mapping in zip(plan.sources, plan.mappings, strict=True):
        head = source.head()
        if head is not None:
            known.add(source, mapping, head)
    sources = [source.name for source in plan.sources]
    lacks, they = (f"{sources[0]} has no", "it has") if len(sources) == 1 else ("no source has", "they have")
    for flag, names in policies.items():
        for name in names:
            if not known.may_have(name):
                raise MappingError(f"{lacks} metadata {name!r} ({flag})", hint=f"{they} {listed(known)}")


class _Names:
    """Dot paths of metadata that there are, and the beginnings of such as may come."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}
        self._open: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def may_have(self, name: str) -> bool:
        """Whether a field of that name is there, or can't be known not to come."""
        return name in self._known or any(map(name.startswith, self._open))

    def add(self, source: Source, mapping: ColumnMapping, head: Rows) -> None:
        """The names of one source."""
        for entries in rows_for(head, mapping).metadata(mapping).values or ():
            self._add_entries(entries or {}, "")
        if has_more(source, head):
            self._open.append("")
            return
        columns = {column.name: column for column in source.columns()}
        renamed = dict(mapping.renamed)
        for name in mapping.leftover(columns):
            self._add_columns([columns[name]], "", renamed)
        for name in mapping.metadata_fields or ():
            self._known[renamed.get(name, name)] = None
        spread = columns.get(mapping.metadata_object or "")
        if spread is not None and spread.fields:
            self._add_columns(spread.fields, "", renamed)
        elif mapping.metadata_object and not _is_whole(source, head):
            self._open.append("")

    def _add_entries(self, entries: Mapping[str, Any], prefix: str) -> None:
        for name, value in entries.items():
            self._known[prefix + name] = None
            if isinstance(value, dict):
                self._add_entries(value, f"{prefix}{name}.")

    def _add_columns(self, columns: Iterable[Column], prefix: str, renamed: Mapping[str, str]) -> None:
        for column in columns:
            name = prefix + (column.name if prefix else renamed.get(column.name, column.name))
            self._known[name] = None
            self._add_columns(column.fields, f"{name}.", renamed)
            if column.kind in ("object", "other") and not column.fields:
                self._open.append(f"{name}.")


def _is_whole(source: Source, head: Rows) -> bool:
    """Whether the first rows are all there are."""
    return source.total_rows is not None and source.total_rows <= len(head.span)
