"""The recipes that vecload has, those in files, and which of them a source has the form of."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from vecload.errors import MappingError, UsageError
from vecload.mapping.columns import Column, find
from vecload.mapping.forms import Form
from vecload.mapping.paths import ENTRIES, PathError, Steps, expansion_of, path_of
from vecload.recipes.reader import FolderExport, Recipe, read_recipe

SUFFIX = ".toml"
_OF_OBJECTS = re.compile(rb'\s*\{\s*"[^"]*"\s*:\s*\{')
"""How a document begins that is an object of objects."""
NONE = "none"
"""The name under which no recipe is used: columns are guessed."""


@cache
def recipe_names() -> tuple[str, ...]:
    """The names of the recipes that vecload has."""
    found = (file.name for file in files("vecload.recipes").iterdir())
    return tuple(sorted(name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX)))


def recipe_text(name: str) -> str:
    """The TOML of one of them."""
    return files("vecload.recipes").joinpath(name + SUFFIX).read_text(encoding="utf-8")


@cache
def recipes() -> tuple[Recipe, ...]:
    """All of them."""
    return tuple(read_recipe(recipe_text(name), name, name) for name in recipe_names())


def recipe_named(name: str) -> Recipe:
    """The recipe of a name, or in a file.

    Raises:
        UsageError: There is none, or the file can't be read or is not a recipe.
    """
    if name in recipe_names():
        return next(recipe for recipe in recipes() if recipe.name == name)
    if "/" not in name and not name.endswith(SUFFIX):
        known = ", ".join((*recipe_names(), NONE))
        raise UsageError(f"there is no recipe {name!r}", hint=f"name a file, or one of {known}")
    try:
        text = Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the recipe {name} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"the recipe {name} is not UTF-8") from None
    except ValueError as error:
        raise UsageError(f"the recipe {name!r} can't be read: {error}") from None
    return read_recipe(text, Path(name).name.removesuffix(SUFFIX), name)


@dataclass(frozen=True, slots=True)
class RecipeChoice:
    """Which recipe is for a source. Can be sent to another process.

    named: the recipe that the user named; None recognises one.
    none: no recipe is used.
    paths: the columns that the user named. If one leads to the elements of a list, these are the rows, and
        no recipe is recognised.
    """

    named: Recipe | None = None
    none: bool = False
    paths: tuple[str, ...] = ()

    def form_of_columns(
        self, columns: Sequence[Column], source: str, *, reshapes: bool = False
    ) -> Form | None:
        """The form of rows; None if they have none that is known.

        Args:
            columns: Those of the rows, with their values in the first rows.
            source: For messages.
            reshapes: Whether the rows can be reshaped.

        Raises:
            MappingError: They have the forms of two recipes, or not that of the one that the user named.
        """
        if each := self.each(columns, source):
            if reshapes:
                return Form("", each=each)
            raise MappingError(
                f"{source} has no rows of elements, as {path_of(each)!r} asks for",
                hint="elements are rows in files of JSON, Parquet and Arrow",
            )
        form = self._form(lambda form: form.fits_columns(columns) and (reshapes or not form.reshapes), source)
        if form is not None and form.refused:
            raise MappingError(f"{source} {form.refused}", hint=form.hint)
        return form

    def form_of_document(self, document: Any, source: str) -> Form | None:
        """The form of a document that is one object, and of which rows are made; None as above.

        Raises:
            MappingError: As above; or vecload can't load such documents.
        """
        if each := self.each((), source):
            return Form("", each=each)
        form = self._empty_page(document) or self._form(
            lambda form: makes_rows(form) and form.fits_value(document), source
        )
        if form is not None and form.refused:
            raise MappingError(f"{source} {form.refused}", hint=form.hint)
        return form

    def each(self, columns: Sequence[Column], source: str) -> Steps:
        """The steps to the elements that are rows, as the user named columns; () if none are.

        Raises:
            MappingError: They are of several lists.
        """
        try:
            return expansion_of(self.paths, [column.name for column in columns]) if self.named is None else ()
        except PathError as error:
            raise MappingError(
                f"{source}: a path {error}", hint="the elements of one list can be rows"
            ) from None

    def keeps_named(self, before: Sequence[Column], after: Sequence[Column]) -> bool:
        """Whether a form keeps the columns that the user named, if the rows have them without it."""
        if self.named is not None or any(find(before, path) is None for path in self.paths):
            return True
        return all(find(after, path) is not None for path in self.paths)

    def may_be_document(self, begin: bytes) -> bool:
        """Whether a document that begins so may have the form of a recipe: it has a name of one."""
        return any(
            name in begin
            for form in self._forms()
            if makes_rows(form) and (form.rows[:1] != (ENTRIES,) or _OF_OBJECTS.match(begin))
            for name in _names_in(form)
        )

    def makes_rows_of(self, document: Any) -> bool:
        """Whether a recipe makes rows of a document, or of several recipes one, or says why none does."""
        if any("[]" in path or "[*]" in path for path in self.paths):
            return False  # one line is one row, of which the elements are rows
        return self._some_makes_rows_of(document) or self._empty_page(document) is not None

    def _some_makes_rows_of(self, document: Any) -> bool:
        return any(makes_rows(form) and form.fits_value(document) for form in self._forms())

    def _empty_page(self, document: Any) -> Form | None:
        """A form of which a document is a page without rows. Of which tool it is makes no difference then."""
        if not isinstance(document, dict) or self._some_makes_rows_of(document):
            return None
        return next((form for form in self._forms() if form.is_empty_in(document)), None)

    def folders(self) -> list[tuple[Recipe, FolderExport]]:
        """The recipes of exports that are folders, and how these are laid out."""
        found = () if self.none else self._recipes()
        return [(recipe, recipe.folder) for recipe in found if recipe.folder is not None]

    def skips(self, name: str, nbytes: int | None) -> bool:
        """Whether a file of a folder, by its name, holds no rows."""
        return not self.none and any(
            fnmatch.fnmatchcase(name, pattern)
            for recipe in self._recipes()
            for pattern in (*recipe.skips, *(recipe.may_be_empty if nbytes == 0 else ()))
        )

    def _forms(self) -> Iterator[Form]:
        return (form for recipe in (() if self.none else self._recipes()) for form in recipe.forms)

    def _recipes(self) -> tuple[Recipe, ...]:
        return (self.named,) if self.named is not None else recipes()

    def _form(self, fits: Callable[[Form], bool], source: str) -> Form | None:
        if self.none:
            return None
        found: list[Form] = []
        for recipe in self._recipes():
            forms = (form for form in recipe.forms if self.named is not None or not form.by_name)
            found += [form for form in [next(filter(fits, forms), None)] if form is not None]
        if len(found) > 1:
            names = " and ".join(form.recipe for form in found)
            flags = " or ".join(f"--recipe {form.recipe}" for form in found)
            raise MappingError(f"{source} looks like an export of {names}", hint=f"pick one: {flags}")
        if self.named is not None and not found:
            needed = "; or ".join(
                ", ".join(map(str, (*form.has, *form.has_one_of[:1], *form.only[:1])))
                for form in self.named.forms
            )
            if self.named.folder is not None:
                needed = f"a folder with {self.named.folder.meta}"
            raise MappingError(
                f"{source} does not look like an export of {self.named.name}, which has {needed}",
                hint="omit --recipe to detect it",
            )
        return found[0] if found else None


def _names_in(form: Form) -> list[bytes]:
    """A name that documents of a form hold, as JSON has it; for a form with alternatives one for each."""
    conditions = form.has[:1] or form.has_one_of
    names = (next((step for step in one.steps if not step.startswith("[")), "") for one in conditions)
    return [f'"{name}"'.encode() for name in names if name]


def makes_rows(form: Form) -> bool:
    """Whether a document that is one object may have the form."""
    return form.multiplies or bool(form.refused)


AUTOMATIC = RecipeChoice()
