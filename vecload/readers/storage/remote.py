"""Files of object stores and of HDFS, read in place through pyarrow.fs."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

from vecload.errors import SourceError, SourceUnreachable
from vecload.readers.storage.files import REMOTE, File, fingerprint_of, holds, reason

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import fs

T = TypeVar("T")

BUFFER_BYTES = 8 * 2**20
"""Asked for at once: a store takes tens of milliseconds to answer, whatever is asked for."""
CONNECT_SECONDS = 10.0
REQUEST_SECONDS = 10.0
"""Without a byte: three tries of it are how long a store that is silent holds up a load, and a signal."""

_NOT_ALLOWED = ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH", "HTTP status 403")
_UNREACHABLE = ("NETWORK_CONNECTION", "curlCode", "REQUEST_TIMEOUT", "SLOW_DOWN", "SERVICE_UNAVAILABLE")


class Store:
    """A file system of another machine, as pyarrow.fs has it.

    Args:
        scheme: `s3`, `gs`, `hdfs` or `viewfs`.
        path: The path of a URI, after its scheme.
        endpoint_url: Of an S3-compatible store; None for the scheme's own.
        environ: The environment.

    Raises:
        SourceError: It can't be used.
    """

    def __init__(
        self,
        scheme: str,
        path: str,
        *,
        endpoint_url: str | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        # pyarrow.fs takes 20 ms to import, and its file systems open connections.
        from pyarrow import fs

        self._prefix = f"{scheme}://"
        authority = path.partition("/")[0]
        name = self._prefix + path
        endpoint = endpoint_url or environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL")
        if scheme == "s3" and not {"@", "?"}.isdisjoint(endpoint or ""):
            # The library's errors would repeat it.
            raise SourceError(
                "the endpoint's URL holds a user, a password or a query", hint="give only its host and port"
            )
        try:
            if scheme == "s3":
                region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
                if region is None and endpoint is None:
                    region = fs.resolve_s3_region(authority)
                self.fs: fs.FileSystem = fs.S3FileSystem(
                    endpoint_override=endpoint,
                    region=region,
                    connect_timeout=CONNECT_SECONDS,
                    request_timeout=REQUEST_SECONDS,
                )
            elif scheme == "gs":
                self.fs = fs.GcsFileSystem()
            else:
                self._prefix += authority
                self.fs = fs.HadoopFileSystem.from_uri(self._prefix)
        except (OSError, ValueError) as error:
            raise failure(name, error) from None

    def path(self, name: str) -> str:
        """The store's own path of a URI of it."""
        return name.removeprefix(self._prefix).rstrip("/")

    def find(self, name: str) -> RemoteFile | bool:
        """The file of that URI; True for a folder, False where there is neither.

        Raises:
            SourceError: The store fails or refuses.
        """
        from pyarrow import fs

        try:
            info = self.fs.get_file_info(self.path(name))
        except (OSError, ValueError) as error:
            raise failure(name, error) from None
        if info.type == fs.FileType.File:
            return RemoteFile(self, name, info)
        return bool(info.type == fs.FileType.Directory)

    def files(self, name: str) -> Iterator[RemoteFile]:
        """Every file below a folder.

        Raises:
            SourceError: The store fails or refuses.
        """
        from pyarrow import fs

        try:
            folder = fs.FileSelector(self.path(name), recursive=True, allow_not_found=True)
            infos = self.fs.get_file_info(folder)
        except (OSError, ValueError) as error:
            raise failure(name, error) from None
        for info in infos:
            if info.type == fs.FileType.File:
                yield RemoteFile(self, self._prefix + info.path, info)


class RemoteFile:
    """A file of a store, read piece by piece.

    Args:
        store: The store.
        name: Its URI.
        info: What the store says about it.
    """

    stored_part = 1.0

    def __init__(self, store: Store, name: str, info: fs.FileInfo) -> None:
        self.name = self.location = name
        self.nbytes = int(info.size)
        self._store = store
        self._modified = info.mtime_ns

    def open(self) -> BinaryIO:
        """A stream from its beginning."""
        # Arrow's file is what a raw stream has to be, but for its class.
        return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, self.arrow()), BUFFER_BYTES))

    def arrow(self) -> pa.NativeFile:
        """The same for Arrow."""
        return self._store.fs.open_input_file(self._store.path(self.name))

    def fingerprint(self, nbytes: int | None = None) -> str:
        """Its size and a digest: of all of it, or of samples where it is large."""
        with self.arrow() as stream:
            return fingerprint_of(stream, self.nbytes if nbytes is None else nbytes, REMOTE)

    def holds(self, fingerprint: str, *, begins: bool = False) -> bool:
        """By size and digest."""
        with self.arrow() as stream:
            looks = f"{self.nbytes}:{self._modified}"
            return holds(stream, self.nbytes, fingerprint, looks, REMOTE, begins=begins)

    def changed(self) -> bool:
        """By size and time of change."""
        now = self._store.fs.get_file_info(self._store.path(self.name))
        return (now.size, now.mtime_ns) != (self.nbytes, self._modified)


def failure(name: str, error: Exception) -> SourceError:
    """What a store's error means, for people, without its own words."""
    said = str(error)
    if any(code in said for code in _NOT_ALLOWED):
        return SourceError(
            f"{name} can't be read: the store refuses these credentials",
            hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            if name.startswith("s3:")
            else "log in with the store's own tools",
        )
    if any(code in said for code in _UNREACHABLE):
        return SourceUnreachable(
            f"the store of {name} can't be reached: {reason(error)}",
            hint="check --endpoint-url and the network, then run the same command again",
        )
    return SourceError(f"{name} can't be read: {reason(error)}")


FETCHES = 16
"""Files in object stores that are looked at at once: each answer takes its time."""


def each_opened(files: Sequence[File], opened: Callable[[File], T]) -> Iterator[tuple[File, Callable[[], T]]]:
    """Each file with what returns it opened, or raises why not; those in object stores, several at once."""
    if len(files) < 2 or not all(isinstance(file, RemoteFile) for file in files):
        yield from ((file, partial(opened, file)) for file in files)
        return
    pool = ThreadPoolExecutor(FETCHES, thread_name_prefix="vecload-open")
    try:
        futures = [pool.submit(opened, file) for file in files]
        yield from ((file, future.result) for file, future in zip(files, futures, strict=True))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
