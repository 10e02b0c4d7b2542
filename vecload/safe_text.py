"""Foreign text made safe to show: one short line without control characters and without keys."""

from __future__ import annotations

import re

TEXT_CHARACTERS = 300
"""Characters of a foreign text that are shown."""

_HEX = re.compile(r"[0-9A-Fa-f](?:[\s:.,_-]{0,2}[0-9A-Fa-f]){23,}")
"""Half of a key has 32 digits."""
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_TOKEN = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
"""Half of a key has 22 characters of base64."""
_SPACED = re.compile(r"(?<!\S)(?:\S\s+){9,}\S(?!\S)")
"""Text with a space between all of its characters."""
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that JSON allows and a terminal obeys: C1 controls, and changes of the writing direction."""


def one_line(text: str, characters: int = TEXT_CHARACTERS) -> str:
    """A foreign text on one line: short, printable, and without anything that looks like a key.

    Args:
        text: Anything.
        characters: How many to keep.
    """
    # The search covers more than what is kept, so that it finds a key that the cut would halve.
    text = _without_keys(text[: 4 * characters])
    return "".join(c if c.isprintable() else " " for c in text)[:characters].strip()


def escaped(text: str) -> str:
    """A text with its unprintable characters escaped as in Python: ESC becomes four characters."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def escaped_json(text: bytes) -> bytes:
    """The same JSON, with characters that a terminal would obey as JSON escapes."""
    if text.isascii() and b"\x7f" not in text:
        return text
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text.decode()).encode()


def _without_keys(text: str) -> str:
    text = _TOKEN.sub(lambda found: "…" if _is_mixed(found[0]) else found[0], _HEX.sub(_redacted, text))
    return _SPACED.sub("…", text)


def _redacted(found: re.Match[str]) -> str:
    return found[0] if _UUID.fullmatch(found[0]) else "…"


def _is_mixed(token: str) -> bool:
    """Whether a long word looks like base64 rather than like a name."""
    return (
        any("0" <= c <= "9" for c in token)
        and any("a" <= c <= "z" for c in token)
        and any("A" <= c <= "Z" for c in token)
    )
