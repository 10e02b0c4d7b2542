"""Values of options: what an option takes, and its value checked and converted to its type."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

from vecload.errors import UsageError
from vecload.places import expanded

_GOES_TO_THE_ENGINE: Final = frozenset({"id_prefix", "id_separator", "embedding_model", "kms"})
MAY_BE_EMPTY: Final = frozenset({"id_prefix"})
"""Options for which an empty text is valid. The separator is not one: an empty one makes ids ambiguous."""
MAY_BE_BLANK: Final = frozenset({*MAY_BE_EMPTY, "id_separator", "vector_column"})
"""Options for which spaces alone are valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the command line shows for an option.

    Attributes:
        panel: The heading under which the help lists it.
        help: One or two sentences.
        metavar: What its value looks like; "" shows the type.
        least, most: The smallest and largest number allowed.
        usual: The default in words, where the value does not show it.
        common: Most people use it, so `--help` shows it. `--help-all` shows all options.
        or_auto: It takes the word `auto` or a number.
    """

    panel: str
    help: str
    metavar: str = ""
    least: float | None = None
    most: float | None = None
    usual: str = ""
    common: bool = False
    or_auto: bool = False


_PATHS: Final = frozenset({"FILE", "FILE.prom", "FILE.html", "FOLDER", "SOURCE"})


def names_a_path(metavar: str | None) -> bool:
    """Whether the value of an option is a path, judging by what stands for it in the help."""
    return not _PATHS.isdisjoint((metavar or "").strip("[]").split("|"))


def checked_value(name: str, value: Any, hint: Any, about: About) -> Any:
    """A value, converted to the type of its field.

    Raises:
        UsageError: It has another type or is out of range.
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if get_origin(kinds[0]) is tuple:
        return _names(name, value)
    if value is None:
        if name == "generate_ids":
            return False  # the command line's default
        if NoneType in kinds:
            return None
        raise UsageError(f"{name} is None")
    if name == "generate_ids":
        return _generated(name, value)
    words = [word for kind in kinds for word in get_args(kind)]
    if words and not about.or_auto:
        if value in words:
            return value
        raise UsageError(f"{name} {value!r} is not one of {', '.join(words)}")
    if about.or_auto:
        if value == "auto":
            return value
        number = int(value) if str(value).isdecimal() else -1
        if (about.least or 0) <= number <= (about.most or number):
            return number
        raise UsageError(
            f"{name} {value!r} is neither 'auto' nor a number from {about.least} to {about.most}"
        )
    if kinds[0] is bool:
        if isinstance(value, bool):
            return value
        raise UsageError(f"{name} is {value!r}, neither True nor False")
    if kinds[0] in (int, float) and str not in kinds:
        return _number(name, value, kinds[0], about)
    if kinds[0] is Path:
        if not isinstance(value, str | os.PathLike) or not os.fspath(value).strip():
            raise UsageError(f"{name} is {value!r}, not a folder", hint="omit it for its default")
        return Path(expanded(os.fspath(value)))
    if kinds[0] is str:
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str):
            raise UsageError(f"{name} is {type(value).__name__}, not text")
        if (not value and name not in MAY_BE_EMPTY) or (value.isspace() and name not in MAY_BE_BLANK):
            raise UsageError(f"{name} is empty", hint="omit it for its default")
        if name in _GOES_TO_THE_ENGINE and not _is_utf8(value):
            raise UsageError(f"{name} is not UTF-8 text")
        if names_a_path(about.metavar):
            return expanded(value)
    return value


def _generated(name: str, value: Any) -> Any:
    """Whether ids are generated, and of what: False, True for digests, or `rows`."""
    found = _GENERATED.get(value.lower() if isinstance(value, str) else value)
    if found is None:
        raise UsageError(f"{name} {value!r} is neither digest nor rows")
    return found


_GENERATED: Final[Mapping[Any, Any]] = {
    **dict.fromkeys((True, "digest", "true", "yes", "on", "1"), True),
    **dict.fromkeys((False, "false", "no", "off", "0"), False),
    "rows": "rows",
}
"""What the option may be, variables and configuration files included."""


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(name: str, value: Any, kind: type, about: About) -> Any:
    allowed = (int, float) if kind is float else (int,)
    try:
        if isinstance(value, bool):
            raise TypeError
        number = value if isinstance(value, allowed) else operator.index(value)
    except TypeError:
        raise UsageError(f"{name} is {value!r}, not a number") from None
    if about.least is not None and not number >= about.least:
        raise UsageError(f"{name} is {value!r}, but must be at least {about.least}")
    if about.most is not None and number > about.most:
        raise UsageError(f"{name} is {value!r}, but must be at most {about.most}")
    return number


def _names(name: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, Mapping) and name == "rename":  # rename={"old": "new"}
        value = [f"{old}={new}" for old, new in value.items()]
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, Iterable):
        raise UsageError(f"{name} is {type(value).__name__}, not a name or a list of names")
    names = tuple(value)
    for one in names:
        if not isinstance(one, str):
            raise UsageError(f"{name} holds {type(one).__name__}, not text")
        if not one:
            raise UsageError(f"{name} is empty", hint="omit it for its default")
    return names
