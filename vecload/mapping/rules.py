"""What a load wants of its items besides where their parts are: prefixes, generated ids, limits."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from vecload.defaults import CONTENTS_MAX_BYTES, ID_MAX_BYTES, ID_SEPARATOR, METADATA_DEPTH

VectorDtype: TypeAlias = Literal["float32", "float16", "bfloat16", "float64", "int8", "uint8", "npy"]
"""How the numbers of a vector of bytes are written, little-endian; `npy` is a whole array of `numpy.save`."""

Nan: TypeAlias = Literal["omit", "reject"]
"""What becomes of NaN in metadata: it is left out as a null is, or its row is a reject."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How items are made of rows.

    id_prefix: stands before every id.
    id_separator: stands between the columns of an id that has several.
    generate_ids: a row without a usable id gets a digest of its item.
    vector_dtype: the numbers in a vector of bytes; None has them found from the first rows.
    max_id_bytes: of an id with its prefix, as UTF-8.
    max_depth: lists and objects inside one another, below the metadata object.
    max_contents_bytes: of contents, before they are sealed.
    max_metadata_bytes: of the metadata's JSON text; None leaves it to the target.
    nan: what becomes of NaN in metadata of Parquet, Arrow and NumPy.
    binary_as_text: bytes of Parquet and Arrow are text, but in vectors.
    """

    id_prefix: str = ""
    generate_ids: bool = False
    vector_dtype: VectorDtype | None = None
    max_id_bytes: int = ID_MAX_BYTES
    max_depth: int = METADATA_DEPTH
    max_contents_bytes: int = CONTENTS_MAX_BYTES
    max_metadata_bytes: int | None = None
    id_separator: str = ID_SEPARATOR
    nan: Nan = "omit"
    binary_as_text: bool = False

    def __str__(self) -> str:
        """What differs from the usual, for the journal; bytes are usually float32."""
        usual = Rules(vector_dtype="float32" if self.vector_dtype else None)
        own = ((field.name, getattr(self, field.name)) for field in fields(self))
        return ", ".join(f"{name} {value!r}" for name, value in own if value != getattr(usual, name))
