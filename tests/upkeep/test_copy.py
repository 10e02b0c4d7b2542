"""A copy of an index is the same index: elsewhere, under another key, made as the first or as asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import vecload
from tests.cli.command import vecload as run
from tests.upkeep.conftest import ITEMS, Place
from tests.upkeep.kills import KILLS, kill_until_done

ENGINES = ("embedded", "service")


def copy(one: Place, two: Place, **options: object) -> vecload.LoadResult:
    return vecload.copy(
        from_=one.to,
        from_index=one.index,
        from_key=one.key,
        to=two.to,
        index=two.index,
        key=two.key,
        **options,
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("other", ENGINES)
def test_a_copy_is_the_same_index(
    full: Callable[[str], Place], place: Callable[[str], Place], engine: str, other: str
) -> None:
    one, two = full(engine), place(other)
    result = copy(one, two)
    assert (result.status, result.loaded, result.rejected) == ("complete", ITEMS, 0)
    assert two.items() == one.items()
    made = two.open().describe()
    assert (made.metric, made.dimension) == ("cosine", 8)
    assert made.metadata_schema == one.open().describe().metadata_schema
    assert "body" in made.metadata_schema


def test_a_copy_is_made_as_asked(full: Callable[[str], Place], place: Callable[[str], Place]) -> None:
    one, two = full("embedded"), place("embedded")
    copy(one, two, metric="euclidean", full_text="text", storage_precision="float16", max_errors=1)
    made = two.open().describe()
    assert made.metric == "euclidean"
    assert [*made.metadata_schema] == ["text"]
    stored = two.open().get(["id 3"], ["vector"])[0]["vector"]
    first = one.open().get(["id 3"], ["vector"])[0]["vector"]
    assert stored == np.array(first, np.float16).astype(np.float32).tolist()


def test_contents_of_a_copy_need_its_own_key(
    full: Callable[[str], Place], place: Callable[[str], Place]
) -> None:
    one, two = full("embedded"), place("embedded")
    copy(one, two)
    mixed = vecload.Key(two.key.index_key, one.key.contents_key)
    with pytest.raises(vecload.SealError, match="unknown key"):
        vecload.connect(two.to).open_index(two.index, mixed).get(["id 1"], ["contents"])


def test_a_copy_onto_itself_is_refused(full: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch) -> None:
    one = full("embedded")
    monkeypatch.chdir(Path(one.to).parent)
    for spelled in (one.to, "./store", "store/../store"):
        with pytest.raises(vecload.UsageError, match=r"can't be copied onto itself; .* with index$"):
            vecload.copy(from_=spelled, from_index=one.index, from_key=one.key, to=one.to, key=one.key)


def test_options_for_files_are_refused(full: Callable[[str], Place], place: Callable[[str], Place]) -> None:
    with pytest.raises(vecload.UsageError, match=r"^vector_column is for files; a copy"):
        copy(full("embedded"), place("embedded"), vector_column="v")


def test_an_item_that_does_not_open_stops_a_copy(
    full: Callable[[str], Place], place: Callable[[str], Place]
) -> None:
    one, two = full("embedded"), place("embedded")
    one.put_under_another_key("zz")
    with pytest.raises(vecload.RowsRejected, match=r"\(id 'zz'\): contents: do not open"):
        copy(one, two)
    assert copy(one, two, max_errors=1).rejected == 1
    assert two.open().count() == ITEMS


@pytest.mark.parametrize("number", range(KILLS))
def test_a_copy_outlives_kills(
    tmp_path: Path, full: Callable[[str], Place], place: Callable[[str], Place], number: int
) -> None:
    engine, other = (ENGINES[number % 2], ENGINES[number // 2 % 2])
    one, two = full(engine), place(other)
    one.key.save(tmp_path / "one")
    two.key.save(tmp_path / "two")
    arguments = [
        *("copy", "--from", one.to, "--from-index", one.index, "--from-key-file", str(tmp_path / "one")),
        *("--to", two.to, "--index", two.index, "--key-file", str(tmp_path / "two")),
        *("--batch-rows", "3", "--resume-wait", "0", "--json"),
    ]
    kill_until_done(arguments, tmp_path, number)
    summary = json.loads((tmp_path / "out").read_text())
    assert summary["loaded"] + summary["skipped"] == ITEMS
    assert two.items() == one.items()


def test_the_command_says_what_it_copied(
    tmp_path: Path, full: Callable[[str], Place], place: Callable[[str], Place]
) -> None:
    one, two = full("embedded"), place("embedded")
    one.key.save(tmp_path / "one")
    ended = run(
        *("copy", "--from", one.to, "--from-key-file", tmp_path / "one"),
        *("--to", tmp_path / "elsewhere", "--json"),
    )
    assert ended.code == 0
    assert json.loads(ended.out)["index"] == one.index
    assert f"created index '{one.index}' (8 dimensions, cosine)" in ended.err
    assert two.to == one.to
