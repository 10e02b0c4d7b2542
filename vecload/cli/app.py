"""The commands and their options."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.main import get_command

from vecload._version import __version__
from vecload.cli import cluster
from vecload.cli import options as opt
from vecload.cli.arguments import config_first, homes_expanded, leaves
from vecload.cli.delete import delete
from vecload.cli.empty_values import NoEmptyValues
from vecload.cli.help import HelpAll, print_help, show_common
from vecload.cli.indexes import index_app
from vecload.cli.output import out, say, tell
from vecload.cli.report import report_file
from vecload.cli.usage import usage_error
from vecload.cli.watch import Watch
from vecload.cli.whole_index import copy, export, rekey
from vecload.errors import UsageError, VecloadError
from vecload.limits import INSPECT_ITEMS, QUERY_PRINTED
from vecload.options import LoadOptions
from vecload.targets.place import IndexPlace

if TYPE_CHECKING:
    from vecload.loading.request import Request

app = typer.Typer(
    name="vecload",
    cls=NoEmptyValues,
    help="Load files of embeddings into an encrypted CyborgDB index, with no row lost.",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(index_app, name="index")


@app.callback()
def main(
    context: typer.Context,
    config: Annotated[
        str | None,
        opt.option(
            "config",
            None,
            "File of defaults for the options.",
            usual="~/.config/vecload/config.toml and the nearest vecload.toml, here or above",
            metavar="FILE",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        opt.option(
            "profile",
            None,
            "Also use the defaults in the table profiles.NAME of the configuration.",
            metavar="NAME",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)
    ] = False,
) -> None:
    """Load files of embeddings into an encrypted CyborgDB index, with no row lost."""
    if version:
        typer.echo(f"vecload {__version__}")
        raise typer.Exit
    from vecload.cli.config import default_map, in_use

    context.default_map, sections = default_map(context.command, config, profile)
    own = context.default_map.get(context.invoked_subcommand or "")
    if line := in_use(sections, own, context.obj.arguments):
        tell(line)


VARIABLES = (
    "Every option has a variable: VECLOAD_MAX_ERRORS for --max-errors. Flags override variables. "
    "--config FILE and --profile NAME count here too; 'vecload config' shows what holds."
)
UPSERT_HELP = f"""Load sources into an index.

An upsert replaces whole items: contents and metadata that a row lacks are gone from the index afterwards.
After a stop, run the same command again to resume.

{VARIABLES} --help-all shows all options.
"""
UPSERT_EXAMPLES = """Examples:

vecload upsert docs.parquet

vecload upsert docs.parquet --to https://db.example.com:8000 --index docs --key-file docs.key

vecload upsert exports/ --vector-column embedding --contents-column body --max-errors 1% --rejects bad.jsonl
"""
INSPECT_HELP = f"""Report what sources are and what a load would do.

Nothing is created or written; the target is only queried.

Takes the options of 'vecload upsert' and returns the exit code the load would return, judging by the rows it
reads.

{VARIABLES} --help-all shows all options.
"""
VERIFY_HELP = f"""Compare sources with the index they were loaded into, item by item.

Vectors must be equal bit for bit, metadata as JSON values, decrypted contents in type and value.

Of rows with the same id, the last one counts. Nothing is written, except --differences FILE.

Takes the options of 'vecload upsert'. Returns 0 if everything is equal, and 5 if not.

{VARIABLES} --help-all shows all options.
"""
CONFIG_HELP = """Print the values of a command's options that hold here, and where each one is from.

A value is from a flag, a variable, a line of a configuration file, or it is the default. Secrets are masked.

Example: vecload config upsert --profile prod
"""
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
    "changed_only",
    "delete_missing",
    "max_deletes",
    "state_dir",
)
"""Options of `upsert` that do not change the report."""

Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE",
        help="Files, folders, patterns, s3:// and gs:// URIs; - is standard input.",
        show_default=False,
    ),
]


@app.command("upsert", help=UPSERT_HELP, epilog=UPSERT_EXAMPLES)
@opt.watched(metrics=True)
@opt.takes()
@opt.opens(index=opt.NewIndexName)
def upsert(
    *,
    context: typer.Context,
    sources: Sources = None,
    place: IndexPlace,
    options: LoadOptions,
    dry_run: opt.DryRun = False,
    full: opt.Full = False,
    items: opt.Items = INSPECT_ITEMS,
    color_by: opt.ColorBy = None,
    report: opt.ReportPage = None,
    verify: opt.VerifyAfter = False,
    ray: cluster.OnRay = None,
    workers: cluster.Workers = None,
    json_output: opt.JsonOutput = False,
    quiet: opt.Quiet = False,
    yes: opt.Yes = False,
    help_all: HelpAll = False,
) -> None:
    """Load sources into an index."""
    from vecload.cli import load

    request = _request(context, options, sources, place)
    if workers is not None and ray is None:
        raise UsageError("--workers is for loads on a cluster", hint="add --ray, or omit it")
    page = report_file(context, report, color_by)
    if dry_run:
        code = load.inspect(request, full=full, items=items, json=json_output, quiet=quiet, page=page)
    else:
        runs = cluster.on_ray(request, ray, workers, context.params["api_key_file"]) if ray else None
        code = load.upsert(
            request,
            json=json_output,
            quiet=quiet,
            terminal=sys.stderr.isatty(),
            verify=verify,
            yes=yes,
            runs=runs,
            report=page,
        )
    raise typer.Exit(code)


@app.command("inspect", help=INSPECT_HELP)
@opt.watched()
@opt.takes(without=OF_LOADS_ALONE)
@opt.opens(index=opt.NewIndexName)
def inspect(
    *,
    context: typer.Context,
    sources: Sources = None,
    place: IndexPlace,
    options: LoadOptions,
    full: opt.Full = False,
    items: opt.Items = INSPECT_ITEMS,
    color_by: opt.ColorBy = None,
    report: opt.ReportPage = None,
    json_output: opt.JsonOutput = False,
    help_all: HelpAll = False,
) -> None:
    """Report what sources are and what a load would do."""
    from vecload.cli import load

    request = _request(context, options, sources, place)
    page = report_file(context, report, color_by)
    code = load.inspect(request, full=full, items=items, json=json_output, quiet=False, page=page)
    raise typer.Exit(code)


@app.command("verify", help=VERIFY_HELP)
@opt.watched()
@opt.opens(index=opt.LoadedIndexName)
@opt.takes(without=OF_LOADS_ALONE)
def verify(
    *,
    context: typer.Context,
    sources: Sources = None,
    place: IndexPlace,
    options: LoadOptions,
    sample: opt.Sample = None,
    vectors: opt.Vectors = None,
    extra: opt.Extra = False,
    differences: opt.Differences = None,
    json_output: opt.JsonOutput = False,
    quiet: opt.Quiet = False,
    help_all: HelpAll = False,
) -> None:
    """Compare sources with the index they were loaded into."""
    from vecload.cli import load
    from vecload.verifying.run import Thoroughness

    request = _request(context, options, sources, place)
    how = Thoroughness(sample=sample, vectors=vectors, extra=extra, differences=differences)
    terminal = sys.stderr.isatty()
    result = load.verified(request, how, json=json_output, quiet=quiet, terminal=terminal)
    raise typer.Exit(result.exit_code)


def _request(
    context: typer.Context, options: LoadOptions, sources: list[str] | None, place: IndexPlace
) -> Request:
    """The load that a command describes."""
    from vecload.cli.config import policy_of_defaults
    from vecload.loading.request import Request

    policy = options.repeated_ids or policy_of_defaults(context)
    return Request.into(place, sources or (), replace(options, repeated_ids=policy))


@app.command()
@opt.opens()
def get(
    *,
    context: typer.Context,
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Item ids.", show_default=False)],
    place: IndexPlace,
    require_sealed: opt.RequireSealed = False,
) -> None:
    """Print items as JSON Lines with decrypted contents. Bytes appear as {"$bytes": "base64"}."""
    from vecload.cli.items import Printing, get_items

    get_items(ids, place, Printing(out, tell, require_sealed))


@app.command()
@opt.takes("vector_column", "format", "endpoint_url")
@opt.opens()
def query(
    *,
    context: typer.Context,
    vector: Annotated[
        str | None,
        typer.Argument(
            metavar="VECTOR|FILE",
            help="A JSON array, a file that holds one, or a source. Not needed with --text or --filter.",
            show_default=False,
        ),
    ] = None,
    row: Annotated[int, opt.option("row", None, "Which row of the file.", min=0)] = 0,
    top_k: Annotated[int, opt.option("top_k", None, "How many items to print.", min=1)] = QUERY_PRINTED,
    text: Annotated[
        str | None,
        opt.option("text", None, "Also search the full-text fields for these words.", metavar="WORDS"),
    ] = None,
    conditions: Annotated[
        str | None,
        opt.option(
            "filter",
            None,
            """Only items with such metadata: '{"lang": "en", "year": {"$gte": 2020}}'.""",
            metavar="JSON",
        ),
    ] = None,
    n_probes: Annotated[
        int | None,
        opt.option("n_probes", None, "How many lists of a trained index to search.", min=1),
    ] = None,
    contents: Annotated[
        bool,
        opt.option("contents", None, "Print contents too.", flags="--contents/--no-contents"),
    ] = False,
    place: IndexPlace,
    options: LoadOptions,
    require_sealed: opt.RequireSealed = False,
) -> None:
    """Print the items nearest to a vector, or found by words or metadata, as JSON Lines, the best first."""
    from vecload.cli.items import Printing, Question, run_query

    if require_sealed and not contents:
        raise UsageError("--require-sealed checks contents, so it needs --contents")
    question = Question.asked(vector, row, options, text, conditions, n_probes, top_k)
    run_query(question, contents, place, Printing(out, tell, require_sealed))


for command in (delete, export, copy, rekey):
    app.command()(command)


@app.command()
@opt.opens()
def rejects(
    *,
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The reject file.", show_default=False)],
    place: IndexPlace,
) -> None:
    """Print the rejects of a load. Decrypts the rows that --reject-rows wrote."""
    from vecload.cli.items import Printing, print_rejects

    print_rejects(file, place, Printing(out, tell))


@app.command()
def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The key file to write.", show_default=False)],
    contents_only: Annotated[
        bool,
        opt.option(
            "contents_only", None, "Only a contents key, for an index whose index key the service has itself."
        ),
    ] = False,
) -> None:
    """Write a new key file that only you can read. Never overwrites a file."""
    from vecload.sealing import generate_key

    key = generate_key(contents_only=contents_only)
    key.save(file)
    tell(f"wrote {file} (key id {key.key_id}); keep a copy: without it, nothing sealed with it can be opened")


@app.command(
    "config", help=CONFIG_HELP, context_settings={"ignore_unknown_options": True, "allow_extra_args": True}
)
def config_command(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COMMAND] [OPTION]…",
            help="The command, and options as you would give them to it. (default: upsert)",
            show_default=False,
        ),
    ] = None,
    json_output: Annotated[
        bool, opt.option("json", None, "Print one JSON object on standard output.")
    ] = False,
) -> None:
    """Print the options of a command that hold here, and where each value is from."""
    from vecload.cli.config_shown import show_config

    show_config(context, [*(words or ()), *context.args], json=json_output)


@app.command()
def recipes(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|FILE]",
            help="Print this recipe, as a start for one's own; check a file.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the recipes: tools whose exports vecload knows."""
    from vecload.recipes.known import recipe_named, recipe_names, recipe_text
    from vecload.recipes.known import recipes as known

    if name is None:
        width = max(map(len, recipe_names()))
        for recipe in known():
            say(f"{recipe.name:<{width}}  {recipe.tool}")
        return
    found = recipe_named(name)
    if name not in recipe_names():
        say(f"{name} is a recipe: {found.tool}, forms: {len(found.forms)}")
        return
    for line in recipe_text(name).splitlines():
        say(line)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code. Errors are one line on standard error."""
    command: Any = get_command(app)
    for name in ("upsert", "inspect", "verify"):
        show_common(command.commands[name])
    for each in leaves(command):
        homes_expanded(each)
    arguments = cluster.with_address(arguments) or ["--help"]
    watch = Watch(arguments)
    code, error = 1, ""
    try:
        code, error = _run(command, watch)
        return code
    except KeyboardInterrupt as interrupted:
        code, error = 128 + getattr(interrupted, "number", signal.SIGINT), "interrupted"
        raise
    finally:
        watch.end(code, error)


def _run(command: Any, watch: Watch) -> tuple[int, str]:
    """Run the command line; its exit code, and its error if that is one of the command."""
    try:
        arguments = config_first(command, watch.arguments)
        if os.environ.get("_VECLOAD_COMPLETE"):
            command.main(arguments, prog_name="vecload")
        if print_help(command, arguments):
            return 0, ""
        with command.make_context("vecload", arguments, obj=watch) as context:
            return _exit_code(command.invoke(context)), ""
    except VecloadError as error:
        tell(f"vecload: {error}", logging.ERROR)
        return error.exit_code, str(error)
    except typer.Exit as ended:
        return ended.exit_code, ""
    except typer.TyperException as error:
        return usage_error(error), ""
    except typer.Abort:
        tell("vecload: nothing was done")
        return 1, ""
    except BrokenPipeError:
        return 1, ""
    except Exception as error:
        # A bug in vecload. A traceback could show secret values, so print one line only.
        if os.environ.get("VECLOAD_TRACEBACK"):
            raise
        said = f"this is a bug in vecload: {type(error).__name__}"
        tell(f"vecload: {said}; please report it with the output of VECLOAD_TRACEBACK=1", logging.ERROR)
        return 1, said


def _exit_code(result: Any) -> int:
    return result if isinstance(result, int) else 0
