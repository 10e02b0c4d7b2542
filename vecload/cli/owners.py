"""Whose a credential is: one that is set together with a target is not sent to another service."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import typer

from vecload.cli.streams import tell

OWNERS = "owners of credentials"
"""The entry of a command's defaults that says which target each credential is for."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Where a credential was set.

    Attributes:
        to: The target set with it; None is the user's own store.
        name: The file, for people.
    """

    to: str | None
    name: str


def for_its_target(context: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    """An option's callback: a credential that belongs to another service than the command's is left out.

    Flags are for the command they are given to. Needs the option `--to` to be known by then: it is eager.
    """
    source = context.get_parameter_source(param.name or "")
    origin = "" if source is None else source.name
    to = context.params.get("to")
    if value is None or origin not in ("DEFAULT_MAP", "ENVIRONMENT"):
        return value
    if origin == "ENVIRONMENT":
        if variables_are_for(to):
            return value
        tell(f"{param.envvar} is not used: VECLOAD_TO names another service than --to")
        return None
    owner = (context.default_map or {}).get(OWNERS, {}).get(param.name, Owner(None, ""))
    if is_for(owner.to, to):
        return value
    tell(f"{param.opts[0].lstrip('-')} of {owner.name} is not used: it is for another target than this one")
    return None


def is_for(owner: str | None, to: str | None) -> bool:
    """Whether a credential of one target may be used with another: nothing travels to a folder."""
    from vecload.targets import is_service
    from vecload.targets.location import service_location

    if to is None or not is_service(to):
        return True
    return owner is not None and is_service(owner) and service_location(owner) == service_location(to)


def variables_are_for(to: str | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment's credentials may be used with a target: not if VECLOAD_TO names another."""
    named = environ.get("VECLOAD_TO")
    return not named or is_for(named, to)
