"""Sources that change while they are loaded: no load of a part of one file, or of two, is called complete."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl, write_parquet
from vecload.cli.app import run
from vecload.loading.dispatch import Dispatcher

Change = Callable[[Path], object]


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write('{"id": "new", "vector": [1, 2, 3, 4, 5, 6, 7, 8]}\n')


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def rewrite(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[::-1] + b"more")


def cut(path: Path) -> None:
    os.truncate(path, 100)


def load_while(
    change: Change, path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Load a file that changes when all of it was sent."""
    finish = Dispatcher.finish

    def finish_after(dispatcher: Dispatcher) -> Any:
        change(path)
        return finish(dispatcher)

    with monkeypatch.context() as patch:
        patch.setattr(Dispatcher, "finish", finish_after)
        code = run(["upsert", str(path)])
    gc.unfreeze()
    gc.collect()  # the store is let go of with the last object that knows it
    return code, capsys.readouterr().err


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("change", [replace, rewrite, cut, Path.unlink])
def test_a_file_that_changed_while_it_was_loaded_ends_in_an_error_that_names_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    change: Change,
) -> None:
    write = write_jsonl if kind == "jsonl" else write_parquet
    path = tmp_path / f"rows.{kind}"
    write(path, rows(20))

    code, told = load_while(change, path, monkeypatch, capsys)

    assert code == 2
    assert f"vecload: {path} changed while it was loaded: " in told
    assert "--fresh" in told
    write(path, rows(20))
    assert "changed since the load of it began" in vecload("upsert", path).error
    assert vecload("upsert", path, "--fresh").code == 0


def test_lines_that_were_appended_while_others_were_loaded_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(20))

    code, told = load_while(append, path, monkeypatch, capsys)

    assert code == 0
    assert f"{path} was appended to while it was loaded" in told
    again = vecload("upsert", path, "--skip-loaded")
    assert again.code == 0
    assert "21 loaded" in again.err
