"""The commands' options: those of a load come from `LoadOptions`, the others are defined here.

Every option has a variable: VECLOAD_MAX_ERRORS for --max-errors.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args, get_origin

import typer

from vecload.cli.config import api_key, for_its_target, target_of, variables_are_for
from vecload.errors import UsageError
from vecload.flags import as_flags
from vecload.option_values import About
from vecload.options import HINTS, INDEX, OUTPUT, REJECTS, LoadOptions, about
from vecload.places import expanded
from vecload.sealing.key_source import KeySource
from vecload.targets import Reach
from vecload.targets.reach import REACH_FIELDS

if TYPE_CHECKING:
    from vecload.targets.place import IndexPlace

Command: TypeAlias = Callable[..., None]

LogFormat: TypeAlias = Literal["text", "json"]

TARGET = "Target and keys"
LOOKING = "Looking before loading"
COMPARING = "Comparing"


def option(
    name: str, panel: str | None, text: str, *more: str, usual: str = "", flags: str = "", **typers: Any
) -> Any:
    """An option in typer's form.

    Args:
        name: The name of the flag and the variable: the parameter's name without a suffix like `_output`.
        panel: The heading under which the help lists it.
        text: Its help.
        more: Further spellings: `-q`.
        usual: The default in words, where the value does not show it.
        flags: The flag, if it has a negative form: `--seal/--no-seal`.
        typers: Further arguments for typer.
    """
    if usual:
        typers["show_default"] = False
    return typer.Option(
        flags or f"--{name.replace('_', '-')}",
        *more,
        envvar=f"VECLOAD_{name.upper()}",
        show_envvar=False,
        help=f"{text} (default: {usual})" if usual else text,
        rich_help_panel=panel,
        **typers,
    )


To = Annotated[
    str | None,
    option(
        "to",
        TARGET,
        "A CyborgDB service, or the folder of an embedded store.",
        usual="your local store, ~/.local/share/vecload/store",
        metavar="URL|FOLDER",
        is_eager=True,
    ),
]
Shards = Annotated[
    str | None,
    option(
        "shards",
        TARGET,
        "Several services in place of one, each with its part of the ids; always the same, in one order.",
        usual="one service",
        metavar="URL,URL,…",
        is_eager=True,
    ),
]
NewIndexName = Annotated[
    str | None,
    option(
        "index", TARGET, "Index; created if it does not exist.", usual="named after the file", metavar="NAME"
    ),
]
LoadedIndexName = Annotated[
    str | None, option("index", TARGET, "Index.", usual="named after the file", metavar="NAME")
]
IndexName = Annotated[
    str | None, option("index", TARGET, "Index.", usual="the only one of the target", metavar="NAME")
]
KeyFile = Annotated[
    Path | None,
    option(
        "key_file",
        TARGET,
        "Key file of the index.",
        usual="the one in your key store",
        metavar="FILE",
        callback=for_its_target,
    ),
]
KeyCommand = Annotated[
    str | None,
    option(
        "key_command",
        TARGET,
        "Command that prints a key file; it is not run by a shell.",
        metavar="COMMAND",
        callback=for_its_target,
    ),
]
ContentsKeyFile = Annotated[
    Path | None,
    option(
        "contents_key_file",
        TARGET,
        "File of the contents key, where the key file has only an index key.",
        usual="derived from the index key",
        metavar="FILE",
        callback=for_its_target,
    ),
]
ApiKeyFile = Annotated[
    Path | None,
    option(
        "api_key_file",
        TARGET,
        "File with the API key of the service.",
        usual="the variable VECLOAD_API_KEY",
        metavar="FILE",
        callback=for_its_target,
    ),
]
_KEY_OPTIONS = {"key_file": KeyFile, "key_command": KeyCommand, "contents_key_file": ContentsKeyFile}
_REACH = {
    "ca_file": (
        Path,
        "PEM file of the authorities to trust in https, in place of the system's.",
        "FILE",
    ),
    "client_cert": (Path, "PEM file of the certificate to show to the service.", "FILE"),
    "client_key": (
        Path,
        "PEM file of its private key, if it is not in --client-cert.",
        "FILE",
    ),
    "proxy": (
        str,
        "HTTP proxy on the way to the service. Variables like HTTPS_PROXY are not read.",
        "URL",
    ),
    "insecure_http": (
        bool,
        "Send keys unencrypted over the network, to a service without https.",
        None,
    ),
}
"""The options of a Reach: their types, help and metavars."""
RequireSealed = Annotated[
    bool,
    option(
        "require_sealed",
        None,
        "Refuse contents that are not sealed: anyone who can write to the index may have put them there.",
    ),
]
DryRun = Annotated[
    bool,
    option("dry_run", LOOKING, "Load nothing; report what a load would do, as 'vecload inspect' does."),
]
Full = Annotated[bool, option("full", LOOKING, "For that report, read every row, not a sample.")]
Items = Annotated[
    int,
    option(
        "items",
        LOOKING,
        "For that report, show the first N items, contents shortened.",
        metavar="N",
        min=0,
        max=1000,
    ),
]
VerifyAfter = Annotated[
    bool,
    option(
        "verify",
        OUTPUT,
        "After the load, compare the sources with the index, as 'vecload verify' does; 5 if they differ.",
    ),
]
Sample = Annotated[
    str | None,
    option(
        "sample",
        COMPARING,
        "Compare about N items, or N% of them, drawn at random by their ids.",
        usual="all",
        metavar="N|N%",
    ),
]
Vectors = Annotated[
    str | None,
    option(
        "vectors",
        COMPARING,
        "Of about how many of these items to compare the vectors, too.",
        usual="all; of a service as many as it returns in about a minute",
        metavar="all|N|N%",
    ),
]
Extra = Annotated[bool, option("extra", COMPARING, "Report the ids in the index that no row has, too.")]
Differences = Annotated[
    str | None,
    option(
        "differences",
        COMPARING,
        "Write every difference to this file, JSON Lines without contents or values.",
        metavar="FILE",
    ),
]
JsonOutput = Annotated[
    bool, option("json", OUTPUT, "Print the summary, or the report, as one JSON object on standard output.")
]
Quiet = Annotated[bool, option("quiet", OUTPUT, "Print nothing but errors and new keys.", "-q")]
Yes = Annotated[bool, option("yes", REJECTS, "With --delete-missing, delete without asking.")]
LogFile = Annotated[
    str | None,
    option(
        "log_file",
        OUTPUT,
        "Append a log to this file: messages, retries, waits, the end. Safe to rotate.",
        metavar="FILE",
    ),
]
AnyLogFormat = Annotated[
    LogFormat | None,
    option(
        "log_format",
        OUTPUT,
        "Format of the log. Without --log-file, the log goes to standard error, in place of messages.",
        usual="text, if there is a log",
    ),
]
Verbose = Annotated[
    bool,
    option("verbose", OUTPUT, "Log each batch, request and reject too.", "-v"),
]
MetricsFile = Annotated[
    str | None,
    option(
        "metrics",
        OUTPUT,
        "Write counts as Prometheus text to this file, every 15 s and at the end.",
        metavar="FILE.prom",
    ),
]
ReportPage = Annotated[
    str | None,
    option(
        "report",
        OUTPUT,
        "Write a report with pictures to this file: one page of HTML.",
        metavar="FILE.html",
    ),
]
ColorBy = Annotated[
    str | None,
    option(
        "color_by",
        LOOKING,
        "In the --report of an inspection, colour items by this metadata field, and name its values.",
        usual="the one with the fewest values, not named",
        metavar="FIELD",
    ),
]


INDEX_OPTIONS = tuple(one.name for one in fields(LoadOptions) if one.metadata["about"].panel == INDEX)
"""Options of a new index; only loads take `create` and `train`."""


def takes(*names: str, without: tuple[str, ...] = ()) -> Callable[[Command], Command]:
    """Replace a command's parameter `options`, a LoadOptions, by the options of a load.

    Args:
        names: Fields of LoadOptions; without any name, all fields.
        without: Fields to omit.
    """
    chosen = [one.name for one in fields(LoadOptions) if not names or one.name in names]
    chosen = [name for name in chosen if name not in without]

    def options_of(**given: Any) -> LoadOptions:
        try:
            return LoadOptions(**given)
        except UsageError as error:
            raise UsageError(as_flags(str(error.args[0])), hint=error.hint) from None

    return lambda command: _with(command, "options", [_parameter(name) for name in chosen], options_of)


def opens(
    *, index: Any = IndexName, keys: bool = True
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a command's parameter `place`, an IndexPlace, by the options of target, index and keys.

    Args:
        index: The option of the index; None if the command names it in another way.
        keys: Whether the command needs the index's key.
    """
    options = {"to": To, "shards": Shards, "index": index}
    options |= dict(_KEY_OPTIONS) if keys else {}
    options |= {"api_key_file": ApiKeyFile}
    parameters = [_keyword(name, option) for name, option in options.items() if option is not None]
    parameters += [_reach_parameter(name) for name in REACH_FIELDS]

    def place_of(context: typer.Context, **given: Any) -> IndexPlace:
        from vecload.targets.place import IndexPlace

        to, key_from = target_of(context), [given.get(name) for name in _KEY_OPTIONS]
        found = _key_source(context, *key_from) if keys else KeySource()
        return IndexPlace(
            to=to,
            index=given.get("index"),
            keys=found,
            api_key=api_key(to, given["api_key_file"]),
            reach=Reach(**{name: given[name] for name in REACH_FIELDS}),
            secret_files=_secret_files(found, given["api_key_file"]),
        )

    return lambda command: _with(command, "place", parameters, place_of, knows_context=True)


def watched(*, metrics: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of the log, and of metrics, and let those listen whom they ask for.

    Args:
        metrics: Whether the command has metrics, which are those of a load.
    """
    options: dict[str, Any] = {"log_file": LogFile, "log_format": AnyLogFormat, "verbose": Verbose}
    options |= {"metrics": MetricsFile} if metrics else {}
    parameters = [_keyword(name, each, name != "verbose" and None) for name, each in options.items()]

    def begin(context: typer.Context, **asked: Any) -> None:
        context.find_root().obj.begin(context, **asked)

    return lambda command: _with(command, "", parameters, begin, knows_context=True)


def _with(
    command: Command,
    name: str,
    parameters: Sequence[inspect.Parameter],
    make: Callable[..., Any],
    *,
    knows_context: bool = False,
) -> Command:
    """A command with options in place of one parameter, which is made of their values.

    Args:
        command: The command.
        name: The parameter; "" for options of which only `make` knows.
        parameters: The options.
        make: Makes it.
        knows_context: It is made of typer's context, too.
    """
    signature = inspect.signature(command, eval_str=True)
    whole: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        own = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        whole += parameters if parameter.name == name else [own]
    whole += [] if name else parameters
    takes_context = "context" in signature.parameters
    if knows_context and not takes_context:
        whole.insert(0, _keyword("context", typer.Context, default=inspect.Parameter.empty))

    def run(**given: Any) -> None:
        values = {each.name: given.pop(each.name) for each in parameters}
        if knows_context:
            values["context"] = given["context"] if takes_context else given.pop("context")
        made = make(**values)
        command(**({name: made} if name else {}), **given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = signature.replace(parameters=whole)  # type: ignore[attr-defined] # typer's
    return run


def _keyword(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _reach_parameter(name: str) -> inspect.Parameter:
    """A field of Reach as a command's parameter."""
    kind, text, metavar = _REACH[name]
    typers: dict[str, Any] = {"metavar": metavar} if metavar else {}
    if name != "proxy":
        typers["callback"] = for_its_target
    made = option(name, TARGET, text, **typers)
    default = False if kind is bool else None
    annotation = Annotated[kind if kind is bool else kind | None, made]  # type: ignore[valid-type]
    return _keyword(name, annotation, default)


def _parameter(name: str) -> inspect.Parameter:
    """A field of LoadOptions as a command's parameter."""
    one, kind = about(name), _kind(HINTS[name], about(name))
    default = next(each.default for each in fields(LoadOptions) if each.name == name)
    typers: dict[str, Any] = {"metavar": one.metavar} if one.metavar else {}
    if one.least is not None and not one.or_auto:
        typers |= {"min": one.least, "max": one.most}
    if isinstance(default, tuple):
        default = None
    elif kind is str and default is not None:
        default = str(default)
    if default in (None, ""):
        typers["show_default"] = False
    if default is False and kind is str:
        default = None
        typers["show_default"] = False
    flag = name.replace("_", "-")
    flags = f"--{flag}/--no-{flag}" if default is True or HINTS[name] == bool | None else ""
    made = option(name, one.panel, one.help, usual=one.usual, flags=flags, **typers)
    return _keyword(name, Annotated[kind, made], default)


def _kind(hint: Any, one: About) -> Any:
    """The type with which typer parses a field."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)] or [hint]
    if get_origin(hint) is tuple:
        return list[str] | None
    if get_origin(hint) is Literal:
        return hint
    if one.or_auto or len(kinds) > 1:
        return str
    return hint


def _key_source(
    context: typer.Context,
    file: Path | None,
    command: str | None,
    contents_file: Path | None,
) -> KeySource:
    """Where to find the key, in the order of docs/keys.md: flags, then variables, then the configuration."""

    def origin(name: str) -> str:
        source = context.get_parameter_source(name)
        return "" if source is None else source.name

    set_now = ("COMMANDLINE", "ENVIRONMENT")
    file_by, command_by, contents_by = map(origin, ("key_file", "key_command", "contents_key_file"))
    return KeySource(
        file=file if file_by == "COMMANDLINE" else None,
        command=command if command_by in set_now else None,
        contents_file=contents_file if contents_by in set_now else None,
        default_file=file if file_by == "DEFAULT_MAP" else None,
        default_command=command if command_by == "DEFAULT_MAP" else None,
        default_contents_file=contents_file if contents_by == "DEFAULT_MAP" else None,
        environ=os.environ if variables_are_for(target_of(context)) else {},
        attended=sys.stderr.isatty(),
    )


def _secret_files(keys: KeySource, api_key_file: Path | None) -> Mapping[str, str]:
    """The key files that a command reads, and what each one is."""
    found = {
        keys.file: "is the key file",
        expanded(keys.environ.get("VECLOAD_KEY_FILE", "")): "is the key file",
        keys.default_file: "is the key file",
        keys.contents_file: "is the contents key file",
        keys.default_contents_file: "is the contents key file",
        api_key_file: "is the file of the API key",
    }
    return {str(path): what for path, what in found.items() if path}
