"""The values in configuration files: each must have the type that its option takes."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args, get_origin

from vecload.errors import UsageError
from vecload.option_values import About, checked_value
from vecload.options import HINTS, LoadOptions, error_limit

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_GENERATED = {True: "digest", False: "false"}


def value_of(param: Any, value: Any) -> Any:
    """A value of a configuration file as the option's parser takes it.

    Args:
        param: The option, in typer's form.
        value: The value, as parsed from TOML.

    Raises:
        UsageError: The option takes no such value. The message begins with a verb, and has no value in it.
    """
    text, converted = _converted(param, value)
    if text:
        raise UsageError(f"must be {text}, not {_named(value)}")
    _check_range(param, converted)
    return converted


def _converted(param: Any, value: Any) -> tuple[str, Any]:
    """What the option takes if the value is not of that type, else ""; and the value for the parser."""
    annotation, metavar = param.type_descriptor.annotation, param.metavar or ""
    if param.is_flag:
        return _KINDS[bool] * (type(value) is not bool), value
    if annotation in (int, float):
        allowed = (int, float) if annotation is float else (int,)
        return _KINDS[annotation] * (type(value) not in allowed), value
    if param.multiple:
        values = [value] if isinstance(value, str) else value
        right = isinstance(values, list) and all(isinstance(each, str) for each in values)
        return "a text or a list of texts" * (not right), values
    if get_origin(annotation) is not None and get_args(annotation):
        choices = get_args(annotation)
        return f"one of {', '.join(choices)}" * (value not in choices), value
    if metavar == "[digest|rows]":
        right = isinstance(value, bool) or value in ("digest", "rows")
        return "true, false, digest or rows" * (not right), _GENERATED.get(value, value) if right else value
    words = [word for word in metavar.split("|") if word.islower()]
    if "N" in metavar.split("|"):
        right = type(value) is int or (isinstance(value, str) and (value in words or value.endswith("%")))
        shown = " or ".join(["a whole number", *words, *["a percentage"] * ("%" in metavar)])
        return shown * (not right), str(value)
    return _KINDS[str] * (not isinstance(value, str)), value


def _check_range(param: Any, value: Any) -> None:
    """Refuse what is out of range, with the check of the option itself."""
    for least, most in ((param.min, None), (None, param.max)):
        if least is not None and value < least:
            raise UsageError(f"must be at least {least}")
        if most is not None and value > most:
            raise UsageError(f"must be at most {most}")
    name = param.name
    if name in ("max_errors", "max_deletes"):
        try:
            error_limit(value, name)
        except UsageError:
            raise UsageError("must be a whole number or a percentage") from None
    one = next((each.metadata["about"] for each in fields(LoadOptions) if each.name == name), None)
    if isinstance(one, About) and one.or_auto:
        try:
            checked_value(name, value, HINTS[name], one)
        except UsageError:
            raise UsageError(f"must be auto or a number from {one.least} to {one.most}") from None


def _named(value: Any) -> str:
    """What a value is. It is not shown, since it may be a key in the wrong place."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "that text"
    return (
        "a list" if isinstance(value, list) else "a table" if isinstance(value, dict) else "a date or a time"
    )
