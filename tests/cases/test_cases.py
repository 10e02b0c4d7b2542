# ruff: noqa: E501, RUF001 the table has one case a line; one text has a dash
"""Small files in the shapes of public tools, through the real command into the real engine: what each becomes.

Texts in them are invented; those of the role "private" must never be in clear metadata unless a flag names
their column. A file that can't be read right without a flag must stop before anything is made (exit 2), or
reject the rows in question (exit 4).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.cases.load import Loaded, loads

CASES = Path(__file__).parent
FIRST = [0.11, -0.22, 0.33, 0.44]
BOILER = "the boiler in unit 7 leaks"
PRIVATE = (
    "boiler",
    "4411",
    "second opinion",
    "FULL SECRET",
    "secret passage",
    "body of",
    "private",
    "symptom",
    "Patient",
)


@dataclass(frozen=True)
class Loads:
    """What a load ends with: how many items, and the first one's parts; None is not looked at.

    An id of "" is any: that of the item with the contents.
    """

    count: int
    id: str
    contents: str | bytes | None = None
    metadata: dict[str, Any] | None = None
    vector: list[float] | None = None
    options: tuple[str, ...] = ()
    clear: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stops:
    """The exit code, and what the one line says."""

    says: str
    code: int = 2
    options: tuple[str, ...] = ()


def es(item_id: str, metadata: dict[str, Any]) -> Loads:
    return Loads(3, item_id, BOILER, metadata, FIRST)


MONGO = {"title": "t0", "created": 1714557600000, "views": 3}

TABLE: list[tuple[str, Loads | Stops]] = [
    ("json/nodebuffer.jsonl", Loads(3, "v0", BOILER, {}, FIRST)),
    ("json/es_sort_only.json", es("e0", {})),
    ("json/elasticdump.json", es("es-0", {"title": "t0", "lang": "en"})),
    ("json/es_search.json", es("es-0", {"title": "t0"})),
    ("json/es_bulk.ndjson", es("es-0", {"title": "t0"})),
    ("json/mongo_relaxed.json", Loads(3, "65f0c0ffee00000000000000", BOILER, MONGO, FIRST)),
    ("json/mongo_canonical.json", Loads(3, "65f0c0ffee00000000000000", BOILER, {"title": "t0", "created": 1714557600000, "views": 3, "big": 9007199254740993, "price": "1.10"}, FIRST)),
    ("json/mongo_langchain_parent.json", Loads(3, "65f0c0ffee00000000000000", BOILER, {"source": "a.pdf", "doc_id": "5b1c8f0e-parent"}, FIRST)),
    ("json/mongo_binvec_geo.json", Loads(3, "m0", BOILER, {"loc": [13.4, 52.5]}, FIRST)),
    ("json/nested_vec_bbox.jsonl", Loads(3, "m0", BOILER, {"bbox": [0.1, 0.2, 0.3, 0.4]}, FIRST)),
    ("json/numstr_vec_bbox.jsonl", Loads(3, "m0", BOILER, {"bbox": [0.1, 0.2, 0.3, 0.4]}, FIRST)),
    ("json/cohere_obj_bbox.jsonl", Loads(3, "m0", BOILER, {"bbox": [0.1, 0.2, 0.3, 0.4]}, FIRST)),
    ("json/vec_null_first.jsonl", Stops("column 'embedding' of")),
    ("json/openai_batch.jsonl", Loads(3, "doc-0", None, {}, FIRST)),
    ("json/openai_batch.jsonl", Loads(3, "doc-0", None, None, FIRST, ("--id-column", "custom_id", "--vector-column", "response.body.data[0].embedding"))),
    ("json/openai_batch_logprobs.jsonl", Loads(3, "doc-0", None, {}, FIRST)),
    ("json/openai_batch_with_error.jsonl", Stops("row 1 (id 'doc-1'): line: the request failed with the status (400)", 4)),
    ("json/only_tokens.jsonl", Loads(3, "v0", BOILER, {"token_ids": [101, 2003, 102]}, FIRST)),
    ("json/chunks_docid.jsonl", Stops("--id-column ('chunk_id' ('doc-7#c0', …) would work)")),
    ("json/chunks_docid.jsonl", Loads(3, "doc-7#c0", BOILER, {"doc_id": "doc-7"}, FIRST, ("--id-column", "chunk_id"))),
    ("json/s3key.jsonl", Stops("--id-column key --id-column chunk")),
    ("json/s3key.jsonl", Loads(3, "docs/a.pdf:0", BOILER, {"bucket": "b"}, FIRST, ("--id-column", "key", "--id-column", "chunk"))),
    ("json/qdrant_points.jsonl", Loads(3, "0", BOILER, {"source": "a.txt"}, FIRST)),
    ("json/qdrant_300.jsonl", Loads(300, "0", None, {"source": "a.pdf", "page": 0})),
    ("json/qdrant_scroll.json", Loads(3, "0", BOILER, {"source": "a.txt"}, FIRST)),
    ("json/qdrant_scroll_oneline.json", Loads(3, "0", BOILER, {"source": "a.txt"}, FIRST)),
    ("json/qdrant_default_sparse.jsonl", Loads(3, "0", BOILER, {}, FIRST)),
    ("json/pinecone_lines.jsonl", Loads(3, "p0", BOILER, {"genre": "x"}, FIRST)),
    ("json/pinecone_fetch.json", Loads(3, "p0", BOILER, {"genre": "x"}, FIRST)),
    ("json/pinecone_columns.json", Loads(3, "a", BOILER, {}, FIRST)),
    ("json/weaviate_v4.json", Loads(3, "36ddd591-2dee-4e7e-a3cc-eb86d30a4300", BOILER, {}, FIRST)),
    ("json/weaviate_gql.json", Loads(3, "36ddd591-2dee-4e7e-a3cc-eb86d30a4300", BOILER, {"title": "t0"}, FIRST)),
    ("json/weaviate_gql_lines.jsonl", Loads(3, "36ddd591-2dee-4e7e-a3cc-eb86d30a4300", BOILER, {"title": "t0"}, FIRST)),
    ("json/cdp.jsonl", Loads(3, "c0", BOILER, {"src": "a"}, FIRST)),
    ("json/cdp_flat.jsonl", Loads(3, "c0", BOILER, {"src": "a"}, FIRST)),
    ("json/haystack_img.jsonl", Loads(3, "h0", b"%PDF secret", {}, FIRST)),
    ("json/haystack_sparse.jsonl", Loads(3, "h0", BOILER, {"src": "a"}, FIRST)),
    ("json/langchain_pg.jsonl", Loads(3, "0000-0", BOILER, {"source": "a.txt", "collection_id": "c", "custom_id": "cid0"}, FIRST)),
    ("json/typesense.jsonl", Loads(3, "ts0", None, {"title": "t0", "description": BOILER, "points": 3}, FIRST, clear=("description",))),
    ("json/two_texts.jsonl", Stops("seal both: --contents-column content --contents-column text")),
    ("json/two_texts.jsonl", Loads(3, "a0", '{"content":"short summary","text":"FULL SECRET BODY the boiler in unit 7 leaks"}', {}, FIRST, ("--contents-column", "content", "--contents-column", "text"))),
    ("json/two_text_late.jsonl", Stops("has text in 'text' that would be stored unsealed", 4)),
    ("json/contents_list.jsonl", Stops("'text' (lists)")),
    ("json/doc_obj.jsonl", Loads(3, "m0", BOILER, {"document": {"title": "x"}}, FIRST)),
    ("json/bedrock_batch.jsonl", Loads(3, "REC00000000", BOILER, {}, FIRST)),
    ("json/bedrock_out", Loads(3, "REC00000000", BOILER, {}, FIRST)),
    ("json/vertex_out", Loads(3, "", BOILER, {}, None, ("--generate-ids",))),
    ("json/bedrock_batch.jsonl", Loads(3, "REC00000000", None, None, FIRST, ("--id-column", "recordId", "--metadata-exclude", "modelInput"))),
    ("json/vertex_vs.json", Loads(3, "dp0", None, {"class": ["cat"], "deny": {"class": ["pet"]}, "size": 3, "crowding_tag": "a"}, FIRST)),
    ("json/vertex_vs_dense.json", Loads(3, "dp0", None, {"class": ["cat"], "crowding_tag": "a"}, FIRST)),
    ("json/vespa_visit.jsonl", Loads(3, "id:ns:doc::0", BOILER, {"title": "t0"}, FIRST)),
    ("json/meili_ret.jsonl", Loads(3, "0", BOILER, {"title": "t0"}, FIRST)),
    ("json/marqo.jsonl", Loads(3, "m0", BOILER, {"Title": "t0"}, FIRST)),
    ("json/apoc_nodes.json", Loads(3, "0", BOILER, {"labels": ["Chunk"], "id": "chunk0"}, FIRST)),
    ("json/dynamodb.jsonl", Loads(3, "d0", BOILER, {}, FIRST)),
    ("json/tpuf_columns.json", Loads(3, "0", BOILER, {}, FIRST)),
    ("json/tpuf_export_v1.json", Loads(3, "0", BOILER, {"n": 1}, FIRST)),
    ("json/milvus_meta.jsonl", Loads(3, "0", BOILER, {"lang": "en", "n": 0}, FIRST)),
    ("json/milvus_bulk.parquet", Loads(3, "1", BOILER, {"lang": "en", "n": 0}, FIRST)),
    ("json/openai_response.json", Stops("or generate ids with --generate-ids")),
    ("json/openai_response_b64.json", Stops("or generate ids with --generate-ids")),
    ("json/openai_response_oneline.json", Stops("or generate ids with --generate-ids")),
    ("json/cohere_embed_response.json", Stops("or generate ids with --generate-ids")),
    ("json/b64_vector.jsonl", Loads(3, "d0", BOILER, {}, FIRST)),
    ("json/float32array.jsonl", Loads(3, "v0", BOILER, {}, FIRST)),
    ("json/pg_float8arr.jsonl", Loads(3, "0", BOILER, {}, FIRST)),
    ("json/numpy_repr.jsonl", Loads(3, "0", BOILER, {}, FIRST)),
    ("json/numstr_vec.jsonl", Loads(3, "s0", BOILER, {}, FIRST)),
    ("json/nested_vec1.jsonl", Loads(3, "0", BOILER, {}, FIRST)),
    ("json/bigquery_export.jsonl", Loads(3, "0", BOILER, {"ml_generate_embedding_status": ""}, FIRST)),
    ("json/pgvector.csv", Loads(3, "0", BOILER, {}, FIRST)),
    ("json/cookbook.csv", Stops("name it with --id-column ('ProductId' ('B000', …) would work)")),
    ("json/cookbook.csv", Loads(3, "B000", BOILER, {"n_tokens": 6}, FIRST, ("--id-column", "ProductId", "--metadata-exclude", "combined"))),
    ("json/pg_copy.txt", Stops("--format pgcopy --csv-columns A,B,…")),
    ("json/pg_copy.txt", Loads(3, "0", BOILER, {}, FIRST, ("--format", "pgcopy", "--csv-columns", "id,content,embedding"))),
    ("json/pgdump.sql", Stops("is SQL, as pg_dump writes it")),
    ("json/utf16.jsonl", Loads(3, "ü0", "größer – the boiler in unit 7 leaks", {}, FIRST)),
    ("json/latin1.jsonl", Stops("load it with --encoding windows-1252")),
    ("json/latin1.jsonl", Loads(3, "l0", "größer the boiler in unit 7 leaks", {}, FIRST, ("--encoding", "latin-1"))),
    ("json/concat_pretty.json", Loads(3, "r0", BOILER, {"tag": "x"}, FIRST)),
    ("json/rs_seq.jsonl", Loads(3, "r0", BOILER, {"tag": "x"}, FIRST)),
    ("json/pyrepr.jsonl", Stops("write it with json.dumps")),
    ("json/nan_meta.jsonl", Stops("field 'score' holds NaN", 4)),
    ("json/trailing_comma_lines.jsonl", Stops("sed 's/,$//'")),
    ("json/comments.jsonl", Stops("it has a comment", 4)),
    ("json/nul_tail.jsonl", Loads(3, "ü0", "größer – the boiler in unit 7 leaks", {}, FIRST)),
    ("json/bom_each.jsonl", Loads(3, "ü0", "größer – the boiler in unit 7 leaks", {}, FIRST)),
    ("json/clickhouse_json.json", Stops("FORMAT JSONEachRow")),
    ("columnar/01-ids-collapse-silently/parts", Stops("is in the first rows of")),
    ("columnar/01-ids-collapse-silently/concat.parquet", Stops("'__index_level_0__' repeats 0")),
    ("columnar/01-ids-collapse-silently/multiindex.parquet", Stops("--id-column doc_id --id-column chunk_no")),
    ("columnar/01-ids-collapse-silently/multiindex.parquet", Loads(12, "d0:0", "chunk 0 body", {}, None, ("--id-column", "doc_id", "--id-column", "chunk_no"))),
    ("columnar/02-int96-wraps/int96.parquet", Loads(4, "r0", None, {"valid_to": 253402300799000})),
    ("columnar/04-wrong-vector-guessed/neigh.parquet", Stops("'neighbors_id' (3 integers")),
    ("columnar/04-wrong-vector-guessed/tokens.parquet", Stops("'input_ids' (16 integers")),
    ("columnar/05-text-unsealed/content_type.parquet", Stops("could be the contents: 'content'")),
    ("columnar/05-text-unsealed/drift", Stops("could be the contents: 'text'")),
    ("columnar/05-text-unsealed/passage.parquet", Loads(6, "r0", "secret passage 0", {"title": "r0"})),
    ("columnar/05-text-unsealed/pinecone.parquet", Loads(5, "r0", "private 0", {"page": 0, "big": 12345678901234567890, "f": 0.1})),
    ("columnar/05-text-unsealed/two_texts.parquet", Stops("could be the contents: 'text'")),
    ("columnar/06-id-passed-over/decdoc.parquet", Loads(4, "0", "c0", {"DOC_ID": "d1"})),
    ("columnar/07-decimal-binary-ids/decid.parquet", Loads(4, "100000000000000000000")),
    ("columnar/07-decimal-binary-ids/decgen.parquet", Loads(4, "100000000000000000000", None, None, None, ("--generate-ids",))),
    ("columnar/07-decimal-binary-ids/binstr.parquet", Loads(6, "r0", "secret passage 0", {"title": "T0"}, None, ("--binary-as-text",))),
    ("columnar/07-decimal-binary-ids/binstr2.parquet", Loads(6, "r0", b"secret passage 0", {"title": "VDA="})),
    ("columnar/08-polars-ipc-categorical/pl_cat.arrow", Loads(5, "r0", None, {"cat": "a"})),
    ("columnar/08-polars-ipc-categorical/pl_en.arrow", Loads(5, "r0", None, {"en": "a"})),
    ("columnar/08-polars-ipc-categorical/pl_listcat.arrow", Loads(5, "r0", None, {"listcat": ["a", "b"]})),
    ("columnar/08-polars-ipc-categorical/dictsv.arrow", Loads(6, "r0", None, {"c": "a"})),
    ("columnar/08-polars-ipc-categorical/reesv.arrow", Loads(6, "r0", None, {"c": "a"})),
    ("columnar/09-spark-sparse-as-dense/udt_sparse_embedding.parquet", Stops("has sparse vectors in 'embedding'")),
    ("columnar/09-spark-sparse-as-dense/udt_sparse_features.parquet", Stops("has sparse vectors in 'features'")),
    ("columnar/09-spark-sparse-as-dense/udt_sparse_features.parquet", Stops("has sparse vectors in 'features'", options=("--vector-column", "features.values"))),
    ("columnar/10-unpicked-vector-in-metadata/dbp.parquet", Stops("several columns that could be the vector")),
    ("columnar/10-unpicked-vector-in-metadata/dbp.parquet", Loads(6, "r0", "r0", {"title": "r0"}, None, ("--vector-column", "text-embedding-3-large-1536-embedding"))),
    ("columnar/11-column-lost-to-object-entry/two.parquet", Stops("has two values for 'lang'", 4)),
    ("columnar/11-column-lost-to-object-entry/jsonnull.parquet", Stops("has two values for 'lang'", 4)),
    ("columnar/12-nan-metadata/nanmeta.parquet", Loads(4, "r0", None, {"price": 1.0})),
    ("columnar/13-unhelpful-messages/colbert.parquet", Stops("multi-vector, like ColBERT")),
    ("columnar/13-unhelpful-messages/spread.parquet", Stops("one column per dimension: 'dim_0' to 'dim_39'; name them with --vector-columns 'dim_*'")),
    ("columnar/13-unhelpful-messages/rangeid.parquet", Stops("RangeIndex")),
    ("columnar/14-hive-leading-zero/hive/zip=02134/lang=en/p.parquet", Loads(2, "0", None, {"zip": "02134", "lang": "en"})),
]  # fmt: skip


def check_nothing_private(items: list[dict[str, Any]], clear: tuple[str, ...] = ()) -> None:
    for item in items:
        told = json.dumps(
            {name: value for name, value in item["metadata"].items() if name not in clear}, ensure_ascii=False
        )
        assert not [word for word in PRIVATE if word in told], told


PARTS = 6


@pytest.mark.parametrize("part", range(PARTS))
def test_a_case_becomes_what_its_owner_wants_or_stops(tmp_path: Path, part: int) -> None:
    table = TABLE[part::PARTS]
    found = loads(tmp_path, [(file, *wanted.options) for file, wanted in table], cwd=CASES)
    assert all(each.again == [0, 0, 0] for each in found if each.items)
    for (file, wanted), ended in zip(table, found, strict=True):
        try:
            check(wanted, ended)
        except AssertionError as error:
            raise AssertionError(f"{file} {wanted.options}: {error}: {ended.said}") from None


def check(wanted: Loads | Stops, ended: Loaded) -> None:
    said, items = ended.said, ended.items
    if isinstance(wanted, Stops):
        assert (ended.code, items) == (wanted.code, [])
        assert wanted.says in said
        assert "Traceback" not in said
        return
    assert (ended.code, len(items)) == (0, wanted.count)
    assert [line for line in said.splitlines() if line.startswith("columns   id: ")]
    first = next(
        item
        for item in items
        if item["id"] == wanted.id or (not wanted.id and item["contents"] == wanted.contents)
    )
    if wanted.vector is not None:
        assert np.array(first["vector"], "<f4").tobytes() == np.array(wanted.vector, "<f4").tobytes()
    if wanted.contents is not None:
        assert first["contents"] == wanted.contents
    if wanted.metadata is not None:
        assert first["metadata"] == wanted.metadata
    check_nothing_private(items, wanted.clear)
    for name in wanted.clear:
        assert f"no contents: {name} (avg " in said


DTYPES = {"bf16": "bfloat16", "f16bytes": "float16", "f16unit": "float16", "npyblob": "npy"}
EMBEDDINGS = {"bbox": "embedding_v2", "i8scores": "emb_int8", "valuescol": "text_embedding"}


def test_bytes_are_the_numbers_under_which_they_look_like_embeddings(tmp_path: Path) -> None:
    files = [f"columnar/03-bytes-vector-dtype/{name}.parquet" for name in DTYPES]
    for dtype, ended in zip(DTYPES.values(), loads(tmp_path, [[f] for f in files], cwd=CASES), strict=True):
        assert (ended.code, len(ended.items), len(ended.items[0]["vector"])) == (0, 20, 64), ended.said
        assert f"vector: embedding (64, {dtype} as bytes)" in ended.said


def test_the_embedding_is_taken_and_not_the_numbers_next_to_it(tmp_path: Path) -> None:
    files = [f"columnar/04-wrong-vector-guessed/{name}.parquet" for name in EMBEDDINGS]
    found = loads(tmp_path, [[file] for file in files], cwd=CASES)
    for file, column, ended in zip(files, EMBEDDINGS.values(), found, strict=True):
        assert ended.code == 0, ended.said
        by_id = {item["id"]: item["vector"] for item in ended.items}
        for row in pq.read_table(CASES / file).to_pylist():
            given = row[column] if isinstance(row[column], list) else json.loads(row[column])
            assert by_id[row.get("id", row.get("_id"))] == np.array(given, np.float32).tolist()


def test_every_case_is_in_the_table() -> None:
    named = {file for file, _ in TABLE}
    here = {str(path.relative_to(CASES)) for path in (CASES / "json").iterdir() if path.is_file()}
    assert here - named == set()
