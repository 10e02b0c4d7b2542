"""Mapper: rows of a source into a validated Batch and its rejects."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from vecload.batch import Batch, Contents, Metadata, Origin
from vecload.errors import MappingError
from vecload.mapping.chosen import Mapping
from vecload.mapping.contents_choice import clear_text_in, fault_of_clear_text
from vecload.mapping.generated_ids import with_ids
from vecload.mapping.json_rows import fault_of_contents
from vecload.mapping.limits import faults_of_limits
from vecload.mapping.reshaped import ReshapedRows
from vecload.mapping.rows import Fault, Mapped, Rows, check_values, fault_of_id
from vecload.mapping.rules import Rules
from vecload.targets.wire import dumps

_USUAL = Rules()


class Mapper:
    """Maps rows to batches for one index.

    Args:
        mapping: Which column is which.
        dimension: Values of every vector; 0 where rows have none.
        allow_zero_vectors: Let vectors of zeros pass, which the engine can't give back.
        keep_rows: Let rejects hold their rows.
    """

    def __init__(
        self,
        mapping: Mapping,
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
        """The ids that the rows have in their source; "" where they have none."""
        mapping = self.mapping
        if mapping.id is None:
            return [""] * len(rows.span)
        return _joined(reshaped(rows, mapping), mapping).values

    def map(self, rows: Rows) -> Batch:
        """The items of the rows that can be mapped; the others are the batch's rejects."""
        mapping, rules = self.mapping, self.mapping.rules
        rows = reshaped(rows, mapping)
        faults: dict[int, Fault] = dict(rows.broken)
        ids = _no_ids(len(rows.span)) if mapping.id is None else _joined(rows, mapping)
        vectors = None
        found = [ids.faults]
        if mapping.vector is not None:
            mapped = rows.vectors(mapping.vector, self.dimension, rules.vector_dtype)
            vectors = mapped.values
            wrong = check_values(vectors, allow_zero=self._allow_zero)
            found += [mapped.faults, wrong]
        metadata = rows.metadata(mapping)
        found.append(metadata.faults)
        if mapping.clear is not None:
            found.append(_clear_texts(metadata, mapping))
        contents = _contents(rows, mapping)
        if contents is not None:
            found.append(contents.faults)
        if mapping.vector is None:
            given = (contents and contents.values) or [None] * len(rows.span)
            needed = Fault("contents", "missing", "are missing, and the index makes its vectors of them")
            found.append({position: needed for position, value in enumerate(given) if not value})
        texts = contents.values if contents is not None else None
        if rules != _USUAL:
            ids = with_ids(ids, rules, vectors, metadata.values, texts)
            found[0] = ids.faults
            found += faults_of_limits(rules, ids.values, metadata.values, texts)
        for column in mapping.refused:
            told = f"has something in {column!r}, sparse values, which the index can't hold"
            found.append(dict.fromkeys(rows.present(column), Fault("vector", "sparse", told)))
        for part in found:
            for position, fault in part.items():
                faults.setdefault(position, fault)

        batch = Batch(
            ids=ids.values,
            vectors=vectors,
            metadata=metadata.values,
            contents=texts,
            span=rows.span,
            origin=Origin(rows.offsets, rows.raw if self.keep_rows else None),
            nan_left_out=sum(position not in faults for position in metadata.nan),
        )
        return _without(batch, faults) if faults else batch


def reshaped(rows: Rows, mapping: Mapping) -> Rows:
    """The rows as the mapping and its rules see them."""
    rows = rows.under(mapping.rules)
    return ReshapedRows(rows, mapping) if mapping.reshapes else rows


def _joined(rows: Rows, mapping: Mapping) -> Mapped[list[str]]:
    """The ids; those of several columns joined.

    Only the first may have the separator in it: else two rows of different values could have one id.
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
                told = (
                    f"has {separator!r} in {column!r}: choose another --id-separator, or its end is not known"
                )
                faults.setdefault(position, Fault("id", "separator", told))
    joined = [
        separator.join(values) for values in zip(first.values, *(part.values for part in more), strict=True)
    ]
    for position, value in enumerate(joined):
        if position not in faults and (wrong := fault_of_id(value)) is not None:
            faults[position] = wrong
    return Mapped(["" if position in faults else value for position, value in enumerate(joined)], faults)


def _contents(rows: Rows, mapping: Mapping) -> Mapped[list[Contents | None] | None] | None:
    """The contents: of one column as they are, of several the JSON text of one object; None without any."""
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


def _clear_texts(metadata: Mapped[list[Metadata | None] | None], mapping: Mapping) -> dict[int, Fault]:
    """Rows whose metadata has text under a name of contents, which nobody asked for."""
    clear = mapping.clear or frozenset()
    # What was named as contents is contents wherever it stands.
    ways = dict(mapping.nested)
    also = frozenset(ways.get(path, (path,))[-1] for path in mapping.all_contents)
    faults: dict[int, Fault] = {}
    for position, entries in enumerate(metadata.values or ()):
        path = clear_text_in(entries, clear, also) if entries else None
        if path is not None:
            faults[position] = fault_of_clear_text(path, mapping.metadata_object)
    return faults


def _no_ids(count: int) -> Mapped[list[str]]:
    missing = Fault("id", "missing", "is missing")
    return Mapped([""] * count, dict.fromkeys(range(count), missing))


def common_dimension(rows: Rows, mapping: Mapping, source: str, known: int | None = None) -> int:
    """The length that most of the first rows' vectors have; 0 where rows have none.

    Args:
        rows: The first.
        mapping: Which column is which.
        source: For messages.
        known: Taken where no row has a vector.

    Raises:
        MappingError: No row has a vector, and nothing else tells.
    """
    if mapping.vector is None:
        return 0
    found = reshaped(rows, mapping).vector_lengths(mapping.vector, mapping.rules.vector_dtype)
    lengths = Counter(length for length in found.tolist() if length > 0)
    if not lengths and known:
        return known
    if not lengths:
        raise MappingError(
            f"column {mapping.vector!r} of {source} holds no vector in its first {len(rows.span)} rows",
            hint="name another with --vector-column, or how many values they have with --dimension",
        )
    return int(lengths.most_common(1)[0][0])


def _without(batch: Batch, faults: dict[int, Fault]) -> Batch:
    """The batch less the rows with faults, which become its rejects."""
    span = batch.span
    keep = np.ones(len(batch), dtype=np.bool_)
    keep[list(faults)] = False
    rejects = [
        batch.origin.reject(
            span, span.start + position, fault.field, fault.code, fault.message, batch.ids[position] or None
        )
        for position, fault in faults.items()
    ]
    return batch.less(keep, rejects)
