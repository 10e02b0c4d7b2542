"""Opening an index: which target, which key, and creating the index where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from vecload.errors import (
    IndexExists,
    IndexKeyNeeded,
    IndexMismatch,
    IndexNotFound,
    KeyFileError,
    RootKeyNeeded,
    UsageError,
    VecloadError,
    WrongKey,
)
from vecload.limits import BINARY_THRESHOLD
from vecload.places import config_folder, short, store_folder
from vecload.safe_text import one_line
from vecload.sealing import Key
from vecload.sealing.keyring import PendingKey, confirm, find_stored, pending_key, pending_path, tidy
from vecload.sealing.keys import stored_key_path
from vecload.targets import IndexSettings, Target, TargetIndex, WireFormat, connect_target, is_service
from vecload.targets.base import check_settings
from vecload.targets.embedded import has_store
from vecload.targets.location import check_folder_name

APPEARS_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Waits for an index that another run creates at this moment."""
NAME_CHARACTERS = 60
"""Of an index's name that a message lists."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where the user says the key is; nothing at all means the default key store.

    Attributes:
        key: The key itself.
        file: `--key-file` of the command line.
        command: `--key-command`, or VECLOAD_KEY_COMMAND.
        default_file, default_command: Those of the user's configuration.
        environ: With VECLOAD_KEY_FILE, VECLOAD_INDEX_KEY and VECLOAD_CONTENTS_KEY.
    """

    key: Key | None = field(default=None, repr=False)
    file: Path | None = None
    command: str | None = None
    default_file: Path | None = None
    default_command: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    _found: list[tuple[Key, str] | None] = field(default_factory=list, init=False, repr=False, compare=False)

    def named(self) -> tuple[Key, str] | None:
        """The key and where it is from; None if the user named none.

        Looked for once: a key command may ask a person.

        Raises:
            KeyFileError: It can't be had from there.
        """
        if not self._found:
            self._found.append(self._look())
        return self._found[0]

    def _look(self) -> tuple[Key, str] | None:
        if self.key is not None:
            return self.key, "the key that was given"
        if self.file is not None:
            return Key.load(self.file), str(self.file)
        if self.command is not None:
            return Key.from_command(self.command), "the key command"
        if path := self.environ.get("VECLOAD_KEY_FILE"):
            return Key.load(path), path
        if index_key := self.environ.get("VECLOAD_INDEX_KEY"):
            contents_key = self.environ.get("VECLOAD_CONTENTS_KEY")
            return Key.from_hex(index_key, contents_key, where="VECLOAD_INDEX_KEY"), "VECLOAD_INDEX_KEY"
        if self.environ.get("VECLOAD_CONTENTS_KEY"):
            raise KeyFileError("VECLOAD_CONTENTS_KEY is set without VECLOAD_INDEX_KEY")
        if self.default_file is not None:
            return Key.load(self.default_file), str(self.default_file)
        if self.default_command is not None:
            return Key.from_command(self.default_command), "the key command"
        return None


@dataclass(frozen=True, slots=True)
class OpenedIndex:
    """An index, with its key.

    Attributes:
        index: The index.
        key: Its key; None for an index that opened without one, if no contents key is named or stored either.
        key_from: Where the key is, for people; "" without one.
        created: It was made just now.
    """

    index: TargetIndex
    key: Key | None
    key_from: str
    created: bool

    @property
    def key_id(self) -> str:
        """The id of the contents key; "" without one."""
        return self.key.key_id if self.key is not None else ""

    @property
    def opening_keys(self) -> tuple[bytes, ...]:
        """Every contents key that may open contents."""
        return self.key.opening_keys if self.key is not None else ()

    @property
    def access(self) -> str:
        """What opens the index, and where the contents key is: one line for people."""
        if self.index.opened_by == "index key":
            return f"{short(self.key_from)} (key id {self.key_id})"
        opens = "the user token" if self.index.opened_by == "user token" else "the service's KMS"
        if self.key is None:
            return f"{opens} opens the index; there is no contents key"
        unused = "; its index key is not used" if self.key.index_key is not None else ""
        return (
            f"{opens} opens the index; contents key in {short(self.key_from)} (key id {self.key_id}){unused}"
        )


def connect_to(
    to: str | None,
    api_key: str | None,
    *,
    wire: WireFormat = "auto",
    binary_threshold: int = BINARY_THRESHOLD,
    read_only: bool = False,
    must_exist: bool = False,
    tell: Callable[[str], None],
) -> Target:
    """The target that the user named, or the user's local store.

    Args:
        to: What the user named.
        api_key: The API key of a service.
        wire: The wire format, for a service.
        binary_threshold: Items of a batch from which `auto` takes binary.
        read_only: Let opening an embedded store write nothing.
        must_exist: Do not make a store where there is none.
        tell: Takes a line for people.

    Raises:
        UsageError: The location is not a target, or there is no store and there must be one.
    """
    place = to or str(store_folder())
    if must_exist and not is_service(place):
        check_folder_name(place)
        if not has_store(Path(place)):
            raise no_store(place)
    target = connect_target(
        place, api_key=api_key, wire=wire, binary_threshold=binary_threshold, read_only=read_only
    )
    if _is_exposed(target.location):
        tell(f"warning: keys travel unencrypted to {target.location}; use https")
    return target


def _is_exposed(location: str) -> bool:
    """Whether keys would travel in the clear to another machine."""
    parts = urlsplit(location)
    return parts.scheme == "http" and parts.hostname not in _LOOPBACK


def only_index(target: Target) -> str:
    """The target's index, if it has just one.

    Raises:
        UsageError: It has none or several.
    """
    try:
        names = target.list_indexes()
    except RootKeyNeeded:
        raise UsageError(
            "the API key is a user token, which can't list indexes", hint="name its index with --index"
        ) from None
    if len(names) != 1:
        listed = ", ".join(one_line(name, NAME_CHARACTERS) for name in names[:10]) or "none"
        raise UsageError(
            f"{target.location} has {len(names)} indexes ({listed})", hint="name one with --index"
        )
    return names[0]


def open_existing(
    target: Target, name: str, keys: KeySource, *, kms: str | None = None, read_only: bool = False
) -> OpenedIndex:
    """Open an index that must be there.

    A pending key of the key store that opens it becomes its key file. An index that opens without an index
    key, because it is KMS-backed or the API key is a user token, may have no key here at all.

    Args:
        target: Where.
        name: The index.
        keys: Where its key is.
        kms: The service's KMS that has the index key, if it is known: then no index key is sent.
        read_only: Write nothing: a pending key stays pending.

    Raises:
        IndexNotFound: It is not.
        IndexMismatch: It is not KMS-backed, and `kms` says so.
        KeyFileError: Its key can't be found.
        WrongKey: The key is another's.
    """
    named = keys.named()
    if named is not None:
        return _open(target, name, *named, kms=kms)
    path = stored_key_path(config_folder(), target.location, name)
    # Twice: another process may have made the index and its key since the key was looked for.
    for _ in range(2):
        stored = find_stored(path)
        if stored is not None and not stored.pending:
            opened = _open(target, name, stored.key, str(path), kms=kms)
            if not read_only:
                tidy(path)
            return opened
        if stored is not None:
            try:
                opened = _open(target, name, stored.key, str(stored.path if read_only else path), kms=kms)
            except WrongKey:
                pass  # somebody else made the index
            else:
                if _is_for(opened):
                    if not read_only:
                        confirm(path, stored.key)
                    return opened
        with suppress(IndexKeyNeeded):
            opened = _open(target, name, None, "", kms=kms)
            if find_stored(path) is None or stored is not None:
                return opened
    raise KeyFileError(
        f"the key of index {name!r} is not in the key store ({path})", hint="name it with --key-file"
    )


def _open(target: Target, name: str, key: Key | None, key_from: str, *, kms: str | None) -> OpenedIndex:
    index_key = None if key is None or kms is not None else key.index_key
    try:
        return OpenedIndex(target.open_index(name, index_key), key, key_from, created=False)
    except IndexNotFound:
        raise not_found(target.location, name) from None
    except IndexKeyNeeded:
        if kms is not None:
            raise IndexMismatch(
                f"index {name!r} is not KMS-backed: it was created with an index key",
                hint="omit --kms, or load into another index",
            ) from None
        if key is not None:
            key.index_key_for(name, key_from)  # its error says where a contents key alone is from
        raise


def _is_for(opened: OpenedIndex) -> bool:
    """Whether a pending key belongs to the index that opened with it.

    A contents key alone proves nothing by opening, since the index opens without it. The run that made it was
    killed before it loaded anything: in an index with items it is somebody else's.
    """
    return opened.index.opened_by == "index key" or not opened.index.count()


def create_new(
    target: Target, name: str, keys: KeySource, settings: IndexSettings, *, tell: Callable[[str], None]
) -> OpenedIndex:
    """Make an index; without a named key, with a new one in the key store.

    The key is on the disk, pending, before the target is asked, and stays there whatever happens then, unless
    the target refuses. An index that an earlier run made with the pending key, and did not live to see, is
    opened: then `created` is false.

    Raises:
        IndexExists: There is one of that name.
        IndexMismatch: The settings can't be had.
        KeyFileError: The key file can't be written.
    """
    check_settings(name, settings)
    named = keys.named()
    if named is None:
        path = stored_key_path(config_folder(), target.location, name)
        if path.exists():
            named = Key.load(path), str(path)
    if named is not None:
        index_key = None if settings.kms else named[0].index_key_for(name, named[1])
        return OpenedIndex(target.create_index(name, index_key, settings), *named, created=True)
    waiting = f"waiting for another run that makes index {one_line(name, NAME_CHARACTERS)!r}"
    with pending_key(path, lambda: tell(waiting), contents_only=settings.kms is not None) as pending:
        if pending is not None:
            return _create_pending(target, name, pending, settings)
    return create_new(target, name, keys, settings, tell=tell)


def _create_pending(target: Target, name: str, pending: PendingKey, settings: IndexSettings) -> OpenedIndex:
    """Make an index with a pending key, which becomes its key file."""
    key, key_from, created = pending.key, str(pending.path), True
    index_key = None if settings.kms else key.index_key_for(name, str(pending_path(pending.path)))
    try:
        index = target.create_index(name, index_key, settings)
    except IndexExists:
        # Made with this key by a run that never saw the answer; or by somebody else.
        with suppress(WrongKey, IndexKeyNeeded):
            index = target.open_index(name, index_key)
            # Without an index key it opens in any case. A key that this process made is not in use yet.
            made_by_us = index.opened_by == "index key" or not pending.made
            created = not (made_by_us and _is_for(OpenedIndex(index, key, key_from, created=False)))
        if created:
            pending.discard()
            raise
    except VecloadError as error:
        if error.refused:
            pending.discard()
        raise
    pending.confirm()
    return OpenedIndex(index, key, key_from, created=created)


def open_or_create(
    target: Target,
    name: str,
    keys: KeySource,
    settings: IndexSettings,
    *,
    before: Callable[[], None],
    tell: Callable[[str], None],
) -> OpenedIndex:
    """Open an index, or make it where there is none.

    Args:
        target: Where.
        name: The index.
        keys: Where its key is, or will be.
        settings: What it is made with.
        before: Called before it is made; may raise.
        tell: Takes a line for people.
    """
    try:
        return open_existing(target, name, keys, kms=settings.kms)
    except IndexNotFound:
        check_may_create(target, name)
        before()
    try:
        return create_new(target, name, keys, settings, tell=tell)
    except IndexExists:
        pass
    for wait in APPEARS_SECONDS:
        # Made by another run since it was looked for: a service lists an index a moment before it opens it.
        try:
            return open_existing(target, name, keys, kms=settings.kms)
        except IndexNotFound:
            time.sleep(wait)
    return open_existing(target, name, keys, kms=settings.kms)  # made by another run since it was looked for


def check_made_as(opened: OpenedIndex, settings: IndexSettings) -> None:
    """Refuse an index that an earlier run made with other settings than those asked for now.

    Raises:
        IndexExists: It did.
    """
    info = opened.index.describe()
    if settings.dimension not in (None, info.dimension) or settings.metric not in (None, info.metric):
        raise IndexExists(
            f"there is an index {info.name!r} already ({info.dimension} dimensions, {info.metric})",
            hint="an earlier run made it; delete it with 'vecload index delete' to make another",
        )


def not_found(location: str, name: str) -> IndexNotFound:
    """What to raise for an index that is not there."""
    return IndexNotFound(
        f"there is no index {name!r} in {location}",
        hint="'vecload index list' shows those there are, 'vecload index create' makes one",
    )


def check_may_create(target: Target, name: str) -> None:
    """Ask whether the API key may create an index that is missing.

    Raises:
        RootKeyNeeded: It may not.
    """
    if not is_service(target.location):
        return
    try:
        target.list_indexes()  # it needs the same API key
    except RootKeyNeeded:
        raise RootKeyNeeded(
            f"there is no index {name!r} in {target.location}, and the API key is a user token, which can't "
            "create one",
            hint="create it with the service's root API key, then make a token for it",
        ) from None


def no_store(place: str) -> UsageError:
    """What to raise for a store that is not there."""
    return UsageError(
        f"there is no store at {short(place)}",
        hint="'vecload upsert' and 'vecload index create' make one",
    )
