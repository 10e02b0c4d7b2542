"""The commands and their options."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from vecload import limits as defaults
from vecload._version import __version__
from vecload.cli import column_options as column_opt
from vecload.cli import load_options as load_opt
from vecload.cli import look_options as look_opt
from vecload.cli import options as opt
from vecload.cli import source_options as source_opt
from vecload.cli.empty_values import NoEmptyValues
from vecload.cli.help import print_help
from vecload.cli.indexes import index_app
from vecload.cli.streams import out, say, tell
from vecload.errors import UsageError, VecloadError

app = typer.Typer(
    name="vecload",
    cls=NoEmptyValues,
    help="Load files of embeddings into an encrypted CyborgDB index, with no row lost.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(index_app, name="index")


@app.callback()
def main(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            envvar="VECLOAD_CONFIG",
            metavar="FILE",
            help="Defaults for the options. (default: ~/.config/vecload/config.toml and ./vecload.toml)",
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            envvar="VECLOAD_PROFILE",
            metavar="NAME",
            help="Take the defaults of [profiles.NAME] of your configuration too.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Tell the version.", is_eager=True)] = False,
) -> None:
    """Load files of embeddings into an encrypted CyborgDB index, with no row lost."""
    if version:
        typer.echo(f"vecload {__version__}")
        raise typer.Exit
    from vecload.cli.defaults import default_map, in_use

    context.default_map, sections = default_map(context.command, config, profile)
    if line := in_use(sections, context.default_map.get(context.invoked_subcommand or ""), context.obj or ()):
        tell(line)


UPSERT_HELP = (
    "Load sources into an index.\n\n"
    "An upsert replaces the whole item: contents and metadata that a row lacks are gone from the index "
    "afterwards. After a stop, run the same command again to go on."
)


@app.command(help=UPSERT_HELP)
def upsert(
    context: typer.Context,
    sources: source_opt.Sources = None,
    to: opt.To = None,
    index: load_opt.IndexOption = None,
    key_file: opt.KeyFile = None,
    key_command: opt.KeyCommand = None,
    api_key_file: opt.ApiKeyFile = None,
    format: source_opt.FormatOption = None,  # noqa: A002 named as the option
    ids_file: source_opt.IdsFile = None,
    endpoint_url: source_opt.EndpointUrl = None,
    max_line_bytes: source_opt.MaxLineBytes = defaults.LINE_MAX_BYTES,
    max_row_group_bytes: source_opt.MaxRowGroupBytes = defaults.ROW_GROUP_MAX_BYTES,
    max_json_bytes: source_opt.MaxJsonBytes = defaults.JSON_MAX_BYTES,
    id_column: column_opt.IdColumn = None,
    vector_column: column_opt.VectorColumn = None,
    metadata_column: column_opt.MetadataColumn = None,
    contents_column: column_opt.ContentsColumn = None,
    metadata_exclude: column_opt.MetadataExclude = None,
    rename: column_opt.Rename = None,
    shape: column_opt.ShapeOption = None,
    vector_dtype: column_opt.VectorDtypeOption = None,
    id_prefix: column_opt.IdPrefix = "",
    id_separator: column_opt.IdSeparator = defaults.ID_SEPARATOR,
    generate_ids: column_opt.GenerateIds = False,
    max_id_bytes: column_opt.MaxIdBytes = defaults.ID_MAX_BYTES,
    max_depth: column_opt.MaxDepth = defaults.METADATA_DEPTH,
    max_contents_bytes: column_opt.MaxContentsBytes = defaults.CONTENTS_MAX_BYTES,
    max_metadata_bytes: column_opt.MaxMetadataBytes = None,
    nan: column_opt.NanOption = column_opt.NanName.omit,
    binary_as_text: column_opt.BinaryAsText = False,
    seal: load_opt.Seal = True,
    embed: load_opt.Embed = False,
    allow_zero_vectors: load_opt.AllowZeroVectors = False,
    create: load_opt.Create = True,
    dimension: opt.Dimension = None,
    metric: opt.MetricOption = None,
    storage_precision: opt.Precision = None,
    unfilterable: opt.Unfilterable = None,
    pattern: opt.Pattern = None,
    full_text: opt.FullText = None,
    embedding_model: opt.EmbeddingModel = None,
    train: load_opt.Train = False,
    wire: load_opt.Wire = load_opt.WireName.auto,
    binary_threshold: load_opt.BinaryThreshold = defaults.BINARY_THRESHOLD,
    batch_rows: load_opt.BatchRows = "auto",
    batch_bytes: load_opt.BatchBytes = defaults.BATCH_BYTES,
    concurrency: load_opt.ConcurrencyOption = "auto",
    parse_workers: load_opt.ParseWorkers = "auto",
    give_up_after: load_opt.GiveUpAfter = defaults.GIVE_UP_AFTER,
    resume_wait: load_opt.ResumeWait = defaults.RESUME_WAIT,
    repeated_ids: load_opt.RepeatedIdsOption = None,
    max_errors: load_opt.MaxErrors = "0",
    rejects: load_opt.Rejects = None,
    reject_rows: load_opt.RejectRows = False,
    retry_rejects: load_opt.RetryRejects = None,
    fresh: load_opt.Fresh = False,
    skip_loaded: load_opt.SkipLoaded = False,
    state_dir: load_opt.StateDir = None,
    dry_run: look_opt.DryRun = False,
    full: look_opt.Full = False,
    items: look_opt.Items = defaults.INSPECT_ITEMS,
    json_output: load_opt.JsonOutput = False,
    explain: load_opt.Explain = False,
    quiet: load_opt.Quiet = False,
) -> None:
    """Load sources into an index."""
    from vecload.cli.defaults import policy_of_defaults
    from vecload.cli.settings import UpsertSettings
    from vecload.cli.upsert import run_load
    from vecload.loading.rejects import ErrorLimit
    from vecload.readers import ReadOptions
    from vecload.targets import IndexSettings

    settings = UpsertSettings(
        sources=sources or [],
        reading=ReadOptions(
            format=format.value if format else None,
            ids_file=ids_file,
            ids_needed=not generate_ids,
            endpoint_url=endpoint_url,
            max_line_bytes=max_line_bytes,
            row_group_max_bytes=max_row_group_bytes,
            max_json_bytes=max_json_bytes,
        ),
        to=to,
        index=index,
        keys=opt.key_source(context, key_file, key_command),
        api_key_file=api_key_file,
        columns=column_opt.column_choice(
            id_column, vector_column, contents_column, metadata_column, metadata_exclude, rename, shape
        ),
        rules=column_opt.item_rules(
            id_prefix,
            generate_ids,
            vector_dtype,
            max_id_bytes,
            max_depth,
            max_contents_bytes,
            max_metadata_bytes,
            id_separator,
            nan,
            binary_as_text,
        ),
        wire=wire.value,
        binary_threshold=binary_threshold,
        batch_rows=batch_rows,
        batch_bytes=batch_bytes,
        concurrency=concurrency,
        parse_workers=parse_workers,
        seal=seal and not embed,
        embed=embed,
        create=create,
        creation=IndexSettings(
            dimension=dimension,
            metric=metric.value if metric else None,
            storage_precision=storage_precision.value if storage_precision else None,
            unfilterable=tuple(unfilterable or ()),
            pattern=tuple(pattern or ()),
            full_text=tuple(full_text or ()),
            embedding_model=embedding_model,
        ),
        allow_zero_vectors=allow_zero_vectors,
        repeated_ids=repeated_ids.value if repeated_ids else policy_of_defaults(context),
        max_errors=ErrorLimit.parse(max_errors),
        rejects=rejects,
        reject_rows=reject_rows,
        retry_rejects=retry_rejects,
        train=train,
        state_dir=state_dir,
        fresh=fresh,
        skip_loaded=skip_loaded,
        give_up_after=give_up_after,
        resume_wait=resume_wait,
        explain=explain,
        quiet=quiet,
        terminal=sys.stderr.isatty(),
    )
    write = out if json_output else None
    if dry_run:
        from vecload.cli.inspect import Looking, run_inspect

        exit_code = run_inspect(settings, Looking(items, full), say=say, tell=tell, write=write)
    else:
        exit_code = run_load(settings, tell=tell, write=write)
    if exit_code:
        raise typer.Exit(exit_code)


app.command("inspect", help=look_opt.INSPECT_HELP)(look_opt.inspecting(upsert))


@app.command()
def get(
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Item ids.", show_default=False)],
    to: opt.To = None,
    index: opt.IndexName = None,
    key_file: opt.KeyFile = None,
    key_command: opt.KeyCommand = None,
    api_key_file: opt.ApiKeyFile = None,
    require_sealed: opt.RequireSealed = False,
) -> None:
    """Print items as JSON Lines, contents opened, `sealed` if they were; bytes as {"$bytes": "base64"}."""
    from vecload.cli.items import Printing, get_items

    keys = opt.key_source(context, key_file, key_command)
    get_items(ids, to, index, keys, api_key_file, Printing(out, tell, require_sealed))


@app.command()
def query(
    context: typer.Context,
    vector: Annotated[
        str,
        typer.Argument(
            metavar="VECTOR|FILE",
            help="A JSON array, a file of one, or a source.",
            show_default=False,
        ),
    ],
    row: Annotated[
        int, typer.Option("--row", envvar="VECLOAD_ROW", min=0, help="Which row of the file.")
    ] = 0,
    top_k: Annotated[
        int, typer.Option("--top-k", envvar="VECLOAD_TOP_K", min=1, help="How many items to print.")
    ] = defaults.QUERY_TOP_K,
    contents: Annotated[
        bool, typer.Option("--contents/--no-contents", envvar="VECLOAD_CONTENTS", help="Print contents too.")
    ] = False,
    vector_column: column_opt.VectorColumn = None,
    format: source_opt.FormatOption = None,  # noqa: A002 named as the option
    endpoint_url: source_opt.EndpointUrl = None,
    to: opt.To = None,
    index: opt.IndexName = None,
    key_file: opt.KeyFile = None,
    key_command: opt.KeyCommand = None,
    api_key_file: opt.ApiKeyFile = None,
    require_sealed: opt.RequireSealed = False,
) -> None:
    """Print the items nearest to a vector as JSON Lines, nearest first."""
    from vecload.cli.items import Printing, run_query
    from vecload.readers import ReadOptions

    reading = ReadOptions(
        format=format.value if format else None, endpoint_url=endpoint_url, ids_needed=False
    )
    keys = opt.key_source(context, key_file, key_command)
    if require_sealed and not contents:
        raise UsageError("--require-sealed needs --contents, which it is about")
    printing = Printing(out, tell, require_sealed)
    run_query(vector, row, reading, vector_column, top_k, contents, to, index, keys, api_key_file, printing)


@app.command()
def rejects(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The reject file.", show_default=False)],
    to: opt.To = None,
    index: opt.IndexName = None,
    key_file: opt.KeyFile = None,
    key_command: opt.KeyCommand = None,
    api_key_file: opt.ApiKeyFile = None,
) -> None:
    """Print the rejects of a load, the rows that --reject-rows wrote opened."""
    from vecload.cli.items import Printing, print_rejects

    keys = opt.key_source(context, key_file, key_command)
    print_rejects(file, to, index, keys, api_key_file, Printing(out, tell))


@app.command()
def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The key file to write.", show_default=False)],
) -> None:
    """Write a new key file, readable by you alone. An existing one is never overwritten."""
    from vecload.sealing import generate_key

    key = generate_key()
    key.save(file)
    tell(f"wrote {file} (key id {key.key_id}); without it, what is sealed with it is gone: keep a copy")


def run(arguments: Sequence[str]) -> int:
    """Run the command line, and return its exit code. An error is one line on standard error."""
    command = get_command(app)
    arguments = list(arguments) or ["--help"]
    try:
        if print_help(command, arguments):
            return 0
        with command.make_context("vecload", [*arguments], obj=arguments) as context:
            return _exit_code(command.invoke(context))
    except VecloadError as error:
        tell(f"vecload: {error}")
        return error.exit_code
    except typer.Exit as ended:
        return ended.exit_code
    except typer.TyperException as error:
        return _usage_error(error)
    except typer.Abort:
        tell("vecload: nothing was done")
        return 1
    except BrokenPipeError:
        return 1
    except Exception as error:
        # A defect: one line, and none of the values that a traceback could show.
        if os.environ.get("VECLOAD_TRACEBACK"):
            raise
        tell(
            f"vecload: a defect of vecload: {type(error).__name__}; please report it with what "
            "VECLOAD_TRACEBACK=1 shows"
        )
        return 1


def _usage_error(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "vecload"
    tell(f"vecload: {error.format_message().rstrip('.')}; see '{command} --help'")
    return error.exit_code


def _exit_code(result: Any) -> int:
    return result if isinstance(result, int) else 0
