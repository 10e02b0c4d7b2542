"""The rules of the house: what docs/design.md says of the rooms, kept by reading the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import vecload

HOUSE = Path(vecload.__file__).parent
ROOMS = (
    "errors",
    "batch",
    "closing",
    "safe_text",
    "places",
    "sealing",
    "limits",
    "options",
    "flags",
    "targets",
    "mapping",
    "readers",
    "loading",
    "items",
    "index",
    "connection",
    "inspecting",
    "cli",
)
"""From the bottom to the top: an import goes only downwards."""
DOORS = {"__init__", "__main__", "_version"}
"""No rooms: the package's face, its start and its number."""
LINES_MAX = 500
NAMES_OF_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}

MODULES = sorted(path.relative_to(HOUSE) for path in HOUSE.rglob("*.py"))


def room_of(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def imported_rooms(module: Path) -> Iterator[tuple[int, str]]:
    """Line and room of every import of our own, those for the type checker and within functions too."""
    package = ["vecload", *module.parts[:-1]]
    for node in ast.walk(ast.parse((HOUSE / module).read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{origin}.{alias.name}" for alias in node.names]
        for name in names:
            top, _, rest = name.partition(".")
            if top == "vecload" and rest:
                yield node.lineno, rest.partition(".")[0]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_an_import_goes_only_downwards(module: Path) -> None:
    room = room_of(module)
    if room in DOORS:
        return
    assert room in ROOMS, f"{module} is in no room; give it a place in the order, here and in docs/design.md"
    height = ROOMS.index(room)
    for line, imported in imported_rooms(module):
        if imported == "__version__" or imported in DOORS:
            continue
        assert imported in ROOMS, f"{module}:{line} imports {imported}, which is in no room"
        assert ROOMS.index(imported) <= height, f"{module}:{line} imports upwards: {imported}"


def test_every_room_is_lived_in() -> None:
    assert {room_of(module) for module in MODULES} - DOORS == set(ROOMS)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_module_is_longer_than_a_few_screens(module: Path) -> None:
    assert len((HOUSE / module).read_text(encoding="utf-8").splitlines()) <= LINES_MAX


def test_every_module_has_a_name_that_says_what_it_is() -> None:
    names = {part.removesuffix(".py") for module in MODULES for part in module.parts}
    assert not names & NAMES_OF_NOTHING


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_nothing_prints_past_the_one_that_reports(module: Path) -> None:
    calls = [
        node.lineno
        for node in ast.walk(ast.parse((HOUSE / module).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert calls == []
