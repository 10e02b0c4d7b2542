"""Base64 in its one spelling: any other text of the same bytes was not written by us."""

from __future__ import annotations

import pybase64


def decode(text: str | bytes) -> bytes:
    """The bytes of a base64 text: standard alphabet, padded, no white space, its unused bits zero.

    Raises:
        ValueError: It is not the text that those bytes have.
    """
    decoded = pybase64.b64decode(text, validate=True)
    if rest := len(decoded) % 3:
        # All that a strict decoder passes over are bits in the last four characters.
        last = text[-4:] if isinstance(text, bytes) else text[-4:].encode("ascii", "replace")
        if pybase64.b64encode(decoded[-rest:]) != last:
            raise ValueError("bits are set behind the last byte")
    return decoded
