from __future__ import annotations

import base64
import gc
import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import cyborgdb
import numpy as np
import pyarrow.parquet as pq
import pytest

import vecload as api
from tests.cli.command import vecload
from tests.cli.sources import SAMPLES, rows, write_jsonl, write_parquet

SUMMARY_KEYS = {
    "version": int,
    "status": str,
    "read": int,
    "loaded": int,
    "rejected": int,
    "skipped": int,
    "deleted": int,
    "seconds": float,
    "items_per_second": float,
    "bytes": int,
    "index": str,
    "target": str,
    "key_id": str,
    "wire": dict,
    "retries": int,
    "repeated": int,
    "repeated_exact": bool,
    "nan_left_out": int,
    "mapping": dict,
    "other_mappings": list,
    "clear_text": list,
    "first_rejects": list,
    "rejects_file": (str, type(None)),
    "rejects_missing": (int, type(None)),
    "time": dict,
    "advice": (str, type(None)),
    "sources": list,
    "verify": (dict, type(None)),
    "exit_code": int,
    "error": (str, type(None)),
    "repeated_ids": str,
    "splits": int,
    "attempts": int,
    "work_seconds": float,
    "resumable": bool,
}


def home() -> Path:
    return Path(os.environ["HOME"])


def default_store() -> Path:
    return Path(os.environ["XDG_DATA_HOME"]) / "vecload" / "store"


def key_files() -> list[Path]:
    return sorted((Path(os.environ["XDG_CONFIG_HOME"]) / "vecload" / "keys").glob("*.toml"))


def summary(ended: Any) -> dict[str, Any]:
    """The object on standard output, which holds nothing else."""
    parsed: dict[str, Any] = json.loads(ended.out)
    return parsed


def items_of(target: str | Path, index: str, key_file: Path) -> dict[str, dict[str, Any]]:
    with api.connect(target) as connection:
        opened = connection.open_index(index, api.Key.load(key_file))
        return {item["id"]: item for item in opened.get(opened.list_ids())}


def test_with_nothing_configured_the_sample_ends_in_a_store_of_the_user_with_a_key_of_its_own() -> None:
    ended = vecload("upsert", SAMPLES / "articles.parquet")

    assert ended.code == 0, ended.err
    assert "300 read, 300 loaded, 0 rejected" in ended.err
    assert ended.out == ""
    (key_file,) = key_files()
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    found = items_of(default_store(), "articles", key_file)
    expected = pq.read_table(SAMPLES / "articles.parquet").to_pylist()
    assert len(found) == len(expected) == 300
    for row in expected:
        item = found[row["id"]]
        assert item["contents"] == row["text"]
        assert item["metadata"] == {name: row[name] for name in ("title", "category", "words")}
        stored = np.array(item["vector"], dtype=np.float32)
        assert stored.tobytes() == np.array(row["embedding"], dtype=np.float32).tobytes()


def test_parquet_and_json_lines_of_the_same_rows_store_the_same_items(service: str, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    vecload("keygen", key_file)
    for name in ("articles.parquet", "articles.jsonl"):
        ended = vecload(
            "upsert",
            SAMPLES / name,
            "--to",
            service,
            "--index",
            name,
            "--key-file",
            key_file,
            "--wire",
            "json",
        )
        assert ended.code == 0, ended.err

    assert items_of(service, "articles.parquet", key_file) == items_of(service, "articles.jsonl", key_file)


@pytest.mark.parametrize("wire", ["json", "binary", "auto"])
def test_every_wire_format_stores_the_same_bits(service: str, tmp_path: Path, wire: str) -> None:
    key_file = tmp_path / "key"
    vecload("keygen", key_file)
    source = rows(40)
    # The shortest text of this float32 reads back as its neighbour.
    source[3]["vector"][0] = float(np.array(0x15AE43FD, dtype=np.uint32).view(np.float32))
    path = write_parquet(tmp_path / "rows.parquet", source)

    ended = vecload(
        "upsert", path, "--to", service, "--index", f"bits-{wire}", "--key-file", key_file, "--wire", wire,
        "--batch-rows", "7", "--binary-threshold", "6", "--json",
    )  # fmt: skip

    found = items_of(service, f"bits-{wire}", key_file)
    for row in source:
        stored = np.array(found[row["id"]]["vector"], dtype=np.float32)
        assert stored.tobytes() == np.array(row["vector"], dtype=np.float32).tobytes()
    # 40 rows in batches of 7: five of 7 and one of 5, which is below the threshold.
    expected = {"json": (6, 0), "binary": (0, 6), "auto": (1, 5)}[wire]
    assert summary(ended)["wire"] == {"json": expected[0], "binary": expected[1]}


def test_the_summary_is_one_object_of_the_documented_keys_and_types(service: str) -> None:
    command = ("upsert", SAMPLES / "articles.parquet", "--json", "--quiet", "--create-key")
    ended = vecload(*command, variables={"VECLOAD_TO": service})

    told = summary(ended)
    assert told.keys() == SUMMARY_KEYS.keys()
    for key, kind in SUMMARY_KEYS.items():
        assert isinstance(told[key], kind), key  # type: ignore[arg-type]
    assert (told["version"], told["status"], told["exit_code"], told["error"]) == (1, "complete", 0, None)
    assert (told["read"], told["loaded"], told["rejected"], told["skipped"]) == (300, 300, 0, 0)
    assert told["target"] == service
    assert told["wire"] == {"json": 0, "binary": 1}
    assert ended.err.startswith("warning: the new key of index 'articles' is only in ")
    assert ended.err.count("\n") == 1
    described = (SAMPLES.parent / "docs" / "summary.md").read_text()
    assert all(f"| `{key}` |" in described for key in SUMMARY_KEYS)


def test_unsealed_contents_are_read_by_the_official_client_and_sealed_ones_are_not(
    service: str, tmp_path: Path
) -> None:
    key_file = tmp_path / "key"
    vecload("keygen", key_file)
    path = write_jsonl(
        tmp_path / "rows.jsonl", [*rows(3), {**rows(1)[0], "id": "b", "text": {"$bytes": "/wA="}}]
    )
    for index, flag in (("open-contents", "--no-seal"), ("sealed-contents", "--seal")):
        ended = vecload("upsert", path, "--to", service, "--index", index, "--key-file", key_file, flag)
        assert ended.code == 0, ended.err
        assert ("contents are not sealed" in ended.err) == (flag == "--no-seal")

    client = cyborgdb.Client(service, "")
    key = api.Key.load(key_file).index_key
    plain = {item["id"]: item for item in client.load_index("open-contents", key).get(["doc-1", "b"])}
    sealed = client.load_index("sealed-contents", key).get(["doc-1", "b"])
    assert plain["doc-1"]["contents"] in (
        b"The text of 1, na\xc3\xafve \xe2\x98\x83",
        "The text of 1, naïve ☃",
    )
    assert base64.b64decode(plain["b"]["contents"]) == b"\xff\x00"
    assert all(bytes(str(item["contents"]), "utf8").lstrip(b"b'").startswith(b"VkxFMQE") for item in sealed)
    own = items_of(service, "sealed-contents", key_file)
    assert own["b"]["contents"] == b"\xff\x00"


def test_an_index_is_made_with_the_metric_and_the_policies_asked_for(service: str) -> None:
    ended = vecload(
        "upsert", SAMPLES / "articles.parquet", "--to", service, "--index", "policies", "--metric", "cosine",
        "--storage-precision", "float16", "--unfilterable", "words", "--pattern", "category",
        "--full-text", "title", "--create-key",
    )  # fmt: skip
    assert ended.code == 0, ended.err

    told = json.loads(vecload("index", "describe", "policies", "--to", service).out)
    assert told["metric"] == "cosine"
    assert told["metadata_schema"]["words"]["filterable"] is False
    assert told["metadata_schema"]["category"]["pattern"] is True
    assert told["metadata_schema"]["title"]["full_text"] is True


def test_named_columns_are_taken_and_only_those(tmp_path: Path) -> None:
    source = [{**row, "emb": row["vector"][::-1], "kept": i, "left": i} for i, row in enumerate(rows(5))]
    path = write_jsonl(tmp_path / "rows.jsonl", source)

    ambiguous = vecload("upsert", path)
    ended = vecload(
        "upsert", path, "--vector-column", "emb", "--id-column", "title", "--contents-column", "id",
        "--metadata-column", "kept", "--metadata-column", "text",
    )  # fmt: skip

    assert ambiguous.code == 2
    assert "several columns that could be the vector: 'vector' (8 numbers" in ambiguous.error
    assert "'emb' (8 numbers" in ambiguous.error
    assert ambiguous.error.endswith("; pick one with --vector-column")
    assert ended.code == 0, ended.err
    item = items_of(default_store(), "rows", key_files()[0])["Title 2"]
    assert item["contents"] == "doc-2"
    assert item["metadata"] == {"kept": 2, "text": source[2]["text"]}
    assert np.array(item["vector"], np.float32).tolist() == np.array(source[2]["emb"], np.float32).tolist()


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (None, "missing.parquet", "can't be read: No such file"),
        (b"", "empty.parquet", "is empty"),
        (b"\x1f\x8b\x08\x00aaaa", "packed.jsonl", "gzip data is"),
        (b"PAR1 and then nothing of use", "broken.parquet", "not a readable Parquet file"),
        (b"hello, world\n", "text.txt", "neither Parquet, JSON Lines, CSV, Arrow IPC nor NumPy"),
        (b'[{"id": "a"}]', "array.json", "no vector column; its other columns are nothing"),
        (b'{"id": "a", "title": "no vector"}\n', "novector.jsonl", "no vector column"),
        (b'{"vector": [1.5, 2]}\n', "noid.jsonl", "no id column"),
    ],
)
def test_a_source_that_cannot_be_read_ends_in_one_line_and_nothing_is_made(
    tmp_path: Path, content: bytes | None, name: str, says: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)

    ended = vecload("upsert", path)

    assert ended.code == 2
    assert says in ended.error
    assert name in ended.error
    assert key_files() == []
    assert not default_store().exists()


def test_a_service_that_is_not_there_is_told_in_one_line_and_nothing_is_made(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(2))

    ended = vecload("upsert", path, "--to", "http://127.0.0.1:9", "--give-up-after", "1")

    assert ended.code == 1
    assert "no connection to http://127.0.0.1:9 (connection refused)" in ended.error
    assert key_files() == []


def test_an_index_that_is_not_there_stays_so_with_no_create(service: str, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(2))

    ended = vecload("upsert", path, "--to", service, "--index", "never-made", "--no-create")

    assert ended.code == 2
    assert "there is no index 'never-made'" in ended.error
    assert "never-made" not in vecload("index", "list", "--to", service).out
    assert key_files() == []


@pytest.mark.parametrize("engine", ["service", "embedded"])
def test_a_wrong_key_and_another_dimension_are_refused_before_a_row_is_written(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    to = request.getfixturevalue("service") if engine == "service" else str(tmp_path / "store")
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for key_file in (right, wrong):
        vecload("keygen", key_file)
    here = ("--to", to, "--index", f"guarded-{engine}")
    path = write_jsonl(tmp_path / "rows.jsonl", rows(3))
    assert vecload("upsert", path, *here, "--key-file", right).code == 0

    more = write_jsonl(tmp_path / "more.jsonl", [{**row, "id": f"new-{row['id']}"} for row in rows(3)])
    ended = vecload("upsert", more, *here, "--key-file", wrong)
    assert ended.code == 6
    assert "--key-file" in ended.error

    longer = write_jsonl(tmp_path / "longer.jsonl", rows(3, dimension=9))
    ended = vecload("upsert", longer, *here, "--key-file", right)
    assert ended.code == 2
    assert "have 9 dimensions, but the index has 8" in ended.error
    assert sorted(items_of(to, f"guarded-{engine}", right)) == ["doc-0", "doc-1", "doc-2"]


def test_a_row_that_cannot_be_loaded_stops_the_load_with_its_file_row_field_and_reason(
    tmp_path: Path,
) -> None:
    source = rows(5)
    source[3]["vector"] = [1.0, 2.0]
    path = write_jsonl(tmp_path / "rows.jsonl", source)

    ended = vecload("upsert", path)

    assert ended.code == 4
    assert f"{path}, row 3 (id 'doc-3'): vector: has 2 values; the index has 8 dimensions" in ended.error


def test_allowed_rejects_are_written_to_a_private_file_and_the_rest_is_loaded(tmp_path: Path) -> None:
    source = rows(50)
    source[0]["vector"] = None
    source[17]["id"] = ""
    source[49]["vector"][2] = "x"
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    rejects = tmp_path / "rejects.jsonl"

    ended = vecload("upsert", path, "--max-errors", "3", "--rejects", rejects, "--batch-rows", "10", "--json")

    assert ended.code == 3
    assert summary(ended)["status"] == "rejected"
    assert (summary(ended)["loaded"], summary(ended)["rejected"]) == (47, 3)
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600
    # In the order in which their batches were acknowledged.
    told = sorted(map(json.loads, rejects.read_text().splitlines()), key=lambda reject: reject["row"])
    assert [(r["row"], r["field"], r["code"]) for r in told] == [
        (0, "vector", "missing"),
        (17, "id", "empty-id"),
        (49, "vector", "not-a-number"),
    ]
    lines = path.read_bytes()
    assert all(
        json.loads(lines[r["offset"] :].partition(b"\n")[0])["title"] == f"Title {r['row']}" for r in told
    )
    assert len(items_of(default_store(), "rows", key_files()[0])) == 47


@pytest.mark.parametrize("file", [False, True])
def test_the_summary_shows_the_first_three_rejects_and_how_to_see_the_rest(
    tmp_path: Path, *, file: bool
) -> None:
    source = rows(50)
    for row in (3, 7, 21, 30, 44):
        source[row]["vector"] = [1.0, 2.0]
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    rejects = ["--rejects", tmp_path / "bad.jsonl"] if file else []

    ended = vecload("upsert", path, "--max-errors", "5", "--batch-rows", "50", "--json", *rejects)

    assert ended.code == 3
    shown = [line for line in ended.err.splitlines() if line.startswith("reject ")]
    assert shown == [
        f"reject {path}, row {row} (id 'doc-{row}'): vector: has 2 values; the index has 8 dimensions"
        for row in (3, 7, 21)
    ]
    where = (
        f"vecload rejects {tmp_path / 'bad.jsonl'}" if file else "--fresh --rejects FILE writes all of them"
    )
    assert f"       2 more: {where}" in ended.err
    told = summary(ended)
    assert [one["row"] for one in told["first_rejects"]] == [3, 7, 21]
    assert told["first_rejects"][0] == {
        "source": str(path),
        "row": 3,
        "id": "doc-3",
        "field": "vector",
        "code": "dimension",
        "message": "has 2 values; the index has 8 dimensions",
    }
    assert told["rejects_file"] == (str(tmp_path / "bad.jsonl") if file else None)
    assert told["resumable"] is False


def test_a_load_that_was_stopped_goes_on_and_a_finished_one_loads_again_or_not_at_all(tmp_path: Path) -> None:
    source = rows(160)
    source[155]["vector"] = None
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    command = ("upsert", path, "--batch-rows", "10", "--json")

    stopped = vecload(*command)
    resumed = vecload(*command, "--max-errors", "1")
    again = vecload(*command, "--max-errors", "1")
    skipped = vecload(*command, "--max-errors", "1", "--skip-loaded")

    assert stopped.code == 4
    assert resumed.code == 3
    # All of the 150 rows before the bad one's batch, less batches that were not begun when it was met.
    left = summary(stopped)["loaded"]
    assert 0 < left <= 150
    assert f"resuming: {left} rows are done" in resumed.err
    told = summary(resumed)
    assert (told["read"], told["loaded"], told["skipped"]) == (160, 159 - left, left)
    assert summary(again)["loaded"] == 159
    assert (summary(skipped)["loaded"], summary(skipped)["skipped"]) == (0, 159)
    assert (skipped.code, summary(skipped)["status"]) == (3, "rejected")
    assert "nothing to do" in skipped.err


def test_a_source_that_changed_under_an_unfinished_load_is_refused_until_it_starts_over(
    tmp_path: Path,
) -> None:
    source = rows(130)
    source[125]["vector"] = None
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    assert vecload("upsert", path, "--batch-rows", "10").code == 4

    write_jsonl(path, [{**row, "title": row["title"][::-1]} for row in rows(130)])
    refused = vecload("upsert", path, "--batch-rows", "10")
    fresh = vecload("upsert", path, "--batch-rows", "10", "--fresh", "--json")

    assert refused.code == 2
    assert "changed since its unfinished load began" in refused.error
    assert fresh.code == 0
    assert summary(fresh)["loaded"] == 130


@pytest.mark.parametrize("option", [(), ("--allow-zero-vectors",)])
def test_an_index_that_was_dropped_under_an_unfinished_load_is_noticed(
    tmp_path: Path, option: tuple[str, ...]
) -> None:
    source = rows(130)
    source[125]["vector"] = None
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    command = ("upsert", path, "--batch-rows", "10", *option)
    assert vecload(*command).code == 4
    assert vecload("index", "delete", "rows", "--yes").code == 0

    for _ in range(2):  # made anew by the first, and empty
        ended = vecload(*command, "--max-errors", "1")
        assert ended.code == 2
        assert "--fresh" in ended.error


def test_an_index_that_was_dropped_and_filled_again_is_not_taken_for_the_same(tmp_path: Path) -> None:
    source = rows(130)
    source[125]["vector"] = None
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    assert vecload("upsert", path, "--batch-rows", "10").code == 4
    vecload("index", "delete", "rows", "--yes")
    others = [{**row, "id": f"other-{i}"} for i, row in enumerate(rows(400))]
    assert vecload("upsert", write_jsonl(tmp_path / "others.jsonl", others), "--index", "rows").code == 0

    ended = vecload("upsert", path, "--batch-rows", "10", "--max-errors", "1")

    assert ended.code == 2
    assert "lacks items that this load stored" in ended.error


def test_a_finished_load_is_not_skipped_when_its_index_is_another(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(5))
    assert vecload("upsert", path).code == 0
    vecload("index", "delete", "rows", "--yes")

    ended = vecload("upsert", path, "--skip-loaded", "--json")

    assert (ended.code, summary(ended)["loaded"]) == (0, 5)


@pytest.mark.parametrize("content", [b"\n\n", None])
def test_a_source_of_no_rows_is_a_complete_load_of_nothing(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "rows.jsonl"
    if content is None:
        path = tmp_path / "rows.parquet"
        pq.write_table(pq.read_table(SAMPLES / "articles.parquet").slice(0, 0), path)
    else:
        path.write_bytes(content)

    ended = vecload("upsert", path, "--json")

    assert (ended.code, summary(ended)["status"], summary(ended)["exit_code"]) == (0, "complete", 0)
    assert key_files() == []


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--concurrency", "banana"), "neither 'auto' nor a number"),
        (("--train",), "multiples of 32"),
        (("--dimension", "9"), "--dimension is 9"),
        (("--rejects", "rows.jsonl"), "is a source"),
        (("--rejects", "."), "the reject file . is a folder"),
        (("--rejects", "nowhere/rejects"), "can't write a reject file"),
        (("--state-dir", "rows.jsonl/x"), "can't keep a journal"),
        (("--max-errors", "many"), "neither a number of rows nor a percentage"),
        (("--embed",), "there is no store at"),
        (("--to", "127.0.0.1:8000"), "write http://HOST:PORT for a service"),
        (("--to", "localhost:8000"), "write http://HOST:PORT for a service"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_made(
    tmp_path: Path, flags: tuple[str, ...], says: str
) -> None:
    write_jsonl(tmp_path / "rows.jsonl", rows(5))

    ended = vecload("upsert", "rows.jsonl", *flags, cwd=tmp_path)

    assert ended.code in (1, 2)
    assert says in ended.error
    assert key_files() == []
    assert vecload("index", "list").out == ""


def test_another_contents_key_is_noticed_before_a_row_is_written(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    vecload("keygen", right)
    api.Key(api.Key.load(right).index_key, bytes(range(32))).save(wrong)
    assert vecload("upsert", write_jsonl(tmp_path / "rows.jsonl", rows(5)), "--key-file", right).code == 0
    more = write_jsonl(tmp_path / "more.jsonl", [{**row, "id": f"new-{row['id']}"} for row in rows(5)])

    ended = vecload("upsert", more, "--index", "rows", "--key-file", wrong)

    assert ended.code == 6
    assert "sealed with another contents key" in ended.error
    assert len(items_of(default_store(), "rows", right)) == 5


def forge(key: api.Key, ids: list[str]) -> None:
    """Put items next to those, whose contents look sealed and are not; let go of the store."""
    forged = "VkxFMQI=" + "A" * 120  # the magic, and a suite that is none
    with api.connect(default_store()) as connection:
        index = connection.open_index("rows", key, seal=False)
        found = index.get(ids)
        index.upsert([{"id": f"forged-{i['id']}", "vector": i["vector"], "contents": forged} for i in found])
    # The engine holds the store as long as anything refers to the index.
    del index
    gc.collect()


def test_an_item_that_is_damaged_stops_no_load_of_others(tmp_path: Path) -> None:
    key = tmp_path / "key"
    vecload("keygen", key)
    assert vecload("upsert", write_jsonl(tmp_path / "rows.jsonl", rows(2)), "--key-file", key).code == 0
    forge(api.Key.load(key), [row["id"] for row in rows(2)])
    more = write_jsonl(tmp_path / "more.jsonl", [{**row, "id": f"new-{row['id']}"} for row in rows(2)])

    ended = vecload("upsert", more, "--index", "rows", "--key-file", key)

    assert ended.code == 0, ended.err


def test_files_whose_names_differ_only_after_a_dot_end_in_indexes_of_their_own(tmp_path: Path) -> None:
    for year in ("2024", "2025"):
        assert vecload("upsert", write_jsonl(tmp_path / f"news.{year}.jsonl", rows(2))).code == 0

    assert vecload("index", "list").out.split() == ["news.2024", "news.2025"]


def test_quiet_says_nothing_when_a_load_goes_on_or_has_nothing_to_do(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", rows(5))
    assert vecload("upsert", path, "--quiet").code == 0
    for _ in range(2):
        ended = vecload("upsert", path, "--quiet", "--skip-loaded")
        assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_a_file_name_with_a_line_break_still_makes_one_line(tmp_path: Path) -> None:
    ended = vecload("upsert", tmp_path / "a\nb.parquet")

    assert ended.code == 2
    assert "a\\nb.parquet" in ended.error


@pytest.mark.parametrize("engine", ["service", "embedded"])
def test_an_index_that_embeds_nothing_refuses_rows_without_vectors_clearly(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    to = request.getfixturevalue("service") if engine == "service" else str(tmp_path / "store")
    key_file = tmp_path / "key"
    vecload("keygen", key_file)
    here = ("--to", to, "--key-file", key_file)
    vecload("index", "create", f"plain-{engine}", *here, "--dimension", "8")
    path = write_jsonl(tmp_path / "rows.jsonl", [{"id": "a", "text": "to embed"}])

    ended = vecload("upsert", path, *here, "--index", f"plain-{engine}", "--embed")

    assert ended.code == 2
    assert "has no embedding model" in ended.error


@pytest.mark.parametrize("engine", ["service", "embedded"])
def test_an_embedding_model_that_cannot_be_had_leaves_nothing_behind(
    request: pytest.FixtureRequest, tmp_path: Path, engine: str
) -> None:
    to = request.getfixturevalue("service") if engine == "service" else str(tmp_path / "store")
    path = write_jsonl(tmp_path / "rows.jsonl", [{"id": "a", "text": "to embed"}])
    model = ("--embed", "--embedding-model", "all-MiniLM-L6-v2")
    here = ("--to", to, "--index", f"embedding-{engine}", "--create-key")

    ended = vecload("upsert", path, *here, *model, variables={"CYBORGDB_EMBED_OFFLINE": "1"})

    assert ended.code == 1
    assert "mbedding model" in ended.error
    assert f"embedding-{engine}" not in vecload("index", "list", "--to", to).out
    assert key_files() == []


def test_no_key_and_no_contents_reach_what_is_printed_or_kept(service: str, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    vecload("keygen", key_file)
    source = [{**row, "text": f"SECRET-TEXT {i}"} for i, row in enumerate(rows(20))]
    source[13]["vector"] = ["SECRET-VALUE"]
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    here = ("--to", service, "--index", "secrets", "--key-file", key_file, "--batch-rows", "5")

    rejects = tmp_path / "rejects.jsonl"
    ended = [
        vecload("upsert", path, *here, "--rejects", rejects),
        vecload("upsert", path, *here, "--rejects", rejects, "--max-errors", "5", "--json"),
        vecload("index", "describe", "secrets", "--to", service, "--key-file", key_file),
        vecload("upsert", path, "--to", "http://127.0.0.1:9", "--key-file", key_file, "--give-up-after", "0"),
    ]

    assert [e.code for e in ended] == [4, 3, 0, 1]
    kept = b"".join(file.read_bytes() for file in home().rglob("*") if file.is_file())
    told = "".join(e.out + e.err for e in ended).encode() + rejects.read_bytes() + kept
    key = api.Key.load(key_file)
    for secret in (key.index_key.hex(), key.contents_key.hex(), "SECRET-TEXT", "SECRET-VALUE"):
        assert secret.encode() not in told


def test_the_defaults_of_vecload_toml_hold_until_a_variable_or_a_flag_says_otherwise(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", rows(20))
    (tmp_path / "vecload.toml").write_text('index = "from-file"\n[upsert]\nbatch-rows = 5\n')

    assert vecload("upsert", "rows.jsonl", cwd=tmp_path).code == 0
    assert (
        vecload("upsert", "rows.jsonl", cwd=tmp_path, variables={"VECLOAD_INDEX": "from-variable"}).code == 0
    )
    assert vecload("upsert", "rows.jsonl", "--index", "from-flag", cwd=tmp_path).code == 0

    listed = vecload("index", "list", cwd=tmp_path)
    assert listed.out.split() == ["from-file", "from-flag", "from-variable"]
    (tmp_path / "vecload.toml").write_text("bach-rows = 5\n")
    assert "'bach-rows', which is not an option" in vecload("index", "list", cwd=tmp_path).error


def test_a_terminal_gets_a_progress_display_and_a_log_gets_none_of_it(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "rows.parquet", rows(3000, dimension=64))
    main, end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "vecload", "upsert", path, "--batch-rows", "10"],
        stdin=end, stdout=subprocess.DEVNULL, stderr=end, env={**os.environ, "TERM": "xterm-256color"},
    ) as process:  # fmt: skip
        os.close(end)
        shown = b""
        while True:
            try:
                shown += os.read(main, 65536)
            except OSError:  # how a pseudo-terminal ends
                break
        assert process.wait() == 0
    os.close(main)

    assert "━".encode() in shown
    assert b"rows/s" in shown
    assert b"3,000 read, 3,000 loaded" in shown
    assert "━" not in vecload("upsert", path).err


def test_an_embedded_index_is_served_from_its_folder_under_the_same_key(
    tmp_path: Path, service_on: Any
) -> None:
    key_file = tmp_path / "key"
    vecload("keygen", key_file)
    store = tmp_path / "store"
    path = SAMPLES / "articles.parquet"
    assert vecload("upsert", path, "--to", store, "--key-file", key_file).code == 0

    with service_on(store) as serving:
        assert len(items_of(serving.url, "articles", key_file)) == 300
        ended = vecload(
            "query", SAMPLES / "query.json", "--to", serving.url, "--key-file", key_file, "--top-k", "1"
        )
        assert json.loads(ended.out)["metadata"]["title"] == "dangling pointer"
        busy = vecload("upsert", path, "--to", store, "--key-file", key_file)
    assert busy.code == 1
    assert "another process holds the store" in busy.error


def test_a_load_says_where_its_time_went_and_what_would_help_if_asked(tmp_path: Path) -> None:
    table = rows(1000, dimension=32)
    for n, row in enumerate(table):
        row |= {f"code{f}": f"{f}-{n}-{n * 7919 % 1000}" for f in range(8)}
    path = write_parquet(tmp_path / "rows.parquet", table)
    ended = vecload("upsert", path, "--explain", "--json")
    told = summary(ended)
    assert sum(told["time"].values()) == pytest.approx(1, abs=0.01)
    assert set(told["time"]) == {"read", "map", "seal", "encode", "record", "network", "server"}
    assert told["advice"] in ended.err
    assert "time   " in ended.err
    assert summary(vecload("upsert", path, "--json"))["advice"] is None


@pytest.mark.parametrize("batch_rows", ["0", "-1", "many", "1.5", "100001"])
def test_batch_rows_are_a_number_or_auto(tmp_path: Path, batch_rows: str) -> None:
    path = write_parquet(tmp_path / "rows.parquet", rows(10))
    ended = vecload("upsert", path, f"--batch-rows={batch_rows}")
    assert ended.code == 2
    assert "--batch-rows" in ended.error


def test_rows_that_share_an_id_are_told(tmp_path: Path) -> None:
    path = tmp_path / "chunks.jsonl"
    write_jsonl(path, [{"doc_id": "d", "n": n, "vector": [1.0, n]} for n in range(4)])
    for _ in range(2):  # into a new index, and into one that holds these ids already
        ended = vecload("upsert", path, "--id-column", "doc_id", "--json")
        told = summary(ended)
        assert (ended.code, told["repeated"], told["repeated_exact"]) == (0, 3, True)
        assert "4 read, 4 loaded, 0 rejected; 3 replaced by later rows with the same id" in ended.err


def test_a_file_name_that_is_not_utf_8_ends_in_one_line_and_nothing_is_made(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jsonl"))
    write_jsonl(path, rows(2))
    for name in (path, tmp_path):
        ended = vecload("upsert", name, "--json")
        assert ended.code == 2
        assert r"caf\xe9.jsonl is not UTF-8" in ended.error
        assert r"caf\xe9.jsonl is not UTF-8" in summary(ended)["error"]
    assert not default_store().exists()
    assert key_files() == []
