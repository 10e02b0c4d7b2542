"""Where vecload keeps things, and the files that set defaults for options."""

from __future__ import annotations

import os
import shlex
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vecload.errors import UsageError

CONFIG_NAME = "vecload.toml"
USER_CONFIG_NAME = "config.toml"
"""In the user's folder of vecload's configuration."""
CONFIG_MAX_BYTES = 1 << 20


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


@dataclass(frozen=True, slots=True)
class Section:
    """Defaults for options, of one file or of one profile in it.

    Keys are long options without their dashes; those at the top hold for every command that has them, those
    in a table named as a command for that one alone.

    Attributes:
        values: As TOML has them.
        name: The file, and the profile, for people.
        found: The file was found in the working folder: nobody named it, and anybody may have written it.
    """

    values: dict[str, Any] = field(repr=False)
    name: str
    found: bool = False


def read_sections(path: str | None, profile: str | None) -> list[Section]:
    """The defaults that are set in files, the later before the earlier.

    Args:
        path: The only file to read; None for the user's own configuration, then `vecload.toml` of the working
            folder.
        profile: The profile of the user's own configuration, or of `path`, to take.

    Raises:
        UsageError: A file is missing, no TOML, or can be written by others; or there is no such profile.
    """
    own = Path(path) if path else _own_file()
    sections: list[Section] = []
    values = _read(own, trusted=path is not None) if own else None
    if values is None and path:
        raise UsageError(f"{path} can't be read: No such file or directory")
    profiles = (values or {}).pop("profiles", {})
    if not isinstance(profiles, dict) or not all(isinstance(each, dict) for each in profiles.values()):
        raise UsageError(f"profiles of {own} are not tables", hint="write [profiles.NAME]")
    if values:
        sections.append(Section(values, short(str(own))))
    found = None if path else _read(Path(CONFIG_NAME), trusted=False)
    if found:
        sections.append(Section(found, f"{CONFIG_NAME} of this folder", found=True))
    if profile is not None:
        if profile not in profiles:
            there = ", ".join(sorted(profiles)) or "none"
            if own is None:
                raise UsageError(
                    f"there is no profile {profile!r}: this user has no home folder",
                    hint="set HOME, or XDG_CONFIG_HOME",
                )
            raise UsageError(f"there is no profile {profile!r} in {short(str(own))} (there: {there})")
        sections.append(Section(profiles[profile], f"{short(str(own))}, profile {profile!r}"))
    return sections


def _own_file() -> Path | None:
    """The user's own configuration; None for a user without a home, who has none."""
    try:
        return config_folder() / USER_CONFIG_NAME
    except UsageError:
        return None


def own_name() -> str:
    """The user's own configuration, for people."""
    own = _own_file()
    return short(str(own)) if own else "a configuration of your own (set HOME, or XDG_CONFIG_HOME)"


def _read(file: Path, *, trusted: bool) -> dict[str, Any] | None:
    """A file of defaults; None if there is none."""
    try:
        # Not to wait for the writer of a named pipe that nobody named.
        with os.fdopen(
            os.open(file, os.O_RDONLY | os.O_CLOEXEC | (0 if trusted else os.O_NONBLOCK)), "rb"
        ) as stream:
            status = os.fstat(stream.fileno())
            if stat.S_ISDIR(status.st_mode) and not trusted:
                return None
            if not trusted and not stat.S_ISREG(status.st_mode):
                raise UsageError(f"{file} is not a regular file", hint="move it away")
            if not trusted and (status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022):
                raise UsageError(
                    f"{file} can be written by others than you",
                    hint=f"run: chmod go-w {shlex.quote(str(file))}; or name it with --config",
                )
            text = stream.read(CONFIG_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from None
    if len(text) > CONFIG_MAX_BYTES:
        raise UsageError(f"{file} is larger than {CONFIG_MAX_BYTES // 1024} KiB, so not a configuration")
    try:
        return tomllib.loads(text.decode())
    except ValueError as error:
        # Also a number of thousands of digits.
        raise UsageError(f"{file} is not TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{file} is not TOML: it is nested too deep") from None


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
