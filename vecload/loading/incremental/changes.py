"""Changes: what a load with `--changed-only` sends, and what it records about it.

A load with sources that can be read again reads them twice: first to compare every row with what the index
is known to hold (`comparison`), then only the parts with rows to send. Other sources are compared while they
are loaded; a row that a later row replaces may then be sent, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vecload.batch import Batch
from vecload.errors import SealError
from vecload.loading.incremental.item_digests import DIGEST_BYTES, Digests, ItemDigests
from vecload.loading.incremental.item_state import ItemState, Sampled, others_write
from vecload.loading.incremental.known_items import Compared, KnownItems
from vecload.loading.retry import Outcome
from vecload.sealing import Key, Opener, Sealer
from vecload.targets.opened import OpenedIndex

SAMPLE = 100
"""Items that are looked up to recognise an index."""
_FIELDS = ("vector", "metadata", "contents")
_SAMPLE_NAME = "vecload/changes/sample"
"""The name under which ids of the sample are sealed, in place of an item id."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Some rows of one source with their digests."""

    rows: NDArray[np.int64]
    ids: Digests
    items: Digests


class Changes:
    """Keeps the state of an index during a load, and drops rows from batches that need not be sent.

    Args:
        state: The state of the index.
        access: The index.
        sealed: Contents are sealed.
        embedded: The index makes vectors from contents.
        named: The sources as the user named them: the ids that they have belong to this load.
        hidden: The engine may hide items, because vectors may be all zeros.
    """

    def __init__(
        self,
        state: ItemState,
        access: OpenedIndex,
        *,
        sealed: bool,
        embedded: bool,
        named: Sequence[str],
        hidden: bool,
    ) -> None:
        self.state = state
        self._access = access
        self._hidden = hidden
        key, index = access.key_for("--changed-only"), access.index.name
        self._sealer = Sealer(key.contents_key, index)
        self._opener = Opener(key.opening_keys, index)
        self.digests = ItemDigests(key.contents_key, index, f"sealed {sealed}, embedded {embedded}")
        self.known = KnownItems(state.records())
        self.owner = state.owner(self.digests.of_text(json.dumps([*named])))
        self.chosen: Mapping[str, NDArray[np.int64]] | None = None
        """The rows to send, sorted, by source, if all sources were compared; None compares while loading."""
        self.without_id = 0
        """Rejected rows whose ids are not known."""
        self._piece: _Rows
        self._in_flight: dict[tuple[str, int], tuple[int, _Rows]] = {}
        self._latest: dict[bytes, int] = {}
        self._batches = 0
        self._sample = _Smallest(SAMPLE)
        self._sampled = {one.id for one in state.sample()}

    def why_forgotten(self) -> str:
        """Why nothing that is recorded can be relied on; "" if it can.

        Raises:
            TargetError: The index can't be asked.
        """
        index, (least, shape) = self._access.index, self.state.expected()
        if self.state.why_forgotten or not len(self.known):
            return self.state.why_forgotten
        if self._access.created:
            return "the index is new"
        held = index.count()
        if held < least:
            return f"the index holds {held:,} items, but held {least:,} after the last load"
        sample = {self._opened(one): one for one in self.state.sample()}
        found = {item.id: item for item in index.get([*sample], _FIELDS)} if sample else {}
        same_shape = shape == self._shape()
        for item_id, one in sample.items():
            if item_id not in found:
                return "the index lacks items that the last load stored"
            item, vector = self.digests.of_stored(found[item_id])
            if one.item is not None and (item != one.item or (same_shape and vector != one.vector)):
                return "others changed items that the last load stored"
        return ""

    def begin(self) -> None:
        """Record that the load is about to send rows. Durable at once."""
        self.state.begin()

    def forget(self) -> None:
        """Withdraw all claims, so that everything is sent."""
        self.known.forget_items()
        self.state.forget_items(self.known.records())
        self._sampled.clear()

    def _opened(self, one: Sampled) -> str:
        try:
            return str(self._opener.open(_SAMPLE_NAME, one.sealed))
        except SealError:
            return ""  # no item has this id, so the index will not be believed

    def _shape(self) -> str:
        """How the index is trained: the vectors that it returns may depend on it."""
        info = self._access.index.describe()
        return f"{info.trained} {info.n_lists}"

    def compare(self, batch: Batch) -> Compared:
        """Compare the items of a batch with what is known, and note which ids the sources have."""
        if batch.rejects:
            named = [reject.id for reject in batch.rejects if reject.id]
            self.without_id += len(batch.rejects) - len(named)
            self.known.see(
                self.digests.of_ids(named)
            )  # an id whose row is rejected did not leave the sources
        self._piece = self._rows(batch)
        self._sample.add(self._piece.ids, batch.ids)
        return self.known.compare(self._piece.ids, self._piece.items)

    def only_changed(self, batch: Batch) -> Batch:
        """The batch without rows that need not be sent. Takes all batches of a load in order."""
        if self.chosen is not None:
            chosen = self.chosen.get(batch.span.source)
            kept = batch.keep_only(np.isin(batch.item_rows(), [] if chosen is None else chosen), ())
            self._piece = self._rows(kept)
            return kept
        compared = self.compare(batch)
        drop = ~compared.to_send | (compared.first & self.known.settled(compared.positions))
        self.known.untouch(compared.positions[drop & (compared.positions >= 0) & compared.first])
        return batch.keep_only(~drop, ()) if drop.any() else batch

    def _rows(self, batch: Batch) -> _Rows:
        return _Rows(batch.item_rows(), self.digests.of_ids(batch.ids), self.digests.of_items(batch))

    def sending(self, batch: Batch) -> None:
        """Withdraw the claims on the items of a batch, since it is not known when the target replaces them.

        Args:
            batch: A part of what `only_changed` returned last.

        Raises:
            JournalError: The state can't be written.
        """
        at = int(np.searchsorted(self._piece.rows, batch.item_rows()[0]))
        part = slice(at, at + len(batch))
        rows = _Rows(self._piece.rows[part], self._piece.ids[part], self._piece.items[part])
        self._batches += 1
        self._in_flight[batch.span.source, batch.span.start] = self._batches, rows
        self._latest |= dict.fromkeys(_keys(rows.ids), self._batches)
        self.withdraw(rows.ids)
        self.state.commit()

    def withdraw(self, ids: Digests) -> None:
        """Withdraw the claims on some ids, which stay those of this load. Durable at the next commit."""
        self.state.add(ids, None, self.owner)
        if recognised := self._sampled.intersection(_keys(ids)):
            self.state.drop_sample([*recognised])
            self._sampled -= recognised

    def acknowledged(self, outcome: Outcome) -> None:
        """Claim the items that the target acknowledged. Durable at the next commit.

        Raises:
            JournalError: The state can't be written.
        """
        span = outcome.batch.span
        number, rows = self._in_flight.pop((span.source, span.start), (0, None))
        if rows is None:
            return  # nothing of it was sent
        keys = _keys(rows.ids)
        # A later batch with the same id is waiting, and may be sent at any time.
        last = np.array([self._latest[key] == number for key in keys])
        for key, is_last in zip(keys, last.tolist(), strict=True):
            if is_last:
                self._latest.pop(key, None)  # which may be in the batch twice
        kept = last & ~np.isin(rows.rows, [reject.row for reject in outcome.rejects])
        self.state.add(rows.ids[kept], rows.items[kept], self.owner)
        if len(self._sampled) < SAMPLE and not self._hidden and kept.any():
            n = int(kept.argmax())
            self._recognise_by(keys[n], outcome.batch.ids[n])

    def _recognise_by(self, key: bytes, item_id: str) -> None:
        """Add an item to the sample, of which only the existence is known."""
        self.state.add_sample([Sampled(key, self._sealed(item_id))])
        self._sampled.add(key)

    def _sealed(self, item_id: str) -> str:
        return str(self._sealer.seal([_SAMPLE_NAME], [item_id])[0])

    def finish(self) -> None:
        """Record that the load is complete, and how to recognise the index.

        Raises:
            JournalError: The state can't be written.
            TargetError: The index can't be asked.
        """
        index = self._access.index
        moved = self.known.moved_to(self.owner)
        self.state.add(moved["id"], moved["item"], self.owner)
        if self.state.should_rewrite:
            self.state.rewrite(self.state.records())
        sample = []
        for item in index.get(self._sample.texts(), _FIELDS):
            key = self.digests.of_ids([item.id]).tobytes()
            sample.append(Sampled(key, self._sealed(item.id), *self.digests.of_stored(item)))
        if sample:
            self.state.add_sample(sample, only=True)
        self.state.finish(index.count(), self._shape())


@contextmanager
def items_deleted(path: Path, key: Key | None, index: str) -> Iterator[Callable[[Sequence[str]], None]]:
    """Lets items be deleted outside of a load, so that later loads with `--changed-only` know.

    Args:
        path: The state of the index, from `state_path`; it need not exist.
        key: The key of the index; None without one, when nothing in the state counts any more.
        index: The index's name.

    Returns:
        A function to call before items with these ids are deleted.

    Raises:
        LoadLocked: A load with `--changed-only` is running.
        JournalError: The state can't be used.
    """
    if not path.exists():
        yield lambda ids: None
        return
    if key is not None:
        with closing(ItemState(path, key.key_id, replace=False)) as state:
            if state.readable:
                digests = ItemDigests(key.contents_key, index, "")

                def forget(ids: Sequence[str]) -> None:
                    found = digests.of_ids(ids)
                    state.add(found, None, 0)
                    state.drop_sample(_keys(found))
                    state.expect_fewer(len(ids))
                    state.commit()

                yield forget
                return
    with others_write(path):
        yield lambda ids: None


def _keys(ids: Digests) -> list[bytes]:
    """Digests as bytes."""
    whole = np.ascontiguousarray(ids).tobytes()
    return [whole[at : at + DIGEST_BYTES] for at in range(0, len(whole), DIGEST_BYTES)]


class _Smallest:
    """Texts with the smallest digests of all: a fair sample, and the same in each load of the same ids.

    Args:
        most: How many to keep.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[int, str] = {}
        self._below = 2**64

    def add(self, digests: Digests, texts: Sequence[str]) -> None:
        """Add some texts."""
        small = np.flatnonzero(digests[:, 0] < np.uint64(self._below - 1))
        self._kept |= {int(digests[n, 0]): texts[n] for n in small.tolist()}
        if len(self._kept) > 2 * self._most:
            self._kept = dict(sorted(self._kept.items())[: self._most])
            self._below = max(self._kept)

    def texts(self) -> list[str]:
        """The texts."""
        return [text for _, text in sorted(self._kept.items())[: self._most]]
