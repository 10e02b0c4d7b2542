"""Comparison: the items of a batch with what the index holds under their ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from vecload.batch import Batch, Contents, Metadata, Span, Vectors
from vecload.errors import NotSealed, SealError
from vecload.options import StoragePrecision
from vecload.sealing import Opener
from vecload.sealing.envelope import UNKNOWN_KEY, is_sealed
from vecload.targets import StoredItem, TargetIndex
from vecload.targets.asking import stored_items
from vecload.targets.wire import contents_text
from vecload.verifying.precision import LOSSY, different_bits, different_rows, likely_precision

MISSING = "is missing"
NAMES_SHOWN = 3
"""Metadata fields that a difference names."""
ALL_FIELDS = ("vector", "metadata", "contents")
"""The fields of an item that the engine returns."""


@dataclass(frozen=True, slots=True)
class Difference:
    """An item that is not in the index as the source has it.

    Attributes:
        id: The item.
        source, row: Its row in the source.
        parts: The fields that differ, each with what is wrong, without values. An item that is missing has
            only the field `item`.
    """

    id: str
    source: str
    row: int
    parts: tuple[tuple[str, str], ...]

    @property
    def missing(self) -> bool:
        """Whether the index has no such item."""
        return self.parts[0] == ("item", MISSING)

    def __str__(self) -> str:
        field, what = self.parts[0]
        more = f", and {len(self.parts) - 1} more" if len(self.parts) > 1 else ""
        return f"{self.source}, row {self.row} (id {self.id!r}): {field} {what}{more}"


@dataclass(frozen=True, slots=True)
class Compared:
    """The outcome of a batch.

    Attributes:
        span: Its rows.
        rows: How many of them are items.
        ids: The ids of these, each once.
        with_vectors: bool, shape (n,): of which ids the vectors were compared.
        differing: The items that differ.
        opened: How many contents opened.
        unknown_key: How many contents are sealed with a key that is not known.
        not_sealed: How many contents are not sealed and should be.
        lossy: The place in LOSSY of the storage precision by which the vectors that differ probably do;
            len(LOSSY) if there is none, -1 if no vector differs.
    """

    span: Span
    rows: int
    ids: list[str]
    with_vectors: NDArray[np.bool_]
    differing: tuple[Difference, ...]
    opened: int
    unknown_key: int
    not_sealed: int
    lossy: int


@dataclass(frozen=True, slots=True)
class Comparer:
    """Compares batches with an index. Threads may share it.

    Attributes:
        index: The index.
        opener: Opens contents.
        seal: Contents must be sealed, except those from which the index makes a vector.
        precision: How the index stores vectors; None is float32.
        hidden: Returns those of some ids, of which the engine returns nothing, that the index lists.
        interrupted: The number of the signal that asked to stop, 0 while none did.
    """

    index: TargetIndex
    opener: Opener
    seal: bool
    precision: StoragePrecision | None
    hidden: Callable[[Sequence[str]], set[str]]
    interrupted: Callable[[], int] = lambda: 0

    def compare(self, batch: Batch, with_vectors: NDArray[np.bool_]) -> Compared:
        """Compare the items of a batch. Of several with one id, the last one counts.

        Args:
            batch: The batch, as a load would send it, but not sealed.
            with_vectors: bool, shape (n,): the items whose vectors are compared.

        Raises:
            Interrupted: A signal came.
            TargetError: The target fails.
        """
        rows = len(batch)
        if batch.vectors is None:
            with_vectors = np.zeros(rows, dtype=np.bool_)
        elif batch.to_embed is not None:
            with_vectors = with_vectors & ~batch.to_embed  # the index makes the others
        batch, with_vectors = _last_of_each_id(batch, with_vectors)
        found = self._found(batch, with_vectors)
        items = [found.get(item_id) for item_id in batch.ids]
        outcome = _Outcome(batch)
        for position, item in enumerate(items):
            if item is None:
                outcome.add(position, "item", MISSING)
            elif item.unreadable:
                for field in item.unreadable:
                    outcome.add(position, field, "can't be sent by the service")
        self._compare_vectors(batch, items, with_vectors, outcome)
        self._compare_metadata(batch, items, outcome)
        self._compare_contents(batch, items, outcome)
        return outcome.compared(rows)

    def _found(self, batch: Batch, with_vectors: NDArray[np.bool_]) -> dict[str, StoredItem]:
        found: dict[str, StoredItem] = {}
        for wanted, include in ((with_vectors, ALL_FIELDS), (~with_vectors, ALL_FIELDS[1:])):
            ids = batch.ids if wanted.all() else [batch.ids[at] for at in np.flatnonzero(wanted).tolist()]
            if ids:
                found |= stored_items(self.index, ids, include, self.hidden, interrupted=self.interrupted)
        return found

    def _compare_vectors(
        self,
        batch: Batch,
        items: Sequence[StoredItem | None],
        with_vectors: NDArray[np.bool_],
        outcome: _Outcome,
    ) -> None:
        """Compare the vectors of those items that are there."""
        if batch.vectors is None:
            return
        dimension = batch.vectors.shape[1]
        zeros = np.zeros(dimension, dtype=np.float32)
        rows: list[int] = []
        stored: list[Vectors] = []
        for position, (wanted, item) in enumerate(zip(with_vectors.tolist(), items, strict=True)):
            if not wanted or item is None or "vector" in item.unreadable:
                continue
            vector = zeros if item.vector is None else item.vector
            if len(vector) == dimension:
                rows.append(position)
                stored.append(vector)
            else:
                outcome.add(position, "vector", f"has {len(vector)} values, not {dimension}")
        if not rows:
            return
        outcome.with_vectors[rows] = True
        expected = batch.vectors if len(rows) == len(batch) else batch.vectors[rows]
        found = np.concatenate(stored).reshape(len(rows), dimension)
        differ = different_rows(expected, found, self.precision)
        if not differ.any():
            return
        for at in np.flatnonzero(differ).tolist():
            if items[rows[at]].vector is None and not expected[at].any():  # type: ignore[union-attr] # is there
                differ[at] = False  # the engine hides vectors of zeros, the signs of the zeros too
                continue
            outcome.add(rows[at], "vector", _what_of_vector(expected[at], found[at], self.precision))
        if self.precision in (None, "float32") and differ.any():
            outcome.add_lossy(likely_precision(expected[differ], found[differ]))

    def _compare_metadata(self, batch: Batch, items: Sequence[StoredItem | None], outcome: _Outcome) -> None:
        expected = [{}] * len(batch) if batch.metadata is None else [m or {} for m in batch.metadata]
        found = [{} if item is None else item.metadata for item in items]
        if same_metadata(expected, found):
            return
        for position, item in enumerate(items):
            if item is None or "metadata" in item.unreadable:
                continue
            what = difference_in_metadata(expected[position], item.metadata)
            if what:
                outcome.add(position, "metadata", what)

    def _compare_contents(self, batch: Batch, items: Sequence[StoredItem | None], outcome: _Outcome) -> None:
        wanted: list[Contents | None] = list(batch.contents or [None] * len(batch))
        stored = [None if item is None else item.contents for item in items]
        sealed = self._sealed(batch)
        found: list[Contents | SealError | None]
        found = self.opener.open_each(batch.ids, stored) if any(sealed) else [None] * len(batch)
        if not all(sealed):
            for position, is_so in enumerate(sealed):
                if not is_so:
                    one = wanted[position]
                    # The engine keeps no type, and does not tell empty contents from absent ones.
                    wanted[position] = contents_text(one) if one else None
                    found[position] = stored[position]
        outcome.opened = len(found) - found.count(None)
        if found == wanted:
            return
        for position, (one, other) in enumerate(zip(wanted, found, strict=True)):
            item = items[position]
            if item is None or "contents" in item.unreadable:
                continue
            if isinstance(other, SealError):
                outcome.opened -= 1
                outcome.unknown_key += other.outcome == UNKNOWN_KEY
                outcome.not_sealed += isinstance(other, NotSealed)
                what = "are not sealed" if isinstance(other, NotSealed) else f"do not open: {other.outcome}"
                outcome.add(position, "contents", what)
            elif one != other:
                by_mistake = not sealed[position] and other is not None and is_sealed(other)
                what = "are sealed, but should not be" if by_mistake else _what_of_contents(one, other)
                outcome.add(position, "contents", what)

    def _sealed(self, batch: Batch) -> list[bool]:
        """Of which items the contents must be sealed: not those from which the index makes a vector."""
        if not self.seal or batch.vectors is None:
            return [False] * len(batch)
        return [True] * len(batch) if batch.to_embed is None else (~batch.to_embed).tolist()


class _Outcome:
    """Collects what differs in a batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._parts: dict[int, list[tuple[str, str]]] = {}
        self.with_vectors = np.zeros(len(batch), dtype=np.bool_)
        self.opened = 0
        self.unknown_key = 0
        self.not_sealed = 0
        self._lossy = -1

    def add(self, position: int, field: str, what: str) -> None:
        self._parts.setdefault(position, []).append((field, what))

    def add_lossy(self, precision: StoragePrecision | None) -> None:
        self._lossy = len(LOSSY) if precision is None else LOSSY.index(precision)

    def compared(self, rows: int) -> Compared:
        batch = self._batch
        numbers = batch.item_rows()
        differing = tuple(
            Difference(batch.ids[position], batch.span.source, int(numbers[position]), tuple(parts))
            for position, parts in sorted(self._parts.items())
        )
        return Compared(
            span=batch.span,
            rows=rows,
            ids=batch.ids,
            with_vectors=self.with_vectors,
            differing=differing,
            opened=self.opened,
            unknown_key=self.unknown_key,
            not_sealed=self.not_sealed,
            lossy=self._lossy,
        )


def _last_of_each_id(batch: Batch, mask: NDArray[np.bool_]) -> tuple[Batch, NDArray[np.bool_]]:
    """The batch without the rows whose id a later row has, and a mask of its rows."""
    last = {item_id: position for position, item_id in enumerate(batch.ids)}
    if len(last) == len(batch):
        return batch, mask
    keep = np.zeros(len(batch), dtype=np.bool_)
    keep[[*last.values()]] = True
    return batch.keep_only(keep, ()), mask[keep]


def same_metadata(expected: list[Metadata], found: list[Metadata]) -> bool:
    """Whether two lists of metadata hold the same JSON values; False also where that takes a closer look.

    `==` takes 1 for 1.0 and for true, and -0.0 for 0.0, which have different texts. NaN and null have the
    same text, but are not `==`.
    """
    try:
        return expected == found and _text(expected) == _text(found)
    except (TypeError, ValueError, RecursionError):
        return False  # integers beyond 64 bits, text that is not Unicode, deep nesting


def _text(values: list[Metadata]) -> bytes:
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)


def difference_in_metadata(expected: Metadata, found: Metadata) -> str:
    """How stored metadata differs, by the names of its fields and without values; "" if it is equal."""
    differing: list[str] = []
    for name, value in expected.items():
        if name not in found:
            differing.append(f"lacks {name!r}")
        elif what := _what_of_value(value, found[name]):
            differing.append(f"{what} {name!r}")
    differing += [f"has also {name!r}" for name in found if name not in expected]
    more = len(differing) - NAMES_SHOWN
    return ", ".join(differing[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _what_of_value(expected: Any, found: Any) -> str:
    if type(expected) is not type(found):
        return "has another type in"
    return "" if same_value(expected, found) else "differs in"


def same_value(expected: Any, found: Any) -> bool:
    """Whether two JSON values are the same: of one type each, in any order of an object's keys."""
    pairs = [(expected, found)]
    while pairs:  # without recursion: the engine stores deep nesting
        one, other = pairs.pop()
        kind = type(one)
        if kind is not type(other):
            return False
        if kind is dict:
            if one.keys() != other.keys():
                return False
            pairs += [(value, other[name]) for name, value in one.items()]
        elif kind is list:
            if len(one) != len(other):
                return False
            pairs += zip(one, other, strict=True)
        elif one != other or (kind is float and not one and str(one) != str(other)):
            return False
    return True


def _what_of_vector(expected: Vectors, found: Vectors, precision: StoragePrecision | None) -> str:
    if not found.any():
        return "is all zeros"
    if not np.isfinite(found).all():
        return "holds values that are not finite"
    if precision in (None, "float32"):
        count = int(np.count_nonzero(different_bits(expected, found)))
        return f"differs in {count} of {len(expected)} values"
    return f"differs by more than {precision} loses"


_KINDS = {str: "text", bytes: "bytes"}


def _what_of_contents(expected: Contents | None, found: Contents | None) -> str:
    if found is None:
        return "are missing"
    if expected is None:
        return "are not in the source"
    if type(expected) is not type(found):
        return f"are {_KINDS[type(found)]}, not {_KINDS[type(expected)]}"
    return "differ"
