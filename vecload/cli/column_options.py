"""The options that say which column is which, and how items are made of rows."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from vecload.defaults import CONTENTS_MAX_BYTES, ID_MAX_BYTES, METADATA_DEPTH
from vecload.errors import UsageError

if TYPE_CHECKING:
    from vecload.mapping import ColumnChoice, Rules

COLUMNS_PANEL = "Columns"
ITEMS_PANEL = "Items"


class ShapeName(StrEnum):
    """Known shapes of exports."""

    chroma = "chroma"
    langchain = "langchain"
    llamaindex = "llamaindex"
    pinecone = "pinecone"
    qdrant = "qdrant"
    vdf = "vdf"
    weaviate = "weaviate"


class VectorDtypeName(StrEnum):
    """Types of numbers in vectors of bytes."""

    float32 = "float32"
    float16 = "float16"
    bfloat16 = "bfloat16"
    float64 = "float64"
    int8 = "int8"
    uint8 = "uint8"
    npy = "npy"


IdColumn = Annotated[
    str | None,
    typer.Option(
        "--id-column",
        envvar="VECLOAD_ID_COLUMN",
        metavar="NAME",
        help="The column of ids, or a field by its dot path. (default: found by its name)",
        rich_help_panel=COLUMNS_PANEL,
        show_default=False,
    ),
]
VectorColumn = Annotated[
    str | None,
    typer.Option(
        "--vector-column",
        envvar="VECLOAD_VECTOR_COLUMN",
        metavar="NAME",
        help="The column of vectors. (default: the one of lists of numbers)",
        rich_help_panel=COLUMNS_PANEL,
        show_default=False,
    ),
]
MetadataColumn = Annotated[
    list[str] | None,
    typer.Option(
        "--metadata-column",
        envvar="VECLOAD_METADATA_COLUMN",
        metavar="NAME",
        help="A column of metadata. Repeatable. (default: every column left over)",
        rich_help_panel=COLUMNS_PANEL,
        show_default=False,
    ),
]
ContentsColumn = Annotated[
    str | None,
    typer.Option(
        "--contents-column",
        envvar="VECLOAD_CONTENTS_COLUMN",
        metavar="NAME",
        help="The column of contents. (default: found by its name)",
        rich_help_panel=COLUMNS_PANEL,
        show_default=False,
    ),
]
MetadataExclude = Annotated[
    list[str] | None,
    typer.Option(
        "--metadata-exclude",
        envvar="VECLOAD_METADATA_EXCLUDE",
        metavar="NAME",
        help="A column, field or metadata name that is not to be metadata. Repeatable.",
        rich_help_panel=COLUMNS_PANEL,
        show_default=False,
    ),
]
Rename = Annotated[
    list[str] | None,
    typer.Option(
        "--rename",
        envvar="VECLOAD_RENAME",
        metavar="OLD=NEW",
        help="Give a metadata field another name. Repeatable.",
        rich_help_panel=COLUMNS_PANEL,
        show_default=False,
    ),
]
ShapeOption = Annotated[
    ShapeName | None,
    typer.Option(
        "--shape",
        envvar="VECLOAD_SHAPE",
        help="The tool whose export the sources are. (default: seen from what they hold)",
        rich_help_panel=COLUMNS_PANEL,
        show_default=False,
    ),
]
VectorDtypeOption = Annotated[
    VectorDtypeName | None,
    typer.Option(
        "--vector-dtype",
        envvar="VECLOAD_VECTOR_DTYPE",
        help="The numbers in a vector of bytes, little-endian; npy is numpy.save's format. "
        "Default: found from the first rows.",
        rich_help_panel=COLUMNS_PANEL,
    ),
]
IdPrefix = Annotated[
    str,
    typer.Option(
        "--id-prefix",
        envvar="VECLOAD_ID_PREFIX",
        metavar="TEXT",
        help="Put this before every id.",
        rich_help_panel=ITEMS_PANEL,
        show_default=False,
    ),
]
GenerateIds = Annotated[
    bool,
    typer.Option(
        "--generate-ids",
        envvar="VECLOAD_GENERATE_IDS",
        help="Give a row without a usable id a digest of its item: equal rows are one item.",
        rich_help_panel=ITEMS_PANEL,
    ),
]
MaxIdBytes = Annotated[
    int,
    typer.Option(
        "--max-id-bytes",
        envvar="VECLOAD_MAX_ID_BYTES",
        metavar="N",
        min=1,
        max=ID_MAX_BYTES,
        help="A longer id is rejected.",
        rich_help_panel=ITEMS_PANEL,
    ),
]
MaxDepth = Annotated[
    int,
    typer.Option(
        "--max-depth",
        envvar="VECLOAD_MAX_DEPTH",
        metavar="N",
        min=0,
        max=METADATA_DEPTH,
        help="Metadata with more lists and objects inside one another is rejected.",
        rich_help_panel=ITEMS_PANEL,
    ),
]
MaxContentsBytes = Annotated[
    int,
    typer.Option(
        "--max-contents-bytes",
        envvar="VECLOAD_MAX_CONTENTS_BYTES",
        metavar="N",
        min=0,
        max=CONTENTS_MAX_BYTES,
        help="Larger contents are rejected.",
        rich_help_panel=ITEMS_PANEL,
    ),
]
MaxMetadataBytes = Annotated[
    int | None,
    typer.Option(
        "--max-metadata-bytes",
        envvar="VECLOAD_MAX_METADATA_BYTES",
        metavar="N",
        min=2,
        help="Metadata of more JSON text is rejected. (default: what the target takes)",
        rich_help_panel=ITEMS_PANEL,
        show_default=False,
    ),
]


def column_choice(
    id_column: str | None,
    vector: str | None,
    contents: str | None,
    metadata: Sequence[str] | None,
    excluded: Sequence[str] | None,
    renamed: Sequence[str] | None,
    shape: ShapeName | None,
) -> ColumnChoice:
    """Which columns the user named.

    Raises:
        UsageError: A renaming is no `old=new`, or two have the same name in them.
    """
    from vecload.mapping import ColumnChoice

    pairs: list[tuple[str, str]] = []
    for text in renamed or ():
        old, equals, new = text.partition("=")
        if not old or not equals or not new:
            raise UsageError(f"--rename {text!r} is not of the form old=new")
        if any(old == other or new == taken for other, taken in pairs):
            raise UsageError(f"--rename {text!r} names what another --rename names")
        pairs.append((old, new))
    return ColumnChoice(
        id_column,
        vector,
        contents,
        tuple(metadata or ()),
        tuple(excluded or ()),
        tuple(pairs),
        shape.value if shape else None,
    )


def item_rules(
    prefix: str,
    generate: bool,
    dtype: VectorDtypeName | None,
    id_bytes: int,
    depth: int,
    contents_bytes: int,
    metadata_bytes: int | None,
) -> Rules:
    """How items are made of rows."""
    from vecload.mapping import Rules

    return Rules(
        prefix,
        generate,
        dtype.value if dtype else None,
        id_bytes,
        depth,
        contents_bytes,
        metadata_bytes,
    )
