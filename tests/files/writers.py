"""Files as people have them, written by the tools that they have them from; and what must be stored of each.

Chroma's, LlamaIndex's, Pinecone's, Qdrant's, Weaviate's and Vector-io's files are written by hand, as those
tools write them: each needs a hundred packages or a server. PySpark would need a Java machine and 300 MB.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

VECTORS = np.random.default_rng(11).standard_normal((3, 8), dtype=np.float32)
LISTS = VECTORS.astype(np.float64).tolist()
IDS = ["a", "b", "c"]
TEXTS = ["The first, naïve ☃", "", "third"]
DAY = dt.datetime(2024, 2, 29, tzinfo=dt.UTC)
DAY_MS = 1709164800000
U = uuid.UUID("12345678-1234-5678-1234-567812345678")


@dataclass(frozen=True)
class Stored:
    """What an index must hold after a load: items in order, and how the load was told."""

    source: str
    ids: list[str]
    metadata: list[dict[str, Any]]
    contents: list[str | bytes | None]
    vectors: Any = field(default_factory=lambda: VECTORS)
    options: tuple[str, ...] = ()
    metric: str = "euclidean"


def jsonl(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def pandas_default_index(folder: Path) -> Stored:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "id": IDS,
            "embedding": LISTS,
            "text": TEXTS,
            "n": [1, 2, 3],
            "when": [DAY] * 3,
            "gap": [1.5, None, 2.5],
        }
    )
    frame.to_parquet(folder / "frame.parquet")
    metadata: list[dict[str, Any]] = [
        {"n": n, "when": DAY_MS, "gap": gap} for n, gap in ((1, 1.5), (2, None), (3, 2.5))
    ]
    del metadata[1]["gap"]
    return Stored(str(folder / "frame.parquet"), IDS, metadata, [*TEXTS])


def pandas_named_index(folder: Path) -> Stored:
    import pandas as pd

    frame = pd.DataFrame({"vec": list(VECTORS), "n": [1, 2, 3]}, index=pd.Index(IDS, name="article"))
    frame.to_parquet(folder / "frame.parquet")
    return Stored(str(folder / "frame.parquet"), IDS, [{"n": n} for n in (1, 2, 3)], [None] * 3)


def pandas_filtered(folder: Path) -> Stored:
    """Rows picked out of a frame keep their numbers as an unnamed index, which is the id."""
    import pandas as pd

    frame = pd.DataFrame({"vec": list(VECTORS.repeat(2, axis=0)), "tag": list("xyyxxy")})
    frame[frame.tag == "y"].to_parquet(folder / "frame.parquet")
    return Stored(str(folder / "frame.parquet"), ["1", "2", "5"], [{"tag": "y"}] * 3, [None] * 3)


def pandas_json(folder: Path) -> Stored:
    """An array of objects on one line, as `to_json(orient="records")` writes it."""
    import pandas as pd

    frame = pd.DataFrame({"id": IDS, "vector": LISTS, "tags": [["x"], [], ["y", "z"]]})
    frame.to_json(folder / "frame.json", orient="records", double_precision=15)
    return Stored(
        str(folder / "frame.json"), IDS, [{"tags": tags} for tags in (["x"], [], ["y", "z"])], [None] * 3
    )


def polars_list(folder: Path) -> Stored:
    import polars as pl

    frame = pl.DataFrame(
        {"id": IDS, "vector": LISTS, "text": TEXTS, "about": [{"n": 1, "s": "x"}, {"n": 2, "s": None}, None]},
        schema_overrides={"vector": pl.List(pl.Float32)},
    )
    frame.write_parquet(folder / "frame.parquet")
    return Stored(
        str(folder / "frame.parquet"), IDS, [{"about": {"n": 1, "s": "x"}}, {"about": {"n": 2}}, {}], [*TEXTS]
    )


def polars_array(folder: Path) -> Stored:
    import polars as pl

    frame = pl.DataFrame({"id": [7, 8, 2**53 + 1], "vector": VECTORS, "day": [DAY.date()] * 3})
    assert frame.schema["vector"] == pl.Array(pl.Float32, 8)
    frame.write_parquet(folder / "frame.parquet")
    return Stored(
        str(folder / "frame.parquet"), ["7", "8", str(2**53 + 1)], [{"day": DAY_MS}] * 3, [None] * 3
    )


def polars_ndjson(folder: Path) -> Stored:
    import polars as pl

    frame = pl.DataFrame({"id": IDS, "vector": LISTS, "text": TEXTS})
    frame.write_ndjson(folder / "frame.ndjson")
    return Stored(str(folder / "frame.ndjson"), IDS, [{}] * 3, [*TEXTS])


def _duckdb(folder: Path, vector: str) -> Stored:
    import duckdb

    path = folder / "table.parquet"
    with duckdb.connect() as database:
        database.execute(
            f"create table t (key uuid, v {vector}, about struct(a integer, b varchar[]), "
            "m map(varchar, integer), j json, d decimal(9, 2), big decimal(38, 0), ok boolean)"
        )
        for number, values in enumerate(LISTS):
            database.execute(
                "insert into t values (?, ?, {'a': 1, 'b': ['x', 'y']}, map {'k': 5}, "
                "'{\"in\": [1, 2]}', 1.25, ?, true)",
                [str(uuid.UUID(int=U.int + number)), values, 10**37],
            )
        database.execute(f"copy t to '{path}' (format parquet)")
    metadata = {
        "about": {"a": 1, "b": ["x", "y"]},
        "m": {"k": 5},
        "j": '{"in": [1, 2]}',
        "d": 1.25,
        "big": 10**37,
        "ok": True,
    }
    return Stored(str(path), [str(uuid.UUID(int=U.int + n)) for n in range(3)], [metadata] * 3, [None] * 3)


def duckdb_array(folder: Path) -> Stored:
    return _duckdb(folder, "float[8]")


def duckdb_list(folder: Path) -> Stored:
    return _duckdb(folder, "float[]")


def duckdb_json(folder: Path) -> Stored:
    import duckdb

    path = folder / "table.json"
    with duckdb.connect() as database:
        database.execute("create table t (id hugeint, v double[], text varchar)")
        rows = zip((2**70, 2**64, -(2**100)), LISTS, TEXTS, strict=True)
        database.executemany("insert into t values (?, ?, ?)", [list(row) for row in rows])
        database.execute(f"copy t to '{path}'")
    return Stored(str(path), [str(2**70), str(2**64), str(-(2**100))], [{}] * 3, [*TEXTS])


def _dataset() -> Any:
    import datasets

    features = datasets.Features(
        {
            "_id": datasets.Value("string"),
            "emb": datasets.List(datasets.Value("float32")),
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["no", "yes"]),
        }
    )
    columns = {"_id": IDS, "emb": LISTS, "text": TEXTS, "label": [1, 0, 1]}
    return datasets.Dataset.from_dict(columns, features=features)


def hugging_face_parquet(folder: Path) -> Stored:
    _dataset().to_parquet(str(folder / "data.parquet"))
    return Stored(str(folder / "data.parquet"), IDS, [{"label": n} for n in (1, 0, 1)], [*TEXTS])


def hugging_face_json(folder: Path) -> Stored:
    _dataset().to_json(str(folder / "data.jsonl"), double_precision=15)
    return Stored(str(folder / "data.jsonl"), IDS, [{"label": n} for n in (1, 0, 1)], [*TEXTS])


class _Embeddings:
    """Gives each text its vector."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [LISTS[TEXTS.index(text)] for text in texts]


def _documents() -> Any:
    from langchain_core.documents import Document

    return [
        Document(id=item_id, page_content=text, metadata={"n": n, "deep": {"x": [n]}})
        for n, (item_id, text) in enumerate(zip(IDS, TEXTS, strict=True))
    ]


_OF_DOCUMENTS: list[dict[str, Any]] = [{"n": n, "deep": {"x": [n]}} for n in range(3)]


def langchain_store(folder: Path) -> Stored:
    from langchain_core.vectorstores import InMemoryVectorStore

    documents = _documents()
    documents[2].metadata["lc"] = 1  # such a key is written escaped
    store = InMemoryVectorStore(_Embeddings())  # type: ignore[arg-type] # it asks for nothing else
    store.add_documents(documents)
    store.dump(str(folder / "store.json"))
    metadata = [*_OF_DOCUMENTS[:2], {**_OF_DOCUMENTS[2], "lc": 1}]
    return Stored(str(folder / "store.json"), IDS, metadata, [*TEXTS])


def langchain_documents(folder: Path) -> Stored:
    rows = [
        {**json.loads(document.model_dump_json()), "embedding": vector}
        for document, vector in zip(_documents(), LISTS, strict=True)
    ]
    return Stored(jsonl(folder / "documents.jsonl", rows), IDS, _OF_DOCUMENTS, [*TEXTS])


def langchain_serialised(folder: Path) -> Stored:
    from langchain_core.load import dumpd

    rows = [{**dumpd(each), "embedding": vector} for each, vector in zip(_documents(), LISTS, strict=True)]
    assert {"lc", "kwargs"} <= rows[0].keys()
    return Stored(jsonl(folder / "documents.jsonl", rows), IDS, _OF_DOCUMENTS, [*TEXTS])


def _nodes() -> list[dict[str, Any]]:
    """As `TextNode.to_dict` of llama-index-core 0.14 gives them."""
    return [
        {
            "id_": item_id,
            "embedding": vector,
            "metadata": {"n": n},
            "excluded_embed_metadata_keys": [],
            "excluded_llm_metadata_keys": [],
            "relationships": {"1": {"node_id": "doc-9", "node_type": None, "metadata": {}, "hash": None}},
            "metadata_template": "{key}: {value}",
            "metadata_separator": "\n",
            "text": text,
            "mimetype": "text/plain",
            "start_char_idx": None,
            "end_char_idx": None,
            "text_template": "{metadata_str}\n\n{content}",
            "class_name": "TextNode",
        }
        for n, (item_id, vector, text) in enumerate(zip(IDS, LISTS, TEXTS, strict=True))
    ]


def llamaindex_nodes(folder: Path) -> Stored:
    return Stored(jsonl(folder / "nodes.jsonl", _nodes()), IDS, [{"n": n} for n in range(3)], [*TEXTS])


def _vector_store(path: Path) -> None:
    """As `SimpleVectorStore.persist` writes it."""
    added = {"_node_type": "TextNode", "document_id": "doc-9", "doc_id": "doc-9", "ref_doc_id": "doc-9"}
    store = {
        "embedding_dict": dict(zip(IDS, LISTS, strict=True)),
        "text_id_to_ref_doc_id": dict.fromkeys(IDS, "doc-9"),
        "metadata_dict": {item_id: {"n": n, **added} for n, item_id in enumerate(IDS)},
    }
    path.write_text(json.dumps(store))


def llamaindex_store(folder: Path) -> Stored:
    """As `StorageContext.persist` writes a folder."""
    _vector_store(folder / "default__vector_store.json")
    nodes = {node["id_"]: {"__data__": node, "__type__": "1"} for node in _nodes()}
    (folder / "docstore.json").write_text(json.dumps({"docstore/data": nodes}))
    metadata = [{"n": n, "ref_doc_id": "doc-9"} for n in range(3)]
    return Stored(str(folder / "default__vector_store.json"), IDS, metadata, [*TEXTS])


def llamaindex_store_alone(folder: Path) -> Stored:
    _vector_store(folder / "vectors.json")
    metadata = [{"n": n, "ref_doc_id": "doc-9"} for n in range(3)]
    return Stored(str(folder / "vectors.json"), IDS, metadata, [None] * 3)


def _chroma(folder: Path, **layout: Any) -> Stored:
    """As `json.dump(collection.get(include=[...]))` with the embeddings as lists."""
    got = {
        "ids": IDS,
        "embeddings": LISTS,
        "documents": [TEXTS[0], None, TEXTS[2]],
        "uris": None,
        "included": ["embeddings", "documents", "metadatas"],
        "data": None,
        "metadatas": [{"n": 1}, None, {"n": 3, "big": 2**70}],
    }
    (folder / "collection.json").write_text(json.dumps(got, **layout))
    return Stored(
        str(folder / "collection.json"),
        IDS,
        [{"n": 1}, {}, {"n": 3, "big": 2**70}],
        [TEXTS[0], None, TEXTS[2]],
    )


def chroma(folder: Path) -> Stored:
    return _chroma(folder)


def chroma_indented(folder: Path) -> Stored:
    return _chroma(folder, indent=2, sort_keys=True)


def pinecone(folder: Path) -> Stored:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sparse = pa.struct([("indices", pa.list_(pa.int64())), ("values", pa.list_(pa.float64()))])
    table = pa.table(
        {
            "id": IDS,
            "values": pa.array(LISTS, pa.list_(pa.float32())),
            "metadata": ['{"genre": ["x"], "text": "one"}', None, '{"text": "three"}'],
            "sparse_values": pa.array([None, None, {"indices": [], "values": []}], sparse),
        }
    )
    pq.write_table(table, folder / "0.parquet")
    options = ("--contents-column", "metadata.text")
    return Stored(
        str(folder / "0.parquet"), IDS, [{"genre": ["x"]}, {}, {}], ["one", None, "three"], options=options
    )


def _point(vector: Any, n: int) -> dict[str, Any]:
    return {
        "id": n,
        "payload": {"n": n, "lang": None},
        "vector": vector,
        "shard_key": None,
        "order_value": None,
    }


def qdrant(folder: Path) -> Stored:
    rows = [_point(vector, n) for n, vector in enumerate(LISTS)]
    metadata = [{"n": n, "lang": None} for n in range(3)]
    return Stored(jsonl(folder / "points.jsonl", rows), ["0", "1", "2"], metadata, [None] * 3)


def qdrant_named(folder: Path) -> Stored:
    rows = [_point({"body": vector, "title": [1.0, 2.0]}, n) for n, vector in enumerate(LISTS)]
    metadata = [{"n": n, "lang": None} for n in range(3)]
    options = ("--vector-column", "vector.body")
    return Stored(
        jsonl(folder / "points.jsonl", rows), ["0", "1", "2"], metadata, [None] * 3, options=options
    )


def weaviate(folder: Path) -> Stored:
    ids = [str(uuid.UUID(int=U.int + n)) for n in range(3)]
    rows = [
        {
            "class": "Article",
            "uuid": ids[n],
            "properties": {"title": f"T{n}"},
            "vector": [],
            "vectors": {"default": v},
        }
        for n, v in enumerate(LISTS)
    ]
    metadata = [{"class": "Article", "title": f"T{n}"} for n in range(3)]
    return Stored(jsonl(folder / "objects.jsonl", rows), ids, metadata, [None] * 3)


def vdf(folder: Path) -> Stored:
    """As Vector-io writes an export: pandas frames of one column a payload field, and VDF_META.json."""
    import pandas as pd

    data = folder / "vdf_20240229_1234a" / "articles" / "vectors"
    data.mkdir(parents=True)
    pd.DataFrame({"id": IDS[:2], "embedding": LISTS[:2], "n": [0, 1]}).to_parquet(data / "1.parquet")
    pd.DataFrame({"id": IDS[2:], "embedding": LISTS[2:], "n": [2]}).to_parquet(data / "2.parquet")
    about = {
        "namespace": "",
        "index_name": "articles",
        "total_vector_count": 3,
        "exported_vector_count": 3,
        "dimensions": 8,
        "model_name": None,
        "vector_columns": ["embedding"],
        "data_path": "articles/vectors",
        "metric": "Cosine",
        "index_config": None,
    }
    meta = {
        "version": "0.1.247",
        "file_structure": [],
        "author": "someone",
        "exported_from": "qdrant",
        "indexes": {"articles": [about]},
        "exported_at": "2024-02-29T00:00:00",
        "id_column": "id",
    }
    (folder / "vdf_20240229_1234a" / "VDF_META.json").write_text(json.dumps(meta, indent=4))
    source = str(folder / "vdf_20240229_1234a")
    return Stored(source, IDS, [{"n": n} for n in range(3)], [None] * 3, metric="cosine")


WRITERS: tuple[Callable[[Path], Stored], ...] = (
    pandas_default_index,
    pandas_named_index,
    pandas_filtered,
    pandas_json,
    polars_list,
    polars_array,
    polars_ndjson,
    duckdb_array,
    duckdb_list,
    duckdb_json,
    hugging_face_parquet,
    hugging_face_json,
    langchain_store,
    langchain_documents,
    langchain_serialised,
    llamaindex_nodes,
    llamaindex_store,
    llamaindex_store_alone,
    chroma,
    chroma_indented,
    pinecone,
    qdrant,
    qdrant_named,
    weaviate,
    vdf,
)
