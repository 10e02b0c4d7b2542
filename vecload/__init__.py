"""vecload, the bulk loader for CyborgDB: the Python API.

import vecload

result = vecload.load("data.parquet", to="http://127.0.0.1:8000", index="docs", key="docs.key")
report = vecload.inspect("data.parquet")

key = vecload.generate_key()
index = vecload.connect("some/folder").create_index("docs", key)
index.upsert([{"id": "doc1", "vector": [0.1, 0.2, 0.3, 0.4], "contents": "text or bytes"}])
index.get(["doc1"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vecload._version import __version__

if TYPE_CHECKING:
    from vecload.connection import Connection, connect
    from vecload.deletion import DeleteResult, delete
    from vecload.errors import (
        AccessRefused,
        ConnectionClosed,
        ForkedStore,
        IndexExists,
        IndexMismatch,
        IndexNotFound,
        Interrupted,
        ItemTypeError,
        ItemValueError,
        MappingError,
        NotSealed,
        RowsRejected,
        SealError,
        SourceError,
        TargetError,
        UsageError,
        VecloadError,
        WrongKey,
    )
    from vecload.index import Index
    from vecload.inspecting.report import Report
    from vecload.inspecting.run import inspect
    from vecload.loading.result import LoadResult, Progress
    from vecload.loading.run import load
    from vecload.options import LoadOptions
    from vecload.sealing import Key, generate_key

__all__ = [
    "AccessRefused",
    "Connection",
    "ConnectionClosed",
    "DeleteResult",
    "ForkedStore",
    "Index",
    "IndexExists",
    "IndexMismatch",
    "IndexNotFound",
    "Interrupted",
    "ItemTypeError",
    "ItemValueError",
    "Key",
    "LoadOptions",
    "LoadResult",
    "MappingError",
    "NotSealed",
    "Progress",
    "Report",
    "RowsRejected",
    "SealError",
    "SourceError",
    "TargetError",
    "UsageError",
    "VecloadError",
    "WrongKey",
    "__version__",
    "connect",
    "delete",
    "generate_key",
    "inspect",
    "load",
]

_HOMES = {
    "Connection": "connection",
    "DeleteResult": "deletion",
    "Index": "index",
    "Key": "sealing",
    "LoadOptions": "options",
    "LoadResult": "loading.result",
    "Progress": "loading.result",
    "Report": "inspecting.report",
    "connect": "connection",
    "delete": "deletion",
    "generate_key": "sealing",
    "inspect": "inspecting.run",
    "load": "loading.run",
}


def __getattr__(name: str) -> Any:
    # The API is imported when it is used: the command line asks for the version without it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return [*__all__]
