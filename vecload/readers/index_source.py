"""An index as a source: its items are rows, in the order of their ids."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pybase64
from numpy.typing import NDArray

from vecload.batch import Metadata, Span, Vectors
from vecload.errors import NotSealed, SealError
from vecload.limits import METADATA_DEPTH
from vecload.mapping import Column, ColumnMapping
from vecload.mapping.columns import BYTES_MARK
from vecload.mapping.json_rows import TOO_DEEP, JsonRows, ParsedVectors
from vecload.mapping.mapping import OF_AN_INDEX, Reasons
from vecload.mapping.rows import Fault, fault_of_length
from vecload.options import VectorDtype
from vecload.readers.index_listing import Listing
from vecload.readers.prefetch import in_order
from vecload.readers.source import HEAD_ROWS, Source, missing
from vecload.sealing import Opener
from vecload.targets import StoredItem, TargetIndex
from vecload.targets.asking import insist, stored_items
from vecload.targets.wire import dumps

ID, VECTOR, METADATA, CONTENTS = COLUMNS = ("id", "vector", "metadata", "contents")
"""The columns of every index."""
MAPPING = ColumnMapping(
    ID,
    VECTOR,
    CONTENTS,
    metadata_object=METADATA,
    metadata_fields=(),
    columns=COLUMNS,
    reasons=Reasons(*[OF_AN_INDEX] * 4),
)
"""What the columns are: nothing is guessed."""
PAGE_ITEMS = 1000
"""The most items of a page, however many rows are asked for: a page is held as it came and as rows."""
ITEM_BYTES = 300
"""About what an item takes besides its vector, until the first page shows more."""


class IndexSource(Source):
    """An open index, read in pages. The row number of an item is the place of its id in the order of all ids.

    The ids are listed once, when it is opened (`Listing` says what that takes); the items are read later. An
    item that was replaced since is read as it is now. One that was deleted since is a reject (code `gone`),
    and one that was added since is not read. An item that can't be a row is a reject too, and costs only
    itself: contents that do not open (`unopened`), metadata that JSON can't say (`not-json`), whatever a
    service can't send (`unreadable`).

    As many pages are fetched at the same time as make the index faster (`writers`), and one more waits.

    Args:
        index: The index.
        location: Where it is: the target's location.
        opener: Opens contents. None leaves them as they are stored, sealed or not.
        vectors: Read the vectors, too. A service is many times faster without.
        ids: Only these items; None is all of them.
        interrupted: The number of the signal that asked to stop, 0 while none did.

    Raises:
        TargetError: The ids can't be listed.
    """

    format = "index"

    def __init__(
        self,
        index: TargetIndex,
        location: str,
        *,
        opener: Opener | None,
        vectors: bool = True,
        ids: Iterable[str] | None = None,
        interrupted: Callable[[], int] = lambda: 0,
    ) -> None:
        self._index = index
        self._opener = opener
        self._with_vectors = vectors
        self._interrupted = interrupted
        self._head: JsonRows | None = None
        self._dimension = insist(index.describe, interrupted=interrupted).dimension
        self._row_bytes = ITEM_BYTES + (4 * self._dimension if vectors else 0)
        self._listing = Listing(index, location, ids=ids, interrupted=interrupted)
        count = len(self._listing)
        super().__init__(
            self._listing.name, [self._listing], nbytes=count * self._row_bytes, total_rows=count
        )

    @property
    def kind(self) -> str:
        """What it is, for people."""
        return "CyborgDB index"

    @property
    def mapping(self) -> ColumnMapping:
        """Which column is which part of an item."""
        return MAPPING

    @property
    def dimension(self) -> int:
        """The dimension of its vectors; 0 if it never held an item."""
        return self._dimension

    def columns(self) -> list[Column]:
        """The parts of an item."""
        kinds = {ID: "text", VECTOR: "floats", METADATA: "object", CONTENTS: "text"}
        return [Column(name, kinds[name]) for name in COLUMNS]  # type: ignore[arg-type] # kinds of values

    def head(self) -> JsonRows | None:
        """Its first rows, which are fetched once."""
        if self._head is None and len(self._listing):
            self._head = self._page((0, min(HEAD_ROWS, len(self._listing))))
        return self._head

    def places(self, count: int) -> list[Span]:
        """Rows, evenly spread."""
        rows = {len(self._listing) * place // (count + 1) for place in range(1, count + 1)}
        return [Span(self.name, 0, row) for row in sorted(rows) if row]

    def ids(self, start: int, stop: int) -> list[str]:
        """The ids of the rows `[start, stop)`, without reading the rows."""
        return self._listing.ids(start, stop)

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[JsonRows]:
        """Its rows in order. They have all columns, whichever are asked for.

        Raises:
            SourceError: Items that the engine returns nothing of were deleted meanwhile.
            TargetError: The target fails.
        """
        yield from in_order(self._pages(batch_rows, batch_bytes, done), self._page, self._index.writers)
        self._listing.confirm()

    def _pages(self, rows: int, nbytes: int, done: Sequence[Span]) -> Iterator[tuple[int, int]]:
        """The rows of each page: fewer where the items of earlier pages were large."""
        for gap in missing(done, len(self._listing)):
            at = gap.start
            while at < gap.stop:
                stop = min(at + max(1, min(rows, PAGE_ITEMS, nbytes // self._row_bytes)), gap.stop)
                yield at, stop
                at = stop

    def _page(self, rows: tuple[int, int]) -> ItemRows:
        """The rows `[start, stop)`."""
        ids = self._listing.ids(*rows)
        include = COLUMNS[1:] if self._with_vectors else COLUMNS[2:]
        found = stored_items(self._index, ids, include, self._listing.hidden, interrupted=self._interrupted)
        page = self._rows(Span(self.name, *rows), ids, found)
        self._row_bytes = max(self._row_bytes, page.nbytes // len(ids))
        return page

    def _rows(self, span: Span, ids: Sequence[str], found: dict[str, StoredItem]) -> ItemRows:
        vectors = np.zeros((len(ids), self._dimension), dtype=np.float32) if self._with_vectors else None
        rows: list[dict[str, Any]] = []
        faults: dict[int, Fault] = {}
        stored = [found[item_id].contents if item_id in found else None for item_id in ids]
        opened = [None] * len(ids) if self._opener is None else self._opener.open_each(ids, stored)
        for position, item_id in enumerate(ids):
            row: dict[str, Any] = {ID: item_id}
            rows.append(row)
            item = found.get(item_id)
            if item is None:
                faults[position] = Fault("id", "gone", "is no longer in the index")
                continue
            fault = fault_of_unreadable(item) or fault_of_metadata(item.metadata)
            if fault is None:
                row[METADATA] = item.metadata
            contents = opened[position]
            if contents is None or isinstance(contents, NotSealed):
                row[CONTENTS] = item.contents
            elif isinstance(contents, SealError):
                fault = fault or Fault("contents", "unopened", f"do not open: {contents.outcome}")
            else:
                row[CONTENTS] = contents
            if vectors is not None and item.vector is not None:
                if len(item.vector) == self._dimension:
                    vectors[position] = item.vector
                else:
                    fault = fault or fault_of_length(len(item.vector), self._dimension)
            if fault is not None:
                faults[position] = fault
        return ItemRows(span, rows, vectors, faults)


class ItemRows(JsonRows):
    """Some items of an index.

    Args:
        span: Where they come from.
        rows: n objects with `id`, `metadata` and `contents`.
        vectors: float32, shape (n, dim); None if they were not read.
        broken: Faults of items that can't be rows.
    """

    columns_vary = False

    def __init__(
        self, span: Span, rows: Sequence[dict[str, Any]], vectors: Vectors | None, broken: dict[int, Fault]
    ) -> None:
        packed = None if vectors is None else ParsedVectors(VECTOR, vectors, ())
        super().__init__(span, rows, broken=broken, parsed_vectors=packed)
        self._vectors = vectors

    @property
    def nbytes(self) -> int:
        """About what they take."""
        contents = sum(len(row.get(CONTENTS) or "") for row in self._rows)
        metadata = sum(64 * len(row.get(METADATA) or ()) for row in self._rows)
        return contents + metadata + (0 if self._vectors is None else self._vectors.nbytes)

    def vector_lengths(self, column: str, dtype: VectorDtype | None = None) -> NDArray[np.int64]:
        """The dimension; -1 if vectors were not read."""
        length = -1 if self._vectors is None else self._vectors.shape[1]
        return np.full(len(self._rows), length, dtype=np.int64)

    def raw(self, position: int) -> str:
        """An item as JSON text, as `vecload get` prints it."""
        row = dict(self._rows[position])
        if isinstance(row.get(CONTENTS), bytes):
            row[CONTENTS] = {BYTES_MARK: pybase64.b64encode_as_string(row[CONTENTS])}
        if self._vectors is not None:
            row[VECTOR] = self._vectors[position].tolist()
        return dumps(row).decode()


def fault_of_unreadable(item: StoredItem) -> Fault | None:
    """The fault of an item that the service can't send."""
    if not item.unreadable:
        return None
    return Fault(item.unreadable[0], "unreadable", "holds what the service can't send (NaN, or raw bytes)")


def fault_of_metadata(metadata: Metadata) -> Fault | None:
    """The fault of metadata that another client stored, if JSON can't say it or vecload would not load it.

    Numbers that are not finite, text that is not Unicode, deep nesting.
    """
    try:
        if _unsayable(metadata, METADATA_DEPTH + 1):
            return Fault("metadata", "not-json", "holds what JSON can't say")
    except _TooDeepError:
        return TOO_DEEP
    return None


class _TooDeepError(ValueError):
    pass


def _unsayable(value: Any, room: int) -> bool:
    kind = type(value)
    if kind is str:
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return True
        return False
    if kind is float:
        return not math.isfinite(value)
    if kind is dict or kind is list:
        if not room:
            raise _TooDeepError
        for inner in value:
            if _unsayable(inner, room - 1) or (kind is dict and _unsayable(value[inner], room - 1)):
                return True
    return False
