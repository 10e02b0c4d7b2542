"""Which column holds the vectors: the one of lists of numbers, or the one with a usual name."""

from __future__ import annotations

from collections.abc import Sequence

from vecload.errors import MappingError
from vecload.mapping.columns import Column, find, listed
from vecload.mapping.shapes import KnownShape

VECTOR_NAMES = ("vector", "embedding", "embeddings", "values", "emb")
OBJECTS_OF_VECTORS = (*VECTOR_NAMES, "vectors")
"""Columns of these names may be objects whose fields are named vectors."""

FLAG_HINT = "pick one with --vector-column"


def choose_vector(columns: Sequence[Column], shape: KnownShape | None, source: str) -> tuple[str, str]:
    """Find the column of vectors.

    Args:
        columns: Those that are no other part.
        shape: The source's known shape.
        source: For messages.

    Returns:
        The column's name, or the dot path of a named vector in a column of objects; and why it was taken.

    Raises:
        MappingError: There is none, or several.
    """
    if shape is not None and shape.vector:
        found = _of_shape(columns, shape, source)
        if found is not None:
            return found, f"the shape of {shape.name}"
    floats = [column for column in columns if column.shape == "floats"]
    integers = [column for column in columns if column.shape == "integers"]
    if len(floats) == 1:
        only = floats[0].name
        others = [
            column.name
            for column in columns
            if column.name.lower() in VECTOR_NAMES and column.shape in ("integers", "bytes", "text")
        ]
        if others and only.lower() not in VECTOR_NAMES:
            raise MappingError(
                f"{source} has several vector columns: {listed([only, *others])}", hint=FLAG_HINT
            )
        return only, "the only column of lists of numbers" + (" with fractions" if integers else "")
    # Integers may be tokens or tags: a usual name tells more than they do.
    candidates = floats or [column for column in columns if column.shape in ("integers", "bytes", "text")]
    usual = [column.name for column in candidates if column.name.lower() in VECTOR_NAMES]
    if len(usual) == 1:
        return usual[0], "its name"
    if not usual and not floats:
        named = [column for column in columns if column.name.lower() in OBJECTS_OF_VECTORS and column.fields]
        vectors = [path for column in named for path in _named_vectors(column)]
        if len(vectors) == 1:
            return vectors[0], "the only named vector"
        if vectors:
            raise MappingError(f"{source} has several vectors: {listed(vectors)}", hint=FLAG_HINT)
        if len(integers) == 1:
            return integers[0].name, "the only column of lists of numbers"
    several = usual or [column.name for column in floats or integers]
    if several:
        raise MappingError(f"{source} has several vector columns: {listed(several)}", hint=FLAG_HINT)
    raise MappingError(
        f"{source} has no vector column; beside the id it has {listed(column.name for column in columns)}",
        hint="name it with --vector-column",
    )


def _of_shape(columns: Sequence[Column], shape: KnownShape, source: str) -> str | None:
    """The vector where the shape has it; of lists and objects of named vectors, lists come first."""
    there = [(path, found[1]) for path in shape.vector if (found := find(columns, path)) is not None]
    for path, column in there:
        if column.shape in ("floats", "integers", "bytes", "text"):
            return path
    for path, column in there:
        if column.shape == "object":
            # All that is inside is listed, sparse vectors too: nothing is left out unsaid.
            inside = [f"{path}.{field.name}" for field in column.fields]
            if len(inside) == 1 and _named_vectors(column):
                return inside[0]
            if inside:
                raise MappingError(f"{source} has several vectors: {listed(inside)}", hint=FLAG_HINT)
    return None


def _named_vectors(column: Column) -> list[str]:
    return [f"{column.name}.{field.name}" for field in column.fields if field.shape in ("floats", "integers")]
