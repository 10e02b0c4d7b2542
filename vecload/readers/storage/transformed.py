"""Files whose bytes are made from those of another file: text in another encoding, JSON laid out anew."""

from __future__ import annotations

import codecs
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from vecload.errors import SourceError
from vecload.readers.storage.compressed import Unpacked
from vecload.readers.storage.files import BUFFER_BYTES, File

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE_BYTES = 2**20


class Transformed(ABC):
    """What another file becomes.

    A stream of it seeks by reading what lies before: offsets are those of what it becomes.

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
    def stored_part(self) -> float:
        """As that of the other file: about as many bytes are made as are read."""
        return self.file.stored_part

    @abstractmethod
    def pieces(self, stream: BinaryIO) -> Iterator[bytes]:
        """What the bytes of the other file become, in order.

        Raises:
            OSError: They can't be read, or are wrong.
        """

    def open(self) -> BinaryIO:
        """A stream from its beginning."""
        return cast(BinaryIO, io.BufferedReader(_Transforming(self), BUFFER_BYTES))

    def arrow(self) -> pa.NativeFile:
        """The same for Arrow."""
        import pyarrow as pa

        return pa.PythonFile(self.open(), mode="r")


class _Transforming(io.RawIOBase):
    def __init__(self, file: Transformed) -> None:
        self._file = file
        self._begin()

    def _begin(self) -> None:
        self._stream = self._file.file.open()
        self._pieces = self._file.pieces(self._stream)
        self._piece = memoryview(b"")
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def readinto(self, into: memoryview) -> int:  # type: ignore[override] # all that BufferedReader gives
        size = min(self._ready(), len(into))
        into[:size] = self._piece[:size]
        self._skip(size)
        return size

    def _ready(self) -> int:
        """How many bytes can be given; 0 at the end."""
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        return len(self._piece)

    def _skip(self, size: int) -> None:
        self._piece = self._piece[size:]
        self._at += size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._at
        elif whence != io.SEEK_SET:
            raise io.UnsupportedOperation("the end is known only there")
        if offset < self._at:
            self._stream.close()
            self._begin()
        while self._at < offset and (ready := self._ready()):
            self._skip(min(ready, offset - self._at))
        return self._at

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


_NO_TEXT = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})
"""Codecs of Python that no text file is written in."""


def encoding_of(name: str) -> str:
    """An encoding by the name that Python gives it.

    Raises:
        SourceError: There is no such encoding of text.
    """
    try:
        found = codecs.lookup(name).name
        "".encode(found)
    except (LookupError, ValueError):
        found = ""
    if not found or found.replace("-", "_") in _NO_TEXT:
        raise SourceError(
            f"--encoding {name!r} is not a known encoding of text",
            hint="for instance utf-16, latin-1",
        )
    return found


class Recoded(Transformed):
    """Text in another encoding, as UTF-8. What is wrong becomes bytes that are not UTF-8: a row's fault.

    Args:
        file: The text.
        encoding: Its name.

    Raises:
        SourceError: There is no such encoding of text.
    """

    def __init__(self, file: File, encoding: str) -> None:
        super().__init__(file)
        self.encoding = encoding_of(encoding)

    def pieces(self, stream: BinaryIO) -> Iterator[bytes]:
        """The text in UTF-8.

        Raises:
            OSError: It ends within a character.
        """
        wide = self.encoding.startswith(("utf-16", "utf-32"))
        errors = "surrogatepass" if wide else "surrogateescape"
        decoder = codecs.getincrementaldecoder(self.encoding)(errors)
        try:
            while piece := stream.read(_PIECE_BYTES):
                yield decoder.decode(piece).encode("utf-8", "surrogatepass")
            yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise OSError(f"it is not {self.encoding.upper()}: {error.reason}") from None


def storage_of(file: File) -> str:
    """How a file is stored, for people, after its format: its compression and its encoding."""
    if isinstance(file, Unpacked):
        return f", {file.codec}"
    if isinstance(file, Recoded):
        return f"{storage_of(file.file)}, {file.encoding.upper()}"
    return storage_of(file.file) if isinstance(file, Transformed) else ""
