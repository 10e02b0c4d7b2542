"""Mapper: rows of a source into a validated Batch and its rejects."""

from __future__ import annotations

from collections import Counter

import numpy as np

from vecload.batch import Batch, Origin
from vecload.errors import MappingError
from vecload.mapping.chosen import Mapping
from vecload.mapping.generated_ids import with_ids
from vecload.mapping.limits import faults_of_limits
from vecload.mapping.reshaped import ReshapedRows
from vecload.mapping.rows import Fault, Mapped, Rows, check_values
from vecload.mapping.rules import Rules

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
        return reshaped(rows, mapping).ids(mapping.id).values

    def map(self, rows: Rows) -> Batch:
        """The items of the rows that can be mapped; the others are the batch's rejects."""
        mapping, rules = self.mapping, self.mapping.rules
        rows = reshaped(rows, mapping)
        faults: dict[int, Fault] = dict(rows.broken)
        ids = _no_ids(len(rows.span)) if mapping.id is None else rows.ids(mapping.id)
        vectors = None
        found = [ids.faults]
        if mapping.vector is not None:
            mapped = rows.vectors(mapping.vector, self.dimension, rules.vector_dtype)
            vectors = mapped.values
            wrong = check_values(vectors, allow_zero=self._allow_zero)
            found += [mapped.faults, wrong]
        metadata = rows.metadata(mapping)
        found.append(metadata.faults)
        contents = rows.contents(mapping.contents) if mapping.contents is not None else None
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
        )
        return _without(batch, faults) if faults else batch


def reshaped(rows: Rows, mapping: Mapping) -> Rows:
    """The rows as the mapping sees them; the rows themselves where every part is a column."""
    return ReshapedRows(rows, mapping) if mapping.reshapes else rows


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
