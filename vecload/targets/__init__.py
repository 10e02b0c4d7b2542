"""Targets: the service, the embedded engine, memory; and which of them a location means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from vecload.limits import BINARY_THRESHOLD
from vecload.options import Metric, StoragePrecision, WireFormat
from vecload.targets.base import Ack, Hit, IndexInfo, IndexSettings, StoredItem, Target, TargetIndex
from vecload.targets.location import check_folder_name

__all__ = [
    "Ack",
    "Hit",
    "IndexInfo",
    "IndexSettings",
    "Metric",
    "StoragePrecision",
    "StoredItem",
    "Target",
    "TargetIndex",
    "WireFormat",
    "connect_target",
    "is_service",
]


def is_service(location: str) -> bool:
    """Whether a location is the URL of a service; all else is a folder."""
    return "://" in location


def connect_target(
    location: str | os.PathLike[str],
    *,
    api_key: str | None = None,
    wire: WireFormat = "auto",
    binary_threshold: int = BINARY_THRESHOLD,
    read_only: bool = False,
) -> Target:
    """The target at a location.

    Args:
        location: `http://…` or `https://…` is a service; anything else a folder with an embedded store, if it
            looks like no host and no misspelt URL.
        api_key: For a service.
        wire: The wire format, for a service.
        binary_threshold: Items of a batch from which `auto` takes binary.
        read_only: Let opening an embedded store write nothing.

    Raises:
        UsageError: The location is neither.
        EngineMissing: An embedded store without cyborgdb-core.
    """
    # httpcore takes 50 ms to import, the engine 40: only what is used is loaded.
    if is_service(os.fspath(location)):
        from vecload.targets.service import ServiceTarget

        return ServiceTarget(
            os.fspath(location), api_key=api_key, wire=wire, binary_threshold=binary_threshold
        )
    # A Path that holds `http:/host` was a URL; a bare name was made a path on purpose.
    check_folder_name(os.fspath(location), bare=isinstance(location, str))
    from vecload.targets.embedded import EmbeddedTarget

    return EmbeddedTarget(Path(location), read_only=read_only)


if TYPE_CHECKING:
    # Every target keeps the interface: mypy says so here.
    from vecload.targets.embedded import EmbeddedTarget
    from vecload.targets.memory import MemoryTarget
    from vecload.targets.service import ServiceTarget

    _TARGETS: tuple[type[Target], ...] = (ServiceTarget, EmbeddedTarget, MemoryTarget)
