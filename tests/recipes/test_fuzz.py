"""Malformed recipes, paths and exports: an error of one line, or rejects, and never anything else."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.recipes.test_table import FORMS, TABLE
from vecload.errors import UsageError, VecloadError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice, Rules
from vecload.mapping.forms import Form
from vecload.readers import ReadOptions, open_sources
from vecload.recipes.known import RecipeChoice, recipe_names, recipe_text, recipes
from vecload.recipes.reader import FIELDS, read_recipe
from vecload.recipes.reshape import reshaped

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def read(text: str) -> None:
    """Read a recipe; what is wrong is one line with the line's number."""
    try:
        read_recipe(text, "own", "own.toml")
    except UsageError as error:
        said = str(error)
        assert "\n" not in said
        assert said.startswith("recipe own.toml, line ")
        number = int(said.removeprefix("recipe own.toml, line ").partition(":")[0])
        assert 1 <= number <= text.count("\n") + 1


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(recipe_names()), st.randoms(use_true_random=False))
def test_a_damaged_recipe_is_one_line(name: str, chance: random.Random) -> None:
    text = recipe_text(name)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text))
        new = chance.choice(["", '"', "[", "]", "{", "\n", "=", ".", "x", "1", "\0", "ü", " = 3", "[[form]]"])
        text = text[:at] + new + text[at + chance.randint(0, 3) :]
    read(text)


KEYS = st.sampled_from([*FIELDS, "reject", "pages"])
TOML = (
    st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from(["a", "a.b[]", "a[*].b", "a[", "text", "", "a: list"])
    | st.lists(st.sampled_from(["a", "b.c", "a: text", "", "x["]), max_size=3)
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, TOML | st.dictionaries(st.sampled_from("ab"), TOML, max_size=2), max_size=6))
def test_a_form_of_any_keys_is_a_form_or_one_line(form: dict[str, Any]) -> None:
    def toml(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + "}"
        return json.dumps(value)

    lines = [f"{key} = {toml(value)}" for key, value in form.items()]
    read("\n".join(['tool = "x"', "[[form]]", *lines]))


WRONG: dict[str, str] = {"by_name": '"yes"', "marked": "1"} | {
    key: "3.5" for key in (*FIELDS, "reject", "pages") if key not in ("by_name", "marked")
}


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_value_is_reported_at_its_line(key: str) -> None:
    begin = ['tool = "x"', "", "[[form]]", 'has = ["a"]', 'id = ["b"]']
    lines = [line for line in begin if not line.startswith(f"{key} =")]
    text = "\n".join([*lines, "# a comment", f"{key} = {WRONG[key]}", "", "[[form]]", 'has = ["c"]'])
    with pytest.raises(UsageError) as failed:
        read_recipe(text, "own", "own.toml")
    assert str(failed.value).startswith(f"recipe own.toml, line {len(lines) + 2}: ")
    assert repr(key) in str(failed.value)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["has", "lacks", "rows", "each", "columns", "id", "vector", "drop", "first", "left_out"]),
    st.text(alphabet='ab.[]*0"\\ :é\n', max_size=8),
)
def test_any_path_in_a_recipe_is_a_path_or_one_line(key: str, path: str) -> None:
    toml = json.dumps(path if key in ("rows", "each") else [path])
    toml = f"{{ x = {toml} }}" if key == "first" else toml
    read("\n".join(['tool = "x"', "[[form]]", 'has_one_of = ["a"]', f"{key} = {toml}"]))


ROW = {
    "id": "a",
    "a": {"b": [{"c": 1, "v": [0.5, 0.25]}], "d.e": "x", "": {"f": None}, "text": '{"g": [1]}'},
    "m": {"k": {"v": [0.5, 1.0]}, "l": {"v": [1.0, 0.5]}},
    "v": [0.5, 0.25],
}
STEPS = st.sampled_from(
    [
        *("id", "a", "b", "c", "d.e", '"d.e"', '[""]', "m", "k", "v", "g", "f", "text", "x", "é", "[key]"),
        *(
            "[0]",
            "[1]",
            "[]",
            "[*]",
            "[999999999]",
            "[9999999999]",
            "[-1]",
            '["',
            "[",
            "]",
            ".",
            "..",
            " ",
            '"',
        ),
    ]
)
PATHS = st.lists(STEPS, min_size=1, max_size=5).map(".".join) | st.lists(STEPS, min_size=1, max_size=5).map(
    "".join
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["jsonl", "json", "parquet"]),
    st.dictionaries(
        st.sampled_from(["id", "vector", "contents", "metadata", "excluded", "renamed", "more_ids"]),
        PATHS,
        min_size=1,
        max_size=3,
    ),
)
def test_any_path_in_a_flag_is_items_or_rejects_or_one_line(
    tmp_path: Path, kind: str, named: dict[str, str]
) -> None:
    path = tmp_path / f"rows.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps({**ROW, "id": name}) + "\n" for name in "ab"))
    elif kind == "json":
        path.write_text(json.dumps({"m": ROW["m"], "a": ROW["a"]}, indent=1))
    elif not path.exists():
        pq.write_table(pa.Table.from_pylist([{**ROW, "id": name} for name in "ab"]), path)
    lists = {"metadata", "excluded", "more_ids"}
    fields: dict[str, Any] = {name: (one,) if name in lists else one for name, one in named.items()}
    if "renamed" in named:
        fields["renamed"] = ((named["renamed"], "new"),)
    if "more_ids" in named:
        fields.setdefault("id", "id")
    choice = ColumnChoice(**fields)
    said = loaded(path, choice, RecipeChoice(paths=(*named.values(),)))
    assert "\n" not in said


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_vector_may_be_named_in_any_spelling_of_its_path(tmp_path: Path, kind: str) -> None:
    rows = [{"id": name, "a": {"d.e": [0.5, 0.25]}} for name in "ab"]
    path = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for spelling in ('a."d.e"', 'a["d.e"]', "a.d.e"):
        assert loaded(path, ColumnChoice(vector=spelling), RecipeChoice()) == ""


def loaded(path: Path, choice: ColumnChoice, recipe: RecipeChoice) -> str:
    """Map all rows of a file; what is said if that can't be done."""
    try:
        sources = open_sources([str(path)], ReadOptions(recipes=recipe))
        plan = make_plan(sources, choice, embed=False, rules=Rules(generate_ids=True))
        for job in plan.jobs(index_dimension=0, allow_zero_vectors=False):
            for batch in job.source.batches(job.mapper, batch_rows=2, batch_bytes=2**20):
                assert len(batch.span) == len(batch.ids) + len(batch.rejects)
    except VecloadError as error:
        return str(error)
    return ""


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([form for _, form in FORMS]), st.lists(VALUES, max_size=3))
def test_any_value_becomes_rows_or_faults(form: Form, values: list[Any]) -> None:
    with suppress(VecloadError):
        found = reshaped(form, values, {}, companion={"docstore/data": values}, source="rows.json")
        assert len(found.rows) == len(found.origins)
        assert all(isinstance(row, dict) for row in found.rows)
        assert all(0 <= at < len(found.rows) for at in found.broken)


def changed(value: Any, chance: random.Random) -> Any:
    """A value with something in it replaced, missing or twice."""
    if isinstance(value, dict) and value:
        key = chance.choice([*value])
        other = {name: one for name, one in value.items() if name != key}
        return other if chance.random() < 0.2 else {**value, key: changed(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.7:
        at = chance.randrange(len(value))
        return [*value[:at], changed(value[at], chance), *value[at + chance.randint(0, 1) :]]
    return chance.choice(
        [None, "", "x", 0, -1, 2**70, 1e308, True, [], {}, [[]], [1, "a"], {"": 1}, "é\ud800"]
    )


SAMPLES = [case.rows for cases in TABLE.values() for case in cases if isinstance(case.rows, list | dict)]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(SAMPLES),
    st.sampled_from([None, *(recipe for recipe in recipes() if recipe.forms)]),
    st.integers(0, 2),
    st.randoms(use_true_random=False),
)
def test_a_changed_export_is_items_or_rejects_or_one_line(
    tmp_path: Path, sample: Any, named: Any, indent: int, chance: random.Random
) -> None:
    rows = changed(changed(sample, chance), chance)
    path = tmp_path / "rows.json"
    lines = rows if isinstance(rows, list) and not indent else [rows]
    path.write_text("".join(json.dumps(line, indent=indent or None) + "\n" for line in lines))
    recipe = RecipeChoice(named=named if chance.random() < 0.3 else None)
    assert "\n" not in loaded(path, ColumnChoice(), recipe)


@pytest.mark.parametrize("name", ["../x", "a\0b.toml", "/dev/null", "."])
def test_a_name_that_is_no_recipe_is_one_line(name: str) -> None:
    from vecload.recipes.known import recipe_named

    with pytest.raises(UsageError) as failed:
        recipe_named(name)
    assert "\n" not in str(failed.value)
