from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecload.sealing.envelope import decode_base64


@given(st.binary(max_size=200))
def test_the_text_of_any_bytes_is_decoded(data: bytes) -> None:
    text = base64.b64encode(data)
    assert decode_base64(text) == decode_base64(text.decode()) == data


@pytest.mark.parametrize(
    "text",
    ["QR==", "QUJ=", "QQ", "QQ=", "QQ==\n", " QQ==", "Q Q==", "QQ===", "QQ==QQ==", "-_8=", "é", "QÉ=="],
)
def test_another_text_of_the_same_bytes_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 as the decoders of the library raise it
        decode_base64(text)
    with pytest.raises(ValueError):  # noqa: PT011
        decode_base64(text.encode())


@given(st.text(alphabet="ABQRYZgw+/= \n-_", max_size=12))
def test_what_is_decoded_is_encoded_to_the_same_text(text: str) -> None:
    with suppress(ValueError):
        assert base64.b64encode(decode_base64(text)).decode() == text
