"""The help of a command, without what parsing its options would import."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import typer

from vecload.cli.config import default_map
from vecload.cli.options import show_all


def print_help(group: Any, arguments: Sequence[str]) -> bool:
    """Print the help if nothing but that is asked for: of the program, or of a command.

    Typer would print the same after it had turned the flag into a value by pydantic, whose import takes a
    quarter of the time (`python -m benchmarks.start`).

    Args:
        group: Typer's group of all commands.
        arguments: The command line's.

    Returns:
        Whether it was.

    Raises:
        UsageError: The configuration, whose defaults the help of a command shows, can't be used.
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
    config, profile = (os.environ.get(name) or None for name in ("VECLOAD_CONFIG", "VECLOAD_PROFILE"))
    defaults = default_map(group, config, profile)[0] if names else None
    context = typer.Context(group, info_name="vecload", default_map=defaults)
    for name, command in zip(names, commands[1:], strict=True):
        context = typer.Context(command, info_name=name, parent=context)
    typer.echo(context.get_help())
    return True
