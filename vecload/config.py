"""Where vecload keeps things, and what a command was told: flags, environment, vecload.toml."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vecload.errors import UsageError

CONFIG_NAME = "vecload.toml"


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


def read_config(path: str | None) -> dict[str, Any]:
    """The defaults that vecload.toml gives, in the form of the commands' options.

    Keys are long options without their dashes; those at the top hold for every command that has them, those
    in a table named as a command for that one alone.

    Args:
        path: The file, None for `vecload.toml` in the working folder if there is one.

    Raises:
        UsageError: It is missing, no TOML, or lies in the working folder and is not yours alone to write.
    """
    file = Path(path or CONFIG_NAME)
    if path is None and not file.is_file():
        return {}
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if path is None and (status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022):
                raise UsageError(
                    f"{file} in this folder can be written by others than you",
                    hint=f"run: chmod go-w {file}; or name it with --config if you trust it",
                )
            return tomllib.load(stream)
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not TOML: {error}") from None


def read_api_key(file: Path | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """The API key for a service: from a file, else from VECLOAD_API_KEY.

    Raises:
        UsageError: The file can't be read.
    """
    if file is None:
        return environ.get("VECLOAD_API_KEY") or None
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"the API key file {file} can't be read") from None
