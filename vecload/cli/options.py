"""Options that several commands share, each with its environment variable."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vecload.cli.access import KeySource

TARGET_PANEL = "Target and keys"
COLUMNS_PANEL = "Columns"
INDEX_PANEL = "Making the index"
SENDING_PANEL = "Sending"
FAILURE_PANEL = "Rejects and resuming"
OUTPUT_PANEL = "Output"


class MetricName(StrEnum):
    """Distance metrics, as the engine names them."""

    euclidean = "euclidean"
    cosine = "cosine"
    squared_euclidean = "squared_euclidean"


class PrecisionName(StrEnum):
    """Storage precisions, as the engine names them."""

    float32 = "float32"
    float16 = "float16"
    tq12 = "tq12"
    tq8 = "tq8"
    tq6 = "tq6"
    tq4 = "tq4"


class WireName(StrEnum):
    """Wire formats."""

    auto = "auto"
    json = "json"
    binary = "binary"


To = Annotated[
    str | None,
    typer.Option(
        "--to",
        envvar="VECLOAD_TO",
        metavar="URL|FOLDER",
        help="A CyborgDB service, or the folder of an embedded store. [default: the store of this user]",
        rich_help_panel=TARGET_PANEL,
        show_default=False,
    ),
]
IndexName = Annotated[
    str | None,
    typer.Option(
        "--index",
        envvar="VECLOAD_INDEX",
        metavar="NAME",
        help="The index. [default: the only one of the target]",
        rich_help_panel=TARGET_PANEL,
        show_default=False,
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        envvar="VECLOAD_KEY_FILE",
        metavar="FILE",
        help="The index's key file. [default: the one in the key store of this user]",
        rich_help_panel=TARGET_PANEL,
        show_default=False,
    ),
]
KeyCommand = Annotated[
    str | None,
    typer.Option(
        "--key-command",
        envvar="VECLOAD_KEY_COMMAND",
        metavar="COMMAND",
        help="A command that prints a key file; no shell runs it.",
        rich_help_panel=TARGET_PANEL,
        show_default=False,
    ),
]
ApiKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file",
        envvar="VECLOAD_API_KEY_FILE",
        metavar="FILE",
        help="A file with the service's API key. [default: the variable VECLOAD_API_KEY]",
        rich_help_panel=TARGET_PANEL,
        show_default=False,
    ),
]
MetricOption = Annotated[
    MetricName | None,
    typer.Option(
        "--metric",
        envvar="VECLOAD_METRIC",
        help="Distance metric. [default: euclidean]",
        rich_help_panel=INDEX_PANEL,
        show_default=False,
    ),
]
Precision = Annotated[
    PrecisionName | None,
    typer.Option(
        "--storage-precision",
        envvar="VECLOAD_STORAGE_PRECISION",
        help="How vectors are stored; all but float32 lose digits. [default: float32]",
        rich_help_panel=INDEX_PANEL,
        show_default=False,
    ),
]
Dimension = Annotated[
    int | None,
    typer.Option(
        "--dimension",
        envvar="VECLOAD_DIMENSION",
        metavar="N",
        help="Values of a vector. [default: from the data]",
        rich_help_panel=INDEX_PANEL,
        show_default=False,
    ),
]
Unfilterable = Annotated[
    list[str] | None,
    typer.Option(
        "--unfilterable",
        envvar="VECLOAD_UNFILTERABLE",
        metavar="FIELD",
        help="A metadata field that no filter will name: loads several times faster. Repeatable.",
        rich_help_panel=INDEX_PANEL,
        show_default=False,
    ),
]
Pattern = Annotated[
    list[str] | None,
    typer.Option(
        "--pattern",
        envvar="VECLOAD_PATTERN",
        metavar="FIELD",
        help="A metadata field to search by regular expressions. Repeatable.",
        rich_help_panel=INDEX_PANEL,
        show_default=False,
    ),
]
FullText = Annotated[
    list[str] | None,
    typer.Option(
        "--full-text",
        envvar="VECLOAD_FULL_TEXT",
        metavar="FIELD",
        help="A metadata field to search by words. Repeatable.",
        rich_help_panel=INDEX_PANEL,
        show_default=False,
    ),
]
EmbeddingModel = Annotated[
    str | None,
    typer.Option(
        "--embedding-model",
        envvar="VECLOAD_EMBEDDING_MODEL",
        metavar="NAME",
        help="The engine's model that makes vectors of contents; the target must be able to load it.",
        rich_help_panel=INDEX_PANEL,
        show_default=False,
    ),
]
IdColumn = Annotated[
    str | None,
    typer.Option(
        "--id-column",
        envvar="VECLOAD_ID_COLUMN",
        metavar="NAME",
        help="The column of ids. [default: found by its name]",
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
        help="The column of vectors. [default: the one of lists of numbers]",
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
        help="A column of metadata. Repeatable. [default: every column left over]",
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
        help="The column of contents. [default: found by its name]",
        rich_help_panel=COLUMNS_PANEL,
        show_default=False,
    ),
]
Seal = Annotated[
    bool,
    typer.Option(
        "--seal/--no-seal",
        envvar="VECLOAD_SEAL",
        help="Encrypt contents on this machine, or leave that to the engine, for other clients to read.",
        rich_help_panel=SENDING_PANEL,
    ),
]
Embed = Annotated[
    bool,
    typer.Option(
        "--embed",
        envvar="VECLOAD_EMBED",
        help="The index makes the vectors of contents, which go unsealed.",
        rich_help_panel=COLUMNS_PANEL,
    ),
]
AllowZeroVectors = Annotated[
    bool,
    typer.Option(
        "--allow-zero-vectors",
        envvar="VECLOAD_ALLOW_ZERO_VECTORS",
        help="Load vectors of zeros, which the engine stores but can't give back.",
        rich_help_panel=FAILURE_PANEL,
    ),
]
Create = Annotated[
    bool,
    typer.Option(
        "--create/--no-create",
        envvar="VECLOAD_CREATE",
        help="Make the index if there is none, or stop.",
        rich_help_panel=INDEX_PANEL,
    ),
]
Wire = Annotated[
    WireName,
    typer.Option(
        "--wire",
        envvar="VECLOAD_WIRE",
        help="How batches are sent to a service; auto: by their size.",
        rich_help_panel=SENDING_PANEL,
    ),
]
BinaryThreshold = Annotated[
    int,
    typer.Option(
        "--binary-threshold",
        envvar="VECLOAD_BINARY_THRESHOLD",
        metavar="N",
        min=1,
        help="Items of a batch from which auto takes binary.",
        rich_help_panel=SENDING_PANEL,
    ),
]
BatchRows = Annotated[
    int,
    typer.Option(
        "--batch-rows",
        envvar="VECLOAD_BATCH_ROWS",
        metavar="N",
        min=1,
        max=100_000,
        help="Rows of a batch at the most.",
        rich_help_panel=SENDING_PANEL,
    ),
]
BatchBytes = Annotated[
    int,
    typer.Option(
        "--batch-bytes",
        envvar="VECLOAD_BATCH_BYTES",
        metavar="N",
        min=1000,
        help="Bytes of a batch at about the most.",
        rich_help_panel=SENDING_PANEL,
    ),
]
ConcurrencyOption = Annotated[
    str,
    typer.Option(
        "--concurrency",
        envvar="VECLOAD_CONCURRENCY",
        metavar="auto|N",
        help="Batches in flight; auto: learnt from the target.",
        rich_help_panel=SENDING_PANEL,
    ),
]
GiveUpAfter = Annotated[
    float,
    typer.Option(
        "--give-up-after",
        envvar="VECLOAD_GIVE_UP_AFTER",
        metavar="SECONDS",
        min=0,
        help="How long a batch that fails is sent again.",
        rich_help_panel=SENDING_PANEL,
    ),
]
MaxErrors = Annotated[
    str,
    typer.Option(
        "--max-errors",
        envvar="VECLOAD_MAX_ERRORS",
        metavar="N|N%",
        help="Rows that may be rejected before the load stops.",
        rich_help_panel=FAILURE_PANEL,
    ),
]
Rejects = Annotated[
    str | None,
    typer.Option(
        "--rejects",
        envvar="VECLOAD_REJECTS",
        metavar="FILE",
        help="Write each rejected row's place and reason to this file.",
        rich_help_panel=FAILURE_PANEL,
        show_default=False,
    ),
]
Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh",
        envvar="VECLOAD_FRESH",
        help="Load from the start, whatever an earlier run had loaded.",
        rich_help_panel=FAILURE_PANEL,
    ),
]
SkipLoaded = Annotated[
    bool,
    typer.Option(
        "--skip-loaded",
        envvar="VECLOAD_SKIP_LOADED",
        help="Do nothing if all was loaded and the sources are unchanged.",
        rich_help_panel=FAILURE_PANEL,
    ),
]
StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        envvar="VECLOAD_STATE_DIR",
        metavar="FOLDER",
        help="Where journals are kept. [default: below the user's state folder]",
        rich_help_panel=FAILURE_PANEL,
        show_default=False,
    ),
]
JsonOutput = Annotated[
    bool,
    typer.Option(
        "--json",
        envvar="VECLOAD_JSON",
        help="Print the summary as one JSON object on standard output.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        envvar="VECLOAD_QUIET",
        help="Say nothing but errors.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]


def key_source(context: typer.Context, file: Path | None, command: str | None) -> KeySource:
    """Where the key is, in the order of docs/keys.md: flags before variables."""
    from vecload.cli.access import KeySource

    # VECLOAD_KEY_FILE fills the option as well; only as a variable it comes after the key command.
    source = context.get_parameter_source("key_file")
    by_variable = source is not None and source.name == "ENVIRONMENT"
    return KeySource(None if by_variable else file, command)
