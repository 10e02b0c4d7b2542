"""Rows with several vectors, of which each becomes a row: elements of lists, blocks of tensors, chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import orjson

from vecload.mapping.forms import Form
from vecload.mapping.names import is_contents_name
from vecload.mapping.paths import EACH, Steps, dig, one_each
from vecload.mapping.tensors import blocks_of as blocks_in
from vecload.mapping.tensors import is_tensor

Row: TypeAlias = dict[str, Any]
LABEL = "block"
"""The field that holds the name of a row's block."""
TEXT = "text"
"""The field that holds a chunk's text."""


def splitter_of(form: Form) -> Callable[[Row], list[Row]] | None:
    """What makes rows of a row, none if there is nothing in it; None if each row stays one."""
    if form.chunks:
        return lambda row: chunks_of(row, form.chunks)
    if form.each:
        return lambda row: one_each(row, form.each)
    if form.blocks:
        return lambda row: blocks_of(row, form.blocks)
    return None


def chunks_of(row: Row, way: Steps) -> list[Row]:
    """A row once for each chunk in a list, which holds its text under the name of the field that it is from.

    The chunk is then where the list was, and its text in `text`. The fields that chunks are from are left
    out: what is in them is in the chunks. A chunk of several fields is the text of an object of them.

    Args:
        row: Any.
        way: The steps to the list, and `[]`.
    """
    chunks = dig(row, way[: way.index(EACH)])
    if not isinstance(chunks, list):
        return []
    names = {
        name
        for chunk in chunks
        if isinstance(chunk, dict)
        for own, value in chunk.items()
        if isinstance(value, str)
        for name in (own, *_names_in(value))
    }
    rest = {name: value for name, value in row.items() if name not in names}
    return [_with(rest, way[: way.index(EACH)], _named_text(chunk)) for chunk in chunks]


def _names_in(text: str) -> Iterable[str]:
    """The names of the fields of an object that a text is."""
    if not text.startswith("{"):
        return ()
    try:
        value = orjson.loads(text)
    except ValueError:
        return ()
    return value.keys() if isinstance(value, dict) else ()


def _named_text(chunk: Any) -> Any:
    """A chunk with its text under one name."""
    if not isinstance(chunk, dict):
        return chunk
    texts = [value for value in chunk.values() if isinstance(value, str)]
    rest = {name: value for name, value in chunk.items() if not isinstance(value, str)}
    return {**rest, TEXT: texts[0] if len(texts) == 1 else None}


def blocks_of(row: Row, way: Steps) -> list[Row]:
    """A row once for each block of the only tensor in an object, if that has blocks.

    Vespa embeds the elements of a list of texts as blocks whose labels are their positions, so such a list of
    contents has its part in each row.

    Args:
        row: Any.
        way: The steps to the object whose fields are tensors, among others.
    """
    fields = dig(row, way)
    if not isinstance(fields, dict):
        return [row]
    tensors = [name for name, value in fields.items() if is_tensor(value) or _has_values(value)]
    blocks = blocks_in(fields[tensors[0]]) if len(tensors) == 1 else None
    if not blocks:
        return [row]
    (name,) = tensors
    kind = fields[name].get("type")
    labels = [label for label, _ in blocks]
    rows: list[Row] = []
    for label, values in blocks:
        tensor = {"values": values} if kind is None else {"type": kind, "values": values}
        texts = {
            other: _text_of(value, label, labels)
            for other, value in fields.items()
            if _are_texts(other, value)
        }
        rows.append({**_with(row, way, {**fields, **texts, name: tensor}), LABEL: label})
    return rows


def _has_values(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("values"), list)


def _are_texts(name: str, value: Any) -> bool:
    return is_contents_name(name) and isinstance(value, list) and all(isinstance(one, str) for one in value)


def _text_of(texts: Sequence[str], label: str, labels: Sequence[str]) -> Any:
    """The text at a label, if all labels are positions of texts; else the list."""
    places = set(map(str, range(len(texts))))
    return texts[int(label)] if places.issuperset(labels) else texts


def _with(row: Any, way: Sequence[str], value: Any) -> Any:
    """A row with another value at some steps."""
    if not way:
        return value
    return {**row, way[0]: _with(row[way[0]], way[1:], value)}
