"""The tables of docs/python.md have every call of the official SDK, and ours have its parameters."""

from __future__ import annotations

import inspect
import re
from typing import Any

import cyborgdb
import pytest

import vecload
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## The SDK's calls")[2].partition("\n## ")[0]
ROW = re.compile(r"^\| `(Client|EncryptedIndex)\.(\w+)` \| (.*?) \|", re.MULTILINE)
THEIRS: dict[str, Any] = {"Client": cyborgdb.Client, "EncryptedIndex": cyborgdb.EncryptedIndex}
OURS: dict[str, Any] = {"Client": vecload.Connection, "EncryptedIndex": vecload.Index}
FIRST, SECOND = SECTION.split("and vecload has not", maxsplit=1)
HERE = {(kind, name): ours for kind, name, ours in ROW.findall(FIRST)}
LEFT_OUT = {(kind, name): why for kind, name, why in ROW.findall(SECOND)}
OTHER_PARAMETERS = {
    ("Client", "generate_key"): {"save"},
    ("Client", "create_index"): {"kms_name"},
    ("EncryptedIndex", "upsert"): {"arg1", "arg2"},
}
"""What the table says of parameters that ours do not have."""


def public(kind: str) -> set[tuple[str, str]]:
    return {(kind, name) for name in dir(THEIRS[kind]) if not name.startswith("_")}


def test_each_call_of_the_sdk_is_in_one_of_the_tables() -> None:
    every = public("Client") | public("EncryptedIndex")
    assert HERE.keys() | LEFT_OUT.keys() == every
    assert not HERE.keys() & LEFT_OUT.keys()
    assert all(LEFT_OUT.values())


@pytest.mark.parametrize(("kind", "name"), sorted(HERE))
def test_a_call_that_is_listed_exists_with_the_parameters_of_the_sdk(kind: str, name: str) -> None:
    assert f"`{OURS[kind].__name__}.{name}`" in HERE[kind, name]
    theirs, ours = (getattr(each[kind], name) for each in (THEIRS, OURS))
    if isinstance(theirs, property):
        assert isinstance(ours, property)
        return
    asked = [*inspect.signature(theirs).parameters]
    here = inspect.signature(ours).parameters
    other = OTHER_PARAMETERS.get((kind, name), set())
    wanted = [parameter for parameter in asked if parameter not in other]
    assert other <= {*asked}
    assert {*wanted} <= {*here}
    positional = [each.name for each in here.values() if each.kind is not each.KEYWORD_ONLY]
    if not other:
        assert positional[: len(wanted)] == wanted
