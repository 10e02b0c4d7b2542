"""The options of a look before a load, and `vecload inspect` as `vecload upsert` with fewer options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

LOOKING_PANEL = "Looking before loading"

INSPECT_HELP = (
    "Tell what sources are, and what a load of them would do. Nothing is made, written or sent.\n\n"
    "Takes the options of 'vecload upsert', and ends with the exit code that the load would end with, as far "
    "as was looked."
)
OF_LOADS_ALONE = (
    "concurrency",
    "explain",
    "give_up_after",
    "resume_wait",
    "rejects",
    "reject_rows",
    "retry_rejects",
    "fresh",
    "skip_loaded",
    "state_dir",
    "quiet",
)
"""Options of `upsert` that change nothing of what a report tells."""

DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        envvar="VECLOAD_DRY_RUN",
        help="Load nothing: report what would be loaded, as 'vecload inspect' does. Nothing is written.",
        rich_help_panel=LOOKING_PANEL,
    ),
]
Full = Annotated[
    bool,
    typer.Option(
        "--full",
        envvar="VECLOAD_FULL",
        help="For that report, look at every row, not at a sample.",
        rich_help_panel=LOOKING_PANEL,
    ),
]
Items = Annotated[
    int,
    typer.Option(
        "--items",
        envvar="VECLOAD_ITEMS",
        metavar="N",
        min=0,
        max=1000,
        help="For that report, how many of the first items are shown, contents shortened.",
        rich_help_panel=LOOKING_PANEL,
    ),
]


def inspecting(upsert: Callable[..., None]) -> Callable[..., None]:
    """`vecload inspect`: the other command's dry run. One list of options can't drift from itself.

    Args:
        upsert: The command, its options as its parameters.
    """
    signature = inspect.signature(upsert, eval_str=True)
    kept = [one for name, one in signature.parameters.items() if name not in (*OF_LOADS_ALONE, "dry_run")]
    fixed = {name: signature.parameters[name].default for name in OF_LOADS_ALONE} | {"dry_run": True}

    def run(**given: Any) -> None:
        upsert(**fixed, **given)

    run.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined] # typer reads it
    return run
