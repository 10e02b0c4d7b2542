"""Files whose bytes are made from those of another file: text in another encoding, JSON laid out anew."""

from __future__ import annotations

import codecs
from abc import abstractmethod
from collections.abc import Iterator
from typing import BinaryIO

from vecload.errors import SourceError
from vecload.readers.storage.compressed import Unpacked
from vecload.readers.storage.derived import Derived, ForwardStream
from vecload.readers.storage.files import File

_PIECE_BYTES = 2**20


class Transformed(Derived):
    """What another file becomes, piece by piece.

    Args:
        file: The other file.
    """

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

    def stream(self) -> ForwardStream:
        """A stream from its beginning, without a buffer."""
        return _Transforming(self)


class _Transforming(ForwardStream):
    """The pieces of a file, in order."""

    def __init__(self, file: Transformed) -> None:
        self._file = file
        super().__init__()

    def _begin(self) -> None:
        self._stream = self._file.file.open()
        self._pieces = self._file.pieces(self._stream)
        self._piece = memoryview(b"")

    def _make(self, into: memoryview) -> int:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        size = min(len(self._piece), len(into))
        into[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        return size

    def _end(self) -> None:
        self._stream.close()


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
