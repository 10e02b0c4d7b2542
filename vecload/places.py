"""Places: the user's folders in which vecload keeps things, and paths as people write them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from vecload.errors import UsageError


def home(variable: str, default: str, environ: Mapping[str, str] = os.environ) -> Path:
    """A folder of vecload's own, by the XDG base directory specification.

    Args:
        variable: `XDG_DATA_HOME`, `XDG_CONFIG_HOME` or `XDG_STATE_HOME`.
        default: The folder below the user's home that stands in for it.
        environ: The environment.
    """
    base = environ.get(variable, "")
    # The specification has relative paths ignored.
    if Path(base).is_absolute():
        return Path(base) / "vecload"
    try:
        return Path.home() / default / "vecload"
    except RuntimeError:
        raise UsageError("this user has no home folder", hint=f"set HOME, or {variable}") from None


def store_folder() -> Path:
    """The embedded store that is used when no target is named."""
    return home("XDG_DATA_HOME", ".local/share") / "store"


def config_folder() -> Path:
    """Where the default key store is."""
    return home("XDG_CONFIG_HOME", ".config")


def state_folder() -> Path:
    """Where journals are."""
    return home("XDG_STATE_HOME", ".local/state") / "journals"


def short(path: str) -> str:
    """A path as people write it: `~` for the user's home. Anything else as it is."""
    try:
        own = str(Path.home())
    except RuntimeError:
        return path
    return f"~{path[len(own) :]}" if path == own or path.startswith(own + os.sep) else path
