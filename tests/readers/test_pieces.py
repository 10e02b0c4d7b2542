from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest

from vecload.readers.arrow import pieces, spread_bytes

TEXT = "x" * 1000
SHARED = pa.dictionary(pa.int32(), pa.string())


@pytest.mark.parametrize(
    ("array", "least", "most"),
    [
        (pa.array([TEXT] * 50), 50_000, 51_000),
        (pa.array([TEXT] * 50).dictionary_encode(), 50_000, 50_000),
        (pa.array([TEXT, None] * 25).dictionary_encode(), 25_000, 50_000),
        (pa.array([[TEXT, "y"]] * 50, pa.list_(SHARED)), 50_000, 51_000),
        (
            pa.array([{"a": TEXT}] * 50, pa.struct([("a", pa.dictionary(pa.int8(), pa.string()))])),
            50_000,
            50_000,
        ),
        (pa.RunEndEncodedArray.from_arrays([50], [TEXT]), 50_000, 50_000),
        (pa.array([[1.0] * 10] * 50, pa.list_(pa.float32(), 10)), 2_000, 2_100),
        (pa.array([1] * 50, pa.int64()), 400, 410),
    ],
    ids=["text", "dictionary", "nulls", "list", "struct", "runs", "vectors", "integers"],
)
def test_bytes_are_those_of_values_spread_out(array: pa.Array, least: int, most: int) -> None:
    assert least <= spread_bytes(array) <= most
    half = spread_bytes(array.slice(10, 25))
    assert least // 2 <= half <= most // 2 + 100


def test_pieces_are_whole_in_order_and_none_is_larger_than_allowed_but_a_single_row() -> None:
    texts = ["a" * (5000 if i == 37 else 10) for i in range(100)]
    table = pa.record_batch({"id": [str(i) for i in range(100)], "text": pa.array(texts).dictionary_encode()})
    found = list(pieces("s", 1000, table, batch_rows=40, batch_bytes=1000))
    assert [item for piece in found for item in piece.ids("id").values] == [str(i) for i in range(100)]
    assert found[0].span.start == 1000
    assert all(one.span.stop == other.span.start for one, other in pairwise(found))
    for piece in found:
        lengths = [len(text) for text in texts[piece.span.start - 1000 : piece.span.stop - 1000]]
        assert sum(lengths) <= 1000 or len(lengths) == 1
    assert len(found) < 20
