"""What others wrote is shown on one short line, with nothing that a terminal obeys, or that is like a key."""

from __future__ import annotations

import base64
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecload.safe_text import escaped, escaped_json, one_line

KEY = bytes.fromhex("8d1f7c03a95be264f0127d9c6b3ea8551c40f7d92e86b3a05dc91f7a2be46083")


@pytest.mark.parametrize(
    "text",
    [
        KEY.hex(),
        KEY.hex().upper(),
        KEY.hex()[:32],
        KEY.hex()[32:],
        " ".join(KEY.hex()),
        KEY.hex(" "),
        KEY.hex(":"),
        KEY.hex("-", 4),
        base64.b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode(),
        base64.b64encode(KEY).decode()[:22],
        " ".join(base64.b64encode(KEY).decode()),
        base64.b64encode(KEY.hex().encode()).decode(),
    ],
)
def test_what_is_like_a_key_is_not_shown(text: str) -> None:
    assert one_line(f"Failed: key {text} of it") == "Failed: key … of it"


@pytest.mark.parametrize(
    "text",
    [
        "BatchPushVariable [InvalidArgument]: batch payload exceeds max_record_size",
        "Item limit reached: this index is capped at 1000000 items (currently 1000000).",
        "data dir /srv/vectors/some-long-folder/of-this-machine is locked by another store",
        "no item 3fa85f64-5717-4562-b3fc-2c963f66afa6 in index articles_of_2026",
    ],
)
def test_what_is_no_key_is_shown(text: str) -> None:
    assert one_line(text) == text


@given(st.text(max_size=2000))
def test_a_line_is_short_and_printable(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 300
    assert line.isprintable()


@given(st.text())
def test_what_is_escaped_is_printable(text: str) -> None:
    assert escaped(text).isprintable()


@given(st.recursive(st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_json_that_is_escaped_says_the_same_and_nothing_that_a_terminal_obeys(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if any(0xD800 <= ord(c) <= 0xDFFF for c in text.decode("utf-8", "surrogatepass")):
        return
    safe = escaped_json(text)
    assert json.loads(safe) == value
    assert not {*map(chr, [*range(32), *range(127, 160), 0x202E, 0x2028, 0x2066])} & {*safe.decode()}


def test_random_keys_are_never_shown() -> None:
    for _ in range(200):
        key = os.urandom(32)
        for text in (key.hex(), " ".join(key.hex()), " ".join(base64.b64encode(key).decode())):
            assert one_line(text) == "…"
