"""Text digests: 64-bit digests of many texts at once, the same on every machine.

They are for finding out which ids may be the same, and never decide it: whoever made up ids on purpose could
find two with one digest. BLAKE2b (`vecload.targets.placement`) takes about ten times as long, one text at a
time.

The words of a text, 8 bytes each, little-endian, the last one filled up with zeros, go one by one into
`mixed(digest ^ word)`; the digest begins as the mixed length of the text in bytes.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from vecload.mapping.arrow_values import offsets_of
from vecload.targets.placement import IdDigests, mixed

_WORD = 8
_MASKS = np.array([2 ** (8 * size) - 1 for size in range(_WORD + 1)], dtype=np.uint64)
"""Of a word, the bits of its first bytes, by their number."""


def text_digests(texts: pa.Array) -> IdDigests:
    """The digests of texts: shape (n,).

    Args:
        texts: A string or large_string array, n texts without nulls. That they are UTF-8 is not looked at.
    """
    offsets = offsets_of(texts)
    at, left = offsets[:-1], np.diff(offsets)
    digests = mixed(left.astype(np.uint64))
    data = texts.buffers()[2] if len(texts) else None
    if data is None:
        return digests
    first, end = int(offsets[0]), int(offsets[-1])
    padded = np.zeros(end - first + _WORD, dtype=np.uint8)
    padded[: end - first] = np.frombuffer(data, dtype=np.uint8, count=end)[first:]
    # The word that begins at each byte; NumPy reads words that are not aligned.
    words = np.ndarray((end - first + 1,), dtype="<u8", buffer=padded.data, strides=(1,))
    at = at - first
    rows = None  # all
    while True:
        if not left.all():
            kept = np.flatnonzero(left)
            rows = kept if rows is None else rows[kept]
            at, left = at[kept], left[kept]
        if not len(left):
            return digests
        word = words[at].astype(np.uint64, copy=False) & _MASKS[np.minimum(left, _WORD)]
        if rows is None:
            digests = mixed(digests ^ word)
        else:
            digests[rows] = mixed(digests[rows] ^ word)
        at, left = at + _WORD, np.maximum(left - _WORD, 0)
