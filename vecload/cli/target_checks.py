"""What a load needs of its target, looked at without writing anything: each a line of the report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vecload.batch import Batch
from vecload.cli.access import OpenedIndex, connect_to, open_existing
from vecload.cli.checks import check_contents_key, check_index_settings, check_policies
from vecload.cli.settings import UpsertSettings
from vecload.cli.upsert import creation_of
from vecload.errors import (
    AccessRefused,
    IndexMismatch,
    IndexNotFound,
    KeyFileError,
    Unauthorised,
    UsageError,
    VecloadError,
    WrongKey,
)
from vecload.inspecting.report import Check
from vecload.loading.plan import Plan
from vecload.options import ITEM_LIMIT
from vecload.places import config_folder, short, store_folder
from vecload.sealing.keyring import find_stored
from vecload.sealing.keys import stored_key_path
from vecload.targets import Target, is_service
from vecload.targets.base import check_settings
from vecload.targets.embedded import has_store
from vecload.targets.engine import check_engine
from vecload.targets.location import check_folder_name
from vecload.targets.store_folder import expand_home

IDS_LOOKED_UP = 500
"""Of the first batch: how many of them are in the index tells whether a load adds or replaces."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the sources want of the target.

    Attributes:
        plan: Their columns and dimension.
        index: The index's name.
        rows: About how many items.
        rows_known: Whether they are counted.
        batch: The first, if there is one.
    """

    plan: Plan
    index: str
    rows: int
    rows_known: bool
    batch: Batch | None


class TargetChecks:
    """Looks at the target of a load.

    Args:
        settings: The load's.
        wanted: What its sources want.
    """

    def __init__(self, settings: UpsertSettings, wanted: Wanted) -> None:
        self._settings = settings
        self._wanted = wanted
        self._place = settings.to or str(store_folder())
        self.location = ""
        """The target's, where it was reached or would be made."""
        self.unfilterable: frozenset[str] = frozenset()
        """Fields that the index doesn't make filterable."""
        self.is_new = True
        """Whether a load would make the index."""

    def run(self) -> Iterator[Check]:
        """One after the other, as a load would meet them; ends with what would end a load."""
        try:
            if is_service(self._place) or has_store(Path(self._place)):
                with connect_to(self._settings.to, self._settings.api_key_file, read_only=True) as target:
                    self.location = target.location
                    yield from self._target(target)
            else:
                yield from self._no_store()
        except VecloadError as error:
            yield wrong(error)

    def _no_store(self) -> Iterator[Check]:
        """There is nothing to be opened, and opening would make something of it."""
        check_folder_name(self._place)
        self.location = place = str(expand_home(Path(self._place)).resolve())
        there = next(each for each in (Path(place), *Path(place).parents) if each.exists())
        check_engine()
        if not there.is_dir() or not os.access(there, os.W_OK):
            yield Check("target", "wrong", f"no store can be made at {short(place)}", "give --to FOLDER", 1)
            return
        yield Check("target", "ok", f"there is no store at {short(place)} yet: a load makes it")
        yield from self._new_index(place)

    def _target(self, target: Target) -> Iterator[Check]:
        settings = self._settings
        try:
            opened = open_existing(target, self._wanted.index, settings.keys, read_only=True)
        except IndexNotFound:
            yield from _reached(target)
            if is_service(target.location):
                target.list_indexes()  # refused to whom may not make indexes either
            yield from self._new_index(target.location)
            return
        except (WrongKey, KeyFileError) as error:
            yield from _reached(target)
            yield wrong(error)
            return
        yield from _reached(target)
        yield from self._index(opened)

    def _new_index(self, location: str) -> Iterator[Check]:
        """What an index would be made with."""
        name, settings = self._wanted.index, self._settings
        creation = creation_of(settings, self._wanted.plan)
        if creation is None:
            raise IndexNotFound(f"there is no index {name!r}", hint="'vecload index create' makes one")
        check_settings(name, creation)
        check_policies(settings, self._wanted.plan)
        self.unfilterable = frozenset((*creation.unfilterable, *creation.full_text))
        size = f"{creation.dimension:,} dimensions, " if creation.dimension else ""
        yield Check("index", "ok", f"a load makes {name!r} ({size}{creation.metric or 'euclidean'})")
        named = settings.keys.named()
        if named is not None:
            yield Check("key", "ok", f"a load takes {short(named[1])}")
        else:
            path = stored_key_path(config_folder(), location, name)
            stored = find_stored(path)
            told = f"takes {short(str(stored.path))}" if stored else f"makes a new one: {short(str(path))}"
            yield Check("key", "ok", f"a load {told}")
        yield from self._room(0)

    def _index(self, opened: OpenedIndex) -> Iterator[Check]:
        """An index that is there."""
        settings, plan = self._settings, self._wanted.plan
        self.is_new = False
        yield Check("key", "ok", f"{short(opened.key_from)} is the index's (key id {opened.key.key_id})")
        info = opened.index.describe()
        self.unfilterable = frozenset(
            name for name, policy in info.metadata_schema.items() if not policy.get("filterable", True)
        )
        count = opened.index.count()
        size = f"{info.dimension:,} dimensions, " if info.dimension else ""
        yield Check("index", "ok", f"{info.name!r} is there: {size}{info.metric}, {count:,} items")
        check_index_settings(settings, opened)
        plan.jobs(index_dimension=info.dimension, allow_zero_vectors=True)
        yield Check("fit", "ok", "dimension, metric and policies are those asked for")
        if settings.seal and any(mapping.contents for mapping in plan.mappings):
            tried = check_contents_key(plan, opened)
            told = (
                f"opens what the index holds ({tried} tried)"
                if tried
                else "the index holds nothing sealed to try"
            )
            yield Check("contents key", "ok", told)
        yield from self._replaced(opened)
        yield from self._room(count)

    def _replaced(self, opened: OpenedIndex) -> Iterator[Check]:
        batch = self._wanted.batch
        if batch is None:
            return
        ids = batch.ids[:IDS_LOOKED_UP]
        there = len({item.id for item in opened.index.get(ids, [])} & {*ids})
        if there:
            told = f"{there:,} of the first {len(ids):,} ids are in the index: their items are replaced whole"
            yield Check("ids", "ok", told)

    def _room(self, count: int) -> Iterator[Check]:
        """Whether the engine's limit of items is in the way."""
        wanted = self._wanted
        if count + wanted.rows <= ITEM_LIMIT:
            yield Check(
                "room", "ok", f"{count:,} items and {wanted.rows:,} rows, of {ITEM_LIMIT:,} without a licence"
            )
            return
        told = f"{count:,} items and {wanted.rows:,} rows are more than the {ITEM_LIMIT:,} without a licence"
        if is_service(self.location):
            yield Check(
                "room", "unsure", told, "fine if the service has a licence key, or rows replace items"
            )
        elif os.environ.get("CYBORGDB_API_KEY"):
            yield Check("room", "ok", f"{told}; CYBORGDB_API_KEY is set")
        elif wanted.rows > ITEM_LIMIT and wanted.rows_known:
            yield Check(
                "room", "wrong", told, "CYBORGDB_API_KEY lifts the limit; or load into several indexes", 1
            )
        else:
            yield Check(
                "room", "unsure", told, "fine if rows replace items; CYBORGDB_API_KEY lifts the limit"
            )


def _reached(target: Target) -> Iterator[Check]:
    yield Check("target", "ok", f"{short(target.location)} answers")


_NAMES: tuple[tuple[type[VecloadError], str], ...] = (
    (Unauthorised, "API key"),
    (AccessRefused, "key"),
    (KeyFileError, "key"),
    (IndexNotFound, "index"),
    (IndexMismatch, "fit"),
    (UsageError, "target"),
)


def wrong(error: VecloadError, name: str = "") -> Check:
    """The check that an error of a load comes to."""
    name = name or next((each for kind, each in _NAMES if isinstance(error, kind)), "target")
    return Check(name, "wrong", str(error.args[0]), error.hint, error.exit_code)


def checked(name: str, look: Callable[[], object]) -> Iterator[Check]:
    """A check that is told only if it fails."""
    try:
        look()
    except VecloadError as error:
        yield wrong(error, name)
