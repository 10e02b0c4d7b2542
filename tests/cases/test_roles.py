"""Files made of roles: whatever loads has one item a row, the vector of its role, and no private text.

A role is an id, a vector in some encoding, lists that are something else, texts under many names; nested or
not, in JSON Lines or Parquet. Most files stop, since more than one reading is plausible: that is right, too.
"""

from __future__ import annotations

import base64
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cases.load import loads
from vecload.errors import VecloadError
from vecload.loading.plan import make_plan
from vecload.loading.repeated_ids import RepeatedIds, policy_of
from vecload.mapping import ColumnChoice
from vecload.readers import open_sources

IDS = ("id", "_id", "ID", "doc_id", "uuid", "key", "chunk_id", "pk")
VECTORS = ("embedding", "vector", "emb", "features", "content_embedding", "emb_f32", "values", "data", "x")
DISTRACTORS = ("scores", "bbox", "token_ids", "sort", "neighbors", "values", "x", "weights", "tags", "stats")
SECOND = "title_vec"
"""A second vector, next to one that is named like a vector; next to another it would be the vector itself."""
PRIVATE_NAMES = ("text", "content", "body", "page_content", "passage", "chunk_text", "text_en", "message")
CLEAR_NAMES = ("title", "lang", "content_type", "html_url", "document_id", "summary", "author")
OUTER = ("payload", "metadata", "_source", "fields", "properties", "props")
MARK = "PRIVATE"


@dataclass
class File:
    """Rows, and what must hold of them if they load."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    vectors: list[list[float]] = field(default_factory=list)
    parquet: bool = False
    json_text: str = ""


def encoded(vector: list[float], way: str) -> Any:
    raw = np.array(vector, "<f4").tobytes()
    match way:
        case "texts":
            return [str(x) for x in vector]
        case "json":
            return json.dumps(vector)
        case "pg":
            return "{" + ",".join(map(str, vector)) + "}"
        case "base64":
            return base64.b64encode(raw).decode()
        case "buffer":
            return {"type": "Buffer", "data": [*raw]}
        case "keyed":
            return {str(i): x for i, x in enumerate(vector)}
        case "struct":
            return {"values": vector}
        case "nested":
            return [vector]
        case "bytes":
            return raw
    return vector


WAYS = (
    "list",
    "list",
    "list",
    "texts",
    "json",
    "pg",
    "base64",
    "buffer",
    "keyed",
    "struct",
    "nested",
    "bytes",
)


def made(seed: int) -> File:
    """A file of roles: the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 not a secret
    numbers = np.random.default_rng(seed)
    file = File(parquet=chance.random() < 0.4)
    count = chance.choice((2, 3, 5, 130))
    dimension = chance.choice((3, 4, 8, 16, 48))
    id_name, repeats = chance.choice(IDS), chance.random() < 0.25
    vector_name = chance.choice(VECTORS)
    way = chance.choice(WAYS)
    if not file.parquet and way == "bytes":
        way = "list"
    if file.parquet and way in ("buffer", "keyed"):
        way = "struct"
    # Without a name, nothing in the first rows would say of it.
    late = chance.random() < 0.15 and vector_name not in ("values", "data", "x")
    outer = chance.choice(OUTER) if chance.random() < 0.5 else ""
    inside = {part for part in ("vector", "text", "id", "other") if outer and chance.random() < 0.5}
    names = [*DISTRACTORS, *([SECOND] if vector_name not in ("values", "data", "x") else [])]
    distractors = [
        (name, chance.choice((1, 2, 4, 6, 40)), chance.random() < 0.5)
        for name in chance.sample(names, chance.randint(0, 3))
    ]
    private = chance.sample(PRIVATE_NAMES, chance.randint(0, 2))
    clear = chance.sample(CLEAR_NAMES, chance.randint(0, 2))
    deep = chance.random() < 0.2
    file.vectors = numbers.standard_normal((count, dimension)).astype(np.float32).astype(float).tolist()
    for n in range(count):
        top: dict[str, Any] = {"n": n}
        under: dict[str, Any] = {}
        (under if "id" in inside else top)[id_name] = f"p{n // 2}" if repeats else f"r{n}"
        if repeats:
            top["chunk_no"] = n % 2
        vector = None if late and n < count - 1 else encoded(file.vectors[n], way)
        (under if "vector" in inside else top)[vector_name] = vector
        for name, length, whole in distractors:
            if name != vector_name:
                values = numbers.integers(0, 9, length).tolist() if whole else numbers.random(length).tolist()
                (under if "other" in inside else top).setdefault(name, values)
        for name in private:
            text: Any = f"{MARK} {n} of {name}"
            (under if "text" in inside else top)[name] = {"inner": {"text": text}} if deep else text
        for name in clear:
            top[name] = f"{name} {n}"
        if outer and under:
            top[outer] = under
        file.rows.append(top)
    if outer and chance.random() < 0.3 and way != "bytes":
        file.json_text = outer
    return file


def write(file: File, folder: Path) -> Path:
    rows = [
        {**row, file.json_text: json.dumps(row[file.json_text])} if file.json_text in row else row
        for row in file.rows
    ]
    if file.parquet:
        pq.write_table(pa.Table.from_pylist(rows), folder / "roles.parquet")
        return folder / "roles.parquet"
    (folder / "roles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "roles.jsonl"


def check(file: File, items: list[dict[str, Any]]) -> None:
    """What must hold of a load that ended with 0."""
    assert len(items) == len(file.rows)
    assert len({item["id"] for item in items}) == len(file.rows)
    for item in items:
        assert MARK not in json.dumps(item["metadata"])
        wanted = file.vectors[item["metadata"]["n"]]
        assert np.array(item["vector"], "<f4").tobytes() == np.array(wanted, "<f4").tobytes()


def planned(path: Path) -> list[dict[str, Any]] | None:
    """The items that a load would make; None if it would not end with exit code 0."""
    try:
        plan = make_plan(open_sources([str(path)]), ColumnChoice(), embed=False)
    except VecloadError:
        return None
    ids = RepeatedIds(policy_of(None, plan.mappings))
    items: dict[str, dict[str, Any]] = {}
    for job in plan.jobs(index_dimension=0, allow_zero_vectors=False):
        for rows in job.source.read(batch_rows=50, batch_bytes=10**7, columns=job.mapper.mapping.needed()):
            batch = ids.checked(job.mapper.map(rows))
            if batch.rejects:
                return None
            assert batch.vectors is not None
            for i, item_id in enumerate(batch.ids):
                metadata = (batch.metadata or [{}] * len(batch))[i] or {}
                items[item_id] = {"id": item_id, "vector": batch.vectors[i].tolist(), "metadata": metadata}
    return [*items.values()]


@pytest.mark.parametrize("part", range(8))
def test_whatever_would_load_is_right(part: int, tmp_path: Path) -> None:
    """Of 2,000 files: planned and mapped as a load does it, without an engine."""
    loads = 0
    for seed in range(250 * part, 250 * (part + 1)):
        file = made(seed)
        items = planned(write(file, tmp_path))
        if items is not None:
            loads += 1
            try:
                check(file, items)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {error}: {file.rows[0]}") from None
    # The check can fail only where something loads.
    assert loads >= 25


@settings(max_examples=1)
@given(seeds=st.lists(st.integers(2000, 10**9), min_size=30, max_size=30, unique=True))
def test_whatever_the_command_loads_is_right(
    seeds: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    files = [made(seed) for seed in seeds]
    folder = tmp_path_factory.mktemp("roles")
    paths = []
    for seed, file in zip(seeds, files, strict=True):
        (folder / str(seed)).mkdir()
        paths.append(write(file, folder / str(seed)))
    for seed, file, ended in zip(seeds, files, loads(folder, [[str(p), "-q"] for p in paths]), strict=True):
        assert ended.code in (0, 2, 4), (seed, ended.said)
        if ended.code == 0:
            check(file, ended.items)
        else:
            assert ended.items == [], seed
