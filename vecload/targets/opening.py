"""Opening an index: which target, which key, and creating the index where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from vecload.errors import IndexExists, IndexNotFound, KeyFileError, UsageError, VecloadError, WrongKey
from vecload.limits import BINARY_THRESHOLD
from vecload.places import config_folder, short, store_folder
from vecload.safe_text import one_line
from vecload.sealing import Key
from vecload.sealing.key_source import KeySource
from vecload.sealing.key_text import MadeFor
from vecload.sealing.keyring import (
    PendingKey,
    check_can_make,
    confirm,
    find_stored,
    keys_named,
    pending_key,
    pending_path,
    stored_place,
    tidy,
)
from vecload.sealing.keys import stored_key_paths
from vecload.targets import IndexSettings, Target, TargetIndex, WireFormat, connect_target, is_service
from vecload.targets.base import check_settings
from vecload.targets.embedded import has_store
from vecload.targets.location import check_folder_name, redacted_address

APPEARS_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Waits for an index that another run creates at this moment."""
NAME_CHARACTERS = 60
"""Of an index's name that a message lists."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class OpenedIndex:
    """An index, with the key it was opened with.

    Attributes:
        index: The index.
        key: Its key.
        key_from: Where the key is, for people.
        created: It was made just now.
        key_is_new: The key became its key file just now: nobody has a copy of it yet.
    """

    index: TargetIndex
    key: Key
    key_from: str
    created: bool
    key_is_new: bool = False

    def warn_of_new_key(self, warn: Callable[[str], None]) -> None:
        """Ask for a copy of the key if it is new.

        Args:
            warn: Takes the message, also where no others are wanted.
        """
        if self.key_is_new:
            name = one_line(self.index.name, NAME_CHARACTERS)
            warn(
                f"warning: the new key of index {name!r} is only in {short(self.key_from)}: keep a copy; "
                "without it, nobody can open the index"
            )


@dataclass(frozen=True, slots=True)
class NewIndexKey:
    """The key of an index that is to be made.

    Attributes:
        key: The key; None if it is made with the index.
        key_from: Where it is, or the file in which it will be, for people.
        file: Its key file; None if it is from elsewhere.
    """

    key: Key | None
    key_from: str
    file: Path | None = None


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
    names = target.list_indexes()
    if len(names) != 1:
        listed = ", ".join(one_line(name, NAME_CHARACTERS) for name in names[:10]) or "none"
        raise UsageError(
            f"{target.location} has {len(names)} indexes ({listed})", hint="name one with --index"
        )
    return names[0]


def open_existing(target: Target, name: str, keys: KeySource, *, read_only: bool = False) -> OpenedIndex:
    """Open an index that must be there.

    A pending key that opens it becomes its key file.

    Args:
        target: Where.
        name: The index.
        keys: Where its key is.
        read_only: Write nothing: a pending key stays pending.

    Raises:
        IndexNotFound: It is not.
        KeyFileError: Its key can't be found.
        WrongKey: The key is another's.
    """
    missing = keys.missing_file
    named = keys.named() if missing is None else None
    if named is not None:
        opened = open_with(target, name, *named)
        if keys.named_file is not None and not read_only:
            tidy(keys.named_file)
        return opened
    paths = [missing] if missing else stored_key_paths(config_folder(), target.location, name)
    # Twice: another process may have made the index and its key since the key was looked for.
    for _ in range(2):
        stored = _open_stored(target, name, paths, read_only=read_only)
        if stored is not None:
            return stored
        if name not in target.list_indexes():
            raise not_found(target.location, name)
    if missing:
        raise KeyFileError(
            f"index {name!r} exists, and the key file {missing} does not",
            hint="name the key file that the index was created with",
        )
    raise KeyFileError(
        f"the key of index {name!r} is not in the key store ({paths[0]})",
        hint=f"name it with --key-file{_stored_elsewhere(target, name)}",
    )


def _open_stored(target: Target, name: str, paths: Sequence[Path], *, read_only: bool) -> OpenedIndex | None:
    """Open an index with one of the key files that it may have; None if none is there, or only pending ones.

    Raises:
        WrongKey: A key file is there, and no key opens the index.
    """
    wrong: WrongKey | None = None
    for path in paths:
        stored = find_stored(path)
        if stored is None:
            continue
        key_from = str(stored.path if read_only else path)
        try:
            opened = open_with(target, name, stored.key, key_from)
        except WrongKey as error:
            # With a pending key, somebody else made the index.
            wrong = wrong or (None if stored.pending else error)
            continue
        if read_only:
            return opened
        if stored.pending:
            confirm(path, stored.key)
            return replace(opened, key_is_new=True)
        tidy(path)
        return opened
    if wrong is not None:
        raise wrong
    return None


def open_with(target: Target, name: str, key: Key, key_from: str) -> OpenedIndex:
    """Open an index with a key.

    Args:
        target: Where.
        name: The index.
        key: Its key.
        key_from: Where the key is, for people.

    Raises:
        IndexNotFound: There is no index of that name.
        KeyFileError: The key is a contents key alone.
        WrongKey: The key is another's.
    """
    try:
        index = target.open_index(name, key.index_key_for(name, key_from))
    except IndexNotFound:
        raise not_found(target.location, name) from None
    except WrongKey as error:
        raise WrongKey(
            f"{short(key_from)} (key id {key.key_id}) does not open index {name!r}: {error.args[0]}",
            hint=f"{error.hint}{_stored_elsewhere(target, name, key_from)}",
        ) from None
    return OpenedIndex(index, key, key_from, created=False)


def _stored_elsewhere(target: Target, name: str, but: str = "") -> str:
    """The end of a hint: other key files of the key store for indexes of that name, if there are any."""
    try:
        others = [other for other in keys_named(config_folder(), target.location, name) if other[0] != but]
    except UsageError:  # no home folder
        return ""
    if not others:
        return ""
    file, place = others[0]
    place = redacted_address(place) if is_service(place) else short(place)
    more = f", and {len(others) - 1} more" if len(others) > 1 else ""
    return f"; a key for an index of that name is stored for {place or 'another target'}: {short(file)}{more}"


def key_of_new_index(location: str, name: str, keys: KeySource) -> NewIndexKey:
    """The key with which an index would be made. Nothing is written.

    Args:
        location: The target's location.
        name: The index.
        keys: Where its key is, or will be.

    Raises:
        KeyFileError: It can't be had or made; or nobody would notice that it was.
    """
    missing = keys.missing_file
    if missing is not None:
        pending = pending_path(missing)
        if not pending.exists():
            check_can_make(missing)
        return NewIndexKey(None, str(missing), missing)
    named = keys.named()
    if named is not None:
        named[0].index_key_for(name, named[1])
        return NewIndexKey(*named, keys.named_file)
    paths = stored_key_paths(config_folder(), location, name)
    path = stored_place(paths)
    if path is not None and path.exists():
        return NewIndexKey(Key.load(path), str(path), path)
    if path is None and is_service(location) and not (keys.create or keys.attended):
        raise KeyFileError(
            f"the new index {name!r} needs a key, and none is named",
            hint="pass --key-file, or --create-key and keep a copy of the key it makes",
        )
    return NewIndexKey(None, str(path or paths[0]), path or paths[0])


def create_new(
    target: Target, name: str, keys: KeySource, settings: IndexSettings, *, tell: Callable[[str], None]
) -> OpenedIndex:
    """Make an index; without a named key, with a new one in the key store.

    A new key is on the disk, pending, before the target is asked, and stays there whatever happens then,
    unless the target refuses. An index that an earlier run made with the pending key, and did not live to
    see, is opened: then `created` is false.

    Raises:
        IndexExists: There is one of that name.
        IndexMismatch: The settings can't be had.
        KeyFileError: The key file can't be written; or no key is named, and none may be made.
    """
    check_settings(name, settings)
    place = key_of_new_index(target.location, name, keys)
    if place.key is not None:
        if place.file is not None:
            tidy(place.file)
        index_key = place.key.index_key_for(name, place.key_from)
        index = target.create_index(name, index_key, settings)
        return OpenedIndex(index, place.key, place.key_from, created=True)
    assert place.file is not None  # noqa: S101 for the type checker
    waiting = f"waiting for another run that makes index {one_line(name, NAME_CHARACTERS)!r}"
    made_for = MadeFor(name, target.location)
    with pending_key(place.file, lambda: tell(waiting), made_for) as pending:
        if pending is not None:
            return _create_pending(target, name, pending, settings)
    return create_new(target, name, keys, settings, tell=tell)


def _create_pending(target: Target, name: str, pending: PendingKey, settings: IndexSettings) -> OpenedIndex:
    """Make an index with a pending key, which becomes its key file."""
    key, key_from, created = pending.key, str(pending.path), True
    index_key = key.index_key_for(name, key_from)
    try:
        index = target.create_index(name, index_key, settings)
    except IndexExists:
        # Made with this key by a run that never saw the answer; or by somebody else.
        try:
            index, created = target.open_index(name, index_key), False
        except WrongKey:
            pending.discard()
        if created:
            raise
    except VecloadError as error:
        if error.refused:
            pending.discard()
        raise
    pending.confirm()
    return OpenedIndex(index, key, key_from, created=created, key_is_new=True)


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
        return open_existing(target, name, keys)
    except IndexNotFound:
        before()
    try:
        return create_new(target, name, keys, settings, tell=tell)
    except IndexExists:
        pass
    for wait in APPEARS_SECONDS:
        # Made by another run since it was looked for: a service lists an index a moment before it opens it.
        try:
            return open_existing(target, name, keys)
        except IndexNotFound:
            time.sleep(wait)
    return open_existing(target, name, keys)  # made by another run since it was looked for


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


def no_store(place: str) -> UsageError:
    """What to raise for a store that is not there."""
    return UsageError(
        f"there is no store at {short(place)}",
        hint="'vecload upsert' and 'vecload index create' make one",
    )
