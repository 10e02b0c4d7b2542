from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from vecload.readers.json.marks import Marks

VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='a"\\[]{}:,\n'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='a"\\[{'), inner),
)


def one_by_one(text: bytes) -> list[tuple[int, int, int, int]]:
    """The marks of a text, found byte by byte."""
    found = []
    depth, at, in_text = 0, 0, False
    while at < len(text):
        byte = text[at : at + 1]
        if in_text and byte == b"\\":
            at += 1
        elif byte == b'"':
            in_text = not in_text
            found.append((at, byte[0], depth, depth))
        elif not in_text and byte in b"[]{}":
            step = 1 if byte in b"[{" else -1
            found.append((at, byte[0], depth, depth + step))
            depth += step
        at += 1
    return found


@given(VALUES, st.integers(1, 9), st.none() | st.just(1))
@example(['\\"' * 4, {"\\": []}], 1, None)
def test_marks_are_found_wherever_pieces_are_cut(value: Any, size: int, indent: int | None) -> None:
    text = json.dumps(value, indent=indent).encode()
    marks = Marks()
    found = [
        (at + one, mark, before, after)
        for at in range(0, len(text), size)
        for one, mark, before, after in marks.feed(text[at : at + size]).up_to(99)
    ]
    assert found == one_by_one(text)
    assert not marks.in_text


def test_only_marks_within_so_many_brackets_are_given() -> None:
    found = Marks().feed(b'{"a": [{"b": [1]}, {}]}').up_to(1)
    assert [(at, chr(mark)) for at, mark, _, _ in found] == [
        (0, "{"), (1, '"'), (3, '"'), (6, "["), (21, "]"), (22, "}"),
    ]  # fmt: skip
