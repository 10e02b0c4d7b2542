from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from vecload.loading.identity import Identity, Recorded
from vecload.readers.storage.files import located, spelled

IDENTITY = Identity("http://host", "docs", ("/a",), {"/a": "1:whole:x", "/b": "2:whole:y"}, ("mapping m",))
NOTHING = Recorded(frozenset(), {}, frozenset())


def differs(now: Identity, recorded: Recorded | None = None) -> str:
    found = now.differs(IDENTITY.fingerprints, IDENTITY.settings, recorded)
    return "" if found is None else str(found)


def test_a_load_is_the_same_by_what_it_names_and_not_by_what_that_holds() -> None:
    assert replace(IDENTITY, fingerprints={}, settings=()).name == IDENTITY.name
    for other in ({"target": "x"}, {"index": "x"}, {"sources": ("/b",)}):
        assert replace(IDENTITY, **other).name != IDENTITY.name  # type: ignore[arg-type]


def test_names_are_the_same_wherever_their_links_lead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = []
    for target in ("old", "new"):
        Path(target).touch()
        Path("link").unlink(missing_ok=True)
        Path("link").symlink_to(target)
        identity = replace(IDENTITY, sources=(located("link"),), named=(spelled("link"),))
        found.append((identity.name, identity.names))
    assert found[0][0] != found[1][0]
    assert found[0][1] == found[1][1]
    assert spelled("./link") == spelled(os.fspath(tmp_path / "link")) == str(tmp_path / "link")
    assert spelled("s3://bucket/a/") == "s3://bucket/a"


def test_every_difference_is_named() -> None:
    assert differs(IDENTITY) == ""
    assert "/b changed" in differs(replace(IDENTITY, fingerprints={**IDENTITY.fingerprints, "/b": "other"}))
    assert "/b is gone" in differs(replace(IDENTITY, fingerprints={"/a": "1:whole:x"}))
    assert "/c was added" in differs(replace(IDENTITY, fingerprints={**IDENTITY.fingerprints, "/c": "1"}))
    assert "other settings (mapping m, mapping n)" in differs(replace(IDENTITY, settings=("mapping n",)))


def test_a_file_that_begins_as_it_did_is_enough_for_an_unfinished_load_alone() -> None:
    now = replace(
        IDENTITY,
        fingerprints={**IDENTITY.fingerprints, "/a": "9:whole:z"},
        holds=lambda path, known, begins: begins and (path, known) == ("/a", "1:whole:x"),
    )
    assert "/a changed" in differs(now)
    assert differs(now, NOTHING) == ""
    assert "/a changed" in differs(now, replace(NOTHING, touched=frozenset({"/a"})))


def test_a_source_of_which_no_row_is_recorded_may_change() -> None:
    now = replace(
        IDENTITY,
        fingerprints={**IDENTITY.fingerprints, "/a": "9:whole:z"},
        owners={"/a": "/a", "/b": "/b"},
    )
    assert differs(now, NOTHING) == ""
    assert "/a changed" in differs(now, replace(NOTHING, sources=frozenset({"/a"})))
    assert differs(now, replace(NOTHING, sources=frozenset({"/b"}))) == ""
