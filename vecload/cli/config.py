"""The configuration: defaults for the options from files, and the target each credential in them is for.

A credential that is set together with a target is never sent to another service.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, TypeAlias

import typer

from vecload.cli.config_files import CONFIG_NAME, PROFILES, Section, own_name, read_sections, suggestion
from vecload.cli.config_values import value_of
from vecload.cli.empty_values import is_empty
from vecload.cli.output import tell
from vecload.errors import UsageError

OWNERS = "owners of credentials"
"""The entry in a command's defaults that holds the target of each credential."""
ORIGINS = "origins of values"
"""The entry in a command's defaults that holds the origin of each default."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a file sets a value.

    Attributes:
        section: The file or the profile.
        path: The tables and the key in it.
    """

    section: Section
    path: tuple[str, ...]

    @property
    def line(self) -> int | None:
        """The line, from 1; None if it is not known."""
        return self.section.line(*self.path)


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
    to = target_of(context)
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


_SET_BY = ("COMMANDLINE", "ENVIRONMENT", "DEFAULT_MAP")
"""The sources of a value, the strongest first."""


def target_of(context: typer.Context) -> str | None:
    """What `--to` or `--shards` names; of two that are set in different places, the stronger.

    Raises:
        UsageError: Both are set in the same place, or the shards are no services.
    """
    from vecload.targets.location import shards_location

    given = {name: context.params.get(name) for name in ("to", "shards")}
    named = {name: value for name, value in given.items() if value is not None}
    if len(named) == 2:
        sources = {name: context.get_parameter_source(name) for name in named}
        ranks = {name: _SET_BY.index(getattr(source, "name", "")) for name, source in sources.items()}
        if ranks["to"] == ranks["shards"]:
            raise UsageError("--to and --shards exclude each other", hint="omit one")
        named = {min(named, key=ranks.__getitem__): named[min(named, key=ranks.__getitem__)]}
    return shards_location(named["shards"]) if "shards" in named else named.get("to")


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
    named = environ.get("VECLOAD_TO") or environ.get("VECLOAD_SHARDS")
    return not named or is_for(named, to)


OF_ANY_TARGET = ("ca-file", "client-cert", "client-key", "insecure-http")
"""What belongs to the target set with it, and to any target where none is set."""
CREDENTIALS = ("api-key-file", "key-file", "key-command", "contents-key-file", *OF_ANY_TARGET)
"""What is never used for another target than the one set with it."""
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
        UsageError: A file can't be read, sets an unknown option or one that it may not set, or a value has
            the wrong type.
    """
    sections = read_sections(path, profile)
    for section in sections:
        _check(command, section)
    tables = [_Table(section, section.values) for section in sections]
    return _for_group(command, tables, [[] for _ in tables]), sections


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


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of a section.

    Attributes:
        section: The section.
        values: What is in it.
        path: Its name, table by table.
    """

    section: Section
    values: Mapping[str, Any]
    path: tuple[str, ...] = ()

    def below(self, name: str) -> _Table:
        """The table of a command; empty if there is none."""
        # `index = …` at the top sets the option; `[index.…]` are tables for the commands of that name.
        own = self.values.get(name)
        return _Table(self.section, own if isinstance(own, dict) else {}, (*self.path, name))

    def settings(self) -> Iterator[tuple[Origin, Any]]:
        """The values that are not tables, and where they are set."""
        for key, value in self.values.items():
            if not isinstance(value, dict):
                yield Origin(self.section, (*self.path, key)), value


_Settings: TypeAlias = list[tuple[Origin, Any]]


def _for_group(group: Any, tables: Sequence[_Table], shared: Sequence[_Settings]) -> dict[str, Any]:
    """The defaults of a group's commands.

    Args:
        group: The group.
        tables: The group's table in each section.
        shared: What each section sets for all commands above.
    """
    shared = [[*above, *table.settings()] for above, table in zip(shared, tables, strict=True)]
    defaults: dict[str, Any] = {}
    for name, command in group.commands.items():
        own = [table.below(name) for table in tables]
        if getattr(command, "commands", None):
            defaults[name] = _for_group(command, own, shared)
            continue
        # These say what `upsert` would do, and what it did, so they take the defaults of `upsert` too.
        names = ("upsert", name) if name in ("inspect", "verify") else (name,)
        settings = [
            one
            for above, table in zip(shared, tables, strict=True)
            for one in (*above, *(each for of in names for each in table.below(of).settings()))
        ]
        defaults[name] = _resolved(settings, _by_flag(command))
    return defaults


def _resolved(settings: _Settings, by_flag: Mapping[str, Any]) -> dict[str, Any]:
    """One command's defaults: later settings win. A credential is for the target set with it."""
    defaults: dict[str, Any] = {}
    owners: dict[str, Owner] = {}
    origins: dict[str, Origin] = {}
    to: str | None = None
    for origin, value in _targets_first(settings):
        key, section = origin.path[-1], origin.section
        to = str(value) if key in _TARGETS else to
        if key not in by_flag:
            continue
        param = by_flag[key]
        if key in CREDENTIALS:
            owners[param.name] = Owner(to, section.name)
            if key == "api-key-file" and to is None:
                raise UsageError(
                    f"{section.name} sets api-key-file without the service that it is for",
                    hint="set 'to' in the same file",
                )
        origins[param.name] = origin
        defaults[param.name] = _typed(origin, param, value)
    found_ids = "id_column" in origins and origins["id_column"].section.found
    marks = {OWNERS: owners, FOUND_ID_COLUMN: found_ids, ORIGINS: origins}
    return defaults | marks if defaults else {}


_TARGETS = ("to", "shards")
"""What names the target."""


def _targets_first(settings: _Settings) -> Iterator[tuple[Origin, Any]]:
    """The settings, in each table the target before its credentials."""
    for _, table in groupby(settings, lambda one: (id(one[0].section), one[0].path[:-1])):
        yield from sorted(table, key=lambda one: one[0].path[-1] not in _TARGETS)


def _typed(origin: Origin, param: Any, value: Any) -> Any:
    """A value in the type that its option takes.

    Raises:
        UsageError: It has another type, or is out of range.
    """
    try:
        return value_of(param, value)
    except UsageError as error:
        where = origin.section.at(*origin.path)
        raise UsageError(f"{where} sets {origin.path[-1]!r}: it {error.args[0]}") from None


def policy_of_defaults(context: Any) -> Literal["reject"] | None:
    """The default of `--repeated-ids`: `reject` if a found file names the id column, so that no row is lost.

    Args:
        context: The context of a command with the option `--id-column`.
    """
    source = context.get_parameter_source("id_column")
    by_file = source is not None and source.name == "DEFAULT_MAP"
    return "reject" if by_file and (context.default_map or {}).get(FOUND_ID_COLUMN) else None


def _by_flag(command: Any) -> dict[str, Any]:
    """Parameters by their long options without dashes. A file can't set arguments."""
    return {
        flag.removeprefix("--"): each
        for each in command.params
        for flag in each.opts
        if flag.startswith("--") and each.name
    }


def _check(group: Any, section: Section) -> None:
    """Refuse a section that sets an unknown option, or one that it may not set."""
    options = _options(group)
    if section.found and (refused := sorted(_settings(section.values) & options - FOUND_MAY_SET)):
        raise UsageError(
            f"{section.name} sets {', '.join(refused)}: a file that vecload finds by itself may not "
            "choose where data goes, the key, what stays unsealed, or what is omitted",
            hint=f"move that to {own_name()}; or, if you trust the file, name it: --config {CONFIG_NAME}",
        )
    _check_table(group, _Table(section, section.values))


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


def _check_table(group: Any, table: _Table) -> None:
    """Refuse what a group's table sets and no command of the group takes."""
    options = _options(group)
    for key, value in table.values.items():
        at = table.section.at(*table.path, key)
        if isinstance(value, dict):
            if key not in group.commands:
                name = ".".join((*table.path, key))
                raise UsageError(
                    f"{at} has a table [{name}], which is not a command",
                    hint=_meant(key, [*group.commands, *[PROFILES] * (not table.path)]),
                )
        elif key not in options:
            raise UsageError(f"{at} sets {key!r}, which is not an option", hint=_meant(key, options))
        elif is_empty(key, value):
            raise UsageError(f"{at} sets {key!r} to an empty text", hint="remove that line")
    for name, command in group.commands.items():
        own = table.below(name)
        if getattr(command, "commands", None):
            _check_table(command, own)
        else:
            _check_command(command, own)


def _check_command(command: Any, table: _Table) -> None:
    """Refuse what a command's table sets and the command does not take."""
    by_flag, name = _by_flag(command), ".".join(table.path)
    for key, value in table.values.items():
        at = table.section.at(*table.path, key)
        if key not in by_flag:
            raise UsageError(
                f"{at} sets {key!r} in [{name}], which does not have that option", hint=_meant(key, by_flag)
            )
        if isinstance(value, dict):
            raise UsageError(f"{at} has a table {key!r} in [{name}]: that is an option, not a table")
        if is_empty(key, value):
            raise UsageError(f"{at} sets {key!r} in [{name}] to an empty text", hint="remove that line")


def _meant(wrong: str, known: Iterable[str]) -> str:
    near = suggestion(wrong, [*known])
    return f"did you mean {near!r}?" if near else ""


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
