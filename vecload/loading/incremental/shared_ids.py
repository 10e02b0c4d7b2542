"""Shared ids: which sources of an earlier load must be loaded again because others changed.

A load of some sources ends with the item of the last row of each id, or of the first one if repeated ids are
rejected. If only the sources that changed were loaded, an id that they share with others could end with
another item. Here is found what else to load, so that the result is that of a load of all sources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vecload.loading.identity import Part
from vecload.options import RepeatedIdPolicy

Digests: TypeAlias = NDArray[np.int64]
"""Digests of ids: int64, shape (n,). Two ids with the same digest count as one, so more is loaded again."""


@dataclass(frozen=True, slots=True)
class LoadedSource:
    """A source that an earlier load recorded.

    Attributes:
        part: What it was.
        fingerprints: Of its files, by location.
        rows: How many of its rows are recorded.
        end: The byte at which the last of them ends; None if spans have no bytes.
        rejected: How many of them are rejects.
        whole: All of its rows are recorded for certain; otherwise, others may have been sent.
        touched: It changed while it was read.
        ids: Returns the digests of its ids, sorted; None if they are not recorded.
    """

    part: Part
    fingerprints: Mapping[str, str]
    rows: int
    end: int | None
    rejected: int
    whole: bool
    touched: bool
    ids: Callable[[], Digests | None]


@dataclass(frozen=True, slots=True)
class WantedSource:
    """A source of this load.

    Attributes:
        loaded: Its place among the sources of the earlier load, if it is unchanged; else None.
        ids: Reads the digests of its ids, in any order.
        begun: Its place there, if it is unchanged but must be loaded: not all of it was.
    """

    loaded: int | None
    ids: Callable[[], Digests]
    begun: int | None = None


def sources_to_keep(
    before: Sequence[LoadedSource], now: Sequence[WantedSource], policy: RepeatedIdPolicy
) -> set[int]:
    """The sources of a load that need not be loaded again, by their places.

    Args:
        before: The sources of the earlier load, in order.
        now: The sources of this load, in order.
        policy: What happens to repeated ids.
    """
    if policy == "reject":
        return _keep_first_rows(before, now)
    return _keep_last_rows(before, now)


def _keep_first_rows(before: Sequence[LoadedSource], now: Sequence[WantedSource]) -> set[int]:
    """What to keep if the first row of each id counts: sources that can't have another one before theirs."""
    keep: set[int] = set()
    same_so_far = True
    seen: list[Digests | None] = []
    for n, one in enumerate(now):
        at = one.loaded
        same_so_far = same_so_far and at == n
        later = any(other.loaded is not None for other in now[n + 1 :])
        if at is None:
            seen.append(one.ids() if later else None)
            continue
        ids = before[at].ids() if later or not same_so_far else None
        alone = not before[at].rejected and ids is not None and not _share(ids, seen)
        if same_so_far or alone:
            keep.add(n)
        seen.append(ids)
    return keep


def _share(ids: Digests, others: Iterable[Digests | None]) -> bool:
    """Whether some ids are among others; None may be any."""
    return any(other is None or bool(np.isin(ids, other).any()) for other in others)


def _keep_last_rows(before: Sequence[LoadedSource], now: Sequence[WantedSource]) -> set[int]:
    """What to keep if the last row of each id counts: sources whose items the index holds and keeps.

    Begins with the sources that are unchanged, and leaves out those with an id whose last row is theirs, but
    was in another source before, or is overwritten by an earlier source that is loaded.
    """
    places = {one.loaded: n for n, one in enumerate(now) if one.loaded is not None}
    keep = set(places.values())
    read: dict[int, Digests] = {}

    def ids_now(n: int) -> Digests:
        at = now[n].loaded
        known = None if at is None else before[at].ids()
        if known is not None:
            return known
        if n not in read:
            read[n] = now[n].ids()
        return read[n]

    doubtful: list[Digests] = []
    same = {at: n for n, one in enumerate(now) if (at := _place(one)) is not None}
    moved = _out_of_order([at for one in now if (at := _place(one)) is not None])
    for g, old in enumerate(before):
        hidden = {n for at, n in places.items() if g in moved or (g not in same and at < g)}
        if hidden:
            ids = ids_now(same[g]) if g in same else old.ids() if old.whole else None
            if ids is None:
                keep -= hidden  # any of their ids may have been in it
            else:
                doubtful.append(ids)
    while keep:
        overwriting = [ids_now(n) for n in range(max(keep)) if n not in keep]
        ids = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *doubtful, *overwriting]))
        kept_ids = [ids_now(n) for n in sorted(keep)] if len(ids) else []
        ids = ids[np.isin(ids, np.concatenate(kept_ids))] if kept_ids else ids[:0]
        if not len(ids):
            break
        wrong = _wrong_winners(ids, before, keep, [ids_now(n) for n in range(len(now))], now)
        if not wrong:
            break
        keep -= wrong
    return keep


def _place(one: WantedSource) -> int | None:
    """The place of an unchanged source in the earlier load."""
    return one.begun if one.loaded is None else one.loaded


def _out_of_order(places: Sequence[int]) -> set[int]:
    """The places that come before a smaller one or after a greater one."""
    array = np.array(places, dtype=np.int64)
    greatest_before = np.maximum.accumulate(array)
    smallest_after = np.minimum.accumulate(array[::-1])[::-1]
    return set(array[(greatest_before > array) | (smallest_after < array)].tolist())


def _wrong_winners(
    ids: Digests,
    before: Sequence[LoadedSource],
    keep: set[int],
    ids_now: Sequence[Digests],
    now: Sequence[WantedSource],
) -> set[int]:
    """The kept sources with the last row of one of these ids, if the index would not hold that row."""
    held = np.full(len(ids), -1)
    for place, old in enumerate(before):
        known = old.ids()
        if known is not None:
            held[np.isin(ids, known)] = place
    for one, known in zip(now, ids_now, strict=True):
        if one.loaded is not None and before[one.loaded].ids() is None:
            found = np.isin(ids, known)
            held[found] = np.maximum(held[found], one.loaded)
    last, wrong_now = np.full(len(ids), -1), np.zeros(len(ids), dtype=np.bool_)
    overwritten = np.zeros(len(ids), dtype=np.bool_)
    for n, known in enumerate(ids_now):
        found = np.isin(ids, known)
        last[found] = n
        if n in keep:
            wrong_now[found] = overwritten[found] | (held[found] != now[n].loaded)
        else:
            overwritten |= found
    return {int(n) for n in np.unique(last[wrong_now]) if n in keep}
