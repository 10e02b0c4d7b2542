"""Which files are read, from where, and in which line each value is."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl
from vecload.cli.config_files import lines_of, read_sections
from vecload.errors import UsageError


@pytest.fixture
def deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder two levels below `tmp_path`, where the command runs."""
    folder = tmp_path / "project" / "jobs" / "nightly"
    folder.mkdir(parents=True)
    write_jsonl(folder / "rows.jsonl", rows(3))
    monkeypatch.chdir(folder)
    return folder


def own(text: str) -> Path:
    file = Path(os.environ["XDG_CONFIG_HOME"]) / "vecload" / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_the_nearest_file_upwards_counts_and_no_other(deep: Path) -> None:
    (deep.parents[1] / "vecload.toml").write_text('index = "far"\nwire = "json"\n')
    assert [one.values for one in read_sections(None, None)] == [{"index": "far", "wire": "json"}]
    (deep.parent / "vecload.toml").write_text('index = "near"\n')
    own('index = "own"\nbatch-rows = 5\n')
    read = read_sections(None, None)
    assert [one.values for one in read] == [{"index": "own", "batch-rows": 5}, {"index": "near"}]
    assert read[1].name == str(deep.parent / "vecload.toml")
    assert read[1].found
    assert vecload("upsert", "rows.jsonl", cwd=deep).code == 0
    assert vecload("index", "list", cwd=deep).out == "near\n"


def test_a_file_above_may_set_no_more_than_one_of_the_folder_itself(deep: Path) -> None:
    (deep.parent / "vecload.toml").write_text('to = "http://127.0.0.1:1"\n')
    error = vecload("upsert", "rows.jsonl", cwd=deep).error
    assert f"{deep.parent / 'vecload.toml'} sets to: " in error
    assert "--config" in error


def test_a_profile_may_be_in_any_file_and_the_nearest_wins(deep: Path) -> None:
    own('[profiles.night]\nindex = "own"\nbatch-rows = 5\n[profiles.day]\nindex = "day"\n')
    (deep.parent / "vecload.toml").write_text('index = "top"\n[profiles.night]\nindex = "near"\n')
    assert [one.values["index"] for one in read_sections(None, "night")] == ["top", "own", "near"]
    assert [one.values["index"] for one in read_sections(None, "day")] == ["top", "day"]
    with pytest.raises(UsageError, match=r"it has: day, night.*did you mean 'night'") as refused:
        read_sections(None, "nigth")
    assert "vecload.toml" in str(refused.value)
    ended = vecload("upsert", "rows.jsonl", "--profile", "night", cwd=deep)
    assert ended.code == 0, ended.err
    assert "profile 'night'" in ended.err
    assert vecload("index", "list", cwd=deep).out == "near\n"


def test_a_profile_of_a_file_that_is_found_may_set_no_target(deep: Path) -> None:
    (deep / "vecload.toml").write_text('[profiles.p]\nto = "http://127.0.0.1:1"\n')
    assert vecload("upsert", "rows.jsonl", cwd=deep).code == 0
    assert (
        "vecload.toml of this folder, profile 'p' sets to: "
        in vecload("index", "list", "--profile", "p", cwd=deep).error
    )


MISTAKES = {
    "\n# a\nbatch_rows = 5\n": "3, sets 'batch_rows', which is not an option; did you mean 'batch-rows'?",
    "[upsrt]\nwire = 'json'\n": "line 1, has a table [upsrt], which is not a command; did you mean 'upsert'?",
    "[profile.x]\nindex = 'a'\n": "did you mean 'profiles'?",
    "[upsert]\npattern = [\n  'a',\n]\nmetrics-file = 'a'\n": "f.toml, line 5, sets 'metrics-file' in",
    "[index.create]\ndimensions = 5\n": "line 2, sets 'dimensions' in [index.create], which does "
    "not have that option; did you mean 'dimension'?",
    "to = 5\n": "f.toml, line 1, sets 'to': it must be text, not a number",
    "[profiles.p]\n[profiles.p.upsert]\nmax-errors = true\n": "f.toml, profile 'p', line 3, sets "
    "'max-errors': it must be a whole number or a percentage, not true",
}


def test_a_mistyped_key_table_or_value_is_named_with_its_line(deep: Path) -> None:
    file = deep / "f.toml"
    for text, says in MISTAKES.items():
        file.write_text(text)
        chosen = ("--profile", "p") if "profiles.p" in text else ()
        ended = vecload("upsert", "rows.jsonl", "--config", "f.toml", *chosen, cwd=deep)
        assert ended.code == 2, text
        assert says in ended.error, text
    assert sorted(each.name for each in deep.iterdir()) == ["f.toml", "rows.jsonl"]


KEYS = st.lists(st.sampled_from("abcdef"), unique=True, max_size=4)
VALUES = st.sampled_from(
    ["1", "true", '"x"', '"""\nb = 2\n[t]\n"""', "[1,\n 2, # ]\n 3]", "'''\n]'''", '{a = 1, b = "="}']
)


@given(st.lists(st.tuples(KEYS, st.lists(VALUES, min_size=4, max_size=4)), max_size=4))
def test_each_key_has_the_line_in_which_its_statement_begins(
    tables: list[tuple[list[str], list[str]]],
) -> None:
    lines: list[str] = ["# a comment", ""]
    expected: dict[tuple[str, ...], int] = {}
    for number, (keys, values) in enumerate(tables):
        lines += [f"[t{number}]", ""]
        for key, value in zip(keys, values, strict=False):
            expected[f"t{number}", key] = "\n".join(lines).count("\n") + 2
            lines.append(f"{key} = {value}")
    text = "\n".join(lines) + "\n"
    tomllib.loads(text)
    found = lines_of(text)
    for (table, key), line in expected.items():
        inline = text.splitlines()[line - 1].endswith("}")
        assert found[(table, key, "a") if inline else (table, key)] == line


def test_a_long_list_does_not_take_long() -> None:
    text = "a = [\n" + "  1,\n" * 200_000 + "]\nb = 1\n"
    assert ("b",) not in lines_of(text)


def test_a_file_of_another_user_is_refused(deep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (deep.parent / "vecload.toml").write_text("wire = 'json'\n")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    (deep.parent / "vecload.toml").chmod(0o644)
    if os.getuid() == 0:
        os.chown(deep.parent / "vecload.toml", 54321, -1)
    with pytest.raises(UsageError, match="belongs to another user"):
        read_sections(None, None)


def test_the_home_folder_is_meant_by_a_tilde_in_every_path(deep: Path) -> None:
    home = Path(os.environ["HOME"])
    write_jsonl(home / "in.jsonl", [*rows(3), {"id": "bad", "vector": None, "text": "x", "title": "y"}])
    vecload("keygen", "~/a.key")
    assert (home / "a.key").exists()
    own('to = "~/store"\nkey-file = "~/a.key"\nrejects = "~/bad.jsonl"\nstate-dir = "~/state"\n')
    ended = vecload("upsert", "~/in.jsonl", "--max-errors", "1", cwd=deep)
    assert ended.code == 3, ended.err
    assert (home / "bad.jsonl").exists()
    assert list((home / "state").iterdir())
    assert vecload("rejects", "~/bad.jsonl", "--index", "in", cwd=deep).code == 0
    variables = {"VECLOAD_KEY_FILE": "~/a.key"}
    assert vecload("get", "--index", "in", rows(3)[0]["id"], variables=variables, cwd=deep).code == 0
    assert vecload("export", "--output", "~/out.jsonl", cwd=deep).code == 0
    assert (home / "out.jsonl").exists()
    assert vecload("verify", "~/in.jsonl", "--differences=~/d.jsonl", cwd=deep).code in (0, 5)
    assert (home / "d.jsonl").exists()
    assert sorted(each.name for each in deep.iterdir()) == ["rows.jsonl"]
