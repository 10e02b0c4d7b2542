"""Fingerprints: what a file holds, in a short text, by which a later run knows it again.

Size and digests decide, so that a copy, a restored backup or a restarted container's view of a file is the
same file. Devices, inodes and times say nothing here: they tell only whether a file changes during a run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

WHOLE = "whole"
SAMPLED = "samples"
_PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Sampling:
    """How much of a file is digested, so that this costs little beside reading all of it.

    Attributes:
        whole_bytes: A file of at most so many bytes is digested whole.
        samples: Of a larger one, so many samples, evenly spread from its first byte to its last.
        sample_bytes: Bytes of each.
    """

    whole_bytes: int
    samples: int
    sample_bytes: int


LOCAL = Sampling(64 * 2**20, 64, 2**20)
REMOTE = Sampling(2 * 2**20, 8, 2**18)
"""A store takes tens of milliseconds for each sample."""


def fingerprint_of(stream: BinaryIO, size: int, sampling: Sampling = LOCAL) -> str:
    """The fingerprint of a file's first so many bytes.

    Args:
        stream: The file; seeks.
        size: How many bytes.
        sampling: How much of them is digested.

    Raises:
        OSError: They can't be read, or there are fewer.
    """
    how = WHOLE if size <= sampling.whole_bytes else SAMPLED
    digest = hashlib.sha256()
    if how == WHOLE:
        _digest(stream, 0, size, digest)
    else:
        last = size - sampling.sample_bytes
        for number in range(sampling.samples):
            _digest(stream, last * number // (sampling.samples - 1), sampling.sample_bytes, digest)
    return f"{size}:{how}:{digest.hexdigest()[:32]}"


def _digest(stream: BinaryIO, begin: int, size: int, digest: hashlib._Hash) -> None:
    stream.seek(begin)
    while size:
        piece = stream.read(min(size, _PIECE_BYTES))
        if not piece:
            raise OSError("it became shorter")
        digest.update(piece)
        size -= len(piece)


def holds(
    stream: BinaryIO, size: int, known: str, looks: str, sampling: Sampling = LOCAL, *, begins: bool = False
) -> bool:
    """Whether a file is what a fingerprint says.

    Args:
        stream: The file; seeks.
        size: Its size.
        known: A fingerprint, of this version or of an earlier one.
        looks: What an earlier version's fingerprint of it begins with, if nothing touched it since.
        sampling: How much of it is digested.
        begins: Whether it may be longer: its beginning is compared.

    Raises:
        OSError: It can't be read.
    """
    parts = known.split(":")
    if len(parts) not in (3, 5):
        return False
    if parts[1] in (WHOLE, SAMPLED):
        then = int(parts[0])
        return (size == then or (begins and size > then)) and fingerprint_of(stream, then, sampling) == known
    # An earlier version's: sizes and times, and a digest of both ends. Where those are not all of the file,
    # it must look untouched.
    then = int(parts[2] if len(parts) == 5 else parts[0])
    if size < then or (size > then and not begins):
        return False
    if then > 2 * END_BYTES and known.rpartition(":")[0] != looks:
        return False
    return digest_of_ends(stream, then) == parts[-1]


def tells_too_little(known: str) -> bool:
    """Whether a fingerprint is an earlier version's, of a file of which it knows only the two ends."""
    parts = known.split(":")
    if len(parts) not in (3, 5) or parts[1] in (WHOLE, SAMPLED):
        return False
    return int(parts[2] if len(parts) == 5 else parts[0]) > 2 * END_BYTES


END_BYTES = 2**20
"""Of each end, in fingerprints of earlier versions."""


def digest_of_ends(stream: BinaryIO, size: int) -> str:
    """A digest of the first and the last MiB of so many bytes, as earlier versions took it."""
    sample = min(END_BYTES, size)
    digest = hashlib.sha256()
    for begin in (0, size - sample):
        _digest(stream, begin, sample, digest)
    return digest.hexdigest()[:32]


def by_samples(fingerprints: Iterable[str]) -> bool:
    """Whether some of these are of samples: a change between those is not seen."""
    return any(f":{SAMPLED}:" in text for text in fingerprints)
