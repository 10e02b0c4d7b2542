"""Files: where the bytes of sources come from, the one name of each place, and fingerprints of files."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar
from urllib.parse import unquote

from vecload.errors import SourceError
from vecload.safe_text import one_line
from vecload.targets.location import redacted_url

if TYPE_CHECKING:
    import pyarrow as pa

S = TypeVar("S", bound=Any)

STDIN = "-"
STDIN_NAME = "standard input"
REMOTE_SCHEMES = ("s3", "gs", "gcs", "hdfs", "viewfs")
"""What pyarrow.fs reaches."""
BUFFER_BYTES = 2**20

REASON_CHARACTERS = 200

_CURL = re.compile(r"curlCode: ([0-9]{1,3})\b")
_CURL_WORDS = {
    6: "no such host",
    7: "connection refused",
    28: "no answer in time",
    35: "TLS failed",
    52: "it closed the connection without an answer",
    56: "the connection broke",
    60: "its certificate is not trusted",
}
_STORE = re.compile(
    r"AWS Error(?: ([A-Z_]{3,60}|\[code [0-9]{1,5}\]))?(?: \((HTTP status [0-9]{3})\))?"
    r"|google::cloud::Status(?:\(([A-Z_]{3,40}))?"
)
"""The codes of the stores' libraries."""
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)


class File(Protocol):
    """Some bytes that can be read several times, wherever they are."""

    @property
    def name(self) -> str:
        """As people see it in messages."""

    @property
    def location(self) -> str:
        """What it is known by however its name is spelled: an absolute path, or a URI."""

    @property
    def nbytes(self) -> int | None:
        """Its size as it is stored; None where that is not known before its end."""

    @property
    def stored_part(self) -> float:
        """Bytes as it is stored for one of its stream; where compressed about, as learnt by reading."""

    def open(self) -> BinaryIO:
        """A buffered stream from its beginning, which can seek; each call gives one of its own.

        Opening it, or reading from it, may raise an OSError: `reason` puts it in words.
        """

    def arrow(self) -> pa.NativeFile:
        """The same for Arrow's own readers, which read it without the interpreter."""

    def fingerprint(self, nbytes: int | None = None) -> str:
        """What it holds now, or what its first so many bytes are: of the same bytes always the same.

        Raises:
            OSError: It can't be read.
        """

    def holds(self, fingerprint: str, *, begins: bool = False) -> bool:
        """Whether it is what that fingerprint says; where it may be longer, whether it begins so.

        Raises:
            OSError: It can't be read.
        """

    def changed(self) -> bool:
        """Whether something touched it since this run found it, as far as that shows without reading it.

        Raises:
            OSError: It is gone, or its state can't be read.
        """


class DamagedError(OSError):
    """What was read can't be trusted to be what was written."""


class ChangedError(OSError):
    """What is there now is not what was found there."""


class LocalFile:
    """A file on a disk of this machine.

    Args:
        path: Where it is.
        name: How people see it, if not by its path.

    Raises:
        SourceError: It is missing, not a file, or its name is not UTF-8, which a journal could not keep.
    """

    stored_part = 1.0

    def __init__(self, path: str, name: str | None = None) -> None:
        if (shown := printable(path)) != path:
            raise SourceError(f"the name of {shown} is not UTF-8", hint="rename it")
        self.path = path
        self.name = name or path
        self.location = os.path.realpath(path)
        try:
            status = Path(path).stat()
        except OSError as error:
            raise unreadable(self, error) from None
        self.nbytes = status.st_size
        self._found = _looks(status)

    def open(self, buffer_bytes: int = BUFFER_BYTES) -> BinaryIO:
        """A stream from its beginning.

        Raises:
            ChangedError: Another file took its place, or it became shorter.
            OSError: It can't be opened.
        """
        return self._checked(Path(self.path).open("rb", buffer_bytes))

    def arrow(self) -> pa.NativeFile:
        """The same for Arrow."""
        import pyarrow as pa

        return self._checked(pa.OSFile(self.path))

    def _checked(self, stream: S) -> S:
        """The stream, unless it is of another file than was found, or of less."""
        now = _looks(os.fstat(stream.fileno()))
        if now[:2] == self._found[:2] and now[2] >= self.nbytes:
            return stream
        stream.close()
        raise ChangedError(
            "it became shorter" if now[:2] == self._found[:2] else "another file took its place"
        )

    def changed(self) -> bool:
        """By device, inode, size and time of change."""
        return _looks(Path(self.path).stat()) != self._found

    def grew_from(self, fingerprint: str) -> bool:
        """Whether it is the very file that was found, and was only appended to since that fingerprint.

        Raises:
            OSError: It can't be read.
        """
        now = _looks(Path(self.path).stat())
        return now[:2] == self._found[:2] and now[2] > self.nbytes and self.holds(fingerprint, begins=True)

    def fingerprint(self, nbytes: int | None = None) -> str:
        """Its size and a digest: of all of it, or of samples where it is large."""
        with Path(self.path).open("rb", 0) as file:
            return fingerprint_of(file, self.nbytes if nbytes is None else nbytes)

    def holds(self, fingerprint: str, *, begins: bool = False) -> bool:
        """By size and digest."""
        with Path(self.path).open("rb", 0) as file:
            looks = _looks(os.fstat(file.fileno()))
            return holds(file, looks[2], fingerprint, ":".join(map(str, looks)), begins=begins)


def as_argument(name: str) -> str:
    """A file's name as an argument on a shell's line, a space before it; "" for standard input."""
    return "" if name == STDIN_NAME else f" {shlex.quote(name)}"


def printable(text: str) -> str:
    """A text of the command line or of a folder; bytes that are not UTF-8 as escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def repeatable(name: str) -> str:
    """The name of a source as it may be repeated: a URL that no store reads may hold secrets."""
    found = _URI.fullmatch(name)
    read = found is not None and found[1].lower() in (*REMOTE_SCHEMES, "file")
    secret = found is not None and (not read or "@" in found[2].partition("/")[0])
    return printable(redacted_url(name) if secret else name)


def _looks(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def as_file(file: File | str) -> File:
    """A file, or the local one of that path.

    Raises:
        SourceError: The path is that of no file.
    """
    return LocalFile(file) if isinstance(file, str) else file


def remote_parts(name: str) -> tuple[str, str] | None:
    """The scheme and the path of a URI that is not of this machine; None for a path or a `file://` URI.

    Raises:
        SourceError: The scheme is unknown, or the URI holds credentials.
    """
    found = _URI.fullmatch(name)
    if found is None or (scheme := found[1].lower()) == "file":
        return None
    if scheme not in REMOTE_SCHEMES:
        raise SourceError(
            f"{scheme}:// is not a storage that vecload reads",
            hint="it reads s3://, gs://, hdfs:// and file://",
        )
    authority, _, _ = found[2].partition("/")
    if "@" in authority:
        # Not repeated: secrets must not reach arguments and journals.
        raise SourceError(
            f"a {scheme}:// name holds credentials",
            hint="set them in the environment or in the store's own configuration",
        )
    return ("gs" if scheme == "gcs" else scheme), found[2]


def local_path(name: str) -> str:
    """A path of this machine, `file://` URIs among them, as a path."""
    found = _URI.fullmatch(name)
    if found is None:
        return name
    host, slash, path = found[2].partition("/")
    if host not in ("", "localhost"):
        raise SourceError(
            f"{redacted_url(name)} names another machine",
            hint="file:// has three slashes: file:///folder/file",
        )
    return unquote(slash + path)


_INDEX = "index "


def index_place(name: str, location: str) -> str:
    """The one name of an index as a source.

    Args:
        name: The index.
        location: The target's location.
    """
    return f"{_INDEX}{name!r} in {location}"


_PARTITION = re.compile(r"partition [0-9]+ of the DataFrame")


def partition_name(number: int) -> str:
    """The one name of a partition of a DataFrame as a source."""
    return f"partition {number} of the DataFrame"


def _is_no_file(name: str) -> bool:
    """Whether a name is that of an index or of a partition."""
    return name.startswith((f"{_INDEX}'", f'{_INDEX}"')) or _PARTITION.fullmatch(name) is not None


def located(name: str) -> str:
    """The one name of a place however it is spelled: an absolute path, a URI, a name of no file, or `-`."""
    if name in (STDIN, STDIN_NAME):
        return STDIN
    if _is_no_file(name):
        return name
    remote = remote_parts(name)
    if remote is not None:
        scheme, path = remote
        return f"{scheme}://{path.rstrip('/')}"
    return os.path.realpath(local_path(name))


def spelled(name: str) -> str:
    """A place by its own absolute name: links are not followed, which may lead elsewhere another time."""
    if name in (STDIN, STDIN_NAME) or _is_no_file(name) or remote_parts(name) is not None:
        return located(name)
    return os.path.abspath(local_path(name))  # noqa: PTH100 pathlib's keeps `..`


def reason(error: Exception) -> str:
    """Why something can't be read, in a few words on one line.

    Of what a store answers only codes are repeated: its texts may hold what it was sent, credentials too.
    """
    said = str(getattr(error, "strerror", None) or error)
    if code := _CURL.search(said):
        return _CURL_WORDS.get(int(code[1]), f"the connection failed (curl {code[1]})")
    if answered := _STORE.search(said):
        codes = " ".join(filter(None, answered.groups()))
        return f"the store answers {codes}" if codes else "the store refuses the request"
    return one_line(said.partition("\n")[0], REASON_CHARACTERS).rstrip(". ") or type(error).__name__


def unreadable(file: File, error: OSError, where: str = "") -> SourceError:
    """The error of a file that can't be read.

    Args:
        file: The file.
        error: What its stream raised.
        where: How far it could be read: ` after row 7`.
    """
    if isinstance(error, ChangedError):
        return SourceError(
            f"{file.name} changed while it was loaded: {reason(error)}",
            hint="once nothing writes to it, load it from the start with --fresh",
        )
    if isinstance(error, DamagedError):
        return SourceError(
            f"{file.name} can't be read{where}: {reason(error)}",
            hint="rows just before may be wrong, since a checksum follows its data: "
            "replace the file and load it with --fresh",
        )
    return SourceError(f"{file.name} can't be read{where}: {reason(error)}")


WHOLE = "whole"
SAMPLED = "samples"
_PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Sampling:
    """How much of a file is digested, so that this costs little compared to reading all of it.

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
    """Whether a fingerprint is an earlier version's, which covers only the two ends of its file."""
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
