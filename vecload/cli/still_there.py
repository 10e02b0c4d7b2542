"""At the end of a load: whether what it put into the index is still there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from vecload.errors import IndexReplaced
from vecload.targets import TargetIndex

LOOKS = 4
LOOK_SECONDS = 0.25
"""Looks until items count as gone: for a moment the engine lacks one that another process replaces."""


def check_still_there(
    index: TargetIndex,
    samples: Sequence[str],
    *,
    loaded: int,
    repeated: int | None = None,
    hidden: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Refuse to call a load complete whose index was dropped, and made anew, meanwhile.

    The index's count alone says little where it held items before, or others delete some, or where ids repeat
    and nobody counted how many: then ids of this load, the first among them, are looked up.

    Args:
        index: The index.
        samples: Ids that the load had acknowledged, spread over its time.
        loaded: Items that the load was acknowledged, in earlier runs too.
        repeated: How many of them a later row replaced; None where that is not known exactly.
        hidden: The engine may hide items, whose vectors may be of zeros: none is looked up.
        sleep: Waits some seconds.

    Raises:
        IndexReplaced: The index holds fewer items than were put there, or lacks some of those ids.
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
    told = (
        f"{lacking} of {len({*samples})} that were looked up are gone"
        if lacking
        else f"it holds {count:,} items, and {least:,} were put there"
    )
    raise IndexReplaced(
        f"index {index.name!r} lacks items that this load had put there ({told}): it was dropped meanwhile, "
        "or others deleted them",
        hint="load everything again with --fresh",
    )
