"""Makes vectors.json: a second implementation of sealed contents, written from docs/envelope.md alone.

It shares no code with vecload, so that each checks the other. Run it in this folder after a change of the
format; the outcomes are stated here by hand, never computed by opening.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VECTORS = Path(__file__).with_name("vectors.json")

KEY = bytes(range(32))
OTHER_KEY = bytes(range(32, 64))
BYTES, TEXT = 0, 1


def key_id(key: bytes) -> bytes:
    mac = hmac.new(key, b"vecload/key-id/v1", hashlib.sha256).digest()
    return hashlib.sha256(b"vecload/key-id/v1\0" + mac).digest()[:4]


def hkdf_sha256(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, extract and expand."""
    prk = hmac.new(salt, ikm, hashlib.sha256).digest()
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([counter]), hashlib.sha256).digest()
        out, counter = out + block, counter + 1
    return out[:length]


def associated_data(header: bytes, index: str, item_id: str) -> bytes:
    name = index.encode()
    return header + bytes([len(name) >> 8, len(name) & 0xFF]) + name + item_id.encode()


def envelope(
    key: bytes, index: str, item_id: str, kind: int, plaintext: bytes, salt: bytes, nonce: bytes
) -> bytes:
    name = key_id(key)
    okm = hkdf_sha256(key, salt, b"vecload/content/v1\0" + name, 64)
    header = b"VLE1" + bytes([1, kind]) + name + salt + okm[32:]
    return (
        header + nonce + AESGCM(okm[:32]).encrypt(nonce, plaintext, associated_data(header, index, item_id))
    )


def random_of(label: str, size: int) -> bytes:
    """Bytes that look random and are the same in every run."""
    return hashlib.sha256(label.encode()).digest()[:size]


def vector(comment: str, index: str, item_id: str, **rest: Any) -> dict[str, Any]:
    return {"comment": comment, "contents_key": KEY.hex(), "index": index, "id": item_id, **rest}


def opened(comment: str, index: str, item_id: str, kind: int, plaintext: bytes) -> dict[str, Any]:
    sealed = envelope(
        KEY,
        index,
        item_id,
        kind,
        plaintext,
        random_of(f"salt {comment}", 16),
        random_of(f"nonce {comment}", 12),
    )
    return vector(
        comment,
        index,
        item_id,
        envelope=sealed.hex(),
        expect="ok",
        type="text" if kind == TEXT else "bytes",
        plaintext=plaintext.hex(),
    )


def what_opens() -> list[dict[str, Any]]:
    golden = envelope(KEY, "docs", "item-1", TEXT, "héllo".encode(), bytes(range(16)), bytes(12))
    texts = {
        "plain ASCII": "The quick brown fox",
        "an empty text": "",
        "one character of four bytes": "\U0001f9ca",
        "the last code point": "\U0010ffff",
        "a byte order mark, kept": "\ufefftext",
        "NUL and line ends, kept": "a\0b\r\nc\n",
        "composed and decomposed, kept apart": "\u00e9 e\u0301",
        "right to left": "שלום",
        "text that looks sealed": "VkxFMQEB",
        "text that looks like JSON": '{"$bytes": "AA=="}',
        "a text of 1 KiB": "0123456789abcdef" * 64,
    }
    data = {
        "empty bytes": b"",
        "one zero byte": b"\0",
        "every byte": bytes(range(256)),
        "bytes that are no UTF-8": b"\xff\xfe\x80",
        "bytes that happen to be UTF-8": "héllo".encode(),
        "bytes that look like an envelope": b"VLE1\x01\x01" + bytes(80),
        "as long as a block of AES": bytes(16),
        "a byte longer than a block of AES": bytes(17),
    }
    places = {
        "an id of one character": ("docs", "1"),
        "an id of four alphabets": ("docs", "ид-ид_識別子-id"),
        "an emoji for an id": ("docs", "\U0001f511"),
        "an id with NUL": ("docs", "a\0b"),
        "an id with a slash and spaces": ("docs", " ../a b/ "),
        "an id of 4096 bytes": ("docs", "x" * 4096),
        "a composed id": ("docs", "caf\u00e9"),
        "a decomposed id": ("docs", "cafe\u0301"),
        "an index of one character": ("d", "item-1"),
        "an index that isn't ASCII": ("Dokumente-Ü-文書", "item-1"),
        "an index of 255 bytes": ("n" * 255, "item-1"),
        "an index of 256 bytes": ("n" * 256, "item-1"),
    }
    return [
        vector(
            "the golden vector",
            "docs",
            "item-1",
            envelope=golden.hex(),
            expect="ok",
            type="text",
            plaintext="héllo".encode().hex(),
        ),
        *(opened(comment, "docs", "item-1", TEXT, text.encode()) for comment, text in texts.items()),
        *(opened(comment, "docs", "item-1", BYTES, value) for comment, value in data.items()),
        *(opened(comment, index, item, TEXT, b"here") for comment, (index, item) in places.items()),
    ]


def what_moved() -> list[dict[str, Any]]:
    salt, nonce = random_of("moved salt", 16), random_of("moved nonce", 12)

    def moved(comment: str, sealed_for: tuple[str, str], opened_as: tuple[str, str]) -> dict[str, Any]:
        sealed = envelope(KEY, *sealed_for, TEXT, b"secret", salt, nonce)
        return vector(comment, *opened_as, envelope=sealed.hex(), expect="bad tag")

    return [
        moved("moved to another item", ("docs", "item-1"), ("docs", "item-2")),
        moved("moved to another index", ("docs", "item-1"), ("doc", "item-1")),
        moved("a letter moved from the index to the id", ("docs", "item-1"), ("doc", "sitem-1")),
        moved("a letter moved from the id to the index", ("docs", "item-1"), ("docsi", "tem-1")),
        moved("index and id exchanged", ("docs", "item-1"), ("item-1", "docs")),
        moved("the id in capitals", ("docs", "item-1"), ("docs", "ITEM-1")),
        moved("the id decomposed", ("docs", "caf\u00e9"), ("docs", "cafe\u0301")),
        moved("the id without its NUL", ("docs", "a\0"), ("docs", "a")),
    ]


def what_is_damaged() -> list[dict[str, Any]]:
    plaintext = b"secret"
    good = envelope(
        KEY, "docs", "item-1", TEXT, plaintext, random_of("damaged salt", 16), random_of("damaged nonce", 12)
    )

    def damaged(comment: str, sealed: bytes, expect: str) -> dict[str, Any]:
        return vector(comment, "docs", "item-1", envelope=sealed.hex(), expect=expect)

    def flipped(at: int, mask: int) -> bytes:
        return good[:at] + bytes([good[at] ^ mask]) + good[at + 1 :]

    fields = (
        ("magic", 0, 4, "bad magic"),
        ("suite", 4, 5, "unknown suite"),
        ("key id", 6, 10, "unknown key"),
        ("salt", 10, 26, "bad commitment"),
        ("commitment", 26, 58, "bad commitment"),
        ("nonce", 58, 70, "bad tag"),
        ("ciphertext", 70, 76, "bad tag"),
        ("tag", 76, 92, "bad tag"),
    )
    flips = [
        damaged(f"byte {at} of the {name} flipped", flipped(at, 0x01), expect)
        for name, start, stop, expect in fields
        for at in range(start, stop)
    ]
    types = [
        damaged("text called bytes", flipped(5, 0x01), "bad tag"),
        damaged("type 3", flipped(5, 0x02), "unknown type"),
        damaged("type with bit 7", flipped(5, 0x80), "unknown type"),
        damaged("suite 0", flipped(4, 0x01), "unknown suite"),
        damaged("suite 255", flipped(4, 0xFE), "unknown suite"),
    ]
    cuts = [
        damaged(f"cut to {length} bytes", good[:length], "bad magic" if length < 4 else "truncated")
        for length in (0, 1, 3, 4, 5, 6, 10, 26, 57, 58, 69, 70, 85)
    ]
    tails = [
        damaged("cut to 86 bytes", good[:86], "bad tag"),
        damaged("cut by one byte", good[:-1], "bad tag"),
        damaged("one byte too many", good + b"\0", "bad tag"),
        damaged("twice", good + good, "bad tag"),
        damaged("an unknown suite and cut short", flipped(4, 0x02)[:85], "truncated"),
        damaged("nothing but zeros", bytes(86), "bad magic"),
        damaged("the magic in small letters", b"vle1" + good[4:], "bad magic"),
        damaged("version 2", b"VLE2" + good[4:], "bad magic"),
    ]
    return flips + types + cuts + tails


def what_another_sealed() -> list[dict[str, Any]]:
    salt, nonce = random_of("other salt", 16), random_of("other nonce", 12)
    of_other = envelope(OTHER_KEY, "docs", "item-1", TEXT, b"secret", salt, nonce)
    renamed = of_other[:6] + key_id(KEY) + of_other[10:]
    no_text = envelope(KEY, "docs", "item-1", TEXT, b"\xff\xfe", salt, nonce)
    surrogate = envelope(KEY, "docs", "item-1", TEXT, b"\xed\xa0\x80", salt, nonce)
    return [
        vector("sealed with another key", "docs", "item-1", envelope=of_other.hex(), expect="unknown key"),
        vector(
            "another key under this key's id",
            "docs",
            "item-1",
            envelope=renamed.hex(),
            expect="bad commitment",
        ),
        vector("called text, and not UTF-8", "docs", "item-1", envelope=no_text.hex(), expect="bad text"),
        vector("called text, a surrogate", "docs", "item-1", envelope=surrogate.hex(), expect="bad text"),
    ]


def what_is_stored() -> list[dict[str, Any]]:
    sealed = envelope(
        KEY, "docs", "item-1", TEXT, b"secret", random_of("stored salt", 16), random_of("stored nonce", 12)
    )
    text = base64.b64encode(sealed).decode()
    assert text.startswith("VkxFMQE")
    assert text.endswith("=")
    url_safe = base64.urlsafe_b64encode(sealed).decode()
    assert url_safe != text

    # One character before the padding: its last bits stand for nothing.
    at = len(text.rstrip("=")) - 1
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    loose = text[:at] + alphabet[alphabet.index(text[at]) + 1] + text[at + 1 :]
    assert base64.b64decode(loose) == sealed

    def stored(comment: str, value: str, expect: str, **rest: str) -> dict[str, Any]:
        return vector(comment, "docs", "item-1", stored=value, expect=expect, **rest)

    return [
        stored("as it is stored", text, "ok", type="text", plaintext=b"secret".hex()),
        stored("without its padding", text.rstrip("="), "bad base64"),
        stored("with a bit set behind its end", loose, "bad base64"),
        stored("with a line end", text + "\n", "bad base64"),
        stored("broken into lines", text[:76] + "\n" + text[76:], "bad base64"),
        stored("in the URL-safe alphabet", url_safe, "bad base64"),
        stored("with a letter that is not ASCII", text[:-3] + "é" + text[-2:], "bad base64"),
        stored("cut within four characters", text[:-5], "bad base64"),
        stored("cut after four characters", text[:-4], "bad tag"),
        stored("nothing but the magic", "VkxFMQ==", "truncated"),
        stored("nothing but magic and suite", "VkxFMQE=", "truncated"),
        stored("nothing at all", "", "not sealed"),
        stored("an ordinary text", "The quick brown fox", "not sealed"),
        stored("the magic itself, no base64 of it", "VLE1 was here", "not sealed"),
        stored("shorter than the magic", "VkxFM", "not sealed"),
        stored("a text that is not ASCII", "naïve contents", "not sealed"),
        stored("base64 of something else", base64.b64encode(b"something else").decode(), "not sealed"),
        stored("a space before it", " " + text, "not sealed"),
    ]


def vectors() -> list[dict[str, Any]]:
    return [
        *what_opens(),
        *what_moved(),
        *what_is_damaged(),
        *what_another_sealed(),
        *what_is_stored(),
    ]


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(each, ensure_ascii=True) for each in vectors())
    VECTORS.write_text(f"[\n{lines}\n]\n", encoding="ascii")
