"""Files that vecload itself exported from an index: their columns say what is what, so nothing is guessed."""

from __future__ import annotations

from collections.abc import Sequence

from vecload.mapping.columns import Column
from vecload.mapping.mapping import OF_AN_INDEX, ColumnMapping, Reasons

ID, VECTOR, METADATA, CONTENTS = "id", "vector", "metadata", "contents"
CONTENTS_SEALED = "contents_sealed"
"""Whether the contents of a row are as they were stored, sealed; false if they are in clear, or absent."""
CONTENTS_BYTES = "contents_bytes"
"""In Parquet, whose columns have one type: contents that are bytes. `contents` then has the texts."""
JSON_FIELDS = (ID, VECTOR, METADATA, CONTENTS, CONTENTS_SEALED)
PARQUET_FIELDS = (*JSON_FIELDS, CONTENTS_BYTES)


def mapping_of_export(columns: Sequence[Column]) -> ColumnMapping | None:
    """The mapping of a file that `vecload export` wrote; None for any other.

    It is known by its columns, which are exactly those of an export: a file may be cut, joined, compressed or
    converted on the way.
    """
    names = tuple(column.name for column in columns if not column.partition)
    known = next((each for each in (JSON_FIELDS, PARQUET_FIELDS) if sorted(names) == sorted(each)), None)
    if known is None:
        return None
    return ColumnMapping(
        ID,
        VECTOR,
        CONTENTS,
        metadata_object=METADATA,
        metadata_fields=(),
        excluded=(CONTENTS_SEALED,),
        contents_bytes=CONTENTS_BYTES if CONTENTS_BYTES in known else None,
        recipe="vecload",
        columns=names,
        reasons=Reasons(*[OF_AN_INDEX] * 4),
    )
