"""The configuration: files with defaults for the options, and the target each credential in them is for.

A credential that is set together with a target is never sent to another service.
"""

from __future__ import annotations

import os
import shlex
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import typer

from vecload.cli.empty_values import is_empty
from vecload.cli.output import tell
from vecload.errors import UsageError
from vecload.places import config_folder, short

OWNERS = "owners of credentials"
"""The entry in a command's defaults that holds the target of each credential."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Where a credential was set.

    Attributes:
        to: The target set with it; None means the user's local store.
        name: The file, as messages name it.
    """

    to: str | None
    name: str


def for_its_target(context: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    """An option's callback that drops what was set for another service than the command's.

    A flag always counts. The option `--to` must be parsed first, so it is eager.
    """
    source = context.get_parameter_source(param.name or "")
    origin = "" if source is None else source.name
    to = context.params.get("to")
    if value in (None, False) or origin not in ("DEFAULT_MAP", "ENVIRONMENT"):
        return value
    unset = False if isinstance(value, bool) else None
    if origin == "ENVIRONMENT":
        if variables_are_for(to):
            return value
        tell(f"ignoring {param.envvar}: VECLOAD_TO names another service than --to")
        return unset
    owner = (context.default_map or {}).get(OWNERS, {}).get(param.name, Owner(None, ""))
    flag = param.opts[0].removeprefix("--")
    if is_for(owner.to, to) or (owner.to is None and flag in OF_ANY_TARGET):
        return value
    tell(f"ignoring {flag} of {owner.name}: it is for another target")
    return unset


def is_for(owner: str | None, to: str | None) -> bool:
    """Whether a credential of one target may be used with another. A folder receives none, so any will do."""
    from vecload.targets import is_service
    from vecload.targets.location import service_address, shard_list

    if to is None or not is_service(to):
        return True
    if owner is None or not is_service(owner):
        return False
    ours, theirs = ([service_address(one) for one in shard_list(each)] for each in (owner, to))
    return ours == theirs


def variables_are_for(to: str | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the credentials in the environment are for a target: not if VECLOAD_TO names another."""
    named = environ.get("VECLOAD_TO")
    return not named or is_for(named, to)


CONFIG_NAME = "vecload.toml"
USER_CONFIG_NAME = "config.toml"
"""The file in the user's configuration folder of vecload."""
CONFIG_MAX_BYTES = 1 << 20

OF_ANY_TARGET = ("ca-file", "client-cert", "client-key", "insecure-http")
"""What belongs to the target set with it, and to any target where none is set."""
CREDENTIALS = ("api-key-file", "key-file", "key-command", "contents-key-file", *OF_ANY_TARGET)
"""What is never used for another target than the one set with it."""
PATHS = ("api-key-file", "key-file", "contents-key-file", "ca-file", "client-cert", "client-key")
FOUND_MAY_SET = frozenset(
    (
        *("index", "format", "id-column", "id-prefix", "id-separator"),
        *("max-line-bytes", "max-row-group-bytes", "max-json-bytes"),
        *("max-id-bytes", "max-depth", "max-contents-bytes", "max-metadata-bytes"),
        *("create", "dimension", "metric", "storage-precision", "train"),
        *("unfilterable", "pattern", "full-text"),
        *("wire", "binary-threshold", "batch-rows", "batch-bytes", "concurrency", "parse-workers"),
        *("give-up-after", "fresh", "skip-loaded"),
        *("full", "items", "json", "explain", "row", "top-k", "contents"),
    )
)
"""The options that a file found in the working folder may set.

Such a file must not decide where data goes, what is read, which key is used, what stays unsealed, what is
omitted or lost, or what is reported about it. Add a new option only if it does none of these.
"""
FOUND_ID_COLUMN = "id column of a file that was found"
"""The entry in a command's defaults that marks an id column which the user did not choose."""


def default_map(command: Any, path: str | None, profile: str | None) -> tuple[dict[str, Any], list[Section]]:
    """The defaults for a group of commands, in the form of a typer context, and the sections they come from.

    A key at the top of a file applies to every command with that option. A key in a table named after a
    command (`[upsert]`, `[index.create]`) applies to that command and overrides the top one.

    Raises:
        UsageError: A file can't be read, sets an unknown option, or sets one that it may not set.
    """
    sections = read_sections(path, profile)
    for section in sections:
        _check(command, section)
    return _for_group(
        command, [section.values for section in sections], sections, [{} for _ in sections]
    ), sections


def in_use(sections: Sequence[Section], own: dict[str, Any] | None, arguments: Sequence[str]) -> str:
    """The line that names the files with defaults for a command; "" if there are none, or with `--quiet`.

    Args:
        sections: The sections read.
        own: The command's defaults.
        arguments: Of the command line, because the command's own options are parsed later.
    """
    if own is None or all(value == {} for value in own.values()):
        return ""
    variable = os.environ.get("VECLOAD_QUIET", "").lower() in ("1", "true", "t", "yes", "y", "on")
    if variable or own.get("quiet") or not {"-q", "--quiet", "--help"}.isdisjoint(arguments):
        return ""
    return f"using {' and '.join(section.name for section in sections)}"


def _for_group(
    group: Any,
    tables: Sequence[dict[str, Any]],
    sections: Sequence[Section],
    shared: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """The defaults of a group's commands.

    Args:
        group: The group.
        tables: The group's table in each section.
        sections: The sections.
        shared: The values each section sets for all commands.
    """
    shared = [
        above | {key: value for key, value in table.items() if not isinstance(value, dict)}
        for above, table in zip(shared, tables, strict=True)
    ]
    defaults: dict[str, Any] = {}
    for name, command in group.commands.items():
        own = [_table(table, name) for table in tables]
        if getattr(command, "commands", None):
            defaults[name] = _for_group(command, own, sections, shared)
            continue
        # These say what `upsert` would do, and what it did, so they take the defaults of `upsert` too.
        alike = name in ("inspect", "verify")
        of_upsert = [_table(table, "upsert") if alike else {} for table in tables]
        layers = [
            (section, layer)
            for section, *of_section in zip(sections, shared, of_upsert, own, strict=True)
            for layer in of_section
        ]
        defaults[name] = _resolved(layers, _by_flag(command))
    return defaults


def _resolved(layers: Sequence[tuple[Section, dict[str, Any]]], by_flag: dict[str, str]) -> dict[str, Any]:
    """One command's defaults: later layers win. A credential is for the target set with it."""
    defaults: dict[str, Any] = {}
    owners: dict[str, Owner] = {}
    to: str | None = None
    found_ids = False
    for section, layer in layers:
        to = str(layer["to"]) if "to" in layer else to
        for key, value in layer.items():
            if key not in by_flag:
                continue
            if key in CREDENTIALS:
                owners[by_flag[key]] = Owner(to, section.name)
                if key == "api-key-file" and to is None:
                    raise UsageError(
                        f"{section.name} sets api-key-file without the service that it is for",
                        hint="set 'to' in the same file",
                    )
            is_path = key in PATHS and isinstance(value, str)
            if key == "id-column":
                found_ids = section.found
            defaults[by_flag[key]] = os.path.expanduser(value) if is_path else value  # noqa: PTH111 of a text
    return defaults | {OWNERS: owners, FOUND_ID_COLUMN: found_ids} if defaults else {}


def policy_of_defaults(context: Any) -> Literal["reject"] | None:
    """The default of `--repeated-ids`: `reject` if a found file names the id column, so that no row is lost.

    Args:
        context: The context of a command with the option `--id-column`.
    """
    source = context.get_parameter_source("id_column")
    by_file = source is not None and source.name == "DEFAULT_MAP"
    return "reject" if by_file and (context.default_map or {}).get(FOUND_ID_COLUMN) else None


def _by_flag(command: Any) -> dict[str, str]:
    """Parameters by their long options without dashes. A file can't set arguments."""
    return {
        flag.removeprefix("--"): each.name
        for each in command.params
        for flag in each.opts
        if flag.startswith("--") and each.name
    }


def _table(table: dict[str, Any], name: str) -> dict[str, Any]:
    # `index = …` at the top sets the option; `[index.…]` are tables for the commands of that name.
    own = table.get(name)
    return own if isinstance(own, dict) else {}


def _check(group: Any, section: Section) -> None:
    """Refuse a section that sets an unknown option, or one that it may not set."""
    options = _options(group)
    if section.found and (
        refused := sorted(_settings(section.values) & {*options, "profiles"} - FOUND_MAY_SET)
    ):
        own = own_name()
        raise UsageError(
            f"{section.name} sets {', '.join(refused)}: a file in the working folder may not choose where "
            "data goes, the key, what stays unsealed, or what is omitted",
            hint=f"move that to {own}; or, if you trust the file, name it: --config {CONFIG_NAME}",
        )
    _check_table(group, section.values, section, "")


def _options(group: Any) -> set[str]:
    """The options of all commands in a group."""
    return set().union(
        *(
            _options(command) if getattr(command, "commands", None) else _by_flag(command)
            for command in group.commands.values()
        )
    )


def _settings(table: dict[str, Any]) -> set[str]:
    """The names in a table and in all its nested tables."""
    names: set[str] = set()
    tables = [table]
    while tables:
        table = tables.pop()
        names.update(table)
        tables += [value for value in table.values() if isinstance(value, dict)]
    return names


def _check_table(group: Any, table: dict[str, Any], section: Section, prefix: str) -> None:
    options = _options(group)
    for key, value in table.items():
        if isinstance(value, dict):
            if key not in group.commands:
                raise UsageError(f"{section.name} has a table [{prefix}{key}], which is not a command")
        elif key not in options:
            raise UsageError(f"{section.name} sets {key!r}, which is not an option")
        elif is_empty(key, value):
            raise UsageError(f"{section.name} sets {key!r} to an empty text", hint="remove that line")
    for name, command in group.commands.items():
        own = _table(table, name)
        if getattr(command, "commands", None):
            _check_table(command, own, section, f"{prefix}{name}.")
            continue
        by_flag = _by_flag(command)
        for key, value in own.items():
            if key not in by_flag:
                raise UsageError(
                    f"{section.name} sets {key!r} in [{prefix}{name}], which does not have that option"
                )
            if isinstance(value, dict):
                raise UsageError(
                    f"{section.name} has a table {key!r} in [{prefix}{name}]: that is an option, not a table"
                )
            if is_empty(key, value):
                raise UsageError(
                    f"{section.name} sets {key!r} in [{prefix}{name}] to an empty text",
                    hint="remove that line",
                )


@dataclass(frozen=True, slots=True)
class Section:
    """Defaults for options, from one file or from one profile in it.

    Keys are long options without their dashes. Those at the top apply to every command that has them; those
    in a table named after a command apply to that command only.

    Attributes:
        values: As parsed from TOML.
        name: The file and profile, as messages name them.
        found: The file was found in the working folder. The user did not name it, and anyone may have
            written it.
    """

    values: dict[str, Any] = field(repr=False)
    name: str
    found: bool = False


def read_sections(path: str | None, profile: str | None) -> list[Section]:
    """The defaults set in files. Later sections override earlier ones.

    Args:
        path: The only file to read; None for the user's own configuration, then `vecload.toml` in the working
            folder.
        profile: The profile to use, from the user's own configuration or from `path`.

    Raises:
        UsageError: A file is missing, is not TOML, or can be written by others; or the profile is missing.
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
                    f"profile {profile!r} not found: this user has no home folder",
                    hint="set HOME, or XDG_CONFIG_HOME",
                )
            raise UsageError(f"profile {profile!r} is not in {short(str(own))} (it has: {there})")
        sections.append(Section(profiles[profile], f"{short(str(own))}, profile {profile!r}"))
    return sections


def _own_file() -> Path | None:
    """The user's own configuration; None for a user without a home folder."""
    try:
        return config_folder() / USER_CONFIG_NAME
    except UsageError:
        return None


def own_name() -> str:
    """The user's own configuration, as messages name it."""
    own = _own_file()
    return short(str(own)) if own else "a configuration of your own (set HOME, or XDG_CONFIG_HOME)"


def _read(file: Path, *, trusted: bool) -> dict[str, Any] | None:
    """A file of defaults; None if there is none."""
    try:
        # A file that the user did not name may be a pipe: do not wait for its writer.
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
        # Python raises this also for a number with thousands of digits.
        raise UsageError(f"{file} is not TOML: {error}") from None
    except RecursionError:
        raise UsageError(f"{file} is not TOML: it is nested too deeply") from None


def api_key(to: str | None, file: Path | None) -> str | None:
    """The API key for a target.

    For a service it is from a file, or else from VECLOAD_API_KEY if that is for this target. For a folder it
    is CyborgDB's licence key: the engine sends that to CyborgDB, so it gets no key of a service.

    Raises:
        UsageError: The file can't be read or is empty.
    """
    from vecload.targets import is_service

    if to is None or not is_service(to):
        return os.environ.get("CYBORGDB_API_KEY", "").strip() or None
    return read_api_key(file, os.environ if variables_are_for(to) else {})


def read_api_key(file: Path | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """The API key for a service: from a file, or else from VECLOAD_API_KEY.

    Raises:
        UsageError: The file can't be read, or others than its owner can read it.
    """
    if file is None:
        return environ.get("VECLOAD_API_KEY") or None
    from vecload.sealing.private_input import read_private

    try:
        key = read_private(file, "API key file").decode().strip()
    except UnicodeDecodeError:
        raise UsageError(f"the API key file {file} is not text") from None
    if not key:
        raise UsageError(f"the API key file {file} is empty")
    return key
