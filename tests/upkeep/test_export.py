"""What is exported and loaded again is the same: values, types, bits. A file is whole, or not there."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import vecload
from tests.cli.command import vecload as run
from tests.upkeep.conftest import ITEMS, Place, items
from tests.upkeep.kills import KILLS, kill_until_done
from vecload.batch import Batch, Span
from vecload.errors import Interrupted, RowsRejected, VecloadError
from vecload.mapping.exported import JSON_FIELDS, PARQUET_FIELDS
from vecload.targets.service import ServiceTarget

ENGINES = ("embedded", "service")
FILES = ("all.parquet", "all.jsonl", "all.jsonl.gz", "all.jsonl.zst")


def export(place: Place, file: Path | str, **options: Any) -> vecload.ExportResult:
    return vecload.export(file, to=place.to, index=place.index, key=place.key, **options)


def load(file: Path, place: Place, **options: Any) -> vecload.LoadResult:
    return vecload.load(
        file, to=place.to, index=place.index, key=place.key, allow_zero_vectors=True, **options
    )


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(("engine", "other"), [("embedded", "service"), ("service", "embedded")])
def test_an_export_loaded_again_is_the_same_index(
    tmp_path: Path,
    full: Callable[[str], Place],
    place: Callable[[str], Place],
    engine: str,
    other: str,
    file: str,
) -> None:
    one, two = full(engine), place(other)
    result = export(one, tmp_path / file)
    assert (result.status, result.exported, result.exit_code) == ("complete", ITEMS, 0)
    loaded = load(tmp_path / file, two)
    assert (loaded.loaded, loaded.rejected) == (ITEMS, 0)
    assert loaded.mapping is not None
    assert loaded.mapping["recipe"] == "vecload"
    assert two.items() == one.items()


def test_nobody_else_can_read_an_export(tmp_path: Path, full: Callable[[str], Place]) -> None:
    export(full("embedded"), tmp_path / "all.parquet")
    assert (tmp_path / "all.parquet").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["all.parquet"]


def test_an_export_does_not_replace_its_key_file(tmp_path: Path, full: Callable[[str], Place]) -> None:
    there, key = full("embedded"), tmp_path / "docs.key"
    there.key.save(key)
    before = key.read_bytes()
    (tmp_path / "link.jsonl").symlink_to(key)
    for written in (key, tmp_path / "link.jsonl"):
        files = ("--key-file", key, "--output", written, "--format", "jsonl")
        ended = run("export", "--to", there.to, "--index", there.index, *files)
        assert ended.code == 2
        assert f"--output {written} is the key file; name a separate file" in ended.err
    with pytest.raises(vecload.UsageError, match=r"rejects .*docs\.key is the key file"):
        vecload.export(tmp_path / "a.jsonl", to=there.to, index=there.index, key=key, rejects=str(key))
    assert key.read_bytes() == before


def test_pandas_reads_an_export(tmp_path: Path, full: Callable[[str], Place]) -> None:
    there = full("embedded")
    export(there, tmp_path / "all.parquet")
    frame = pd.read_parquet(tmp_path / "all.parquet").set_index("id")
    assert [*frame.reset_index().columns] == [*PARQUET_FIELDS[:4], "contents_bytes", "contents_sealed"]
    for item in items():
        row = frame.loc[item["id"]]
        assert row["vector"].tobytes() == np.asarray(item["vector"], np.float32).tobytes()
        assert json.loads(row["metadata"]) == item["metadata"]
        contents = item["contents"]
        kept = [row[name] for name in ("contents", "contents_bytes") if not pd.isna(row[name])]
        assert kept == ([] if contents is None else [contents])
    assert not frame["contents_sealed"].any()


def test_a_line_says_what_an_item_is(tmp_path: Path, full: Callable[[str], Place]) -> None:
    export(full("embedded"), tmp_path / "all.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().split("\n")[:-1]]
    assert {tuple(line) for line in lines} == {JSON_FIELDS}
    assert [line["id"] for line in lines] == sorted(item["id"] for item in items())
    by_id = {line["id"]: line["contents"] for line in lines}
    assert by_id["id 1"] == {"$bytes": "/wBieXRlcw=="}


@pytest.mark.parametrize("engine", ENGINES)
def test_sealed_contents_stay_sealed_and_open_where_they_were(
    tmp_path: Path, full: Callable[[str], Place], engine: str
) -> None:
    there = full(engine)
    before = there.items()
    file = tmp_path / "sealed.jsonl"
    assert export(there, file, sealed=True).exported == ITEMS
    text = file.read_text()
    assert "xxxxxxxxxx" not in text
    assert '"contents_sealed":true' in text
    there.drop()
    with pytest.raises(vecload.UsageError, match=r"sealed already; load them as they are with seal=False"):
        load(file, there)
    load(file, there, seal=False)
    assert there.items() == before


def test_an_index_without_items_is_a_file_without_rows(tmp_path: Path, place: Callable[[str], Place]) -> None:
    there = place("embedded")
    vecload.connect(there.to).create_index(there.index, there.key)
    for name, rows in (("none.parquet", 0), ("none.jsonl", 0)):
        assert export(there, tmp_path / name).exported == rows
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0
    assert (tmp_path / "none.jsonl").read_bytes() == b""


def test_a_large_export_has_row_groups(
    tmp_path: Path, place: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vecload.upkeep.item_files.ROW_GROUP_ROWS", 2000)
    there = place("embedded")
    index = vecload.connect(there.to).create_index(there.index, there.key)
    index.upsert_binary([f"{n:05}" for n in range(5000)], np.ones((5000, 4), np.float32))
    export(there, tmp_path / "all.parquet")
    footer = pq.read_metadata(tmp_path / "all.parquet")
    assert [footer.row_group(n).num_rows for n in range(footer.num_row_groups)] == [2000, 2000, 1000]
    assert pq.read_table(tmp_path / "all.parquet")["id"].to_pylist() == [f"{n:05}" for n in range(5000)]


def test_an_item_that_does_not_open_stops_the_export_and_the_older_file_stays(
    tmp_path: Path, full: Callable[[str], Place]
) -> None:
    there = full("embedded")
    file = tmp_path / "all.jsonl"
    file.write_text("older\n")
    there.put_under_another_key("strange")
    with pytest.raises(RowsRejected, match=r"\(id 'strange'\): contents: do not open: unknown key"):
        export(there, file)
    assert file.read_text() == "older\n"
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["all.jsonl"]
    result = export(there, file, max_errors=1, rejects=str(tmp_path / "bad.jsonl"))
    assert (result.status, result.exported, result.rejected, result.exit_code) == ("rejected", ITEMS, 1, 3)
    assert "strange" in (tmp_path / "bad.jsonl").read_text()
    assert file.read_text().count("\n") == ITEMS


def test_an_item_that_the_service_cannot_send_costs_itself(
    tmp_path: Path, full: Callable[[str], Place]
) -> None:
    there = full("service")
    with ServiceTarget(there.to) as target:
        bad = {"n": float("nan")}
        index = target.open_index(there.index, there.key.index_key)
        vectors = np.ones((1, 8), np.float32)
        body = Batch(["poison"], vectors, [{"n": "PLACE"}], None, Span("x", 0, 1))
        _send_raw(target, there, body, bad)
        assert index.count() == ITEMS + 1
    result = export(there, tmp_path / "all.jsonl", max_errors=1)
    assert (result.exported, result.rejected) == (ITEMS, 1)


def _send_raw(target: ServiceTarget, place: Place, batch: Batch, metadata: dict[str, Any]) -> None:
    """Store metadata that vecload refuses, and the service does not."""
    import httpcore

    text = json.dumps(
        {
            "index_name": place.index,
            "index_key": place.key.index_key.hex(),
            "items": [{"id": batch.ids[0], "vector": [1.0] * 8, "metadata": metadata}],
        }
    )
    answer = httpcore.request(
        "POST",
        f"{target.location}/v1/vectors/upsert",
        headers={"Content-Type": "application/json"},
        content=text.encode(),
    )
    assert answer.status == 200


def test_a_stopped_export_leaves_nothing(tmp_path: Path, full: Callable[[str], Place]) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        export(full("embedded"), tmp_path / "all.jsonl", stop=stop)
    assert [each for each in tmp_path.iterdir() if each.is_file()] == []


def test_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, full: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = full("embedded")

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(VecloadError, match=r"all\.jsonl can't be written: No space left on device$"):
        export(there, tmp_path / "all.jsonl")
    assert [each for each in tmp_path.iterdir() if each.is_file()] == []


def test_a_device_is_not_replaced(full: Callable[[str], Place]) -> None:
    with pytest.raises(vecload.UsageError, match=r"^/dev/null exists and is not a file; name another file$"):
        export(full("embedded"), "/dev/null", format="jsonl")


@pytest.mark.parametrize("name", ["all.csv", "all", "all.parquet.gz"])
def test_a_name_that_shows_no_format_is_refused(full: Callable[[str], Place], name: str) -> None:
    with pytest.raises(vecload.UsageError, match=rf"^{name} does not show in which format to export"):
        export(Place("/nowhere", "x"), name)


def test_the_command_writes_to_standard_output(tmp_path: Path, full: Callable[[str], Place]) -> None:
    there = full("embedded")
    there.key.save(tmp_path / "k")
    where = ("--to", there.to, "--index", there.index, "--key-file", tmp_path / "k")
    ended = run("export", *where)
    assert ended.code == 0
    assert ended.out.count("\n") == ITEMS
    assert "331 exported" in ended.err
    ended = run("export", *where, "-o", tmp_path / "x.parquet", "--json", "-q")
    assert (ended.code, ended.err) == (0, "")
    summary = json.loads(ended.out)
    assert (summary["status"], summary["exported"], summary["format"]) == ("complete", ITEMS, "parquet")
    assert run("export", *where, "--json").error.startswith("vecload: --json prints the summary where")


def test_a_reader_that_leaves_ends_the_export_quietly(tmp_path: Path, full: Callable[[str], Place]) -> None:
    there = full("embedded")
    there.key.save(tmp_path / "k")
    command = [sys.executable, "-m", "vecload", "export", "--to", there.to, "--key-file", str(tmp_path / "k")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
        assert process.wait() == 1


@pytest.mark.parametrize("number", range(KILLS))
def test_an_export_outlives_kills_and_leaves_nothing_else(
    tmp_path: Path, full: Callable[[str], Place], place: Callable[[str], Place], number: int
) -> None:
    one, two = full(ENGINES[number % 2]), place("embedded")
    one.key.save(tmp_path / "k")
    (tmp_path / "files").mkdir()
    file = tmp_path / "files" / FILES[number % len(FILES)]
    where = ["--to", one.to, "--index", one.index, "--key-file", str(tmp_path / "k")]

    def whole_or_not_there() -> None:
        assert {*(tmp_path / "files").iterdir()} <= {file}

    kill_until_done(["export", "-o", str(file), *where], tmp_path, number, after_each=whole_or_not_there)
    whole_or_not_there()
    load(file, two)
    assert two.items() == one.items()
    assert vecload.verify(
        file, to=one.to, index=one.index, key=one.key, allow_zero_vectors=True, extra=True
    ).equal
