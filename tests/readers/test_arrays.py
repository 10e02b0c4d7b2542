from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.mapping import Mapper, guess_mapping
from vecload.mapping.mapping import ColumnChoice
from vecload.readers import ReadOptions, Source, open_sources
from vecload.readers.arrays import archive
from vecload.readers.numpy_arrays import Array
from vecload.readers.storage.files import LocalFile

N, DIM = 23, 4
VECTORS = np.random.default_rng(1).standard_normal((N, DIM)).astype(np.float32)
IDS = [f"doc-{i}" for i in range(N)]


def read(source: Source, done: tuple[Span, ...] = ()) -> tuple[list[str], list[Any], bytes]:
    """Ids, metadata and vectors, after a look that spans are right."""
    mapper = Mapper(guess_mapping(source.columns(), ColumnChoice(), source=source.name), DIM)
    ids: list[str] = []
    metadata: list[Any] = []
    vectors = b""
    for rows in source.read(batch_rows=5, batch_bytes=10**6, done=done):
        batch = mapper.map(rows)
        assert batch.rejects == ()
        assert batch.span.source == source.name
        ids += batch.ids
        metadata += batch.metadata or [None] * len(batch)
        vectors += b"" if batch.vectors is None else batch.vectors.tobytes()
    return ids, metadata, vectors


def write_ids(path: Path, kind: str) -> str:
    rows = [{"id": item_id, "n": i} for i, item_id in enumerate(IDS)]
    if kind == "lines":
        path.write_text("\r\n".join(IDS), encoding="utf-8-sig")
    elif kind == "npy":
        np.save(path.with_suffix(".npy"), np.array(IDS))
        return str(path.with_suffix(".npy"))
    elif kind == "bytes.npy":
        np.save(path.with_suffix(".npy"), np.array(IDS).astype("S"))
        return str(path.with_suffix(".npy"))
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


@pytest.mark.parametrize("kind", ["lines", "npy", "bytes.npy", "jsonl", "parquet"])
@pytest.mark.parametrize(
    "array",
    [VECTORS, np.asfortranarray(VECTORS), VECTORS.astype(">f4"), VECTORS.astype("f8")],
    ids=["rows", "columns", "big-endian", "double"],
)
def test_an_array_and_its_ids_are_rows(tmp_path: Path, kind: str, array: Any) -> None:
    np.save(tmp_path / "v.npy", array)
    ids_file = write_ids(tmp_path / "ids", kind)
    (source,) = open_sources([str(tmp_path / "v.npy")], ReadOptions(ids_file=ids_file))
    assert source.total_rows == N
    more = [{"n": i} for i in range(N)] if kind in ("jsonl", "parquet") else [None] * N
    assert read(source) == (IDS, more, VECTORS.tobytes())
    if kind != "jsonl":  # lines are passed by with their bytes, which a span of another reading tells
        ids, _, vectors = read(source, (Span("", 2, 19),))
        assert ids == [*IDS[:2], *IDS[19:]]
        assert vectors == VECTORS[[0, 1, 19, 20, 21, 22]].tobytes()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(("ids", "vectors"), [("id", "vectors"), ("ids", "embeddings"), ("id", "vector")])
def test_an_archive_holds_ids_vectors_and_metadata(tmp_path: Path, save: Any, ids: str, vectors: str) -> None:
    day = np.datetime64("2024-05-06")
    arrays = {ids: np.array(IDS), vectors: VECTORS, "n": np.arange(N), "day": np.full(N, day)}
    save(tmp_path / "a.npz", **arrays)
    (source,) = open_sources([str(tmp_path / "a.npz")])
    found = read(source)
    assert found[0] == IDS
    assert found[1][3] == {"n": 3, "day": 1714953600000}
    assert found[2] == VECTORS.tobytes()


@pytest.mark.parametrize("kept", [40, 200, 127 + 16 * 20, -1])
def test_an_array_that_is_cut_off_is_an_error_that_names_the_row(tmp_path: Path, kept: int) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    write_ids(tmp_path / "ids", "lines")
    (tmp_path / "v.npy").write_bytes((tmp_path / "v.npy").read_bytes()[:kept])
    with pytest.raises(SourceError, match=r"v\.npy (can't be read at or after row|is not a readable NumPy)"):
        read(open_sources([str(tmp_path / "v.npy")], ReadOptions(ids_file=str(tmp_path / "ids")))[0])


@pytest.mark.parametrize(("one", "other"), [("embeddings", "vectors"), ("id", "ids")])
def test_an_archive_of_two_arrays_for_one_column_is_refused_with_both_names(
    tmp_path: Path, one: str, other: str
) -> None:
    arrays = {"id": np.array(IDS), "vectors": VECTORS}
    arrays = {one: arrays.get(one, VECTORS), other: arrays.get(other, np.array(IDS)), **arrays}
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match=f"two arrays for the column .*'{one}' and '{other}'"):
        open_sources([str(tmp_path / "a.npz")])


@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "m", "10m", "s", "10s", "ms", "us", "ns", "15ns"])
def test_times_of_every_unit_are_those_times(tmp_path: Path, unit: str) -> None:
    times = np.array(["1969-05-04T07:09:11.123456789", "NaT", "2024-02-29T23:59:59"], f"datetime64[{unit}]")
    np.save(tmp_path / "a.npy", times)
    reading = Array(lambda: (tmp_path / "a.npy").open("rb"), "at").reader()
    found = reading.rows(0, 3).to_numpy(zero_copy_only=False)
    reading.close()
    assert found.astype("datetime64[ns]").tolist() == times.astype("datetime64[ns]").tolist()


@pytest.mark.parametrize("unit", ["ps", "generic"])
def test_times_that_cannot_be_had_are_refused(tmp_path: Path, unit: str) -> None:
    times = np.array(["NaT"] * N, "datetime64" if unit == "generic" else f"datetime64[{unit}]")
    np.savez(tmp_path / "a.npz", id=np.array(IDS), vector=VECTORS, at=times)
    with pytest.raises(SourceError, match=r"array 'at' holds datetime64.* can't be read"):
        open_sources([str(tmp_path / "a.npz")])


def test_an_id_with_a_lone_surrogate_is_a_reject(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", id=np.array(["a", "b\ud800", "ü"]), vector=VECTORS[:3])
    (source,) = open_sources([str(tmp_path / "a.npz")])
    mapper = Mapper(guess_mapping(source.columns(), ColumnChoice(), source=source.name), DIM)
    (rows,) = source.read(batch_rows=10, batch_bytes=10**6)
    batch = mapper.map(rows)
    assert batch.ids == ["a", "ü"]
    assert [(reject.row, reject.field) for reject in batch.rejects] == [(1, "id")]


def test_texts_of_two_dimensions_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", id=np.array([IDS]), vector=VECTORS[:1])
    with pytest.raises(SourceError, match="texts have one"):
        open_sources([str(tmp_path / "a.npz")])


def test_a_flipped_bit_in_an_archive_is_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", id=np.array(IDS), vectors=VECTORS)
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    at = bytes(whole).index(VECTORS[20].tobytes())
    whole[at] ^= 1
    (tmp_path / "a.npz").write_bytes(whole)
    with pytest.raises(SourceError, match=r"a\.npz .*Bad CRC-32"):
        read(open_sources([str(tmp_path / "a.npz")])[0])


@pytest.mark.parametrize("kind", ["lines", "npy", "jsonl", "parquet"])
@pytest.mark.parametrize("rows", [N - 1, N + 1])
def test_more_or_fewer_ids_than_vectors_are_refused_before_a_row_is_read(
    tmp_path: Path, kind: str, rows: int
) -> None:
    np.save(tmp_path / "v.npy", np.ones((rows, DIM), np.float32))
    with pytest.raises(SourceError) as refused:
        open_sources([str(tmp_path / "v.npy")], ReadOptions(ids_file=write_ids(tmp_path / "ids", kind)))
    assert str(N) in str(refused.value)
    assert str(rows) in str(refused.value)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.array([{"a": 1}], dtype=object), "holds Python objects, which vecload never loads"),
        (np.ones((2, 2), complex), "which can't be read"),
        (np.ones((2, 2, 2)), "has the shape"),
        (np.float32(1), "has the shape"),
        (np.zeros(2, [("a", "f4")]), "which can't be read"),
    ],
)
def test_what_can_be_no_rows_is_refused(tmp_path: Path, array: Any, says: str) -> None:
    np.save(tmp_path / "v.npy", array, allow_pickle=True)
    with pytest.raises(SourceError, match=says):
        open_sources([str(tmp_path / "v.npy")], ReadOptions(ids_file=str(tmp_path / "v.npy")))


def test_an_empty_line_of_ids_is_an_empty_id_and_moves_no_other(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS[:3])
    (tmp_path / "ids").write_text("a\n\nc\n")
    (source,) = open_sources([str(tmp_path / "v.npy")], ReadOptions(ids_file=str(tmp_path / "ids")))
    mapper = Mapper(guess_mapping(source.columns(), ColumnChoice(), source="v"), DIM)
    (rows,) = source.read(batch_rows=10, batch_bytes=10**6)
    batch = mapper.map(rows)
    assert batch.ids == ["a", "c"]
    assert [(reject.row, reject.code) for reject in batch.rejects] == [(1, "empty-id")]


def test_an_archive_that_unpacks_to_more_than_memory_is_refused_before_it_is(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, id=np.arange(500_000), vector=np.zeros((500_000, 4), np.float32))
    says = r"bomb.npz, array 'vector': [0-9,]+ bytes unpack to 8,000,128"
    tracemalloc.start()
    with pytest.raises(SourceError, match=says) as refused:
        archive(LocalFile(str(path)), max_bytes=1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "--max-row-group-bytes" in refused.value.hint
    assert peak < 4_000_000
    assert archive(LocalFile(str(path))).total_rows == 500_000


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_packed_as_numpy_never_does_is_refused(tmp_path: Path, method: int) -> None:
    array = io.BytesIO()
    np.save(array, np.zeros((10, 4), np.float32))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as members:
        members.writestr("vector.npy", array.getvalue())
    with pytest.raises(SourceError, match="uses a compression that NumPy does not write"):
        archive(LocalFile(str(tmp_path / "a.npz")))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((1, 10**9), "<f4"), ((1,), "<U500000000"), ((3, 2**40), "<i8")]
)
def test_an_array_of_rows_that_no_memory_holds_is_refused(
    tmp_path: Path, shape: tuple[int, ...], dtype: str
) -> None:
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    with pytest.raises(SourceError, match=r"a.npy has rows of [0-9,]+ bytes") as refused:
        Array(LocalFile(str(path)).open, "a.npy")
    assert "--max-row-group-bytes" in refused.value.hint


def test_a_header_that_claims_gigabytes_is_not_read(tmp_path: Path) -> None:
    packed = io.BytesIO(b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + b" " * 10_000_000)
    path = tmp_path / "a.npy"
    path.write_bytes(packed.getvalue())
    tracemalloc.start()
    with pytest.raises(SourceError, match="its header has 2,147,483,648 bytes"):
        Array(LocalFile(str(path)).open, "a.npy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000


@pytest.mark.parametrize(
    "shape", ["(-4, 4)", "(4, -4)", "(99999999999999999999, 4)", "(1, 2**61)", "(4, 0)", "()"]
)
def test_a_header_with_no_possible_shape_is_an_error(tmp_path: Path, shape: str) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    path = tmp_path / "neg.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))
    with pytest.raises(SourceError):
        Array(lambda: path.open("rb"), "neg.npy")
