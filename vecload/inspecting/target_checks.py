"""Checks of a load's target, without writing anything. Each is a line of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vecload.batch import Batch
from vecload.errors import (
    AccessRefused,
    ClientRefused,
    IndexMismatch,
    IndexNotFound,
    KeyFileError,
    Unauthorised,
    UsageError,
    VecloadError,
    WrongKey,
)
from vecload.inspecting.report import Check
from vecload.limits import ITEM_LIMIT
from vecload.loading import checks
from vecload.loading.index_checks import check_access, seals_something
from vecload.loading.parts import creation_of
from vecload.loading.plan import Plan
from vecload.loading.request import Request
from vecload.places import short, store_folder
from vecload.sealing.keyring import pending_path
from vecload.targets import Target, is_service
from vecload.targets.embedded import embedding_models, has_store
from vecload.targets.engine import check_engine
from vecload.targets.location import check_can_make, check_folder_name, expand_home
from vecload.targets.opened import OpenedIndex
from vecload.targets.opening import (
    check_may_create,
    connect_to,
    key_of_new_index,
    no_store,
    not_found,
    open_existing,
)

IDS_LOOKED_UP = 500
"""How many ids of the first batch to look up, to report whether a load adds or replaces items."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a load needs from the target.

    Attributes:
        plan: The columns and dimension of the sources.
        index: The index's name.
        rows: The approximate number of rows.
        rows_known: Whether that number is exact.
        batch: The first batch, if there is one.
    """

    plan: Plan
    index: str
    rows: int
    rows_known: bool
    batch: Batch | None


class TargetChecks:
    """Checks the target of a load.

    Args:
        request: The load.
        wanted: What the load needs.
        tell: Takes a message.
    """

    def __init__(self, request: Request, wanted: Wanted, tell: Callable[[str], None]) -> None:
        self._request = request
        self._wanted = wanted
        self._tell = tell
        self._place = request.to or str(store_folder())
        self.location = ""
        """The target's location, if it was reached or would be created."""
        self.unfilterable: frozenset[str] = frozenset()
        """Fields that the index does not make filterable."""
        self.is_new = True
        """Whether a load would create the index."""

    def run(self) -> Iterator[Check]:
        """Run the checks in the order of a load; stop at an error that would stop a load."""
        try:
            if is_service(self._place) or has_store(Path(self._place)):
                with connect_to(
                    self._request.to, self._request.api_key, self._request.reach, read_only=True
                ) as target:
                    self.location = target.location
                    yield from self._target(target)
            else:
                yield from self._no_store()
        except VecloadError as error:
            yield wrong(error)

    def _no_store(self) -> Iterator[Check]:
        """Check a folder without a store. Opening it would create one."""
        check_folder_name(self._place)
        self.location = place = str(expand_home(Path(self._place)).resolve())
        check_engine()
        if creation_of(self._request, self._wanted.plan) is None:
            raise no_store(self._place)
        check_can_make(Path(place))
        yield Check("target", "ok", f"there is no store at {short(place)} yet: a load creates it")
        yield from self._new_index(place, embedding_models)

    def _target(self, target: Target) -> Iterator[Check]:
        try:
            request = self._request
            opened = open_existing(
                target, self._wanted.index, request.keys, kms=request.options.kms, read_only=True
            )
        except IndexNotFound:
            yield from _reached(target)
            if creation_of(self._request, self._wanted.plan) is not None:
                check_may_create(target, self._wanted.index)
            yield from self._new_index(target.location, target.embedding_models)
            return
        except (WrongKey, KeyFileError) as error:
            yield from _reached(target)
            yield wrong(error)
            return
        yield from _reached(target)
        yield from self._index(opened)

    def _new_index(self, location: str, models: Callable[[], Sequence[str]]) -> Iterator[Check]:
        """Check the settings of a new index."""
        name, request = self._wanted.index, self._request
        if request.keys.missing_file is None:
            request.keys.named()
        creation = creation_of(request, self._wanted.plan)
        if creation is None:
            raise not_found(location, name)
        self.unfilterable = frozenset((*creation.unfilterable, *creation.full_text))
        size = f"{creation.dimension:,} dimensions, " if creation.dimension else ""
        plan = self._wanted.plan
        failed = [*shown(checks.new_index_checks(request, plan, name, creation, models))]
        yield from failed
        if not failed:
            yield Check("index", "ok", f"a load creates {name!r} ({size}{creation.metric or 'euclidean'})")
        seals = seals_something(request, plan)
        place = key_of_new_index(location, name, request.keys, kms=creation.kms, seals=seals)
        there = place.key is not None or (place.file is not None and pending_path(place.file).exists())
        if creation.kms is not None:
            # The service names its KMSs only where it refuses to create an index.
            found_out = f"a load finds out whether the service has a KMS {creation.kms!r} for the index key"
            yield Check("key", "unsure", found_out)
        if place.key_from:
            what = "contents key" if creation.kms is not None else "key"
            uses = "uses" if there else "makes a new one:"
            yield Check(what, "ok", f"a load {uses} {short(place.key_from)}")
        yield from self._room(0)

    def _index(self, opened: OpenedIndex) -> Iterator[Check]:
        """Check an existing index."""
        request, plan = self._request, self._wanted.plan
        self.is_new = False
        if opened.index.opened_by == "index key":
            fits = f"{short(opened.key_from)} fits the index (key id {opened.key_id})"
            bare = opened.key is not None and opened.key.bare
            yield Check("key", "ok", f"{fits}; it is an index key alone" if bare else fits)
        else:
            yield Check("key", "ok", opened.access)
        denied = [*shown([("API key", lambda: check_access(request, opened))])]
        if denied:  # of what follows, nothing can be looked at
            yield from denied
            return
        if opened.index.opened_by == "user token":
            yield Check("API key", "ok", "the user token may read and write")
        info = opened.index.describe()
        self.unfilterable = frozenset(
            name for name, policy in info.metadata_schema.items() if not policy.get("filterable", True)
        )
        count = opened.index.count()
        size = f"{info.dimension:,} dimensions, " if info.dimension else ""
        yield Check("index", "ok", f"{info.name!r} exists: {size}{info.metric}, {count:,} items")
        contents = checks.contents_check(request, plan, opened)
        failed = [*shown(checks.index_checks(request, plan, opened, contents))]
        yield from failed
        if not failed:
            yield Check("fit", "ok", "dimension, metric and policies match the options")
        if request.options.embed and not failed:
            yield Check("model", "unsure", "a load finds out whether the index embeds contents itself")
        if contents is not None and not failed:
            yield Check("contents", "unsure" if contents.note else "ok", contents.line)
        yield from self._replaced(opened)
        yield from self._room(count)

    def _replaced(self, opened: OpenedIndex) -> Iterator[Check]:
        batch = self._wanted.batch
        if batch is None:
            return
        ids = batch.ids[:IDS_LOOKED_UP]
        there = len({item.id for item in opened.index.get(ids, [])} & {*ids})
        if there:
            found = f"{there:,} of the first {len(ids):,} ids are in the index: a load replaces these items"
            yield Check("ids", "ok", found)

    def _room(self, count: int) -> Iterator[Check]:
        """Check the engine's limit of items."""
        wanted = self._wanted
        if count + wanted.rows <= ITEM_LIMIT:
            yield Check(
                "room", "ok", f"{count:,} items and {wanted.rows:,} rows, of {ITEM_LIMIT:,} without a licence"
            )
            return
        found = f"{count:,} items and {wanted.rows:,} rows exceed the {ITEM_LIMIT:,} without a licence"
        if is_service(self.location):
            yield Check(
                "room", "unsure", found, "fine if the service has a licence key, or if rows replace items"
            )
        elif self._request.api_key:
            yield Check("room", "ok", f"{found}; CYBORGDB_API_KEY is set")
        elif wanted.rows > ITEM_LIMIT and wanted.rows_known:
            yield Check("room", "wrong", found, "set CYBORGDB_API_KEY, or load into several indexes", 1)
        else:
            yield Check(
                "room", "unsure", found, "fine if rows replace items; CYBORGDB_API_KEY lifts the limit"
            )


def _reached(target: Target) -> Iterator[Check]:
    yield Check("target", "ok", f"{short(target.location)} answers")


_NAMES: tuple[tuple[type[VecloadError], str], ...] = (
    (Unauthorised, "API key"),
    (ClientRefused, "target"),
    (AccessRefused, "key"),
    (KeyFileError, "key"),
    (IndexNotFound, "index"),
    (IndexMismatch, "fit"),
    (UsageError, "target"),
)


def wrong(error: VecloadError, name: str = "") -> Check:
    """The check for an error of a load."""
    name = name or next((each for kind, each in _NAMES if isinstance(error, kind)), "target")
    return Check(name, "wrong", str(error.args[0]), error.hint, error.exit_code)


def shown(list_of_checks: Sequence[checks.Check]) -> Iterator[Check]:
    """The checks of a load that fail. The load would stop at the first."""
    for name, look in list_of_checks:
        try:
            look()
        except VecloadError as error:
            yield wrong(error, name)
