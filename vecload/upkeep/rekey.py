"""Rekey: the contents of an index sealed again under a new contents key, in place.

The new key file has the new contents key, and the old ones to open with. It is on the disk before the first
item is sealed again, so at every moment it opens every item. Which items are left is read from the items
themselves: their contents name the key that sealed them. So another run does the rest, whatever ended this
one.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from vecload.errors import Interrupted, JournalError, KeyFileError, VecloadError
from vecload.flags import parameters_named
from vecload.loading.caller import Caller
from vecload.loading.ending import ending
from vecload.loading.progress import Progress
from vecload.loading.rejects import ErrorLimit
from vecload.loading.request import Request, request_of
from vecload.loading.run import run_load
from vecload.mapping.exported import ID
from vecload.options import LoadOptions
from vecload.places import short, state_folder
from vecload.readers.index_listing import Listing
from vecload.readers.index_source import IndexSource
from vecload.readers.prefetch import in_order
from vecload.sealing import Key, Opener, Sealer, key_id_of
from vecload.sealing.envelope import key_id_in
from vecload.sealing.key_source import KeySource
from vecload.sealing.key_text import KEY_SIZE
from vecload.sealing.keyring import replace_stored
from vecload.targets import StoredItem, Target
from vecload.targets.asking import insist
from vecload.targets.opened import OpenedIndex
from vecload.targets.place import IndexPlace
from vecload.upkeep.export import write_items
from vecload.upkeep.place import opened_when_up

SCANNED_ITEMS = 5_000
"""Items whose contents are read at once: without vectors, a service returns tens of thousands a second."""
UNSEALED = "unsealed"


@dataclass(slots=True, kw_only=True)
class RekeyResult:
    """The outcome of a rekey. An error that stops one has it as `result`.

    Attributes:
        status: `complete`: nothing is sealed under another key; `rejected`: some items were allowed to stay;
            `failed` or `interrupted`.
        items: Items with contents.
        sealed_again: Items that this run sealed under the new key.
        already: Items that were sealed under it before.
        unsealed: Items whose contents are not sealed. They stay so.
        key_file: The new key file.
        key_id: The id of the new contents key.
        old_key_ids: The ids of the contents keys that nothing is sealed under any more.
        seconds: Seconds of reading, sealing and writing items.
        left_ids: The items whose contents are still sealed under another key.
        exit_code: The exit code of `vecload rekey`.
        error: The error's message, if there is one.
    """

    status: Literal["complete", "rejected", "failed", "interrupted"] = "failed"
    items: int = 0
    sealed_again: int = 0
    already: int = 0
    unsealed: int = 0
    index: str = ""
    target: str = ""
    key_file: str = ""
    key_id: str = ""
    old_key_ids: list[str] = field(default_factory=list)
    seconds: float = 0.0
    left_ids: list[str] = field(default_factory=list, repr=False)
    exit_code: int = 1
    error: str | None = None

    @property
    def worth_saying(self) -> bool:
        """Whether the summary says more than the error."""
        return self.exit_code in (0, 3)

    @property
    def left(self) -> int:
        """Items whose contents are still sealed under another key."""
        return len(self.left_ids)

    def as_dict(self) -> dict[str, Any]:
        """The object that `vecload rekey --json` prints."""
        return {
            "version": 1,
            "status": self.status,
            "items": self.items,
            "sealed_again": self.sealed_again,
            "already": self.already,
            "unsealed": self.unsealed,
            "left": self.left,
            "index": self.index,
            "target": self.target,
            "key_file": self.key_file,
            "key_id": self.key_id,
            "old_key_ids": self.old_key_ids,
            "seconds": round(self.seconds, 3),
            "exit_code": self.exit_code,
            "error": self.error,
        }

    def lines(self) -> list[str]:
        """The summary as lines of text."""
        counts = f"{self.sealed_again:,} sealed again, {self.already:,} were before"
        if self.unsealed:
            counts += f", {self.unsealed:,} are not sealed and stay so"
        lines = [
            f"items  {self.items:,} with contents: {counts}",
            f"index  {self.index!r} in {short(self.target)}",
            f"key    {short(self.key_file)} (key id {self.key_id})",
        ]
        if self.left:
            kept = f"{self.left:,} items are sealed under another key: keep the old contents keys"
            return [*lines, f"left   {kept}"]
        olds = ", ".join(self.old_key_ids)
        may = "you may remove old_contents_keys from the key file"
        return [*lines, f"old    nothing is sealed under {olds} any more: {may}"] if olds else lines


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyRequest:
    """One rekey, as requested.

    Attributes:
        place: The index, with its present key.
        new_key_file: The file of the new key, made if it does not exist.
        options: How the items are written.
    """

    place: IndexPlace
    new_key_file: Path
    options: LoadOptions = field(default_factory=LoadOptions)


def rekey(
    new_key_file: str | os.PathLike[str],
    *,
    to: str | os.PathLike[str] | None = None,
    index: str | None = None,
    key: Key | bytes | str | os.PathLike[str] | None = None,
    api_key: str | None = None,
    options: LoadOptions | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    **fields: Any,
) -> RekeyResult:
    """Seal the contents of an index under a new contents key: the same as `vecload rekey`.

    If it stops, call it again with the same file. Nothing else may write to the index meanwhile.

    Args:
        new_key_file: The new key file. If it does not exist, it is made, with a new contents key. It has the
            old contents keys, too, so that it opens everything at any moment.
        to: The target that has the index; None is your local store.
        index: The index; None is the only one there.
        key: Its present key, as for `vecload.load`. The key in your key store is replaced by the new one.
        api_key: The API key for a service.
        options: Options of a load that say how items are written.
        on_progress: Called in this thread meanwhile.
        stop: Set it in another thread to stop.
        fields: Fields of LoadOptions, which replace those of `options`.

    Raises:
        VecloadError: It stopped. Both keys, which the new file has, open everything.
    """
    with parameters_named():
        asked = request_of([], to=to, index=index, key=key, api_key=api_key, options=options, changes=fields)
        request = RekeyRequest(
            place=asked.place,
            new_key_file=Path(new_key_file),
            options=asked.options,
        )
        return run_rekey(request, Caller.of_python(on_progress, stop))


def run_rekey(request: RekeyRequest, caller: Caller) -> RekeyResult:
    """Run a rekey to its end.

    Args:
        request: The rekey.
        caller: Takes its messages and may stop it.

    Raises:
        VecloadError: It stopped.
    """
    result = RekeyResult(key_file=str(request.new_key_file))
    with ending(result), opened_when_up(request.place, caller.say, read_only=False) as (target, access):
        result.index, result.target = access.index.name, target.location
        new = _new_key(request, access, caller.say)
        result.key_id = new.key_id
        work = _Work(request, target, access, new, caller)
        caller.say(f"looking at the contents of index {access.index.name!r}")
        result.sealed_again = work.load_kept(left=True)
        result.left_ids, counts = work.scan()
        result.unsealed, result.already = counts[UNSEALED], counts[new.key_id] - result.sealed_again
        result.items = sum(counts.values())
        if result.left_ids:
            caller.say(f"sealing {len(result.left_ids):,} contents again")
            rejected = work.keep(result.left_ids)
            result.sealed_again += work.load_kept()
            result.left_ids, _ = work.scan()
            if len(result.left_ids) > rejected:
                raise VecloadError(
                    f"{len(result.left_ids):,} items were sealed under another key meanwhile",
                    hint="run the same command again when nothing else writes to the index",
                )
        result.seconds = work.seconds
    result.status, result.exit_code = ("rejected", 3) if result.left_ids else ("complete", 0)
    result.old_key_ids = [] if result.left_ids else [key_id_of(old).hex() for old in new.old_contents_keys]
    return result


def _new_key(request: RekeyRequest, access: OpenedIndex, say: Callable[[str], None]) -> Key:
    """The new key, on the disk. The key store has it in place of the old one.

    Raises:
        KeyFileError: The file can't be written, or its key does not open what is there.
    """
    file, old = request.new_key_file.expanduser(), access.key
    if old is None:
        raise KeyFileError(
            f"there is no contents key for index {access.index.name!r}",
            hint="name its key file with --key-file",
        )
    if not file.exists():
        made = Key(old.index_key, secrets.token_bytes(KEY_SIZE), old.opening_keys)
        made.made_for = old.made_for
        made.save(file)
        say(f"wrote {short(str(file))}; keep a copy: without it, nothing sealed with it can be opened")
    new = Key.load(file)
    if new.index_key != old.index_key:
        raise KeyFileError(
            f"{short(str(file))} has another index key than index {access.index.name!r}",
            hint="an index keeps its index key: name a file that does not exist, and rekey makes it",
        )
    if lacking := [key_id_of(key).hex() for key in old.opening_keys if key not in new.opening_keys]:
        raise KeyFileError(
            f"{short(str(file))} does not have the old contents key (key id {', '.join(lacking)}) under "
            "old_contents_keys",
            hint="add it, or name a file that does not exist, and rekey makes it",
        )
    if request.place.keys.named() is None and old != new:
        # The key store, which later commands use without a --key-file.
        replace_stored(Path(access.key_from), new)
        say(f"the key in {short(access.key_from)} is the new one, too; it has the old contents keys")
    return new


class _Work:
    """The steps of a rekey.

    The engine deletes an item before it stores the one that replaces it, and a kill between the two loses
    both (docs/cyborgdb.md). So the items are first written to a file, sealed under the new key, and loaded
    from there. Whatever ends a run, either the file is not complete and the index is as it was, or the next
    run loads the file.
    """

    def __init__(
        self, request: RekeyRequest, target: Target, access: OpenedIndex, new: Key, caller: Caller
    ) -> None:
        self._request, self._target, self._new, self._caller = request, target, new, caller
        self._index = access.index
        place = f"{target.location}\0{access.index.name}\0{new.key_id}"
        folder = state_folder().with_name("rekey")
        self._kept = folder / f"{hashlib.sha256(place.encode()).hexdigest()[:16]}.parquet"
        self.seconds = 0.0

    def scan(self) -> tuple[list[str], Counter[str]]:
        """The ids of items that another contents key sealed, and how many each key sealed."""
        listing = Listing(self._index, self._target.location, interrupted=self._caller.stopped_by)
        starts = range(0, len(listing), SCANNED_ITEMS)
        others: list[str] = []
        counts: Counter[str] = Counter()

        def look(start: int) -> list[StoredItem]:
            ids = listing.ids(start, start + SCANNED_ITEMS)
            return insist(lambda: self._index.get(ids, ["contents"]), interrupted=self._caller.stopped_by)

        for items in in_order(starts, look, self._index.writers):
            if number := self._caller.stopped_by():
                raise Interrupted(number)
            for item in items:
                if item.contents is None:
                    continue
                sealed_by = key_id_in(item.contents)
                counts[UNSEALED if sealed_by is None else sealed_by] += 1
                if sealed_by not in (None, self._new.key_id):
                    others.append(item.id)
        return others, counts

    def keep(self, ids: Sequence[str]) -> int:
        """Write items to the file, sealed under the new key; returns how many can't be.

        Raises:
            VecloadError: More can't be than is allowed, or the file can't be written.
        """
        opener = Opener(self._new.opening_keys, self._index.name, str(self._request.new_key_file))
        source = IndexSource(
            self._index, self._target.location, opener=opener, ids=ids, interrupted=self._caller.stopped_by
        )
        try:
            self._kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise JournalError(f"can't keep items in {self._kept.parent}: {error.strerror}") from None
        totals, seconds = write_items(
            source,
            str(self._kept),
            ("parquet", ""),
            self._caller,
            limit=ErrorLimit.parse(self._request.options.max_errors),
            rejects=self._request.options.rejects,
            sealer=Sealer(self._new.contents_key, self._index.name),
        )
        self.seconds += seconds
        return totals.rejected

    def load_kept(self, *, left: bool = False) -> int:
        """Load the file, if there is one, and remove it; returns how many items it had.

        Args:
            left: An earlier run left the file: items that were replaced since are not loaded.

        Raises:
            VecloadError: The load stopped. The file stays.
        """
        if not self._kept.exists():
            return 0
        if left:
            self._drop_replaced()
        options = replace(
            self._request.options,
            seal=False,
            allow_zero_vectors=True,
            create=False,
            # Items that are in were taken out of the file, so it is not the one of the unfinished load.
            fresh=True,
            repeated_ids="last",
            max_errors=0,
            rejects=None,
        )
        place = replace(self._request.place, index=self._index.name, keys=KeySource(key=self._new))
        load = Request.into(place, [str(self._kept)], options)
        # Its messages are about a file that the user does not know.
        result = run_load(load, replace(self._caller, say=lambda line: None))
        self.seconds += result.seconds
        self._kept.unlink()
        return result.loaded + result.skipped

    def _drop_replaced(self) -> None:
        """Take the items out of the file that are in the index: from this file, or stored anew."""
        kept = pq.ParquetFile(self._kept)
        aside = self._kept.with_suffix(".part")
        # A killed engine may still answer for an item that it no longer lists, or list one without contents,
        # which all in the file have. Both are lost unless they are loaded again.
        listed = frozenset(insist(self._index.list_ids))
        with pq.ParquetWriter(aside, kept.schema_arrow) as writer:
            for batch in kept.iter_batches(batch_size=SCANNED_ITEMS):
                ids = batch.column(ID).to_pylist()
                found = insist(lambda ids=ids: self._index.get(ids, ["contents"]))  # type: ignore[misc]
                now = {
                    item.id: key_id_in(item.contents)
                    for item in found
                    if item.contents is not None and item.id in listed
                }
                needed = [now.get(item_id, "gone") not in (None, self._new.key_id) for item_id in ids]
                writer.write_batch(batch.filter(pa.array(needed)))
        kept.close()
        aside.rename(self._kept)
