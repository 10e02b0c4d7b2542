"""The layout that docs/design.md describes, checked by reading the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import vecload

PACKAGE = Path(vecload.__file__).parent
ORDER = (
    "errors",
    "batch",
    "events",
    "tracing",
    "closing",
    "safe_text",
    "places",
    "sealing",
    "limits",
    "option_values",
    "options",
    "flags",
    "targets",
    "mapping",
    "recipes",
    "readers",
    "loading",
    "distributed",
    "ray",
    "spark",
    "items",
    "querying",
    "index",
    "metadata_fields",
    "connection",
    "upkeep",
    "inspecting",
    "verifying",
    "reporting",
    "cli",
)
"""From the bottom to the top: an import goes only downwards."""
OUTSIDE = {"__init__", "__main__", "_version"}
"""Outside the order: the interface, the start of the command, the version."""
LINES_MAX = 500
NAMES_OF_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}

MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def part_of(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def imported_parts(module: Path) -> Iterator[tuple[int, str]]:
    """Line and part of every import of our own, those for the type checker and within functions too."""
    package = ["vecload", *module.parts[:-1]]
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
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
    part = part_of(module)
    if part in OUTSIDE:
        return
    assert part in ORDER, f"{module} is in no part; give it a place in the order, here and in docs/design.md"
    height = ORDER.index(part)
    for line, imported in imported_parts(module):
        if imported == "__version__" or imported in OUTSIDE:
            continue
        assert imported in ORDER, f"{module}:{line} imports {imported}, which is in no part"
        assert ORDER.index(imported) <= height, f"{module}:{line} imports upwards: {imported}"


def test_every_room_is_lived_in() -> None:
    assert {part_of(module) for module in MODULES} - OUTSIDE == set(ORDER)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_module_is_longer_than_a_few_screens(module: Path) -> None:
    assert len((PACKAGE / module).read_text(encoding="utf-8").splitlines()) <= LINES_MAX


def test_every_module_has_a_name_that_says_what_it_is() -> None:
    names = {part.removesuffix(".py") for module in MODULES for part in module.parts}
    assert not names & NAMES_OF_NOTHING


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_nothing_prints_past_the_one_that_reports(module: Path) -> None:
    calls = [
        node.lineno
        for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert calls == []


@pytest.mark.parametrize("module", [m for m in MODULES if part_of(m) != "cli"], ids=str)
def test_only_the_command_line_knows_typer_and_rich(module: Path) -> None:
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not imported & {"typer", "rich", "click"}


def test_every_folder_of_tests_is_a_package() -> None:
    """Else two test modules of one name stop the whole run, as soon as both are collected."""
    folders = {path.parent for path in Path(__file__).parent.rglob("test_*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []
