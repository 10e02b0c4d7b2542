"""The options that say which column is which, and how items are made of rows."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from vecload.errors import UsageError
from vecload.limits import CONTENTS_MAX_BYTES, ID_MAX_BYTES, METADATA_DEPTH

if TYPE_CHECKING:
    from vecload.mapping import ColumnChoice, Rules

COLUMNS_PANEL = "Columns"
ITEMS_PANEL = "Items"


class ShapeName(StrEnum):
    """Known shapes of exports."""

    chroma = "chroma"
    elasticsearch = "elasticsearch"
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


class NanName(StrEnum):
    """What becomes of NaN in metadata."""

    omit = "omit"
    reject = "reject"


IdColumn = Annotated[
    list[str] | None,
    typer.Option(
        "--id-column",
        envvar="VECLOAD_ID_COLUMN",
        metavar="NAME",
        help="The column of ids, or a field by its path. Repeatable: the id is all of them, joined. "
        "(default: found by its name)",
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
        help="A column of metadata, which goes unsealed. Repeatable. (default: every column left over)",
        rich_help_panel=COLUMNS_PANEL,
        show_default=False,
    ),
]
ContentsColumn = Annotated[
    list[str] | None,
    typer.Option(
        "--contents-column",
        envvar="VECLOAD_CONTENTS_COLUMN",
        metavar="NAME",
        help="The column of contents. Repeatable: all are sealed together, as one JSON object. "
        "(default: found by its name)",
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
IdSeparator = Annotated[
    str,
    typer.Option(
        "--id-separator",
        envvar="VECLOAD_ID_SEPARATOR",
        metavar="TEXT",
        help="Stands between the columns of an id that has several.",
        rich_help_panel=ITEMS_PANEL,
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
NanOption = Annotated[
    NanName,
    typer.Option(
        "--nan",
        envvar="VECLOAD_NAN",
        help="NaN in metadata of Parquet, Arrow and NumPy: left out as null is, or its row is rejected.",
        rich_help_panel=ITEMS_PANEL,
    ),
]
BinaryAsText = Annotated[
    bool,
    typer.Option(
        "--binary-as-text",
        envvar="VECLOAD_BINARY_AS_TEXT",
        help="Bytes of Parquet and Arrow are text, but in vectors: as Spark's binaryAsString.",
        rich_help_panel=ITEMS_PANEL,
    ),
]


def column_choice(
    ids: Sequence[str] | None,
    vector: str | None,
    contents: Sequence[str] | None,
    metadata: Sequence[str] | None,
    excluded: Sequence[str] | None,
    renamed: Sequence[str] | None,
    shape: ShapeName | None,
) -> ColumnChoice:
    """Which columns the user named.

    Raises:
        UsageError: A renaming is no `old=new`, or two have the same name in them, or a column is named twice.
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
    for flag, names in (("--id-column", ids), ("--contents-column", contents)):
        again = next((name for at, name in enumerate(names or ()) if name in (names or ())[:at]), None)
        if again is not None:
            raise UsageError(f"{flag} names {again!r} twice")
    return ColumnChoice(
        ids[0] if ids else None,
        vector,
        contents[0] if contents else None,
        tuple(metadata or ()),
        tuple(excluded or ()),
        tuple(pairs),
        shape.value if shape else None,
        tuple((ids or ())[1:]),
        tuple((contents or ())[1:]),
    )


def item_rules(
    prefix: str,
    generate: bool,
    dtype: VectorDtypeName | None,
    id_bytes: int,
    depth: int,
    contents_bytes: int,
    metadata_bytes: int | None,
    separator: str,
    nan: NanName,
    binary_as_text: bool,
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
        separator,
        nan.value,
        binary_as_text,
    )
