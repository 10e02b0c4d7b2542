"""Mapper: turns rows of a source into a validated Batch and its rejects; generates ids and checks limits."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from vecload.batch import Batch, Contents, Metadata, Origin, Vectors
from vecload.errors import MappingError
from vecload.mapping.contents_choice import fault_of_cleartext, find_cleartext
from vecload.mapping.json_rows import fault_of_contents
from vecload.mapping.mapping import ColumnMapping, Rules
from vecload.mapping.nested_rows import NestedRows
from vecload.mapping.rows import Fault, Mapped, Rows, check_values, fault_of_id
from vecload.targets.wire import dumps

DIGEST_BYTES = 16
"""An id has 32 hexadecimal digits. Among 10^9 items, two share one with a probability of 10^-21."""
UNUSABLE = ("missing", "not-text")
"""Faults of ids that are replaced by generated ones. Empty or too long text is still a fault."""
_DEFAULT_RULES = Rules()


class Mapper:
    """Maps rows to batches for one index.

    Args:
        mapping: Which column is which.
        dimension: Length of every vector; 0 if rows have none.
        allow_zero_vectors: Accept vectors of zeros, which the engine can't return.
        keep_rows: Keep the rows in their rejects.
    """

    def __init__(
        self,
        mapping: ColumnMapping,
        dimension: int,
        *,
        allow_zero_vectors: bool = False,
        keep_rows: bool = False,
    ) -> None:
        self.mapping = mapping
        self.dimension = dimension
        self._allow_zero = allow_zero_vectors
        self.keep_rows = keep_rows

    def ids(self, rows: Rows) -> list[str]:
        """The ids of the rows in their source; "" if a row has none."""
        mapping = self.mapping
        if mapping.id is None:
            return [""] * len(rows.span)
        return _joined(rows_for(rows, mapping), mapping).values

    def _dimension_of(self, rows: Rows) -> int:
        """The index's dimension; where only the model decides it, that of these rows."""
        if self.dimension or not self.mapping.embed:
            return self.dimension
        return common_dimension(rows, self.mapping, rows.span.source)

    def map(self, rows: Rows) -> Batch:
        """A batch of the rows that can be mapped; the others are its rejects."""
        mapping, rules = self.mapping, self.mapping.rules
        rows = rows_for(rows, mapping)
        faults: dict[int, Fault] = dict(rows.broken)
        ids = _no_ids(len(rows.span)) if mapping.id is None else _joined(rows, mapping)
        vectors = to_embed = None
        found = [ids.faults]
        if mapping.vector is not None:
            mapped = rows.vectors(mapping.vector, self._dimension_of(rows), rules.vector_dtype)
            vectors = mapped.values
            wrong = check_values(vectors, allow_zero=self._allow_zero)
            found += [mapped.faults, wrong]
            if mapping.embed:
                to_embed = _lacking(mapped)
                found[1:] = [_others(faults, to_embed) for faults in found[1:]]
        metadata = rows.metadata(mapping)
        found.append(metadata.faults)
        if mapping.cleartext_allowed is not None:
            found.append(_cleartext_faults(metadata, mapping))
        contents = _contents(rows, mapping)
        if contents is not None:
            found.append(contents.faults)
        if mapping.vector is None or to_embed is not None:
            given = (contents and contents.values) or [None] * len(rows.span)
            found.append(_unembeddable(given, to_embed))
        texts = contents.values if contents is not None else None
        if rules != _DEFAULT_RULES:
            ids = with_ids(ids, rules, vectors, metadata.values, texts, to_embed, first=rows.span.start)
            found[0] = ids.faults
            found += faults_beyond_limits(rules, ids.values, metadata.values, texts)
        for column in mapping.unsupported:
            sparse = Fault(
                "vector", "sparse", f"has sparse values in {column!r}, which the index can't store"
            )
            found.append(dict.fromkeys(rows.non_empty_rows(column), sparse))
        if to_embed is not None and to_embed.all():
            vectors = to_embed = None
        for part in found:
            for position, fault in part.items():
                faults.setdefault(position, fault)

        batch = Batch(
            ids=ids.values,
            vectors=vectors,
            to_embed=to_embed,
            metadata=metadata.values,
            contents=texts,
            span=rows.span,
            origin=Origin(rows.offsets, rows.raw if self.keep_rows else None),
            nan_left_out=sum(position not in faults for position in metadata.nan),
        )
        return _without(batch, faults) if faults else batch


def _lacking(mapped: Mapped[Vectors]) -> NDArray[np.bool_] | None:
    """Which rows have no vector at all: bool, shape (n,); None if all have one."""
    positions = [position for position, fault in mapped.faults.items() if fault.code == "missing"]
    if not positions:
        return None
    lacking = np.zeros(len(mapped.values), dtype=np.bool_)
    lacking[positions] = True
    return lacking


def _others(faults: Mapping[int, Fault], lacking: NDArray[np.bool_] | None) -> Mapping[int, Fault]:
    """The faults of rows that have a vector."""
    if lacking is None:
        return faults
    return {position: fault for position, fault in faults.items() if not lacking[position]}


def _unembeddable(contents: Sequence[Contents | None], lacking: NDArray[np.bool_] | None) -> dict[int, Fault]:
    """Faults of rows whose vector the index can't make.

    Args:
        contents: n texts, bytes or None each.
        lacking: Which rows have no vector; None if none has one.
    """
    missing = Fault("contents", "missing", "are missing, and the index computes its vectors from them")
    neither = Fault("vector", "missing", "is missing, and so are contents from which the index could make it")
    faults: dict[int, Fault] = {}
    for position in range(len(contents)) if lacking is None else np.flatnonzero(lacking).tolist():
        value = contents[position]
        if not value:
            faults[position] = missing if lacking is None else neither
        elif isinstance(value, bytes):
            faults[position] = Fault("contents", "not-text", "are bytes, and the index makes vectors of text")
    return faults


def rows_for(rows: Rows, mapping: ColumnMapping) -> Rows:
    """The rows as a mapping and its rules need them."""
    rows = rows.with_rules(mapping.rules)
    return NestedRows(rows, mapping) if mapping.needs_nested_rows else rows


def _joined(rows: Rows, mapping: ColumnMapping) -> Mapped[list[str]]:
    """The ids; the values of several columns are joined.

    Only the first value may contain the separator: otherwise, different rows could get the same id.
    """
    first, *more = (rows.ids(column) for column in mapping.ids)
    if not more:
        return first
    separator = mapping.rules.id_separator
    faults = {**first.faults}
    for column, part in zip(mapping.more_ids, more, strict=True):
        for position, fault in part.faults.items():
            faults.setdefault(position, fault)
        for position, value in enumerate(part.values):
            if separator in value:
                message = (
                    f"contains {separator!r} in {column!r}, so it is ambiguous: choose another --id-separator"
                )
                faults.setdefault(position, Fault("id", "separator", message))
    joined = [
        separator.join(values) for values in zip(first.values, *(part.values for part in more), strict=True)
    ]
    for position, value in enumerate(joined):
        if position not in faults and (wrong := fault_of_id(value)) is not None:
            faults[position] = wrong
    return Mapped(["" if position in faults else value for position, value in enumerate(joined)], faults)


def _contents(rows: Rows, mapping: ColumnMapping) -> Mapped[list[Contents | None] | None] | None:
    """The contents: those of one column, or the JSON object of several; None if there are none."""
    if mapping.contents is not None and mapping.contents_bytes is not None:
        return _either(rows.contents(mapping.contents), rows.contents(mapping.contents_bytes))
    if not mapping.more_contents:
        return None if mapping.contents is None else rows.contents(mapping.contents)
    columns = mapping.all_contents
    found = rows.metadata(
        replace(mapping, metadata_object=None, metadata_fields=columns, excluded_fields=(), renamed=())
    )
    faults = {position: replace(fault, field="contents") for position, fault in found.faults.items()}
    values: list[Contents | None] = []
    for entries in found.values or [None] * len(rows.span):
        given = entries or {}
        ordered = {name: given[name] for name in columns if given.get(name) is not None}
        values.append(dumps(ordered).decode() if ordered else None)
    for position, value in enumerate(values):
        if (wrong := fault_of_contents(value)) is not None:
            faults.setdefault(position, wrong)
            values[position] = None
    return Mapped(values if any(values) else None, faults)


def _either(
    texts: Mapped[list[Contents | None] | None], others: Mapped[list[Contents | None] | None]
) -> Mapped[list[Contents | None] | None]:
    """Contents of two columns, of which a row has one."""
    if texts.values is None or others.values is None:
        return Mapped(texts.values or others.values, {**others.faults, **texts.faults})
    faults = {**others.faults, **texts.faults}
    both = [*zip(texts.values, others.values, strict=True)]
    for position, (text, other) in enumerate(both):
        if text is not None and other is not None:
            faults.setdefault(position, Fault("contents", "two", "are given twice, as text and as bytes"))
    return Mapped([other if text is None else text for text, other in both], faults)


def _cleartext_faults(
    metadata: Mapped[list[Metadata | None] | None], mapping: ColumnMapping
) -> dict[int, Fault]:
    """Faults of rows whose metadata has text under a name of contents that the user did not name."""
    clear = mapping.cleartext_allowed or frozenset()
    # The name of a contents column means contents everywhere.
    ways = dict(mapping.nested)
    also = frozenset(ways.get(path, (path,))[-1] for path in mapping.all_contents)
    faults: dict[int, Fault] = {}
    for position, entries in enumerate(metadata.values or ()):
        path = find_cleartext(entries, clear, also) if entries else None
        if path is not None:
            faults[position] = fault_of_cleartext(path, mapping.metadata_object)
    return faults


def _no_ids(count: int) -> Mapped[list[str]]:
    missing = Fault("id", "missing", "is missing")
    return Mapped([""] * count, dict.fromkeys(range(count), missing))


def common_dimension(rows: Rows, mapping: ColumnMapping, source: str, known: int | None = None) -> int:
    """The length of most vectors in the first rows; 0 if items have none, or if they need none.

    Args:
        rows: The first rows.
        mapping: Which column is which.
        source: For messages.
        known: The result if no row has a vector.

    Raises:
        MappingError: No row has a vector, and the length is not known otherwise.
    """
    if mapping.vector is None:
        return 0
    found = rows_for(rows, mapping).vector_lengths(mapping.vector, mapping.rules.vector_dtype)
    lengths = Counter(length for length in found.tolist() if length > 0)
    if not lengths and known:
        return known
    if not lengths and mapping.embed:
        return 0
    if not lengths:
        raise MappingError(
            f"column {mapping.vector!r} of {source} has no vector in its first {len(rows.span)} rows",
            hint="name another column with --vector-column, or give the dimension with --dimension",
        )
    return int(lengths.most_common(1)[0][0])


def _without(batch: Batch, faults: dict[int, Fault]) -> Batch:
    """The batch without the rows with faults, which become its rejects."""
    span = batch.span
    keep = np.ones(len(batch), dtype=np.bool_)
    keep[list(faults)] = False
    rejects = [
        batch.origin.reject(
            span, span.start + position, fault.field, fault.code, fault.message, batch.ids[position] or None
        )
        for position, fault in faults.items()
    ]
    return batch.keep_only(keep, rejects)


def generated_id(vector: bytes, metadata: Metadata | None, contents: Contents | None) -> str:
    """A digest of an item: equal items get equal ids, whatever file they come from.

    Args:
        vector: Its float32 values as bytes; empty if the index embeds.
        metadata: Its metadata; the order of keys does not matter.
        contents: Its contents; text and bytes differ.
    """
    return hashlib.blake2b(
        item_bytes(vector, metadata, contents), digest_size=DIGEST_BYTES, person=b"vecload item id"
    ).hexdigest()


def item_bytes(vector: bytes, metadata: Metadata | None, contents: Contents | None) -> bytes:
    """An item without its id as bytes, for digests: different items have different bytes.

    Args:
        vector: Its float32 values as bytes; empty if the index embeds.
        metadata: Its metadata; the order of keys does not matter, types do.
        contents: Its contents; text and bytes differ.
    """
    text = _canonical(metadata) if metadata else b"{}"
    if contents is None:
        kind, body = _NO_CONTENTS, b""
    elif isinstance(contents, str):
        kind, body = _TEXT, contents.encode()
    else:
        kind, body = _BYTES, contents
    return b"".join(
        (
            *(len(vector).to_bytes(8, "little"), vector, len(text).to_bytes(8, "little"), text),
            *(kind, len(body).to_bytes(8, "little"), body),
        )
    )


_NO_CONTENTS, _TEXT, _BYTES = (
    len(kind).to_bytes(8, "little") + kind for kind in (b"none", b"text", b"bytes")
)


def with_ids(
    ids: Mapped[list[str]],
    rules: Rules,
    vectors: Vectors | None,
    metadata: Sequence[Metadata | None] | None,
    contents: Sequence[Contents | None] | None,
    to_embed: NDArray[np.bool_] | None = None,
    *,
    first: int = 0,
) -> Mapped[list[str]]:
    """Ids with generated ones where the rules ask for them, and with the prefix.

    Args:
        ids: n ids of the source.
        rules: The load's rules.
        vectors: float32, shape (n, dim); None if the index embeds.
        metadata: n objects or None each; None if no row has metadata.
        contents: n texts, bytes or None each; None if no row has contents.
        to_embed: bool, shape (n,): rows without a vector; None if all have one, or none has.
        first: The number of the first row in its source.
    """
    values, faults = ids.values, dict(ids.faults)
    if rules.generate_ids:
        values = [*values]
        for position in [p for p, fault in faults.items() if fault.code in UNUSABLE]:
            del faults[position]
            if rules.generate_ids == "rows":
                values[position] = str(first + position)
                continue
            values[position] = generated_id(
                b""
                if vectors is None or (to_embed is not None and to_embed[position])
                else vectors[position].tobytes(),
                None if metadata is None else metadata[position],
                None if contents is None else contents[position],
            )
    if rules.id_prefix:
        values = [rules.id_prefix + value if value else value for value in values]
    return Mapped(values, faults)


def _canonical(metadata: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # An integer beyond 64 bits.
        return json.dumps(metadata, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def faults_beyond_limits(
    rules: Rules,
    ids: Sequence[str],
    metadata: Sequence[Metadata | None] | None,
    contents: Sequence[Contents | None] | None,
) -> list[dict[int, Fault]]:
    """Faults of items beyond the limits that the load sets itself, by position: one dict per part."""
    default = Rules()
    found: list[dict[int, Fault]] = []
    if rules.max_id_bytes != default.max_id_bytes or rules.id_prefix:
        found.append(oversized_ids(ids, rules.max_id_bytes))
    if contents is not None and rules.max_contents_bytes != default.max_contents_bytes:
        found.append(oversized_contents(contents, rules.max_contents_bytes))
    depth = rules.max_depth if rules.max_depth != default.max_depth else None
    if metadata is not None and (rules.max_metadata_bytes is not None or depth is not None):
        found.append(oversized_metadata(metadata, most_bytes=rules.max_metadata_bytes, depth=depth))
    return found


def oversized_ids(ids: Sequence[str], most: int) -> dict[int, Fault]:
    """Faults of ids with more bytes."""
    return {
        position: Fault("id", "long-id", f"is {size} bytes long; at most {most} are allowed")
        for position, item_id in enumerate(ids)
        if len(item_id) * 4 > most and (size := len(item_id.encode("utf-8", "replace"))) > most
    }


def oversized_contents(contents: Sequence[Contents | None], most: int) -> dict[int, Fault]:
    """Faults of contents with more bytes."""
    faults: dict[int, Fault] = {}
    for position, value in enumerate(contents):
        if value is None or len(value) * 4 <= most:
            continue
        size = len(value) if isinstance(value, bytes) else len(value.encode("utf-8", "replace"))
        if size > most:
            faults[position] = Fault(
                "contents", "too-large", f"are {size:,} bytes; at most {most:,} are allowed"
            )
    return faults


def oversized_metadata(
    metadata: Sequence[Metadata | None], *, most_bytes: int | None, depth: int | None
) -> dict[int, Fault]:
    """Faults of metadata whose JSON text is longer, or which is nested deeper. None is no limit."""
    faults: dict[int, Fault] = {}
    for position, entries in enumerate(metadata):
        if entries is None:
            continue
        if depth is not None and any(_deeper(value, depth) for value in entries.values()):
            faults[position] = Fault("metadata", "too-deep", f"is nested deeper than {depth}")
        elif most_bytes is not None and (size := _size(entries)) > most_bytes:
            faults[position] = Fault(
                "metadata", "too-large", f"is {size:,} bytes of JSON; at most {most_bytes:,} are allowed"
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
