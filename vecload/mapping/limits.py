"""Limits that a load sets itself, below those that hold for every one (`vecload/mapping/rows.py`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson

from vecload.batch import Contents, Metadata
from vecload.mapping.rows import Fault
from vecload.mapping.rules import Rules


def faults_of_limits(
    rules: Rules,
    ids: Sequence[str],
    metadata: Sequence[Metadata | None] | None,
    contents: Sequence[Contents | None] | None,
) -> list[dict[int, Fault]]:
    """What of n items is beyond the load's own limits: faults by position, part by part."""
    usual = Rules()
    found: list[dict[int, Fault]] = []
    if rules.max_id_bytes != usual.max_id_bytes or rules.id_prefix:
        found.append(faults_of_ids(ids, rules.max_id_bytes))
    if contents is not None and rules.max_contents_bytes != usual.max_contents_bytes:
        found.append(faults_of_contents(contents, rules.max_contents_bytes))
    depth = rules.max_depth if rules.max_depth != usual.max_depth else None
    if metadata is not None and (rules.max_metadata_bytes is not None or depth is not None):
        found.append(faults_of_metadata(metadata, most_bytes=rules.max_metadata_bytes, depth=depth))
    return found


def faults_of_ids(ids: Sequence[str], most: int) -> dict[int, Fault]:
    """Ids of more bytes than that."""
    return {
        position: Fault("id", "long-id", f"is {size} bytes long; {most} are allowed")
        for position, item_id in enumerate(ids)
        if len(item_id) * 4 > most and (size := len(item_id.encode("utf-8", "replace"))) > most
    }


def faults_of_contents(contents: Sequence[Contents | None], most: int) -> dict[int, Fault]:
    """Contents of more bytes than that."""
    faults: dict[int, Fault] = {}
    for position, value in enumerate(contents):
        if value is None or len(value) * 4 <= most:
            continue
        size = len(value) if isinstance(value, bytes) else len(value.encode("utf-8", "replace"))
        if size > most:
            faults[position] = Fault("contents", "too-large", f"are {size:,} bytes; {most:,} are allowed")
    return faults


def faults_of_metadata(
    metadata: Sequence[Metadata | None], *, most_bytes: int | None, depth: int | None
) -> dict[int, Fault]:
    """Metadata whose JSON text is longer, or which is nested deeper than that; None is no limit."""
    faults: dict[int, Fault] = {}
    for position, entries in enumerate(metadata):
        if entries is None:
            continue
        if depth is not None and any(_deeper(value, depth) for value in entries.values()):
            faults[position] = Fault("metadata", "too-deep", f"is nested deeper than {depth}")
        elif most_bytes is not None and (size := _size(entries)) > most_bytes:
            faults[position] = Fault(
                "metadata", "too-large", f"is {size:,} bytes of JSON; {most_bytes:,} are allowed"
            )
    return faults


def _deeper(value: Any, room: int) -> bool:
    if type(value) is not dict and type(value) is not list:
        return False
    if not room:
        return True
    return any(_deeper(inner, room - 1) for inner in (value.values() if type(value) is dict else value))


def _size(entries: Metadata) -> int:
    try:
        return len(orjson.dumps(entries))
    except TypeError:
        # An integer beyond 64 bits.
        return len(json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode())
