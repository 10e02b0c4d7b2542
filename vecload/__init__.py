"""vecload, the bulk loader for CyborgDB: the Python API.

import vecload

result = vecload.load("data.parquet", to="http://127.0.0.1:8000", index="docs", key="docs.key")
report = vecload.inspect("data.parquet")
vecload.verify("data.parquet", to="http://127.0.0.1:8000", index="docs", key="docs.key").equal

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
    from vecload.errors import (
        AccessRefused,
        ConnectionClosed,
        ForkedStore,
        IndexExists,
        IndexMismatch,
        IndexNotFound,
        Interrupted,
        ItemTypeError,
        ItemUnreadable,
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
    from vecload.loading.progress import Progress
    from vecload.loading.result import LoadResult
    from vecload.loading.run import load
    from vecload.options import LoadOptions
    from vecload.readers.splits import Split
    from vecload.sealing import Key, generate_key
    from vecload.upkeep.copy import copy
    from vecload.upkeep.deletion import DeleteResult, delete
    from vecload.upkeep.export import ExportResult, export
    from vecload.upkeep.rekey import RekeyResult, rekey
    from vecload.verifying.result import VerifyResult
    from vecload.verifying.run import verify

__all__ = [
    "AccessRefused",
    "Connection",
    "ConnectionClosed",
    "DeleteResult",
    "ExportResult",
    "ForkedStore",
    "Index",
    "IndexExists",
    "IndexMismatch",
    "IndexNotFound",
    "Interrupted",
    "ItemTypeError",
    "ItemUnreadable",
    "ItemValueError",
    "Key",
    "LoadOptions",
    "LoadResult",
    "MappingError",
    "NotSealed",
    "Progress",
    "RekeyResult",
    "Report",
    "RowsRejected",
    "SealError",
    "SourceError",
    "Split",
    "TargetError",
    "UsageError",
    "VecloadError",
    "VerifyResult",
    "WrongKey",
    "__version__",
    "connect",
    "copy",
    "delete",
    "export",
    "generate_key",
    "inspect",
    "load",
    "rekey",
    "verify",
]

_HOMES = {
    "Connection": "connection",
    "ExportResult": "upkeep.export",
    "DeleteResult": "upkeep.deletion",
    "Index": "index",
    "Key": "sealing",
    "LoadOptions": "options",
    "LoadResult": "loading.result",
    "Progress": "loading.progress",
    "RekeyResult": "upkeep.rekey",
    "Report": "inspecting.report",
    "VerifyResult": "verifying.result",
    "Split": "readers.splits",
    "connect": "connection",
    "copy": "upkeep.copy",
    "export": "upkeep.export",
    "delete": "upkeep.deletion",
    "generate_key": "sealing",
    "inspect": "inspecting.run",
    "load": "loading.run",
    "rekey": "upkeep.rekey",
    "verify": "verifying.run",
}


def __getattr__(name: str) -> Any:
    # The API is imported when it is used: the command line asks for the version without it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return [*__all__]
