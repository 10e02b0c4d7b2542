"""`--split i/n`: parts that share nothing but the target, and together are the whole load."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vecload
from tests.cli.command import vecload as run
from tests.distributed.conftest import Place, place, write

__all__ = ["place"]


def part(there: Place, sources: Path, split: str, **fields: Any) -> vecload.LoadResult:
    return vecload.load(
        sources, to=there.to, index=there.index, key=there.key, split=split, rows_per_split=100, **fields
    )


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for number in range(3):
        write(folder / f"year=202{number}" / "a.parquet", [f"{number}-{row}" for row in range(230)])
    return folder


@pytest.mark.parametrize("parts", [1, 2, 4, 11])
def test_all_parts_in_any_order_are_the_whole(files: Path, place: Callable[[], Place], parts: int) -> None:
    there, order = place(), [*range(parts)]
    random.Random(parts).shuffle(order)  # noqa: S311 repeatable
    results = [part(there, files, f"{number}/{parts}") for number in order]
    assert sum(result.loaded for result in results) == 690
    assert len(there.items()) == 690
    assert vecload.verify(files, to=there.to, index=there.index, key=there.key).equal


def test_parts_may_run_at_once_and_one_that_stopped_goes_on(files: Path, place: Callable[[], Place]) -> None:
    there, stop = place(), threading.Event()
    part(there, files, "0/3")
    errors: list[BaseException] = []

    def first() -> None:
        try:
            part(
                there,
                files,
                "1/3",
                batch_rows=20,
                concurrency=1,
                stop=stop,
                on_progress=lambda progress: stop.set() if progress.read > 60 else None,
            )
        except vecload.Interrupted as error:
            errors.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    assert part(there, files, "2/3").loaded > 0
    thread.join()
    assert len(errors) == 1
    assert len(there.items()) < 690
    again = part(there, files, "1/3", batch_rows=20)
    assert again.skipped > 0
    assert again.read == again.loaded + again.skipped
    assert vecload.verify(files, to=there.to, index=there.index, key=there.key).equal


def test_a_later_part_rejects_the_ids_of_an_earlier_one(tmp_path: Path, place: Callable[[], Place]) -> None:
    folder = tmp_path / "in"
    write(folder / "0.parquet", [f"a{row}" for row in range(100)], missing=[7])
    write(folder / "1.parquet", [*(f"b{row}" for row in range(96)), "a5", "a7", "a9", "a9"])
    whole, parts = place(), place()
    fields: dict[str, Any] = {"repeated_ids": "reject", "max_errors": 9}
    vecload.load(folder, to=whole.to, index=whole.index, key=whole.key, **fields)
    last = part(parts, folder, "1/2", **fields)
    assert (last.rejected, last.loaded, last.repeated) == (3, 97, 3)
    assert part(parts, folder, "0/2", **fields).rejected == 1
    assert parts.items() == whole.items()


def test_ids_of_another_part_are_refused_where_the_last_row_would_win(
    tmp_path: Path, place: Callable[[], Place]
) -> None:
    folder = tmp_path / "in"
    write(folder / "0.parquet", ["a", "b"])
    write(folder / "1.parquet", ["c", "b"])
    there = place()
    with pytest.raises(vecload.UsageError, match=r"id 'b' is in .*0.parquet and, in another part, in .*1.pa"):
        part(there, folder, "0/2", repeated_ids="last")
    assert part(there, folder, "0/2", repeated_ids="assume-unique").loaded == 2


def test_the_command_takes_parts(files: Path, place: Callable[[], Place]) -> None:
    there = place()
    arguments = ("upsert", files, "--to", there.to, "--index", there.index, "--key-file", there.key)
    ended = run(*arguments, "--split", "2/2")
    assert (ended.code, ended.error) == (2, "vecload: --split '2/2': the parts are counted from 0 to 1")
    for number in range(5):
        ended = run(*arguments, "--split", f"{number}/5")
        assert ended.code == 0, ended.err
    assert "no rows to load" in run(*arguments, "--split", "3/5", "--rows-per-split", "100000").err
    assert run("verify", *arguments[1:]).code == 0
