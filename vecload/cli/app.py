"""The commands and their options."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.main import get_command

from vecload._version import __version__
from vecload.cli import options as opt
from vecload.cli.empty_values import NoEmptyValues
from vecload.cli.indexes import index_app
from vecload.cli.options import print_help
from vecload.cli.output import out, say, tell
from vecload.errors import UsageError, VecloadError
from vecload.limits import INSPECT_ITEMS, QUERY_TOP_K
from vecload.options import LoadOptions

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
            usual="~/.config/vecload/config.toml and ./vecload.toml",
            metavar="FILE",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        opt.option(
            "profile", None, "Also use the defaults in [profiles.NAME] of your configuration.", metavar="NAME"
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
    if line := in_use(sections, context.default_map.get(context.invoked_subcommand or ""), context.obj or ()):
        tell(line)


MADE_PLAIN = {
    "Value error, ": "",
    "Input should be a valid integer, unable to parse string as an integer": "not an integer",
    "Input should be a valid number, unable to parse string as a number": "not a number",
}
"""What the library that reads options says, and what to say instead."""
SIMILAR = 0.75
"""Similarity by `difflib` from which a mistyped flag gets a suggestion."""
VARIABLES = "Every option has a variable: VECLOAD_MAX_ERRORS for --max-errors. Flags override variables."
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
@opt.takes()
def upsert(
    *,
    context: typer.Context,
    sources: Sources = None,
    to: opt.To = None,
    index: opt.NewIndexName = None,
    key_file: opt.KeyFile = None,
    key_command: opt.KeyCommand = None,
    api_key_file: opt.ApiKeyFile = None,
    options: LoadOptions,
    dry_run: opt.DryRun = False,
    full: opt.Full = False,
    items: opt.Items = INSPECT_ITEMS,
    json_output: opt.JsonOutput = False,
    quiet: opt.Quiet = False,
    help_all: opt.HelpAll = False,
) -> None:
    """Load sources into an index."""
    from vecload.cli import load

    request = _request(context, options, sources, to, index, key_file, key_command, api_key_file)
    if dry_run:
        code = load.inspect(request, full=full, items=items, json=json_output, quiet=quiet)
    else:
        code = load.upsert(request, json=json_output, quiet=quiet, terminal=sys.stderr.isatty())
    raise typer.Exit(code)


@app.command("inspect", help=INSPECT_HELP)
@opt.takes(without=OF_LOADS_ALONE)
def inspect(
    *,
    context: typer.Context,
    sources: Sources = None,
    to: opt.To = None,
    index: opt.NewIndexName = None,
    key_file: opt.KeyFile = None,
    key_command: opt.KeyCommand = None,
    api_key_file: opt.ApiKeyFile = None,
    options: LoadOptions,
    full: opt.Full = False,
    items: opt.Items = INSPECT_ITEMS,
    json_output: opt.JsonOutput = False,
    help_all: opt.HelpAll = False,
) -> None:
    """Report what sources are and what a load would do."""
    from vecload.cli import load

    request = _request(context, options, sources, to, index, key_file, key_command, api_key_file)
    raise typer.Exit(load.inspect(request, full=full, items=items, json=json_output, quiet=False))


def _request(
    context: typer.Context,
    options: LoadOptions,
    sources: list[str] | None,
    to: str | None,
    index: str | None,
    key_file: Path | None,
    key_command: str | None,
    api_key_file: Path | None,
) -> Request:
    """The load that a command describes."""
    from vecload.cli.config import api_key, policy_of_defaults
    from vecload.loading.request import Request

    keys = opt.key_source(context, key_file, key_command)
    return Request(
        sources=tuple(sources or ()),
        to=to,
        index=index,
        keys=keys,
        api_key=api_key(to, api_key_file),
        options=replace(options, repeated_ids=options.repeated_ids or policy_of_defaults(context)),
        secret_files=opt.secret_files(keys, api_key_file),
    )


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
    """Print items as JSON Lines with decrypted contents. Bytes appear as {"$bytes": "base64"}."""
    from vecload.cli.config import api_key
    from vecload.cli.items import Place, Printing, get_items

    keys = opt.key_source(context, key_file, key_command)
    get_items(ids, Place(to, index, keys, api_key(to, api_key_file)), Printing(out, tell, require_sealed))


@app.command()
@opt.takes("vector_column", "format", "endpoint_url")
def query(
    *,
    context: typer.Context,
    vector: Annotated[
        str,
        typer.Argument(
            metavar="VECTOR|FILE",
            help="A JSON array, a file that holds one, or a source.",
            show_default=False,
        ),
    ],
    row: Annotated[int, opt.option("row", None, "Which row of the file.", min=0)] = 0,
    top_k: Annotated[int, opt.option("top_k", None, "How many items to print.", min=1)] = QUERY_TOP_K,
    contents: Annotated[
        bool,
        opt.option("contents", None, "Print contents too.", flags="--contents/--no-contents"),
    ] = False,
    to: opt.To = None,
    index: opt.IndexName = None,
    key_file: opt.KeyFile = None,
    key_command: opt.KeyCommand = None,
    api_key_file: opt.ApiKeyFile = None,
    options: LoadOptions,
    require_sealed: opt.RequireSealed = False,
) -> None:
    """Print the items nearest to a vector as JSON Lines, nearest first."""
    from vecload.cli.config import api_key
    from vecload.cli.items import Place, Printing, run_query

    if require_sealed and not contents:
        raise UsageError("--require-sealed checks contents, so it needs --contents")
    place = Place(to, index, opt.key_source(context, key_file, key_command), api_key(to, api_key_file))
    run_query(vector, row, options, top_k, contents, place, Printing(out, tell, require_sealed))


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
    """Print the rejects of a load. Decrypts the rows that --reject-rows wrote."""
    from vecload.cli.config import api_key
    from vecload.cli.items import Place, Printing, print_rejects

    keys = opt.key_source(context, key_file, key_command)
    print_rejects(file, Place(to, index, keys, api_key(to, api_key_file)), Printing(out, tell))


@app.command()
def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The key file to write.", show_default=False)],
) -> None:
    """Write a new key file that only you can read. Never overwrites a file."""
    from vecload.sealing import generate_key

    key = generate_key()
    key.save(file)
    tell(f"wrote {file} (key id {key.key_id}); keep a copy: without it, nothing sealed with it can be opened")


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
    for name in ("upsert", "inspect"):
        opt.show_common(command.commands[name])
    arguments = list(arguments) or ["--help"]
    try:
        if os.environ.get("_VECLOAD_COMPLETE"):
            command.main(arguments, prog_name="vecload")
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
        # A bug in vecload. A traceback could show secret values, so print one line only.
        if os.environ.get("VECLOAD_TRACEBACK"):
            raise
        tell(
            f"vecload: this is a bug in vecload: {type(error).__name__}; please report it with the output of "
            "VECLOAD_TRACEBACK=1"
        )
        return 1


def _usage_error(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "vecload"
    wrong = getattr(error, "option_name", "")
    if context is not None and wrong:
        near = nearest(wrong, [flag for param in context.command.params for flag in param.opts])
        tell(f"vecload: no option {wrong}{f'; did you mean {near}?' if near else ''}; see '{command} --help'")
    else:
        message = error.format_message().rstrip(".")
        for words, plain in MADE_PLAIN.items():
            message = message.replace(words, plain)
        message = _with_variable(message, context, getattr(error, "param", None))
        tell(f"vecload: {message}; see '{command} --help'")
    return error.exit_code


def _with_variable(message: str, context: Any, param: Any) -> str:
    """A message about a value, which names the variable if the value is from there."""
    source = None if context is None or param is None else context.get_parameter_source(param.name)
    if source is None or source.name != "ENVIRONMENT":
        return message
    return message.replace(f"'{param.opts[0]}'", str(param.envvar))


def nearest(wrong: str, flags: Sequence[str]) -> str:
    """The flag that a mistyped one probably means; "" if none is similar.

    Args:
        wrong: An unknown flag: the beginning of a known one, or a misspelt one.
        flags: The known flags.
    """
    longer = [flag for flag in flags if flag.startswith(wrong)]
    common = [flag for flag in longer if opt.is_common(flag)]
    return (
        min(common or longer, key=len)
        if longer
        else next(iter(get_close_matches(wrong, flags, 1, SIMILAR)), "")
    )


def _exit_code(result: Any) -> int:
    return result if isinstance(result, int) else 0
