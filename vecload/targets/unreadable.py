"""Reads items of a service around those that it can't send.

The service answers a whole get with 500 if one of its items holds what its JSON can't say: contents that are
not UTF-8, which the embedded engine takes, or NaN in a vector or in metadata, which every engine takes
(docs/cyborgdb.md). The answer does not say which item it is. It concerns one field: the item's id and its
other fields can be read. So the fields are asked for one by one, and where that fails, the ids are halved
until the items that can't be read are alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from vecload.errors import Busy, TargetError
from vecload.targets.base import StoredItem

HOPELESS_ITEMS = 50
"""After so many unreadable items and no readable one, the service is broken, or nothing there is readable."""

Ask = Callable[[Sequence[str], Sequence[str]], list[StoredItem]]
"""One get of ids and fields. Raises Busy, `unexplained` where an item may be the cause."""


def read_around(ask: Ask, ids: Sequence[str], include: Sequence[str], failed: Busy) -> list[StoredItem]:
    """Fetch the items of a get that failed; those that can't be read name the fields in `unreadable`.

    Args:
        ask: One get.
        ids: Those of the failed get.
        include: Its fields.
        failed: Its error.

    Raises:
        TargetError: The service fails without a field too, or it can't send any of many items.
    """
    if not failed.unexplained or not include:
        raise failed
    unique = list(dict.fromkeys(ids))
    # Ids alone can always be sent. If they can't, the service is broken, and is not asked any more.
    items = {item.id: item for item in ask(unique, ())}
    for name in include:
        column = _Column(ask, name)
        column.read(unique)
        for found in column.found:
            items[found.id] = replace(items.get(found.id, found), **{name: getattr(found, name)})
        for item_id in column.unreadable:
            if item_id in items:
                item = items[item_id]
                items[item_id] = replace(item, unreadable=(*item.unreadable, name))
    return [items[item_id] for item_id in ids if item_id in items]


@dataclass(slots=True)
class _Column:
    """One field of some items.

    Attributes:
        ask: One get.
        name: The field.
        found: The items that were read.
        unreadable: The ids of the others.
    """

    ask: Ask
    name: str
    found: list[StoredItem] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    _answered: bool = False

    def read(self, ids: Sequence[str]) -> None:
        """Read the field of these items, in halves if that fails."""
        try:
            self.found += self.ask(ids, (self.name,))
            self._answered = True
        except Busy as error:
            if not error.unexplained:
                raise
            failed = error
        else:
            return
        if len(ids) > 1:
            middle = len(ids) // 2
            self.read(ids[:middle])
            self.read(ids[middle:])
            return
        # Once more: a passing fault must not make an item look unreadable.
        try:
            self.found += self.ask(ids, (self.name,))
            self._answered = True
            return
        except Busy as error:
            if not error.unexplained:
                raise
        self.unreadable += ids
        if not self._answered and len(self.unreadable) >= HOPELESS_ITEMS:
            raise TargetError(
                f"the service can't return the {self.name} of any of the first {len(self.unreadable)} items "
                f"({failed.args[0]})",
                hint="open the store's folder with the embedded engine to read them",
            )
