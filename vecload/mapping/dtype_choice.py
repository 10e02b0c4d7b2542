"""Which numbers the bytes of vectors are, where nobody said: the only type that makes embeddings of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vecload.errors import MappingError
from vecload.mapping.chosen import Mapping
from vecload.mapping.columns import Column, find
from vecload.mapping.vector_encodings import encoding_of


def with_vector_dtype(
    mapping: Mapping, columns: Sequence[Column], source: str, dimension: int | None
) -> Mapping:
    """The mapping, with the type of numbers that its vectors of bytes are; as it is where they are no bytes.

    Args:
        mapping: As it was chosen.
        columns: The source's, with their first values.
        source: For messages.
        dimension: Of the vectors, if that is known.

    Raises:
        MappingError: The first rows look like embeddings under several types, or under none.
    """
    found = None if mapping.vector is None else find(columns, mapping.vector)
    column = None if found is None else found[1]
    listed = column is None or column.shape in ("floats", "integers")
    encoding = None if column is None or listed else encoding_of(column.values, dimension=dimension)
    if encoding is None or encoding.kind not in ("bytes", "base64 text", "buffer"):
        return mapping
    dtype = mapping.rules.vector_dtype
    if dtype is None:
        if len(encoding.dtypes) != 1:
            looks = " and as ".join(encoding.dtypes)
            told = (
                f"look like embeddings as {looks}"
                if looks
                else "look like embeddings under no type of numbers"
            )
            raise MappingError(
                f"the vectors in {mapping.vector!r} of {source} are {encoding.kind}, and {told}",
                hint="say what their numbers are with --vector-dtype, and how many with --dimension",
            )
        dtype = encoding.dtypes[0]
    return replace(
        mapping,
        rules=replace(mapping.rules, vector_dtype=dtype),
        vector_written=f"{dtype} as {encoding.kind}",
    )
