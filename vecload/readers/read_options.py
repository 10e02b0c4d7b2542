"""ReadOptions: how sources are read, whatever they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vecload.limits import JSON_MAX_BYTES, LINE_MAX_BYTES, ROW_GROUP_MAX_BYTES
from vecload.options import CsvTypes
from vecload.recipes.known import AUTOMATIC, RecipeChoice


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How sources are read, whatever they are.

    Attributes:
        format: What every source is, as `--format` takes it; None detects it from the content.
        ids_file: Where the ids of a NumPy array are.
        ids_needed: Whether rows must have ids.
        endpoint_url: Of an S3-compatible store.
        max_line_bytes: A longer line of JSON Lines is rejected.
        row_group_max_bytes: The most bytes that a row may take, and that a suspiciously compressed column
            of a row group, record batch or array may unpack to.
        max_json_bytes: A larger JSON document that is one object is refused, since it is read whole.
        encoding: Of text; None is UTF-8, or UTF-16 or UTF-32 where the first bytes show that.
        csv_columns, csv_delimiter, csv_types: How CSV is read, as the options of those names take it.
        vector_columns: The pattern of the columns of a vector's dimensions; None if it is one column.
        recipes: Which recipe is for the sources.
        interrupted: The number of the signal that asked to stop, 0 while none did.
    """

    format: str | None = None
    ids_file: str | None = None
    ids_needed: bool = True
    endpoint_url: str | None = None
    max_line_bytes: int = LINE_MAX_BYTES
    row_group_max_bytes: int = ROW_GROUP_MAX_BYTES
    max_json_bytes: int = JSON_MAX_BYTES
    encoding: str | None = None
    csv_columns: tuple[str, ...] = ()
    csv_delimiter: str | None = None
    csv_types: CsvTypes = "infer"
    vector_columns: str | None = None
    recipes: RecipeChoice = AUTOMATIC
    interrupted: Callable[[], int] = lambda: 0


USUAL = ReadOptions()
"""How a source is read if nothing else is asked."""
