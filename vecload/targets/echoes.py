"""EchoFilter: finds what an answer of a service repeats of the request: keys, contents, metadata."""

from __future__ import annotations

import base64
import re
import string
from collections.abc import Iterable, Sequence

from vecload.safe_text import one_line

WINDOW = 12
"""This many letters and digits in a row that are in the request too are an echo."""
HEAD_BYTES = 4096
"""The first bytes of a body, which contain the index key."""
SEARCHED_BYTES = 64 * 1024
"""In larger answers, which contain items, the search is only for plain forms of the keys: the other may take
as long as the service needs for the items."""

_LOWER = bytes(range(256)).translate(
    bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
)
_DROPPED = bytes(c for c in range(1, 128) if not chr(c).isalnum())
_KEY = re.compile(rb'"index_key":"([0-9a-f]{64})"')
_OWN_FIELDS = re.compile(
    rb'"(?:index_name":"[^"]*"|(?:index_key|dimension|metric|storage_precision|metadata_schema|embedding_model'
    rb'|items|batch|ids|vectors_b64|metadata|contents|vector|query_vectors|top_k|include|distance)")'
)
"""What the protocol puts into every request, and the service into its messages."""


class EchoFilter:
    """Finds what an answer repeats of one request.

    Args:
        sent: The parts of the request's body, except those sent as base64.
        api_key: The API key in its header.
    """

    def __init__(self, sent: Sequence[bytes] = (), api_key: str | None = None) -> None:
        self._sent = sent
        found = _KEY.search(sent[0][:HEAD_BYTES]) if sent else None
        secrets = [bytes.fromhex(found[1].decode())] if found else []
        secrets += [api_key.encode()] if api_key else []
        forms = [form for secret in secrets for form in _forms(secret)]
        self._forms = [form for form in forms if len(form) >= WINDOW]
        # An API key that somebody chose may be a short word: the search is for all of it.
        self._short = {short for form in forms if len(form) < WINDOW and (short := _squeezed(form))}

    def __repr__(self) -> str:
        return "EchoFilter()"

    def redacted(self, text: str) -> str:
        """A text of the answer that is safe to show: one line, without what is in the request."""
        text = text[:2000]
        squeezed, places = bytearray(), []
        for place, character in enumerate(text):
            part = _squeezed(character.encode("utf-8", "replace"))
            squeezed += part
            places += [place] * len(part)
        own = _OWN_FIELDS.sub(b"\0", b"".join(self._sent))
        sent = b"\0".join(map(_squeezed, (own, *self._forms)))
        echoed: set[int] = set()
        for start in range(len(squeezed) - WINDOW + 1):
            if squeezed[start : start + WINDOW] in sent:
                echoed.update(range(places[start], places[start + WINDOW - 1] + 1))
        for short in self._short:
            start = squeezed.find(short)
            while start >= 0:
                echoed.update(range(places[start], places[start + len(short) - 1] + 1))
                start = squeezed.find(short, start + 1)
        return one_line(_with_gaps(text, echoed))

    def holds_key(self, answer: bytes) -> bool:
        """Whether an answer repeats a key, or half of one, in any of its forms."""
        if any(form in answer for form in self._forms):
            return True
        if len(answer) > SEARCHED_BYTES:
            return False
        squeezed = _squeezed(answer)
        return any(half in squeezed for form in self._forms for half in _halves(_squeezed(form)))


def _forms(secret: bytes) -> Iterable[bytes]:
    """The forms in which a secret may be written."""
    digits = secret.hex().encode()
    return (
        digits,
        digits.upper(),
        base64.b64encode(secret),
        base64.urlsafe_b64encode(secret),
        base64.b64encode(digits),
        secret,
    )


def _halves(form: bytes) -> Iterable[bytes]:
    half = len(form) // 2
    return (form[:half], form[half:]) if half >= WINDOW else (form,)


def _squeezed(text: bytes) -> bytes:
    """Letters and digits in lower case, and other characters than ASCII. NUL stays as a separator."""
    return text.translate(_LOWER, _DROPPED)


def _with_gaps(text: str, echoed: set[int]) -> str:
    return re.sub("\0+", "…", "".join("\0" if place in echoed else c for place, c in enumerate(text)))
