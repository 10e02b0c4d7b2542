"""Ids made of what a row becomes, so that the same row has the same id in every load and in every file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import orjson

from vecload.batch import Contents, Metadata, Vectors
from vecload.mapping.rows import Mapped
from vecload.mapping.rules import Rules

DIGEST_BYTES = 16
"""The hexadecimal id has 32 characters; among 10^9 items two different ones share one with odds of 10^-21."""
UNUSABLE = ("missing", "not-text")
"""Faults of an id in whose place one is made; what is text but empty or too long is still a mistake."""


def generated_id(vector: bytes, metadata: Metadata | None, contents: Contents | None) -> str:
    """A digest of an item: equal items have equal ids, whatever file they come from.

    Args:
        vector: Its float32 values as bytes; none where the index embeds.
        metadata: Its metadata; the order of keys doesn't count.
        contents: Its contents; text and bytes are different.
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES, person=b"vecload item id")
    kind = b"none" if contents is None else b"text" if isinstance(contents, str) else b"bytes"
    body = contents.encode() if isinstance(contents, str) else contents or b""
    for part in (vector, _canonical(metadata or {}), kind, body):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def with_ids(
    ids: Mapped[list[str]],
    rules: Rules,
    vectors: Vectors | None,
    metadata: Sequence[Metadata | None] | None,
    contents: Sequence[Contents | None] | None,
) -> Mapped[list[str]]:
    """Ids with those made that were asked for, and the prefix before all of them.

    Args:
        ids: n ids as they were found.
        rules: The load's.
        vectors: float32, shape (n, dim); None where the index embeds.
        metadata: n objects or None each; None for all where no row has any.
        contents: n texts, bytes or None each; None for all where no row has any.
    """
    values, faults = ids.values, dict(ids.faults)
    if rules.generate_ids:
        values = [*values]
        for position in [p for p, fault in faults.items() if fault.code in UNUSABLE]:
            values[position] = generated_id(
                b"" if vectors is None else vectors[position].tobytes(),
                None if metadata is None else metadata[position],
                None if contents is None else contents[position],
            )
            del faults[position]
    if rules.id_prefix:
        values = [rules.id_prefix + value if value else value for value in values]
    return Mapped(values, faults)


def _canonical(metadata: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # An integer beyond 64 bits.
        return json.dumps(metadata, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
