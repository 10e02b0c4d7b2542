"""Values as people are shown them: shortened, on one line."""

from __future__ import annotations

from typing import Any

import orjson

from vecload.batch import Batch
from vecload.targets.wire import dumps

VECTOR_VALUES = 3
TEXT_CHARACTERS = 60
METADATA_CHARACTERS = 160


def shown_items(batch: Batch, count: int) -> list[dict[str, Any]]:
    """The first items of a batch as JSON objects, their values shortened.

    `vector` and `contents` are texts for people; `metadata` is JSON text, cut where it is long.
    """
    rows = batch.item_rows()
    items: list[dict[str, Any]] = []
    for i in range(min(count, len(batch))):
        item: dict[str, Any] = {"row": int(rows[i]), "id": shortened(batch.ids[i])}
        if batch.vectors is not None:
            item["vector"] = shown_vector(batch.vectors[i].tolist())
        if batch.metadata is not None and batch.metadata[i]:
            item["metadata"] = shortened(dumps(batch.metadata[i]).decode(), METADATA_CHARACTERS)
        if batch.contents is not None and batch.contents[i] is not None:
            item["contents"] = shown_contents(batch.contents[i])
        items.append(item)
    return items


def shown_vector(values: list[float]) -> str:
    """The first values of a vector, and how many there are."""
    first = ", ".join(f"{value:.4g}" for value in values[:VECTOR_VALUES])
    return f"[{first}{', …' if len(values) > VECTOR_VALUES else ''}] {len(values):,} values"


def shown_contents(contents: str | bytes | None) -> str:
    """The beginning of contents, and how long they are."""
    if isinstance(contents, bytes):
        return f"{contents[:16].hex(' ')}{' …' if len(contents) > 16 else ''} ({len(contents):,} bytes)"
    text = contents or ""
    return f"{orjson.dumps(shortened(text)).decode()} ({len(text):,} characters)"


def shortened(text: str, characters: int = TEXT_CHARACTERS) -> str:
    """A text cut to that many characters, on one line."""
    cut = text if len(text) <= characters else text[: characters - 1] + "…"
    return "".join(c if c.isprintable() else " " for c in cut)
