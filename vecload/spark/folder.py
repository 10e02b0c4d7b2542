"""ReportFolder: the folder that the tasks of a Spark job and its driver share, on a disk or in a store."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from vecload.errors import JournalError, SourceError, UsageError
from vecload.readers.storage.files import local_path, reason, remote_parts
from vecload.readers.storage.remote import Store

if TYPE_CHECKING:
    import pyarrow as pa

COPIED_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class ReportFolder:
    """A folder that all processes of a job reach by one name.

    On a disk, its files can be read by their owner only.

    Attributes:
        name: A path, or a URI of an object store or of HDFS.
        endpoint_url: Of an S3-compatible store; None for Amazon's.
    """

    name: str
    endpoint_url: str | None = None

    def check(self) -> None:
        """Refuse a name that is no folder to write to, and make the folder.

        Raises:
            UsageError: It can't be one.
            JournalError: It can't be made.
        """
        if not self._is_remote() and not Path(self._path("")).is_absolute():
            raise UsageError(
                f"report {self.name} is not an absolute path", hint="the tasks run in other folders"
            )
        self.write("writable", b"")
        self.delete(["writable"])

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file, or none. It replaces one of that name.

        Raises:
            JournalError: It can't be written.
        """
        with self._output(name) as stream:
            stream.write(data)

    def put(self, name: str, file: Path) -> None:
        """Write a copy of a local file, as `write` does."""
        with self._output(name) as stream, file.open("rb") as data:
            shutil.copyfileobj(data, stream, COPIED_BYTES)

    def join(self, name: str, parts: Sequence[str]) -> None:
        """Write a file that has the bytes of other files, one after the other.

        Raises:
            JournalError: It can't be written, or they can't be read.
        """
        with self._output(name) as stream:
            for part in parts:
                with self.open(part) as data:
                    while piece := data.read(COPIED_BYTES):
                        stream.write(piece)

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if there is none of that name.

        Raises:
            JournalError: It can't be read.
        """
        try:
            with self.open(name) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._failed("read", error) from None

    def open(self, name: str) -> pa.NativeFile:
        """A file, for Arrow.

        Raises:
            OSError: It can't be opened.
        """
        if self._is_remote():
            store = self._store()
            return store.fs.open_input_file(store.path(self._path(name)))
        import pyarrow as pa

        return pa.OSFile(self._path(name))

    def delete(self, names: list[str]) -> None:
        """Delete files, and local folders that become empty. What can't be deleted stays."""
        store = self._store() if self._is_remote() else None
        for name in names:
            with suppress(OSError):
                if store is not None:
                    store.fs.delete_file(store.path(self._path(name)))
                    continue
                path = Path(self._path(name))
                path.unlink()
                if "/" in name:
                    path.parent.rmdir()

    @contextmanager
    def _output(self, name: str) -> Iterator[BinaryIO]:
        try:
            if self._is_remote():
                store = self._store()
                with store.fs.open_output_stream(store.path(self._path(name))) as stream:
                    yield stream
                return
            path = Path(self._path(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
            try:
                descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with os.fdopen(descriptor, "wb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                aside.replace(path)
            finally:
                aside.unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            raise self._failed("written", error) from None

    def _is_remote(self) -> bool:
        return remote_parts(self.name) is not None

    def _path(self, name: str) -> str:
        base = self.name if self._is_remote() else local_path(self.name)
        return f"{base.rstrip('/')}/{name}" if name else base

    def _store(self) -> Store:
        parts = remote_parts(self.name)
        assert parts is not None  # noqa: S101 asked before
        try:
            return Store(*parts, endpoint_url=self.endpoint_url)
        except SourceError as error:
            raise JournalError(f"the report folder can't be used: {error.args[0]}", hint=error.hint) from None

    def _failed(self, what: str, error: Exception) -> JournalError:
        return JournalError(
            f"the report folder {self.name} can't be {what}: {reason(error)}",
            hint="name a folder that the driver and every worker can write to",
        )
