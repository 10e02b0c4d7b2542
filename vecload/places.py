"""Places: the user's folders in which vecload keeps its files, and short forms of paths."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from vecload.errors import UsageError


def home(variable: str, default: str, environ: Mapping[str, str] = os.environ) -> Path:
    """One of vecload's folders, by the XDG base directory specification.

    Args:
        variable: `XDG_DATA_HOME`, `XDG_CONFIG_HOME` or `XDG_STATE_HOME`.
        default: The folder below the user's home to use if the variable is not set.
        environ: The environment.

    Raises:
        UsageError: The user has no home folder.
    """
    base = environ.get(variable, "")
    # The specification says to ignore relative paths.
    if Path(base).is_absolute():
        return Path(base) / "vecload"
    try:
        return Path.home() / default / "vecload"
    except RuntimeError:
        raise UsageError("this user has no home folder", hint=f"set HOME, or {variable}") from None


def store_folder() -> Path:
    """The local store, which is used if the user names no target."""
    return home("XDG_DATA_HOME", ".local/share") / "store"


def config_folder() -> Path:
    """The folder of the configuration and the default key store."""
    return home("XDG_CONFIG_HOME", ".config")


def state_folder() -> Path:
    """The folder of the journals."""
    return home("XDG_STATE_HOME", ".local/state") / "journals"


def expanded(path: str) -> str:
    """A path with `~` or `~name` at its start replaced by the home folder. Anything else stays as it is.

    Raises:
        UsageError: There is no such user, or the user has no home folder; and no file has that name.
    """
    found = os.path.expanduser(path)  # noqa: PTH111 a text, which may end in a slash
    if found == path and path.startswith("~") and not os.path.lexists(path):
        raise UsageError(
            f"the home folder in {path!r} does not exist", hint="write ./NAME, or the whole path"
        )
    return found


def short(path: str) -> str:
    """A path with `~` for the user's home. Anything else stays as it is."""
    try:
        own = str(Path.home())
    except RuntimeError:
        return path
    return f"~{path[len(own) :]}" if path == own or path.startswith(own + os.sep) else path
