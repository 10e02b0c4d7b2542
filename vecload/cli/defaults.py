"""vecload.toml as the defaults of the commands' options."""

from __future__ import annotations

from typing import Any

from vecload.config import CONFIG_NAME, read_config
from vecload.errors import UsageError


def default_map(command: Any, path: str | None) -> dict[str, Any]:
    """The map of defaults for a group of commands, as a typer context takes it.

    A key at the top of the file holds for every command that has the option; one in a table named as a
    command (`[upsert]`, `[index.create]`) for that one, and before the other.

    Raises:
        UsageError: The file can't be read, or names no option.
    """
    config = read_config(path)
    if not config:
        return {}
    known: set[str] = set()
    if path is None and "key-command" in str(config):
        # A folder's file must not run programs just because someone works there.
        raise UsageError(
            f"{CONFIG_NAME} sets key-command, which only a file named with --config may",
            hint="name the file with --config, or set VECLOAD_KEY_COMMAND",
        )
    defaults = _for_group(command, config, {}, known, "")
    unknown = [key for key, value in config.items() if not isinstance(value, dict) and key not in known]
    if unknown:
        raise UsageError(f"{path or CONFIG_NAME} sets {unknown[0]!r}, which is no option")
    return defaults


def _for_group(
    group: Any, config: dict[str, Any], shared: dict[str, Any], known: set[str], prefix: str
) -> dict[str, Any]:
    commands: dict[str, Any] = getattr(group, "commands", {})
    shared = shared | {key: value for key, value in config.items() if not isinstance(value, dict)}
    defaults: dict[str, Any] = {}
    for name, table in config.items():
        if isinstance(table, dict) and name not in commands:
            raise UsageError(f"{CONFIG_NAME} has a table [{prefix}{name}], which is no command")
    for name, command in commands.items():
        # `index` at the top is the option; `[index.…]` are tables for the commands of that name.
        own = config.get(name)
        own = own if isinstance(own, dict) else {}
        if getattr(command, "commands", None):
            defaults[name] = _for_group(command, own, shared, known, f"{prefix}{name}.")
            continue
        by_flag = {flag.lstrip("-"): p.name for p in command.params for flag in p.opts if p.name}
        known.update(by_flag)
        for key in own:
            if key not in by_flag:
                raise UsageError(f"{CONFIG_NAME} sets {key!r} in [{prefix}{name}], which is no option of it")
        # To look at a load is to look at it with its own options.
        looked_at = config.get("upsert") if name == "inspect" else None
        given = shared | (looked_at if isinstance(looked_at, dict) else {}) | own
        defaults[name] = {by_flag[key]: value for key, value in given.items() if key in by_flag}
    return defaults
