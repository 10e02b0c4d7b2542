"""Index checks: whether sources and index fit, and whether an index still holds what a load stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from vecload.errors import (
    IndexMismatch,
    IndexReplaced,
    KeyFileError,
    MappingError,
    RootKeyNeeded,
    Unauthorised,
)
from vecload.loading.journal import Journal
from vecload.loading.plan import Plan, has_more
from vecload.loading.rejects import too_many
from vecload.loading.repeated_ids import RepeatedIds, policy_of
from vecload.loading.request import Request
from vecload.mapping import Column, ColumnMapping, Rows
from vecload.mapping.columns import listed
from vecload.mapping.mapper import rows_for
from vecload.readers import Source
from vecload.targets import TargetIndex
from vecload.targets.base import other_policies
from vecload.targets.opened import OpenedIndex

LOOKS = 4
LOOK_SECONDS = 0.25
"""How often items are looked up, and the pause between, before they count as gone: the engine briefly lacks
an item while another process replaces it."""


def check_first_rows(request: Request, plan: Plan, index_dimension: int = 0) -> None:
    """Refuse sources whose first rows would stop the load, before an index is created or a row written.

    Args:
        request: The load.
        plan: Its sources. All are checked, so that none is refused after earlier ones are loaded.
        index_dimension: The index's dimension; 0 if it does not exist yet.

    Raises:
        RowsRejected: A row would be rejected, and none may be.
    """
    if request.max_errors.rows != 0 or request.options.rejects or request.options.retry_rejects:
        return
    ids = RepeatedIds(policy_of(request.options.repeated_ids, plan.mappings))
    for job in plan.jobs(
        index_dimension=index_dimension, allow_zero_vectors=request.options.allow_zero_vectors
    ):
        head = job.source.head()
        rejects = ids.checked(job.mapper.map(head)).rejects if head is not None else ()
        if rejects:
            raise too_many(rejects[0], len(rejects))


def check_index_settings(request: Request, access: OpenedIndex) -> None:
    """Refuse an index whose settings differ from the requested ones.

    Raises:
        IndexMismatch: They differ.
    """
    info = access.index.describe()
    wanted = request.creation
    if wanted.metric not in (None, info.metric):
        raise IndexMismatch(
            f"index {info.name!r} has the metric {info.metric}, not {wanted.metric}",
            hint="omit --metric, or load into another index",
        )
    for name in other_policies(info, wanted):
        raise IndexMismatch(
            f"index {info.name!r} was created with another policy for the field {name!r}",
            hint="policies can't be changed later: omit the option, or load into another index",
        )


def seals_something(request: Request, plan: Plan) -> bool:
    """Whether a load needs a contents key: it has contents or rejected rows to seal."""
    contents = any(mapping.contents is not None for mapping in plan.mappings)
    return request.seal and (contents or request.options.reject_rows)


def check_access(request: Request, access: OpenedIndex) -> None:
    """Refuse a user token that can't do what the load wants.

    An upsert needs both permissions, and so do the checks of a load.

    Raises:
        Unauthorised: It may not read, not write, or not train.
    """
    allowed = access.index.permissions()
    if allowed != {"read", "write"}:
        may, not_ = ("read", "write to") if "read" in allowed else ("write to", "read")
        can = (
            f"may {may} index {access.index.name!r}, but not {not_} it" if allowed else "may do nothing here"
        )
        raise Unauthorised(
            f"the user token {can}",
            hint="use a token with both permissions: an upsert needs 'read' and 'write'",
        )
    if request.options.train and access.index.opened_by == "user token":
        raise RootKeyNeeded(
            "--train: a user token can't train an index",
            hint="omit --train, and train it with the service's root API key",
        )


def check_has_contents_key(request: Request, plan: Plan, access: OpenedIndex) -> None:
    """Refuse to seal without a contents key.

    Raises:
        KeyFileError: There is none, and there are contents or rejected rows to seal.
    """
    if access.key is None and seals_something(request, plan):
        raise KeyFileError(
            f"there is no contents key for index {access.index.name!r} to seal contents with",
            hint="name its key file with --key-file; 'vecload keygen --contents-only FILE' makes one for an "
            "index without sealed contents",
        )


def check_policies(request: Request, plan: Plan) -> None:
    """Refuse policies of a new index for fields that no source has.

    Raises:
        MappingError: No source has a field of that name.
    """
    wanted = request.creation
    check_policy_names(
        plan,
        {"--unfilterable": wanted.unfilterable, "--pattern": wanted.pattern, "--full-text": wanted.full_text},
    )


def check_policy_names(plan: Plan, policies: Mapping[str, Sequence[str]]) -> None:
    """Refuse a name that is certainly in no source's metadata.

    Args:
        plan: The plan of the load.
        policies: Names of metadata fields, dot paths inside objects, by the flags that name them.

    Raises:
        MappingError: No source has a field, and no later row can have it.
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
    """Dot paths of known metadata fields, and prefixes under which later rows may add fields."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}
        self._open: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def may_have(self, name: str) -> bool:
        """Whether a field of that name exists or may appear in a later row."""
        return name in self._known or any(map(name.startswith, self._open))

    def add(self, source: Source, mapping: ColumnMapping, head: Rows) -> None:
        """Add the names of one source."""
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


def why_not_skipped(journal: Journal, access: OpenedIndex, *, hidden: bool) -> str:
    """Why a finished load with unchanged sources must not be skipped; "" if it may be.

    Args:
        journal: The journal of the load.
        access: The index.
        hidden: The engine may hide items, because vectors may be all zeros: only count them.
    """
    if access.created:
        return "the index is new"
    if not journal.is_last():
        return "these names led to other sources meanwhile"
    held, known = access.index.count(), journal.items_at_end()
    if known is not None and held < known:
        return f"the index holds {held:,} items, but held {known:,} when that load ended"
    if not held and journal.totals()[0]:
        return "the index is empty"
    asked = [] if hidden else journal.samples()
    if asked and len({item.id for item in access.index.get(asked, [])}) < len(asked):
        return "the index lacks items that this load stored"
    return ""


def check_same_index(journal: Journal, access: OpenedIndex, *, hidden: bool) -> None:
    """Refuse to resume a load into an index that is not the one it began with.

    Args:
        journal: The journal, which holds the ids of some items that the load stored.
        access: The index.
        hidden: The engine may hide items, because vectors may be all zeros: only check that it has any.

    Raises:
        IndexMismatch: The items are gone.
    """
    loaded, _ = journal.totals()
    asked = [] if hidden else journal.samples()
    found = {item.id for item in access.index.get(asked, [])} if asked else set()
    empty = loaded > 0 and (access.created or not access.index.count())
    if empty or not found.issuperset(asked):
        raise IndexMismatch(
            f"index {access.index.name!r} lacks items that this load stored; was it dropped?",
            hint="load everything again with --fresh",
        )


def check_still_there(
    index: TargetIndex,
    samples: Sequence[str],
    *,
    loaded: int,
    repeated: int | None = None,
    hidden: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Refuse to call a load complete if its index was dropped and created again meanwhile.

    The index's count proves little if it held items before, if others delete some, or if the number of
    repeated ids is unknown. So this also looks up ids of this load, the first among them.

    Args:
        index: The index.
        samples: Acknowledged ids, spread over the time of the load.
        loaded: Acknowledged items, in earlier runs too.
        repeated: How many of them a later row replaced; None if that is not known exactly.
        hidden: The engine may hide items, because vectors may be all zeros: look up none.
        sleep: Waits some seconds.

    Raises:
        IndexReplaced: The index holds fewer items than the load stored, or lacks some of those ids.
    """
    least = min(loaded, 1) if repeated is None else loaded - repeated
    count = lacking = 0
    for look in range(LOOKS):
        if look:
            sleep(LOOK_SECONDS)
        count = index.count()
        found = {item.id for item in index.get(samples, [])} if samples and not hidden else {*samples}
        lacking = len({*samples} - found)
        if count >= least and not lacking:
            return
    evidence = (
        f"{lacking} of {len({*samples})} items looked up are gone"
        if lacking
        else f"it holds {count:,} items, but the load stored {least:,}"
    )
    raise IndexReplaced(
        f"index {index.name!r} lacks items that this load stored ({evidence}): it was dropped meanwhile, or "
        "others deleted them",
        hint="load everything again with --fresh",
    )
