"""Arguments of the command line that mean the same for every command.

`--config` and `--profile` count before and after the command, and `~` is the home folder in every path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vecload.cli.empty_values import GENERATE_IDS
from vecload.errors import UsageError
from vecload.option_values import names_a_path
from vecload.places import expanded

ANYWHERE = {"--config": "FILE", "--profile": "NAME"}
"""Options before the command that may follow it too, and what their value is."""


def config_first(group: Any, arguments: Sequence[str]) -> list[str]:
    """The same arguments with `--config` and `--profile` before the command.

    Args:
        group: The program.
        arguments: Of the command line.

    Raises:
        UsageError: One of them has no value.
    """
    own: list[str] = []
    moved: list[str] = []
    rest: list[str] = []
    command = group
    left = iter(arguments)
    for word in left:
        name, equals, _ = word.partition("=")
        if word == "--":
            return [*own, *moved, *rest, word, *left]
        if name in ANYWHERE and command is not group:
            moved += [word] if equals else [word, _value(name, left)]
            continue
        if not word.startswith("-"):
            command = getattr(command, "commands", {}).get(word, command)
        kept = own if command is group else rest
        kept.append(word)
        if word.startswith("-") and not equals and _takes_value(command, name):
            kept += [value for value in [next(left, None)] if value is not None]
    return [*own, *moved, *rest]


def _value(name: str, left: Iterator[str]) -> str:
    value = next(left, None)
    if value is None:
        raise UsageError(f"{name} has no value", hint=f"write {name} {ANYWHERE[name]}")
    return value


def _takes_value(command: Any, flag: str) -> bool:
    """Whether the next argument is the value of an option."""
    return flag != GENERATE_IDS and any(
        flag in param.opts and not param.is_flag
        for param in command.params
        if param.param_type_name == "option"
    )


def homes_expanded(command: Any) -> None:
    """Let a command get its paths, from wherever they are set, with the home folder in place of `~`."""
    paths = [param.name for param in command.params if names_a_path(param.metavar)]
    run: Callable[..., Any] = command.callback

    def run_with(**given: Any) -> Any:
        return run(**{name: _in_home(value) if name in paths else value for name, value in given.items()})

    command.callback = run_with


def _in_home(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_in_home(each) for each in value]
    return type(value)(expanded(str(value))) if isinstance(value, str | Path) else value


def leaves(group: Any) -> Iterator[Any]:
    """All commands, also those of groups."""
    for command in group.commands.values():
        if getattr(command, "commands", None):
            yield from leaves(command)
        else:
            yield command
