"""The options of a load, each with its environment variable."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vecload.cli.column_options import COLUMNS_PANEL
from vecload.cli.options import INDEX_PANEL, TARGET_PANEL

SENDING_PANEL = "Sending"
FAILURE_PANEL = "Rejects and resuming"
OUTPUT_PANEL = "Output"


class WireName(StrEnum):
    """Wire formats."""

    auto = "auto"
    json = "json"
    binary = "binary"


class RepeatedIdsName(StrEnum):
    """What becomes of a row whose id stands in an earlier one."""

    reject = "reject"
    last = "last"


IndexOption = Annotated[
    str | None,
    typer.Option(
        "--index",
        envvar="VECLOAD_INDEX",
        metavar="NAME",
        help="The index; made if there is none. (default: named after the file)",
        rich_help_panel=TARGET_PANEL,
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
Train = Annotated[
    bool,
    typer.Option(
        "--train",
        envvar="VECLOAD_TRAIN",
        help="Train the index when all is loaded, so that queries need not search it whole; waits for it.",
        rich_help_panel=INDEX_PANEL,
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
    str,
    typer.Option(
        "--batch-rows",
        envvar="VECLOAD_BATCH_ROWS",
        metavar="auto|N",
        help="Rows of a batch at the most; auto: learnt from the target.",
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
ParseWorkers = Annotated[
    str,
    typer.Option(
        "--parse-workers",
        envvar="VECLOAD_PARSE_WORKERS",
        metavar="auto|N",
        help="Processes that parse JSON Lines where there is much of them, 0 for none; auto: one a core.",
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
ResumeWait = Annotated[
    float,
    typer.Option(
        "--resume-wait",
        envvar="VECLOAD_RESUME_WAIT",
        metavar="SECONDS",
        min=0,
        help="How long after a killed run a load into a service waits before it goes on.",
        rich_help_panel=SENDING_PANEL,
    ),
]
RepeatedIdsOption = Annotated[
    RepeatedIdsName | None,
    typer.Option(
        "--repeated-ids",
        envvar="VECLOAD_REPEATED_IDS",
        help="If several rows share an id, reject the later ones, or let the last one win. "
        "(default: last with --id-column, reject where the id column is guessed)",
        rich_help_panel=FAILURE_PANEL,
        show_default=False,
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
RejectRows = Annotated[
    bool,
    typer.Option(
        "--reject-rows",
        envvar="VECLOAD_REJECT_ROWS",
        help="Write the rejected rows themselves too, sealed as contents are; 'vecload rejects' opens them.",
        rich_help_panel=FAILURE_PANEL,
    ),
]
RetryRejects = Annotated[
    str | None,
    typer.Option(
        "--retry-rejects",
        envvar="VECLOAD_RETRY_REJECTS",
        metavar="FILE",
        help="Load just the rows of this reject file again, from the sources it names.",
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
        help="Do nothing if all was loaded, the sources are unchanged and the index still holds it.",
        rich_help_panel=FAILURE_PANEL,
    ),
]
StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        envvar="VECLOAD_STATE_DIR",
        metavar="FOLDER",
        help="Where journals are kept. (default: below the user's state folder)",
        rich_help_panel=FAILURE_PANEL,
        show_default=False,
    ),
]
JsonOutput = Annotated[
    bool,
    typer.Option(
        "--json",
        envvar="VECLOAD_JSON",
        help="Print the summary, or the report, as one JSON object on standard output.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain",
        envvar="VECLOAD_EXPLAIN",
        help="Say at the end what held the load back, and the setting that would help.",
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
