"""MetadataFields: the fields of a new index that have policies, in vecload's form or in the SDK's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vecload.errors import IndexMismatch, ItemTypeError
from vecload.items import kind_of

POLICIES = ("filterable", "pattern", "full_text")


@dataclass(frozen=True, slots=True)
class MetadataFields:
    """Names of fields, by their policy. `filterable` are those for which the default is recorded."""

    filterable: tuple[str, ...] = ()
    unfilterable: tuple[str, ...] = ()
    pattern: tuple[str, ...] = ()
    full_text: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        unfilterable: Iterable[str],
        pattern: Iterable[str],
        full_text: Iterable[str],
        text_fields: Iterable[str],
    ) -> MetadataFields:
        """Fields from lists of names; `text_fields` are the SDK's name for `full_text`.

        Raises:
            ItemTypeError: One is not a list of names.
        """
        lists = [_names(names) for names in (unfilterable, pattern, full_text, text_fields)]
        return cls((), lists[0], lists[1], tuple(dict.fromkeys(lists[2] + lists[3])))

    def with_schema(self, schema: Mapping[str, Mapping[str, bool]] | None) -> MetadataFields:
        """These fields and those of a schema: `{"field": {"filterable": True, "pattern": True}}`.

        Raises:
            ItemTypeError: The schema or a policy is not a dict of names to True or False.
            IndexMismatch: A policy has an unknown name, or contradicts itself or another one for the field.
        """
        if schema is None:
            return self
        if not isinstance(schema, Mapping):
            raise ItemTypeError(f"metadata_schema is {kind_of(schema)}, not a dict")
        fields: dict[str, list[str]] = {
            name: [] for name in ("filterable", "unfilterable", "pattern", "full_text")
        }
        for field, policy in schema.items():
            fields[_kind_of_policy(field, policy)].append(field)
        known = {"unfilterable": self.unfilterable, "pattern": self.pattern, "full_text": self.full_text}
        for kind, names in fields.items():
            for name in names:
                other = next((other for other, own in known.items() if other != kind and name in own), None)
                if other is not None:
                    raise IndexMismatch(
                        f"metadata_schema and {other} give {name!r} two policies",
                        hint="name it in one of them",
                    )
        joined = {
            kind: tuple(dict.fromkeys([*getattr(self, kind), *names])) for kind, names in fields.items()
        }
        return MetadataFields(**joined)


def _kind_of_policy(field: Any, policy: Any) -> str:
    if not isinstance(field, str):
        raise ItemTypeError(f"metadata_schema has a field that is {kind_of(field)}, not text")
    if not isinstance(policy, Mapping):
        raise ItemTypeError(f"metadata_schema has {kind_of(policy)} for {field!r}, not a dict")
    for name, value in policy.items():
        if name not in POLICIES:
            raise IndexMismatch(
                f"metadata_schema has no policy {name!r}, which it names for {field!r}",
                hint=f"there are {', '.join(POLICIES)}",
            )
        if not isinstance(value, bool):
            raise ItemTypeError(
                f"metadata_schema has {name} {kind_of(value)} for {field!r}, not True or False"
            )
    filterable, pattern, full_text = (policy.get(name) for name in POLICIES)
    if full_text and (pattern or filterable):
        raise IndexMismatch(
            f"{field!r} can't be full text and also {'a pattern' if pattern else 'filterable'}"
        )
    if pattern and filterable is False:
        raise IndexMismatch(f"{field!r} can't be a pattern field and not filterable")
    if full_text:
        return "full_text"
    return "pattern" if pattern else "unfilterable" if filterable is False else "filterable"


def _names(names: Any) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ItemTypeError(f"the metadata fields {names!r} are a text, not a list of names")
    return tuple(names)
