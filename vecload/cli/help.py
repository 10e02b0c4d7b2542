"""The help of the commands: the options that most people use, or all of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, Any

import typer

from vecload.cli.config import default_map
from vecload.options import LoadOptions

COMMON = (
    *("to", "index", "key_file", "api_key_file", "dry_run", "json_output", "quiet"),
    *("sample", "vectors", "extra", "differences"),
)
"""Options outside LoadOptions that the short help shows."""


def is_common(flag: str) -> bool:
    """Whether an option is one of those that most people use."""
    return flag.lstrip("-").replace("-", "_") in _common()


def _common() -> set[str]:
    return {one.name for one in fields(LoadOptions) if one.metadata["about"].common} | {*COMMON}


def show_common(command: Any) -> None:
    """Let the help of a command show the options that most people use, and no others."""
    for param in command.params:
        if param.param_type_name == "option" and param.name not in (*_common(), "help", "help_all"):
            param.hidden = True


def show_all(command: Any) -> None:
    """Make the help of a command show all its options."""
    for param in command.params:
        if param.param_type_name == "option":
            param.hidden = False


def _help_all(context: typer.Context, param: typer.CallbackParam, value: bool) -> None:
    if value and not context.resilient_parsing:
        show_all(context.command)
        typer.echo(context.get_help())
        raise typer.Exit


HelpAll = Annotated[
    bool, typer.Option("--help-all", help="Show all options and exit.", is_eager=True, callback=_help_all)
]


def print_help(group: Any, arguments: Sequence[str]) -> bool:
    """Print the help of the program or of a command if the arguments ask for nothing else.

    Typer would print the same, but imports pydantic to parse the flag, which takes a quarter of the time
    (`python -m benchmarks.start`).

    Args:
        group: Typer's group of all commands.
        arguments: The arguments of the command line.

    Returns:
        Whether the help was printed.

    Raises:
        UsageError: The configuration can't be used. The help of a command shows its defaults.
    """
    *names, flag = arguments
    commands = [group]
    for name in names:
        commands.append(getattr(commands[-1], "commands", {}).get(name))
        if commands[-1] is None:
            return False
    if flag not in ("--help", "--help-all") or (flag == "--help-all" and not names):
        return False
    if flag == "--help-all":
        show_all(commands[-1])
    given = (os.environ.get(name, "").strip() for name in ("VECLOAD_CONFIG", "VECLOAD_PROFILE"))
    config, profile = (name or None for name in given)
    defaults = default_map(group, config, profile)[0] if names else None
    context = typer.Context(group, info_name="vecload", default_map=defaults)
    for name, command in zip(names, commands[1:], strict=True):
        context = typer.Context(command, info_name=name, parent=context)
    typer.echo(context.get_help())
    return True
