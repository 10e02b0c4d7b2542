from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from vecload.errors import SourceError
from vecload.readers.arrow import ArrowSource, compressed_in

ZEROS = 2_000_000


def table(rows: int = 1000) -> pa.Table:
    """Columns of several buffers, one of them of a dictionary."""
    return pa.table(
        {
            "id": [f"i{i}" for i in range(rows)],
            "vector": pa.array([[float(i), 1.0] for i in range(rows)], pa.list_(pa.float32())),
            "kind": pa.array(["a", "b"] * (rows // 2)).dictionary_encode(),
            "empty": pa.nulls(rows),
        }
    )


def written(of: pa.Table, codec: str | None, *, is_stream: bool, batch_rows: int | None = None) -> bytes:
    sink = io.BytesIO()
    new = pa.ipc.new_stream if is_stream else pa.ipc.new_file
    with new(sink, of.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(of, batch_rows)
    return sink.getvalue()


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_what_each_batch_unpacks_to_is_known_before_it_is_read(codec: str, is_stream: bool) -> None:
    zeros = pa.table({"zeros": np.zeros(ZEROS, np.int64)})
    content = written(zeros, codec, is_stream=is_stream, batch_rows=ZEROS // 4)
    found = list(compressed_in(io.BytesIO(content), is_stream=is_stream))
    assert len(found) == 4
    for packed in found:
        assert max(size for _, size in packed) == ZEROS // 4 * 8
        assert all(0 < before <= len(content) for before, _ in packed[:-1])
        assert packed[-1] == (sum(one for one, _ in packed[:-1]), sum(other for _, other in packed[:-1]))


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("codec", ["lz4", "zstd", None])
def test_dictionaries_count_with_the_batch_before_which_they_are_read(
    codec: str | None, is_stream: bool
) -> None:
    content = written(table(), codec, is_stream=is_stream, batch_rows=100)
    found = list(compressed_in(io.BytesIO(content), is_stream=is_stream))
    assert len(found) == 10
    assert all(packed == [(0, 0)] for packed in found) == (codec is None)
    if codec:
        assert len(found[0]) > len(found[1])


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_a_batch_that_unpacks_to_more_than_memory_is_refused_before_it_is(
    tmp_path: Path, codec: str, is_stream: bool, dictionary: bool
) -> None:
    column: pa.Array = pa.array(np.zeros(ZEROS, np.int64))
    if dictionary:
        column = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), column)
    bomb = pa.table({"column": column})
    path = tmp_path / "bomb.arrow"
    path.write_bytes(written(bomb, codec, is_stream=is_stream))
    assert path.stat().st_size < 8 * ZEROS / 200
    before = pa.total_allocated_bytes()
    pool = pa.default_memory_pool()
    peak = pool.max_memory()

    with pytest.raises(
        SourceError, match=r"bomb.arrow, record batch 0: [0-9,]+ bytes unpack to 16,"
    ) as refused:
        ArrowSource(str(path), max_bytes=1_000_000).head()

    assert "--max-row-group-bytes" in refused.value.hint
    assert pa.total_allocated_bytes() <= before + 1_000_000
    assert pool.max_memory() <= max(peak, before + 8_000_000)
    assert ArrowSource(str(path), max_bytes=20_000_000).head() is not None


@pytest.mark.parametrize("write", ["write_ipc", "write_ipc_stream"])
@pytest.mark.parametrize("codec", ["uncompressed", "lz4", "zstd"])
def test_files_of_polars_are_understood(tmp_path: Path, write: str, codec: str) -> None:
    frame = pl.DataFrame({"id": [f"i{i}" for i in range(500)], "vector": [[1.0, 2.0]] * 500, "n": [1] * 500})
    getattr(frame, write)(tmp_path / "a.arrow", compression=codec)
    source = ArrowSource(str(tmp_path / "a.arrow"))
    assert sum(len(rows.span) for rows in source.read(batch_rows=100, batch_bytes=10**6)) == 500


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_damaged_message_is_an_error_and_never_taken_for_one_that_is_small(is_stream: bool) -> None:
    content = written(table(100), "zstd", is_stream=is_stream, batch_rows=20)
    whole = list(compressed_in(io.BytesIO(content), is_stream=is_stream))
    random = np.random.default_rng(5)
    errors = 0
    for _ in range(400):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 3):
            damaged[place] = random.integers(0, 256)
        try:
            list(compressed_in(io.BytesIO(damaged), is_stream=is_stream))
        except ValueError:
            errors += 1
    assert list(compressed_in(io.BytesIO(content), is_stream=is_stream)) == whole
    assert errors


def test_what_is_no_file_is_an_error() -> None:
    make: Callable[[bytes], Any] = lambda content: list(compressed_in(io.BytesIO(content), is_stream=False))  # noqa: E731
    for content in (b"ARROW1\0\0" + b"\xff" * 4 + b"ARROW1", b"ARROW1\0\0" + b"\xff\xff\xff\x7fARROW1"):
        with pytest.raises(ValueError, match="damaged"):
            make(content)
