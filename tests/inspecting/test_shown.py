from __future__ import annotations

import numpy as np

from vecload.batch import Batch, Span
from vecload.inspecting.survey import shown_contents, shown_items, shown_vector


def test_values_are_cut_and_say_how_much_there_is() -> None:
    assert shown_vector([0.123456789, -1.0]) == "[0.1235, -1] 2 values"
    assert shown_vector([1.0] * 1000) == "[1, 1, 1, …] 1,000 values"
    assert shown_contents("a\nb") == '"a b" (3 characters)'
    assert shown_contents("") == '"" (0 characters)'
    assert shown_contents(b"\xff\x00") == "ff 00 (2 bytes)"
    long = shown_contents("ß" * 500)
    assert long.endswith("(500 characters)")
    assert len(long) < 100


def test_items_are_those_that_would_be_stored_with_the_numbers_of_their_rows() -> None:
    batch = Batch(
        ids=["a", "b"],
        vectors=np.zeros((2, 2), dtype=np.float32),
        metadata=[None, {"n": 10**30, "text": "x" * 500}],
        contents=[None, "hello"],
        span=Span("s", 5, 8),
        rows=np.array([5, 7]),
    )
    first, second = shown_items(batch, 3)
    assert first == {"row": 5, "id": "a", "vector": "[0, 0] 2 values"}
    assert second["row"] == 7
    assert second["metadata"].startswith('{"n":1000000000000000000000000000000,"text":"xxx')
    assert len(second["metadata"]) <= 160
    assert second["contents"] == '"hello" (5 characters)'
    assert shown_items(batch, 0) == []
