"""Vector-io's exports: a folder with VDF_META.json, which describes the Parquet files below it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from vecload.errors import SourceError
from vecload.readers.source import ExportFacts
from vecload.readers.storage.files import local_path, remote_parts

META_NAME = "VDF_META.json"
_METRICS = {"cosine": "cosine", "euclid": "euclidean", "euclidean": "euclidean", "l2": "euclidean"}
"""CyborgDB's names of them; any other stays as it is, and is refused when an index is made."""
_ABOVE = 3
"""How many folders above a named one its VDF_META.json may be: index and namespace have one each."""


@dataclass(frozen=True, slots=True)
class VdfExport:
    """One namespace of one index in such a folder: where its Parquet files are, and what it says of them."""

    folder: str
    facts: ExportFacts


def find_vdf(name: str) -> VdfExport | None:
    """The export that a name leads to: a folder with VDF_META.json, or one below it that the file describes.

    Raises:
        SourceError: The file can't be read, or describes several exports, and the user must name one.
    """
    if remote_parts(name) is not None or not Path(local_path(name)).is_dir():
        return None
    shown, named = Path(local_path(name)), Path(local_path(name)).resolve()
    top = next((f for f in (named, *[*named.parents][:_ABOVE]) if (f / META_NAME).is_file()), None)
    if top is None:
        return None
    meta = _read(top / META_NAME)
    below = [
        (shown / data.relative_to(named), entry)
        for entries in meta["indexes"].values()
        for entry in entries
        if (data := _data_folder(top, entry["data_path"])).is_relative_to(named)
    ]
    if not below:
        return None
    if len(below) > 1:
        listed = ", ".join(str(data) for data, _ in below)
        raise SourceError(f"{name} holds several exports", hint=f"name one of them: {listed}")
    data, entry = below[0]
    return VdfExport(str(data), _facts(meta, entry))


def _read(path: Path) -> Any:
    try:
        meta = orjson.loads(path.read_bytes())
        for entries in meta["indexes"].values():
            for entry in entries:
                _ = Path(entry["data_path"]), [*entry.get("vector_columns", ())]
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SourceError(
            f"{path} is not what Vector-io writes", hint="name the Parquet files instead"
        ) from None
    return meta


def _data_folder(top: Path, data_path: str) -> Path:
    """Where it is now: some versions write the export's own folder into the path, some don't."""
    inside = (top / data_path).resolve()
    return inside if inside.is_dir() else (top.parent / data_path).resolve()


def _facts(meta: Any, entry: Any) -> ExportFacts:
    vectors = entry.get("vector_columns") or ["vector"]
    metric = str(entry.get("metric") or "")
    return ExportFacts(
        shape="vdf",
        id=meta.get("id_column") or "id",
        vector=vectors[0] if len(vectors) == 1 else None,
        vectors=tuple(vectors) if len(vectors) > 1 else (),
        metric=_METRICS.get(metric.lower(), metric),
        dimension=entry.get("dimensions") or None,
    )
