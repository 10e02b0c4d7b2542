"""Files whose bytes are made from another file's as they are read: unpacked, recoded, relined."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, BinaryIO, cast

from vecload.readers.storage.files import BUFFER_BYTES, File

if TYPE_CHECKING:
    import pyarrow as pa

_SKIP_BYTES = 2**20


class Derived(ABC):
    """What another file becomes. It is known by the other's name, fingerprint and size.

    A stream of it seeks by making what lies before: offsets are those of what it becomes.

    Args:
        file: The other file.
    """

    def __init__(self, file: File) -> None:
        self.name = file.name
        self.location = file.location
        self.nbytes = file.nbytes
        self.fingerprint = file.fingerprint
        self.holds = file.holds
        self.changed = file.changed
        self.file = file

    @property
    @abstractmethod
    def stored_part(self) -> float:
        """Bytes of the other file for one of this."""

    @abstractmethod
    def stream(self) -> ForwardStream:
        """A stream from its beginning, without a buffer."""

    def open(self) -> BinaryIO:
        """A stream from its beginning."""
        return cast(BinaryIO, io.BufferedReader(self.stream(), BUFFER_BYTES))

    def arrow(self) -> pa.NativeFile:
        """The same for Arrow."""
        import pyarrow as pa

        return pa.PythonFile(self.open(), mode="r")


class ForwardStream(io.RawIOBase):
    """A stream whose bytes are made in order. It seeks forward by making what lies between, else anew."""

    def __init__(self) -> None:
        self._at = 0
        self._begin()

    @abstractmethod
    def _begin(self) -> None:
        """Start at the beginning."""

    @abstractmethod
    def _make(self, into: memoryview) -> int:
        """Make the next bytes, at most as many as there is room for; returns how many, 0 at the end."""

    @abstractmethod
    def _end(self) -> None:
        """Close what `_begin` opened."""

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """How many bytes lie before."""
        return self._at

    def readinto(self, into: memoryview) -> int:  # type: ignore[override] # all that BufferedReader gives
        """The next bytes.

        Raises:
            OSError: They can't be made.
        """
        size = self._make(into)
        self._at += size
        return size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, or to the end if it lies behind that; returns where it is.

        Raises:
            OSError: The bytes before can't be made.
        """
        if whence == io.SEEK_CUR:
            offset += self._at
        elif whence != io.SEEK_SET:
            raise io.UnsupportedOperation("the end is known only there")
        if offset < self._at:
            self._end()
            self._at = 0
            self._begin()
        room = memoryview(bytearray(min(_SKIP_BYTES, offset - self._at)))
        while self._at < offset and self.readinto(room[: offset - self._at]):
            pass
        return self._at

    def close(self) -> None:
        """Close it, and the other file's stream."""
        if not self.closed:
            self._end()
        super().close()
