"""The options that say what becomes of rows, through the real command into the real engine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.loading import Loading
from tests.cli.sources import write_jsonl
from vecload import Key, connect

ROWS: list[dict[str, Any]] = [
    {"id": f"row-{n}", "vector": [n, 0.5], "payload": {"text": f"text {n}", "internal": n}, "n": n}
    for n in range(1, 4)
]


def test_every_option_does_what_it_says(loading: Loading, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", ROWS)
    loading.load(
        source,
        *("--contents-column", "payload.text", "--metadata-exclude", "payload.internal"),
        *("--rename", "n=number", "--id-prefix", "wiki/"),
    )
    items = loading.items()
    assert [*items] == ["wiki/row-1", "wiki/row-2", "wiki/row-3"]
    assert [item["metadata"] for item in items.values()] == [{"number": n} for n in (1, 2, 3)]
    assert [item["contents"] for item in items.values()] == ["text 1", "text 2", "text 3"]


def test_made_ids_are_the_same_in_a_rerun(loading: Loading, tmp_path: Path) -> None:
    source = write_jsonl(
        tmp_path / "rows.jsonl", [{"vector": row["vector"], "n": 1} for row in [*ROWS, ROWS[0]]]
    )
    assert "or generate ids with --generate-ids" in loading.load(source, code=2)
    loading.load(source, "--generate-ids")
    first = loading.items()
    assert len(first) == 3
    shutil.copy(source, str(source.with_name("b")))
    loading.load(source, "--generate-ids", "--fresh")
    loading.load("--generate-ids", str(source), "--fresh")
    assert loading.items() == first
    loading.load(source, "--generate-ids", "rows", "--fresh")
    assert loading.items().keys() == first.keys() | {*"0123"}
    assert "would get the same ids" in loading.load(
        source, str(source.with_name("b")), "--generate-ids", "rows", code=2
    )


def test_the_file_of_defaults_holds_them_all(
    loading: Loading, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vecload.toml").write_text(
        '[upsert]\nmetadata-exclude = ["payload"]\nrename = ["n=number"]\nid-prefix = "p-"\n'
        'generate-ids = true\nvector-dtype = "int8"\nmax-id-bytes = 10\nmax-depth = 2\n'
        'max-contents-bytes = 9\nmax-metadata-bytes = 20\nmax-json-bytes = 5000\nrecipe = "qdrant"\n'
    )
    monkeypatch.setenv("VECLOAD_CONFIG", str(tmp_path / "vecload.toml"))
    loading.load(write_jsonl(tmp_path / "rows.jsonl", ROWS))
    assert [item["metadata"] for item in loading.items().values()] == [{"number": n} for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--max-id-bytes", "4"), "id: is 5 bytes long; at most 4 are allowed"),
        (("--max-depth", "0"), "metadata: is nested deeper than 0"),
        (
            ("--max-contents-bytes", "5", "--contents-column", "payload.text"),
            "contents: are 6 bytes; at most 5 are allowed",
        ),
        (("--max-metadata-bytes", "20"), "bytes of JSON; at most 20 are allowed"),
    ],
)
def test_what_is_beyond_a_limit_stops_the_load(
    loading: Loading, tmp_path: Path, options: tuple[str, ...], reason: str
) -> None:
    rows = [{**row, "deep": {"a": []}} for row in ROWS]
    said = loading.load(write_jsonl(tmp_path / "rows.jsonl", rows), *options, code=4)
    assert reason in said
    assert "row 0 (id 'row-1')" in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--rename", "n"), "--rename 'n' is not of the form old=new"),
        (("--rename", "=n"), "is not of the form old=new"),
        (("--rename", "n="), "is not of the form old=new"),
        (("--rename", "n=a", "--rename", "n=b"), "uses a name of another --rename"),
        (("--rename", "n=a", "--rename", "payload=a"), "uses a name of another --rename"),
        (("--metadata-exclude", "nn"), "has no metadata 'nn' (--metadata-exclude)"),
        (("--contents-column", "payload.txt"), "it has 'payload.text', 'payload.internal'"),
        (("--recipe", "chroma"), "does not look like an export of chroma, which has ids: list"),
        (("--recipe", "chrma"), "there is no recipe 'chrma'; name a file, or one of azure,"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_made(
    loading: Loading, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    assert says in loading.load(write_jsonl(tmp_path / "rows.jsonl", ROWS), *options, code=2)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "options", [("--id-prefix", "p-"), ("--rename", "n=m"), ("--metadata-exclude", "n"), ("--max-depth", "9")]
)
def test_another_option_is_another_load(loading: Loading, tmp_path: Path, options: tuple[str, ...]) -> None:
    # Among the first rows the bad one would be seen before the load.
    rows = [{**ROWS[0], "id": str(n)} for n in range(150)]
    source = write_jsonl(tmp_path / "rows.jsonl", [*rows, {"id": "bad", "vector": [1]}])
    loading.load(source, "--batch-rows", "50", code=4)
    assert "resuming" in loading.load(source, "--batch-rows", "50", code=4)
    assert "had other settings" in loading.load(source, "--batch-rows", "50", *options, code=2)
    assert "resuming" not in loading.load(source, "--batch-rows", "50", *options, "--fresh", code=4)


def test_rejected_rows_of_a_document_are_loaded_again(loading: Loading, tmp_path: Path) -> None:
    source = tmp_path / "rows.json"
    source.write_text(json.dumps([*ROWS, {"id": "late", "vector": [0, 0]}]))
    rejects = str(tmp_path / "rejects.jsonl")
    loading.load(source, "--max-errors", "1", "--rejects", rejects, "--id-prefix", "p-", code=3)
    assert len(loading.items()) == 3
    loading.load(source, "--retry-rejects", rejects, "--allow-zero-vectors", "--id-prefix", "p-")
    with connect(str(tmp_path / "store")) as connection:
        assert connection.open_index("a", Key.load(loading.key)).count() == 4


def test_an_export_of_a_metric_that_cyborgdb_lacks_needs_another(loading: Loading, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "vdf" / "x").mkdir(parents=True)
    pq.write_table(pa.table({"id": ["a"], "vector": [[1.0, 2.0]]}), tmp_path / "vdf" / "x" / "1.parquet")
    about = {"data_path": "x", "metric": "Dot", "dimensions": 2}
    (tmp_path / "vdf" / "VDF_META.json").write_text(json.dumps({"indexes": {"x": [about]}}))
    said = loading.load(tmp_path / "vdf", code=2)
    assert "the metric 'Dot', which CyborgDB does not have; choose another with --metric" in said
    loading.load(tmp_path / "vdf", "--metric", "cosine")
    assert [*loading.items()] == ["a"]
