"""Digests of texts: of the same text the same, wherever it stands and in whatever array."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecload.loading.text_digests import text_digests

TEXTS = st.lists(st.text(max_size=40) | st.text(st.sampled_from("ab\0"), max_size=20), max_size=20)


def by_hand(text: str) -> int:
    """As the module says it, a step at a time."""

    def mixed(value: int) -> int:
        value = (value + 0x9E3779B97F4A7C15) % 2**64
        value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
        return value ^ value >> 31

    raw = text.encode()
    digest = mixed(len(raw))
    for at in range(0, len(raw), 8):
        digest = mixed(digest ^ int.from_bytes(raw[at : at + 8], "little"))
    return digest


@given(TEXTS, st.sampled_from([pa.string(), pa.large_string()]), st.integers(0, 3), st.integers(0, 3))
def test_digests_are_those_of_the_definition(
    texts: list[str], kind: pa.DataType, start: int, end: int
) -> None:
    array = pa.array(["before"] * start + texts + ["behind"] * end, kind).slice(start, len(texts))
    digests = text_digests(array)
    assert digests.dtype == np.uint64
    assert digests.tolist() == [by_hand(text) for text in texts]


@pytest.mark.parametrize(
    "make", [lambda n: f"doc-{n}", lambda n: "x" * n, lambda n: f"{n % 7}-{n // 7:012}-tail"]
)
def test_texts_that_differ_a_little_have_other_digests(make: object) -> None:
    texts = [make(n) for n in range(3000)]  # type: ignore[operator]
    digests = text_digests(pa.array(texts))
    assert len({*digests.tolist()}) == len({*texts})
    # Their highest bits sort them into files.
    assert len({*(digests >> np.uint64(56)).tolist()}) == 256


def test_bytes_that_are_not_utf_8_have_digests() -> None:
    broken = pa.array([b"a\xff", b"a\xfe"]).view(pa.string())
    assert len({*text_digests(broken).tolist()}) == 2
