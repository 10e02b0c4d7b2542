"""Sources of every kind through the real command into the real engine, and read back bit for bit."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from tests.cli.command import Ended, vecload
from tests.cli.sources import rows, write_jsonl, write_parquet
from tests.stores import BUCKET, CREDENTIALS
from vecload import Key, connect, generate_key
from vecload.cli.app import run

ROWS = rows(150)


def table() -> pa.Table:
    vectors = pa.array([row["vector"] for row in ROWS], pa.list_(pa.float32()))
    return pa.Table.from_pylist(
        [{"id": row["id"], "title": row["title"], "text": row["text"]} for row in ROWS]
    ).append_column("vector", vectors)


def packed(path: Path, *command: str) -> list[str]:
    """Lines, packed by the real tool."""
    lines = write_jsonl(path / "plain", ROWS).read_bytes()
    (path / "rows.jsonl.packed").write_bytes(
        subprocess.run([*command, "-c"], input=lines, capture_output=True, check=True).stdout
    )
    return [str(path / "rows.jsonl.packed")]


def parquet(path: Path) -> list[str]:
    return [str(write_parquet(path / "rows.parquet", ROWS))]


def arrow_file(path: Path) -> list[str]:
    feather.write_feather(table(), path / "rows.feather", compression="lz4")
    return [str(path / "rows.feather")]


def arrow_stream(path: Path) -> list[str]:
    with pa.ipc.new_stream(path / "rows.arrows", table().schema) as writer:
        writer.write_table(table(), max_chunksize=40)
    return [str(path / "rows.arrows")]


def array(path: Path) -> list[str]:
    np.save(path / "rows.npy", np.array([row["vector"] for row in ROWS], np.float32))
    pq.write_table(table().drop(["vector"]), path / "beside.parquet")
    return [str(path / "rows.npy"), "--ids-file", str(path / "beside.parquet")]


def archive(path: Path) -> list[str]:
    columns = {name: np.array([row[name] for row in ROWS]) for name in ("id", "title", "text")}
    np.savez(path / "rows.npz", vectors=np.array([row["vector"] for row in ROWS], np.float32), **columns)
    return [str(path / "rows.npz")]


def comma_separated(path: Path) -> list[str]:
    with (path / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ROWS[0].keys())
        writer.writeheader()
        writer.writerows(ROWS)
    return [str(path / "rows.csv")]


def one_column_a_dimension(path: Path) -> list[str]:
    columns = {f"dim_{at}": [row["vector"][at] for row in ROWS] for at in range(8)}
    others = {name: [row[name] for row in ROWS] for name in ("id", "title", "text")}
    pq.write_table(pa.table({**columns, **others}), path / "rows.parquet")
    return [str(path / "rows.parquet"), "--vector-columns", "dim_*"]


def copied(path: Path) -> list[str]:
    """As PostgreSQL's COPY writes it, by its documentation."""
    lines = ("\t".join([row["id"], str(row["vector"]), row["title"], row["text"]]) + "\n" for row in ROWS)
    (path / "rows.txt").write_text("".join(lines))
    return [str(path / "rows.txt"), "--format", "pgcopy", "--csv-columns", "id,vector,title,text"]


def folder(path: Path) -> list[str]:
    numbered = table().append_column("part", pa.array([i % 3 for i in range(len(ROWS))]))
    ds.write_dataset(
        numbered, path / "rows", format="parquet", partitioning=["part"], partitioning_flavor="hive"
    )
    (path / "rows" / "_SUCCESS").touch()
    return [str(path / "rows")]


def pattern(path: Path) -> list[str]:
    write_jsonl(path / "a1.jsonl", ROWS[:70])
    write_parquet(path / "a2.parquet", ROWS[70:])
    return [f"{path}/a*"]


def check_items(store: Path, key_file: Path) -> None:
    """Every row is in the index as it was, and nothing else."""
    index = connect(store).open_index("rows", Key.load(key_file))
    items = {item["id"]: item for item in index.get([row["id"] for row in ROWS])}
    assert len(items) == len(ROWS)
    for row in ROWS:
        item = items[row["id"]]
        assert item["metadata"].pop("part", 0) in (0, 1, 2)
        assert item["metadata"] == {"title": row["title"]}
        assert item["contents"] == row["text"]
        vector = np.array(item["vector"], np.float32)
        assert vector.tobytes() == np.array(row["vector"], np.float32).tobytes()


@pytest.mark.parametrize(
    "make",
    [
        parquet,
        lambda path: packed(path, "gzip"),
        lambda path: packed(path, "zstd"),
        comma_separated,
        one_column_a_dimension,
        copied,
        arrow_file,
        arrow_stream,
        array,
        archive,
        folder,
        pattern,
    ],
    ids=[
        "parquet",
        "gzip",
        "zstd",
        "csv",
        "dimensions",
        "copy",
        "feather",
        "stream",
        "npy",
        "npz",
        "folder",
        "pattern",
    ],
)
def test_what_a_format_holds_is_read_back_bit_for_bit(
    tmp_path: Path, make: Callable[[Path], list[str]]
) -> None:
    key_file, store = tmp_path / "key", tmp_path / "store"
    generate_key().save(key_file)
    (tmp_path / "data").mkdir()
    here = ["--to", str(store), "--index", "rows", "--key-file", str(key_file), "--batch-rows", "40", "-q"]
    assert run(["upsert", *make(tmp_path / "data"), *here]) == 0
    check_items(store, key_file)


def piped(data: bytes, *arguments: str | Path) -> Ended:
    """The command with something on its standard input."""
    command = [sys.executable, "-m", "vecload", *map(str, arguments)]
    ended = subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)
    return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


@pytest.mark.parametrize("kind", ["zstd", "parquet", "csv"])
def test_standard_input_is_loaded_and_says_that_it_can_not_be_resumed(tmp_path: Path, kind: str) -> None:
    key_file, store = tmp_path / "key", tmp_path / "store"
    generate_key().save(key_file)
    made = {"parquet": parquet, "csv": comma_separated}.get(kind, lambda path: packed(path, "zstd"))(tmp_path)
    here = ("--to", store, "--index", "rows", "--key-file", key_file)

    ended = piped(Path(made[0]).read_bytes(), "upsert", "-", *here)

    assert ended.code == 0, ended.err
    assert ended.err.count("standard input can be read only once") == 1
    check_items(store, key_file)
    assert list((Path.home() / "state").rglob("*.sqlite")) == []


@pytest.mark.parametrize(
    ("data", "flags", "says"),
    [
        (b"", (), "standard input is empty"),
        (b"PAR1 and nothing", (), "standard input is not a readable Parquet file"),
        (b"id,vector\n", (), "standard input is neither"),
        (b'{"id": "a", "vector": [1]}\n', ("--skip-loaded",), "--skip-loaded can't know"),
    ],
)
def test_standard_input_that_can_not_be_loaded_ends_in_one_line(
    tmp_path: Path, data: bytes, flags: tuple[str, ...], says: str
) -> None:
    ended = piped(data, "upsert", "-", "--index", "rows", "--to", tmp_path / "store", *flags)
    assert ended.code == 2
    assert says in ended.error


def test_a_file_added_to_a_folder_under_an_unfinished_load_is_told(tmp_path: Path) -> None:
    source = rows(130)
    source[125]["vector"] = None
    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data" / "a.jsonl", source)
    load = ("upsert", tmp_path / "data", "--index", "rows", "--batch-rows", "5")
    assert vecload(*load).code == 4
    write_jsonl(tmp_path / "data" / "b.jsonl", rows(3))

    ended = vecload(*load, "--max-errors", "1")

    assert ended.code == 2
    assert "b.jsonl was added since its unfinished load began" in ended.error
    (tmp_path / "data" / "b.jsonl").unlink()
    again = vecload(*load, "--max-errors", "1")
    assert again.code == 3, again.err
    assert "resuming: 1" in again.err


@pytest.mark.parametrize("kind", ["parquet", "gzip"])
@pytest.mark.parametrize("name", ["s3://vectors/{0}/part-*", "s3://vectors/{0}"], ids=["pattern", "prefix"])
def test_a_load_from_s3_goes_on_where_it_stopped(
    bucket: tuple[str, Any], tmp_path: Path, kind: str, name: str
) -> None:
    url, client = bucket
    prefix = f"{kind}-{len(name)}"
    source = [dict(row) for row in ROWS]
    source[130]["vector"] = None
    for number, part in enumerate((source[:10], source[10:])):
        if kind == "parquet":
            path = write_parquet(tmp_path / "part", part)
        else:
            write_jsonl(tmp_path / "part.jsonl", part)
            path = Path(packed_file(tmp_path / "part.jsonl"))
        client.upload_file(str(path), BUCKET, f"{prefix}/part-{number}")
    client.put_object(Bucket=BUCKET, Key=f"{prefix}/_SUCCESS", Body=b"")
    load = ("upsert", name.format(prefix), "--endpoint-url", url, "--index", "rows", "--batch-rows", "10")

    stopped = vecload(*load, variables=CREDENTIALS)
    ended = vecload(*load, "--max-errors", "1", "--json", variables=CREDENTIALS)

    assert stopped.code == 4, stopped.err
    assert f"s3://vectors/{prefix}/part-1, row 120" in stopped.error
    assert ended.code == 3, ended.err
    summary = json.loads(ended.out)
    assert 100 <= summary["skipped"] <= 130  # a batch or two may not have begun when it stopped
    assert (summary["skipped"] + summary["loaded"], summary["rejected"]) == (149, 1)


def packed_file(path: Path) -> str:
    subprocess.run(["gzip", "-kf", str(path)], check=True)
    return f"{path}.gz"


@pytest.mark.parametrize(
    ("source", "changed", "code", "says"),
    [
        ("s3://vectors/missing", {}, 2, "s3://vectors/missing does not exist"),
        ("s3://no-such-bucket/a", {}, 2, "s3://no-such-bucket/a does not exist"),
        ("s3://vectors/a", {"VECLOAD_ENDPOINT_URL": "http://127.0.0.1:9"}, 1, "can't be reached"),
        ("s3://key:SECRET@vectors/a", {}, 2, "holds credentials"),
    ],
)
def test_what_can_not_be_had_from_s3_ends_in_one_line(
    bucket: tuple[str, Any], tmp_path: Path, source: str, changed: dict[str, str], code: int, says: str
) -> None:
    url, _ = bucket
    ended = vecload(
        "upsert", source, "--index", "rows", variables={**CREDENTIALS, "VECLOAD_ENDPOINT_URL": url, **changed}
    )
    assert ended.code == code
    assert says in ended.error
    assert "SECRET" not in ended.err


def test_credentials_that_the_store_refuses_end_in_one_line_that_holds_none(bucket: tuple[str, Any]) -> None:
    from moto.core import set_initial_no_auth_action_count

    url, client = bucket
    client.put_object(Bucket=BUCKET, Key="a", Body=b"{}")

    @set_initial_no_auth_action_count(0)
    def load() -> Ended:
        return vecload("upsert", "s3://vectors/a", "--endpoint-url", url, variables=CREDENTIALS)

    ended = load()
    assert ended.code == 2
    assert "the store refuses these credentials" in ended.error
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in ended.err
