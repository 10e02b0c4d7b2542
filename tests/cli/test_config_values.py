"""The type of every value in a configuration file is checked, for every option of every command."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from typer.main import get_command

from vecload.cli.app import app
from vecload.cli.arguments import leaves
from vecload.cli.config_values import value_of
from vecload.errors import UsageError

OPTIONS = {
    (command.name, param.opts[0]): param
    for command in leaves(get_command(app))
    for param in command.params
    if param.param_type_name == "option" and param.name not in ("help", "help_all")
}
NEVER = (datetime.date(2026, 1, 1), {"a": 1}, [1], [["a"]], float("nan") * 0j)
"""What no option takes."""


def kind_of(param: Any) -> str:
    """What an option takes, read from what its help shows."""
    annotation, metavar = param.type_descriptor.annotation, param.metavar or ""
    if param.is_flag:
        return "flag"
    if annotation in (int, float):
        return annotation.__name__
    if metavar in ("auto|N", "[digest|rows]"):
        return metavar
    if "N%" in metavar or "P%" in metavar:
        return "limit"
    if "Literal" in str(annotation):
        return "word"
    return "list" if param.multiple else "text"


TAKEN: dict[str, list[Any]] = {
    "flag": [True, False],
    "int": [100],
    "float": [1, 1.5],
    "auto|N": ["auto", 4],
    "[digest|rows]": [True, False, "digest", "rows"],
    "limit": [3, "5%"],
    "list": ["a", ["a", "b"], []],
    "text": ["a"],
}
REFUSED: dict[str, list[Any]] = {
    "flag": [1, 0, "true", 1.0],
    "int": ["100", 1.0, True, -5],
    "float": ["1", True, -1.0],
    "auto|N": ["4", "many", 4.0, True, 1_000_000, -1],
    "[digest|rows]": ["x", 1, 0],
    "limit": [1.5, True, "many"],
    "list": [1, True, ["a", 1]],
    "text": [5, 1.5, True, ["a"]],
    "word": [5, True, "no such word", ["json"]],
}


@pytest.mark.parametrize(("command", "flag"), OPTIONS)
def test_an_option_takes_its_type_and_no_other(command: str, flag: str) -> None:
    param = OPTIONS[command, flag]
    kind = kind_of(param)
    words = [*getattr(param.type_descriptor.annotation, "__args__", ())]
    for value in words if kind == "word" else TAKEN[kind]:
        if kind == "int" and not (param.min or 0) <= value <= (param.max or value):
            continue
        value_of(param, value)
    for value in (*REFUSED[kind], *NEVER):
        if isinstance(value, int | float) and kind in ("int", "float") and param.min is None and value < 0:
            continue
        with pytest.raises(UsageError, match="must be") as refused:
            value_of(param, value)
        assert "no such word" not in str(refused.value)
        assert "many" not in str(refused.value)


def test_every_kind_of_option_is_there() -> None:
    assert {kind_of(param) for param in OPTIONS.values()} == set(REFUSED)
    assert len(OPTIONS) > 300
