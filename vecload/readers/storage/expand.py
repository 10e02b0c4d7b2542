"""What was named as files: folders, patterns and URIs, in an order that is always the same."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from vecload.errors import SourceError
from vecload.readers.storage.files import STDIN, File, LocalFile, local_path, remote_parts
from vecload.readers.storage.remote import RemoteFile, Store

T = TypeVar("T")

_TABLES = (
    ("_delta_log/*", "a Delta table"),
    (".hoodie/*", "a Hudi table"),
    ("_versions/*", "a Lance table"),
    ("metadata/*.metadata.json", "an Iceberg table"),
)
"""Folders whose files alone don't show which rows are valid: some were deleted or replaced."""
_ALL_BELOW = re.compile(r"(^|/)\*\*/?$")
_ABOUT_DATA = re.compile(
    r"(README|LICENSE)(\.\w+)?|dataset_info\.json|dataset_dict\.json|state\.json", re.IGNORECASE
)
"""Files next to the data of a folder, put there by Hugging Face's `save_to_disk` and by people."""
WILDCARD = re.compile(r"[*?[]")


class FileFinder:
    """Where names lead. Keeps a connection to each store.

    Args:
        endpoint_url: Of an S3-compatible store.
    """

    def __init__(self, endpoint_url: str | None = None) -> None:
        self._endpoint_url = endpoint_url
        self._stores: dict[tuple[str, str], Store] = {}

    def find(self, name: str) -> Sequence[File]:
        """The files of a name: those of a folder or of a pattern sorted by their names.

        Raises:
            SourceError: It leads to none.
        """
        remote = remote_parts(name)
        if remote is not None:
            return self._remote(name, *remote)
        path = local_path(name)
        if Path(path).is_dir():
            return list(_folder(name, path))
        if WILDCARD.search(path) and not os.path.lexists(path):
            folder = _ALL_BELOW.sub("/", path).rstrip("/") or ("/" if path[0] == "/" else ".")
            if _ALL_BELOW.search(path) and Path(folder).is_dir():
                return list(_folder(folder, folder))
            return list(_pattern(name, path))
        return [_local(path, name)]

    def _remote(self, name: str, scheme: str, path: str) -> Sequence[File]:
        key = (scheme, path.partition("/")[0])
        if key not in self._stores:
            self._stores[key] = Store(scheme, path, endpoint_url=self._endpoint_url)
        store = self._stores[key]
        found = store.find(name)
        if isinstance(found, RemoteFile):
            return [found]
        if found:
            folder = name.rstrip("/") + "/"
            below = {file.name.removeprefix(folder): file for file in store.files(name)}
            return [below[each] for each in _data_files(name, below)]
        magic = WILDCARD.search(name)
        if magic is None:
            raise SourceError(f"{name} does not exist")
        if _ALL_BELOW.search(name) and not WILDCARD.search(folder := _ALL_BELOW.sub("", name)):
            return self.find(folder)
        folder = name[: magic.start()].rpartition("/")[0]
        if folder.endswith(":/"):
            raise SourceError(f"{name} has a pattern for a bucket", hint="name the bucket")
        files = {file.name: file for file in store.files(folder)}
        matched = _some(name, sorted(_seen(name, _matching(name, files), str)))
        matched = _outermost(matched, lambda each: each not in files)
        return [files[each] for one in matched for each in ([one] if one in files else _below(one, files))]


def leads_to(name: str, path: str) -> bool:
    """Whether a local folder or pattern finds, or would find, a file of that real path."""
    if name == STDIN or remote_parts(name) is not None:
        return False
    place = local_path(name)
    magic = WILDCARD.search(place)
    if Path(place).is_dir():
        folder, rest = place, ""
    elif magic is not None and not os.path.lexists(place):
        head, slash, _ = place[: magic.start()].rpartition("/")
        folder, rest = head + slash or ".", place[len(head + slash) :]
    else:
        return False
    below = os.path.relpath(path, os.path.realpath(folder)).split("/")
    if below[0] == "..":
        return False
    if rest:
        # A pattern finds files, and folders with all that is in them.
        depth = next((n for n in range(1, len(below) + 1) if _matcher(rest)("/".join(below[:n]))), 0)
        if not depth or (_hidden(below[depth - 1]) and rest.rpartition("/")[2][:1] not in "._"):
            return False
        if depth == len(below):
            return True
        below = below[depth:]
    return _holds_rows("/".join(below))


def _local(path: str, name: str) -> LocalFile:
    if Path(path).exists() and not Path(path).is_file():
        raise SourceError(
            f"{name} is not a regular file", hint="write it to a file: a load reads it more than once"
        )
    return LocalFile(path, name)


def _folder(name: str, path: str) -> Iterator[LocalFile]:
    """The files of a local folder, at any depth; links to folders are followed, but never in a circle."""
    below: list[str] = []
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(path, followlinks=True, onerror=_fail):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below += [os.path.relpath(os.path.join(folder, file), path) for file in files]  # noqa: PTH118 as walk has it
    for each in _data_files(name, below):
        yield _local(str(Path(path) / each), str(Path(name.rstrip("/") or "/") / each))


def _fail(error: OSError) -> None:
    raise SourceError(f"{error.filename} can't be read: {error.strerror}") from None


def _pattern(name: str, path: str) -> Iterator[File]:
    seen = _some(name, sorted(_seen(path, glob.glob(path, recursive=True), str)))  # noqa: PTH207 pathlib's skips no hidden files
    for found in _outermost(seen, os.path.isdir):
        if Path(found).is_dir():
            yield from _folder(found, found)
        else:
            yield _local(found, found)


def _outermost(found: list[str], is_folder: Callable[[str], bool]) -> list[str]:
    """What a pattern finds, less what is in a folder that it finds too: `**` finds things at any depth."""
    folders = {each.rstrip("/") for each in found if is_folder(each)}

    def within(path: str) -> bool:
        parts = path.rstrip("/").split("/")
        return any("/".join(parts[:n]) in folders for n in range(1, len(parts)))

    return [each for each in found if not within(each)]


def _matching(pattern: str, names: Iterable[str]) -> set[str]:
    """The URIs, and those of folders above them, that a pattern matches."""
    matches, found = _matcher(pattern.rstrip("/")), set()
    for name in names:
        parts = name.split("/")
        found |= {each for n in range(4, len(parts) + 1) if matches(each := "/".join(parts[:n]))}
    return found


def _below(folder: str, names: Iterable[str]) -> list[str]:
    """The URIs of the data below a folder, sorted."""
    prefix = folder + "/"
    below = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    return [prefix + each for each in _data_files(folder, below)]


def _seen(pattern: str, found: Iterable[T], name: Callable[[T], str]) -> Iterator[T]:
    """What a pattern finds, less what by custom is not data, unless the pattern begins the same way."""
    asked = pattern.rpartition("/")[2][:1] in "._"
    return (each for each in found if asked or not _hidden(name(each).rpartition("/")[2]))


def _some(name: str, found: list[T]) -> list[T]:
    if not found:
        raise SourceError(f"no file matches {name}")
    return found


def _data_files(name: str, below: Iterable[str]) -> list[str]:
    """Of the files below a folder, those that hold rows, sorted.

    Raises:
        SourceError: There is none, or the folder is a table whose files alone don't show its rows.
    """
    paths = sorted(below)
    for sign, kind in _TABLES:
        if any(fnmatch.fnmatchcase(f"/{path}", f"*/{sign}") for path in paths):
            raise SourceError(
                f"{name} is {kind}: its files also hold deleted or replaced rows",
                hint="export it to Parquet with its own tools",
            )
    found = [path for path in paths if _holds_rows(path)]
    if not found:
        raise SourceError(f"{name} is a folder without data files")
    return found


def _holds_rows(path: str) -> bool:
    """Whether a file of a folder is taken for data, by its path below that."""
    return not any(map(_hidden, path.split("/"))) and not _ABOUT_DATA.fullmatch(path.rpartition("/")[2])


def _hidden(part: str) -> bool:
    """Whether a part of a path by custom is not data: `.crc`, `_SUCCESS`, `_metadata`."""
    return part.startswith(".") or (part.startswith("_") and "=" not in part)


def _matcher(pattern: str) -> Callable[[str], object]:
    """A test of whole URIs: `*` and `?` stay within a part, `**` is any number of parts."""
    whole = ""
    for piece in re.split(r"(\*\*/|\*\*$|\*|\?|\[[^]]+\])", pattern):
        if piece.startswith("[") and piece.endswith("]"):
            whole += "[" + ("^" if piece[1] == "!" else piece[1]).replace("\\", r"\\") + piece[2:]
        else:
            whole += _WILD.get(piece) or re.escape(piece)
    return re.compile(whole).fullmatch


_WILD = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
