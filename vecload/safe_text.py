"""Texts that others wrote, made fit to be shown: one short line, with no control characters and no keys."""

from __future__ import annotations

import re

TEXT_CHARACTERS = 300
"""How much of another's text is shown."""

_HEX = re.compile(r"[0-9A-Fa-f](?:[\s:.,_-]{0,2}[0-9A-Fa-f]){23,}")
"""Half of a key has 32 digits."""
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_TOKEN = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
"""Half of a key has 22 characters of base64."""
_SPACED = re.compile(r"(?<!\S)(?:\S\s+){9,}\S(?!\S)")
"""A text with its characters set apart."""
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What JSON allows as it is, and a terminal obeys: C1 controls, and what turns the direction of writing."""


def one_line(text: str, characters: int = TEXT_CHARACTERS) -> str:
    """A text of a library or of another machine on one line: short, printable, with nothing like a key in it.

    Args:
        text: Anything.
        characters: How many to keep.
    """
    # What is cut off need not be searched, and a key that the cut would halve is still seen.
    text = _without_keys(text[: 4 * characters])
    return "".join(c if c.isprintable() else " " for c in text)[:characters].strip()


def escaped(text: str) -> str:
    """A text with its unprintable characters as Python writes them, ESC with four characters."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def escaped_json(text: bytes) -> bytes:
    """The same JSON, with what a terminal would obey as JSON's own escapes."""
    if text.isascii() and b"\x7f" not in text:
        return text
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text.decode()).encode()


def _without_keys(text: str) -> str:
    text = _TOKEN.sub(lambda found: "…" if _is_mixed(found[0]) else found[0], _HEX.sub(_redacted, text))
    return _SPACED.sub("…", text)


def _redacted(found: re.Match[str]) -> str:
    return found[0] if _UUID.fullmatch(found[0]) else "…"


def _is_mixed(token: str) -> bool:
    """Whether a long word looks like base64, and not like a name."""
    return (
        any("0" <= c <= "9" for c in token)
        and any("a" <= c <= "z" for c in token)
        and any("A" <= c <= "Z" for c in token)
    )
