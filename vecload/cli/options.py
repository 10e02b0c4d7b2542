"""Options that several commands share, each with its environment variable."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vecload.cli.owners import for_its_target, variables_are_for

if TYPE_CHECKING:
    from vecload.cli.access import KeySource

TARGET_PANEL = "Target and keys"
INDEX_PANEL = "Making the index"


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


To = Annotated[
    str | None,
    typer.Option(
        "--to",
        envvar="VECLOAD_TO",
        metavar="URL|FOLDER",
        is_eager=True,
        help="A CyborgDB service, or the folder of an embedded store. (default: the store of this user)",
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
        help="The index. (default: the only one of the target)",
        rich_help_panel=TARGET_PANEL,
        show_default=False,
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        envvar="VECLOAD_KEY_FILE",
        callback=for_its_target,
        metavar="FILE",
        help="The index's key file. (default: the one in the key store of this user)",
        rich_help_panel=TARGET_PANEL,
        show_default=False,
    ),
]
KeyCommand = Annotated[
    str | None,
    typer.Option(
        "--key-command",
        envvar="VECLOAD_KEY_COMMAND",
        callback=for_its_target,
        metavar="COMMAND",
        help="A command that prints a key file; no shell runs it.",
        rich_help_panel=TARGET_PANEL,
        show_default=False,
    ),
]
RequireSealed = Annotated[
    bool,
    typer.Option(
        "--require-sealed",
        envvar="VECLOAD_REQUIRE_SEALED",
        help="Refuse contents that are not sealed: whoever can write to the index may have put them there.",
    ),
]
ApiKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file",
        envvar="VECLOAD_API_KEY_FILE",
        callback=for_its_target,
        metavar="FILE",
        help="A file with the service's API key. (default: the variable VECLOAD_API_KEY)",
        rich_help_panel=TARGET_PANEL,
        show_default=False,
    ),
]
MetricOption = Annotated[
    MetricName | None,
    typer.Option(
        "--metric",
        envvar="VECLOAD_METRIC",
        help="Distance metric. (default: euclidean)",
        rich_help_panel=INDEX_PANEL,
        show_default=False,
    ),
]
Precision = Annotated[
    PrecisionName | None,
    typer.Option(
        "--storage-precision",
        envvar="VECLOAD_STORAGE_PRECISION",
        help="How vectors are stored; all but float32 lose digits. (default: float32)",
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
        help="Values of a vector. (default: from the data)",
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


def key_source(context: typer.Context, file: Path | None, command: str | None) -> KeySource:
    """Where the key is, in the order of docs/keys.md: flags, then variables, then the configuration."""
    from vecload.cli.access import KeySource

    def origin(name: str) -> str:
        source = context.get_parameter_source(name)
        return "" if source is None else source.name

    file_by, command_by = origin("key_file"), origin("key_command")
    return KeySource(
        file=file if file_by == "COMMANDLINE" else None,
        command=command if command_by in ("COMMANDLINE", "ENVIRONMENT") else None,
        default_file=file if file_by == "DEFAULT_MAP" else None,
        default_command=command if command_by == "DEFAULT_MAP" else None,
        environ=os.environ if variables_are_for(context.params.get("to")) else {},
    )
