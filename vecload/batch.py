"""Batch and Span: the values that flow from the readers to the target."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float32]
Metadata: TypeAlias = dict[str, Any]
Contents: TypeAlias = str | bytes


@dataclass(frozen=True, slots=True)
class Span:
    """Rows `[start, stop)` of one source.

    `begin` and `end` are the byte offsets of these rows if the source is read by lines, else None.
    """

    source: str
    start: int
    stop: int
    begin: int | None = None
    end: int | None = None

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that can't be loaded, and why.

    `code` is a short fixed name for scripts, `message` a clause for people. Neither contains values of the
    row. Only `raw` does: the whole row as JSON text, if the user asked for it.
    """

    source: str
    row: int
    field: str
    code: str
    message: str
    id: str | None = None
    offset: int | None = None
    raw: str | None = dataclasses.field(default=None, repr=False)

    def __str__(self) -> str:
        where = f"{self.source}, row {self.row}"
        item = f" (id {self.id!r})" if self.id else ""
        return f"{where}{item}: {self.field}: {self.message}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the rows of a span are in the source, and what they were. Positions count from the span's start.

    offsets: the byte offset of each row, if the source is read by lines.
    raw: returns a whole row as JSON text; None if rejects do not keep their rows.
    """

    offsets: Sequence[int] | None = None
    raw: Callable[[int], str] | None = dataclasses.field(default=None, repr=False)

    def part(self, start: int, stop: int) -> Origin:
        """The origin of the rows `[start, stop)`, counted from the span's start."""
        raw = self.raw
        return Origin(
            None if self.offsets is None else self.offsets[start:stop],
            None if raw is None else lambda position: raw(start + position),
        )

    def begin_of(self, position: int, default: int | None) -> int | None:
        """The byte offset of a row; `default` for a row after the last one, or if there are no offsets."""
        if self.offsets is None or position >= len(self.offsets):
            return default
        return self.offsets[position]

    def reject(self, span: Span, row: int, field: str, code: str, message: str, id: str | None) -> Reject:  # noqa: A002 the field's own name
        """The reject of one row of the span."""
        position = row - span.start
        return Reject(
            source=span.source,
            row=row,
            field=field,
            code=code,
            message=message,
            id=id,
            offset=None if self.offsets is None else self.offsets[position],
            raw=None if self.raw is None else self.raw(position),
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Validated items of one span, as columns. One request sends one batch.

    ids: n texts, in the order of the rows.
    vectors: float32, C-contiguous, shape (n, dim); None if no item has one, and the index makes them
        from the contents.
    metadata: n JSON objects or None each; None if no item has metadata.
    contents: n texts, bytes or None each; None if no item has contents.
    span: the rows these items come from. Rows of it that are not in `rows` were rejected or passed.
    rows: int64, shape (n,): the row number of each item; None if every row of the span became an item.
    rejects: the rows of the span that did not become items.
    origin: where the rows are in the source.
    nan_left_out: how many metadata values were NaN and were therefore omitted.
    to_embed: bool, shape (n,): the items that have no vector, and the index makes it from their contents.
        Their rows of `vectors` mean nothing. None if all items have a vector, or none has.
    passed: how many rows of the span need not be sent, since the index holds their items or newer ones.
    """

    ids: list[str]
    vectors: Vectors | None
    metadata: list[Metadata | None] | None
    contents: list[Contents | None] | None
    span: Span
    rows: NDArray[np.int64] | None = None
    rejects: tuple[Reject, ...] = ()
    origin: Origin = Origin()
    nan_left_out: int = 0
    to_embed: NDArray[np.bool_] | None = None
    passed: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def has_vector(self, position: int) -> bool:
        """Whether an item has a vector of its own."""
        return self.vectors is not None and (self.to_embed is None or not self.to_embed[position])

    @property
    def nbytes(self) -> int:
        """Approximate size of the items in bytes: vectors and contents are exact, metadata is estimated."""
        vectors = 0 if self.vectors is None else self.vectors.nbytes
        contents = 0 if self.contents is None else sum(len(c) for c in self.contents if c is not None)
        metadata = 0 if self.metadata is None else 64 * sum(len(m) for m in self.metadata if m is not None)
        return vectors + contents + metadata + sum(map(len, self.ids))

    def part(self, start: int, stop: int) -> Batch:
        """The items `[start, stop)` of this batch, without its rejects and counts. They share memory."""
        rows = self.item_rows()[start:stop]
        return replace(
            self,
            ids=self.ids[start:stop],
            vectors=None if self.vectors is None else self.vectors[start:stop],
            metadata=None if self.metadata is None else self.metadata[start:stop],
            contents=None if self.contents is None else self.contents[start:stop],
            to_embed=None if self.to_embed is None else self.to_embed[start:stop],
            rows=rows,
            rejects=(),
            passed=0,
            nan_left_out=0,
        )

    def keep_only(self, keep: NDArray[np.bool_], rejects: Sequence[Reject]) -> Batch:
        """This batch with only some of its items; the rows of the others become rejects, or are passed.

        Args:
            keep: bool, shape (n,): the items that stay.
            rejects: One for each other item that is a reject.
        """
        positions = np.flatnonzero(keep).tolist()
        return replace(
            self,
            ids=[self.ids[i] for i in positions],
            vectors=None if self.vectors is None else self.vectors[keep],
            metadata=None if self.metadata is None else [self.metadata[i] for i in positions],
            contents=None if self.contents is None else [self.contents[i] for i in positions],
            to_embed=None if self.to_embed is None else self.to_embed[keep],
            rows=self.item_rows()[keep],
            rejects=tuple(sorted((*self.rejects, *rejects), key=lambda reject: reject.row)),
            passed=self.passed + len(self) - len(positions) - len(rejects),
        )

    def split(self, rows: int) -> Iterator[Batch]:
        """This batch as batches of at most that many rows, each with its own rejects. They share memory.

        A batch with passed rows, and with few items, stays whole: its items go in one request.
        """
        span = self.span
        if len(span) <= rows or (self.passed and len(self) <= rows):
            yield self
            return
        numbers = self.item_rows()
        for start in range(span.start, span.stop, rows):
            stop = min(start + rows, span.stop)
            first, last = np.searchsorted(numbers, (start, stop)).tolist()
            origin = self.origin.part(start - span.start, stop - span.start)
            end = self.origin.begin_of(stop - span.start, span.end)
            rejects = tuple(reject for reject in self.rejects if start <= reject.row < stop)
            yield replace(
                self.part(first, last),
                span=Span(
                    span.source, start, stop, self.origin.begin_of(start - span.start, span.begin), end
                ),
                rejects=rejects,
                passed=stop - start - (last - first) - len(rejects) if self.passed else 0,
                origin=origin,
                # The count belongs to the whole batch, so one part carries it.
                nan_left_out=self.nan_left_out if start == span.start else 0,
            )

    def by_vector(self) -> list[Batch]:
        """This batch as batches in which all items have a vector, or none has, in the order to send them.

        Items with the same id keep their order.
        """
        lacking = self.to_embed
        if lacking is None:
            return [self]
        if not lacking.any():
            return [replace(self, to_embed=None)]
        if lacking.all():
            return [replace(self, to_embed=None, vectors=None)]
        own, made = self.keep_only(~lacking, ()), self.keep_only(lacking, ())
        if set(own.ids).isdisjoint(made.ids):
            # Those first which an index without a model refuses: then it stores nothing of the batch.
            return [replace(made, to_embed=None, vectors=None), replace(own, to_embed=None)]
        middle = len(self) // 2
        return [*self.part(0, middle).by_vector(), *self.part(middle, len(self)).by_vector()]

    def item_rows(self) -> NDArray[np.int64]:
        """The row number of each item: int64, shape (n,)."""
        if self.rows is not None:
            return self.rows
        return np.arange(self.span.start, self.span.stop, dtype=np.int64)
