"""Decides which column is which: as the user chose, and by a guess where only one choice is plausible."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from vecload.errors import MappingError
from vecload.mapping.columns import (
    PATHS_HINT,
    Column,
    ValueKind,
    find,
    listed,
    missing_error,
    with_named,
)
from vecload.mapping.contents_choice import TextCandidate, check_chosen, choose_contents, text_candidates
from vecload.mapping.forms import Form
from vecload.mapping.id_choice import UNNAMED_INDEX, ChosenId, choose_id, verdict_on
from vecload.mapping.mapping import ColumnChoice, ColumnMapping, Reasons, Rules
from vecload.mapping.metadata_choice import choose_metadata
from vecload.mapping.paths import ENTRIES, KEY, PathError, Steps, steps_of
from vecload.mapping.vector_choice import (
    Candidate,
    candidates,
    check_named,
    choose_vector,
    encoding_of_column,
    encoding_text,
    several_error,
    unused_candidates,
    vector_written,
)

CONTENTS_KINDS: tuple[tuple[ValueKind, ...], ...] = (("text", "bytes"), ("null",))
"""Kinds of values of a form's contents; the second if no column has the first."""


def guess_mapping(
    columns: Sequence[Column],
    choice: ColumnChoice,
    *,
    source: str,
    embed: bool = False,
    rules: Rules = Rules(),  # noqa: B008 a frozen value
    more: bool = False,
    form: Form | None = None,
    form_named: bool = False,
) -> ColumnMapping:
    """Decide which column is which.

    Args:
        columns: The source's columns, with their values in the first rows.
        choice: What the user chose.
        source: For messages.
        embed: The index makes the vectors of rows that have none, so there may be no vector column.
        rules: The rules that items follow.
        more: Later rows may have more columns, so columns that the user names may be missing here.
        form: The form of a recipe that the rows have; None if they have none.
        form_named: The user named the recipe.

    Raises:
        MappingError: A column that the user named is missing, or not exactly one choice is plausible.
    """
    names = [column.name for column in columns]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise MappingError(f"{source} has two columns named {twice!r}", hint="rename one of them in the file")
    choice, form = _with_names(choice, columns), None if form is None else _with_names(form, columns)
    seen = _Seen(columns, source, more=more)
    for flag, path in (
        *(("--id-column", path) for path in choice.ids),
        ("--vector-column", choice.vector),
        *(("--metadata-column", path) for path in choice.metadata),
        *(("--contents-column", path) for path in choice.all_contents),
    ):
        if path is not None:
            _check_typo(seen, choice, path, flag)
            seen.take(path, flag)
    chosen_id = _choose_id(seen, choice, form, rules)
    aside = {*form.left_out} - {steps_of(path)[0] for path in form.vector} if form else set()
    every = candidates(seen.free())
    found = [each for each in every if each.steps[0] not in aside]
    vector, why_vector = _choose_vector(seen, choice, form, found, embed=embed, form_named=form_named)
    vectors = {each.steps for each in found if each.is_text_of_numbers}
    contents, why_contents = _choose_contents(seen, choice, form, vectors)
    if vector is None and contents is None:
        raise MappingError(
            f"{source} has no contents column, which --embed needs; it has {listed(names)}",
            hint="name it with --contents-column",
        )
    kept = (*choice.metadata, *(form.unsupported if form else ()))
    unused = [each for each in unused_candidates(found, vector) if each.path not in kept]
    unused += [each for each in every if each not in found and each.encoding and each.encoding.problem]
    idle = [column.name for column in seen.free() if UNNAMED_INDEX.fullmatch(column.name)]
    metadata = choose_metadata(
        seen.columns,
        choice,
        form,
        seen.steps,
        source,
        idle=idle,
        more=more,
        unused=[each.steps for each in unused],
    )
    mapping = ColumnMapping(
        chosen_id.path,
        None if vector is None else vector.path,
        contents,
        metadata.object,
        metadata.fields,
        excluded=metadata.excluded,
        excluded_fields=metadata.excluded_fields,
        renamed=metadata.renamed,
        renamed_fields=metadata.renamed_fields,
        nested=tuple(
            (path, steps) for path, steps in {**seen.steps, **metadata.steps}.items() if len(steps) > 1
        ),
        unsupported=metadata.unsupported,
        cleartext_allowed=_cleartext_allowed(choice, metadata.object, seen.columns),
        embed=embed,
        recipe=form.recipe if form else "",
        reshaped=form.digest if form and form.reshapes else "",
        more_ids=choice.more_ids,
        more_contents=choice.more_contents,
        unsure_id=chosen_id.unsure,
        vector_written=vector_written(vector) if vector else "",
        unused=tuple((each.path, encoding_text(each.encoding)) for each in unused if each.encoding),
        inner_objects=form.spread if form else (),
        rules=rules,
        columns=tuple(names),
        reasons=Reasons(chosen_id.reason, why_vector, why_contents, metadata.reason),
    )
    return replace(mapping, metadata_names=metadata_names(mapping, seen.columns))


_T = TypeVar("_T", ColumnChoice, Form)


def _with_names(named: _T, columns: Sequence[Column]) -> _T:
    """What is named, with the names of columns in place of paths that are such names in quotes."""

    def plain(path: str) -> str:
        at = find(columns, path) if path.startswith('"') else None
        return path if at is None or len(at[0]) > 1 else at[0][0]

    changed: dict[str, Any] = {}
    for name in ("id", "vector", "contents", "metadata", "more_ids", "more_contents", "excluded", "left_out"):
        value = getattr(named, name, None)
        if isinstance(value, str):
            changed[name] = plain(value)
        elif value:
            changed[name] = tuple(map(plain, value))
    return replace(named, **changed)


class _Seen:
    """A source's columns, and which of them are already a part of the item."""

    def __init__(self, columns: Sequence[Column], source: str, *, more: bool) -> None:
        self.columns = columns
        self.more = more
        self.steps: dict[str, Steps] = {}
        self.source = source

    @property
    def own(self) -> list[Column]:
        """The columns of the source itself, not of its folders."""
        return [column for column in self.columns if not column.partition]

    def take(self, path: str, flag: str) -> Column:
        """Note that a column or field is a part.

        Raises:
            MappingError: There is none with that name, in no row.
        """
        if self.more:
            try:
                self.columns = with_named(self.columns, path)
            except PathError as error:
                raise MappingError(f"{flag} {path!r} {error}", hint=PATHS_HINT) from None
        found = find(self.columns, path)
        if found is None:
            raise missing_error(self.columns, path, self.source, flag)
        if flag == "--id-column" and found[0][-1] == ENTRIES:
            # The id of an entry is its key.
            found = (*found[0][:-1], KEY), replace(found[1], kind="text", values=(), fields=())
        self.steps[path] = found[0]
        return found[1]

    def free(self) -> list[Column]:
        """The columns of the source itself that are not a part yet."""
        taken = {steps[0] for steps in self.steps.values() if len(steps) == 1}
        return [column for column in self.own if column.name not in taken]

    def is_part(self, steps: Steps) -> bool:
        """Whether a field is a part, or inside one."""
        return any(steps[: len(way)] == way for way in self.steps.values())

    def first(self, paths: Sequence[str], kinds: Sequence[Sequence[ValueKind]]) -> str | None:
        """The first of these paths that leads to a column or field of these kinds that is not a part yet."""
        for wanted in kinds:
            for path in paths:
                found = find(self.own, path)
                if found is not None and path not in self.steps and found[1].kind in wanted:
                    return path
        return None


def _choose_id(seen: _Seen, choice: ColumnChoice, form: Form | None, rules: Rules) -> ChosenId:
    if choice.id is not None:
        return ChosenId(choice.id, "--id-column")
    for wanted in ("ids", "nothing"):
        for path in form.id if form else ():
            found = find(seen.own, path)
            if found is not None and path not in seen.steps and verdict_on(found[1]) == wanted:
                seen.take(path, "--id-column")
                return ChosenId(path, f"the recipe {form.recipe if form else ''}")
    out = form.left_out if form else ()
    chosen = choose_id(seen.free(), seen.own, seen.source, generate=bool(rules.generate_ids), out=out)
    if chosen.path is not None:
        seen.take(chosen.path, "--id-column")
    return chosen


def _choose_vector(
    seen: _Seen,
    choice: ColumnChoice,
    form: Form | None,
    found: Sequence[Candidate],
    *,
    embed: bool,
    form_named: bool,
) -> tuple[Candidate | None, str]:
    if choice.vector is not None:
        steps = seen.steps[choice.vector]
        at = find(seen.columns, choice.vector)
        assert at is not None  # noqa: S101 it was taken
        check_named(at[1], steps, seen.columns, seen.source)
        return Candidate(steps, at[1], encoding_of_column(at[1]), "vector"), "--vector-column"
    free = [each for each in found if not seen.is_part(each.steps)]
    if embed:
        # With --embed there need not be a vector: only a column with the name of one is taken for it.
        free = [
            each
            for each in free
            if each.name_hint == "vector"
            and each.dense
            and "[]" not in each.steps
            and {each.path, each.steps[0]}.isdisjoint(choice.excluded)
        ]
        if not free:
            return None, ""
        if len(free) > 1 and not (form and form.vector):
            raise several_error(
                free,
                seen.source,
                "name one with --vector-column, or leave them out with "
                f"--metadata-exclude {free[0].path} --metadata-exclude {free[1].path}",
            )
    chosen, why = choose_vector(free, seen.free(), form, seen.source, named=form_named)
    seen.steps[chosen.path] = chosen.steps
    return chosen, why


def _choose_contents(
    seen: _Seen, choice: ColumnChoice, form: Form | None, vectors: Collection[Steps]
) -> tuple[str | None, str]:
    why = ""
    contents = choice.all_contents
    if contents:
        why = "--contents-column"
    elif form and (known := seen.first(form.contents, CONTENTS_KINDS)):
        seen.take(known, "--contents-column")
        contents, why = (known,), f"the recipe {form.recipe}"
    out = (form.left_out if form else ()) if not choice.metadata else ()
    found = [each for each in text_candidates(seen.own, vectors) if _would_leave(seen, choice, each, out)]
    if contents:
        if choice.metadata:
            named = [seen.steps[path] for path in choice.metadata]
            found = [each for each in found if any(each.steps[: len(way)] == way for way in named)]
        check_chosen(found, contents, seen.source)
        return contents[0], why
    chosen, why = choose_contents(
        found,
        [column for column in seen.free() if column.name not in out and column.name not in choice.excluded],
        seen.source,
        metadata_named=bool(choice.metadata),
    )
    if chosen is None and form and not choice.metadata:
        chosen = seen.first(
            [path for path in form.contents_else if path not in choice.excluded], CONTENTS_KINDS
        )
        why = f"the recipe {form.recipe}" if chosen else why
    if chosen is not None:
        seen.take(chosen, "--contents-column")
    return chosen, why


def _would_leave(seen: _Seen, choice: ColumnChoice, text: TextCandidate, out: Sequence[str]) -> bool:
    """Whether a text would become metadata without the user having named or excluded it."""
    if seen.is_part(text.steps) and not _only_spread(seen, choice, text.steps):
        return False
    plain = [step for step in text.steps if step != "[]"]
    ways = {".".join(plain[: n + 1]) for n in range(len(plain))}
    aside = any(text.steps[: len(way)] == way for way in map(steps_of, out))
    aside = aside or text.steps[0] in out
    return not aside and ways.isdisjoint(choice.excluded) and plain[-1] not in choice.excluded


def _only_spread(seen: _Seen, choice: ColumnChoice, steps: Steps) -> bool:
    """Whether a field is inside an object that the user named as metadata, and is not named itself."""
    around = [path for path, way in seen.steps.items() if steps[: len(way)] == way]
    return all(
        path in choice.metadata and len(way := seen.steps[path]) < len(steps) and steps[len(way)] != "[]"
        for path in around
    )


def _check_typo(seen: _Seen, choice: ColumnChoice, path: str, flag: str) -> None:
    """Refuse contents that are missing from the first rows if another text would become metadata instead.

    Raises:
        MappingError: The name may be misspelt.
    """
    if flag != "--contents-column" or not seen.more or choice.metadata or find(seen.columns, path):
        return
    parts = {name for name in (*choice.ids, choice.vector) if name}
    other = next(
        (
            each.path
            for each in text_candidates(seen.own)
            if _would_leave(seen, choice, each, ()) and each.path not in parts
        ),
        None,
    )
    if other is not None:
        raise MappingError(
            f"{seen.source} has no column {path!r} ({flag}) in its first rows, but it has {other!r}",
            hint=f"name that column, or omit it from the metadata with --metadata-exclude {other}",
        )


def _cleartext_allowed(choice: ColumnChoice, spread: str | None, columns: Sequence[Column]) -> frozenset[str]:
    """Metadata that may be text under a name of contents: the user or a folder named it."""
    within = f"{spread}."
    inner = (path.removeprefix(within) for path in choice.metadata if spread and path.startswith(within))
    folders = (column.name for column in columns if column.partition)
    return frozenset((*choice.metadata, *inner, *(new for _, new in choice.renamed), *folders))


def metadata_names(mapping: ColumnMapping, columns: Sequence[Column]) -> tuple[str, ...]:
    """The names of the metadata in the first rows: of columns, and of entries of the metadata object."""
    out = {*mapping.excluded_fields}
    fields = (*mapping.metadata_fields,) if mapping.metadata_fields is not None else None
    names = [*fields] if fields is not None else mapping.leftover([column.name for column in columns])
    by_name = {column.name: column for column in columns}
    emptied = {
        name
        for name in names
        if (inside := by_name[name].fields if name in by_name else ())
        and all((name, field.name) in out for field in inside)
    }
    names = [name for name in names if name not in emptied]
    for name in mapping.inner_objects:
        if name in names and name in by_name and by_name[name].fields:
            names = [each for each in names if each != name] + [field.name for field in by_name[name].fields]
    if mapping.metadata_object is not None:
        found = find(columns, mapping.metadata_object)
        way = dict(mapping.nested).get(mapping.metadata_object, (mapping.metadata_object,))
        for field in found[1].fields if found else ():
            if (*way, field.name) not in out:
                inner = field.fields if field.name in mapping.inner_objects else ()
                kept = [each.name for each in inner if (*way, field.name, each.name) not in out]
                names += kept if inner else [field.name]
    renamed = dict(mapping.renamed)
    return tuple(dict.fromkeys(renamed.get(name, name) for name in names))
