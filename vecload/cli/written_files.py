"""Files that a command writes besides its data, checked before anything is read: none may replace another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vecload.errors import UsageError
from vecload.option_values import names_a_path
from vecload.places import config_folder


def check_replaceable(flag: str, file: str, begins: bytes, what: str) -> None:
    """Refuse a file to write that would replace another one, or that can't be made.

    Args:
        flag: The option that names it.
        file: Its path.
        begins: How a file begins that may be replaced. An empty one may be, too.
        what: What such a file is.

    Raises:
        UsageError: It is refused.
    """
    path = Path(file)
    try:
        if not path.parent.is_dir():
            raise UsageError(f"{flag} {file}: the folder {path.parent} does not exist", hint="make it first")
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise UsageError(f"{flag} {file} exists and is not a regular file", hint="name another file")
        if path.exists():
            with path.open("rb") as opened:
                first = opened.read(len(begins))
            if first and first != begins:
                raise UsageError(f"{flag} {file} exists and is not {what}", hint="name another file")
        if not os.access(path.parent, os.W_OK):
            raise UsageError(f"{flag} {file} can't be written: Permission denied")
    except OSError as error:
        raise UsageError(f"{flag} {file} can't be read: {error.strerror}") from None


def check_not_used(flag: str, file: str, context: Any) -> None:
    """Refuse a file to write that the command uses for something else.

    Args:
        flag: The option that names it.
        file: Its path.
        context: The command's context.

    Raises:
        UsageError: It does.
    """
    from vecload.readers.storage.expand import leads_to

    real = os.path.realpath(file)
    if real.startswith(_kept()):
        raise UsageError(
            f"{flag} {file} is in the folder of your keys and your configuration",
            hint="name a file elsewhere",
        )
    for name, other in _files_of(context):
        if name == flag:
            continue
        hint = f"name a separate file for {flag}"
        if os.path.realpath(other) == real or _same(other, file):
            raise UsageError(f"{flag} {file} is the file of {name}", hint=hint)
        if name == "SOURCE" and leads_to(other, real):
            raise UsageError(
                f"{flag} {file} is within {other}: a later run would load it as a source", hint=hint
            )


def _kept() -> str:
    """The folder of keys and configuration, as the paths in it begin."""
    try:
        return os.path.realpath(config_folder()) + os.sep
    except UsageError:
        return os.devnull + os.sep  # no home folder, and so no such folder


def _files_of(context: Any) -> Iterator[tuple[str, str]]:
    """The paths that a command is given, each with its option or argument."""
    for param in context.command.params:
        value = context.params.get(param.name)
        if not names_a_path(param.metavar) or value is None:
            continue
        name = param.opts[0] if param.param_type_name == "option" else param.metavar
        for each in value if isinstance(value, list | tuple) else [value]:
            if str(each) != "-":
                yield name, os.path.expanduser(str(each))  # noqa: PTH111 a text, perhaps a URI


def _same(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except (OSError, ValueError):
        return False  # one does not exist, or is not on this machine
