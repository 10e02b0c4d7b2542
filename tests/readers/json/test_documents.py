from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from vecload.batch import Batch
from vecload.errors import MappingError, SourceError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice, Mapper
from vecload.readers import ReadOptions, Source, open_sources
from vecload.readers.json.jsonl import JsonlSource

ROWS = [{"id": f"row-{n}", "vector": [n, 0.5]} for n in range(1, 8)]


def opened(path: Path, text: str | bytes, **reading: Any) -> Source:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    (source,) = open_sources([str(path)], ReadOptions(**reading))
    return source


def loaded(source: Source, **how: Any) -> list[Batch]:
    plan = make_plan([source], ColumnChoice(), embed=False)
    (job,) = plan.jobs(index_dimension=0, allow_zero_vectors=False)
    assert isinstance(job.mapper, Mapper)
    return [job.mapper.map(rows) for rows in source.read(**{"batch_rows": 100, "batch_bytes": 10**9, **how})]


ONE_LINE = json.dumps(ROWS)
COMMAS_FIRST = "[" + "\n,".join(json.dumps(row) for row in ROWS) + "]"
ROW_A_LINE = "[\n" + ",\n".join(json.dumps(row) for row in ROWS) + "\n]\n"


@pytest.mark.parametrize(
    "text",
    [ONE_LINE, json.dumps(ROWS, indent=2), ROW_A_LINE, COMMAS_FIRST, "\ufeff \n" + ONE_LINE],
    ids=["one line", "indented", "a row a line", "commas first", "a byte order mark"],
)
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows"])
def test_an_array_of_objects_is_read_however_it_is_laid_out(tmp_path: Path, text: str, name: str) -> None:
    source = opened(tmp_path / name, text)
    assert source.kind == "a JSON array"
    (batch,) = loaded(source)
    assert batch.ids == [row["id"] for row in ROWS]


@pytest.mark.parametrize(
    "text",
    ['{"id": "a", "vector": [1]}', '{"ids": ["a"], "x": 1}\n{"ids": ["b"]}', '[1]\n{"id": "a"}', '{"id": \n'],
)
def test_json_lines_stay_json_lines(tmp_path: Path, text: str) -> None:
    assert isinstance(opened(tmp_path / "rows.json", text), JsonlSource)


def test_a_document_may_be_compressed(tmp_path: Path) -> None:
    path = tmp_path / "rows.json.gz"
    path.write_bytes(gzip.compress(ONE_LINE.encode()))
    (source,) = open_sources([str(path)])
    assert source.kind == "a JSON array, gzip"
    assert [batch.ids for batch in loaded(source)] == [[row["id"] for row in ROWS]]


def test_rows_come_in_pieces_and_only_those_that_are_missing(tmp_path: Path) -> None:
    source = opened(tmp_path / "rows.json", ONE_LINE)
    pieces = [rows.span for rows in source.read(batch_rows=2, batch_bytes=10**9)]
    assert [(span.start, span.stop) for span in pieces] == [(0, 2), (2, 4), (4, 6), (6, 7)]
    batches = loaded(source, batch_rows=2, done=[pieces[0], pieces[2]])
    assert [batch.ids for batch in batches] == [["row-3", "row-4"], ["row-7"]]
    small = [rows.span for rows in source.read(batch_rows=100, batch_bytes=1)]
    assert len(small) == 7
    assert list(source.read(batch_rows=2, batch_bytes=10**9, done=pieces)) == []


def test_what_is_no_object_is_a_reject_with_its_row(tmp_path: Path) -> None:
    (batch,) = loaded(opened(tmp_path / "rows.json", json.dumps([ROWS[0], 7, None, ROWS[1]])))
    assert batch.ids == ["row-1", "row-2"]
    assert [(r.row, r.field, r.code) for r in batch.rejects] == [
        (1, "line", "not-object"),
        (2, "line", "not-object"),
    ]


def test_integers_beyond_64_bits_are_exact(tmp_path: Path) -> None:
    rows = [{"id": 2**64 + n, "vector": [1, 2], "n": {"big": 10**30 + n}} for n in range(4)]
    batches = loaded(opened(tmp_path / "rows.json", json.dumps(rows)), batch_rows=3)
    assert [item for batch in batches for item in batch.ids] == [str(2**64 + n) for n in range(4)]
    assert batches[1].metadata == [{"n": {"big": 10**30 + 3}}]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[{,\n", "is not JSON: "),
        (
            '{\n "id": [1, 2]\n}',
            "is one JSON object, but not an export that vecload knows; JSON Lines has one a line",
        ),
        ('{\n "points": [{"id": 1}]\n}', "if its rows are in .points: jq -c '.points[]' "),
        ('[\n{"id": "a"},\n]', "it has a comma before a closing bracket"),
        ('[\n// comment\n{"id": "a"}]', "it has a comment, which JSON does not allow"),
        ('[{"id": "a"} {"id": "b"}]', "a comma is missing between two elements"),
        ('[{"id": "a"}, , {"id": "b"}]', "it has a comma without an element before it"),
        ('[{"id": "a"}, {"id": "b"}', "it is cut off: its array is not closed"),
        ('[{"id": "a"}, {"id": "b', "it is cut off: its array is not closed"),
        ('[\n{"id": "a"}\n]\n]', "something follows after its array"),
        ('[\n{"id": "a"}\n]\n{"id": "b"}', "something follows after its array"),
        ('{"id": "a"},\n{"id": "b"},\n', "it has commas between objects but no array around them"),
        (
            '{"docstore/data": {}}',
            "is LlamaIndex's document store, which holds no vectors; name the vector store",
        ),
        (
            '{"ids": [["a"]], "embeddings": [[[1]]]}',
            "is the result of a Chroma query, whose lists are nested",
        ),
        ('{"ids": ["a"], "embeddings": [[1], [2]]}', "has 1 ids and 2 embeddings"),
        ('{"ids": ["a"], "embeddings": [[1]], "data": [[0]]}', "holds Chroma's 'data'"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_clear_word(tmp_path: Path, text: str | bytes, says: str) -> None:
    source = opened(tmp_path / "rows.json", text)
    with pytest.raises((SourceError, MappingError)) as failed:
        source.head()
    assert says in str(failed.value)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    ("orient", "rows"),
    [("list", 3), *((each, rows) for each in ("columns", "index", "split", "table") for rows in (3, 60_000))],
)
def test_a_table_on_one_line_is_told_from_a_row(tmp_path: Path, orient: str, rows: int) -> None:
    ids, vectors = [f"row-{n}" for n in range(rows)], [[n, 0.5] for n in range(rows)]
    document = {
        "columns": {"id": dict(enumerate(ids)), "vector": dict(enumerate(vectors))},
        "index": {n: {"id": ids[n], "vector": vectors[n]} for n in range(rows)},
        "split": {
            "columns": ["id", "vector"],
            "index": [*range(rows)],
            "data": [*zip(ids, vectors, strict=True)],
        },
        "table": {
            "schema": {"fields": []},
            "data": [{"id": ids[n], "vector": vectors[n]} for n in range(rows)],
        },
        "list": {"id": ids, "vector": vectors},
    }[orient]
    source = opened(tmp_path / "rows.json", json.dumps(document, separators=(",", ":")))
    with pytest.raises(SourceError, match="is one JSON object, but not an export that vecload knows") as told:
        source.head()
    assert ("jq -c '.data[]'" if orient == "table" else "") in str(told.value)


@pytest.mark.parametrize(
    "row",
    [
        {"vector": [1, 2]},
        {"vector": [1, 2], "metadata": {"a": 1}},
        {"doc": {"id": "a"}, "embedding": {"values": [1, 2]}},
        {"id": "a", "data": [[1]], "columns": ["b"]},
    ],
)
def test_a_sole_row_is_no_table(tmp_path: Path, row: dict[str, Any]) -> None:
    assert isinstance(opened(tmp_path / "rows.jsonl", json.dumps(row)), JsonlSource)


def test_nesting_of_100_000_refuses_the_document(tmp_path: Path) -> None:
    source = opened(tmp_path / "rows.json", "[" * 100_000 + "]" * 100_000)
    head = source.head()
    assert head is not None
    assert head.broken[0].code == "not-json"


@pytest.mark.parametrize(
    ("element", "cause"),
    [
        (b'{"id": "a",\n "price": NaN}', "field 'price' holds NaN, which JSON can't express"),
        (b"{'id': 'a'}", "it is a Python dict, not JSON; write it with json.dumps"),
        (b'{"id": "caf\xe9"}', "it is not UTF-8; if it is Windows-1252 or Latin-1, load it with --encoding"),
    ],
)
def test_an_element_that_is_not_json_costs_itself(tmp_path: Path, element: bytes, cause: str) -> None:
    rows = [json.dumps(ROWS[0]).encode(), element, json.dumps(ROWS[1]).encode()]
    (batch,) = loaded(opened(tmp_path / "rows.json", b"[" + b",\n".join(rows) + b"]"))
    assert batch.ids == ["row-1", "row-2"]
    (reject,) = batch.rejects
    assert (reject.row, reject.code) == (1, "not-json")
    assert cause in reject.message


def test_a_large_array_is_never_held_whole(tmp_path: Path) -> None:
    row = json.dumps({"id": "a", "vector": [0.25] * 500, "text": "x" * 2000})
    path = tmp_path / "rows.json"
    path.write_text("[" + ", ".join([row] * 8000) + "]")
    size = path.stat().st_size
    (source,) = open_sources([str(path)], ReadOptions(max_json_bytes=1000))
    tracemalloc.start()
    count = sum(len(rows.span) for rows in source.read(batch_rows=100, batch_bytes=10**6))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 8000
    assert peak < size / 3


@pytest.mark.parametrize("name", ["rows.json", "rows.json.gz"])
def test_a_document_beyond_the_limit_is_refused_before_it_is_held(tmp_path: Path, name: str) -> None:
    text = json.dumps({"ids": ["a"] * 100, "embeddings": [[1]] * 100}).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    (exact,) = open_sources([str(path)], ReadOptions(max_json_bytes=len(text)))
    assert exact.total_rows == 100
    (source,) = open_sources([str(path)], ReadOptions(max_json_bytes=len(text) - 1))
    with pytest.raises(SourceError, match=r"over .* bytes, and is read whole; write its rows as JSON Lines"):
        source.head()


def test_an_empty_document_has_no_rows(tmp_path: Path) -> None:
    for text in ("[]", '{"ids": [], "embeddings": [], "metadatas": []}', '{"embedding_dict": {}}'):
        source = opened(tmp_path / "rows.json", text)
        assert source.head() is None
        assert source.columns() == []
        assert list(source.read(batch_rows=1, batch_bytes=1)) == []


def test_a_document_on_one_very_long_line_is_known_by_its_beginning(tmp_path: Path) -> None:
    long = {"ids": ["a" * 10] * 100_000, "embeddings": [[1, 2]] * 100_000}
    source = opened(tmp_path / "rows.json", json.dumps(long))
    assert source.kind == "a JSON document of chroma"
    rows = "\n".join(json.dumps({"id": str(n), "vector": [1, 2], "pad": "x" * 2**20}) for n in range(2))
    assert isinstance(opened(tmp_path / "lines.json", rows), JsonlSource)


def test_the_file_beside_it_is_part_of_what_the_load_is(tmp_path: Path) -> None:
    store = {
        "embedding_dict": {"a": [1, 2]},
        "text_id_to_ref_doc_id": {"a": "None"},
        "metadata_dict": {"a": {}},
    }
    source = opened(tmp_path / "default__vector_store.json", json.dumps(store))
    node = {"text_resource": {"text": "of a newer version"}, "metadata": {"n": 1}}
    (tmp_path / "docstore.json").write_text(json.dumps({"docstore/data": {"a": {"__data__": node}}}))
    (batch,) = loaded(source)
    assert (batch.contents, batch.metadata) == (["of a newer version"], [{"n": 1}])
    assert [Path(file.name).name for file in source.files] == ["default__vector_store.json", "docstore.json"]
