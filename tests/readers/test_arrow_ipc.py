from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.readers import open_sources
from vecload.readers.arrow import END_MARK, ArrowSource


def table(rows: int) -> pa.Table:
    return pa.table(
        {
            "id": [str(i) for i in range(rows)],
            "vector": pa.array([[i, 0.5] for i in range(rows)], pa.list_(pa.float32())),
            "kind": pa.array(["a", "b"] * (rows // 2)).dictionary_encode(),
        }
    )


def ipc(rows: int, *, stream: bool, compression: str | None = None, chunk: int = 7) -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(sink, table(rows).schema, options=options) as writer:
        writer.write_table(table(rows), max_chunksize=chunk)
    return sink.getvalue()


def open_bytes(path: Path, data: bytes) -> ArrowSource:
    path.write_bytes(data)
    (source,) = open_sources([str(path)])
    assert isinstance(source, ArrowSource)
    return source


def ids(source: ArrowSource, *spans: Span, batch_rows: int = 5) -> list[str]:
    found: list[str] = []
    for rows in source.read(batch_rows=batch_rows, batch_bytes=10**6, done=spans):
        numbers = [str(i) for i in range(rows.span.start, rows.span.stop)]
        assert rows.ids("id").values == numbers
        assert (
            rows.vectors("vector", 2).values.tobytes()
            == np.array([[float(n), 0.5] for n in numbers], np.float32).tobytes()
        )
        found += numbers
    return found


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_rows_come_in_order_and_what_is_done_is_left_out(
    tmp_path: Path, stream: bool, compression: str | None
) -> None:
    source = open_bytes(tmp_path / "rows", ipc(40, stream=stream, compression=compression))
    assert ids(source) == [str(i) for i in range(40)]
    assert ids(source, Span("", 3, 9), Span("", 20, 40)) == [
        str(i) for i in range(40) if not (3 <= i < 9 or i >= 20)
    ]
    assert [column.name for column in source.columns()] == ["id", "vector", "kind"]
    (first, *_) = source.read(batch_rows=2, batch_bytes=10**6, columns=["id", "vector"])
    assert first.raw(0) == '{"id":"0","vector":[0.0,0.5]}'


@pytest.mark.parametrize("stream", [False, True])
def test_progress_adds_up_to_all_of_it(tmp_path: Path, stream: bool) -> None:
    source = open_bytes(tmp_path / "rows", ipc(4000, stream=stream, chunk=100))
    parts = [source.part(rows.span) for rows in source.read(batch_rows=50, batch_bytes=10**6)]
    assert 0.8 < sum(parts) < 1.2


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_cut_off_anywhere_is_an_error_and_never_a_short_load(tmp_path: Path, stream: bool) -> None:
    whole = ipc(40, stream=stream)
    for kept in range(6 if stream else 8, len(whole), 4):
        with pytest.raises(SourceError) as failed:
            ids(open_bytes(tmp_path / "rows", whole[:kept]))
        assert "rows" in str(failed.value)


def test_a_stream_without_the_mark_of_its_end_was_cut_off_between_its_batches(tmp_path: Path) -> None:
    whole = ipc(40, stream=True)
    source = open_bytes(tmp_path / "rows", whole.removesuffix(END_MARK))
    with pytest.raises(SourceError, match="after row 39 without an end mark"):
        ids(source)


def test_streams_one_after_another_are_refused_and_not_half_read(tmp_path: Path) -> None:
    source = open_bytes(tmp_path / "rows", ipc(40, stream=True) * 2)
    with pytest.raises(SourceError, match="continues after the end"):
        ids(source)


def test_a_file_without_rows_gives_none(tmp_path: Path) -> None:
    for stream in (False, True):
        source = open_bytes(tmp_path / "rows", ipc(0, stream=stream))
        assert source.head() is None
