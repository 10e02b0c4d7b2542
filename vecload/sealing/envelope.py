"""Seals and opens contents, as docs/envelope.md defines it byte for byte (version 1).

A sealed value is the base64 text of

    magic "VLE1" | suite 1 | type | key id 4 | salt 16 | commitment 32 | nonce 12 | ciphertext and tag n+16

The cipher is AES-256-GCM with a subkey, which HKDF-SHA256 derives from the contents key and the segment's
salt. The associated data are the first 58 bytes, the index name and the item id, so contents that are moved
elsewhere do not open.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pybase64
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vecload.errors import NotSealed, SealError

UNKNOWN_KEY = "unknown key"
"""The outcome if contents were sealed with a key that the caller does not have."""
MAGIC = b"VLE1"
SUITE = 0x01
TYPE_BYTES = 0
TYPE_TEXT = 1
_HEADER_SIZE = 58
_NONCE_SIZE = 12
_NONCE_END = _HEADER_SIZE + _NONCE_SIZE
_SALT_SIZE = 16
_TAG_SIZE = 16
OVERHEAD = _HEADER_SIZE + _NONCE_SIZE + _TAG_SIZE
"""Bytes that sealing adds before base64."""
_MAGIC_CHARS = 8
"""base64 characters of the magic and the suite."""
_KEY_ID_CHARS = 16
"""base64 characters up to the end of the key id."""

SEGMENT_ITEMS = 2**24
SEGMENT_BYTES = 64 * 2**30
OPENER_SEGMENTS = 1024
"""Subkeys that an Opener keeps. A load makes one for each process and segment."""


def key_id_of(contents_key: bytes) -> bytes:
    """The 4 bytes that identify a contents key and reveal nothing else about it."""
    label = b"vecload/key-id/v1"
    return hashlib.sha256(label + b"\0" + hmac.digest(contents_key, label, "sha256")).digest()[:4]


def _subkey(contents_key: bytes, key_id: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """The segment's key and its commitment, 32 bytes each."""
    info = b"vecload/content/v1\0" + key_id
    okm = HKDF(algorithm=SHA256(), length=64, salt=salt, info=info).derive(contents_key)
    return okm[:32], okm[32:]


def _binding(index_name: str) -> bytes:
    name = index_name.encode()
    return len(name).to_bytes(2, "big") + name


class _ProcessLock:
    """A lock for one process: in a forked child, nobody may ever release the parent's lock."""

    def __init__(self) -> None:
        self._of = (os.getpid(), threading.Lock())

    def own(self) -> threading.Lock:
        """The lock of this process. Two threads that need it first at the same time may get one each."""
        if self._of[0] != os.getpid():
            self._of = (os.getpid(), threading.Lock())
        return self._of[1]


@dataclass(slots=True)
class _Segment:
    pid: int
    aead: AESGCM
    headers: tuple[bytes, bytes]
    """The first 58 bytes of every envelope in the segment, by type."""
    items: int = 0
    plaintext: int = 0


class Sealer:
    """Seals contents for one index with one contents key. Threads may share it.

    Args:
        contents_key: 32 uniformly random bytes.
        index_name: The index. Sealed contents open only with the same name.
        urandom: Returns n random bytes, for salts and nonces.
    """

    def __init__(
        self, contents_key: bytes, index_name: str, *, urandom: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._key = contents_key
        self._key_id = key_id_of(contents_key)
        self._binding = _binding(index_name)
        self._urandom = urandom
        self._lock = _ProcessLock()
        self._segment: _Segment | None = None

    @property
    def key_id(self) -> str:
        """The contents key's id: 8 hex digits."""
        return self._key_id.hex()

    def __repr__(self) -> str:
        return f"Sealer(key_id={self.key_id})"

    def seal(self, ids: Sequence[str], contents: Iterable[str | bytes | None]) -> list[str | None]:
        """Seal the contents of some items.

        Args:
            ids: n item ids.
            contents: n texts, bytes or None each.

        Returns:
            n base64 texts; None for items without contents.
        """
        contents = list(contents)
        present = [(i, c) for i, c in zip(ids, contents, strict=True) if c is not None]
        plain = [c.encode() if isinstance(c, str) else c for _, c in present]
        kinds = [TYPE_TEXT if isinstance(c, str) else TYPE_BYTES for _, c in present]
        segment = self._claim(len(plain), sum(map(len, plain)))
        # Column by column: a loop over items takes as long as encrypting a short text.
        random = self._urandom(_NONCE_SIZE * len(plain))
        nonces = [random[at : at + _NONCE_SIZE] for at in range(0, len(random), _NONCE_SIZE)]
        bound = [header + self._binding for header in segment.headers]
        associated = [
            bound[kind] + item_id.encode() for kind, (item_id, _) in zip(kinds, present, strict=True)
        ]
        ciphertexts = map(segment.aead.encrypt, nonces, plain, associated)
        headers = map(segment.headers.__getitem__, kinds)
        envelopes = map(b"".join, zip(headers, nonces, ciphertexts, strict=True))
        sealed = map(pybase64.b64encode_as_string, envelopes)
        if len(present) == len(contents):
            return [*sealed]
        return [None if c is None else next(sealed) for c in contents]

    def _claim(self, items: int, plaintext: int) -> _Segment:
        """The segment for that many more items: a new one at the limits, and in a forked child."""
        with self._lock.own():
            segment = self._segment
            if (
                segment is None
                or segment.pid != os.getpid()
                or segment.items + items > SEGMENT_ITEMS
                or segment.plaintext + plaintext > SEGMENT_BYTES
            ):
                segment = self._segment = self._new_segment()
            segment.items += items
            segment.plaintext += plaintext
            return segment

    def _new_segment(self) -> _Segment:
        salt = self._urandom(_SALT_SIZE)
        subkey, commitment = _subkey(self._key, self._key_id, salt)
        rest = self._key_id + salt + commitment
        of_bytes, of_text = (MAGIC + bytes([SUITE, kind]) + rest for kind in (TYPE_BYTES, TYPE_TEXT))
        return _Segment(os.getpid(), AESGCM(subkey), (of_bytes, of_text))


class Opener:
    """Opens what a Sealer sealed for the same index.

    Args:
        contents_keys: The keys that may have sealed it: the current one and old ones, 32 bytes each.
        index_name: The index the contents were sealed for.
        key_from: Where the keys are from, for people.
    """

    def __init__(
        self, contents_keys: Iterable[bytes], index_name: str, key_from: str = "the key that was given"
    ) -> None:
        self._keys = {key_id_of(key): key for key in contents_keys}
        self._index_name, self._key_from = index_name, key_from
        self._binding = _binding(index_name)
        self._segments: OrderedDict[bytes, tuple[AESGCM, bytes]] = OrderedDict()
        self._lock = _ProcessLock()

    def __repr__(self) -> str:
        return f"Opener(key_ids={[key_id.hex() for key_id in self._keys]})"

    def open(self, item_id: str, stored: str | bytes) -> str | bytes:
        """The original contents, in their original type.

        Contents that are not sealed are returned as they are.

        Args:
            item_id: The item.
            stored: The contents from the target.

        Raises:
            SealError: They are sealed, but do not open.
        """
        if not is_sealed(stored):
            return stored
        try:
            envelope = decode_base64(stored)
        except ValueError:
            raise SealError("bad base64", item_id=item_id) from None
        return self.open_envelope(item_id, envelope)

    def open_envelope(self, item_id: str, envelope: bytes) -> str | bytes:
        """Open the raw bytes of an envelope.

        Raises:
            SealError: Its `outcome` is one of those in docs/envelope.md.
        """
        if envelope[:4] != MAGIC:
            raise SealError("bad magic", item_id=item_id)
        if len(envelope) < OVERHEAD:
            raise SealError("truncated", item_id=item_id)
        if envelope[4] != SUITE:
            raise SealError("unknown suite", item_id=item_id)
        if envelope[5] not in (TYPE_BYTES, TYPE_TEXT):
            raise SealError("unknown type", item_id=item_id)
        header, nonce = envelope[:_HEADER_SIZE], envelope[_HEADER_SIZE:_NONCE_END]
        key_id, salt, commitment = header[6:10], header[10:26], header[26:58]
        aead, expected = self._segment(item_id, key_id, salt)
        if not hmac.compare_digest(commitment, expected):
            raise SealError("bad commitment", item_id=item_id, key_id=key_id.hex())
        try:
            data = aead.decrypt(nonce, envelope[_NONCE_END:], header + self._binding + item_id.encode())
            return data.decode() if envelope[5] == TYPE_TEXT else data
        except InvalidTag:
            raise SealError("bad tag", item_id=item_id, key_id=key_id.hex()) from None
        except UnicodeDecodeError:
            raise SealError("bad text", item_id=item_id, key_id=key_id.hex()) from None

    def open_each(
        self, ids: Sequence[str], stored: Sequence[str | bytes | None]
    ) -> list[str | bytes | SealError | None]:
        """The original contents of many items, much faster than one by one.

        Args:
            ids: n items.
            stored: n contents from the target, or None each.

        Returns:
            n original contents; None for items without contents, and a SealError where they do not open, a
            NotSealed where they are not sealed.
        """
        known: dict[bytes, tuple[Callable[[bytes, bytes, bytes], bytes], bytes]] = {}
        opened: list[str | bytes | SealError | None] = []
        for item_id, value in zip(ids, stored, strict=True):
            if value is None:
                opened.append(None)
                continue
            try:
                envelope = decode_base64(value)
                header = envelope[:_HEADER_SIZE]
                found = known.get(header)
                if found is not None and len(envelope) >= OVERHEAD:
                    # Another item's header, which was checked: only the part that differs is left.
                    decrypt, bound = found
                    nonce, sealed = envelope[_HEADER_SIZE:_NONCE_END], envelope[_NONCE_END:]
                    data = decrypt(nonce, sealed, bound + item_id.encode())
                    opened.append(data.decode() if header[5] == TYPE_TEXT else data)
                    continue
            except (InvalidTag, ValueError):
                pass  # named below
            try:
                if not is_sealed(value):
                    raise NotSealed(item_id)
                opened.append(self.open(item_id, value))
            except SealError as error:
                opened.append(error)
                continue
            aead, _ = self._segment(item_id, header[6:10], header[10:26])
            known[header] = aead.decrypt, header + self._binding
        return opened

    def _segment(self, item_id: str, key_id: bytes, salt: bytes) -> tuple[AESGCM, bytes]:
        contents_key = self._keys.get(key_id)
        if contents_key is None:
            error = SealError(UNKNOWN_KEY, item_id=item_id, key_id=key_id.hex())
            with_key = (
                f"with {self._key_from} (key id {next(iter(self._keys)).hex()})"
                if self._keys
                else "without a contents key"
            )
            error.hint = (
                f"index {self._index_name!r} was opened {with_key}: use the key file that the contents were "
                "sealed with"
            )
            raise error
        with self._lock.own():
            segment = self._segments.get(key_id + salt)
            if segment is None:
                subkey, commitment = _subkey(contents_key, key_id, salt)
                segment = self._segments[key_id + salt] = (AESGCM(subkey), commitment)
                if len(self._segments) > OPENER_SEGMENTS:
                    self._segments.popitem(last=False)
            return segment


def sealed_size(nbytes: int) -> int:
    """Characters of sealed contents that have that many bytes."""
    return 4 * -(-(nbytes + OVERHEAD) // 3)


def is_sealed(stored: str | bytes) -> bool:
    """Whether stored contents begin like sealed ones."""
    head = stored[:_MAGIC_CHARS]
    try:
        return pybase64.b64decode(head, validate=True)[: len(MAGIC)] == MAGIC
    except (binascii.Error, ValueError):
        return False


def key_id_in(stored: str | bytes) -> str | None:
    """The id of the contents key that sealed stored contents, 8 hex digits; None if they are not sealed."""
    if not is_sealed(stored):
        return None
    try:
        return pybase64.b64decode(stored[:_KEY_ID_CHARS], validate=True)[6:10].hex()
    except (binascii.Error, ValueError):
        return ""


def decode_base64(text: str | bytes) -> bytes:
    """The bytes of a base64 text: standard alphabet, padding, no white space, unused bits zero.

    Raises:
        ValueError: It is not exactly the text that encoding the bytes returns.
    """
    decoded = pybase64.b64decode(text, validate=True)
    if rest := len(decoded) % 3:
        # A strict decoder ignores only unused bits in the last four characters.
        last = text[-4:] if isinstance(text, bytes) else text[-4:].encode("ascii", "replace")
        if pybase64.b64encode(decoded[-rest:]) != last:
            raise ValueError("unused bits are set")
    return decoded
