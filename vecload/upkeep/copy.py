"""Copy: one index into another place, with another key, metric, precision or policies."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vecload.errors import UsageError
from vecload.flags import parameters_named
from vecload.loading.caller import Caller
from vecload.loading.progress import Progress
from vecload.loading.request import Request, request_of
from vecload.loading.result import LoadResult
from vecload.loading.run import run_load
from vecload.options import LoadOptions
from vecload.places import store_folder
from vecload.readers.index_source import IndexSource
from vecload.sealing import Key, Opener
from vecload.targets import IndexInfo, Metric, is_service
from vecload.targets.location import expand_home, service_address, shard_list
from vecload.targets.place import IndexPlace
from vecload.targets.reach import REACH_FIELDS
from vecload.upkeep.options import COPY_OPTIONS
from vecload.upkeep.place import opened_when_up


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """One copy, as requested.

    Attributes:
        origin: The index that is copied.
        load: The load of its items, without a source.
    """

    origin: IndexPlace
    load: Request


def copy(
    *,
    from_: str | os.PathLike[str] | None = None,
    from_index: str | None = None,
    from_key: Key | bytes | str | os.PathLike[str] | None = None,
    from_api_key: str | None = None,
    to: str | os.PathLike[str] | None = None,
    index: str | None = None,
    key: Key | bytes | str | os.PathLike[str] | None = None,
    api_key: str | None = None,
    options: LoadOptions | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    **fields: Any,
) -> LoadResult:
    """Copy an index: the same as `vecload copy`. If it stops, call it again to resume.

    A new index has the metric and the policies of the copied one, unless options say otherwise. Contents are
    opened, and sealed again for the new index.

    Args:
        from_: The target that has the index; None is your local store.
        from_index: The index; None is the only one there.
        from_key: Its key, as for `vecload.load`.
        from_api_key: The API key for that service.
        to: The target of the copy.
        index: The copy; None gives it the same name.
        key: The key of the copy.
        api_key: The API key for its service.
        options: The options of a load that are not about files and columns.
        on_progress: Called in this thread during the copy.
        stop: Set it in another thread to stop the copy.
        fields: Fields of LoadOptions, which replace those of `options`; `ca_file`, `client_cert`,
            `client_key`, `proxy` and `insecure_http`, for both targets.

    Raises:
        VecloadError: The copy stopped; `error.result` shows how far it came.
        TypeError: An option does not exist.
    """
    with parameters_named():
        network = {name: value for name, value in fields.items() if name in REACH_FIELDS}
        place = request_of(
            [], to=from_, index=from_index, key=from_key, api_key=from_api_key, options=None, changes=network
        )
        load = request_of([], to=to, index=index, key=key, api_key=api_key, options=options, changes=fields)
        usual = LoadOptions()
        for name in (one for one in LoadOptions.__dataclass_fields__ if one not in COPY_OPTIONS):
            if getattr(load.options, name) != getattr(usual, name):
                raise UsageError(f"{name} is for files", hint="a copy takes an index as it is; omit it")
        request = CopyRequest(place.place, load)
        return run_copy(request, Caller.of_python(on_progress, stop))


def run_copy(request: CopyRequest, caller: Caller) -> LoadResult:
    """Run a copy to its end.

    Args:
        request: The copy.
        caller: Takes its messages and may stop it.

    Raises:
        VecloadError: The copy stopped. The error has the result as `result`, if a row was read.
    """
    with ExitStack() as opened:
        target, access = opened.enter_context(opened_when_up(request.origin, caller.say))
        name = request.load.index or access.index.name
        if name == access.index.name and _location(request.load.to) == _location(request.origin.to):
            raise UsageError(
                f"index {name!r} can't be copied onto itself", hint="give the copy another name with --index"
            )
        source = IndexSource(
            access.index,
            target.location,
            opener=Opener(access.opening_keys, access.index.name, access.key_from),
            interrupted=caller.stopped_by,
        )
        options = as_made(request.load.options, access.index.describe())
        load = replace(request.load, sources=(source,), index=name, options=options)
        return run_load(load, caller)


def as_made(options: LoadOptions, info: IndexInfo) -> LoadOptions:
    """The options of a copy: a new index is made as the copied one, where nothing else is asked for.

    Args:
        options: As the user gave them.
        info: The copied index. It does not say its storage precision.
    """
    metric: Metric = options.metric or info.metric  # type: ignore[assignment] # it is checked where it is read
    changes: dict[str, Any] = {"metric": metric, "allow_zero_vectors": True, "repeated_ids": "last"}
    if not (options.unfilterable or options.pattern or options.full_text):
        policies = info.metadata_schema
        full_text = tuple(name for name, policy in policies.items() if policy.get("full_text"))
        changes |= {
            "full_text": full_text,
            "pattern": tuple(name for name, policy in policies.items() if policy.get("pattern")),
            "unfilterable": tuple(
                name
                for name, policy in policies.items()
                if not policy.get("filterable", True) and name not in full_text
            ),
        }
    return replace(options, **changes)


def _location(to: str | None) -> str:
    """The one spelling of a target."""
    place = to or str(store_folder())
    if is_service(place):
        return ",".join(service_address(one).location for one in shard_list(place))
    return str(expand_home(Path(place)).resolve())
