"""A batch divided is the same items, the same rejects, the same places in the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vecload.batch import Batch, Origin, Reject, Span


def batch_of(start: int, good: Sequence[bool], *, lines: bool) -> Batch:
    """A batch of rows, of which some are rejects."""
    numbers = [start + i for i, kept in enumerate(good) if kept]
    rejects = tuple(
        Reject("rows", start + i, "vector", "nan", "holds NaN") for i, kept in enumerate(good) if not kept
    )
    offsets = [1000 + 10 * i for i in range(len(good))] if lines else None
    stop = start + len(good)
    span = Span("rows", start, stop, *((1000, 1000 + 10 * len(good) + 7) if lines else ()))
    return Batch(
        [f"i{n}" for n in numbers],
        np.array(numbers, dtype=np.float32).reshape(-1, 1),
        [{"n": n} for n in numbers],
        None,
        span,
        np.array(numbers, dtype=np.int64) if rejects else None,
        rejects,
        Origin(offsets, lambda position: f"row {start + position}"),
    )


@given(
    st.integers(0, 50), st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 45), st.booleans()
)
def test_a_split_batch_says_the_same(start: int, good: list[bool], rows: int, lines: bool) -> None:
    whole = replace(batch_of(start, good, lines=lines), nan_left_out=7)
    parts = [*whole.split(rows)]
    assert sum(part.nan_left_out for part in parts) == 7
    assert sum(part.part(0, 1).nan_left_out for part in parts) == 0
    assert all(len(part.span) <= rows for part in parts)
    assert [part.span.start for part in parts] == [*range(start, start + len(good), rows)]
    assert parts[-1].span.stop == whole.span.stop
    assert [item_id for part in parts for item_id in part.ids] == whole.ids
    assert [n for part in parts for n in part.item_rows().tolist()] == whole.item_rows().tolist()
    assert [reject for part in parts for reject in part.rejects] == [*whole.rejects]
    for part in parts:
        assert part.vectors is not None
        assert part.vectors.ravel().tolist() == part.item_rows().tolist()
        assert part.metadata == [{"n": n} for n in part.item_rows().tolist()]
        assert all(part.span.start <= reject.row < part.span.stop for reject in part.rejects)
        found = part.origin.reject(part.span, part.span.start, "item", "refused", "no", None)
        assert found.raw == f"row {part.span.start}"
        assert found.offset == (1000 + 10 * (part.span.start - start) if lines else None)
        assert part.span.begin == found.offset
    # Each part ends where the next begins: a load that goes on reads neither a row twice nor none.
    assert [part.span.end for part in parts[:-1]] == [part.span.begin for part in parts[1:]]
    assert parts[-1].span.end == whole.span.end
