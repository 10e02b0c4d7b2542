"""Exports that are folders: a file at their top describes the data files below it, as a recipe says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from vecload.errors import SourceError
from vecload.mapping.paths import Steps, dig, elements
from vecload.readers.source import ExportFacts
from vecload.readers.storage.files import local_path, remote_parts
from vecload.recipes.known import AUTOMATIC, RecipeChoice
from vecload.recipes.reader import FolderExport, Recipe

_METRICS = {"cosine": "cosine", "euclid": "euclidean", "euclidean": "euclidean", "l2": "euclidean"}
"""CyborgDB's names of them; any other stays as it is, and is refused when an index is made."""
_ABOVE = 3
"""How many folders above a named one the file may be: index and namespace have one each."""


@dataclass(frozen=True, slots=True)
class FoundExport:
    """One export of such a folder: where its data files are, and what the file says of them."""

    folder: str
    facts: ExportFacts


def find_export(name: str, recipes: RecipeChoice = AUTOMATIC) -> FoundExport | None:
    """The export that a name leads to: a folder with such a file, or one below it that the file describes.

    Raises:
        SourceError: The file can't be read, or describes several exports, and the user must name one.
    """
    if remote_parts(name) is not None or not Path(local_path(name)).is_dir():
        return None
    shown, named = Path(local_path(name)), Path(local_path(name)).resolve()
    for recipe, layout in recipes.folders():
        tops = (named, *[*named.parents][:_ABOVE])
        top = next((folder for folder in tops if (folder / layout.meta).is_file()), None)
        if top is not None:
            return _in(top, shown, named, recipe, layout, name)
    return None


def _in(
    top: Path, shown: Path, named: Path, recipe: Recipe, layout: FolderExport, name: str
) -> FoundExport | None:
    meta = _read(top / layout.meta, recipe, layout.exports)
    below: list[tuple[Path, Any]] = []
    for _, export in elements(meta, layout.exports):
        place = dig(export, layout.data)
        if not isinstance(place, str) or not isinstance(dig(export, layout.vectors) or [], list):
            raise _not_such(top / layout.meta, recipe)
        data = _data_folder(top, place)
        if data.is_relative_to(named):
            below.append((shown / data.relative_to(named), export))
    if not below:
        return None
    if len(below) > 1:
        listed = ", ".join(str(data) for data, _ in below)
        raise SourceError(f"{name} holds several exports", hint=f"name one of them: {listed}")
    data, export = below[0]
    return FoundExport(str(data), _facts(meta, export, recipe, layout))


def _read(path: Path, recipe: Recipe, exports: Steps) -> Any:
    try:
        meta = orjson.loads(path.read_bytes())
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}") from None
    except ValueError:
        raise _not_such(path, recipe) from None
    if next(elements(meta, exports), None) is None:
        raise _not_such(path, recipe)
    return meta


def _not_such(path: Path, recipe: Recipe) -> SourceError:
    return SourceError(f"{path} is not what {recipe.tool} writes", hint="name the data files instead")


def _data_folder(top: Path, place: str) -> Path:
    """Where it is now: some versions write the export's own folder into the path, some don't."""
    inside = (top / place).resolve()
    return inside if inside.is_dir() else (top.parent / place).resolve()


def _facts(meta: Any, export: Any, recipe: Recipe, layout: FolderExport) -> ExportFacts:
    vectors = [str(each) for each in dig(export, layout.vectors) or ["vector"]]
    metric, dimension = str(dig(export, layout.metric) or ""), dig(export, layout.dimension)
    return ExportFacts(
        recipe=recipe.name,
        id=str(dig(meta, layout.id) or "id"),
        vector=vectors[0] if len(vectors) == 1 else None,
        vectors=tuple(vectors) if len(vectors) > 1 else (),
        metric=_METRICS.get(metric.lower(), metric),
        dimension=dimension if isinstance(dimension, int) and dimension > 0 else None,
    )
