from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyborgdb_core import Client
from typer.main import get_command

from tests.cli.sources import SAMPLES, rows, write_jsonl, write_parquet
from vecload.cli.app import OF_LOADS_ALONE, app, run
from vecload.inspecting import target_checks
from vecload.sealing import Key

ARTICLES = str(SAMPLES / "articles.parquet")
REPORT_KEYS = {
    "version", "full", "whole", "rows", "sources", "ids", "unfilterable", "index", "target", "checks",
    "seconds", "exit_code", "error", "clear_text",
}  # fmt: skip

Vecload = Callable[..., tuple[int, str, str]]


@pytest.fixture
def vecload(capfd: pytest.CaptureFixture[str]) -> Vecload:
    """The command line in this process: its exit code, and what it wrote to both streams."""

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run([*map(str, arguments)])
        return code, *capfd.readouterr()

    return command


def everything() -> dict[str, tuple[int, int]]:
    """Every file and folder of this test's home, with its size and time."""
    home = Path(os.environ["HOME"])
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in home.rglob("*")}


def checks(report: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["state"] for check in report["checks"]}


def test_every_option_of_a_load_is_one_of_inspect_but_those_that_a_report_has_no_use_for() -> None:
    commands: Any = get_command(app).commands  # type: ignore[attr-defined]
    of_upsert, of_inspect = (
        {option.name: (option.opts, option.envvar, option.default) for option in commands[name].params}
        for name in ("upsert", "inspect")
    )
    assert {*of_upsert} - {*of_inspect} == {
        *OF_LOADS_ALONE,
        *("dry_run", "verify", "quiet", "yes", "metrics", "ray", "workers"),
    }
    assert {name: of_upsert[name] for name in of_inspect} == of_inspect


def test_the_sample_is_told_on_one_screen_and_nothing_is_made(vecload: Vecload) -> None:
    code, out, err = vecload("inspect", ARTICLES)

    assert (code, err) == (0, "")
    assert len(out.splitlines()) <= 40
    assert max(len(line) for line in out.splitlines() if not line.startswith("time")) <= 110
    for told in (
        "Parquet, zstd, 1 row group; 726,828 bytes",
        "300, all read",
        "vector (its name)",
        "words     integer  57 different values",
        "id        jargon-0001",
        "1 of 300 rows",
        "--unfilterable title",
        "a load creates 'articles' (384 dimensions, euclidean)",
    ):
        assert told in out
    assert everything() == {}


def test_the_report_has_the_documented_keys_and_a_dry_run_the_same_report(
    vecload: Vecload, service: str
) -> None:
    _, out, err = vecload("inspect", ARTICLES, "--json", "--to", service, "--create-key")
    _, dry, _ = vecload("upsert", ARTICLES, "--dry-run", "--json", "--to", service, "--create-key")

    report, other = json.loads(out), json.loads(dry)
    assert err == ""
    assert report.keys() == REPORT_KEYS
    described = (SAMPLES.parent / "docs" / "inspect.md").read_text()
    source = report["sources"][0]
    for key in (*report, *source, *source["mapping"], *source["batches"], *report["checks"][0]):
        assert f"`{key}`" in described, key
    report["seconds"] = other["seconds"] = None
    assert report == other


def test_the_bytes_of_the_first_body_and_the_batches_are_those_of_the_load(
    vecload: Vecload, service: str, index_name: str
) -> None:
    for wire in ("json", "binary"):
        here = ("--to", service, "--index", f"{index_name}-{wire}", "--create-key")
        command = (ARTICLES, *here, "--wire", wire, "--json")
        report = json.loads(vecload("inspect", *command)[1])
        summary = json.loads(vecload("upsert", *command)[1])
        batches = report["sources"][0]["batches"]
        assert (batches["wire"], batches["count"]) == (wire, summary["wire"][wire])
        assert batches["bytes"] == summary["bytes"]


def test_rejects_and_repeated_ids_are_counted_by_code_with_the_first_of_each(
    vecload: Vecload, tmp_path: Path
) -> None:
    source = rows(50)
    for i in (7, 9):
        source[i]["vector"] = None
    source[20]["id"] = "doc-3"
    source[30]["vector"][0] = 1e39
    path = write_jsonl(tmp_path / "rows.jsonl", source)

    code, out, _ = vecload("inspect", path, "--id-column", "id")
    assert code == 4
    assert "REJECTS   3 of 50 rows read (6.00%)" in out
    assert "vector missing   2  first at row 7 (id 'doc-7'): is missing" in out
    assert "vector infinite  1  first at row 30" in out
    assert "1 rows repeat an id: the last row of an id wins; first at row 20 (id 'doc-3')" in out
    assert "a load would end with exit code 4" in out
    assert vecload("inspect", path, "--id-column", "id", "--max-errors", "3")[0] == 3


def test_repeated_ids_of_a_guessed_column_are_rejects_of_the_report_as_of_a_load(
    vecload: Vecload, tmp_path: Path
) -> None:
    source = rows(50)
    source[20]["id"] = source[30]["id"] = "doc-3"
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    other = write_jsonl(tmp_path / "others.jsonl", source[:1])
    for command in (("inspect",), ("upsert", "--dry-run")):
        code, out, _ = vecload(*command, path, other, "--index", "rows")
        assert code == 4
        assert "REJECTS   2 of 50 rows read (4.00%)" in out
        told = "id repeated-id  2  first at row 20 (id 'doc-3'): repeats the id of row 3"
        assert told in out
        assert f"first at row 0 (id 'doc-0'): repeats the id of row 0 of {path}" in out
        assert "3 rows repeat an id: they are rejected; --repeated-ids last keeps the last row of each" in out
    code, out, _ = vecload("inspect", path, other, "--index", "rows", "--max-errors", "3", "--json")
    report = json.loads(out)
    assert code == report["exit_code"] == 3
    first = {"source": str(path), "row": 20, "id": "doc-3"}
    assert report["ids"] == {"repeated": 3, "exact": True, "first": first, "policy": "reject"}
    assert [each["rejected"] for each in report["sources"]] == [2, 1]
    code, out, _ = vecload("inspect", path, other, "--index", "rows", "--repeated-ids", "last", "--json")
    assert code == 0
    assert json.loads(out)["ids"] == {"repeated": 3, "exact": True, "first": first, "policy": "last"}


def test_what_is_shown_of_contents_is_short_none_if_not_wanted_and_keys_never(
    vecload: Vecload, tmp_path: Path
) -> None:
    key_file = tmp_path / "key"
    vecload("keygen", key_file)
    source = [{**row, "text": "\x1b[31msecret " * 50} for row in rows(5)]
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    vecload("upsert", path, "--key-file", key_file)
    for json_too in ((), ("--json",)):
        shown = "".join(vecload("inspect", path, "--key-file", key_file, *json_too)[1:])
        hidden = "".join(vecload("inspect", path, "--key-file", key_file, "--items", "0", *json_too)[1:])
        key = Key.load(key_file)
        assert "secret" in shown
        assert "secret " * 10 not in shown
        assert "secret" not in hidden
        assert "\x1b" not in shown
        for half in (key.index_key.hex(), key.contents_key.hex()):
            assert half not in shown + hidden


def _good(folder: Path) -> list[str | Path]:
    return [write_jsonl(folder / "good.jsonl", rows(5))]


def _no_id(folder: Path) -> list[str | Path]:
    bare = [{"vector": row["vector"]} for row in rows(3)]
    return [*_good(folder), write_jsonl(folder / "bare.jsonl", bare), "--index", "several"]


def _other_dimension(folder: Path) -> list[str | Path]:
    return [*_good(folder), write_parquet(folder / "longer.parquet", rows(3, 9)), "--index", "several"]


def _text(folder: Path) -> list[str | Path]:
    (folder / "notes.txt").write_text("hello\n")
    return [*_good(folder), folder / "notes.txt", "--index", "several"]


def _bad_row(folder: Path) -> list[str | Path]:
    more = [{**row, "id": f"more-{row['id']}"} for row in rows(5)]
    more[3]["vector"] = [1.0]
    return [*_good(folder), write_jsonl(folder / "more.jsonl", more), "--index", "several"]


def _wrong_dimension_asked(folder: Path) -> list[str | Path]:
    return [*_good(folder), "--dimension", "7"]


def _untrainable(folder: Path) -> list[str | Path]:
    return [*_good(folder), "--train"]


def _no_index_and_none_wanted(folder: Path) -> list[str | Path]:
    return [*_good(folder), "--no-create"]


def _two_policies(folder: Path) -> list[str | Path]:
    return [*_good(folder), "--pattern", "title", "--unfilterable", "title"]


def _unusable_key_file(folder: Path) -> list[str | Path]:
    (folder / "key").write_text("index_key = 1")
    (folder / "key").chmod(0o600)
    return [*_good(folder), "--key-file", folder / "key"]


def _unreachable(folder: Path) -> list[str | Path]:
    return [*_good(folder), "--to", "http://127.0.0.1:9", "--give-up-after", "0"]


REFUSED = [
    (_no_id, 2),
    (_other_dimension, 2),
    (_text, 2),
    (_bad_row, 4),
    (_wrong_dimension_asked, 2),
    (_untrainable, 2),
    (_no_index_and_none_wanted, 2),
    (_two_policies, 2),
    (_unusable_key_file, 2),
    (_unreachable, 1),
]


@pytest.mark.parametrize(("command", "code"), REFUSED, ids=lambda one: getattr(one, "__name__", ""))
def test_a_load_that_would_be_refused_is_told_with_its_exit_code_and_then_refused_before_anything_is_made(
    vecload: Vecload, tmp_path: Path, command: Callable[[Path], list[str | Path]], code: int
) -> None:
    arguments = command(tmp_path)

    told, out, err = vecload("upsert", *arguments, "--dry-run")
    assert (told, err) == (code, "")
    assert f"a load would end with exit code {code}" in out
    assert everything() == {}

    ended, out, err = vecload("upsert", *arguments)
    assert (ended, out) == (code, "")
    assert len(err.splitlines()) == 1
    made = {Path(path).suffix for path in everything() if Path(path).is_file()}
    assert not made & {".toml", ".sqlite"}
    assert vecload("index", "list")[1].split() in ([], ["[]"])


@pytest.fixture
def loaded(vecload: Vecload, tmp_path: Path) -> list[str | Path]:
    """An index of five items in an embedded store, and what names it."""
    key_file = tmp_path / "own-key"
    vecload("keygen", key_file)
    here: list[str | Path] = ["--to", tmp_path / "store", "--index", "there", "--key-file", key_file]
    assert vecload("upsert", *_good(tmp_path), *here)[0] == 0
    return here


def test_an_index_that_is_there_is_looked_at_and_not_touched(
    vecload: Vecload, tmp_path: Path, loaded: list[str | Path]
) -> None:
    def files() -> dict[str, tuple[int, int]]:
        return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in (tmp_path / "store").rglob("*")}

    before, home = files(), everything()
    code, out, _ = vecload("inspect", *_good(tmp_path), *loaded, "--json")
    report = json.loads(out)

    assert code == 0
    assert {*checks(report).values()} == {"ok"}
    assert {*checks(report)} == {"target", "key", "index", "fit", "contents", "ids", "room"}
    assert "5 of the first 5 ids are in the index" in out
    assert "opens those of the index (5 of 5 looked at)" in out
    assert report["unfilterable"] == []  # an index keeps its policies: nothing can be declared any more
    assert (files(), everything()) == (before, home)


@pytest.mark.parametrize(
    ("change", "code", "name"),
    [
        (("--key-file", "another"), 6, "key"),
        (("--metric", "cosine"), 2, "fit"),
        (("--unfilterable", "title"), 2, "fit"),
        (("longer.jsonl",), 2, "fit"),
        (("late.jsonl",), 4, None),
    ],
)
def test_what_does_not_fit_the_index_is_told_and_refused_before_a_row_is_written(
    vecload: Vecload,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    loaded: list[str | Path],
    change: tuple[str, ...],
    code: int,
    name: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    vecload("keygen", "another")
    more = [{**row, "id": f"new-{row['id']}"} for row in rows(5)]
    write_jsonl(tmp_path / "more.jsonl", more)
    write_jsonl(tmp_path / "longer.jsonl", rows(5, 9))
    # Of two files the first is fine: it must not be loaded before the second is refused.
    write_jsonl(tmp_path / "late.jsonl", [*rows(4), {"id": 0}])
    sources = ["more.jsonl", *change] if change[0] == "late.jsonl" else ["more.jsonl"]
    command = [change[0], *loaded] if change[0] == "longer.jsonl" else [*sources, *loaded]
    command += change if change[0].startswith("--") else ()

    told, out, _ = vecload("inspect", *command, "--json")
    ended, _, err = vecload("upsert", *command)

    assert (told, ended) == (code, code), err
    if name is not None:
        assert checks(json.loads(out))[name] == "wrong"
    described = json.loads(vecload("index", "describe", "there", *loaded[:2], *loaded[4:])[1])
    assert described["items"] == 5


def test_a_service_is_asked_and_a_refused_api_key_is_told(
    vecload: Vecload, tmp_path: Path, service_with_key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _good(tmp_path)
    monkeypatch.setenv("VECLOAD_TO", service_with_key.url)
    monkeypatch.setenv("VECLOAD_API_KEY", "never-told")
    code, out, _ = vecload("inspect", *source)
    assert code == 6
    assert "WRONG   API key: the service refuses the API key" in out
    assert "never-told" not in out
    monkeypatch.setenv("VECLOAD_API_KEY", service_with_key.root_key)
    code, out, _ = vecload("inspect", *source, "--create-key")
    assert (code, "answers" in out) == (0, True)


def test_a_load_that_would_pass_the_item_limit_is_told(
    vecload: Vecload, tmp_path: Path, loaded: list[str | Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _good(tmp_path)
    for limit, state, code in ((10, "ok", 0), (9, "unsure", 0), (4, "wrong", 1)):
        monkeypatch.setattr(target_checks, "ITEM_LIMIT", limit)
        told, out, _ = vecload("inspect", *source, *loaded, "--json")
        assert (told, checks(json.loads(out))["room"]) == (code, state)
    # There is no licence to try: an engine that takes any.
    monkeypatch.setattr("cyborgdb_core.Client", lambda key, config, real=Client: real("", config))
    monkeypatch.setenv("CYBORGDB_API_KEY", "x")
    told, out, _ = vecload("inspect", *source, *loaded)
    assert (told, "CYBORGDB_API_KEY is set" in out) == (0, True)


def test_a_source_without_rows_is_told_and_is_no_error(vecload: Vecload, tmp_path: Path) -> None:
    path = tmp_path / "blank.jsonl"
    path.write_text("\n\n")
    code, out, _ = vecload("inspect", path)
    assert code == vecload("upsert", path)[0] == 0
    assert "blank.jsonl has no rows" in out


def test_columns_that_are_parts_are_told_before_any_number_of_others(
    vecload: Vecload, tmp_path: Path
) -> None:
    source = [{**{f"c{i}": i for i in range(300)}, **row} for row in rows(3)]
    out = vecload("inspect", write_jsonl(tmp_path / "wide.jsonl", source))[1]
    assert len(out.splitlines()) <= 60
    for told in ("id (its name)", "vector (its name)", "contents (its name)", "and 292 more"):
        assert told in out


def test_of_several_sources_the_good_ones_are_reported_beside_what_is_wrong_with_the_others(
    vecload: Vecload, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    bare = write_jsonl(tmp_path / "bare.jsonl", [{"vector": [1.0]}])
    code, out, _ = vecload(
        "inspect", tmp_path / "notes.txt", *_good(tmp_path), bare, "--index", "x", "--json"
    )
    report = json.loads(out)
    assert code == 2
    assert [Path(source["name"]).name for source in report["sources"]] == ["good.jsonl"]
    wrong = [check["told"] for check in report["checks"] if check["state"] == "wrong"]
    assert len(wrong) == 2
    assert "neither Parquet, JSON Lines" in wrong[0]
    assert "has no id column" in wrong[1]


def test_a_look_takes_the_options_that_vecload_toml_gives_to_loads(vecload: Vecload, tmp_path: Path) -> None:
    config = tmp_path / "vecload.toml"
    config.write_text('[upsert]\nid-prefix = "P-"\nfresh = true\n')
    path = write_jsonl(tmp_path / "rows.jsonl", rows(3))
    _, out, err = vecload("--config", config, "inspect", path, "--json")
    assert json.loads(out)["sources"][0]["items"][0]["id"].startswith("P-"), err
    config.write_text('[upsert]\nid-prefix = "P-"\n[inspect]\nid-prefix = "Q-"\n')
    _, out, _ = vecload("--config", config, "inspect", path, "--json")
    assert json.loads(out)["sources"][0]["items"][0]["id"].startswith("Q-")
