"""`vecload verify`, and `vecload upsert --verify`: exit codes, the summary, the JSON object."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.main import get_command

import vecload as api
from tests.cli.command import vecload
from tests.cli.sources import SAMPLES
from vecload.batch import Batch, Span
from vecload.cli.app import OF_LOADS_ALONE, app
from vecload.targets import connect_target

ARTICLES = SAMPLES / "articles.parquet"
KEYS: dict[str, Any] = {
    "version": int,
    "status": str,
    "checked": int,
    "vectors_checked": int,
    "missing": int,
    "different": int,
    "extra": (int, type(None)),
    "items": (int, type(None)),
    "sampled": bool,
    "read": int,
    "rejected": int,
    "repeated": int,
    "repeated_exact": bool,
    "seconds": float,
    "items_per_second": float,
    "index": str,
    "target": str,
    "key_id": str,
    "hints": list,
    "mapping": (dict, type(None)),
    "other_mappings": list,
    "sources": list,
    "exit_code": int,
    "error": (str, type(None)),
}


@pytest.fixture
def loaded(tmp_path: Path) -> list[str | Path]:
    """The options of a load of the sample that was done."""
    key = tmp_path / "the.key"
    api.generate_key().save(key)
    options: list[str | Path] = ["--to", tmp_path / "store", "--index", "docs", "--key-file", key]
    assert vecload("upsert", ARTICLES, *options, "--quiet").code == 0
    return options


def corrupt(options: list[str | Path]) -> tuple[str, str]:
    """Lose one item, replace another, add a third; returns the ids of the first two."""
    key = api.Key.load(str(options[5]))
    with connect_target(str(options[1])) as target:
        index = target.open_index("docs", key.index_key)
        one, other = sorted(index.list_ids())[:2]
        index.delete([one])
        row = np.ones((2, 384), dtype=np.float32)
        index.upsert(Batch([other, "new"], row, None, None, Span("x", 0, 2)))
    return one, other


def object_of(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out)
    assert [*found] == [*KEYS]
    for name, kind in KEYS.items():
        assert isinstance(found[name], kind), name
    return found


def test_what_was_loaded_is_equal(loaded: list[str | Path]) -> None:
    ended = vecload("verify", ARTICLES, *loaded, "--extra", "--json")
    assert (ended.code, ended.err.count("\n")) == (0, 5)
    assert "items  300 items, 300 with their vectors: equal" in ended.err
    found = object_of(ended.out)
    assert (found["status"], found["checked"], found["vectors_checked"]) == ("equal", 300, 300)
    assert (found["missing"], found["different"], found["extra"], found["items"]) == (0, 0, 0, 300)
    assert (found["exit_code"], found["error"], found["version"]) == (0, None, 1)
    quiet = vecload("verify", ARTICLES, *loaded, "--quiet")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_what_differs_is_named(loaded: list[str | Path], tmp_path: Path) -> None:
    one, other = corrupt(loaded)
    file = tmp_path / "differences.jsonl"
    ended = vecload("verify", ARTICLES, *loaded, "--extra", "--json", "--differences", file)
    assert ended.code == 5
    lines = ended.err.splitlines()
    assert "items  300 items, 299 with their vectors: 1 missing, 1 different, 1 only in the index" in lines
    assert f"       {ARTICLES}, row 0 (id {one!r}): item is missing" in lines
    differs = "vector differs in 384 of 384 values, and 2 more"
    assert f"       {ARTICLES}, row 1 (id {other!r}): {differs}" in lines
    assert "       only in the index: id 'new'" in lines
    found = object_of(ended.out)
    assert (found["status"], found["exit_code"]) == ("different", 5)
    assert (found["missing"], found["different"], found["extra"]) == (1, 1, 1)
    differences = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["id"], line["row"], line["field"]) for line in differences] == [
        (one, 0, "item"),
        (other, 1, "vector"),
        (other, 1, "metadata"),
        (other, 1, "contents"),
        ("new", None, "item"),
    ]


def test_errors_have_the_exit_codes_of_a_load(loaded: list[str | Path], tmp_path: Path) -> None:
    missing = vecload("verify", ARTICLES, *loaded[:2], "--index", "another", *loaded[4:], "--json")
    assert missing.code == 2
    assert "no index 'another'" in missing.error
    found = object_of(missing.out)
    assert (found["status"], found["exit_code"]) == ("failed", 2)
    assert found["error"] in missing.error
    other = tmp_path / "other.key"
    api.generate_key().save(other)
    assert vecload("verify", ARTICLES, *loaded[:4], "--key-file", other).code == 6
    assert vecload("verify", tmp_path / "none.parquet", *loaded).code == 2
    assert vecload("verify", ARTICLES, *loaded, "--sample", "0").code == 2
    for option in ("--sample", "--vectors", "--differences"):
        ended = vecload("verify", ARTICLES, *loaded, option, "")
        assert (ended.code, option in ended.error) == (2, True)


def test_every_option_of_a_load_is_one_of_verify_but_those_that_do_not_change_items() -> None:
    commands: Any = get_command(app).commands  # type: ignore[attr-defined]
    of_upsert, of_verify = (
        {option.name: (option.opts, option.envvar, option.default) for option in commands[name].params}
        for name in ("upsert", "verify")
    )
    looking = {"dry_run", "full", "items", "color_by", "verify", "yes", "metrics", "report", "ray", "workers"}
    assert {*of_upsert} - {*of_verify} == {*OF_LOADS_ALONE, *looking}
    own = {"sample", "vectors", "extra", "differences"}
    assert {*of_verify} - {*of_upsert} == own
    assert {name: of_upsert[name] for name in of_verify if name not in own} == {
        name: value for name, value in of_verify.items() if name not in own
    }


def test_the_configuration_of_upsert_is_that_of_verify(loaded: list[str | Path], tmp_path: Path) -> None:
    store, key = (json.dumps(str(loaded[at])) for at in (1, 5))
    config = tmp_path / "config.toml"
    config.write_text(f'[upsert]\nto = {store}\nkey-file = {key}\nindex = "docs"\n[verify]\nextra = true\n')
    ended = vecload("--config", config, "verify", ARTICLES, "--json")
    assert (ended.code, object_of(ended.out)["extra"]) == (0, 0)


def test_a_load_may_be_verified_at_its_end(tmp_path: Path) -> None:
    key = tmp_path / "the.key"
    api.generate_key().save(key)
    options: list[str | Path] = [
        "--to",
        tmp_path / "store",
        "--index",
        "docs",
        "--key-file",
        key,
        "--verify",
        "--json",
    ]
    ended = vecload("upsert", ARTICLES, *options)
    assert ended.code == 0
    found = json.loads(ended.out)
    assert (found["status"], found["loaded"], found["exit_code"]) == ("complete", 300, 0)
    assert object_of(json.dumps(found["verify"]))["status"] == "equal"
    assert ended.err.index("rows   300 read, 300 loaded") < ended.err.index("300 with their vectors: equal")
    again = json.loads(vecload("upsert", ARTICLES, *options, "--skip-loaded").out)
    assert (again["loaded"], again["skipped"], again["verify"]["checked"]) == (0, 300, 300)
    assert json.loads(vecload("upsert", ARTICLES, *options[:-2], "--json").out)["verify"] is None


def test_a_load_that_does_not_end_in_its_source_has_the_exit_code_of_verify(tmp_path: Path) -> None:
    key = tmp_path / "the.key"
    api.generate_key().save(key)
    options: list[str | Path] = ["--to", tmp_path / "store", "--index", "docs", "--key-file", key, "--json"]
    assert vecload("upsert", ARTICLES, *options, "--storage-precision", "float16").code == 0
    # The index is there now, and is not float16 by this command: its vectors are not those of the source.
    ended = vecload("upsert", ARTICLES, *options, "--verify")
    assert ended.code == 5
    found = json.loads(ended.out)
    assert (found["status"], found["exit_code"], found["verify"]["different"]) == ("complete", 5, 300)
    (hint,) = found["verify"]["hints"]
    assert "float16" in hint
    again = vecload("upsert", ARTICLES, *options, "--verify", "--storage-precision", "float16")
    assert again.code == 0


def test_what_can_be_read_only_once_is_not_verified_after_its_load(tmp_path: Path) -> None:
    ended = vecload("upsert", "-", "--to", tmp_path / "store", "--index", "docs", "--verify")
    assert ended.code == 2
    assert "standard input can be read only once" in ended.error
    assert not (tmp_path / "store").exists()


def test_standard_input_is_compared(loaded: list[str | Path]) -> None:
    with (SAMPLES / "articles.jsonl").open("rb") as rows:
        ended = subprocess.run(
            [sys.executable, "-m", "vecload", "verify", "-", *map(str, loaded), "--json"],
            stdin=rows,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (ended.returncode, object_of(ended.stdout)["checked"]) == (0, 300)


def test_a_signal_stops_it(tmp_path: Path, loaded: list[str | Path]) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "vecload", "verify", "-", *map(str, loaded), "--json", "--index", "docs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        lines = (SAMPLES / "articles.jsonl").read_text().splitlines(keepends=True)
        process.stdin.write("".join(lines[:150]))
        process.stdin.flush()
        assert "columns" in process.stderr.readline()  # it reads on, and waits for the next line
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert (object_of(out)["status"], object_of(out)["exit_code"]) == ("interrupted", 143)
