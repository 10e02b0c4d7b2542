"""Contents check: whether new contents fit the contents that an index holds.

An index should hold contents of one kind: sealed with keys that open them here, or not sealed at all.
Otherwise some of its clients read ciphertext, or nobody reads some of its contents. So whatever adds contents
first looks at a sample of what is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vecload.batch import Contents
from vecload.errors import AccessRefused, IndexMismatch, SealError, TargetError, WrongKey
from vecload.places import short
from vecload.sealing import Key, Opener
from vecload.sealing.envelope import UNKNOWN_KEY, is_sealed
from vecload.targets import TargetIndex

CONTENTS_LOOKED_AT = 1000
"""Contents that are looked at. If one in a hundred is of another kind, one sample in 20,000 lacks it."""
IDS_ASKED = (CONTENTS_LOOKED_AT, 16_000)
"""Ids that are asked for contents: the second number only where most items have none."""
BYTES_LOOKED_AT = 32_000_000
"""Bytes of contents after which no more are looked at."""
FIRST_IDS = 5
IDS_AT_ONCE = 500
GROWTH = 10
"""Ids of the first request and of the largest, and how much larger one may be than all before it together."""
BYTES_AT_ONCE = 8_000_000
"""Approximate bytes of one answer."""


@dataclass(frozen=True, slots=True)
class StoredContents:
    """What a sample of the contents in an index is.

    Attributes:
        opened: Sealed contents that open.
        unknown: Sealed contents whose key id belongs to no known key.
        damaged: Contents that look sealed and aren't: damaged or forged. They say nothing about the index.
        unsealed: Others.
        key_ids: The unknown key ids.
    """

    opened: int = 0
    unknown: int = 0
    damaged: int = 0
    unsealed: int = 0
    key_ids: tuple[str, ...] = ()

    @property
    def looked_at(self) -> int:
        """How many contents were looked at."""
        return self.opened + self.unknown + self.damaged + self.unsealed


def look_at_contents(index: TargetIndex, opener: Opener) -> StoredContents:
    """Look at a sample of the contents that an index holds: at all of them, if they are few.

    Contents that the service can't send (`StoredItem.unreadable`) are passed over.

    Raises:
        TargetError: The target failed.
    """
    opened = unknown = damaged = unsealed = 0
    key_ids: dict[str, None] = {}
    for item_id, contents in _sample(index):
        if not is_sealed(contents):
            unsealed += 1
            continue
        try:
            opener.open(item_id, contents)
            opened += 1
        except SealError as error:
            if error.outcome == UNKNOWN_KEY:
                unknown += 1
                key_ids[error.key_id] = None
            else:
                damaged += 1
    return StoredContents(opened, unknown, damaged, unsealed, tuple(sorted(key_ids)))


def _sample(index: TargetIndex) -> Iterator[tuple[str, Contents]]:
    """Ids and contents of CONTENTS_LOOKED_AT items, or of fewer if there are no more or they are large."""
    if not index.count():
        return
    asked: set[str] = set()
    number = nbytes = 0
    for most in IDS_ASKED:
        ids = [item_id for item_id in index.sample_ids(most) if item_id not in asked]
        at = 0
        while at < len(ids):
            # Contents may be large, so the first answers, of few items, show how many items fit into one.
            fit = BYTES_AT_ONCE * len(asked) // max(nbytes, 1)
            some = ids[at : at + max(FIRST_IDS, min(fit, len(asked) * GROWTH, IDS_AT_ONCE))]
            at += len(some)
            asked.update(some)
            for item in index.get(some, ["contents"]):
                if item.contents is not None:
                    number, nbytes = number + 1, nbytes + len(item.contents)
                    yield item.id, item.contents
            if number >= CONTENTS_LOOKED_AT or nbytes >= BYTES_LOOKED_AT:
                return
        if len(asked) < most:
            return  # there are no others


class ContentsCheck:
    """Whether new contents fit those in an index.

    Args:
        seal: Whether the new ones are sealed, if the user said so; None seals them, unless others are not.
        index: The index.
        key: The key whose contents key seals them; None if there is none, and nothing is sealed.
        embed: The index makes vectors from contents, which are therefore not sealed: they decide nothing.

    Attributes:
        found: What is there; None before `run`.
        note: What the user should know although the check passed; "" if there is nothing.
    """

    def __init__(
        self, seal: bool | None, index: TargetIndex, key: Key | None, *, embed: bool = False
    ) -> None:
        self._seal = seal
        self._index = index
        self._opening_keys = () if key is None else key.opening_keys
        self._key_id = "" if key is None else key.key_id
        self._key_from = short((key.source if key is not None else "") or "the key that was given")
        self._embed = embed
        self.found: StoredContents | None = None
        self.note = ""

    @property
    def line(self) -> str:
        """What the check found, where it passed."""
        found = self.found
        if self.note or found is None:
            return self.note
        if not found.looked_at:
            return "the index holds none yet"
        if self._seal is False:
            return f"those of the index are not sealed either ({found.unsealed:,} looked at)"
        if not found.opened:
            return f"the index holds no sealed ones ({found.looked_at:,} looked at)"
        which = "those" if found.opened == found.looked_at else "the sealed ones"
        opened = f"{found.opened:,} of {found.looked_at:,} looked at"
        return f"key {self._key_id} opens {which} of the index ({opened})"

    def run(self) -> None:
        """Look at a sample of what is there.

        Raises:
            WrongKey: The contents key opens no sealed contents, or not all of them and the user did not say
                that contents are sealed.
            IndexMismatch: There are unsealed contents, and the user did not say which kind the new ones are.
            TargetError: The target failed; if the user said which kind, only if it may answer later.
        """
        self.note = ""
        name = self._index.name
        try:
            found = self.found = look_at_contents(self._index, Opener(self._opening_keys, name))
        except TargetError as error:
            if self._seal is None or error.retryable or isinstance(error, AccessRefused):
                raise
            self.note = f"the contents of index {name!r} can't be looked at ({error.args[0]})"
            return
        sealed, total = found.opened + found.unknown, found.looked_at
        if self._seal is False:
            if sealed:
                self.note = (
                    f"index {name!r} holds sealed contents ({sealed:,} of {total:,} looked at): "
                    "unsealed ones are added"
                )
            return
        keys = f"key {', '.join(found.key_ids[:3])}{', …' if len(found.key_ids) > 3 else ''}"
        if found.unknown and not found.opened:
            raise WrongKey(
                f"the contents of index {name!r} are sealed with another contents key ({keys}, not "
                f"{self._key_id} of {self._key_from})",
                hint="name its key file with --key-file, or keep the old key under old_contents_keys",
            )
        others = f"{found.unknown:,} of {sealed:,} sealed contents looked at, sealed with {keys}"
        clear = f"{found.unsealed:,} of {total:,} looked at"
        if self._seal is None and found.unknown:
            raise WrongKey(
                f"the contents key does not open all contents of index {name!r} ({others})",
                hint="keep that key under old_contents_keys, or give --seal to go on with this key alone",
            )
        if self._seal is None and found.unsealed and not self._embed:
            raise IndexMismatch(
                f"index {name!r} holds contents that are not sealed ({clear})",
                hint="--no-seal adds unsealed contents too; --seal adds sealed ones, which other clients "
                "read as ciphertext",
            )
        notes = [f"contents that this key does not open ({others})"] if found.unknown else []
        notes += [f"unsealed contents ({clear})"] if found.unsealed and not self._embed else []
        if notes:
            self.note = f"index {name!r} holds {' and '.join(notes)}: sealed ones are added"
