"""The record of shards: over which services an index was loaded from this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from vecload.errors import IndexMismatch, VecloadError
from vecload.places import short, state_folder


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
