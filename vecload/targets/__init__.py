"""Targets: a CyborgDB service, an embedded store, or memory; `connect_target` picks one by its location."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from vecload.limits import BINARY_THRESHOLD
from vecload.options import Metric, StoragePrecision, WireFormat
from vecload.targets.base import Ack, IndexInfo, IndexSettings, StoredItem, Target, TargetIndex, Training
from vecload.targets.location import check_folder_name, shard_list
from vecload.targets.queries import Hit, MetadataQuery, Query, TextSearch
from vecload.targets.reach import Reach

__all__ = [
    "Ack",
    "Hit",
    "IndexInfo",
    "IndexSettings",
    "MetadataQuery",
    "Metric",
    "Query",
    "Reach",
    "StoragePrecision",
    "StoredItem",
    "Target",
    "TargetIndex",
    "TextSearch",
    "Training",
    "WireFormat",
    "connect_target",
    "is_service",
]


def is_service(location: str) -> bool:
    """Whether a location is the URL of a service; anything else is a folder."""
    return "://" in location


def connect_target(
    location: str | os.PathLike[str],
    *,
    api_key: str | None = None,
    reach: Reach = Reach(),  # noqa: B008 a frozen value
    wire: WireFormat = "auto",
    binary_threshold: int = BINARY_THRESHOLD,
    read_only: bool = False,
) -> Target:
    """Connect to the target at a location.

    Args:
        location: `http://…` or `https://…` is a service, several of them with commas between are shards;
            anything else is the folder of an embedded store, unless it looks like a host or a misspelt URL.
        api_key: Of the service; for a folder, CyborgDB's licence key, which the engine sends to CyborgDB.
        reach: How to reach a service.
        wire: The wire format, for a service.
        binary_threshold: With wire `auto`, use binary from this many items on.
        read_only: Write nothing when opening an embedded store.

    Raises:
        UsageError: The location is neither, a certificate file can't be used, or keys would travel
            unencrypted.
        Unauthorised: CyborgDB does not confirm the licence key.
        EngineMissing: The location is a folder, and cyborgdb-core is not installed.
    """
    # httpcore takes 50 ms to import, the engine 40: only what is used is loaded.
    if is_service(os.fspath(location)):
        from vecload.targets.service import ServiceTarget

        services = [
            ServiceTarget(one, api_key=api_key, reach=reach, wire=wire, binary_threshold=binary_threshold)
            for one in shard_list(os.fspath(location))
        ]
        if len(services) == 1:
            return services[0]
        from vecload.targets.sharded import ShardedTarget

        return ShardedTarget(services)
    # The Path `http:/host` was a URL once; any other Path means a folder, also one that looks like a host.
    check_folder_name(os.fspath(location), bare=isinstance(location, str))
    from vecload.targets.embedded import EmbeddedTarget

    return EmbeddedTarget(Path(location), api_key=api_key, read_only=read_only)


if TYPE_CHECKING:
    # mypy checks here that every target has the interface.
    from vecload.targets.embedded import EmbeddedTarget
    from vecload.targets.memory import MemoryTarget
    from vecload.targets.service import ServiceTarget
    from vecload.targets.sharded import ShardedTarget

    _TARGETS: tuple[type[Target], ...] = (ServiceTarget, EmbeddedTarget, MemoryTarget, ShardedTarget)
