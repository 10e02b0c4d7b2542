"""The tables of docs/options.md: `python -m tests.cli.options_table` prints, `--write` writes them there."""

from __future__ import annotations

import enum
import re
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from vecload.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "options.md"
BEGIN = "<!-- Made from the command line by python -m tests.cli.options_table --write -->\n"
LOAD = "upsert"
"""The command whose options the page lists whole; of others it lists what differs."""
NOT_LISTED = {"help", "help_all"}
DEFAULT_IN_HELP = re.compile(r"\s*\(default: (.*)\)$")


def options_tables() -> str:
    """The tables in Markdown: options of a load by their panel, then those of the other commands."""
    program: Any = get_command(app)
    commands = dict(named_commands(program))
    of_load = options_of(commands.pop(LOAD))
    panels: dict[str, list[Any]] = {}
    for option in of_load.values():
        panels.setdefault(getattr(option, "rich_help_panel", None) or "Other", []).append(option)
    parts = [f"## Options of `vecload {LOAD}`"]
    parts += [f"### {panel}\n\n{table(options)}" for panel, options in panels.items()]
    parts.append("## Before the command")
    parts.append(table(options_of(program).values()))
    parts.append("## Options of the other commands")
    for name, command in commands.items():
        options = options_of(command)
        own = [option for key, option in options.items() if row(option) != row(of_load.get(key))]
        shared = [flags(option) for key, option in options.items() if option not in own]
        parts.append(f"### `vecload {name}`")
        if own:
            parts.append(table(own))
        if shared:
            lead = "Also, as `vecload upsert` has them:" if own else "As `vecload upsert` has them:"
            parts.append(f"{lead} {', '.join(shared)}.")
        if not options:
            parts.append("No options.")
    return "\n\n".join(parts) + "\n"


def named_commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every command by its words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from named_commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def options_of(command: Any) -> dict[str, Any]:
    """A command's options by their names."""
    return {
        option.name: option
        for option in command.params
        if option.param_type_name == "option" and option.name not in NOT_LISTED
    }


def table(options: Any) -> str:
    """Options as one table."""
    lines = ["| option | variable | what it does | default |", "|---|---|---|---|"]
    return "\n".join([*lines, *map(row, options)])


def row(option: Any) -> str:
    """One option as a row of a table; an empty text for None."""
    if option is None:
        return ""
    words, default = words_and_default(option)
    cells = (f"`{flag_and_value(option)}`", f"`{variable(option)}`", words, default)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def flags(option: Any) -> str:
    """The long flag, as code."""
    return f"`{option.opts[0]}`"


def flag_and_value(option: Any) -> str:
    """All flags, and what stands for the value."""
    names = ", ".join((*option.opts, *option.secondary_opts))
    if option.is_flag:
        return names
    annotation = option.type_descriptor.annotation
    value = (
        option.metavar or "|".join(choices(annotation)) or ("N" if annotation in (int, float) else "VALUE")
    )
    return f"{names} {value}"


def choices(annotation: Any) -> list[str]:
    """The values of an enumeration or a Literal, inside a union or a list too; none of any other type."""
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return [str(member.value) for member in annotation]
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return [str(value) for value in inner]
    if origin in (typing.Union, types.UnionType, list, tuple):
        return [value for one in inner for value in choices(one)]
    return []


def variable(option: Any) -> str:
    """The variable that sets it: the option's own, or the one of its name."""
    own: Any = option.envvar
    return own if isinstance(own, str) else "VECLOAD_" + option.opts[0].lstrip("-").upper().replace("-", "_")


def words_and_default(option: Any) -> tuple[str, str]:
    """The help, and the default: that in words if there is one, else the value."""
    help_text = " ".join((option.help or "").split())
    in_help = DEFAULT_IN_HELP.search(help_text)
    words = DEFAULT_IN_HELP.sub("", help_text)
    if isinstance(option.show_default, str):
        return words, option.show_default
    if in_help:
        return words, in_help[1]
    value = getattr(option.default, "value", option.default)
    if value is None or value is False or value in ("", (), []):
        return words, ""
    if value is True:
        return words, f"`{option.opts[0]}`"
    return words, f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def main() -> None:
    """Print the tables, or write them into the page."""
    if sys.argv[1:] == ["--write"]:
        page = PAGE.read_text(encoding="utf-8")
        above, begin, _ = page.partition(BEGIN)
        if not begin:
            raise SystemExit(f"{PAGE} lacks the line: {BEGIN}")
        PAGE.write_text(f"{above}{BEGIN}\n{options_tables()}", encoding="utf-8")
    else:
        sys.stdout.write(options_tables())


if __name__ == "__main__":
    main()
