from __future__ import annotations

import gzip
import json
import random
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.readers import ReadOptions, Source, open_sources

SKIPPED = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
"""A frame that zstd passes by, as pzstd writes before each of its own."""


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return packed


def lines(count: int, width: int = 3) -> bytes:
    rng = random.Random(5)  # noqa: S311 no secret
    return b"".join(
        json.dumps({"id": str(i), "vector": [rng.random() for _ in range(width)]}).encode() + b"\n"
        for i in range(count)
    )


def write(path: Path, data: bytes) -> Source:
    path.write_bytes(data)
    (source,) = open_sources([str(path)])
    return source


def ids(source: Source, *, batch_rows: int = 50, done: list[Span] | None = None) -> list[str]:
    pieces = source.read(batch_rows=batch_rows, batch_bytes=10**6, done=done or [])
    return [item_id for piece in pieces for item_id in piece.ids("id").values]


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 4000), max_size=4),
    pack=st.sampled_from([gzip.compress, zstd, lambda data: SKIPPED + zstd(data)]),
    batch_rows=st.integers(1, 30),
    skipped=st.integers(0, 40),
)
def test_members_and_frames_cut_anywhere_hold_the_same_rows_and_resuming_skips_some(
    tmp_path_factory: pytest.TempPathFactory,
    cuts: list[int],
    pack: object,
    batch_rows: int,
    skipped: int,
) -> None:
    whole = lines(40)
    places = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    parts = [whole[one:other] for one, other in pairwise(places)]
    path = tmp_path_factory.mktemp("packed") / "rows.jsonl.any"
    source = write(path, b"".join(pack(part) for part in parts))  # type: ignore[operator]
    assert ids(source, batch_rows=batch_rows) == [str(i) for i in range(40)]

    first = [piece.span for piece in source.read(batch_rows=1, batch_bytes=10**6)][:skipped]
    for span in first:
        assert whole[span.begin : span.end] == whole.splitlines(keepends=True)[span.start]
    assert ids(source, done=first) == [str(i) for i in range(skipped, 40)]


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_stream_cut_off_anywhere_is_an_error_and_never_a_short_load(tmp_path: Path, pack: object) -> None:
    whole: bytes = pack(lines(3000)) + pack(lines(10))  # type: ignore[operator]
    for kept in [*range(4, len(whole), len(whole) // 25), len(whole) - 1]:
        (tmp_path / "rows.jsonl").write_bytes(whole[:kept])
        with pytest.raises(SourceError) as failed:
            ids(open_sources([str(tmp_path / "rows.jsonl")])[0])
        assert "is cut off" in str(failed.value)
        assert "rows.jsonl can't be read" in str(failed.value)


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_wrong_checksum_is_an_error_that_names_the_row(tmp_path: Path, name: str) -> None:
    if name == "gzip":
        packed = bytearray(gzip.compress(lines(60_000)))
        packed[-6] ^= 1
    else:
        # Arrow writes no checksum; the tool does, and its frame says so.
        packed = bytearray(zstd(lines(60_000)))
        packed[4] |= 4
        packed += b"\0\0\0\0"
    source = write(tmp_path / "rows", bytes(packed))
    read: list[str] = []
    pieces = source.read(batch_rows=1000, batch_bytes=10**6)
    with pytest.raises(SourceError) as failed:
        read.extend(item_id for piece in pieces for item_id in piece.ids("id").values)
    assert read == [str(i) for i in range(len(read))]
    assert 0 < len(read) < 60_000
    assert f"{name} data is damaged" in str(failed.value)
    assert "can't be read after row " in str(failed.value)
    assert "--fresh" in str(failed.value)


def test_flipped_bits_of_gzip_are_never_rows_that_nobody_notices(tmp_path: Path) -> None:
    whole = gzip.compress(lines(300))
    rng = random.Random(3)  # noqa: S311 no secret
    for _ in range(60):
        broken = bytearray(whole)
        broken[rng.randrange(10, len(broken))] ^= 1 << rng.randrange(8)
        (tmp_path / "rows.jsonl").write_bytes(broken)
        with pytest.raises(SourceError):
            ids(open_sources([str(tmp_path / "rows.jsonl")])[0])


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_what_unpacks_to_much_is_never_held_whole(tmp_path: Path, pack: object) -> None:
    bomb = b'{"id": "a", "vector": [1], "x": "' + b"y" * 80 * 2**20 + b'"}\n' + lines(3)
    (tmp_path / "rows.jsonl").write_bytes(pack(bomb))  # type: ignore[operator]
    del bomb
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    (source,) = open_sources([str(tmp_path / "rows.jsonl")], ReadOptions(max_line_bytes=10**6))
    (piece,) = source.read(batch_rows=10, batch_bytes=10**6)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {position: fault.code for position, fault in piece.broken.items()} == {0: "long-line"}
    assert piece.ids("id").values[1:] == ["0", "1", "2"]
    assert peak < 16 * 2**20
    assert pa.total_allocated_bytes() - before < 16 * 2**20


def test_progress_is_told_by_the_bytes_as_they_are_stored(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl.gz", gzip.compress(lines(60_000)))
    parts = [source.part(piece.span) for piece in source.read(batch_rows=1000, batch_bytes=10**6)]
    assert 0.9 < sum(parts) < 1.1
