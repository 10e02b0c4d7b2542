"""Which column is which: what the user named, and a guess of the rest from names and types."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vecload.errors import MappingError
from vecload.mapping.chosen import ColumnChoice, Mapping, Reasons
from vecload.mapping.columns import Column, Shape, Steps, find, first_named, listed, with_named
from vecload.mapping.late_columns import late_names
from vecload.mapping.metadata_choice import choose_metadata
from vecload.mapping.rules import Rules
from vecload.mapping.shapes import KnownShape, shape_of
from vecload.mapping.vector_choice import VECTOR_NAMES, choose_vector

ID_NAMES = ("id", "_id", "ids", "doc_id", "uuid", "key", "__index_level_0__")
CONTENTS_NAMES = ("contents", "content", "text", "document", "page_content", "body", "chunk")

ID_SHAPES: tuple[tuple[Shape, ...], ...] = (("text", "integer", "bytes"), ("null", "other"))
"""What an id looks like; the second where no column of a usual name looks like the first."""
CONTENTS_SHAPES: tuple[tuple[Shape, ...], ...] = (("text", "bytes"), ("null",))
"""Likewise of contents: nothing but text and bytes can be sealed."""
_INDEX_LEVEL = re.compile(r"__index_level_[0-9]+__")
"""An index without a name, as pandas writes it."""


def guess_mapping(
    columns: Sequence[Column],
    choice: ColumnChoice,
    *,
    source: str,
    embed: bool = False,
    rules: Rules = Rules(),  # noqa: B008 a frozen value
    more: bool = False,
) -> Mapping:
    """Decide which column is which.

    Args:
        columns: The source's columns.
        choice: What the user named.
        source: For messages.
        embed: The index makes the vectors of the contents; no vector column is looked for.
        rules: What else is asked of items.
        more: Rows may have columns that these are not: what the user names is taken to be there.

    Raises:
        MappingError: A named column is missing, or the guess finds none or several.
    """
    names = [column.name for column in columns]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise MappingError(f"{source} has two columns named {twice!r}", hint="rename one of them in the file")
    seen = _Seen(columns, source, more=more)
    shape = shape_of(seen.own, choice.shape)
    for flag, path in (
        ("--id-column", choice.id),
        ("--vector-column", choice.vector),
        *(("--metadata-column", path) for path in choice.metadata),
        ("--contents-column", choice.contents),
    ):
        if path is not None:
            _check_typo(seen, choice, path, flag)
            seen.take(path, flag)
    item_id, why_id = _choose_id(seen, choice, shape, rules)
    vector, why_vector = choice.vector, "--vector-column"
    if vector is None and embed:
        why_vector = ""
    elif vector is None:
        vector, why_vector = choose_vector(seen.free(), shape, source)
        seen.take(vector, "--vector-column")
    contents, why_contents = _choose_contents(seen, choice, shape)
    if embed and contents is None:
        raise MappingError(
            f"{source} has no contents column, which --embed needs; it has {listed(names)}",
            hint="name it with --contents-column",
        )
    idle = _idle(seen, embed=embed)
    metadata = choose_metadata(seen.columns, choice, shape, seen.steps, source, idle=idle, more=more)
    return Mapping(
        item_id,
        vector,
        contents,
        metadata.object,
        metadata.fields,
        excluded=metadata.excluded,
        excluded_fields=metadata.excluded_fields,
        renamed=choice.renamed,
        nested=tuple(
            (path, steps) for path, steps in {**seen.steps, **metadata.steps}.items() if len(steps) > 1
        ),
        refused=metadata.refused,
        late_contents=_late(seen, choice) if contents is None else frozenset(),
        shape=shape.name if shape else "",
        rules=rules,
        columns=tuple(names),
        reasons=Reasons(why_id, why_vector, why_contents, metadata.reason),
    )


class _Seen:
    """A source's columns, and which of them have become a part of the item."""

    def __init__(self, columns: Sequence[Column], source: str, *, more: bool) -> None:
        self.columns = columns
        self.more = more
        self.steps: dict[str, Steps] = {}
        self.source = source

    @property
    def own(self) -> list[Column]:
        """Those of the source itself."""
        return [column for column in self.columns if not column.partition]

    def take(self, path: str, flag: str) -> None:
        """Note that a column or a field is a part.

        Raises:
            MappingError: There is none of that name, and none can be.
        """
        if self.more:
            self.columns = with_named(self.columns, path)
        found = find(self.columns, path)
        if found is None:
            raise MappingError(
                f"{self.source} has no column {path!r} ({flag})", hint=f"it has {_inside(self.columns, path)}"
            )
        self.steps[path] = found[0]

    def free(self) -> list[Column]:
        """The columns of the source itself that are no part yet."""
        taken = {steps[0] for steps in self.steps.values() if len(steps) == 1}
        return [column for column in self.own if column.name not in taken]

    def first(self, paths: Sequence[str], shapes: Sequence[Sequence[Shape]]) -> str | None:
        """The first of these paths that leads to a column or field of such a shape that is no part yet."""
        for wanted in shapes:
            for path in paths:
                found = find(self.own, path)
                if found is not None and path not in self.steps and found[1].shape in wanted:
                    return path
        return None

    def named(
        self, names: Sequence[str], shapes: Sequence[Sequence[Shape]], out: Sequence[str], flag: str
    ) -> str | None:
        """The free column of such a shape with the first of these names, less some columns."""
        for wanted in shapes:
            free = [c for c in self.free() if c.shape in wanted and c.name not in out]
            found = first_named(names, free, self.source, flag)
            if found is not None:
                return found
        return None


def _choose_id(
    seen: _Seen, choice: ColumnChoice, shape: KnownShape | None, rules: Rules
) -> tuple[str | None, str]:
    if choice.id is not None:
        return choice.id, "--id-column"
    if shape and (known := seen.first(shape.id, ID_SHAPES)):
        seen.take(known, "--id-column")
        return known, f"the shape of {shape.name}"
    out = shape.left_out if shape else ()
    found = seen.named(ID_NAMES[:-1], ID_SHAPES, out, "--id-column")
    index = [
        column.name
        for column in seen.free()
        if (column.index or column.name == ID_NAMES[-1]) and column.shape in ID_SHAPES[0] + ID_SHAPES[1]
    ]
    reason = "its name"
    if found is None and len(index) == 1:
        found, reason = index[0], "the data frame's index"
    if found is None and rules.generate_ids:
        return None, "--generate-ids"
    if found is None:
        raise MappingError(
            f"{seen.source} has no id column; it has {listed(c.name for c in seen.columns)}",
            hint="name it with --id-column, or have ids made with --generate-ids",
        )
    seen.take(found, "--id-column")
    return found, reason


def _choose_contents(seen: _Seen, choice: ColumnChoice, shape: KnownShape | None) -> tuple[str | None, str]:
    if choice.contents is not None:
        return choice.contents, "--contents-column"
    if shape and (known := seen.first(shape.contents, CONTENTS_SHAPES)):
        seen.take(known, "--contents-column")
        return known, f"the shape of {shape.name}"
    out = shape.left_out if shape else ()
    found = seen.named(CONTENTS_NAMES, CONTENTS_SHAPES, out, "--contents-column")
    if found is None:
        return None, ""
    seen.take(found, "--contents-column")
    return found, "its name"


def _check_typo(seen: _Seen, choice: ColumnChoice, path: str, flag: str) -> None:
    """Refuse contents that the first rows don't have where others would become metadata instead.

    Raises:
        MappingError: The name may be a slip of the pen.
    """
    if flag != "--contents-column" or not seen.more or choice.metadata or find(seen.columns, path):
        return
    out = (*choice.excluded, *(name for name in (choice.id, choice.vector) if name))
    other = seen.named(CONTENTS_NAMES, CONTENTS_SHAPES[:1], out, flag)
    if other is not None:
        raise MappingError(
            f"{seen.source} has no column {path!r} ({flag}) in its first rows, but {other!r}",
            hint=f"name that, or leave it out of the metadata with --metadata-exclude {other}",
        )


def _late(seen: _Seen, choice: ColumnChoice) -> frozenset[str]:
    """Usual names of contents that would become metadata in later rows."""
    if not seen.more or choice.metadata:
        return frozenset()
    late = late_names(CONTENTS_NAMES, [column.name for column in seen.own])
    return late.difference(choice.excluded)


def _idle(seen: _Seen, *, embed: bool) -> list[str]:
    """Columns that tell nothing of an item: an index that was not named, vectors where others are made."""
    return [
        column.name
        for column in seen.free()
        if _INDEX_LEVEL.fullmatch(column.name)
        or (embed and column.name.lower() in VECTOR_NAMES and column.shape in ("floats", "integers", "bytes"))
    ]


def _inside(columns: Sequence[Column], path: str) -> str:
    """What there is instead of a path: the fields of the column it begins with, or the columns."""
    outer = next((c for c in columns if c.fields and path.startswith(c.name + ".")), None)
    if outer is None:
        return listed(column.name for column in columns)
    return listed(f"{outer.name}.{field.name}" for field in outer.fields)
