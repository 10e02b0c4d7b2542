"""The options of `vecload upsert` as the README's table: `python -m tests.cli.options_table` prints it."""

from __future__ import annotations

import sys
from typing import Any

from typer.main import get_command

from vecload.cli.app import app


def options_table() -> str:
    """The table in Markdown, as the command line itself tells its options."""
    upsert: Any = get_command(app).commands["upsert"]  # type: ignore[attr-defined]
    lines = ["| option | variable | what it does |", "|---|---|---|"]
    for option in upsert.params:
        if option.param_type_name != "option" or option.name == "help":
            continue
        flags = ", ".join(f"`{flag}`" for flag in (*option.opts, *option.secondary_opts))
        default = option.default
        told = "" if default is None or isinstance(default, bool) else f" (default: {_plain(default)})"
        lines.append(f"| {flags} | `{option.envvar}` | {option.help.replace('|', chr(92) + '|')}{told} |")
    return "\n".join(lines)


def _plain(default: Any) -> str:
    value = getattr(default, "value", default)
    return f"{value:g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.stdout.write(options_table() + "\n")
