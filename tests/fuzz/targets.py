"""What is fuzzed: each target takes any bytes, and raises only if what it fuzzes broke a promise."""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vecload.batch import Batch
from vecload.errors import MappingError, SealError, SourceError, VecloadError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice
from vecload.mapping.json_rows import as_object, parse_exact
from vecload.readers import open_sources
from vecload.readers.parquet.pages import SHORTEST
from vecload.sealing import Opener, Sealer
from vecload.targets import answers, returned_items
from vecload.targets.wire import dumps

CONTENTS_KEY = bytes(range(32))
INDEX_NAME = "fuzz"
HEX_KEY = "5e" * 32
"""Stands in seeds where a service would echo an index key."""


@dataclass(frozen=True)
class Target:
    """One thing that is fuzzed.

    run: Takes any bytes.
    seeds: Bytes to begin with.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


class Broken(AssertionError):
    """A promise was broken."""


def promise(kept: object, what: str) -> None:
    if not kept:
        raise Broken(what)


# Sources: any bytes in a file are rows and rejects, or one clear error.

_FOLDER = tempfile.mkdtemp(prefix="vecload-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)  # noqa: S108


def read_source(data: bytes, name: str) -> list[Batch]:
    """All rows of a file of these bytes, mapped as a load does.

    Raises:
        VecloadError: It can't be.
    """
    path = Path(_FOLDER) / f"{os.getpid()}-{name}"
    path.write_bytes(data)
    sources = open_sources([str(path)])
    batches: list[Batch] = []
    for job in make_plan(sources, ColumnChoice(), embed=False).jobs(
        index_dimension=0, allow_zero_vectors=False
    ):
        columns = job.mapper.mapping.needed()
        pieces = job.source.read(batch_rows=7, batch_bytes=10_000, columns=columns)
        batches += map(job.mapper.map, pieces)
    return batches


def source_target(name: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        try:
            batches = read_source(data, name)
        except (SourceError, MappingError) as error:
            promise("\n" not in str(error) and len(str(error)) < 2000, "an error of one line")
            return
        at = 0
        for batch in batches:
            promise(batch.span.start == at, "no row is left out")
            promise(len(batch) + len(batch.rejects) == len(batch.span), "a row is an item or a reject")
            at = batch.span.stop
            check_items(batch)

    return run


def check_items(batch: Batch) -> None:
    """Nothing that an index would store silently wrong, or a request could not say."""
    for item_id in batch.ids:
        promise(item_id and len(item_id.encode()) <= 4096, "an id is short text")
    if batch.vectors is not None:
        promise(np.isfinite(batch.vectors).all(), "vectors are finite")
        promise(batch.vectors.any(axis=1).all(), "no vector is all zeros")
        promise(batch.vectors.dtype == np.float32 and batch.vectors.flags.c_contiguous, "as the engine needs")
    for metadata in batch.metadata or ():
        if metadata is not None:
            promise(json.loads(dumps(metadata)) == metadata, "metadata goes as it is")
            promise(all(math.isfinite(each) for each in numbers(metadata)), "JSON has no NaN")
    for contents in batch.contents or ():
        if isinstance(contents, str):
            contents.encode()


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner)


def table(dimension: int = 3) -> pa.Table:
    rows = 20
    vectors = [[i + 1.0, -i, 0.5, *range(i, i + dimension - 3)] for i in range(rows)]
    return pa.table(
        {
            "id": [f"doc-{i}" for i in range(rows)],
            "vector": pa.array(vectors, pa.list_(pa.float32())),
            "text": ["naïve ☃" * (i % 3) for i in range(rows)],
            "meta": pa.array([{"n": i, "tags": ["a", None]} for i in range(rows)]),
            "when": pa.array([i * 10**9 for i in range(rows)], pa.timestamp("us")),
        }
    )


def jsonl_seeds() -> list[bytes]:
    lines = [
        {"id": 2**70, "vector": [1, 2.5], "text": "☃", "a": {"b": [None, True, 10**30]}},
        {"id": "x", "vector": "[1.0, 2]", "text": {"$bytes": "/wA="}, "metadata": '{"k": 1}'},
        {"id": "y", "vector": [1e39, None], "text": ""},
    ]
    text = "\n".join(map(json.dumps, lines)).encode()
    return [
        text,
        b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n\r\n") + b"\n",
        b'{"id":"a","vector":[1]}\n{"id":',
    ]


def parquet_seeds() -> list[bytes]:
    seeds = []
    for dimension, options in (
        (3, {"compression": "none"}),
        (3, {"compression": "snappy", "row_group_size": 7, "data_page_size": 64}),
        (3, {"compression": "zstd", "use_dictionary": False, "data_page_version": "2.0"}),
        # Long enough to be taken from the pages.
        (SHORTEST, {"compression": "snappy", "use_dictionary": ["id"], "row_group_size": 12}),
    ):
        out = io.BytesIO()
        pq.write_table(table(dimension), out, write_page_checksum=True, **options)
        seeds.append(out.getvalue())
    return seeds


def arrow_seeds() -> list[bytes]:
    seeds = []
    for make in (pa.ipc.new_file, pa.ipc.new_stream):
        out = io.BytesIO()
        with make(out, table().schema) as writer:
            writer.write_table(table(), max_chunksize=7)
        seeds.append(out.getvalue())
    return seeds


def gzip_seeds() -> list[bytes]:
    return [gzip.compress(seed, mtime=0) for seed in jsonl_seeds()] + [
        gzip.compress(b"", mtime=0) + gzip.compress(jsonl_seeds()[0], mtime=0)
    ]


def zstd_seeds() -> list[bytes]:
    return [pa.compress(seed, "zstd", asbytes=True) for seed in jsonl_seeds()]


def npz_seeds() -> list[bytes]:
    out = io.BytesIO()
    np.savez(out, ids=np.array(["a", "b"]), vectors=np.ones((2, 3), dtype=np.float32))
    return [out.getvalue()]


# Metadata: JSON text is an exact object, or a fault.


def metadata(data: bytes) -> None:
    try:
        value = parse_exact(data)
    except ValueError:
        value = None
    else:
        promise(value == json.loads(data), "the fast parser and the exact one agree")
    entries, fault = as_object(data)
    promise(not entries or fault is None, "an object, or a fault")
    if entries:
        promise(entries == value, "an object is what its text says")
        promise(json.loads(dumps(entries)) == entries, "metadata goes as it is")


def metadata_seeds() -> list[bytes]:
    return [
        b'{"a": 18446744073709551616, "b": -9223372036854775809, "c": 1e400, "d": [1.5, null]}',
        b'{"a": {"a": {"a": {"a": []}}}, "": "\\ud83d\\ude00", "b": "\\u0000"}',
        b'{"a": "\\ud800"}',
        b"[" * 300,
        b'{"a":1,"a":2}',
        b"null",
    ]


# Envelopes: only what was sealed opens, and as it was.

_SEALED = {
    "text": Sealer(CONTENTS_KEY, INDEX_NAME, urandom=bytes).seal(["doc"], ["naïve ☃"])[0],
    "bytes": Sealer(CONTENTS_KEY, INDEX_NAME, urandom=bytes).seal(["doc"], [b"\xff\x00"])[0],
}


def envelope(data: bytes) -> None:
    opener = Opener([CONTENTS_KEY], INDEX_NAME)
    known = {bytes(envelope_bytes(sealed)): sealed for sealed in _SEALED.values() if sealed is not None}
    try:
        opened = opener.open_envelope("doc", data)
    except SealError as error:
        promise(data not in known, f"what was sealed opens: {error}")
    else:
        promise(data in known and opened in ("naïve ☃", b"\xff\x00"), "only what was sealed opens")
    for stored in (data, data.decode("latin-1")):
        try:
            opened = opener.open("doc", stored)
        except SealError:
            continue
        promise(opened == stored or opened in ("naïve ☃", b"\xff\x00"), "what is not sealed stays as it is")


def envelope_bytes(sealed: str) -> bytes:
    import base64

    return base64.b64decode(sealed)


def envelope_seeds() -> list[bytes]:
    sealed = [each for each in _SEALED.values() if each is not None]
    return [*map(envelope_bytes, sealed), *(each.encode() for each in sealed)]


# Answers: whatever a service says is a value of the right type, or one error without secrets.

_READ: tuple[Callable[[dict[str, Any]], object], ...] = (
    lambda answer: returned_items.stored_items_of(json.dumps(answer).encode()),
    lambda answer: answers.hits_of(answer, 1),
    lambda answer: answers.hits_of(answer, 2),
    answers.check_trained,
    lambda answer: answers.texts_of(answer, "ids"),
    lambda answer: answers.number_of(answer, "result"),
)


def answer(data: bytes) -> None:
    for status in (400, 401, 404, 413, 422, 429, 500, 503):
        error = answers.error_of(status, {"retry-after": data[:20].decode("latin-1")}, data)
        promise(isinstance(error, VecloadError), "an error of ours")
        promise(str(error).isprintable() and len(str(error)) < 1000, "of one line")
        promise(HEX_KEY not in str(error), "without a key")
    wait = answers.retry_after_seconds(data[:40].decode("latin-1"), 1.7e9)
    promise(wait is None or 0 <= wait <= 300, "a wait has an end")
    try:
        answers.check_upserted(data, 3)
    except VecloadError:
        pass
    else:
        said = json.loads(data)
        promise(said["status"] == "success" and "3" in said["message"], "an acknowledgement says so")
    try:
        parsed = answers.object_of(data)
    except VecloadError:
        return
    for read in _READ:
        try:
            read(parsed)
        except VecloadError as error:
            promise(HEX_KEY not in str(error), "without a key")


def answer_seeds() -> list[bytes]:
    said = [
        {"status": "success", "message": "Upserted 3 vectors"},
        {"detail": [{"loc": ["body", "items", 0], "type": "missing", "input": {"index_key": HEX_KEY}}]},
        {"detail": f"Wrong encryption key for index 't' {HEX_KEY}"},
        {
            "results": [
                {"id": "a", "vector": [1.0, 2], "metadata": {"a": 1}, "contents": "x", "distance": 0.5}
            ]
        },
        {"ids": ["a", "b"], "result": 7, "status": "error", "message": "failed"},
    ]
    return [json.dumps(each).encode() for each in said] + [b"Internal Server Error", b"[" * 2000]


TARGETS = {
    "jsonl": Target(source_target("rows.jsonl"), jsonl_seeds),
    "gzip": Target(source_target("rows.jsonl.gz"), gzip_seeds),
    "zstd": Target(source_target("rows.jsonl.zst"), zstd_seeds),
    "parquet": Target(source_target("rows.parquet"), parquet_seeds),
    "arrow": Target(source_target("rows.arrow"), arrow_seeds),
    "npz": Target(source_target("rows.npz"), npz_seeds),
    "metadata": Target(metadata, metadata_seeds),
    "envelope": Target(envelope, envelope_seeds),
    "answers": Target(answer, answer_seeds),
}
