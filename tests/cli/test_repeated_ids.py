"""No row vanishes under the id of another unless the user says so: by the whole command, into the engine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.command import Ended, vecload
from tests.cli.sources import rows, write_jsonl, write_parquet
from vecload.loading.identity import REJECTED

USAGE, STOPPED, ALLOWED = 2, 4, 3
ALL = ("--max-errors", "100%")


def summary(ended: Ended) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(ended.out)
    return parsed


def titles(index: str, *ids: str) -> list[str]:
    lines = vecload("get", *ids, "--index", index).out.splitlines()
    return [json.loads(line)["metadata"]["title"] for line in lines]


def filtered_frames(folder: Path, *, files: int = 3, count: int = 500, index: str = "id") -> list[Path]:
    """Files as pandas writes filtered frames: each has an index of its own, which counts from 1.

    One named `id` is the id; one without a name is only guessed to be.
    """
    folder.mkdir()
    paths = []
    for number in range(files):
        vectors = np.random.default_rng(number).standard_normal((count, 4), dtype=np.float32)
        table = pa.table(
            {
                "title": [f"t{number}-{n}" for n in range(count)],
                "embedding": pa.array([*vectors], pa.list_(pa.float32())),
                index: pa.array(range(1, count + 1), pa.int64()),
            }
        )
        pandas = {"index_columns": [index], "columns": []}
        paths.append(folder / f"part-{number}.parquet")
        pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), paths[-1])
    return paths


def chunks(count: int) -> list[dict[str, Any]]:
    """Rows of which each third has the id of its document alone: 0, 0, 0, 1, 1, 1, …"""
    return [{**row, "id": f"doc-{n // 3}"} for n, row in enumerate(rows(count))]


def test_frames_that_share_an_unnamed_index_stop_before_anything_is_made(
    tmp_path: Path,
) -> None:
    first, second, _ = filtered_frames(tmp_path / "parts", index="__index_level_0__")
    ended = vecload("upsert", tmp_path / "parts", "--index", "parts", "--json")
    assert ended.code == USAGE
    assert f"'1' is in the first rows of {first} and of {second}" in ended.error
    for flag in ("--id-column A --id-column B", "--generate-ids"):
        assert flag in ended.error
    assert vecload("index", "list").out == ""


def test_frames_that_share_an_index_stop_before_anything_is_made_and_the_row_and_the_flags_are_named(
    tmp_path: Path,
) -> None:
    first, second, _ = filtered_frames(tmp_path / "parts")
    ended = vecload("upsert", tmp_path / "parts", "--index", "parts", "--json")
    assert ended.code == STOPPED
    assert f"{second}, row 0 (id '1'): id: repeats the id of row 0 of {first}" in ended.error
    for flag in ("--repeated-ids last", "--id-column doc_id --id-column chunk_no", "--max-errors"):
        assert flag in ended.error
    assert vecload("index", "list").out == ""


def test_frames_that_share_an_index_lose_no_row_without_a_word(tmp_path: Path) -> None:
    filtered_frames(tmp_path / "parts")
    rejects = tmp_path / "rejects.jsonl"
    for _ in range(2):  # into a new index, and into one that holds these ids
        ended = vecload(
            *("upsert", tmp_path / "parts", "--index", "parts", *ALL, "--rejects", rejects, "--json")
        )
        assert ended.code == ALLOWED, ended.err
        told = summary(ended)
        assert (told["read"], told["loaded"], told["rejected"]) == (1500, 500, 1000)
        assert (told["repeated"], told["repeated_exact"]) == (1000, True)
        assert "1,000 repeat the id of an earlier row" in ended.err
        assert {json.loads(line)["code"] for line in rejects.read_text().splitlines()} == {"repeated-id"}
    assert titles("parts", "1", "500") == ["t0-0", "t0-499"]
    ended = vecload("upsert", tmp_path / "parts", "--index", "parts", "--repeated-ids", "last", "--json")
    assert (ended.code, summary(ended)["repeated"]) == (0, 1000)
    assert titles("parts", "1", "500") == ["t2-0", "t2-499"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_repetition_beyond_the_first_rows_stops_at_its_row_and_the_load_may_go_on_with_the_last(
    tmp_path: Path, kind: str
) -> None:
    source = rows(400)
    source[350]["id"] = "doc-7"
    path = tmp_path / f"rows.{kind}"
    (write_jsonl if kind == "jsonl" else write_parquet)(path, source)
    ended = vecload("upsert", path, "--batch-rows", "50", "--json")
    assert ended.code == STOPPED
    assert f"{path}, row 350 (id 'doc-7'): id: repeats the id of row 7;" in ended.error
    loaded = summary(ended)["loaded"]  # less what was not begun to be sent
    assert 0 < loaded <= 350
    assert titles("rows", "doc-7") == ["Title 7"]
    # What was loaded is the same under both: no row was rejected so far.
    again = vecload("upsert", path, "--batch-rows", "50", "--repeated-ids", "last", "--json")
    assert again.code == 0, again.err
    told = summary(again)
    assert (told["skipped"], told["loaded"]) == (loaded, 400 - loaded)
    assert titles("rows", "doc-7") == ["Title 350"]
    # Lines would be read whole to find the ids of what earlier runs loaded.
    assert (told["repeated"], told["repeated_exact"]) == ((0, False) if kind == "jsonl" else (1, True))


def test_ids_that_the_index_held_before_are_replaced_and_are_no_repetition(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(30))
    for _ in range(2):
        ended = vecload("upsert", path, "--json")
        assert (ended.code, summary(ended)["repeated"], summary(ended)["repeated_exact"]) == (0, 0, True)
    skipped = summary(vecload("upsert", path, "--skip-loaded", "--json"))
    assert (skipped["repeated"], skipped["repeated_exact"]) == (0, False)


def test_made_ids_and_a_named_column_let_the_last_row_win(tmp_path: Path) -> None:
    same = [{key: value for key, value in rows(1)[0].items() if key != "id"}] * 3
    ended = vecload("upsert", write_jsonl(tmp_path / "made.jsonl", same), "--generate-ids", "--json")
    assert (ended.code, summary(ended)["repeated"]) == (0, 2)
    path = write_jsonl(tmp_path / "named.jsonl", chunks(9))
    ended = vecload("upsert", path, "--id-column", "id", "--json")
    assert (ended.code, summary(ended)["repeated"]) == (0, 6)
    assert vecload("upsert", path, "--id-column", "id", "--repeated-ids", "reject").code == STOPPED


def test_ids_are_compared_over_sources_of_several_kinds(tmp_path: Path) -> None:
    one = write_jsonl(tmp_path / "one.jsonl", rows(5))
    two = write_parquet(tmp_path / "two.parquet", rows(5))
    ended = vecload("upsert", one, two, "--index", "both")
    assert ended.code == STOPPED
    assert f"{two}, row 0 (id 'doc-0'): id: repeats the id of row 0 of {one}" in ended.error


@pytest.mark.parametrize("workers", ["0", "2"])
def test_lines_parsed_by_other_processes_are_compared_in_their_order(tmp_path: Path, workers: str) -> None:
    source = chunks(18_000)
    for row in source[1:-3]:
        row["text"] = "x" * 3700  # enough that processes pay
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    assert path.stat().st_size > 2**26
    rejects = tmp_path / "rejects.jsonl"
    ended = vecload(
        *("upsert", path, "--parse-workers", workers, *ALL, "--rejects", rejects, "--reject-rows"),
        *("--no-seal", "--json", "--batch-rows", "600"),
    )
    assert ended.code == ALLOWED, ended.err
    told = summary(ended)
    assert (told["loaded"], told["rejected"], told["repeated"]) == (6000, 12_000, 12_000)
    written = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert sorted(one["row"] for one in written) == [n for n in range(18_000) if n % 3]
    assert all(json.loads(one["raw"])["title"] == f"Title {one['row']}" for one in written[::200])
    assert titles("rows", "doc-0", "doc-5999") == ["Title 0", "Title 17997"]


def test_rejected_repetitions_are_settled_afterwards_by_loading_them_over_the_earlier_rows(
    tmp_path: Path,
) -> None:
    filtered_frames(tmp_path / "parts", count=50)
    rejects, more = tmp_path / "rejects.jsonl", tmp_path / "more.jsonl"
    load = ("--index", "parts", "--json")
    assert vecload("upsert", tmp_path / "parts", *load, *ALL, "--rejects", rejects).code == ALLOWED
    # The first file is not named by any reject: its rows stay all the same.
    again = vecload("upsert", "--retry-rejects", rejects, *load, *ALL, "--rejects", more)
    assert again.code == ALLOWED
    assert (summary(again)["loaded"], summary(again)["rejected"]) == (0, 100)
    assert titles("parts", "1") == ["t0-0"]
    ended = vecload("upsert", "--retry-rejects", rejects, *load, "--repeated-ids", "last")
    assert (ended.code, summary(ended)["loaded"], summary(ended)["repeated"]) == (0, 100, 50)
    assert titles("parts", "1", "50") == ["t2-0", "t2-49"]


def test_a_retried_row_replaces_no_row_that_was_loaded_later_and_is_free_under_a_new_id(
    tmp_path: Path,
) -> None:
    source = rows(20)
    source[3]["vector"] = [1.0]  # mended later; row 8 has its id
    source[8]["id"] = "doc-3"
    source[12]["id"] = "doc-5"  # repeats; gets an id of its own later
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    rejects, more = tmp_path / "rejects.jsonl", tmp_path / "more.jsonl"
    assert vecload("upsert", path, *ALL, "--rejects", rejects).code == ALLOWED
    assert titles("rows", "doc-3", "doc-5") == ["Title 8", "Title 5"]
    source[3]["vector"], source[12]["id"] = [1.0] * 8, "doc-12"
    write_jsonl(path, source)
    ended = vecload("upsert", "--retry-rejects", rejects, *ALL, "--rejects", more, "--json")
    assert (ended.code, summary(ended)["loaded"], summary(ended)["rejected"]) == (ALLOWED, 1, 1)
    (left,) = map(json.loads, more.read_text().splitlines())
    assert (left["row"], left["code"], left["message"]) == (3, "repeated-id", "repeats the id of row 8")
    assert titles("rows", "doc-3", "doc-12") == ["Title 8", "Title 12"]


def test_what_a_load_does_with_repeated_ids_is_part_of_what_it_is(tmp_path: Path) -> None:
    # More rows than can be in flight: some are recorded when the bad one stops the load, however slow it is.
    source = rows(1500)
    source[150]["id"] = "doc-7"
    source[1450]["vector"] = [1.0]
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    load = (
        "upsert",
        path,
        "--batch-rows",
        "50",
        "--max-errors",
        "1",
        "--rejects",
        tmp_path / "rejects.jsonl",
    )
    assert vecload(*load).code == STOPPED
    other = vecload(*load, "--repeated-ids", "last")
    assert other.code == 2
    assert f"had other settings ({REJECTED}); resume with --repeated-ids reject" in other.error
    assert vecload(*load, "--repeated-ids", "last", "--fresh", "--max-errors", "0").code == STOPPED
    # As an unfinished load of a version that rejected none: it named no such setting.
    other = vecload(*load)
    assert other.code == 2
    assert "resume with --repeated-ids last, or load from the start with --fresh" in other.error
    assert vecload(*load, "--repeated-ids", "last").code == ALLOWED
    assert titles("rows", "doc-7") == ["Title 150"]


def test_the_option_may_come_from_the_environment(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", chunks(9))
    assert vecload("upsert", path, variables={**os.environ, "VECLOAD_REPEATED_IDS": "last"}).code == 0
    ended = vecload("upsert", path, "--repeated-ids", "first")
    assert ended.code == 2
    assert "--repeated-ids" in ended.error
