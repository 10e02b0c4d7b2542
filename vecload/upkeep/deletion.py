"""Deletion: take items out of an index, by their ids or by a filter on their metadata."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vecload.errors import ItemTypeError, UsageError
from vecload.flags import parameters_named
from vecload.loading.incremental.changes import items_deleted
from vecload.loading.incremental.item_state import state_path
from vecload.loading.request import request_of
from vecload.loading.retry import RetryPolicy, Sender
from vecload.sealing import Key
from vecload.targets import TargetIndex
from vecload.targets.filters import has_condition
from vecload.targets.opening import connect_to, only_index, open_existing
from vecload.upkeep.place import check_network

SCHEMA_VERSION = 1
"""Grows when a key of the JSON object changes its meaning or is removed."""
DELETE_ITEMS = 2000
"""Ids of one request, so that a retry repeats little."""
LOOKED_UP = 2000
"""Up to so many ids are looked up one by one; for more, all ids of the index are listed."""


@dataclass(slots=True, kw_only=True)
class DeleteResult:
    """What a deletion did. `vecload.delete` returns it.

    Attributes:
        status: `deleted`; `counted` if nothing was to be deleted; `failed` if it stopped.
        asked: Different ids that were named, or that the filter matched.
        found: How many of them were in the index.
        deleted: How many of those are deleted.
        index: The index's name.
        target: The target's location.
        exit_code: The exit code of `vecload delete`.
        error: The error's message, if there is one.
    """

    status: Literal["deleted", "counted", "failed"] = "failed"
    asked: int = 0
    found: int = 0
    deleted: int = 0
    index: str = ""
    target: str = ""
    exit_code: int = 1
    error: str | None = None

    @property
    def missing(self) -> int:
        """Ids that were not in the index."""
        return self.asked - self.found

    def as_dict(self) -> dict[str, Any]:
        """The object that `--json` prints: docs/howto/delete.md."""
        return {
            "version": SCHEMA_VERSION,
            "status": self.status,
            "asked": self.asked,
            "found": self.found,
            "missing": self.missing,
            "deleted": self.deleted,
            "index": self.index,
            "target": self.target,
            "exit_code": self.exit_code,
            "error": self.error,
        }


@parameters_named()
def delete(
    ids: Iterable[str] | None = None,
    *,
    filters: Mapping[str, Any] | None = None,
    to: str | os.PathLike[str] | None = None,
    index: str | None = None,
    key: Key | bytes | str | os.PathLike[str] | None = None,
    api_key: str | None = None,
    dry_run: bool = False,
    state_dir: str | os.PathLike[str] | None = None,
    **network: Any,
) -> DeleteResult:
    """Delete items of an index: the same as `vecload delete`, without a question.

    It may be repeated: ids that are not in the index are ignored.

    Args:
        ids: Any number of ids.
        filters: Instead of ids, a condition on metadata in the engine's form, which is MongoDB's. One that
            matches every item is refused.
        to: A CyborgDB service's URL, or the folder of an embedded store; None is your local store.
        index: The index; None is the only one of the target.
        key: A Key, its 32 bytes, or the path of a key file; None uses the key in your key store.
        api_key: The API key for a service. No environment variable is read.
        dry_run: Only count.
        state_dir: The folder of the journals, where loads with `changed_only` keep what the index holds;
            None is the usual one.
        network: `ca_file`, `client_cert`, `client_key`, `proxy` and `insecure_http`, as for `vecload.load`.

    Returns:
        The result: how many of the ids there were.

    Raises:
        ItemTypeError: The ids are not texts.
        UsageError: There are no ids and no filter, or both; or the filter has no condition.
        TargetError: The target failed. Items that are deleted stay deleted.
    """
    if (ids is None) == (filters is None):
        raise UsageError("delete takes ids or filters", hint="pass one of them")
    check_network(network, "delete")
    named = None if ids is None else ids_of(ids)
    changes = network if state_dir is None else {**network, "state_dir": state_dir}
    request = request_of([], to=to, index=index, key=key, api_key=api_key, options=None, changes=changes)
    result = DeleteResult()
    with connect_to(request.to, request.api_key, request.reach, must_exist=True) as target:
        opened = open_existing(target, request.index or only_index(target), request.keys)
        result.index, result.target = opened.index.name, target.location
        sender = Sender(opened.index.prepare, target.healthy, RetryPolicy())
        deletion = find(opened.index, sender, named, filters, result)
        if not dry_run:
            with items_deleted(
                state_path(request.state_folder, target.location, opened.index.name),
                opened.key,
                opened.index.name,
            ) as before:
                deletion.run(before)
    return result


def ids_of(ids: Iterable[str]) -> list[str]:
    """Different ids, in their order.

    Raises:
        ItemTypeError: They are not texts.
    """
    if isinstance(ids, str | bytes):
        raise ItemTypeError("delete takes a list of ids, which are texts")
    listed = list(dict.fromkeys(ids))
    if not all(isinstance(item_id, str) for item_id in listed):
        raise ItemTypeError("delete takes a list of ids, which are texts")
    return listed


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deletion, ready to run.

    Attributes:
        index: The index.
        sender: Repeats requests that failed.
        ids: Different ids, all of which were in the index.
        result: Counts what is deleted.
    """

    index: TargetIndex
    sender: Sender
    ids: Sequence[str]
    result: DeleteResult

    def run(self, before: Callable[[Sequence[str]], None] = lambda ids: None) -> None:
        """Delete the items.

        Args:
            before: Called with the ids before each request; may raise to stop.

        Raises:
            TargetError: The target failed.
        """
        for start in range(0, len(self.ids), DELETE_ITEMS):
            some = self.ids[start : start + DELETE_ITEMS]
            before(some)
            self.sender.ask(lambda some=some: self.index.delete(some))  # type: ignore[misc]
            self.result.deleted += len(some)
        self.result.status, self.result.exit_code = "deleted", 0


def find(
    index: TargetIndex,
    sender: Sender,
    ids: Sequence[str] | None,
    filters: Mapping[str, Any] | None,
    result: DeleteResult,
) -> Deletion:
    """Find the items to delete, and count them. Deletes nothing.

    Args:
        index: The index.
        sender: Repeats requests that failed.
        ids: Different ids; or None.
        filters: The filter, if there are no ids.
        result: Filled in.

    Raises:
        UsageError: The filter has no condition.
        TargetError: The target failed, or refuses the filter.
    """
    if ids is None:
        if not isinstance(filters, Mapping):
            raise ItemTypeError(f"the filter is {type(filters).__name__}, not an object")
        if not has_condition(filters):
            raise UsageError(
                "the filter has no condition: it matches every item",
                hint="to delete all items, delete the index and create it again",
            )
        there = ids = sender.ask(lambda: index.ids_where(filters))
    else:
        there = existing(index, sender, ids)
    result.asked, result.found = len(ids), len(there)
    result.status, result.exit_code = "counted", 0
    return Deletion(index, sender, there, result)


def existing(index: TargetIndex, sender: Sender, ids: Sequence[str]) -> list[str]:
    """Those of some ids that are in the index, in their order.

    Args:
        index: The index.
        sender: Repeats requests that failed.
        ids: Different ids.
    """
    found: set[str] = set()
    if len(ids) <= LOOKED_UP:
        found = {item.id for item in sender.ask(lambda: index.get(ids, []))}
    if len(found) < len(ids):
        # The engine hides items of all zeros from `get`, but lists their ids.
        found = set(ids).intersection(sender.ask(index.list_ids))
    return [item_id for item_id in ids if item_id in found]
