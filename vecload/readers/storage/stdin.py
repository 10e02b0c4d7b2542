"""Standard input as a source: read once, its beginning kept, or spooled where its format needs to seek."""

from __future__ import annotations

import io
import os
import select
import tempfile
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

from vecload.errors import Interrupted, SourceError
from vecload.readers.storage.files import BUFFER_BYTES, STDIN, STDIN_NAME, File, reason

if TYPE_CHECKING:
    import pyarrow as pa

KEPT_BYTES = 32 * 2**20
"""Of the beginning, so that what a load looks at before it starts is there again when it does."""
SPOOL_MAX_BYTES = 4 * 2**30
"""Of standard input on a disk, where a format can't be read from its beginning to its end."""
_POLL_SECONDS = 0.2


class _Piped:
    """What was piped in, as every file of it is to those that read and compare files."""

    def open(self) -> BinaryIO:
        """A stream from its beginning."""
        raise NotImplementedError

    def arrow(self) -> pa.NativeFile:
        """The same for Arrow."""
        import pyarrow as pa

        return pa.PythonFile(self.open(), mode="r")

    def fingerprint(self, nbytes: int | None = None) -> str:
        """Nothing identifies a standard input."""
        return ""

    def holds(self, fingerprint: str, *, begins: bool = False) -> bool:
        """Nothing identifies it."""
        return False

    def changed(self) -> bool:
        """Nobody else can write to it."""
        return False


class StandardInput(_Piped):
    """What is piped in.

    Args:
        interrupted: The number of the signal that asked to stop, 0 while none did.
        descriptor: What is read.
        kept_bytes: Of the beginning that can be read again.

    Raises:
        SourceError: It is a terminal.
    """

    name = STDIN_NAME
    location = STDIN
    nbytes = None
    stored_part = 1.0

    def __init__(
        self,
        interrupted: Callable[[], int] = lambda: 0,
        *,
        descriptor: int = 0,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        if os.isatty(descriptor):
            raise SourceError("standard input is a terminal", hint="pipe a file into vecload, or name one")
        self._interrupted = interrupted
        self._descriptor = descriptor
        self._kept_bytes = kept_bytes
        self._kept: bytearray | None = bytearray()
        self._taken = 0

    def open(self) -> BinaryIO:
        """A stream from its beginning, as long as that is kept."""
        return cast(BinaryIO, io.BufferedReader(_Placed(self.take), BUFFER_BYTES))

    def take(self, at: int, most: int) -> bytes:
        """Some bytes from that place, none at the end.

        Raises:
            OSError: They were read already, and are not kept.
            Interrupted: A signal asked to stop meanwhile.
        """
        if at < self._taken:
            if self._kept is None or at >= len(self._kept):
                raise OSError("it can be read only once")
            return bytes(self._kept[at : at + most])
        while self._taken < at and self._read(min(at - self._taken, BUFFER_BYTES)):
            pass
        return self._read(most)

    def _read(self, most: int) -> bytes:
        while not select.select([self._descriptor], [], [], _POLL_SECONDS)[0]:
            if number := self._interrupted():
                raise Interrupted(number)
        piece = os.read(self._descriptor, most)
        self._taken += len(piece)
        if self._kept is not None:
            self._kept += piece
            if len(self._kept) > self._kept_bytes:
                self._kept = None
        return piece


class Spooled(_Piped):
    """Standard input on a disk, in a file without a name that goes with the process.

    Args:
        file: Standard input, or what it holds unpacked.
        most: Bytes that may be spooled.

    Raises:
        SourceError: There are more, or no room for them.
    """

    name = STDIN_NAME
    location = STDIN
    stored_part = 1.0

    def __init__(self, file: File, most: int = SPOOL_MAX_BYTES) -> None:
        self.nbytes = 0
        try:
            with tempfile.TemporaryFile() as spool, file.open() as stream:
                while piece := stream.read(BUFFER_BYTES):
                    self.nbytes += len(piece)
                    if self.nbytes > most:
                        raise SourceError(
                            f"{file.name} holds over {most:,} bytes of a format that needs a file",
                            hint="write it to a file and name that",
                        )
                    spool.write(piece)
                spool.flush()
                self._descriptor = os.dup(spool.fileno())
        except OSError as error:
            raise SourceError(
                f"{file.name} can't be stored in {tempfile.gettempdir()}: {reason(error)}",
                hint="set TMPDIR to a folder with room, or write it to a file and name that",
            ) from None
        weakref.finalize(self, os.close, self._descriptor)

    def open(self) -> BinaryIO:
        """A stream from its beginning."""
        stream = _Placed(lambda at, most: os.pread(self._descriptor, most, at), self.nbytes)
        return cast(BinaryIO, io.BufferedReader(stream, BUFFER_BYTES))


class _Placed(io.RawIOBase):
    """A stream over bytes that are taken by their place.

    Args:
        take: Gives at most so many bytes from a place on.
        size: How many there are, if that is known.
    """

    def __init__(self, take: Callable[[int, int], bytes], size: int | None = None) -> None:
        self._take = take
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def readinto(self, into: memoryview) -> int:  # type: ignore[override] # all that BufferedReader gives
        piece = self._take(self._at, len(into))
        into[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END and self._size is not None:
            offset += self._size
        elif whence == io.SEEK_CUR:
            offset += self._at
        elif whence != io.SEEK_SET:
            raise io.UnsupportedOperation("the end of standard input is known only there")
        self._at = offset
        return offset
