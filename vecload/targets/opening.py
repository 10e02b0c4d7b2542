"""Opening an index: which target, which key, and creating the index where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

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
from vecload.targets import IndexSettings, Reach, Target, WireFormat, connect_target, is_service
from vecload.targets.base import check_settings, other_policies
from vecload.targets.embedded import has_store
from vecload.targets.location import check_folder_name, redacted_address
from vecload.targets.opened import NAME_CHARACTERS, OpenedIndex

APPEARS_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Waits for an index that another run creates at this moment."""


@dataclass(frozen=True, slots=True)
class NewIndexKey:
    """The key of an index that is to be made.

    Attributes:
        key: The key; None if it is made with the index, or if the index gets none here.
        key_from: Where it is, or the file in which it will be, for people; "" if the index gets none.
        file: Its key file; None if it is from elsewhere, or if the index gets none.
    """

    key: Key | None
    key_from: str
    file: Path | None = None


def connect_to(
    to: str | None,
    api_key: str | None,
    reach: Reach,
    *,
    wire: WireFormat = "auto",
    binary_threshold: int = BINARY_THRESHOLD,
    read_only: bool = False,
    must_exist: bool = False,
) -> Target:
    """The target that the user named, or the user's local store.

    Args:
        to: What the user named.
        api_key: The API key of a service, or CyborgDB's licence key for a folder.
        reach: How to reach a service.
        wire: The wire format, for a service.
        binary_threshold: Items of a batch from which `auto` takes binary.
        read_only: Let opening an embedded store write nothing.
        must_exist: Do not make a store where there is none.

    Raises:
        UsageError: The location is not a target, there is no store and there must be one, or keys would
            travel unencrypted.
    """
    place = to or str(store_folder())
    if must_exist and not is_service(place):
        check_folder_name(place)
        if not has_store(Path(place)):
            raise no_store(place)
    return connect_target(
        place, api_key=api_key, reach=reach, wire=wire, binary_threshold=binary_threshold, read_only=read_only
    )


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

    A pending key that opens it becomes its key file. An index that opens without an index key, because it is
    KMS-backed or the API key is a user token, may have no key here at all.

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
    missing = keys.missing_file
    named = keys.named() if missing is None else None
    if named is not None:
        opened = open_with(target, name, *named, kms=kms)
        if keys.named_file is not None and not read_only:
            tidy(keys.named_file)
        return opened
    paths = [missing] if missing else stored_key_paths(config_folder(), target.location, name)
    # Twice: another process may have made the index and its key since the key was looked for.
    for last in (False, True):
        stored = _open_stored(target, name, paths, kms=kms, read_only=read_only)
        if stored is not None:
            return stored
        with suppress(IndexKeyNeeded):
            opened = open_with(target, name, None, "", kms=kms)
            if missing is None and (last or stored_place(paths) is None):
                return opened
    if missing:
        raise KeyFileError(
            f"index {name!r} exists, and the key file {missing} does not",
            hint="name the key file that the index was created with",
        )
    raise KeyFileError(
        f"the key of index {name!r} is not in the key store ({paths[0]})",
        hint=f"name it with --key-file{_stored_elsewhere(target, name)}",
    )


def _open_stored(
    target: Target, name: str, paths: Sequence[Path], *, kms: str | None, read_only: bool
) -> OpenedIndex | None:
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
            opened = open_with(target, name, stored.key, key_from, kms=kms)
        except WrongKey as error:
            # With a pending key, somebody else made the index.
            wrong = wrong or (None if stored.pending else error)
            continue
        if stored.pending and not _is_for(opened):
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


def _is_for(opened: OpenedIndex) -> bool:
    """Whether a pending key belongs to the index that opened with it.

    A contents key alone proves nothing by opening, since the index opens without it. The run that made it was
    killed before it loaded anything: in an index with items it is somebody else's.
    """
    return opened.index.opened_by == "index key" or not opened.index.count()


def open_with(
    target: Target, name: str, key: Key | None, key_from: str, *, kms: str | None = None
) -> OpenedIndex:
    """Open an index with a key.

    Args:
        target: Where.
        name: The index.
        key: Its key; None for an index that opens without an index key.
        key_from: Where the key is, for people.
        kms: The service's KMS that has the index key, if it is known: then no index key is sent.

    Raises:
        IndexNotFound: There is no index of that name.
        IndexMismatch: It is not KMS-backed, and `kms` says so.
        KeyFileError: The index needs its index key, and there is none, or a contents key alone.
        WrongKey: The key is another's.
    """
    try:
        index = target.open_index(name, None if key is None or kms is not None else key.index_key)
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
    except WrongKey as error:
        key_id = "" if key is None else f" (key id {key.key_id})"
        raise WrongKey(
            f"{short(key_from)}{key_id} does not open index {name!r}: {error.args[0]}",
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


def key_of_new_index(
    location: str, name: str, keys: KeySource, *, kms: str | None = None, seals: bool = True
) -> NewIndexKey:
    """The key with which an index would be made. Nothing is written.

    Args:
        location: The target's location.
        name: The index.
        keys: Where its key is, or will be.
        kms: The service's KMS that has the index key: only a contents key is needed then.
        seals: There is something to seal: a contents key is needed.

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
        if kms is None:
            named[0].index_key_for(name, named[1])
        return NewIndexKey(*named, keys.named_file)
    paths = stored_key_paths(config_folder(), location, name)
    path = stored_place(paths)
    if path is not None and path.exists():
        return NewIndexKey(Key.load(path), str(path), path)
    if path is None and is_service(location) and not (keys.create or keys.attended):
        if kms is not None and not seals:
            return NewIndexKey(None, "")
        raise KeyFileError(
            f"the new index {name!r} needs a key, and none is named",
            hint="pass --key-file, or --create-key and keep a copy of the key it makes",
        )
    return NewIndexKey(None, str(path or paths[0]), path or paths[0])


def create_new(
    target: Target,
    name: str,
    keys: KeySource,
    settings: IndexSettings,
    *,
    seals: bool = True,
    tell: Callable[[str], None],
) -> OpenedIndex:
    """Make an index; without a named key, with a new one in the key store.

    A new key is on the disk, pending, before the target is asked, and stays there whatever happens then,
    unless the target refuses. An index that an earlier run made with the pending key, and did not live to
    see, is opened: then `created` is false.

    Args:
        target: Where.
        name: The index.
        keys: Where its key is, or will be.
        settings: What it is made with.
        seals: There is something to seal: an index whose index key is in a KMS needs a contents key.
        tell: Takes a line for people.

    Raises:
        IndexExists: There is one of that name.
        IndexMismatch: The settings can't be had.
        KeyFileError: The key file can't be written; or no key is named, and none may be made.
    """
    check_settings(name, settings)
    place = key_of_new_index(target.location, name, keys, kms=settings.kms, seals=seals)
    if place.key is not None or place.file is None:
        if place.file is not None:
            tidy(place.file)
        index_key = None
        if place.key is not None and settings.kms is None:
            index_key = place.key.index_key_for(name, place.key_from)
        index = target.create_index(name, index_key, settings)
        return OpenedIndex(index, place.key, place.key_from, created=True)
    waiting = f"waiting for another run that makes index {one_line(name, NAME_CHARACTERS)!r}"
    made_for = MadeFor(name, target.location)
    contents_only = settings.kms is not None
    with pending_key(place.file, lambda: tell(waiting), made_for, contents_only=contents_only) as pending:
        if pending is not None:
            return _create_pending(target, name, pending, settings)
    return create_new(target, name, keys, settings, seals=seals, tell=tell)


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
            may_be_ours = index.opened_by == "index key" or not pending.made
            created = not (may_be_ours and _is_for(OpenedIndex(index, key, key_from, created=False)))
        if created:
            pending.discard()
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
    seals: bool = True,
    tell: Callable[[str], None],
) -> OpenedIndex:
    """Open an index, or make it where there is none.

    Args:
        target: Where.
        name: The index.
        keys: Where its key is, or will be.
        settings: What it is made with.
        before: Called before it is made; may raise.
        seals: There is something to seal.
        tell: Takes a line for people.
    """
    try:
        return open_existing(target, name, keys, kms=settings.kms)
    except IndexNotFound:
        check_may_create(target, name)
        before()
    try:
        return create_new(target, name, keys, settings, seals=seals, tell=tell)
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
    others = [f"another policy for {name!r}" for name in other_policies(info, settings)]
    if (
        settings.dimension not in (None, info.dimension)
        or settings.metric not in (None, info.metric)
        or others
    ):
        what = ", ".join((f"{info.dimension} dimensions", info.metric, *others))
        raise IndexExists(
            f"there is an index {info.name!r} already ({what})",
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
