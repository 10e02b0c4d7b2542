"""The options of sources: what they are, where they are, and how much of them is held."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

SOURCES_PANEL = "Sources"


class FormatName(StrEnum):
    """Formats of sources."""

    parquet = "parquet"
    jsonl = "jsonl"
    arrow = "arrow"
    numpy = "numpy"
    json = "json"


Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE",
        help="Files, folders, patterns, s3:// and gs:// names.",
        show_default=False,
    ),
]
FormatOption = Annotated[
    FormatName | None,
    typer.Option(
        "--format",
        envvar="VECLOAD_FORMAT",
        help="What the sources are. (default: seen from what they hold)",
        rich_help_panel=SOURCES_PANEL,
        show_default=False,
    ),
]
EndpointUrl = Annotated[
    str | None,
    typer.Option(
        "--endpoint-url",
        envvar="VECLOAD_ENDPOINT_URL",
        metavar="URL",
        help="The address of an S3-compatible store, for s3:// sources. (default: Amazon's)",
        rich_help_panel=SOURCES_PANEL,
        show_default=False,
    ),
]
IdsFile = Annotated[
    str | None,
    typer.Option(
        "--ids-file",
        envvar="VECLOAD_IDS_FILE",
        metavar="FILE",
        help="The ids of a NumPy array: one a line, an array of them, or a source with metadata beside them.",
        rich_help_panel=SOURCES_PANEL,
        show_default=False,
    ),
]
MaxRowGroupBytes = Annotated[
    int,
    typer.Option(
        "--max-row-group-bytes",
        envvar="VECLOAD_MAX_ROW_GROUP_BYTES",
        metavar="N",
        min=1000,
        help="Refuse sources whose rows, or suspiciously compressed columns, expand beyond N bytes.",
        rich_help_panel=SOURCES_PANEL,
    ),
]
MaxLineBytes = Annotated[
    int,
    typer.Option(
        "--max-line-bytes",
        envvar="VECLOAD_MAX_LINE_BYTES",
        metavar="N",
        min=1000,
        help="A longer line of JSON Lines is rejected, and never held whole.",
        rich_help_panel=SOURCES_PANEL,
    ),
]
MaxJsonBytes = Annotated[
    int,
    typer.Option(
        "--max-json-bytes",
        envvar="VECLOAD_MAX_JSON_BYTES",
        metavar="N",
        min=1000,
        help="A larger JSON document (an array, an export that is one object) is refused: it is held whole.",
        rich_help_panel=SOURCES_PANEL,
    ),
]
