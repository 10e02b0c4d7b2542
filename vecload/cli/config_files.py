"""Configuration files: which ones are read, what each sets, and in which line."""

from __future__ import annotations

import os
import shlex
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from vecload.errors import UsageError
from vecload.places import config_folder, expanded, short

CONFIG_NAME = "vecload.toml"
USER_CONFIG_NAME = "config.toml"
"""The file in the user's configuration folder of vecload."""
CONFIG_MAX_BYTES = 1 << 20
PROFILES = "profiles"
"""The table that holds the profiles."""
PARSED_MAX = 4 << 20
"""Characters that are parsed, piece by piece, to find the lines of a file. Those after it are not known."""


@dataclass(frozen=True, slots=True)
class Section:
    """Defaults for options, from one file or from one profile in it.

    Keys are long options without their dashes. Those at the top apply to every command that has them; those
    in a table named after a command apply to that command only.

    Attributes:
        values: As parsed from TOML.
        name: The file and profile, as messages name them.
        file: The file, as messages name it.
        profile: The profile; "" for what is outside of profiles.
        found: The file was found in the working folder or above. The user did not name it, and anyone may
            have written it.
        text: The file, to find lines in.
    """

    values: dict[str, Any] = field(repr=False)
    name: str
    file: str = ""
    profile: str = ""
    found: bool = False
    text: str = field(default="", repr=False)

    def line(self, *path: str) -> int | None:
        """The line that sets a value, from 1; None if it is not known.

        Args:
            path: The tables and the key, within the profile.
        """
        whole = (PROFILES, self.profile, *path) if self.profile else path
        return lines_of(self.text).get(whole)

    def at(self, *path: str) -> str:
        """The file and the line that sets a value, as messages name it."""
        line = self.line(*path)
        return self.name if line is None else f"{self.name}, line {line},"


def lines_of(text: str) -> Mapping[tuple[str, ...], int]:
    """The line of each key of a TOML text, from 1, by its path: tables and key.

    A statement ends at the first line with which it is whole, so each is parsed alone.
    """
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    begun, statement, left = 0, "", PARSED_MAX
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not statement:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            begun = number
        statement += line
        left -= len(statement)
        if left < 0:
            break
        try:
            paths = list(_paths(tomllib.loads(statement)))
        except ValueError:
            continue
        except RecursionError:
            break
        if statement.lstrip().startswith("["):
            table = paths[0] if paths else ()
            found.setdefault(table, begun)
        else:
            for path in paths:
                found.setdefault((*table, *path), begun)
        statement = ""
    return found


def _paths(values: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The paths of the innermost keys."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from ((key, *path) for path in _paths(value))
        else:
            yield (key,)


def read_sections(path: str | None, profile: str | None) -> list[Section]:
    """The defaults set in files. Later sections override earlier ones.

    Args:
        path: The only file to read; None for the user's own configuration, then the nearest `vecload.toml`,
            in the working folder or above.
        profile: The profile to use, of any of these files.

    Raises:
        UsageError: A file is missing, is not TOML, or can be written by others; or the profile is missing.
    """
    files = _named(path) if path else [*_own(), *_nearest()]
    sections = [one for file in files if (one := _without_profiles(file)).values]
    if profile is None:
        return sections
    chosen = [_profile(file, profile) for file in files if profile in _profiles(file)]
    if not chosen:
        raise _no_profile(profile, files, path)
    return [*sections, *chosen]


def _named(path: str) -> list[Section]:
    file = Path(expanded(path))
    read = _read(file, trusted=True)
    if read is None:
        raise UsageError(f"{path} can't be read: No such file or directory")
    return [read]


def _own() -> list[Section]:
    own = _own_file()
    read = _read(own, trusted=False) if own else None
    return [] if read is None else [read]


def _nearest() -> list[Section]:
    """The nearest `vecload.toml`, from the working folder upwards."""
    try:
        here = Path.cwd()
    except OSError:
        return []  # the folder was deleted
    for folder in (here, *here.parents):
        name = CONFIG_NAME if folder == here else ""
        read = _read(folder / CONFIG_NAME, trusted=False, name=name)
        if read is not None:
            name = f"{CONFIG_NAME} of this folder" if name else read.name
            return [replace(read, name=name, file=name, found=True)]
    return []


def _without_profiles(file: Section) -> Section:
    return replace(file, values={key: value for key, value in file.values.items() if key != PROFILES})


def _profiles(file: Section) -> dict[str, Any]:
    profiles = file.values.get(PROFILES, {})
    if not isinstance(profiles, dict) or not all(isinstance(each, dict) for each in profiles.values()):
        raise UsageError(f"profiles of {file.name} are not tables", hint="write [profiles.NAME]")
    return profiles


def _profile(file: Section, profile: str) -> Section:
    return replace(
        file,
        values=_profiles(file)[profile],
        name=f"{file.name}, profile {profile!r}",
        profile=profile,
    )


def _no_profile(profile: str, files: Sequence[Section], path: str | None) -> UsageError:
    if not files and path is None and _own_file() is None:
        return UsageError(
            f"profile {profile!r} not found: this user has no home folder",
            hint="set HOME, or XDG_CONFIG_HOME",
        )
    there = sorted({name for file in files for name in _profiles(file)})
    where = " or ".join(file.name for file in files) or own_name()
    near = suggestion(profile, there)
    return UsageError(
        f"profile {profile!r} is not in {where} (it has: {', '.join(there) or 'none'})",
        hint=f"did you mean {near!r}?" if near else "",
    )


def suggestion(wrong: str, known: Sequence[str]) -> str:
    """The known name that a wrong one probably means; "" if none is similar."""
    spelled = wrong.replace("_", "-").lower()
    return spelled if spelled in known else next(iter(get_close_matches(spelled, sorted(known), 1, 0.7)), "")


def _own_file() -> Path | None:
    """The user's own configuration; None for a user without a home folder."""
    with suppress(UsageError):
        return config_folder() / USER_CONFIG_NAME
    return None


def own_name() -> str:
    """The user's own configuration, as messages name it."""
    own = _own_file()
    return short(str(own)) if own else "a configuration of your own (set HOME, or XDG_CONFIG_HOME)"


def _read(file: Path, *, trusted: bool, name: str = "") -> Section | None:
    """A file of defaults; None if there is none."""
    name = name or short(str(file))
    try:
        # A file that the user did not name may be a pipe: do not wait for its writer.
        with os.fdopen(
            os.open(file, os.O_RDONLY | os.O_CLOEXEC | (0 if trusted else os.O_NONBLOCK)), "rb"
        ) as stream:
            status = os.fstat(stream.fileno())
            if stat.S_ISDIR(status.st_mode) and not trusted:
                return None
            if not trusted and not stat.S_ISREG(status.st_mode):
                raise UsageError(f"{name} is not a regular file", hint="move it away")
            if not trusted and status.st_uid not in (os.geteuid(), 0):
                raise UsageError(
                    f"{name} belongs to another user",
                    hint="if you trust it, name it with --config; else name another file",
                )
            if not trusted and status.st_mode & 0o022:
                raise UsageError(
                    f"{name} can be written by others than you",
                    hint=f"run: chmod go-w {shlex.quote(str(file))}; or name it with --config",
                )
            text = stream.read(CONFIG_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"{name} can't be read: {error.strerror}") from None
    if len(text) > CONFIG_MAX_BYTES:
        raise UsageError(f"{name} is larger than {CONFIG_MAX_BYTES // 1024} KiB, so not a configuration")
    try:
        decoded = text.decode()
        return Section(tomllib.loads(decoded), name, name, text=decoded)
    except ValueError as error:
        # Python raises this also for a number with thousands of digits.
        raise UsageError(f"{name} is not TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{name} is not TOML: it is nested too deeply") from None
