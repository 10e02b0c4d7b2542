"""`vecload export`, `vecload copy` and `vecload rekey`: what is done with all items of an index."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from vecload.cli import options as opt
from vecload.cli.config import api_key
from vecload.options import LoadOptions
from vecload.targets.place import IndexPlace
from vecload.upkeep.options import COPY_OPTIONS, REKEY_OPTIONS

FROM = "What is copied"
CopyName = Annotated[
    str | None,
    opt.option(
        "index",
        opt.TARGET,
        "The copy; created if it does not exist.",
        usual="the name of the copied index",
        metavar="NAME",
    ),
]


@opt.watched()
@opt.opens()
def export(
    *,
    output: Annotated[
        str,
        opt.option(
            "output",
            None,
            "File to write: .parquet, .jsonl, .jsonl.gz or .jsonl.zst. An older one is replaced.",
            "-o",
            usual="standard output",
            metavar="FILE",
        ),
    ] = "-",
    format: Annotated[  # noqa: A002 the flag's name
        Literal["jsonl", "parquet"] | None,
        opt.option("format", None, "Format of the file.", usual="what its name ends in, else jsonl"),
    ] = None,
    sealed: Annotated[
        bool, opt.option("sealed", None, "Leave contents sealed, for a backup that only the key opens.")
    ] = False,
    max_errors: Annotated[
        str,
        opt.option(
            "max_errors", None, "How many items may be rejected: a number or a percentage.", metavar="N|P%"
        ),
    ] = "0",
    rejects: Annotated[
        str | None,
        opt.option("rejects", None, "Write items that can't be exported to this file.", metavar="FILE"),
    ] = None,
    place: IndexPlace,
    json_output: opt.JsonOutput = False,
    quiet: opt.Quiet = False,
) -> None:
    """Write all items of an index to a file, with contents in clear.

    'vecload upsert FILE' makes the same items again.
    """
    from vecload.cli.load import BUG, summarised
    from vecload.errors import UsageError
    from vecload.upkeep.export import ExportRequest, ExportResult, run_export
    from vecload.upkeep.item_files import STDOUT

    if json_output and output == STDOUT:
        raise UsageError("--json prints the summary where the items go", hint="name a file with --output")
    request = ExportRequest(
        place=place,
        file=output,
        format=format,
        sealed=sealed,
        max_errors=max_errors,
        rejects=rejects,
    )
    result = summarised(
        lambda caller: run_export(request, caller),
        ExportResult(error=BUG),
        json=json_output,
        quiet=quiet,
        terminal=sys.stderr.isatty(),
    )
    raise typer.Exit(result.exit_code)


@opt.watched(metrics=True)
@opt.opens(index=CopyName)
@opt.takes(*COPY_OPTIONS)
def copy(
    *,
    from_: Annotated[
        str | None,
        opt.option(
            "from",
            FROM,
            "The service, or the folder of the store, that has the index.",
            usual="your local store",
            metavar="URL|FOLDER",
        ),
    ] = None,
    from_index: Annotated[
        str | None,
        opt.option("from_index", FROM, "Index to copy.", usual="the only one there", metavar="NAME"),
    ] = None,
    from_key_file: Annotated[
        Path | None,
        opt.option("from_key_file", FROM, "Its key file.", usual="the one in your key store", metavar="FILE"),
    ] = None,
    from_api_key_file: Annotated[
        Path | None,
        opt.option("from_api_key_file", FROM, "File with the API key of that service.", metavar="FILE"),
    ] = None,
    place: IndexPlace,
    options: LoadOptions,
    json_output: opt.JsonOutput = False,
    quiet: opt.Quiet = False,
) -> None:
    """Copy an index: into another target, or with another key, metric, precision or policies.

    A new index gets the metric and the policies of the copied one, unless you name others.
    Contents are opened, and sealed for the copy.
    After a stop, run the same command again to resume.
    """
    from vecload.cli.load import BUG, summarised
    from vecload.loading.request import Request
    from vecload.loading.result import LoadResult
    from vecload.sealing.key_source import KeySource
    from vecload.upkeep.copy import CopyRequest, run_copy

    origin = IndexPlace(
        from_,
        from_index,
        KeySource(file=from_key_file),
        api_key(from_, from_api_key_file) if from_api_key_file or from_ == place.to else None,
        place.reach,
    )
    secrets = {from_key_file: "is the key file", from_api_key_file: "is the file of the API key"}
    kept = {**place.secret_files, **{str(path): what for path, what in secrets.items() if path}}
    request = CopyRequest(origin, Request.into(replace(place, secret_files=kept), (), options))
    result = summarised(
        lambda caller: run_copy(request, caller),
        LoadResult(error=BUG),
        json=json_output,
        quiet=quiet,
        terminal=sys.stderr.isatty(),
    )
    raise typer.Exit(result.exit_code)


@opt.watched()
@opt.opens()
@opt.takes(*REKEY_OPTIONS)
def rekey(
    *,
    new_key_file: Annotated[
        Path,
        opt.option(
            "new_key_file",
            None,
            "The new key file. If it does not exist, it is made; it keeps the old contents keys.",
            metavar="FILE",
            show_default=False,
        ),
    ],
    place: IndexPlace,
    options: LoadOptions,
    json_output: opt.JsonOutput = False,
    quiet: opt.Quiet = False,
) -> None:
    """Seal the contents of an index again under a new contents key, in place.

    The new key file opens everything at any moment.
    After a stop, run the same command again. Nothing else may write to the index meanwhile.
    The index key stays: the engine can't change it.
    """
    from vecload.cli.load import BUG, summarised
    from vecload.upkeep.rekey import RekeyRequest, RekeyResult, run_rekey

    request = RekeyRequest(
        place=place,
        new_key_file=new_key_file,
        options=options,
    )
    result = summarised(
        lambda caller: run_rekey(request, caller),
        RekeyResult(error=BUG),
        json=json_output,
        quiet=quiet,
        terminal=sys.stderr.isatty(),
    )
    raise typer.Exit(result.exit_code)
