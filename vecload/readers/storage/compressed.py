"""Compressed files, unpacked while they are read: gzip and zstd, of any number of members or frames."""

from __future__ import annotations

from vecload.readers.storage.derived import Derived, ForwardStream
from vecload.readers.storage.files import DamagedError, File, reason
from vecload.readers.storage.remote import BUFFER_BYTES as REMOTE_BYTES
from vecload.readers.storage.remote import RemoteFile

SUFFIXES = (".gz", ".zst", ".zstd")


def codec_of(head: bytes) -> str | None:
    """The compression of what begins so, by Arrow's name of it; None if it is not compressed."""
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    # pzstd begins with a frame to be skipped, which the format allows anywhere.
    if head.startswith(b"\x28\xb5\x2f\xfd") or (head[:1] >= b"\x50" and head[1:4] == b"\x2a\x4d\x18"):
        return "zstd"
    return None


def plain_name(name: str) -> str:
    """A file's name without what says that it is compressed."""
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


class Unpacked(Derived):
    """What a compressed file holds. Its checksums are verified.

    Args:
        file: The compressed file.
        codec: `gzip` or `zstd`.
    """

    stored_part = 1.0

    def __init__(self, file: File, codec: str) -> None:
        super().__init__(file)
        self.codec = codec

    def stream(self) -> ForwardStream:
        """A stream from its beginning, without a buffer."""
        return _Unpacking(self)


class _Unpacking(ForwardStream):
    """The unpacked bytes of a file, in order."""

    def __init__(self, unpacked: Unpacked) -> None:
        self._unpacked = unpacked
        super().__init__()

    def _begin(self) -> None:
        import pyarrow as pa

        self._packed = self._unpacked.file.arrow()
        packed = self._packed
        if isinstance(self._unpacked.file, RemoteFile):
            # Arrow asks for 64 KiB at a time.
            packed = pa.BufferedInputStream(packed, REMOTE_BYTES)
        self._stream = pa.CompressedInputStream(packed, self._unpacked.codec)

    def _make(self, into: memoryview) -> int:
        try:
            size = int(self._stream.readinto(into))
        except OSError as error:
            raise self._failure(error) from None
        if size:
            self._unpacked.stored_part = self._packed.tell() / (self._at + size)
        return size

    def _end(self) -> None:
        self._stream.close()
        self._packed.close()

    def _failure(self, error: OSError) -> OSError:
        codec, said = self._unpacked.codec, reason(error)
        if "Truncated" in said:
            return DamagedError(f"its {codec} data is cut off")
        if "inflate failed" in said or "decompress failed" in said:
            return DamagedError(f"its {codec} data is damaged: {said.rpartition(': ')[2]}")
        return error
