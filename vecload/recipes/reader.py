"""Reads a recipe from TOML. What is wrong in one is an error with its line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, get_args

from vecload.errors import UsageError
from vecload.mapping.forms import Condition, Form, FormKind, RejectRule
from vecload.mapping.paths import EACH, PathError, Steps, path_of, steps_of
from vecload.options import VectorDtype
from vecload.recipes.typed import VALUE_KINDS

HINT = "docs/recipes.md describes recipes, and `vecload recipes NAME` prints one"
FORM, REJECT, PAGES = "form", "reject", "pages"


@dataclass(frozen=True, slots=True)
class FolderExport:
    """A folder with a file that describes the data files below it, as a recipe says it.

    meta: the name of that file.
    exports: where it lists exports.
    data: where each has the folder of its files, in the export.
    id: where the file has the name of the id column.
    vectors: where an export has the names of its vector columns.
    metric, dimension: where it has them.
    """

    meta: str
    exports: Steps
    data: Steps
    id: Steps
    vectors: Steps
    metric: Steps
    dimension: Steps


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the exports of one tool become items.

    name: the name of its file.
    tool: what the tool is, for people.
    documentation: where its formats are described.
    forms: the forms of its rows; the first that fits counts.
    folder: how a folder of its files is described, if one is.
    skips: patterns of names of files in a folder that hold no rows.
    may_be_empty: patterns of names of files in a folder that are skipped if they are empty.
    """

    name: str
    tool: str
    documentation: tuple[str, ...]
    forms: tuple[Form, ...]
    folder: FolderExport | None = None
    skips: tuple[str, ...] = ()
    may_be_empty: tuple[str, ...] = ()


class _WrongError(ValueError):
    """Something in a recipe, at a key of a form."""

    def __init__(self, message: str, key: str = "", form: int = -1) -> None:
        super().__init__(message)
        self.key, self.form = key, form


def read_recipe(text: str, name: str, file: str) -> Recipe:
    """A recipe.

    Args:
        text: The TOML.
        name: What it is called.
        file: For messages.

    Raises:
        UsageError: It is not TOML, or not a recipe.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = re.sub(r" \(at line (\d+), column (\d+)\)$", "", str(error))
        place = re.search(r"at line (\d+)", str(error))
        line = place[1] if place else str(text.count("\n") + 1)
        said = said.replace(" (at end of document)", "")
        raise UsageError(f"recipe {file}, line {line}: is not TOML: {said}", hint=HINT) from None
    except RecursionError:
        raise UsageError(f"recipe {file}, line 1: is nested too deep", hint=HINT) from None
    try:
        return _recipe(table, name)
    except _WrongError as error:
        line = str(_line_of(text, error.key, error.form))
        raise UsageError(f"recipe {file}, line {line}: {error}", hint=HINT) from None


def _recipe(table: dict[str, Any], name: str) -> Recipe:
    known = ("tool", "documentation", "skips", "may_be_empty", FORM, "folder")
    _only(table, known, -1)
    tool = _text(table.get("tool"), "tool", -1)
    forms = table.get(FORM, [])
    if not isinstance(forms, list) or not all(isinstance(form, dict) for form in forms):
        raise _WrongError("'form' is not a list of tables, each under [[form]]", FORM)
    folder = _folder(table["folder"]) if "folder" in table else None
    if not forms and folder is None:
        raise _WrongError("has no form: [[form]]")
    documentation = _texts(table.get("documentation", []), "documentation", -1)
    skips = _texts(table.get("skips", []), "skips", -1)
    may_be_empty = _texts(table.get("may_be_empty", []), "may_be_empty", -1)
    read = tuple(form for at, table in enumerate(forms) for form in _forms(table, name, at))
    return Recipe(name, tool, documentation, read, folder, skips, may_be_empty)


def _folder(table: Any) -> FolderExport:
    if not isinstance(table, dict):
        raise _WrongError("'folder' is not a table", "folder")
    names = ("meta", "exports", "data", "id", "vectors", "metric", "dimension")
    _only(table, names, -1)
    missing = next((name for name in names if name not in table), None)
    if missing is not None:
        raise _WrongError(f"'folder' has no {missing!r}", "folder")
    paths = {name: _path(table[name], name, -1) for name in names[1:]}
    return FolderExport(_text(table["meta"], "meta", -1), **paths)


def _forms(table: dict[str, Any], recipe: str, at: int) -> Iterator[Form]:
    """The form of a table, and the same in each kind of pages that it names."""
    pages = _steps(table.get(PAGES, []), PAGES, at)
    if pages and ("rows" in table or "columns" in table):
        raise _WrongError("'pages' is for forms without 'rows' and 'columns'", PAGES, at)
    form = _form({name: value for name, value in table.items() if name != PAGES}, recipe, at)
    yield form
    for page in pages:
        yield replace(
            form,
            what=f"{form.what}, in pages",
            rows=page,
            has=_inside(page, form.has),
            has_one_of=_inside(page, form.has_one_of),
            lacks=_inside(page, form.lacks),
            rejects=(),
            row_rejects=form.rejects,
        )


def _inside(page: Steps, conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    return tuple(replace(condition, steps=(*page, *condition.steps)) for condition in conditions)


def _form(table: dict[str, Any], recipe: str, at: int) -> Form:
    _only(table, (*FIELDS, REJECT, PAGES), at)
    fields: dict[str, Any] = {
        name: FIELDS[name](value, name, at) for name, value in table.items() if name != REJECT
    }
    fields["rejects"] = _rejects(table.get(REJECT, []), at)
    # A row that is no reject has nothing there.
    never = [path_of(rule.at) for rule in fields["rejects"] if not rule.unless and len(rule.at) == 1]
    fields["left_out"] = (*fields.get("left_out", ()), *never)
    form = Form(recipe, **fields)
    if not (form.has or form.has_one_of or form.by_name or form.marked or form.only):
        raise _WrongError("has neither 'has' nor 'has_one_of', by which the form is recognised", FORM, at)
    for kinds in (("rows", "columns"), ("each", "blocks", "chunks")):
        if sum(key in table for key in kinds) > 1:
            known = " and ".join(map(repr, kinds))
            raise _WrongError(f"only one of {known} is for a form", next(k for k in kinds if k in table), at)
    for needs, keys in (
        ("rows", ("key", "value", "join", "join_companion")),
        ("pairs", ("alone",)),
        ("companion", ("join_companion",)),
        ("refused", ("hint",)),
    ):
        lonely = next((key for key in keys if table.get(key) and not table.get(needs)), None)
        if lonely is not None:
            raise _WrongError(f"{lonely!r} needs {needs!r}", lonely, at)
    if form.outer and not form.rows and not form.columns:
        raise _WrongError("'outer' needs 'rows' or 'columns'", "outer", at)
    if form.chunks and form.chunks[-1] != EACH:
        raise _WrongError("'chunks' does not end with the list of chunks: a[]", "chunks", at)
    if (form.join or form.join_companion) and not form.key:
        raise _WrongError("'join' needs 'key', the column of ids that it looks up", "join", at)
    return form


def _only(table: dict[str, Any], known: tuple[str, ...], form: int) -> None:
    for key in table:
        if key not in known:
            raise _WrongError(f"has an unknown key {key!r}; known are {', '.join(known)}", key, form)


def _text(value: Any, key: str, form: int) -> str:
    if not isinstance(value, str) or not value:
        raise _WrongError(f"{key!r} is not a text" if value is not None else f"has no {key!r}", key, form)
    return value


def _texts(value: Any, key: str, form: int) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise _WrongError(f"{key!r} is not a list of texts", key, form)
    return tuple(value)


def _flag(value: Any, key: str, form: int) -> bool:
    if not isinstance(value, bool):
        raise _WrongError(f"{key!r} is neither true nor false", key, form)
    return value


def _path(value: Any, key: str, form: int) -> Steps:
    text = _text(value, key, form)
    try:
        return steps_of(text, root=True)
    except PathError as error:
        raise _WrongError(f"the path {text!r} in {key!r} {error}", key, form) from None


def _paths(value: Any, key: str, form: int) -> tuple[str, ...]:
    texts = _texts(value, key, form)
    for text in texts:
        _path(text, key, form)
    return texts


def _steps(value: Any, key: str, form: int) -> tuple[Steps, ...]:
    return tuple(_path(text, key, form) for text in _texts(value, key, form))


def _conditions(value: Any, key: str, form: int) -> tuple[Condition, ...]:
    found: list[Condition] = []
    for text in _texts(value, key, form):
        path, colon, kind = text.rpartition(":")
        if not colon:
            path, kind = text, "any"
        kind = kind.strip()
        if kind not in get_args(FormKind):
            known = ", ".join(get_args(FormKind))
            raise _WrongError(
                f"{text!r} in {key!r} has an unknown kind {kind!r}; known are {known}", key, form
            )
        found.append(Condition(_path(path.strip(), key, form), kind))  # type: ignore[arg-type] # it is one
    return tuple(found)


def _table(value: Any, key: str, form: int) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _WrongError(f"{key!r} is not a table", key, form)
    return value


def _named_paths(value: Any, key: str, form: int) -> tuple[tuple[str, Steps], ...]:
    return tuple((name, _path(path, key, form)) for name, path in _table(value, key, form).items())


def _first(value: Any, key: str, form: int) -> tuple[tuple[str, tuple[Steps, ...]], ...]:
    return tuple((name, _steps(paths, key, form)) for name, paths in _table(value, key, form).items())


def _renamed(value: Any, key: str, form: int) -> tuple[tuple[str, str], ...]:
    return tuple((name, _text(new, key, form)) for name, new in _table(value, key, form).items())


def _objects(value: Any, key: str, form: int) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: list[tuple[str, tuple[str, ...]]] = []
    for name, names in _table(value, key, form).items():
        texts = _texts(names, key, form)
        if len(texts) < 2:
            raise _WrongError(f"{name!r} in {key!r} is not two names, of the key and of the value", key, form)
        found.append((name, texts))
    return tuple(found)


def _absent(value: Any, key: str, form: int) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    table = _table(value, key, form)
    return tuple((name, tuple(_values(values, key, form))) for name, values in table.items())


def _values(value: Any, key: str, form: int) -> list[Any]:
    if not isinstance(value, list) or any(isinstance(one, list | dict) for one in value):
        raise _WrongError(f"{key!r} is not a list of texts, numbers or booleans", key, form)
    return value


def _typed(value: Any, key: str, form: int) -> tuple[tuple[str, str], ...]:
    for name, kind in _table(value, key, form).items():
        if kind not in VALUE_KINDS:
            known = ", ".join(VALUE_KINDS)
            raise _WrongError(f"{name!r} in {key!r} is {kind!r}; known are {known}", key, form)
    return tuple(value.items())


def _numbered(value: Any, key: str, form: int) -> tuple[str, ...]:
    texts = _texts(value, key, form)
    if len(texts) < 2:
        raise _WrongError(f"{key!r} is not two names: of the id column, and of the number in it", key, form)
    return texts


def _dtype(value: Any, key: str, form: int) -> str:
    if value not in get_args(VectorDtype):
        raise _WrongError(f"{key!r} is not one of {', '.join(get_args(VectorDtype))}", key, form)
    return str(value)


def _file(value: Any, key: str, form: int) -> str:
    text = _text(value, key, form)
    if "/" in text or text in (".", ".."):
        raise _WrongError(f"{key!r} is not the name of a file in the same folder", key, form)
    return text


def _rejects(value: Any, form: int) -> tuple[RejectRule, ...]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _WrongError("'reject' is not a list of tables, each under [[form.reject]]", REJECT, form)
    found: list[RejectRule] = []
    for table in value:
        _only(table, ("at", "unless", "says"), form)
        unless = _values(table.get("unless", []), "unless", form)
        at, says = _path(table.get("at"), "at", form), _text(table.get("says"), "says", form)
        found.append(RejectRule(at, says, tuple(unless)))
    return tuple(found)


FIELDS: dict[str, Callable[[Any, str, int], Any]] = {
    "what": _text,
    "has": _conditions,
    "has_one_of": _conditions,
    "lacks": _conditions,
    "only": _texts,
    "by_name": _flag,
    "marked": _flag,
    "refused": _text,
    "hint": _text,
    "rows": _path,
    "each": _path,
    "blocks": _path,
    "chunks": _path,
    "columns": _steps,
    "empty": _texts,
    "outer": _paths,
    "key": _text,
    "value": _text,
    "pairs": _text,
    "alone": _texts,
    "companion": _file,
    "join": _named_paths,
    "join_companion": _named_paths,
    "single": _steps,
    "typed": _typed,
    "octets": _steps,
    "first": _first,
    "objects": _objects,
    "numbered": _numbered,
    "id": _paths,
    "vector": _paths,
    "vector_dtype": _dtype,
    "contents": _paths,
    "contents_else": _paths,
    "metadata": _paths,
    "left_out": _paths,
    "drop": _steps,
    "absent": _absent,
    "unsupported": _paths,
    "spread": _texts,
    "rename": _renamed,
}


def _line_of(text: str, key: str, form: int) -> int:
    """The line of a key in a form of a recipe; that of the form, or the first, if the key is not there."""
    lines = text.splitlines()
    headers = [at for at, line in enumerate(lines) if re.match(r"\s*\[\[\s*form\s*\]\]", line)]
    begin, end = 0, headers[0] if headers and key != FORM else len(lines)
    if 0 <= form < len(headers):
        begin, end = headers[form], headers[form + 1] if form + 1 < len(headers) else len(lines)
    elif form < 0 and key == "folder":
        end = len(lines)
    name = re.escape(key)
    pattern = re.compile(
        rf"\s*(?:[\"']?{name}[\"']?\s*=|\[\[?\s*(?:form\.)?{name}\s*\]\]?|[\"']?{name}[\"']?\s*\.)"
    )
    found = next((at for at in range(begin, end) if key and pattern.match(lines[at])), None)
    if found is None and form < 0 and key:
        found = next((at for at, line in enumerate(lines) if pattern.match(line)), None)
    return (begin if found is None else found) + 1
