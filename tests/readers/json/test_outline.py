from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecload.mapping.paths import EACH, ENTRIES
from vecload.readers.json import outline as module
from vecload.readers.json.outline import Outline, outline_of
from vecload.readers.storage.files import LocalFile

OBJECTS = st.dictionaries(
    st.text(max_size=3),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=3), inner, max_size=9),
    ),
    max_size=9,
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is kept, and pieces are small."""
    for name, value in (("LIST_BYTES", 8), ("ENTRIES_MAX", 3), ("DEPTH_MAX", 6), ("_PIECE_BYTES", 7)):
        monkeypatch.setattr(module, name, value)


def outlined(path: Path, text: str | bytes) -> Outline:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return outline_of(LocalFile(str(path)))


def is_beginning(kept: Any, whole: Any) -> bool:
    """Whether something has only parts of something else, in the same order."""
    if isinstance(kept, dict):
        return isinstance(whole, dict) and all(is_beginning(one, whole[name]) for name, one in kept.items())
    if isinstance(kept, list):
        return isinstance(whole, list) and all(map(is_beginning, kept, whole[: len(kept)]))
    return bool(kept == whole)


@pytest.mark.usefixtures("small")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=OBJECTS, indent=st.none() | st.integers(0, 2))
def test_an_outline_is_the_beginning_of_every_list_and_object(
    tmp_path: Path, document: dict[str, Any], indent: int | None
) -> None:
    outline = outlined(tmp_path / "a.json", json.dumps(document, indent=indent))
    assert outline.error is None
    assert is_beginning(outline.value, document)
    assert [*outline.value] == [*document][:3]
    if outline.value != document:
        assert outline.left


@pytest.mark.usefixtures("small")
def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    rows = [{"n": 1, "v": [*range(20)]}] * 9
    outline = outlined(tmp_path / "a.json", json.dumps({"took": 1, "hits": {"hits": rows}, "of": "x"}))
    assert outline.value == {"took": 1, "hits": {"hits": [{"n": 1, "v": [0, 1, 2]}]}, "of": "x"}
    assert outline.left == (("hits", "hits", EACH, "v"), ("hits", "hits"))
    assert outline.is_whole_around(("hits", "hits", EACH))
    assert not outline.is_whole_around(("of", EACH))
    assert outline.has_whole("took")
    assert not outline.has_whole("hits")
    assert outline.leads(("hits", "hits", EACH))
    assert outline.leads((ENTRIES, "hits", EACH))
    assert not outline.leads(("took", EACH))


def test_a_name_that_is_there_twice_is_seen(tmp_path: Path) -> None:
    outline = outlined(tmp_path / "a.json", '{"a": {"b": [1], "c": 1, "b": [2]}, "d": 1}')
    assert outline.twice(("a", "b", EACH)) == ("a", "b")
    assert outline.twice(("a", "c")) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1,\n "b": [1, 2}', "line 2, column 12"),
        ('{"a": 1,\n "é": x}', "line 2, column 7"),
        ('{"rows": [' + "1, " * 5000 + '2],\n "b": x}', "line 2, column 7"),
        ('{"rows": [' + "1,\n" * 5000 + '2], "b": x}', "line 5001, column 10"),
        ('{"rows": [' + "1,\n" * 5000 + "2], 5}", "line 5001, column 5"),
        ('{"rows": [' + "1,\n" * 5000, "line 5001, column 1"),
        ('{"rows": [{"a": "', "line 1, column 18"),
        ('{"a": 1}\n]', "line 2, column 1"),
    ],
    ids=str.__len__,
)
def test_what_is_wrong_is_named_by_its_place_in_the_file(tmp_path: Path, text: str, says: str) -> None:
    outline = outlined(tmp_path / "a.json", text)
    assert outline.error is not None
    assert f"line {outline.place.line}, column {outline.place.column}" == says
    if len(text) < 1000:  # then the parser says the same of the whole
        with pytest.raises(orjson.JSONDecodeError) as raised:
            orjson.loads(text)
        assert (raised.value.lineno, raised.value.colno) == (outline.place.line, outline.place.column)


def test_a_document_that_is_cut_off_shows_what_it_would_have_been(tmp_path: Path) -> None:
    outline = outlined(tmp_path / "a.json", '{"rows": [{"v": [' + "1, " * 5000)
    assert outline.error is not None
    assert outline.leads(("rows", EACH))


@pytest.mark.parametrize(
    "text",
    ['{"a": "' + "x" * 2**25 + '"}', "{" + '"a": {' * 10**6 + "}" * 10**6 + "}"],
    ids=["a long text", "deeply nested"],
)
def test_no_more_than_an_outline_is_held_of_anything(tmp_path: Path, text: str) -> None:
    outline = outlined(tmp_path / "a.json", text)
    assert outline.error is None
    assert outline.left or outline.value is None


def test_what_follows_a_document_is_shown(tmp_path: Path) -> None:
    assert outlined(tmp_path / "a.json", "{} \n\n" + " " * 2**21 + '{"b": 1}').rest.startswith(b'{"b": 1}')
    assert outlined(tmp_path / "a.json", "\ufeff {}\n\n").rest == b""
