"""Compressed files, unpacked while they are read: gzip and zstd, of any number of members or frames."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO, cast

from vecload.readers.storage.files import BUFFER_BYTES, DamagedError, File, reason
from vecload.readers.storage.remote import BUFFER_BYTES as REMOTE_BYTES
from vecload.readers.storage.remote import RemoteFile

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".gz", ".zst", ".zstd")
_SKIP_BYTES = 2**20


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


class Unpacked:
    """What a compressed file holds. Its checksums are verified.

    A stream of it seeks by unpacking what lies before: offsets are those of the unpacked bytes.

    Args:
        file: The compressed file.
        codec: `gzip` or `zstd`.
    """

    def __init__(self, file: File, codec: str) -> None:
        self.name = file.name
        self.location = file.location
        self.nbytes = file.nbytes
        self.fingerprint = file.fingerprint
        self.holds = file.holds
        self.changed = file.changed
        self.file = file
        self.codec = codec
        self.stored_part = 1.0

    def open(self) -> BinaryIO:
        """A stream from its beginning."""
        return cast(BinaryIO, io.BufferedReader(_Unpacking(self), BUFFER_BYTES))

    def arrow(self) -> pa.NativeFile:
        """The same for Arrow."""
        import pyarrow as pa

        return pa.PythonFile(self.open(), mode="r")


class _Unpacking(io.RawIOBase):
    """The unpacked bytes of a file, in order; seeking unpacks what lies between."""

    def __init__(self, unpacked: Unpacked) -> None:
        self._unpacked = unpacked
        self._begin()

    def _begin(self) -> None:
        import pyarrow as pa

        self._packed = self._unpacked.file.arrow()
        packed = self._packed
        if isinstance(self._unpacked.file, RemoteFile):
            # Arrow asks for 64 KiB at a time.
            packed = pa.BufferedInputStream(packed, REMOTE_BYTES)
        self._stream = pa.CompressedInputStream(packed, self._unpacked.codec)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def readinto(self, into: memoryview) -> int:  # type: ignore[override] # all that BufferedReader gives
        try:
            size = int(self._stream.readinto(into))
        except OSError as error:
            raise self._failure(error) from None
        self._at += size
        if size:
            self._unpacked.stored_part = self._packed.tell() / self._at
        return size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._at
        elif whence != io.SEEK_SET:
            raise io.UnsupportedOperation("the end of compressed bytes is known only there")
        if offset < self._at:
            self._stream.close()
            self._begin()
        room = memoryview(bytearray(min(_SKIP_BYTES, offset - self._at)))
        while self._at < offset and self.readinto(room[: offset - self._at]):
            pass
        return self._at

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._packed.close()
        super().close()

    def _failure(self, error: OSError) -> OSError:
        codec, said = self._unpacked.codec, reason(error)
        if "Truncated" in said:
            return DamagedError(f"its {codec} data is cut off")
        if "inflate failed" in said or "decompress failed" in said:
            return DamagedError(f"its {codec} data is damaged: {said.rpartition(': ')[2]}")
        return error
