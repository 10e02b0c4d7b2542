"""Refuse empty option values: omit an option for its default; an empty text is a mistake, and so are blanks.

Otherwise a script with `--to "$TARGET"` and an unset variable would load into the local store.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from typer import Context
from typer.core import TyperGroup

from vecload.errors import UsageError

GENERATE_IDS = "--generate-ids"
MAY_BE_EMPTY = ("id-prefix", "words")
"""Options for which an empty text is valid, and the argument whose words are checked as those of a command.

The separator is not one: an empty one makes ids ambiguous.
"""
MAY_BE_BLANK = (*MAY_BE_EMPTY, "id-separator", "ids")
"""Options, and the argument of ids, for which spaces alone are valid."""
KEY_VARIABLES = {
    ("key_file", "key_command"): "VECLOAD_INDEX_KEY",
    ("contents_key_file",): "VECLOAD_CONTENTS_KEY",
    ("api_key_file",): "VECLOAD_API_KEY",
}
"""Variables without an option of their own, by the options that override them."""


class NoEmptyValues(TyperGroup):
    """A group of commands that refuses empty values of its own and its commands' options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As in the base class, after checking the group's own options."""
        check_given(self, ctx, args)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """As in the base class, and check the command's options."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not getattr(command, "commands", None):
            rest = with_usual_kind(rest)
            settings = command.context_settings
            check_given(command, Context(command, info_name=name, parent=ctx, **settings), rest)
        return name, command, rest


def with_usual_kind(arguments: Sequence[str]) -> list[str]:
    """Arguments in which `--generate-ids` has its value: alone it means digests, and takes no argument."""
    found = [*arguments]
    end = found.index("--") if "--" in found else len(found)
    for at in range(end):
        if found[at] == GENERATE_IDS and found[at + 1 : at + 2] not in (["digest"], ["rows"], [""]):
            found[at] = f"{GENERATE_IDS}=digest"
    return found


def check_given(
    command: Any, context: Any, arguments: Sequence[str], environ: Mapping[str, str] = os.environ
) -> None:
    """Refuse an empty value on the command line, or in a variable that the command would read.

    Raises:
        UsageError: A value is empty.
    """
    given, _, _ = command.make_parser(context).parse_args(args=[*arguments])
    if given.get("help") or given.get("version"):
        return
    for param in command.params:
        flag = max(param.opts, key=len)
        value = given.get(param.name)
        is_option = flag.startswith("--")
        if value is not None and is_empty(flag.removeprefix("--"), value):
            named = flag if is_option else param.metavar or param.name
            raise UsageError(f"{named} is empty", hint="omit it for its default" if is_option else "")
        # Typer treats an empty variable as unset, and for a list a blank one too.
        variable = environ.get(param.envvar) if param.envvar else None
        if value is None and variable is not None and is_empty(flag.removeprefix("--"), variable):
            raise _empty_variable(param.envvar)
    names = {param.name: param.envvar for param in command.params}
    for options, variable in KEY_VARIABLES.items():
        if options[0] not in names or any(given.get(name) or environ.get(names[name]) for name in options):
            continue
        if variable in environ and not environ[variable].strip():
            raise _empty_variable(variable)


def is_empty(option: str, value: Any) -> bool:
    """Whether an option's value is blank or contains a blank text, where that is not allowed."""
    texts = value if isinstance(value, list | tuple) else [value]
    return any(
        (text == "" and option not in MAY_BE_EMPTY)
        or (isinstance(text, str) and text.isspace() and option not in MAY_BE_BLANK)
        for text in texts
    )


def _empty_variable(variable: str) -> UsageError:
    return UsageError(f"{variable} is set but empty", hint=f"run: unset {variable}")
