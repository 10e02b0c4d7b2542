"""Records of shards: on this machine, over which services an index was loaded; on each service, a mark."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vecload.errors import IndexMismatch, VecloadError
from vecload.places import short, state_folder
from vecload.targets.base import IndexInfo

_MARK = re.compile(r"vecload_shard_([0-9]+)_of_([0-9]+)(?:_([0-9a-f]+))?")


@dataclass(frozen=True, slots=True)
class ShardMark:
    """What the creation of an index recorded on a shard: a metadata field that no item has.

    With the default policy, such a field changes nothing.

    Attributes:
        number: Which shard it is, from 1.
        of: Of how many.
        together: A random number, as hex: the same on the shards that were created together. "" if the index
            was created by a version that recorded none.
    """

    number: int
    of: int
    together: str = ""

    @property
    def field(self) -> str:
        """The name of the field."""
        return f"vecload_shard_{self.number}_of_{self.of}" + (f"_{self.together}" if self.together else "")


def mark_of(info: IndexInfo) -> ShardMark | None:
    """The mark of a shard; None if it has none."""
    found = next(filter(None, map(_MARK.fullmatch, info.metadata_schema)), None)
    return None if found is None else ShardMark(int(found[1]), int(found[2]), found[3] or "")


def is_mark(name: str) -> bool:
    """Whether a metadata field is the mark of a shard."""
    return _MARK.fullmatch(name) is not None


def check_recorded(name: str, index_key: bytes | None, locations: Sequence[str]) -> None:
    """Refuse another list of shards than the one that is recorded for an index.

    Args:
        name: The index.
        index_key: Its key; two indexes of one name are told apart by it.
        locations: The shards, in their order.

    Raises:
        IndexMismatch: Another list is recorded.
    """
    try:
        file = _file(name, index_key)
        known = json.loads(file.read_text())["shards"]
    except (OSError, ValueError, KeyError, TypeError, VecloadError):
        return  # nothing is recorded, or there is no place for records: items tell, too
    if known != [*locations]:
        raise IndexMismatch(
            f"index {name!r} was loaded over other shards: {','.join(map(str, known))}",
            hint=f"name these, in this order; if only their addresses changed, delete {short(str(file))}",
        )


def record(name: str, index_key: bytes | None, locations: Sequence[str]) -> None:
    """Record the shards of an index. A folder that can't be written is no reason to stop: items tell, too."""
    with suppress(OSError, VecloadError):
        file = _file(name, index_key)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_text(json.dumps({"index": name, "shards": [*locations]}))


def _file(name: str, index_key: bytes | None) -> Path:
    what = b"vecload shards\0" + name.encode() + b"\0" + (index_key or b"")
    return state_folder().with_name("shards") / f"{hashlib.sha256(what).hexdigest()[:24]}.json"
