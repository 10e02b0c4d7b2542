"""What is said of a command line that can't be parsed: one line, and the flag that was probably meant."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import typer

from vecload.cli.arguments import ANYWHERE
from vecload.cli.help import is_common
from vecload.cli.output import tell

MADE_PLAIN = {
    "Value error, ": "",
    "Input should be a valid integer, unable to parse string as an integer": "not an integer",
    "Input should be a valid number, unable to parse string as a number": "not a number",
}
"""What the library that reads options says, and what to say instead."""
SIMILAR = 0.75
"""Similarity by `difflib` from which a mistyped flag gets a suggestion."""


def usage_error(error: typer.TyperException) -> int:
    """Say what is wrong, and return the exit code."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "vecload"
    wrong = getattr(error, "option_name", "")
    if context is not None and wrong:
        near = nearest(wrong, [*(flag for param in context.command.params for flag in param.opts), *ANYWHERE])
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
    common = [flag for flag in longer if is_common(flag)]
    return (
        min(common or longer, key=len)
        if longer
        else next(iter(get_close_matches(wrong, flags, 1, SIMILAR)), "")
    )
