from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecload.mapping.paths import EACH, ENTRIES, Steps, elements
from vecload.readers.json.elements import Line, Splitter

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("ab") | st.text(), inner),
)
WAYS: list[Steps] = [
    (EACH,), (ENTRIES,), ("a", EACH), ("a", ENTRIES), ("a", "b", EACH), ("a", ENTRIES, EACH),
    (EACH, EACH), ("a", EACH, "b", EACH), ("a", "[1]", EACH), ('"', EACH),
]  # fmt: skip


def lines_of(text: bytes, way: Steps, size: int = 2**20, **how: Any) -> list[bytes]:
    splitter = Splitter(way, **how)
    made = b"".join(splitter.feed(text[at : at + size]) for at in range(0, len(text), size))
    splitter.end()
    return made.splitlines()


@given(st.lists(VALUES, max_size=6), st.none() | st.integers(0, 3), st.integers(1, 50))
def test_the_elements_of_any_array_are_a_line_each(array: list[Any], indent: int | None, size: int) -> None:
    text = json.dumps(array, indent=indent).encode()
    assert [json.loads(line) for line in lines_of(text, (EACH,), size)] == array


@given(
    VALUES,
    st.sampled_from(WAYS),
    st.none() | st.integers(0, 3),
    st.integers(1, 50),
)
def test_the_elements_at_any_steps_are_those_of_the_parsed_document(
    inner: Any, way: Steps, indent: int | None, size: int
) -> None:
    document: Any = {"x": [{}], "a": inner, '"': [inner], "y": "[{"}
    if way[0] == EACH:
        document = [inner, document["x"], inner]
    text = json.dumps(document, indent=indent).encode()
    found = [json.loads(line) for line in lines_of(text, way, size)]
    assert found == [value for _, value in elements(document, way)]


@given(st.lists(VALUES, max_size=5), st.integers(1, 20), st.sampled_from(["", "a"]), st.booleans())
def test_objects_get_the_members_around_them(array: list[Any], size: int, value: str, with_ids: bool) -> None:
    ids = [f'row "{number}"' for number in range(len(array))]
    text = json.dumps({"rows": array}).encode()
    line = Line(front=b'"of":1,"a":[2]', value=json.dumps(value).encode() if value else b"")
    given_ids = iter([one.encode() for one in ids]) if with_ids else None
    found = [json.loads(one) for one in lines_of(text, ("rows", EACH), size, line=line, ids=given_ids)]
    expected = []
    for number, one in enumerate(array):
        if isinstance(one, dict):
            expected.append({"of": 1, "a": [2], **one, **({"id": ids[number]} if with_ids else {})})
        else:
            expected.append({"of": 1, "a": [2], value: one} if value else one)
    assert found == expected


def test_an_entry_may_keep_its_key_and_what_is_around_it() -> None:
    document = {"of": 1, "rows": {"a": {"n": 1}, 'b"': [2]}}
    line = Line(b'{"of":1,"rows":{', b"}}", keyed=True)
    found = lines_of(json.dumps(document).encode(), ("rows", ENTRIES), line=line)
    assert [json.loads(one) for one in found] == [
        {"of": 1, "rows": {"a": {"n": 1}}},
        {"of": 1, "rows": {'b"': [2]}},
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"rows": [{} {}]}', "a comma is missing between two elements"),
        ('{"rows": [{},]}', "it has a comma before a closing bracket"),
        ('{"rows": [{}}}', "it has a closing bracket of another kind"),
        ('{"rows": [{}', "it is cut off: its object is not closed"),
        ('{"rows": [{}], "of": }', "it has a name without a value"),
        ('{"rows": [{}], : 1}', "it has a colon without a name before it"),
        ('{"rows": [{}], "of" 1}', "it has a value without a name before it"),
        ('{"rows": [{}]} {}', "something follows after its object"),
        ('{"rows": [{}]}]', "something follows after its object"),
        ('{"rows": [{}]} 1', "something follows after its object"),
        ('[{"rows": [{}]}]', "it does not begin with an object"),
        ('"rows"', "it does not begin with an object"),
    ],
)
def test_what_is_wrong_around_elements_is_an_error(text: str, says: str) -> None:
    for size in (1, 100):
        with pytest.raises(OSError, match=says):
            lines_of(text.encode(), ("rows", EACH), size)


def test_what_takes_long_to_end_is_an_error_and_not_held() -> None:
    with pytest.raises(OSError, match="it has a name of over"):
        lines_of(b'{"' + b"a" * 2**22, ("rows", EACH))
    with pytest.raises(OSError, match="is neither text, list nor object and does not end"):
        lines_of(b'{"rows": [1' + b"0" * 2**22, ("rows", EACH))
