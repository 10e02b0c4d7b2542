"""`vecload config`: the values that hold for a command, and where each one is from. Secrets are masked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson
import typer

from vecload.cli.config import ORIGINS, Origin, default_map
from vecload.cli.empty_values import check_given, with_usual_kind
from vecload.cli.output import out, say
from vecload.errors import UsageError
from vecload.targets import is_service
from vecload.targets.location import redacted_address, redacted_url

MASK = "********"
SECRETS = {
    "VECLOAD_API_KEY": "API key",
    "VECLOAD_INDEX_KEY": "index key",
    "VECLOAD_CONTENTS_KEY": "contents key",
    "CYBORGDB_API_KEY": "licence key of CyborgDB",
}
"""Variables whose values are never shown."""
MASKED = ("--key-command", "--proxy")
"""Options whose values may hold a secret."""
ADDRESSES = ("--to", "--from", "--endpoint-url")
"""Options whose values may be addresses with a user, a password or a token."""
WHOLE = 60
"""Characters of a value that a line of text shows."""

Kind: TypeAlias = Literal["flag", "variable", "file", "default"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that holds.

    Attributes:
        option: The flag, or the name of a secret.
        value: The value as JSON has it, masked if it is secret; None if there is none.
        kind: What sets it.
        name: The flag, the variable or the file; "" for a default.
        line: The line of the file, from 1; None if it is not known.
        profile: The profile of the file; "" outside of profiles.
        ignored: The value is set for another target, and is not used.
        usual: A default in words.
    """

    option: str
    value: Any
    kind: Kind
    name: str = ""
    line: int | None = None
    profile: str = ""
    ignored: bool = False
    usual: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        origin = {"kind": self.kind, "name": self.name or None, "line": self.line}
        return {
            "option": self.option,
            "value": self.value,
            "from": origin | {"profile": self.profile or None},
            "ignored": self.ignored,
        }

    @property
    def origin(self) -> str:
        """Where the value is from, in words."""
        words = [self.name or (f"default: {self.usual}" if self.usual else self.kind)]
        if self.line is not None:
            words.append(f"line {self.line}")
        if self.profile:
            words.append(f"profile {self.profile}")
        return ", ".join([*words, *["ignored: it is for another target"] * self.ignored])


def show_config(context: typer.Context, words: Sequence[str], *, json: bool) -> None:
    """Print the settings of a command.

    Args:
        context: The context of `vecload config`.
        words: The command and its options; without a command, `upsert`.
        json: Print one JSON object.

    Raises:
        UsageError: There is no such command, or a value can't be used.
    """
    root = context.find_root()
    group: Any = root.command
    config, profile = root.params.get("config"), root.params.get("profile")
    defaults, sections = default_map(group, config, profile)
    name, command, own_defaults, rest = _command(group, defaults, words)
    settings = [*_settings(root, name, command, own_defaults, rest), *_secrets()]
    if json:
        report = {
            "command": name,
            "files": [*dict.fromkeys(section.file for section in sections)],
            "profile": profile,
            "settings": [setting.as_dict() for setting in settings],
        }
        out(orjson.dumps(report, option=orjson.OPT_INDENT_2))
        return
    read = ", ".join(dict.fromkeys(section.file for section in sections)) or "none"
    say(f"options of vecload {name}; configuration: {read}" + (f"; profile {profile}" if profile else ""))
    for setting in sorted(settings, key=lambda one: one.kind == "default"):
        value = as_text(setting.value)
        say(f"{setting.option:<22} {value:<24} {setting.origin}".rstrip())


def _command(
    group: Any, defaults: Mapping[str, Any], words: Sequence[str]
) -> tuple[str, Any, dict[str, Any], list[str]]:
    """The command that the first words name, its defaults, and the other words."""
    names: list[str] = []
    left = [*words] if words and not words[0].startswith("-") else ["upsert", *words]
    while hasattr(group, "commands"):
        if not left or left[0] not in group.commands:
            there = ", ".join(group.commands)
            wrong = " ".join([*names, *left[:1]])
            what = f"there is no command {wrong!r}" if left else f"{wrong!r} is a group of commands"
            raise UsageError(what, hint=f"name one of: {there}")
        names.append(left.pop(0))
        group, defaults = group.commands[names[-1]], defaults.get(names[-1], {})
    return " ".join(names), group, dict(defaults), left


def _settings(
    root: Any, name: str, command: Any, defaults: dict[str, Any], words: Sequence[str]
) -> Iterator[Setting]:
    """The command's options as they would be parsed."""
    context = typer.Context(command, info_name=name, parent=root, default_map=defaults)
    arguments = with_usual_kind(words)
    check_given(command, context, arguments)
    given, _, order = command.make_parser(context).parse_args(args=[*arguments])
    options = [param for param in command.params if param.param_type_name == "option"]
    shown = [param for param in options if param.name not in ("help", "help_all")]
    typed = {id(param): at for at, param in enumerate(order)}
    for param in sorted(shown, key=lambda one: (not one.is_eager, typed.get(id(one), len(order)))):
        param.handle_parse_result(context, given, [])
    origins: Mapping[str, Origin] = defaults.get(ORIGINS, {})
    for param in shown:
        value, source = context.params.get(param.name), context.get_parameter_source(param.name)
        kind = _KINDS[source.name if source else "DEFAULT"]
        value = param.default if kind == "default" else value
        yield _setting(param, value, kind, origins.get(param.name))


def settings_in_use(context: Any) -> list[Setting]:
    """The options of a command that runs, without defaults, secrets masked.

    Args:
        context: The command's context.
    """
    found: list[Setting] = []
    origins = (context.default_map or {}).get(ORIGINS, {})
    for param in context.command.params:
        source = context.get_parameter_source(param.name)
        kind = _KINDS[source.name if source else "DEFAULT"]
        if param.param_type_name == "option" and kind != "default":
            found.append(_setting(param, context.params.get(param.name), kind, origins.get(param.name)))
    return found


_KINDS: Mapping[str, Kind] = {
    "COMMANDLINE": "flag",
    "ENVIRONMENT": "variable",
    "DEFAULT_MAP": "file",
    "DEFAULT": "default",
}


def _setting(param: Any, value: Any, kind: Kind, origin: Origin | None) -> Setting:
    flag = max(param.opts, key=len)
    ignored = value in (None, False) and kind != "default" and not param.is_flag
    shown = _masked(flag, value)
    if kind == "file" and origin is not None:
        section = origin.section
        return Setting(flag, shown, kind, section.file, origin.line, section.profile, ignored)
    name = {"flag": flag, "variable": str(param.envvar)}.get(kind, "")
    usual = _USUAL.search(" ".join((param.help or "").split())) if kind == "default" else None
    return Setting(flag, shown, kind, name, ignored=ignored, usual=usual[1] if usual else "")


_USUAL = re.compile(r"\(default: (.*)\)$")
"""The default in words, which the help of an option ends with."""


def _masked(flag: str, value: Any) -> Any:
    """A value as it may be shown."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_masked(flag, each) for each in value]
    if flag in MASKED:
        return MASK
    text = str(value)
    if flag in ADDRESSES and is_service(text):
        return redacted_address(text)
    return redacted_url(text) if "://" in text or (flag in ADDRESSES and "@" in text) else text


def _secrets() -> Iterator[Setting]:
    """The secrets that are set as variables."""
    for variable, what in SECRETS.items():
        if os.environ.get(variable):
            yield Setting(what, MASK, "variable", variable)


def as_text(value: Any) -> str:
    """A value on a line of text."""
    if value in (None, "", []):
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= WHOLE else f"{text[:WHOLE]}…"
