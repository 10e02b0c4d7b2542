from __future__ import annotations

import pytest

from vecload.mapping.columns import Column, find, listed

COLUMNS = [
    Column("id", "text"),
    Column("a.b", "integer"),
    Column("a", "object", fields=(Column("b", "text"), Column("c.d", "floats"), Column("e", "object"))),
    Column("told", "text"),
    Column("n", "integer"),
]


@pytest.mark.parametrize(
    ("path", "steps", "kind"),
    [
        ("id", ("id",), "text"),
        ("a.b", ("a.b",), "integer"),
        ("a.c.d", ("a", "c.d"), "floats"),
        ("a.e.any.deeper", ("a", "e", "any", "deeper"), "other"),
        ("told.x", ("told", "x"), "other"),
    ],
)
def test_a_path_leads_to_a_column_or_a_field(path: str, steps: tuple[str, ...], kind: str) -> None:
    found = find(COLUMNS, path)
    assert found is not None
    assert (found[0], found[1].kind) == (steps, kind)


@pytest.mark.parametrize("path", ["b", "a.x", "a.", ".a", "n.x", "", "id."])
def test_a_path_that_leads_nowhere_is_none(path: str) -> None:
    assert find(COLUMNS, path) is None


def test_of_many_names_a_message_has_the_first() -> None:
    names = [f"c{n}" for n in range(768)]
    assert listed(names[:20]).endswith("'c18', 'c19'")
    assert listed(names).endswith("'c18', 'c19' and 748 more")
