from __future__ import annotations

import pytest

from vecload.readers.parquet.footer import BINARY, BOOLEAN, I32, MALFORMED, Compact

NUMBER = b"\x15\x06"
"""Field 1, of 32 bits: 3, which is written twice as large."""
TEXT = b"\x18\x02hi"
TRUE, FALSE = b"\x11", b"\x12"
INNER = b"\x1c" + NUMBER + b"\x00"
LIST = b"\x19\x25\x02\x04"
FAR = b"\x05\x50\x01"
"""Field 40, its number written out."""


def test_fields_are_told_by_their_numbers() -> None:
    data = NUMBER + TEXT + TRUE + FALSE + INNER + LIST + FAR + b"\x00more"
    compact = Compact(data)
    assert compact.struct() == {1: 3, 2: b"hi", 3: True, 4: False, 5: {1: 3}, 6: [1, 2], 40: -1}
    assert data[compact.at :] == b"more"


NONE = {
    "empty": b"",
    "no end": NUMBER,
    "short text": b"\x18\x05hi\x00",
    "no type": b"\x10\x00",
    "map": b"\x1b\x00\x00",
    "short double": b"\x17\x00\x00",
    "endless number": b"\x15" + b"\xff" * 9,
    "endless depth": b"\x1c" * 9000,
}


@pytest.mark.parametrize("data", NONE.values(), ids=NONE)
def test_what_is_none_raises(data: bytes) -> None:
    with pytest.raises(MALFORMED):
        Compact(data).struct()


def test_only_the_fields_that_there_may_be_are_taken() -> None:
    kinds = {1: I32, 2: BINARY, 3: BOOLEAN, 4: {1: I32}}
    for data in (
        NUMBER,
        TEXT.replace(b"\x18", b"\x28"),
        b"\x31",
        b"\x32",
        INNER.replace(b"\x1c", b"\x4c"),
        b"",
    ):
        assert Compact(data + b"\x00").struct(kinds) == Compact(data + b"\x00").struct()
    for data in (b"\x16\x06", TEXT, TRUE, INNER, b"\x45\x06", b"\x35\x06", b"\x4c\x18\x00\x00", b"\x91"):
        with pytest.raises(KeyError):
            Compact(data + b"\x00").struct(kinds)
